//! `length u32 LE ‖ MSG` inside TLS (D5.1).

use super::RendezvousMessage;
use crate::{channel::Message, constants::RDV_LENGTH_LEN};

/// The stream is over: a frame of no length, a longer one than allowed, or one that holds no MSG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Beyond the limit; nothing of it was kept.
    TooLarge,
    /// Empty, or no MSG in its one encoding.
    Malformed,
}

/// A frame with this message.
pub fn encode(message: &Message) -> Vec<u8> {
    let body = message.encode();
    // every message of the chapter is far below; a length that is none is refused by any receiver
    let len = u32::try_from(body.len()).unwrap_or(0);
    [len.to_le_bytes().as_slice(), &body].concat()
}

/// A frame with this answer or request.
pub fn encode_rendezvous(message: &RendezvousMessage, req_id: u32) -> Vec<u8> {
    encode(&message.to_message(req_id))
}

/// Takes the bytes of a stream, gives its messages. Holds at most one frame and what came with it.
#[derive(Debug)]
pub struct FrameReader {
    held: Vec<u8>,
    max: usize,
}

impl FrameReader {
    /// Reads frames of at most `max` bytes without their length.
    pub const fn new(max: usize) -> Self {
        Self {
            held: Vec::new(),
            max,
        }
    }

    /// Bytes that came, in order.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Whether a frame has begun that is not whole.
    pub const fn is_within(&self) -> bool {
        !self.held.is_empty()
    }

    /// The next whole message.
    ///
    /// # Errors
    /// [`FrameError`], as soon as the length is known to be wrong.
    pub fn next_message(&mut self) -> Result<Option<Message>, FrameError> {
        let Some((len, rest)) = self.held.split_first_chunk::<RDV_LENGTH_LEN>() else {
            return Ok(None);
        };
        let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| FrameError::TooLarge)?;
        if len == 0 {
            return Err(FrameError::Malformed);
        }
        if len > self.max {
            return Err(FrameError::TooLarge);
        }
        let Some(body) = rest.get(..len) else {
            return Ok(None);
        };
        let message = Message::decode(body).map_err(|_| FrameError::Malformed)?;
        self.held.drain(..len.saturating_add(RDV_LENGTH_LEN));
        if self.held.is_empty() {
            // an idle connection holds no buffer
            self.held = Vec::new();
        }
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(len: usize) -> Message {
        RendezvousMessage::Error(crate::channel::ErrorReply {
            code: 1,
            retry_after_s: 0,
            text: "x".repeat(len),
        })
        .to_message(7)
    }

    #[test]
    fn messages_come_out_whole_however_the_stream_is_cut() {
        let sent: Vec<Message> = (0..5).map(|n| message(n * 20)).collect();
        let stream: Vec<u8> = sent.iter().flat_map(encode).collect();
        for step in 1..stream.len() {
            let mut reader = FrameReader::new(200);
            let mut got = Vec::new();
            for piece in stream.chunks(step) {
                reader.push(piece);
                while let Some(message) = reader.next_message().unwrap() {
                    got.push(message);
                }
            }
            assert_eq!(got, sent, "step {step}");
            assert!(!reader.is_within());
        }
    }

    #[test]
    fn a_length_that_is_wrong_is_refused_before_anything_else_comes() {
        for (bytes, error) in [
            ([0, 0, 0, 0], FrameError::Malformed),
            ([201, 0, 0, 0], FrameError::TooLarge),
            ([0, 0, 0, 0x80], FrameError::TooLarge),
            ([0xff; 4], FrameError::TooLarge),
        ] {
            let mut reader = FrameReader::new(200);
            reader.push(&bytes[..3]);
            assert_eq!(reader.next_message(), Ok(None));
            reader.push(&bytes[3..]);
            assert_eq!(reader.next_message(), Err(error), "{bytes:?}");
        }
        let mut reader = FrameReader::new(200);
        reader.push(&[4, 0, 0, 0, 0x93, 3, 0, 0x80]);
        assert_eq!(reader.next_message(), Err(FrameError::Malformed));
    }
}
