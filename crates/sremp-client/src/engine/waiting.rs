//! Why a message waits: the first thing that holds it up, from what the engine knows now and, where
//! it has not tried yet since its start, from what the store kept.

use std::time::Duration;

use sremp_core::{
    constants::CLOCK_SKEW,
    error::ErrorCode,
    id::MsgId,
    identity::Trust,
    route::Dial,
    time::{Tick, UnixMillis},
};

use super::{Engine, Now, Step, peers::Peer};
use crate::{
    clock::{Rfc3339, period},
    store::{ContactRow, Fork, OutboxItem, StoreError},
    view::{Status, Waits},
};

/// What a message waits for, and the words for it.
pub(super) type Reason = (Waits, String);

/// A session that was begun anew is waited for this long before something else is the reason.
const RENEWAL: Duration = Duration::from_secs(60 * 60);

/// A message that is not confirmed after this time is marked; one that no relay keeps, `doctor` tells.
pub(super) const LONG_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

impl Engine {
    /// Why a message to this contact still waits.
    pub(super) fn why_waiting(
        &mut self,
        step: &mut Step<'_, '_>,
        contact: ContactRow,
        msg_id: Option<&MsgId>,
    ) -> Result<Option<Reason>, StoreError> {
        let Some(record) = step.tx.contact(contact)? else {
            return Ok(None);
        };
        let item = match msg_id {
            Some(msg_id) => waiting_item(step, contact, msg_id)?,
            None => None,
        };
        let Some(peer) = self.peers.take(step.tx, &record.key)? else {
            return Ok(None);
        };
        let reason = self.reason(step, &peer, item.as_ref());
        self.peers.put(peer);
        reason.map(Some)
    }

    fn reason(
        &self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        item: Option<&OutboxItem>,
    ) -> Result<Reason, StoreError> {
        if let Some((_, state)) = self.screen_state() {
            let words = format!(
                "its home sends it, and tells there, with `sremp why`, what it waits for; {state}"
            );
            return Ok((Waits::Home, words));
        }
        if let Some(reason) = turned_away(peer) {
            return Ok(reason);
        }
        if let Some(reason) = self.renewal(step.now.tick, peer) {
            return Ok(reason);
        }
        // what was promised for an envelope that was dropped meanwhile counts no longer
        if let Some(until) = item.and_then(|item| item.relay_until) {
            return Ok(kept(peer, until, step.now.wall));
        }
        if self.links.active(&peer.key()).is_some() {
            return Ok(self.connected(step.now, peer));
        }
        if !self.online {
            return self.nothing_runs(step, peer);
        }
        let Some((waits, mut words)) = self.at_relays(step, peer)? else {
            return self.without_relay(step, peer);
        };
        let way = self.way_to(peer, step.now);
        let directly = match way.bar() {
            Some(bar) => Some(self.why_not_dialled(bar, &peer.name())),
            None if way.plan().dial == Dial::Never => None,
            None => self.dialling.failure(&peer.key()),
        };
        if let Some(cause) = directly {
            words = format!("{words}; directly: {cause}");
        }
        Ok((waits, words))
    }

    /// A new session is under way, in which everything goes again.
    fn renewal(&self, now: Tick, peer: &Peer) -> Option<Reason> {
        let (key, name) = (peer.key(), peer.name());
        if self.renewals.holds(&key) {
            let words = format!(
                "this home was restored, and begins its sessions anew one after the other within ten \
                 minutes; this goes with the one with {name}"
            );
            return Some((Waits::NewSession, words));
        }
        if self.resets.contains(&key) {
            let words = format!(
                "the session with {name} is lost; a new one is begun as soon as new keys of {name} \
                 come, and this goes with it"
            );
            return Some((Waits::NewSession, words));
        }
        let (begun, _) = self.resets_begun.get(&key)?;
        let fresh = now.since(*begun) < RENEWAL && self.links.active(&key).is_some();
        fresh.then(|| {
            let words = format!(
                "a new session with {name} was begun just now, and {name} has not confirmed this in \
                 it yet"
            );
            (Waits::NewSession, words)
        })
    }

