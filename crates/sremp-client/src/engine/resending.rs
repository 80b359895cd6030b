//! What a contact lacks that was restored from a backup: it had confirmed messages that the backup
//! does not hold (D3.12, D3.13).

use std::time::Duration;

use sremp_core::session::content::Body;

use super::{Engine, Step, peers::Peer, restoring::Said, sending::OUTBOX_AGE};
use crate::store::{MessageRecord, StoreError};

/// Messages that go out again at the most, the newest.
const MOST: u32 = 5_000;
/// Edits and deletions that go out again at the most, the newest.
const MOST_CHANGES: u32 = 500;
/// A contact gets them once in this time: whoever asks again and again has them already.
const PAUSE: Duration = Duration::from_secs(60 * 60);

impl Engine {
    /// Puts what a contact lacks beyond `last_seq` before what waits for it. Tells how many messages
    /// go out again; `None`: nothing is lacking, or it was sent just now.
    pub(super) fn send_lost(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        last_seq: u64,
    ) -> Result<Option<u64>, StoreError> {
        let tick = step.now.tick;
        self.resent.retain(|_, at| tick.since(*at) < PAUSE);
        if self.resent.contains_key(&peer.key()) {
            self.refusals.count("restored-too-often");
            return Ok(None);
        }
        let row = peer.record.row;
        let since = step.now.wall.minus(OUTBOX_AGE);
        let lost = step.tx.confirmed_after(row, last_seq, since, MOST)?;
        let changed = step.tx.changed_after(row, last_seq, since, MOST_CHANGES)?;
        let timer = step.tx.timer(row)?;
        let mut first = Vec::new();
        if let Some(timer) = timer {
            let body = Body::Timer {
                seconds: timer.seconds,
            };
            first.push(Said::new(self.fresh_msg_id(step), timer.sent, body));
        }
        first.extend(lost.into_iter().filter_map(again));
        for line in changed {
            let msg_id = self.fresh_msg_id(step);
            first.extend(change_of(line).map(|(at, body)| Said::new(msg_id, at, body)));
        }
        if first.is_empty() {
            return Ok(None);
        }
        self.resent.insert(peer.key(), tick);
        self.write_outbox_anew(step, peer, first, false).map(Some)
    }
}

/// The message under its id, with the text that it has by now.
fn again(line: MessageRecord) -> Option<Said> {
    let body = match line.answers {
        Some(msg_id) => Body::Reply {
            msg_id,
            text: line.text,
        },
        None => Body::Text(line.text),
    };
    Some(Said::message(line.msg_id?, line.sent, body))
}

/// What was done to a message that the contact has.
fn change_of(line: MessageRecord) -> Option<(sremp_core::time::UnixMillis, Body)> {
    let msg_id = line.msg_id?;
    match (line.deleted, line.edited) {
        (true, _) => Some((line.sent, Body::Delete { msg_id })),
        (false, Some(at)) => Some((
            at,
            Body::Edit {
                msg_id,
                text: line.text,
            },
        )),
        (false, None) => None,
    }
}
