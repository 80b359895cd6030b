//! Envelopes on their way to a relay: as many as its window allows, each with the signed receipt
//! that ends it.

use std::time::Duration;

use sremp_core::{
    constants::RELAY_STORAGE,
    contact_card::RelayHint,
    error::ErrorCode,
    id::{ContactId, EnvelopeId, MsgId},
    relay::{MessageId, ReplyRelay, ToStore, proof::ReceiptClaim},
    route::CONFIRM_WITHIN,
};

use super::{
    super::{Engine, Output, Step, peers::Peer},
    troubles::Asked,
};
use crate::{
    store::{NewReceipt, OutboxItem, StoreError},
    view::{Path, Status},
};

/// Envelopes under way to one relay.
const WINDOW_ITEMS: usize = 48;
/// Bytes of envelopes under way to one relay.
const WINDOW_BYTES: usize = 1024 * 1024;
/// Envelopes for a contact who has not answered yet that relays are given: to a stranger's mailbox
/// go few.
const UNANSWERED: usize = 32;

/// Calendars that differ by less are taken to be the same.
const CLOCKS_AGREE: Duration = Duration::from_secs(60);

/// How far a relay was given what is for a contact.
pub(super) struct Queue {
    /// Items up to this one were given.
    after: i64,
    /// What no relay keeps; else what others have kept without a confirmation.
    waiting: bool,
}

impl Queue {
    pub(super) fn of_waiting() -> Self {
        Self {
            after: 0,
            waiting: true,
        }
    }

    pub(super) fn of_unconfirmed() -> Self {
        Self {
            after: 0,
            waiting: false,
        }
    }
}

/// An envelope that waits for its receipt.
pub(super) struct Stored {
    pub(super) contact: ContactId,
    item: i64,
    msg_id: MsgId,
    envelope: EnvelopeId,
    message_id: u64,
    bytes: usize,
}

impl Engine {
    /// Gives a relay what it is to keep, as far as its window allows.
    pub(super) fn fill_relay(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
    ) -> Result<(), StoreError> {
        loop {
            let Some(relay) = self.relays.known.get(key).filter(|r| r.is_up()) else {
                return Ok(());
            };
            let Some(contact) = relay.queue.keys().next().copied() else {
                break;
            };
            let Some(mut peer) = self.peers.take(step.tx, &contact)? else {
                self.end_queue(key, &contact);
                continue;
            };
            let full = self.fill_with(step, key, &mut peer);
            self.peers.put(peer);
            if full? {
                break;
            }
            self.end_queue(key, &contact);
        }
        self.ask_for_bundles(step, key)
    }

    fn end_queue(&mut self, key: &ContactId, contact: &ContactId) {
        if let Some(relay) = self.relays.known.get_mut(key) {
            relay.queue.remove(contact);
        }
    }

    /// Gives a relay what is for one contact. Returns whether the window is full.
    fn fill_with(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        peer: &mut Peer,
    ) -> Result<bool, StoreError> {
        if !peer.is_served() {
            return Ok(false);
        }
        loop {
            let Some(relay) = self.relays.known.get(key) else {
                return Ok(false);
            };
            let (Some(session), Some(queue)) = (relay.session(), relay.queue.get(&peer.key()))
            else {
                return Ok(false);
            };
            let room = WINDOW_ITEMS.saturating_sub(session.unanswered());
            let bytes: usize = session.stores.values().map(|s| s.bytes).sum();
            if room == 0 || bytes >= WINDOW_BYTES {
                return Ok(true);
            }
            let underway = session.stores.values();
            let underway: Vec<_> = underway.map(|s| (s.item, Some(s.envelope))).collect();
            let (after, waiting) = (queue.after, queue.waiting);
            let items = self.next_items(step, key, peer, after, waiting, room)?;
            if items.is_empty() {
                return Ok(false);
            }
            for item in items {
                // an answer to an envelope that was sealed anew meanwhile says nothing of the new one
                let sealed = item.envelope_id.filter(|_| item.envelope.is_some());
                let given = sealed.is_some() && underway.contains(&(item.id, sealed))
                    || self.give_item(step, key, peer, &item)?;
                if !given {
                    return Ok(false);
                }
                let relay = self.relays.known.get_mut(key);
                if let Some(queue) = relay.and_then(|r| r.queue.get_mut(&peer.key())) {
                    queue.after = item.id;
                }
            }
        }
    }

