//! People who do not meet: a relay keeps what one writes until the other comes.

use sremp_client::{
    config::Direct,
    view::{Command, Reply, Status},
};
use sremp_sim::World;

const HOUR: u64 = 3_600_000;

/// Ann and Ben, who have a mailbox each at one relay and know each other's cards.
fn ann_and_ben(seed: u64) -> (World, usize, usize, usize) {
    let mut world = World::new(seed);
    let relay = world.open_relay("relay");
    let ann = world.join_at("ann", &[relay]);
    let ben = world.join_at("ben", &[relay]);
    world.add(ann, ben);
    world.add(ben, ann);
    world.run(60_000);
    (world, relay, ann, ben)
}

#[test]
fn a_message_waits_at_the_relay_while_its_reader_is_away() {
    let (mut world, relay, ann, ben) = ann_and_ben(1);
    world.set_reachable(ben, false);
    world.send(ann, "ben", "are you there?");
    world.run(60_000);
    assert_eq!(world.statuses(ann, "ben"), [Status::AtRelay]);
    assert_eq!(world.relay(relay).stored, 1);
    assert!(world.received(ben, "ann").is_empty());
    world.set_reachable(ben, true);
    world.run(HOUR);
    assert_eq!(world.received(ben, "ann"), ["are you there?"]);
    assert_eq!(world.statuses(ann, "ben"), [Status::OnDevice]);
}
