//! What a store is asked to do, and what it answers.

use std::sync::Arc;

use sremp_core::{
    contact_card::RelayHint,
    error::ErrorCode,
    id::{IdentityKey, IntroToken},
    time::UnixMillis,
};

use super::{BlobHash, Confirmation, ConfirmationId, Cursor, MessageId, PrekeyCounts, Route};

/// One change of a batch.
#[derive(Clone, Debug)]
pub enum Op {
    /// Makes a mailbox, or notes that its owner was here. [`Outcome::Opened`], or FULL.
    OpenMailbox {
        /// Whose.
        owner: IdentityKey,
    },
    /// Notes that the owner was here. [`Outcome::Done`], also without a mailbox.
    Touch {
        /// Whose mailbox.
        owner: IdentityKey,
    },
    /// Keeps a message. [`Outcome::Stored`], or DENIED, QUOTA, CONFLICT, STORAGE.
    Store(Box<StoreOp>),
    /// Deletes what the owner has, and keeps each confirmation for whoever waits for it.
    /// [`Outcome::Confirmed`], or DENIED without a mailbox.
    Confirm {
        /// Whose mailbox.
        owner: IdentityKey,
        /// Signatures checked, `delivered_to` the owner.
        confirmations: Vec<Confirmation>,
    },
    /// Deletes unconfirmed. [`Outcome::Discarded`], or DENIED without a mailbox.
    Discard {
        /// Whose mailbox.
        owner: IdentityKey,
        /// Which items; unknown ones are passed over.
        cursors: Vec<Cursor>,
    },
    /// Replaces the bundle if there is one, and adds one-time prekeys to those of the same state of
    /// their owner. [`Outcome::Prekeys`], or
    /// DENIED without a mailbox, or QUOTA beyond [`MAX_ONE_TIME_PREKEYS`](super::MAX_ONE_TIME_PREKEYS).
    PutPrekeys {
        /// Whose.
        owner: IdentityKey,
        /// As it will be given out, without a one-time prekey.
        bundle: Option<Vec<u8>>,
        /// Each as it will be given out.
        one_time: Vec<Vec<u8>>,
    },
    /// Takes a bundle, with a one-time prekey where that is due. [`Outcome::Bundle`], or NO_PREKEY.
    TakePrekey {
        /// Who asks.
        asker: IdentityKey,
        /// Whose prekeys.
        recipient: IdentityKey,
        /// What lets a stranger have a one-time prekey.
        intro: Option<IntroToken>,
    },
    /// Says who may write. The latest word on a key holds, and blocking beats accepting in the same
    /// op. [`Outcome::Done`], or DENIED without a mailbox, or QUOTA beyond
    /// [`MAX_RULES`](super::MAX_RULES) keys or [`MAX_INTROS`](super::MAX_INTROS) tokens.
    SetSenders {
        /// Whose mailbox.
        owner: IdentityKey,
        /// May write up to the sender's quota.
        accept: Vec<IdentityKey>,
        /// May not write.
        block: Vec<IdentityKey>,
        /// Replaces all tokens, if given.
        intro: Option<Vec<IntroRule>>,
    },
    /// Keeps a confirmation that another relay brought. [`Outcome::Queued`], or DENIED unless its
    /// `sender` has a mailbox here, or QUOTA beyond [`MAX_WAITING`](super::MAX_WAITING).
    AddConfirmation {
        /// Signature checked.
        confirmation: Box<Confirmation>,
        /// Until when it waits.
        expires: UnixMillis,
    },
    /// Forgets confirmations that arrived. Unknown ones are passed over. [`Outcome::Done`].
    ConfirmationsTaken {
        /// For whom they waited.
        route: Route,
        /// Which.
        ids: Vec<ConfirmationId>,
    },
    /// Another relay does not take these: they wait for their senders alone, and one whose sender has
    /// [`MAX_WAITING`](super::MAX_WAITING) already is dropped. Unknown ones are passed over.
    /// [`Outcome::Dropped`].
    ConfirmationsRefused {
        /// Which relay.
        relay: Box<RelayHint>,
        /// Which.
        ids: Vec<ConfirmationId>,
    },
    /// One step of removing what is over. [`Outcome::Purged`].
    Purge {
        /// What expired before this time goes. The service passes a time earlier than `now`, so
        /// that a clock that ran ahead for a while costs no message.
        before: UnixMillis,
        /// Mailboxes that their owner has not used since go, with all in them.
        unused_since: UnixMillis,
    },
}

