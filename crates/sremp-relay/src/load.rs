//! A load generator: real connections, real signatures, and answers that are waited for.

pub mod crash;
pub mod drain;
pub mod fill;
pub mod hostile;
pub mod idle;
mod peer;
pub mod power_cut;
pub mod process;
pub mod raw;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;
use sremp_core::{contact_card::RelayLink, id::IdentityKey, relay::Role};
use tokio::task::JoinSet;

use self::{
    fill::Mailboxes,
    peer::{LoadPeer, SentTimes},
};

/// What is done to a relay.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Connections that store.
    pub senders: usize,
    /// Stores that each has under way.
    pub window: usize,
    /// Mailboxes that are stored into.
    pub mailboxes: usize,
    /// Whether their owners are there, and confirm.
    pub online: bool,
    /// Bytes of an envelope: one of the seven sizes.
    pub size: usize,
    /// How long.
    pub time: Duration,
    /// Stores a second of all senders together; as fast as they are answered if `None`.
    pub rate: Option<f64>,
}

/// What came of it. Times in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Stores that were acknowledged.
    pub stored: u64,
    /// A second.
    pub stores_per_s: f64,
    /// From the request to the receipt: half of them within this.
    pub store_p50_ms: f64,
    /// 99 of 100 within this.
    pub store_p99_ms: f64,
    /// Messages that reached their owners.
    pub delivered: u64,
    /// Confirmations that reached their senders.
    pub confirmed: u64,
    /// Of those a second.
    pub cycles_per_s: f64,
    /// From the request to the owner's hands.
    pub delivery_p50_ms: f64,
    /// 99 of 100 within this.
    pub delivery_p99_ms: f64,
    /// Stores that were refused.
    pub refused: u64,
}

/// Why no load came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError(pub String);

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LoadError {}

/// More stores than a relay of two cores carries out in a second, and more than one sender gets.
const MOST_A_SECOND: f64 = 40_000.0;
const MOST_OF_ONE: f64 = 5_000.0;
/// Most that are signed ahead, for the memory that they take.
const MOST_AHEAD: f64 = 400_000.0;

/// Shared by all connections of a run.
#[derive(Debug, Default)]
struct Tally {
    stored: AtomicU64,
    delivered: AtomicU64,
    confirmed: AtomicU64,
    refused: AtomicU64,
    stop: AtomicBool,
}

/// Puts load on a relay that gives everybody a mailbox.
///
/// # Errors
/// [`LoadError`] when it cannot be reached or refuses to register somebody.
pub async fn run(link: &RelayLink, load: &Load) -> Result<Report, LoadError> {
    let sent = Arc::new(SentTimes::new());
    let mut owners = Vec::new();
    for _ in 0..load.mailboxes.max(1) {
        let owner = LoadPeer::registered(link, Role::Owner, load.size, sent.clone());
        owners.push(owner.await?);
    }
    let keys = owners.iter().map(LoadPeer::key).collect();
    if !load.online {
        owners.clear();
    }
    put(link, load, keys, owners, sent).await
}

/// The same, into mailboxes that are there. Their owners are not.
///
/// # Errors
/// As of [`run`].
pub async fn run_into(
    mailboxes: &Mailboxes,
    link: &RelayLink,
    load: &Load,
) -> Result<Report, LoadError> {
    let sent = Arc::new(SentTimes::new());
    put(link, load, mailboxes.keys(), Vec::new(), sent).await
}

async fn put(
    link: &RelayLink,
    load: &Load,
    keys: Arc<[IdentityKey]>,
    owners: Vec<LoadPeer>,
    sent: Arc<SentTimes>,
) -> Result<Report, LoadError> {
    let tally = Arc::<Tally>::default();
    let mut senders = Vec::new();
    for _ in 0..load.senders {
        let sender = LoadPeer::registered(link, Role::Sender, load.size, sent.clone());
        senders.push(sender.await?);
    }
    let senders = sign_ahead(senders, &keys, load).await;
    let mut readers = JoinSet::new();
    for owner in owners {
        readers.spawn(read(owner, tally.clone()));
    }
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for (n, sender) in senders.into_iter().enumerate() {
        let pace = load.rate.map(|rate| Pace::of(began, n, load.senders, rate));
        writers.spawn(write(sender, n, keys.clone(), *load, pace, tally.clone()));
    }
    tokio::time::sleep(load.time).await;
    let stored = tally.stored.load(Ordering::Relaxed);
    let confirmed = tally.confirmed.load(Ordering::Relaxed);
    let took = began.elapsed().as_secs_f64();
    tally.stop.store(true, Ordering::Relaxed);
    let store_times = all(writers).await;
    let delivery_times = all(readers).await;
    Ok(Report {
        stored,
        stores_per_s: stored as f64 / took,
        store_p50_ms: percentile(&store_times, 50),
        store_p99_ms: percentile(&store_times, 99),
        delivered: tally.delivered.load(Ordering::Relaxed),
        confirmed,
        cycles_per_s: confirmed as f64 / took,
        delivery_p50_ms: percentile(&delivery_times, 50),
        delivery_p99_ms: percentile(&delivery_times, 99),
        refused: tally.refused.load(Ordering::Relaxed),
    })
}

