//! Relays that are gone for good, or that somebody has left (6.9, 6.10).

use std::time::Duration;

use sremp_client::view::{RelayState, Status};
use sremp_sim::{Malice, World};

use crate::{DAY, HOUR, people::apart, seeds};

#[test]
fn a_confirmation_comes_by_the_readers_relay_when_the_senders_own_is_gone_for_good() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let (first, second) = (world.open_relay("first"), world.open_relay("second"));
        let (ann, ben) = apart(&mut world, [&[first], &[second]]);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "before its relay was gone");
        world.run(60_000);
        world.set_reachable(first, false);
        world.set_reachable(ben, true);
        world.run(10 * 60_000);
        assert!(world.all_arrived(ann, "ben"), "seed {seed}");
        world.send(ann, "ben", "after it was");
        world.run(60_000);
        assert!(world.all_arrived(ann, "ben"), "seed {seed}");
        // nor does a start change that
        world.set_reachable(ben, false);
        world.send(ann, "ben", "third");
        world.run(60_000);
        world.restart(ann);
        world.run(60_000);
        world.set_reachable(ben, true);
        world.run(60_000);
        assert!(world.all_arrived(ann, "ben"), "seed {seed}");
        assert_eq!(world.received(ben, "ann").len(), 3);
        // who has a relay stays with no other
        let bens = world.relay(second).link().endpoint().to_string();
        let state = |world: &mut World| {
            let relays = world.status(ann).relays;
            relays
                .into_iter()
                .find(|r| r.endpoint == bens)
                .unwrap()
                .state
        };
        assert_eq!(state(&mut world), RelayState::Connected, "seed {seed}");
        world.set_reachable(first, true);
        world.run(HOUR);
        assert_eq!(state(&mut world), RelayState::Idle, "seed {seed}");
    }
}

#[test]
fn a_confirmation_owed_to_a_relay_that_is_gone_comes_also_to_who_has_another_by_now() {
    for seed in seeds(1) {
        for both in [false, true] {
            let mut world = World::new(seed);
            let [gone, other, bens] = ["gone", "other", "bens"].map(|name| world.open_relay(name));
            let anns: &[usize] = if both { &[gone, other] } else { &[gone] };
            let (ann, ben) = apart(&mut world, [anns, &[bens]]);
            world.set_reachable(ben, false);
            world.send(ann, "ben", "hello");
            world.run(60_000);
            world.set_reachable(gone, false);
            if !both {
                world.move_to(ann, &[other]);
            }
            world.set_reachable(ben, true);
            world.run(10 * 60_000);
            assert!(world.all_arrived(ann, "ben"), "seed {seed}: {both}");
        }
    }
}

#[test]
fn a_new_relay_is_told_to_every_contact_while_the_old_one_is_gone() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let (old, new) = (world.open_relay("old"), world.open_relay("new"));
        let (ann, ben) = apart(&mut world, [&[old], &[old]]);
        for (from, to) in [(ann, "ben"), (ben, "ann")] {
            world.send(from, to, "hello");
            world.run(60_000);
        }
        // Ann keeps a second mailbox, by which she hears of Ben's
        world.move_to(ann, &[old, new]);
        world.run(HOUR);
        world.set_reachable(old, false);
        world.move_to(ben, &[new]);
        world.run(HOUR);
        world.send(ann, "ben", "where are you now?");
        world.run(60_000);
        assert_eq!(world.received(ben, "ann"), ["hello", "where are you now?"]);
        assert!(world.all_arrived(ann, "ben"));
    }
}

