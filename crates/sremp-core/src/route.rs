//! Direct or by relay: which ways what waits for a contact takes, and when (chapter 7).
//!
//! [`Policy`] says with whom direct connections are made, [`State::plan`] what is done in each state.
//! Both are pure: what has failed, and when, the client remembers. The table of section 7.3 is written
//! from [`State::plan`].

#[cfg(test)]
mod table;

use std::time::Duration;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

/// Time that a dial has before a relay is given what waits (D7.2).
pub const DIRECT_LEAD: Duration = Duration::from_millis(750);
/// After a failed dial relays do not wait for the next one for this time (D7.2).
pub const FAILED_LATELY: Duration = Duration::from_secs(10 * 60);
/// Between dials that fail, or connections that do not last (7.2).
pub const DIAL_PAUSES: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(15 * 60),
};
/// A new message does not wait for a long pause, but no contact is dialled more often than this (7.2).
pub const SHORTEST_DIAL_PAUSE: Duration = Duration::from_secs(1);
/// A connection that has stood this long was a success (7.2).
pub const LASTING: Duration = Duration::from_secs(30);
/// For this time after the end of a connection that was of use, until one comes that was not, pauses do
/// not grow: the network is cut rather than the other gone (7.2).
pub const REACHED_LATELY: Duration = Duration::from_secs(2 * 60);
/// When an answer has been awaited for this time and nothing came, the other side is asked whether it
/// is there (7.2).
pub const ASK_AFTER: Duration = Duration::from_secs(3);
/// Without a sign of it for this time after the question the connection is given up; doubled each time
/// that this happens in a row, up to the longest (7.2).
pub const SIGN_WITHIN: Duration = Duration::from_secs(4);
/// The longest [`SIGN_WITHIN`].
pub const LONGEST_SIGN_WITHIN: Duration = Duration::from_secs(60);
/// The same when the network of this host has changed and little speaks for the connection (7.2).
pub const CHANGED_SIGN_WITHIN: Duration = Duration::from_secs(1);
/// A direct connection on which nothing was confirmed for this time is silent (7.3).
pub const SILENT_AFTER: Duration = Duration::from_secs(60);
/// A contact that is connected has this time to fetch from its relays what they keep.
pub const FETCHES_WITHIN: Duration = Duration::from_secs(60);
/// Without a confirmation for this time the next relay is given the same bytes (D6.10).
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(60);
/// Between connections to a relay that fail or do not last (7.3).
pub const RELAY_PAUSES: Backoff = Backoff {
    first: Duration::from_secs(2),
    longest: Duration::from_secs(10 * 60),
};
/// After a relay has refused something for a contact (7.3; the longest: QUOTA of chapter 10). Short at
/// first, because a contact that has just begun to use the relay will have its mailbox and prekeys
/// there in a moment.
pub const REFUSAL_PAUSES: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(6 * 60 * 60),
};
/// Whoever has closed a connection with REFUSED is not dialled again by itself for this time
/// (chapter 10).
pub const REFUSED_PAUSE: Duration = Duration::from_secs(60 * 60);
/// Between searches for one contact that find nothing new (7.6).
pub const SEEK_PAUSES: Backoff = Backoff {
    first: Duration::from_secs(60),
    longest: Duration::from_secs(60 * 60),
};
/// The same if a connection with the contact has stood since the last search: it was where it was
/// looked for, and has gone from there (7.6).
pub const SEEK_AFTER_CONNECTION: Duration = Duration::from_secs(5);

/// Pauses before the next try, each twice the one before.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The first.
    pub first: Duration,
    /// None is longer.
    pub longest: Duration,
}

impl Backoff {
    /// The pause after so many failures in a row, 0 for the first.
    pub fn exact(self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// The same ± 25 %, so that nobody tries in step with others.
    pub fn pause<R: CryptoRng + ?Sized>(self, failures: u32, rng: &mut R) -> Duration {
        self.exact(failures) * (75 + rng.next_u32() % 51) / 100
    }
}

/// With whom direct connections are made, by the setting of that name (D7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direct {
    /// Contacts that were added or accepted.
    #[default]
    Accepted,
    /// Contacts that are trusted.
    Trusted,
    /// Nobody.
    Never,
}

/// The user's word on direct connections with one contact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// None: as the setting says.
    #[default]
    Default,
    /// Made, however narrow the setting is.
    On,
    /// Not made.
    Off,
}

