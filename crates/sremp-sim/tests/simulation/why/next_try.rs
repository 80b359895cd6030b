//! When what waits is tried next.

use std::time::Duration;

use sremp_client::{
    clock::Rfc3339,
    config::{Direct, RendezvousPlace},
    view::{Choice, Command, Reply, Status, Waits, WhyStep},
};
use sremp_core::identity::Trust;
use sremp_sim::{
    Malice, World,
    commands::{direct, trust},
};

use super::{by_a_relay, by_both_ways, why};
use crate::{MINUTE, seeds};

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

/// What is said of when the next try is: by `why`, and of the relays by `status`.
fn next_tries(world: &mut World, ann: usize) -> (Option<Rfc3339>, Vec<Rfc3339>) {
    let Reply::Status(status) = world.command(ann, Command::Status) else {
        panic!("no status");
    };
    let relays = status.relays.into_iter().filter_map(|relay| relay.next_try);
    let relays = relays.collect();
    (why(world, ann).next_try, relays)
}

/// How often something was tried for Ann's last message.
fn tries(world: &mut World, ann: usize) -> u64 {
    let steps = why(world, ann).timeline.into_iter();
    let tried = steps.filter_map(|step| match step {
        WhyStep::Tried { count, .. } => Some(count),
        _ => None,
    });
    tried.sum()
}

/// The next try is as `why` says: it fails after the time of a dial, and none before.
#[track_caller]
fn is_tried_when_it_says(world: &mut World, ann: usize) {
    const DIAL: u64 = 200;
    let is_soon =
        |at: Rfc3339, world: &World| at.0.since(world.now().wall) <= Duration::from_secs(1);
    let mut next = why(world, ann).next_try.expect("a next try");
    if is_soon(next, world) {
        // it is about to begin, or has
        world.run(3_000);
        next = why(world, ann).next_try.expect("a next try");
    }
    let next = next.0;
    let before = tries(world, ann);
    let left = next.since(world.now().wall);
    let left = u64::try_from(left.as_millis()).unwrap();
    assert!(left > 1_000, "seed {}: {left} ms", world.seed);
    world.run(left + DIAL - 1);
    assert_eq!(tries(world, ann), before, "seed {}", world.seed);
    world.run(2);
    assert_eq!(tries(world, ann), before + 1, "seed {}", world.seed);
}

#[test]
fn the_next_try_is_when_a_relay_that_does_not_answer_has_rested() {
    for seed in seeds(3) {
        let (mut world, [ann, ben, relay]) = by_a_relay(seed);
        // its own mailbox lies there as well: nothing else is tried
        world.set_reachable(ben, false);
        world.set_reachable(relay, false);
        world.run(60 * MINUTE);
        world.send(ann, "ben", "later");
        world.run(10 * MINUTE);
        let (next, relays) = next_tries(&mut world, ann);
        assert_eq!(next, relays.into_iter().min(), "seed {seed}");
        is_tried_when_it_says(&mut world, ann);
    }
}

#[test]
fn the_next_try_is_the_next_dial_where_there_is_no_relay() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.add(ann, ben);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "later");
        world.run(60 * MINUTE);
        is_tried_when_it_says(&mut world, ann);
    }
}

#[test]
fn of_two_ways_that_are_tried_by_turns_the_next_try_is_the_earlier() {
    for seed in seeds(3) {
        let (mut world, [ann, ben, relay]) = by_both_ways(seed);
        world.set_reachable(ben, false);
        world.set_reachable(relay, false);
        world.send(ann, "ben", "later");
        world.run(60 * MINUTE);
        // in an order that differs
        for _ in 0..4 {
            is_tried_when_it_says(&mut world, ann);
        }
    }
}

#[test]
fn what_a_relay_keeps_has_no_next_try_beside_what_it_does_not_keep() {
    for seed in seeds(1) {
        let (mut world, [ann, ben, relay]) = by_both_ways(seed);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "kept");
        world.run(MINUTE);
        let kept = why(&mut world, ann);
        assert_eq!(kept.status, Some(Status::AtRelay), "seed {seed}");
        world.set_reachable(relay, false);
        world.send(ann, "ben", "not kept");
        world.run(MINUTE);
        assert!(why(&mut world, ann).next_try.is_some(), "seed {seed}");
        let msg_id = kept.msg_id;
        let Reply::Why(kept) = world.command(ann, Command::Why { msg_id }) else {
            panic!("seed {seed}: no way");
        };
        assert_eq!(
            (kept.waits, kept.next_try),
            (Some(Waits::Reader), None),
            "seed {seed}"
        );
    }
}