#[test]
fn what_lies_at_a_relay_that_its_reader_has_left_is_given_to_the_new_one() {
    for seed in seeds(1) {
        for both in [false, true] {
            let mut world = World::new(seed);
            let (old, new) = (world.open_relay("old"), world.open_relay("new"));
            let (ann, ben) = apart(&mut world, [&[old], &[old]]);
            for (from, to) in [(ann, "ben"), (ben, "ann")] {
                world.send(from, to, "hello");
                world.run(60_000);
            }
            world.set_reachable(ben, false);
            world.send(ann, "ben", "at the old one");
            world.run(10_000);
            world.move_to(ben, &[new]);
            if both {
                world.send(ben, "ann", "at the old one too");
                world.move_to(ann, &[new]);
            }
            world.set_reachable(ben, true);
            world.run(10_000);
            let heard = ["hello", "at the old one"];
            assert_eq!(
                world.received(ben, "ann"),
                heard,
                "seed {seed}, both {both}"
            );
            world.run(HOUR);
            assert!(world.all_arrived(ann, "ben"), "seed {seed}, both {both}");
            assert!(world.all_arrived(ben, "ann"), "seed {seed}, both {both}");
        }
    }
}

#[test]
fn an_envelope_goes_to_eight_relays_and_no_further() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let anns = world.open_relay("anns");
        let bens: Vec<usize> = (0..10)
            .map(|n| world.open_relay(&format!("r{n}")))
            .collect();
        let (ann, ben) = apart(&mut world, [&[anns], &[bens[0]]]);
        for (from, to) in [(ann, "ben"), (ben, "ann")] {
            world.send(from, to, "hello");
            world.run(60_000);
        }
        let before = world.relay(bens[0]).stored;
        for relay in &bens {
            world.relay(*relay).malice = Malice::Drops;
        }
        world.send(ann, "ben", "for one relay");
        world.run(60_000);
        // also what none has kept for long, and what all of a contact's relays have
        for relays in bens[1..].chunks(2).chain([&bens[2..4]]) {
            world.move_to(ben, relays);
            world.run(20 * 60_000);
        }
        let mut stored: Vec<u64> = bens.iter().map(|r| world.relay(*r).stored).collect();
        stored[0] -= before;
        assert!(stored.iter().all(|n| *n <= 1), "seed {seed}: {stored:?}");
        assert_eq!(stored.iter().sum::<u64>(), 8, "seed {seed}: {stored:?}");
        assert_eq!(world.statuses(ann, "ben").pop(), Some(Status::AtRelay));
    }
}

#[test]
fn a_relay_that_was_left_is_fetched_from_for_fourteen_days() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let (old, new) = (world.open_relay("old"), world.open_relay("new"));
        let ben = world.join_far("ben", &[old]);
        world.run(60_000);
        world.move_to(ben, &[new]);
        let left = world.now().wall;
        world.restart(ben);
        world.run(60_000);
        let relays = |world: &mut World| -> Vec<(String, bool, bool)> {
            let until = left.plus(Duration::from_millis(14 * DAY));
            let relays = world.status(ben).relays.into_iter();
            let shown = relays.map(|relay| {
                let left_until = relay.left_until.map(|at| at.0);
                assert!(left_until.is_none_or(|at| at == until), "{left_until:?}");
                (relay.endpoint, relay.own, left_until.is_some())
            });
            shown.collect()
        };
        let new_one = ("new:4000".to_owned(), true, false);
        let old_one = ("old:4000".to_owned(), false, true);
        assert_eq!(
            relays(&mut world),
            [new_one.clone(), old_one],
            "seed {seed}"
        );
        world.run(13 * DAY);
        assert_eq!(relays(&mut world).len(), 2, "seed {seed}");
        world.run(2 * DAY);
        let old_one = ("old:4000".to_owned(), false, false);
        assert_eq!(
            relays(&mut world),
            [new_one.clone(), old_one],
            "seed {seed}"
        );
        world.restart(ben);
        assert_eq!(relays(&mut world), [new_one], "seed {seed}");
        // who comes back to it has never left it
        world.move_to(ben, &[old, new]);
        let own = relays(&mut world).into_iter();
        assert!(own.filter(|(_, own, left)| *own && !left).count() == 2);
    }
}
