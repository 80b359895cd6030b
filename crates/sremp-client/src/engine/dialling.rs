//! Dials: at once for a new message, then with growing pauses. Whether to dial at all the plan says
//! ([`super::paths`]).

use std::collections::HashMap;

use sremp_core::{
    constants::CLAIMS_INTERVAL,
    contact_card::Endpoint,
    error::ErrorCode,
    id::ContactId,
    identity::Trust,
    rand_core::CryptoRng,
    route::{
        DIAL_PAUSES, Dial, FAILED_LATELY, REACHED_LATELY, REFUSED_PAUSE, SHORTEST_DIAL_PAUSE, Seek,
    },
    time::Tick,
};
use sremp_net::{CloseReason, DialTarget, Service};

use super::{
    Engine, Output, Step,
    claims::Claims,
    peers::Peer,
    silence::{GivenUp, Silent},
};
use crate::store::StoreError;

#[derive(Debug, Default)]
struct Attempt {
    /// When to dial next; `None` while there is a connection or nothing waits.
    due: Option<Tick>,
    /// Dials that have failed, and connections that did not last, in a row.
    failures: u32,
    in_progress: bool,
    /// Nobody but the contact can have answered the last dial.
    pinned: bool,
    /// The peer's noise key may have changed: the next dial is not pinned to the cached one.
    unpinned: bool,
    last: Option<Tick>,
    /// Why the last dial failed.
    failure: Option<CloseReason>,
    /// When a dial last failed.
    failed: Option<Tick>,
    /// When a connection of use last ended, if none of no use has since.
    reached: Option<Tick>,
    given_up: GivenUp,
    /// The next dial is made though nothing waits: a connection stood when this host's network changed, the
    /// peer's noise key may have, or its answer can come by no other way.
    restore: bool,
    /// The dial that is in progress began before this host's network changed.
    outdated: bool,
}

impl Attempt {
    /// When it may be dialled again at the earliest.
    fn soonest(&self, now: Tick) -> Tick {
        let soonest = self.last.map_or(now, |last| last.plus(SHORTEST_DIAL_PAUSE));
        soonest.max(now)
    }

    fn was_of_use(&mut self, now: Tick) {
        *self = Self {
            last: self.last,
            reached: Some(now),
            given_up: self.given_up,
            ..Self::default()
        };
    }

    fn failed_lately(&self, now: Tick) -> bool {
        self.failed.is_some_and(|at| now.since(at) < FAILED_LATELY)
    }

    fn reached_lately(&self, now: Tick) -> bool {
        self.reached
            .is_some_and(|at| now.since(at) < REACHED_LATELY)
    }

    /// Whether anything of it still matters.
    fn matters(&self, now: Tick) -> bool {
        let awaited = self.due.is_some() || self.in_progress;
        let lately = self.failed_lately(now) || self.reached_lately(now);
        // as long as a connection stands that has not been of use yet
        let counted = self.failures > 0 || self.given_up != GivenUp::default();
        awaited || lately || counted
    }

    fn pause(&mut self, now: Tick, rng: &mut dyn CryptoRng) {
        if self.reached_lately(now) {
            self.failures = 0;
        }
        let pause = DIAL_PAUSES.pause(self.failures, rng);
        let pause = pause.max(SHORTEST_DIAL_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.due = Some(now.plus(pause));
    }
}

#[derive(Debug, Default)]
pub(super) struct Dialling {
    attempts: HashMap<ContactId, Attempt>,
    claims: Claims,
}

impl Dialling {
    /// Contacts whose noise key was proved, and who say that they know a newer identity of this home.
    pub(super) fn who_know_newer(&self) -> impl Iterator<Item = &ContactId> {
        let stale = ErrorCode::StaleIdentity.to_u16();
        let says = move |attempt: &Attempt| match &attempt.failure {
            // while another dial is under way, `pinned` is of that one
            Some(CloseReason::Peer(close)) => {
                attempt.pinned && !attempt.in_progress && close.code == stale
            }
            _ => false,
        };
        let attempts = self.attempts.iter();
        attempts
            .filter(move |(_, attempt)| says(attempt))
            .map(|(contact, _)| contact)
    }

