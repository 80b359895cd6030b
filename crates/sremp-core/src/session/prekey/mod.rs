//! Prekeys: keys that let a session start while their owner is away (D3.2, D3.3).

mod bundle;
mod own;
pub(super) mod wire;

use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

pub(super) use bundle::PublicPair;
pub use bundle::{
    BundleError, PrekeyBundle, PublicEnvelopeKey, bundle, is_of_another_state, verify_one_time,
    with_one_time_prekey,
};
pub use own::{
    DhIdentity, EnvelopeKey, OneTime, OneTimePrekey, Prekey, PrekeyKind, Signed, SignedPrekey,
};
pub use wire::UnverifiedEnvelopeKey;

/// The id of a prekey or envelope key: random, never reused while the private key lives, never
/// `u32::MAX`, which stands for "none" in DR_INIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PrekeyId(u32);

impl PrekeyId {
    pub(super) const NONE: u32 = u32::MAX;

    /// The id, `None` for `u32::MAX`.
    pub const fn new(id: u32) -> Option<Self> {
        if id == Self::NONE {
            None
        } else {
            Some(Self(id))
        }
    }

    /// A random id for which `taken` says no.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R, taken: impl Fn(Self) -> bool) -> Self {
        loop {
            if let Some(id) = Self::new(rng.next_u32()).filter(|id| !taken(*id)) {
                return id;
            }
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<'de> Deserialize<'de> for PrekeyId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(u32::deserialize(d)?).ok_or_else(|| D::Error::custom("no prekey id"))
    }
}

/// One's own private prekeys, as a first message asks for them.
pub trait PrekeyLookup {
    /// DHK.
    fn dh_identity(&self) -> &DhIdentity;
    /// The signed prekey of this id, if its private part still lives.
    fn signed_prekey(&self, id: PrekeyId) -> Option<&SignedPrekey>;
    /// The one-time prekey of this id, if it was not used.
    fn one_time_prekey(&self, id: PrekeyId) -> Option<&OneTimePrekey>;
}
