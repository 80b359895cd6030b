//! A rendezvous server in the world: what is registered survives it, its connections do not.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use rand_chacha::{ChaCha20Rng, rand_core::Rng as _};
use serde_bytes::ByteBuf;
use sremp_client::engine::{Input, ServerLink, ServerOpened, ServerTarget};
use sremp_core::{
    channel::Message,
    contact_card::Endpoint,
    error::ErrorCode,
    id::{ContactId, IdentityKey},
    identity::{SecretIdentity, Username},
    rendezvous::{
        Directory, Entry, ExporterValue, LookupResponse, PageCursor, PeerInfo, Place, Refusal,
        Register, RegisterResponse, RendezvousLink, RendezvousMessage, Request, ServerConnection,
        ServerRecord, ServerRecordDraft, Servers, SignedServer, Verdict,
    },
    time::UnixMillis,
};

use sremp_net::{
    bootstrap::{DomainServer, LookupError},
    mapping::{Mapping, MappingProtocol},
};

use crate::{
    Node, World,
    world::{MAX_DELAY, NodeIndex},
};

/// What a rendezvous server does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lie {
    /// Nothing.
    #[default]
    None,
    /// It tells of another than who was asked for.
    GivesAnother,
    /// It tells what was true when somebody registered first.
    GivesTheFirst,
    /// It knows nobody.
    Withholds,
    /// It gives the same page for ever.
    NeverEnds,
    /// It takes every registration and keeps none.
    Forgets,
    /// It tells of the newest record with the first identity.
    GivesTheFirstIdentity,
    /// It says that everybody is at an address inside, which it has guessed.
    GuessesAddresses,
    /// It has no room for anybody.
    IsFull,
}

/// A rendezvous server.
pub struct Rendezvous {
    /// The host under which it is.
    pub name: String,
    /// What it does wrong.
    pub lie: Lie,
    /// Whether it answers at all.
    pub up: bool,
    /// Whether it dials people back before it keeps where they are.
    pub dials_back: bool,
    /// What it tells of other servers.
    pub others: Vec<ServerRecord>,
    /// Whom it was asked for so far.
    pub lookups: u64,
    /// Connections that it has taken so far.
    pub connected: u64,
    /// Registrations that it has kept so far.
    pub registered: u64,
    identity: SecretIdentity,
    directory: Directory,
    first: BTreeMap<IdentityKey, Entry>,
    connections: BTreeMap<(NodeIndex, ServerLink), ServerConnection>,
}

impl Rendezvous {
    pub(crate) fn new(name: &str, now: UnixMillis, rng: &mut ChaCha20Rng) -> Self {
        let username = Username::parse("rendezvous").expect("a name");
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        Self {
            name: name.to_owned(),
            lie: Lie::None,
            up: true,
            dials_back: true,
            others: Vec::new(),
            lookups: 0,
            connected: 0,
            registered: 0,
            identity: SecretIdentity::generate(&username, now, rng),
            directory: Directory::new(1_000, secret),
            first: BTreeMap::new(),
            connections: BTreeMap::new(),
        }
    }

    /// What its operator hands out.
    pub fn link(&self) -> RendezvousLink {
        RendezvousLink {
            server: self.identity.id(),
            endpoint: Endpoint::new(&self.name, 4000).expect("a test's name is a host"),
            spki: None,
        }
    }

    /// Its word on itself.
    pub fn record(&self, now: UnixMillis) -> ServerRecord {
        let draft = ServerRecordDraft {
            endpoint: self.link().endpoint,
            spki: None,
            issued: now,
            ttl: std::time::Duration::from_secs(24 * 60 * 60),
        };
        ServerRecord::sign(&self.identity, draft).expect("a day is not too long")
    }

    /// Whether it tells where somebody is.
    pub fn tells_of(&self, key: &ContactId, now: UnixMillis) -> bool {
        self.directory.lookup(&(*key).into(), now).is_some()
    }

