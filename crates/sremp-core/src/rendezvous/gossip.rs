//! With whom a server exchanges lists of servers, when, and whom it names (5.7).

use std::{collections::BTreeSet, time::Duration};

use rand_core::CryptoRng;

use super::{
    Candidates, NotKept, RendezvousLink, ServerRecord, Source, SpkiHash, address::may_be_public,
};
use crate::{
    constants::{
        EXCHANGE_RETRY, MAX_ANNOUNCED, MAX_CANDIDATES, MAX_EXCHANGE_PAUSE, MAX_SERVER_PEERS,
        MISSED_EXCHANGES, SERVER_FRESH,
    },
    id::ContactId,
    time::{Tick, UnixMillis},
};

/// Longest pause before the first exchange with a peer.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// Who answered for a peer is not it: the first of its records is by another key than the one in its
/// link, or names another certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherServer;

/// What came of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Servers that are kept.
    pub kept: usize,
    /// Records that are not: unsigned, over, of a private place, or beyond what one source may name.
    pub refused: usize,
}

/// A server's peers, which its operator chose, and the candidates that are heard of. Only peers are
/// ever dialled.
///
/// [`poll_due`](Self::poll_due) gives whom to ask; what came of it goes to
/// [`handle_list`](Self::handle_list) or [`handle_failure`](Self::handle_failure).
#[derive(Clone, Debug)]
pub struct Gossip {
    own: ContactId,
    peers: Vec<Peer>,
    candidates: Candidates,
    every: Duration,
    allow_private: bool,
}

#[derive(Clone, Debug)]
struct Peer {
    link: RendezvousLink,
    record: Option<ServerRecord>,
    answered: Option<Tick>,
    failures: u32,
    /// `None` while it is asked.
    due: Option<Tick>,
}

impl Gossip {
    /// Of the server `own` with these peers, 16 at most; it is none itself. Each is asked `every` so
    /// often, a quarter more or less. With `allow_private`, places of a LAN are named.
    pub fn new<R: CryptoRng + ?Sized>(
        own: ContactId,
        links: &[RendezvousLink],
        every: Duration,
        allow_private: bool,
        now: Tick,
        rng: &mut R,
    ) -> Self {
        let first = every.min(FIRST_PAUSE);
        let others = links.iter().filter(|link| link.server != own);
        let peers = others.take(MAX_SERVER_PEERS).map(|link| Peer {
            link: link.clone(),
            record: None,
            answered: None,
            failures: 0,
            due: Some(now.plus(share(first, rng, 0, 100))),
        });
        Self {
            own,
            peers: peers.collect(),
            candidates: Candidates::new(allow_private),
            every,
            allow_private,
        }
    }

    /// A peer whose turn it is. It is not given again before its answer or failure was handled.
    pub fn poll_due(&mut self, now: Tick) -> Option<RendezvousLink> {
        let mut peers = self.peers.iter_mut();
        let peer = peers.find(|peer| peer.due.is_some_and(|due| due <= now))?;
        peer.due = None;
        Some(peer.link.clone())
    }

    /// When somebody's turn is next.
    pub fn next_due(&self) -> Option<Tick> {
        self.peers.iter().filter_map(|peer| peer.due).min()
    }