    /// Something waits for this contact: it is dialled when its pause is over.
    pub(super) fn want(&mut self, contact: ContactId, now: Tick) {
        let attempt = self.attempts.entry(contact).or_default();
        if attempt.due.is_none() && !attempt.in_progress && !attempt.failed_lately(now) {
            attempt.failures = 0;
        }
        let soonest = attempt.soonest(now);
        attempt.due.get_or_insert(soonest);
    }

    /// The user has just written to this contact, and does not wait for a long pause.
    pub(super) fn hurry(&mut self, contact: &ContactId, now: Tick) {
        if let Some(attempt) = self.attempts.get_mut(contact) {
            let soonest = attempt.soonest(now);
            attempt.due = attempt.due.map(|due| due.min(soonest));
        }
    }

    /// The network is another one: whoever waits for a pause is dialled as if nothing had failed.
    pub(super) fn begin_anew(&mut self, now: Tick) {
        for attempt in self.attempts.values_mut() {
            attempt.failures = 0;
            attempt.failed = None;
            attempt.outdated = attempt.in_progress;
            if !attempt.in_progress && attempt.due.is_some() {
                attempt.due = Some(attempt.soonest(now));
            }
        }
    }

    /// The contact is somewhere else now: it is dialled there as if it had never failed.
    pub(super) fn moved(&mut self, contact: &ContactId, now: Tick) {
        let attempt = self.attempts.entry(*contact).or_default();
        attempt.failures = 0;
        attempt.failed = None;
        attempt.unpinned = false;
        if !attempt.in_progress {
            attempt.due = Some(attempt.soonest(now));
        }
    }

    /// A connection stands.
    pub(super) fn opened(&mut self, contact: &ContactId) {
        if let Some(attempt) = self.attempts.get_mut(contact) {
            attempt.in_progress = false;
            attempt.outdated = false;
            attempt.unpinned = false;
            attempt.failure = None;
            attempt.failed = None;
            attempt.due = None;
        }
    }

    /// A connection has ended: one that was of no use counts as a failure, so that nobody is dialled
    /// in a loop.
    pub(super) fn closed(
        &mut self,
        contact: &ContactId,
        of_use: bool,
        now: Tick,
        rng: &mut dyn CryptoRng,
    ) {
        // strangers come under ever new keys
        self.attempts.retain(|_, attempt| attempt.matters(now));
        let attempt = self.attempts.entry(*contact).or_default();
        if of_use {
            attempt.was_of_use(now);
        } else {
            attempt.reached = None;
            attempt.pause(now, rng);
        }
    }

    /// The contact has ended a connection because it accepts none: it is not dialled by itself for a
    /// while.
    pub(super) fn refused(&mut self, contact: &ContactId, now: Tick) {
        if let Some(attempt) = self.attempts.get_mut(contact) {
            attempt.due = Some(now.plus(REFUSED_PAUSE));
        }
    }

    /// A connection was given up because it was silent: nothing speaks against the next at once.
    pub(super) fn silent(&mut self, contact: &ContactId, of_use: bool, why: Silent, now: Tick) {
        let attempt = self.attempts.entry(*contact).or_default();
        if why == Silent::Unexplained {
            attempt.given_up.once_more();
        }
        if of_use {
            attempt.was_of_use(now);
        }
    }

    /// Whoever could reach the user should be able to again, or can by a connection alone: one dial is made for
    /// it.
    pub(super) fn restore(&mut self, contact: ContactId, now: Tick) {
        let attempt = self.attempts.entry(contact).or_default();
        attempt.restore = true;
        attempt.due = Some(attempt.soonest(now));
    }

    /// The contact has confirmed something.
    pub(super) fn answered(&mut self, contact: &ContactId) {
        if let Some(attempt) = self.attempts.get_mut(contact) {
            attempt.given_up.forget();
        }
    }

    /// How often in a row connections with this contact were silent.
    pub(super) fn given_up(&self, contact: &ContactId) -> GivenUp {
        self.attempts
            .get(contact)
            .map_or_else(GivenUp::default, |attempt| attempt.given_up)
    }

    /// Why the last dial of this contact failed.
    pub(super) fn failure(&self, contact: &ContactId) -> Option<String> {
        let failure = self.attempts.get(contact)?.failure.as_ref();
        failure.map(ToString::to_string)
    }

