//! Finding one person: for the user who asks, and by itself when somebody cannot be reached.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sremp_core::{
    contact_card::Endpoint,
    id::ContactId,
    identity::{VersionRecord, VersionVerdict},
    rand_core::CryptoRng,
    rendezvous::{Found, Seq},
    route::{SEEK_PAUSES, Seek as Seeking},
    time::Tick,
};

use super::{
    super::{
        Engine, Step, Ticket,
        contacts::{Answer, refuse},
        peers::Peer,
    },
    Ask, Server,
    seek::Seek,
};
use crate::{
    store::{FoundPlaces, StoreError},
    view::{CommandError, ErrorKind, Reply},
};

/// How long the servers have for their answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// Searches that users have asked for at once; one more is refused.
const MAX_SEARCHES: usize = 256;

#[derive(Default)]
pub(super) struct Searches {
    running: BTreeMap<ContactId, Search>,
    seeks: BTreeMap<ContactId, Seek>,
}

/// Servers are being asked for somebody.
struct Search {
    /// Those that have not answered yet.
    asked: BTreeSet<Endpoint>,
    /// What is known already: nothing older is believed.
    known: Option<Seq>,
    /// The newest that was found, and who told of it.
    best: Option<Box<Found>>,
    by: Vec<String>,
    failures: Vec<String>,
    finders: Vec<Ticket>,
    until: Tick,
}

impl Searches {
    pub(super) fn deadline(&self) -> Option<Tick> {
        let running = self.running.values().map(|s| s.until);
        running
            .chain(self.seeks.values().filter_map(|s| s.due))
            .min()
    }

    /// A server answers again.
    pub(super) fn ask_again(&mut self, now: Tick) {
        for seek in self.seeks.values_mut() {
            seek.ask_again(now);
        }
    }

    pub(super) fn known_seq(&self, key: &ContactId) -> Option<Seq> {
        self.running.get(key)?.known
    }
}

impl Engine {
    /// Somebody cannot be reached: the servers are asked, now or when it is time again.
    pub(in super::super) fn seek(&mut self, key: &ContactId, now: Tick, rng: &mut dyn CryptoRng) {
        if !self.online || self.servers.searches.running.contains_key(key) {
            return;
        }
        let seek = self.servers.searches.seeks.entry(*key).or_default();
        if seek.due.is_none() {
            seek.due = Some(seek.soonest(now, rng));
        }
    }

    /// A connection with somebody stands.
    pub(in super::super) fn seek_succeeded(&mut self, key: &ContactId) {
        if let Some(seek) = self.servers.searches.seeks.get_mut(key) {
            seek.connected = true;
        }
    }

    /// The user has just written to somebody: a long pause is not waited for.
    pub(in super::super) fn seek_soon(&mut self, key: &ContactId, now: Tick) {
        if let Some(seek) = self.servers.searches.seeks.get_mut(key) {
            let soonest = seek.last.map_or(now, |at| at.plus(seek.shortest()));
            let soonest = soonest.max(now);
            seek.due = seek.due.map(|due| due.min(soonest));
        }
    }

    /// When somebody is looked for next, if there is a server that can be asked.
    pub(in super::super) fn next_search(
        &self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
    ) -> Result<Option<Tick>, StoreError> {
        let due = self.servers.searches.seeks.get(&peer.key());
        let Some(due) = due.and_then(|seek| seek.due) else {
            return Ok(None);
        };
        let own = self.servers.own().next().is_some();
        let any = own
            || self.servers.is_resolving(step.now.tick)
            || !step.tx.card_servers(peer.record.row)?.is_empty();
        Ok(any.then_some(due))
    }