    /// The places that it tells of somebody.
    pub fn places_of(&self, key: &ContactId, now: UnixMillis) -> Vec<String> {
        let Some(peer) = self.directory.lookup(&(*key).into(), now) else {
            return Vec::new();
        };
        let record = sremp_core::rendezvous::Record::verify(&peer.record, &peer.record_sig, key);
        let record = record.expect("it keeps what is signed");
        let endpoints = record.endpoints().iter().map(ToString::to_string);
        let relays = record.relays().iter().map(|r| r.endpoint.to_string());
        endpoints.chain(relays).collect()
    }

    fn register(
        &mut self,
        at: (NodeIndex, ServerLink),
        register: &Register,
        answers: impl Fn(&Endpoint) -> bool,
        now: UnixMillis,
    ) -> RendezvousMessage {
        let Some(connection) = self.connections.get_mut(&at) else {
            return RendezvousMessage::Error(ErrorCode::NotAllowed.into());
        };
        let refused = |code: ErrorCode| {
            RendezvousMessage::RegisterResponse(RegisterResponse::refused(code, code.meaning()))
        };
        let registration = match connection.check(register, now) {
            Ok(registration) => registration,
            Err(code) => return refused(code),
        };
        if self.lie == Lie::IsFull {
            return refused(ErrorCode::Full);
        }
        let entry = Entry::new(&registration, now);
        let key = entry.key();
        match self.directory.judge(&entry) {
            Err(code) => return refused(code),
            Ok(Verdict::Same) => {}
            Ok(Verdict::New | Verdict::Newer) => {
                let endpoints = registration.record().endpoints();
                if self.dials_back && !endpoints.iter().all(answers) {
                    return refused(ErrorCode::Unreachable);
                }
                self.registered += 1;
                self.first.entry(key).or_insert_with(|| entry.clone());
                if self.lie != Lie::Forgets {
                    self.directory.put(entry).expect("it was judged");
                }
            }
        }
        connection.registered(&registration);
        self.directory.arrive(&key, now);
        RendezvousMessage::RegisterResponse(RegisterResponse::registered(registration.record()))
    }

    fn lookup(&mut self, key: &IdentityKey, now: UnixMillis) -> LookupResponse {
        self.lookups += 1;
        let found = match self.lie {
            Lie::Withholds => None,
            Lie::GivesAnother => {
                let mut others = self.first.keys().filter(|other| *other != key);
                others
                    .next_back()
                    .and_then(|k| self.directory.lookup(k, now))
            }
            Lie::GivesTheFirst => {
                let mut old = Directory::new(1, [0; 32]);
                if let Some(first) = self.first.get(key) {
                    old.put(first.clone()).expect("there is room");
                }
                old.lookup(key, now)
            }
            Lie::GivesTheFirstIdentity => self.directory.lookup(key, now).map(|peer| PeerInfo {
                identity: ByteBuf::from(self.first[key].identity().to_vec()),
                ..peer
            }),
            _ => self.directory.lookup(key, now),
        };
        LookupResponse {
            peers: found.into_iter().collect(),
            ..LookupResponse::default()
        }
    }
}

/// The address of whoever is behind a router, to those there.
const INSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);

/// The address under which the world sees a node.
fn address(node: NodeIndex, walked: u8) -> IpAddr {
    Ipv4Addr::new(9, 9, walked, u8::try_from(node).unwrap_or(u8::MAX)).into()
}

impl World {
    /// A node listens here.
    pub fn listen(&mut self, node: NodeIndex, at: &str) {
        let at = at.parse().expect("a test's address");
        self.give(node, Input::Listening(Some(at)));
    }

    /// A node's host is in another network now: it has another address, and none of its connections
    /// carries anything any more, of which nobody is told.
    pub fn walk(&mut self, node: NodeIndex) {
        *self.walked.entry(node).or_default() += 1;
        for server in &mut self.rendezvous {
            server.connections.retain(|at, _| at.0 != node);
        }
        self.ends
            .retain(|_, end| end.node != node && end.other_node != node);
        self.change_network(node);
    }

