//! The session book: every session with one contact, and which of them sends (D3.11, D3.12).

mod choice;
mod limits;
mod outcome;
mod receive;
mod state;
#[cfg(test)]
mod tests;

use rand_core::CryptoRng;

use self::limits::FailureDigest;
pub use self::outcome::{BookChanges, Incoming, MessageKeyId, Outgoing};
use super::{
    agreement,
    ratchet::{Role, Session, Sides},
};
use crate::{
    constants::{
        RELAY_STORAGE, SIGNED_PREKEY_DELETION, SIGNED_PREKEY_ROTATION, UNACKNOWLEDGED_SESSION_AGE,
    },
    id::{ContactId, EnvelopeId, SessionId},
    identity::SecretIdentity,
    session::{
        BadState, DhPublicKey, EncryptError, StartError, envelope,
        prekey::{DhIdentity, PrekeyBundle, PrekeyId, PublicEnvelopeKey},
    },
    time::UnixMillis,
};

/// A session and its place among the others.
struct Entry {
    session: Session,
    /// A RESET took it out of sending.
    parked: bool,
    /// Whether it carried a RESET, of either side.
    reset: bool,
    /// The other session of a crossing pair.
    rival: Option<SessionId>,
    /// When it last stopped sending or, since then, received.
    inactive_since: UnixMillis,
    changed: bool,
}

impl Entry {
    /// Begun here, never answered, and not out of sending.
    const fn is_unanswered(&self) -> bool {
        matches!(self.session.role, Role::Initiator) && !self.session.is_confirmed() && !self.parked
    }
}

/// An accepted DR_INIT: what repeats it belongs to the same session, whether that lives or not.
struct InitRecord {
    /// `H(id_A ‖ EK)`.
    hash: [u8; 32],
    spk_id: PrekeyId,
    session_id: SessionId,
}

/// Every session with one contact: one that sends, and up to five that can still receive.
///
/// The contract of every method that takes `&mut self`: what it changed is in
/// [`take_changes`](Self::take_changes) and has to be stored, in one transaction, before anything
/// that it returned leaves the device or is shown. If storing fails, the book is dropped and loaded
/// again.
pub struct SessionBook {
    own: ContactId,
    peer: ContactId,
    entries: Vec<Entry>,
    active: Option<SessionId>,
    /// Messages in a row on sessions that may not become active.
    strays: u32,
    inits: Vec<InitRecord>,
    failures: Vec<FailureDigest>,
    failing_since: UnixMillis,
    resets: Vec<UnixMillis>,
    changed: bool,
    deleted: Vec<SessionId>,
}

impl SessionBook {
    /// The empty book of `own` for `peer`.
    pub fn new(own: ContactId, peer: ContactId) -> Self {
        Self {
            own,
            peer,
            entries: Vec::new(),
            active: None,
            strays: 0,
            inits: Vec::new(),
            failures: Vec::new(),
            failing_since: state::NEVER,
            resets: Vec::new(),
            changed: false,
            deleted: Vec::new(),
        }
    }

    /// The book from what was stored; `None` for a contact without one yet.
    ///
    /// # Errors
    /// [`BadState`] if these are not the states of one book and all of its sessions.
    pub fn load<'a>(
        own: ContactId,
        peer: ContactId,
        book_state: Option<&[u8]>,
        sessions: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, BadState> {
        match book_state {
            Some(book) => Self::from_bytes(own, peer, book, sessions),
            None if sessions.into_iter().next().is_none() => Ok(Self::new(own, peer)),
            None => Err(BadState),
        }
    }

    /// Whose sessions with [`peer`](Self::peer) these are.
    pub const fn own(&self) -> &ContactId {
        &self.own
    }

    /// The contact.
    pub const fn peer(&self) -> &ContactId {
        &self.peer
    }

