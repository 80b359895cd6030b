//! Where a relay is, and who says so: no contact keeps another one's messages from the relay that they
//! go to, and nobody else makes this client knock at doors of the user's own network.

use std::collections::{BTreeMap, BTreeSet};

use sremp_core::{
    constants::CLAIMS_INTERVAL,
    contact_card::{Endpoint, RelayHint},
    id::ContactId,
    identity::Trust,
    time::Tick,
};
use sremp_net::{DialTarget, Service};

use super::{
    super::{Engine, Output, Step},
    Phase, Relay, Relays,
};
use crate::store::StoreError;

/// Contacts whose words on one relay's place are kept.
const MAX_TOLD: usize = 16;

/// Where a relay is.
pub(super) struct Places {
    /// Where it is dialled.
    endpoint: Endpoint,
    /// It was reached there, or the user says so: another place is dialled only when it is not to be had
    /// there any more.
    stands: bool,
    /// Where contacts say that it is.
    told: BTreeMap<ContactId, Endpoint>,
    /// Where it was reached in earlier runs counts already, or counts no more.
    recalled: bool,
}

impl Places {
    pub(super) fn new(endpoint: Endpoint, stands: bool) -> Self {
        Self {
            endpoint,
            stands,
            told: BTreeMap::new(),
            recalled: stands,
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A contact says where it is.
    pub(super) fn tell(&mut self, contact: ContactId, endpoint: &Endpoint) {
        if self.told.len() >= MAX_TOLD && !self.told.contains_key(&contact) {
            return;
        }
        self.told.insert(contact, endpoint.clone());
        if !self.stands && !self.is_told(&self.endpoint) {
            self.endpoint = endpoint.clone();
        }
    }

    fn is_told(&self, endpoint: &Endpoint) -> bool {
        self.told.values().any(|told| told == endpoint)
    }

    /// It has shown itself where it was dialled.
    pub(super) fn reached(&mut self) {
        self.stands = true;
        self.recalled = true;
    }

    /// It is not to be had where it was dialled: the next place that a contact tells is, by turns.
    pub(super) fn not_reached(&mut self) {
        let places: BTreeSet<&Endpoint> = self.told.values().collect();
        let after = places.iter().find(|place| ***place > self.endpoint);
        if let Some(next) = after.or_else(|| places.first()) {
            let next = (*next).clone();
            self.stands = false;
            self.endpoint = next;
        }
    }

    /// An earlier run has reached it there, which counts if a contact still says so.
    fn recall(&mut self, endpoint: &Endpoint) {
        self.recalled = true;
        if self.is_told(endpoint) {
            self.endpoint = endpoint.clone();
            self.stands = true;
        }
    }

    /// How many places there are to try.
    fn count(&self) -> usize {
        let places: BTreeSet<&Endpoint> = self.told.values().collect();
        places.len().max(1)
    }
}

impl Relays {
    /// Whether a relay is dialled where it was never reached: of those who say that it is there, or of
    /// whose messages it is to keep, one has claimed few places lately (8.2).
    fn may_claim(&mut self, key: &ContactId, now: Tick) -> bool {
        let Some(relay) = self.known.get(key) else {
            return false;
        };
        let places = &relay.places;
        let told = places.told.iter();
        let says = told.filter(|(_, told)| *told == places.endpoint());
        let mut claim: Vec<ContactId> = says.map(|(contact, _)| *contact).collect();
        if claim.is_empty() {
            claim.extend(relay.queue.keys().chain(&relay.bundles));
        }
        let endpoint = places.endpoint();
        let mut may = claim.iter();
        claim.is_empty() || may.any(|contact| self.claims.may_dial(*contact, endpoint, now))
    }
}

impl Relay {
    pub(super) fn endpoint(&self) -> &Endpoint {
        self.places.endpoint()
    }
}

impl Engine {
    pub(super) fn dial_relay(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
    ) -> Result<(), StoreError> {
        let Some(relay) = self.relays.known.get_mut(key) else {
            return Ok(());
        };
        let due = relay.due.is_some_and(|due| due <= step.now.tick);
        if !matches!(relay.phase, Phase::Down) || !due {
            return Ok(());
        }
        relay.due = None;
        if !relay.has_work() {
            return Ok(());
        }
        if !relay.places.recalled
            && let Some(record) = step.tx.relay(key)?
        {
            relay.places.recall(&record.endpoint);
        }
        for _ in 0..relay.places.count() {
            let Some(relay) = self.relays.known.get(key) else {
                return Ok(());
            };
            let (endpoint, stands) = (relay.endpoint().clone(), relay.places.stands);
            let anywhere = self.may_be_anywhere(step, key, &endpoint)?;
            let may = anywhere || stands || self.relays.may_claim(key, step.now.tick);
            let Some(relay) = self.relays.known.get_mut(key) else {
                return Ok(());
            };
            if !may {
                self.refusals.count("too-many-endpoints");
                relay.places.not_reached();
                continue;
            }
            relay.phase = Phase::Dialling;
            let (endpoints, claimed) = match anywhere {
                true => (vec![endpoint], Vec::new()),
                false => (Vec::new(), vec![endpoint]),
            };
            step.outputs.push(Output::Dial(Box::new(DialTarget {
                endpoints,
                claimed,
                expected: Some(*key),
                pinned_noise_key: None,
                intro: None,
                service: Service::Relay,
            })));
            return Ok(());
        }
        let cause = "who says where it is has named too many places within a minute".to_owned();
        self.relay_failed(step, key, cause, CLAIMS_INTERVAL)
    }

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