    /// From now on a router stands between a node and the world.
    pub fn put_behind_router(&mut self, node: NodeIndex) {
        self.routed.insert(node);
    }

    /// The router leads to a node from here, or does no longer.
    pub fn map(&mut self, node: NodeIndex, from: Option<&str>) {
        let mapping = match from {
            None => Mapping::None,
            Some(at) => Mapping::External {
                address: at.parse().expect("a test's address"),
                protocol: MappingProtocol::Pcp,
            },
        };
        self.give(node, Input::Mapped(mapping));
    }

    /// From now on DNS names these servers for a domain.
    pub fn name_servers(&mut self, domain: &str, servers: &[usize]) {
        let named = servers.iter().map(|server| DomainServer {
            endpoint: self.rendezvous[*server].link().endpoint,
            tls_name: domain.to_owned(),
            spki: None,
        });
        self.domains.insert(domain.to_owned(), named.collect());
    }

    /// Nobody has told DNS of a domain before [`Self::name_servers`].
    pub(crate) fn resolve(&mut self, node: NodeIndex, domain: String) {
        let named = self.domains.get(&domain).cloned();
        let answer = named.ok_or(LookupError::NoAnswer);
        self.fly(node, MAX_DELAY, Input::Resolved { domain, answer });
    }

    /// A new rendezvous server.
    pub fn open_rendezvous(&mut self, name: &str) -> usize {
        let now = self.now().wall;
        self.rendezvous
            .push(Rendezvous::new(name, now, &mut self.rng));
        self.rendezvous.len() - 1
    }

    /// A rendezvous server by its number.
    pub fn rendezvous(&mut self, server: usize) -> &mut Rendezvous {
        &mut self.rendezvous[server]
    }

    /// A server's process dies, or is there again; what is registered stays.
    pub fn set_rendezvous_up(&mut self, server: usize, up: bool) {
        self.rendezvous[server].up = up;
        let now = self.now().wall;
        let lost = std::mem::take(&mut self.rendezvous[server].connections);
        for ((node, link), connection) in lost {
            if let Some(key) = connection.registered_as() {
                self.rendezvous[server].directory.depart(&key.into(), now);
            }
            let cause = "closed by the peer".to_owned();
            self.fly(node, 1, Input::ServerClosed { link, cause });
        }
    }

    pub(crate) fn connect_server(&mut self, node: NodeIndex, target: &ServerTarget) {
        let link = target.link;
        let host = target.endpoint.host();
        let server = self.rendezvous.iter_mut().find(|s| s.name == host && s.up);
        let delay = 1 + Node::below(&mut self.rng, MAX_DELAY);
        let Some(server) = server.filter(|_| !self.unreachable.contains(&node)) else {
            let cause = "nothing answers at the rendezvous server's address".to_owned();
            return self.fly(node, delay, Input::ServerClosed { link, cause });
        };
        let walked = self.walked.get(&node).copied().unwrap_or(0);
        let mut exporter = [0; ExporterValue::LEN];
        self.rng.fill_bytes(&mut exporter);
        let connection = ServerConnection::new(ExporterValue::new(exporter));
        server.connected += 1;
        server.connections.insert((node, link), connection);
        let opened = ServerOpened {
            link,
            exporter: ExporterValue::new(exporter),
            local: Some(match self.routed.contains(&node) {
                true => INSIDE.into(),
                false => address(node, walked),
            }),
        };
        self.fly(node, delay, Input::ServerOpened(opened));
    }

