//! Relays that lie: no line is lost, doubled or forged by them, and the sender sees what is true.

use std::time::Duration;

use sremp_client::{
    store::StoreError,
    view::{Choice, RelayState, Status, WhyStep},
};
use sremp_core::{error::ErrorCode, id::ContactId};
use sremp_sim::{
    Malice, World,
    commands::{add, direct},
};

use crate::{
    DAY, HOUR, MINUTE,
    people::{apart, texts},
    seeds,
};

/// Ann and Ben with two relays each, of which the first is bad once they know each other.
fn with_a_bad_first_relay(seed: u64, malice: Malice) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let (bad, good) = (world.open_relay("bad"), world.open_relay("good"));
    let (ann, ben) = apart(&mut world, [&[bad, good]; 2]);
    for (from, to) in [(ann, "ben"), (ben, "ann")] {
        world.send(from, to, "hello");
        world.run(60_000);
    }
    world.relay(bad).malice = malice;
    (world, ann, ben)
}

#[test]
fn nothing_is_lost_or_doubled_by_a_bad_relay_beside_a_good_one() {
    for malice in [
        Malice::Drops,
        Malice::Reorders,
        Malice::Replays,
        Malice::Misattributes,
        Malice::ForgesReceipts,
        Malice::ForgesConfirmations,
        Malice::RefusesAll,
    ] {
        for seed in seeds(5) {
            let (mut world, ann, ben) = with_a_bad_first_relay(seed, malice);
            world.set_reachable(ben, false);
            for n in 0..20 {
                world.send(ann, "ben", &format!("a{n}"));
                world.run(300);
            }
            world.run(10_000);
            let statuses = world.statuses(ann, "ben");
            assert!(
                !statuses[1..].contains(&Status::OnDevice),
                "{malice:?}: told to have arrived at somebody away"
            );
            world.run(HOUR);
            world.set_reachable(ben, true);
            world.run(DAY);
            world.restart(ben);
            world.run(DAY);
            let what = format!("{malice:?} seed {seed}");
            let received = world.received(ben, "ann");
            assert_eq!(received[0], "hello", "{what}");
            assert_eq!(received[1..], texts("a", 20), "{what}");
            assert!(world.all_arrived(ann, "ben"), "{what}");
        }
    }
}

#[test]
fn a_relay_that_drops_everything_never_makes_a_message_arrive() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        world.relay(relay).malice = Malice::Drops;
        let ann = world.join_far("ann", &[relay]);
        let ben = world.join_far("ben", &[relay]);
        world.run(60_000);
        world.introduce(ann, ben);
        world.send(ann, "ben", "hello");
        world.run(DAY);
        assert_eq!(world.statuses(ann, "ben"), [Status::AtRelay]);
        let why = world.why_last(ann, "ben");
        let proved = |s: &WhyStep| {
            matches!(
                s,
                WhyStep::AtRelay {
                    receipt_valid: true,
                    ..
                }
            )
        };
        assert!(
            why.timeline.iter().any(proved),
            "the promise is kept as evidence"
        );
    }
}

#[test]
fn a_forged_receipt_is_none() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let ann = world.join_far("ann", &[relay]);
        let ben = world.join_far("ben", &[relay]);
        world.run(60_000);
        world.introduce(ann, ben);
        world.relay(relay).malice = Malice::ForgesReceipts;
        world.set_reachable(ben, false);
        world.send(ann, "ben", "hello");
        world.run(HOUR);
        assert_eq!(world.statuses(ann, "ben"), [Status::Queued]);
    }
}

#[test]
fn anothers_bundle_begins_no_session_and_an_honest_relay_gives_the_right_one() {
    for (seed, malice) in [
        (32, Malice::GivesAnothersBundle),
        (33, Malice::GivesOldBundle),
    ] {
        let mut world = World::new(seed);
        let (bad, good) = (world.open_relay("bad"), world.open_relay("good"));
        let ann = world.join_far("ann", &[bad]);
        let ben = world.join_far("ben", &[bad, good]);
        world.run(60_000);
        world.add(ben, ann);
        world.relay(bad).malice = malice;
        // an old bundle is one that has expired
        world.run(15 * DAY);
        world.set_reachable(ben, false);
        world.add(ann, ben);
        world.send(ann, "ben", "hello");
        world.run(HOUR);
        assert_eq!(world.statuses(ann, "ben"), [Status::AtRelay], "{malice:?}");
        world.set_reachable(ben, true);
        world.run(HOUR);
        assert_eq!(world.received(ben, "ann"), ["hello"], "{malice:?}");
    }
}