    /// Begins the searches that are due.
    pub(super) fn run_searches(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        let now = step.now.tick;
        let seeks = self.servers.searches.seeks.iter();
        let due = seeks.filter(|(_, seek)| seek.due.is_some_and(|due| due <= now));
        let due: Vec<ContactId> = due.map(|(key, _)| *key).collect();
        for key in due {
            let wanted = self.is_sought(step, &key)?;
            let seeks = &mut self.servers.searches.seeks;
            if !wanted {
                seeks.remove(&key);
                continue;
            }
            if let Some(seek) = seeks.get_mut(&key) {
                seek.began(now);
            }
            // without a server there is nothing to wait for, and the next reason may find one
            self.look_for(step, &key, false)?;
        }
        Ok(())
    }

    /// Whether something waits for a contact to whom no way leads that works.
    fn is_sought(&mut self, step: &mut Step<'_, '_>, key: &ContactId) -> Result<bool, StoreError> {
        let Some(peer) = self.peers.take(step.tx, key)? else {
            return Ok(false);
        };
        let waits = !step.tx.outbox_waiting(peer.record.row, 0, 1)?.is_empty();
        let wanted = waits && self.plan(&peer, step.now).seek != Seeking::Never;
        self.peers.put(peer);
        Ok(wanted)
    }

    /// Asks every server that may know: one's own, and those that the person's card names. Returns
    /// whether there is one.
    fn look_for(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        by_hand: bool,
    ) -> Result<bool, StoreError> {
        if self.servers.searches.running.contains_key(key) {
            return Ok(true);
        }
        let peer = self.peers.take(step.tx, key)?;
        let found = peer.as_ref().and_then(|p| p.record.found.as_ref());
        let known = found.map(|found| found.seq);
        let named = match &peer {
            Some(peer) => step.tx.card_servers(peer.record.row)?,
            None => Vec::new(),
        };
        self.peers.put_back(peer);
        let mut search = Search {
            asked: BTreeSet::new(),
            known,
            best: None,
            by: Vec::new(),
            failures: Vec::new(),
            finders: Vec::new(),
            until: step.now.tick.plus(PATIENCE),
        };
        let own: Vec<Endpoint> = self.servers.own().map(|(e, _)| e.clone()).collect();
        for endpoint in own.into_iter().chain(named) {
            let known = self.servers.known.entry(endpoint.clone());
            let server = known.or_insert_with(|| Server::new(None, false));
            search.ask(key, &endpoint, server, by_hand, step.now.tick);
        }
        let resolving = self.servers.is_resolving(step.now.tick);
        let any = !search.asked.is_empty() || !search.failures.is_empty() || resolving;
        if any {
            self.servers.searches.running.insert(*key, search);
        }
        Ok(any)
    }

    /// DNS has named a server while somebody is looked for.
    pub(super) fn search_at(&mut self, endpoint: &Endpoint, now: Tick) {
        let Some(server) = self.servers.known.get_mut(endpoint) else {
            return;
        };
        for (key, search) in &mut self.servers.searches.running {
            search.ask(key, endpoint, server, true, now);
        }
    }

    /// A server has told of somebody: signed by that very key, in force, and not older than what is
    /// known.
    pub(super) fn searches_found(
        &mut self,
        endpoint: &Endpoint,
        key: &ContactId,
        found: Option<Box<Found>>,
    ) {
        let Some(search) = self.servers.searches.running.get_mut(key) else {
            return;
        };
        search.asked.remove(endpoint);
        let Some(found) = found else { return };
        // the same record may come with an older identity, which is signed as well
        let age = |found: &Found| (found.record.seq(), found.identity.version());
        let newest = search.best.as_deref().map(age);
        if newest < Some(age(&found)) {
            search.best = Some(found);
            search.by.clear();
        } else if newest > Some(age(&found)) {
            return;
        }
        search.by.push(endpoint.to_string());
    }

    /// A server is another than it was when it was asked.
    pub(super) fn searches_forget(&mut self, endpoint: &Endpoint) {
        for search in self.servers.searches.running.values_mut() {
            search.asked.remove(endpoint);
        }
    }

