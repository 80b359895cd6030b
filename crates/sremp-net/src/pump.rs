//! Turns one channel over one stream of bytes.

use std::{
    future::{Future as _, poll_fn},
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use sremp_core::{
    channel::Channel,
    constants::{DRAIN_TIMEOUT, WRITE_STALL_TIMEOUT},
    error::ErrorCode,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::{Instant, Sleep, sleep_until, timeout},
};

use crate::{clock::Clock, gate::Gate};

/// Bytes taken from the operating system at once; they lie on the stack, so that an idle
/// connection holds no buffer.
const READ_SIZE: usize = 16 * 1024;
/// Bytes that are encrypted ahead of the operating system.
const WRITE_BATCH: usize = 64 * 1024;

pub(crate) struct Pump<S> {
    stream: S,
    pub(crate) channel: Channel,
    clock: Clock,
    out: Vec<u8>,
    written: usize,
    /// When the peer last took something of `out`, or `out` was last empty.
    progress: Instant,
    alarm: Alarm,
    /// Of somebody who knocks, until it is in: whose turn it is to be computed.
    turns: Option<Arc<Gate>>,
    /// Read, and not computed yet.
    knocks: Vec<u8>,
}

/// What a turn of the pump came to.
enum Turn {
    Read(io::Result<Vec<u8>>),
    Wrote(io::Result<usize>),
    Rang,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pump<S> {
    pub(crate) fn new(stream: S, channel: Channel, clock: Clock) -> Self {
        Self {
            stream,
            channel,
            clock,
            out: Vec::new(),
            written: 0,
            progress: Instant::now(),
            alarm: Alarm::default(),
            turns: None,
            knocks: Vec::new(),
        }
    }

    /// Until the connection is open, what the peer says is computed only when it is its turn: a
    /// flood of handshakes must not keep those waiting who are connected.
    pub(crate) fn in_turns(self, gate: Arc<Gate>) -> Self {
        Self {
            turns: Some(gate),
            ..self
        }
    }

    /// Waits until bytes came or went or a deadline passed, and lets the channel know. Safe to
    /// cancel. Does not read while `reads` is false: the peer has to wait.
    ///
    /// # Errors
    /// What the operating system says, if it is not just that the peer is gone.
    pub(crate) async fn step(&mut self, reads: bool) -> Result<(), io::ErrorKind> {
        self.encrypt();
        if !self.knocks.is_empty() {
            self.knock().await;
            return Ok(());
        }
        match poll_fn(|cx| self.turn(cx, reads)).await {
            Turn::Read(Ok(bytes)) if self.is_outside() && !bytes.is_empty() => {
                self.knocks = bytes;
                Ok(())
            }
            Turn::Read(got) => self.received(got.map_err(|e| e.kind())),
            Turn::Wrote(sent) => match sent.map_err(|e| e.kind()) {
                Ok(0) => self.broken(io::ErrorKind::WriteZero),
                Ok(n) => {
                    self.sent(n);
                    Ok(())
                }
                Err(kind) => self.broken(kind),
            },
            Turn::Rang => {
                self.rang();
                Ok(())
            }
        }
    }

    /// Waits for the turn of what was read, or for the end of the peer's time.
    async fn knock(&mut self) {
        let Some(gate) = self.turns.clone() else {
            return;
        };
        let rings = poll_fn(|cx| {
            let deadline = self.deadline();
            self.alarm.poll(cx, deadline)
        });
        let turn = tokio::select! {
            biased;
            turn = gate.handshakes().acquire() => turn,
            () = rings => return self.rang(),
        };
        let bytes = std::mem::take(&mut self.knocks);
        self.channel.handle_bytes(self.clock.now(), &bytes);
        drop(turn);
    }

    fn is_outside(&mut self) -> bool {
        if self.channel.peer().is_some() {
            self.turns = None;
        }
        self.turns.is_some()
    }

    fn turn(&mut self, cx: &mut Context<'_>, reads: bool) -> Poll<Turn> {
        let rest = self.out.get(self.written..).unwrap_or_default();
        if !rest.is_empty()
            && let Poll::Ready(sent) = Pin::new(&mut self.stream).poll_write(cx, rest)
        {
            return Poll::Ready(Turn::Wrote(sent));
        }
        if reads
            && self.channel.wants_bytes()
            && let Poll::Ready(got) = read_some(&mut self.stream, cx)
        {
            return Poll::Ready(Turn::Read(got));
        }
        let deadline = self.deadline();
        self.alarm.poll(cx, deadline).map(|()| Turn::Rang)
    }

    fn stalls_at(&self) -> Option<Instant> {
        let pending = self.written < self.out.len();
        pending.then(|| self.progress + WRITE_STALL_TIMEOUT)
    }

    fn deadline(&self) -> Option<Instant> {
        let deadline = self.channel.poll_timeout();
        let deadline = deadline.map(|tick| self.clock.instant(tick));
        deadline.into_iter().chain(self.stalls_at()).min()
    }

    fn received(&mut self, got: Result<Vec<u8>, io::ErrorKind>) -> Result<(), io::ErrorKind> {
        let now = self.clock.now();
        match got {
            Ok(bytes) if bytes.is_empty() => self.channel.handle_eof(now),
            Ok(bytes) => self.channel.handle_bytes(now, &bytes),
            Err(kind) => return self.broken(kind),
        }
        Ok(())
    }

    fn rang(&mut self) {
        let now = self.clock.now();
        if self.stalls_at().is_some_and(|at| Instant::now() >= at) {
            self.channel.close(now, ErrorCode::Timeout);
            self.forget_output();
        }
        self.channel.handle_timeout(now, &mut rand::rng());
    }

    /// Whether nothing is left to read or write.
    pub(crate) fn is_done(&mut self) -> bool {
        self.encrypt();
        self.channel.is_closed() && self.written >= self.out.len()
    }

    /// Writes what is left and ends the stream. `linger` waits until the peer has read our last words: closing a socket
    /// with unread bytes in it would destroy them on their way.
    pub(crate) async fn finish(&mut self, linger: bool) {
        let end = async {
            while !self.is_done() {
                if self.step(false).await.is_err() {
                    return;
                }
            }
            // the peer may be gone already, which is what we want
            let _ = self.stream.shutdown().await;
            while linger && self.reads_on().await {}
        };
        let _ = timeout(DRAIN_TIMEOUT, end).await;
    }

    /// Whether the peer still says something.
    async fn reads_on(&mut self) -> bool {
        let got = poll_fn(|cx| read_some(&mut self.stream, cx)).await;
        got.is_ok_and(|bytes| !bytes.is_empty())
    }

    fn encrypt(&mut self) {
        if self.written >= self.out.len() {
            self.forget_output();
        }
        let now = self.clock.now();
        while self.out.len() < WRITE_BATCH && self.channel.poll_transmit(now, &mut self.out) > 0 {}
    }

    fn forget_output(&mut self) {
        // an idle connection holds no buffer
        self.out = Vec::new();
        self.written = 0;
        self.progress = Instant::now();
    }

    fn sent(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(bytes);
        self.progress = Instant::now();
    }

    fn broken(&mut self, kind: io::ErrorKind) -> Result<(), io::ErrorKind> {
        use io::ErrorKind as K;
        self.forget_output();
        match kind {
            K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::WriteZero => {
                self.channel.handle_eof(self.clock.now());
                Ok(())
            }
            other => Err(other),
        }
    }
}

fn read_some<R: AsyncRead + Unpin>(
    stream: &mut R,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Vec<u8>>> {
    let mut space = [const { MaybeUninit::uninit() }; READ_SIZE];
    let mut buffer = ReadBuf::uninit(&mut space);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().to_vec()))
}

/// A timer that is set anew only when it has to ring earlier: a deadline that every message moves
/// back costs nothing then.
#[derive(Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready once `at` has passed; with `None` never.
    fn poll(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        let Some(at) = at else {
            self.0 = None;
            return Poll::Pending;
        };
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= at {
                self.0 = None;
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
        Poll::Pending
    }
}
