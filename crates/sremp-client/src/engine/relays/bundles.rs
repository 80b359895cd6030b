//! First contact with somebody away, and new sessions with contacts away: their bundles come from
//! one of their relays (D3.21). So do those of contacts who have been silent for long (D3.17).

use std::time::Duration;

use sremp_core::{
    constants::{BUNDLE_REFETCH, BUNDLE_REFETCH_RETRY, CLOCK_SKEW},
    error::ErrorCode,
    id::ContactId,
};

use super::{
    super::{Engine, Output, Step, peers::Peer},
    troubles::Asked,
};
use crate::store::{ContactRow, StoreError};

/// The time of silence for who has no relay, whom contacts may have no way to tell that they were restored.
const UNANSWERABLE_REFETCH: Duration = Duration::from_secs(60 * 60);

/// Silent contacts whose bundles are fetched again at one time; the others have their turn next.
const REFETCHED_AT_ONCE: u32 = 16;

impl Engine {
    /// Now and then: what contacts have not confirmed for a week may be sealed to keys that they no
    /// longer have. Each of their relays is asked, so that one that withholds the newest bundle
    /// gains nothing; once a week, and daily while none gives one.
    pub(in super::super) fn refetch_bundles(
        &mut self,
        step: &mut Step<'_, '_>,
    ) -> Result<(), StoreError> {
        if !self.online {
            return Ok(());
        }
        let now = step.now.wall;
        let latest = now.plus(BUNDLE_REFETCH + CLOCK_SKEW);
        // who is not told of a contact's new state looks for it
        let before = now.minus(match self.has_relay() {
            true => BUNDLE_REFETCH,
            false => UNANSWERABLE_REFETCH,
        });
        let silent = step
            .tx
            .silent_contacts(before, now, latest, REFETCHED_AT_ONCE)?;
        for row in silent {
            let again = self.refetched_after(step, row, BUNDLE_REFETCH_RETRY)?;
            step.tx.set_bundle_due(row, now.plus(again))?;
            let Some(contact) = step.tx.contact(row)? else {
                continue;
            };
            if let Some(peer) = self.peers.take(step.tx, &contact.key)? {
                if peer.is_served() {
                    self.refetch_bundle(step, &peer);
                }
                self.peers.put(peer);
            }
        }
        Ok(())
    }

    /// After what time a silent contact's bundle is fetched again, which is `usually` so. Who is not told of a
    /// new state waits as long as the contact has been silent by then, a day at most.
    pub(in super::super) fn refetched_after(
        &self,
        step: &mut Step<'_, '_>,
        contact: ContactRow,
        usually: Duration,
    ) -> Result<Duration, StoreError> {
        if self.has_relay() {
            return Ok(usually);
        }
        let oldest = step.tx.oldest_item(contact)?;
        let silent = oldest.map_or(Duration::ZERO, |made| step.now.wall.since(made));
        Ok(silent.clamp(UNANSWERABLE_REFETCH, BUNDLE_REFETCH_RETRY))
    }

    pub(super) fn refetch_bundle(&mut self, step: &mut Step<'_, '_>, peer: &Peer) {
        if let Some(link) = self.links.active(&peer.key()) {
            return self.ask_for_bundle(step, link);
        }
        for hint in &peer.record.mailboxes(step.now.wall) {
            let relay = self.relays.enter_of(peer, hint);
            relay.bundles.insert(peer.key());
            relay.want(step.now.tick);
        }
    }

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

    /// Whose bundle a relay has given or refused.
    fn bundle_answered(&mut self, key: &ContactId, req_id: u32) -> Option<ContactId> {
        let relay = self.relays.known.get_mut(key)?;
        let contact = relay.session_mut()?.bundle_requests.remove(&req_id)?;
        relay.troubles.answered(Asked::Keys);
        Some(contact)
    }

    /// A relay has given a bundle: it is the contact's only if the contact's key says so.
    pub(super) fn bundle_from_relay(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        req_id: u32,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let Some(contact) = self.bundle_answered(key, req_id) else {
            return Ok(());
        };
        if self.use_bundle(step, &contact, key, bytes)? {
            self.relays.routes.taken(contact, *key);
            self.relays.routes.soon(contact, step.now.tick);
            return Ok(());
        }
        let code = ErrorCode::BundleInvalid;
        self.without_bundle(step, key, &contact, code, Duration::ZERO)
    }

    /// A relay has given no good bundle. If none is needed to send, that is no reason
    /// to leave it alone with this contact: it may take envelopes all the same.
    fn without_bundle(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        contact: &ContactId,
        code: ErrorCode,
        retry_after: Duration,
    ) -> Result<(), StoreError> {
        let peer = self.peers.take(step.tx, contact)?;
        let needed = peer.as_ref().is_none_or(|p| p.needs_bundle(step.now.wall));
        let unanswered = peer.as_ref().is_some_and(|p| p.is_unanswered());
        self.peers.put_back(peer);
        if needed || self.resets.contains(contact) {
            return self.relay_refused(step, key, contact, code, retry_after);
        }
        self.refusals.count("bundle-not-renewed");
        if unanswered {
            // what another's bundle began is given to it as it is
            let now = step.now.tick;
            self.relays.givers.has_none(*contact, *key, now);
            self.relays.routes.soon(*contact, step.now.tick);
        }
        Ok(())
    }

    pub(super) fn bundle_refused(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        req_id: u32,
        code: ErrorCode,
        retry_after: Duration,
    ) -> Result<(), StoreError> {
        match self.bundle_answered(key, req_id) {
            Some(contact) => self.without_bundle(step, key, &contact, code, retry_after),
            None => Ok(()),
        }
    }
}
