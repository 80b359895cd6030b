//! Sessions that are begun anew, of either side (3.10).

use std::{collections::BTreeMap, time::Duration};

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

/// A contact's RESET is followed once in this time; each makes everything unconfirmed be sent again. One
/// that comes sooner is followed then.
const RESET_PAUSE: Duration = Duration::from_secs(60);

/// Why a session was begun anew, in RESET.
const UNDECRYPTABLE: ResetReason = ResetReason::DESYNC;

/// What a RESET says: why, and the highest `seq` that its sender has received.
type ResetWord = (ResetReason, u64);

/// When a contact's RESET was last followed, and which came too soon after it.
#[derive(Debug, Default)]
pub(super) struct ResetsTaken {
    at: BTreeMap<ContactId, Tick>,
    owed: BTreeMap<ContactId, ResetWord>,
}

impl ResetsTaken {
    pub(super) fn deadline(&self) -> Option<Tick> {
        let at = self.owed.keys().filter_map(|contact| self.at.get(contact));
        at.map(|at| at.plus(RESET_PAUSE)).min()
    }

    /// What is to be followed now; else it is owed. Of several the newest counts, and what a restored one
    /// lacked is lacking still.
    fn take(&mut self, contact: ContactId, said: ResetWord, now: Tick) -> Option<ResetWord> {
        let said = match (self.owed.remove(&contact), said) {
            (Some((ResetReason::RESTORED, before)), (ResetReason::RESTORED, last_seq)) => {
                (ResetReason::RESTORED, before.min(last_seq))
            }
            (Some(owed @ (ResetReason::RESTORED, _)), _) => owed,
            (_, said) => said,
        };
        if self.rests(&contact, now) {
            self.owed.insert(contact, said);
            return None;
        }
        self.at.insert(contact, now);
        Some(said)
    }

    fn rests(&self, contact: &ContactId, now: Tick) -> bool {
        let at = self.at.get(contact);
        at.is_some_and(|at| now.since(*at) < RESET_PAUSE)
    }

    /// Those whose time has come.
    fn due(&mut self, now: Tick) -> Vec<(ContactId, ResetWord)> {
        let owed = self.owed.iter();
        let due = owed.filter(|(contact, _)| !self.rests(contact, now));
        let due: Vec<_> = due.map(|(contact, said)| (*contact, *said)).collect();
        for (contact, _) in &due {
            self.owed.remove(contact);
            self.at.insert(*contact, now);
        }
        self.at.retain(|_, at| now.since(*at) < RESET_PAUSE);
        due
    }
}

impl Engine {
    /// Envelopes of a session cannot be read any more: a new one is to be begun (D3.12).
    pub(super) fn want_reset(&mut self, step: &mut Step<'_, '_>, key: &ContactId) {
        self.resets.insert(*key);
        match self.links.active(key) {
            Some(link) => self.ask_for_bundle(step, link),
            None => self.push_soon(key),
        }
    }

    /// A message could not be read: a new session is wanted at once, or looked at hourly.
    pub(super) fn poll_reset(&mut self, step: &mut Step<'_, '_>, peer: &Peer) {
        let key = peer.key();
        if peer.book.poll_reset(step.now.wall) {
            self.unread.remove(&key);
            self.want_reset(step, &key);
        } else if peer.book.is_failing() {
            self.unread.insert(key);
        }
    }

    /// Hourly: a RESET that came too soon after another may go by now, also if the contact says nothing
    /// more.
    pub(super) fn poll_resets(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        for key in std::mem::take(&mut self.unread) {
            if let Some(peer) = self.peers.take(step.tx, &key)? {
                if peer.is_accepted() {
                    self.poll_reset(step, &peer);
                }
                self.peers.put(peer);
            }
        }
        Ok(())
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
        let state = peer.book.peer_state(&session);
        self.resets_begun.insert(peer.key(), (step.now.tick, state));
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
        said: ResetWord,
    ) -> Result<(), StoreError> {
        peer.book.handle_reset(&incoming.session_id, step.now.wall);
        self.resets.remove(&peer.key());
        let (key, tick, reason) = (peer.key(), step.now.tick, said.0);
        let Some(said) = self.resets_taken.take(key, said, tick) else {
            self.refusals.count("reset-too-often");
            // what a restored contact lacks is owed over the end of this process too
            if let (ResetReason::RESTORED, last_seq) = said {
                self.resent.owe(step.tx, key, last_seq)?;
            }
            return Ok(());
        };
        let again = self.follow_reset(step, peer, said)?;
        let own = self.resets_begun.remove(&key);
        let state = peer.book.peer_state(&incoming.session_id);
        let crossed = own.is_some_and(|(at, of)| {
            tick.since(at) < RESET_AFTER || reason == ResetReason::RESTORED && of == state
        });
        // a contact that could not be told of a restoration here has seen it by itself
        let seen = self.renewals.answered_by(&key, &incoming.session_id, tick);
        self.renewals.settle(&key);
        if crossed || seen && reason != ResetReason::RESTORED {
            // it is one renewal, which has its line
            return Ok(());
        }
        self.note(step, peer, renewed(&again), step.now.wall)
    }

    /// RESETs that came too soon after others are followed when their time has come, under the line that the
    /// first of them has.
    pub(super) fn follow_owed_resets(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        for (contact, said) in self.resets_taken.due(step.now.tick) {
            let Some(mut peer) = self.peers.take(step.tx, &contact)? else {
                continue;
            };
            let followed = match peer.is_accepted() {
                true => self.follow_reset(step, &mut peer, said).map(drop),
                false => Ok(()),
            };
            self.peers.put(peer);
            followed?;
        }
        Ok(())
    }

    fn follow_reset(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        (reason, last_seq): ResetWord,
    ) -> Result<Again, StoreError> {
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
        Ok(again)
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
