//! Clients with nothing to do: what do they send, and what do they compute?

use std::{path::Path, thread, time::Duration};

use super::{
    judge,
    people::{Person, Server, Ways},
    world::World,
};
use crate::process::Outcome;

/// Packets that a client sends to a relay, or gets from it, in a minute.
const PACKETS: f64 = 2.0;
/// Share of a processor core, in percent.
const PERCENT: f64 = 0.1;
/// A client settles before it is watched.
const SETTLING: Duration = Duration::from_secs(120);

pub(super) fn measure(sremp: &Path, time: Duration) -> Outcome {
    let world = World::new(3)?;
    let relay = Server::relay(sremp, &world, 0)?;
    let relays = [relay.link.as_str()];
    let ways = Ways {
        relays: &relays,
        ..Ways::default()
    };
    let people = [
        Person::new(sremp, &world, 1, ways)?,
        Person::new(sremp, &world, 2, ways)?,
    ];
    for person in &people {
        person.until("\"prekeys\":50")?;
    }
    people[0].meet(&people[1])?;
    thread::sleep(SETTLING);
    let look = |person: &Person<'_>| {
        let segments = world.segments(person.number)?;
        Ok::<_, String>((segments, person.processor_time()?))
    };
    let before = [look(&people[0])?, look(&people[1])?];
    thread::sleep(time);
    let mut outcome = Ok(());
    for (person, before) in people.iter().zip(before) {
        let after = look(person)?;
        let minutes = time.as_secs_f64() / 60.0;
        let packets = (after.0 - before.0) as f64 / minutes;
        let busy = (after.1 - before.1).as_secs_f64() / time.as_secs_f64() * 100.0;
        let who = format!("{}, idle for {time:?}", person.name);
        let sent = judge(
            &format!("{who}: packets both ways"),
            packets,
            "a minute",
            PACKETS,
        );
        let computed = judge(&format!("{who}: processor"), busy, "% of a core", PERCENT);
        outcome = outcome.and(sent).and(computed);
    }
    outcome
}
