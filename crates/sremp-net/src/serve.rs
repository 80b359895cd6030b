//! Serving: one task per connection, and whoever answers on it (architecture, rule 8).

use std::sync::Arc;

use sremp_core::{
    channel::{Accept, Admission, Channel, Event, HandshakeHash, Message, Service},
    error::ErrorCode,
    id::{ContactId, IntroToken},
    identity::Identity,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};

use crate::{
    CloseReason, LinkCommand, LinkHandle,
    gate::{AddressKey, Permit},
    link::Commands,
    network::Shared,
    pump::Pump,
    task::{LOW_WATER, asked_to_leave},
};

/// A server: decides who comes in, and makes a [`Guest`] of each.
///
/// Its methods run in the connections' tasks and must not block.
pub trait Serve: Send + Sync + 'static {
    /// What answers on one connection.
    type Guest: Guest;
    /// What is served.
    const SERVICE: Service;

    /// Whether the peer, who has proved its identity, comes in.
    fn admit(&self, peer: &Identity, intro: Option<&IntroToken>) -> Admission;

    /// A connection is open.
    ///
    /// # Errors
    /// The code to close it with, such as `BUSY`.
    fn open(&self, arrival: Arrival) -> Result<Self::Guest, ErrorCode>;
}

/// One open connection of a server. It is dropped when the connection has ended.
pub trait Guest: Send + 'static {
    /// Takes a message of the peer. Answers go to [`Arrival::handle`], now or later.
    ///
    /// # Errors
    /// The code to close the connection with.
    fn handle(&mut self, message: Message) -> Result<(), ErrorCode>;
}

/// Who has come.
#[derive(Debug)]
pub struct Arrival {
    /// The peer.
    pub peer: Identity,
    /// The Noise handshake hash of this connection.
    pub channel_binding: HandshakeHash,
    /// Where from: for limits, not for logs.
    pub address: AddressKey,
    /// Sends to the peer.
    pub handle: LinkHandle,
}

/// A connection and everything that it owns.
pub(crate) struct Served<T: Serve, S> {
    server: Arc<T>,
    pump: Pump<S>,
    commands: Commands,
    /// Until the connection is open, when it goes to the guest.
    handle: Option<LinkHandle>,
    guest: Option<T::Guest>,
    shared: Arc<Shared>,
    shutdown: watch::Receiver<Option<ErrorCode>>,
    /// Until the connection is open.
    permit: Option<Permit>,
    /// What a violation is counted for.
    from: AddressKey,
    /// Who the peer has proved to be.
    peer: Option<ContactId>,
    banned: bool,
    own_close: bool,
}

impl<T: Serve, S: AsyncRead + AsyncWrite + Send + Unpin> Served<T, S> {
    pub(crate) fn new(
        server: Arc<T>,
        stream: S,
        permit: Permit,
        shared: Arc<Shared>,
        shutdown: watch::Receiver<Option<ErrorCode>>,
    ) -> Self {
        let config = Accept {
            local: shared.local(),
            service: T::SERVICE,
            reassembly: shared.reassembly.clone(),
        };
        let channel = Channel::accept(config, shared.clock.now(), &mut rand::rng());
        let (handle, commands) = Commands::new(shared.new_link());
        Self {
            server,
            pump: Pump::new(stream, channel, shared.clock).in_turns(shared.gate.clone()),
            commands,
            handle: Some(handle),
            guest: None,
            shared,
            shutdown,
            from: permit.from,
            permit: Some(permit),
            peer: None,
            banned: false,
            own_close: false,
        }
    }

    /// Runs the connection to its end. Boxed: a future has room for what it is called with twice.
    pub(crate) async fn run(mut self: Box<Self>) {
        let mut going_away = false;
        loop {
            let done = self.pump.is_done();
            self.collect();
            // what was just collected may have been answered with bytes
            if done && self.pump.is_done() {
                break;
            }
            let takes = !going_away && self.pump.channel.queued_bytes() < LOW_WATER;
            tokio::select! {
                stepped = self.pump.step(true) => if stepped.is_err() {
                    self.pump.channel.handle_eof(self.shared.clock.now());
                },
                command = self.commands.next(), if takes => {
                    self.obey(command);
                    self.obey_waiting();
                }
                code = asked_to_leave(&mut self.shutdown), if !going_away => {
                    going_away = true;
                    while let Some(command) = self.commands.try_next() {
                        self.obey(command);
                    }
                    self.pump.channel.close(self.shared.clock.now(), code);
                }
            }
        }
        self.guest = None;
        self.pump.finish(self.own_close).await;
    }

    /// Takes along what waits, so that it leaves in one write.
    fn obey_waiting(&mut self) {
        while self.pump.channel.queued_bytes() < LOW_WATER {
            match self.commands.try_next() {
                Some(command) => self.obey(command),
                None => return,
            }
        }
    }

    fn obey(&mut self, command: LinkCommand) {
        let now = self.shared.clock.now();
        match command {
            LinkCommand::Send(message) => {
                // the size was checked when it was queued: this fails on a closed link only
                let _ = self.pump.channel.send(&message);
            }
            LinkCommand::Probe => self.pump.channel.probe(now, &mut rand::rng()),
            LinkCommand::Close(code) => self.pump.channel.close(now, code),
        }
    }

    fn collect(&mut self) {
        while let Some(event) = self.pump.channel.poll_event() {
            let now = self.shared.clock.now();
            match event {
                Event::Shown { identity, intro } => {
                    let admission = self.admit(&identity, intro.as_ref());
                    self.pump.channel.handle_admission(now, admission);
                }
                Event::Opened { peer } => self.opened(peer),
                Event::Message(message) => {
                    let handled = self.guest.as_mut().map(|guest| guest.handle(message));
                    if let Some(Err(code)) = handled {
                        self.pump.channel.close(now, code);
                    }
                }
                Event::Pong => {}
                Event::Closed(reason) => self.closed(reason.into()),
            }
        }
    }

    fn admit(&mut self, peer: &Identity, intro: Option<&IntroToken>) -> Admission {
        let id = *self.peer.insert(peer.id());
        self.banned = self.shared.gate.is_banned(&id, self.shared.clock.now());
        match self.banned {
            true => Admission::Close(ErrorCode::Refused),
            false => self.server.admit(peer, intro),
        }
    }

    fn opened(&mut self, peer: Identity) {
        self.permit = None;
        let binding = self.pump.channel.handshake_hash().copied();
        let (Some(handle), Some(channel_binding)) = (self.handle.take(), binding) else {
            return;
        };
        let opened = self.server.open(Arrival {
            peer,
            channel_binding,
            address: self.from,
            handle,
        });
        match opened {
            Ok(guest) => self.guest = Some(guest),
            Err(code) => self.pump.channel.close(self.shared.clock.now(), code),
        }
    }

    fn closed(&mut self, reason: CloseReason) {
        self.guest = None;
        self.own_close = matches!(reason, CloseReason::Own(_));
        // an open connection may end at any time, but not because of what its peer did
        let fault = match reason {
            CloseReason::Local(code) | CloseReason::Own(code) if code != ErrorCode::GoingAway => {
                Some(code)
            }
            _ => None,
        };
        if fault.is_some_and(ErrorCode::is_violation) {
            let (gate, now) = (&self.shared.gate, self.shared.clock.now());
            gate.violated(self.from, self.peer, now);
        }
        let half_open = self.permit.take().is_some();
        if self.banned {
            self.shared.count_cause("banned identity");
        } else if half_open || fault.is_some() {
            self.shared.count(&reason);
        }
    }
}
