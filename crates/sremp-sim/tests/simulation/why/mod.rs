//! `why`: the true reason for which a message waits, and the way of each.

mod ids;
mod next_try;
mod proofs;
mod situations;
mod timeline;

use sremp_client::{
    clock::Rfc3339,
    store::{ContactRow, StoreError, Tx},
    view::{WhyStep, WhyView},
};
use sremp_core::id::MsgId;
use sremp_sim::World;

use crate::MINUTE;

/// Ann and Ben, who reach each other by one relay and have written to each other.
fn by_a_relay(seed: u64) -> (World, [usize; 3]) {
    let (mut world, all) = at_a_relay(seed);
    world.send(all[0], "ben", "hello");
    world.run(MINUTE);
    world.send(all[1], "ann", "hello");
    world.run(MINUTE);
    (world, all)
}

/// The same before a word was said.
fn at_a_relay(seed: u64) -> (World, [usize; 3]) {
    let mut world = World::new(seed);
    let relay = world.open_relay("relay");
    let [ann, ben] = ["ann", "ben"].map(|name| world.join_far(name, &[relay]));
    world.run(MINUTE);
    world.add(ann, ben);
    world.add(ben, ann);
    world.run(MINUTE);
    (world, [ann, ben, relay])
}

/// What is said of Ann's last message to Ben.
fn why(world: &mut World, ann: usize) -> WhyView {
    world.why_last(ann, "ben")
}

/// Each step of a way, by its name in JSON, and when it was.
fn told(view: &WhyView) -> Vec<(&'static str, Rfc3339)> {
    let step = |step: &WhyStep| match step {
        WhyStep::Written { at } => ("written", *at),
        WhyStep::Tried { at, .. } => ("tried", *at),
        WhyStep::AtRelay { at, .. } => ("at-relay", *at),
        WhyStep::OnDevice { at, .. } => ("on-device", *at),
        WhyStep::GivenUp { at } => ("given-up", *at),
        other => panic!("{other:?}"),
    };
    let told: Vec<_> = view.timeline.iter().map(step).collect();
    let mut sorted = told.clone();
    sorted.sort_by_key(|(_, at)| at.0);
    assert_eq!(told, sorted, "in the order of time");
    told
}

fn names(view: &WhyView) -> Vec<&'static str> {
    told(view).into_iter().map(|(name, _)| name).collect()
}

/// Ann and Ben, who reach each other directly and by a relay, and have written to each other.
fn by_both_ways(seed: u64) -> (World, [usize; 3]) {
    let mut world = World::new(seed);
    let relay = world.open_relay("relay");
    let [ann, ben] = ["ann", "ben"].map(|name| world.join_at(name, &[relay]));
    world.run(MINUTE);
    world.add(ann, ben);
    world.add(ben, ann);
    world.send(ann, "ben", "hello");
    world.run(MINUTE);
    (world, [ann, ben, relay])
}

/// Ann's last message to Ben, as her store knows it.
fn kept<T>(
    world: &mut World,
    ann: usize,
    of: impl FnOnce(&mut Tx<'_>, ContactRow, MsgId) -> Result<T, StoreError>,
) -> T {
    let msg_id = why(world, ann).msg_id.parse().unwrap();
    let kept = world.node(ann).store.transaction(|tx| {
        let ben = tx.contacts()?.remove(0).row;
        of(tx, ben, msg_id)
    });
    kept.unwrap()
}
