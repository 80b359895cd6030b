//! Contacts' confirmations, brought by relays: each is checked, kept, and ends its message's way.

use sremp_core::{
    id::ContactId,
    relay::{Confirmation, RelayClient},
    time::Tick,
};

use super::super::{Engine, Output, Step};
use crate::{
    store::{NewConfirmation, RelayRow, StoreError},
    view::Path,
};

impl Engine {
    /// Confirmations whose signatures hold. The relay may forget them once this step is durable.
    pub(super) fn take_confirmations(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        req_id: u32,
        confirmations: &[Confirmation],
        mut refused: Vec<u16>,
    ) -> Result<(), StoreError> {
        let Some(row) = self.relays.known.get(key).and_then(|r| r.row) else {
            return Ok(());
        };
        if !refused.is_empty() {
            self.refusals.count("confirmation-forged");
        }
        let forged = refused.clone();
        let places = (0..).filter(|place| !forged.contains(place));
        for (place, confirmation) in places.zip(confirmations) {
            if !self.take_confirmation(step, row, confirmation)? {
                self.refusals.count("confirmation-unknown");
                refused.push(place);
            }
        }
        refused.sort_unstable();
        if let Some(session) = self.relays.known.get(key).and_then(|r| r.session()) {
            let link = session.link;
            let message = RelayClient::taken(req_id, refused);
            step.outputs.push(Output::Send { link, message });
        }
        Ok(())
    }

    /// A contact is there, as it has just confirmed something, and has no other way for its answer than a
    /// connection from here.
    fn reach_who_cannot_answer(&mut self, contact: &ContactId, now: Tick) {
        let alone = !self.has_relay() && self.links.active(contact).is_none();
        if alone && !self.dialling.rests(contact, now) {
            self.dialling.restore(*contact, now);
        }
    }

    /// Returns whether it is of something that was sent to whom it comes from.
    fn take_confirmation(
        &mut self,
        step: &mut Step<'_, '_>,
        relay: RelayRow,
        confirmation: &Confirmation,
    ) -> Result<bool, StoreError> {
        let contact = ContactId::parse(confirmation.delivered_to.as_bytes());
        let Ok(contact) = contact else {
            return Ok(false);
        };
        let Some(mut peer) = self.peers.take(step.tx, &contact)? else {
            return Ok(false);
        };
        let row = peer.record.row;
        let envelope = confirmation.blob_hash;
        let message_id = confirmation.message_id.get();
        // of the envelope that waits, or of an earlier one of the same message
        let waiting = step.tx.outbox_by_envelope(row, &envelope)?;
        let msg_id = match &waiting {
            Some(item) if item.message_id == Some(message_id) => Some(item.msg_id),
            _ => step.tx.message_of_envelope(row, &envelope, message_id)?,
        };
        let Some(msg_id) = msg_id else {
            self.peers.put(peer);
            return Ok(false);
        };
        step.tx.add_confirmation(&NewConfirmation {
            contact: row,
            msg_id,
            relay,
            message_id,
            envelope,
            at: confirmation.timestamp,
            received: step.now.wall,
            signature: confirmation.signature,
        })?;
        let item = match waiting {
            Some(item) => Some(item.id),
            None => step.tx.outbox_of_message(row, &msg_id)?,
        };
        let waited = item.is_some();
        let result = match item {
            Some(item) => {
                self.relays.promises.fetched(contact);
                self.note_read(step, &peer, &msg_id, message_id)?;
                self.confirmed(step, &peer, item, msg_id, Path::Relay)
            }
            None => Ok(()),
        };
        let result = result.and_then(|()| self.session_was_read(step, &mut peer, &envelope));
        self.peers.put(peer);
        // a relay may bring an old one again
        if waited {
            self.reach_who_cannot_answer(&contact, step.now.tick);
        }
        result.map(|()| true)
    }
}
