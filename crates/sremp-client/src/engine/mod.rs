//! What the client decides. No socket, clock, thread or random source: inputs, time and randomness
//! are arguments, durable state is a transaction given as an argument, and what is to be done comes
//! back as [`Output`]s, which the shell carries out only after that transaction is durable.
//!
//! The same store, inputs, times and random bytes give the same outputs.

mod accounting;
mod acting;
mod admission;
mod changes;
mod claims;
mod commands;
mod contacts;
mod dialling;
mod disappearing;
mod doctor;
mod forks;
mod invites;
mod io;
mod keeping;
mod lines;
mod links;
mod naming;
mod network;
mod outgoing;
mod own;
mod paths;
mod peers;
mod profile;
mod pushing;
mod receiving;
mod relays;
mod rendezvous;
mod renewed_requests;
mod requests;
mod resealing;
mod resending;
mod resets;
mod restoring;
mod screen;
mod screens;
mod sending;
mod silence;
mod telling;
mod views;
mod waiting;
mod waits;
mod why;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use sremp_core::{
    channel::Service,
    error::ErrorCode,
    id::ContactId,
    rand_core::CryptoRng,
    session::DhPublicKey,
    time::{Tick, UnixMillis},
};
use sremp_net::CloseReason;

pub(crate) use self::profile::forget_own_places;
use self::{
    accounting::Refusals, dialling::Dialling, disappearing::Disappearing, doctor::Examination,
    keeping::Keeping, links::Links, own::Own, peers::Peers, relays::Relays, rendezvous::Servers,
    restoring::Renewals, screen::Screen, screens::Screens, waits::Waits,
};
pub use self::{
    doctor::StoreMeasure,
    io::{Input, Keep, Kept, Output, Unkept},
    rendezvous::{ServerOpened, ServerTarget},
};
use crate::{
    config::Config,
    store::{StoreError, Tx},
    view::{CommandError, Reply},
};

