//! `Identity`: exact bytes, verified before any field is used (D2.1, D2.2).

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha256};

use crate::{
    constants::{
        MAX_IDENTITY, MAX_IDENTITY_VERSION, MAX_METADATA_BYTES, MAX_METADATA_ENTRIES,
        MAX_METADATA_KEY, MAX_METADATA_VALUE, MAX_PROFILE_PICTURE, METADATA_TOMBSTONE,
    },
    id::{ContactId, IdentityKey},
    identity::Username,
    key::NoisePublicKey,
    signature::{self, Signature, SignatureLabel},
    time::UnixMillis,
    wire::codec::{DecodeError, decode_exact, encode},
};

/// The flags of an identity. None grants a right (D2.2b).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    /// At least one relay hint exists.
    pub uses_relay: bool,
    /// A label for people: a program writes here.
    pub is_machine_account: bool,
    /// Answers the relay services.
    pub is_relay_server: bool,
    /// Wishes to be reached through relays only.
    pub prefers_async: bool,
}

/// Optional parts of an identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extensions {
    profile_picture: Option<ByteBuf>,
    additional_metadata: Option<BTreeMap<String, ByteBuf>>,
}

impl Extensions {
    /// The picture, if it is one that may be shown: PNG, JPEG or WebP by its magic and at most
    /// 8 KiB. Whoever shows it decodes it with a limit of 256×256 pixels.
    pub fn profile_picture(&self) -> Option<&[u8]> {
        let picture = self.profile_picture.as_ref()?.as_slice();
        let known = picture.starts_with(b"\x89PNG\r\n\x1a\n")
            || picture.starts_with(b"\xff\xd8\xff")
            || (picture.starts_with(b"RIFF") && picture.get(8..12) == Some(b"WEBP"));
        (known && picture.len() <= MAX_PROFILE_PICTURE).then_some(picture)
    }

    /// The value of a metadata key.
    pub fn metadata(&self, key: &str) -> Option<&[u8]> {
        self.additional_metadata
            .as_ref()?
            .get(key)
            .map(|value| value.as_slice())
    }

    /// The extensions with one metadata entry more, or replaced.
    #[must_use]
    pub fn with_metadata(mut self, key: &str, value: Vec<u8>) -> Self {
        self.additional_metadata
            .get_or_insert_default()
            .insert(key.to_owned(), ByteBuf::from(value));
        self
    }

    /// The extensions with this picture.
    #[must_use]
    pub fn with_profile_picture(mut self, picture: Vec<u8>) -> Self {
        self.profile_picture = Some(ByteBuf::from(picture));
        self
    }

    fn check(&self) -> Result<(), IdentityError> {
        let Some(metadata) = &self.additional_metadata else {
            return Ok(());
        };
        let key_ok = |key: &str| {
            (1..=MAX_METADATA_KEY).contains(&key.len())
                && key
                    .bytes()
                    .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
        };
        let total: usize = metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
        if metadata.len() > MAX_METADATA_ENTRIES
            || total > MAX_METADATA_BYTES
            || metadata
                .iter()
                .any(|(k, v)| !key_ok(k) || v.len() > MAX_METADATA_VALUE)
        {
            return Err(IdentityError::Metadata);
        }
        Ok(())
    }
}

/// `IdentityVerifiedData` of the draft, in its order. As it is read, its key is only bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct VerifiedData<K = ContactId> {
    pub(super) username: String,
    pub(super) identity_key: K,
    pub(super) noise_key: NoisePublicKey,
    pub(super) flags: Flags,
    pub(super) extensions: Option<Extensions>,
    pub(super) version: u64,
    pub(super) created: UnixMillis,
}

impl VerifiedData<IdentityKey> {
    /// With the key that these bytes are.
    fn of(self, identity_key: ContactId) -> VerifiedData {
        VerifiedData {
            username: self.username,
            identity_key,
            noise_key: self.noise_key,
            flags: self.flags,
            extensions: self.extensions,
            version: self.version,
            created: self.created,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Outer(ByteBuf, Signature);

/// Why bytes are not an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// Too long, or not in its exact form.
    Encoding(DecodeError),
    /// The identity key is no usable key.
    Key,
    /// The signature does not hold.
    Signature,
    /// The noise key is of small order.
    NoiseKey,
    /// The username breaks a rule.
    Username(super::UsernameError),
    /// A metadata key, value or their number breaks a rule.
    Metadata,
    /// The version is zero or above 2^53, or 2^53 without a tombstone.
    Version,
}

impl std::fmt::Display for IdentityError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Encoding(e) => write!(f, "the identity is {e}"),
            Self::Key => f.write_str("the identity key is not a valid key"),
            Self::Signature => f.write_str("the identity's signature does not hold"),
            Self::NoiseKey => f.write_str("the identity's noise key is not a valid key"),
            Self::Username(e) => write!(f, "the identity's name is refused: {e}"),
            Self::Metadata => f.write_str("the identity's metadata breaks the limits"),
            Self::Version => f.write_str("the identity's version is out of range"),
        }
    }
}

impl std::error::Error for IdentityError {}

