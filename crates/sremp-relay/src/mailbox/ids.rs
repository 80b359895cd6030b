//! The names by which things in mailboxes go: those of the protocol.

pub use sremp_core::relay::{Confirmation, Cursor, MessageId};

/// `blob_hash`: SHA-256 of an `encrypted_blob`, which is an envelope.
pub type BlobHash = sremp_core::id::EnvelopeId;
