//! Ids: parsed once, never validated later.

use std::{cmp::Ordering, fmt, hash, str::FromStr};

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};

use crate::{
    signature::{self, BadSignature, Signature, SignatureLabel},
    wire::bytes::{ExactBytes, Hex, byte_newtype, from_hex, public_bytes},
};

/// `identity_key`: an Ed25519 public key, and at once the canonical id of whoever holds the private
/// part (draft 3.1.6). Canonically encoded and not of small order, so one person has one id.
#[derive(Clone, Copy)]
pub struct ContactId(VerifyingKey);

/// The bytes are no usable Ed25519 public key: not a point, not canonical, or of small order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidContactId;

impl fmt::Display for InvalidContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a valid identity key")
    }
}

impl std::error::Error for InvalidContactId {}

impl ContactId {
    /// Parses a public key.
    ///
    /// # Errors
    /// [`InvalidContactId`] if it is no point, not its one encoding (ZIP 215 would accept several)
    /// or of small order (a signature by such a key holds for any message).
    pub fn parse(bytes: &[u8; 32]) -> Result<Self, InvalidContactId> {
        // -0 as the x-coordinate is the other non-canonical form; those points are of small order
        if !is_reduced(bytes) {
            return Err(InvalidContactId);
        }
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| InvalidContactId)?;
        if key.is_weak() {
            return Err(InvalidContactId);
        }
        Ok(Self(key))
    }

    pub(crate) fn of(key: &ed25519_dalek::SigningKey) -> Self {
        Self(key.verifying_key())
    }

    pub(crate) const fn verifying_key(&self) -> &VerifyingKey {
        &self.0
    }

    /// The key, 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Checks a signature of this identity, strictly (RFC 8032 5.1.7 without cofactor, canonical
    /// `s` and `R`).
    ///
    /// # Errors
    /// [`BadSignature`] if it does not hold for this label and payload.
    pub fn verify(
        &self,
        label: SignatureLabel,
        payload: &[u8],
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        signature::verify(&self.0, label, payload, signature)
    }

    /// The first eight hex digits, the least that is shown beside a name.
    pub fn short(&self) -> String {
        let mut hex = self.to_string();
        hex.truncate(8);
        hex
    }
}

/// Whether the y-coordinate, little-endian without the top bit, is below p = 2^255 - 19.
fn is_reduced(y: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = y;
    *first < 0xed || last | 0x80 != 0xff || middle.iter().any(|b| *b != 0xff)
}

impl PartialEq for ContactId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for ContactId {}

impl PartialOrd for ContactId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ContactId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl hash::Hash for ContactId {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for ContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(self.as_bytes()).fmt(f)
    }
}

impl fmt::Debug for ContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContactId({self})")
    }
}

impl FromStr for ContactId {
    type Err = InvalidContactId;

    /// Reads 64 hex digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = from_hex(text).ok_or(InvalidContactId)?;
        Self::parse(bytes.as_slice().try_into().map_err(|_| InvalidContactId)?)
    }
}

impl Serialize for ContactId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(self.as_bytes())
    }
}

impl<'de> Deserialize<'de> for ContactId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&d.deserialize_bytes(ExactBytes::<32>)?).map_err(D::Error::custom)
    }
}

public_bytes! {
    /// `identity_key` as it stands in a message: 32 bytes that name somebody. Whether they are a key
    /// that can sign, [`ContactId::parse`] tells; that costs as much as a quarter of a signature.
    IdentityKey, 32
}

impl From<ContactId> for IdentityKey {
    fn from(id: ContactId) -> Self {
        Self::new(*id.as_bytes())
    }
}

public_bytes! {
    /// `msg_id`: the content's own id, 16 random bytes of its author, inside the encryption.
    MsgId, 16
}

public_bytes! {
    /// `EnvelopeId`: SHA-256 of the whole envelope, 32 bytes.
    EnvelopeId, 32
}

public_bytes! {
    /// `session_id`: 16 bytes from the key agreement.
    SessionId, 16
}

byte_newtype! {
    /// `intro_token`: 16 random bytes on a card that let a stranger in.
    IntroToken, 16
}

impl fmt::Debug for IntroToken {
    /// Without the token: whoever has it gets in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntroToken")
    }
}

impl EnvelopeId {
    /// The id of these envelope bytes.
    pub fn of(envelope: &[u8]) -> Self {
        Self::new(Sha256::digest(envelope).into())
    }
}

impl fmt::Display for MsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(self.as_bytes()).fmt(f)
    }
}

impl FromStr for MsgId {
    type Err = ();

    /// Reads 32 hex digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        from_hex(text).and_then(|b| Self::from_slice(&b)).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_08_weak_and_non_canonical_identity_keys_are_rejected() {
        let mut one = [0; 32];
        one[0] = 1;
        let p_plus = |n: u8| {
            let mut y = [0xff; 32];
            y[0] = 0xed + n;
            y[31] = 0x7f;
            y
        };
        let mut negative_zero = one;
        negative_zero[31] = 0x80;
        let order_8 = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
        let order_8: [u8; 32] = from_hex(order_8).unwrap().try_into().unwrap();
        for weak in [
            [0; 32],
            one,
            negative_zero,
            order_8,
            p_plus(0),
            p_plus(1),
            p_plus(3),
            p_plus(18),
        ] {
            assert_eq!(
                ContactId::parse(&weak),
                Err(InvalidContactId),
                "{}",
                Hex(&weak)
            );
        }
    }

    #[test]
    fn a_key_is_parsed_exactly_if_decoding_and_encoding_gives_its_bytes() {
        use curve25519_dalek::edwards::CompressedEdwardsY;
        use rand_chacha::{
            ChaCha8Rng,
            rand_core::{Rng as _, SeedableRng as _},
        };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut parsed = 0;
        for n in 0..2_000u32 {
            let mut bytes = [0xff; 32];
            match n {
                // around p and 2^255, both signs
                0..512 => (bytes[0], bytes[31]) = (n as u8, if n < 256 { 0x7f } else { 0xff }),
                512..1024 => {
                    bytes = [0; 32];
                    (bytes[0], bytes[31]) = (n as u8, if n < 768 { 0 } else { 0x80 });
                }
                _ => rng.fill_bytes(&mut bytes),
            }
            let good = CompressedEdwardsY(bytes)
                .decompress()
                .is_some_and(|p| p.compress().0 == bytes && !p.is_small_order());
            assert_eq!(ContactId::parse(&bytes).is_ok(), good, "{}", Hex(&bytes));
            parsed += u32::from(good);
        }
        assert!((500..1_500).contains(&parsed));
    }

    #[test]
    fn case_25_an_intro_token_does_not_print_itself() {
        assert_eq!(format!("{:?}", IntroToken::new([0xab; 16])), "IntroToken");
    }

    #[test]
    fn ids_read_what_they_print() {
        let id = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
        let parsed: ContactId = id.parse().unwrap();
        assert_eq!(parsed.to_string(), id);
        assert_eq!(parsed.short(), "8a88e3dd");
        assert!(id[1..].parse::<ContactId>().is_err());
        assert!(format!("{id}00").parse::<ContactId>().is_err());
    }
}
