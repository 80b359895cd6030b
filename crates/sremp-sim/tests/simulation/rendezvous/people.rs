//! People in the world who use rendezvous servers.

use sremp_client::{
    config::{Config, RendezvousPlace},
    view::{BrowseView, Command, CommandError, FoundView, RegisterAs, RegisterView, Reply},
};
use sremp_sim::{World, commands::add};

pub(crate) fn at(world: &mut World, servers: &[usize]) -> Option<Vec<RendezvousPlace>> {
    let links = servers.iter().map(|s| world.rendezvous(*s).link());
    Some(
        links
            .map(|link| RendezvousPlace::Link(Box::new(link)))
            .collect(),
    )
}

/// A person who uses these servers.
pub(crate) fn join(world: &mut World, name: &str, servers: &[usize]) -> usize {
    join_with(world, name, servers, |_| ())
}

pub(crate) fn join_with(
    world: &mut World,
    name: &str,
    servers: &[usize],
    set: impl FnOnce(&mut Config),
) -> usize {
    let places = at(world, servers);
    world.join_with(name, |config| {
        config.rendezvous = places;
        set(config);
    })
}

/// Somebody adds another by the id, and so accepts a request.
pub(crate) fn add_id(world: &mut World, node: usize, other: usize, alias: Option<&str>) {
    let who = world.id(other).to_string();
    world.command(node, add(&who, alias));
}

/// Ann and Ben, who use one server.
pub(crate) fn pair(seed: u64) -> (World, usize, usize, usize) {
    let mut world = World::new(seed);
    let server = world.open_rendezvous("rdv");
    let [ann, ben] = ["ann", "ben"].map(|name| join(&mut world, name, &[server]));
    (world, server, ann, ben)
}

/// Somebody begins anew at another place.
pub(crate) fn moves(world: &mut World, node: usize) {
    moves_to(world, node, "elsewhere");
}

pub(crate) fn moves_to(world: &mut World, node: usize, place: &str) {
    world.node(node).name = place.to_owned();
    world.advertise(node, &format!("{place}:4000"));
}

pub(crate) fn find(world: &mut World, node: usize, who: usize) -> Result<FoundView, CommandError> {
    let who = world.id(who).to_string();
    match world.command_within(node, Command::Find { who }, 15_000) {
        Some(Ok(Reply::Found(view))) => Ok(*view),
        Some(Err(error)) => Err(error),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn browse(world: &mut World, node: usize) -> Result<BrowseView, CommandError> {
    let command = Command::Browse {
        name: None,
        limit: 1_000,
    };
    match world.command_within(node, command, 25_000) {
        Some(Ok(Reply::Browse(view))) => Ok(view),
        Some(Err(error)) => Err(error),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn register(world: &mut World, node: usize, visibility: RegisterAs) -> RegisterView {
    let command = Command::Register {
        visibility: Some(visibility),
    };
    match world.command_within(node, command, 20_000) {
        Some(Ok(Reply::Register(view))) => view,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn is_known(world: &mut World, server: usize, node: usize) -> bool {
    let (key, now) = (world.id(node), world.now().wall);
    world.rendezvous(server).tells_of(&key, now)
}

pub(crate) fn places(world: &mut World, server: usize, node: usize) -> Vec<String> {
    let (key, now) = (world.id(node), world.now().wall);
    world.rendezvous(server).places_of(&key, now)
}

/// Somebody who listens everywhere and does not know under which address.
pub(crate) fn anywhere(world: &mut World, server: usize, behind_router: bool) -> usize {
    world.rendezvous(server).dials_back = false;
    let node = join_with(world, "node", &[server], |config| config.advertise = None);
    if behind_router {
        world.put_behind_router(node);
    }
    world.listen(node, "0.0.0.0:4000");
    node
}