/// Names a command that waits for its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names a connection to a rendezvous server, as the engine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerLink(pub u64);

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
    examinations: Vec<Examination>,
    disappearing: Disappearing,
    /// Contacts whose outbox has to be moved along at the end of the step.
    to_push: BTreeSet<ContactId>,
    /// Contacts who have confirmed something and never written: up to which item of theirs what they had
    /// thrown away before is stored again. Once for each: they might confirm one by one from the end.
    accepted_unsaid: BTreeMap<ContactId, i64>,
    /// Contacts with whom a new session has to be begun with RESET.
    resets: BTreeSet<ContactId>,
    /// Of whom something could not be read, and no new session is due yet.
    unread: BTreeSet<ContactId>,
    /// When one's own RESET to a contact went out, and to which of its states, until one of the contact's comes.
    resets_begun: BTreeMap<ContactId, (Tick, Option<DhPublicKey>)>,
    resets_taken: resets::ResetsTaken,
    resealed: resealing::Resealed,
    renewed_requests: renewed_requests::RenewedRequests,
    /// Contacts who have just withdrawn their identity: their connections are closed.
    withdrawn: BTreeSet<ContactId>,
    /// When contacts showed a newer identity in this run.
    changed_lately: BTreeMap<ContactId, Tick>,
    /// Contacts of this restored home that have not answered since.
    renewals: Renewals,
    resent: resending::Resent,
    refusals: Refusals,
    keeping: Keeping,
    /// The screens of this home.
    screens: Screens,
    /// If this home is a screen itself.
    screen: Option<Screen>,
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
        let own = Own::load(tx, config.prefers_async, now.wall, rng)?;
        let screen = Screen::load(
            tx,
            mode != Mode::Offline,
            &own.identity,
            (now.wall, now.tick),
            rng,
        )?;
        let online = mode != Mode::Offline && screen.is_none();
        let resident = mode == Mode::Resident && screen.is_none();
        let served = config.built_in_relay && screen.is_none();
        let screens = Screens::load(tx, served, restored, &own.identity, now.wall, rng)?;
        let mut servers = Servers::load(tx, &config, resident, now.tick)?;
        servers.load_candidates(tx, now.wall)?;
        let mut relays = match screen {
            None => Relays::load(tx, &config, now)?,
            Some(_) => Relays::default(),
        };
        if online {
            relays.load_reading(tx, now)?;
        }
        let mut engine = Self {
            peers: Peers::new(own.identity.id()),
            own,
            relays,
            servers,
            config,
            online,
            listening: None,
            links: Links::default(),
            dialling: Dialling::default(),
            waits: Waits::default(),
            examinations: Vec::new(),
            disappearing: Disappearing::load(tx, now)?,
            to_push: BTreeSet::new(),
            accepted_unsaid: BTreeMap::new(),
            resets: BTreeSet::new(),
            unread: BTreeSet::new(),
            resets_begun: BTreeMap::new(),
            resets_taken: resets::ResetsTaken::default(),
            resealed: resealing::Resealed::default(),
            renewed_requests: renewed_requests::RenewedRequests::default(),
            withdrawn: BTreeSet::new(),
            changed_lately: BTreeMap::new(),
            renewals: Renewals::default(),
            resent: resending::Resent::load(tx)?,
            refusals: Refusals::default(),
            keeping: Keeping::default(),
            screens,
            started: now.tick,
            // a screen has nothing to be maintained
            next_maintenance: match &screen {
                None => now.tick,
                Some(_) => Tick::new(u64::MAX),
            },
            screen,
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
                // what a relay had just begun to keep when the last run ended
                engine.relays.kept(contact.key, now.tick);
                if !engine.has_relay() {
                    engine.relays.look_later(contact.key, now.tick);
                }
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
        self.run_screen(&mut step);
        self.examine(&mut step)?;
        self.answer_waits(&mut step)?;
        self.peers.save(step.tx)?;
        self.tell_screens(&mut step)?;
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
            self.examinations.iter().map(Examination::until).min(),
            self.disappearing.deadline(),
            self.renewals.deadline(self.online),
            self.resets_taken.deadline(),
            self.resealed.deadline(),
            self.relays.deadline(self.online),
            self.servers.deadline(self.online),
            self.screen.as_ref().and_then(Screen::deadline),
        ]
        .into_iter()
        .flatten()
        .fold(self.next_maintenance, Tick::min)
    }

    /// One's own identity and keys.
    pub fn own(&self) -> &sremp_core::identity::SecretIdentity {
        &self.own.identity
    }

    /// The identity that connections show: one's own, but of a screen another.
    pub fn shown(&self) -> &sremp_core::identity::SecretIdentity {
        self.screen.as_ref().map_or(self.own(), Screen::shown)
    }

    fn take(&mut self, step: &mut Step<'_, '_>, input: Input) -> Result<(), StoreError> {
        let Some(input) = self.take_as_screen(step, input)? else {
            return Ok(());
        };
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
                _ if self.screens.are(&identity) => {
                    self.screen_shown(step, link);
                    Ok(())
                }
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
                _ if self.screens.is_admitted(link) => {
                    self.screen_opened(link);
                    Ok(())
                }
                _ => self.handle_opened(step, link, direction, &identity),
            },
            Input::Message { link, message } if self.relays.has_link(link) => {
                self.handle_relay_message(step, link, &message)
            }
            Input::Message { link, message } if self.screens.has_link(link) => {
                self.screen_message(step, link, &message);
                Ok(())
            }
            Input::Message { link, message } => self.handle_message(step, link, &message),
            Input::Examine { ticket, store } => {
                self.begin_examination(step, ticket, store);
                Ok(())
            }
            Input::Pong(link) => {
                self.relay_has_answered(step.now.tick, link);
                self.relays.heard(link, step.now.tick);
                self.handle_pong(step, link)
            }
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
                    _ if self.screens.closed(link) => Ok(()),
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
            Input::Kept(kept) => self.read_kept(step, &kept),
            Input::NotKept(unkept) => {
                self.not_kept(unkept);
                Ok(())
            }
            Input::Mapped(mapping) => self.handle_mapped(step, mapping),
            Input::NetworkChanged => {
                self.network_changed(step);
                Ok(())
            }
            Input::Deadline => Ok(()),
        }
    }

    fn run_timers(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        self.expire_candidates(step);
        self.expire_strangers(step);
        self.leave_silent(step)?;
        self.retry_unanswered(step);
        self.run_renewals(step)?;
        self.follow_owed_resets(step)?;
        self.seal_owed(step)?;
        self.end_promises(step)?;
        self.give_what_was_passed_over(step)?;
        if step.now.tick >= self.next_maintenance {
            self.maintain(step)?;
        }
        Ok(())
    }
}
