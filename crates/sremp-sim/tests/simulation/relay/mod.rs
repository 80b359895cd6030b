//! People who do not meet: a relay keeps what one writes until the other comes.

mod left;
mod places;

use sremp_client::{
    config::{Direct, Strangers},
    view::{Command, EventKind, Path, Status, WhyStep},
};
use sremp_core::identity::Trust;
use sremp_sim::{
    Faults, Malice, World,
    commands::{add, trust},
};

use crate::{
    DAY, HOUR, MINUTE,
    people::{apart, texts},
    seeds,
};

#[test]
fn a_message_waits_at_the_relay_while_its_reader_is_away() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let (ann, ben) = apart(&mut world, [&[relay], &[relay]]);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "are you there?");
        world.run(60_000);
        assert_eq!(world.statuses(ann, "ben"), [Status::AtRelay]);
        assert_eq!(world.relay(relay).stored, 1);
        assert!(!world.relay(relay).keeps(b"are you there?"));
        assert!(world.received(ben, "ann").is_empty());
        world.set_reachable(ben, true);
        world.run(HOUR);
        assert_eq!(world.received(ben, "ann"), ["are you there?"]);
        assert_eq!(world.statuses(ann, "ben"), [Status::OnDevice]);
    }
}

#[test]
fn every_message_arrives_once_and_in_order_whatever_dies() {
    for seed in seeds(40) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let (ann, ben) = apart(&mut world, [&[relay], &[relay]]);
        world.faults = Faults {
            cut: 20,
            die_before_commit: 15,
            die_after_commit: 15,
        };
        for n in 0..20 {
            world.send(ann, "ben", &format!("a{n}"));
            world.send(ben, "ann", &format!("b{n}"));
            world.run(seed % 11 * 500);
        }
        world.run(HOUR);
        world.faults = Faults::default();
        world.run(DAY);
        assert_eq!(world.received(ben, "ann"), texts("a", 20), "seed {seed}");
        assert_eq!(world.received(ann, "ben"), texts("b", 20), "seed {seed}");
        assert!(world.all_arrived(ann, "ben"), "seed {seed}");
        assert!(world.all_arrived(ben, "ann"), "seed {seed}");
        let id = world.id(ben);
        assert_eq!(world.relay(relay).items(&id), 0, "seed {seed}");
    }
}

#[test]
fn the_confirmation_waits_for_a_sender_who_is_away_in_turn() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let (ann, ben) = apart(&mut world, [&[relay], &[relay]]);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "good night");
        world.run(60_000);
        world.set_reachable(ann, false);
        world.set_reachable(ben, true);
        world.run(DAY);
        assert_eq!(world.received(ben, "ann"), ["good night"]);
        assert_eq!(world.statuses(ann, "ben"), [Status::AtRelay]);
        world.set_reachable(ben, false);
        world.set_reachable(ann, true);
        world.run(HOUR);
        assert_eq!(world.statuses(ann, "ben"), [Status::OnDevice]);
    }
}

#[test]
fn a_confirmation_comes_back_by_the_senders_own_relay_also_when_that_was_down() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let (first, second) = (world.open_relay("first"), world.open_relay("second"));
        let (ann, ben) = apart(&mut world, [&[first], &[second]]);
        world.send(ann, "ben", "one");
        world.run(60_000);
        assert_eq!(world.statuses(ann, "ben"), [Status::OnDevice]);
        // ann is away when the other has read it, and her relay when the confirmation is brought
        world.set_reachable(ben, false);
        world.send(ann, "ben", "two");
        world.run(60_000);
        world.set_reachable(ann, false);
        world.set_reachable(first, false);
        world.set_reachable(ben, true);
        world.run(HOUR);
        assert_eq!(world.received(ben, "ann"), ["one", "two"]);
        assert_eq!(
            world.statuses(ann, "ben"),
            [Status::OnDevice, Status::AtRelay]
        );
        world.set_reachable(first, true);
        world.run(HOUR);
        world.set_reachable(second, false);
        world.set_reachable(ann, true);
        world.run(HOUR);
        assert!(world.all_arrived(ann, "ben"), "seed {seed}");
    }
}

