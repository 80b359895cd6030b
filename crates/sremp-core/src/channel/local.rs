//! What a channel knows of its own side.

use crate::{
    id::ContactId,
    identity::{Identity, SecretIdentity},
    key::NoiseSecret,
};

/// One's own identity document and noise key: all that a channel needs. The identity key's private
/// part is not in it.
pub struct LocalIdentity {
    identity: Identity,
    noise_key: NoiseSecret,
}

impl LocalIdentity {
    /// The channel's part of one's own identity.
    pub fn new(secret: &SecretIdentity) -> Self {
        Self {
            identity: secret.identity().clone(),
            noise_key: NoiseSecret::from_bytes(secret.noise_key().expose()),
        }
    }

    /// The public document.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// `identity_key`.
    pub const fn id(&self) -> ContactId {
        self.identity.id()
    }

    pub(super) const fn noise_key(&self) -> &NoiseSecret {
        &self.noise_key
    }
}

impl std::fmt::Debug for LocalIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalIdentity({:?})", self.identity)
    }
}

/// `service` of HELLO: what the connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Service {
    /// Two people.
    P2p = 1,
    /// A client and its relay, both with an identity.
    Relay = 2,
}