    fn next_items(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        peer: &Peer,
        after: i64,
        waiting: bool,
        room: usize,
    ) -> Result<Vec<OutboxItem>, StoreError> {
        let row = peer.record.row;
        let limit = u32::try_from(room).unwrap_or(1);
        if !waiting {
            let before = step.now.wall.minus(CONFIRM_WITHIN);
            let once = self.gives_once(step, peer, key)?;
            return step
                .tx
                .outbox_unconfirmed(row, key, after, before, once, limit);
        }
        if peer.record.confirmed {
            return step.tx.outbox_waiting(row, after, limit);
        }
        let first = step.tx.outbox(row, 0, UNANSWERED as u32)?;
        let wanted = |item: &OutboxItem| item.id > after && item.relay_until.is_none();
        Ok(first.into_iter().filter(wanted).take(room).collect())
    }

    /// Gives a relay one envelope. Returns false if there is none and a bundle has to come first.
    fn give_item(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        peer: &mut Peer,
        item: &OutboxItem,
    ) -> Result<bool, StoreError> {
        let sealed = match &item.envelope {
            Some(envelope) => Some(envelope.clone()),
            None => self.seal(step, peer, item.id, &item.content)?,
        };
        let Some(envelope) = sealed else {
            if let Some(relay) = self.relays.known.get_mut(key) {
                relay.bundles.insert(peer.key());
            }
            return Ok(false);
        };
        let message_id = match item.message_id.filter(|_| item.envelope.is_some()) {
            Some(message_id) => message_id,
            None => {
                let message_id = step.rng.next_u64();
                step.tx.set_message_id(item.id, message_id)?;
                message_id
            }
        };
        let reply_relay = self.reply_relay();
        let own = &self.own.identity;
        let Some(session) = self.relays.known.get_mut(key).and_then(|r| r.session_mut()) else {
            return Ok(false);
        };
        let stored = Stored {
            contact: peer.key(),
            item: item.id,
            msg_id: item.msg_id,
            envelope: item
                .envelope_id
                .filter(|_| item.envelope.is_some())
                .unwrap_or_else(|| EnvelopeId::of(&envelope)),
            message_id,
            bytes: envelope.len(),
        };
        let request = ToStore {
            recipient: peer.key().into(),
            envelope,
            message_id: MessageId::new(message_id),
            ttl: RELAY_STORAGE.as_secs() as u32,
            reply_relay,
            intro: peer.record.intro,
        };
        if session.unanswered() == 0 {
            session.progress = step.now.tick;
        }
        session.active = step.now.tick;
        let Ok(message) = session.machine.store(own, request) else {
            return Ok(false);
        };
        session.stores.insert(message.req_id, stored);
        let link = session.link;
        step.outputs.push(Output::Send { link, message });
        Ok(true)
    }

