//! Who stands in the tests: people who know each other, and what they say.

use sremp_client::config::Config;
use sremp_net::LinkId;
use sremp_sim::{Alone, Scripted, World};

/// Ann, who is 0, and Ben, who is 1: each has the card of the other.
pub(crate) fn ann_and_ben(seed: u64) -> World {
    let mut world = World::new(seed);
    let (ann, ben) = (world.join("ann"), world.join("ben"));
    world.introduce(ann, ben);
    world
}

/// The same after a word of each.
pub(crate) fn ann_and_ben_in_session(seed: u64) -> World {
    let mut world = ann_and_ben(seed);
    world.send(0, "ben", "first");
    world.run(10_000);
    world.send(1, "ann", "first answer");
    world.run(10_000);
    world
}

/// Ann and Ben, who have a mailbox each at these relays, cannot be dialled, and know each other's cards.
pub(crate) fn apart(world: &mut World, relays: [&[usize]; 2]) -> (usize, usize) {
    let [ann, ben] =
        [("ann", relays[0]), ("ben", relays[1])].map(|(name, at)| world.join_far(name, at));
    world.run(60_000);
    world.introduce(ann, ben);
    world.run(60_000);
    (ann, ben)
}

/// The client of Ben, and his contact Ann, connected, of whom the test chooses every word.
pub(crate) fn ben_and_scripted_ann(seed: u64) -> (Alone, Scripted, LinkId) {
    let mut ben = Alone::seeded("ben", seed);
    let (ann, link) = Scripted::connected_to(&mut ben, "ann");
    (ben, ann, link)
}

/// Has a built-in relay.
pub(crate) const fn built_in(config: &mut Config) {
    config.built_in_relay = true;
}

/// So many texts in their order, each with this before its number.
pub(crate) fn texts(before: &str, n: u64) -> Vec<String> {
    (0..n).map(|n| format!("{before}{n}")).collect()
}