    pub(super) fn search_refused(&mut self, endpoint: &Endpoint, key: &ContactId, cause: &str) {
        if let Some(search) = self.servers.searches.running.get_mut(key)
            && search.asked.remove(endpoint)
        {
            search.failures.push(format!("{endpoint}: {cause}"));
        }
    }

    /// A server is gone: whatever it was asked has no answer.
    pub(super) fn searches_left(&mut self, endpoint: &Endpoint, cause: &str) {
        for search in self.servers.searches.running.values_mut() {
            if search.asked.remove(endpoint) {
                search.failures.push(format!("{endpoint}: {cause}"));
            }
        }
    }

    /// Ends the searches that have all answers, or no more time. What is learnt is a reason to send.
    pub(in super::super) fn end_searches(
        &mut self,
        step: &mut Step<'_, '_>,
    ) -> Result<(), StoreError> {
        let now = step.now.tick;
        let resolving = self.servers.is_resolving(now);
        let over = |s: &Search| (s.asked.is_empty() && !resolving) || s.until <= now;
        let running = self.servers.searches.running.iter();
        let over: Vec<ContactId> = running.filter(|(_, s)| over(s)).map(|(k, _)| *k).collect();
        for key in over {
            if let Some(search) = self.servers.searches.running.remove(&key) {
                self.end_search(step, &key, search)?;
            }
        }
        Ok(())
    }

    fn end_search(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        mut search: Search,
    ) -> Result<(), StoreError> {
        let late = search
            .asked
            .iter()
            .map(|e| format!("{e}: it did not answer in time"));
        search.failures.extend(late.collect::<Vec<_>>());
        let mut news = false;
        if let Some(found) = &search.best
            && let Some(mut peer) = self.peers.take(step.tx, key)?
        {
            let learnt = self.learn_places(step, &mut peer, found);
            self.peers.put(peer);
            news = learnt?;
        }
        self.go_on_seeking(step, key, news, !search.failures.is_empty())?;
        for ticket in std::mem::take(&mut search.finders) {
            let answer = match &search.best {
                Some(found) => Ok(self.found_view(step, found, &search.by)?),
                None => Err(not_found(&search.failures)),
            };
            step.reply(ticket, answer.map(|view| Reply::Found(Box::new(view))));
        }
        Ok(())
    }

    /// When somebody for whom something waits is looked for again.
    fn go_on_seeking(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        news: bool,
        unanswered: bool,
    ) -> Result<(), StoreError> {
        if !self.servers.searches.seeks.contains_key(key) {
            return Ok(());
        }
        let waits = self.is_sought(step, key)?;
        let seeks = &mut self.servers.searches.seeks;
        let Some(seek) = seeks.get_mut(key) else {
            return Ok(());
        };
        if !waits {
            seeks.remove(key);
            return Ok(());
        }
        // where there is news it is tried first; what fails there is a reason to look again
        seek.unanswered = unanswered;
        seek.failures = if news {
            0
        } else {
            seek.failures.saturating_add(1)
        };
        seek.due = match news {
            true => None,
            false => Some(
                step.now
                    .tick
                    .plus(SEEK_PAUSES.pause(seek.failures, step.rng)),
            ),
        };
        Ok(())
    }

    /// Takes over what a contact's RECORD says. Returns whether that is new.
    fn learn_places(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        found: &Found,
    ) -> Result<bool, StoreError> {
        if !peer.is_served() {
            return Ok(false);
        }
        if !self.learn_identity_of(step, peer, &found.identity)? {
            self.refusals.count("found-identity");
            return Ok(false);
        }
        let record = &found.record;
        let places = FoundPlaces {
            seq: record.seq(),
            expires: record.expires(),
            endpoints: record.endpoints().to_vec(),
            relays: record.relays().to_vec(),
        };
        let before = peer.record.found.as_ref();
        if before.is_some_and(|before| before.seq >= places.seq) {
            return Ok(false);
        }
        let moved = before.is_none_or(|before| {
            before.endpoints != places.endpoints || before.relays != places.relays
        });
        step.tx.save_found(peer.record.row, &places)?;
        peer.record.found = Some(places);
        if moved {
            self.dialling.moved(&peer.key(), step.now.tick);
            self.push_soon(&peer.key());
        }
        Ok(moved)
    }

