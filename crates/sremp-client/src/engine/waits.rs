//! Commands that wait: `send --wait`, and faces that wait for the next event.

use std::time::Duration;

use sremp_core::{id::MsgId, time::Tick};

use super::{Engine, Step, Ticket};
use crate::{
    store::{ContactRow, EVENTS_KEPT, StoreError},
    view::{CommandError, ErrorKind, Path, Reply, SentView, Status, SubscribedView, Wait},
};

/// Commands that wait at once; one more is refused.
const MAX_WAITS: usize = 256;
/// Most events in one reply.
const MAX_EVENTS: u32 = 1_000;

/// A `send` that waits for its message to arrive.
struct SendWait {
    ticket: Ticket,
    contact: ContactRow,
    msg_id: MsgId,
    wanted: Status,
    until: Tick,
}

/// A face that waits for events.
struct EventWait {
    ticket: Ticket,
    after: u64,
    limit: u32,
    until: Tick,
}

#[derive(Default)]
pub(super) struct Waits {
    sends: Vec<SendWait>,
    events: Vec<EventWait>,
}

impl Waits {
    pub(super) fn deadline(&self) -> Option<Tick> {
        let sends = self.sends.iter().map(|w| w.until);
        sends.chain(self.events.iter().map(|w| w.until)).min()
    }

    /// Whether somebody looks on: a face waits for events, or a `send` for its message. Then
    /// confirmations need not hide when the reader is there (D3.16).
    pub(super) fn someone_looks_on(&self, now: Tick) -> bool {
        !self.sends.is_empty() || self.events.iter().any(|w| w.until > now)
    }

    fn is_full(&self) -> bool {
        self.sends.len() + self.events.len() >= MAX_WAITS
    }
}

fn too_many_waits() -> CommandError {
    CommandError::new(
        ErrorKind::Failed,
        "too many commands are waiting already; let one of them end and try again",
    )
}

/// A face was at an event that this home has not told yet.
fn not_yet(wanted: u64, last: u64) -> CommandError {
    let message = format!(
        "there is no event {wanted} yet, the last is {last}: this home is another one, or was restored; \
         ask for what comes after {last} at most"
    );
    CommandError::new(ErrorKind::Usage, message)
}

impl Engine {
    /// Answers a `send`: at once, or when its message has come as far as asked.
    pub(super) fn wait_for_message(
        &mut self,
        step: &mut Step<'_, '_>,
        ticket: Ticket,
        contact: ContactRow,
        msg_id: MsgId,
        wait: Wait,
        timeout_ms: u64,
    ) {
        let wanted = match wait {
            Wait::Outbox => {
                let sent = SentView {
                    msg_id: msg_id.to_string(),
                    status: Status::Queued,
                    path: None,
                    reason: None,
                };
                return step.reply(ticket, Ok(Reply::Sent(sent)));
            }
            Wait::Relay => Status::AtRelay,
            Wait::Device => Status::OnDevice,
        };
        // the message is in the outbox whatever its sender is told: where too many wait, how far it is now
        let patience = match self.waits.is_full() {
            true => Duration::ZERO,
            false => Duration::from_millis(timeout_ms),
        };
        self.waits.sends.push(SendWait {
            ticket,
            contact,
            msg_id,
            wanted,
            until: step.now.tick.plus(patience),
        });
    }

    /// Tells a waiting `send` how far its message has come; a final status ends the wait.
    pub(super) fn message_came(
        &mut self,
        step: &mut Step<'_, '_>,
        msg_id: MsgId,
        status: Status,
        path: Option<Path>,
    ) {
        let (done, waiting) = std::mem::take(&mut self.waits.sends)
            .into_iter()
            .partition(|w| w.msg_id == msg_id && status >= w.wanted);
        self.waits.sends = waiting;
        for wait in done {
            let sent = SentView {
                msg_id: msg_id.to_string(),
                status,
                path,
                reason: None,
            };
            step.reply(wait.ticket, Ok(Reply::Sent(sent)));
        }
    }

