//! Open connections: who is let in, which of two is kept, and what the messages on them ask.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use sremp_core::{
    channel::{DuplicateVerdict, judge_duplicate},
    constants::{DUPLICATE_PROBE_TIMEOUT, PREKEY_REQUEST_INTERVAL},
    error::ErrorCode,
    id::{ContactId, EnvelopeId, IntroToken, MsgId},
    identity::Identity,
    route::{FETCHES_WITHIN, LASTING, SILENT_AFTER},
    time::Tick,
};
use sremp_net::{CloseReason, Direction, LinkId};

use super::{Engine, Output, Step, silence::Silence};
use crate::store::StoreError;

/// `last_seen` is not written more often than this.
const LAST_SEEN_STEP: Duration = Duration::from_secs(60);
/// Peers whose last prekey request is remembered, with the bundle that they got.
const MAX_PREKEY_ASKERS: usize = 256;
/// Time that a stranger's connection may stand.
const STRANGER_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Whether it is doubted that the peer can read what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It confirms.
    No,
    /// It does not, and is to be asked for its keys.
    Yes,
    /// It was asked.
    Asked,
}

/// An envelope that waits for its answer.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) item: i64,
    pub(super) msg_id: MsgId,
    pub(super) envelope_id: EnvelopeId,
    pub(super) bytes: usize,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: ContactId,
    direction: Direction,
    opened: Tick,
    /// The peer brought an intro token of ours that is still open.
    pub(super) intro: Option<IntroToken>,
    /// Outbox items up to this one were sent on this connection.
    pub(super) cursor: i64,
    pub(super) in_flight: BTreeMap<u32, InFlight>,
    pub(super) bundle_request: Option<(u32, Tick)>,
    /// When the peer last confirmed something, or the first envelope was sent after a rest.
    pub(super) progress: Tick,
    /// The peer has confirmed something on this connection.
    pub(super) proved: bool,
    pub(super) silence: Silence,
    /// Nothing was confirmed for a while: the peer may have another envelope key by now.
    pub(super) doubtful: Doubt,
    /// The connection has stood for a while: what relays keep and nobody has confirmed is sent on it
    /// as well.
    pub(super) late: bool,
    /// Whether this is a contact that the user wants to hear from.
    pub(super) welcome: bool,
    /// Envelopes of a stranger that were not taken.
    pub(super) refused: u32,
    next_request: u32,
}

impl Link {
    pub(super) fn in_flight_bytes(&self) -> usize {
        self.in_flight.values().map(|f| f.bytes).sum()
    }

    /// A request id that none of the open requests has.
    pub(super) fn next_request(&mut self) -> u32 {
        self.next_request = self.next_request.wrapping_add(1);
        self.next_request
    }

    pub(super) fn may_ask_for_bundle(&self, now: Tick) -> bool {
        self.bundle_request
            .is_none_or(|(_, asked)| now.since(asked) >= PREKEY_REQUEST_INTERVAL)
    }

    /// Everything from the outbox is to be sent again on this connection.
    fn rewind(&mut self) {
        self.cursor = 0;
        self.in_flight.clear();
    }

    /// Since when an answer is awaited.
    pub(super) fn awaited(&self) -> Option<Tick> {
        (!self.in_flight.is_empty()).then_some(self.progress)
    }

    fn is_stalled(&self, now: Tick) -> bool {
        !self.in_flight.is_empty() && now.since(self.progress) >= SILENT_AFTER
    }

    fn is_late(&self, now: Tick) -> bool {
        now.since(self.opened) >= FETCHES_WITHIN
    }

    /// Whether it was of use: it carried something, or stood for a while.
    fn stood(&self, now: Tick) -> bool {
        self.proved || now.since(self.opened) >= LASTING
    }

    fn bundle_overdue(&self, now: Tick) -> bool {
        self.bundle_request
            .is_some_and(|(_, asked)| now.since(asked) >= PREKEY_REQUEST_INTERVAL)
    }

    /// When a stranger that has said nothing to keep is sent away.
    pub(super) fn stranger_until(&self) -> Option<Tick> {
        (!self.welcome).then(|| self.opened.plus(STRANGER_TIMEOUT))
    }