    /// `find`: where somebody is now.
    pub(in super::super) fn find(
        &mut self,
        step: &mut Step<'_, '_>,
        ticket: Ticket,
        who: &str,
    ) -> Result<(), StoreError> {
        let answer = self.begin_find(step, ticket, who)?;
        if let Err(error) = answer {
            step.reply(ticket, Err(error));
        }
        Ok(())
    }

    fn begin_find(&mut self, step: &mut Step<'_, '_>, ticket: Ticket, who: &str) -> Answer<()> {
        let key = match who.parse::<ContactId>() {
            Ok(key) => key,
            Err(_) => match self.find_contact(step, who)? {
                Ok(peer) => {
                    let key = peer.key();
                    self.peers.put(peer);
                    key
                }
                Err(_) => {
                    let message = format!(
                        "{} is neither an id of 64 hex digits nor a contact; `sremp browse` lists \
                         those who want to be found by name",
                        sremp_core::text::clean_line(who)
                    );
                    return refuse(ErrorKind::Contact, message);
                }
            },
        };
        if !self.online {
            let message = "a search needs the network; start the client with `sremp up`";
            return refuse(ErrorKind::Network, message);
        }
        if self.servers.searches.running.len() >= MAX_SEARCHES {
            self.refusals.count("too-many-searches");
            let message = "too many searches are running; let one of them end and try again";
            return refuse(ErrorKind::Failed, message);
        }
        if !self.look_for(step, &key, true)? {
            return refuse(ErrorKind::Usage, super::views::NO_SERVER);
        }
        if let Some(search) = self.servers.searches.running.get_mut(&key) {
            search.finders.push(ticket);
        }
        Ok(Ok(()))
    }

    /// What is to be thought of an identity that a server gave.
    pub(super) fn judge_found(
        &self,
        step: &mut Step<'_, '_>,
        found: &Found,
    ) -> Result<Option<&'static str>, StoreError> {
        let known = step.tx.version_record(&found.identity.id())?;
        Ok(
            match VersionRecord::judge(known.as_ref(), &found.identity) {
                VersionVerdict::Newer | VersionVerdict::Same => None,
                VersionVerdict::Fork => Some(
                    "another identity carries the same key and version; somebody else may hold the key",
                ),
                VersionVerdict::Stale { .. } => {
                    Some("this identity is older than one that was seen before")
                }
                VersionVerdict::Tombstoned => {
                    Some("the owner has withdrawn this identity for good")
                }
            },
        )
    }
}

impl Search {
    fn ask(
        &mut self,
        key: &ContactId,
        endpoint: &Endpoint,
        server: &mut Server,
        by_hand: bool,
        now: Tick,
    ) {
        if self.asked.contains(endpoint) {
            return;
        }
        let rests = server.is_down() && server.due > Some(now);
        let just_failed = server
            .failed
            .is_some_and(|at| now.since(at) < SEEK_PAUSES.first);
        if rests && just_failed && !by_hand {
            let cause = server.last_error.as_deref().unwrap_or_default();
            self.failures.push(format!("{endpoint}: {cause}"));
            return;
        }
        if rests {
            // a long pause is for those who have nothing to ask
            server.due = Some(now);
        }
        server.queue.push_back(Ask::Lookup(*key));
        self.asked.insert(endpoint.clone());
    }
}

fn not_found(failures: &[String]) -> CommandError {
    if failures.is_empty() {
        return CommandError::new(
            ErrorKind::Contact,
            "no rendezvous server knows where they are: they may be away, registered at another \
             server, or not registered at all; ask for a card",
        );
    }
    let message = format!("not found; {}", failures.join("; "));
    CommandError::new(ErrorKind::Network, message)
}
