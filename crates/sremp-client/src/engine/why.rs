//! The way of one message, from what the store keeps of it: tries, receipts, confirmation.

use sremp_core::{
    id::MsgId,
    relay::{Confirmation, MessageId, Receipt, proof::ReceiptClaim},
    route::{Dial, Seek, Store},
    time::{Tick, UnixMillis},
};

use super::{
    Engine, Step,
    contacts::Answer,
    peers::Peer,
    relays::calendar,
    waiting::{is_waiting, waiting_item},
};
use crate::{
    clock::Rfc3339,
    store::{ConfirmationRecord, ContactRow, MessageRecord, ReceiptRecord, StoreError},
    view::{
        CommandError, ErrorKind, MessageKind, Path, Reply, Status, Ways, WhyStep, WhyView, privacy,
    },
};

/// Fewest digits of an id that name a message.
const SHORTEST: usize = 6;

impl Engine {
    /// `why`: the timeline of a message.
    pub(super) fn why(&mut self, step: &mut Step<'_, '_>, msg_id: &str) -> Answer<Reply> {
        let (lowest, highest, contact) = match self.ids_meant(step, msg_id)? {
            Ok(meant) => meant,
            Err(error) => return Ok(Err(error)),
        };
        let mut found = step.tx.messages_between(&lowest, &highest, contact, 2)?;
        found.extend(step.tx.actions_between(&lowest, &highest, 2)?);
        // what is erased here is delivered all the same
        found.extend(step.tx.erased_that_wait(&lowest, &highest, 2)?);
        found.retain(|message| contact.is_none_or(|row| message.contact == row));
        if lowest == highest && contact.is_none() && found.iter().any(is_own) {
            // contacts choose the ids of what they write: also those of one's own messages
            found.retain(is_own);
        }
        let message = match only_one(&found, msg_id) {
            Ok(message) => message,
            Err(error) => return Ok(Err(error)),
        };
        let record = step.tx.contact(message.contact)?;
        let key = record.ok_or(StoreError::Damaged)?.key;
        let peer = self.peers.take(step.tx, &key)?.ok_or(StoreError::Damaged)?;
        let view = self.why_view(step, &peer, &message);
        self.peers.put(peer);
        Ok(Ok(Reply::Why(view?)))
    }

    /// The lowest and the highest id that begin with the digits that the user typed, and the contact whose
    /// name follows them behind an `@`.
    pub(super) fn ids_meant(
        &mut self,
        step: &mut Step<'_, '_>,
        typed: &str,
    ) -> Answer<(MsgId, MsgId, Option<ContactRow>)> {
        let (digits, who) = match typed.split_once('@') {
            Some((digits, who)) => (digits, Some(who)),
            None => (typed, None),
        };
        let (lowest, highest) = match ids_that_begin(digits) {
            Ok(between) => between,
            Err(error) => return Ok(Err(error)),
        };
        let Some(who) = who else {
            return Ok(Ok((lowest, highest, None)));
        };
        let found = self.find_contact(step, who)?;
        Ok(found.map(|peer| {
            let row = peer.record.row;
            self.peers.put(peer);
            (lowest, highest, Some(row))
        }))
    }

    fn why_view(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        message: &MessageRecord,
    ) -> Result<WhyView, StoreError> {
        let waits = match is_waiting(message.status) {
            true => self.why_waiting(step, message.contact, message.msg_id.as_ref())?,
            false => None,
        };
        let (waits, waits_for) = waits.unzip();
        let timeline = match message.kind {
            MessageKind::Sent => self.way_out(step, peer, message)?,
            _ => way_in(step, message)?,
        };
        let next_try = self.next_try(step, peer, message)?;
        let mut ways = ways(message, &timeline);
        ways.rendezvous = peer.record.found.is_some();
        ways.direct |= step.tx.was_handed(message.id)?;
        ways.screen = self.is_screen();
        let privacy = privacy(&ways);
        Ok(WhyView {
            msg_id: message.msg_id.map(|id| id.to_string()).unwrap_or_default(),
            contact: peer.key().to_string(),
            alias: peer.name(),
            kind: message.kind,
            status: message.status,
            path: message.path,
            waits,
            waits_for,
            next_try: next_try.map(|at| Rfc3339(calendar(at, step.now))),
            privacy,
            timeline,
        })
    }

