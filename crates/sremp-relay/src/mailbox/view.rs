//! What is read from a store.

use std::time::Duration;

use sremp_core::{contact_card::RelayHint, id::IdentityKey, time::UnixMillis};

use super::{Confirmation, Cursor, MessageId};

/// A message in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its place in the mailbox.
    pub cursor: Cursor,
    /// The sender's name for it.
    pub message_id: MessageId,
    /// Who stored it.
    pub sender: IdentityKey,
    /// When.
    pub stored_at: UnixMillis,
    /// The envelope.
    pub blob: Vec<u8>,
}

/// Items in the order of their cursors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The items.
    pub items: Vec<Item>,
    /// Whether there are more behind them.
    pub more: bool,
    /// Pass it as `after` to go on: the last cursor looked at.
    pub next: Cursor,
}

/// What a mailbox holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailboxInfo {
    /// Items.
    pub items: u32,
    /// Bytes of their envelopes.
    pub bytes: u64,
    /// The cursor last given away; before the first, the one before it. Nothing lies beyond.
    pub head: Cursor,
}

/// Prekeys of a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrekeyCounts {
    /// Whether there is a bundle.
    pub bundle: bool,
    /// One-time prekeys.
    pub one_time: u32,
}

/// A confirmation's name in this store; increasing until the store is opened again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfirmationId(u64);

impl ConfirmationId {
    /// Before every confirmation.
    pub const START: Self = Self(0);

    /// The id of this number.
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Whom a confirmation waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The sender, at this relay.
    Sender(IdentityKey),
    /// Another relay, where the sender's mailbox is; it waits for the sender here as well, should
    /// the sender come first. The same relay under another address is
    /// another route: a false address must not hold up what goes to the true one.
    Relay(Box<RelayHint>),
}

/// A confirmation that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingConfirmation {
    /// Its name here.
    pub id: ConfirmationId,
    /// What to hand over.
    pub confirmation: Confirmation,
    /// Until when it waits.
    pub expires: UnixMillis,
}

/// A store at a glance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Mailboxes.
    pub mailboxes: u64,
    /// Items that wait for their owners.
    pub items: u64,
    /// Bytes of their envelopes.
    pub bytes: u64,
    /// Confirmations that wait.
    pub confirmations: u64,
    /// When the oldest waiting item was stored.
    pub oldest: Option<UnixMillis>,
    /// Bytes on the disk.
    pub disk: u64,
    /// How long the last commit took, the disk's part included.
    pub last_commit: Duration,
}
