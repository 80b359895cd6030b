//! Transport plaintexts: `type u8 ‖ body` (D1.6).

use crate::{constants::MAX_ERROR_TEXT, error::ErrorCode};

/// The type byte of a transport plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum PlainType {
    Pad = 0x00,
    Msg = 0x01,
    Chunk = 0x02,
    Ping = 0x03,
    Pong = 0x04,
    Rekey = 0x05,
    Close = 0x06,
    Hello = 0x07,
}

/// A decoded transport plaintext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plain<'a> {
    /// Anything, to be ignored.
    Pad,
    /// An encoded [`Message`](super::Message).
    Msg(&'a [u8]),
    /// A part of one.
    Chunk(&'a [u8]),
    /// To be echoed.
    Ping([u8; 8]),
    /// The echo.
    Pong([u8; 8]),
    /// The last frame under the peer's old key.
    Rekey,
    /// The end.
    Close(PeerClose),
    /// The body of a HELLO.
    Hello(&'a [u8]),
}

impl<'a> Plain<'a> {
    /// Reads the type byte and what is fixed about the body.
    ///
    /// # Errors
    /// `PROTOCOL_VIOLATION` for an unknown type or a body that the type does not have.
    pub fn decode(plaintext: &'a [u8]) -> Result<Self, ErrorCode> {
        let decoded = plaintext.split_first().and_then(|(kind, body)| match kind {
            0x00 => Some(Self::Pad),
            0x01 => Some(Self::Msg(body)),
            0x02 => Some(Self::Chunk(body)),
            0x03 => body.try_into().ok().map(Self::Ping),
            0x04 => body.try_into().ok().map(Self::Pong),
            0x05 => body.is_empty().then_some(Self::Rekey),
            0x06 => PeerClose::decode(body).map(Self::Close),
            0x07 => Some(Self::Hello(body)),
            _ => None,
        });
        decoded.ok_or(ErrorCode::ProtocolViolation)
    }
}

/// A plaintext of this type.
pub(super) fn plain(kind: PlainType, body: &[u8]) -> Vec<u8> {
    [&[kind as u8], body].concat()
}

/// What a peer said when it closed: `code u16 ‖ utf8 ≤ 128`, little-endian.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerClose {
    /// The code, perhaps one that is not known here.
    pub code: u16,
    /// A claim of the peer: to be cleaned before it is shown, never to be believed.
    pub text: String,
}

impl PeerClose {
    fn decode(body: &[u8]) -> Option<Self> {
        let (code, text) = body.split_first_chunk()?;
        if text.len() > MAX_ERROR_TEXT {
            return None;
        }
        Some(Self {
            code: u16::from_le_bytes(*code),
            text: std::str::from_utf8(text).ok()?.to_owned(),
        })
    }

    /// The code by its name.
    pub fn known(&self) -> Option<ErrorCode> {
        ErrorCode::from_u16(self.code)
    }

    /// Of a `STALE_IDENTITY`: the version of our identity that the peer has seen.
    pub fn stale_seen(&self) -> Option<u64> {
        let is_stale = self.known() == Some(ErrorCode::StaleIdentity);
        is_stale.then(|| self.text.parse().ok()).flatten()
    }
}

impl std::fmt::Debug for PeerClose {
    /// Without the text, which is the peer's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PeerClose({:04X})", self.code)
    }
}

impl std::fmt::Display for PeerClose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.known() {
            Some(code) => code.fmt(f),
            None => write!(f, "unknown reason ({:04X})", self.code),
        }
    }
}

/// A CLOSE of our own. Its text is empty but for `STALE_IDENTITY`, where it is the version seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OwnClose {
    pub(super) code: ErrorCode,
    pub(super) seen: Option<u64>,
}

impl OwnClose {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut body = self.code.to_u16().to_le_bytes().to_vec();
        if let Some(seen) = self.seen {
            body.extend_from_slice(seen.to_string().as_bytes());
        }
        plain(PlainType::Close, &body)
    }
}
