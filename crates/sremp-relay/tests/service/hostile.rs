//! Hostile clients of every kind at once, and two who notice nothing of them.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use sremp_core::relay::Cursor;
use sremp_relay::load::hostile;

use crate::{
    peer::Peer,
    relay::{Relay, strict_config},
    rogue::Honest,
};

/// Exchanges of each phase: in all three of them three requests each, which is what one address may
/// ask at once.
const EXCHANGES: usize = 120;
/// Twice the latency of quiet times is what others may notice. Below this it is noise of the
/// machine that the tests share.
const FLOOR: Duration = Duration::from_millis(30);
/// What a process may grow by under attack, attackers included.
const GROWTH_KIB: u64 = 32 * 1024;

/// 99 of 100 exchanges are as fast.
async fn p99(honest: &mut Honest) -> Duration {
    let mut times = Vec::new();
    for _ in 0..EXCHANGES {
        let began = Instant::now();
        honest.exchange().await;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times[EXCHANGES * 99 / 100]
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.unwrap().split_whitespace().next().unwrap();
    number.parse().unwrap()
}

/// A pause of the disk or of the machine in one of three attacks is not the attackers' doing.
const ATTACKS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_clients_cost_others_neither_time_nor_memory() {
    for _ in 0..ATTACKS {
        if is_borne().await {
            return;
        }
    }
    panic!("each of {ATTACKS} attacks was noticed by others");
}

/// Whether two who write to each other notice nothing of an attack.
async fn is_borne() -> bool {
    let mut config = strict_config();
    // what is measured are the bounds, but not how often two may write to each other
    config.rates.stores_per_sender = 0;
    let relay = Relay::with(config).await;
    let victim = Peer::owner(relay.link()).await;
    let mut honest = Honest::at(&relay).await;
    let before = p99(&mut honest).await;
    let quiet = resident_kib();
    let attack = hostile::start(relay.link(), victim.key()).unwrap();
    // until they are at it in earnest
    relay.until_refused("requests of one address", 1).await;
    let during = p99(&mut honest).await;
    let grown = resident_kib().saturating_sub(quiet);
    let tally = attack.stop();
    let after = p99(&mut honest).await;
    println!("p99 {before:?} before, {during:?} during, {after:?} after; {grown} KiB; {tally:?}");
    let may_be = (2 * before.max(after)).max(FLOOR);
    assert!(grown <= GROWTH_KIB, "{grown} KiB more");
    assert!(tally.requests.load(Ordering::Relaxed) > 1_000);
    for cause in ["half-open connections of one address", "PROTOCOL_VIOLATION"] {
        assert!(relay.ended(cause) > 0, "{cause}");
    }
    // the flood has filled no more of the mailbox than strangers may
    let mut victim = victim;
    victim.subscribe(Cursor::START, 32).await;
    victim.item().await;
    assert!(relay.gauge("items") <= 64 + 1, "{}", relay.gauge("items"));
    during <= may_be
}
