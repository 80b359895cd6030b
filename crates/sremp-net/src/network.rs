//! The owner's handle on all links.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sremp_core::{
    channel::{LocalIdentity, ReassemblyBudget},
    constants::DRAIN_TIMEOUT,
    error::ErrorCode,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Duration, timeout},
};

use crate::{
    AdmissionLimits, CloseReason, DialTarget, LinkEvent, LinkHandle, LinkId, Listening, Serve,
    accept, clock::Clock, dial, gate::Gate, link::Commands,
};

/// Dials, listens, and ends it all.
///
/// Events of all links come through the channel given to [`Network::new`]. When its receiver is
/// dropped, every link closes.
#[derive(Debug)]
pub struct Network {
    shared: Arc<Shared>,
    shutdown: watch::Sender<Option<ErrorCode>>,
}

/// What every task of a network needs.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) identity: watch::Receiver<Arc<LocalIdentity>>,
    pub(crate) events: mpsc::Sender<LinkEvent>,
    pub(crate) clock: Clock,
    pub(crate) gate: Arc<Gate>,
    pub(crate) reassembly: ReassemblyBudget,
    next_link: AtomicU64,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl Shared {
    pub(crate) fn new_link(&self) -> LinkId {
        LinkId(self.next_link.fetch_add(1, Ordering::Relaxed))
    }

    /// Our side, as of now: a rotated key takes effect for the next link.
    pub(crate) fn local(&self) -> Arc<LocalIdentity> {
        self.identity.borrow().clone()
    }

    /// Counts an inbound connection that did not open.
    pub(crate) fn count(&self, reason: &CloseReason) {
        self.count_cause(match reason {
            CloseReason::Local(code) | CloseReason::Own(code) => code.name(),
            CloseReason::Peer(_) => "closed by the peer",
            CloseReason::Truncated => "broken off",
            CloseReason::Io(_) | CloseReason::NameNotFound => "network",
            CloseReason::PrivateAddress => "private address",
        });
    }

    pub(crate) fn count_cause(&self, cause: &'static str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let count = refused.entry(cause).or_default();
        *count = count.saturating_add(1);
    }
}

/// Time for the owner to be told of closed links when the network shuts down, beyond the draining.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

impl Network {
    /// A network without links. `identity` is read at the start of every link.
    pub fn new(
        identity: watch::Receiver<Arc<LocalIdentity>>,
        events: mpsc::Sender<LinkEvent>,
        limits: AdmissionLimits,
    ) -> Self {
        let shared = Shared {
            identity,
            events,
            clock: Clock::start(),
            gate: Gate::new(limits),
            reassembly: ReassemblyBudget::default(),
            next_link: AtomicU64::new(1),
            refused: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            shutdown: watch::Sender::new(None),
        }
    }

    /// Dials, within 6 s; the outcome comes as `Shown` and `Opened`, or `Closed`. Messages that are
    /// queued at once can leave before the peer has answered (see [`DialTarget::pinned_noise_key`]).
    ///
    /// Must be called within a tokio runtime.
    pub fn dial(&self, target: DialTarget) -> (LinkId, LinkHandle) {
        let link = self.shared.new_link();
        let (handle, commands) = Commands::new(link);
        let dialling = dial::Dialling {
            link,
            target,
            handle: handle.clone(),
            commands,
            shared: self.shared.clone(),
            shutdown: self.shutdown.subscribe(),
        };
        tokio::spawn(dialling.run());
        (link, handle)
    }

    /// Listens until the result is dropped or the network shuts down.
    ///
    /// # Errors
    /// The operating system's, with an address in use told in words.
    pub async fn listen(&self, addr: SocketAddr) -> io::Result<Listening> {
        let (shared, shutdown) = (self.shared.clone(), self.shutdown.clone());
        accept::listen(addr, shared, shutdown, accept::Links)
    }

    /// Serves until the result is dropped or the network shuts down: connections are the server's,
    /// and no [`LinkEvent`] tells of them.
    ///
    /// # Errors
    /// The operating system's, with an address in use told in words.
    pub async fn serve<T: Serve>(&self, addr: SocketAddr, server: Arc<T>) -> io::Result<Listening> {
        let (shared, shutdown) = (self.shared.clone(), self.shutdown.clone());
        accept::listen(addr, shared, shutdown, accept::Guests(server))
    }

    /// Closes every link with this code after what is queued, and waits until all are gone, at
    /// most 6 s. Events have to be received meanwhile.
    pub async fn shutdown(&self, code: ErrorCode) {
        self.shutdown.send_replace(Some(code));
        let _ = timeout(DRAIN_TIMEOUT + SHUTDOWN_GRACE, self.shutdown.closed()).await;
    }

    /// Inbound connections that were refused or did not open, by cause; of a server also those that
    /// had to be ended.
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        let refused = self.shared.refused.lock();
        refused.unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[cfg(test)]
    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    #[cfg(test)]
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<ErrorCode>> {
        self.shutdown.subscribe()
    }
}
