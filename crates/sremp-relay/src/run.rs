//! A relay from its start to its end.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

pub use sremp_core::contact_card::{RelayLink, RelayLinkError};
use sremp_core::{
    channel::LocalIdentity, contact_card::Endpoint, error::ErrorCode, identity::SecretIdentity,
};
use sremp_net::{Listening, Network};
use sremp_server::operations::{self, Readiness, Render};
use tokio::{
    sync::{Notify, oneshot, watch},
    task::JoinSet,
};

use crate::{
    answers::{self, MAX_UNANSWERED},
    check::{self, Check},
    clock::Clock,
    committer::{self, Committer},
    config::Config,
    desk::{self, Job},
    forward::Forwarder,
    intake::{Intake, Work},
    invite::{InviteKey, UsedInvites},
    limits::Limits,
    mailbox::{MailboxStore, StoreError},
    metrics::Metrics,
    seats::Seats,
    service::{Inner, Service},
    stores,
    writer::SharedWriter,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Events of links to other relays that wait for the forwarder.
const EVENTS: usize = 64;

/// What a relay starts with.
#[derive(Debug)]
pub struct Start<S> {
    /// Its keys.
    pub identity: SecretIdentity,
    /// Its settings.
    pub config: Config,
    /// Where it keeps everything.
    pub store: S,
    /// Single-use invites that were used.
    pub used_invites: UsedInvites,
}

/// Why a relay did not start, or did not go on.
#[derive(Debug)]
pub enum RunError {
    /// It cannot listen there.
    Listen(SocketAddr, std::io::Error),
    /// Nothing can be stored any more.
    Store(StoreError),
    /// The operating system refused a thread.
    System(std::io::Error),
    /// The advertised address is none.
    Advertise(String),
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Store(error) => error.fmt(f),
            Self::System(error) => write!(f, "the system refuses a thread: {error}"),
            Self::Advertise(text) => write!(
                f,
                "`advertise` says {text}, which is no address; write HOST:PORT"
            ),
        }
    }
}

impl std::error::Error for RunError {}

/// A relay that serves. Dropped without [`Running::shutdown`] it stops as if killed, and loses
/// nothing that it has acknowledged.
pub struct Running {
    link: RelayLink,
    local: SocketAddr,
    operations: Option<SocketAddr>,
    listening: Listening,
    network: Arc<Network>,
    metrics: Render,
    intake: Intake,
    desk: mpsc::Sender<Job>,
    checks: mpsc::SyncSender<Check>,
    readiness: Readiness,
    draining: Arc<dyn Fn() + Send + Sync>,
    committer: oneshot::Receiver<Result<(), StoreError>>,
    reader: JoinHandle<()>,
    checker: JoinHandle<()>,
    _tasks: JoinSet<()>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({})", self.local)
    }
}

/// The relay's link without invite: what it advertises, else where it listens.
///
/// # Errors
/// [`RunError::Advertise`].
pub fn link(
    identity: &SecretIdentity,
    config: &Config,
    local: SocketAddr,
) -> Result<RelayLink, RunError> {
    let text = config.advertise.clone().unwrap_or_else(|| {
        // a wildcard is no place that others could dial
        let unspecified = local.ip().is_unspecified();
        match unspecified {
            true => format!("127.0.0.1:{}", local.port()),
            false => local.to_string(),
        }
    });
    let endpoint: Endpoint = text.parse().map_err(|_| RunError::Advertise(text))?;
    RelayLink::new(identity.id(), endpoint, None)
        .map_err(|_| RunError::Advertise(local.to_string()))
}

