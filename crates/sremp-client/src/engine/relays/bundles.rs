//! First contact with somebody away, and new sessions with contacts away: their bundles come from
//! one of their relays (D3.21).

use std::time::Duration;

use sremp_core::{error::ErrorCode, id::ContactId};

use super::super::{Engine, Output, Step};
use crate::store::StoreError;

impl Engine {
    /// Asks a relay for the bundles that are wanted of it.
    pub(super) fn ask_for_bundles(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
    ) -> Result<(), StoreError> {
        let Some(relay) = self.relays.known.get_mut(key).filter(|r| r.is_up()) else {
            return Ok(());
        };
        for contact in std::mem::take(&mut relay.bundles) {
            let Some(peer) = self.peers.take(step.tx, &contact)? else {
                continue;
            };
            let intro = peer.record.intro;
            self.peers.put(peer);
            let relay = self.relays.known.get_mut(key);
            let Some(session) = relay.and_then(|r| r.session_mut()) else {
                return Ok(());
            };
            if session.bundle_requests.values().any(|c| *c == contact) {
                continue;
            }
            if session.unanswered() == 0 {
                session.progress = step.now.tick;
            }
            let Ok(message) = session.machine.prekey_get(contact.into(), intro) else {
                continue;
            };
            session.active = step.now.tick;
            session.bundle_requests.insert(message.req_id, contact);
            let link = session.link;
            step.outputs.push(Output::Send { link, message });
        }
        Ok(())
    }

    /// A relay has given a bundle: it is the contact's only if the contact's key says so.
    pub(super) fn bundle_from_relay(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        req_id: u32,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let relay = self.relays.known.get_mut(key);
        let session = relay.and_then(|r| r.session_mut());
        let Some(contact) = session.and_then(|s| s.bundle_requests.remove(&req_id)) else {
            return Ok(());
        };
        if self.use_bundle(step, &contact, bytes)? {
            self.relays.routes.taken(contact, *key);
            self.relays.routes.soon(contact, step.now.tick);
            return Ok(());
        }
        let code = ErrorCode::BundleInvalid;
        self.relay_refused(step, key, &contact, code, Duration::ZERO)
    }

    pub(super) fn bundle_refused(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        req_id: u32,
        code: ErrorCode,
        retry_after: Duration,
    ) -> Result<(), StoreError> {
        let relay = self.relays.known.get_mut(key);
        let session = relay.and_then(|r| r.session_mut());
        match session.and_then(|s| s.bundle_requests.remove(&req_id)) {
            Some(contact) => self.relay_refused(step, key, &contact, code, retry_after),
            None => Ok(()),
        }
    }
}
