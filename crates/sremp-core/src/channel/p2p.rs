//! The messages of service 1 (D1.15).

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

use super::Message;
use crate::{
    constants::{MAX_BUNDLE, MAX_ENVELOPE, MAX_ERROR_TEXT, MAX_IDENTITY},
    error::ErrorCode,
    id::EnvelopeId,
    wire::codec::{decode_exact, encode},
};

/// A message between two people's clients, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum P2pMessage {
    /// 0001: an envelope for the receiver; answered by [`Self::EnvelopeOk`].
    Envelope(Vec<u8>),
    /// 0002: the envelope is committed at the receiver.
    EnvelopeOk(EnvelopeId),
    /// 0003: asks for a bundle; answered by [`Self::PrekeyBundle`].
    PrekeyReq,
    /// 0004: the SMP1 encoding of a prekey bundle.
    PrekeyBundle(Vec<u8>),
    /// 0005: asks for an identity newer than the version known; answered by [`Self::IdentityIs`].
    IdentityGet {
        /// The highest version that the asker has.
        known_version: u64,
    },
    /// 0006: the newer identity, if there is one.
    IdentityIs(Option<Vec<u8>>),
    /// 00FF: a request is refused.
    Error(ErrorReply),
}

/// The body of ERROR: `[code u16, retry_after_s u32, text ≤ 128]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// A code of chapter 10.
    pub code: u16,
    /// Seconds to wait before another try; 0 says nothing about it.
    pub retry_after_s: u32,
    /// A claim of the peer: to be cleaned before it is shown.
    pub text: String,
}

impl From<ErrorCode> for ErrorReply {
    fn from(code: ErrorCode) -> Self {
        Self {
            code: code.to_u16(),
            retry_after_s: 0,
            text: String::new(),
        }
    }
}

/// Why a message is not one of service 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum P2pDecodeError {
    /// A type that is not known here: to be answered with ERROR, unless it is an answer itself.
    UnknownType,
    /// The body is not exact or too large: the connection is closed with `PROTOCOL_VIOLATION`.
    Malformed,
}

impl std::fmt::Display for P2pDecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UnknownType => "a message of a type that is not known here",
            Self::Malformed => "a message whose body is not of its type",
        })
    }
}

impl std::error::Error for P2pDecodeError {}

impl P2pMessage {
    /// The type on the wire.
    pub const fn msg_type(&self) -> u16 {
        match self {
            Self::Envelope(_) => 0x0001,
            Self::EnvelopeOk(_) => 0x0002,
            Self::PrekeyReq => 0x0003,
            Self::PrekeyBundle(_) => 0x0004,
            Self::IdentityGet { .. } => 0x0005,
            Self::IdentityIs(_) => 0x0006,
            Self::Error(_) => 0x00FF,
        }
    }

    /// Whether it carries the `req_id` of a request of ours.
    pub const fn is_answer(&self) -> bool {
        match self {
            Self::EnvelopeOk(_) | Self::PrekeyBundle(_) | Self::IdentityIs(_) | Self::Error(_) => {
                true
            }
            Self::Envelope(_) | Self::PrekeyReq | Self::IdentityGet { .. } => false,
        }
    }

    /// The message to send, under this request id.
    pub fn to_message(&self, req_id: u32) -> Message {
        let body = match self {
            Self::Envelope(bytes) | Self::PrekeyBundle(bytes) => {
                encode(&(serde_bytes::Bytes::new(bytes),))
            }
            Self::EnvelopeOk(id) => encode(&(id,)),
            Self::PrekeyReq => encode::<[u8; 0]>(&[]),
            Self::IdentityGet { known_version } => encode(&(known_version,)),
            Self::IdentityIs(identity) => {
                encode(&(identity.as_deref().map(serde_bytes::Bytes::new),))
            }
            Self::Error(error) => encode(error),
        };
        Message {
            msg_type: self.msg_type(),
            req_id,
            body,
        }
    }

