//! `sremp bench relay --fill`: what a relay that keeps much is like beside an empty one.

use std::time::Instant;

use serde_json::json;
use sremp_relay::load::{self, Load, Report, fill::Mailboxes};

use super::{
    OwnRelay,
    figures::{Cost, Figures, size_of},
    unreachable,
};
use crate::cli::{Ending, Failure, Out};

/// For 1,000,000 messages of 1 KiB; the ratio also for 100,000 in one mailbox.
const LIMITS: &[(&str, &str)] = &[
    ("resident_kib", "<= 163840"),
    ("disk_share", "<= 1.4"),
    ("restart_s", "<= 2"),
    ("written_per_message", "<= 3072"),
    ("ratio", ">= 0.9"),
];
/// How often both are put under load, in turn: a machine is not equally fast all the time.
const ROUNDS: u32 = 4;

pub(super) async fn run(messages: u64, load: &Load, out: Out) -> Ending {
    let mut full = OwnRelay::start()?;
    let mailboxes = Mailboxes::open(&full.link, load.mailboxes).await;
    let mailboxes = mailboxes.map_err(unreachable)?;
    let (before, began) = (Cost::of(&full.process), Instant::now());
    let stored = mailboxes.fill(&full.link, messages, load.size).await;
    let filled: usize = stored
        .map_err(unreachable)?
        .iter()
        .map(|s| s.ids.len())
        .sum();
    let took = began.elapsed();
    let report = json!({
        "filled": filled,
        "mailboxes": load.mailboxes,
        "filled_per_s": filled as f64 / took.as_secs_f64(),
    });
    let mut figures = Figures::of(&report, LIMITS)?;
    figures.add_cost(&full.process, before, messages);
    let disk = size_of(full.process.home()) as f64;
    figures.add(
        "disk_share",
        disk / (messages.max(1) as f64 * load.size as f64),
    );

    let rounds = Rounds::run(&full, &mailboxes, load).await?;
    figures.add("empty_per_s", rounds.empty);
    figures.add("full_per_s", rounds.full);
    figures.add("ratio", rounds.full / rounds.empty);

    full.process.kill();
    let began = Instant::now();
    full.process.run()?;
    figures.add("restart_s", began.elapsed().as_secs_f64());
    let again = Cost::of(&full.process).map(|cost| cost.0.resident / 1024);
    figures.add("resident_kib_restarted", json!(again));
    figures.print(out)
}

/// Stores a second, of all rounds.
struct Rounds {
    empty: f64,
    full: f64,
}

impl Rounds {
    async fn run(full: &OwnRelay, mailboxes: &Mailboxes, load: &Load) -> Result<Self, Failure> {
        let load = Load {
            time: load.time / ROUNDS,
            ..*load
        };
        let mut sum = Self {
            empty: 0.0,
            full: 0.0,
        };
        for round in 0..ROUNDS {
            let empty = OwnRelay::start()?;
            let others = Mailboxes::open(&empty.link, load.mailboxes).await;
            let others = others.map_err(unreachable)?;
            // who comes first takes turns as well
            if round % 2 == 0 {
                sum.empty += rate(&others, &empty, &load).await?;
            }
            sum.full += rate(mailboxes, full, &load).await?;
            if round % 2 != 0 {
                sum.empty += rate(&others, &empty, &load).await?;
            }
        }
        sum.empty /= f64::from(ROUNDS);
        sum.full /= f64::from(ROUNDS);
        Ok(sum)
    }
}

async fn rate(mailboxes: &Mailboxes, relay: &OwnRelay, load: &Load) -> Result<f64, Failure> {
    let report = load::run_into(mailboxes, &relay.link, load).await;
    let Report { stores_per_s, .. } = report.map_err(unreachable)?;
    Ok(stores_per_s)
}
