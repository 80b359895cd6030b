//! What the engine is given and what it asks for: all of its dealings with the world.

use std::{net::SocketAddr, sync::Arc};

use sremp_core::{
    channel::{Admission, HandshakeHash, Message, Service},
    error::ErrorCode,
    id::{ContactId, IntroToken},
    identity::Identity,
    relay::Cursor,
};
use sremp_net::{
    CloseReason, DialTarget, Direction, LinkId,
    bootstrap::{DomainServer, LookupError},
    mapping::Mapping,
};

#[cfg(doc)]
use super::Engine;
use super::{ServerLink, ServerOpened, ServerTarget, StoreMeasure, Ticket};
use crate::view::{Command, CommandError, Reply};

/// An envelope that came over a direct connection.
#[derive(Debug)]
pub struct Keep {
    /// Its sender.
    pub from: ContactId,
    /// Whether it is a contact: strangers share a small part of the mailbox.
    pub accepted: bool,
    /// The envelope.
    pub envelope: Arc<[u8]>,
    /// The request that brought it.
    pub request: (LinkId, u32),
}

/// An item of the mailbox of the built-in relay.
#[derive(Debug)]
pub struct Kept {
    /// Its place there.
    pub cursor: Cursor,
    /// Its sender.
    pub from: ContactId,
    /// The envelope.
    pub envelope: Arc<[u8]>,
    /// The request that brought it, if that was in this run.
    pub request: Option<(LinkId, u32)>,
}

/// Why the mailbox of the built-in relay did not take an envelope, or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unkept {
    /// So much of its sender waits there already.
    Quota,
    /// Its disk is short of room.
    Room,
    /// It failed: why, in words.
    Failed(String),
}

/// Something that happened outside.
#[derive(Debug)]
pub enum Input {
    /// A face asks for something.
    Command {
        /// Comes back with the reply.
        ticket: Ticket,
        /// What it asks.
        command: Command,
    },
    /// Faces that asked these have left, and wait for nothing more.
    Left(Vec<Ticket>),
    /// A face asks for `doctor`, and the store was measured for it.
    Examine {
        /// Comes back with the reply.
        ticket: Ticket,
        /// What was measured; `None` if the store failed.
        store: Option<StoreMeasure>,
    },
    /// The client listens here now; `None`: no longer, or not at all.
    Listening(Option<SocketAddr>),
    /// A connection has shown who it is and waits to be admitted.
    Shown {
        /// The connection.
        link: LinkId,
        /// What it was made for.
        service: Service,
        /// The verified identity of the peer, whose static key it is.
        identity: Box<Identity>,
        /// The intro token that the peer brought.
        intro: Option<IntroToken>,
    },
    /// A connection is open.
    Opened {
        /// The connection.
        link: LinkId,
        /// What it was made for.
        service: Service,
        /// Who dialled.
        direction: Direction,
        /// The verified identity of the peer.
        identity: Box<Identity>,
        /// The handshake hash, which no other connection has.
        binding: HandshakeHash,
    },
    /// A message came over an open connection.
    Message {
        /// The connection.
        link: LinkId,
        /// The message.
        message: Message,
    },
    /// A probed connection has answered.
    Pong(LinkId),
    /// A connection has ended, or a dial has failed.
    Closed {
        /// The connection.
        link: LinkId,
        /// What it was made for.
        service: Service,
        /// Whom it was dialled for, if it was.
        dialled: Option<ContactId>,
        /// Why.
        reason: CloseReason,
    },
    /// A connection to a rendezvous server stands.
    ServerOpened(ServerOpened),
    /// A rendezvous server has sent a message.
    ServerMessage {
        /// The connection.
        link: ServerLink,
        /// The message.
        message: Message,
    },
    /// A connection to a rendezvous server has ended, or could not be made.
    ServerClosed {
        /// The connection.
        link: ServerLink,
        /// Why, in words.
        cause: String,
    },
    /// The answer to [`Output::Resolve`].
    Resolved {
        /// The domain.
        domain: String,
        /// Its rendezvous servers, or why they are not known.
        answer: Result<Vec<DomainServer>, LookupError>,
    },
    /// Whether and where a router leads to this client from outside.
    Mapped(Mapping),
    /// An envelope is in the mailbox of the built-in relay, now or since an earlier run.
    Kept(Box<Kept>),
    /// An envelope is not in the mailbox of the built-in relay: it is not read either.
    NotKept(Unkept),
    /// This host has got or lost an address: what could not be reached may be reached now.
    NetworkChanged,
    /// The time of [`Engine::deadline`] has come.
    Deadline,
}

/// Something to be done once the step's transaction is durable.
#[derive(Debug)]
pub enum Output {
    /// Answers a command.
    Reply {
        /// The command's.
        ticket: Ticket,
        /// The answer.
        result: Box<Result<Reply, CommandError>>,
    },
    /// Opens a connection to a contact or a relay; the outcome is [`Input::Opened`] or [`Input::Closed`].
    Dial(Box<DialTarget>),
    /// Answers [`Input::Shown`].
    Admit {
        /// The connection.
        link: LinkId,
        /// Let in, or closed with a code.
        admission: Admission,
    },
    /// Sends a message.
    Send {
        /// The connection.
        link: LinkId,
        /// The message.
        message: Message,
    },
    /// Asks a connection for a sign of life; the answer is [`Input::Pong`].
    Probe(LinkId),
    /// Closes a connection after what was sent before.
    Close {
        /// The connection.
        link: LinkId,
        /// The code of the CLOSE.
        code: ErrorCode,
    },
    /// Connects to a rendezvous server; the outcome is [`Input::ServerOpened`] or
    /// [`Input::ServerClosed`].
    Connect(Box<ServerTarget>),
    /// Sends a message to a rendezvous server.
    Ask {
        /// The connection.
        link: ServerLink,
        /// The message.
        message: Message,
    },
    /// Ends a connection to a rendezvous server.
    Disconnect(ServerLink),
    /// Asks DNS for a domain's rendezvous servers; the answer is [`Input::Resolved`].
    Resolve(String),
    /// Keeps an envelope in the mailbox of the built-in relay; the outcome is [`Input::Kept`] or
    /// [`Input::NotKept`].
    Keep(Box<Keep>),
    /// Deletes what was read from the mailbox of the built-in relay.
    Discard(Cursor),
    /// One's own identity or noise key has changed: new connections show the new one.
    IdentityChanged,
    /// Ends the client.
    Stop,
}
