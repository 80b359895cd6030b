//! What can go wrong with a session, by what the caller has to do about it (chapter 10).

use crate::error::ErrorCode;

/// Why no session was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The private identity is not the one that this book belongs to.
    WrongIdentity,
    /// The bundle belongs to somebody else.
    WrongPeer,
    /// A key of the bundle contributes nothing; a verified bundle has none such.
    BadKey,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::WrongIdentity => "this session book belongs to another identity",
            Self::WrongPeer => "the prekey bundle belongs to another contact",
            Self::BadKey => "the prekey bundle holds a key that is not valid",
        })
    }
}

impl std::error::Error for StartError {}

/// Why nothing was encrypted. No chain has advanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptError {
    /// There is no session to send on (or not the one that was named): start one.
    NoSession,
    /// The private identity is not the one that this book belongs to.
    WrongIdentity,
    /// The envelope key belongs to somebody else, or is not a valid key.
    WrongEnvelopeKey,
    /// The content is longer than [`MAX_CONTENT`](crate::constants::MAX_CONTENT).
    TooLarge,
    /// A counter of the session is used up: start a new one.
    Exhausted,
}

impl std::fmt::Display for EncryptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoSession => "there is no session with this contact yet",
            Self::WrongIdentity => "this session book belongs to another identity",
            Self::WrongEnvelopeKey => "the envelope key is not a valid key of this contact",
            Self::TooLarge => "the content is larger than one envelope holds",
            Self::Exhausted => "the session is used up",
        })
    }
}

impl std::error::Error for EncryptError {}

/// Why an envelope's message was not decrypted. No session has changed.
///
/// All of these stay local, and the item is acknowledged (D3.12): an answer would be an oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecryptError {
    /// No session of this id is known: anybody can produce that.
    NoSession,
    /// Not of the form of a ratchet message, or not authentic.
    Decrypt,
    /// More than [`MAX_SKIP`](crate::constants::MAX_SKIP) messages ahead of its chain.
    SkipLimit,
    /// The key of this message was used already, or is too old.
    Replay,
    /// A first message names a prekey that is not here (any more).
    PrekeyUnknown,
    /// A cipher suite that is not known here.
    Suite,
    /// The contact has started more sessions than are remembered.
    TooManyInits,
}

impl DecryptError {
    /// The code of chapter 10.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::NoSession => ErrorCode::NoSession,
            Self::Decrypt => ErrorCode::Decrypt,
            Self::SkipLimit => ErrorCode::SkipLimit,
            Self::Replay => ErrorCode::Replay,
            Self::PrekeyUnknown => ErrorCode::PrekeyUnknown,
            Self::Suite => ErrorCode::Suite,
            Self::TooManyInits => ErrorCode::RateLimited,
        }
    }
}

impl std::fmt::Display for DecryptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooManyInits => f.write_str("the contact has started too many sessions"),
            _ => f.write_str(self.code().meaning()),
        }
    }
}

impl std::error::Error for DecryptError {}
