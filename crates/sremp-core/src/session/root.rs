//! The root key: `KDF_RK` (D3.4).

use zeroize::Zeroizing;

use super::{
    chain::ChainKey,
    kdf::{hkdf, split},
};

/// RK. Moves forward with every Diffie-Hellman step.
pub(super) struct RootKey(Zeroizing<[u8; 32]>);

impl RootKey {
    pub(super) const fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// `RK' ‖ CK = HKDF(salt RK, ikm DH, info "SREMP/1/rk", 64)`.
    pub(super) fn step(&self, dh: &[u8; 32]) -> (Self, ChainKey) {
        let okm = hkdf::<64>(&self.0, dh, &[b"SREMP/1/rk"]);
        let (root, chain) = split(&okm);
        (Self(root), ChainKey::new(chain))
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}
