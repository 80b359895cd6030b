//! A network that is cut and comes back: how soon is what was written meanwhile on the device?

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
use crate::process::Outcome;

/// Median of the time from the return of the network to the first message on the device.
const LIMIT: f64 = 2.0;
/// How long the network is away.
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(12);
/// Texts that are written during one cut.
const TEXTS: usize = 3;

/// Who writes to whom, and who is cut off how.
struct Pair<'a> {
    writer: Person<'a>,
    reader: Person<'a>,
    /// The place that is cut off.
    off: usize,
    cut: Cut,
    title: String,
}

impl Pair<'_> {
    /// One cut; the time after it until the first text is read.
    fn round(
        &mut self,
        world: &World,
        round: usize,
        chance: &mut Chance,
    ) -> Result<Duration, String> {
        thread::sleep(chance.between(Duration::from_secs(1), Duration::from_secs(4)));
        let away = chance.between(SHORTEST, LONGEST);
        world.cut(self.off, self.cut)?;
        let since = Instant::now();
        thread::sleep(chance.between(Duration::ZERO, SHORTEST / 2));
        let texts: Vec<String> = (0..TEXTS).map(|n| format!("{round}.{n}")).collect();
        for text in &texts {
            self.writer.send(&self.reader, text)?;
        }
        thread::sleep(away.saturating_sub(since.elapsed()));
        world.mend(self.off, self.cut)?;
        let back = Instant::now();
        let mut first = None;
        for text in &texts {
            let read = self.reader.reads(text)?;
            first.get_or_insert(read);
        }
        let first = first.ok_or("nothing was written")?;
        Ok(first.saturating_duration_since(back))
    }

    fn run(&mut self, world: &World, rounds: usize, seed: u64) -> Result<Vec<f64>, String> {
        let mut chance = Chance::new(seed);
        let mut times = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let time = self.round(world, round, &mut chance);
            let time = time.map_err(|e| format!("{}, round {round}: {e}", self.title))?;
            times.push(time.as_secs_f64());
        }
        times.sort_unstable_by(f64::total_cmp);
        Ok(times)
    }
}

pub(super) fn measure(sremp: &Path, rounds: usize, seed: u64) -> Outcome {
    let ways = [true, false].map(|direct| [true, false].map(|reader| (direct, reader)));
    let cases = Cut::ALL.map(|cut| ways.as_flattened().iter().map(move |way| (cut, *way)));
    let cases: Vec<_> = cases.into_iter().flatten().collect();
    let world = World::new(1 + 2 * cases.len())?;
    let relay = Server::relay(sremp, &world, 0)?;
    let mut pairs = Vec::new();
    for (n, (cut, (direct, reader_off))) in cases.into_iter().enumerate() {
        let relays = [relay.link.as_str()];
        let ways = match direct {
            true => Ways {
                listens: true,
                ..Ways::default()
            },
            false => Ways {
                relays: &relays,
                ..Ways::default()
            },
        };
        let writer = Person::new(sremp, &world, 1 + 2 * n, ways)?;
        let reader = Person::new(sremp, &world, 2 + 2 * n, ways)?;
        if !direct {
            for person in [&writer, &reader] {
                person.until("\"prekeys\":50")?;
            }
        }
        writer.meet(&reader)?;
        let way = if direct { "direct" } else { "by the relay" };
        let who = if reader_off { "reader" } else { "writer" };
        pairs.push(Pair {
            off: if reader_off {
                reader.number
            } else {
                writer.number
            },
            writer,
            reader,
            cut,
            title: format!("{way}, the {who}'s {cut:?} cut"),
        });
    }
    eprintln!("net-test: {rounds} cuts of {SHORTEST:?} to {LONGEST:?} for each of the following");
    let world = &world;
    let results: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = pairs
            .iter_mut()
            .enumerate()
            .map(|(n, pair)| {
                let title = pair.title.clone();
                let seed = seed.wrapping_add(n as u64);
                (title, scope.spawn(move || pair.run(world, rounds, seed)))
            })
            .collect();
        let ended = running.into_iter();
        ended.map(|(title, run)| (title, run.join())).collect()
    });
    let mut missed = Vec::new();
    for (title, result) in results {
        match result {
            Ok(Ok(times)) => {
                let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
                let what = format!(
                    "{title}: p90 {:.2} s, longest {:.2} s, median",
                    at(0.9),
                    at(1.0)
                );
                missed.extend(judge(&what, at(0.5), "s", LIMIT).err());
            }
            Ok(Err(why)) => {
                eprintln!("net-test: {why}");
                missed.push(why);
            }
            Err(_) => missed.push(format!("{title}: it panicked")),
        }
    }
    match missed.is_empty() {
        true => Ok(()),
        false => Err(missed.join("\n")),
    }
}
