//! Contacts without a relay, whom a restored home cannot tell of it.

use sremp_client::{
    config::Direct,
    store::Store,
    view::{Choice, Status},
};
use sremp_sim::{
    Malice, World,
    commands::{add, direct},
};

use super::{backup, restore};
use crate::{DAY, HOUR, MINUTE, seeds};

/// What the conversation of a restored home says.
const RESTORED: &str = "[restored from a backup: session renewed]";

/// A relay, a home with a mailbox there, and somebody who has neither a relay nor an address.
fn relay_hub_and_leaf(seed: u64, direct: Direct) -> (World, [usize; 3]) {
    let mut world = World::new(seed);
    let relay = world.open_relay("relay");
    let hub = world.join_at("hub", &[relay]);
    let leaf = world.join_with("leaf", |config| {
        config.advertise = None;
        config.direct = direct;
    });
    world.run(HOUR);
    (world, [relay, hub, leaf])
}

/// Two of them who have written to each other.
fn hub_and_leaf(seed: u64, direct: Direct) -> (World, [usize; 3]) {
    let (mut world, all) = relay_hub_and_leaf(seed, direct);
    let [_, hub, leaf] = all;
    world.introduce(hub, leaf);
    world.send(leaf, "hub", "before");
    world.run(MINUTE);
    (world, all)
}

/// The leaf is answered, and is reached by nobody from then on.
fn answer(world: &mut World, hub: usize, leaf: usize) {
    world.send(hub, "leaf", "an answer");
    world.run(MINUTE);
    assert_eq!(world.received(leaf, "hub"), ["an answer"]);
    world.configure(leaf, |config| config.direct = Direct::Never);
    world.run(MINUTE);
}

#[test]
fn who_can_be_told_nothing_sees_by_the_bundle_that_a_contact_was_restored() {
    for seed in seeds(3) {
        for (writes, answered) in [(true, false), (false, false), (true, true), (false, true)] {
            // by the relay alone, as where the restored home is elsewhere
            let direct = match answered {
                true => Direct::Accepted,
                false => Direct::Never,
            };
            let (mut world, [_, hub, leaf]) = hub_and_leaf(seed, direct);
            if answered {
                answer(&mut world, hub, leaf);
            }
            let old = backup(&mut world, hub);
            world.send(leaf, "hub", "after the backup");
            world.run(MINUTE);
            restore(&mut world, hub, old);
            world.run(MINUTE);
            world.send(leaf, "hub", "one");
            world.run(2 * MINUTE);
            match writes {
                true => world.send(leaf, "hub", "two"),
                // or somewhat later by itself
                false => world.run(3 * HOUR),
            }
            world.run(MINUTE);
            let read = world.received(hub, "leaf");
            let expected = match writes {
                true => &["before", "one", "two"][..],
                false => &["before", "one"],
            };
            assert_eq!(read, expected, "seed {seed}");
            assert!(world.all_arrived(leaf, "hub"), "seed {seed}");
            // and again, after a look that found the state of before
            let old = backup(&mut world, hub);
            world.leave(hub);
            for text in ["nobody is there", "still nobody"] {
                world.send(leaf, "hub", text);
                world.run(2 * MINUTE);
            }
            world.set_reachable(hub, true);
            restore(&mut world, hub, old);
            world.run(5 * MINUTE);
            world.send(leaf, "hub", "at last");
            world.run(MINUTE);
            let read = world.received(hub, "leaf");
            let end = ["nobody is there", "still nobody", "at last"];
            assert_eq!(read[read.len() - 3..], end, "seed {seed}");
            assert!(world.all_arrived(leaf, "hub"), "seed {seed}");
        }
    }
}

/// What happens between the loss of a home and the minutes in which all is to be read.
type Course = fn(&mut World, [usize; 3], Store);

fn come_back(world: &mut World, hub: usize, old: Store) {
    world.set_reachable(hub, true);
    restore(world, hub, old);
    world.run(5_000);
}

