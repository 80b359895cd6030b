//! The client through relays (D6, D7.2): one's own mailboxes are read and emptied, and what cannot
//! go directly is stored at the contacts' relays.
//!
//! [`routing`] decides which relay is given what waits for a contact, [`givers`] under which session, [`storing`] gives it, [`promises`] end,
//! [`confirming`] takes what comes back, [`passed_over`] sees what does not. [`mailbox`] keeps one's own relays supplied and [`reading`]
//! reads them. [`connection`] keeps one connection a relay; [`watching`] says with which one stays for the
//! confirmations.

mod bundles;
mod confirming;
mod connection;
mod givers;
mod left;
mod mailbox;
mod passed_over;
mod place;
mod promises;
mod reading;
mod routing;
mod storing;
mod troubles;
mod views;
mod watching;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use sremp_core::{
    contact_card::{Endpoint, RelayHint},
    id::ContactId,
    relay::RelayClient,
    time::{Tick, UnixMillis},
};
use sremp_net::LinkId;

use self::{
    givers::Givers,
    mailbox::Mailbox,
    passed_over::PassedOver,
    place::Places,
    promises::Promises,
    routing::Routes,
    storing::{Queue, Stored},
    troubles::Troubles,
};
pub(super) use self::{reading::Arrival, routing::in_words, views::calendar};
use super::{
    claims::Claims,
    peers::Peer,
    silence::{GivenUp, Silence},
};
use crate::{config::Config, store::RelayRow};

/// A relay that leaves a request without an answer for this time is left, and another is tried.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection to a contact's relay is closed when nothing was to be done for this time.
const IDLE: Duration = Duration::from_secs(60);

/// So many relays are known before those with which nothing is to be done are forgotten: a contact may
/// name ever new ones.
const MANY_KNOWN: usize = 256;

/// Every relay that is used, and which contact's messages wait for one.
#[derive(Default)]
pub(super) struct Relays {
    known: BTreeMap<ContactId, Relay>,
    links: HashMap<LinkId, ContactId>,
    routes: Routes,
    promises: Promises,
    passed_over: PassedOver,
    givers: Givers,
    claims: Claims,
}

/// One relay.
struct Relay {
    places: Places,
    /// One's own mailbox there, if this is one of one's own relays.
    mailbox: Option<Mailbox>,
    /// Its number in the store, once it has answered.
    row: Option<RelayRow>,
    phase: Phase,
    /// Connections in a row that failed or were of no use.
    failures: u32,
    /// When a connection of use last ended, if none of no use has since.
    reached: Option<Tick>,
    given_up: GivenUp,
    /// Since when it cannot be used.
    down_since: Option<UnixMillis>,
    /// How its clock stood when it last registered us.
    clock: Option<ForeignClock>,
    /// When to dial next; `None`: not before something is to be done.
    due: Option<Tick>,
    /// The dial that is in progress began before this host's network changed.
    outdated: bool,
    last_error: Option<String>,
    troubles: Troubles,
    /// Contacts whose envelopes it is to be given.
    queue: BTreeMap<ContactId, Queue>,
    /// Contacts whose bundles it is to be asked for.
    bundles: BTreeSet<ContactId>,
    /// Confirmations are expected from it, which nobody else would bring.
    watched: bool,
}

/// What another's calendar showed when a stopwatch here showed this.
#[derive(Clone, Copy)]
struct ForeignClock {
    wall: UnixMillis,
    tick: Tick,
}

enum Phase {
    Down,
    Dialling,
    /// Connected; registered when `granted`.
    Up(Box<Session>),
}

/// A connection to a relay.
struct Session {
    link: LinkId,
    machine: RelayClient,
    opened: Tick,
    /// When something was last asked or answered.
    active: Tick,
    /// The oldest unanswered request was sent after this.
    progress: Tick,
    silence: Silence,
    /// It has taken something, or brought something.
    proved: bool,
    /// It has broken the rules, and is of no use whatever it brought.
    violated: bool,
    granted: bool,
    /// The request of the subscription, whose answers are pushes or a refusal.
    subscribed: Option<u32>,
    stores: BTreeMap<u32, Stored>,
    bundle_requests: BTreeMap<u32, ContactId>,
    /// Requests about one's mailbox: what they are about.
    errands: BTreeMap<u32, mailbox::Errand>,
}

impl Session {
    fn unanswered(&self) -> usize {
        self.stores.len() + self.bundle_requests.len() + self.errands.len()
    }

    /// When a request has gone too long without an answer.
    fn answer_until(&self) -> Option<Tick> {
        self.awaited().map(|since| since.plus(ANSWER_TIMEOUT))
    }

    /// Since when an answer is awaited.
    fn awaited(&self) -> Option<Tick> {
        let waits = !self.granted || self.unanswered() > 0;
        waits.then_some(self.progress)
    }
}

impl Relay {
    fn new(endpoint: Endpoint, mailbox: Option<Mailbox>) -> Self {
        Self {
            places: Places::new(endpoint, mailbox.is_some()),
            mailbox,
            row: None,
            phase: Phase::Down,
            failures: 0,
            reached: None,
            given_up: GivenUp::default(),
            down_since: None,
            clock: None,
            due: None,
            outdated: false,
            last_error: None,
            troubles: Troubles::default(),
            queue: BTreeMap::new(),
            bundles: BTreeSet::new(),
            watched: false,
        }
    }

