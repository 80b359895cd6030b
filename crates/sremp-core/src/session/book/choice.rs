//! Which session sends (D3.11).
//!
//! A message that comes on a session makes it the sending one: the peer uses it, so both follow
//! each other. Two rules bend that. A RESET takes all other sessions out of sending. And when both
//! sides start a session at once (a *crossing*: the peer's INIT comes while one's own session is
//! unconfirmed) following would have them swap for ever, so once both sessions are confirmed both
//! sides send on the one that the smaller identity key initiated. No clock is asked.
//!
//! A side can miss that there was a crossing, if the peer's INIT comes late. Then it follows, or
//! has closed the other session for a RESET; [`STRAYS_BEFORE_FOLLOWING`] messages in a row on the
//! session that lost show the other side that, and it follows too.

use super::{Entry, SessionBook, Standing};
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

    /// Pairs a session that the peer has just started with one's own unconfirmed one, if any.
    pub(super) fn note_crossing(&mut self, theirs: &SessionId) {
        let ours = self.entries.iter().rev().find(|entry| {
            entry.session.role == Role::Initiator
                && !entry.session.is_confirmed()
                && entry.standing == Standing::Open
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
        let usable = |e: &Entry| e.session.is_confirmed() && e.standing == Standing::Open;
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
        let standing = self.entry(&id).map(|entry| entry.standing);
        match (self.winner(&id), standing) {
            (_, None | Some(Standing::Closed)) => {}
            (Some(winner), _) if confirmed => self.set_active(winner, now),
            _ if self.active == Some(id) => self.set_strays(0),
            (Some(winner), _) if winner != id => self.note_stray(id, now),
            (_, Some(Standing::Parked)) => self.note_stray(id, now),
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
            entry.standing = Standing::Open;
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

    /// One's own RESET goes out on the session `id`.
    pub(super) fn park_others(&mut self, id: SessionId, now: UnixMillis) {
        for entry in &mut self.entries {
            if entry.session.id == id {
                entry.reset = true;
            } else if entry.standing == Standing::Open {
                entry.standing = Standing::Parked;
                entry.inactive_since = now;
            }
        }
        self.set_active(id, now);
        self.changed = true;
    }

    /// The peer's RESET came on the session `id`: it has lost the others, or will not read them.
    /// Only one's own RESET that crossed it is younger than that.
    pub(super) fn close_others(&mut self, id: SessionId, now: UnixMillis) {
        let Some(entry) = self.entry_mut(&id) else {
            return;
        };
        entry.reset = true;
        entry.standing = Standing::Open;
        let rival = entry.rival;
        for entry in &mut self.entries {
            let crossed = rival == Some(entry.session.id) && entry.reset;
            if entry.session.id != id && !crossed && entry.standing != Standing::Closed {
                entry.standing = Standing::Closed;
                entry.inactive_since = now;
            }
        }
        self.set_active(self.winner(&id).unwrap_or(id), now);
        self.changed = true;
    }
}
