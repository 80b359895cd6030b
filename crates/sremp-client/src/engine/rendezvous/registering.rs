//! Telling one's own servers where one is: while the client runs, renewed before it ends, taken back
//! at the end (5.4).

use std::time::Duration;

use sremp_core::{
    constants::{CLOCK_SKEW, MAX_ENDPOINTS, MAX_RECORD_TTL, RECORD_TTL},
    contact_card::{Endpoint, RelayHint},
    error::ErrorCode,
    rendezvous::{Record, RecordDraft, Seq, Visibility, address::may_be_public, renew_after},
    time::{Tick, UnixMillis},
};

use super::{
    super::{Engine, Now, Output, Step, Ticket},
    Ask, Server,
};
use crate::{
    store::{StoreError, Tx},
    view::RegisterAs,
};

/// As whom the user wants to be found: the code of a [`RegisterAs`].
pub(super) const WISH: &str = "register";
/// `seq` of the last RECORD and until when one that names places is kept somewhere, both `u64`
/// little-endian.
const RECORD: &str = "record";
/// After a refusal that a wait may mend.
const REFUSED_PAUSE: Duration = Duration::from_secs(5 * 60);
/// After STALE_SEQ, which a newer record mends.
const STALE_PAUSE: Duration = Duration::from_secs(30);
/// Also what no server has taken yet is signed anew after this time: it must not be over by then.
const LATEST_RENEWAL: Duration = Duration::from_secs(RECORD_TTL.as_secs() * 4 / 5);

pub(in super::super) struct Registering {
    /// The client stays: only such a one registers.
    pub(super) resident: bool,
    pub(super) wish: Option<Visibility>,
    last: Seq,
    published_until: UnixMillis,
    pub(super) current: Option<Current>,
    pub(super) waits: Vec<(Ticket, Tick)>,
}

/// The record that servers are told, and one without places to dial for those who do not take it.
/// The whole one has the higher seq: whoever finds both believes that.
pub(super) struct Current {
    pub(super) whole: Record,
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
    pub(super) fn for_server(&self, server: &Server) -> Option<&Record> {
        let current = self.current.as_ref()?;
        match server.account.reduced {
            true => current.reduced.as_ref(),
            false => Some(&current.whole),
        }
    }
}

impl Engine {
    /// What is to be registered now.
    fn says(&self, tx: &mut Tx<'_>, visibility: Visibility) -> Result<Says, StoreError> {
        let listens = self.listening.is_some() || self.config.advertise.is_some();
        let shown = listens && self.tells_everybody(tx)?;
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
