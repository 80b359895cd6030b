//! Relays that lie: no line is lost, doubled or forged by them, and the sender sees what is true.

use sremp_client::view::{Status, WhyStep};
use sremp_sim::{Malice, World};

use crate::{
    DAY, HOUR,
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
