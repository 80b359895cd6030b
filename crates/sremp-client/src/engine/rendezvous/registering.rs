//! Telling one's own servers where one is: while the client runs, renewed before it ends, taken back
//! at the end (5.4).

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use sremp_core::{
    constants::{CLOCK_SKEW, MAX_ENDPOINTS, MAX_RECORD_TTL, RECORD_TTL},
    contact_card::{Endpoint, RelayHint},
    error::ErrorCode,
    rendezvous::{Record, RecordDraft, Seq, Visibility, address::may_be_public, renew_after},
    time::{Tick, UnixMillis},
};
use sremp_net::mapping::{Mapping, MappingFailure};

use super::{
    super::{Engine, Now, Output, Step, Ticket},
    Ask, Server,
};
use crate::{
    config::Direct,
    store::{StoreError, Tx},
    view::{RegisterAs, RegisterView, Reply},
};

/// As whom the user wants to be found: the code of a [`RegisterAs`].
const WISH: &str = "register";
/// `seq` of the last RECORD and until when one that names places is kept somewhere, both `u64`
/// little-endian.
const RECORD: &str = "record";
/// The places where one was last found, `HOST:PORT`, apart by spaces.
const LEARNT: &str = "learnt";
/// Most of them.
const MAX_LEARNT: usize = 2;
/// Contacts are told of another place at most once in this time.
const LEARNT_PAUSE: Duration = Duration::from_secs(10 * 60);
/// After a refusal that a wait may mend.
const REFUSED_PAUSE: Duration = Duration::from_secs(5 * 60);
/// After STALE_SEQ, which a newer record mends.
const STALE_PAUSE: Duration = Duration::from_secs(30);
/// Also what no server has taken yet is signed anew after this time: it must not be over by then.
const LATEST_RENEWAL: Duration = Duration::from_secs(RECORD_TTL.as_secs() * 4 / 5);
/// What is missing when there is nothing to register.
const NOWHERE: &str = "nothing is registered: this client has no public address that may be shown, and no \
                       relay; set `advertise` or `map_port`, or get a relay";
/// How long `register` waits for the servers.
const PATIENCE: Duration = Duration::from_secs(12);

pub(in super::super) struct Registering {
    /// The client stays: only such a one registers.
    resident: bool,
    wish: Option<Visibility>,
    last: Seq,
    published_until: UnixMillis,
    current: Option<Current>,
    /// Where a router leads to this client.
    mapped: Option<Endpoint>,
    /// Why none does, if one was asked.
    mapping_failure: Option<MappingFailure>,
    /// Addresses of this very machine under which servers see it.
    seen: BTreeMap<Endpoint, IpAddr>,
    /// When contacts were last told of such a place.
    kept_at: Option<Tick>,
    waits: Vec<(Ticket, Tick)>,
}

/// The record that servers are told, and one without places to dial for those who do not take it.
/// The whole one has the higher seq: whoever finds both believes that.
struct Current {
    whole: Record,
    reduced: Option<Record>,
    says: Says,
    renew: Option<Tick>,
}

/// What a record is made of.
#[derive(Clone, PartialEq, Eq)]
struct Says {
    endpoints: Vec<Endpoint>,
    relays: Vec<RelayHint>,
    visibility: Visibility,
    /// A record is registered together with an identity.
    identity: [u8; 32],
}

impl Current {
    /// Whether it need not be renewed yet, by the stopwatch, which stands still while the machine
    /// sleeps, and by the calendar, which may be put right.
    fn is_fresh(&self, now: Now) -> bool {
        let issued = self.whole.issued();
        let by_calendar =
            now.wall.since(issued) < LATEST_RENEWAL && issued.since(now.wall) <= CLOCK_SKEW;
        by_calendar && self.renew.is_none_or(|at| at > now.tick)
    }
}

impl Says {
    fn is_nothing(&self) -> bool {
        self.endpoints.is_empty() && self.relays.is_empty()
    }
}

