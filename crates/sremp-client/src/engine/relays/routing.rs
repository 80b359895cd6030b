//! Which relay is given what waits for a contact, when the plan says that one is ([`Store`], D6.10): the
//! first that works, and without a confirmation after [`CONFIRM_WITHIN`] the next as well.

use std::{collections::BTreeMap, time::Duration};

use sremp_core::{
    contact_card::RelayHint,
    error::ErrorCode,
    id::ContactId,
    route::{CONFIRM_WITHIN, DIRECT_LEAD, Plan, REFUSAL_PAUSES, Store},
    time::Tick,
};

use super::{
    super::{Engine, Step, peers::Peer},
    Phase,
    storing::Queue,
};
use crate::store::StoreError;

/// So many refusals are remembered before those are forgotten whose pause is over.
const MANY_REFUSALS: usize = 1_024;

/// A relay that has refused what was for a contact.
struct Refusal {
    code: ErrorCode,
    until: Tick,
    times: u32,
}

/// When the messages of each contact are looked at again.
#[derive(Default)]
pub(super) struct Routes {
    due: BTreeMap<ContactId, Tick>,
    /// When everything that relays keep for a contact by now has had [`CONFIRM_WITHIN`].
    kept: BTreeMap<ContactId, Tick>,
    /// By contact and relay.
    refusals: BTreeMap<(ContactId, ContactId), Refusal>,
}

impl Routes {
    /// At the latest then.
    pub(super) fn soon(&mut self, contact: ContactId, at: Tick) {
        let due = self.due.entry(contact).or_insert(at);
        *due = (*due).min(at);
    }

    /// A relay keeps something for a contact from now on, or may have begun to.
    pub(super) fn kept(&mut self, contact: ContactId, now: Tick) {
        let at = now.plus(CONFIRM_WITHIN);
        self.kept.insert(contact, at);
        self.soon(contact, at);
    }

    /// What was too young to be given to the next relay is looked at when it is not any more.
    fn look_again(&mut self, contact: ContactId, now: Tick) {
        match self.kept.get(&contact) {
            Some(at) if *at > now => self.soon(contact, *at),
            _ => {
                self.kept.remove(&contact);
            }
        }
    }

    /// A direct connection carries everything.
    pub(super) fn forget(&mut self, contact: &ContactId) {
        self.due.remove(contact);
    }

    pub(super) fn deadline(&self) -> Option<Tick> {
        self.due.values().min().copied()
    }

    pub(super) fn postpone(&mut self, until: Tick) {
        for due in self.due.values_mut() {
            *due = (*due).max(until);
        }
    }

    /// The network is another one: what waits is looked at now.
    pub(super) fn begin_anew(&mut self, now: Tick) {
        for due in self.due.values_mut() {
            *due = (*due).min(now);
        }
    }

    fn take_due(&mut self, now: Tick) -> Vec<ContactId> {
        let due = self.due.iter().filter(|(_, at)| **at <= now);
        let due: Vec<ContactId> = due.map(|(contact, _)| *contact).collect();
        for contact in &due {
            self.due.remove(contact);
        }
        due
    }

    /// A relay has refused: it is left alone with this contact for a while, longer each time.
    pub(super) fn refused(
        &mut self,
        contact: ContactId,
        relay: ContactId,
        code: ErrorCode,
        retry_after: Duration,
        now: Tick,
    ) {
        if self.refusals.len() >= MANY_REFUSALS {
            self.refusals.retain(|_, refusal| refusal.until > now);
        }
        let refusal = self.refusals.entry((contact, relay)).or_insert(Refusal {
            code,
            until: now,
            times: 0,
        });
        refusal.code = code;
        let asked = now.plus(retry_after.min(REFUSAL_PAUSES.longest));
        // what was sent together is refused together, which is one refusal
        if refusal.until > now {
            refusal.until = refusal.until.max(asked);
            return;
        }
        let pause = REFUSAL_PAUSES.exact(refusal.times);
        refusal.times = refusal.times.saturating_add(1);
        refusal.until = asked.max(now.plus(pause));
    }

    /// A relay has taken something.
    pub(super) fn taken(&mut self, contact: ContactId, relay: ContactId) {
        self.refusals.remove(&(contact, relay));
    }

