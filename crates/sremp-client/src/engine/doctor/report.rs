//! What was found, as a list of checks with remedies.

use std::time::Duration;

use sremp_core::{constants::CLOCK_SKEW, rendezvous::address::may_be_public};

use super::{
    super::{
        Engine, Step,
        forks::{NEWER_ELSEWHERE, newer_elsewhere},
        waiting::{LONG_WAIT, about},
    },
    Examination, StoreMeasure, Trip,
};
use crate::{
    clock::counted,
    store::StoreError,
    view::{CheckView, DoctorView, Outcome, RelayView, ServerView, Unit},
};

/// A clock that is off by more is told.
const CLOCK_NOTED: Duration = Duration::from_secs(60);
/// A commit that takes longer in the middle is told.
const SLOW_COMMIT: Duration = Duration::from_millis(100);
/// Fewer prekeys than these left at a relay are told.
const FEW_PREKEYS: u32 = 5;

fn number(n: impl TryInto<i64>) -> i64 {
    n.try_into().unwrap_or(i64::MAX)
}

fn some(n: usize, name: &str) -> String {
    counted(u64::try_from(n).unwrap_or(u64::MAX), name)
}

fn seconds(time: Duration) -> u32 {
    // a word on its way takes a part of a second
    let nearest = time.as_millis().saturating_add(500) / 1_000;
    u32::try_from(nearest).unwrap_or(u32::MAX)
}

impl Engine {
    pub(super) fn report(
        &mut self,
        step: &mut Step<'_, '_>,
        found: &Examination,
    ) -> Result<DoctorView, StoreError> {
        if let Some((follows, words)) = self.screen_state() {
            let outcome = if follows { Outcome::Ok } else { Outcome::Warn };
            let mut screen = CheckView::new("screen", outcome, words);
            if !follows {
                screen = screen.remedy(
                    "See that the home runs with `built_in_relay` and is reached from here; a screen \
                     that says that it has to be made anew needs a new backup \
                     (`sremp restore FILE --screen`).",
                );
            }
            // whom it reaches and who reaches it is the home's business
            let checks = vec![store(found.store), screen, self.refused_so_far()];
            return Ok(DoctorView { checks });
        }
        let mut checks = vec![
            store(found.store),
            self.clock(step),
            self.listener(),
            self.dial_back(),
            self.router(),
            self.on_the_card(step)?,
        ];
        self.check_relays(step, found, &mut checks);
        self.check_servers(step, found, &mut checks);
        checks.push(pending(step)?);
        checks.push(self.sessions());
        self.contacts_in_doubt(step, &mut checks)?;
        checks.push(self.built_in_relay());
        checks.push(self.refused_so_far());
        self.check_paths(step, &mut checks)?;
        Ok(DoctorView { checks })
    }

    fn clock(&self, step: &Step<'_, '_>) -> CheckView {
        let Some((relay, ahead)) = self.relays.clock_error(step.now) else {
            let words = "no relay has told its time, and nobody else does";
            return CheckView::new("clock", Outcome::Skipped, words);
        };
        let off = Duration::from_millis(ahead.unsigned_abs());
        let way = if ahead > 0 { "fast" } else { "slow" };
        if off <= CLOCK_NOTED {
            let words = format!("within {} ms of relay {relay}", off.as_millis());
            return CheckView::new("clock", Outcome::Ok, words).measured(ahead, Unit::Milliseconds);
        }
        let outcome = match off > CLOCK_SKEW {
            true => Outcome::Fail,
            false => Outcome::Warn,
        };
        let words = format!("{} {way} by the word of relay {relay}", about(seconds(off)));
        CheckView::new("clock", outcome, words)
            .measured(ahead, Unit::Milliseconds)
            .remedy(
                "Set the system's clock right (`timedatectl set-ntp true`): beyond 5 minutes keys \
                 and records are refused. If it is right, the relay's is wrong: tell its operator.",
            )
    }