impl Registering {
    pub(super) fn load(tx: &mut Tx<'_>, resident: bool) -> Result<Self, StoreError> {
        let wish = match tx.setting(WISH)?.as_deref() {
            None => RegisterAs::Unlisted,
            Some([code]) => RegisterAs::of(*code).ok_or(StoreError::Damaged)?,
            Some(_) => return Err(StoreError::Damaged),
        };
        let stored = tx.setting(RECORD)?.unwrap_or_default();
        let number = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |b| u64::from_le_bytes(*b));
        let (last, until) = stored.split_at_checked(8).unwrap_or((&[], &[]));
        Ok(Self {
            resident,
            wish: wish.visibility(),
            last: Seq::new(number(last.first_chunk())),
            published_until: UnixMillis::saturating(number(until.first_chunk())),
            current: None,
            mapped: None,
            mapping_failure: None,
            seen: BTreeMap::new(),
            kept_at: None,
            waits: Vec::new(),
        })
    }

    pub(super) fn wish(&self) -> Option<Visibility> {
        self.wish
    }

    /// Whether one is to be found while this client runs.
    pub(super) fn is_on(&self) -> bool {
        self.resident && self.wish.is_some()
    }

    /// Whether servers have to be told something: where one is, or that one has left.
    pub(super) fn has_word(&self) -> bool {
        self.is_on() || (self.resident && self.current.is_some())
    }

    /// The same of one server, of which this is known.
    pub(super) fn has_word_for(&self, server: &Server) -> bool {
        let told = || {
            let record = self.for_server(server).map(Record::seq);
            record.is_none() || record == server.account.told
        };
        self.is_on() || (self.has_word() && !told())
    }

    pub(super) fn record(&self, seq: Seq) -> Option<&Record> {
        let current = self.current.as_ref()?;
        let records = std::iter::once(&current.whole).chain(&current.reduced);
        records.into_iter().find(|record| record.seq() == seq)
    }

    /// A server is gone, and with it what it saw.
    pub(super) fn unsee(&mut self, server: &Endpoint) {
        self.seen.remove(server);
    }

    pub(super) fn deadline(&self) -> Option<Tick> {
        let lives = |c: &&Current| !c.whole.is_tombstone();
        let renew = self.current.as_ref().filter(lives).and_then(|c| c.renew);
        self.waits
            .iter()
            .map(|(_, until)| *until)
            .chain(renew)
            .min()
    }

    /// Which record a server is to be told.
    fn for_server(&self, server: &Server) -> Option<&Record> {
        let current = self.current.as_ref()?;
        match server.account.reduced {
            true => current.reduced.as_ref(),
            false => Some(&current.whole),
        }
    }
}

impl Engine {
    /// Where one is found now beside the place where one listens: by a router's mapping, or under the
    /// address that a server sees if that is this machine's own.
    fn learnt_endpoints(&self) -> Vec<Endpoint> {
        let registering = &self.servers.registering;
        if let Some(mapped) = &registering.mapped {
            return vec![mapped.clone()];
        }
        let Some(listening) = self.listening else {
            return Vec::new();
        };
        let mut addresses: Vec<IpAddr> = registering.seen.values().copied().collect();
        addresses.sort_unstable();
        addresses.dedup();
        // who listens at one address is not reached at another
        addresses.retain(|ip| listening.ip().is_unspecified() || listening.ip() == *ip);
        let places = addresses
            .into_iter()
            .map(|ip| (ip, listening.port()).into());
        let places = places.filter_map(|at: std::net::SocketAddr| Endpoint::try_from(at).ok());
        places.take(MAX_LEARNT).collect()
    }

    /// The last of those, which is told to contacts: they look elsewhere if it is not true any more.
    pub(in super::super) fn kept_endpoints(
        &self,
        tx: &mut Tx<'_>,
    ) -> Result<Vec<Endpoint>, StoreError> {
        let kept = tx.setting(LEARNT)?.unwrap_or_default();
        let kept = String::from_utf8(kept).map_err(|_| StoreError::Damaged)?;
        let parsed = kept.split_whitespace().map(|text| text.parse());
        let parsed: Result<Vec<Endpoint>, _> = parsed.collect();
        parsed.map_err(|_| StoreError::Damaged)
    }

