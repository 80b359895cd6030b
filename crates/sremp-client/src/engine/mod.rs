//! What the client decides. No socket, clock, thread or random source: inputs, time and randomness
//! are arguments, durable state is a transaction given as an argument, and what is to be done comes
//! back as [`Output`]s, which the shell carries out only after that transaction is durable.
//!
//! The same store, inputs, times and random bytes give the same outputs.

mod accounting;
mod acting;
mod admission;
mod backoff;
mod changes;
mod commands;
mod contacts;
mod dialling;
mod disappearing;
mod invites;
mod lines;
mod links;
mod naming;
mod outgoing;
mod own;
mod peers;
mod profile;
mod receiving;
mod relays;
mod rendezvous;
mod requests;
mod resending;
mod restoring;
mod sending;
mod telling;
mod views;
mod waits;
mod why;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use sremp_core::{
    channel::{Admission, HandshakeHash, Message, Service},
    contact_card::Endpoint,
    error::ErrorCode,
    id::{ContactId, IntroToken},
    identity::Identity,
    rand_core::CryptoRng,
    rendezvous::{ExporterValue, SpkiHash},
    time::{Tick, UnixMillis},
};
use sremp_net::{
    CloseReason, DialTarget, Direction, LinkId,
    bootstrap::{DomainServer, LookupError},
    mapping::Mapping,
};

use self::{
    accounting::Refusals, dialling::Dialling, disappearing::Disappearing, links::Links, own::Own,
    peers::Peers, relays::Relays, rendezvous::Servers, restoring::Renewals, waits::Waits,
};
use crate::{
    config::Config,
    store::{StoreError, Tx},
    view::{Command, CommandError, Reply},
};

/// Names a command that waits for its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names a connection to a rendezvous server, as the engine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerLink(pub u64);

/// A rendezvous server to connect to.
#[derive(Clone, Debug)]
pub struct ServerTarget {
    /// What the connection is called.
    pub link: ServerLink,
    /// Where the server is.
    pub endpoint: Endpoint,
    /// The name in its certificate, if that is not the host.
    pub tls_name: Option<String>,
    /// The key of its certificate, by which it is believed in the place of a name.
    pub pin: Option<SpkiHash>,
    /// Not to be connected to at a private address.
    pub public_only: bool,
}

/// A connection to a rendezvous server that stands.
#[derive(Debug)]
pub struct ServerOpened {
    /// What the engine called it.
    pub link: ServerLink,
    /// What it exports.
    pub exporter: ExporterValue,
    /// The address of this end.
    pub local: Option<IpAddr>,
}

/// How much a client does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing on the network.
    Offline,
    /// It is there for one command: it sends and looks for people, and is not to be found itself.
    Visiting,
    /// It stays, and is found through its rendezvous servers.
    Resident,
}

/// The time of a step, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// What a calendar shows.
    pub wall: UnixMillis,
    /// What a stopwatch shows.
    pub tick: Tick,
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
    /// One's own identity or noise key has changed: new connections show the new one.
    IdentityChanged,
    /// Ends the client.
    Stop,
}

/// The client's decisions. Everything that must survive is in the store; what is kept here can be
/// made again from it with [`Engine::load`].
pub struct Engine {
    own: Own,
    config: Config,
    /// Whether this client may use the network at all.
    online: bool,
    listening: Option<SocketAddr>,
    peers: Peers,
    links: Links,
    dialling: Dialling,
    relays: Relays,
    servers: Servers,
    waits: Waits,
    disappearing: Disappearing,
    /// Contacts whose outbox has to be moved along at the end of the step.
    to_push: BTreeSet<ContactId>,
    /// Contacts with whom a new session has to be begun with RESET.
    resets: BTreeSet<ContactId>,
    /// When one's own RESET to a contact went out, until one of the contact's comes.
    resets_begun: BTreeMap<ContactId, Tick>,
    /// When a contact's RESET was last followed.
    resets_taken: BTreeMap<ContactId, Tick>,
    /// Contacts who have just withdrawn their identity: their connections are closed.
    withdrawn: BTreeSet<ContactId>,
    /// Contacts of this restored home that have not answered since.
    renewals: Renewals,
    /// When a restored contact was last sent what it lacks.
    resent: BTreeMap<ContactId, Tick>,
    refusals: Refusals,
    started: Tick,
    next_maintenance: Tick,
    /// Both clocks at the last maintenance: a calendar that jumps ends nothing.
    last_maintenance: Option<Now>,
    last_event: u64,
}

/// What one step works with.
struct Step<'a, 'tx> {
    tx: &'a mut Tx<'tx>,
    now: Now,
    rng: &'a mut dyn CryptoRng,
    outputs: Vec<Output>,
}

impl Step<'_, '_> {
    fn reply(&mut self, ticket: Ticket, result: Result<Reply, CommandError>) {
        self.outputs.push(Output::Reply {
            ticket,
            result: Box::new(result),
        });
    }
}

