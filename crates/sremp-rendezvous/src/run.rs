//! A server from its start to its end.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

pub use sremp_core::rendezvous::{RendezvousLink, RendezvousLinkError};
use sremp_core::{
    channel::LocalIdentity,
    constants::SERVER_RENEWAL,
    contact_card::Endpoint,
    identity::SecretIdentity,
    rendezvous::{
        Directory, Gossip, ServerRecord, ServerRecordDraft, SpkiHash, address::may_be_public,
    },
};
use sremp_net::{
    clock::{self, Clock},
    tls::{self, TlsListening},
};
use sremp_server::{
    home::ServerLock,
    operations::{self, Readiness, Render},
};
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinSet,
};

use crate::{
    certificates::{Certificates, CertificatesError},
    config::Config,
    directory::{DirectoryStore, EmbeddedStore, StoreError},
    gossip,
    home::{HomeError, RendezvousHome},
    keeper::Keeper,
    limits::Limits,
    metrics::Metrics,
    service::{Inner, Service},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the server's word on itself holds, for those who keep it.
const OWN_RECORD: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Why a server did not start, or did not go on.
#[derive(Debug)]
pub enum RunError {
    /// Its directory.
    Home(HomeError),
    /// Its certificate.
    Certificate(CertificatesError),
    /// It cannot listen there.
    Listen(SocketAddr, std::io::Error),
    /// Nothing can be registered any more.
    Store(StoreError),
    /// The operating system refused a thread.
    System(std::io::Error),
    /// The advertised address is none.
    Advertise(String),
    /// A peer lies at a private address.
    PrivatePeer(Endpoint),
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Home(error) => error.fmt(f),
            Self::Certificate(error) => error.fmt(f),
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Store(error) => error.fmt(f),
            Self::System(error) => write!(f, "the system refuses a thread: {error}"),
            Self::Advertise(text) => {
                write!(
                    f,
                    "{text} cannot be advertised: set `advertise` to HOST:PORT"
                )
            }
            Self::PrivatePeer(endpoint) => write!(
                f,
                "`peers` names {endpoint}, a private address: set `allow_private_addresses`, or take it out"
            ),
        }
    }
}

impl std::error::Error for RunError {}

impl From<HomeError> for RunError {
    fn from(error: HomeError) -> Self {
        Self::Home(error)
    }
}

impl From<CertificatesError> for RunError {
    fn from(error: CertificatesError) -> Self {
        Self::Certificate(error)
    }
}

impl From<StoreError> for RunError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What is advertised: the setting, else where it listens.
pub(crate) fn advertised(config: &Config, local: SocketAddr) -> Result<Endpoint, RunError> {
    match config.advertised() {
        Ok(Some(endpoint)) => return Ok(endpoint),
        Ok(None) => {}
        Err(_) => return Err(RunError::Advertise(config.advertise.clone())),
    }
    let mut at = local;
    // a wildcard is no place that others could dial
    if at.ip().is_unspecified() {
        at.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    // port 0 is not known before it listens
    if at.port() == 0 {
        at.set_port(1);
    }
    Endpoint::try_from(at).map_err(|_| RunError::Advertise(local.to_string()))
}

/// The server's link.
pub(crate) fn link(
    identity: &SecretIdentity,
    config: &Config,
    local: SocketAddr,
    spki: Option<SpkiHash>,
) -> Result<RendezvousLink, RunError> {
    Ok(RendezvousLink {
        server: identity.id(),
        endpoint: advertised(config, local)?,
        spki,
    })
}

fn peers(config: &Config) -> Result<Vec<RendezvousLink>, RunError> {
    let peers = config.peers().unwrap_or_default();
    let allowed =
        |link: &&RendezvousLink| config.allow_private_addresses || may_be_public(&link.endpoint);
    match peers.iter().find(|link| !allowed(link)) {
        Some(inside) => Err(RunError::PrivatePeer(inside.endpoint.clone())),
        None => Ok(peers),
    }
}

fn own_record(identity: &SecretIdentity, link: &RendezvousLink) -> Result<ServerRecord, RunError> {
    let draft = ServerRecordDraft {
        endpoint: link.endpoint.clone(),
        spki: link.spki,
        issued: clock::wall(),
        ttl: OWN_RECORD,
    };
    let wrong = |_| RunError::Advertise(link.endpoint.to_string());
    ServerRecord::sign(identity, draft).map_err(wrong)
}

/// A server that serves. Dropped without [`Running::shutdown`] it stops as if killed, and loses
/// nothing that it has acknowledged.
pub struct Running {
    link: RendezvousLink,
    operations: Option<SocketAddr>,
    listening: Arc<TlsListening>,
    metrics: Render,
    readiness: Readiness,
    keeper: Keeper,
    ended: oneshot::Receiver<Result<(), StoreError>>,
    tasks: JoinSet<()>,
    _lock: ServerLock,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({})", self.listening.local_addr())
    }
}