#[test]
fn the_next_try_is_the_next_question_to_a_server_where_no_way_is_known() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let server = world.open_rendezvous("rdv");
        let place = RendezvousPlace::Link(Box::new(world.rendezvous(server).link()));
        let ann = world.join_with("ann", |config| config.rendezvous = Some(vec![place]));
        let ben = world.join_far("ben", &[]);
        world.run(MINUTE);
        world.add(ann, ben);
        world.send(ann, "ben", "where are you?");
        world.run(10 * MINUTE);
        let view = why(&mut world, ann);
        assert_eq!(view.waits, Some(Waits::Address), "seed {seed}: {view:?}");
        let left = view.next_try.expect("a next try").0.since(world.now().wall);
        let asked = world.rendezvous(server).lookups;
        world.run(u64::try_from(left.as_millis()).unwrap() - 1);
        assert_eq!(world.rendezvous(server).lookups, asked, "seed {seed}");
        world.run(1_000);
        assert_eq!(world.rendezvous(server).lookups, asked + 1, "seed {seed}");
    }
}

#[test]
fn the_next_try_is_when_a_relay_that_refuses_is_asked_again() {
    for seed in seeds(3) {
        let (mut world, [ann, _, relay]) = by_a_relay(seed);
        world.relay(relay).malice = Malice::RefusesAll;
        world.send(ann, "ben", "later");
        world.run(10 * MINUTE);
        let next = why(&mut world, ann).next_try.expect("a next try").0;
        let before = tries(&mut world, ann);
        let left = next.since(world.now().wall).as_millis();
        world.run(u64::try_from(left).unwrap() - 1);
        assert_eq!(tries(&mut world, ann), before, "seed {seed}");
        world.run(1_000);
        assert!(tries(&mut world, ann) > before, "seed {seed}");
    }
}

#[test]
fn where_no_client_runs_there_is_no_next_try_also_of_what_is_written_there() {
    for seed in seeds(1) {
        let (mut world, [ann, _, relay]) = by_a_relay(seed);
        world.set_reachable(relay, false);
        world.send(ann, "ben", "later");
        world.run(MINUTE);
        assert!(why(&mut world, ann).next_try.is_some(), "seed {seed}");
        world.look_into(ann);
        world.send(ann, "ben", "and this");
        for line in world.history(ann, "ben").into_iter().rev().take(2) {
            let msg_id = line.msg_id;
            let Reply::Why(view) = world.command(ann, Command::Why { msg_id }) else {
                panic!("seed {seed}: no way");
            };
            assert_eq!(view.waits, Some(Waits::Client), "seed {seed}");
            assert_eq!(view.next_try, None, "seed {seed}");
        }
    }
}

#[test]
fn where_nothing_can_be_tried_there_is_no_next_try() {
    type Turn = fn(&mut World, usize);
    for seed in seeds(2) {
        // what is dialled, what Ann does then, and what this waits for
        let cases: [(Turn, Waits); 4] = [
            (
                |world, ann| {
                    world.command(ann, direct("ben", Choice::Off));
                },
                Waits::DirectOff,
            ),
            (
                |world, ann| {
                    world.set_reachable(1, true);
                    world.run(MINUTE);
                    world.command(ann, direct("ben", Choice::Off));
                    world.send(ann, "ben", "and this");
                },
                Waits::DirectOff,
            ),
            (
                |world, ann| world.configure(ann, |config| config.direct = Direct::Never),
                Waits::DirectOff,
            ),
            (
                |world, ann| {
                    world.command(ann, trust("ben", Trust::Rejected));
                },
                Waits::Rejected,
            ),
        ];
        for (n, (turn, waits)) in cases.into_iter().enumerate() {
            let mut world = World::new(seed);
            let (ann, ben) = (world.join("ann"), world.join("ben"));
            world.add(ann, ben);
            world.set_reachable(ben, false);
            world.send(ann, "ben", "later");
            world.run(60 * MINUTE);
            assert!(why(&mut world, ann).next_try.is_some(), "seed {seed}: {n}");
            turn(&mut world, ann);
            for after in [0, 1, 60 * MINUTE] {
                world.run(after);
                let view = why(&mut world, ann);
                assert_eq!(view.waits, Some(waits), "seed {seed}: {n}");
                assert_eq!(view.next_try, None, "seed {seed}: {n}, after {after} ms");
            }
        }
    }
}

#[test]
fn what_was_to_be_tried_for_somebody_who_is_rejected_is_no_next_try() {
    for seed in seeds(2) {
        let (mut world, [ann, ben, relay]) = by_both_ways(seed);
        world.set_reachable(ben, false);
        world.set_reachable(relay, false);
        world.send(ann, "ben", "later");
        world.run(10 * MINUTE);
        assert!(why(&mut world, ann).next_try.is_some(), "seed {seed}");
        world.command(ann, trust("ben", Trust::Rejected));
        for after in [0, 1, 1_000, 60 * MINUTE] {
            world.run(after);
            let view = why(&mut world, ann);
            assert_eq!(view.waits, Some(Waits::Rejected), "seed {seed}");
            assert_eq!(view.next_try, None, "seed {seed}: after {after} ms");
        }
    }
}