    /// When something is next tried for a message that no relay keeps now: one that has ceased to keep
    /// it leaves its status as it was.
    fn next_try(
        &self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        message: &MessageRecord,
    ) -> Result<Option<Tick>, StoreError> {
        let Some(msg_id) = message.msg_id.filter(|_| is_waiting(message.status)) else {
            return Ok(None);
        };
        let item = waiting_item(step, message.contact, &msg_id)?;
        let kept = item.is_some_and(|item| item.relay_until.is_some());
        if kept || !self.online {
            return Ok(None);
        }
        let (key, now) = (peer.key(), step.now);
        if let Some(at) = self.renewals.held_until(&key) {
            return Ok(Some(at));
        }
        // what was meant to be tried before the plan became another one is not
        let plan = self.plan(peer, now);
        let dial = self.dialling.next(&key);
        let route = self.next_route(&key, now.tick);
        let tries = [
            dial.filter(|_| plan.dial != Dial::Never),
            route.filter(|_| plan.store != Store::Never),
            match plan.seek {
                Seek::Never => None,
                Seek::AfterFailure | Seek::Now => self.next_search(step, peer)?,
            },
        ];
        Ok(tries.into_iter().flatten().min())
    }

    /// What happened to a message of one's own.
    fn way_out(
        &self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        message: &MessageRecord,
    ) -> Result<Vec<WhyStep>, StoreError> {
        let Some(msg_id) = message.msg_id else {
            return Ok(Vec::new());
        };
        let row = message.contact;
        let written = message.sent;
        let ended = match message.status {
            Some(Status::OnDevice | Status::Failed) => message.status_at,
            _ => None,
        };
        let mut steps = vec![(
            written,
            WhyStep::Written {
                at: Rfc3339(written),
            },
        )];
        for attempt in step.tx.attempts(row, written)? {
            // what failed only later was for other messages
            if ended.is_some_and(|end| attempt.first > end) {
                continue;
            }
            let at = ended.map_or(attempt.last, |end| attempt.last.min(end));
            steps.push((
                at,
                WhyStep::Tried {
                    at: Rfc3339(at),
                    path: attempt.relay.map_or(Path::Direct, |_| Path::Relay),
                    relay: attempt.relay.map(|key| key.to_string()),
                    cause: attempt.cause,
                    // it may have begun for a message before
                    since: Rfc3339(attempt.first.max(written)),
                    count: attempt.count,
                },
            ));
        }
        for receipt in step.tx.receipts(row, &msg_id)? {
            steps.push((receipt.received, self.receipt_step(peer, &receipt)));
        }
        let confirmation = step.tx.confirmation(row, &msg_id)?;
        match message.status {
            Some(Status::OnDevice) => {
                let at = message.status_at.unwrap_or(written);
                steps.push((at, self.arrived(peer, at, message.path, confirmation)));
            }
            Some(Status::Failed) => {
                let at = message.status_at.unwrap_or(written);
                steps.push((at, WhyStep::GivenUp { at: Rfc3339(at) }));
            }
            _ => {}
        }
        steps.sort_by_key(|(at, _)| *at);
        Ok(steps.into_iter().map(|(_, step)| step).collect())
    }

    fn receipt_step(&self, peer: &Peer, kept: &ReceiptRecord) -> WhyStep {
        let claim = ReceiptClaim {
            sender: self.own.identity.id().into(),
            recipient: peer.key().into(),
            message_id: MessageId::new(kept.message_id),
            blob_hash: kept.envelope,
            stored_at: kept.stored,
            expires_at: kept.expires,
        };
        let receipt = Receipt::from_bytes(&kept.signature);
        let holds = receipt.is_some_and(|r| r.verify(&kept.relay, &claim).is_ok());
        WhyStep::AtRelay {
            at: Rfc3339(kept.received),
            relay: kept.relay.to_string(),
            stored_at: Rfc3339(kept.stored),
            expires_at: Rfc3339(kept.expires),
            receipt_valid: holds,
            receipt: sremp_core::wire::bytes::Hex(&kept.signature).to_string(),
        }
    }

