//! What a relay was given before something that its reader has confirmed, and that is not confirmed itself
//! (6.10): the relay has lost it, or keeps it back, or another copy of the reader's home has taken it. A mailbox
//! is read in its order, so it is not waited for until the relay's promise ends.

use std::{collections::BTreeMap, time::Duration};

use sremp_core::{
    id::{ContactId, MsgId},
    route::{Backoff, CONFIRM_WITHIN},
    time::Tick,
};

use super::{
    super::{Engine, Now, Step, peers::Peer},
    Relays,
};
use crate::store::{ReceiptPlace, StoreError, Tx};

/// From one time that a relay was found to have passed something over to the next.
const PAUSES: Backoff = Backoff {
    first: CONFIRM_WITHIN,
    longest: Duration::from_secs(60 * 60),
};
/// So many are remembered before those are forgotten that passed nothing over of late.
const MANY: usize = 1_024;
/// What is told of the relay, for every message that waited then.
const PASSED_OVER: &str = "it did not give out something that it had promised to keep";

/// How far a contact has read at one relay.
struct Reading {
    /// The last receipt that counts at `due`.
    upto: ReceiptPlace,
    /// The last of what was confirmed since.
    later: Option<ReceiptPlace>,
    /// What is older has had its time then; `None` until something is confirmed.
    due: Option<Tick>,
    /// What is older than this receipt was passed over, if it is not confirmed.
    passed: Option<ReceiptPlace>,
    /// Not looked at before.
    rests_until: Tick,
    /// How often in a row something was passed over.
    times: u32,
}

impl Reading {
    /// Something was read that the relay had then.
    fn goes_on(&mut self, place: ReceiptPlace, now: Tick) {
        let enough = now.plus(CONFIRM_WITHIN);
        match self.due {
            None => {
                self.upto = place;
                self.due = Some(enough.max(self.rests_until));
            }
            // what is older has its whole time until then
            Some(due) if due >= enough => self.upto = self.upto.max(place),
            Some(_) => self.later = self.later.max(Some(place)),
        }
    }
}

/// How far contacts have read at relays, by contact and relay.
#[derive(Default)]
pub(super) struct PassedOver(BTreeMap<(ContactId, ContactId), Reading>);

impl PassedOver {
    /// What contacts had confirmed before this start, where relays keep something.
    fn load(tx: &mut Tx<'_>, now: Now) -> Result<Self, StoreError> {
        let mut passed_over = Self::default();
        let long_ago = now.wall.minus(CONFIRM_WITHIN);
        for (contact, relay, place) in tx.read_at_relays(long_ago)? {
            passed_over.read(contact, relay, place, now.tick);
        }
        for reading in passed_over.0.values_mut() {
            reading.due = Some(now.tick);
        }
        for (contact, relay, place) in tx.read_at_relays(now.wall)? {
            passed_over.read(contact, relay, place, now.tick);
        }
        Ok(passed_over)
    }

    /// A contact has confirmed what a relay had.
    fn read(&mut self, contact: ContactId, relay: ContactId, place: ReceiptPlace, now: Tick) {
        if self.0.len() >= MANY {
            self.0
                .retain(|_, reading| reading.due.is_some() || reading.times > 0);
        }
        let reading = self.0.entry((contact, relay)).or_insert(Reading {
            upto: place,
            later: None,
            due: None,
            passed: None,
            rests_until: now,
            times: 0,
        });
        reading.goes_on(place, now);
    }

    pub(super) fn deadline(&self) -> Option<Tick> {
        self.0.values().filter_map(|reading| reading.due).min()
    }

    /// Who may have passed something over, and what counts now.
    fn take_due(&mut self, now: Tick) -> Vec<(ContactId, ContactId, ReceiptPlace)> {
        let due = |reading: &Reading| reading.due.is_some_and(|at| at <= now);
        let due = self.0.iter_mut().filter(|(_, reading)| due(reading));
        due.map(|((contact, relay), reading)| {
            let upto = reading.upto;
            reading.passed = reading.passed.max(Some(upto));
            reading.due = reading.later.map(|_| now.plus(CONFIRM_WITHIN));
            reading.upto = reading.later.take().unwrap_or(upto);
            (*contact, *relay, upto)
        })
        .collect()
    }

    /// Whether what a relay has had for a contact since then was passed over.
    fn is_passed(&self, contact: ContactId, relay: ContactId, place: ReceiptPlace) -> bool {
        let reading = self.0.get(&(contact, relay));
        reading.is_some_and(|r| r.passed.is_some_and(|passed| place.is_before(passed)))
    }

    /// Whether something was found. After one that was the next look is later; and one that finds nothing counts
    /// only when that was long ago, as what was given again is younger than most of what is read then.
    fn looked(&mut self, contact: ContactId, relay: ContactId, found: bool, now: Tick) {
        let Some(reading) = self.0.get_mut(&(contact, relay)) else {
            return;
        };
        if found {
            reading.rests_until = now.plus(PAUSES.exact(reading.times));
            reading.times = reading.times.saturating_add(1);
            reading.due = reading.due.map(|due| due.max(reading.rests_until));
        } else if now >= reading.rests_until.plus(PAUSES.longest) {
            reading.times = 0;
        }
    }
}