    fn connected(&self, now: Now, peer: &Peer) -> Reason {
        let name = peer.name();
        if peer.needs_bundle(now.wall) {
            let words = format!(
                "{name} is connected but has not sent the keys yet to which this is sealed{}",
                self.clock_remark(now)
                    .map_or_else(String::new, |remark| format!("; {remark}"))
            );
            return (Waits::Keys, words);
        }
        match peer.record.confirmed {
            true => {
                let words = format!("{name} is connected but has not confirmed it yet");
                (Waits::Confirmation, words)
            }
            false => {
                let words =
                    format!("{name} is connected but has not accepted you as a contact yet");
                (Waits::Acceptance, words)
            }
        }
    }

    fn nothing_runs(&self, step: &mut Step<'_, '_>, peer: &Peer) -> Result<Reason, StoreError> {
        let failed = step.tx.attempts(peer.record.row, UnixMillis::ZERO)?.pop();
        let failed = failed.map(|last| format!("; the last try: {}", last.cause));
        let words = format!(
            "no client runs that could send it: start one with `sremp up`{}",
            failed.unwrap_or_default()
        );
        Ok((Waits::Client, words))
    }

    /// What holds it up at the contact's relays; `None` if no relay is known.
    fn at_relays(
        &self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
    ) -> Result<Option<Reason>, StoreError> {
        let name = peer.name();
        let held = self.held_by_relays(peer, step.now);
        let Some(held) = held else {
            return Ok(None);
        };
        let reason = match held {
            Held::Refused(relay, code) => self.refused(step.now, &name, &relay, code),
            Held::Over(relay) => {
                let words = format!(
                    "relay {relay} kept it for as long as it had promised, and {name} has not fetched it; \
                     it is given it again later"
                );
                (Waits::Reader, words)
            }
            Held::Keys(relay) => {
                let words = format!("relay {relay} is being asked for the keys of {name}");
                (Waits::Keys, words)
            }
            Held::Acceptance => {
                let words = format!(
                    "{name} has not accepted you as a contact yet; until then relays are given only \
                     the first messages, and they have them"
                );
                (Waits::Acceptance, words)
            }
            Held::Down {
                relay,
                cause,
                since,
            } => {
                let since = since.map(|at| format!(" since {}", Rfc3339(at)));
                let words = format!(
                    "no relay of {name} takes it: {relay} cannot be used{}: {cause}",
                    since.unwrap_or_default()
                );
                (Waits::RelayDown, words)
            }
            Held::Unanswered => {
                let failed = step.tx.attempts(peer.record.row, UnixMillis::ZERO)?;
                let failed = failed.into_iter().rfind(|a| a.relay.is_some());
                let failed = failed.map(|last| {
                    format!("; the last failure, {}: {}", Rfc3339(last.last), last.cause)
                });
                let words = format!(
                    "the relays of {name} have not answered yet{}",
                    failed.unwrap_or_default()
                );
                (Waits::RelayAnswer, words)
            }
        };
        Ok(Some(reason))
    }

    fn refused(&self, now: Now, name: &str, relay: &str, code: ErrorCode) -> Reason {
        let said = super::relays::in_words(code);
        match code {
            ErrorCode::Denied => {
                let words = format!(
                    "relay {relay} takes nothing from you for {name}: {name} has no mailbox there (any \
                     more), or has blocked you. The relay does not tell which; ask {name} by another way"
                );
                (Waits::RelayDenies, words)
            }
            ErrorCode::NoPrekey | ErrorCode::BundleInvalid | ErrorCode::Suite => {
                let words =
                    format!("no keys of {name} to seal this to, from relay {relay}: {said}");
                match self.clock_remark(now) {
                    Some(remark) => (Waits::Clock, format!("{words}. Likely because {remark}")),
                    None => (Waits::Keys, words),
                }
            }
            _ => {
                let words = format!("relay {relay} does not take it for {name}: {said}");
                (Waits::RelayRefuses, words)
            }
        }
    }

