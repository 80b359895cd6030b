//! What waits for a contact goes out as the plan says ([`super::paths`]): over its connection, as far as
//! the window allows, or it is dialled, or its relays are given it.

use sremp_core::{
    channel::P2pMessage,
    id::{ContactId, EnvelopeId},
    route::{Dial, Seek},
};
use sremp_net::LinkId;

use super::{
    Engine, Output, Step,
    links::{Doubt, InFlight},
    peers::Peer,
};
use crate::store::{OutboxItem, StoreError};

/// Envelopes under way on one connection.
const WINDOW_ITEMS: usize = 60;
/// Bytes of envelopes under way on one connection.
const WINDOW_BYTES: usize = 512 * 1024;

impl Engine {
    /// Moves a contact's outbox along at the end of the step.
    pub(super) fn push_soon(&mut self, key: &ContactId) {
        self.to_push.insert(*key);
    }

    /// Moves along what this step has given a reason to.
    pub(super) fn run_pushes(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        while let Some(key) = self.to_push.pop_first() {
            self.push(step, &key)?;
        }
        Ok(())
    }

    fn push(&mut self, step: &mut Step<'_, '_>, key: &ContactId) -> Result<(), StoreError> {
        let link = self.links.active(key);
        if link.is_some() {
            self.release(step, key)?;
        } else if self.renewals.holds(key) {
            return Ok(());
        }
        let Some(mut peer) = self.peers.take(step.tx, key)? else {
            return Ok(());
        };
        let plan = self.plan(&peer, step.now);
        if plan.dial != Dial::Never {
            self.dialling.want(*key, step.now.tick);
        }
        self.route_as(step, key, plan);
        if plan.seek == Seek::Now {
            self.seek(key, step.now.tick, step.rng);
        }
        let result = match link.filter(|_| plan.over_link) {
            Some(link) => self.push_over(step, &mut peer, link),
            None => Ok(()),
        };
        self.peers.put(peer);
        result
    }

    fn push_over(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        link: LinkId,
    ) -> Result<(), StoreError> {
        let doubted = match self.links.get_mut(link) {
            Some(state) if state.doubtful == Doubt::Yes => {
                state.doubtful = Doubt::Asked;
                true
            }
            _ => false,
        };
        if doubted || self.resets.contains(&peer.key()) {
            self.ask_for_bundle(step, link);
        }
        // until the other has answered, one envelope at a time: it may not want to hear from us
        let window = if peer.record.confirmed {
            WINDOW_ITEMS
        } else {
            1
        };
        loop {
            let Some(state) = self.links.get(link) else {
                return Ok(());
            };
            let room = window.saturating_sub(state.in_flight.len());
            if room == 0 || state.in_flight_bytes() >= WINDOW_BYTES {
                return Ok(());
            }
            let limit = u32::try_from(room).unwrap_or(1);
            let (row, after) = (peer.record.row, state.cursor);
            // what a relay keeps comes from there; but not for ever, if the relay is no good
            let items = match state.late {
                true => step.tx.outbox(row, after, limit)?,
                false => step.tx.outbox_waiting(row, after, limit)?,
            };
            if items.is_empty() {
                return Ok(());
            }
            for item in items {
                if let Some(state) = self.links.get_mut(link)
                    && state.in_flight.values().any(|sent| sent.item == item.id)
                {
                    state.cursor = item.id;
                    continue;
                }
                let envelope = match &item.envelope {
                    Some(envelope) => Some(envelope.clone()),
                    None => self.seal(step, peer, item.id, &item.content)?,
                };
                let Some(envelope) = envelope else {
                    self.ask_for_bundle(step, link);
                    return Ok(());
                };
                if !self.send_envelope(step, link, &item, envelope)? {
                    return Ok(());
                }
            }
        }
    }

    fn send_envelope(
        &mut self,
        step: &mut Step<'_, '_>,
        link: LinkId,
        item: &OutboxItem,
        envelope: Vec<u8>,
    ) -> Result<bool, StoreError> {
        let Some(state) = self.links.get_mut(link) else {
            return Ok(false);
        };
        if state.in_flight_bytes() >= WINDOW_BYTES {
            return Ok(false);
        }
        let req_id = state.next_request();
        if state.in_flight.is_empty() {
            state.progress = step.now.tick;
        }
        state.cursor = item.id;
        state.in_flight.insert(
            req_id,
            InFlight {
                item: item.id,
                msg_id: item.msg_id,
                envelope_id: item
                    .envelope_id
                    .unwrap_or_else(|| EnvelopeId::of(&envelope)),
                bytes: envelope.len(),
            },
        );
        step.tx.note_handed(item.contact, &item.msg_id)?;
        step.outputs.push(Output::Send {
            link,
            message: P2pMessage::Envelope(envelope).to_message(req_id),
        });
        Ok(true)
    }

    /// Asks the peer for a prekey bundle, unless that was done just now.
    pub(super) fn ask_for_bundle(&mut self, step: &mut Step<'_, '_>, link: LinkId) {
        if let Some(state) = self.links.get_mut(link)
            && state.may_ask_for_bundle(step.now.tick)
        {
            let req_id = state.next_request();
            state.bundle_request = Some((req_id, step.now.tick));
            let message = P2pMessage::PrekeyReq.to_message(req_id);
            step.outputs.push(Output::Send { link, message });
        }
    }
}