#[test]
fn a_sender_without_a_relay_fetches_the_confirmation_where_it_stored() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let (ann, ben) = apart(&mut world, [&[], &[relay]]);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "hello");
        world.run(60_000);
        world.restart(ann);
        world.set_reachable(ben, true);
        world.run(2 * HOUR);
        assert_eq!(world.received(ben, "ann"), ["hello"]);
        assert_eq!(world.statuses(ann, "ben"), [Status::OnDevice]);
    }
}

#[test]
fn a_dead_relay_is_passed_over() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let (first, second) = (world.open_relay("first"), world.open_relay("second"));
        let (ann, ben) = apart(&mut world, [&[first, second], &[first, second]]);
        world.set_reachable(first, false);
        world.send(ann, "ben", "hello");
        world.run(20_000);
        assert_eq!(world.received(ben, "ann"), ["hello"]);
        assert_eq!(world.statuses(ann, "ben"), [Status::OnDevice]);
        assert_eq!(world.relay(first).stored, 0);
        let view = world.why_last(ann, "ben");
        let tried = |s: &WhyStep| {
            matches!(
                s,
                WhyStep::Tried {
                    path: Path::Relay,
                    ..
                }
            )
        };
        assert!(view.timeline.iter().any(tried), "{view:?}");
    }
}

#[test]
fn without_a_confirmation_the_next_relay_gets_the_same_bytes_and_the_text_is_shown_once() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let (first, second) = (world.open_relay("first"), world.open_relay("second"));
        let (ann, ben) = apart(&mut world, [&[first, second], &[first, second]]);
        for (from, to) in [(ann, "ben"), (ben, "ann")] {
            world.send(from, to, "first");
            world.run(60_000);
        }
        world.set_reachable(ben, false);
        world.send(ann, "ben", "hello");
        world.run(30_000);
        assert_eq!(world.relay(second).stored, 0);
        world.run(60_000);
        assert_eq!(world.relay(second).stored, 1);
        let [one, other] = [first, second].map(|relay| world.relay(relay).last_stored);
        assert_eq!(one, other, "seed {seed}");
        world.set_reachable(ben, true);
        world.run(HOUR);
        assert_eq!(world.received(ben, "ann"), ["first", "hello"]);
        assert!(world.all_arrived(ann, "ben"));
        let id = world.id(ben);
        assert_eq!(world.relay(first).items(&id), 0);
        assert_eq!(world.relay(second).items(&id), 0);
    }
}

#[test]
fn the_next_relay_gets_what_is_not_confirmed_also_if_it_was_away_when_its_time_came() {
    for seed in seeds(3) {
        for answered in [true, false] {
            let what = format!("seed {seed}, answered: {answered}");
            let mut world = World::new(seed);
            let (first, second) = (world.open_relay("first"), world.open_relay("second"));
            let (ann, ben) = apart(&mut world, [&[first], &[first, second]]);
            if answered {
                for (from, to) in [(ann, "ben"), (ben, "ann")] {
                    world.send(from, to, "first");
                    world.run(MINUTE);
                }
            }
            world.set_reachable(ben, false);
            world.set_reachable(second, false);
            world.send(ann, "ben", "hello");
            world.run(3 * MINUTE);
            assert_eq!(world.relay(second).stored, 0, "{what}");
            world.set_reachable(second, true);
            world.run(3 * MINUTE);
            assert_eq!(world.relay(second).stored, 1, "{what}");
        }
    }
}

#[test]
fn who_never_answered_gets_of_the_next_relay_a_session_of_its_own_and_the_text_is_shown_once() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        let (first, second) = (world.open_relay("first"), world.open_relay("second"));
        let (ann, ben) = apart(&mut world, [&[first, second], &[first, second]]);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "hello");
        world.run(30_000);
        assert_eq!(world.relay(second).stored, 0, "seed {seed}");
        world.run(60_000);
        assert_eq!(world.relay(second).stored, 1, "seed {seed}");
        world.run(60_000);
        let [one, other] = [first, second].map(|relay| world.relay(relay).last_stored);
        assert_ne!(one, other, "seed {seed}");
        let stored = [first, second].map(|relay| world.relay(relay).stored);
        assert_eq!(stored, [1, 1], "seed {seed}");
        assert_eq!(world.statuses(ann, "ben"), [Status::AtRelay], "seed {seed}");
        // however often the client is started
        for _ in 0..20 {
            world.restart(ann);
            world.run(2 * MINUTE);
        }
        world.run(DAY);
        let later = [first, second].map(|relay| world.relay(relay).stored);
        assert_eq!(later, stored, "seed {seed}");
        world.set_reachable(ben, true);
        world.run(HOUR);
        assert_eq!(world.received(ben, "ann"), ["hello"], "seed {seed}");
        assert!(world.all_arrived(ann, "ben"), "seed {seed}");
        let id = world.id(ben);
        for relay in [first, second] {
            assert_eq!(world.relay(relay).items(&id), 0, "seed {seed}");
        }
    }
}

