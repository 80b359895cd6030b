//! One connection a server: made when something is to be done, left when it does not answer.

use std::time::Duration;

use sremp_core::{
    channel::Message,
    constants::MAX_RDV_OPEN,
    contact_card::Endpoint,
    error::ErrorCode,
    id::ContactId,
    rendezvous::{RendezvousClient, RendezvousEvent, ServerRecord, Source},
    route::{Backoff, LASTING},
    time::Tick,
};

use super::{
    super::{Engine, Output, ServerLink, ServerOpened, ServerTarget, Step},
    ANSWER_TIMEOUT, Ask, HEARTBEAT, IDLE, Phase, Server, Servers, Session,
};
use crate::store::StoreError;

/// Between connections that fail or do not last, and between questions that DNS does not answer.
pub(super) const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(2),
    longest: Duration::from_secs(10 * 60),
};

impl Servers {
    /// When something has to be done about a server.
    pub(super) fn server_deadline(&self, server: &Server) -> Option<Tick> {
        match &server.phase {
            Phase::Down if self.has_work(server) => server.due,
            Phase::Down | Phase::Connecting(_) => None,
            Phase::Up(session) => {
                let answer =
                    (!session.asked.is_empty()).then(|| session.progress.plus(ANSWER_TIMEOUT));
                let quiet = session.asked.is_empty() && server.queue.is_empty();
                let next = match self.stays(server) {
                    true => HEARTBEAT,
                    false => IDLE,
                };
                let next = quiet.then(|| session.active.plus(next));
                let retry = server.account.retry.filter(|_| self.stays(server));
                [answer, next, retry, session.until]
                    .into_iter()
                    .flatten()
                    .min()
            }
        }
    }

    /// Whether the connection is kept although nothing is asked: one is registered there.
    fn stays(&self, server: &Server) -> bool {
        server.own && self.registering.is_on()
    }

    fn has_work(&self, server: &Server) -> bool {
        let registers = server.own && self.registering.has_word_for(server);
        registers || !server.queue.is_empty()
    }

    /// The server of a connection.
    fn endpoint_of(&self, link: ServerLink) -> Option<Endpoint> {
        self.links.get(&link).cloned()
    }
}

impl Engine {
    /// At the end of a step: what is due with servers is done.
    pub(in super::super) fn run_servers(
        &mut self,
        step: &mut Step<'_, '_>,
    ) -> Result<(), StoreError> {
        if !self.online {
            return self.answer_registers(step);
        }
        match self.servers.rest_until {
            Some(until) if until > step.now.tick => return Ok(()),
            _ => self.servers.rest_until = None,
        }
        self.resolve_domains(step);
        self.run_searches(step)?;
        self.prepare_record(step)?;
        let servers: Vec<Endpoint> = self.servers.known.keys().cloned().collect();
        for endpoint in servers {
            self.run_server(step, &endpoint)?;
        }
        self.end_searches(step)?;
        self.end_browses(step)?;
        self.answer_registers(step)
    }

    fn run_server(
        &mut self,
        step: &mut Step<'_, '_>,
        endpoint: &Endpoint,
    ) -> Result<(), StoreError> {
        let now = step.now.tick;
        let Some(server) = self.servers.known.get(endpoint) else {
            return Ok(());
        };
        let silent = |s: &Session| !s.asked.is_empty() && now.since(s.progress) >= ANSWER_TIMEOUT;
        let lost = |s: &Session| s.until.is_some_and(|until| until <= now);
        let lost = server.session().is_some_and(lost);
        if lost || server.session().is_some_and(silent) {
            let cause = "the rendezvous server does not answer".to_owned();
            self.leave_server(step, endpoint, cause)?;
        }
        if lost && let Some(server) = self.servers.known.get_mut(endpoint) {
            // a new connection may get through
            server.due = Some(now);
        }
        self.register_at(step, endpoint)?;
        self.beat(step, endpoint);
        self.ask_server(step, endpoint);
        self.leave_if_quiet(step, endpoint);
        self.connect(step, endpoint);
        Ok(())
    }

