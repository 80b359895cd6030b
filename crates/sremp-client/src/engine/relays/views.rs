//! Relays as `status` shows them.

use sremp_core::{
    contact_card::{Endpoint, RelayHint},
    id::ContactId,
    time::{Tick, UnixMillis},
};
use sremp_net::LinkId;

use super::{
    super::{Engine, Now, peers::Peer, waiting::Held},
    Phase, Relay, Relays, Session,
    mailbox::Errand,
};
use crate::{
    clock::Rfc3339,
    view::{RelayState, RelayView},
};

/// A stopwatch's time as a calendar will show it.
pub(in super::super) fn calendar(at: Tick, now: Now) -> UnixMillis {
    now.wall.plus(at.since(now.tick))
}

impl Relay {
    /// Whether prekeys are on their way to it: how many it has is known when it has answered.
    fn is_supplied(&self) -> bool {
        let mut errands = self.session().into_iter().flat_map(|s| s.errands.values());
        errands.any(|errand| matches!(errand, Errand::Prekeys))
    }

    /// Whether it is, or is to be, asked for a contact's bundle.
    fn wants_keys(&self, contact: &ContactId) -> bool {
        let asked = |s: &Session| s.bundle_requests.values().any(|c| c == contact);
        self.bundles.contains(contact) || self.session().is_some_and(asked)
    }

    /// Whether it is, or is to be, given something for a contact.
    fn is_busy_for(&self, contact: &ContactId) -> bool {
        let gives = |s: &Session| s.stores.values().any(|stored| stored.contact == *contact);
        self.queue.contains_key(contact) || self.session().is_some_and(gives)
    }

    /// What its calendar shows, or the one here if that is not known.
    pub(super) fn time_there(&self, now: Now) -> UnixMillis {
        match &self.clock {
            Some(clock) => clock.wall.plus(now.tick.since(clock.tick)),
            None => now.wall,
        }
    }

    /// How far the calendar here is ahead of its, in milliseconds.
    fn clock_ahead(&self, now: Now) -> Option<i64> {
        self.clock?;
        let theirs = self.time_there(now);
        let millis = |time: UnixMillis| i64::try_from(time.get()).unwrap_or(i64::MAX);
        Some(millis(now.wall).saturating_sub(millis(theirs)))
    }

    fn state(&self) -> RelayState {
        match &self.phase {
            Phase::Up(session) if session.granted => RelayState::Connected,
            Phase::Up(_) | Phase::Dialling => RelayState::Connecting,
            Phase::Down if self.due.is_some() => RelayState::Waiting,
            Phase::Down => RelayState::Idle,
        }
    }
}

impl Relays {
    /// Whether a relay is asked for a contact's bundle.
    pub(super) fn asks_for_keys(&self, contact: &ContactId) -> bool {
        self.known.values().any(|relay| relay.wants_keys(contact))
    }

    /// How far the calendar here is ahead of a relay's, in milliseconds: by the relay that agrees
    /// best, for any of them may be wrong.
    pub(in super::super) fn clock_error(&self, now: Now) -> Option<(&Endpoint, i64)> {
        let known = self.known.values();
        let clocks = known.filter_map(|relay| Some((relay.endpoint(), relay.clock_ahead(now)?)));
        clocks.min_by_key(|(_, ahead)| ahead.unsigned_abs())
    }
}

