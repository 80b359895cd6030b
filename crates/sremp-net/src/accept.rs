//! Listening: a permit before any work (D1.12).

use std::{
    future::poll_fn,
    hint::black_box,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

use sremp_core::{
    channel::{Accept, Channel, Direction, Service},
    error::ErrorCode,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::AbortHandle,
    time::{Duration, sleep, sleep_until},
};

use crate::{
    gate::Permit,
    link::Commands,
    network::Shared,
    pump::Pump,
    serve::{Serve, Served},
    socket,
    task::{LinkTask, asked_to_leave},
};

/// Connections that the operating system may hold before they are accepted.
const BACKLOG: u32 = 1024;
/// Rest after a failing accept, as when file handles have run out; doubled up to [`MAX_REST`].
const MIN_REST: Duration = Duration::from_millis(10);
const MAX_REST: Duration = Duration::from_secs(1);

/// A listener; it stops when this is dropped. Its links go on.
#[derive(Debug)]
pub struct Listening {
    local_addr: SocketAddr,
    task: AbortHandle,
}

impl Listening {
    /// The address, with the port that the operating system chose if 0 was asked for.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is done with a stream that was let in.
pub(crate) trait Spawn: Send + Sync + 'static {
    fn spawn(
        &self,
        stream: TcpStream,
        permit: Permit,
        shared: &Arc<Shared>,
        shutdown: watch::Receiver<Option<ErrorCode>>,
    );
}

pub(crate) fn listen(
    addr: SocketAddr,
    shared: Arc<Shared>,
    shutdown: watch::Sender<Option<ErrorCode>>,
    spawn: impl Spawn,
) -> io::Result<Listening> {
    let listener = bind(addr)?;
    let local_addr = listener.local_addr()?;
    let task = tokio::spawn(accept(listener, shared, shutdown, spawn)).abort_handle();
    Ok(Listening { local_addr, task })
}

pub(crate) fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    bound(addr).map_err(|error| in_words(addr, error))
}

fn bound(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // a restart must not wait for connections of the last run to be forgotten
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

fn in_words(addr: SocketAddr, error: io::Error) -> io::Error {
    let told = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("another program listens on {addr} already: stop it or choose another port")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no address {}", addr.ip())
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "not allowed to listen on port {}: choose one from 1024",
                addr.port()
            )
        }
        _ => return error,
    };
    io::Error::new(error.kind(), told)
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    shutdown: watch::Sender<Option<ErrorCode>>,
    spawn: impl Spawn,
) {
    let spawn = Arc::new(spawn);
    let mut leaving = shutdown.subscribe();
    let mut rest = MIN_REST;
    loop {
        let accepted = poll_fn(|cx| {
            let accepted = poll_accept(&listener, &shared, cx);
            wipe_stack();
            accepted
        });
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            _ = asked_to_leave(&mut leaving) => return,
        };
        match accepted {
            Ok(Ok((stream, permit))) => {
                rest = MIN_REST;
                socket::prepare(&stream);
                let leaving = shutdown.subscribe();
                if permit.turn <= shared.clock.now() {
                    spawn.spawn(stream, permit, &shared, leaving);
                } else {
                    tokio::spawn(wait(spawn.clone(), stream, permit, shared.clone(), leaving));
                }
            }
            // the stream is dropped: no byte was read or written for it
            Ok(Err(cause)) => {
                rest = MIN_REST;
                shared.count_cause(cause);
            }
            Err(error) => {
                tracing::warn!(%error, "accepting connections failed, trying again");
                sleep(rest).await;
                rest = (rest * 2).min(MAX_REST);
            }
        }
    }
}

/// A stream, and whether it may go on. Where it comes from is a hash from here on: the address is
/// on the stack of this call alone.
#[inline(never)]
fn poll_accept(
    listener: &TcpListener,
    shared: &Shared,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Result<(TcpStream, Permit), &'static str>>> {
    listener.poll_accept(cx).map_ok(|(stream, peer)| {
        let permit = shared.gate.admit(peer.ip(), shared.clock.now());
        permit.map(|permit| (stream, permit))
    })
}

/// More than [`poll_accept`] and what it calls have used.
const WIPED: usize = 8 * 1024;

/// Overwrites what the call before has left on the stack. Later calls do so, too, mostly; whether the
/// last address before a quiet hour stays there is not left to them.
#[inline(never)]
fn wipe_stack() {
    black_box(&mut [0_u8; WIPED]);
}

/// Lets a connection begin when its turn has come, unless the network shuts down before. Until then
/// nothing is read of it, and it is half-open.
async fn wait<S: Spawn>(
    spawn: Arc<S>,
    stream: TcpStream,
    permit: Permit,
    shared: Arc<Shared>,
    mut shutdown: watch::Receiver<Option<ErrorCode>>,
) {
    tokio::select! {
        () = sleep_until(shared.clock.instant(permit.turn)) => {
            spawn.spawn(stream, permit, &shared, shutdown);
        }
        _ = asked_to_leave(&mut shutdown) => {}
    }
}

/// Links whose events the owner gets.
pub(crate) struct Links;

impl Spawn for Links {
    fn spawn(
        &self,
        stream: TcpStream,
        permit: Permit,
        shared: &Arc<Shared>,
        shutdown: watch::Receiver<Option<ErrorCode>>,
    ) {
        tokio::spawn(inbound(stream, permit, shared.clone(), shutdown).run());
    }
}

/// Connections that a server answers.
pub(crate) struct Guests<T>(pub(crate) Arc<T>);

impl<T: Serve> Spawn for Guests<T> {
    fn spawn(
        &self,
        stream: TcpStream,
        permit: Permit,
        shared: &Arc<Shared>,
        shutdown: watch::Receiver<Option<ErrorCode>>,
    ) {
        let server = self.0.clone();
        let served = Served::new(server, stream, permit, shared.clone(), shutdown);
        tokio::spawn(Box::new(served).run());
    }
}

/// The link of a stream that somebody else opened.
pub(crate) fn inbound<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    stream: S,
    permit: Permit,
    shared: Arc<Shared>,
    shutdown: watch::Receiver<Option<ErrorCode>>,
) -> LinkTask<S> {
    let config = Accept {
        local: shared.local(),
        service: Service::P2p,
        reassembly: shared.reassembly.clone(),
    };
    let channel = Channel::accept(config, shared.clock.now(), &mut rand::rng());
    let link = shared.new_link();
    let (handle, commands) = Commands::new(link);
    LinkTask {
        link,
        direction: Direction::Inbound,
        pump: Pump::new(stream, channel, shared.clock).in_turns(shared.gate.clone()),
        commands,
        handle: Some(handle),
        shared,
        shutdown,
        permit: Some(permit),
    }
}