    fn connect(&mut self, step: &mut Step<'_, '_>, endpoint: &Endpoint) {
        let has_work = |server: &Server| self.servers.has_work(server);
        let Some(server) = self.servers.known.get(endpoint) else {
            return;
        };
        if !server.is_down() || !has_work(server) {
            return;
        }
        // neither a stranger's card nor DNS makes this client knock at doors of the user's own network
        let named = !server.own || server.tls_name.is_some();
        let public_only = named && !self.config.allow_private_addresses;
        self.servers.next_link += 1;
        let link = ServerLink(self.servers.next_link);
        let Some(server) = self.servers.known.get_mut(endpoint) else {
            return;
        };
        let due = *server.due.get_or_insert(step.now.tick);
        if due > step.now.tick {
            return;
        }
        server.due = None;
        server.phase = Phase::Connecting(link);
        step.outputs.push(Output::Connect(Box::new(ServerTarget {
            link,
            endpoint: endpoint.clone(),
            tls_name: server.tls_name.clone(),
            pin: server.pin,
            public_only,
        })));
        self.servers.links.insert(link, endpoint.clone());
    }

    /// A connection to a server stands.
    pub(in super::super) fn handle_server_opened(
        &mut self,
        step: &mut Step<'_, '_>,
        opened: ServerOpened,
    ) {
        let now = step.now.tick;
        let link = opened.link;
        let endpoint = self.servers.endpoint_of(link);
        let server = endpoint.and_then(|e| self.servers.known.get_mut(&e));
        let Some(server) = server.filter(|s| matches!(s.phase, Phase::Connecting(l) if l == link))
        else {
            step.outputs.push(Output::Disconnect(link));
            return;
        };
        server.last_error = None;
        server.phase = Phase::Up(Box::new(Session {
            link,
            machine: RendezvousClient::new(opened.exporter),
            asked: Default::default(),
            opened: now,
            active: now,
            progress: now,
            until: None,
            local: opened.local,
            addressed: false,
        }));
        self.servers.searches.ask_again(now);
    }

    /// A connection to a server has ended, or could not be made.
    pub(in super::super) fn handle_server_closed(
        &mut self,
        step: &mut Step<'_, '_>,
        link: ServerLink,
        cause: String,
    ) -> Result<(), StoreError> {
        let Some(endpoint) = self.servers.links.remove(&link) else {
            return Ok(());
        };
        let current = match self.servers.known.get(&endpoint).map(|s| &s.phase) {
            Some(Phase::Up(session)) => session.link == link,
            Some(Phase::Connecting(connecting)) => *connecting == link,
            Some(Phase::Down) | None => false,
        };
        match current {
            true => self.server_failed(step, &endpoint, cause),
            false => Ok(()),
        }
    }

    /// A message of a server.
    pub(in super::super) fn handle_server_message(
        &mut self,
        step: &mut Step<'_, '_>,
        link: ServerLink,
        message: &Message,
    ) -> Result<(), StoreError> {
        let now = step.now;
        let Some(endpoint) = self.servers.endpoint_of(link) else {
            return Ok(());
        };
        let server = self.servers.known.get_mut(&endpoint);
        let Some(session) = server.and_then(Server::session_mut) else {
            return Ok(());
        };
        session.active = now.tick;
        session.progress = now.tick;
        session.until = None;
        let event = match session.machine.handle(message, now.wall) {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(()),
            Err(code) => {
                self.refusals.count(code.name());
                return self.leave_server(step, &endpoint, code.meaning().to_owned());
            }
        };
        let Some(asked) = session.asked.remove(&message.req_id) else {
            return Ok(());
        };
        if matches!(asked, Ask::Address) {
            self.server_has_answered(now.tick, &endpoint);
        }
        self.handle_server_event(step, &endpoint, asked, event)
    }

