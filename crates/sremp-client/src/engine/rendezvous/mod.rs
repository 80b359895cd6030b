//! The client and rendezvous servers (chapter 5): where one is is told to one's own servers, and who
//! cannot be reached is looked for.
//!
//! [`registering`] says where one is by what [`places`] knows, [`register`] is the verb; [`finding`] asks for one person, [`browsing`] for those who are
//! listed. [`connection`] keeps one connection a server, [`domains`] asks DNS for servers.

mod browsing;
mod connection;
mod domains;
mod finding;
mod places;
mod register;
mod registering;
mod seek;
mod views;

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use sremp_core::{
    contact_card::Endpoint,
    id::ContactId,
    rendezvous::{
        Candidates, ExporterValue, NotKept, PageCursor, RendezvousClient, Seq, ServerRecord,
        Source, SpkiHash, Visibility,
    },
    time::{Tick, UnixMillis},
};

pub(super) use self::places::LEARNT;
use self::{browsing::Browse, finding::Searches, places::Places, registering::Registering};
use super::{ServerLink, Ticket};
use crate::{
    config::{Config, RendezvousPlace},
    store::{StoreError, Tx},
};

/// A server that leaves a request without an answer for this time is left.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Silence after which a server with which one is registered hears of one again: half a minute before
/// it would close (5.1), and often enough to notice that one's address has changed.
const HEARTBEAT: Duration = Duration::from_secs(45);
/// When this host's network has changed, a server has this time to show that the connection stands.
const PATIENCE_AFTER_CHANGE: Duration = Duration::from_secs(2);
/// A connection that was made for a lookup is closed when nothing was asked for this time.
const IDLE: Duration = Duration::from_secs(20);

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

/// Every server that is used.
pub(super) struct Servers {
    known: BTreeMap<Endpoint, Server>,
    links: BTreeMap<ServerLink, Endpoint>,
    next_link: u64,
    domains: Vec<Domain>,
    registering: Registering,
    places: Places,
    searches: Searches,
    browses: BTreeMap<Ticket, Browse>,
    candidates: Candidates,
    /// Nothing is begun before: the disk has just failed.
    rest_until: Option<Tick>,
}

/// A domain of the settings, whose servers DNS names (5.9).
struct Domain {
    name: String,
    /// When it is asked for; `None` while it is, or when it has answered.
    due: Option<Tick>,
    failures: u32,
    last_error: Option<String>,
}

/// One server.
pub(super) struct Server {
    /// The name that its certificate has to be for, if not its host.
    tls_name: Option<String>,
    /// The key of its certificate, by which it is believed in the place of a name.
    pin: Option<SpkiHash>,
    /// `server_key`, if it is known.
    key: Option<ContactId>,
    /// One of one's own, with which one registers; else a contact's card names it.
    own: bool,
    phase: Phase,
    /// Connections in a row that failed or did not last.
    failures: u32,
    /// When the last of them ended.
    failed: Option<Tick>,
    /// When to connect next; `None`: not before something is to be done.
    due: Option<Tick>,
    last_error: Option<String>,
    /// What is to be asked, in this order.
    queue: VecDeque<Ask>,
    account: Account,
}

/// What a server knows of oneself.
#[derive(Default)]
struct Account {
    /// The record that it has kept, told on this connection.
    told: Option<Seq>,
    /// Until when that holds.
    until: Option<UnixMillis>,
    /// It does not take one's addresses, only one's relays.
    reduced: bool,
    /// After a refusal: not before this time again.
    retry: Option<Tick>,
    refusal: Option<String>,
}

enum Phase {
    Down,
    Connecting(ServerLink),
    Up(Box<Session>),
}

/// A connection to a server.
struct Session {
    link: ServerLink,
    machine: RendezvousClient,
    asked: BTreeMap<u32, Ask>,
    opened: Tick,
    /// When something was last asked or answered.
    active: Tick,
    /// The oldest unanswered request was sent after this.
    progress: Tick,
    /// The address of this end.
    local: Option<IpAddr>,
    /// It was asked whether it is there, and is left at this time unless it says so.
    until: Option<Tick>,
    /// The server has said from where it sees this connection come, or does not say.
    addressed: bool,
}

/// A request.
enum Ask {
    Address,
    Register(Seq),
    Lookup(ContactId),
    Page(Ticket, Option<PageCursor>),
    Servers,
}

impl Server {
    fn new(pin: Option<SpkiHash>, own: bool) -> Self {
        Self {
            tls_name: None,
            pin,
            key: None,
            own,
            phase: Phase::Down,
            failures: 0,
            failed: None,
            due: None,
            last_error: None,
            queue: VecDeque::new(),
            account: Account::default(),
        }
    }