    /// What a relay last refused this contact's messages with, until it takes one.
    pub(super) fn refusal(&self, contact: ContactId, relay: ContactId) -> Option<ErrorCode> {
        self.refusals.get(&(contact, relay)).map(|r| r.code)
    }

    fn refused_until(&self, contact: ContactId, relay: ContactId, now: Tick) -> Option<Tick> {
        let refusal = self.refusals.get(&(contact, relay))?;
        (refusal.until > now).then_some(refusal.until)
    }
}

/// What stands against a relay now.
enum Fitness {
    Fit,
    Until(Tick),
}

/// What a refusal means to whoever wrote.
pub(in super::super) fn in_words(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::NoPrekey => {
            "the contact's client has left no keys there yet; it has to run once with this relay"
        }
        ErrorCode::BadProof => "it gave no receipt that holds",
        code => code.meaning(),
    }
}

/// Whether a refusal comes of whom something is for, not of the relay.
const fn is_of_contact(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Denied
            | ErrorCode::Quota
            | ErrorCode::NoPrekey
            | ErrorCode::BundleInvalid
            | ErrorCode::Suite
    )
}

impl Engine {
    /// Relays are given what waits for a contact when the plan says so.
    pub(in super::super) fn route_as(&mut self, step: &Step<'_, '_>, key: &ContactId, plan: Plan) {
        let lead = match plan.store {
            Store::Never => return,
            Store::Now => Duration::ZERO,
            Store::AfterLead => DIRECT_LEAD,
        };
        if self.online {
            self.relays.routes.soon(*key, step.now.tick.plus(lead));
        }
    }

    /// A direct connection has become silent: the plan is another one.
    pub(in super::super) fn route_now(&mut self, key: &ContactId, now: Tick) {
        self.relays.routes.soon(*key, now);
    }

    /// A direct connection stands: what waits goes over it.
    pub(in super::super) fn route_directly(&mut self, key: &ContactId) {
        self.relays.routes.forget(key);
        for relay in self.relays.known.values_mut() {
            relay.queue.remove(key);
        }
    }

    pub(super) fn run_routes(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        for key in self.relays.routes.take_due(step.now.tick) {
            let Some(peer) = self.peers.take(step.tx, &key)? else {
                continue;
            };
            let result = self.route(step, &peer);
            self.peers.put(peer);
            result?;
        }
        Ok(())
    }

    fn route(&mut self, step: &mut Step<'_, '_>, peer: &Peer) -> Result<(), StoreError> {
        let key = peer.key();
        if self.plan(peer, step.now).store == Store::Never || self.renewals.holds(&key) {
            return Ok(());
        }
        let waits = !step.tx.outbox_waiting(peer.record.row, 0, 1)?.is_empty();
        let reset = self.resets.contains(&key);
        let mut first = waits || reset;
        let mut fit = Vec::new();
        let mailboxes = peer.record.mailboxes(step.now.wall);
        for hint in &mailboxes {
            let fitness = self.fitness(peer, hint, step.now.tick);
            if matches!(fitness, Fitness::Fit) {
                fit.push(hint);
            }
            match fitness {
                Fitness::Until(at) if first => self.relays.routes.soon(key, at),
                // what others have kept it is given as soon as it can be
                Fitness::Until(at) if self.is_owed(step, peer, hint)? => {
                    self.relays.routes.soon(key, at);
                }
                Fitness::Until(_) => {}
                Fitness::Fit if first && waits && !self.may_give(step, peer, hint, true)? => {
                    // it is given everything when its bundle has come
                    first = false;
                }
                Fitness::Fit if first => {
                    first = false;
                    let relay = self.relays.enter_of(peer, hint);
                    if waits {
                        relay.queue.insert(key, Queue::of_waiting());
                    }
                    relay.want(step.now.tick);
                }
                Fitness::Fit => self.route_again(step, peer, hint)?,
            }
        }
        if reset {
            let last = self.relays.givers.last(&key);
            let other = fit.iter().find(|hint| Some(hint.relay) != last);
            if let Some(hint) = other.or(fit.first()) {
                let relay = self.relays.enter_of(peer, hint);
                relay.bundles.insert(key);
                relay.want(step.now.tick);
            }
        }
        self.relays.routes.look_again(key, step.now.tick);
        Ok(())
    }