#[test]
fn a_message_on_both_ways_is_shown_once() {
    for seed in seeds(30) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let ann = world.join_at("ann", &[relay]);
        let ben = world.join_at("ben", &[relay]);
        world.introduce(ann, ben);
        world.run(60_000);
        world.faults.cut = 100;
        for n in 0..15 {
            world.send(ann, "ben", &format!("a{n}"));
            world.set_reachable(ben, n % 3 != 0);
            world.run(seed % 7 * 400);
        }
        world.faults = Faults::default();
        world.set_reachable(ben, true);
        world.run(6 * HOUR);
        assert_eq!(world.received(ben, "ann"), texts("a", 15), "seed {seed}");
        assert!(world.all_arrived(ann, "ben"), "seed {seed}");
    }
}

#[test]
fn a_blocked_sender_is_not_heard_and_sees_no_more_than_that_it_waits() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let (ann, ben) = apart(&mut world, [&[relay], &[relay]]);
        world.send(ann, "ben", "one");
        world.run(60_000);
        world.command(ben, trust("ann", Trust::Rejected));
        world.run(60_000);
        let stored = world.relay(relay).stored;
        world.send(ann, "ben", "two");
        world.run(HOUR);
        assert_eq!(world.received(ben, "ann"), ["one"]);
        assert_eq!(world.relay(relay).stored, stored);
        assert_eq!(
            world.statuses(ann, "ben"),
            [Status::OnDevice, Status::Queued]
        );
        world.command(ben, trust("ann", Trust::Unknown));
        world.run(DAY);
        assert_eq!(world.received(ben, "ann"), ["one", "two"]);
        assert!(world.all_arrived(ann, "ben"));
    }
}

#[test]
fn an_invite_leads_to_its_giver_although_that_home_was_restored_meanwhile() {
    for seed in seeds(10) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let ann = world.join_far("ann", &[relay]);
        let ben = world.join_far("ben", &[relay]);
        world.run(60_000);
        let invite = world.invite(ben);
        world.run(60_000);
        let mut backup = world.node(ben).store.copy().unwrap();
        backup.strip("").unwrap();
        world.node(ben).store = backup;
        world.restart(ben);
        world.run(60_000);
        let ben_id = world.id(ben);
        assert_eq!(world.relay(relay).prekeys(&ben_id), 50, "all of them new");
        world.set_reachable(ben, false);
        world.command(ann, add(&invite, Some("ben")));
        world.send(ann, "ben", "may I write?");
        world.run(60_000);
        assert_eq!(world.relay(relay).prekeys(&ben_id), 49, "by its token");
        world.set_reachable(ben, true);
        world.run(HOUR);
        let contacts = world.requests(ben);
        assert_eq!(contacts.len(), 1, "seed {seed}");
    }
}

#[test]
fn a_stranger_reaches_somebody_absent_and_hears_nothing_until_accepted() {
    for seed in seeds(10) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let ann = world.join_far("ann", &[relay]);
        let ben = world.join_far("ben", &[relay]);
        world.run(60_000);
        let invite = world.invite(ben);
        world.run(60_000);
        let ben_id = world.id(ben);
        assert_eq!(world.relay(relay).prekeys(&ben_id), 50);
        world.set_reachable(ben, false);
        world.command(ann, add(&invite, Some("ben")));
        for text in ["may I write?", "are you there?"] {
            world.send(ann, "ben", text);
        }
        world.run(60_000);
        assert_eq!(world.statuses(ann, "ben"), [Status::AtRelay; 2]);
        assert_eq!(world.relay(relay).prekeys(&ben_id), 49, "by its token");
        world.set_reachable(ben, true);
        world.run(HOUR);
        let contacts = world.requests(ben);
        assert_eq!(contacts.len(), 1, "seed {seed}");
        assert_eq!(contacts[0].request_text.as_deref(), Some("may I write?"));
        assert_eq!(world.statuses(ann, "ben"), [Status::AtRelay; 2]);
        assert_eq!(world.relay(relay).items(&ben_id), 0);
        world.command(ben, add(&contacts[0].id, Some("ann")));
        world.run(HOUR);
        assert_eq!(
            world.received(ben, "ann"),
            ["may I write?", "are you there?"],
            "seed {seed}"
        );
        assert!(world.all_arrived(ann, "ben"), "seed {seed}");
        world.send(ben, "ann", "welcome");
        world.run(60_000);
        assert_eq!(world.received(ann, "ben"), ["welcome"]);
    }
}

