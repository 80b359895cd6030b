//! What a relay was given before something that its reader has confirmed, and that is not confirmed itself
//! (6.10): the relay has lost it, or keeps it back, or another copy of the reader's home has taken it. A mailbox
//! is read in its order, so it is not waited for until the relay's promise ends.

use std::{collections::BTreeMap, time::Duration};

use sremp_core::{
    id::{ContactId, MsgId},
    route::{Backoff, CONFIRM_WITHIN},
    time::{Tick, UnixMillis},
};

use super::super::{Engine, Step, peers::Peer};
use crate::store::StoreError;

/// From one time that a relay was found to have passed something over to the next.
const PAUSES: Backoff = Backoff {
    first: CONFIRM_WITHIN,
    longest: Duration::from_secs(60 * 60),
};
/// So many are remembered before those are forgotten that passed something over long ago.
const MANY: usize = 1_024;
/// Why something is given once more, for `why`.
const PASSED_OVER: &str = "what it was given later was read, and this was not";

/// What is known of a contact's reading at one relay.
struct Reading {
    /// By the relay's clock: when it had the last that counts now.
    upto: UnixMillis,
    /// The same for what was confirmed since.
    later: Option<UnixMillis>,
    /// When what is older has had its time; `None` until something is confirmed.
    due: Option<Tick>,
    /// Not looked at before.
    rests_until: Tick,
    /// How often in a row something was passed over.
    times: u32,
}

/// How far contacts have read at relays, by contact and relay.
#[derive(Default)]
pub(super) struct PassedOver(BTreeMap<(ContactId, ContactId), Reading>);

impl PassedOver {
    /// A contact has confirmed what a relay has had since then.
    fn read(&mut self, contact: ContactId, relay: ContactId, since: UnixMillis, now: Tick) {
        if self.0.len() >= MANY {
            self.0
                .retain(|_, reading| reading.due.is_some() || reading.rests_until > now);
        }
        let reading = self.0.entry((contact, relay)).or_insert(Reading {
            upto: since,
            later: None,
            due: None,
            rests_until: now,
            times: 0,
        });
        if reading.due.is_some() {
            reading.later = reading.later.max(Some(since));
            return;
        }
        reading.upto = since;
        reading.due = Some(now.plus(CONFIRM_WITHIN).max(reading.rests_until));
    }

    pub(super) fn deadline(&self) -> Option<Tick> {
        self.0.values().filter_map(|reading| reading.due).min()
    }

    /// Whose time is over, with what counts for each.
    fn take_due(&mut self, now: Tick) -> Vec<(ContactId, ContactId, UnixMillis)> {
        let due = |reading: &Reading| reading.due.is_some_and(|at| at <= now);
        let due = self.0.iter_mut().filter(|(_, reading)| due(reading));
        due.map(|((contact, relay), reading)| {
            let upto = reading.upto;
            reading.due = reading.later.map(|_| now.plus(CONFIRM_WITHIN));
            reading.upto = reading.later.take().unwrap_or(upto);
            (*contact, *relay, upto)
        })
        .collect()
    }

    /// Nothing was passed over: forgotten is what was, if it was long ago. What was given again since may be
    /// younger than what was read.
    fn found_nothing(&mut self, contact: ContactId, relay: ContactId, now: Tick) {
        let key = (contact, relay);
        let Some(reading) = self.0.get_mut(&key) else {
            return;
        };
        if reading.times > 0 && now < reading.rests_until.plus(PAUSES.longest) {
            return;
        }
        reading.times = 0;
        if reading.due.is_none() {
            self.0.remove(&key);
        }
    }

    /// Something was passed over: the next time is later.
    fn found(&mut self, contact: ContactId, relay: ContactId, now: Tick) {
        if let Some(reading) = self.0.get_mut(&(contact, relay)) {
            reading.rests_until = now.plus(PAUSES.exact(reading.times));
            reading.times = reading.times.saturating_add(1);
            reading.due = reading.due.map(|due| due.max(reading.rests_until));
        }
    }
}

impl Engine {
    /// A contact has confirmed an envelope that one relay had, and no other.
    pub(super) fn has_read(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        msg_id: &MsgId,
        message_id: u64,
    ) -> Result<(), StoreError> {
        let receipts = step.tx.receipts(peer.record.row, msg_id)?;
        let mut relays = receipts.iter().filter(|r| r.message_id == message_id);
        let Some(first) = relays.next() else {
            return Ok(());
        };
        // of two it is not known where it was read
        if receipts.iter().all(|r| r.relay == first.relay) {
            let passed_over = &mut self.relays.passed_over;
            passed_over.read(peer.key(), first.relay, first.stored, step.now.tick);
        }
        Ok(())
    }

    /// What relays have passed over for a while waits anew, under another name.
    pub(in super::super) fn give_what_was_passed_over(
        &mut self,
        step: &mut Step<'_, '_>,
    ) -> Result<(), StoreError> {
        if !self.online {
            return Ok(());
        }
        for (contact, relay, upto) in self.relays.passed_over.take_due(step.now.tick) {
            let Some(peer) = self.peers.take(step.tx, &contact)? else {
                continue;
            };
            let given = self.give_what_one_passed_over(step, &peer, &relay, upto);
            self.peers.put(peer);
            given?;
        }
        Ok(())
    }

    fn give_what_one_passed_over(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        relay: &ContactId,
        upto: UnixMillis,
    ) -> Result<(), StoreError> {
        let (row, key, now) = (peer.record.row, peer.key(), step.now.tick);
        let passed = step.tx.take_passed_over(row, relay, upto)?;
        if passed.is_empty() {
            self.relays.passed_over.found_nothing(key, *relay, now);
            return Ok(());
        }
        self.refusals.count("passed-over");
        step.tx
            .note_attempt(row, Some(relay), PASSED_OVER, step.now.wall)?;
        for msg_id in passed {
            self.no_longer_kept(step, peer, msg_id)?;
        }
        self.relays.passed_over.found(key, *relay, now);
        self.push_soon(&key);
        Ok(())
    }
}