    fn handle_server_event(
        &mut self,
        step: &mut Step<'_, '_>,
        endpoint: &Endpoint,
        asked: Ask,
        event: RendezvousEvent,
    ) -> Result<(), StoreError> {
        match (asked, event) {
            (
                Ask::Register(seq),
                RendezvousEvent::Registered {
                    renewal_interval, ..
                },
            ) => self.registered(step, endpoint, seq, renewal_interval),
            (Ask::Lookup(key), RendezvousEvent::Found { peer, .. }) => {
                self.searches_found(endpoint, &key, Some(peer));
                Ok(())
            }
            (Ask::Lookup(key), RendezvousEvent::NotFound { .. }) => {
                self.searches_found(endpoint, &key, None);
                Ok(())
            }
            (
                Ask::Page(ticket, _),
                RendezvousEvent::Page {
                    peers,
                    refused,
                    next,
                    ..
                },
            ) => {
                self.browsed(endpoint, ticket, peers, refused, next);
                Ok(())
            }
            (Ask::Servers, RendezvousEvent::Servers { servers, .. }) => {
                let Some(server) = self.servers.known.get_mut(endpoint) else {
                    return Ok(());
                };
                // it names itself first (5.7)
                let first = servers.first().map(ServerRecord::server);
                let source = *server.key.get_or_insert(match first {
                    Some(first) => first,
                    None => return Ok(()),
                });
                for record in servers.iter().filter(|r| r.server() != source) {
                    self.told_of_server(step, &source, record)?;
                }
                Ok(())
            }
            (Ask::Address, RendezvousEvent::Address { host, .. }) => {
                self.told_address(step, endpoint, &host)
            }
            (
                asked,
                RendezvousEvent::Refused {
                    code,
                    retry_after_s,
                    ..
                },
            ) => {
                let code = ErrorCode::from_u16(code).unwrap_or(ErrorCode::NotAllowed);
                self.refusals.count(code.name());
                let retry = Duration::from_secs(retry_after_s.into());
                self.server_refused(step, endpoint, asked, code, retry)
            }
            // the machine takes no answer for another request
            _ => Ok(()),
        }
    }

    fn server_refused(
        &mut self,
        step: &mut Step<'_, '_>,
        endpoint: &Endpoint,
        asked: Ask,
        code: ErrorCode,
        retry: Duration,
    ) -> Result<(), StoreError> {
        match asked {
            Ask::Register(seq) => self.registration_refused_by(step, endpoint, seq, code, retry),
            Ask::Lookup(key) => {
                self.search_refused(endpoint, &key, code.meaning());
                Ok(())
            }
            Ask::Page(ticket, _) => {
                self.browse_refused(endpoint, ticket, code);
                Ok(())
            }
            Ask::Address => {
                let server = self.servers.known.get_mut(endpoint);
                if let Some(session) = server.and_then(Server::session_mut) {
                    session.addressed = true;
                }
                Ok(())
            }
            Ask::Servers => Ok(()),
        }
    }

    /// A server tells of another: a candidate, which nobody uses unless the user says so.
    fn told_of_server(
        &mut self,
        step: &mut Step<'_, '_>,
        source: &ContactId,
        record: &ServerRecord,
    ) -> Result<(), StoreError> {
        let candidates = &mut self.servers.candidates;
        match candidates.offer(Source::Server(*source), record.clone(), step.now.wall) {
            Ok(()) => step.tx.save_candidate(source, record),
            Err(_) => {
                self.refusals.count("candidate-server");
                Ok(())
            }
        }
    }

    /// Asks what waits to be asked, as much as a server takes at once.
    fn ask_server(&mut self, step: &mut Step<'_, '_>, endpoint: &Endpoint) {
        let Some(server) = self.servers.known.get_mut(endpoint) else {
            return;
        };
        let Phase::Up(session) = &mut server.phase else {
            return;
        };
        let mut refused = Vec::new();
        while session.machine.open_requests() < MAX_RDV_OPEN
            && let Some(ask) = server.queue.pop_front()
        {
            let message = match &ask {
                Ask::Address => session.machine.address(),
                Ask::Servers => session.machine.servers(None),
                Ask::Lookup(key) => {
                    let known = self.servers.searches.known_seq(key);
                    session.machine.lookup(*key, known)
                }
                Ask::Page(_, cursor) => session.machine.page(*cursor),
                Ask::Register(seq) => match self.servers.registering.record(*seq) {
                    Some(record) => session.machine.register(&self.own.identity, record),
                    // a newer one has taken its place meanwhile
                    None => continue,
                },
            };
            let Ok(message) = message else {
                if let Ask::Page(ticket, _) = ask {
                    refused.push(ticket);
                }
                continue;
            };
            if session.asked.is_empty() {
                session.progress = step.now.tick;
            }
            session.active = step.now.tick;
            session.asked.insert(message.req_id, ask);
            step.outputs.push(Output::Ask {
                link: session.link,
                message,
            });
        }
        // this connection has given as many pages as anybody reads
        for ticket in refused {
            self.browse_refused(endpoint, ticket, ErrorCode::RateLimited);
        }
    }

