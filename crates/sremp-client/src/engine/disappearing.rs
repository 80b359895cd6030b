//! Messages that disappear (3.11): who set which timer, when each message goes, and that it goes.

use std::time::Duration;

use sremp_core::{
    constants::{MIN_TIMER, TIMER_AHEAD},
    session::content::{Body, Content},
    time::{Tick, UnixMillis},
};

use super::{Engine, Now, Step, lines::grey_line, peers::Peer};
use crate::{
    clock::{Rfc3339, period},
    store::{ContactRow, Expiry, MessageRecord, StoreError, TimerRecord, Tx},
    view::{EventKind, MessageKind},
};

/// Messages that are erased in one step at the most.
const AT_ONCE: u32 = 128;
/// Pause when more are due.
const PAUSE: Duration = Duration::from_millis(100);

/// When the next message goes, by both clocks: a calendar that is turned forward is followed at the
/// next step.
#[derive(Clone, Copy, Default)]
pub(super) struct Disappearing(Option<(UnixMillis, Tick)>);

impl Disappearing {
    pub(super) fn load(tx: &mut Tx<'_>, now: Now) -> Result<Self, StoreError> {
        let next = tx.next_expiry()?;
        Ok(Self(next.map(|at| (at, tick_of(at, now)))))
    }

    pub(super) fn deadline(&self) -> Option<Tick> {
        self.0.map(|(_, tick)| tick)
    }

    fn is_due(&self, now: Now) -> bool {
        self.0
            .is_some_and(|(at, tick)| at <= now.wall || tick <= now.tick)
    }

    fn also(&mut self, at: UnixMillis, now: Now) {
        let new = (at, tick_of(at, now));
        self.0 = Some(self.0.map_or(new, |known| known.min(new)));
    }
}

fn tick_of(at: UnixMillis, now: Now) -> Tick {
    now.tick.plus(at.since(now.wall))
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// Whether a line has had its time, though it may not be erased yet.
pub(super) fn is_over(line: &MessageRecord, now: UnixMillis) -> bool {
    let ends = line.expiry.and_then(|expiry| expiry.at);
    ends.is_some_and(|at| at <= now)
}

impl Engine {
    /// Erases what has had its time: before anything else of a step, so that nobody is shown it.
    pub(super) fn erase_expired(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        if !self.disappearing.is_due(step.now) {
            return Ok(());
        }
        let due = step.tx.expired_messages(step.now.wall, AT_ONCE)?;
        for line in &due {
            step.tx.erase_message(*line)?;
        }
        self.disappearing = Disappearing::load(step.tx, step.now)?;
        if due.len() == AT_ONCE as usize
            && let Some((_, tick)) = &mut self.disappearing.0
        {
            *tick = (*tick).max(step.now.tick.plus(PAUSE));
        }
        Ok(())
    }

    /// A line that was just written disappears as its conversation's timer says: one's own after
    /// sending, a contact's after it was read.
    pub(super) fn time_line(
        &mut self,
        step: &mut Step<'_, '_>,
        contact: ContactRow,
        line: i64,
        kind: MessageKind,
    ) -> Result<(), StoreError> {
        let timer = step.tx.timer(contact)?.map_or(0, |timer| timer.seconds);
        if timer == 0 {
            return Ok(());
        }
        let at = (kind == MessageKind::Sent).then(|| step.now.wall.plus(seconds(timer)));
        if let Some(at) = at {
            self.disappearing.also(at, step.now);
        }
        let expiry = Expiry { seconds: timer, at };
        step.tx.set_expiry(line, expiry)
    }

    /// A face is given this line: its time begins, if it has one.
    pub(super) fn has_been_read(
        &mut self,
        step: &mut Step<'_, '_>,
        line: &mut MessageRecord,
    ) -> Result<(), StoreError> {
        if let Some(expiry) = &mut line.expiry
            && expiry.at.is_none()
        {
            let at = step.now.wall.plus(seconds(expiry.seconds));
            expiry.at = Some(at);
            step.tx.begin_expiry(line.id, at)?;
            self.disappearing.also(at, step.now);
        }
        Ok(())
    }

    /// A contact sets the timer.
    pub(super) fn handle_timer(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        content: &Content,
    ) -> Result<(), StoreError> {
        let Body::Timer { seconds } = content.body else {
            return Ok(());
        };
        let seconds = match seconds {
            0 => 0,
            short => short.max(MIN_TIMER),
        };
        let sent = content.sent.min(step.now.wall.plus(TIMER_AHEAD));
        let known = step.tx.timer(peer.record.row)?;
        // of two that cross the later counts on both sides; and none counts twice
        if known.is_some_and(|known| (sent, seconds) <= (known.sent, known.seconds)) {
            return Ok(());
        }
        self.settle_timer(step, peer, (seconds, sent), Some(&peer.name()))
    }

    /// When the user's own TIMER is to say that it was sent: after whichever holds now.
    pub(super) fn timer_time(
        &self,
        step: &mut Step<'_, '_>,
        contact: ContactRow,
    ) -> Result<UnixMillis, StoreError> {
        let known = step.tx.timer(contact)?;
        let after = known.map(|known| known.sent.plus(Duration::from_millis(1)));
        Ok(after.map_or(step.now.wall, |after| after.max(step.now.wall)))
    }

    /// The timer is this from now on; `by` is the contact's name, or it was the user.
    pub(super) fn settle_timer(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        (seconds, sent): (u32, UnixMillis),
        by: Option<&str>,
    ) -> Result<(), StoreError> {
        let row = peer.record.row;
        let known = step.tx.timer(row)?;
        let mut timer = TimerRecord {
            seconds,
            sent,
            line: known.and_then(|known| known.line),
            event: known.and_then(|known| known.event),
        };
        if known.map_or(0, |known| known.seconds) != seconds {
            let name = by.unwrap_or("you");
            timer.line = timer_line(step, row, timer.line, seconds, name)?;
            if let Some(alias) = by {
                let event = EventKind::Timer {
                    from: peer.key().to_string(),
                    alias: alias.to_owned(),
                    seconds,
                    at: Rfc3339(step.now.wall),
                };
                timer.event = Some(self.emit_instead(step, timer.event, &event)?);
            }
        }
        step.tx.set_timer(row, &timer)
    }
}

/// The grey line that tells of a timer. One that is still the last of its conversation gives way:
/// timers alone make no conversation longer.
fn timer_line(
    step: &mut Step<'_, '_>,
    contact: ContactRow,
    earlier: Option<i64>,
    seconds: u32,
    by: &str,
) -> Result<Option<i64>, StoreError> {
    if let Some(earlier) = earlier
        && step.tx.is_last_line(contact, earlier)?
    {
        step.tx.delete_notice(earlier)?;
    }
    let text = match seconds {
        0 => format!("new messages do not disappear any more, set by {by}"),
        _ => format!(
            "new messages disappear after {}, set by {by}",
            period(seconds)
        ),
    };
    grey_line(step, contact, &text, step.now.wall)
}
