//! What the operator can count: no key, name, address or id is in any of it (D6.12).

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Cause {
    /// The name of the code, or a limit in words.
    pub cause: &'static str,
}

/// The counters of a relay; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Messages that were stored, first times only.
    pub stored: Counter<u64, AtomicU64>,
    /// Messages that came again and were answered as the first time.
    pub repeated: Counter<u64, AtomicU64>,
    /// Messages pushed or given to their owners.
    pub delivered: Counter<u64, AtomicU64>,
    /// Messages that their owners confirmed.
    pub confirmed: Counter<u64, AtomicU64>,
    /// Messages that their owners dropped unconfirmed.
    pub discarded: Counter<u64, AtomicU64>,
    /// Messages that nobody fetched in time.
    pub expired: Counter<u64, AtomicU64>,
    /// Confirmations handed to senders or to their relays.
    pub confirmations: Counter<u64, AtomicU64>,
    /// Requests refused.
    pub refused: Family<Cause, Counter<u64, AtomicU64>>,
    /// Connections that did not open, or that had to be ended.
    pub ended: Family<Cause, Counter<u64, AtomicU64>>,
    /// Open connections.
    pub connections: Gauge<i64, AtomicI64>,
    /// Mailboxes.
    pub mailboxes: Gauge<i64, AtomicI64>,
    /// Messages that wait for their owners.
    pub items: Gauge<i64, AtomicI64>,
    /// Bytes of those.
    pub bytes: Gauge<i64, AtomicI64>,
    /// Age of the oldest of those.
    pub oldest: Gauge<i64, AtomicI64>,
    /// Time of a commit, the disk's part included.
    pub commit: Histogram,
    /// Requests that a commit carried.
    pub batch: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            stored: Counter::default(),
            repeated: Counter::default(),
            delivered: Counter::default(),
            confirmed: Counter::default(),
            discarded: Counter::default(),
            expired: Counter::default(),
            confirmations: Counter::default(),
            refused: Family::default(),
            ended: Family::default(),
            connections: Gauge::default(),
            mailboxes: Gauge::default(),
            items: Gauge::default(),
            bytes: Gauge::default(),
            oldest: Gauge::default(),
            commit: Histogram::new(COMMIT_SECONDS),
            batch: Histogram::new(BATCH_SIZES),
        };
        metrics.registry = Arc::new(metrics.register());
        metrics
    }

    fn register(&self) -> Registry {
        let mut registry = Registry::with_prefix("sremp_relay");
        let counters = [
            ("stored", "Messages stored", &self.stored),
            ("repeated", "Messages that came again", &self.repeated),
            (
                "delivered",
                "Messages handed to their owners",
                &self.delivered,
            ),
            (
                "confirmed",
                "Messages confirmed by their owners",
                &self.confirmed,
            ),
            (
                "discarded",
                "Messages dropped by their owners",
                &self.discarded,
            ),
            (
                "expired",
                "Messages that nobody fetched in time",
                &self.expired,
            ),
            (
                "confirmations",
                "Confirmations handed on",
                &self.confirmations,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register("refused", "Refusals by cause", self.refused.clone());
        let ended = "Connections refused or ended, by cause";
        registry.register("connections_ended", ended, self.ended.clone());
        let gauges = [
            ("connections", "Open connections", &self.connections),
            ("mailboxes", "Mailboxes", &self.mailboxes),
            ("items", "Messages that wait", &self.items),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        let bytes = ("stored", "Size of the messages that wait", &self.bytes);
        registry.register_with_unit(bytes.0, bytes.1, Unit::Bytes, bytes.2.clone());
        let oldest = ("oldest", "Age of the oldest message", &self.oldest);
        registry.register_with_unit(oldest.0, oldest.1, Unit::Seconds, oldest.2.clone());
        let commit = ("commit", "Time of a commit", &self.commit);
        registry.register_with_unit(commit.0, commit.1, Unit::Seconds, commit.2.clone());
        registry.register("batch", "Requests of a commit", self.batch.clone());
        registry
    }

    /// Counts a refusal.
    pub fn refuse(&self, cause: &'static str) {
        self.refused.get_or_create(&Cause { cause }).inc();
    }

    /// Takes over what the network has counted of connections that it refused or ended.
    pub fn show_ended(&self, counts: &BTreeMap<&'static str, u64>) {
        for (cause, count) in counts {
            let counter = self.ended.get_or_create(&Cause { cause });
            counter.inner().store(*count, Ordering::Relaxed);
        }
    }

    /// Takes the time of a commit.
    pub fn committed(&self, requests: usize, took: Duration) {
        self.commit.observe(took.as_secs_f64());
        self.batch
            .observe(f64::from(u32::try_from(requests).unwrap_or(u32::MAX)));
    }

    /// All of it in the OpenMetrics text format.
    pub fn render(&self) -> String {
        let mut out = String::new();
        // writing to a string does not fail
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

/// 0.1 ms to 10 s.
const COMMIT_SECONDS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];
const BATCH_SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_is_counted_under_names_that_monitors_know() {
        let metrics = Metrics::new();
        metrics.stored.inc();
        metrics.clone().stored.inc();
        metrics.refuse("QUOTA");
        metrics.show_ended(&BTreeMap::from([("TIMEOUT", 4)]));
        metrics.show_ended(&BTreeMap::from([("TIMEOUT", 5)]));
        metrics.bytes.set(1024);
        metrics.committed(3, Duration::from_millis(2));
        let text = metrics.render();
        for line in [
            "sremp_relay_stored_total 2",
            "sremp_relay_refused_total{cause=\"QUOTA\"} 1",
            "sremp_relay_connections_ended_total{cause=\"TIMEOUT\"} 5",
            "sremp_relay_stored_bytes 1024",
            "sremp_relay_commit_seconds_bucket{le=\"0.0025\"} 1",
            "sremp_relay_batch_sum 3.0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
