//! What waits to be sent: control first, then messages and chunks in turn (D1.13, D1.15).

use std::collections::VecDeque;

use super::{
    Message,
    plain::{PlainType, plain},
};
use crate::{
    constants::{MAX_MESSAGE, WRITE_QUEUE},
    wire::chunk::{ChunkWriter, fits_a_frame},
};

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// [`WRITE_QUEUE`] bytes wait already: try again when the peer has read some.
    QueueFull,
    /// Longer than [`MAX_MESSAGE`]: it is a file.
    TooLarge,
    /// The connection is closed or closing.
    Closed,
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::QueueFull => "too much waits to be sent on this connection",
            Self::TooLarge => "the message is larger than 4 MiB",
            Self::Closed => "the connection is closed",
        })
    }
}

impl std::error::Error for SendError {}

/// Plaintexts that wait to be encrypted. They are encrypted in the order in which they leave, so
/// nonces and frames cannot get out of step.
#[derive(Default)]
pub(super) struct Outbox {
    control: VecDeque<Vec<u8>>,
    messages: VecDeque<Vec<u8>>,
    bulk: VecDeque<ChunkWriter>,
    next_message_id: u64,
    bulk_turn: bool,
    bytes: usize,
}

impl Outbox {
    /// Bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// PING, PONG.
    pub(super) fn push_control(&mut self, plaintext: Vec<u8>) {
        self.bytes = self.bytes.saturating_add(plaintext.len());
        self.control.push_back(plaintext);
    }

    /// A message; one that does not fit a frame will leave in chunks.
    pub(super) fn push(&mut self, message: &Message) -> Result<(), SendError> {
        let encoded = message.encode();
        let len = encoded.len();
        if len > MAX_MESSAGE {
            return Err(SendError::TooLarge);
        }
        // the last message may go beyond the bound, else one larger than it could never leave
        if self.bytes >= WRITE_QUEUE {
            return Err(SendError::QueueFull);
        }
        if fits_a_frame(len) {
            let plaintext = plain(PlainType::Msg, &encoded);
            self.bytes = self.bytes.saturating_add(plaintext.len());
            self.messages.push_back(plaintext);
        } else {
            let chunks = ChunkWriter::new(encoded, self.next_message_id);
            self.bulk
                .push_back(chunks.map_err(|_| SendError::TooLarge)?);
            self.next_message_id = self.next_message_id.saturating_add(1);
            self.bytes = self.bytes.saturating_add(len);
        }
        Ok(())
    }

    /// The next plaintext to encrypt.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        match self.control.pop_front() {
            Some(control) => {
                self.bytes = self.bytes.saturating_sub(control.len());
                Some(control)
            }
            None => self.pop_fairly(),
        }
    }

    /// The next message that needs no chunks.
    pub(super) fn pop_unchunked(&mut self) -> Option<Vec<u8>> {
        let next = self.messages.pop_front()?;
        self.bytes = self.bytes.saturating_sub(next.len());
        Some(next)
    }

    fn pop_fairly(&mut self) -> Option<Vec<u8>> {
        self.bulk_turn = !self.bulk_turn;
        if self.bulk_turn {
            self.pop_chunk().or_else(|| self.pop_unchunked())
        } else {
            self.pop_unchunked().or_else(|| self.pop_chunk())
        }
    }

    fn pop_chunk(&mut self) -> Option<Vec<u8>> {
        let writer = self.bulk.front_mut()?;
        let before = writer.remaining();
        let chunk = writer.next();
        let left = writer.remaining();
        self.bytes = self.bytes.saturating_sub(before.saturating_sub(left));
        if left == 0 {
            self.bulk.pop_front();
        }
        chunk.map(|chunk| plain(PlainType::Chunk, &chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(len: usize) -> Message {
        let mut body = vec![0xdc];
        body.resize(len, 0);
        Message {
            msg_type: 1,
            req_id: 1,
            body,
        }
    }

    #[test]
    fn bytes_count_what_waits_and_nothing_else() {
        let mut outbox = Outbox::default();
        for len in [10, 100_000, 65_000, 300_000, 3] {
            outbox.push(&message(len)).unwrap();
        }
        outbox.push_control(vec![3; 9]);
        assert!(outbox.bytes() > 400_000);
        assert_eq!(outbox.pop().unwrap().first(), Some(&3), "control first");
        let kinds: Vec<u8> = std::iter::from_fn(|| outbox.pop()).map(|p| p[0]).collect();
        assert_eq!(kinds[..6], [2, 1, 2, 1, 2, 1], "in turn");
        assert_eq!(kinds.iter().filter(|k| **k == 2).count(), 4 + 10);
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn the_queue_is_bounded_but_takes_the_largest_message_when_empty() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push(&message(MAX_MESSAGE)), Err(SendError::TooLarge));
        outbox.push(&message(MAX_MESSAGE - 3)).unwrap();
        assert_eq!(outbox.push(&message(1)), Err(SendError::QueueFull));
    }
}
