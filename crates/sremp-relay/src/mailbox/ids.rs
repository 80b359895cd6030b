//! The names by which things in mailboxes go.

use sremp_core::{
    id::{ContactId, EnvelopeId},
    signature::Signature,
    time::UnixMillis,
};

/// `message_id`: a sender's random name for an envelope at a relay, a `u64` (D6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u64);

/// `cursor`: the place of an item in its mailbox, a `u64`; strictly increasing, never used twice.
/// 0 lies before every item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(u64);

/// `blob_hash`: SHA-256 of an `encrypted_blob`, which is an envelope.
pub type BlobHash = EnvelopeId;

impl MessageId {
    /// The id of this number.
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl Cursor {
    /// Before every item.
    pub const START: Self = Self(0);

    /// The cursor of this number.
    pub const fn new(cursor: u64) -> Self {
        Self(cursor)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// DELIVERY_CONFIRMATION: what a recipient signs once a message is theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// Which message.
    pub message_id: MessageId,
    /// Who sent it.
    pub sender: ContactId,
    /// Who has it, and signs.
    pub delivered_to: ContactId,
    /// When, by the recipient's clock.
    pub timestamp: UnixMillis,
    /// Of what was delivered.
    pub blob_hash: BlobHash,
    /// Under the label `confirmation`.
    pub signature: Signature,
}
