//! Why a message waits: each situation with its reason and words that say it.

use sremp_client::{
    config::Direct,
    store::StoreError,
    view::{Choice, Command, Observer, Outcome, Status, Waits, WhyStep, WhyView},
};
use sremp_core::identity::Trust;
use sremp_sim::{Malice, World, commands::trust};

use super::{at_a_relay, by_a_relay, why};
use crate::doctor::{check, doctor};
use crate::{DAY, MINUTE, seeds};

/// Ann writes, a while passes, and this is why it waits, in these words.
#[track_caller]
fn waits(world: &mut World, ann: usize, reason: Waits, words: &[&str]) -> WhyView {
    world.send(ann, "ben", "are you there?");
    world.run(2 * MINUTE);
    still_waits(world, ann, reason, words)
}

#[track_caller]
fn still_waits(world: &mut World, ann: usize, reason: Waits, words: &[&str]) -> WhyView {
    let view = why(world, ann);
    let said = view.waits_for.clone().unwrap_or_default();
    assert_eq!(view.waits, Some(reason), "{said}");
    for word in words {
        assert!(said.contains(word), "{word} in: {said}");
    }
    view
}

#[test]
fn who_is_away_and_has_no_relay_is_waited_for_directly() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.add(ann, ben);
        world.set_reachable(ben, false);
        let words = ["took too long", "no relay of ben is known"];
        let view = waits(&mut world, ann, Waits::Direct, &words);
        assert!(view.next_try.is_some());
        assert!(view.privacy.seen.is_empty());
        // the cause outlives the process
        world.look_into(ann);
        let words = ["sremp up", "took too long"];
        still_waits(&mut world, ann, Waits::Client, &words);
    }
}

#[test]
fn what_a_relay_keeps_waits_for_its_reader() {
    for seed in seeds(1) {
        let (mut world, [ann, ben, _]) = by_a_relay(seed);
        world.set_reachable(ben, false);
        let view = waits(&mut world, ann, Waits::Reader, &["keeps it until 20"]);
        assert_eq!(view.status, Some(Status::AtRelay));
        let receipt = |step: &WhyStep| matches!(step, WhyStep::AtRelay { receipt_valid, .. } if *receipt_valid);
        assert!(view.timeline.iter().any(receipt));
        let seen: Vec<_> = view.privacy.seen.iter().map(|seen| seen.who).collect();
        assert_eq!(seen, [Observer::NetworkToRelay, Observer::Relay]);
        world.set_reachable(ben, true);
        world.run(60 * MINUTE);
        let view = why(&mut world, ann);
        assert_eq!((view.waits, view.waits_for), (None, None));
        assert_eq!(view.privacy.seen[0].who, Observer::Contact);
    }
}

#[test]
fn a_relay_that_is_down_is_named_with_its_cause_and_since_when() {
    for seed in seeds(1) {
        let (mut world, [ann, _, relay]) = by_a_relay(seed);
        world.set_reachable(relay, false);
        let words = ["relay:4000", "since 20", "took too long"];
        let view = waits(&mut world, ann, Waits::RelayDown, &words);
        assert!(view.next_try.is_some());
    }
}

#[test]
fn a_full_mailbox_is_told_as_the_relay_tells_it() {
    for seed in seeds(1) {
        let (mut world, [ann, _, relay]) = by_a_relay(seed);
        world.relay(relay).malice = Malice::RefusesAll;
        let words = ["relay:4000", "the mailbox is full"];
        let view = waits(&mut world, ann, Waits::RelayRefuses, &words);
        assert!(view.next_try.is_some());
    }
}

#[test]
fn what_a_relay_denies_is_explained_without_guessing_why() {
    for seed in seeds(1) {
        let (mut world, [ann, ben, _]) = by_a_relay(seed);
        world.command(ben, trust("ann", Trust::Rejected));
        world.run(MINUTE);
        let words = ["has no mailbox there", "blocked you"];
        waits(&mut world, ann, Waits::RelayDenies, &words);
    }
}

#[test]
fn whoever_has_not_accepted_a_request_is_named_connected_or_not() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.add(ann, ben);
        let words = ["connected", "not accepted you"];
        waits(&mut world, ann, Waits::Acceptance, &words);
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let [ann, ben] = ["ann", "ben"].map(|name| world.join_far(name, &[relay]));
        world.run(MINUTE);
        world.add(ann, ben);
        let words = ["keeps it until", "not accepted you"];
        waits(&mut world, ann, Waits::Acceptance, &words);
        for _ in 0..40 {
            world.send(ann, "ben", "hello?");
        }
        world.run(2 * MINUTE);
        let words = ["only the first messages"];
        still_waits(&mut world, ann, Waits::Acceptance, &words);
    }
}

