//! Bundles: what somebody needs to start a session with an absent owner (D3.3).

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{
    DhIdentity, EnvelopeKey, OneTimePrekey, PrekeyId, SignedPrekey,
    wire::{SignedDh, SignedPair, UnverifiedEnvelopeKey, payload},
};
use crate::{
    constants::{CLOCK_SKEW, DEVICE_ID, MAX_BUNDLE, MAX_OTP_BYTES, SIGNED_PREKEY_EXPIRY},
    id::ContactId,
    identity::{Identity, IdentityError},
    key::is_low_order,
    session::{
        kem::{Kem as _, KemPublicKey, MlKem768},
        key::{DhPublicKey, PrekeyPublicKey, SealingPublicKey},
    },
    signature::SignatureLabel,
    time::UnixMillis,
    wire::codec::{DecodeError, decode_exact, encode},
};

/// First element of a bundle.
const VERSION: u8 = 1;
/// SMP1 of no one-time prekey, the last element of a bundle.
const NIL: u8 = 0xc0;

#[derive(Serialize, Deserialize)]
struct BundleWire {
    version: u8,
    identity: ByteBuf,
    device_id: u32,
    dhk: SignedDh,
    spk: SignedPair,
    env: UnverifiedEnvelopeKey,
    otp: Option<SignedPair>,
}

/// The encoded bundle of these keys.
pub fn bundle(
    identity: &Identity,
    dhk: &DhIdentity,
    spk: &SignedPrekey,
    env: &EnvelopeKey,
    otp: Option<&OneTimePrekey>,
) -> Vec<u8> {
    encode(&BundleWire {
        version: VERSION,
        identity: ByteBuf::from(identity.as_bytes()),
        device_id: DEVICE_ID,
        dhk: SignedDh {
            public: dhk.public(),
            created: dhk.created,
            expires: UnixMillis::ZERO,
            signature: dhk.signature,
        },
        spk: spk.public(),
        env: *env.public_part().as_wire(),
        otp: otp.map(OneTimePrekey::public),
    })
}

/// Checks a one-time prekey as it comes in PREKEYS_PUT and tells its id. The key itself is for those
/// who will start a session with it.
///
/// # Errors
/// [`BundleError`], as for one that came with a bundle.
pub fn verify_one_time(
    bytes: &[u8],
    owner: &ContactId,
    now: UnixMillis,
) -> Result<PrekeyId, BundleError> {
    let pair: SignedPair = decode_exact(bytes, MAX_OTP_BYTES).map_err(BundleError::Encoding)?;
    pair.verify(owner, SignatureLabel::Otp, now)
        .map(|pair| pair.id)
}

/// A bundle without one-time prekey, as its owner has put it, with this one in it: what a relay
/// gives to whoever asks. Both were checked when they came; `None` if the first ends otherwise.
pub fn with_one_time_prekey(bundle: &[u8], otp: &[u8]) -> Option<Vec<u8>> {
    let head = bundle.strip_suffix(&[NIL])?;
    Some([head, otp].concat())
}

/// Whether two bundles of one owner, both checked when they came, rest on different DHKs: the owner has
/// lost the private keys of before, one-time prekeys included (D3.13).
pub fn is_of_another_state(before: &[u8], now: &[u8]) -> bool {
    let dhk = |bytes| {
        Some(
            decode_exact::<BundleWire>(bytes, MAX_BUNDLE)
                .ok()?
                .dhk
                .public,
        )
    };
    match (dhk(before), dhk(now)) {
        (Some(before), Some(now)) => before != now,
        _ => false,
    }
}

/// Why a bundle was refused. It counts as if none had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleError {
    /// Too long, or not in its exact form.
    Encoding(DecodeError),
    /// Of a version or device that this one does not know.
    Unsupported,
    /// The identity in it is not valid.
    Identity(IdentityError),
    /// It belongs to somebody else.
    WrongOwner,
    /// Its owner has withdrawn the identity for good (D2.8): nobody starts a session with it.
    Tombstoned,
    /// The signature of the key with this label does not hold.
    Signature(SignatureLabel),
    /// The key with this label is of small order, or not a key.
    Key(SignatureLabel),
    /// The key with this label has expired, or expires before it was made.
    Expired(SignatureLabel),
}

