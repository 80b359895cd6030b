//! A server's side: a permit before any work, one task for each connection (D5.1).

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use rustls::ServerConfig;
use sremp_core::{
    channel::Message,
    constants::{HELLO_TIMEOUT, MAX_RDV_REQUEST, RDV_ALPN},
    rendezvous::ExporterValue,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinHandle,
    time::{Duration, sleep, sleep_until, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    Certificate, StreamError, certificate::CHALLENGE_ALPN, exporter, rooms::Rooms,
    stream::Messages, turns::in_turns,
};
use crate::{
    accept::bind,
    clock::Clock,
    gate::{AddressKey, AdmissionLimits, Gate, Permit},
};

/// Rest after a failing accept, as when file handles have run out.
const REST: Duration = Duration::from_millis(100);

/// What nobody but the peer can bring about, as TLS lets nobody else say anything.
const BROKEN: [&str; 3] = ["PROTOCOL_VIOLATION", "TOO_LARGE", "FRAME_INVALID"];

/// A connection whose handshake is done.
#[derive(Clone, Copy, Debug)]
pub struct TlsArrival {
    /// From where it comes.
    pub source: IpAddr,
    /// What it exports.
    pub exporter: ExporterValue,
}

/// Answers connections.
pub trait TlsServe: Send + Sync + 'static {
    /// What answers one of them.
    type Guest: TlsGuest;

    /// A connection is open.
    fn arrived(&self, arrival: TlsArrival) -> Self::Guest;
}

/// Answers one connection; dropped when it is over.
pub trait TlsGuest: Send + 'static {
    /// Answers a message. Nothing more is read meanwhile.
    fn answer(&mut self, message: Message) -> impl Future<Output = TlsAnswer> + Send;
}

/// What is to be done after a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsAnswer {
    /// Send this.
    Reply(Message),
    /// Nothing.
    Nothing,
    /// Send this, and end the connection.
    End(Message),
}

/// Bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct TlsLimits {
    /// Of connections whose handshake is not done.
    pub admission: AdmissionLimits,
    /// Of open connections.
    pub open: usize,
    /// Of those, from one prefix: an IPv4 address or an IPv6 /64.
    pub open_per_prefix: usize,
}

/// A listener; it stops when this is dropped, and then its connections end after the answer that
/// they are at.
#[derive(Debug)]
pub struct TlsListening {
    local_addr: SocketAddr,
    task: JoinHandle<()>,
    _leave: watch::Sender<()>,
    counts: Counts,
}

impl TlsListening {
    /// The address, with the port that the operating system chose if 0 was asked for.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// How many connections were refused or ended, by cause.
    pub fn ended(&self) -> BTreeMap<&'static str, u64> {
        self.counts
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Stops it; its port is free when this returns.
    pub async fn close(mut self) {
        self.task.abort();
        // what it says is that it was aborted
        let _ = (&mut self.task).await;
    }
}

