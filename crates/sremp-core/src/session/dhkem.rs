//! DHKEM(X25519, HKDF-SHA256) (RFC 9180, section 4.1) that multiplies the base point once a seal.
//!
//! The library's own does so twice a seal and once at each opening, which is a quarter of the time
//! of an envelope: here the recipient's public key stands beside the private one. Key schedule and
//! AEAD stay the library's, and the vectors are those of the RFC.

use hpke::{
    Deserializable, HpkeError, Kem, Serializable,
    kem::{SharedSecret, X25519HkdfSha256},
};
use rand_core::CryptoRng;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::{
    constants::DHLEN,
    key::diffie_hellman,
    session::{kdf::hkdf, key::SealingSecret},
};

/// `"HPKE-v1" ‖ "KEM" ‖ kem_id`, before every label.
const SUITE: &[u8] = b"HPKE-v1KEM\x00\x20";

/// The KEM, with the identifier and the bytes of the library's.
pub(super) struct Dhkem;

type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type EncappedKey = <X25519HkdfSha256 as Kem>::EncappedKey;
type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;

/// The recipient's key pair.
#[derive(Clone)]
pub(super) struct KeyPair {
    secret: Zeroizing<[u8; DHLEN]>,
    public: [u8; DHLEN],
}

impl From<&SealingSecret> for KeyPair {
    fn from(key: &SealingSecret) -> Self {
        Self {
            secret: Zeroizing::new(*key.expose()),
            public: *key.public().as_bytes(),
        }
    }
}

impl ConstantTimeEq for KeyPair {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.secret.ct_eq(&*other.secret)
    }
}

impl Serializable for KeyPair {
    type OutputSize = <PrivateKey as Serializable>::OutputSize;

    fn write_exact(&self, buf: &mut [u8]) {
        buf.copy_from_slice(&*self.secret);
    }
}

impl Deserializable for KeyPair {
    fn from_bytes(encoded: &[u8]) -> Result<Self, HpkeError> {
        let bytes = <[u8; DHLEN]>::try_from(encoded).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| HpkeError::ValidationError)?;
        Ok(Self::from(&SealingSecret::from_bytes(&bytes)))
    }
}

/// `ExtractAndExpand(dh, enc ‖ pkR)`.
fn shared_secret(
    dh: &[u8; DHLEN],
    enc: &[u8; DHLEN],
    recipient: &[u8; DHLEN],
) -> SharedSecret<Dhkem> {
    const LABEL: &[u8] = b"eae_prk";
    let mut ikm = Zeroizing::new([0; SUITE.len() + LABEL.len() + DHLEN]);
    let parts = SUITE.iter().chain(LABEL).chain(dh);
    ikm.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    let info: [&[u8]; 5] = [&[0, 32], SUITE, b"shared_secret", enc, recipient];
    // an empty salt is as many zeros as the hash is long (RFC 5869, section 2.2)
    let secret = hkdf::<32>(&[0; 32], ikm.as_slice(), &info);
    let mut shared = SharedSecret::<Dhkem>::default();
    shared.0.copy_from_slice(&*secret);
    shared
}

impl Kem for Dhkem {
    type PublicKey = PublicKey;
    type PrivateKey = KeyPair;
    type EncappedKey = EncappedKey;
    type NSecret = <X25519HkdfSha256 as Kem>::NSecret;

    const KEM_ID: u16 = X25519HkdfSha256::KEM_ID;

    fn sk_to_pk(key: &KeyPair) -> PublicKey {
        #[allow(clippy::expect_used, reason = "any 32 bytes are a public key")]
        PublicKey::from_bytes(&key.public).expect("32 bytes")
    }

    fn derive_keypair(ikm: &[u8]) -> (KeyPair, PublicKey) {
        let (secret, public) = X25519HkdfSha256::derive_keypair(ikm);
        let pair = KeyPair {
            secret: Zeroizing::new(secret.to_bytes().into()),
            public: public.to_bytes().into(),
        };
        (pair, public)
    }

    /// A sender that signs with a key of its own (AuthEncap) is refused: SREMP has none.
    fn encap_with_rng(
        recipient: &PublicKey,
        sender: Option<(&KeyPair, &PublicKey)>,
        rng: &mut impl CryptoRng,
    ) -> Result<(SharedSecret<Self>, EncappedKey), HpkeError> {
        if sender.is_some() {
            return Err(HpkeError::EncapError);
        }
        let (ephemeral, _) = Self::gen_keypair_with_rng(rng);
        let recipient = recipient.to_bytes().into();
        let dh = diffie_hellman(&ephemeral.secret, &recipient).ok_or(HpkeError::EncapError)?;
        let shared = shared_secret(&dh, &ephemeral.public, &recipient);
        Ok((shared, EncappedKey::from_bytes(&ephemeral.public)?))
    }

    fn decap(
        recipient: &KeyPair,
        sender: Option<&PublicKey>,
        enc: &EncappedKey,
    ) -> Result<SharedSecret<Self>, HpkeError> {
        if sender.is_some() {
            return Err(HpkeError::DecapError);
        }
        let enc = enc.to_bytes().into();
        let dh = diffie_hellman(&recipient.secret, &enc).ok_or(HpkeError::DecapError)?;
        Ok(shared_secret(&dh, &enc, &recipient.public))
    }
}

#[cfg(test)]
mod tests {
    use rand_core::{Infallible, TryCryptoRng, TryRng};

    use super::*;

    /// Gives the same 32 bytes.
    struct Fixed([u8; 32]);

    impl TryRng for Fixed {
        type Error = Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            unreachable!("only bytes are drawn")
        }
        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            unreachable!("only bytes are drawn")
        }
        fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
            to.copy_from_slice(&self.0);
            Ok(())
        }
    }
    impl TryCryptoRng for Fixed {}

    #[test]
    fn both_sides_give_what_the_library_gives() {
        for n in 1..=50 {
            let ikm = [n; 32];
            let (pair, public) = Dhkem::derive_keypair(&[n ^ 0xff; 32]);
            let (secret, _) = X25519HkdfSha256::derive_keypair(&[n ^ 0xff; 32]);
            let (ours, enc) = Dhkem::encap_with_rng(&public, None, &mut Fixed(ikm)).unwrap();
            let (theirs, their_enc) =
                X25519HkdfSha256::encap_with_rng(&public, None, &mut Fixed(ikm)).unwrap();
            assert_eq!(enc.to_bytes(), their_enc.to_bytes());
            assert_eq!(ours.0, theirs.0);
            assert_eq!(Dhkem::decap(&pair, None, &enc).unwrap().0, ours.0);
            assert_eq!(
                X25519HkdfSha256::decap(&secret, None, &enc).unwrap().0,
                ours.0
            );
        }
    }

    #[test]
    fn a_key_that_contributes_nothing_is_refused_on_both_sides() {
        let (pair, _) = Dhkem::derive_keypair(&[1; 32]);
        let zero = PublicKey::from_bytes(&[0; 32]).unwrap();
        assert!(Dhkem::encap_with_rng(&zero, None, &mut Fixed([2; 32])).is_err());
        let zero = EncappedKey::from_bytes(&[0; 32]).unwrap();
        assert!(Dhkem::decap(&pair, None, &zero).is_err());
    }
}