    /// Decodes the body by the type.
    ///
    /// # Errors
    /// [`P2pDecodeError`].
    pub fn decode(message: &Message) -> Result<Self, P2pDecodeError> {
        let body = message.body.as_slice();
        match message.msg_type {
            0x0001 => bin(body, MAX_ENVELOPE).map(Self::Envelope),
            0x0002 => one(body, 64).map(Self::EnvelopeOk),
            0x0003 => exact::<[u8; 0]>(body, 1).map(|_| Self::PrekeyReq),
            0x0004 => bin(body, MAX_BUNDLE).map(Self::PrekeyBundle),
            0x0005 => one(body, 16).map(|known_version| Self::IdentityGet { known_version }),
            0x0006 => one::<Option<ByteBuf>>(body, MAX_IDENTITY.saturating_add(8))
                .map(|identity| Self::IdentityIs(identity.map(ByteBuf::into_vec))),
            0x00FF => {
                let error: ErrorReply = exact(body, MAX_ERROR_TEXT.saturating_add(16))?;
                if error.text.len() > MAX_ERROR_TEXT {
                    return Err(P2pDecodeError::Malformed);
                }
                Ok(Self::Error(error))
            }
            _ => Err(P2pDecodeError::UnknownType),
        }
    }
}

fn exact<T: DeserializeOwned + Serialize>(body: &[u8], max: usize) -> Result<T, P2pDecodeError> {
    decode_exact(body, max).map_err(|_| P2pDecodeError::Malformed)
}

fn one<T: DeserializeOwned + Serialize>(body: &[u8], max: usize) -> Result<T, P2pDecodeError> {
    exact::<(T,)>(body, max).map(|(value,)| value)
}

fn bin(body: &[u8], max: usize) -> Result<Vec<u8>, P2pDecodeError> {
    let bytes: ByteBuf = one(body, max.saturating_add(8))?;
    if bytes.len() > max {
        return Err(P2pDecodeError::Malformed);
    }
    Ok(bytes.into_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_reads_what_it_wrote() {
        for message in [
            P2pMessage::Envelope(vec![1; MAX_ENVELOPE]),
            P2pMessage::EnvelopeOk(EnvelopeId::new([0xee; 32])),
            P2pMessage::PrekeyReq,
            P2pMessage::PrekeyBundle(vec![2; MAX_BUNDLE]),
            P2pMessage::IdentityGet {
                known_version: u64::MAX,
            },
            P2pMessage::IdentityIs(None),
            P2pMessage::IdentityIs(Some(vec![3; MAX_IDENTITY])),
            P2pMessage::Error(ErrorReply {
                code: 0x0305,
                retry_after_s: u32::MAX,
                text: "x".repeat(MAX_ERROR_TEXT),
            }),
        ] {
            let wire = message.to_message(7);
            let wire = Message::decode(&wire.encode()).unwrap();
            assert_eq!(P2pMessage::decode(&wire), Ok(message));
            let mut trailing = wire.clone();
            trailing.body.push(0);
            assert_eq!(
                P2pMessage::decode(&trailing),
                Err(P2pDecodeError::Malformed)
            );
        }
    }

    #[test]
    fn bodies_beyond_their_limit_are_refused() {
        let error = ErrorReply {
            code: 1,
            retry_after_s: 0,
            text: "x".repeat(MAX_ERROR_TEXT + 1),
        };
        for message in [
            P2pMessage::Envelope(vec![1; MAX_ENVELOPE + 1]),
            P2pMessage::PrekeyBundle(vec![2; MAX_BUNDLE + 1]),
            P2pMessage::Error(error),
        ] {
            let wire = message.to_message(0);
            assert_eq!(P2pMessage::decode(&wire), Err(P2pDecodeError::Malformed));
        }
        let unknown = Message {
            msg_type: 0x0008,
            req_id: 0,
            body: vec![0x90],
        };
        assert_eq!(
            P2pMessage::decode(&unknown),
            Err(P2pDecodeError::UnknownType)
        );
    }
}
