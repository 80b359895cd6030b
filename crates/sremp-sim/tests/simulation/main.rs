//! Clients in a world of seeded networks, clocks, crashes and hostile peers.

mod addresses;
mod built_in_relay;
mod clocks;
mod contacts;
mod contents;
mod cuts;
mod doctor;
mod malicious_relay;
mod paths;
mod people;
mod relay;
mod relay_trust;
mod rendezvous;
mod resets;
mod restoring;
mod screens;
mod silence;
mod strangers;
mod troubles;
mod two_people;
mod why;

/// Times of a world, in milliseconds.
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Seeds of a test; `SREMP_SEEDS` asks for more.
fn seeds(few: u64) -> std::ops::Range<u64> {
    let asked = std::env::var("SREMP_SEEDS").ok();
    0..asked.and_then(|n| n.parse().ok()).unwrap_or(few)
}