#[test]
fn a_prekey_that_a_relay_gives_out_twice_keeps_nobody_apart() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        world.relay(relay).malice = Malice::GivesPrekeysAgain;
        let [ann, ben, cat] = ["ann", "ben", "cat"].map(|name| world.join_far(name, &[relay]));
        world.run(60_000);
        for other in [ann, cat] {
            world.introduce(other, ben);
        }
        world.run(60_000);
        world.send(ann, "ben", "hello");
        world.run(60_000);
        assert_eq!(world.received(ben, "ann"), ["hello"], "seed {seed}");
        world.send(cat, "ben", "hello, too");
        world.run(10 * MINUTE);
        assert_eq!(world.received(ben, "cat"), ["hello, too"], "seed {seed}");
        assert!(world.all_arrived(cat, "ben"), "seed {seed}");
        assert!(world.refused(ben, "PREKEY_UNKNOWN") > 0, "seed {seed}");
    }
}

#[test]
fn whom_a_relay_gives_used_prekeys_of_each_other_begin_anew_by_another_relay() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        let relays = [world.open_relay("bad"), world.open_relay("good")];
        world.relay(relays[0]).malice = Malice::GivesPrekeysAgain;
        let [ann, ben, cat] = ["ann", "ben", "cat"].map(|name| world.join_far(name, &relays));
        world.run(60_000);
        for (one, other) in [(ann, ben), (ann, cat), (cat, ben)] {
            world.introduce(one, other);
        }
        world.run(60_000);
        world.send(ann, "ben", "hello");
        world.send(ann, "cat", "hello");
        world.run(60_000);
        world.send(cat, "ben", "hello, too");
        world.run(20 * MINUTE);
        assert_eq!(world.received(ben, "cat"), ["hello, too"], "seed {seed}");
        assert!(world.refused(cat, "PREKEY_UNKNOWN") > 0, "seed {seed}");
    }
}

#[test]
fn a_used_prekey_of_one_relay_keeps_no_guest_away_where_another_is_or_a_connection() {
    for seed in seeds(3) {
        for directly in [false, true] {
            let what = format!("seed {seed}, directly: {directly}");
            let mut world = World::new(seed);
            let (bad, good) = (world.open_relay("bad"), world.open_relay("good"));
            world.relay(bad).malice = Malice::GivesPrekeysAgain;
            let relays: &[usize] = if directly { &[bad] } else { &[bad, good] };
            let [ann, cat] = ["ann", "cat"].map(|name| world.join_far(name, &[bad, good]));
            let ben = world.join_at("ben", relays);
            world.run(MINUTE);
            let cards = [(); 2].map(|()| world.invite(ben));
            world.run(MINUTE);
            for (guest, card) in [ann, cat].into_iter().zip(&cards) {
                world.command(guest, add(card, Some("ben")));
                world.command(guest, direct("ben", Choice::Off));
                world.send(guest, "ben", "let me in");
                world.run(30_000);
            }
            assert_eq!(world.requests(ben).len(), 1, "{what}");
            assert!(world.refused(ben, "PREKEY_UNKNOWN") > 0, "{what}");
            if directly {
                world.command(cat, direct("ben", Choice::On));
            }
            world.send(cat, "ben", "is it you?");
            world.run(3 * MINUTE);
            let asking = world.requests(ben);
            assert_eq!(asking.len(), 2, "{what}");
            for asks in &asking {
                world.command(ben, add(&asks.id, None));
            }
            world.send(cat, "ben", "thanks");
            world.run(3 * MINUTE);
            let cats = world.id(cat).to_string();
            let received = world.received(ben, &cats);
            assert_eq!(received, ["let me in", "is it you?", "thanks"], "{what}");
            assert!(world.all_arrived(cat, "ben"), "{what}");
        }
    }
}

