//! A network that loses one packet of five, delays by 200 ms and is cut now and then: 2,000 messages.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    Chance, judge,
    people::{Person, Server, Ways},
    world::{Cut, World},
};
use crate::{namespaces::Talker, process::Outcome};

const MESSAGES: usize = 2_000;
/// Seconds from the last outage until all of them are on the device.
const LIMIT: f64 = 60.0;
/// One way; both ways are 200 ms.
const DELAY_MS: u32 = 100;
const LOSS_PERCENT: u32 = 20;
const OUTAGES: usize = 3;

pub(super) fn measure(sremp: &Path, seed: u64) -> Outcome {
    let direct = run(sremp, seed, true);
    let relayed = run(sremp, seed, false);
    direct.and(relayed)
}

fn run(sremp: &Path, seed: u64, direct: bool) -> Outcome {
    let mut world = World::new(3)?;
    world.slow(1, DELAY_MS, LOSS_PERCENT, seed)?;
    let world = &world;
    let relay = Server::relay(sremp, world, 0)?;
    let relays = [relay.link.as_str()];
    let ways = Ways {
        listens: direct,
        relays: if direct { &[] } else { &relays },
        rendezvous: &[],
    };
    let writer = Person::new(sremp, world, 1, ways)?;
    let mut reader = Person::new(sremp, world, 2, ways)?;
    if !direct {
        for person in [&writer, &reader] {
            person.until("\"prekeys\":50")?;
        }
    }
    writer.meet(&reader)?;
    let mut chance = Chance::new(seed);
    let mut back = Instant::now();
    let ended: Result<Instant, String> = thread::scope(|scope| {
        let (rpc, to) = (writer.rpc()?, reader.name.clone());
        let written = scope.spawn(move || write(rpc, &to));
        for _ in 0..OUTAGES {
            world.cut(1, Cut::Silence)?;
            thread::sleep(chance.between(Duration::from_secs(3), Duration::from_secs(8)));
            world.mend(1, Cut::Silence)?;
            back = Instant::now();
            thread::sleep(chance.between(Duration::from_secs(1), Duration::from_secs(3)));
        }
        written
            .join()
            .map_err(|_| "the writer panicked".to_owned())??;
        Ok(Instant::now())
    });
    let queued = ended?.saturating_duration_since(back);
    let mut last = back;
    for n in 0..MESSAGES {
        last = reader.reads(&format!("number {n}"))?;
    }
    let way = if direct { "direct" } else { "by the relay" };
    let took = last.saturating_duration_since(back).as_secs_f64();
    let what = format!(
        "{MESSAGES} messages in order {way}, {LOSS_PERCENT} % lost each way, {} ms there and back \
         (all of them written after {:.1} s): on the device",
        2 * DELAY_MS,
        queued.as_secs_f64()
    );
    judge(&what, took, "s after the last outage", LIMIT)
}

/// Writes all of them as fast as they are taken.
fn write(mut rpc: Talker, to: &str) -> Outcome {
    const AT_ONCE: usize = 32;
    for begin in (0..MESSAGES).step_by(AT_ONCE) {
        let numbers = begin..(begin + AT_ONCE).min(MESSAGES);
        for n in numbers.clone() {
            rpc.say(&format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{n},\"method\":\"send\",\
                 \"params\":{{\"contact\":\"{to}\",\"text\":\"number {n}\"}}}}"
            ))?;
        }
        for _ in numbers {
            let line = rpc.line()?;
            if !line.contains("\"result\"") {
                return Err(line);
            }
        }
    }
    rpc.end()
}