    /// Contacts are told where one is now, if that is somewhere, and not all the time: whoever sends
    /// this client from place to place does not make it write to everybody.
    fn keep_learnt(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        let learnt = self.learnt_endpoints();
        if learnt.is_empty() || learnt == self.kept_endpoints(step.tx)? {
            return Ok(());
        }
        let registering = &mut self.servers.registering;
        let now = step.now.tick;
        if registering
            .kept_at
            .is_some_and(|at| now.since(at) < LEARNT_PAUSE)
        {
            return Ok(());
        }
        registering.kept_at = Some(now);
        let texts: Vec<String> = learnt.iter().map(ToString::to_string).collect();
        step.tx.set_setting(LEARNT, texts.join(" ").as_bytes())?;
        self.refresh_profile(step)
    }

    /// What is to be registered now.
    fn says(&self, tx: &mut Tx<'_>, visibility: Visibility) -> Result<Says, StoreError> {
        // others find one's address only if every contact may learn it
        let listens = self.listening.is_some() || self.config.advertise.is_some();
        let shown = self.config.direct == Direct::Accepted && listens;
        let mut endpoints = match (&self.config.advertise, self.listening) {
            _ if !shown => Vec::new(),
            (Some(_), _) => self.own_endpoints(tx)?,
            (None, listening) => {
                let listening = listening.filter(|at| !at.ip().is_unspecified());
                let listening = listening.and_then(|at| Endpoint::try_from(at).ok());
                let mut endpoints = self.learnt_endpoints();
                endpoints.extend(listening.filter(|at| !endpoints.contains(at)));
                endpoints
            }
        };
        let anywhere = self.config.allow_private_addresses;
        endpoints.retain(|endpoint| anywhere || may_be_public(endpoint));
        endpoints.truncate(MAX_ENDPOINTS);
        let mut relays = self.own_relay_hints();
        relays.retain(|hint| anywhere || may_be_public(&hint.endpoint));
        Ok(Says {
            endpoints,
            relays,
            visibility,
            identity: *self.own.identity.identity().verified_hash(),
        })
    }

    /// Signs a new record when there is something new to say, or the old one is to be renewed.
    pub(super) fn prepare_record(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        let registering = &self.servers.registering;
        if !registering.resident || self.servers.own().next().is_none() {
            return Ok(());
        }
        let withdrawn = |c: &Current| c.whole.is_tombstone();
        let over = |c: &Current| withdrawn(c) && c.whole.expires() < step.now.wall;
        if registering.current.as_ref().is_some_and(over) {
            // what it would have taken back is over as well
            self.servers.registering.current = None;
        }
        let registering = &self.servers.registering;
        let Some(visibility) = registering.wish else {
            let published = registering.published_until > step.now.wall;
            return match &registering.current {
                Some(current) if withdrawn(current) => Ok(()),
                None if !published => Ok(()),
                _ => self.sign_record(step, Visibility::Unlisted, None),
            };
        };
        let says = self.says(step.tx, visibility)?;
        match &self.servers.registering.current {
            None if says.is_nothing() => Ok(()),
            Some(current) if says.is_nothing() && withdrawn(current) => Ok(()),
            Some(_) if says.is_nothing() => self.sign_record(step, visibility, None),
            Some(current) if current.says == says && current.is_fresh(step.now) => Ok(()),
            _ => self.sign_record(step, visibility, Some(says)),
        }
    }