impl std::fmt::Display for BundleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Encoding(e) => write!(f, "the prekey bundle is {e}"),
            Self::Unsupported => f.write_str("the prekey bundle is of an unknown version"),
            Self::Identity(e) => write!(f, "the prekey bundle is refused: {e}"),
            Self::Tombstoned => f.write_str("the contact has withdrawn its identity"),
            Self::WrongOwner => f.write_str("the prekey bundle belongs to another contact"),
            Self::Signature(l) => write!(f, "the bundle's {} signature does not hold", l.as_str()),
            Self::Key(l) => write!(f, "the bundle's {} key is not a valid key", l.as_str()),
            Self::Expired(l) => write!(f, "the bundle's {} key has expired", l.as_str()),
        }
    }
}

impl std::error::Error for BundleError {}

/// A verified X25519 and ML-KEM-768 pair of a peer.
#[derive(Clone)]
pub(in crate::session) struct PublicPair {
    pub(in crate::session) id: PrekeyId,
    pub(in crate::session) x: PrekeyPublicKey,
    pub(in crate::session) kem: KemPublicKey,
}

/// An envelope key that its owner has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicEnvelopeKey {
    owner: ContactId,
    wire: UnverifiedEnvelopeKey,
}

impl UnverifiedEnvelopeKey {
    /// Checks that `owner` has signed this key and that it is one. Whether it has expired is the
    /// caller's to judge ([`PublicEnvelopeKey::expires`]).
    ///
    /// # Errors
    /// [`BundleError`] names the first check that failed.
    pub fn verify(self, owner: &ContactId) -> Result<PublicEnvelopeKey, BundleError> {
        const LABEL: SignatureLabel = SignatureLabel::EnvKey;
        let payload = payload::env_key(owner, self.id, &self.public, self.created, self.expires);
        owner
            .verify(LABEL, &payload, &self.signature)
            .map_err(|_| BundleError::Signature(LABEL))?;
        if is_low_order(self.public.as_bytes()) {
            return Err(BundleError::Key(LABEL));
        }
        if self.expires < self.created {
            return Err(BundleError::Expired(LABEL));
        }
        Ok(PublicEnvelopeKey {
            owner: *owner,
            wire: self,
        })
    }
}

impl PublicEnvelopeKey {
    /// Longest encoding in bytes.
    const MAX: usize = 160;

    pub(super) const fn own(owner: ContactId, wire: UnverifiedEnvelopeKey) -> Self {
        Self { owner, wire }
    }

    /// Decodes and verifies the SMP1 encoding `[id, pub, created, expires, sig]`.
    ///
    /// # Errors
    /// [`BundleError`] names the first check that failed.
    pub fn verify(bytes: &[u8], owner: &ContactId) -> Result<Self, BundleError> {
        decode_exact::<UnverifiedEnvelopeKey>(bytes, Self::MAX)
            .map_err(BundleError::Encoding)?
            .verify(owner)
    }

    /// The SMP1 encoding `[id, pub, created, expires, sig]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(&self.wire)
    }

    /// The key as it travels inside another structure.
    pub const fn as_wire(&self) -> &UnverifiedEnvelopeKey {
        &self.wire
    }

    /// Whose key it is.
    pub const fn owner(&self) -> &ContactId {
        &self.owner
    }

    /// `env_key_id` of envelopes sealed to it.
    pub const fn id(&self) -> PrekeyId {
        self.wire.id
    }

    /// When it was made.
    pub const fn created(&self) -> UnixMillis {
        self.wire.created
    }

    /// From when on nothing should be sealed to it.
    pub const fn expires(&self) -> UnixMillis {
        self.wire.expires
    }

    pub(in crate::session) const fn public(&self) -> SealingPublicKey {
        self.wire.public
    }
}

/// A bundle whose every part was verified. It is good for one session: its one-time prekey is.
#[derive(Clone)]
pub struct PrekeyBundle {
    identity: Identity,
    pub(in crate::session) dhk: DhPublicKey,
    pub(in crate::session) spk: PublicPair,
    pub(in crate::session) otp: Option<PublicPair>,
    env: PublicEnvelopeKey,
    spk_created: UnixMillis,
}

