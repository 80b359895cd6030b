//! One's own mailbox is read: what is committed is confirmed or discarded afterwards, and what is to
//! be said of it is durable with it (D3.14, D3.16, D6.6).

use std::time::Duration;

use sremp_core::{
    id::{ContactId, EnvelopeId},
    relay::{Confirmation, Cursor, MessageId, StoredMessage},
    session::envelope,
    time::UnixMillis,
};

use super::{
    super::{Engine, Output, Step, peers::Peer, receiving::Received},
    mailbox::{Errand, MANY_UNTOLD},
};
use crate::{
    store::{ReadItem, RelayRow, StoreError},
    view::Path,
};

/// Confirmations wait for others at least this long, unless a face looks on (D3.16).
const SHORTEST_WAIT: u64 = 200;
/// And at most this long.
const LONGEST_WAIT: u64 = 2_000;
/// With so many items read nothing waits any more: the relay goes on only when it is told.
const MANY: usize = 64;
/// Items in one confirmation or discard.
const TOLD_AT_ONCE: u32 = 256;
/// Items that a relay may have been told of without an answer.
pub(super) const TOLD_UNANSWERED: u32 = 3 * TOLD_AT_ONCE;

/// By which way an envelope came.
#[derive(Clone, Copy)]
pub(in super::super) enum Arrival {
    /// Over a connection with its sender.
    Direct,
    /// From one's mailbox.
    Mailbox {
        relay: RelayRow,
        /// Since when the relay says it had it.
        stored: UnixMillis,
    },
}

impl Arrival {
    pub(in super::super) const fn path(&self) -> Path {
        match self {
            Self::Direct => Path::Direct,
            Self::Mailbox { .. } => Path::Relay,
        }
    }
}

impl Engine {
    /// An item of one's mailbox.
    pub(super) fn read_item(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        item: &StoredMessage,
    ) -> Result<(), StoreError> {
        let Some(relay) = self.relays.known.get_mut(key) else {
            return Ok(());
        };
        relay.given_up.forget();
        let Some(row) = relay.row else {
            return Ok(());
        };
        let arrival = Arrival::Mailbox {
            relay: row,
            stored: item.timestamp,
        };
        // a sender that is no key at all is nobody
        let sender = ContactId::parse(item.sender.as_bytes()).ok();
        let received = match &sender {
            Some(sender) => self.receive_stored(step, sender, &item.encrypted_blob, arrival)?,
            None => Received::Not,
        };
        let relay = self.relays.known.get_mut(key);
        if let Some(session) = relay.and_then(|r| r.session_mut()) {
            session.proved |= received == Received::New;
        }
        let read = ReadItem {
            cursor: item.cursor.get(),
            message_id: item.message_id.get(),
            confirm_to: sender.filter(|_| received != Received::Not),
            envelope: EnvelopeId::of(&item.encrypted_blob),
            at: step.now.wall,
        };
        step.tx.push_read(row, &read)?;
        step.tx.advance_cursor(row, read.cursor)?;
        self.tell_later(step, key);
        Ok(())
    }

    /// An envelope of one's mailbox. Of what is received here its sender may know.
    fn receive_stored(
        &mut self,
        step: &mut Step<'_, '_>,
        sender: &ContactId,
        envelope: &[u8],
        arrival: Arrival,
    ) -> Result<Received, StoreError> {
        let peer = self.peers.take(step.tx, sender)?;
        let peer = match peer {
            Some(mut pending) if !pending.is_accepted() => {
                // one request is all that a stranger may say before an answer
                let renewed = self.renew_request(step, &mut pending, envelope);
                self.peers.put(pending);
                if !renewed? {
                    self.refusals.count("request-pending");
                }
                return Ok(Received::Not);
            }
            peer => peer,
        };
        let Some(plaintext) = self.open_envelope(sender, envelope) else {
            if let Some(mut peer) = peer {
                let told = self.tell_keys(step, &mut peer, envelope);
                self.peers.put(peer);
                told?;
            }
            // who writes to the state of before a restoration is told now
            self.release(step, sender)?;
            return Ok(Received::Not);
        };
        let Some(mut peer) = peer else {
            if let Err(cause) = self.receive_request(step, sender, &plaintext, None, arrival)? {
                self.refusals.count(cause);
            }
            return Ok(Received::Not);
        };
        let received = self.receive(step, &mut peer, &plaintext, arrival);
        self.peers.put(peer);
        let received = received?;
        if received != Received::Not {
            self.push_soon(sender);
        }
        Ok(received)
    }

    /// A contact of whom nothing was ever read writes to a key that is not here: it had a bundle of before a
    /// restoration, or a relay's old one. It is told those that are, once (3.10); over a connection it asks itself.
    fn tell_keys(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        envelope: &[u8],
    ) -> Result<(), StoreError> {
        let elsewhere =
            envelope::key_id(envelope).is_ok_and(|id| self.own.envelope_key(id).is_none());
        let unheard = !peer.record.confirmed && !peer.record.introduced;
        if !elsewhere || !unheard || !peer.is_served() {
            return Ok(());
        }
        self.introduce(step, peer)?;
        // who had others of us takes them from something newer than a request
        self.turn_ratchet(step, peer)
    }