    /// A new record in the place of the one before; with nothing to say, a tombstone.
    fn sign_record(
        &mut self,
        step: &mut Step<'_, '_>,
        visibility: Visibility,
        says: Option<Says>,
    ) -> Result<(), StoreError> {
        let says = says.unwrap_or(Says {
            endpoints: Vec::new(),
            relays: Vec::new(),
            visibility,
            identity: *self.own.identity.identity().verified_hash(),
        });
        let reduced = match says.endpoints.is_empty() || says.relays.is_empty() {
            true => None,
            false => Some(self.sign(step.tx, step.now.wall, &says, false, RECORD_TTL)?),
        };
        let whole = self.sign(step.tx, step.now.wall, &says, true, RECORD_TTL)?;
        self.servers.registering.current = Some(Current {
            whole,
            reduced,
            says,
            renew: Some(step.now.tick.plus(LATEST_RENEWAL)),
        });
        for server in self.servers.known.values_mut() {
            server.account.reduced = false;
            server.account.retry = None;
        }
        Ok(())
    }

    fn sign(
        &mut self,
        tx: &mut Tx<'_>,
        now: UnixMillis,
        says: &Says,
        with_endpoints: bool,
        ttl: Duration,
    ) -> Result<Record, StoreError> {
        let registering = &mut self.servers.registering;
        // a record of a time that has not come was taken by nobody: the clock was wrong then
        let last = match registering.last.get() > now.plus(CLOCK_SKEW).get() {
            true => 0,
            false => registering.last.get(),
        };
        let seq = now.get().max(last.saturating_add(1));
        let endpoints = match with_endpoints {
            true => says.endpoints.clone(),
            false => Vec::new(),
        };
        let draft = RecordDraft {
            seq: Seq::new(seq),
            endpoints,
            issued: now,
            ttl,
            visibility: says.visibility,
            relays: says.relays.clone(),
        };
        let record = Record::sign(&self.own.identity, draft).map_err(|_| StoreError::Damaged)?;
        registering.last = record.seq();
        if !record.is_tombstone() {
            let until = record.expires().plus(CLOCK_SKEW);
            registering.published_until = registering.published_until.max(until);
        }
        self.save_record(tx)?;
        Ok(record)
    }

    fn save_record(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let registering = &self.servers.registering;
        let (seq, until) = (registering.last.get(), registering.published_until.get());
        let stored = [seq.to_le_bytes(), until.to_le_bytes()].concat();
        tx.set_setting(RECORD, &stored)
    }

    /// Tells a server, if it does not know it yet.
    pub(super) fn register_at(
        &mut self,
        step: &mut Step<'_, '_>,
        endpoint: &Endpoint,
    ) -> Result<(), StoreError> {
        let servers = &mut self.servers;
        let Some(server) = servers.known.get(endpoint).filter(|s| s.own) else {
            return Ok(());
        };
        let Some(record) = servers.registering.for_server(server) else {
            return Ok(());
        };
        let seq = record.seq();
        let Some(session) = server.session() else {
            return Ok(());
        };
        let now = step.now.tick;
        let over = server.account.retry.is_some_and(|at| at <= now);
        let asks = |ask: &Ask| matches!(ask, Ask::Register(_));
        let asked = session.asked.values().chain(&server.queue).any(asks);
        let rests = server.account.retry.is_some() && !over;
        let told = server.account.told == Some(seq);
        // where one is seen may be a part of what is said
        let known = session.addressed || !servers.registering.is_on();
        if let Some(server) = servers.known.get_mut(endpoint) {
            if over {
                server.account.retry = None;
            }
            if !(asked || rests || told) && known {
                server.queue.push_back(Ask::Register(seq));
            }
        }
        Ok(())
    }

    pub(super) fn registered(
        &mut self,
        step: &mut Step<'_, '_>,
        endpoint: &Endpoint,
        seq: Seq,
        renewal_interval: u32,
    ) -> Result<(), StoreError> {
        let registering = &mut self.servers.registering;
        let Some(server) = self.servers.known.get_mut(endpoint) else {
            return Ok(());
        };
        server.account.told = Some(seq);
        // as often as one registers, so that whoever is new or gone becomes known
        server.queue.push_back(Ask::Servers);
        let Some(record) = registering.record(seq) else {
            return Ok(());
        };
        server.account.until = (!record.is_tombstone()).then(|| record.expires());
        if !server.account.reduced {
            server.account.refusal = None;
        }
        let renew = step
            .now
            .tick
            .plus(renew_after(record, renewal_interval, step.rng));
        if record.is_tombstone() {
            return self.withdrawn_at(step);
        }
        if let Some(current) = &mut registering.current {
            current.renew = Some(current.renew.map_or(renew, |at| at.min(renew)));
        }
        Ok(())
    }