/// Starts the server of a directory; with `allow_private`, whatever the settings say, it takes
/// private addresses. It accepts when this returns. Must be called within a tokio runtime.
///
/// # Errors
/// [`RunError`].
pub async fn start(home: &RendezvousHome, allow_private: bool) -> Result<Running, RunError> {
    let lock = home.lock()?;
    let (identity, mut config) = (home.identity()?, home.config()?);
    config.allow_private_addresses |= allow_private;
    let mut certificates = Certificates::load(home, &config)?;
    let mut store = EmbeddedStore::open(&home.database_path())?;
    let mut kept = Vec::new();
    store.load(&mut |entry| kept.push(entry))?;
    let directory = Directory::restored(config.max_registrations, rand::random(), kept);
    let directory = Arc::new(RwLock::new(directory));
    let metrics = Metrics::new();
    let (keeper, ended) =
        Keeper::start(store, directory.clone(), metrics.clone()).map_err(RunError::System)?;
    let operations_at = config.operations().unwrap_or_default();
    let dial_backs = config.connections.dial_backs.min(Semaphore::MAX_PERMITS);
    let first = link(&identity, &config, config.listen, certificates.pin())?;
    let peers = peers(&config)?;
    let ticks = Clock::start();
    let gossip = Gossip::new(
        identity.id(),
        &peers,
        config.peers_every(),
        config.allow_private_addresses,
        ticks.now(),
        &mut rand::rng(),
    );
    let inner = Arc::new(Inner {
        local: Arc::new(LocalIdentity::new(&identity)),
        limits: Limits::new(&config.rates),
        metrics: metrics.clone(),
        directory,
        keeper: keeper.clone(),
        gossip: Mutex::new(gossip),
        peers,
        ticks,
        own: RwLock::new(own_record(&identity, &first)?),
        dial_backs: Semaphore::new(dial_backs),
        config,
    });
    let (wanted, limits) = (inner.config.listen, inner.config.tls_limits());
    let service = Arc::new(Service(inner.clone()));
    let listening = tls::listen(wanted, &certificates.current, limits, service);
    let listening = Arc::new(listening.map_err(|error| RunError::Listen(wanted, error))?);
    let link = link(
        &identity,
        &inner.config,
        listening.local_addr(),
        certificates.pin(),
    )?;
    let renew = {
        let (inner, link) = (inner.clone(), link.clone());
        move || {
            if let Ok(own) = own_record(&identity, &link) {
                *inner.own.write().unwrap_or_else(PoisonError::into_inner) = own;
            }
        }
    };
    // with the port that it has got
    renew();
    let mut tasks = JoinSet::new();
    let readiness = Readiness::default();
    let render: Render = Arc::new({
        let (metrics, listening) = (metrics, Arc::downgrade(&listening));
        move || {
            if let Some(listening) = listening.upgrade() {
                metrics.show_ended(&listening.ended());
            }
            metrics.render()
        }
    });
    let mut operations = None;
    if let Some(address) = operations_at {
        let bound = operations::bind(address).await;
        let bound = bound.map_err(|error| RunError::Listen(address, error))?;
        operations = bound.local_addr().ok();
        let shown = (render.clone(), readiness.clone());
        tasks.spawn(async move {
            if let Err(error) = operations::serve(bound, shown.0, shown.1).await {
                tracing::error!(%error, "metrics are not served any more");
            }
        });
    }
    let tidied = keeper.clone();
    tasks.spawn(every(SECOND, move || tidied.tidy(clock::wall())));
    let limited = inner.clone();
    #[cfg(feature = "acme")]
    let authority = certificates.authority();
    tasks.spawn(every(MINUTE, move || {
        limited.limits.tidy();
        gossip::show(&limited);
        match certificates.reload() {
            Ok(true) => {
                limited.metrics.certificate("shown");
                tracing::info!("another certificate is shown from now on");
            }
            Ok(false) => {}
            Err(error) => {
                limited.metrics.certificate("refused");
                tracing::error!(%error, "the certificate before stays in use");
            }
        }
    }));
    tasks.spawn(every(SERVER_RENEWAL, renew));
    tasks.spawn(gossip::run(inner.clone()));
    readiness.set(true);
    #[cfg(feature = "acme")]
    if let Some(authority) = authority {
        readiness.set(authority.is_good());
        tasks.spawn(authority.attend(inner.metrics.clone(), readiness.clone()));
    }
    tasks.spawn(every(DAY, move || inner.limits.new_day()));
    Ok(Running {
        link,
        operations,
        listening,
        metrics: render,
        readiness,
        keeper,
        ended,
        tasks,
        _lock: lock,
    })
}

async fn every(period: Duration, mut work: impl FnMut()) {
    let mut ticks = tokio::time::interval(period);
    loop {
        ticks.tick().await;
        work();
    }
}

impl Running {
    /// The server's link.
    pub const fn link(&self) -> &RendezvousLink {
        &self.link
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.listening.local_addr()
    }

    /// Where metrics are.
    pub const fn operations_addr(&self) -> Option<SocketAddr> {
        self.operations
    }

    /// What it has counted, as `/metrics` shows it.
    pub fn metrics(&self) -> String {
        (self.metrics)()
    }

    /// Waits until the server cannot go on.
    pub async fn failed(&mut self) -> RunError {
        match (&mut self.ended).await {
            Ok(Err(error)) => error.into(),
            Ok(Ok(())) | Err(_) => StoreError::Stopped.into(),
        }
    }

    /// Takes nothing new, answers what was taken, and ends.
    pub async fn shutdown(mut self) {
        self.readiness.set(false);
        self.tasks.shutdown().await;
        if let Some(listening) = Arc::into_inner(self.listening) {
            listening.close().await;
        }
        let keeper = self.keeper;
        let stopped = tokio::task::spawn_blocking(move || keeper.stop());
        let _ = stopped.await;
        let _ = self.ended.await;
    }
}