#[test]
fn a_second_relay_that_gives_a_used_prekey_parts_nobody_whose_first_words_were_read() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        let [anns, good, bad] = ["anns", "good", "bad"].map(|name| world.open_relay(name));
        world.relay(bad).malice = Malice::GivesPrekeysAgain;
        let [ann, cat] = [("ann", anns), ("cat", anns)].map(|(n, at)| world.join_far(n, &[at]));
        let ben = world.join_far("ben", &[good, bad]);
        world.run(MINUTE);
        for other in [ann, cat] {
            world.introduce(other, ben);
        }
        world.run(MINUTE);
        world.set_reachable(good, false);
        world.send(cat, "ben", "takes the prekey");
        world.run(2 * MINUTE);
        assert_eq!(world.received(ben, "cat").len(), 1, "seed {seed}");
        world.set_reachable(good, true);
        world.run(5 * MINUTE);
        world.set_reachable(ben, false);
        // nobody can tell Ann anything any more
        world.set_reachable(anns, false);
        world.send(ann, "ben", "one");
        world.run(3 * MINUTE);
        assert_eq!(world.relay(bad).asked_for_bundles, 2, "seed {seed}");
        world.set_reachable(ben, true);
        world.run(20 * MINUTE);
        assert_eq!(world.received(ben, "ann"), ["one"], "seed {seed}");
        world.send(ann, "ben", "two");
        world.run(20 * MINUTE);
        assert!(world.refused(ben, "PREKEY_UNKNOWN") > 0, "seed {seed}");
        assert_eq!(world.received(ben, "ann"), ["one", "two"], "seed {seed}");
        assert!(world.all_arrived(ann, "ben"), "seed {seed}");
    }
}

#[test]
fn each_relay_is_asked_once_for_keys_while_a_guest_waits_for_an_answer() {
    for seed in seeds(2) {
        let mut world = World::new(seed);
        let relays = ["one", "two", "three"].map(|name| world.open_relay(name));
        let ann = world.join_far("ann", &relays);
        let ben = world.join_far("ben", &relays);
        world.run(MINUTE);
        let card = world.invite(ben);
        world.run(MINUTE);
        world.set_reachable(ben, false);
        world.command(ann, add(&card, Some("ben")));
        world.send(ann, "ben", "let me in");
        world.run(3 * DAY);
        for relay in relays {
            assert_eq!(world.relay(relay).asked_for_bundles, 1, "seed {seed}");
        }
        world.set_reachable(ben, true);
        world.run(20 * MINUTE);
        let asking = world.requests(ben);
        world.command(ben, add(&asking[0].id, Some("ann")));
        world.run(5 * MINUTE);
        assert_eq!(world.received(ben, "ann"), ["let me in"], "seed {seed}");
        assert!(world.all_arrived(ann, "ben"), "seed {seed}");
    }
}

#[test]
fn what_a_relay_has_promised_to_keep_for_seconds_waits_again_when_they_are_over() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let (ann, ben) = apart(&mut world, [&[relay]; 2]);
        world.relay(relay).malice = Malice::PromisesSeconds;
        world.set_reachable(ben, false);
        world.send(ann, "ben", "hello");
        world.run(10_000);
        assert_eq!(world.statuses(ann, "ben"), [Status::AtRelay], "seed {seed}");
        world.set_reachable(relay, false);
        world.run(31_000);
        assert_eq!(world.statuses(ann, "ben"), [Status::Queued], "seed {seed}");
        let why = world.why_last(ann, "ben");
        assert!(why.next_try.is_some(), "seed {seed}: {why:?}");
        // it is given anew, after pauses that grow whatever it promises
        world.set_reachable(relay, true);
        world.run(6 * HOUR);
        let stored = world.relay(relay).stored;
        assert!((10..=24).contains(&stored), "seed {seed}: {stored}");
        let why = world.why_last(ann, "ben");
        let next = why.next_try.map(|at| at.0.since(world.now().wall));
        let soon = next.is_some_and(|wait| wait <= Duration::from_secs(3_600));
        assert!(soon, "seed {seed}: {why:?}");
        world.set_reachable(ben, true);
        world.relay(relay).malice = Malice::None;
        world.run(HOUR);
        assert_eq!(world.received(ben, "ann"), ["hello"], "seed {seed}");
    }
}