    fn arrived(
        &self,
        peer: &Peer,
        at: UnixMillis,
        path: Option<Path>,
        kept: Option<ConfirmationRecord>,
    ) -> WhyStep {
        let kept = kept.filter(|_| path == Some(Path::Relay));
        let valid = kept.as_ref().map(|kept| {
            let confirmation = Confirmation {
                message_id: MessageId::new(kept.message_id),
                sender: self.own.identity.id().into(),
                delivered_to: peer.key().into(),
                timestamp: kept.at,
                blob_hash: kept.envelope,
                signature: kept.signature,
            };
            confirmation.verify(&peer.key()).is_ok()
        });
        WhyStep::OnDevice {
            at: Rfc3339(at),
            path: path.unwrap_or(Path::Direct),
            relay: kept.as_ref().map(|k| k.relay.to_string()),
            confirmed_at: kept.as_ref().map(|k| Rfc3339(k.at)),
            confirmation_valid: valid,
        }
    }
}

/// By which ways a message went, as its timeline tells.
fn ways(message: &MessageRecord, timeline: &[WhyStep]) -> Ways {
    let mut ways = Ways {
        direct: message.path == Some(Path::Direct),
        waits: is_waiting(message.status) || message.status == Some(Status::Failed),
        ..Ways::default()
    };
    for step in timeline {
        match step {
            WhyStep::AtRelay { relay, .. } | WhyStep::Stored { relay, .. }
                if !ways.relays.contains(relay) =>
            {
                ways.relays.push(relay.clone());
            }
            WhyStep::OnDevice { relay, .. } => ways.confirmed_by = relay.clone(),
            _ => {}
        }
    }
    // its receipt was lost on the way, or is forgotten: none but this one is known to have had it
    if ways.relays.is_empty() {
        ways.relays.extend(ways.confirmed_by.clone());
    }
    ways
}

/// What happened to a message of a contact's.
fn way_in(step: &mut Step<'_, '_>, message: &MessageRecord) -> Result<Vec<WhyStep>, StoreError> {
    let at = Rfc3339(message.sent);
    let mut steps = vec![WhyStep::Sent { at }];
    if let Some((relay, stored)) = step.tx.message_relay(message.id)? {
        steps.push(WhyStep::Stored {
            at: Rfc3339(stored),
            relay: relay.to_string(),
        });
    }
    if let Some(received) = message.received {
        steps.push(WhyStep::Received {
            at: Rfc3339(received),
            path: message.path.unwrap_or(Path::Direct),
        });
    }
    Ok(steps)
}

fn is_own(message: &MessageRecord) -> bool {
    message.kind == MessageKind::Sent
}

/// The one message that was found for what the user typed.
pub(super) fn only_one(
    found: &[MessageRecord],
    typed: &str,
) -> Result<MessageRecord, CommandError> {
    let refusal = match found {
        [one] => return Ok(one.clone()),
        [] => {
            format!(
                "there is no message {typed}; `sremp history --json` prints the ids of messages"
            )
        }
        _ if typed.len() == 2 * MsgId::LEN => format!(
            "there are messages of several contacts with the id {typed}; put the contact behind it, \
             {typed}@CONTACT"
        ),
        _ => format!("several messages begin with {typed}; give more of its digits"),
    };
    Err(CommandError::new(ErrorKind::Usage, refusal))
}

/// The lowest and the highest id that begin with these digits.
fn ids_that_begin(digits: &str) -> Result<(MsgId, MsgId), CommandError> {
    between(digits).ok_or_else(|| {
        CommandError::new(
            ErrorKind::Usage,
            "a message is named by its id of 32 hex digits, or at least 6 of the first; \
             `sremp history --json` prints them",
        )
    })
}

fn between(digits: &str) -> Option<(MsgId, MsgId)> {
    let digits = digits.to_ascii_lowercase();
    let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !hex || !(SHORTEST..=2 * MsgId::LEN).contains(&digits.len()) {
        return None;
    }
    let fill = |with: char| -> Option<MsgId> {
        let rest = std::iter::repeat_n(with, 2 * MsgId::LEN - digits.len());
        let id: String = digits.chars().chain(rest).collect();
        id.parse().ok()
    };
    Some((fill('0')?, fill('f')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_named_by_six_digits_or_more() {
        let (lowest, highest) = between("ABCDEF7").unwrap();
        assert_eq!(lowest.to_string(), "abcdef70000000000000000000000000");
        assert_eq!(highest.to_string(), "abcdef7fffffffffffffffffffffffff");
        for wrong in ["", "abcde", "abcdeg", &"a".repeat(33)] {
            assert!(between(wrong).is_none(), "{wrong}");
        }
        let whole = "0123456789abcdef0123456789abcdef";
        assert_eq!(between(whole).map(|(a, b)| a == b), Some(true));
    }
}