    /// Sets the time at which the relay is told what was read.
    fn tell_later(&mut self, step: &mut Step<'_, '_>, key: &ContactId) {
        let watched = self.waits.someone_looks_on(step.now.tick);
        let Some(mailbox) = self
            .relays
            .known
            .get_mut(key)
            .and_then(|r| r.mailbox.as_mut())
        else {
            return;
        };
        mailbox.untold += 1;
        let now = step.now.tick;
        if watched || mailbox.untold >= MANY {
            mailbox.tell_at = Some(now);
        } else if mailbox.tell_at.is_none() {
            let wait = SHORTEST_WAIT + step.rng.next_u64() % (LONGEST_WAIT - SHORTEST_WAIT);
            mailbox.tell_at = Some(now.plus(Duration::from_millis(wait)));
        }
    }

    /// Tells a relay what was read, if it is time.
    pub(super) fn tell_relay(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
    ) -> Result<(), StoreError> {
        let identity = &self.own.identity;
        let Some(relay) = self.relays.known.get_mut(key).filter(|r| r.is_up()) else {
            return Ok(());
        };
        let (Some(row), Some(mailbox)) = (relay.row, relay.mailbox.as_mut()) else {
            return Ok(());
        };
        if mailbox.tell_at.is_none_or(|at| at > step.now.tick) {
            return Ok(());
        }
        mailbox.tell_at = None;
        let items = step.tx.read_items(row, TOLD_UNANSWERED)?;
        let telling = std::mem::take(&mut mailbox.telling);
        let fresh = items.iter().filter(|item| !telling.contains(&item.cursor));
        let (confirm, discard): (Vec<_>, Vec<_>) = fresh.partition(|i| i.confirm_to.is_some());
        mailbox.telling = telling;
        mailbox.untold = 0;
        let super::Phase::Up(session) = &mut relay.phase else {
            return Ok(());
        };
        let link = session.link;
        // too much else may be open
        let later = step.now.tick.plus(Duration::from_millis(LONGEST_WAIT));
        for chunk in confirm.chunks(TOLD_AT_ONCE as usize) {
            let of = |item: &&ReadItem| {
                let sender = item.confirm_to?;
                Some(Confirmation::sign(
                    identity,
                    sender.into(),
                    MessageId::new(item.message_id),
                    item.envelope,
                    item.at,
                ))
            };
            let list: Vec<Confirmation> = chunk.iter().filter_map(of).collect();
            let Ok(message) = session.machine.confirm(list) else {
                mailbox.tell_at = Some(later);
                break;
            };
            let cursors: Vec<u64> = chunk.iter().map(|item| item.cursor).collect();
            mailbox.telling.extend(&cursors);
            session
                .errands
                .insert(message.req_id, Errand::Confirm(cursors));
            step.outputs.push(Output::Send { link, message });
        }
        for chunk in discard.chunks(TOLD_AT_ONCE as usize) {
            let cursors: Vec<u64> = chunk.iter().map(|item| item.cursor).collect();
            let list: Vec<Cursor> = cursors.iter().copied().map(Cursor::new).collect();
            let Ok(message) = session.machine.discard(list) else {
                mailbox.tell_at = Some(later);
                break;
            };
            mailbox.telling.extend(&cursors);
            session
                .errands
                .insert(message.req_id, Errand::Discard(cursors));
            step.outputs.push(Output::Send { link, message });
        }
        Ok(())
    }

    /// A relay has deleted what it was told of. What it would not take a confirmation for is
    /// discarded there instead.
    pub(super) fn told(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        cursors: &[u64],
        refused: &[u16],
    ) -> Result<(), StoreError> {
        let Some(relay) = self.relays.known.get_mut(key) else {
            return Ok(());
        };
        let (Some(row), Some(mailbox)) = (relay.row, relay.mailbox.as_mut()) else {
            return Ok(());
        };
        for (index, cursor) in (0u16..).zip(cursors) {
            mailbox.telling.remove(cursor);
            if refused.contains(&index) {
                self.refusals.count("confirmation-refused");
                step.tx.discard_instead(row, *cursor)?;
                mailbox.tell_at = Some(step.now.tick);
            } else {
                step.tx.read_item_told(row, *cursor)?;
            }
        }
        let left = step.tx.read_items(row, MANY_UNTOLD)?.len();
        // more than fitted into one telling, or what came meanwhile and has its own time
        if left > 0 && mailbox.telling.is_empty() {
            mailbox.tell_at.get_or_insert(step.now.tick);
        }
        // it answers: the credit is whole again
        match mailbox.short && left < MANY_UNTOLD as usize {
            true => self.subscribe(step, key),
            false => Ok(()),
        }
    }
}
