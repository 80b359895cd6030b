//! Relays as `status` shows them.

use sremp_core::{
    contact_card::RelayHint,
    time::{Tick, UnixMillis},
};

use super::{
    super::{Engine, Now},
    Phase, Relay,
};
use crate::{
    clock::Rfc3339,
    store::ContactRecord,
    view::{RelayState, RelayView},
};

/// A stopwatch's time as a calendar will show it.
pub(in super::super) fn calendar(at: Tick, now: Now) -> UnixMillis {
    now.wall.plus(at.since(now.tick))
}

impl Relay {
    fn state(&self) -> RelayState {
        match &self.phase {
            Phase::Up(session) if session.granted => RelayState::Connected,
            Phase::Up(_) | Phase::Dialling => RelayState::Connecting,
            Phase::Down if self.due.is_some() => RelayState::Waiting,
            Phase::Down => RelayState::Idle,
        }
    }
}

impl Engine {
    /// Why none of a contact's relays takes what waits for it; `None` if one may, or there is none.
    pub(in super::super) fn relays_fail(
        &self,
        contact: &ContactRecord,
        now: UnixMillis,
    ) -> Option<String> {
        let relays = contact.mailboxes(now);
        let known = |hint: &RelayHint| self.relays.known.get(&hint.relay);
        let works = |r: &Relay| r.last_error.is_none();
        if relays.iter().any(|h| known(h).is_none_or(works)) {
            return None;
        }
        let first = relays.first().and_then(known)?;
        first.last_error.clone()
    }

    /// What the user should know: the same identity is live twice (D3.13).
    pub(in super::super) fn relay_warnings(&self, now: Now) -> Vec<String> {
        let warning = |relay: &Relay| {
            let mailbox = relay.mailbox.as_ref()?;
            let count = mailbox.taken_over_too_often(now.tick)?;
            Some(format!(
                "another client took over your mailbox at {} {count} times within an hour: this \
                 identity runs in two places, and messages are lost to one of them; end the other \
                 one, or if it is not yours, somebody has your keys: tell your contacts by another way",
                relay.endpoint
            ))
        };
        self.relays.known.values().filter_map(warning).collect()
    }

    /// Every relay, one's own first.
    pub(in super::super) fn relay_views(&self, now: Now) -> Vec<RelayView> {
        let own = |own: bool| {
            let known = self.relays.known.iter();
            known.filter(move |(_, relay)| relay.mailbox.is_some() == own)
        };
        own(true)
            .chain(own(false))
            .map(|(key, relay)| RelayView {
                relay: key.to_string(),
                endpoint: relay.endpoint.to_string(),
                own: relay.mailbox.is_some(),
                state: match self.online {
                    true => relay.state(),
                    false => RelayState::Idle,
                },
                last_error: relay.last_error.clone(),
                next_try: relay
                    .due
                    .filter(|_| self.online && matches!(relay.phase, Phase::Down))
                    .map(|due| Rfc3339(calendar(due, now))),
                prekeys: relay
                    .mailbox
                    .as_ref()
                    .and_then(|m| m.prekeys)
                    .map(u32::from),
                in_flight: self.in_flight(key),
            })
            .collect()
    }
}
