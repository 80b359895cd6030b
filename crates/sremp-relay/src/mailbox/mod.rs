//! Mailboxes: what is kept, for whom, until when.
//!
//! A [`MailboxStore`] is one writer, which carries out batches, and any number of
//! [`MailboxReader`]s, which see what is committed. The embedded one is [`EmbeddedStore`];
//! [`MemoryStore`] keeps the same rules without a disk, for simulations and as the model that the
//! others are compared with. Every store passes the stories of `tests/mailbox_conformance.rs`.
//!
//! What holds in each of them (D6.3 to D6.7):
//! - an acknowledged batch survives power loss;
//! - `(sender, recipient, message_id)` is stored once, until the original expiry, also if the item
//!   is gone by then: the same blob gets the first answer again, another one CONFLICT;
//! - cursors of a mailbox only rise, and none is used twice, also after a purge, and also by a store
//!   that was put back from a copy unless the clock was put back with it;
//! - an item goes by confirmation, discard or expiry, and by nothing else;
//! - a one-time prekey is given once.

pub mod embedded;
mod error;
mod ids;
mod limits;
mod memory;
mod op;
mod view;

use std::path::Path;

use sremp_core::{contact_card::RelayHint, id::IdentityKey, time::UnixMillis};

pub use embedded::{EmbeddedReader, EmbeddedStore, StoreKey, backup, fsck, stats};
pub use error::StoreError;
pub use ids::{BlobHash, Confirmation, Cursor, MessageId};
pub use limits::{
    DiskGuard, Limits, MAX_INTROS, MAX_ONE_TIME_PREKEYS, MAX_RULES, MAX_WAITING, PREKEY_INTERVAL,
};
pub use memory::{MemoryReader, MemoryStore};
pub use op::{
    Confirmed, IntroHash, IntroRule, Op, Outcome, Purged, StoreOp, Stored, TakenBundle, Waits,
};
pub use view::{
    ConfirmationId, Item, MailboxInfo, Page, PrekeyCounts, Route, Stats, WaitingConfirmation,
};

/// The one writer of a store.
pub trait MailboxStore: Send + 'static {
    /// Its readers.
    type Reader: MailboxReader;

    /// Carries out a batch in order, as a whole, and answers each op. What it answered survives
    /// power loss when it returns. Readers see all of the batch or nothing.
    ///
    /// # Errors
    /// Nothing of the batch holds. Unless the error is [passing](StoreError::is_passing), every
    /// later call is [`StoreError::Stopped`].
    fn commit(&mut self, now: UnixMillis, batch: Vec<Op>) -> Result<Vec<Outcome>, StoreError>;

    /// A reader.
    fn reader(&self) -> Self::Reader;

    /// What is there.
    fn stats(&self) -> Stats;

    /// Does what would else be done during a commit: to be called when nothing waits. Nothing
    /// depends on it.
    ///
    /// # Errors
    /// As [`MailboxStore::commit`].
    fn rest(&mut self) -> Result<(), StoreError>;
}

/// Reads what is committed, beside the writer and without holding it up.
pub trait MailboxReader: Clone + Send + Sync + 'static {
    /// The items of a mailbox behind `after`: at most `max_items`, and at most `max_bytes` of
    /// envelopes unless the first alone is longer. Empty without a mailbox.
    ///
    /// # Errors
    /// [`StoreError`] if the disk fails.
    fn page(
        &self,
        owner: &IdentityKey,
        after: Cursor,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Page, StoreError>;

    /// What a mailbox holds; `None` if there is none. Without touching the disk.
    fn mailbox(&self, owner: &IdentityKey) -> Option<MailboxInfo>;

    /// The prekeys of a mailbox; none without a mailbox.
    ///
    /// # Errors
    /// [`StoreError`] if the disk fails.
    fn prekeys(&self, owner: &IdentityKey) -> Result<PrekeyCounts, StoreError>;

    /// At most `max` confirmations behind `after` that wait, in order.
    ///
    /// # Errors
    /// [`StoreError`] if the disk fails.
    fn waiting(
        &self,
        route: &Route,
        after: ConfirmationId,
        max: usize,
    ) -> Result<Vec<WaitingConfirmation>, StoreError>;

    /// The other relays for which confirmations wait.
    ///
    /// # Errors
    /// [`StoreError`] if the disk fails.
    fn relays(&self) -> Result<Vec<RelayHint>, StoreError>;

    /// Writes a copy of the whole store, as of one moment, to a file that must not be there yet.
    /// Durable when it returns. Commits go on meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] if the disk fails; a part of the copy may be left then.
    fn backup(&self, to: &Path) -> Result<(), StoreError>;
}
