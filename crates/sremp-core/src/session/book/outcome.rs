//! What a book hands out.

use zeroize::Zeroizing;

use crate::{
    id::{EnvelopeId, SessionId},
    session::prekey::PrekeyId,
};

/// Names a message key, on the side that sends: no two envelopes may carry the same (D3.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKeyId {
    /// The session.
    pub session_id: SessionId,
    /// Which of one's own ratchet keys, from 0.
    pub epoch: u32,
    /// Which message under that ratchet key, from 0.
    pub n: u32,
}

/// An encrypted message. It may be sent after the changes of the book are stored, not before.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The whole envelope; stored, and sent again byte for byte.
    pub envelope: Vec<u8>,
    /// Its hash.
    pub envelope_id: EnvelopeId,
    /// The message key that it used up.
    pub key: MessageKeyId,
}

/// A decrypted message. Whatever its content turns out to be, the changes of the book are to be
/// stored: the message key is used up (D3.9).
pub struct Incoming {
    /// The content, encoded.
    pub content: Zeroizing<Vec<u8>>,
    /// The session that it came on.
    pub session_id: SessionId,
    /// Whether it started this session.
    pub started: bool,
    /// Whether another session sends now. Then everything that the peer has not confirmed has to
    /// be encrypted again: the peer may have lost the session before. A contact can provoke this at
    /// will, so a caller bounds how often it does so.
    pub moved: bool,
    /// A one-time prekey whose private part is to be deleted in the same transaction.
    pub one_time_prekey: Option<PrekeyId>,
}

/// What changed in a book and has to be stored in one transaction.
#[derive(Default)]
pub struct BookChanges {
    /// The new state of the book, if it changed.
    pub book: Option<Zeroizing<Vec<u8>>>,
    /// The new states of sessions.
    pub saved: Vec<(SessionId, Zeroizing<Vec<u8>>)>,
    /// Sessions that are gone.
    pub deleted: Vec<SessionId>,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Incoming({:?}, …)", self.session_id)
    }
}

impl std::fmt::Debug for BookChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let saved: Vec<_> = self.saved.iter().map(|(id, _)| id).collect();
        let book = self.book.is_some();
        write!(
            f,
            "BookChanges(book {book}, saved {saved:?}, deleted {:?})",
            self.deleted
        )
    }
}
