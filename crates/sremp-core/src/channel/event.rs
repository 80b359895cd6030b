//! What a channel tells its owner.

use super::{Message, PeerClose};
use crate::{error::ErrorCode, id::IntroToken, identity::Identity};

/// An event of a [`Channel`](super::Channel), in the order in which things happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer's HELLO passed every check that needs no state of the user: now
    /// [`handle_admission`](super::Channel::handle_admission) is awaited.
    Shown {
        /// Who the peer is, proved.
        identity: Identity,
        /// What a stranger brought from a card of ours.
        intro: Option<IntroToken>,
    },
    /// Both let each other in; messages flow.
    Opened {
        /// The peer.
        peer: Identity,
    },
    /// A message of the peer.
    Message(Message),
    /// The answer to a probe.
    Pong,
    /// The end; nothing comes after it.
    Closed(CloseReason),
}

/// The answer to [`Event::Shown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Let the peer in.
    Accept,
    /// Close with this code, without having shown our identity (as the responder). `REFUSED` is
    /// the one code for a rejected contact, a stranger and a banned prefix.
    Close(ErrorCode),
    /// Close with `STALE_IDENTITY` and tell the version that has been seen.
    Stale {
        /// Highest version seen of the peer's identity.
        seen: u64,
    },
}

/// Why a channel ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer sent a CLOSE.
    Peer(PeerClose),
    /// This side closed, and told the peer this code if there were keys to tell it under.
    Own(ErrorCode),
    /// This side gave up without a word.
    Local(ErrorCode),
    /// The bytes ended without a CLOSE: somebody may have cut the line.
    Truncated,
}

impl std::fmt::Display for CloseReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Peer(close) => write!(f, "closed by the peer: {close}"),
            Self::Own(code) => write!(f, "closed here: {code}"),
            Self::Local(code) => code.fmt(f),
            Self::Truncated => f.write_str("the connection broke off"),
        }
    }
}