#[test]
fn a_stranger_without_an_invite_does_not_pass_those_who_ask_for_one() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let ann = world.join_far("ann", &[relay]);
        let link = world.relay(relay).link();
        let ben = world.join_with("ben", |config| {
            config.relays = vec![link];
            config.direct = Direct::Never;
            config.strangers = Strangers::IntroOnly;
        });
        world.run(60_000);
        world.add(ann, ben);
        world.send(ann, "ben", "hello");
        world.run(HOUR);
        assert!(world.requests(ben).is_empty());
    }
}

#[test]
fn five_thousand_messages_wait_thirteen_days_and_come_in_order_once() {
    let mut world = World::new(9);
    let relay = world.open_relay("relay");
    let (ann, ben) = apart(&mut world, [&[relay], &[relay]]);
    world.send(ann, "ben", "a0");
    world.run(60_000);
    world.set_reachable(ben, false);
    // the chain is full at the 5,000th, and the rest goes by another session
    for n in 1..=5_020 {
        world.send(ann, "ben", &format!("a{n}"));
        world.run(50);
    }
    world.run(HOUR);
    let id = world.id(ben);
    let items = world.relay(relay).items(&id);
    assert!((5_019..5_030).contains(&items), "each waits once: {items}");
    let stored = world.relay(relay).stored;
    world.run(13 * DAY);
    assert_eq!(world.relay(relay).stored, stored, "none is sent twice");
    world.set_reachable(ben, true);
    world.run(HOUR);
    assert_eq!(world.all_received(ben, "ann"), texts("a", 5_021));
    assert_eq!(world.relay(relay).items(&id), 0);
    let status = world.status(ann);
    assert_eq!(status.queued, 0);
}

#[test]
fn prekeys_are_refilled_below_twenty() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let ben = world.join_far("ben", &[relay]);
        world.run(60_000);
        let id = world.id(ben);
        world.relay(relay).lose_prekeys(&id, 31);
        world.restart(ben);
        world.run(60_000);
        assert_eq!(world.relay(relay).prekeys(&id), 50);
    }
}

#[test]
fn what_was_written_before_an_acceptance_that_cannot_be_told_arrives_with_what_comes_later() {
    for seed in seeds(1) {
        for writes_again in [true, false] {
            let mut world = World::new(seed);
            let relay = world.open_relay("relay");
            // nothing reaches Ann by itself
            let (ann, ben) = (world.join_far("ann", &[]), world.join_far("ben", &[relay]));
            world.run(60_000);
            world.add(ann, ben);
            let mut written = vec!["one", "two", "three"];
            for text in &written {
                world.send(ann, "ben", text);
            }
            world.run(60_000);
            let asks = world.requests(ben).remove(0);
            world.command(ben, add(&asks.id, Some("ann")));
            world.run(60_000);
            if writes_again {
                written.push("four");
                world.send(ann, "ben", "four");
                world.run(60_000);
            } else {
                // its relay has ceased to keep them
                world.run(15 * DAY);
            }
            let received = world.received(ben, "ann");
            assert_eq!(received, written, "seed {seed}, again: {writes_again}");
            assert!(world.all_arrived(ann, "ben"), "seed {seed}");
        }
    }
}

#[test]
fn what_a_relay_no_longer_keeps_is_stored_again() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let (ann, ben) = apart(&mut world, [&[relay], &[relay]]);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "patience");
        world.run(15 * DAY);
        assert_eq!(world.relay(relay).stored, 2);
        world.set_reachable(ben, true);
        world.run(HOUR);
        assert_eq!(world.received(ben, "ann"), ["patience"]);
        assert!(world.all_arrived(ann, "ben"));
    }
}