    /// Contacts who were not dialled because they say that they are inside a private network.
    pub(super) fn inside(&self) -> impl Iterator<Item = &ContactId> {
        let inside =
            |a: &Attempt| a.due.is_some() && a.failure == Some(CloseReason::PrivateAddress);
        let attempts = self.attempts.iter();
        attempts.filter(move |(_, a)| inside(a)).map(|(key, _)| key)
    }

    /// Whether a dial of this contact has failed lately, or is not to be made yet: others do not wait
    /// for it.
    pub(super) fn rests(&self, contact: &ContactId, now: Tick) -> bool {
        let rests = |a: &Attempt| a.failed_lately(now) || a.due.is_some_and(|due| due > now);
        self.attempts.get(contact).is_some_and(rests)
    }

    /// When this contact is dialled next.
    pub(super) fn next(&self, contact: &ContactId) -> Option<Tick> {
        self.attempts.get(contact)?.due
    }

    /// Nothing waits for this contact any more. What has failed lately is remembered.
    fn rest(&mut self, contact: &ContactId, now: Tick) {
        if let Some(attempt) = self.attempts.get_mut(contact) {
            attempt.due = None;
            attempt.restore = false;
            if !attempt.failed_lately(now) {
                self.attempts.remove(contact);
            }
        }
    }

    /// The contact is not to be dialled.
    pub(super) fn forget(&mut self, contact: &ContactId) {
        self.attempts.remove(contact);
    }

    /// Nobody is dialled before this time: the disk has just failed.
    pub(super) fn postpone(&mut self, until: Tick) {
        for due in self.attempts.values_mut().filter_map(|a| a.due.as_mut()) {
            *due = (*due).max(until);
        }
    }

    pub(super) fn deadline(&self, online: bool) -> Option<Tick> {
        let waiting = self.attempts.values().filter(|a| online && !a.in_progress);
        waiting.filter_map(|a| a.due).min()
    }

    /// Dialled enough of what this contact claims: not before this time again.
    fn delay(&mut self, contact: &ContactId, until: Tick) {
        if let Some(attempt) = self.attempts.get_mut(contact) {
            attempt.due = Some(until);
        }
    }

    fn due(&self, now: Tick) -> Vec<ContactId> {
        let due = |a: &Attempt| !a.in_progress && a.due.is_some_and(|due| due <= now);
        let mut contacts: Vec<_> = self
            .attempts
            .iter()
            .filter(|(_, a)| due(a))
            .map(|(c, _)| *c)
            .collect();
        contacts.sort_unstable();
        contacts
    }

    fn failed(
        &mut self,
        contact: &ContactId,
        reason: &CloseReason,
        now: Tick,
        rng: &mut dyn CryptoRng,
    ) {
        let Some(attempt) = self.attempts.get_mut(contact) else {
            return;
        };
        attempt.in_progress = false;
        attempt.failure = Some(reason.clone());
        let other_key = matches!(reason, CloseReason::Local(ErrorCode::StaticMismatch));
        if other_key && !attempt.unpinned {
            attempt.unpinned = true;
            // also if a relay has taken what waited: who cannot be dialled hears of the new key, and gets
            // its answers, over this connection alone
            attempt.restore = true;
            attempt.due = Some(attempt.soonest(now));
            return;
        }
        attempt.unpinned = false;
        if std::mem::take(&mut attempt.outdated) {
            attempt.due = Some(attempt.soonest(now));
            return;
        }
        attempt.failed = Some(now);
        attempt.pause(now, rng);
        if attempt.pinned && reason.is_refusal() {
            attempt.due = Some(now.plus(REFUSED_PAUSE));
        }
    }
}

impl Engine {
    /// Dials every contact that is due and for whom something waits.
    pub(super) fn dial_due(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        if !self.online {
            return Ok(());
        }
        for key in self.dialling.due(step.now.tick) {
            match self.dial_target(step, &key)? {
                Some(target) if target.endpoints.is_empty() && target.claimed.is_empty() => {
                    self.dialling
                        .delay(&key, step.now.tick.plus(CLAIMS_INTERVAL));
                }
                Some(target) => {
                    let pinned = target.pinned_noise_key.is_some();
                    step.outputs.push(Output::Dial(Box::new(target)));
                    if let Some(attempt) = self.dialling.attempts.get_mut(&key) {
                        attempt.in_progress = true;
                        attempt.restore = false;
                        attempt.pinned = pinned;
                        attempt.last = Some(step.now.tick);
                    }
                }
                None => self.dialling.rest(&key, step.now.tick),
            }
        }
        Ok(())
    }

