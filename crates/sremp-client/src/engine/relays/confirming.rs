//! Contacts' confirmations, brought by relays: each is checked, kept, and ends its message's way.

use sremp_core::{
    id::ContactId,
    relay::{Confirmation, RelayClient},
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
        refused: Vec<u16>,
    ) -> Result<(), StoreError> {
        let Some(row) = self.relays.known.get(key).and_then(|r| r.row) else {
            return Ok(());
        };
        for confirmation in confirmations {
            self.take_confirmation(step, row, confirmation)?;
        }
        if !refused.is_empty() {
            self.refusals.count("confirmation-forged");
        }
        if let Some(session) = self.relays.known.get(key).and_then(|r| r.session()) {
            let link = session.link;
            let message = RelayClient::taken(req_id, refused);
            step.outputs.push(Output::Send { link, message });
        }
        Ok(())
    }

    fn take_confirmation(
        &mut self,
        step: &mut Step<'_, '_>,
        relay: RelayRow,
        confirmation: &Confirmation,
    ) -> Result<(), StoreError> {
        let contact = ContactId::parse(confirmation.delivered_to.as_bytes());
        let Ok(contact) = contact else {
            return Ok(());
        };
        let Some(peer) = self.peers.take(step.tx, &contact)? else {
            self.refusals.count("confirmation-unknown");
            return Ok(());
        };
        let row = peer.record.row;
        let envelope = confirmation.blob_hash;
        // of the envelope that waits, or of an earlier one of the same message
        let waiting = step.tx.outbox_by_envelope(row, &envelope)?;
        let msg_id = match &waiting {
            Some(item) => Some(item.msg_id),
            None => step.tx.message_of_envelope(row, &envelope)?,
        };
        let Some(msg_id) = msg_id else {
            self.refusals.count("confirmation-unknown");
            self.peers.put(peer);
            return Ok(());
        };
        step.tx.add_confirmation(&NewConfirmation {
            contact: row,
            msg_id,
            relay,
            message_id: confirmation.message_id.get(),
            envelope,
            at: confirmation.timestamp,
            received: step.now.wall,
            signature: confirmation.signature,
        })?;
        let item = match waiting {
            Some(item) => Some(item.id),
            None => step.tx.outbox_of_message(row, &msg_id)?,
        };
        let result = match item {
            Some(item) => self.confirmed(step, &peer, item, msg_id, Path::Relay),
            None => Ok(()),
        };
        self.peers.put(peer);
        result
    }
}