#[test]
fn why_tells_the_way_of_a_message_on_both_sides() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let (ann, ben) = apart(&mut world, [&[relay], &[relay]]);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "hello");
        world.run(60_000);
        let waiting = world.why_last(ann, "ben");
        assert_eq!(waiting.status, Some(Status::AtRelay));
        assert!(waiting.waits_for.is_some());
        let kept = |s: &WhyStep| {
            matches!(
                s,
                WhyStep::AtRelay {
                    receipt_valid: true,
                    ..
                }
            )
        };
        assert!(waiting.timeline.iter().any(kept), "{waiting:?}");
        world.set_reachable(ben, true);
        world.run(HOUR);
        let arrived = world.why_last(ann, "ben");
        assert_eq!(arrived.waits_for, None);
        let confirmed = |s: &WhyStep| {
            let valid = Some(true);
            matches!(s, WhyStep::OnDevice { path: Path::Relay, confirmation_valid, .. }
                    if *confirmation_valid == valid)
        };
        assert!(arrived.timeline.iter().any(confirmed), "{arrived:?}");
        let msg_id = world.history(ben, "ann")[0].msg_id.clone();
        let read = world.why(ben, &msg_id);
        assert_eq!((read.path, read.status), (Some(Path::Relay), None));
        assert!(
            matches!(
                read.timeline.as_slice(),
                [
                    WhyStep::Sent { .. },
                    WhyStep::Stored { .. },
                    WhyStep::Received {
                        path: Path::Relay,
                        ..
                    }
                ]
            ),
            "{read:?}"
        );
        let unknown = Command::Why {
            msg_id: "00000000".to_owned(),
        };
        assert!(world.try_command(ann, unknown).is_err());
    }
}

#[test]
fn status_names_the_relays_and_how_they_are() {
    for seed in seeds(1) {
        use sremp_client::view::RelayState;
        let mut world = World::new(seed);
        let (first, second) = (world.open_relay("first"), world.open_relay("second"));
        let ann = world.join_far("ann", &[first, second]);
        world.set_reachable(second, false);
        world.run(60_000);
        let status = world.status(ann);
        let of = |host: &str| {
            let mut found = status.relays.iter();
            found.find(|r| r.endpoint.starts_with(host)).unwrap()
        };
        assert_eq!(of("first").state, RelayState::Connected);
        assert_eq!(of("first").prekeys, Some(50));
        assert_ne!(of("second").state, RelayState::Connected);
        assert!(of("second").last_error.is_some());
    }
}

#[test]
fn a_dial_that_a_change_of_the_network_has_overtaken_counts_for_nothing() {
    for seed in seeds(5) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let [ann, ben] = ["ann", "ben"].map(|name| world.join_far(name, &[relay]));
        world.run(60_000);
        world.add(ann, ben);
        world.set_reachable(relay, false);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "by a relay that was away");
        // pauses are of minutes by now, and the relay is dialled once more
        world.run(2 * 3_600_000);
        let dials = world.dials();
        while world.dials() == dials {
            world.run(100);
        }
        world.change_network(ann);
        world.run(20_000);
        world.set_reachable(relay, true);
        world.run(60_000);
        let status = world.statuses(ann, "ben");
        assert_eq!(status, [Status::AtRelay], "seed {seed}");
    }
}

#[test]
fn after_a_change_of_the_network_what_waits_goes_out_at_once() {
    for seed in seeds(20) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let (ann, ben) = (world.join("ann"), world.join_at("ben", &[relay]));
        let cat = world.join_far("cat", &[relay]);
        world.run(60_000);
        world.add(ann, ben);
        world.add(ann, cat);
        for gone in [relay, ben] {
            world.set_reachable(gone, false);
        }
        world.send(ann, "ben", "to somebody who was away");
        world.send(ann, "cat", "by a relay that was away");
        // long enough for pauses of minutes
        world.run(2 * 3_600_000 + seed * 1_000);
        for back in [relay, ben] {
            world.set_reachable(back, true);
        }
        assert_eq!(world.statuses(ann, "cat"), [Status::Queued], "seed {seed}");
        // both see a network again: what waits may as well go by the relay and be fetched there
        for changed in [ann, ben] {
            world.change_network(changed);
        }
        world.run(4_000);
        assert_eq!(world.statuses(ann, "cat"), [Status::AtRelay], "seed {seed}");
        let waiting = world.events(ben).into_iter();
        let asked = waiting
            .filter(|e| matches!(e.event, EventKind::Request { .. }))
            .count();
        assert_eq!(asked, 1, "seed {seed}");
        // a network that changes again and again makes nobody dial faster than once a second
        world.set_reachable(ben, false);
        world.send(ann, "ben", "again");
        let dials = world.dials();
        for _ in 0..50 {
            world.change_network(ann);
            world.run(100);
        }
        assert!(
            world.dials() - dials <= 40,
            "seed {seed}: {}",
            world.dials() - dials
        );
    }
}

