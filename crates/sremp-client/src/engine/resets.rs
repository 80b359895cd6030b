//! Sessions that are begun anew, of either side (3.10).

use std::time::Duration;

use sremp_core::{
    constants::RESET_AFTER,
    id::ContactId,
    session::{
        book::Incoming,
        content::{Body, ResetReason},
        prekey::PrekeyBundle,
    },
    time::Tick,
};

use super::{Engine, Step, peers::Peer, resending::Again};
use crate::store::StoreError;

/// A contact's RESET is followed once in this time; each makes everything unconfirmed be sent again.
const RESET_PAUSE: Duration = Duration::from_secs(60);

/// Why a session was begun anew, in RESET.
const UNDECRYPTABLE: ResetReason = ResetReason::DESYNC;

impl Engine {
    /// Envelopes of a session cannot be read any more: a new one is to be begun (D3.12).
    pub(super) fn want_reset(&mut self, step: &mut Step<'_, '_>, key: &ContactId) {
        self.resets.insert(*key);
        match self.links.active(key) {
            Some(link) => self.ask_for_bundle(step, link),
            None => self.push_soon(key),
        }
    }

    /// Begins the new session with RESET and everything that is not confirmed.
    pub(super) fn reset_session(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        bundle: &PrekeyBundle,
    ) -> Result<bool, StoreError> {
        let now = step.now.wall;
        let own = &self.own;
        let started = peer
            .book
            .start(&own.identity, &own.dh_identity, bundle, now, step.rng);
        let Ok(session) = started else {
            return Ok(false);
        };
        peer.book.reset_started(&session, now);
        self.resets_begun.insert(peer.key(), step.now.tick);
        let again = self.seal_anew(step, peer)?;
        let body = Body::Reset {
            reason: UNDECRYPTABLE,
            last_seq: peer.record.peer_seq,
        };
        let msg_id = self.fresh_msg_id(step);
        self.queue(step, peer, msg_id, body)?;
        let line = renewed(&Again {
            messages: again,
            cut: false,
        });
        self.note(step, peer, line, now)?;
        Ok(true)
    }

    /// The contact has begun a new session.
    pub(super) fn handle_reset(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        incoming: &Incoming,
        (reason, last_seq): (ResetReason, u64),
    ) -> Result<(), StoreError> {
        let now = step.now.wall;
        peer.book.handle_reset(&incoming.session_id, now);
        self.resets.remove(&peer.key());
        let recent = |at: &Tick| step.now.tick.since(*at) < RESET_PAUSE;
        self.resets_taken.retain(|_, at| recent(at));
        if self.resets_taken.contains_key(&peer.key()) {
            self.refusals.count("reset-too-often");
            return Ok(());
        }
        self.resets_taken.insert(peer.key(), step.now.tick);
        let lost = match reason {
            ResetReason::RESTORED => self.send_lost(step, peer, last_seq)?,
            _ => None,
        };
        let again = match lost {
            Some(again) => again,
            None => Again {
                messages: self.seal_anew(step, peer)?,
                cut: false,
            },
        };
        let own = self.resets_begun.remove(&peer.key());
        if own.is_some_and(|at| step.now.tick.since(at) < RESET_AFTER) {
            // the two crossed: it is one renewal, which has its line
            return Ok(());
        }
        self.note(step, peer, renewed(&again), now)
    }
}

fn renewed(again: &Again) -> String {
    match (again.messages, again.cut) {
        (0, _) => "[session renewed]".to_owned(),
        (1, false) => "[session renewed, 1 message sent again]".to_owned(),
        (n, false) => format!("[session renewed, {n} messages sent again]"),
        (n, true) => format!("[session renewed, the newest {n} messages sent again]"),
    }
}