#[test]
fn what_the_only_relay_has_lost_is_given_to_it_again_once_something_later_was_read() {
    for seed in seeds(3) {
        for dropped in [false, true] {
            let mut world = World::new(seed);
            let relay = world.open_relay("relay");
            let (ann, ben) = apart(&mut world, [&[relay]; 2]);
            for (from, to) in [(ann, "ben"), (ben, "ann")] {
                world.send(from, to, "hello");
                world.run(MINUTE);
            }
            world.set_reachable(ben, false);
            if dropped {
                world.relay(relay).malice = Malice::Drops;
            }
            for text in ["one", "two"] {
                world.send(ann, "ben", text);
                world.run(MINUTE);
            }
            world.relay(relay).malice = Malice::None;
            if !dropped {
                // its operator goes back to a copy
                let id = world.id(ben);
                world.relay(relay).lose_items(&id);
            }
            world.set_reachable(ben, true);
            world.run(DAY);
            let waits = Status::AtRelay;
            let statuses = world.statuses(ann, "ben");
            assert_eq!(statuses[1..], [waits, waits], "seed {seed}: as promised");
            world.send(ann, "ben", "three");
            // also if the sender's process ends meanwhile
            world.run(30_000);
            world.restart(ann);
            world.run(3 * MINUTE);
            assert!(world.all_arrived(ann, "ben"), "seed {seed}");
            let read = world.received(ben, "ann");
            assert_eq!(read, ["hello", "one", "two", "three"], "seed {seed}");
            let stored = world.relay(relay).stored;
            world.run(DAY);
            assert_eq!(world.relay(relay).stored, stored, "seed {seed}: once");
        }
    }
}

#[test]
fn what_its_reader_has_not_come_to_yet_and_what_another_relay_keeps_is_given_to_none_again() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        let [one, other] = ["one", "other"].map(|name| world.open_relay(name));
        let (ann, ben) = apart(&mut world, [&[one, other]; 2]);
        for (from, to) in [(ann, "ben"), (ben, "ann")] {
            world.send(from, to, "hello");
            world.run(MINUTE);
        }
        // one relay has lost what the other, which cannot be reached now, keeps
        world.set_reachable(ben, false);
        world.send(ann, "ben", "kept by two");
        world.run(5 * MINUTE);
        let id = world.id(ben);
        assert_eq!(world.relay(other).items(&id), 1, "seed {seed}");
        world.relay(one).lose_items(&id);
        world.set_reachable(other, false);
        world.set_reachable(ben, true);
        world.run(20 * MINUTE);
        world.send(ann, "ben", "by one");
        world.run(10_000);
        assert!(world.received(ben, "ann").contains(&"by one".to_owned()));
        // what comes when its reader has gone again
        world.set_reachable(ben, false);
        world.send(ann, "ben", "for later");
        world.run(20_000);
        let stored = [one, other].map(|relay| world.relay(relay).stored);
        world.run(HOUR);
        let waits = Status::AtRelay;
        let statuses = world.statuses(ann, "ben");
        assert_eq!(
            statuses[1..],
            [waits, Status::OnDevice, waits],
            "seed {seed}"
        );
        world.run(DAY);
        let after = [one, other].map(|relay| world.relay(relay).stored);
        assert_eq!(after, stored, "seed {seed}");
        world.set_reachable(other, true);
        world.set_reachable(ben, true);
        world.run(HOUR);
        assert!(world.all_arrived(ann, "ben"), "seed {seed}");
        let mut read = world.received(ben, "ann");
        read.sort();
        assert_eq!(
            read,
            ["by one", "for later", "hello", "kept by two"],
            "seed {seed}"
        );
    }
}

#[test]
fn a_relay_that_keeps_one_back_for_ever_is_given_it_at_most_once_an_hour_in_the_end() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let (ann, ben) = apart(&mut world, [&[relay]; 2]);
        for (from, to) in [(ann, "ben"), (ben, "ann")] {
            world.send(from, to, "hello");
            world.run(MINUTE);
        }
        world.relay(relay).malice = Malice::KeepsOneBack;
        world.send(ann, "ben", "never");
        world.run(MINUTE);
        let before = world.relay(relay).stored;
        for _ in 0..24 * 12 {
            world.send(ann, "ben", "other");
            world.run(5 * MINUTE);
        }
        let again = world.relay(relay).stored - before - 24 * 12;
        assert!((20..=32).contains(&again), "seed {seed}: {again}");
        let why = world.history(ann, "ben")[2].msg_id.clone();
        let told = world.why(ann, &why);
        let tried = |step: &WhyStep| match step {
            WhyStep::Tried { cause, .. } => cause.contains("had promised to keep"),
            _ => false,
        };
        assert!(told.timeline.iter().any(tried), "seed {seed}: {told:?}");
        world.relay(relay).malice = Malice::None;
        world.send(ann, "ben", "the last");
        world.run(2 * HOUR);
        assert!(world.all_arrived(ann, "ben"), "seed {seed}");
        assert!(
            world.received(ben, "ann").contains(&"never".to_owned()),
            "seed {seed}"
        );
    }
}

