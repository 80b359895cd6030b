//! What the operator can count: no key, name or address is in any of it (D6.12).

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

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// In words.
    pub outcome: &'static str,
}

type Count = Counter<u64, AtomicU64>;
type Level = Gauge<i64, AtomicI64>;

/// The counters of a server; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Registrations that were kept.
    pub registered: Count,
    /// Lookups that found somebody.
    pub found: Count,
    /// Lookups that found nobody.
    pub not_found: Count,
    /// Pages that were given.
    pub pages: Count,
    /// Endpoints that were dialled back.
    pub dialled_back: Count,
    /// Servers that were told of and not kept.
    pub candidates_refused: Count,
    /// Exchanges with peers, by their outcome.
    pub exchanges: Family<Outcome, Count>,
    /// Times that another certificate was found or asked for, by what came of it.
    pub certificates: Family<Outcome, Count>,
    /// Requests refused.
    pub refused: Family<Cause, Count>,
    /// Connections that did not open, or that ended.
    pub ended: Family<Cause, Count>,
    /// Open connections.
    pub connections: Level,
    /// Keys that are kept.
    pub keys: Level,
    /// Those who are listed.
    pub listed: Level,
    /// Other servers that are named to whoever asks.
    pub servers: Level,
    /// Time of a commit.
    commit: Option<Histogram>,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            commit: Some(Histogram::new(COMMIT_SECONDS)),
            ..Self::default()
        };
        metrics.registry = Arc::new(metrics.register());
        metrics
    }

    fn register(&self) -> Registry {
        let mut registry = Registry::with_prefix("sremp_rendezvous");
        for (name, help, counter) in [
            ("registered", "Registrations kept", &self.registered),
            ("found", "Lookups that found somebody", &self.found),
            ("not_found", "Lookups that found nobody", &self.not_found),
            ("pages", "Pages of listed registrations", &self.pages),
            ("dialled_back", "Endpoints dialled back", &self.dialled_back),
            (
                "candidates_refused",
                "Servers told of and not kept",
                &self.candidates_refused,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register("refused", "Refusals by cause", self.refused.clone());
        let exchanges = "Exchanges with peers, by outcome";
        registry.register("exchanges", exchanges, self.exchanges.clone());
        let certificates = "Times that another certificate was found or asked for, by outcome";
        registry.register("certificates", certificates, self.certificates.clone());
        let ended = "Connections refused or ended, by cause";
        registry.register("connections_ended", ended, self.ended.clone());
        for (name, help, gauge) in [
            ("connections", "Open connections", &self.connections),
            ("keys", "Keys that are kept", &self.keys),
            ("listed", "Registrations that are listed", &self.listed),
            ("servers", "Other servers that are named", &self.servers),
        ] {
            registry.register(name, help, gauge.clone());
        }
        if let Some(commit) = &self.commit {
            let help = "Time of a commit";
            registry.register_with_unit("commit", help, Unit::Seconds, commit.clone());
        }
        registry
    }

    /// Counts a refusal.
    pub fn refuse(&self, cause: &'static str) {
        self.refused.get_or_create(&Cause { cause }).inc();
    }

    /// Counts an exchange with a peer.
    pub(crate) fn exchange(&self, outcome: &'static str) {
        self.exchanges.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts another certificate.
    pub(crate) fn certificate(&self, outcome: &'static str) {
        self.certificates.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts servers that were told of and are not kept.
    pub(crate) fn refuse_candidates(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.candidates_refused.inc_by(count);
    }

    /// Takes over what the listener has counted of connections.
    pub fn show_ended(&self, counts: &BTreeMap<&'static str, u64>) {
        for (cause, count) in counts {
            let counter = self.ended.get_or_create(&Cause { cause });
            counter.inner().store(*count, Ordering::Relaxed);
        }
    }

    /// Takes the time of a commit.
    pub fn committed(&self, took: Duration) {
        if let Some(commit) = &self.commit {
            commit.observe(took.as_secs_f64());
        }
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
const COMMIT_SECONDS: [f64; 10] = [
    0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 1.0, 10.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_is_counted_under_names_that_monitors_know() {
        let metrics = Metrics::new();
        metrics.clone().registered.inc();
        metrics.refuse("BAD_PROOF");
        metrics.show_ended(&BTreeMap::from([("TIMEOUT", 5)]));
        metrics.committed(Duration::from_millis(2));
        let text = metrics.render();
        for line in [
            "sremp_rendezvous_registered_total 1",
            "sremp_rendezvous_refused_total{cause=\"BAD_PROOF\"} 1",
            "sremp_rendezvous_connections_ended_total{cause=\"TIMEOUT\"} 5",
            "sremp_rendezvous_commit_seconds_bucket{le=\"0.0025\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