    fn without_relay(&self, step: &mut Step<'_, '_>, peer: &Peer) -> Result<Reason, StoreError> {
        let name = peer.name();
        if let Some(bar) = self.way_to(peer, step.now).bar() {
            let bar = self.why_not_dialled(bar, &name);
            let words = format!("no relay of {name} is known, and {bar}");
            return Ok((Waits::DirectOff, words));
        }
        if !peer.record.has_endpoint(step.now.wall) {
            return Ok((Waits::Address, self.why_nowhere(&name)));
        }
        let mut kept = || -> Result<Option<String>, StoreError> {
            let attempts = step.tx.attempts(peer.record.row, UnixMillis::ZERO)?;
            let direct = attempts.into_iter().rfind(|a| a.relay.is_none());
            Ok(direct.map(|last| last.cause))
        };
        let cause = match self.dialling.failure(&peer.key()) {
            Some(cause) => Some(cause),
            None => kept()?,
        };
        if peer.record.fork == Fork::Settled {
            let words = format!(
                "two different identities carry the key of {name}, and only the one that was known \
                 first is let in: the other has to make a newer one, with `sremp identity rotate` ({})",
                cause.as_deref().unwrap_or("there was no answer yet")
            );
            return Ok((Waits::Forked, words));
        }
        let words = format!(
            "{name} cannot be reached: {}; no relay of {name} is known, so this waits for a direct \
             connection",
            cause.as_deref().unwrap_or("there was no answer yet")
        );
        Ok((Waits::Direct, words))
    }

    /// What is to be said if one's own calendar is not that of one's relays.
    pub(super) fn clock_remark(&self, now: Now) -> Option<String> {
        let (relay, ahead) = self.relays.clock_error(now)?;
        let off =
            u32::try_from(ahead.unsigned_abs().saturating_add(500) / 1_000).unwrap_or(u32::MAX);
        if u64::from(off) <= CLOCK_SKEW.as_secs() {
            return None;
        }
        let way = if ahead > 0 { "fast" } else { "slow" };
        Some(format!(
            "your clock is {} {way} by the word of relay {relay}: if that is so, set it right",
            about(off)
        ))
    }
}

/// What of a message waits to be delivered.
pub(super) fn waiting_item(
    step: &mut Step<'_, '_>,
    contact: ContactRow,
    msg_id: &MsgId,
) -> Result<Option<OutboxItem>, StoreError> {
    match step.tx.outbox_of_message(contact, msg_id)? {
        Some(id) => step.tx.outbox_item(id),
        None => Ok(None),
    }
}

/// Seconds in the largest unit that is not too coarse.
pub(super) fn about(seconds: u32) -> String {
    let unit = [24 * 60 * 60, 60 * 60, 60, 1];
    let unit = unit.into_iter().find(|unit| seconds >= *unit).unwrap_or(1);
    period(seconds / unit * unit)
}

/// How things stand with what a contact's relays are to be given.
pub(super) enum Held {
    /// One has refused it, and none takes it.
    Refused(String, ErrorCode),
    /// One has kept it as long as it had promised, and none takes it now.
    Over(String),
    /// One is asked for keys.
    Keys(String),
    /// Relays have as much as a contact gets who has not answered.
    Acceptance,
    /// None can be used.
    Down {
        /// The first of them.
        relay: String,
        /// Why.
        cause: String,
        /// Since when.
        since: Option<UnixMillis>,
    },
    /// One is being connected to, or has not answered yet.
    Unanswered,
}

fn turned_away(peer: &Peer) -> Option<Reason> {
    let name = peer.name();
    if peer.record.is_withdrawn() {
        let words = format!("{name} has withdrawn this identity for good; ask for a new card");
        return Some((Waits::Withdrawn, words));
    }
    if peer.record.trust == Trust::Rejected {
        let word = crate::shell::word(&name);
        let words = format!("{name} is rejected; undo that with `sremp trust {word}`");
        return Some((Waits::Rejected, words));
    }
    let held = peer.record.is_held();
    held.then(|| (Waits::Forked, super::forks::go_on(&name)))
}

fn kept(peer: &Peer, until: UnixMillis, now: UnixMillis) -> Reason {
    let over = until <= now;
    let (name, until) = (peer.name(), Rfc3339(until));
    if over {
        let words = format!(
            "a relay kept it until {until}, and {name} has not fetched and confirmed it; it is stored \
             anew soon"
        );
        return (Waits::Reader, words);
    }
    match peer.record.confirmed {
        true => (
            Waits::Reader,
            format!("a relay keeps it until {until}; {name} has not fetched and confirmed it yet"),
        ),
        false => (
            Waits::Acceptance,
            format!(
                "a relay keeps it until {until}; {name} has not accepted you as a contact yet, was \
                 not there since, or cannot read it"
            ),
        ),
    }
}

/// Whether a status is one in which a message waits.
pub(super) fn is_waiting(status: Option<Status>) -> bool {
    matches!(status, Some(Status::Queued | Status::AtRelay))
}