    fn session(&self) -> Option<&Session> {
        match &self.phase {
            Phase::Up(session) => Some(session),
            Phase::Down | Phase::Dialling => None,
        }
    }

    fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.phase {
            Phase::Up(session) => Some(session),
            Phase::Down | Phase::Dialling => None,
        }
    }

    /// Whether it takes messages now.
    fn is_up(&self) -> bool {
        self.session().is_some_and(|s| s.granted)
    }

    /// Until when it is left alone because it did not answer.
    fn rests_until(&self, now: Tick) -> Option<Tick> {
        let rests = matches!(self.phase, Phase::Down) && self.failures > 0;
        self.due.filter(|due| rests && *due > now)
    }

    fn has_work(&self) -> bool {
        self.mailbox.is_some() || self.watched || !self.queue.is_empty() || !self.bundles.is_empty()
    }

    /// When something has to be done about it.
    fn deadline(&self) -> Option<Tick> {
        let idle = |s: &Session| (!self.has_work()).then(|| s.active.plus(IDLE));
        match &self.phase {
            Phase::Down => self.due,
            Phase::Dialling => None,
            Phase::Up(session) => {
                let telling = self.mailbox.as_ref().and_then(|m| m.tell_at);
                let silent = session.silence.deadline(session.awaited());
                let all = [session.answer_until(), silent, telling, idle(session)];
                all.into_iter().flatten().min()
            }
        }
    }
}

impl Relays {
    /// One's own relays, to be connected at once.
    fn new(config: &Config, now: Tick) -> Self {
        let mut relays = Self::default();
        for link in &config.relays {
            let mailbox = Mailbox::new(link.invite());
            let mut relay = Relay::new(link.endpoint().clone(), Some(mailbox));
            relay.due = Some(now);
            relays.known.insert(link.relay(), relay);
        }
        relays
    }

    pub(super) fn deadline(&self, online: bool) -> Option<Tick> {
        let relays = self.known.values().filter_map(Relay::deadline);
        let all = relays
            .chain(self.routes.deadline())
            .chain(self.promises.deadline())
            .chain(self.givers.deadline())
            .chain(self.passed_over.deadline());
        online.then(|| all.min()).flatten()
    }

    /// Nothing is dialled before this time: the disk has just failed.
    pub(super) fn postpone(&mut self, until: Tick) {
        for due in self.known.values_mut().filter_map(|r| r.due.as_mut()) {
            *due = (*due).max(until);
        }
        self.routes.postpone(until);
    }

    /// The network is another one: relays that wait for a pause are dialled at once.
    pub(super) fn begin_anew(&mut self, now: Tick) {
        for relay in self.known.values_mut() {
            match relay.phase {
                Phase::Down => {
                    relay.places.begin_anew();
                    relay.failures = 0;
                    relay.due = relay.due.map(|due| due.min(now));
                }
                Phase::Dialling => {
                    relay.failures = 0;
                    relay.outdated = true;
                }
                Phase::Up(_) => {}
            }
        }
        self.routes.begin_anew(now);
    }

    /// Relays may have begun to keep something for a contact just now.
    pub(super) fn kept(&mut self, contact: ContactId, now: Tick) {
        self.routes.kept(contact, now);
    }

    /// The network is another one: every connection is asked whether it stands.
    pub(super) fn ask_all(&mut self, now: Tick) -> Vec<LinkId> {
        let mut asked = Vec::new();
        for relay in self.known.values_mut() {
            let given_up = relay.given_up;
            if let Some(session) = relay.session_mut() {
                session.silence.network_changed(now, given_up);
                asked.push(session.link);
            }
        }
        asked
    }

    /// Something came over a connection, if it is one with a relay.
    pub(super) fn heard(&mut self, link: LinkId, now: Tick) {
        if let Some((_, session)) = self.session_of(link) {
            session.silence.heard(now);
        }
    }

    /// Whether this connection is one to a relay.
    pub(super) fn has_link(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    /// The relay of a hint, known from now on; with the contact that tells it itself. What a server
    /// passed on sends nobody else's messages elsewhere.
    fn enter(&mut self, hint: &RelayHint, told: Option<ContactId>) -> &mut Relay {
        if self.known.len() >= MANY_KNOWN && !self.known.contains_key(&hint.relay) {
            self.known
                .retain(|_, relay| relay.has_work() || !matches!(relay.phase, Phase::Down));
        }
        let entry = self.known.entry(hint.relay);
        let relay = entry.or_insert_with(|| Relay::new(hint.endpoint.clone(), None));
        // of one's own relays the settings say where they are
        if let Some(contact) = told.filter(|_| relay.mailbox.is_none()) {
            relay.places.tell(contact, &hint.endpoint);
        }
        relay
    }

    /// The relay that a contact has, as it says or as a RECORD says.
    fn enter_of(&mut self, peer: &Peer, hint: &RelayHint) -> &mut Relay {
        let told = peer.record.relays.contains(hint);
        self.enter(hint, told.then(|| peer.key()))
    }

    /// The session that belongs to a connection.
    fn session_of(&mut self, link: LinkId) -> Option<(ContactId, &mut Session)> {
        let key = *self.links.get(&link)?;
        let session = self.known.get_mut(&key)?.session_mut()?;
        (session.link == link).then_some((key, session))
    }
}
