//! Networks that are cut without a word, or that are slow: a connection that carries nothing any more
//! is replaced, one that is only slow is not (7.2, 7.3).

use sremp_client::view::Status;
use sremp_sim::World;

use crate::{SECOND, seeds};

/// How long a cut takes: from long enough to be noticed to as long as pauses do not grow.
fn cut(seed: u64) -> u64 {
    (9 + seed * 7 % 100) * SECOND
}

/// Ann and Ben, who have written to each other: directly, or by a relay.
fn who_know_each_other(seed: u64, direct: bool) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let (ann, ben) = match direct {
        true => (world.join("ann"), world.join("ben")),
        false => {
            let relay = world.open_relay("relay");
            (
                world.join_far("ann", &[relay]),
                world.join_far("ben", &[relay]),
            )
        }
    };
    world.run(60 * SECOND);
    world.introduce(ann, ben);
    world.send(ann, "ben", "hello");
    world.send(ben, "ann", "hello");
    world.run(90 * SECOND);
    assert_eq!(world.statuses(ann, "ben"), [Status::OnDevice]);
    (world, ann, ben)
}

#[test]
fn what_is_written_in_a_cut_is_on_the_device_with_the_first_dial_after_it() {
    for seed in seeds(40) {
        for direct in [true, false] {
            for written_first in [true, false] {
                let (mut world, ann, ben) = who_know_each_other(seed, direct);
                // directly either may be cut off; who waits for a relay only learns of a cut when told
                let off = if direct && seed % 2 == 0 { ben } else { ann };
                if written_first {
                    world.send(ann, "ben", "are you there?");
                }
                world.set_silent(off, true);
                world.run(SECOND / 2);
                world.send(ann, "ben", "and now?");
                world.run(cut(seed));
                world.set_silent(off, false);
                // a dial that was under way (4 s here), a pause, and the messages of a new connection
                world.run(if direct { 6_500 } else { 8_000 });
                let got = world.received(ben, "ann");
                let what = format!("seed {seed}, direct {direct}, first {written_first}: {got:?}");
                assert_eq!(got.last().unwrap(), "and now?", "{what}");
                assert_eq!(got.len(), if written_first { 3 } else { 2 }, "{what}");
            }
        }
    }
}

#[test]
fn whoever_is_told_that_the_network_is_back_reads_their_mailbox_three_seconds_later() {
    for seed in seeds(40) {
        let (mut world, ann, ben) = who_know_each_other(seed, false);
        world.set_silent(ben, true);
        world.send(ann, "ben", "are you there?");
        world.run(cut(seed));
        assert_eq!(world.received(ben, "ann"), ["hello"], "seed {seed}");
        world.set_silent(ben, false);
        world.change_network(ben);
        world.run(3 * SECOND);
        let got = world.received(ben, "ann");
        assert_eq!(got, ["hello", "are you there?"], "seed {seed}");
    }
}

#[test]
fn a_slow_network_is_given_longer_and_longer_until_it_has_carried_something() {
    for seed in seeds(10) {
        for direct in [true, false] {
            let (mut world, ann, ben) = who_know_each_other(seed, direct);
            world.slowness = (5 + seed % 6) * SECOND;
            world.send(ann, "ben", "slowly");
            world.run(15 * 60 * SECOND);
            let got = world.received(ben, "ann");
            assert_eq!(got, ["hello", "slowly"], "seed {seed}, direct {direct}");
            let seen = world.statuses(ann, "ben");
            assert_eq!(
                seen,
                [Status::OnDevice, Status::OnDevice],
                "seed {seed}, direct {direct}"
            );
        }
    }
}

#[test]
fn nobody_is_asked_after_who_answers_and_nothing_is_asked_of_who_owes_nothing() {
    for seed in seeds(10) {
        let (mut world, ann, ben) = who_know_each_other(seed, true);
        world.send(ann, "ben", "quick");
        world.run(60 * SECOND);
        let (dials, messages) = (world.dials(), world.messages());
        world.set_silent(ben, true);
        world.run(120 * SECOND);
        world.set_silent(ben, false);
        world.run(10 * SECOND);
        assert_eq!(
            (world.dials(), world.messages()),
            (dials, messages),
            "seed {seed}"
        );
    }
}

#[test]
fn however_often_somebody_walks_the_next_network_is_noticed_as_soon() {
    for seed in seeds(20) {
        for direct in [true, false] {
            let (mut world, ann, ben) = who_know_each_other(seed, direct);
            for n in 0..7 {
                world.walk(ben);
                world.run(2_500);
                // she asks whether the old connection stands, if there is one, and finds the new one
                let text = n.to_string();
                world.send(ann, "ben", &text);
                world.run(if direct { 8_000 } else { 500 });
                let got = world.received(ben, "ann");
                assert_eq!(got.last(), Some(&text), "seed {seed}, direct: {direct}");
                // and what follows confirms nothing to him
                world.walk(ben);
                world.run(2_500 + seed * 100);
            }
        }
    }
}

#[test]
fn whoever_walks_to_another_network_connects_again_with_whom_they_were_connected() {
    for seed in seeds(40) {
        let (mut world, ann, ben) = who_know_each_other(seed, true);
        let dials = world.dials();
        world.walk(ben);
        world.run(2_500);
        assert_eq!(world.dials(), dials + 1, "seed {seed}");
        // she still has the old connection, and asks whether it stands
        world.send(ann, "ben", "where are you?");
        world.run(6_000);
        let got = world.received(ben, "ann");
        assert_eq!(got, ["hello", "where are you?"], "seed {seed}");
        assert_eq!(world.dials(), dials + 1, "seed {seed}");
    }
}