impl Relays {
    /// Takes up what was known of contacts' reading when the client ended.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub(in super::super) fn load_reading(
        &mut self,
        tx: &mut Tx<'_>,
        now: Now,
    ) -> Result<(), StoreError> {
        self.passed_over = PassedOver::load(tx, now)?;
        Ok(())
    }
}

impl Engine {
    /// A contact has confirmed an envelope, which may show how far it has read at a relay.
    pub(super) fn note_read(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        msg_id: &MsgId,
        message_id: u64,
    ) -> Result<(), StoreError> {
        // of two relays it is not known at which one it was read
        let only = step.tx.only_receipt(peer.record.row, msg_id, message_id)?;
        if let Some((relay, place)) = only {
            let passed_over = &mut self.relays.passed_over;
            passed_over.read(peer.key(), relay, place, step.now.tick);
        }
        Ok(())
    }

    /// What all relays that had it have passed over waits anew, under another name.
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
            let found = match peer.is_served() {
                true => self.give_what_one_passed_over(step, &peer, &relay, upto),
                false => Ok(false),
            };
            self.peers.put(peer);
            let passed_over = &mut self.relays.passed_over;
            passed_over.looked(contact, relay, found?, step.now.tick);
        }
        Ok(())
    }

    /// Whether it passed anything over.
    fn give_what_one_passed_over(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        relay: &ContactId,
        upto: ReceiptPlace,
    ) -> Result<bool, StoreError> {
        let (row, key) = (peer.record.row, peer.key());
        let mut found = false;
        for (item, msg_id) in step.tx.kept_before(row, relay, upto)? {
            let passed = &self.relays.passed_over;
            let had = step.tx.receipts_of_item(item)?;
            // another relay may keep it still
            if had
                .iter()
                .all(|(at, place)| passed.is_passed(key, *at, *place))
            {
                step.tx.keep_no_more(item)?;
                self.no_longer_kept(step, peer, msg_id)?;
                found = true;
            }
        }
        if found {
            self.refusals.count("passed-over");
            step.tx
                .note_attempt(row, Some(relay), PASSED_OVER, step.now.wall)?;
            self.push_soon(&key);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
    use sremp_core::{
        identity::{SecretIdentity, Username},
        time::UnixMillis,
    };

    use super::*;

    fn place(id: i64) -> ReceiptPlace {
        let stored = UnixMillis::new(id.unsigned_abs()).unwrap();
        ReceiptPlace { id, stored }
    }

    fn contact_and_relay() -> (ContactId, ContactId) {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let name = Username::parse("someone").unwrap();
        let mut id = || SecretIdentity::generate(&name, UnixMillis::ZERO, &mut rng).id();
        (id(), id())
    }

    #[test]
    fn what_is_read_counts_after_a_minute_and_what_is_read_within_it_a_minute_later() {
        let (contact, relay) = contact_and_relay();
        let mut passed_over = PassedOver::default();
        let at = |seconds: u64| Tick::new(seconds * 1_000);
        passed_over.read(contact, relay, place(5), at(0));
        passed_over.read(contact, relay, place(9), at(30));
        passed_over.read(contact, relay, place(7), at(40));
        assert!(passed_over.take_due(at(59)).is_empty());
        assert_eq!(passed_over.take_due(at(60)), [(contact, relay, place(5))]);
        assert!(passed_over.is_passed(contact, relay, place(4)));
        assert!(!passed_over.is_passed(contact, relay, place(5)));
        assert_eq!(passed_over.deadline(), Some(at(120)));
        assert_eq!(passed_over.take_due(at(120)), [(contact, relay, place(9))]);
        assert_eq!(passed_over.deadline(), None);
        assert!(passed_over.is_passed(contact, relay, place(8)));
        assert!(!passed_over.is_passed(relay, contact, place(8)));
    }

    #[test]
    fn each_pause_after_a_find_is_twice_the_one_before_until_nothing_was_found_for_an_hour() {
        let (contact, relay) = contact_and_relay();
        let mut passed_over = PassedOver::default();
        let mut now = Tick::new(0);
        let mut id = 0;
        let mut pause = |passed_over: &mut PassedOver, found| {
            id += 1;
            passed_over.read(contact, relay, place(id), now);
            let due = passed_over.deadline().unwrap();
            let pause = due.since(now).as_secs() / 60;
            now = due;
            assert_eq!(passed_over.take_due(now).len(), 1);
            passed_over.looked(contact, relay, found, now);
            pause
        };
        let pauses = [true; 9].map(|found| pause(&mut passed_over, found));
        assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause(&mut passed_over, false), 60, "it rested");
        let soon = [false; 60].map(|found| pause(&mut passed_over, found));
        assert!(soon.iter().all(|minutes| *minutes == 1), "{soon:?}");
        let again = [true; 3].map(|found| pause(&mut passed_over, found));
        assert_eq!(again, [1, 1, 2], "as at first");
    }
}
