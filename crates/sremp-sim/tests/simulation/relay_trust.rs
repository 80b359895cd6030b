//! What others say about relays is believed no further than it must be.

use sremp_client::view::Status;
use sremp_core::identity::Trust;
use sremp_sim::{World, commands};

use crate::{HOUR, MINUTE, seeds};

/// Ann, set so, and Ben, whom she trusts so far and who has told her in their session that he is now
/// at another relay, which has an address inside some private network.
fn ben_moves_inside(seed: u64, ann_allows: bool, trust: Trust) -> (World, [usize; 3]) {
    let mut world = World::new(seed);
    let (first, inside) = (world.open_relay("first"), world.open_relay("inside"));
    let link = world.relay(first).link();
    let ann = world.join_with("ann", |config| {
        config.relays = vec![link];
        config.advertise = None;
        config.allow_private_addresses = ann_allows;
    });
    let ben = world.join_far("ben", &[first]);
    world.run(MINUTE);
    world.introduce(ann, ben);
    world.command(ann, commands::trust("ben", trust));
    world.send(ann, "ben", "hello");
    world.send(ben, "ann", "hello");
    world.run(MINUTE);
    world.set_private(inside);
    world.move_to(ben, &[inside]);
    world.run(MINUTE);
    world.send(ann, "ben", "have you moved?");
    world.run(HOUR);
    (world, [ann, ben, inside])
}

#[test]
fn case_25_a_private_address_that_a_contact_names_for_a_relay_is_not_dialled() {
    let (mut world, [ann, ben, inside]) = ben_moves_inside(1, false, Trust::Unknown);
    assert_eq!(
        world.statuses(ann, "ben"),
        [Status::OnDevice, Status::Queued]
    );
    assert_eq!(world.relay(inside).stored, 0);
    let why = world.why_last(ann, "ben");
    let reason = why.waits_for.unwrap();
    assert!(reason.contains("private network"), "{reason}");

    // the card says the same, and it is Ann who adds it
    world.add(ann, ben);
    world.run(HOUR);
    assert_eq!(world.received(ben, "ann"), ["hello", "have you moved?"]);
    assert_eq!(world.statuses(ann, "ben"), [Status::OnDevice; 2]);
}

#[test]
fn a_trusted_contact_may_have_its_relay_anywhere() {
    let (mut world, [ann, ben, _]) = ben_moves_inside(4, false, Trust::Trusted);
    assert_eq!(world.received(ben, "ann"), ["hello", "have you moved?"]);
    assert!(!world.status(ann).allow_private_addresses);
}

#[test]
fn a_setting_lifts_the_rule_on_private_addresses_and_status_shows_it() {
    let (mut world, [ann, ben, inside]) = ben_moves_inside(2, true, Trust::Unknown);
    assert_eq!(world.received(ben, "ann"), ["hello", "have you moved?"]);
    assert!(world.relay(inside).stored > 0);
    assert!(world.status(ann).allow_private_addresses);
    assert!(!world.status(ben).allow_private_addresses);
}

#[test]
fn an_identity_that_lives_twice_is_told_after_the_fourth_time_within_an_hour() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let ann = world.join_far("ann", &[relay]);
        for times in 1..=4 {
            world.run(5 * MINUTE);
            assert_eq!(world.status(ann).warnings, [""; 0], "before {times}");
            world.take_over(relay, ann);
        }
        world.run(5 * MINUTE);
        let warnings = world.status(ann).warnings;
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].contains("4 times within an hour"),
            "{warnings:?}"
        );
        world.run(HOUR);
        assert_eq!(world.status(ann).warnings, [""; 0]);
    }
}
