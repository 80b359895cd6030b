//! Content: what one person says to another inside a session (D3.10, D3.19, D3.20).
//!
//! SMP1 `[type u8, msg_id bin16, seq u64, prev bin16, sent u64 ms, body]`; the body is an array
//! whose form the type tells. A type that is not known here still has a readable head, so that the
//! order of messages can be checked around it.

mod body;
mod wire;

pub use body::{Body, ContactRequest, ProfileUpdate, ResetReason, UnverifiedIdentity};
use sha2::{Digest as _, Sha256};

use crate::{
    constants::MAX_CONTENT,
    id::MsgId,
    time::UnixMillis,
    wire::{bytes::public_bytes, codec::DecodeError},
};

public_bytes! {
    /// The first 16 bytes of the SHA-256 of a content: `prev` of the author's next.
    ContentHash, 16
}

impl ContentHash {
    /// `prev` of the first content of a conversation: all zero.
    pub const NONE: Self = Self::new([0; 16]);

    /// The hash of an encoded content.
    pub fn of(content: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::digest(content).into();
        digest
            .first_chunk()
            .map_or(Self::NONE, |head| Self::new(*head))
    }
}

/// What stands before the body, also of a content whose body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHead {
    /// The type's number.
    pub content_type: u8,
    /// The author's id of the message.
    pub msg_id: MsgId,
    /// Position among what this author says in this conversation, from 1.
    pub seq: u64,
    /// [`ContentHash`] of the author's previous content, zero for the first.
    pub prev: ContentHash,
    /// When the author says that it was sent.
    pub sent: UnixMillis,
}

impl ContentHead {
    /// The head of an encoded content. For a content that [`Content::decode_exact`] accepts or calls
    /// unreadable; it says nothing about the body.
    ///
    /// # Errors
    /// [`ContentError::Encoding`] if not even the head can be read.
    pub fn of(bytes: &[u8]) -> Result<Self, ContentError> {
        wire::head(bytes)
    }
}

/// Why bytes are no content, or a value none that can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentError {
    /// Too long, or not in its exact form. Shown as "unreadable".
    Encoding(DecodeError),
    /// `seq` is zero.
    Seq,
    /// A text, reaction, identity or list is longer than allowed.
    Limit,
    /// A content of unknown type cannot be encoded.
    UnknownType,
}

impl std::fmt::Display for ContentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Encoding(e) => write!(f, "the content is {e}"),
            Self::Seq => f.write_str("the content has no place in its conversation"),
            Self::Limit => f.write_str("a part of the content is longer than allowed"),
            Self::UnknownType => f.write_str("a content of unknown type cannot be sent"),
        }
    }
}

impl std::error::Error for ContentError {}

/// One content.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// The author's id of the message, random.
    pub msg_id: MsgId,
    /// Position among what this author says in this conversation, from 1.
    pub seq: u64,
    /// [`ContentHash`] of the author's previous content, zero for the first.
    pub prev: ContentHash,
    /// When the author says that it was sent.
    pub sent: UnixMillis,
    /// What is said.
    pub body: Body,
}

impl Content {
    /// The encoding, at most [`MAX_CONTENT`] bytes.
    ///
    /// # Errors
    /// [`ContentError`] when a limit is broken or the type is unknown.
    pub fn encode(&self) -> Result<Vec<u8>, ContentError> {
        self.check()?;
        let bytes = wire::encode(self)?;
        if bytes.len() > MAX_CONTENT {
            return Err(ContentError::Encoding(DecodeError::TooLong));
        }
        Ok(bytes)
    }

    /// Decodes a content that a session has authenticated. A type that is not known here gives
    /// [`Body::Unknown`]; a known type with another body than its own is an error.
    ///
    /// # Errors
    /// [`ContentError`] for anything that [`Content::encode`] would not have written.
    pub fn decode_exact(bytes: &[u8]) -> Result<Self, ContentError> {
        let content = wire::decode(bytes)?;
        content.check()?;
        Ok(content)
    }

    fn check(&self) -> Result<(), ContentError> {
        if self.seq == 0 {
            return Err(ContentError::Seq);
        }
        self.body.check()
    }
}

/// Says what kind of content it is, never what it says.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({:?} seq {})", self.body, self.seq)
    }
}