    /// Once every server knows that one has left, there is nothing more to say.
    fn withdrawn_at(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        let registering = &self.servers.registering;
        let Some(current) = &registering.current else {
            return Ok(());
        };
        let seq = Some(current.whole.seq());
        if registering.is_on() || self.servers.own().any(|(_, s)| s.account.told != seq) {
            return Ok(());
        }
        self.servers.registering.current = None;
        self.servers.registering.published_until = UnixMillis::ZERO;
        self.save_record(step.tx)
    }

    pub(super) fn registration_refused_by(
        &mut self,
        step: &mut Step<'_, '_>,
        endpoint: &Endpoint,
        seq: Seq,
        code: ErrorCode,
        retry: Duration,
    ) -> Result<(), StoreError> {
        let now = step.now.tick;
        let registering = &mut self.servers.registering;
        let has_reduced = registering
            .current
            .as_ref()
            .is_some_and(|c| c.reduced.is_some());
        let is_current = registering.record(seq).is_some();
        let Some(server) = self.servers.known.get_mut(endpoint) else {
            return Ok(());
        };
        let account = &mut server.account;
        account.refusal = Some(code.meaning().to_owned());
        account.told = None;
        match code {
            ErrorCode::NotAllowed | ErrorCode::Unreachable if has_reduced && !account.reduced => {
                account.reduced = true;
            }
            ErrorCode::StaleSeq | ErrorCode::Expired if is_current => {
                account.retry = Some(now.plus(STALE_PAUSE));
                if let Some(current) = &mut registering.current {
                    current.renew = Some(now.plus(STALE_PAUSE));
                }
            }
            _ => account.retry = Some(now.plus(retry.max(REFUSED_PAUSE))),
        }
        Ok(())
    }

    /// A server says from where it sees this connection come. That is where one is, if this machine
    /// knows the address as its own; else there is a router between.
    pub(super) fn told_address(
        &mut self,
        step: &mut Step<'_, '_>,
        endpoint: &Endpoint,
        host: &str,
    ) -> Result<(), StoreError> {
        let server = self.servers.known.get_mut(endpoint);
        let Some(session) = server.and_then(Server::session_mut) else {
            return Ok(());
        };
        session.addressed = true;
        let said = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        let local = session.local.map(|ip| ip.to_canonical());
        let seen = &mut self.servers.registering.seen;
        let before = match said.filter(|_| said == local) {
            Some(ip) => seen.insert(endpoint.clone(), ip),
            None => seen.remove(endpoint),
        };
        match before == seen.get(endpoint).copied() {
            true => Ok(()),
            false => self.keep_learnt(step),
        }
    }

    /// Why no router leads to this client, if one was asked to.
    pub(in super::super) fn mapping_warning(&self) -> Option<String> {
        let failure = self.servers.registering.mapping_failure.as_ref()?;
        Some(format!("no port is mapped: {failure}"))
    }

    /// To where a router leads to this client from outside.
    pub(in super::super) const fn mapped(&self) -> Option<&Endpoint> {
        self.servers.registering.mapped.as_ref()
    }

    /// A router leads to this client from here, or does no longer.
    pub(in super::super) fn handle_mapped(
        &mut self,
        step: &mut Step<'_, '_>,
        mapping: Mapping,
    ) -> Result<(), StoreError> {
        let (mapped, failure) = match mapping {
            Mapping::External { address, .. } => (Endpoint::try_from(address).ok(), None),
            Mapping::Failed(failure) => (None, Some(failure)),
            Mapping::None => (None, None),
        };
        self.servers.registering.mapping_failure = failure;
        if self.servers.registering.mapped == mapped {
            return Ok(());
        }
        self.servers.registering.mapped = mapped;
        self.keep_learnt(step)
    }

