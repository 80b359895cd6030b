//! One's own prekeys, with their private parts.

use std::{marker::PhantomData, sync::OnceLock};

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{
    PrekeyId, PublicEnvelopeKey,
    wire::{SignedPair, UnverifiedEnvelopeKey, payload},
};
use crate::{
    constants::{
        ENVELOPE_KEY_EXPIRY, ONE_TIME_PREKEY_EXPIRY, SIGNED_PREKEY_DELETION, SIGNED_PREKEY_EXPIRY,
    },
    id::ContactId,
    identity::SecretIdentity,
    session::{
        kem::{Kem as _, KemPublicKey, KemSecret, MlKem768},
        key::{DhPublicKey, DhSecret, PrekeySecret, SealingSecret},
        layout::{BadState, Reader, Writer},
    },
    signature::{Signature, SignatureLabel},
    time::UnixMillis,
};

const FORMAT: u8 = 1;

/// DHK: the X25519 key that stands for an identity in key agreements, signed by it. Lives until a
/// restore or a compromise; never in a backup.
pub struct DhIdentity {
    pub(in crate::session) key: DhSecret,
    pub(in crate::session) created: UnixMillis,
    pub(in crate::session) signature: Signature,
}

impl DhIdentity {
    const LEN: usize = 1 + 32 + 8 + 64;

    /// A new key, signed by `identity`.
    pub fn generate<R: CryptoRng + ?Sized>(
        identity: &SecretIdentity,
        now: UnixMillis,
        rng: &mut R,
    ) -> Self {
        let key = DhSecret::generate(rng);
        let payload = payload::dh_key(&identity.id(), &key.public(), now);
        let signature = identity.sign(SignatureLabel::DhKey, &payload);
        Self {
            key,
            created: now,
            signature,
        }
    }

    /// The public key.
    pub const fn public(&self) -> DhPublicKey {
        self.key.public()
    }

    /// What has to be stored, in a place that is encrypted and in no backup.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::new(FORMAT, Self::LEN);
        w.bytes(self.key.expose());
        w.time(self.created);
        w.bytes(self.signature.as_bytes());
        w.finish()
    }

    /// The key from what was stored.
    ///
    /// # Errors
    /// [`BadState`] if these are not bytes of [`Self::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let mut r = Reader::new(FORMAT, bytes)?;
        let key = DhSecret::from_bytes(r.array()?);
        let created = r.time()?;
        let signature = Signature::new(*r.array()?);
        r.end()?;
        Ok(Self {
            key,
            created,
            signature,
        })
    }
}

/// The two kinds of [`Prekey`]: [`Signed`] and [`OneTime`].
pub trait PrekeyKind: sealed::Sealed {}

mod sealed {
    use std::time::Duration;

    use crate::signature::SignatureLabel;

    pub trait Sealed {
        const LABEL: SignatureLabel;
        const EXPIRY: Duration;
    }
}

/// Kind of a signed prekey (SPK): used by every agreement while it is the newest.
pub struct Signed(());
/// Kind of a one-time prekey (OTP): used by one agreement.
pub struct OneTime(());

impl sealed::Sealed for Signed {
    const LABEL: SignatureLabel = SignatureLabel::Spk;
    const EXPIRY: std::time::Duration = SIGNED_PREKEY_EXPIRY;
}
impl sealed::Sealed for OneTime {
    const LABEL: SignatureLabel = SignatureLabel::Otp;
    const EXPIRY: std::time::Duration = ONE_TIME_PREKEY_EXPIRY;
}
impl PrekeyKind for Signed {}
impl PrekeyKind for OneTime {}

/// SPK: rotated after 7 days, expired after 14, deleted after 35.
pub type SignedPrekey = Prekey<Signed>;
/// OTP: deleted in the transaction that stores the session it made, or unused after 60 days.
pub type OneTimePrekey = Prekey<OneTime>;

/// A pair of an X25519 and an ML-KEM-768 key under one id and one signature.
pub struct Prekey<K: PrekeyKind> {
    pub(in crate::session) id: PrekeyId,
    pub(in crate::session) x: PrekeySecret,
    pub(in crate::session) kem: KemSecret,
    /// Derived from `kem` when it is first asked for: that costs a whole key generation.
    kem_public: OnceLock<KemPublicKey>,
    created: UnixMillis,
    expires: UnixMillis,
    signature: Signature,
    kind: PhantomData<K>,
}

impl<K: PrekeyKind> Prekey<K> {
    const LEN: usize = 1 + 4 + 32 + 64 + 8 + 8 + 64;

    /// A new key pair under `id`, signed by `identity`. No key that lives may have the same id.
    pub fn generate<R: CryptoRng + ?Sized>(
        identity: &SecretIdentity,
        id: PrekeyId,
        now: UnixMillis,
        rng: &mut R,
    ) -> Self {
        let x = PrekeySecret::generate(rng);
        let kem = KemSecret::generate(rng);
        let expires = now.plus(K::EXPIRY);
        let public = MlKem768::public_key(&kem);
        let payload = payload::pair(&identity.id(), id, &x.public(), &public, now, expires);
        let signature = identity.sign(K::LABEL, &payload);
        Self {
            id,
            x,
            kem,
            kem_public: OnceLock::from(public),
            created: now,
            expires,
            signature,
            kind: PhantomData,
        }
    }

