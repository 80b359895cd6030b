//! Chapter 3 written a second time, from the specification and with the plain libraries: what the
//! vectors are computed with, and what the session layer is compared with.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ml_kem::kem::{Decapsulate as _, KeyExport as _};
use sha2::{Digest as _, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};

pub fn h(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub fn public(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

pub fn dh(secret: &[u8; 32], public: &[u8; 32]) -> [u8; 32] {
    StaticSecret::from(*secret)
        .diffie_hellman(&PublicKey::from(*public))
        .to_bytes()
}

pub fn hkdf<const N: usize>(salt: &[u8], ikm: &[u8], info: &[u8]) -> [u8; N] {
    let mut okm = [0; N];
    let hkdf = Hkdf::<Sha256>::new(Some(salt), ikm);
    hkdf.expand(info, &mut okm).unwrap();
    okm
}

pub fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

pub fn part<const N: usize>(bytes: &[u8], from: usize) -> [u8; N] {
    bytes[from..from + N].try_into().unwrap()
}

pub fn kdf_rk(rk: &[u8; 32], dh: &[u8; 32]) -> ([u8; 32], [u8; 32]) {
    let okm = hkdf::<64>(rk, dh, b"SREMP/1/rk");
    (part(&okm, 0), part(&okm, 32))
}

pub fn kdf_ck(ck: &[u8; 32]) -> ([u8; 32], [u8; 32]) {
    (hmac(ck, &[1]), hmac(ck, &[2]))
}

pub fn mk_step(mk: &[u8; 32]) -> ([u8; 32], [u8; 12]) {
    let okm = hkdf::<44>(&[0; 32], mk, b"SREMP/1/mk");
    (part(&okm, 0), part(&okm, 32))
}

pub fn seal(key: &[u8; 32], nonce: [u8; 12], ad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).unwrap());
    let mut out = plaintext.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(ad), &mut out)
        .unwrap();
    out
}

pub struct KemKey {
    key: ml_kem::DecapsulationKey768,
    pub public: Vec<u8>,
}

impl KemKey {
    pub fn new(seed: &[u8; 64]) -> Self {
        let key = ml_kem::DecapsulationKey768::from_seed((*seed).into());
        let public = key.encapsulation_key().to_bytes().to_vec();
        Self { key, public }
    }

    pub fn decapsulate(&self, ct: &[u8; 1088]) -> [u8; 32] {
        self.key.decapsulate(&(*ct).into()).into()
    }

    pub fn encapsulate(&self, m: &[u8; 32]) -> (Vec<u8>, [u8; 32]) {
        let (ct, ss) = self
            .key
            .encapsulation_key()
            .encapsulate_deterministic(&(*m).into());
        (ct.to_vec(), ss.into())
    }
}

/// RFC 9180 in Base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305.
pub struct Hpke {
    pub sk_e: [u8; 32],
    pub enc: [u8; 32],
    pub shared_secret: [u8; 32],
    pub key: [u8; 32],
    pub base_nonce: [u8; 12],
}

impl Hpke {
    pub fn sender(ikm: &[u8; 32], recipient: &[u8; 32], info: &[u8]) -> Self {
        let kem: &[u8] = b"KEM\x00\x20";
        let suite: &[u8] = b"HPKE\x00\x20\x00\x01\x00\x03";
        let extract = |suite: &[u8], salt: &[u8], label: &[u8], ikm: &[u8]| {
            let labeled = [b"HPKE-v1", suite, label, ikm].concat();
            hmac(if salt.is_empty() { &[0; 32] } else { salt }, &labeled)
        };
        fn expand<const N: usize>(
            suite: &[u8],
            prk: &[u8; 32],
            label: &[u8],
            info: &[u8],
        ) -> [u8; N] {
            let length = u16::try_from(N).unwrap().to_be_bytes();
            let labeled = [length.as_slice(), b"HPKE-v1", suite, label, info].concat();
            let mut okm = [0; N];
            let hkdf = Hkdf::<Sha256>::from_prk(prk).unwrap();
            hkdf.expand(&labeled, &mut okm).unwrap();
            okm
        }
        let prk = extract(kem, &[], b"dkp_prk", ikm);
        let sk_e = expand::<32>(kem, &prk, b"sk", &[]);
        let enc = public(&sk_e);
        let prk = extract(kem, &[], b"eae_prk", &dh(&sk_e, recipient));
        let context = [enc, *recipient].concat();
        let shared_secret = expand::<32>(kem, &prk, b"shared_secret", &context);

        let psk_id_hash = extract(suite, &[], b"psk_id_hash", &[]);
        let info_hash = extract(suite, &[], b"info_hash", info);
        let context = [&[0], &psk_id_hash[..], &info_hash].concat();
        let secret = extract(suite, &shared_secret, b"secret", &[]);
        Self {
            sk_e,
            enc,
            shared_secret,
            key: expand(suite, &secret, b"key", &context),
            base_nonce: expand(suite, &secret, b"base_nonce", &context),
        }
    }

    /// The first message of the context.
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        seal(&self.key, self.base_nonce, aad, plaintext)
    }
}