impl PrekeyBundle {
    /// Verifies an encoded bundle of `expected`: form, owner, every signature, every key, every
    /// expiry (clocks may differ by [`CLOCK_SKEW`]). The version rule of the identity in it (D2.5)
    /// is the caller's.
    ///
    /// # Errors
    /// [`BundleError`] names the first check that failed.
    pub fn verify(
        bytes: &[u8],
        expected: &ContactId,
        now: UnixMillis,
    ) -> Result<Self, BundleError> {
        let wire: BundleWire = decode_exact(bytes, MAX_BUNDLE).map_err(BundleError::Encoding)?;
        if wire.version != VERSION || wire.device_id != DEVICE_ID {
            return Err(BundleError::Unsupported);
        }
        let identity = Identity::verify(&wire.identity).map_err(BundleError::Identity)?;
        if identity.id() != *expected {
            return Err(BundleError::WrongOwner);
        }
        if identity.is_tombstone() {
            return Err(BundleError::Tombstoned);
        }
        wire.dhk.verify(expected)?;
        let spk_created = wire.spk.created;
        let spk = wire.spk.verify(expected, SignatureLabel::Spk, now)?;
        let env = wire.env.verify(expected)?;
        if is_past(env.expires(), now) {
            return Err(BundleError::Expired(SignatureLabel::EnvKey));
        }
        let otp = wire
            .otp
            .map(|otp| otp.verify(expected, SignatureLabel::Otp, now))
            .transpose()?;
        Ok(Self {
            identity,
            dhk: wire.dhk.public,
            spk,
            otp,
            env,
            spk_created,
        })
    }

    /// The owner's identity, as it came with the bundle.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The owner's envelope key.
    pub const fn envelope_key(&self) -> &PublicEnvelopeKey {
        &self.env
    }

    /// Whether a one-time prekey came with it. Without one, the first messages have forward
    /// secrecy only when the signed prekey is deleted.
    pub const fn has_one_time_prekey(&self) -> bool {
        self.otp.is_some()
    }

    /// Whether the signed prekey is older than 14 days: whoever served it may be holding back
    /// newer ones. A warning.
    pub fn is_stale(&self, now: UnixMillis) -> bool {
        now.since(self.spk_created) > SIGNED_PREKEY_EXPIRY
    }

    pub(in crate::session) const fn spk_created(&self) -> UnixMillis {
        self.spk_created
    }
}

impl std::fmt::Debug for PrekeyBundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrekeyBundle({:?})", self.identity)
    }
}

fn is_past(expires: UnixMillis, now: UnixMillis) -> bool {
    expires.plus(CLOCK_SKEW) <= now
}

impl SignedDh {
    /// Checks that `owner` has signed this key for agreements, and that it is one. Version 1 gives
    /// it no expiry.
    pub(in crate::session) fn verify(&self, owner: &ContactId) -> Result<(), BundleError> {
        const LABEL: SignatureLabel = SignatureLabel::DhKey;
        if self.expires != UnixMillis::ZERO {
            return Err(BundleError::Expired(LABEL));
        }
        let payload = payload::dh_key(owner, &self.public, self.created);
        owner
            .verify(LABEL, &payload, &self.signature)
            .map_err(|_| BundleError::Signature(LABEL))?;
        if is_low_order(self.public.as_bytes()) {
            return Err(BundleError::Key(LABEL));
        }
        Ok(())
    }
}

impl SignedPair {
    fn verify(
        self,
        owner: &ContactId,
        label: SignatureLabel,
        now: UnixMillis,
    ) -> Result<PublicPair, BundleError> {
        let payload = payload::pair(
            owner,
            self.id,
            &self.x,
            &self.kem,
            self.created,
            self.expires,
        );
        owner
            .verify(label, &payload, &self.signature)
            .map_err(|_| BundleError::Signature(label))?;
        if is_low_order(self.x.as_bytes()) || !MlKem768::is_valid(&self.kem) {
            return Err(BundleError::Key(label));
        }
        if self.expires < self.created || is_past(self.expires, now) {
            return Err(BundleError::Expired(label));
        }
        Ok(PublicPair {
            id: self.id,
            x: self.x,
            kem: self.kem,
        })
    }
}