/// Whether direct connections are made with somebody (D7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// They are.
    Allowed,
    /// The user has turned them off for this contact.
    OffByChoice,
    /// The setting is narrower.
    OffBySetting,
}

impl Policy {
    /// The policy for a contact; that for strangers is the one for a contact of whom nothing was said.
    pub const fn of(setting: Direct, choice: Choice, trusted: bool) -> Self {
        match (choice, setting) {
            (Choice::Off, _) => Self::OffByChoice,
            (Choice::On, _) | (Choice::Default, Direct::Accepted) => Self::Allowed,
            (Choice::Default, Direct::Trusted) if trusted => Self::Allowed,
            (Choice::Default, Direct::Trusted | Direct::Never) => Self::OffBySetting,
        }
    }

    /// Whether they are let in. That somebody knows a place is no reason.
    pub const fn admits(self) -> bool {
        matches!(self, Self::Allowed)
    }

    /// Whether they are told where one is. Who wishes to be reached by relays alone, and has one, tells
    /// nobody.
    pub const fn tells(self, wishes_relays: bool, has_relay: bool) -> bool {
        self.admits() && !(wishes_relays && has_relay)
    }
}

/// Whether one of two people wishes to be reached by relays alone: `prefers_async` of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Neither does.
    Nobody,
    /// One does oneself.
    Own,
    /// The contact does, and one does not.
    Contact,
}

/// The direct connection with a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// There is none.
    None,
    /// It answers, or has not been asked yet.
    Answers,
    /// An envelope has had no answer on it for [`SILENT_AFTER`].
    Silent,
}

/// Where a contact can be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nobody knows.
    None,
    /// A place is known, and nothing speaks against it.
    Ready,
    /// A place is known at which a dial has failed within [`FAILED_LATELY`], or whose pause runs.
    Failed,
}

/// What stands and what is known when something waits for a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The direct connection.
    pub link: Link,
    /// Whether a relay of the contact's is known.
    pub relay: bool,
    /// Whether it may be connected to.
    pub policy: Policy,
    /// Who wishes to be reached by relays.
    pub wish: Wish,
    /// Where it can be dialled.
    pub place: Place,
}

/// What keeps a contact from being dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// The user's word on this contact.
    Choice,
    /// The setting.
    Setting,
    /// One's own wish for relays.
    OwnWish,
    /// The contact's wish for relays.
    ContactsWish,
}

/// When a contact is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dial {
    /// Not.
    Never,
    /// At once.
    Now,
    /// When the pause after the last failure is over.
    AfterPause,
}

/// When a relay of the contact's is given what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Not.
    Never,
    /// At once.
    Now,
    /// When the dial has had [`DIRECT_LEAD`].
    AfterLead,
}

/// When rendezvous servers are asked where the contact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// Not.
    Never,
    /// When a dial or a relay has failed.
    AfterFailure,
    /// At once.
    Now,
}

/// What is done for a contact for whom something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whether it goes over the direct connection.
    pub over_link: bool,
    /// Whether somebody is dialled.
    pub dial: Dial,
    /// Whether a relay is given it.
    pub store: Store,
    /// Whether the contact is looked for.
    pub seek: Seek,
}

impl Plan {
    /// For whom nothing may go.
    pub const NOTHING: Self = Self {
        over_link: false,
        dial: Dial::Never,
        store: Store::Never,
        seek: Seek::Never,
    };
}

impl State {
    /// What keeps the contact from being dialled, wherever it is. A wish for relays counts for nothing
    /// where none is known (D7.1).
    pub const fn bar(self) -> Option<Bar> {
        match (self.policy, self.wish) {
            (Policy::OffByChoice, _) => Some(Bar::Choice),
            (Policy::OffBySetting, _) => Some(Bar::Setting),
            (Policy::Allowed, Wish::Own) if self.relay => Some(Bar::OwnWish),
            (Policy::Allowed, Wish::Contact) if self.relay => Some(Bar::ContactsWish),
            (Policy::Allowed, _) => None,
        }
    }

    /// What is done (7.3).
    pub const fn plan(self) -> Plan {
        match self.link {
            Link::None => self.without_link(),
            Link::Answers => Plan {
                over_link: true,
                ..Plan::NOTHING
            },
            Link::Silent => Plan {
                over_link: true,
                store: if self.relay { Store::Now } else { Store::Never },
                ..Plan::NOTHING
            },
        }
    }