/// Starts a relay. It accepts when this returns. Must be called within a tokio runtime.
///
/// # Errors
/// [`RunError`].
pub async fn start<S: MailboxStore>(start: Start<S>) -> Result<Running, RunError> {
    let Start {
        identity,
        config,
        store,
        used_invites,
    } = start;
    let (events_in, events) = tokio::sync::mpsc::channel(EVENTS);
    let own = watch::channel(Arc::new(LocalIdentity::new(&identity))).1;
    let network = Arc::new(Network::new(own, events_in, config.admission()));
    let (intake, work) = Intake::new(config.guards.queue);
    let (desk_in, jobs) = mpsc::channel();
    let (checks_in, checks) = check::queue();
    let inner = Arc::new(Inner {
        limits: Limits::new(&config.rates),
        invites: InviteKey::of(&identity),
        used_invites,
        metrics: Metrics::new(),
        seats: Seats::default(),
        intake: intake.clone(),
        desk: desk_in.clone(),
        checks: checks_in.clone(),
        reader: store.reader(),
        clock: Clock::start(),
        forward: Notify::new(),
        draining: AtomicBool::new(false),
        identity,
        config,
    });
    let (committing, queue) = committer::queue();
    let (answers, answered) = tokio::sync::mpsc::channel(MAX_UNANSWERED);
    let writer = SharedWriter::new(store, inner.clone());
    let committer = Committer {
        writer: writer.clone(),
        queue,
        answers,
        inner: inner.clone(),
    };
    let committer = committer.spawn().map_err(RunError::System)?;
    let reader = desk::spawn(jobs, inner.clone()).map_err(RunError::System)?;
    let checker = check::spawn(checks, inner.clone()).map_err(RunError::System)?;

    let wanted = inner.config.listen;
    let service = Arc::new(Service(inner.clone()));
    let listening = network.serve(wanted, service).await;
    let listening = listening.map_err(|error| RunError::Listen(wanted, error))?;
    let local = listening.local_addr();
    let readiness = Readiness::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(stores::run(inner.clone(), work, writer, committing));
    tasks.spawn(answers::run(inner.clone(), answered));
    let mut operations = None;
    let metrics: Render = Arc::new({
        let (metrics, network) = (inner.metrics.clone(), network.clone());
        move || {
            metrics.show_ended(&network.refused());
            metrics.render()
        }
    });
    if let Some(address) = inner.config.operations {
        let listener = operations::bind(address).await;
        let listener = listener.map_err(|error| RunError::Listen(address, error))?;
        operations = listener.local_addr().ok();
        let shown = (metrics.clone(), readiness.clone());
        tasks.spawn(async move {
            let served = operations::serve(listener, shown.0, shown.1);
            if let Err(error) = served.await {
                tracing::error!(%error, "metrics are not served any more");
            }
        });
    }
    tasks.spawn(every(MINUTE, {
        let inner = inner.clone();
        move || {
            inner.purge();
            inner.limits.tidy();
        }
    }));
    tasks.spawn(every(DAY, {
        let inner = inner.clone();
        move || inner.limits.new_day()
    }));
    tasks.spawn(Forwarder::new(inner.clone(), network.clone()).run(events));
    readiness.set(true);
    Ok(Running {
        link: link(&inner.identity, &inner.config, local)?,
        local,
        operations,
        listening,
        network,
        metrics,
        intake,
        desk: desk_in,
        checks: checks_in,
        readiness,
        draining: Arc::new(move || inner.draining.store(true, Ordering::Relaxed)),
        committer,
        reader,
        checker,
        _tasks: tasks,
    })
}

async fn every(period: Duration, work: impl Fn()) {
    let mut ticks = tokio::time::interval(period);
    loop {
        ticks.tick().await;
        work();
    }
}

impl Running {
    /// The relay's link, without invite.
    pub const fn link(&self) -> &RelayLink {
        &self.link
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Where metrics are.
    pub const fn operations_addr(&self) -> Option<SocketAddr> {
        self.operations
    }

    /// What it has counted, as `/metrics` shows it.
    pub fn metrics(&self) -> String {
        (self.metrics)()
    }

    /// Waits until the relay cannot go on.
    pub async fn failed(&mut self) -> RunError {
        match (&mut self.committer).await {
            Ok(Err(error)) => RunError::Store(error),
            Ok(Ok(())) | Err(_) => RunError::Store(StoreError::Stopped),
        }
    }

    /// Takes nothing new, answers what was taken, parts from everybody, and ends.
    pub async fn shutdown(self) {
        self.readiness.set(false);
        (self.draining)();
        drop(self.listening);
        let (barrier, done) = mpsc::sync_channel(1);
        self.intake.insist(Work::Barrier(barrier));
        let drained = tokio::task::spawn_blocking(move || done.recv());
        let _ = drained.await;
        self.network.shutdown(ErrorCode::GoingAway).await;
        self.intake.insist(Work::Stop);
        let _ = self.desk.send(Job::Stop);
        let _ = self.committer.await;
        let (checks, checker, reader) = (self.checks, self.checker, self.reader);
        let ended = tokio::task::spawn_blocking(move || {
            // it may have to make room first
            let _ = checks.send(Check::Stop);
            let _ = checker.join();
            let _ = reader.join();
        });
        let _ = ended.await;
    }
}
