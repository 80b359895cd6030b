//! Who gives the bundles with which sessions are begun: a contact who never answered may be unable to read the
//! first, and each further relay gets a session of its own (6.10).

use std::{collections::BTreeMap, time::Duration};

use sremp_core::{contact_card::RelayHint, id::ContactId, route::CONFIRM_WITHIN, time::Tick};

use super::{
    super::{Engine, Step, peers::Peer},
    Relays,
};
use crate::store::StoreError;

/// So many sessions are begun with one who answers none: one by each of three relays, and one by the contact
/// itself.
const MOST_BEGUN: usize = 4;
/// A relay that has no bundle of use is asked again after this time.
const NONE_FOR: Duration = Duration::from_secs(60 * 60);

/// Between looks whether a contact has another state: the relay may still have the bundle of the old one.
const LOOKS: Duration = Duration::from_secs(2 * 60);

/// Who has given bundles, and who had none.
#[derive(Default)]
pub(super) struct Givers {
    /// Of a contact: who gave the last bundle that was used, and when.
    last: BTreeMap<ContactId, (ContactId, Tick)>,
    /// By contact and relay: when it had none of use.
    none: BTreeMap<(ContactId, ContactId), Tick>,
    looks: BTreeMap<ContactId, Look>,
}

/// So many times in [`CHANGES_WITHIN`] a look may find another key: each makes all that waits be sealed again.
const CHANGES: usize = 5;
const CHANGES_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Of a contact whose answers do not come here: its bundles are asked for, to see whether it has another state.
#[derive(Default)]
struct Look {
    due: Option<Tick>,
    last: Option<Tick>,
    /// Nobody has given a bundle since.
    asked: bool,
    /// When bundles had another key than was known.
    changes: Vec<Tick>,
}

impl Look {
    /// Is due after this time, or when there may be another.
    fn soon(&mut self, at: Tick) {
        let at = self.last.map_or(at, |last| at.max(last.plus(LOOKS)));
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    fn is_of_use(&self, now: Tick) -> bool {
        let rests = self.last.is_some_and(|last| now.since(last) < LOOKS);
        self.due.is_some() || self.asked || rests || !self.changes.is_empty()
    }
}

impl Givers {
    /// Who gave the last bundle of a contact in this run.
    pub(super) fn last(&self, contact: &ContactId) -> Option<ContactId> {
        self.last.get(contact).map(|(giver, _)| *giver)
    }

    /// A relay has no bundle of a contact.
    pub(super) fn has_none(&mut self, contact: ContactId, relay: ContactId, now: Tick) {
        if let Some(look) = self.looks.get_mut(&contact) {
            look.asked = false;
        }
        self.none.retain(|_, since| now.since(*since) < NONE_FOR);
        self.none.insert((contact, relay), now);
    }

    pub(super) fn deadline(&self) -> Option<Tick> {
        self.looks.values().filter_map(|look| look.due).min()
    }

    fn is_due(&self, contact: &ContactId) -> bool {
        let look = self.looks.get(contact);
        look.is_some_and(|look| look.due.is_some())
    }

    fn look_soon(&mut self, contact: ContactId, at: Tick) {
        self.looks.entry(contact).or_default().soon(at);
    }

    /// Whose time has come.
    fn take_due(&mut self, now: Tick) -> Vec<ContactId> {
        for look in self.looks.values_mut() {
            look.changes.retain(|at| now.since(*at) < CHANGES_WITHIN);
        }
        self.looks.retain(|_, look| look.is_of_use(now));
        let due = self.looks.iter_mut();
        let due = due.filter_map(|(contact, look)| {
            look.due.take_if(|due| *due <= now)?;
            Some(*contact)
        });
        due.collect()
    }

    /// Whether a contact is looked at now, which then counts: not if it was another one too often.
    fn looks(&mut self, contact: ContactId, now: Tick) -> bool {
        let look = self.looks.entry(contact).or_default();
        let looks = look.changes.len() < CHANGES;
        if looks {
            look.last = Some(now);
            look.asked = true;
        }
        looks
    }

    /// When a relay that had none is asked again.
    fn asked_again(&self, contact: &ContactId, relay: &ContactId, now: Tick) -> Option<Tick> {
        let until = self.none.get(&(*contact, *relay))?.plus(NONE_FOR);
        (until > now).then_some(until)
    }
}

impl Relays {
    /// Somebody has given a bundle of a contact.
    pub(in super::super) fn gave_bundle(
        &mut self,
        contact: ContactId,
        giver: ContactId,
        now: Tick,
    ) {
        self.givers.last.insert(contact, (giver, now));
        if let Some(look) = self.givers.looks.get_mut(&contact) {
            look.asked = false;
        }
    }

    /// The bundle had another key than was known.
    pub(in super::super) fn found_another_key(&mut self, contact: &ContactId, now: Tick) {
        if let Some(look) = self.givers.looks.get_mut(contact) {
            look.changes.push(now);
        }
    }

    /// A relay has failed that may have been asked for a contact's bundle: another look is due.
    pub(super) fn look_failed(&mut self, contact: ContactId, now: Tick) {
        let asked = self
            .givers
            .looks
            .get_mut(&contact)
            .filter(|look| look.asked);
        if let Some(look) = asked {
            look.asked = false;
            look.soon(now.plus(CONFIRM_WITHIN));
        }
    }

    /// At the start: what relays keep may have been left by the run before.
    pub(in super::super) fn look_later(&mut self, contact: ContactId, now: Tick) {
        self.givers.look_soon(contact, now.plus(CONFIRM_WITHIN));
    }

