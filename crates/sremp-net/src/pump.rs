//! Turns one channel over one stream of bytes.

use std::{future::poll_fn, io, mem::MaybeUninit, pin::Pin, task::Poll};

use sremp_core::{
    channel::Channel,
    constants::{DRAIN_TIMEOUT, WRITE_STALL_TIMEOUT},
    error::ErrorCode,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, ReadHalf, WriteHalf},
    time::{Instant, sleep_until, timeout},
};

use crate::clock::Clock;

/// Bytes taken from the operating system at once; they lie on the stack, so that an idle
/// connection holds no buffer.
const READ_SIZE: usize = 16 * 1024;
/// Bytes that are encrypted ahead of the operating system.
const WRITE_BATCH: usize = 64 * 1024;

pub(crate) struct Pump<S> {
    read: ReadHalf<S>,
    write: WriteHalf<S>,
    pub(crate) channel: Channel,
    clock: Clock,
    out: Vec<u8>,
    written: usize,
    /// When the peer last took something of `out`, or `out` was last empty.
    progress: Instant,
}

impl<S: AsyncRead + AsyncWrite> Pump<S> {
    pub(crate) fn new(stream: S, channel: Channel, clock: Clock) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self {
            read,
            write,
            channel,
            clock,
            out: Vec::new(),
            written: 0,
            progress: Instant::now(),
        }
    }

    /// Waits until bytes came or went or a deadline passed, and lets the channel know. Safe to
    /// cancel. Does not read while `reads` is false: the peer has to wait.
    ///
    /// # Errors
    /// What the operating system says, if it is not just that the peer is gone.
    pub(crate) async fn step(&mut self, reads: bool) -> Result<(), io::ErrorKind> {
        self.encrypt();
        let pending = self.written < self.out.len();
        let deadline = self.channel.poll_timeout();
        let deadline = deadline.map(|tick| self.clock.instant(tick));
        let stalled = pending.then(|| self.progress + WRITE_STALL_TIMEOUT);
        let wake = deadline.into_iter().chain(stalled).min();
        let rest = self.out.get(self.written..).unwrap_or_default();
        tokio::select! {
            got = read_some(&mut self.read), if reads && self.channel.wants_bytes() => {
                let now = self.clock.now();
                match got.map_err(|e| e.kind()) {
                    Ok(bytes) if bytes.is_empty() => self.channel.handle_eof(now),
                    Ok(bytes) => self.channel.handle_bytes(now, &bytes),
                    Err(kind) => self.broken(kind)?,
                }
            }
            sent = self.write.write(rest), if pending => match sent.map_err(|e| e.kind()) {
                Ok(0) => self.broken(io::ErrorKind::WriteZero)?,
                Ok(n) => self.sent(n),
                Err(kind) => self.broken(kind)?,
            },
            () = sleep_or_never(wake) => {
                let now = self.clock.now();
                if stalled.is_some_and(|at| Instant::now() >= at) {
                    self.channel.close(now, ErrorCode::Timeout);
                    self.forget_output();
                }
                self.channel.handle_timeout(now, &mut rand::rng());
            }
        }
        Ok(())
    }

    /// Whether nothing is left to read or write.
    pub(crate) fn is_done(&mut self) -> bool {
        self.encrypt();
        self.channel.is_closed() && self.written >= self.out.len()
    }

    /// Writes what is left and ends the stream. `linger` waits until the peer has read our last words: closing a socket
    /// with unread bytes in it would destroy them on their way.
    pub(crate) async fn finish(mut self, linger: bool) {
        let end = async {
            while !self.is_done() {
                if self.step(false).await.is_err() {
                    return;
                }
            }
            // the peer may be gone already, which is what we want
            let _ = self.write.shutdown().await;
            while linger && read_some(&mut self.read).await.is_ok_and(|b| !b.is_empty()) {}
        };
        let _ = timeout(DRAIN_TIMEOUT, end).await;
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

async fn read_some<R: AsyncRead + Unpin>(stream: &mut R) -> io::Result<Vec<u8>> {
    poll_fn(|cx| {
        let mut space = [const { MaybeUninit::uninit() }; READ_SIZE];
        let mut buffer = ReadBuf::uninit(&mut space);
        match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.filled().to_vec())),
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn sleep_or_never(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
