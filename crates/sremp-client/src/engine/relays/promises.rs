//! How long relays have promised to keep what they were given: what none keeps any more waits anew.

use std::{collections::BTreeMap, time::Duration};

use sremp_core::{
    id::{ContactId, MsgId},
    route::REFUSAL_PAUSES,
    time::{Tick, UnixMillis},
};

use super::super::{Engine, Now, Step, peers::Peer};
use crate::{
    store::{ContactRecord, StoreError},
    view::Status,
};

/// Promises are looked at so often at most.
const PAUSE: Duration = Duration::from_secs(1);

/// What a relay kept for nothing it is given again after this time at the latest.
const LONGEST_REST: Duration = Duration::from_secs(60 * 60);
/// So many relays are remembered that kept something for nothing before those are forgotten whose rest is over.
const MANY_OVER: usize = 1_024;

/// A relay that kept something for a contact for as long as it had promised, and for nothing.
struct Over {
    times: u32,
    until: Tick,
}

/// Relays' promises that are waited for, and those that are over.
#[derive(Default)]
pub(super) struct Promises {
    /// When the first ends.
    ends: Option<Tick>,
    /// Not looked at before.
    rests_until: Option<Tick>,
    /// By contact and relay.
    over: BTreeMap<(ContactId, ContactId), Over>,
}

impl Promises {
    /// A relay keeps something until then.
    pub(super) fn given(&mut self, until: Tick) {
        self.ends = Some(self.ends.map_or(until, |ends| ends.min(until)));
    }

    pub(super) fn deadline(&self) -> Option<Tick> {
        self.ends.max(self.ends.and(self.rests_until))
    }

    /// A promise is over: the relay is left alone with this contact for a while, longer each time. What ends
    /// until then is the same end.
    fn is_over(&mut self, contact: ContactId, relay: ContactId, now: Tick) {
        if self.over.len() >= MANY_OVER {
            self.over.retain(|_, over| over.until > now);
        }
        let first = Over {
            times: 0,
            until: now,
        };
        let over = self.over.entry((contact, relay)).or_insert(first);
        if over.until <= now {
            let rest = REFUSAL_PAUSES.exact(over.times).min(LONGEST_REST);
            over.times = over.times.saturating_add(1);
            over.until = now.plus(rest);
        }
    }

    /// A contact has fetched something that waited at a relay.
    pub(super) fn fetched(&mut self, contact: ContactId) {
        self.over.retain(|(of, _), _| *of != contact);
    }

    /// Until when a relay is left alone with a contact.
    pub(super) fn rests(&self, contact: ContactId, relay: ContactId, now: Tick) -> Option<Tick> {
        let over = self.over.get(&(contact, relay))?;
        (over.until > now).then_some(over.until)
    }
}

/// A calendar's time as the stopwatch will show it.
fn stopwatch(at: UnixMillis, now: Now) -> Tick {
    now.tick.plus(at.since(now.wall))
}

impl Engine {
    /// From here on the end of a promise is waited for, unless the calendar is doubted.
    pub(in super::super) fn await_promises(
        &mut self,
        step: &mut Step<'_, '_>,
    ) -> Result<(), StoreError> {
        let first = step.tx.first_promise_end()?;
        let promises = &mut self.relays.promises;
        promises.ends = first.map(|at| stopwatch(at, step.now));
        promises.rests_until = Some(step.now.tick.plus(PAUSE));
        Ok(())
    }

    /// What relays keep no more waits anew, when the first of their promises is over.
    pub(in super::super) fn end_promises(
        &mut self,
        step: &mut Step<'_, '_>,
    ) -> Result<(), StoreError> {
        let due = self.relays.promises.deadline();
        if !self.online || due.is_none_or(|due| due > step.now.tick) {
            return Ok(());
        }
        if self.is_calendar_doubted(step)? {
            self.relays.promises.ends = None;
            return Ok(());
        }
        self.end_relay_storage(step)
    }

    /// Envelopes whose relays have ceased to keep them wait anew.
    pub(in super::super) fn end_relay_storage(
        &mut self,
        step: &mut Step<'_, '_>,
    ) -> Result<(), StoreError> {
        for (row, msg_id, message_id) in step.tx.end_relay_storage(step.now.wall)? {
            let Some(contact) = step.tx.contact(row)? else {
                continue;
            };
            self.leave_whose_promise_is_over(step, &contact, &msg_id, message_id)?;
            self.push_soon(&contact.key);
            if let Some(peer) = self.peers.take(step.tx, &contact.key)? {
                let told = self.no_longer_kept(step, &peer, msg_id);
                self.peers.put(peer);
                told?;
            }
        }
        self.await_promises(step)
    }

    /// Relays that kept an envelope for nothing get what is for its contact again after a rest: they may
    /// promise a second each time.
    fn leave_whose_promise_is_over(
        &mut self,
        step: &mut Step<'_, '_>,
        contact: &ContactRecord,
        msg_id: &MsgId,
        message_id: Option<u64>,
    ) -> Result<(), StoreError> {
        for receipt in step.tx.receipts(contact.row, msg_id)? {
            // not those of an earlier time, whose ends are past
            if message_id.is_none_or(|name| name == receipt.message_id) {
                let promises = &mut self.relays.promises;
                promises.is_over(contact.key, receipt.relay, step.now.tick);
            }
        }
        Ok(())
    }

    /// No relay keeps a message any more that may have been said to be at one.
    pub(in super::super) fn no_longer_kept(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        msg_id: MsgId,
    ) -> Result<(), StoreError> {
        match step
            .tx
            .wait_again(&msg_id, peer.record.row, step.now.wall)?
        {
            true => self.tell_status(step, peer, msg_id, Status::Queued, None),
            false => Ok(()),
        }
    }
}
