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

/// Where a relay is.
pub(super) struct Places {
    /// Where it is dialled.
    endpoint: Endpoint,
    /// It was reached there, or the user says so: another place is dialled only when it is not to be had
    /// there any more.
    stands: bool,
    /// Where it was reached last, or was first said to be.
    kept: Endpoint,
    /// Where contacts say that it is.
    told: BTreeMap<ContactId, Endpoint>,
    /// Where it was reached in earlier runs counts already, or counts no more.
    recalled: bool,
}

impl Places {
    pub(super) fn new(endpoint: Endpoint, stands: bool) -> Self {
        Self {
            kept: endpoint.clone(),
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
        self.told.insert(contact, endpoint.clone());
        if !self.stands && !self.told.values().any(|told| *told == self.endpoint) {
            self.endpoint = endpoint.clone();
        }
    }

    /// It has shown itself where it was dialled.
    pub(super) fn reached(&mut self) {
        self.stands = true;
        self.recalled = true;
        self.kept = self.endpoint.clone();
    }

    /// An earlier run has reached it there.
    fn recall(&mut self, endpoint: &Endpoint) {
        self.endpoint = endpoint.clone();
        self.reached();
    }

    /// It is not to be had where it was dialled: the next place is, by turns. Whether all have had theirs.
    pub(super) fn not_reached(&mut self) -> bool {
        let places = self.all();
        let after = places.iter().find(|place| ***place > self.endpoint);
        let next = after.or(places.first()).map(|next| (*next).clone());
        let over = after.is_none();
        if let Some(next) = next.filter(|next| *next != self.endpoint) {
            self.stands = false;
            self.endpoint = next;
        }
        over
    }

    /// The network is another one: that it was not reached says nothing of where it is.
    pub(super) fn begin_anew(&mut self) {
        self.endpoint = self.kept.clone();
    }

    fn all(&self) -> BTreeSet<&Endpoint> {
        self.told.values().chain([&self.kept]).collect()
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
        for _ in 0..relay.places.all().len() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
    use sremp_core::{
        identity::{SecretIdentity, Username},
        time::UnixMillis,
    };

    fn contacts<const N: usize>() -> [ContactId; N] {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let name = Username::parse("somebody").unwrap();
        [(); N].map(|()| SecretIdentity::generate(&name, UnixMillis::ZERO, &mut rng).id())
    }

    fn at(host: &str) -> Endpoint {
        Endpoint::new(host, 4_000).unwrap()
    }

    #[test]
    fn a_place_that_no_contact_tells_has_its_turn_beside_those_that_are_told() {
        for reached in [false, true] {
            let [eve] = contacts();
            let mut places = Places::new(at("there"), false);
            if reached {
                places.reached();
            }
            places.tell(eve, &at("elsewhere"));
            let mut dialled = BTreeSet::new();
            for _ in 0..2 {
                dialled.insert(places.endpoint().clone());
                places.not_reached();
            }
            assert_eq!(dialled, [at("elsewhere"), at("there")].into(), "{reached}");
        }
    }

    #[test]
    fn a_round_is_over_when_every_place_has_had_its_turn() {
        let [ann, ben, eve] = contacts();
        let mut places = Places::new(at("a"), false);
        assert!(places.not_reached(), "one place is a round of its own");
        for (contact, host) in [(ann, "a"), (ben, "b"), (eve, "c")] {
            places.tell(contact, &at(host));
        }
        let rounds = [(); 6].map(|()| places.not_reached());
        assert_eq!(rounds, [false, false, true, false, false, true]);
    }

    #[test]
    fn where_it_was_reached_it_is_dialled_first_in_the_next_run_and_on_the_next_network() {
        let [ann, eve] = contacts();
        let mut places = Places::new(at("nowhere"), false);
        places.tell(eve, &at("nowhere"));
        places.tell(ann, &at("there"));
        places.recall(&at("there"));
        assert_eq!(*places.endpoint(), at("there"));
        places.not_reached();
        assert_eq!(*places.endpoint(), at("nowhere"));
        places.begin_anew();
        assert_eq!(*places.endpoint(), at("there"));
    }
}
