//! `sremp bench relay --idle`: what a connection costs on which nothing happens.

use std::time::{Duration, Instant};

use serde_json::json;
use sremp_relay::load::idle::{Idle, signature_check};

use super::{
    OwnRelay, allow_files,
    figures::{Cost, Figures},
    unreachable,
};
use crate::cli::{Ending, Out};

/// For 10,000 connections.
const LIMITS: &[(&str, &str)] = &[
    ("resident_kib_each", "<= 8"),
    (
        "cpu_us_each",
        "<= 1.4 x the floor's + signature_check_us (bench/compare/relay.sh)",
    ),
];
/// Until what the last handshakes left behind is done.
const REST: Duration = Duration::from_secs(1);

pub(super) async fn run(connections: u32, out: Out) -> Ending {
    allow_files(connections)?;
    let own = OwnRelay::start()?;
    let cost = || Cost::of(&own.process);
    let count = usize::try_from(connections).unwrap_or(usize::MAX);
    let before = cost();
    let began = Instant::now();
    let idle = Idle::connect(&own.link, count).await.map_err(unreachable)?;
    let took = began.elapsed();
    let registered = cost();
    tokio::time::sleep(REST).await;
    let at_rest = cost();
    idle.subscribe();
    tokio::time::sleep(REST).await;
    let subscribed = cost();

    let each = |amount: f64| amount / f64::from(connections.max(1));
    let kib = |now: Option<Cost>, of: fn(&Cost) -> u64| {
        Some(each((of(&now?) as f64 - of(&before?) as f64) / 1024.0))
    };
    let cpu = registered
        .zip(before)
        .map(|(now, before)| each(now.cpu_us() - before.cpu_us()));
    let resident = |cost: &Cost| cost.0.resident;
    let report = json!({
        "connections": connections,
        "lost": idle.lost(),
        "connects_per_s": f64::from(connections) / took.as_secs_f64(),
        "cpu_us_each": cpu,
        "signature_check_us": signature_check().as_secs_f64() * 1e6,
        "resident_kib_before": before.map(|cost| cost.0.resident / 1024),
        "resident_kib": at_rest.map(|cost| cost.0.resident / 1024),
        "resident_kib_each": kib(at_rest, resident),
        "anonymous_kib_each": kib(at_rest, |cost| cost.0.anonymous),
        "resident_kib_each_subscribed": kib(subscribed, resident),
    });
    Figures::of(&report, LIMITS)?.print(out)
}