    /// Answers with events, or waits for the first.
    pub(super) fn wait_for_events(
        &mut self,
        step: &mut Step<'_, '_>,
        ticket: Ticket,
        after: Option<u64>,
        limit: u32,
        wait_ms: u64,
    ) -> Result<(), StoreError> {
        let after = match after {
            Some(after) => after,
            None => step.tx.acknowledged()?,
        };
        if after > self.last_event {
            step.reply(ticket, Err(not_yet(after, self.last_event)));
            return Ok(());
        }
        if wait_ms > 0 && self.waits.is_full() {
            step.reply(ticket, Err(too_many_waits()));
            return Ok(());
        }
        self.waits.events.push(EventWait {
            ticket,
            after,
            limit: limit.clamp(1, MAX_EVENTS),
            until: step.now.tick.plus(Duration::from_millis(wait_ms)),
        });
        Ok(())
    }

    /// Acknowledges events for all faces. A number that has not been yet comes from a face of another home,
    /// which would throw away what nobody has seen.
    pub(super) fn acknowledge(
        &self,
        step: &mut Step<'_, '_>,
        seq: u64,
    ) -> Result<Result<Reply, CommandError>, StoreError> {
        if seq > self.last_event {
            return Ok(Err(not_yet(seq, self.last_event)));
        }
        step.tx.acknowledge(seq)?;
        Ok(Ok(Reply::Done {}))
    }

    /// Where a subscription begins.
    pub(super) fn begin_subscription(
        &mut self,
        step: &mut Step<'_, '_>,
        after: Option<u64>,
    ) -> Result<Result<Reply, CommandError>, StoreError> {
        let acknowledged = step.tx.acknowledged()?;
        let (wanted, last) = (after.unwrap_or(acknowledged), self.last_event);
        if wanted > last {
            return Ok(Err(not_yet(wanted, last)));
        }
        let kept_after = acknowledged.saturating_sub(EVENTS_KEPT);
        Ok(Ok(Reply::Subscribed(SubscribedView {
            after: wanted.max(kept_after),
            last,
            forgotten: (wanted < kept_after).then_some(kept_after),
        })))
    }

    /// A face has left: its waits for events end now. A `send` has its own end.
    pub(super) fn end_event_waits(&mut self, tickets: &[Ticket], now: Tick) {
        let left = |wait: &&mut EventWait| tickets.contains(&wait.ticket);
        for wait in self.waits.events.iter_mut().filter(left) {
            wait.until = now;
        }
    }

    /// At the end of a step: answers whom its events, or its time, concern.
    pub(super) fn answer_waits(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        for wait in std::mem::take(&mut self.waits.sends) {
            if wait.until > step.now.tick {
                self.waits.sends.push(wait);
                continue;
            }
            let known = match step.tx.message(Some(wait.contact), &wait.msg_id)? {
                None => step.tx.action(wait.contact, &wait.msg_id)?,
                known => known,
            };
            let known_status = known.as_ref().and_then(|m| m.status);
            let sent = SentView {
                msg_id: wait.msg_id.to_string(),
                status: known_status.unwrap_or(Status::Queued),
                path: known.and_then(|m| m.path),
                reason: self
                    .why_waiting(step, wait.contact, Some(&wait.msg_id))?
                    .map(|(_, words)| words),
            };
            step.reply(wait.ticket, Ok(Reply::Sent(sent)));
        }
        for wait in std::mem::take(&mut self.waits.events) {
            if self.last_event <= wait.after && wait.until > step.now.tick {
                self.waits.events.push(wait);
                continue;
            }
            let mut events = Vec::new();
            let mut upto = wait.after;
            for (seq, json) in step.tx.events(wait.after, wait.limit)? {
                events.extend(self.tell(step, seq, &json)?);
                upto = seq;
            }
            step.reply(wait.ticket, Ok(Reply::Events { events, upto }));
        }
        Ok(())
    }
}