impl Engine {
    /// What holds up at a contact's relays what waits for it; `None` if it has none.
    pub(in super::super) fn held_by_relays(&self, peer: &Peer, now: Now) -> Option<Held> {
        let relays = peer.record.mailboxes(now.wall);
        let first = relays.first()?;
        let key = peer.key();
        let known = |hint: &RelayHint| self.relays.known.get(&hint.relay);
        // where it was spoken to, which need not be where this contact says that it is
        let place = |hint: &RelayHint| {
            let endpoint = known(hint).map_or(&hint.endpoint, Relay::endpoint);
            endpoint.to_string()
        };
        let refusal = |hint: &RelayHint| {
            let code = self.relays.routes.refusal(key, hint.relay)?;
            Some(Held::Refused(place(hint), code))
        };
        let rests = |hint: &RelayHint| {
            self.relays.promises.rests(key, hint.relay, now.tick)?;
            Some(Held::Over(place(hint)))
        };
        let down = |hint: &RelayHint| {
            let relay = known(hint).filter(|relay| !relay.is_up())?;
            Some(Held::Down {
                relay: place(hint),
                cause: relay.last_error.clone()?,
                since: relay.down_since,
            })
        };
        let says = |hint: &RelayHint| refusal(hint).or_else(|| rests(hint));
        let in_the_way = |hint: &RelayHint| down(hint).or_else(|| says(hint));
        if relays.iter().all(|hint| in_the_way(hint).is_some()) {
            // what a relay says tells more than that another is silent
            return relays.iter().find_map(says).or_else(|| down(first));
        }
        let asked = |hint: &&RelayHint| known(hint).is_some_and(|relay| relay.wants_keys(&key));
        if let Some(hint) = relays.iter().find(asked) {
            return Some(Held::Keys(place(hint)));
        }
        let idle = |relay: &Relay| relay.is_up() && !relay.is_busy_for(&key);
        let has_its_share = !peer.record.confirmed && relays.iter().filter_map(known).any(idle);
        Some(match has_its_share {
            true => Held::Acceptance,
            false => Held::Unanswered,
        })
    }

    /// What the user should know: the same identity may be live twice (D3.13), by a relay's word alone.
    pub(in super::super) fn relay_warnings(&self, now: Now) -> Vec<String> {
        let warning = |relay: &Relay| {
            let mailbox = relay.mailbox.as_ref()?;
            let count = mailbox.taken_over_too_often(now.tick)?;
            Some(format!(
                "the relay {} says that another client took over your mailbox {count} times within an \
                 hour: either this identity runs in two places, and messages are lost to one of them \
                 (end the other one), or somebody has your keys (tell your contacts by another way), \
                 or the relay is broken or lies",
                relay.endpoint()
            ))
        };
        self.relays.known.values().filter_map(warning).collect()
    }

    /// One's own relays, to be connected to now whatever their pauses; with the failures in a row.
    pub(in super::super) fn hurry_own_relays(&mut self, now: Tick) -> Vec<(ContactId, u32)> {
        let own = self.relays.known.iter_mut();
        let own = own.filter(|(_, relay)| relay.is_own());
        own.map(|(key, relay)| {
            if matches!(relay.phase, Phase::Down) {
                relay.due = Some(now);
            }
            (*key, relay.failures)
        })
        .collect()
    }

    /// The connection to a relay if it can be used, and the failures in a row.
    pub(in super::super) fn relay_state(&self, key: &ContactId) -> (Option<LinkId>, u32) {
        let relay = self.relays.known.get(key);
        let up = relay.filter(|relay| relay.is_up());
        let link = up.and_then(Relay::session).map(|s| s.link);
        (link, relay.map_or(0, |relay| relay.failures))
    }

    /// Every relay, one's own first.
    pub(in super::super) fn relay_views(&self, now: Now) -> Vec<RelayView> {
        let own = |own: bool| {
            let known = self.relays.known.iter();
            known.filter(move |(_, relay)| relay.is_own() == own)
        };
        own(true)
            .chain(own(false))
            .map(|(key, relay)| RelayView {
                relay: key.to_string(),
                endpoint: relay.endpoint().to_string(),
                own: relay.is_own(),
                left_until: relay
                    .mailbox
                    .as_ref()
                    .and_then(|m| m.left_until)
                    .map(Rfc3339),
                state: match self.online {
                    true => relay.state(),
                    false => RelayState::Idle,
                },
                // what failed before nothing was to be done says nothing of now
                last_error: relay
                    .last_error
                    .clone()
                    .or_else(|| relay.troubles.words(now.tick))
                    .filter(|_| relay.state() != RelayState::Idle),
                next_try: relay
                    .due
                    .filter(|_| self.online && matches!(relay.phase, Phase::Down))
                    .map(|due| Rfc3339(calendar(due, now))),
                prekeys: relay
                    .mailbox
                    .as_ref()
                    .filter(|_| !relay.is_supplied())
                    .and_then(|m| m.prekeys)
                    .map(u32::from),
                in_flight: self.in_flight(key),
            })
            .collect()
    }
}
