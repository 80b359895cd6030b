//! `why` names the true reason for which a message waits.

use sremp_client::{
    clock::Rfc3339,
    config::Direct,
    store::StoreError,
    view::{Choice, Command, Observer, Outcome, Path, Reply, Status, Waits, WhyStep, WhyView},
};
use sremp_core::identity::Trust;
use sremp_sim::{Malice, World};

use super::doctor::{check, doctor};

use crate::seeds;

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// Ann and Ben, who reach each other by one relay and have written to each other.
fn by_a_relay(seed: u64) -> (World, [usize; 3]) {
    let (mut world, all) = at_a_relay(seed);
    world.send(all[0], "ben", "hello");
    world.run(MINUTE);
    world.send(all[1], "ann", "hello");
    world.run(MINUTE);
    (world, all)
}

/// The same before a word was said.
fn at_a_relay(seed: u64) -> (World, [usize; 3]) {
    let mut world = World::new(seed);
    let relay = world.open_relay("relay");
    let [ann, ben] = ["ann", "ben"].map(|name| world.join_far(name, &[relay]));
    world.run(MINUTE);
    world.add(ann, ben);
    world.add(ben, ann);
    world.run(MINUTE);
    (world, [ann, ben, relay])
}

fn trust(contact: &str, trust: Trust) -> Command {
    Command::SetTrust {
        contact: contact.to_owned(),
        trust,
    }
}

/// What is said of Ann's last message to Ben.
fn why(world: &mut World, ann: usize) -> WhyView {
    let mut line = world.history(ann, "ben").into_iter();
    let line = line.rfind(|line| line.status.is_some()).unwrap();
    let msg_id = line.msg_id;
    match world.command(ann, Command::Why { msg_id }) {
        Reply::Why(view) => view,
        other => panic!("{other:?}"),
    }
}

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

/// Each step of a way, by its name in JSON, and when it was.
fn told(view: &WhyView) -> Vec<(&'static str, Rfc3339)> {
    let step = |step: &WhyStep| match step {
        WhyStep::Written { at } => ("written", *at),
        WhyStep::Tried { at, .. } => ("tried", *at),
        WhyStep::AtRelay { at, .. } => ("at-relay", *at),
        WhyStep::OnDevice { at, .. } => ("on-device", *at),
        WhyStep::GivenUp { at } => ("given-up", *at),
        other => panic!("{other:?}"),
    };
    let told: Vec<_> = view.timeline.iter().map(step).collect();
    let mut sorted = told.clone();
    sorted.sort_by_key(|(_, at)| at.0);
    assert_eq!(told, sorted, "in the order of time");
    told
}

fn names(view: &WhyView) -> Vec<&'static str> {
    told(view).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_way_is_told_in_its_order_and_what_failed_later_is_no_part_of_it() {
    for seed in seeds(2) {
        let mut world = World::new(seed);
        let [ann, ben] = ["ann", "ben"].map(|name| world.join(name));
        world.add(ann, ben);
        world.add(ben, ann);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "one");
        world.run(10 * MINUTE);
        let waiting = why(&mut world, ann);
        assert_eq!(names(&waiting), ["written", "tried"], "seed {seed}");
        assert!(waiting.next_try.is_some(), "seed {seed}");
        world.set_reachable(ben, true);
        world.run(20 * MINUTE);
        let arrived = why(&mut world, ann);
        let way = ["written", "tried", "on-device"];
        assert_eq!(names(&arrived), way, "seed {seed}");
        let direct = matches!(
            arrived.timeline.last(),
            Some(WhyStep::OnDevice {
                path: Path::Direct,
                relay: None,
                confirmation_valid: None,
                ..
            })
        );
        assert!(direct, "seed {seed}: {arrived:?}");
        // of the next message alone it is told that nobody was there
        world.set_reachable(ben, false);
        world.send(ann, "ben", "two");
        world.run(10 * MINUTE);
        let Reply::Why(first) = world.command(
            ann,
            Command::Why {
                msg_id: arrived.msg_id.clone(),
            },
        ) else {
            panic!("seed {seed}: no way");
        };
        assert_eq!(first.timeline, arrived.timeline, "seed {seed}");
        assert_eq!(first.next_try, None, "seed {seed}: it has arrived");
        // for 30 days it is tried
        world.run(31 * DAY);
        let given_up = why(&mut world, ann);
        assert_eq!(given_up.status, Some(Status::Failed), "seed {seed}");
        assert_eq!(names(&given_up).last(), Some(&"given-up"), "seed {seed}");
        assert_eq!(given_up.next_try, None, "seed {seed}");
    }
}

#[test]
fn what_lies_at_a_relay_has_no_next_try() {
    for seed in seeds(2) {
        let (mut world, [ann, ben, _]) = by_a_relay(seed);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "later");
        world.run(MINUTE);
        let view = why(&mut world, ann);
        assert_eq!(view.status, Some(Status::AtRelay), "seed {seed}");
        assert_eq!(view.next_try, None, "seed {seed}");
    }
}
