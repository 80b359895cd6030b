//! `sremp bench relay --drain`: one who was away comes back.

use sremp_relay::load::drain::Backlog;

use super::{
    OwnRelay,
    figures::{Cost, Figures},
    unreachable,
};
use crate::cli::{Ending, Out};

/// For 20,000 messages of 1 KiB.
const LIMITS: &[(&str, &str)] = &[("drained_per_s", ">= 12000"), ("first_ms", "<= 20")];

pub(super) async fn run(messages: u64, size: usize, out: Out) -> Ending {
    let own = OwnRelay::start()?;
    let backlog = Backlog::store(&own.link, messages, size).await;
    let backlog = backlog.map_err(unreachable)?;
    let before = Cost::of(&own.process);
    let drained = backlog.drain().await.map_err(unreachable)?;
    let mut figures = Figures::of(&drained, LIMITS)?;
    figures.add_cost(&own.process, before, drained.drained);
    figures.print(out)
}
