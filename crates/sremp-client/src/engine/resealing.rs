//! What waits for a contact is encrypted anew when the contact goes over to another session or key; not
//! with each message in which it does (3.10).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sremp_core::{
    id::{ContactId, EnvelopeId, SessionId},
    time::Tick,
};

use super::{Engine, Step, peers::Peer};
use crate::store::StoreError;

/// So often for one contact within [`WITHIN`]; what comes sooner is done when that is over.
const MOST: usize = 4;
const WITHIN: Duration = Duration::from_secs(60);

/// When what waits was encrypted anew, and for whom that is still to be done.
#[derive(Debug, Default)]
pub(super) struct Resealed {
    at: BTreeMap<ContactId, Vec<Tick>>,
    owed: BTreeSet<ContactId>,
}

impl Resealed {
    pub(super) fn deadline(&self) -> Option<Tick> {
        let at = self.owed.iter().filter_map(|contact| self.at.get(contact));
        let room = at.filter_map(|at| at.get(at.len().saturating_sub(MOST)));
        room.map(|at| at.plus(WITHIN)).min()
    }

    /// Whether it is done now; else it is owed.
    fn take(&mut self, contact: ContactId, now: Tick) -> bool {
        self.at.retain(|_, at| {
            at.retain(|at| now.since(*at) < WITHIN);
            !at.is_empty()
        });
        let at = self.at.entry(contact).or_default();
        if at.len() >= MOST {
            self.owed.insert(contact);
            return false;
        }
        at.push(now);
        self.owed.remove(&contact);
        true
    }

    fn due(&self, now: Tick) -> Vec<ContactId> {
        let lately = |at: &Vec<Tick>| at.iter().filter(|at| now.since(**at) < WITHIN).count();
        let over = |contact: &&ContactId| self.at.get(*contact).is_none_or(|at| lately(at) < MOST);
        self.owed.iter().filter(over).copied().collect()
    }
}

impl Engine {
    /// A contact has gone over to another session or key by what it sent.
    pub(super) fn seal_for_moved(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
    ) -> Result<(), StoreError> {
        if !self.resealed.take(peer.key(), step.now.tick) {
            self.refusals.count("moved-too-often");
            return Ok(());
        }
        self.seal_anew(step, peer).map(drop)
    }

    /// What waits is encrypted once more under a session beside another, under which relays keep it on.
    pub(super) fn seal_beside(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
    ) -> Result<(), StoreError> {
        step.tx.clear_kept_envelopes(peer.record.row)?;
        self.rewind_link(&peer.key());
        self.push_soon(&peer.key());
        Ok(())
    }

    /// A contact who has answered none of several sessions has read what was sealed in one: that one sends.
    pub(super) fn session_was_read(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        envelope: &EnvelopeId,
    ) -> Result<(), StoreError> {
        if !peer.is_unanswered() {
            return Ok(());
        }
        let unanswered: Vec<SessionId> = peer.book.unanswered().collect();
        for session in unanswered {
            if step.tx.has_sealed(&session, envelope)? {
                if peer.book.was_read(&session, step.now.wall) {
                    self.seal_anew(step, peer)?;
                }
                break;
            }
        }
        Ok(())
    }

    pub(super) fn seal_owed(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        for contact in self.resealed.due(step.now.tick) {
            let Some(mut peer) = self.peers.take(step.tx, &contact)? else {
                self.resealed.owed.remove(&contact);
                continue;
            };
            let sealed = self.seal_for_moved(step, &mut peer);
            self.peers.put(peer);
            sealed?;
        }
        Ok(())
    }
}
