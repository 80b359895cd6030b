//! Which session sends (D3.11).
//!
//! A message that comes on a session makes it the sending one: the peer has it and uses it. Each
//! side follows the other, and what is unconfirmed is encrypted again when one moves, so whatever
//! was sent into a session that the peer has lost arrives after all.
//!
//! Two rules damp that. A RESET takes all other sessions out of sending: what still comes on them
//! was under way. And when both sides start a session at once (a *crossing*: the peer's INIT comes
//! while one's own session is unconfirmed) following would have them swap for ever, so once both
//! sessions are confirmed both sides send on the one that the smaller identity key initiated. No
//! clock is asked.
//!
//! Neither rule is for ever. A side can miss that there was a crossing, if the peer's INIT comes
//! late, and a RESET can come late too, after a newer one. Then a side would insist on a session
//! that the other has left; [`STRAYS_BEFORE_FOLLOWING`] messages in a row on the one it avoids, and
//! none on the one it chose, move it.

use super::{Entry, SessionBook};
use crate::{
    constants::STRAYS_BEFORE_FOLLOWING, id::SessionId, session::ratchet::Role, time::UnixMillis,
};

impl SessionBook {
    pub(super) fn entry(&self, id: &SessionId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.session.id == *id)
    }

    pub(super) fn entry_mut(&mut self, id: &SessionId) -> Option<&mut Entry> {
        self.entries
            .iter_mut()
            .find(|entry| entry.session.id == *id)
    }

    pub(super) fn active_entry(&self) -> Option<&Entry> {
        self.active.and_then(|id| self.entry(&id))
    }

    pub(super) fn set_active(&mut self, id: SessionId, now: UnixMillis) {
        self.set_strays(0);
        if self.active == Some(id) {
            return;
        }
        let before = self.active.replace(id);
        if let Some(entry) = before.and_then(|id| self.entry_mut(&id)) {
            entry.inactive_since = now;
        }
        self.changed = true;
    }

    fn set_strays(&mut self, strays: u32) {
        self.changed |= self.strays != strays;
        self.strays = strays;
    }

    /// Pairs a session that the peer has just started with one's own unconfirmed one, if any. It
    /// must rest on the same DHK of the peer: another one means that the peer was restored in
    /// between and has lost one of the two.
    pub(super) fn note_crossing(&mut self, theirs: &SessionId) {
        let Some(dhk) = self.entry(theirs).map(|entry| entry.session.peer_dhk()) else {
            return;
        };
        let ours = self.entries.iter().rev().find(|entry| {
            entry.session.peer_dhk() == dhk
                && entry.session.role == Role::Initiator
                && !entry.session.is_confirmed()
                && !entry.parked
        });
        let Some(ours) = ours.map(|entry| entry.session.id) else {
            return;
        };
        for (id, rival) in [(ours, *theirs), (*theirs, ours)] {
            if let Some(entry) = self.entry_mut(&id) {
                entry.rival = Some(rival);
            }
        }
        self.changed = true;
    }

    /// The session of a crossing pair on which both sides send, once both are confirmed.
    fn winner(&self, id: &SessionId) -> Option<SessionId> {
        let one = self.entry(id)?;
        let other = self.entry(&one.rival?)?;
        let usable = |e: &Entry| e.session.is_confirmed() && !e.parked;
        if !usable(one) || !usable(other) {
            return None;
        }
        // A RESET closes whatever is not one itself, so it wins.
        let one_wins = if one.reset == other.reset {
            self.initiator(one) < self.initiator(other)
        } else {
            one.reset
        };
        let winner = if one_wins { one } else { other };
        Some(winner.session.id)
    }

    fn initiator(&self, entry: &Entry) -> crate::id::ContactId {
        match entry.session.role {
            Role::Initiator => self.own,
            Role::Responder => self.peer,
        }
    }

    /// A message came on this session; `confirmed` if it was the first one.
    pub(super) fn follow(&mut self, id: SessionId, confirmed: bool, now: UnixMillis) {
        let parked = self.entry(&id).is_some_and(|entry| entry.parked);
        match self.winner(&id) {
            Some(winner) if confirmed => self.set_active(winner, now),
            _ if self.active == Some(id) => self.set_strays(0),
            Some(winner) if winner != id => self.note_stray(id, now),
            _ if parked => self.note_stray(id, now),
            _ => self.set_active(id, now),
        }
    }

    fn note_stray(&mut self, id: SessionId, now: UnixMillis) {
        self.set_strays(self.strays.saturating_add(1));
        if self.strays < STRAYS_BEFORE_FOLLOWING {
            return;
        }
        let mut rival = None;
        if let Some(entry) = self.entry_mut(&id) {
            entry.parked = false;
            rival = entry.rival.take();
        }
        if let Some(entry) = rival.and_then(|id| self.entry_mut(&id)) {
            entry.rival = None;
        }
        self.set_active(id, now);
    }

    /// After one's own start: the new session sends unless a confirmed one can (D3.11).
    pub(super) fn prefer_new(&mut self, id: SessionId, now: UnixMillis) {
        let keep = self
            .active_entry()
            .is_some_and(|entry| entry.session.is_confirmed() && !entry.session.is_worn(now));
        if !keep {
            self.set_active(id, now);
        }
    }

    /// A RESET went out or came on the session `id`: the others send no more. Only a RESET that
    /// crossed it stays, for both sides to choose between the two.
    pub(super) fn park_others(&mut self, id: SessionId, now: UnixMillis) {
        let Some(entry) = self.entry_mut(&id) else {
            return;
        };
        entry.reset = true;
        entry.parked = false;
        let rival = entry.rival;
        for entry in &mut self.entries {
            let crossed = rival == Some(entry.session.id) && entry.reset;
            if entry.session.id != id && !crossed && !entry.parked {
                entry.parked = true;
                entry.inactive_since = now;
            }
        }
        self.set_active(self.winner(&id).unwrap_or(id), now);
        self.changed = true;
    }
}
