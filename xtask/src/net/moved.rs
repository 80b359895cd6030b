//! Somebody walks to another network: what waits comes after them.

use std::{path::Path, time::Instant};

use super::{
    judge,
    people::{Person, Server, Ways},
    world::World,
};
use crate::process::Outcome;

/// Seconds from the new address to a message that a contact writes then: 7 s to notice that the old
/// connection is silent, and a dial to a place that is not there any more.
const LIMIT: f64 = 15.0;
/// Of the places that somebody claims no more different ones are dialled within a minute (7.1).
const WALKS: usize = 3;

pub(super) fn measure(sremp: &Path) -> Outcome {
    for relayed in [true, false] {
        let world = World::new(4)?;
        let relay = Server::relay(sremp, &world, 0)?;
        let server = Server::rendezvous(sremp, &world, 1)?;
        let (relay_link, server_link) = (relay.link.clone(), server.link.clone());
        let (relays, servers) = ([relay_link.as_str()], [server_link.as_str()]);
        let ways = Ways {
            listens: !relayed,
            relays: if relayed { &relays } else { &[] },
            rendezvous: &servers,
        };
        let writer = Person::new(sremp, &world, 2, ways)?;
        let mut reader = Person::new(sremp, &world, 3, ways)?;
        for person in [&writer, &reader] {
            person.until("\"registered_until\":\"")?;
            if relayed {
                person.until("\"prekeys\":50")?;
            }
        }
        writer.meet(&reader)?;
        for round in 0..WALKS {
            let text = format!("are you there yet? {round}");
            world.readdress(3, &format!("45.77.0.{}", 100 + round))?;
            let since = Instant::now();
            writer.send(&reader, &text)?;
            let took = reader.reads(&text)?.duration_since(since);
            let way = if relayed {
                "by the relay"
            } else {
                "found again, directly"
            };
            let what = format!("the reader has another address: {way}");
            judge(&what, took.as_secs_f64(), "s", LIMIT)?;
        }
    }
    Ok(())
}