    fn listener(&self) -> CheckView {
        match (self.listening, self.config.listen.is_some()) {
            (Some(at), _) => CheckView::new("listening", Outcome::Ok, format!("at {at}")),
            (None, true) => CheckView::new(
                "listening",
                Outcome::Warn,
                "the settings say where to listen, but nothing listens",
            )
            .remedy("Start the client: `sremp up`. Its place is a setting: `sremp config listen`."),
            (None, false) => CheckView::new(
                "listening",
                Outcome::Skipped,
                "nowhere, by the settings: contacts write by relays",
            ),
        }
    }

    fn dial_back(&self) -> CheckView {
        let (places, whole, reduced) = self.reached_by_servers();
        if reduced > 0 {
            let words = format!(
                "not reached where you listen: by {}",
                some(reduced, "rendezvous server")
            );
            return CheckView::new("reachable", Outcome::Warn, words)
                .measured(number(reduced), Unit::Count)
                .remedy(
                    "Let the port through at the router and the firewall, or try `sremp config \
                     map_port true` and start the client again. Until then contacts write by your \
                     relays.",
                );
        }
        match (whole, places.first()) {
            (1.., Some(place)) => {
                let words = format!(
                    "{place} is taken as your address by {}",
                    some(whole, "rendezvous server")
                );
                CheckView::new("reachable", Outcome::Ok, words)
            }
            _ => CheckView::new(
                "reachable",
                Outcome::Skipped,
                "no rendezvous server was told an address that it could dial back",
            ),
        }
    }

    fn router(&self) -> CheckView {
        match (self.mapped(), self.mapping_warning()) {
            (Some(at), _) => {
                let words = format!("the router leads here from {at}");
                CheckView::new("mapping", Outcome::Ok, words)
            }
            (None, Some(failure)) => CheckView::new("mapping", Outcome::Warn, failure).remedy(
                "Allow port mapping (PCP, NAT-PMP or UPnP) at the router, or lead a port here by \
                 hand and tell it: `sremp config advertise HOST:PORT`; or leave it to relays.",
            ),
            (None, None) => {
                let words = "the router was not asked (`map_port`)";
                CheckView::new("mapping", Outcome::Skipped, words)
            }
        }
    }

    fn on_the_card(&self, step: &mut Step<'_, '_>) -> Result<CheckView, StoreError> {
        let card = self.endpoints_for(step.tx, self.policy_for_strangers())?;
        let learnt = self.learnt_endpoints();
        let relays = self.own_relay_hints().len();
        let Some(first) = card.first() else {
            if relays == 0 && self.listening.is_some() && !self.policy_for_strangers().admits() {
                let words = "your card names no address, as not everybody may connect to you (`direct`), and \
                             no relay: nobody else can write to you";
                return Ok(CheckView::new("card", Outcome::Fail, words).remedy(
                    "Get a link from the operator of a relay and set it: `sremp config relays LINK`.",
                ));
            }
            return Ok(match relays {
                0 => CheckView::new(
                    "card",
                    Outcome::Fail,
                    "your card names neither an address nor a relay: nobody can write to you",
                )
                .remedy(
                    "Get a link from the operator of a relay and set it: `sremp config relays \
                     LINK`; or listen: `sremp config listen 0.0.0.0:33399`.",
                ),
                n => CheckView::new(
                    "card",
                    Outcome::Ok,
                    format!("names {}, no address", some(n, "relay")),
                ),
            });
        };
        if !learnt.is_empty() && !learnt.iter().any(|place| card.contains(place)) {
            let words = format!("your card says {first}, but you are seen elsewhere");
            return Ok(CheckView::new("card", Outcome::Warn, words).remedy(
                "Tell the place: `sremp config advertise HOST:PORT`, and give your card anew.",
            ));
        }
        if !may_be_public(first) && relays == 0 && !self.config.allow_private_addresses {
            let words = format!("your card says {first}, which is reached in your network only");
            return Ok(CheckView::new("card", Outcome::Warn, words).remedy(
                "For contacts elsewhere set a relay (`sremp config relays LINK`) or a public \
                 address (`sremp config advertise HOST:PORT`).",
            ));
        }
        let words = format!("names {first} and {}", some(relays, "relay"));
        Ok(CheckView::new("card", Outcome::Ok, words))
    }