    fn deadline(&self) -> Option<Tick> {
        let stalled = (!self.in_flight.is_empty()).then(|| self.progress.plus(SILENT_AFTER));
        let bundle = self
            .bundle_request
            .map(|(_, asked)| asked.plus(PREKEY_REQUEST_INTERVAL));
        let late = (!self.late).then(|| self.opened.plus(FETCHES_WITHIN));
        let silent = self.silence.deadline(self.awaited());
        let all = [stalled, bundle, late, silent, self.stranger_until()];
        all.into_iter().flatten().min()
    }
}

/// A second connection that waits while the first is probed.
#[derive(Debug)]
struct Candidate {
    link: LinkId,
    until: Tick,
}

/// A connection that was let in and is not open yet.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) intro: Option<IntroToken>,
    pub(super) welcome: bool,
}

#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) open: BTreeMap<LinkId, Link>,
    active: HashMap<ContactId, LinkId>,
    candidates: HashMap<ContactId, Candidate>,
    /// Connections that are admitted but not yet open.
    pub(super) admitted: HashMap<LinkId, Admitted>,
    prekeys_given: HashMap<ContactId, (Tick, Vec<u8>)>,
}

impl Links {
    /// The connection to use for a contact.
    pub(super) fn active(&self, contact: &ContactId) -> Option<LinkId> {
        self.active.get(contact).copied()
    }

    pub(super) fn get(&self, link: LinkId) -> Option<&Link> {
        self.open.get(&link)
    }

    pub(super) fn get_mut(&mut self, link: LinkId) -> Option<&mut Link> {
        self.open.get_mut(&link)
    }

    /// Peers with an open connection.
    pub(super) fn connected(&self) -> impl Iterator<Item = &ContactId> {
        self.active.keys()
    }

    pub(super) fn deadline(&self) -> Option<Tick> {
        let candidates = self.candidates.values().map(|c| c.until);
        let retries = self.open.values().filter_map(Link::deadline);
        candidates.chain(retries).min()
    }

    /// What to answer to a request for a bundle: within a minute the same again, so that a peer whose
    /// connection broke is not kept waiting and nobody can use up one-time prekeys.
    pub(super) fn given_prekeys(&mut self, peer: &ContactId, now: Tick) -> Given {
        self.prekeys_given
            .retain(|_, (given, _)| now.since(*given) < PREKEY_REQUEST_INTERVAL);
        match self.prekeys_given.get(peer) {
            Some((_, bundle)) if !bundle.is_empty() => Given::Already(bundle.clone()),
            Some(_) => Given::Used,
            None if self.prekeys_given.len() >= MAX_PREKEY_ASKERS => Given::TooSoon,
            None => Given::NotYet,
        }
    }

    /// Remembers the bundle that a peer got.
    pub(super) fn gave_prekeys(&mut self, peer: ContactId, bundle: Vec<u8>, now: Tick) {
        self.prekeys_given.insert(peer, (now, bundle));
    }

    /// The peer has used its bundle: it is not given again.
    pub(super) fn used_prekeys(&mut self, peer: &ContactId) {
        if let Some((_, bundle)) = self.prekeys_given.get_mut(peer) {
            bundle.clear();
        }
    }

    /// Connections of strangers, open or let in.
    pub(super) fn strangers(&self) -> usize {
        let open = self.open.values().map(|link| link.welcome);
        let admitted = self.admitted.values().map(|link| link.welcome);
        open.chain(admitted).filter(|welcome| !welcome).count()
    }

    /// The user wants to hear from this peer, or no longer.
    pub(super) fn set_welcome(&mut self, peer: &ContactId, welcome: bool) {
        for link in self.open.values_mut().filter(|l| l.peer == *peer) {
            link.welcome = welcome;
        }
    }
}

/// What a peer has got of a bundle within the last minute.
pub(super) enum Given {
    /// Nothing.
    NotYet,
    /// This one, which it has not used.
    Already(Vec<u8>),
    /// One that it has used.
    Used,
    /// None, and too many others have asked.
    TooSoon,
}