    /// Why nobody finds one although that is wished.
    pub(in super::super) fn not_found_because(&self) -> Option<&'static str> {
        let registering = &self.servers.registering;
        let places = registering
            .current
            .as_ref()
            .is_some_and(|c| !c.whole.is_tombstone());
        let mut own = self.servers.own().peekable();
        let asked =
            own.peek().is_some() && own.all(|(_, s)| s.session().is_some_and(|s| s.addressed));
        (registering.is_on() && asked && !places).then_some(NOWHERE)
    }

    /// `register`: how one is found from now on, and what the servers say to it.
    pub(in super::super) fn register(
        &mut self,
        step: &mut Step<'_, '_>,
        ticket: Ticket,
        wish: Option<RegisterAs>,
    ) -> Result<(), StoreError> {
        if let Some(wish) = wish {
            step.tx.set_setting(WISH, &[wish.code()])?;
            self.servers.registering.wish = wish.visibility();
        }
        let until = match self.online && self.servers.registering.resident {
            true => step.now.tick.plus(PATIENCE),
            false => step.now.tick,
        };
        self.servers.registering.waits.push((ticket, until));
        Ok(())
    }

    /// Answers whoever waits for the servers' word, once all have given it.
    pub(in super::super) fn answer_registers(
        &mut self,
        step: &mut Step<'_, '_>,
    ) -> Result<(), StoreError> {
        let settled = self.servers.own().all(|(_, s)| self.is_settled(s));
        let settled = settled && !self.servers.is_resolving(step.now.tick);
        let waits = std::mem::take(&mut self.servers.registering.waits);
        for (ticket, until) in waits {
            if !settled && until > step.now.tick {
                self.servers.registering.waits.push((ticket, until));
                continue;
            }
            let view = RegisterView {
                visibility: RegisterAs::from(self.servers.registering.wish),
                servers: self.server_views(step.now, true),
                warning: self.not_found_because().map(str::to_owned),
            };
            step.reply(ticket, Ok(Reply::Register(view)));
        }
        Ok(())
    }

    fn is_settled(&self, server: &Server) -> bool {
        let registering = &self.servers.registering;
        let told = match registering.for_server(server) {
            Some(record) => server.account.told == Some(record.seq()),
            // where one is is known only from the server's own word
            None => !registering.is_on() || server.session().is_some_and(|s| s.addressed),
        };
        let failed = server.is_down() && server.last_error.is_some();
        told || failed || server.account.retry.is_some()
    }

    /// The client ends: where it was is taken back. Its mailboxes go on taking messages, so they are
    /// still named, for a day.
    ///
    /// # Errors
    /// [`StoreError`]: nothing is said then, and what servers know ends by itself.
    pub fn farewell(
        &mut self,
        tx: &mut Tx<'_>,
        now: UnixMillis,
    ) -> Result<Vec<Output>, StoreError> {
        let registering = &self.servers.registering;
        let Some(current) = &registering.current else {
            return Ok(Vec::new());
        };
        if !registering.is_on() || current.whole.is_tombstone() {
            return Ok(Vec::new());
        }
        let mut says = current.says.clone();
        says.endpoints.clear();
        let ttl = match says.is_nothing() {
            true => RECORD_TTL,
            false => MAX_RECORD_TTL,
        };
        let record = self.sign(tx, now, &says, true, ttl)?;
        let mut outputs = Vec::new();
        let own = &self.own.identity;
        for server in self.servers.known.values_mut().filter(|s| s.own) {
            let told = server.account.told.is_some();
            let Some(session) = server.session_mut().filter(|_| told) else {
                continue;
            };
            if let Ok(message) = session.machine.register(own, &record) {
                let link = session.link;
                outputs.push(Output::Ask { link, message });
            }
        }
        Ok(outputs)
    }
}
