//! The session book: every session with one contact, and which of them sends (D3.11, D3.12).

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{
    id::{ContactId, EnvelopeId, SessionId},
    identity::SecretIdentity,
    session::{
        BadState, DecryptError, EncryptError, StartError,
        envelope::EnvelopePlaintext,
        prekey::{DhIdentity, PrekeyBundle, PrekeyId, PrekeyLookup, PublicEnvelopeKey},
    },
    time::UnixMillis,
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

/// Every session with one contact.
pub struct SessionBook {
    own: ContactId,
    peer: ContactId,
}

impl SessionBook {
    /// The empty book of `own` for `peer`.
    pub fn new(own: ContactId, peer: ContactId) -> Self {
        Self { own, peer }
    }

    /// The book from what was stored.
    ///
    /// # Errors
    /// [`BadState`] if these are not the states of one book and its sessions.
    pub fn load<'a>(
        own: ContactId,
        peer: ContactId,
        _book_state: Option<&[u8]>,
        _sessions: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, BadState> {
        Ok(Self::new(own, peer))
    }

    /// Starts a session from a bundle (D3.4). It sends at once only if no confirmed session does
    /// (D3.11); RESET goes out on it through [`encrypt_on`](Self::encrypt_on).
    ///
    /// # Errors
    /// [`StartError`] if the parts do not belong together.
    pub fn start<R: CryptoRng + ?Sized>(
        &mut self,
        _identity: &SecretIdentity,
        _dhk: &DhIdentity,
        _bundle: &PrekeyBundle,
        _now: UnixMillis,
        _rng: &mut R,
    ) -> Result<SessionId, StartError> {
        Err(StartError::WrongPeer)
    }

    /// Whether there is a session to send on.
    pub fn can_send(&self) -> bool {
        false
    }

    /// Whether the sending session is worn and a bundle should be fetched to start another
    /// (D3.8).
    pub fn needs_new_session(&self, _now: UnixMillis) -> bool {
        false
    }

    /// Encrypts on the session that sends.
    ///
    /// # Errors
    /// [`EncryptError`]; nothing has changed.
    pub fn encrypt<R: CryptoRng + ?Sized>(
        &mut self,
        _identity: &SecretIdentity,
        _envelope_key: &PublicEnvelopeKey,
        _content: &[u8],
        _now: UnixMillis,
        _rng: &mut R,
    ) -> Result<Outgoing, EncryptError> {
        Err(EncryptError::NoSession)
    }

    /// Encrypts on a session by name: RESET on the one that was just started.
    ///
    /// # Errors
    /// [`EncryptError`]; nothing has changed.
    pub fn encrypt_on<R: CryptoRng + ?Sized>(
        &mut self,
        _session_id: &SessionId,
        _identity: &SecretIdentity,
        _envelope_key: &PublicEnvelopeKey,
        _content: &[u8],
        _now: UnixMillis,
        _rng: &mut R,
    ) -> Result<Outgoing, EncryptError> {
        Err(EncryptError::NoSession)
    }

    /// Decrypts what an envelope carried.
    ///
    /// # Errors
    /// [`DecryptError`]; no session has changed, at most the count of failures.
    pub fn decrypt(
        &mut self,
        _prekeys: &dyn PrekeyLookup,
        _plaintext: &EnvelopePlaintext,
        _now: UnixMillis,
    ) -> Result<Incoming, DecryptError> {
        Err(DecryptError::NoSession)
    }

    /// Whether a RESET is due now: fetch a bundle, [`start`](Self::start), send RESET with
    /// [`encrypt_on`](Self::encrypt_on), then call [`reset_started`](Self::reset_started).
    pub fn poll_reset(&self, _now: UnixMillis) -> bool {
        false
    }

    /// One's own RESET goes out on this session: nothing is sent on the others any more.
    pub fn reset_started(&mut self, _session_id: &SessionId, _now: UnixMillis) {}

    /// The peer's RESET came on this session: nothing is sent on the others any more.
    pub fn handle_reset(&mut self, _session_id: &SessionId, _now: UnixMillis) {}

    /// Deletes what is too old (D3.8, D3.11). `spk_lives` tells whether the private part of a
    /// signed prekey is still stored.
    pub fn prune(&mut self, _now: UnixMillis, _spk_lives: impl FnMut(PrekeyId) -> bool) {}

    /// What changed since the book was loaded or this was last asked.
    pub fn take_changes(&mut self) -> BookChanges {
        BookChanges::default()
    }
}