/// STORE_MESSAGE, its signature checked and its size in the buckets.
#[derive(Clone, Debug)]
pub struct StoreOp {
    /// Who signed it.
    pub sender: IdentityKey,
    /// Whose mailbox.
    pub recipient: IdentityKey,
    /// The sender's name for it.
    pub message_id: MessageId,
    /// The envelope, at most 61440 bytes.
    pub blob: Arc<[u8]>,
    /// Its SHA-256.
    pub hash: BlobHash,
    /// How long to keep it, in seconds, already within what the relay grants.
    pub ttl: u32,
    /// Which other relay the confirmation goes to; `None` for this one.
    pub reply_relay: Option<RelayHint>,
    /// What lets a stranger beyond the request class.
    pub intro: Option<IntroToken>,
}

/// A token that the owner gave out, as its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntroRule {
    /// `H("SREMP/1/token" ‖ token)`, 32 bytes.
    pub hash: IntroHash,
    /// Whether the first stored message burns it.
    pub one_time: bool,
}

/// The answer to one [`Op`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The op was carried out, and there is nothing to say.
    Done,
    /// The mailbox is there.
    Opened {
        /// Whether it was made by this.
        new: bool,
        /// Its prekeys.
        prekeys: PrekeyCounts,
    },
    /// The message is stored, now or before.
    Stored(Stored),
    /// For each confirmation: where it waits now.
    Confirmed(Vec<Confirmed>),
    /// How many items went.
    Discarded(u32),
    /// What is there now.
    Prekeys(PrekeyCounts),
    /// A bundle.
    Bundle(TakenBundle),
    /// The confirmation waits.
    Queued(Waits),
    /// So many confirmations found no room.
    Dropped(u32),
    /// What went.
    Purged(Purged),
    /// Nothing was done.
    Refused(ErrorCode),
}

/// What the sender is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the mailbox.
    pub cursor: Cursor,
    /// When it was first stored.
    pub stored_at: UnixMillis,
    /// Until when it is kept.
    pub expires_at: UnixMillis,
    /// `false` if it came again; it may be gone by now.
    pub first: bool,
}

/// What became of one confirmation of a [`Op::Confirm`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// The item is deleted and the confirmation waits.
    Now(Waits),
    /// The item is deleted, but too many confirmations wait there already: this one is dropped.
    Dropped,
    /// The item was gone before; nothing is sent twice.
    Before,
    /// There is no such item, or it holds something else. It is kept.
    Refused,
}

/// A confirmation that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Its name here.
    pub id: ConfirmationId,
    /// For whom.
    pub route: Route,
}

/// What an asker gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenBundle {
    /// As the owner put it.
    pub bundle: Vec<u8>,
    /// As the owner put it; never given again.
    pub one_time: Option<Vec<u8>>,
    /// One-time prekeys left.
    pub left: u32,
}

/// What one step of [`Op::Purge`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Messages that nobody fetched.
    pub expired: u64,
    /// Traces of messages that were fetched.
    pub tombstones: u64,
    /// Mailboxes.
    pub mailboxes: u64,
    /// Confirmations that nobody fetched.
    pub confirmations: u64,
    /// Whether another step has something to look at.
    pub more: bool,
}

/// `H("SREMP/1/token" ‖ token)`: what the relay keeps of an intro token, 32 bytes. Compared in
/// constant time.
#[derive(Clone, Copy)]
pub struct IntroHash([u8; 32]);

impl IntroHash {
    /// Wraps a hash that an owner sent.
    pub const fn new(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The hash of a token that a stranger shows.
    pub fn of(token: &IntroToken) -> Self {
        use sha2::Digest as _;
        let hash = sha2::Sha256::new().chain_update(b"SREMP/1/token");
        Self(hash.chain_update(token.as_bytes()).finalize().into())
    }

    /// The hash, 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for IntroHash {
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq as _;
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for IntroHash {}

impl std::fmt::Debug for IntroHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IntroHash")
    }
}