#[test]
fn a_relay_that_promises_seconds_gains_nothing_by_old_confirmations() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let (ann, ben) = apart(&mut world, [&[relay]; 2]);
        for (from, to) in [(ann, "ben"), (ben, "ann")] {
            world.send(from, to, "hello");
            world.run(MINUTE);
        }
        world.relay(relay).malice = Malice::PromisesSeconds;
        world.set_reachable(ben, false);
        for n in 0..5 {
            world.send(ann, "ben", &format!("a{n}"));
        }
        let before = world.relay(relay).stored;
        for _ in 0..180 {
            world.run(20_000);
            world.relay(relay).confirm_again();
            world.take_over(relay, ann);
        }
        let stored = world.relay(relay).stored - before;
        assert!((10..=75).contains(&stored), "seed {seed}: {stored}");
    }
}

#[test]
fn a_relay_that_promises_seconds_keeps_nothing_from_an_honest_one_whose_promise_is_over() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        let (bad, good) = (world.open_relay("bad"), world.open_relay("good"));
        let (ann, ben) = apart(&mut world, [&[bad, good]; 2]);
        for (from, to) in [(ann, "ben"), (ben, "ann")] {
            world.send(from, to, "hello");
            world.run(MINUTE);
        }
        world.set_reachable(ben, false);
        world.send(ann, "ben", "patience");
        // both keep it for as long as they promised
        world.run(13 * DAY);
        world.relay(bad).malice = Malice::PromisesSeconds;
        let before = world.relay(good).stored;
        world.run(2 * DAY);
        assert_eq!(world.relay(good).stored, before + 1, "seed {seed}");
        world.set_reachable(ben, true);
        world.run(HOUR);
        assert_eq!(
            world.received(ben, "ann"),
            ["hello", "patience"],
            "seed {seed}"
        );
    }
}

#[test]
fn a_relay_that_takes_no_cursor_is_asked_again() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let (ann, ben) = apart(&mut world, [&[relay]; 2]);
        world.send(ann, "ben", "hello");
        world.run(MINUTE);
        world.relay(relay).malice = Malice::RefusesCursors;
        world.restart(ben);
        world.run(10_000);
        world.send(ann, "ben", "hello again");
        world.run(MINUTE);
        assert_eq!(world.received(ben, "ann"), ["hello"], "seed {seed}");
        world.relay(relay).malice = Malice::None;
        world.run(2 * MINUTE);
        let received = world.received(ben, "ann");
        assert_eq!(received, ["hello", "hello again"], "seed {seed}");
    }
}

/// Ben alone with a relay that is bad from the beginning.
fn ben_at(malice: Malice) -> (World, usize, usize) {
    let mut world = World::new(1);
    let relay = world.open_relay("relay");
    world.relay(relay).malice = malice;
    let ben = world.join_far("ben", &[relay]);
    (world, relay, ben)
}

#[test]
fn a_relay_that_says_that_no_prekeys_are_left_gets_some_four_times_an_hour() {
    let (mut world, relay, ben) = ben_at(Malice::ForgetsPrekeys);
    let id = world.id(ben);
    world.run(MINUTE);
    assert_eq!(world.relay(relay).prekeys(&id), 200);
    assert!(world.refused(ben, "prekeys-asked-too-often") > 0);
    // a new connection is no new beginning
    world.take_over(relay, ben);
    world.run(2 * MINUTE);
    assert_eq!(world.relay(relay).prekeys(&id), 200);
    world.run(HOUR);
    world.take_over(relay, ben);
    world.run(2 * MINUTE);
    assert_eq!(world.relay(relay).prekeys(&id), 400);
}

#[test]
fn prekeys_whose_answer_was_lost_are_put_again_on_the_next_connection() {
    let (mut world, relay, ben) = ben_at(Malice::None);
    let id = world.id(ben);
    world.run(MINUTE);
    world.relay(relay).lose_prekeys(&id, 50);
    // refilled on a new connection, and lost again as if it had never come
    world.take_over(relay, ben);
    world.run(MINUTE);
    world.relay(relay).lose_prekeys(&id, 50);
    world.restart(relay);
    world.run(2 * MINUTE);
    assert_eq!(world.relay(relay).prekeys(&id), 50);
}

#[test]
fn prekeys_that_a_relay_refused_are_put_again_within_two_hours() {
    let (mut world, relay, ben) = ben_at(Malice::RefusesPrekeys);
    let id = world.id(ben);
    world.run(MINUTE);
    assert_eq!(world.status(ben).relays[0].state, RelayState::Connected);
    let before = world.messages();
    world.run(10 * MINUTE);
    assert!(world.messages() - before < 50, "asked in a loop");
    world.relay(relay).malice = Malice::None;
    world.run(2 * HOUR);
    assert_eq!(world.relay(relay).prekeys(&id), 50);
}

