//! Lists of servers, exchanged with the peers that the operator chose (5.7).

use std::{
    net::IpAddr,
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use sremp_core::{
    constants::MAX_CANDIDATES_PER_SOURCE,
    contact_card::Endpoint,
    error::ErrorCode,
    rendezvous::{
        Gossip, RendezvousClient, RendezvousEvent, RendezvousLink, ServerRecord, SignedServer, Told,
    },
};
use sremp_net::{
    clock,
    tls::{ConnectError, StreamError, Trust, connect},
};
use tokio::{
    net::lookup_host,
    task::JoinSet,
    time::{sleep_until, timeout},
};

use crate::service::Inner;

/// For a whole exchange.
const EXCHANGE_TIME: Duration = Duration::from_secs(30);
/// For the addresses of a name.
const LOOKUP_TIME: Duration = Duration::from_secs(5);

/// Why an exchange came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Connect(ConnectError),
    Stream(StreamError),
    Refused(u16),
    Violation(ErrorCode),
    Timeout,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Stream(error) => write!(f, "the connection ended: {}", error.cause()),
            Self::Refused(code) => match ErrorCode::from_u16(*code) {
                Some(code) => write!(f, "it refuses: {}", code.name()),
                None => write!(f, "it refuses: code {code}"),
            },
            Self::Violation(code) => write!(f, "it breaks the protocol: {}", code.name()),
            Self::Timeout => f.write_str("it took too long"),
        }
    }
}

struct List {
    servers: Vec<ServerRecord>,
    unproven: usize,
}

struct Exchanged {
    peer: RendezvousLink,
    list: Result<List, Failure>,
}

/// Exchanges lists with each peer whenever it is its turn, for ever.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut exchanges = JoinSet::new();
    loop {
        let now = inner.ticks.now();
        let next = {
            let mut gossip = lock(&inner);
            while let Some(peer) = gossip.poll_due(now) {
                exchanges.spawn(exchange(peer, inner.own(), inner.private()));
            }
            gossip.next_due()
        };
        let next = async {
            match next {
                Some(due) => sleep_until(inner.ticks.instant(due)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = next => {}
            Some(Ok(done)) = exchanges.join_next() => take(&inner, done),
        }
    }
}

fn lock(inner: &Inner) -> MutexGuard<'_, Gossip> {
    inner.gossip.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn exchange(peer: RendezvousLink, own: ServerRecord, private: bool) -> Exchanged {
    let list = timeout(EXCHANGE_TIME, ask(&peer, &own, private)).await;
    Exchanged {
        list: list.unwrap_or(Err(Failure::Timeout)),
        peer,
    }
}

async fn ask(peer: &RendezvousLink, own: &ServerRecord, private: bool) -> Result<List, Failure> {
    let trust = peer.spki.map_or(Trust::Name, Trust::Pin);
    let connected = connect(&peer.endpoint, &trust, !private).await;
    let mut tls = connected.map_err(Failure::Connect)?;
    let mut machine = RendezvousClient::new(*tls.exporter());
    let question = machine.servers(Some(own));
    let question = question.map_err(|_| Failure::Violation(ErrorCode::Busy))?;
    tls.send(&question).await.map_err(Failure::Stream)?;
    let event = loop {
        let answer = tls.next().await.map_err(Failure::Stream)?;
        let event = machine.handle(&answer, clock::wall());
        if let Some(event) = event.map_err(Failure::Violation)? {
            break event;
        }
    };
    tls.close().await;
    match event {
        RendezvousEvent::Servers {
            servers, refused, ..
        } => Ok(List {
            servers,
            unproven: refused,
        }),
        RendezvousEvent::Refused { code, .. } => Err(Failure::Refused(code)),
        _ => Err(Failure::Violation(ErrorCode::ProtocolViolation)),
    }
}

/// What is logged says which peer by its place in the settings: names stay out of the log.
fn take(inner: &Inner, done: Exchanged) {
    let place = inner.place_of(&done.peer);
    let peer = done.peer.server;
    let now = (inner.ticks.now(), clock::wall());
    let metrics = &inner.metrics;
    match done.list {
        Ok(list) => {
            let told = lock(inner).handle_list(&peer, list.servers, now, &mut rand::rng());
            match told {
                Ok(Told { refused, .. }) => {
                    metrics.exchange("answered");
                    metrics.refuse_candidates(refused.saturating_add(list.unproven));
                }
                Err(_) => {
                    metrics.exchange("another server");
                    tracing::warn!(
                        peer = place,
                        "a peer answers as another server: ask for its link again"
                    );
                }
            }
        }
        Err(failure) => {
            metrics.exchange("failed");
            let failures = lock(inner).handle_failure(&peer, now.0, &mut rand::rng());
            if failures == 1 {
                tracing::warn!(peer = place, %failure, "a peer does not answer");
            }
        }
    }
    show(inner);
}

/// Brings the gauge of named servers up to date.
pub(crate) fn show(inner: &Inner) {
    let named = lock(inner)
        .named((inner.ticks.now(), clock::wall()))
        .count();
    let named = i64::try_from(named).unwrap_or(i64::MAX);
    inner.metrics.servers.set(named);
}

/// Keeps what somebody says to be who comes from `source`, if the place that it names is there:
/// nobody is named at somebody else's door.
pub(crate) async fn hear(inner: &Inner, record: ServerRecord, source: IpAddr, bucket: u64) {
    let kept = match is_at(inner, record.endpoint(), source).await {
        true => lock(inner)
            .handle_announcement(bucket, record, clock::wall())
            .is_ok(),
        false => false,
    };
    if !kept {
        inner.metrics.refuse_candidates(1);
    }
}

async fn is_at(inner: &Inner, endpoint: &Endpoint, source: IpAddr) -> bool {
    let source = source.to_canonical();
    if let Some(ip) = endpoint.ip() {
        return ip.to_canonical() == source;
    }
    let Ok(_permit) = inner.dial_backs.try_acquire() else {
        return false;
    };
    let found = lookup_host((endpoint.host(), endpoint.port()));
    match timeout(LOOKUP_TIME, found).await {
        Ok(Ok(mut found)) => found
            .by_ref()
            .take(MAX_CANDIDATES_PER_SOURCE)
            .any(|address| address.ip().to_canonical() == source),
        Ok(Err(_)) | Err(_) => false,
    }
}

/// All that this server names, itself first.
pub(crate) fn named(inner: &Inner) -> Vec<SignedServer> {
    let own = inner.own();
    let gossip = lock(inner);
    let others = gossip.named((inner.ticks.now(), clock::wall()));
    std::iter::once(&own)
        .chain(others)
        .map(SignedServer::from)
        .collect()
}
