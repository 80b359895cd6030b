//! Prekeys as they travel: signed, not yet verified.

use serde::{Deserialize, Serialize};

use super::PrekeyId;
use crate::{
    session::{
        kem::KemPublicKey,
        key::{DhPublicKey, PrekeyPublicKey, SealingPublicKey},
    },
    signature::Signature,
    time::UnixMillis,
};

/// `[pub, created, expires, sig]` of DHK.
#[derive(Serialize, Deserialize)]
pub(in crate::session) struct SignedDh {
    pub(in crate::session) public: DhPublicKey,
    pub(in crate::session) created: UnixMillis,
    pub(in crate::session) expires: UnixMillis,
    pub(in crate::session) signature: Signature,
}

/// `[id, x, kem, created, expires, sig]` of SPK and OTP.
#[derive(Serialize, Deserialize)]
pub(super) struct SignedPair {
    pub(super) id: PrekeyId,
    pub(super) x: PrekeyPublicKey,
    pub(super) kem: KemPublicKey,
    pub(super) created: UnixMillis,
    pub(super) expires: UnixMillis,
    pub(super) signature: Signature,
}

/// An envelope key as it travels, SMP1 `[id, pub, created, expires, sig]`: a claim until
/// [`verify`](Self::verify) has tied it to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnverifiedEnvelopeKey {
    pub(super) id: PrekeyId,
    pub(super) public: SealingPublicKey,
    pub(super) created: UnixMillis,
    pub(super) expires: UnixMillis,
    pub(super) signature: Signature,
}

/// What is signed: SMP1 `[identity_key, device_id, key_id, public keys…, created, expires]`. The
/// owner is part of it, so that nobody can re-sign another's key as his own (unknown key share).
pub(in crate::session) mod payload {
    use super::{DhPublicKey, KemPublicKey, PrekeyId, PrekeyPublicKey, SealingPublicKey};
    use crate::{constants::DEVICE_ID, id::ContactId, time::UnixMillis, wire::codec::encode};

    pub(in crate::session) fn dh_key(
        owner: &ContactId,
        dhk: &DhPublicKey,
        created: UnixMillis,
    ) -> Vec<u8> {
        encode(&(owner, DEVICE_ID, 0u32, dhk, created, UnixMillis::ZERO))
    }

    pub(in crate::session::prekey) fn pair(
        owner: &ContactId,
        id: PrekeyId,
        x: &PrekeyPublicKey,
        kem: &KemPublicKey,
        created: UnixMillis,
        expires: UnixMillis,
    ) -> Vec<u8> {
        encode(&(owner, DEVICE_ID, id, x, kem, created, expires))
    }

    pub(in crate::session::prekey) fn env_key(
        owner: &ContactId,
        id: PrekeyId,
        public: &SealingPublicKey,
        created: UnixMillis,
        expires: UnixMillis,
    ) -> Vec<u8> {
        encode(&(owner, DEVICE_ID, id, public, created, expires))
    }
}