    const fn without_link(self) -> Plan {
        let dial = match (self.bar(), self.place) {
            (Some(_), _) | (None, Place::None) => Dial::Never,
            (None, Place::Ready) => Dial::Now,
            (None, Place::Failed) => Dial::AfterPause,
        };
        let store = match (self.relay, dial) {
            (false, _) => Store::Never,
            // messages do not wait for a dial that is slow (D7.2)
            (true, Dial::Now) => Store::AfterLead,
            (true, Dial::Never | Dial::AfterPause) => Store::Now,
        };
        Plan {
            over_link: false,
            dial,
            store,
            seek: match (dial, store) {
                (Dial::Never, Store::Never) => Seek::Now,
                _ => Seek::AfterFailure,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};

    use super::*;

    const SETTINGS: [Direct; 3] = [Direct::Accepted, Direct::Trusted, Direct::Never];

    pub(super) const LINKS: [Link; 3] = [Link::None, Link::Answers, Link::Silent];
    pub(super) const POLICIES: [Policy; 3] =
        [Policy::Allowed, Policy::OffByChoice, Policy::OffBySetting];
    pub(super) const WISHES: [Wish; 3] = [Wish::Nobody, Wish::Own, Wish::Contact];
    pub(super) const PLACES: [Place; 3] = [Place::None, Place::Ready, Place::Failed];

    fn every_state() -> Vec<State> {
        let mut states = Vec::new();
        for link in LINKS {
            for relay in [false, true] {
                for policy in POLICIES {
                    for wish in WISHES {
                        states.extend(PLACES.map(|place| State {
                            link,
                            relay,
                            policy,
                            wish,
                            place,
                        }));
                    }
                }
            }
        }
        assert_eq!(states.len(), 162);
        states
    }

    /// Holds a sentence against every state for which it speaks, of which there is one at least.
    #[track_caller]
    fn always(speaks: impl Fn(&State) -> bool, holds: impl Fn(State, Plan) -> bool) {
        let states: Vec<State> = every_state().into_iter().filter(speaks).collect();
        assert!(!states.is_empty());
        for state in states {
            let plan = state.plan();
            assert!(holds(state, plan), "{state:?}: {plan:?}");
        }
    }

    #[test]
    fn something_is_always_done_for_what_waits() {
        always(
            |_| true,
            |_, plan| {
                plan.over_link
                    || plan.dial != Dial::Never
                    || plan.store != Store::Never
                    || plan.seek == Seek::Now
            },
        );
    }

    #[test]
    fn a_relay_that_is_known_is_given_what_no_connection_answers_for() {
        always(
            |s| s.relay && s.link != Link::Answers,
            |_, plan| plan.store != Store::Never,
        );
        always(|s| !s.relay, |_, plan| plan.store == Store::Never);
    }

    #[test]
    fn over_a_connection_that_answers_everything_goes_and_nowhere_else() {
        let only = Plan {
            over_link: true,
            ..Plan::NOTHING
        };
        always(|s| s.link == Link::Answers, |_, plan| plan == only);
    }

    #[test]
    fn nobody_is_dialled_or_looked_for_beside_a_connection() {
        always(
            |s| s.link != Link::None,
            |_, plan| plan.over_link && plan.dial == Dial::Never && plan.seek == Seek::Never,
        );
        always(|s| s.link == Link::None, |_, plan| !plan.over_link);
    }

    #[test]
    fn whoever_is_off_is_never_dialled_wherever_it_is_and_whatever_else_is_known() {
        always(
            |s| s.policy != Policy::Allowed,
            |_, plan| plan.dial == Dial::Never,
        );
        always(
            |s| s.policy == Policy::OffByChoice,
            |s, _| s.bar() == Some(Bar::Choice),
        );
        always(
            |s| s.policy == Policy::OffBySetting,
            |s, _| s.bar() == Some(Bar::Setting),
        );
    }

    #[test]
    fn a_wish_for_relays_is_followed_where_there_is_one_and_only_there() {
        always(
            |s| s.wish != Wish::Nobody && s.relay,
            |_, plan| plan.dial == Dial::Never,
        );
        always(
            |s| s.wish != Wish::Nobody && !s.relay,
            |s, plan| {
                let without = State {
                    wish: Wish::Nobody,
                    ..s
                };
                plan == without.plan() && s.bar() == without.bar()
            },
        );
        let named = |wish, bar| {
            always(
                |s| s.wish == wish && s.relay && s.policy == Policy::Allowed,
                |s, _| s.bar() == Some(bar),
            );
        };
        named(Wish::Own, Bar::OwnWish);
        named(Wish::Contact, Bar::ContactsWish);
    }

    #[test]
    fn who_may_be_dialled_and_has_a_place_is_dialled() {
        let may = |s: &State| s.link == Link::None && s.bar().is_none();
        always(
            |s| may(s) && s.place == Place::Ready,
            |_, plan| plan.dial == Dial::Now,
        );
        always(
            |s| may(s) && s.place == Place::Failed,
            |_, plan| plan.dial == Dial::AfterPause,
        );
        always(
            |s| s.place == Place::None,
            |_, plan| plan.dial == Dial::Never,
        );
    }

    #[test]
    fn a_relay_waits_for_a_dial_that_is_made_now_and_for_nothing_else() {
        always(
            |s| s.relay && s.link != Link::Answers,
            |_, plan| (plan.store == Store::AfterLead) == (plan.dial == Dial::Now),
        );
    }

    #[test]
    fn who_can_be_reached_is_looked_for_when_that_fails_and_who_cannot_at_once() {
        always(
            |s| s.link == Link::None,
            |_, plan| {
                let reached = plan.dial != Dial::Never || plan.store != Store::Never;
                plan.seek
                    == match reached {
                        true => Seek::AfterFailure,
                        false => Seek::Now,
                    }
            },
        );
    }

    #[test]
    fn the_word_on_a_contact_comes_before_the_setting() {
        for setting in SETTINGS {
            for trusted in [false, true] {
                let of = |choice| Policy::of(setting, choice, trusted);
                assert_eq!(of(Choice::On), Policy::Allowed);
                assert_eq!(of(Choice::Off), Policy::OffByChoice);
                let wide = match setting {
                    Direct::Accepted => true,
                    Direct::Trusted => trusted,
                    Direct::Never => false,
                };
                let wanted = match wide {
                    true => Policy::Allowed,
                    false => Policy::OffBySetting,
                };
                assert_eq!(of(Choice::Default), wanted, "{setting:?} {trusted}");
            }
        }
    }

    #[test]
    fn whoever_is_told_where_one_is_is_let_in_and_who_is_off_neither() {
        for policy in POLICIES {
            assert_eq!(policy.admits(), policy == Policy::Allowed);
            for wishes in [false, true] {
                for relay in [false, true] {
                    let tells = policy.tells(wishes, relay);
                    assert!(policy.admits() || !tells);
                    let by_relay = wishes && relay;
                    assert_eq!(tells, policy.admits() && !by_relay);
                }
            }
        }
    }

    #[test]
    fn pauses_double_from_the_first_to_the_longest_give_or_take_a_quarter() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for backoff in [DIAL_PAUSES, RELAY_PAUSES, REFUSAL_PAUSES, SEEK_PAUSES] {
            let mut middle = backoff.first;
            for failures in 0..40 {
                assert_eq!(backoff.exact(failures), middle);
                let pause = backoff.pause(failures, &mut rng);
                assert!(
                    pause >= middle * 3 / 4 && pause <= middle * 5 / 4,
                    "{failures}: {pause:?}"
                );
                middle = (middle * 2).min(backoff.longest);
            }
        }
    }

    #[test]
    fn the_times_are_those_of_the_specification() {
        let seconds = |n| Duration::from_secs(n);
        assert_eq!(DIRECT_LEAD, Duration::from_millis(750));
        assert_eq!(FAILED_LATELY, seconds(600));
        assert_eq!(CONFIRM_WITHIN, seconds(60));
        let ends = |pauses: Backoff| (pauses.first, pauses.longest);
        assert_eq!(ends(DIAL_PAUSES), (seconds(1), seconds(900)));
        assert_eq!(ends(RELAY_PAUSES), (seconds(2), seconds(600)));
        assert_eq!(ends(REFUSAL_PAUSES), (seconds(1), seconds(21_600)));
        assert_eq!(ends(SEEK_PAUSES), (seconds(60), seconds(3_600)));
    }
}
