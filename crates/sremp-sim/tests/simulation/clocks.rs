//! Calendars that are wrong for a while: nothing ends that has not had its time.

use sremp_client::{
    store::{PrekeyKind, StoreError, Tx},
    view::Status,
};
use sremp_sim::World;

use crate::{HOUR, people::ann_and_ben_in_session, seeds};

const YEAR: i64 = 365 * 24 * HOUR as i64;

fn prekeys(world: &mut World, node: usize) -> u64 {
    let count = |tx: &mut Tx<'_>| {
        Ok::<_, StoreError>(tx.prekeys(PrekeyKind::Signed)? + tx.prekeys(PrekeyKind::Envelope)?)
    };
    world.node(node).store.transaction(count).unwrap()
}

#[test]
fn a_clock_that_was_a_year_ahead_for_a_run_of_the_client_ends_nothing() {
    for (seed, writer) in [(1, 0), (2, 1)] {
        let mut world = ann_and_ben_in_session(seed);
        let (to, from) = [("ben", "ann"), ("ann", "ben")][writer];
        world.set_reachable(1 - writer, false);
        world.send(writer, to, "waits");
        world.run(2 * HOUR);
        world.turn_calendar_of(0, YEAR);
        world.restart(0);
        world.run(3 * HOUR);
        world.turn_calendar_of(0, -YEAR);
        world.restart(0);
        world.run(3 * HOUR);
        world.set_reachable(1 - writer, true);
        world.run(HOUR);
        let first = ["first", "first answer"][writer];
        assert_eq!(
            world.received(1 - writer, from),
            [first, "waits"],
            "{writer}"
        );
        assert!(world.all_arrived(writer, to));
        let keys = prekeys(&mut world, 0);
        for _ in 0..5 {
            world.restart(0);
            world.run(2 * HOUR);
        }
        assert_eq!(
            prekeys(&mut world, 0),
            keys,
            "the time's own keys are in use"
        );
        world.send(1 - writer, from, "well?");
        world.run(HOUR);
        assert_eq!(world.received(writer, to).last().unwrap(), "well?");
    }
}

#[test]
fn what_is_written_while_the_clock_is_wrong_arrives_at_the_latest_when_it_is_right() {
    for seed in seeds(1) {
        for by in [YEAR, -YEAR] {
            let mut world = ann_and_ben_in_session(seed);
            world.turn_calendar_of(0, by);
            world.restart(0);
            world.run(HOUR);
            world.send(0, "ben", "from another year");
            world.send(1, "ann", "from this one");
            world.run(3 * HOUR);
            world.turn_calendar_of(0, -by);
            world.restart(0);
            world.run(3 * HOUR);
            assert_eq!(world.received(1, "ann"), ["first", "from another year"]);
            assert_eq!(world.received(0, "ben"), ["first answer", "from this one"]);
        }
    }
}

#[test]
fn what_has_had_its_time_ends_after_a_day_although_the_client_was_away_for_long() {
    for seed in seeds(1) {
        let mut world = ann_and_ben_in_session(seed);
        world.set_reachable(1, false);
        world.send(0, "ben", "never read");
        // switched off for three months
        world.turn_calendars(90 * 24 * HOUR as i64);
        world.restart(0);
        world.run(20 * HOUR);
        assert_eq!(world.statuses(0, "ben")[1], Status::Queued);
        let keys = prekeys(&mut world, 0);
        world.run(12 * HOUR);
        assert!(prekeys(&mut world, 0) < keys, "keys of before are gone");
        world.run(30 * 24 * HOUR);
        assert_eq!(world.statuses(0, "ben")[1], Status::Failed);
    }
}

#[test]
fn what_was_written_in_a_year_to_come_gets_no_year_more() {
    for seed in seeds(1) {
        let mut world = ann_and_ben_in_session(seed);
        world.set_reachable(1, false);
        world.turn_calendar_of(0, YEAR);
        world.restart(0);
        // long enough to be believed
        world.run(30 * HOUR);
        world.send(0, "ben", "from another year");
        world.turn_calendar_of(0, -YEAR);
        world.restart(0);
        world.run(29 * 24 * HOUR);
        assert_eq!(world.statuses(0, "ben")[1], Status::Queued);
        world.run(2 * 24 * HOUR);
        assert_eq!(world.statuses(0, "ben")[1], Status::Failed);
    }
}