    /// Starts a session from a bundle (D3.4). It sends at once only if no confirmed session does
    /// (D3.11); RESET goes out on it through [`encrypt_on`](Self::encrypt_on).
    ///
    /// # Errors
    /// [`StartError`] if the parts do not belong together.
    pub fn start<R: CryptoRng + ?Sized>(
        &mut self,
        identity: &SecretIdentity,
        dhk: &DhIdentity,
        bundle: &PrekeyBundle,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<SessionId, StartError> {
        if identity.id() != self.own {
            return Err(StartError::WrongIdentity);
        }
        if bundle.identity().id() != self.peer || self.peer == self.own {
            return Err(StartError::WrongPeer);
        }
        let (agreed, init) =
            agreement::initiate(&self.own, dhk, bundle, rng).ok_or(StartError::BadKey)?;
        // The peer's signed prekey has to live as long as a relay may keep what is sent last.
        let renew_at = bundle
            .spk_created()
            .plus(SIGNED_PREKEY_DELETION)
            .minus(RELAY_STORAGE)
            .clamp(
                now.plus(SIGNED_PREKEY_ROTATION),
                now.plus(UNACKNOWLEDGED_SESSION_AGE),
            );
        let session = Session::initiate(
            &self.sides(),
            agreed,
            [dhk.public(), bundle.dhk],
            bundle.spk.x.as_bytes(),
            init,
            renew_at,
        );
        let id = self.insert(session, now);
        self.prefer_new(id, now);
        self.limit_sessions(id);
        Ok(id)
    }

    /// Whether there is a session to send on.
    pub const fn can_send(&self) -> bool {
        self.active.is_some()
    }

    /// Whether a bundle should be fetched and a session started: there is none that sends, or it
    /// has sent 5000 messages or waited too long without an answer (D3.8).
    pub fn needs_new_session(&self, now: UnixMillis) -> bool {
        self.active_entry()
            .is_none_or(|entry| entry.session.is_worn(now))
    }

    /// Whether the session that sends has waited too long for its first answer (D3.8): the peer may be
    /// unable to read what it sent.
    pub fn is_overdue(&self, now: UnixMillis) -> bool {
        self.active_entry()
            .is_some_and(|entry| entry.session.is_overdue(now))
    }

    /// Whether the session that sends was never answered and was begun with another state of the peer's
    /// than this bundle is of: the peer was restored since, and cannot read it.
    pub fn is_left_behind_by(&self, bundle: &PrekeyBundle) -> bool {
        self.is_unanswered() && self.is_with_another_state_than(bundle)
    }

    /// Whether the session that sends is with another state of the peer's than this bundle is of: the peer was
    /// restored since.
    pub fn is_with_another_state_than(&self, bundle: &PrekeyBundle) -> bool {
        self.active_entry()
            .is_some_and(|entry| entry.session.peer_dhk() != bundle.dhk)
    }

    /// The peer's DHK in a session, which lasts until the peer is restored.
    pub fn peer_state(&self, session_id: &SessionId) -> Option<DhPublicKey> {
        self.entry(session_id).map(|entry| entry.session.peer_dhk())
    }

    /// Whether the session that sends was begun here and never answered: the peer may be unable to read it.
    pub fn is_unanswered(&self) -> bool {
        self.active_entry().is_some_and(Entry::is_unanswered)
    }

    /// The sessions that were begun here, never answered, and may send.
    pub fn unanswered(&self) -> impl Iterator<Item = SessionId> {
        let unanswered = self.entries.iter().filter(|entry| entry.is_unanswered());
        unanswered.map(|entry| entry.session.id)
    }

    /// The peer has read what was sent on one of these sessions, and has answered none: this one sends.
    /// Tells whether another one did.
    pub fn was_read(&mut self, session_id: &SessionId, now: UnixMillis) -> bool {
        let other = self.is_unanswered()
            && self.active != Some(*session_id)
            && self.unanswered().any(|id| id == *session_id);
        if other {
            self.set_active(*session_id, now);
        }
        other
    }

    /// The session that sends.
    pub const fn sending_session(&self) -> Option<SessionId> {
        self.active
    }

    /// Encrypts on the session that sends.
    ///
    /// # Errors
    /// [`EncryptError`]; nothing has changed.
    pub fn encrypt<R: CryptoRng + ?Sized>(
        &mut self,
        identity: &SecretIdentity,
        envelope_key: &PublicEnvelopeKey,
        content: &[u8],
        rng: &mut R,
    ) -> Result<Outgoing, EncryptError> {
        let active = self.active.ok_or(EncryptError::NoSession)?;
        self.encrypt_on(&active, identity, envelope_key, content, rng)
    }

    /// Encrypts on a session by name: RESET on the one that was just started.
    ///
    /// # Errors
    /// [`EncryptError`]; nothing has changed.
    pub fn encrypt_on<R: CryptoRng + ?Sized>(
        &mut self,
        session_id: &SessionId,
        identity: &SecretIdentity,
        envelope_key: &PublicEnvelopeKey,
        content: &[u8],
        rng: &mut R,
    ) -> Result<Outgoing, EncryptError> {
        if *envelope_key.owner() != self.peer {
            return Err(EncryptError::WrongEnvelopeKey);
        }
        let (message, key) = self.encrypt_message(session_id, identity, content, rng)?;
        let envelope = envelope::seal(envelope_key, session_id, &message, rng)
            .map_err(|_| EncryptError::TooLarge)?;
        Ok(Outgoing {
            envelope_id: EnvelopeId::of(&envelope),
            envelope,
            key,
        })
    }

    /// Encrypts without the envelope: the ratchet message, to be [sealed](envelope::seal) by the
    /// caller.
    ///
    /// # Errors
    /// [`EncryptError`]; nothing has changed.
    pub fn encrypt_message<R: CryptoRng + ?Sized>(
        &mut self,
        session_id: &SessionId,
        identity: &SecretIdentity,
        content: &[u8],
        rng: &mut R,
    ) -> Result<(Vec<u8>, MessageKeyId), EncryptError> {
        if identity.id() != self.own {
            return Err(EncryptError::WrongIdentity);
        }
        let entry = self
            .entry_mut(session_id)
            .filter(|entry| !entry.parked)
            .ok_or(EncryptError::NoSession)?;
        let (message, place) = entry.session.encrypt(identity, content, rng)?;
        entry.changed = true;
        let key = MessageKeyId {
            session_id: *session_id,
            epoch: place.epoch,
            n: place.n,
        };
        Ok((message, key))
    }

    /// Whether a RESET is due now: fetch a bundle, [`start`](Self::start), send RESET with
    /// [`encrypt_on`](Self::encrypt_on), then call [`reset_started`](Self::reset_started).
    pub fn poll_reset(&self, now: UnixMillis) -> bool {
        self.reset_is_due(now)
    }

    /// The same after a bundle of another state of the peer: nothing here is broken, and the peer, who was
    /// restored a second time, need not wait for an hour.
    pub fn may_reset_for_another_state(&self, now: UnixMillis) -> bool {
        self.has_resets_left(now)
    }

    /// Whether something of the peer could not be read since the last good message.
    pub fn is_failing(&self) -> bool {
        !self.failures.is_empty()
    }

    /// One's own RESET goes out on this session: nothing is sent on the others any more. Everything
    /// that the peer has not confirmed is to be encrypted again.
    pub fn reset_started(&mut self, session_id: &SessionId, now: UnixMillis) {
        if self.entry(session_id).is_some() {
            self.park_others(*session_id, now);
            self.note_reset(now);
            self.clear_failures();
        }
    }

    /// The peer's RESET came on this session: nothing is sent on the others any more. Everything
    /// that the peer has not confirmed is to be encrypted again, one's own RESET included, if one
    /// waits: the peer's does not say what was lost here.
    pub fn handle_reset(&mut self, session_id: &SessionId, now: UnixMillis) {
        self.park_others(*session_id, now);
        self.clear_failures();
    }

    /// Deletes what is too old: skipped keys, inactive sessions, and the records of first messages
    /// whose signed prekey has no private part any more, which `spk_lives` tells. A record must
    /// live as long as that, or its message could start a second session.
    pub fn prune(&mut self, now: UnixMillis, mut spk_lives: impl FnMut(PrekeyId) -> bool) {
        for entry in &mut self.entries {
            entry.changed |= entry.session.prune(now);
        }
        self.remove_old_sessions(now);
        let before = self.inits.len();
        self.inits.retain(|record| spk_lives(record.spk_id));
        self.changed |= self.inits.len() != before;
    }

    /// What changed since the book was loaded or this was last asked.
    pub fn take_changes(&mut self) -> BookChanges {
        let mut changes = BookChanges {
            book: std::mem::take(&mut self.changed).then(|| self.to_bytes()),
            saved: Vec::new(),
            deleted: std::mem::take(&mut self.deleted),
        };
        for entry in &mut self.entries {
            if std::mem::take(&mut entry.changed) {
                let session = &entry.session;
                changes.saved.push((session.id, session.to_bytes()));
            }
        }
        changes
    }

    /// The whole book and all of its sessions, changed or not.
    pub fn snapshot(&self) -> BookChanges {
        let session = |entry: &Entry| (entry.session.id, entry.session.to_bytes());
        BookChanges {
            book: Some(self.to_bytes()),
            saved: self.entries.iter().map(session).collect(),
            deleted: Vec::new(),
        }
    }

    const fn sides(&self) -> Sides<'_> {
        Sides {
            own: &self.own,
            peer: &self.peer,
        }
    }

    fn insert(&mut self, session: Session, now: UnixMillis) -> SessionId {
        let id = session.id;
        self.entries.push(Entry {
            session,
            parked: false,
            reset: false,
            rival: None,
            inactive_since: now,
            changed: true,
        });
        self.changed = true;
        id
    }

    fn touch(&mut self, id: SessionId, now: UnixMillis) {
        if let Some(entry) = self.entry_mut(&id) {
            entry.inactive_since = now;
            self.changed = true;
        }
    }
}

impl std::fmt::Debug for SessionBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (peer, sessions) = (self.peer.short(), self.entries.len());
        write!(f, "SessionBook({peer}, {sessions} sessions)")
    }
}