/// A verified identity and the exact bytes that were signed.
///
/// Exists only with a valid signature of its own key over its own bytes; the bytes are stored and
/// forwarded as they came.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    bytes: Vec<u8>,
    verified_hash: [u8; 32],
    username: Username,
    data: VerifiedData,
}

impl Identity {
    /// Verifies an encoded identity (D2.2): size, outer form, key, signature, inner form, fields.
    ///
    /// # Errors
    /// [`IdentityError`] names the first check that failed.
    pub fn verify(bytes: &[u8]) -> Result<Self, IdentityError> {
        Self::verify_new(bytes, |_| false)
    }

    /// The same; the signature is not checked if these very bytes were verified before, which
    /// `verified_before` is asked of the key.
    pub(crate) fn verify_new(
        bytes: &[u8],
        verified_before: impl FnOnce(&ContactId) -> bool,
    ) -> Result<Self, IdentityError> {
        let Outer(verified, signature) =
            decode_exact(bytes, MAX_IDENTITY).map_err(IdentityError::Encoding)?;
        let key = signer_of(&verified)?;
        if !verified_before(&key) {
            key.verify(SignatureLabel::Identity, &verified, &signature)
                .map_err(|_| IdentityError::Signature)?;
        }
        let data: VerifiedData<IdentityKey> =
            decode_exact(&verified, MAX_IDENTITY).map_err(IdentityError::Encoding)?;
        Self::check(bytes.to_vec(), &verified, data.of(key))
    }

    pub(super) fn sign(data: VerifiedData, key: &SigningKey) -> Result<Self, IdentityError> {
        let verified = encode(&data);
        let signature = signature::sign(key, SignatureLabel::Identity, &verified);
        let bytes = encode(&Outer(ByteBuf::from(verified.clone()), signature));
        if bytes.len() > MAX_IDENTITY {
            return Err(IdentityError::Encoding(DecodeError::TooLong));
        }
        Self::check(bytes, &verified, data)
    }

    fn check(bytes: Vec<u8>, verified: &[u8], data: VerifiedData) -> Result<Self, IdentityError> {
        let username = Username::parse(&data.username).map_err(IdentityError::Username)?;
        if data.noise_key.is_low_order() {
            return Err(IdentityError::NoiseKey);
        }
        let tombstone = data
            .extensions
            .as_ref()
            .is_some_and(|e| e.metadata(METADATA_TOMBSTONE).is_some());
        if let Some(extensions) = &data.extensions {
            extensions.check()?;
        }
        if data.version == 0
            || data.version > MAX_IDENTITY_VERSION
            || (data.version == MAX_IDENTITY_VERSION) != tombstone
        {
            return Err(IdentityError::Version);
        }
        Ok(Self {
            bytes,
            verified_hash: Sha256::digest(verified).into(),
            username,
            data,
        })
    }

    /// The encoding, as it was signed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the signed data.
    pub const fn verified_hash(&self) -> &[u8; 32] {
        &self.verified_hash
    }

    /// What its owner wants to be called: a claim.
    pub const fn username(&self) -> &Username {
        &self.username
    }

    /// `identity_key`.
    pub const fn id(&self) -> ContactId {
        self.data.identity_key
    }

    /// `noise_key`.
    pub const fn noise_key(&self) -> NoisePublicKey {
        self.data.noise_key
    }

    /// The flags.
    pub const fn flags(&self) -> Flags {
        self.data.flags
    }

    /// The extensions.
    pub const fn extensions(&self) -> Option<&Extensions> {
        self.data.extensions.as_ref()
    }

    /// The version, 1 to 2^53.
    pub const fn version(&self) -> u64 {
        self.data.version
    }

    /// When its owner says that it was made. It decides nothing (D2.6).
    pub const fn created(&self) -> UnixMillis {
        self.data.created
    }

    /// Whether the owner has withdrawn this identity for good (D2.8).
    pub const fn is_tombstone(&self) -> bool {
        self.data.version == MAX_IDENTITY_VERSION
    }

    pub(super) fn data(&self) -> VerifiedData {
        self.data.clone()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({} v{})", self.id().short(), self.version())
    }
}

/// The key that the signature has to be checked with, read before anything else of the data.
fn signer_of(verified: &[u8]) -> Result<ContactId, IdentityError> {
    use serde::de::{IgnoredAny, SeqAccess, Visitor};

    struct First;
    impl<'de> Visitor<'de> for First {
        type Value = Option<[u8; 32]>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an identity")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            seq.next_element::<IgnoredAny>()?;
            let key = seq.next_element::<serde_bytes::ByteArray<32>>()?;
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(key.map(serde_bytes::ByteArray::into_array))
        }
    }

    let mut decoder = rmp_serde::Deserializer::from_read_ref(verified);
    decoder.set_max_depth(crate::constants::MAX_SMP1_DEPTH + 1);
    let key = serde::Deserializer::deserialize_seq(&mut decoder, First)
        .ok()
        .flatten()
        .ok_or(IdentityError::Encoding(DecodeError::Malformed))?;
    ContactId::parse(&key).map_err(|_| IdentityError::Key)
}