    fn check_relays(&self, step: &Step<'_, '_>, found: &Examination, checks: &mut Vec<CheckView>) {
        let views = self.relay_views(step.now);
        if !views.iter().any(|view| view.own) {
            let words = "you have none: who writes while you are away keeps the message";
            checks.push(CheckView::new("relay", Outcome::Warn, words).remedy(
                "Get a link from the operator of a relay, or run one (`sremp relay init`), and set \
                 it: `sremp config relays LINK`.",
            ));
        }
        for view in views {
            let trip = found.relays.iter();
            let trip = trip
                .filter(|(key, _)| key.to_string() == view.relay)
                .map(|(_, trip)| *trip)
                .next();
            let check = match (view.own, self.online, &view.last_error) {
                (true, true, _) => own_relay(&view, trip),
                (true, false, _) => {
                    CheckView::new("relay", Outcome::Skipped, "not asked: no client runs")
                }
                (false, _, None) => continue,
                // it may well be gone: that may be why it was left
                _ if view.left_until.is_some() => continue,
                (false, _, Some(error)) => {
                    let words = format!("a contact's relay: {error}");
                    CheckView::new("relay", Outcome::Warn, words).remedy(
                        "Nothing: it is tried again by itself. `sremp why` tells of each message.",
                    )
                }
            };
            checks.push(check.of(view.endpoint));
        }
    }

    fn check_servers(&self, step: &Step<'_, '_>, found: &Examination, checks: &mut Vec<CheckView>) {
        let views = self.server_views(step.now, true);
        if views.is_empty() {
            let words = "none is set: who moved is found by relays and cards only";
            checks.push(CheckView::new("rendezvous", Outcome::Skipped, words));
        }
        for view in views {
            let trip = found.servers.iter();
            let trip = trip
                .filter(|(place, _)| place.to_string() == view.server)
                .map(|(_, trip)| *trip)
                .next();
            let check = match self.online {
                true => server(&view, trip),
                false => {
                    CheckView::new("rendezvous", Outcome::Skipped, "not asked: no client runs")
                }
            };
            checks.push(check.of(view.server));
        }
    }

    fn sessions(&self) -> CheckView {
        let lost = self.resets.len();
        let check = match lost {
            0 => CheckView::new("sessions", Outcome::Ok, "none is lost"),
            n => CheckView::new(
                "sessions",
                Outcome::Warn,
                format!("lost: {}; new keys are waited for", some(n, "session")),
            )
            .remedy("Nothing: they are renewed by themselves once the contact or a relay answers."),
        };
        check.measured(number(lost), Unit::Count)
    }