impl Drop for TlsListening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone, Debug, Default)]
struct Counts(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Counts {
    fn count(&self, cause: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(cause).or_default();
        *count = count.saturating_add(1);
    }
}

/// Listens. Must be called within a tokio runtime.
///
/// # Errors
/// The operating system's.
pub fn listen<T: TlsServe>(
    addr: SocketAddr,
    certificate: &Certificate,
    limits: TlsLimits,
    server: Arc<T>,
) -> io::Result<TlsListening> {
    let acceptors = Acceptors::new(certificate).map_err(io::Error::other)?;
    let listener = bind(addr)?;
    let local_addr = listener.local_addr()?;
    let (leave, leaving) = watch::channel(());
    let counts = Counts::default();
    let door = Door {
        acceptors,
        gate: Gate::new(limits.admission),
        rooms: Arc::new(Rooms::new(limits.open_per_prefix)),
        open: Arc::new(Semaphore::new(limits.open.min(Semaphore::MAX_PERMITS))),
        clock: Clock::start(),
        counts: counts.clone(),
        leaving,
        server,
    };
    let task = tokio::spawn(door.accept(listener));
    Ok(TlsListening {
        local_addr,
        task,
        _leave: leave,
        counts,
    })
}

/// Who is let in: clients, and an authority for as long as it is to look whether a name is ours.
struct Acceptors {
    certificate: Certificate,
    clients: TlsAcceptor,
    authority_too: TlsAcceptor,
}

impl Acceptors {
    fn new(certificate: &Certificate) -> Result<Self, rustls::Error> {
        let acceptor = |protocols: &[&[u8]]| {
            let config: ServerConfig = certificate.server_config(protocols)?;
            Ok::<_, rustls::Error>(TlsAcceptor::from(Arc::new(config)))
        };
        Ok(Self {
            certificate: certificate.clone(),
            clients: acceptor(&[RDV_ALPN])?,
            authority_too: acceptor(&[RDV_ALPN, CHALLENGE_ALPN])?,
        })
    }

    fn now(&self) -> &TlsAcceptor {
        match self.certificate.is_challenged() {
            true => &self.authority_too,
            false => &self.clients,
        }
    }
}

struct Door<T> {
    acceptors: Acceptors,
    gate: Arc<Gate>,
    open: Arc<Semaphore>,
    rooms: Arc<Rooms>,
    clock: Clock,
    counts: Counts,
    leaving: watch::Receiver<()>,
    server: Arc<T>,
}

impl<T: TlsServe> Door<T> {
    async fn accept(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                // a stream that is not let in is dropped: no byte is read or written for it
                Ok((stream, peer)) => self.admit(stream, peer.ip()),
                Err(error) => {
                    tracing::warn!(%error, "accepting connections failed, trying again");
                    sleep(REST).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, source: IpAddr) {
        let Ok(open) = self.open.clone().try_acquire_owned() else {
            return self.counts.count("open connections");
        };
        let half_open = match self.gate.admit(source, self.clock.now()) {
            Ok(permit) => permit,
            Err(cause) => return self.counts.count(cause),
        };
        // without it the connection works, only slower
        let _ = stream.set_nodelay(true);
        let visit = Visit {
            acceptor: self.acceptors.now().clone(),
            gate: self.gate.clone(),
            rooms: self.rooms.clone(),
            clock: self.clock,
            server: self.server.clone(),
            source,
            from: half_open.from,
            leaving: self.leaving.clone(),
            _open: open,
        };
        let counts = self.counts.clone();
        tokio::spawn(async move { counts.count(visit.run(stream, half_open).await) });
    }
}

/// One connection.
struct Visit<T> {
    acceptor: TlsAcceptor,
    gate: Arc<Gate>,
    rooms: Arc<Rooms>,
    clock: Clock,
    server: Arc<T>,
    source: IpAddr,
    from: AddressKey,
    leaving: watch::Receiver<()>,
    _open: OwnedSemaphorePermit,
}

impl<T: TlsServe> Visit<T> {
    /// Why it ended.
    async fn run(mut self, stream: TcpStream, half_open: Permit) -> &'static str {
        let shaken = timeout(HELLO_TIMEOUT, self.handshake(stream, &half_open));
        let stream = match shaken.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(_)) => return "HANDSHAKE_FAILED",
            Err(_) => return "TIMEOUT",
        };
        drop(half_open);
        // it has seen the certificate, and that is all it came for
        if stream.get_ref().1.alpn_protocol() == Some(CHALLENGE_ALPN) {
            Messages::new(stream, MAX_RDV_REQUEST).close().await;
            return "certificate challenge";
        }
        let Some(_room) = self.rooms.enter(self.from) else {
            return "open connections of one address";
        };
        let (_, connection) = stream.get_ref();
        // rustls lets a client through that offers no ALPN at all
        let spoken = connection.alpn_protocol() == Some(RDV_ALPN);
        let exporter = exporter(connection).filter(|_| spoken);
        let mut messages = Messages::new(stream, MAX_RDV_REQUEST);
        let Some(exporter) = exporter else {
            messages.close().await;
            return "HANDSHAKE_FAILED";
        };
        let arrival = TlsArrival {
            source: self.source,
            exporter,
        };
        let ended = self.serve(&mut messages, arrival).await;
        if BROKEN.contains(&ended) {
            self.gate.violated(self.from, None, self.clock.now());
        }
        messages.close().await;
        ended
    }

    /// Nothing is read before the turn of this address has come, and nothing computed before the turn
    /// of this handshake: a flood of them must not keep those waiting who are connected.
    async fn handshake(
        &self,
        stream: TcpStream,
        half_open: &Permit,
    ) -> io::Result<TlsStream<TcpStream>> {
        if half_open.turn > self.clock.now() {
            sleep_until(self.clock.instant(half_open.turn)).await;
        }
        in_turns(self.gate.handshakes(), self.acceptor.accept(stream)).await
    }

    async fn serve(
        &mut self,
        messages: &mut Messages<TlsStream<TcpStream>>,
        arrival: TlsArrival,
    ) -> &'static str {
        let mut guest = self.server.arrived(arrival);
        loop {
            let message = tokio::select! {
                message = messages.next() => message,
                _ = self.leaving.changed() => return "GOING_AWAY",
            };
            let answered: Result<(), StreamError> = match message {
                Ok(message) => match guest.answer(message).await {
                    TlsAnswer::Reply(reply) => messages.send(&reply).await,
                    TlsAnswer::Nothing => Ok(()),
                    TlsAnswer::End(last) => {
                        let _ = messages.send(&last).await;
                        return "PROTOCOL_VIOLATION";
                    }
                },
                Err(error) => Err(error),
            };
            if let Err(error) = answered {
                return error.cause();
            }
        }
    }
}