    pub(crate) fn disconnect_server(&mut self, node: NodeIndex, link: Option<ServerLink>) {
        let now = self.now().wall;
        for server in &mut self.rendezvous {
            let of = |at: &(NodeIndex, ServerLink)| at.0 == node && link.is_none_or(|l| l == at.1);
            let gone: Vec<_> = server
                .connections
                .keys()
                .filter(|at| of(at))
                .copied()
                .collect();
            for at in gone {
                let connection = server.connections.remove(&at);
                if let Some(key) = connection.and_then(|c| c.registered_as()) {
                    server.directory.depart(&key.into(), now);
                }
            }
        }
    }

    /// The server does what it is asked at once; the answer takes its time.
    pub(crate) fn ask_server(&mut self, node: NodeIndex, link: ServerLink, message: &Message) {
        if self.unreachable.contains(&node) {
            return;
        }
        let at = (node, link);
        let Some(server) = self
            .rendezvous
            .iter()
            .position(|s| s.connections.contains_key(&at))
        else {
            return;
        };
        self.messages += 1;
        if self.chance(self.faults.cut) {
            self.disconnect_server(node, Some(link));
            let cause = "connection broken".to_owned();
            return self.fly(node, 1, Input::ServerClosed { link, cause });
        }
        let listens = |endpoint: &Endpoint| {
            let owner = self.nodes.iter().position(|n| n.name == endpoint.host());
            owner.is_some_and(|n| !self.unreachable.contains(&n) && !self.private.contains(&n))
        };
        let listening: Vec<String> = self.nodes.iter().map(|n| n.name.clone()).collect();
        let listening: Vec<String> = listening
            .into_iter()
            .filter(|name| listens(&Endpoint::new(name, 4000).expect("a host")))
            .collect();
        let wall = self.now().wall;
        let answer = self.serve(server, at, message, &listening, wall);
        let Some(answer) = answer else { return };
        let message = answer.to_message(message.req_id);
        let delay = 1 + Node::below(&mut self.rng, MAX_DELAY);
        self.fly(node, delay, Input::ServerMessage { link, message });
    }

    fn serve(
        &mut self,
        server: usize,
        at: (NodeIndex, ServerLink),
        message: &Message,
        listening: &[String],
        now: UnixMillis,
    ) -> Option<RendezvousMessage> {
        let seed = self.seed;
        let mut start = [0; 16];
        self.rng.fill_bytes(&mut start);
        let start = Place::new(start);
        let server = &mut self.rendezvous[server];
        let connection = server.connections.get(&at)?;
        let request = match connection.handle(message, now) {
            Ok(request) => request,
            Err(Refusal::Ignore) => return None,
            Err(Refusal::Reply(error)) => return Some(RendezvousMessage::Error(error)),
            Err(Refusal::Close(code)) => panic!("seed {seed}: a client broke the protocol: {code}"),
        };
        let answers = |endpoint: &Endpoint| listening.iter().any(|n| n == endpoint.host());
        Some(match request {
            Request::Register(register) => server.register(at, &register, answers, now),
            Request::Lookup(key) => RendezvousMessage::LookupResponse(server.lookup(&key, now)),
            Request::Page(cursor) => {
                let cursor = cursor.filter(|_| server.lie != Lie::NeverEnds);
                let page = server.directory.page(cursor.as_ref(), start, now);
                let mut secret = [0; 32];
                self.rng.fill_bytes(&mut secret);
                let endless = (server.lie == Lie::NeverEnds).then(|| PageCursor::new(secret));
                RendezvousMessage::LookupResponse(LookupResponse {
                    peers: page.peers,
                    error_message: None,
                    next: endless.or(page.next),
                })
            }
            Request::Servers(_) => {
                let own = server.record(now);
                let all = std::iter::once(&own).chain(&server.others);
                RendezvousMessage::Servers(Servers {
                    servers: all.map(SignedServer::from).collect(),
                    timestamp: now,
                })
            }
            Request::Address => RendezvousMessage::AddressResponse {
                host: match server.lie {
                    Lie::GuessesAddresses => INSIDE.to_string(),
                    _ => address(at.0, self.walked.get(&at.0).copied().unwrap_or(0)).to_string(),
                },
            },
        })
    }
}