    fn dial_target(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
    ) -> Result<Option<DialTarget>, StoreError> {
        let Some(peer) = self.peers.take(step.tx, key)? else {
            return Ok(None);
        };
        let attempt = self.dialling.attempts.get(key);
        let (unpinned, restore) = attempt.map_or((false, false), |a| (a.unpinned, a.restore));
        let waits = restore || !step.tx.outbox_waiting(peer.record.row, 0, 1)?.is_empty();
        let reachable = waits && self.plan(&peer, step.now).dial != Dial::Never;
        let places = match reachable {
            true => Some(self.places(step, &peer)?),
            false => None,
        };
        let target = places.map(|(endpoints, claimed)| DialTarget {
            endpoints,
            claimed,
            expected: Some(*key),
            pinned_noise_key: peer
                .record
                .identity
                .as_ref()
                .filter(|_| !unpinned)
                .map(|identity| identity.noise_key()),
            intro: peer.record.intro,
            service: Service::P2p,
        });
        self.peers.put(peer);
        Ok(target)
    }

    /// Where a contact is dialled: at places that may be anywhere, and at places that it only
    /// claims. The user's card, the user's trust, and the user's setting lift the rule (8.2).
    fn places(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
    ) -> Result<(Vec<Endpoint>, Vec<Endpoint>), StoreError> {
        let anywhere = self.config.allow_private_addresses || peer.record.trust == Trust::Trusted;
        let (mut endpoints, mut claimed) = (Vec::new(), Vec::new());
        // The newest word first, so that older ones do not use up what may be dialled. Trust is in what a
        // contact says to the user, not in what a server passes on (5.5).
        for endpoint in peer.record.found_endpoints(step.now.wall) {
            if self.may_claim(peer, endpoint, step.now.tick) {
                match self.config.allow_private_addresses {
                    true => endpoints.push(endpoint.clone()),
                    false => claimed.push(endpoint.clone()),
                }
            }
        }
        for endpoint in &peer.record.endpoints {
            if step.tx.is_given_endpoint(peer.record.row, endpoint)? {
                endpoints.push(endpoint.clone());
            } else if self.may_claim(peer, endpoint, step.now.tick) {
                match anywhere {
                    true => endpoints.push(endpoint.clone()),
                    false => claimed.push(endpoint.clone()),
                }
            }
        }
        Ok((endpoints, claimed))
    }

    fn may_claim(&mut self, peer: &Peer, endpoint: &Endpoint, now: Tick) -> bool {
        let may = self.dialling.claims.may_dial(peer.key(), endpoint, now);
        if !may {
            self.refusals.count("too-many-endpoints");
        }
        may
    }

    /// A dial has failed before its connection was open: what waits need not wait for it.
    pub(super) fn dial_failed(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        reason: &CloseReason,
    ) -> Result<(), StoreError> {
        self.dialling.failed(key, reason, step.now.tick, step.rng);
        let Some(peer) = self.peers.take(step.tx, key)? else {
            return Ok(());
        };
        let plan = self.plan(&peer, step.now);
        self.route_as(step, key, plan);
        if plan.seek != Seek::Never {
            self.seek(key, step.now.tick, step.rng);
        }
        let (row, cause) = (peer.record.row, reason.to_string());
        self.peers.put(peer);
        step.tx.note_attempt(row, None, &cause, step.now.wall)
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

    #[test]
    fn connections_of_ever_new_strangers_leave_nothing_behind() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let name = Username::parse("stranger").unwrap();
        let mut dialling = Dialling::default();
        for seconds in 0..400 {
            let key = SecretIdentity::generate(&name, UnixMillis::ZERO, &mut rng).id();
            dialling.closed(&key, true, Tick::new(seconds * 1_000), &mut rng);
            assert!(dialling.attempts.len() <= 120, "{seconds} s");
        }
    }
}