/// When a sender stores at a rate.
#[derive(Clone, Copy)]
struct Pace {
    next: Instant,
    each: Duration,
}

impl Pace {
    /// The senders take turns: together they would measure how long a burst takes.
    fn of(began: Instant, n: usize, senders: usize, rate: f64) -> Self {
        let turn = Duration::from_secs_f64(1.0 / rate);
        Self {
            next: began + turn.mul_f64(n as f64),
            each: turn.mul_f64(senders as f64),
        }
    }

    async fn wait(&mut self) {
        tokio::time::sleep_until(self.next.into()).await;
        self.next += self.each;
    }
}

/// Signs what the senders may need, so that the clock measures the relay and not its load; beyond,
/// each signs as it goes.
async fn sign_ahead(
    senders: Vec<LoadPeer>,
    keys: &Arc<[IdentityKey]>,
    load: &Load,
) -> Vec<LoadPeer> {
    let seconds = load.time.as_secs_f64();
    let all = (load.rate.unwrap_or(MOST_A_SECOND) * seconds).min(MOST_AHEAD);
    let of_one = (all / senders.len().max(1) as f64).min(MOST_OF_ONE * seconds) as usize;
    let mut signing = JoinSet::new();
    for (n, sender) in senders.into_iter().enumerate() {
        let keys = keys.clone();
        signing.spawn_blocking(move || {
            let recipients = keys.iter().copied().cycle().skip(n).take(of_one);
            (n, sender.sign_ahead(recipients))
        });
    }
    let mut signed = signing.join_all().await;
    signed.sort_unstable_by_key(|(n, _)| *n);
    signed.into_iter().map(|(_, sender)| sender).collect()
}

async fn all(mut tasks: JoinSet<Vec<Duration>>) -> Vec<Duration> {
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done.unwrap_or_default());
    }
    times.sort_unstable();
    times
}

fn percentile(sorted: &[Duration], share: usize) -> f64 {
    let at = sorted.len().saturating_mul(share) / 100;
    let time = sorted.get(at.min(sorted.len().saturating_sub(1)));
    time.map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

/// Stores, `window` at a time, until told to stop; the times to each receipt.
async fn write(
    mut peer: LoadPeer,
    n: usize,
    keys: Arc<[IdentityKey]>,
    load: Load,
    mut pace: Option<Pace>,
    tally: Arc<Tally>,
) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut recipients = keys.iter().cycle().skip(n);
    while !tally.stop.load(Ordering::Relaxed) {
        if let Some(pace) = &mut pace
            && peer.under_way() == 0
        {
            pace.wait().await;
        }
        let window = if pace.is_some() { 1 } else { load.window };
        while peer.under_way() < window {
            let Some(key) = recipients.next() else {
                return times;
            };
            peer.store(*key);
        }
        let Some(answer) = peer.answer().await else {
            break;
        };
        tally
            .confirmed
            .fetch_add(answer.confirmed, Ordering::Relaxed);
        tally.refused.fetch_add(answer.refused, Ordering::Relaxed);
        if let Some(time) = answer.stored {
            tally.stored.fetch_add(1, Ordering::Relaxed);
            times.push(time);
        }
    }
    times
}

/// Reads and confirms until told to stop; the times from each request to its arrival.
async fn read(mut peer: LoadPeer, tally: Arc<Tally>) -> Vec<Duration> {
    let mut times = Vec::new();
    peer.subscribe();
    while !tally.stop.load(Ordering::Relaxed) {
        let Some(came) = peer.items().await else {
            break;
        };
        let count = u64::try_from(came.items.len()).unwrap_or(u64::MAX);
        tally.delivered.fetch_add(count, Ordering::Relaxed);
        times.extend(came.items.iter().filter_map(|item| item.age));
        peer.confirm(came.items);
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_at_a_rate_take_turns() {
        let began = Instant::now();
        let paces: Vec<Pace> = (0..4).map(|n| Pace::of(began, n, 4, 50.0)).collect();
        let turns = paces.iter().map(|pace| (pace.next - began).as_millis());
        assert_eq!(turns.collect::<Vec<_>>(), [0, 20, 40, 60]);
        assert!(paces.iter().all(|pace| pace.each.as_millis() == 80));
    }
}