    fn session(&self) -> Option<&Session> {
        match &self.phase {
            Phase::Up(session) => Some(session),
            Phase::Down | Phase::Connecting(_) => None,
        }
    }

    fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.phase {
            Phase::Up(session) => Some(session),
            Phase::Down | Phase::Connecting(_) => None,
        }
    }

    fn is_down(&self) -> bool {
        matches!(self.phase, Phase::Down)
    }
}

impl Servers {
    /// The servers of the settings, to be used when there is something to do.
    pub(super) fn load(
        tx: &mut Tx<'_>,
        config: &Config,
        resident: bool,
        now: Tick,
    ) -> Result<Self, StoreError> {
        let mut servers = Self {
            known: BTreeMap::new(),
            links: BTreeMap::new(),
            // a later engine of the same process gives other names
            next_link: now.get() << 20,
            domains: Vec::new(),
            registering: Registering::load(tx, resident)?,
            places: Places::default(),
            searches: Searches::default(),
            browses: BTreeMap::new(),
            candidates: Candidates::new(config.allow_private_addresses),
            rest_until: None,
        };
        for place in config.rendezvous_places() {
            match place {
                RendezvousPlace::Link(link) => {
                    let mut server = Server::new(link.spki, true);
                    server.key = Some(link.server);
                    servers.known.insert(link.endpoint.clone(), server);
                }
                RendezvousPlace::Domain(name) => servers.domains.push(Domain {
                    name,
                    due: Some(now),
                    failures: 0,
                    last_error: None,
                }),
            }
        }
        Ok(servers)
    }

    /// What others told of in earlier runs. What only this run may not use is kept for the next, which
    /// may have other settings.
    pub(super) fn load_candidates(
        &mut self,
        tx: &mut Tx<'_>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        for (source, record) in tx.candidates()? {
            let server = record.server();
            match self.candidates.offer(Source::Server(source), record, now) {
                Ok(()) | Err(NotKept::PrivateAddress) => {}
                Err(_) => tx.forget_candidate(&server)?,
            }
        }
        Ok(())
    }

    /// Nothing is begun before this time: the disk has just failed.
    pub(super) fn postpone(&mut self, until: Tick) {
        self.rest_until = Some(until);
    }

    /// The network is another one: servers that wait for a pause are tried at once, and those that are
    /// connected are asked whether they are, and from where they see this client now.
    pub(super) fn begin_anew(&mut self, now: Tick) {
        for server in self.known.values_mut() {
            server.failures = 0;
            server.due = server.due.map(|due| due.min(now));
            if let Phase::Up(session) = &mut server.phase {
                session.until = Some(now.plus(PATIENCE_AFTER_CHANGE));
                if session.asked.is_empty() && server.queue.is_empty() {
                    server.queue.push_back(Ask::Address);
                }
            }
        }
    }

    /// Whether any server is known that could be asked for anybody.
    fn any(&self) -> bool {
        self.known.values().any(|s| s.own) || !self.domains.is_empty()
    }

    /// Whether DNS is being asked for servers, or is about to be.
    fn is_resolving(&self, now: Tick) -> bool {
        let asks = |domain: &Domain| domain.due.is_none_or(|due| due <= now);
        self.domains.iter().any(asks)
    }

    fn own(&self) -> impl Iterator<Item = (&Endpoint, &Server)> {
        self.known.iter().filter(|(_, server)| server.own)
    }

    /// Servers of which others told, that are not in use.
    fn offered(&self, now: UnixMillis) -> impl Iterator<Item = &ServerRecord> {
        let unused = |record: &&ServerRecord| !self.known.contains_key(record.endpoint());
        self.candidates.list(now).filter(unused)
    }

    /// As whom one registers now, if at all.
    pub(super) fn visibility(&self) -> Option<Visibility> {
        self.registering.wish()
    }

    pub(super) fn deadline(&self, online: bool) -> Option<Tick> {
        if !online {
            return None;
        }
        let servers = self.known.values().filter_map(|s| self.server_deadline(s));
        let domains = self.domains.iter().filter_map(|d| d.due);
        let browses = self.browses.values().map(Browse::until);
        servers
            .chain(domains)
            .chain(browses)
            .chain(self.registering.deadline())
            .chain(self.searches.deadline())
            .min()
            .map(|at| self.rest_until.map_or(at, |rest| at.max(rest)))
    }
}
