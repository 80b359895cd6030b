//! What is signed around a relay, and nothing else is (D6.2, D6.3, D6.5, D6.7).
//!
//! | label | by | over |
//! |---|---|---|
//! | `relay-auth` | whoever registers | relay key ‖ h ‖ identity ‖ role u8 |
//! | `relay-store` | sender | relay key ‖ recipient ‖ message_id u64 ‖ H(blob) ‖ ttl u32 |
//! | `store-receipt` | relay | the root of a tree over one commit's receipts |
//! | `confirmation` | recipient | message_id u64 ‖ sender ‖ delivered_to ‖ timestamp u64 ‖ H(blob) |

mod batch;
mod receipt;

use serde::{Deserialize, Serialize};

pub use batch::{Claimed, StoreClaim, check_claims};
pub use receipt::{Receipt, ReceiptClaim, ReceiptTree};

use super::{MessageId, Role};
use crate::{
    channel::HandshakeHash,
    id::{ContactId, EnvelopeId, IdentityKey},
    identity::SecretIdentity,
    signature::{BadSignature, Signature, SignatureLabel},
    time::UnixMillis,
};

fn auth_payload(relay: &ContactId, h: &HandshakeHash, identity: &ContactId, role: Role) -> Vec<u8> {
    [
        relay.as_bytes().as_slice(),
        h.as_bytes(),
        identity.as_bytes(),
        &[role.to_u8()],
    ]
    .concat()
}

/// `auth_signature`: good for one connection, one relay and one role.
pub fn sign_auth(
    own: &SecretIdentity,
    relay: &ContactId,
    h: &HandshakeHash,
    role: Role,
) -> Signature {
    let payload = auth_payload(relay, h, &own.id(), role);
    own.sign(SignatureLabel::RelayAuth, &payload)
}

/// Checks `auth_signature` of whoever registers on the connection with this handshake hash.
///
/// # Errors
/// [`BadSignature`].
pub fn verify_auth(
    relay: &ContactId,
    h: &HandshakeHash,
    identity: &ContactId,
    role: Role,
    signature: &Signature,
) -> Result<(), BadSignature> {
    let payload = auth_payload(relay, h, identity, role);
    identity.verify(SignatureLabel::RelayAuth, &payload, signature)
}

/// A recipient's word that it has committed a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The sender's id of the envelope.
    pub message_id: MessageId,
    /// Who stored it.
    pub sender: IdentityKey,
    /// Who confirms.
    pub delivered_to: IdentityKey,
    /// When it was committed.
    pub timestamp: UnixMillis,
    /// `H(encrypted_blob)`.
    pub blob_hash: EnvelopeId,
    /// By `delivered_to`.
    pub signature: Signature,
}

impl Confirmation {
    /// Confirms a message of `sender` that is committed here.
    pub fn sign(
        own: &SecretIdentity,
        sender: IdentityKey,
        message_id: MessageId,
        blob_hash: EnvelopeId,
        timestamp: UnixMillis,
    ) -> Self {
        let delivered_to = own.id().into();
        let payload =
            confirmation_payload(message_id, &sender, &delivered_to, timestamp, &blob_hash);
        Self {
            message_id,
            sender,
            delivered_to,
            timestamp,
            blob_hash,
            signature: own.sign(SignatureLabel::Confirmation, &payload),
        }
    }

    fn payload(&self) -> Vec<u8> {
        confirmation_payload(
            self.message_id,
            &self.sender,
            &self.delivered_to,
            self.timestamp,
            &self.blob_hash,
        )
    }

    /// Checks that `recipient` confirms this.
    ///
    /// # Errors
    /// [`BadSignature`], also if it says to be of somebody else.
    pub fn verify(&self, recipient: &ContactId) -> Result<(), BadSignature> {
        if self.delivered_to != IdentityKey::from(*recipient) {
            return Err(BadSignature);
        }
        let payload = self.payload();
        recipient.verify(SignatureLabel::Confirmation, &payload, &self.signature)
    }

    /// Checks the signature of whoever it says to be of.
    ///
    /// # Errors
    /// [`BadSignature`], also if that is no key.
    pub fn verify_any(&self) -> Result<(), BadSignature> {
        let recipient = ContactId::parse(self.delivered_to.as_bytes());
        self.verify(&recipient.map_err(|_| BadSignature)?)
    }
}

fn confirmation_payload(
    message_id: MessageId,
    sender: &IdentityKey,
    delivered_to: &IdentityKey,
    timestamp: UnixMillis,
    blob_hash: &EnvelopeId,
) -> Vec<u8> {
    [
        message_id.get().to_le_bytes().as_slice(),
        sender.as_bytes(),
        delivered_to.as_bytes(),
        &timestamp.get().to_le_bytes(),
        blob_hash.as_bytes(),
    ]
    .concat()
}
