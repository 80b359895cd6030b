//! Servers that die for good: what is written reaches its reader by another way.

use std::{path::Path, time::Instant};

use super::{
    judge,
    people::{Person, Server, Ways},
    world::{Cut, World},
};
use crate::process::Outcome;

/// Seconds until a message is on the device although the relay that it would go to is dead.
const LIMIT: f64 = 60.0;

pub(super) fn measure(sremp: &Path) -> Outcome {
    for silent in [false, true] {
        next_relay(sremp, silent)?;
        direct(sremp, silent)?;
    }
    rendezvous(sremp)
}

fn died(silent: bool) -> &'static str {
    match silent {
        true => "has gone silent",
        false => "was killed",
    }
}

/// Kills a server, or lets its network vanish.
fn kill(world: &World, server: &mut Server<'_>, number: usize, silent: bool) -> Outcome {
    match silent {
        true => world.cut(number, Cut::Silence),
        false => server.running.kill(),
    }
}

/// The reader's second relay takes over.
fn next_relay(sremp: &Path, silent: bool) -> Outcome {
    let world = World::new(4)?;
    let mut first = Server::relay(sremp, &world, 0)?;
    let second = Server::relay(sremp, &world, 1)?;
    let relays = [first.link.clone(), second.link.clone()];
    let relays = relays.each_ref().map(String::as_str);
    let ways = Ways {
        relays: &relays,
        ..Ways::default()
    };
    let writer = Person::new(sremp, &world, 2, ways)?;
    let mut reader = Person::new(sremp, &world, 3, ways)?;
    for person in [&writer, &reader] {
        person.until("\"prekeys\":50")?;
    }
    writer.meet(&reader)?;
    kill(&world, &mut first, 0, silent)?;
    let since = Instant::now();
    writer.send(&reader, "by the second")?;
    let took = reader.reads("by the second")?.duration_since(since);
    let what = format!("the relay {}: by the next one", died(silent));
    judge(&what, took.as_secs_f64(), "s", LIMIT)
}

/// The only relay is dead, and the reader has just moved.
fn direct(sremp: &Path, silent: bool) -> Outcome {
    let world = World::new(4)?;
    let mut relay = Server::relay(sremp, &world, 0)?;
    let server = Server::rendezvous(sremp, &world, 1)?;
    let (relay_link, server_link) = (relay.link.clone(), server.link.clone());
    let (relays, servers) = ([relay_link.as_str()], [server_link.as_str()]);
    let both = |listens| Ways {
        listens,
        relays: &relays,
        rendezvous: &servers,
    };
    let writer = Person::new(sremp, &world, 2, both(false))?;
    let mut reader = Person::new(sremp, &world, 3, both(true))?;
    for person in [&writer, &reader] {
        person.until("\"prekeys\":50")?;
        person.until("\"registered_until\":\"")?;
    }
    writer.meet(&reader)?;
    // no connection is left, and nobody but the rendezvous server knows the new place
    kill(&world, &mut relay, 0, silent)?;
    world.readdress(3, "45.77.0.99")?;
    let since = Instant::now();
    writer.send(&reader, "without it")?;
    let took = reader.reads("without it")?.duration_since(since);
    let what = format!("the only relay {}: directly", died(silent));
    judge(&what, took.as_secs_f64(), "s", LIMIT)
}

/// Two people who are connected do not need the rendezvous server, nor a relay that stays.
fn rendezvous(sremp: &Path) -> Outcome {
    let world = World::new(4)?;
    let relay = Server::relay(sremp, &world, 0)?;
    let mut server = Server::rendezvous(sremp, &world, 1)?;
    let (relay_link, server_link) = (relay.link.clone(), server.link.clone());
    let (relays, servers) = ([relay_link.as_str()], [server_link.as_str()]);
    let ways = Ways {
        listens: false,
        relays: &relays,
        rendezvous: &servers,
    };
    let writer = Person::new(sremp, &world, 2, ways)?;
    let mut reader = Person::new(sremp, &world, 3, ways)?;
    for person in [&writer, &reader] {
        person.until("\"prekeys\":50")?;
        person.until("\"registered_until\":\"")?;
    }
    writer.meet(&reader)?;
    kill(&world, &mut server, 1, false)?;
    let since = Instant::now();
    writer.send(&reader, "who needs it")?;
    let took = reader.reads("who needs it")?.duration_since(since);
    judge(
        "the rendezvous server was killed: by the relay",
        took.as_secs_f64(),
        "s",
        2.0,
    )
}