#[test]
fn what_is_written_to_a_contact_that_was_restored_is_read_within_minutes_without_a_further_word() {
    let courses: [(&str, Course); 6] = [
        (
            "one message to the restored home",
            |world, [_, hub, leaf], old| {
                come_back(world, hub, old);
                world.send(leaf, "hub", "one");
            },
        ),
        (
            "after a look at the old state",
            |world, [_, hub, leaf], old| {
                world.send(leaf, "hub", "one");
                world.run(MINUTE + 5_000);
                come_back(world, hub, old);
                world.send(leaf, "hub", "two");
            },
        ),
        (
            "two within a minute before a look",
            |world, [_, hub, leaf], old| {
                for text in ["one", "two"] {
                    world.send(leaf, "hub", text);
                    world.run(35_000);
                }
                come_back(world, hub, old);
            },
        ),
        (
            "a look at once, as something older waits",
            |world, [_, hub, leaf], old| {
                world.send(leaf, "hub", "one");
                world.run(5 * HOUR);
                world.send(leaf, "hub", "two");
                world.run(20_000);
                come_back(world, hub, old);
            },
        ),
        (
            "the writer ends and begins again",
            |world, [_, hub, leaf], old| {
                come_back(world, hub, old);
                world.send(leaf, "hub", "one");
                world.run(30_000);
                world.restart(leaf);
            },
        ),
        (
            "the relay is away when it is asked",
            |world, [relay, hub, leaf], old| {
                come_back(world, hub, old);
                world.send(leaf, "hub", "one");
                world.run(50_000);
                world.set_reachable(relay, false);
                world.run(30_000);
                world.set_reachable(relay, true);
            },
        ),
    ];
    for seed in seeds(2) {
        for (course, happens) in courses {
            let (mut world, all) = hub_and_leaf(seed, Direct::Accepted);
            let [_, hub, leaf] = all;
            answer(&mut world, hub, leaf);
            let old = backup(&mut world, hub);
            world.leave(hub);
            happens(&mut world, all, old);
            world.run(4 * MINUTE);
            assert!(world.all_arrived(leaf, "hub"), "seed {seed}, {course}");
            // one grey line each
            assert_eq!(
                world.notices(hub, "leaf"),
                [RESTORED],
                "seed {seed}, {course}"
            );
            let lines = world.notices(leaf, "hub");
            assert_eq!(lines.len(), 1, "seed {seed}, {course}: {lines:?}");
        }
    }
}

#[test]
fn who_cannot_be_reached_connects_when_a_contact_confirms_so_that_it_can_answer() {
    for seed in seeds(3) {
        for restored in [false, true] {
            let (mut world, [_, hub, leaf]) = hub_and_leaf(seed, Direct::Accepted);
            let old = backup(&mut world, hub);
            world.leave(hub);
            world.run(2 * HOUR);
            world.send(leaf, "hub", "are you there?");
            world.run(HOUR);
            world.set_reachable(hub, true);
            match restored {
                true => drop(restore(&mut world, hub, old)),
                false => world.restart(hub),
            }
            world.send(hub, "leaf", "I am back");
            world.run(3 * HOUR);
            assert_eq!(world.received(leaf, "hub"), ["I am back"], "seed {seed}");
            let read = world.received(hub, "leaf");
            assert_eq!(read, ["before", "are you there?"], "seed {seed}");
            assert!(world.all_arrived(leaf, "hub"), "seed {seed}");
        }
    }
}

#[test]
fn what_a_restored_home_has_already_and_gets_again_makes_no_gap_in_what_follows() {
    for seed in seeds(5) {
        let (mut world, [_, hub, leaf]) = relay_hub_and_leaf(seed, Direct::Never);
        world.add(leaf, hub);
        world.send(leaf, "hub", "hello");
        world.run(MINUTE);
        world.command(hub, add("leaf", None));
        world.send(leaf, "hub", "talk");
        while world.statuses(leaf, "hub")[1] != Status::OnDevice {
            world.run(10);
        }
        let told = world.statuses(leaf, "hub")[0];
        assert_eq!(told, Status::AtRelay, "seed {seed}: it is to come again");
        let old = backup(&mut world, hub);
        restore(&mut world, hub, old);
        world.send(leaf, "hub", "one");
        world.run(66_000);
        world.send(leaf, "hub", "two");
        world.run(MINUTE);
        let read = world.received(hub, "leaf");
        assert_eq!(read, ["hello", "talk", "one", "two"], "seed {seed}");
        assert_eq!(world.notices(hub, "leaf"), [RESTORED], "seed {seed}");
    }
}

#[test]
fn what_comes_late_to_a_restored_home_makes_no_gap_of_what_the_lost_one_had() {
    for seed in seeds(5) {
        for (knows, answered) in [(true, false), (false, false), (true, true), (false, true)] {
            let (mut world, [relay, hub, leaf]) = match answered {
                true => hub_and_leaf(seed, Direct::Accepted),
                false => hub_and_leaf(seed, Direct::Never),
            };
            if answered {
                answer(&mut world, hub, leaf);
            }
            let early = backup(&mut world, hub);
            world.relay(relay).malice = Malice::KeepsOneBack;
            for text in ["kept back", "talk"] {
                world.send(leaf, "hub", text);
                world.run(10_000);
            }
            let late = backup(&mut world, hub);
            world.send(leaf, "hub", "lost");
            world.run(10_000);
            let told = world.statuses(leaf, "hub");
            let expected = [Status::AtRelay, Status::OnDevice, Status::OnDevice];
            assert_eq!(told[1..], expected, "seed {seed}");
            world.relay(relay).malice = Malice::None;
            restore(&mut world, hub, if knows { late } else { early });
            world.send(leaf, "hub", "one");
            world.run(66_000);
            world.send(leaf, "hub", "two");
            world.run(MINUTE);
            let read = world.received(hub, "leaf");
            let talk = if knows { &["talk"][..] } else { &[] };
            let expected = [&["before", "kept back"], talk, &["one", "two"]].concat();
            assert_eq!(read, expected, "seed {seed}, knows {knows}");
            assert_eq!(
                world.notices(hub, "leaf"),
                [RESTORED],
                "seed {seed}, knows {knows}"
            );
        }
    }
}

