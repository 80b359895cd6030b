//! A server in a directory of its own, and clients of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use sremp_core::{
    channel::Message,
    contact_card::Endpoint,
    error::ErrorCode,
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    rendezvous::{
        Record, RecordDraft, RendezvousClient, RendezvousEvent, RendezvousLink, Seq, Visibility,
    },
    time::UnixMillis,
};
use sremp_net::{
    AdmissionLimits, Listening, LocalIdentity, Network,
    tls::{TlsClient, Trust, connect},
};
use sremp_rendezvous::{
    home::RendezvousHome,
    operate,
    run::{Running, start},
};
use tokio::sync::{mpsc, watch};

pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

pub(crate) fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixMillis::saturating(since.unwrap().as_millis() as u64)
}

pub(crate) fn person(seed: u8) -> SecretIdentity {
    let name = Username::parse("somebody").unwrap();
    let noise = NoiseSecret::from_bytes(&[seed | 0x80; 32]);
    SecretIdentity::from_keys(&[seed; 32], noise, &name, now())
}

/// A server that runs.
pub(crate) struct Server {
    dir: tempfile::TempDir,
    pub(crate) running: Running,
}

impl Server {
    /// With no limits of rates, and private addresses, unless the settings say otherwise.
    pub(crate) async fn with(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        operate::init(&home(&dir), &with_defaults(settings)).unwrap();
        let running = start(&home(&dir), false).await.unwrap();
        Self { dir, running }
    }

    /// For a LAN.
    pub(crate) async fn new() -> Self {
        Self::with("allow_private_addresses = true").await
    }

    pub(crate) fn home(&self) -> RendezvousHome {
        home(&self.dir)
    }

    /// Ends and starts again, elsewhere.
    pub(crate) async fn restarted(self) -> Self {
        let Self { dir, running } = self;
        running.shutdown().await;
        let running = start(&home(&dir), false).await.unwrap();
        Self { dir, running }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::of(self.running.link()).await
    }

    /// How often it has counted this.
    pub(crate) fn counted(&self, line: &str) -> u64 {
        let text = self.running.metrics();
        let found = text
            .lines()
            .find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or(0)
    }

    pub(crate) fn refused(&self, code: ErrorCode) -> u64 {
        let cause = code.name();
        self.counted(&format!(
            "sremp_rendezvous_refused_total{{cause=\"{cause}\"}}"
        ))
    }
}

/// Waits until this is so.
pub(crate) async fn until(what: &str, is: impl Fn() -> bool) {
    let so = tokio::time::timeout(Duration::from_secs(30), async {
        while !is() {
            tokio::task::yield_now().await;
        }
    });
    assert!(so.await.is_ok(), "{what}");
}

fn home(dir: &tempfile::TempDir) -> RendezvousHome {
    RendezvousHome::at(dir.path().join("rendezvous"))
}

fn with_defaults(settings: &str) -> String {
    let mut text = String::new();
    for (word, line) in [
        ("listen", "listen = \"127.0.0.1:0\""),
        ("operations", "operations = \"\""),
    ] {
        if !settings.contains(word) {
            text += line;
            text += "\n";
        }
    }
    text += settings;
    if !settings.contains("[rates]") {
        text += "\n[rates]\nregisters_per_key = 0\nregisters_per_address = 0\npages_per_key = 0\nrequests_per_address = 0\n";
    }
    text
}

/// One connection of a client.
pub(crate) struct Client {
    pub(crate) tls: TlsClient,
    pub(crate) machine: RendezvousClient,
}

impl Client {
    pub(crate) async fn of(link: &RendezvousLink) -> Self {
        let trust = Trust::Pin(link.spki.expect("a certificate of its own"));
        let tls = connect(&link.endpoint, &trust, false).await.unwrap();
        Self {
            machine: RendezvousClient::new(*tls.exporter()),
            tls,
        }
    }

    pub(crate) async fn ask(&mut self, message: &Message) -> RendezvousEvent {
        self.tls.send(message).await.unwrap();
        let answer = self.tls.next().await.unwrap();
        let event = self.machine.handle(&answer, now()).unwrap();
        event.expect("an answer to the question")
    }

    pub(crate) async fn register(
        &mut self,
        own: &SecretIdentity,
        record: &Record,
    ) -> RendezvousEvent {
        let message = self.machine.register(own, record).unwrap();
        self.ask(&message).await
    }

    pub(crate) async fn lookup(&mut self, whom: &SecretIdentity) -> RendezvousEvent {
        let message = self.machine.lookup(whom.id(), None).unwrap();
        self.ask(&message).await
    }
}

pub(crate) fn draft(seq: u64, endpoints: &[&str]) -> RecordDraft {
    RecordDraft {
        seq: Seq::new(seq),
        endpoints: endpoints.iter().map(|at| at.parse().unwrap()).collect(),
        issued: now(),
        ttl: HOUR,
        visibility: Visibility::Unlisted,
        relays: vec![],
    }
}

pub(crate) fn record(of: &SecretIdentity, seq: u64, endpoints: &[&str]) -> Record {
    Record::sign(of, draft(seq, endpoints)).unwrap()
}

pub(crate) fn listed(of: &SecretIdentity, seq: u64) -> Record {
    let draft = RecordDraft {
        visibility: Visibility::Listed,
        ..draft(seq, &["127.0.0.1:33399"])
    };
    Record::sign(of, draft).unwrap()
}

pub(crate) fn is_registered(event: &RendezvousEvent) -> bool {
    matches!(event, RendezvousEvent::Registered { .. })
}

pub(crate) fn refusal(event: &RendezvousEvent) -> Option<ErrorCode> {
    match event {
        RendezvousEvent::Refused { code, .. } => ErrorCode::from_u16(*code),
        _ => None,
    }
}

/// Somebody's client that listens, under a name of loopback.
pub(crate) struct Listener {
    pub(crate) at: Endpoint,
    _listening: Listening,
    _network: Network,
    _events: mpsc::Receiver<sremp_net::LinkEvent>,
}

pub(crate) async fn listening(of: &SecretIdentity) -> Listener {
    let own = watch::channel(Arc::new(LocalIdentity::new(of))).1;
    let (events, told) = mpsc::channel(16);
    let network = Network::new(own, events, AdmissionLimits::CLIENT);
    let listening = network
        .listen(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    Listener {
        at: Endpoint::new("localhost", listening.local_addr().port()).unwrap(),
        _listening: listening,
        _network: network,
        _events: told,
    }
}