    /// The id under which peers name it.
    pub const fn id(&self) -> PrekeyId {
        self.id
    }

    /// When it was made.
    pub const fn created(&self) -> UnixMillis {
        self.created
    }

    /// The signed public part, as the relay gets it in PREKEYS_PUT: the SMP1 encoding of
    /// `[id, x, kem, created, expires, sig]`.
    pub fn public_bytes(&self) -> Vec<u8> {
        crate::wire::codec::encode(&self.public())
    }

    pub(super) fn public(&self) -> SignedPair {
        let kem = self
            .kem_public
            .get_or_init(|| MlKem768::public_key(&self.kem));
        SignedPair {
            id: self.id,
            x: self.x.public(),
            kem: *kem,
            created: self.created,
            expires: self.expires,
            signature: self.signature,
        }
    }

    /// What has to be stored, in a place that is encrypted and in no backup.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::new(FORMAT, Self::LEN);
        w.u32(self.id.get());
        w.bytes(self.x.expose());
        w.bytes(self.kem.seed());
        w.time(self.created);
        w.time(self.expires);
        w.bytes(self.signature.as_bytes());
        w.finish()
    }

    /// The key pair from what was stored.
    ///
    /// # Errors
    /// [`BadState`] if these are not bytes of [`Self::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let mut r = Reader::new(FORMAT, bytes)?;
        let id = PrekeyId::new(r.u32()?).ok_or(BadState)?;
        let x = PrekeySecret::from_bytes(r.array()?);
        let kem = KemSecret::from_seed(r.array()?);
        let (created, expires) = (r.time()?, r.time()?);
        let signature = Signature::new(*r.array()?);
        r.end()?;
        Ok(Self {
            id,
            x,
            kem,
            kem_public: OnceLock::new(),
            created,
            expires,
            signature,
            kind: PhantomData,
        })
    }
}

impl SignedPrekey {
    /// When its private part is to be deleted (35 days after it was made).
    pub fn delete_at(&self) -> UnixMillis {
        self.created.plus(SIGNED_PREKEY_DELETION)
    }
}

/// ENV: the key pair that envelopes are sealed to and opened with.
pub struct EnvelopeKey {
    pub(in crate::session) key: SealingSecret,
    public: PublicEnvelopeKey,
}

impl EnvelopeKey {
    const LEN: usize = 1 + 4 + 32 + 32 + 8 + 8 + 64;

    /// A new key under `id`, signed by `identity`. No key that lives may have the same id.
    pub fn generate<R: CryptoRng + ?Sized>(
        identity: &SecretIdentity,
        id: PrekeyId,
        now: UnixMillis,
        rng: &mut R,
    ) -> Self {
        let key = SealingSecret::generate(rng);
        let expires = now.plus(ENVELOPE_KEY_EXPIRY);
        let payload = payload::env_key(&identity.id(), id, &key.public(), now, expires);
        let wire = UnverifiedEnvelopeKey {
            id,
            public: key.public(),
            created: now,
            expires,
            signature: identity.sign(SignatureLabel::EnvKey, &payload),
        };
        let public = PublicEnvelopeKey::own(identity.id(), wire);
        Self { key, public }
    }

    /// The public part, as peers get it.
    pub const fn public_part(&self) -> &PublicEnvelopeKey {
        &self.public
    }

    /// The id under which envelopes name it.
    pub const fn id(&self) -> PrekeyId {
        self.public.id()
    }

    /// When it was made.
    pub const fn created(&self) -> UnixMillis {
        self.public.created()
    }

    /// What has to be stored, in a place that is encrypted and in no backup.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let wire = self.public.as_wire();
        let mut w = Writer::new(FORMAT, Self::LEN);
        w.bytes(self.public.owner().as_bytes());
        w.u32(wire.id.get());
        w.bytes(self.key.expose());
        w.time(wire.created);
        w.time(wire.expires);
        w.bytes(wire.signature.as_bytes());
        w.finish()
    }

    /// The key pair from what was stored.
    ///
    /// # Errors
    /// [`BadState`] if these are not bytes of [`Self::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let mut r = Reader::new(FORMAT, bytes)?;
        let owner = ContactId::parse(r.array()?).map_err(|_| BadState)?;
        let id = PrekeyId::new(r.u32()?).ok_or(BadState)?;
        let key = SealingSecret::from_bytes(r.array()?);
        let wire = UnverifiedEnvelopeKey {
            id,
            public: key.public(),
            created: r.time()?,
            expires: r.time()?,
            signature: Signature::new(*r.array()?),
        };
        r.end()?;
        let public = PublicEnvelopeKey::own(owner, wire);
        Ok(Self { key, public })
    }
}

impl std::fmt::Debug for DhIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DhIdentity({:?})", self.public())
    }
}

impl<K: PrekeyKind> std::fmt::Debug for Prekey<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prekey({:?}, {})", K::LABEL, self.id.get())
    }
}

impl std::fmt::Debug for EnvelopeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EnvelopeKey({})", self.id().get())
    }
}