#[test]
fn a_relay_that_repeats_a_confirmation_makes_nobody_connect_to_whom_it_is_from() {
    for seed in seeds(5) {
        let (mut world, [relay, _, leaf]) = hub_and_leaf(seed, Direct::Never);
        assert!(world.all_arrived(leaf, "hub"), "seed {seed}");
        let other = world.join_at("other", &[relay]);
        world.run(MINUTE);
        world.introduce(leaf, other);
        world.command(leaf, direct("other", Choice::Off));
        world.leave(other);
        world.configure(leaf, |config| config.direct = Direct::Accepted);
        world.run(HOUR);
        let calls = world.calls(leaf);
        world.relay(relay).confirm_again();
        world.send(leaf, "other", "hello");
        world.run(MINUTE);
        let told = world.statuses(leaf, "other");
        assert_eq!(told, [Status::AtRelay], "seed {seed}");
        assert_eq!(world.calls(leaf), calls, "seed {seed}");
    }
}

#[test]
fn a_contact_that_shows_ever_new_states_is_followed_five_times_a_day() {
    for seed in seeds(2) {
        let (mut world, [_, hub, leaf]) = hub_and_leaf(seed, Direct::Accepted);
        answer(&mut world, hub, leaf);
        for n in 0..20 {
            let copy = backup(&mut world, hub);
            restore(&mut world, hub, copy);
            world.run(6 * MINUTE);
            world.send(leaf, "hub", &format!("{n}"));
            world.run(6 * MINUTE);
        }
        let renewed = world.notices(leaf, "hub");
        assert_eq!(renewed.len(), 5, "seed {seed}: {renewed:?}");
        let refused = world.status(leaf).refused;
        assert!(
            refused["restored-too-often"] > 0,
            "seed {seed}: {refused:?}"
        );
        // nothing is lost
        world.run(DAY);
        world.send(leaf, "hub", "at last");
        world.run(2 * HOUR);
        let read = world.received(hub, "leaf");
        let each = ["before".to_owned()]
            .into_iter()
            .chain((0..20).map(|n| n.to_string()));
        let expected: Vec<_> = each.chain(["at last".to_owned()]).collect();
        assert_eq!(read, expected, "seed {seed}");
    }
}

#[test]
fn a_restoration_is_one_grey_line_also_where_the_word_of_it_comes_after_all() {
    for (seed, later) in seeds(3).flat_map(|seed| [(seed, 2), (seed, 30)]) {
        let (mut world, [_, hub, leaf]) = hub_and_leaf(seed, Direct::Accepted);
        world.send(hub, "leaf", "an answer");
        world.run(MINUTE);
        world.command(leaf, direct("hub", Choice::Off));
        let old = backup(&mut world, hub);
        world.send(leaf, "hub", "lost");
        world.run(MINUTE);
        restore(&mut world, hub, old);
        world.run(5_000);
        world.send(leaf, "hub", "hello again");
        world.run(later * MINUTE);
        world.command(leaf, direct("hub", Choice::On));
        world.send(leaf, "hub", "directly");
        world.run(20 * MINUTE);
        let read = world.received(hub, "leaf");
        assert_eq!(
            read,
            ["before", "hello again", "directly", "lost"],
            "seed {seed}"
        );
        assert!(world.all_arrived(leaf, "hub"), "seed {seed}");
        assert_eq!(world.notices(hub, "leaf"), [RESTORED], "seed {seed}");
        let lines = world.notices(leaf, "hub");
        assert_eq!(lines.len(), 1, "seed {seed}: {lines:?}");
    }
}

#[test]
fn a_contact_that_shows_ever_new_states_and_reads_nothing_makes_nobody_seal_without_end() {
    for seed in seeds(2) {
        let (mut world, [relay, hub, leaf]) = hub_and_leaf(seed, Direct::Accepted);
        answer(&mut world, hub, leaf);
        let old = backup(&mut world, hub);
        world.leave(hub);
        world.send(leaf, "hub", "are you there?");
        world.run(30_000);
        let stored = world.relay(relay).stored;
        // each is gone before it can read what is sealed for it
        for _ in 0..180 {
            world.set_reachable(hub, true);
            restore(&mut world, hub, old.copy().unwrap());
            world.run(3_000);
            world.leave(hub);
            world.run(57_000);
        }
        let again = world.relay(relay).stored - stored;
        assert!(again < 50, "seed {seed}: stored {again} times");
        assert_eq!(world.notices(leaf, "hub").len(), 5, "seed {seed}");
        come_back(&mut world, hub, old);
        world.run(2 * DAY);
        assert!(world.all_arrived(leaf, "hub"), "seed {seed}");
    }
}
