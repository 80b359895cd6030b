//! How long relays have promised to keep what they were given: what none keeps any more waits anew.

use std::time::Duration;

use sremp_core::{
    id::MsgId,
    time::{Tick, UnixMillis},
};

use super::{
    super::{Engine, Now, Step, peers::Peer},
    routing::PROMISE_OVER,
};
use crate::{
    store::{ContactRecord, StoreError},
    view::Status,
};

/// Promises are looked at so often at most.
const PAUSE: Duration = Duration::from_secs(1);

/// When the first promise ends.
#[derive(Default)]
pub(super) struct Promises {
    ends: Option<Tick>,
    /// Not looked at before.
    rests_until: Option<Tick>,
}

impl Promises {
    /// A relay keeps something until then.
    pub(super) fn given(&mut self, until: Tick) {
        self.ends = Some(self.ends.map_or(until, |ends| ends.min(until)));
    }

    pub(super) fn deadline(&self) -> Option<Tick> {
        self.ends.max(self.ends.and(self.rests_until))
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
        self.relays.promises = Promises {
            ends: first.map(|at| stopwatch(at, step.now)),
            rests_until: Some(step.now.tick.plus(PAUSE)),
        };
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
            self.relays.promises = Promises::default();
            return Ok(());
        }
        self.end_relay_storage(step)
    }

    /// Envelopes whose relays have ceased to keep them wait anew.
    pub(in super::super) fn end_relay_storage(
        &mut self,
        step: &mut Step<'_, '_>,
    ) -> Result<(), StoreError> {
        for (row, msg_id) in step.tx.end_relay_storage(step.now.wall)? {
            let Some(contact) = step.tx.contact(row)? else {
                continue;
            };
            self.leave_whose_promise_is_over(step, &contact, &msg_id)?;
            self.push_soon(&contact.key);
            if let Some(peer) = self.peers.take(step.tx, &contact.key)? {
                let told = self.no_longer_kept(step, &peer, msg_id);
                self.peers.put(peer);
                told?;
            }
        }
        self.await_promises(step)
    }

    /// Relays that kept a message for nothing get what is for its contact again after a pause that grows:
    /// they may promise a second each time.
    fn leave_whose_promise_is_over(
        &mut self,
        step: &mut Step<'_, '_>,
        contact: &ContactRecord,
        msg_id: &MsgId,
    ) -> Result<(), StoreError> {
        for receipt in step.tx.receipts(contact.row, msg_id)? {
            let (key, relay, now) = (contact.key, receipt.relay, step.now.tick);
            let routes = &mut self.relays.routes;
            routes.refused(key, relay, PROMISE_OVER, Duration::ZERO, now);
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
