//! Contacts who confirm nothing for a week: their bundles are fetched again (D3.17).

use sremp_client::view::Status;
use sremp_sim::{Malice, World, commands::add};

use crate::{DAY, HOUR, MINUTE, seeds};

/// Ann and Ben with a mailbox at one relay, 29 days after Ben came: his envelope key changes a day
/// later, and Ann, whom he has never answered, is not told.
fn a_day_before_ben_changes_his_key(seed: u64) -> (World, [usize; 3]) {
    let mut world = World::new(seed);
    let relay = world.open_relay("relay");
    let ben = world.join_far("ben", &[relay]);
    world.run(29 * DAY);
    let ann = world.join_far("ann", &[relay]);
    world.run(MINUTE);
    world.add(ann, ben);
    (world, [relay, ann, ben])
}

fn requests(world: &mut World, node: usize) -> Vec<(String, String)> {
    let contacts = world.requests(node);
    let shown = contacts.into_iter();
    shown
        .map(|c| (c.id, c.request_text.unwrap_or_default()))
        .collect()
}

#[test]
fn a_first_message_without_an_answer_is_sealed_to_the_newest_key_after_a_week_and_shown_once() {
    for seed in seeds(1) {
        for restarts in [false, true] {
            let (mut world, [relay, ann, ben]) = a_day_before_ben_changes_his_key(seed);
            world.send(ann, "ben", "may I write?");
            world.run(7 * DAY - 3 * HOUR);
            assert_eq!(requests(&mut world, ben)[0].1, "may I write?");
            let before = (
                world.relay(relay).stored,
                world.relay(relay).asked_for_bundles,
            );
            assert_eq!(before, (1, 1), "restarts: {restarts}");
            if restarts {
                world.restart(ann);
            }
            world.run(6 * HOUR);
            let after = (
                world.relay(relay).stored,
                world.relay(relay).asked_for_bundles,
            );
            assert_eq!(after, (2, 2), "sealed anew, restarts: {restarts}");
            let asking = requests(&mut world, ben);
            assert_eq!(asking.len(), 1, "restarts: {restarts}");
            world.command(ben, add(&asking[0].0, Some("ann")));
            world.run(HOUR);
            assert_eq!(world.received(ben, "ann"), ["may I write?"]);
            assert_eq!(world.statuses(ann, "ben"), [Status::OnDevice]);
        }
    }
}

#[test]
fn what_a_relay_threw_away_is_stored_again_under_the_new_key() {
    for seed in seeds(1) {
        let (mut world, [relay, ann, ben]) = a_day_before_ben_changes_his_key(seed);
        world.relay(relay).malice = Malice::Drops;
        world.add(ben, ann);
        world.send(ann, "ben", "hello");
        world.run(2 * DAY);
        world.relay(relay).malice = Malice::None;
        world.run(4 * DAY);
        assert!(world.received(ben, "ann").is_empty());
        world.run(2 * DAY);
        assert_eq!(world.received(ben, "ann"), ["hello"]);
        assert_eq!(world.statuses(ann, "ben"), [Status::OnDevice]);
    }
}

#[test]
fn a_relay_without_a_new_bundle_is_asked_a_few_times() {
    for seed in seeds(1) {
        for (malice, times) in [
            // the same bundle: once a week
            (Malice::None, 1..=1),
            // nothing: once a day
            (Malice::WithholdsBundles, 5..=7),
        ] {
            let mut world = World::new(seed);
            let relay = world.open_relay("relay");
            let ann = world.join_far("ann", &[relay]);
            let ben = world.join_far("ben", &[relay]);
            world.run(MINUTE);
            world.add(ann, ben);
            world.send(ann, "ben", "hello");
            world.run(MINUTE);
            world.set_reachable(ben, false);
            world.relay(relay).malice = malice;
            world.send(ann, "ben", "still there?");
            let before = world.relay(relay).asked_for_bundles;
            // a day later Ben's bundle is over, too
            for _ in 0..13 * 2 {
                world.run(DAY / 2);
                world.restart(ann);
            }
            let asked = world.relay(relay).asked_for_bundles - before;
            assert!(times.contains(&asked), "{malice:?}: asked {asked} times");
        }
    }
}

#[test]
fn a_relay_that_has_no_new_bundle_takes_envelopes_all_the_same() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let ann = world.join_far("ann", &[relay]);
        let ben = world.join_far("ben", &[relay]);
        world.run(MINUTE);
        world.introduce(ann, ben);
        for (from, to) in [(ann, "ben"), (ben, "ann")] {
            world.send(from, to, "hello");
            world.run(MINUTE);
        }
        world.set_reachable(ben, false);
        world.relay(relay).malice = Malice::WithholdsBundles;
        world.send(ann, "ben", "still there?");
        world.run(12 * DAY);
        let asked = world.relay(relay).asked_for_bundles;
        // were it left alone for that, it would be for more than a minute by now
        let asked_again = (0..2 * 24 * 360).any(|_| {
            world.run(MINUTE / 6);
            world.relay(relay).asked_for_bundles > asked
        });
        assert!(asked_again, "once a day");
        let stored = world.relay(relay).stored;
        world.send(ann, "ben", "are you well?");
        world.run(20_000);
        assert_eq!(world.relay(relay).stored, stored + 1, "at once");
    }
}

#[test]
fn an_old_bundle_does_not_bring_an_old_key_back() {
    for seed in seeds(1) {
        let (mut world, [relay, ann, ben]) = a_day_before_ben_changes_his_key(seed);
        world.add(ben, ann);
        for (from, to) in [(ann, "ben"), (ben, "ann")] {
            world.send(from, to, "hello");
            world.run(HOUR);
        }
        // Ann hears of the new key in their session, the relay has a bundle with the old one
        world.relay(relay).malice = Malice::KeepsToOneBundle;
        world.run(2 * DAY);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "where are you?");
        world.run(HOUR);
        let before = (
            world.relay(relay).stored,
            world.relay(relay).asked_for_bundles,
        );
        world.run(7 * DAY);
        let after = (
            world.relay(relay).stored,
            world.relay(relay).asked_for_bundles,
        );
        assert_eq!(after, (before.0, before.1 + 1), "asked, not sealed anew");
        world.set_reachable(ben, true);
        world.run(HOUR);
        assert_eq!(world.received(ben, "ann"), ["hello", "where are you?"]);
    }
}