impl Engine {
    /// A connection is open.
    pub(super) fn handle_opened(
        &mut self,
        step: &mut Step<'_, '_>,
        link: LinkId,
        direction: Direction,
        identity: &Identity,
    ) -> Result<(), StoreError> {
        let key = identity.id();
        let intro = self.links.admitted.remove(&link).and_then(|a| a.intro);
        self.learn_identity(step, identity)?;
        let (mut welcome, mut allowed) = (false, true);
        if let Some(mut peer) = self.peers.take(step.tx, &key)? {
            welcome = peer.is_accepted();
            allowed = self.policy(&peer.record).admits();
            let now = step.now.wall;
            if peer
                .record
                .last_seen
                .is_none_or(|t| now.since(t) >= LAST_SEEN_STEP)
            {
                peer.edit().last_seen = Some(now);
            }
            self.peers.put(peer);
        }
        if !allowed {
            // turned off since it was let in
            self.dialling.forget(&key);
            self.close(step, link, ErrorCode::Refused);
            return Ok(());
        }
        self.links.open.insert(
            link,
            Link {
                peer: key,
                direction,
                opened: step.now.tick,
                intro,
                cursor: 0,
                in_flight: BTreeMap::new(),
                bundle_request: None,
                progress: step.now.tick,
                proved: false,
                silence: Silence::new(step.now.tick),
                doubtful: self.doubts(&key, step.now.tick),
                late: false,
                welcome,
                refused: 0,
                next_request: 0,
            },
        );
        self.dialling.opened(&key);
        self.seek_succeeded(&key);
        match self.links.active(&key) {
            None => self.use_link(&key, link),
            Some(old) => self.choose_link(step, &key, old, link, direction),
        }
        Ok(())
    }

    fn choose_link(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        old: LinkId,
        new: LinkId,
        direction: Direction,
    ) {
        let Some(existing) = self.links.get(old) else {
            self.use_link(key, new);
            return;
        };
        let verdict = judge_duplicate(
            &self.own.identity.id(),
            key,
            existing.direction,
            step.now.tick.since(existing.opened),
            direction,
        );
        match verdict {
            DuplicateVerdict::KeepNew => {
                self.close(step, old, ErrorCode::Duplicate);
                self.use_link(key, new);
            }
            DuplicateVerdict::KeepExisting => {
                self.close(step, new, ErrorCode::Duplicate);
            }
            DuplicateVerdict::ProbeExisting => {
                let until = step.now.tick.plus(DUPLICATE_PROBE_TIMEOUT);
                let candidate = Candidate { link: new, until };
                if let Some(other) = self.links.candidates.insert(*key, candidate) {
                    self.close(step, other.link, ErrorCode::Duplicate);
                }
                step.outputs.push(Output::Probe(old));
            }
        }
    }

    fn use_link(&mut self, key: &ContactId, link: LinkId) {
        self.links.active.insert(*key, link);
        self.route_directly(key);
        self.push_soon(key);
    }

    /// The older connection lives: the newer goes.
    pub(super) fn handle_pong(
        &mut self,
        step: &mut Step<'_, '_>,
        link: LinkId,
    ) -> Result<(), StoreError> {
        let Some(state) = self.links.get_mut(link) else {
            return Ok(());
        };
        state.silence.heard(step.now.tick);
        let key = state.peer;
        if self.links.active(&key) == Some(link)
            && let Some(candidate) = self.links.candidates.remove(&key)
        {
            self.close(step, candidate.link, ErrorCode::Duplicate);
        }
        Ok(())
    }

    /// The older connection did not answer in time: the newer takes its place.
    pub(super) fn expire_candidates(&mut self, step: &mut Step<'_, '_>) {
        let now = step.now.tick;
        let due = self.links.candidates.iter().filter(|(_, c)| c.until <= now);
        let due: Vec<_> = due.map(|(key, c)| (*key, c.link)).collect();
        for (key, link) in due {
            self.links.candidates.remove(&key);
            if let Some(old) = self.links.active(&key) {
                self.close(step, old, ErrorCode::Duplicate);
            }
            self.use_link(&key, link);
        }
    }