impl Engine {
    /// The engine of a store, at its start.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read or a missing key cannot be saved.
    pub fn load(
        tx: &mut Tx<'_>,
        config: Config,
        mode: Mode,
        now: Now,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, StoreError> {
        let restored = tx.is_restored()?;
        if restored {
            restoring::renew_identity(tx, now.wall, rng)?;
        }
        let own = Own::load(tx, now.wall, rng)?;
        let online = mode != Mode::Offline;
        let resident = mode == Mode::Resident;
        let mut servers = Servers::load(tx, &config, resident, now.tick)?;
        servers.load_candidates(tx, now.wall)?;
        let mut engine = Self {
            peers: Peers::new(own.identity.id()),
            own,
            relays: Relays::new(&config, now.tick),
            servers,
            config,
            online,
            listening: None,
            links: Links::default(),
            dialling: Dialling::default(),
            waits: Waits::default(),
            disappearing: Disappearing::load(tx, now)?,
            to_push: BTreeSet::new(),
            resets: BTreeSet::new(),
            resets_begun: BTreeMap::new(),
            resets_taken: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
            renewals: Renewals::default(),
            resent: BTreeMap::new(),
            refusals: Refusals::default(),
            started: now.tick,
            next_maintenance: now.tick,
            last_maintenance: None,
            last_event: tx.last_event()?,
        };
        if restored {
            engine.begin_anew(&mut Step {
                tx,
                now,
                rng,
                outputs: Vec::new(),
            })?;
        }
        engine.renewals = Renewals::load(tx, now, rng)?;
        for (row, _) in tx.outbox_contacts()? {
            if let Some(contact) = tx.contact(row)? {
                engine.push_soon(&contact.key);
            }
        }
        Ok(engine)
    }

    /// Takes inputs that happened together. The outputs hold only once `tx` is committed; if it is
    /// not, this engine is to be dropped and loaded again.
    ///
    /// # Errors
    /// [`StoreError`]: the transaction is to be rolled back.
    pub fn step(
        &mut self,
        tx: &mut Tx<'_>,
        inputs: impl IntoIterator<Item = Input>,
        now: Now,
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<Output>, StoreError> {
        let mut step = Step {
            tx,
            now,
            rng,
            outputs: Vec::new(),
        };
        self.erase_expired(&mut step)?;
        for input in inputs {
            self.take(&mut step, input)?;
        }
        self.run_timers(&mut step)?;
        self.end_searches(&mut step)?;
        while let Some(key) = self.withdrawn.pop_first() {
            self.close_peer(&mut step, &key, ErrorCode::Refused);
        }
        self.run_pushes(&mut step)?;
        self.run_relays(&mut step)?;
        self.run_servers(&mut step)?;
        self.dial_due(&mut step)?;
        self.answer_waits(&mut step)?;
        self.peers.save(step.tx)?;
        Ok(step.outputs)
    }

    /// The disk has just failed: nothing is begun that is not asked for, for half a minute.
    pub fn postpone(&mut self, now: Now) {
        const PAUSE: Duration = Duration::from_secs(30);
        self.next_maintenance = now.tick.plus(PAUSE);
        self.dialling.postpone(now.tick.plus(PAUSE));
        self.relays.postpone(now.tick.plus(PAUSE));
        self.servers.postpone(now.tick.plus(PAUSE));
    }

    /// When [`Input::Deadline`] is due.
    pub fn deadline(&self) -> Tick {
        [
            self.dialling.deadline(self.online),
            self.links.deadline(),
            self.waits.deadline(),
            self.disappearing.deadline(),
            self.renewals.deadline(self.online),
            self.relays.deadline(self.online),
            self.servers.deadline(self.online),
        ]
        .into_iter()
        .flatten()
        .fold(self.next_maintenance, Tick::min)
    }

    /// One's own identity and keys.
    pub fn own(&self) -> &sremp_core::identity::SecretIdentity {
        &self.own.identity
    }

    fn take(&mut self, step: &mut Step<'_, '_>, input: Input) -> Result<(), StoreError> {
        match input {
            Input::Command { ticket, command } => self.handle_command(step, ticket, command),
            Input::Left(tickets) => {
                self.end_event_waits(&tickets, step.now.tick);
                Ok(())
            }
            Input::Listening(address) => self.handle_listening(step, address),
            Input::Shown {
                link,
                service,
                identity,
                intro,
            } => match service {
                Service::Relay => self.handle_relay_shown(step, link, &identity),
                _ => self.handle_shown(step, link, &identity, intro),
            },
            Input::Opened {
                link,
                service,
                direction,
                identity,
                binding,
            } => match service {
                Service::Relay => self.handle_relay_opened(step, link, &identity, &binding),
                _ => self.handle_opened(step, link, direction, &identity),
            },
            Input::Message { link, message } if self.relays.has_link(link) => {
                self.handle_relay_message(step, link, &message)
            }
            Input::Message { link, message } => self.handle_message(step, link, &message),
            Input::Pong(link) => self.handle_pong(step, link),
            Input::Closed {
                link,
                service,
                dialled,
                reason,
            } => {
                if reason == CloseReason::PrivateAddress {
                    self.refusals.count("private-address");
                }
                match service {
                    Service::Relay => self.handle_relay_closed(step, link, dialled, &reason),
                    _ => self.handle_closed(step, link, dialled, &reason),
                }
            }
            Input::ServerOpened(opened) => {
                self.handle_server_opened(step, opened);
                Ok(())
            }
            Input::ServerMessage { link, message } => {
                self.handle_server_message(step, link, &message)
            }
            Input::ServerClosed { link, cause } => self.handle_server_closed(step, link, cause),
            Input::Resolved { domain, answer } => {
                self.handle_resolved(step, &domain, answer);
                Ok(())
            }
            Input::Mapped(mapping) => self.handle_mapped(step, mapping),
            Input::Deadline => Ok(()),
        }
    }

    fn run_timers(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        self.expire_candidates(step);
        self.expire_strangers(step);
        self.retry_unanswered(step);
        self.run_renewals(step)?;
        if step.now.tick >= self.next_maintenance {
            self.maintain(step)?;
        }
        Ok(())
    }
}