    /// A peer has answered with these servers, whose signatures hold. What it named before and does
    /// not any more is forgotten.
    ///
    /// # Errors
    /// [`OtherServer`]: nothing of it is taken, and it is a failure.
    pub fn handle_list<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &ContactId,
        list: Vec<ServerRecord>,
        now: (Tick, UnixMillis),
        rng: &mut R,
    ) -> Result<Told, OtherServer> {
        let mut list = list.into_iter();
        let first = list.next();
        let (every, private) = (self.every, self.allow_private);
        let Some(known) = self.peers.iter_mut().find(|p| p.link.server == *peer) else {
            return Ok(Told::default());
        };
        let Some(own) = first.filter(|first| known.is_by(first)) else {
            self.handle_failure(peer, now.0, rng);
            return Err(OtherServer);
        };
        let mut told = Told::default();
        known.answered = Some(now.0);
        known.failures = 0;
        known.due = Some(now.0.plus(share(every, rng, 75, 125)));
        known.record = Some(own).filter(|own| private || may_be_public(own.endpoint()));
        told.count(known.record.is_some());
        self.take(*peer, list, now.1, &mut told);
        Ok(told)
    }

    fn take(
        &mut self,
        peer: ContactId,
        list: impl Iterator<Item = ServerRecord>,
        now: UnixMillis,
        told: &mut Told,
    ) {
        let source = Source::Server(peer);
        let mut named = BTreeSet::new();
        // its own, this server's and its peers' words come from themselves
        let others: Vec<ServerRecord> = list.filter(|s| !self.is_known(&s.server())).collect();
        let wanted: BTreeSet<ContactId> = others.iter().map(ServerRecord::server).collect();
        self.candidates
            .retain_of(source, |server| wanted.contains(server));
        for record in others {
            let once = named.insert(record.server());
            told.count(once && self.offer(source, record, now).is_ok());
        }
    }

    fn is_known(&self, server: &ContactId) -> bool {
        *server == self.own || self.peers.iter().any(|peer| peer.link.server == *server)
    }

    fn offer(
        &mut self,
        source: Source,
        record: ServerRecord,
        now: UnixMillis,
    ) -> Result<(), NotKept> {
        if !is_fresh(&record, now) {
            return Err(NotKept::Expired);
        }
        match self.candidates.offer(source, record, now) {
            // by another way it came earlier
            Err(NotKept::Older) => Ok(()),
            other => other,
        }
    }

    /// A peer did not answer, or not in good order: it is asked again later and later. How often
    /// this has happened since it last did.
    pub fn handle_failure<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &ContactId,
        now: Tick,
        rng: &mut R,
    ) -> u32 {
        let every = self.every;
        let Some(known) = self.peers.iter_mut().find(|p| p.link.server == *peer) else {
            return 0;
        };
        let doubled = EXCHANGE_RETRY
            .min(every)
            .saturating_mul(1_u32.checked_shl(known.failures).unwrap_or(u32::MAX));
        let pause = doubled.min(every.saturating_mul(MAX_EXCHANGE_PAUSE));
        known.failures = known.failures.saturating_add(1).min(u32::BITS);
        known.due = Some(now.plus(share(pause, rng, 75, 125)));
        known.failures
    }

    /// Somebody at an address, of which a number is known, says to be a server, and its place is
    /// that address.
    ///
    /// # Errors
    /// [`NotKept`].
    pub fn handle_announcement(
        &mut self,
        address: u64,
        record: ServerRecord,
        now: UnixMillis,
    ) -> Result<(), NotKept> {
        let server = record.server();
        if self.is_known(&server) {
            return Ok(());
        }
        self.candidates.forget_expired(now);
        // a crowd of strangers leaves room for those of whom peers tell
        if self.candidates.from_addresses() >= MAX_ANNOUNCED && !self.candidates.has(&server) {
            return Err(NotKept::Full);
        }
        self.offer(Source::Address(address), record, now)
    }

    /// Whom this server names after itself: peers that answer, then candidates; 63 at most.
    pub fn named(&self, now: (Tick, UnixMillis)) -> impl Iterator<Item = &ServerRecord> {
        let patience = self.every.saturating_mul(MISSED_EXCHANGES);
        let peers = self.peers.iter().filter(move |peer| {
            let silent = peer.answered.map(|answered| now.0.since(answered));
            silent.is_some_and(|silent| silent <= patience)
        });
        let peers = peers.filter_map(|peer| peer.record.as_ref());
        let candidates = self.candidates.list(now.1);
        peers
            .filter(move |record| record.holds_at(now.1))
            .chain(candidates.filter(move |record| is_fresh(record, now.1)))
            .take(MAX_CANDIDATES.saturating_sub(1))
    }
}

impl Peer {
    fn is_by(&self, record: &ServerRecord) -> bool {
        let pinned = |spki: &SpkiHash| record.spki() == Some(spki);
        record.server() == self.link.server && self.link.spki.as_ref().is_none_or(pinned)
    }
}

impl Told {
    const fn count(&mut self, kept: bool) {
        let count = if kept {
            &mut self.kept
        } else {
            &mut self.refused
        };
        *count = count.saturating_add(1);
    }
}

/// A server that runs makes its record anew: what is old is of one that does not, however many still
/// tell each other of it.
fn is_fresh(record: &ServerRecord, now: UnixMillis) -> bool {
    now.since(record.issued()) <= SERVER_FRESH
}

/// A random part of a time, between these percents of it.
fn share<R: CryptoRng + ?Sized>(whole: Duration, rng: &mut R, from: u64, to: u64) -> Duration {
    let millis = crate::time::millis(whole);
    let width = millis.saturating_mul(to.saturating_sub(from)) / 100;
    let random = u64::from(rng.next_u32());
    let part = width.saturating_mul(random) >> 32;
    Duration::from_millis((millis.saturating_mul(from) / 100).saturating_add(part))
}
