//! Messages over a stream, with a time for everything.

use std::io;

use sremp_core::{
    channel::Message,
    constants::{FRAME_BODY_TIMEOUT, RDV_IDLE, WRITE_STALL_TIMEOUT},
    rendezvous::frame::{FrameError, FrameReader, encode},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout, timeout_at},
};

/// Bytes taken from TLS at once.
const READ_SIZE: usize = 2 * 1024;

/// Why a stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// The peer has closed it between two messages.
    Closed,
    /// It broke, or was cut off within a message.
    Broken(io::ErrorKind),
    /// Nothing came for too long, a message took too long, or nothing more was taken.
    Timeout,
    /// What came is no frame.
    Frame(FrameError),
}

impl StreamError {
    /// The name under which it is counted.
    pub const fn cause(self) -> &'static str {
        match self {
            Self::Closed => "closed by the peer",
            Self::Broken(_) => "connection broken",
            Self::Timeout => "TIMEOUT",
            Self::Frame(FrameError::TooLarge) => "TOO_LARGE",
            Self::Frame(FrameError::Malformed) => "FRAME_INVALID",
        }
    }
}

/// A stream of messages.
#[derive(Debug)]
pub(super) struct Messages<S> {
    pub(super) stream: S,
    reader: FrameReader,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Messages<S> {
    /// Reads messages of at most `max` bytes.
    pub(super) const fn new(stream: S, max: usize) -> Self {
        Self {
            stream,
            reader: FrameReader::new(max),
        }
    }

    /// The next message. Safe to cancel.
    ///
    /// # Errors
    /// [`StreamError`].
    pub(super) async fn next(&mut self) -> Result<Message, StreamError> {
        let idle = Instant::now() + RDV_IDLE;
        // a message that drips in has no longer than this, however often a byte of it comes
        let mut body = self
            .reader
            .is_within()
            .then(|| Instant::now() + FRAME_BODY_TIMEOUT);
        loop {
            if let Some(message) = self.reader.next_message().map_err(StreamError::Frame)? {
                return Ok(message);
            }
            let deadline = body.unwrap_or(idle);
            let mut bytes = [0; READ_SIZE];
            let read = timeout_at(deadline, self.stream.read(&mut bytes)).await;
            match read.map_err(|_| StreamError::Timeout)? {
                Ok(0) if self.reader.is_within() => {
                    return Err(StreamError::Broken(io::ErrorKind::UnexpectedEof));
                }
                Ok(0) => return Err(StreamError::Closed),
                Ok(n) => self.reader.push(bytes.get(..n).unwrap_or_default()),
                Err(error) => return Err(StreamError::Broken(error.kind())),
            }
            body.get_or_insert_with(|| Instant::now() + FRAME_BODY_TIMEOUT);
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`StreamError`]; the stream is of no use then.
    pub(super) async fn send(&mut self, message: &Message) -> Result<(), StreamError> {
        let frame = encode(message);
        let written = timeout(WRITE_STALL_TIMEOUT, async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await
        });
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(StreamError::Broken(error.kind())),
            Err(_) => Err(StreamError::Timeout),
        }
    }

    /// Says that nothing more comes.
    pub(super) async fn close(&mut self) {
        // the peer may be gone, and nobody waits for it
        let _ = timeout(WRITE_STALL_TIMEOUT, self.stream.shutdown()).await;
    }
}