#[test]
fn a_bundle_that_is_withheld_or_anothers_is_waited_for() {
    for seed in seeds(1) {
        let cases = [
            (Malice::WithholdsBundles, "left no keys"),
            (Malice::GivesAnothersBundle, "not valid"),
        ];
        for (malice, said) in cases {
            let (mut world, [ann, _, relay]) = at_a_relay(seed);
            world.relay(relay).malice = malice;
            waits(&mut world, ann, Waits::Keys, &["relay:4000", said]);
        }
    }
}

#[test]
fn a_lost_session_is_waited_for_until_the_new_one() {
    for seed in seeds(1) {
        /// Place of the root key in a stored session.
        const ROOT: usize = 114 - 32;
        /// Place in a stored session of the flag that there is a sending chain, and of its key.
        const SENDING: usize = 146;
        const CHAIN_KEY: usize = SENDING + 1 + 32 + 64 + 4;
        let (mut world, [ann, ben, relay]) = by_a_relay(seed);
        let lost = world.node(ben).store.transaction(|tx| {
            for contact in tx.contacts()? {
                for (session, mut state) in tx.sessions(contact.row)? {
                    assert_eq!(state[SENDING], 1, "Ben has written");
                    state[CHAIN_KEY] ^= 1;
                    state[ROOT] ^= 1;
                    tx.save_session(contact.row, &session, &state)?;
                }
            }
            Ok::<_, StoreError>(())
        });
        lost.unwrap();
        world.restart(ben);
        world.relay(relay).malice = Malice::WithholdsBundles;
        for _ in 0..5 {
            world.send(ben, "ann", "can you read this?");
            world.run(MINUTE);
        }
        world.set_reachable(ben, false);
        waits(&mut world, ann, Waits::NewSession, &["is lost", "new keys"]);
        let lost = |world: &mut World| {
            let found = doctor(world, ann);
            let sessions = check(&found, "sessions");
            (sessions.outcome, sessions.measured)
        };
        assert_eq!(lost(&mut world), (Outcome::Warn, Some(1)));
        world.relay(relay).malice = Malice::None;
        world.set_reachable(ben, true);
        world.run(DAY);
        assert_eq!(why(&mut world, ann).waits, None);
        assert_eq!(lost(&mut world), (Outcome::Ok, Some(0)));
    }
}

#[test]
fn direct_connections_that_are_off_are_the_reason_where_there_is_no_relay() {
    for seed in seeds(1) {
        for (direct, word) in [
            (Direct::Never, "config direct"),
            (Direct::Trusted, "verify ben"),
        ] {
            let mut world = World::new(seed);
            let ann = world.join_with("ann", |config| config.direct = direct);
            let ben = world.join("ben");
            world.add(ann, ben);
            waits(&mut world, ann, Waits::DirectOff, &["no relay", word]);
            // also where no place is known: to wait for a connection would be in vain
            let mut world = World::new(seed);
            let ann = world.join_with("ann", |config| config.direct = direct);
            let ben = world.join_with("ben", |config| config.advertise = None);
            world.add(ann, ben);
            waits(&mut world, ann, Waits::DirectOff, &["no relay", word]);
        }
    }
}

#[test]
fn a_contact_that_is_off_or_wishes_for_relays_is_named_as_such() {
    for seed in seeds(1) {
        let off = |world: &mut World, ann| {
            let (contact, direct) = ("ben".to_owned(), Choice::Off);
            world.command(ann, Command::SetDirect { contact, direct });
        };
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.add(ann, ben);
        off(&mut world, ann);
        let words = ["no relay", "sremp direct ben default"];
        waits(&mut world, ann, Waits::DirectOff, &words);
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let [ann, ben] = ["ann", "ben"].map(|name| world.join_at(name, &[relay]));
        world.run(MINUTE);
        world.add(ann, ben);
        world.set_reachable(relay, false);
        world.configure(ann, |config| config.prefers_async = true);
        let words = ["relay:4000", "directly: you wish", "prefers_async"];
        waits(&mut world, ann, Waits::RelayDown, &words);
        off(&mut world, ann);
        let words = ["relay:4000", "directly", "sremp direct ben default"];
        still_waits(&mut world, ann, Waits::RelayDown, &words);
    }
}

#[test]
fn a_clock_that_is_wrong_is_the_reason_if_keys_seem_over() {
    for seed in seeds(1) {
        let (mut world, [ann, _, _]) = at_a_relay(seed);
        world.turn_calendar_of(ann, 400 * DAY as i64);
        world.restart(ann);
        let words = ["your clock is 400 days fast", "relay:4000"];
        waits(&mut world, ann, Waits::Clock, &words);
    }
}

#[test]
fn who_is_nowhere_and_who_was_turned_away_are_told_as_such() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let ann = world.join("ann");
        let ben = world.join_far("ben", &[]);
        world.add(ann, ben);
        waits(&mut world, ann, Waits::Address, &["no address of ben"]);
        world.command(ann, trust("ben", Trust::Rejected));
        still_waits(&mut world, ann, Waits::Rejected, &["sremp trust ben"]);
    }
}