    fn fitness(&mut self, peer: &Peer, hint: &RelayHint, now: Tick) -> Fitness {
        let refused = self
            .relays
            .routes
            .refused_until(peer.key(), hint.relay, now);
        let rests = self.relays.promises.rests(peer.key(), hint.relay, now);
        let relay = self.relays.enter_of(peer, hint);
        let until = refused.into_iter().chain(rests);
        match until.chain(relay.rests_until(now)).max() {
            None => Fitness::Fit,
            Some(at) => Fitness::Until(at),
        }
    }

    /// Whether a further relay is to be given something, now or when that is old enough.
    fn is_owed(
        &self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        hint: &RelayHint,
    ) -> Result<bool, StoreError> {
        let (row, now) = (peer.record.row, step.now.wall);
        let once = self.gives_once(step, peer, &hint.relay)?;
        let left = step
            .tx
            .outbox_unconfirmed(row, &hint.relay, 0, now, once, 1)?;
        Ok(!left.is_empty())
    }

    /// Gives a further relay what others have kept for a while without a confirmation.
    fn route_again(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        hint: &RelayHint,
    ) -> Result<(), StoreError> {
        let before = step.now.wall.minus(CONFIRM_WITHIN);
        let row = peer.record.row;
        let kept = step.tx.kept_since(row)?;
        let late = kept.is_some_and(|(oldest, _)| oldest <= before);
        if !late || !self.may_give(step, peer, hint, false)? {
            return Ok(());
        }
        let once = self.gives_once(step, peer, &hint.relay)?;
        let left = step
            .tx
            .outbox_unconfirmed(row, &hint.relay, 0, before, once, 1)?;
        if !left.is_empty() {
            let relay = self.relays.enter_of(peer, hint);
            let queue = Queue::of_unconfirmed();
            relay.queue.entry(peer.key()).or_insert(queue);
            relay.want(step.now.tick);
        }
        Ok(())
    }

    /// A relay does not take what is for a contact: the next one is tried.
    pub(super) fn relay_refused(
        &mut self,
        step: &mut Step<'_, '_>,
        relay: &ContactId,
        contact: &ContactId,
        code: ErrorCode,
        retry_after: Duration,
    ) -> Result<(), StoreError> {
        let now = step.now.tick;
        self.relays
            .routes
            .refused(*contact, *relay, code, retry_after, now);
        if let Some(state) = self.relays.known.get_mut(relay) {
            state.queue.remove(contact);
            // that a contact has no mailbox there, or a full one, says nothing against one's own
            if !state.is_own() || !is_of_contact(code) {
                state.last_error = Some(in_words(code).to_owned());
            }
        }
        self.relays.routes.soon(*contact, now);
        self.seek(contact, now, step.rng);
        let Some(peer) = self.peers.take(step.tx, contact)? else {
            return Ok(());
        };
        let row = peer.record.row;
        let cause = in_words(code);
        let noted = step.tx.note_attempt(row, Some(relay), cause, step.now.wall);
        self.peers.put(peer);
        noted
    }

    /// When something is next tried for a contact by itself: now, while a relay is being dialled.
    pub(in super::super) fn next_route(&self, contact: &ContactId, now: Tick) -> Option<Tick> {
        let route = self.relays.routes.due.get(contact).copied();
        let waiting = self.relays.known.values();
        let waiting = waiting.filter(|r| r.queue.contains_key(contact));
        route
            .into_iter()
            .chain(waiting.filter_map(|r| match r.phase {
                Phase::Dialling => Some(now),
                Phase::Down | Phase::Up(_) => r.due,
            }))
            .min()
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
    fn what_is_refused_together_is_one_refusal_and_each_pause_is_twice_the_one_before() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let name = Username::parse("someone").unwrap();
        let [contact, relay] =
            [(); 2].map(|()| SecretIdentity::generate(&name, UnixMillis::ZERO, &mut rng).id());
        let mut routes = Routes::default();
        let mut now = Tick::new(0);
        for seconds in [1, 2, 4, 8] {
            for _ in 0..48 {
                let code = ErrorCode::RateLimited;
                routes.refused(contact, relay, code, Duration::ZERO, now);
            }
            let until = routes.refused_until(contact, relay, now);
            now = now.plus(Duration::from_secs(seconds));
            assert_eq!(until, Some(now));
        }
    }
}