    fn contacts_in_doubt(
        &self,
        step: &mut Step<'_, '_>,
        checks: &mut Vec<CheckView>,
    ) -> Result<(), StoreError> {
        let before = checks.len();
        for contact in step.tx.contacts()? {
            let name = contact.name();
            if contact.is_held() {
                let words = "two different identities carry this key and version; nothing is sent";
                let word = crate::shell::word(&name);
                let remedy = format!(
                    "Ask {name} by another way whether both are theirs, then `sremp trust {word}` to \
                     go on, or `sremp reject {word}`."
                );
                let check = CheckView::new("contact", Outcome::Warn, words).of(name);
                checks.push(check.remedy(remedy));
            } else if contact.is_withdrawn() {
                let words = "has withdrawn this identity for good";
                let check = CheckView::new("contact", Outcome::Warn, words).of(name);
                let remedy = "Ask for a new card by another way, and compare numbers.";
                checks.push(check.remedy(remedy));
            }
        }
        if checks.len() == before {
            checks.push(CheckView::new("contact", Outcome::Ok, "none is in doubt"));
        }
        for warning in self.relay_warnings(step.now) {
            let check = CheckView::new("identity", Outcome::Fail, warning);
            checks.push(check.remedy("End the other client that runs with this identity."));
        }
        let names = self.who_know_newer(step)?;
        if let Some(words) = newer_elsewhere(&names) {
            // one alone may be wrong, or lie
            let outcome = match names.len() {
                1 => Outcome::Warn,
                _ => Outcome::Fail,
            };
            let check = CheckView::new("identity", outcome, words);
            checks.push(check.remedy(NEWER_ELSEWHERE));
        }
        Ok(())
    }

    fn built_in_relay(&self) -> CheckView {
        match (self.config.built_in_relay, self.keeping_warning()) {
            (false, _) => {
                let words = "off (`built_in_relay`): what comes directly is read at once";
                CheckView::new("mailbox", Outcome::Skipped, words)
            }
            (true, None) => {
                let words = "on: what comes directly is kept before it is read";
                CheckView::new("mailbox", Outcome::Ok, words)
            }
            (true, Some(warning)) => CheckView::new("mailbox", Outcome::Fail, warning)
                .remedy("Make room on the disk and start the client again."),
        }
    }

    fn refused_so_far(&self) -> CheckView {
        let refused = self.refusals.to_map();
        let all: u64 = refused.values().sum();
        let each = refused.iter().map(|(cause, n)| format!("{n} × {cause}"));
        let words = match all {
            0 => "nothing was refused since the start".to_owned(),
            _ => each.collect::<Vec<_>>().join(", "),
        };
        CheckView::new("refusals", Outcome::Ok, words).measured(number(all), Unit::Count)
    }
}

fn store(measure: Option<StoreMeasure>) -> CheckView {
    let Some(measure) = measure else {
        return CheckView::new("store", Outcome::Skipped, "it was not measured");
    };
    if measure.intact == Some(false) {
        let words = "pages of the database are not as they were written";
        return CheckView::new("store", Outcome::Fail, words).remedy(
            "Stop the client and copy the home to another disk before anything else: this one may \
             be failing.",
        );
    }
    let intact = match measure.intact {
        Some(_) => "its pages are as they were written",
        None => "its pages are too many to look at now",
    };
    let words = format!(
        "a commit takes {:.1} ms, the longest of {} took {:.1} ms; {intact}",
        measure.median.as_secs_f64() * 1e3,
        measure.commits,
        measure.longest.as_secs_f64() * 1e3,
    );
    let check = match measure.median > SLOW_COMMIT {
        true => CheckView::new("store", Outcome::Warn, words).remedy(
            "Each message waits for the disk. Put the home on a faster one (`--home`), or end what \
             keeps this one busy.",
        ),
        false => CheckView::new("store", Outcome::Ok, words),
    };
    check.measured(number(measure.median.as_micros()), Unit::Microseconds)
}

fn own_relay(view: &RelayView, trip: Option<Trip>) -> CheckView {
    let error = view.last_error.as_deref();
    let Some(Trip::Back(time)) = trip else {
        let error = error.unwrap_or("it has not answered");
        return CheckView::new("relay", Outcome::Fail, format!("cannot be used: {error}")).remedy(
            "Who writes to you while you are away waits until it is back. Ask its operator, or set \
             another beside it: `sremp config relays LINK…`.",
        );
    };
    let took = format!("answers within {} ms", time.as_millis());
    let check = match (view.prekeys, error) {
        (_, Some(error)) => {
            let words = format!("{took}, but: {error}");
            CheckView::new("relay", Outcome::Warn, words).remedy(
                "If that stays, ask its operator, or set another: `sremp config relays LINK…`.",
            )
        }
        (Some(left), None) if left < FEW_PREKEYS => {
            let words = format!("{took}; only {left} prekeys are left there");
            CheckView::new("relay", Outcome::Warn, words)
                .remedy("Let the client run (`sremp up`): it puts new ones there by itself.")
        }
        (left, None) => {
            let left = left.map(|left| format!("; {left} prekeys are there"));
            let words = format!("{took}{}", left.unwrap_or_default());
            CheckView::new("relay", Outcome::Ok, words)
        }
    };
    check.measured(number(time.as_millis()), Unit::Milliseconds)
}