#[test]
fn no_relay_puts_a_registration_off_for_more_than_six_hours() {
    let (mut world, relay, ben) = ben_at(Malice::PutsOff);
    world.run(MINUTE);
    let state = world.status(ben).relays[0].state;
    assert_eq!(state, RelayState::Waiting);
    world.relay(relay).malice = Malice::None;
    world.run(7 * HOUR);
    let state = world.status(ben).relays[0].state;
    assert_eq!(state, RelayState::Connected);
}

#[test]
fn no_relay_puts_confirmations_off_for_more_than_six_hours() {
    let mut world = World::new(1);
    let relay = world.open_relay("relay");
    let (ann, ben) = apart(&mut world, [&[relay]; 2]);
    world.relay(relay).malice = Malice::PutsOff;
    world.send(ann, "ben", "hello");
    world.run(MINUTE);
    let id = world.id(ben);
    assert_eq!(world.received(ben, "ann"), ["hello"]);
    assert!(world.relay(relay).items(&id) > 0);
    world.relay(relay).malice = Malice::None;
    world.run(7 * HOUR);
    assert_eq!(world.relay(relay).items(&id), 0);
}

/// Items of a relay that Ben has read and that no answer has settled.
fn unsettled(world: &mut World, ben: usize, relay: &ContactId) -> usize {
    let store = &mut world.node(ben).store;
    let items = store.transaction(|tx| match tx.relay(relay)? {
        Some(record) => tx.read_items(record.row, 100_000),
        None => Ok(Vec::new()),
    });
    items.map_err(|e: StoreError| e.to_string()).unwrap().len()
}

#[test]
fn a_relay_that_pushes_on_and_settles_nothing_does_not_fill_the_disk() {
    let (mut world, relay, ben) = ben_at(Malice::PushesOn);
    let key = world.relay(relay).link().relay();
    world.run(10 * MINUTE);
    assert!(world.refused(ben, ErrorCode::ProtocolViolation.name()) > 0);
    assert_eq!(unsettled(&mut world, ben, &key), 1_024);
    assert!(world.refused(ben, "confirmations-unanswered") > 0);
    world.run(HOUR);
    assert_eq!(unsettled(&mut world, ben, &key), 1_024);
}

#[test]
fn a_relay_that_breaks_the_rules_is_dialled_less_and_less_whatever_it_brings() {
    let (mut world, _, ben) = ben_at(Malice::BreaksRules);
    world.run(10 * MINUTE);
    let broken = world.refused(ben, ErrorCode::ProtocolViolation.name());
    assert!((4..=16).contains(&broken), "{broken} connections");
}

#[test]
fn what_is_confirmed_under_another_name_than_it_was_given_does_not_count() {
    for seed in seeds(3) {
        let (mut world, ann, ben) = with_a_bad_first_relay(seed, Malice::Renames);
        world.send(ann, "ben", "hello again");
        world.run(30_000);
        let received = world.received(ben, "ann");
        assert_eq!(received, ["hello", "hello again"], "seed {seed}");
        assert!(!world.all_arrived(ann, "ben"), "seed {seed}");
        assert!(
            world.refused(ann, "confirmation-unknown") > 0,
            "seed {seed}"
        );
        // the other relay, which has it after a minute, is honest
        world.run(2 * MINUTE);
        assert!(world.all_arrived(ann, "ben"), "seed {seed}");
        assert_eq!(world.received(ben, "ann"), received, "seed {seed}");
    }
}

#[test]
fn whoever_was_pushed_too_much_reads_on_when_the_relay_settles() {
    let mut world = World::new(1);
    let relay = world.open_relay("relay");
    let (ann, ben) = apart(&mut world, [&[relay]; 2]);
    let key = world.relay(relay).link().relay();
    world.relay(relay).malice = Malice::PushesOn;
    world.take_over(relay, ben);
    world.run(20 * MINUTE);
    assert_eq!(unsettled(&mut world, ben, &key), 1_024);
    world.relay(relay).malice = Malice::None;
    for n in 0..400 {
        world.send(ann, "ben", &format!("a{n}"));
    }
    world.run(HOUR);
    assert_eq!(world.received(ben, "ann"), texts("a", 400));
    assert_eq!(unsettled(&mut world, ben, &key), 0);
}