/// Two people at one relay who have greeted each other, and talk directly.
fn who_talk_directly(seed: u64) -> (World, [usize; 3]) {
    let mut world = World::new(seed);
    let relay = world.open_relay("relay");
    let [ann, ben] = ["ann", "ben"].map(|name| world.join_at(name, &[relay]));
    world.run(60_000);
    world.introduce(ann, ben);
    for (from, to) in [(ann, "ben"), (ben, "ann")] {
        world.send(from, to, "hello");
        world.run(60_000);
    }
    (world, [ann, ben, relay])
}

#[test]
fn what_lies_at_a_relay_that_died_comes_over_the_connection_also_after_something_newer() {
    for seed in seeds(5) {
        let (mut world, [ann, ben, relay]) = who_talk_directly(seed);
        world.set_reachable(ann, false);
        for n in 0..3 {
            world.send(ben, "ann", &format!("b{n}"));
            world.run(30_000);
        }
        assert_eq!(world.statuses(ben, "ann")[1..], [Status::AtRelay; 3]);
        world.set_reachable(relay, false);
        world.set_reachable(ann, true);
        world.run(20_000);
        world.send(ben, "ann", "newer");
        world.run(3 * 60_000);
        assert!(world.all_arrived(ben, "ann"), "seed {seed}");
        let received = world.received(ann, "ben");
        assert_eq!(
            received,
            ["hello", "b0", "b1", "b2", "newer"],
            "seed {seed}"
        );
    }
}

#[test]
fn what_a_relay_gives_out_after_a_quick_talk_past_it_is_read_before_it_is_confirmed() {
    for seed in seeds(5) {
        let (mut world, [ann, ben, relay]) = who_talk_directly(seed);
        world.set_reachable(ann, false);
        world.send(ben, "ann", "late");
        world.run(30_000);
        assert_eq!(world.statuses(ben, "ann")[1..], [Status::AtRelay]);
        world.set_reachable(relay, false);
        world.set_reachable(ann, true);
        for n in 0..8 {
            for (from, to) in [(ann, "ben"), (ben, "ann")] {
                world.send(from, to, &format!("quick {n}"));
                world.run(700);
            }
        }
        let talked = world.received(ann, "ben");
        assert_eq!(talked.len(), 9, "seed {seed}: {talked:?}");
        assert!(!talked.contains(&"late".to_owned()), "seed {seed}");
        world.set_reachable(relay, true);
        world.run(5 * 60_000);
        assert!(world.all_arrived(ben, "ann"), "seed {seed}");
        let received = world.received(ann, "ben");
        assert!(received.contains(&"late".to_owned()), "seed {seed}");
        assert_eq!(received.len(), 10, "seed {seed}: {received:?}");
    }
}

#[test]
fn a_relay_whose_promise_is_over_when_it_is_made_has_kept_nothing() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let [bad, good] = ["bad", "good"].map(|name| world.open_relay(name));
        let (ann, ben) = apart(&mut world, [&[good], &[bad, good]]);
        world.relay(bad).malice = Malice::PromisesNothing;
        world.set_reachable(ben, false);
        world.send(ann, "ben", "hello");
        world.run(60_000);
        assert_eq!(world.statuses(ann, "ben"), [Status::AtRelay], "seed {seed}");
        assert_eq!(world.relay(good).stored, 1, "seed {seed}");
        world.run(DAY);
        let tries = world.relay(bad).stored;
        assert!(tries < 10, "seed {seed}: {tries}");
    }
}