    /// No session was begun with what somebody has given: it is of no use, like none.
    pub(in super::super) fn began_nothing(
        &mut self,
        contact: ContactId,
        giver: ContactId,
        now: Tick,
    ) {
        self.givers.has_none(contact, giver, now);
    }
}

impl Engine {
    /// Whether contacts have a sure way for their answers. Who listens may be reached by nobody.
    pub(in super::super) const fn has_relay(&self) -> bool {
        !self.config.relays.is_empty()
    }

    /// A relay has taken something for a contact. One who was restored meanwhile cannot read it, and tells so
    /// those whom it can reach; the others see it by its bundles (3.10): at once if something older is not
    /// confirmed, and when this is not in a minute.
    pub(super) fn look_for_another_state(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
    ) -> Result<(), StoreError> {
        // the look that is due sees this too: thousands that are stored in a row are not counted each time
        if self.has_relay() || self.relays.givers.is_due(&peer.key()) {
            return Ok(());
        }
        let before = step.now.wall.minus(CONFIRM_WITHIN);
        let kept = step.tx.kept_since(peer.record.row)?;
        let at = match kept.is_some_and(|(oldest, _)| oldest <= before) {
            true => step.now.tick,
            false => step.now.tick.plus(CONFIRM_WITHIN),
        };
        self.relays.givers.look_soon(peer.key(), at);
        Ok(())
    }

    /// Looks at those whose time has come.
    pub(super) fn run_looks(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        for contact in self.relays.givers.take_due(step.now.tick) {
            let Some(peer) = self.peers.take(step.tx, &contact)? else {
                continue;
            };
            let result = self.look(step, &peer);
            self.peers.put(peer);
            result?;
        }
        Ok(())
    }

    /// Asks for a contact's bundles if it has not confirmed in time what a relay has. What has time still is
    /// looked at later.
    fn look(&mut self, step: &mut Step<'_, '_>, peer: &Peer) -> Result<(), StoreError> {
        let (key, now) = (peer.key(), step.now);
        let kept = step.tx.kept_since(peer.record.row)?;
        let Some((oldest, newest)) = kept.filter(|_| peer.is_served() && !self.has_relay()) else {
            return Ok(());
        };
        let before = now.wall.minus(CONFIRM_WITHIN);
        if oldest <= before {
            match self.relays.givers.looks(key, now.tick) {
                true => self.refetch_bundle(step, peer),
                false => self.refusals.count("restored-too-often"),
            }
        }
        // not what a clock that was ahead has stamped
        if before < newest && newest <= now.wall {
            let at = now.tick.plus(CONFIRM_WITHIN);
            self.relays.givers.look_soon(key, at);
        }
        Ok(())
    }

    /// Whether a session is begun with the bundle of this giver beside those that were not answered: they
    /// may rest on a used prekey, or on keys of before a restoration.
    pub(in super::super) fn may_begin_anew(
        &self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        giver: &ContactId,
    ) -> Result<bool, StoreError> {
        // who cannot be answered learns nothing from silence
        let hears = *giver == peer.key() || self.listening.is_some() || self.has_relay();
        if !peer.is_unanswered() || !hears || peer.book.unanswered().count() >= MOST_BEGUN {
            return Ok(false);
        }
        for session in peer.book.unanswered() {
            if step.tx.session_giver(&session)? == Some(*giver) {
                return Ok(false);
            }
        }
        Ok(!step.tx.has_confirmed(peer.record.row)?)
    }

    /// Whether a relay is given envelopes now, of which some wait or others have kept all for a while. If not,
    /// it is asked for a bundle first, or later: each session has its time.
    pub(super) fn may_give(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        hint: &RelayHint,
        waits: bool,
    ) -> Result<bool, StoreError> {
        let (key, now) = (peer.key(), step.now.tick);
        if !self.may_begin_anew(step, peer, &hint.relay)? {
            return Ok(true);
        }
        // the contact knows best, as long as it is not silent
        if waits && self.began_with(step, peer)? == Some(key) {
            return Ok(true);
        }
        if let Some(at) = self.relays.givers.asked_again(&key, &hint.relay, now) {
            self.relays.routes.soon(key, at);
            return Ok(true);
        }
        if self.relays.asks_for_keys(&key) {
            return Ok(false);
        }
        let begun = self.relays.givers.last.get(&key);
        let begun = begun.filter(|(giver, _)| *giver != key && !waits);
        if let Some((_, at)) = begun
            && now < at.plus(CONFIRM_WITHIN)
        {
            let at = at.plus(CONFIRM_WITHIN);
            self.relays.routes.soon(key, at);
            return Ok(false);
        }
        let relay = self.relays.enter_of(peer, hint);
        relay.bundles.insert(key);
        relay.want(now);
        Ok(false)
    }

    /// Whether a relay that has a message in any session is not given it again: neither it nor the contact
    /// gave the bundle of the one that sends.
    pub(super) fn gives_once(
        &self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        relay: &ContactId,
    ) -> Result<bool, StoreError> {
        if !peer.is_unanswered() {
            return Ok(false);
        }
        let began = self.began_with(step, peer)?;
        Ok(began != Some(*relay) && began != Some(peer.key()))
    }

    /// Who gave the bundle of the session that sends.
    fn began_with(
        &self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
    ) -> Result<Option<ContactId>, StoreError> {
        match peer.book.sending_session() {
            Some(session) => step.tx.session_giver(&session),
            None => Ok(None),
        }
    }
}