    /// Sends again what a peer has left without an answer, and asks again for a bundle.
    pub(super) fn retry_unanswered(&mut self, step: &Step<'_, '_>) {
        let now = step.now.tick;
        let mut silent = Vec::new();
        for link in self.links.open.values_mut() {
            let (stalled, overdue) = (link.is_stalled(now), link.bundle_overdue(now));
            if stalled {
                silent.push(link.peer);
                link.rewind();
                if link.doubtful == Doubt::No {
                    link.doubtful = Doubt::Yes;
                }
            }
            if overdue {
                link.bundle_request = None;
            }
            let late = link.is_late(now) && !std::mem::replace(&mut link.late, true);
            // what a relay keeps may be older than what was sent
            link.cursor = if late { 0 } else { link.cursor };
            if stalled || overdue || late {
                self.to_push.insert(link.peer);
            }
        }
        for peer in silent {
            self.route_now(&peer, now);
        }
    }

    /// Sends everything again that waits for this contact: it can be read now.
    pub(super) fn rewind_link(&mut self, key: &ContactId) {
        if let Some(link) = self.links.active(key).and_then(|l| self.links.get_mut(l)) {
            link.rewind();
        }
    }

    /// A connection has ended.
    pub(super) fn handle_closed(
        &mut self,
        step: &mut Step<'_, '_>,
        link: LinkId,
        dialled: Option<ContactId>,
        reason: &CloseReason,
    ) -> Result<(), StoreError> {
        self.links.admitted.remove(&link);
        let closed = self
            .links
            .get(link)
            .map(|closed| (closed.peer, closed.welcome));
        let Some((key, welcome)) = closed else {
            if let Some(key) = dialled {
                self.dial_failed(step, &key, reason)?;
            }
            return Ok(());
        };
        let Some(of_use) = self.forget_link(link, step.now.tick) else {
            return Ok(());
        };
        self.dialling.closed(&key, of_use, step.now.tick, step.rng);
        if welcome && reason.is_refusal() {
            self.dialling.refused(&key, step.now.tick);
        }
        if let Some(candidate) = self.links.candidates.remove(&key) {
            self.use_link(&key, candidate.link);
            return Ok(());
        }
        self.redial_if_wanted(step, &key)
    }

    pub(super) fn redial_if_wanted(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
    ) -> Result<(), StoreError> {
        let Some(peer) = self.peers.take(step.tx, key)? else {
            return Ok(());
        };
        let waiting = step.tx.outbox_waiting(peer.record.row, 0, 1)?;
        self.peers.put(peer);
        if !waiting.is_empty() {
            self.push_soon(key);
        }
        Ok(())
    }

    /// Closes a connection from here; it is no longer used.
    pub(super) fn close(&mut self, step: &mut Step<'_, '_>, link: LinkId, code: ErrorCode) {
        let peer = self.links.get(link).map(|closed| closed.peer);
        if let (Some(key), Some(of_use)) = (peer, self.forget_link(link, step.now.tick)) {
            self.dialling.closed(&key, of_use, step.now.tick, step.rng);
        }
        step.outputs.push(Output::Close { link, code });
    }

    /// A connection is not used any more. Tells of the one that was in use with its contact whether it
    /// was of use.
    pub(super) fn forget_link(&mut self, link: LinkId, now: Tick) -> Option<bool> {
        let closed = self.links.open.remove(&link)?;
        let key = closed.peer;
        let candidate = self.links.candidates.get(&key);
        if candidate.is_some_and(|c| c.link == link) {
            self.links.candidates.remove(&key);
        }
        if self.links.active(&key) != Some(link) {
            return None;
        }
        self.links.active.remove(&key);
        Some(closed.stood(now))
    }

    /// Closes every connection with a contact.
    pub(super) fn close_peer(&mut self, step: &mut Step<'_, '_>, key: &ContactId, code: ErrorCode) {
        let of_peer = self.links.open.iter().filter(|(_, l)| l.peer == *key);
        let mut links: Vec<_> = of_peer.map(|(id, _)| *id).collect();
        links.sort_unstable();
        for link in links {
            self.close(step, link, code);
        }
        self.links.candidates.remove(key);
        self.dialling.forget(key);
    }
}
