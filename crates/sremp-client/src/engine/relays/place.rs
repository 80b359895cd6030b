//! Where a relay may be: nobody else makes this client knock at doors of the user's own network.

use sremp_core::{
    contact_card::{Endpoint, RelayHint},
    id::ContactId,
    identity::Trust,
};

use super::super::{Engine, Step};
use crate::store::StoreError;

impl Engine {
    /// Whether a relay is dialled at a private address too: the user, or a contact whom the user
    /// trusts, says that it is there (8.2).
    pub(super) fn may_be_anywhere(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        endpoint: &Endpoint,
    ) -> Result<bool, StoreError> {
        let Some(relay) = self.relays.known.get(key) else {
            return Ok(false);
        };
        if self.config.allow_private_addresses
            || relay.mailbox.is_some()
            || step.tx.is_given_relay(key, endpoint)?
        {
            return Ok(true);
        }
        let wanted = relay.queue.keys().chain(&relay.bundles);
        let wanted: Vec<ContactId> = wanted.copied().collect();
        for contact in wanted {
            let Some(peer) = self.peers.take(step.tx, &contact)? else {
                continue;
            };
            let says = |h: &RelayHint| h.relay == *key && h.endpoint == *endpoint;
            let says = peer.record.relays.iter().any(says);
            let trusted = peer.record.trust == Trust::Trusted;
            self.peers.put(peer);
            if says && trusted {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
