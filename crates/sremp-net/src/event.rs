//! What a link tells its owner.

use std::io;

use sremp_core::{
    channel::{self, Admission, Direction, HandshakeHash, Message, PeerClose},
    error::ErrorCode,
    id::{ContactId, IntroToken},
    identity::Identity,
};
use tokio::sync::oneshot;

use crate::{LinkHandle, LinkId};

/// An event of a link.
#[derive(Debug)]
pub enum LinkEvent {
    /// The peer has proved who it is and passed every check that needs no state of the user. The
    /// link waits for the answer, until 15 s after its beginning; without one the peer is refused.
    Shown {
        /// Which link.
        link: LinkId,
        /// Who dialled.
        direction: Direction,
        /// Who the peer is.
        identity: Identity,
        /// What a stranger brought from a card of ours.
        intro: Option<IntroToken>,
        /// Commands to the link; what is sent now waits until the link is open.
        handle: LinkHandle,
        /// Takes the answer.
        answer: oneshot::Sender<Admission>,
    },
    /// Messages flow.
    Opened {
        /// Which link.
        link: LinkId,
        /// Who dialled.
        direction: Direction,
        /// Who the peer is.
        peer: Identity,
        /// The Noise handshake hash, the same on both sides and on no other link: what a proof of
        /// identity is bound to.
        channel_binding: HandshakeHash,
        /// Commands to the link.
        handle: LinkHandle,
    },
    /// A message of the peer.
    Message {
        /// Which link.
        link: LinkId,
        /// The message; its body is not decoded.
        message: Message,
    },
    /// The peer answered a probe.
    Pong {
        /// Which link.
        link: LinkId,
    },
    /// The end of a link that was dialled or shown; nothing comes after it.
    Closed {
        /// Which link.
        link: LinkId,
        /// The peer, if it has proved who it is.
        peer: Option<ContactId>,
        /// Why.
        reason: CloseReason,
    },
}

/// Why a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer sent a CLOSE.
    Peer(PeerClose),
    /// This side closed, and told the peer this code if there was a connection.
    Own(ErrorCode),
    /// This side gave up without a word.
    Local(ErrorCode),
    /// The bytes ended without a CLOSE: somebody may have cut the line.
    Truncated,
    /// No address of the host is known.
    NameNotFound,
    /// The host has an address in a private network, and somebody else named it.
    PrivateAddress,
    /// The operating system says that it cannot be reached.
    Io(io::ErrorKind),
}

impl CloseReason {
    /// Whether the peer has said that it does not accept the connection.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Peer(close) if close.code == ErrorCode::Refused.to_u16())
    }

    /// How far the connection came: of several failed attempts the furthest is told.
    pub(crate) const fn progress(&self) -> u8 {
        match self {
            Self::NameNotFound | Self::PrivateAddress => 0,
            Self::Local(ErrorCode::Timeout) => 1,
            Self::Io(_) => 2,
            Self::Truncated => 3,
            Self::Local(_) => 4,
            Self::Own(_) | Self::Peer(_) => 5,
        }
    }
}

impl From<channel::CloseReason> for CloseReason {
    fn from(reason: channel::CloseReason) -> Self {
        match reason {
            channel::CloseReason::Peer(close) => Self::Peer(close),
            channel::CloseReason::Own(code) => Self::Own(code),
            channel::CloseReason::Local(code) => Self::Local(code),
            channel::CloseReason::Truncated => Self::Truncated,
        }
    }
}

impl std::fmt::Display for CloseReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Peer(close) => channel::CloseReason::Peer(close.clone()).fmt(f),
            Self::Own(code) => channel::CloseReason::Own(*code).fmt(f),
            Self::Local(code) => channel::CloseReason::Local(*code).fmt(f),
            Self::Truncated => channel::CloseReason::Truncated.fmt(f),
            Self::NameNotFound => f.write_str("the host name is not known"),
            Self::PrivateAddress => f.write_str(
                "the address lies in a private network and was named by somebody else; \
                 `allow_private_addresses` lets it be dialled",
            ),
            Self::Io(io::ErrorKind::ConnectionRefused) => {
                f.write_str("nobody listens at this address")
            }
            Self::Io(kind) => write!(f, "the address cannot be reached: {kind}"),
        }
    }
}
