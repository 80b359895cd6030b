//! A connection between two identities: version header, Noise XX, HELLO, transport (chapter 1).
//!
//! ```text
//! bytes in ─▶ Channel ─▶ bytes out          TCP ─▶ header ─▶ Noise 1, 2, 3 ─▶ HELLO ─▶ open
//! time     ─▶         ─▶ events                                                 │
//! commands ─▶         ─▶ next deadline                     Shown ─▶ admission ──┘
//! ```
//!
//! [`Channel`] is the machine that an IO driver turns; the other public items are its parts, for
//! those who speak MSG ([`Message`], [`P2pMessage`], [`OpenRequests`]), hold several connections
//! ([`judge_duplicate`]) or check another implementation ([`noise`], [`Hello`], [`Plain`]).

mod duplicate;
mod event;
mod handshake;
mod header;
mod hello;
mod keepalive;
mod local;
mod machine;
mod message;
pub mod noise;
mod outbox;
mod p2p;
mod plain;
mod requests;
mod resolver;
mod transport;

pub use duplicate::{Direction, DuplicateVerdict, judge_duplicate};
pub use event::{Admission, CloseReason, Event};
pub use header::VersionHeader;
pub use hello::Hello;
pub use local::{LocalIdentity, Service};
pub use machine::{Accept, Channel, Initiate};
pub use message::Message;
pub use noise::{HandshakeHash, NoiseHandshake, NoiseTransport};
pub use outbox::SendError;
pub use p2p::{ErrorReply, P2pDecodeError, P2pMessage};
pub use plain::{PeerClose, Plain, PlainType};
pub use requests::{OpenRequests, TooManyRequests};

pub use crate::wire::chunk::ReassemblyBudget;
