//! The names by which things in mailboxes go: those of the protocol.

use sremp_core::time::UnixMillis;

pub use sremp_core::relay::{Confirmation, Cursor, MessageId};

/// Where an item that is stored now stands in a mailbox whose cursors below `next` are used: from the
/// clock, in microseconds. A store that was put back from a copy does not know which cursors it gave
/// after the copy was made, and a reader passes over what comes below the last one it has seen.
pub(super) fn cursor_at(next: u64, now: UnixMillis) -> u64 {
    next.max(now.get() * 1_000)
}

/// `blob_hash`: SHA-256 of an `encrypted_blob`, which is an envelope.
pub type BlobHash = sremp_core::id::EnvelopeId;