    /// A relay has promised to keep an envelope.
    pub(super) fn stored_at_relay(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        req_id: u32,
        claim: &ReceiptClaim,
        signature: Vec<u8>,
    ) -> Result<(), StoreError> {
        // by the relay's own clock: the one here may be wrong, and what is known of the relay's is late by
        // the way of its word
        let relay = self.relays.known.get(key);
        let Some(there) = relay.map(|relay| relay.time_there(step.now).max(claim.stored_at)) else {
            return Ok(());
        };
        if claim.expires_at <= there {
            // it promises nothing
            let code = ErrorCode::BadProof;
            return self.store_refused(step, key, req_id, code, Duration::ZERO);
        }
        let brought = self.relays.bring_confirmations();
        let Some(relay) = self.relays.known.get_mut(key) else {
            return Ok(());
        };
        let Some(row) = relay.row else {
            return Ok(());
        };
        let Some(stored) = relay.session_mut().and_then(|session| {
            session.proved = true;
            session.stores.remove(&req_id)
        }) else {
            return Ok(());
        };
        relay.failures = 0;
        relay.given_up.forget();
        relay.last_error = None;
        relay.troubles.answered(Asked::Store);
        relay.watched |= !brought;
        self.relays.routes.taken(stored.contact, *key);
        let Some(peer) = self.peers.take(step.tx, &stored.contact)? else {
            return Ok(());
        };
        let kept_for = claim.expires_at.since(there);
        let apart = there.since(step.now.wall).max(step.now.wall.since(there));
        step.tx.add_receipt(&NewReceipt {
            item: stored.item,
            contact: peer.record.row,
            msg_id: stored.msg_id,
            relay: row,
            message_id: stored.message_id,
            envelope: stored.envelope,
            received: step.now.wall,
            stored: claim.stored_at,
            expires: claim.expires_at,
            kept_until: match apart < CLOCKS_AGREE {
                true => claim.expires_at,
                false => step.now.wall.plus(kept_for),
            },
            signature,
        })?;
        self.relays.promises.given(step.now.tick.plus(kept_for));
        if peer.record.mailboxes(step.now.wall).len() > 1 {
            self.relays.routes.kept(stored.contact, step.now.tick);
        }
        let way = Some(Path::Relay);
        let result = self.message_status(step, &peer, stored.msg_id, Status::AtRelay, way);
        let result = result.and_then(|()| self.look_for_another_state(step, &peer));
        self.peers.put(peer);
        result
    }

    /// A relay has refused an envelope, with one of the codes of 6.6 or another.
    pub(super) fn store_refused(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        req_id: u32,
        code: ErrorCode,
        retry_after: Duration,
    ) -> Result<(), StoreError> {
        let Some(relay) = self.relays.known.get_mut(key) else {
            return Ok(());
        };
        let session = relay.session_mut();
        let Some(stored) = session.and_then(|s| s.stores.remove(&req_id)) else {
            return Ok(());
        };
        relay.troubles.answered(Asked::Store);
        // keys, a cursor, a proof of work: nobody has spoken of those
        let code = match code {
            ErrorCode::TooLarge
            | ErrorCode::BadProof
            | ErrorCode::Denied
            | ErrorCode::Conflict
            | ErrorCode::Full
            | ErrorCode::Quota
            | ErrorCode::RateLimited => code,
            _ => ErrorCode::NotAllowed,
        };
        if code == ErrorCode::Conflict {
            // two envelopes under one name: this one gets another
            self.refusals.count(code.name());
            let message_id = step.rng.next_u64();
            if step.tx.outbox_item(stored.item)?.is_some() {
                step.tx.set_message_id(stored.item, message_id)?;
            }
        }
        self.relay_refused(step, key, &stored.contact, code, retry_after)
    }

    /// Which of one's own relays a confirmation is to be brought to: the first that works.
    fn reply_relay(&self) -> Option<ReplyRelay> {
        let hints = self.own_relay_hints();
        let up = |h: &&RelayHint| self.relays.known.get(&h.relay).is_some_and(|r| r.is_up());
        let hint = hints.iter().find(up).or(hints.first())?;
        Some(ReplyRelay {
            relay: hint.relay.into(),
            host: hint.endpoint.host().to_owned(),
            port: hint.endpoint.port(),
        })
    }

    /// How many envelopes are under way to a relay.
    pub(super) fn in_flight(&self, key: &ContactId) -> u64 {
        let session = self.relays.known.get(key).and_then(|r| r.session());
        session.map_or(0, |s| s.stores.len() as u64)
    }
}