    /// A sign of life to a server with which one is registered.
    fn beat(&mut self, step: &Step<'_, '_>, endpoint: &Endpoint) {
        let stays = |s: &Server| self.servers.stays(s);
        let due = |s: &Server| {
            let quiet = s.queue.is_empty();
            s.session().is_some_and(|session| {
                let quiet = quiet && session.asked.is_empty();
                let beats = quiet && step.now.tick.since(session.active) >= HEARTBEAT;
                beats || (!session.addressed && session.asked.is_empty() && quiet)
            })
        };
        let wanted = self.servers.known.get(endpoint);
        let wanted = wanted.is_some_and(|s| stays(s) && due(s));
        if wanted && let Some(server) = self.servers.known.get_mut(endpoint) {
            server.queue.push_back(Ask::Address);
        }
    }

    fn leave_if_quiet(&mut self, step: &mut Step<'_, '_>, endpoint: &Endpoint) {
        let Some(server) = self.servers.known.get(endpoint) else {
            return;
        };
        let Some(session) = server.session() else {
            return;
        };
        let quiet = session.asked.is_empty() && server.queue.is_empty();
        let idle = step.now.tick.since(session.active) >= IDLE;
        if !quiet || !idle || self.servers.stays(server) {
            return;
        }
        let link = session.link;
        self.servers.links.remove(&link);
        step.outputs.push(Output::Disconnect(link));
        self.servers.places.unsee(endpoint);
        match self.servers.known.get_mut(endpoint) {
            Some(server) if server.own => {
                server.phase = Phase::Down;
                server.failures = 0;
                server.due = None;
            }
            // it is on the card, for the next time
            _ => drop(self.servers.known.remove(endpoint)),
        }
    }

    /// Ends a connection; the server is left alone for a while.
    fn leave_server(
        &mut self,
        step: &mut Step<'_, '_>,
        endpoint: &Endpoint,
        cause: String,
    ) -> Result<(), StoreError> {
        let server = self.servers.known.get(endpoint);
        if let Some(link) = server.and_then(Server::session).map(|s| s.link) {
            self.servers.links.remove(&link);
            step.outputs.push(Output::Disconnect(link));
        }
        self.server_failed(step, endpoint, cause)
    }

    fn server_failed(
        &mut self,
        step: &mut Step<'_, '_>,
        endpoint: &Endpoint,
        cause: String,
    ) -> Result<(), StoreError> {
        let now = step.now.tick;
        let Some(server) = self.servers.known.get_mut(endpoint) else {
            return Ok(());
        };
        let lasted = server
            .session()
            .is_some_and(|s| now.since(s.opened) >= LASTING);
        if lasted {
            server.failures = 0;
        }
        let pause = BACKOFF.pause(server.failures, step.rng);
        server.failures = server.failures.saturating_add(1);
        server.phase = Phase::Down;
        server.failed = Some(now);
        server.due = Some(now.plus(pause));
        server.last_error = Some(cause.clone());
        if self.servers.registering.is_on() {
            // presence ends with a connection; a withdrawal does not
            server.account.told = None;
        }
        server.queue.clear();
        self.servers.places.unsee(endpoint);
        self.searches_left(endpoint, &cause);
        self.browses_left(endpoint, &cause);
        Ok(())
    }
}
