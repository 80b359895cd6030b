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

/// Seeds of a test; `SREMP_SEEDS` asks for more.
fn seeds(few: u64) -> std::ops::Range<u64> {
    let asked = std::env::var("SREMP_SEEDS").ok();
    0..asked.and_then(|n| n.parse().ok()).unwrap_or(few)
}