fn server(view: &ServerView, trip: Option<Trip>) -> CheckView {
    let Some(Trip::Back(time)) = trip else {
        let error = view.last_error.as_deref().unwrap_or("it was not asked");
        let words = format!("gives no answer: {error}");
        return CheckView::new("rendezvous", Outcome::Warn, words).remedy(
            "Who has moved is not found meanwhile. Look at its link (`sremp servers`), or set \
             another: `sremp config rendezvous LINK…`.",
        );
    };
    let until = view
        .registered_until
        .map(|at| format!("; registered until {at}"));
    let words = format!(
        "answers within {} ms{}",
        time.as_millis(),
        until.unwrap_or_default()
    );
    CheckView::new("rendezvous", Outcome::Ok, words)
        .measured(number(time.as_millis()), Unit::Milliseconds)
}

fn pending(step: &mut Step<'_, '_>) -> Result<CheckView, StoreError> {
    let (all, oldest) = step.tx.waiting_messages(None)?;
    let waits = oldest.map(|at| step.now.wall.since(at));
    let words = match waits {
        _ if all == 0 => "no message waits".to_owned(),
        None => format!("{all} wait for confirmations; relays keep them all"),
        Some(time) => format!(
            "{all} wait, one for {} without a relay that keeps it",
            about(seconds(time))
        ),
    };
    let check = match waits.is_some_and(|time| time > LONG_WAIT) {
        true => CheckView::new("pending", Outcome::Warn, words)
            .remedy("Ask of each why: `sremp history CONTACT --json`, then `sremp why MSG_ID`."),
        false => CheckView::new("pending", Outcome::Ok, words),
    };
    Ok(check.measured(number(all), Unit::Count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::RelayState;

    #[test]
    fn few_prekeys_a_refusal_and_silence_are_told_of_a_relay() {
        let judged = |prekeys, error: Option<&str>, trip| {
            let view = RelayView {
                relay: "0".repeat(64),
                endpoint: "relay:4000".to_owned(),
                own: true,
                left_until: None,
                state: RelayState::Connected,
                last_error: error.map(str::to_owned),
                next_try: None,
                prekeys,
                in_flight: 0,
            };
            let check = own_relay(&view, trip);
            assert_eq!(check.remedy.is_some(), check.outcome != Outcome::Ok);
            (check.outcome, check.words, check.measured)
        };
        let back = Some(Trip::Back(Duration::from_millis(30)));
        let (outcome, words, took) = judged(Some(4), None, back);
        assert_eq!((outcome, took), (Outcome::Warn, Some(30)));
        assert!(words.contains("only 4 prekeys"), "{words}");
        for enough in [Some(5), None] {
            assert_eq!(judged(enough, None, back).0, Outcome::Ok);
        }
        let (outcome, words, _) = judged(Some(0), Some("it is full"), back);
        assert_eq!(outcome, Outcome::Warn);
        assert!(words.contains("it is full"), "{words}");
        for trip in [None, Some(Trip::Failed), Some(Trip::Waits { failures: 0 })] {
            let (outcome, words, took) = judged(Some(50), Some("it is down"), trip);
            assert_eq!((outcome, took), (Outcome::Fail, None));
            assert!(words.contains("it is down"), "{words}");
        }
    }
}
