//! What a server keeps, and by which rules (D5.3, D5.6). In memory; what has to survive is the
//! caller's to write down before it is put here.

use std::collections::{BTreeMap, BTreeSet};

use serde_bytes::ByteBuf;

use super::{
    Page, PageCursor, PeerInfo, Place, Registration, Seq,
    pages::{Circle, Walk},
    record::Head,
};
use crate::{
    constants::{
        CLOCK_SKEW, MAX_PAGE, MAX_PAGE_SCAN, MAX_RDV_RESPONSE, PRESENCE_STEP, RECORD_MEMORY,
    },
    error::ErrorCode,
    id::IdentityKey,
    signature::Signature,
    time::UnixMillis,
};

/// Room of a page that is not registrations.
const PAGE_OVERHEAD: usize = 1_024;
/// More than a registration takes beside its identity and its record.
const PEER_OVERHEAD: usize = 128;

/// One registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    key: IdentityKey,
    kept: Kept,
}

/// What is kept of a key. There may be millions: the documents lie in one piece, and the key is not
/// repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    /// The identity, the record, and `record_sig`.
    documents: Box<[u8]>,
    seq: Seq,
    expires: UnixMillis,
    last_seen: UnixMillis,
    present: u32,
    /// Length of the identity, at most 16384.
    identity_len: u16,
    listed: bool,
    tombstone: bool,
}

impl Entry {
    /// A registration as it comes.
    pub fn new(registration: &Registration, now: UnixMillis) -> Self {
        let (identity, record) = (registration.identity(), registration.record());
        let documents = (identity.as_bytes(), record.as_bytes(), record.signature());
        Self::of(documents, record.head(), now)
    }

    fn of(documents: (&[u8], &[u8], &Signature), head: Head, last_seen: UnixMillis) -> Self {
        let (identity, record, signature) = documents;
        let documents = [identity, record, signature.as_bytes()].concat();
        let kept = Kept {
            documents: documents.into(),
            seq: head.seq,
            expires: head.expires,
            last_seen,
            present: 0,
            identity_len: u16::try_from(identity.len()).unwrap_or(u16::MAX),
            listed: head.listed,
            tombstone: head.tombstone,
        };
        Self {
            key: head.owner,
            kept,
        }
    }

    /// A registration from one's own disk, where nothing came without a check; no signature is
    /// checked again. `None` if the record is none.
    pub fn restored(
        identity: &[u8],
        record: &[u8],
        signature: Signature,
        last_seen: UnixMillis,
    ) -> Option<Self> {
        let head = Head::trusted(record)?;
        Some(Self::of((identity, record, &signature), head, last_seen))
    }

    /// Whose it is.
    pub const fn key(&self) -> IdentityKey {
        self.key
    }

    /// The document.
    pub fn identity(&self) -> &[u8] {
        self.kept.identity()
    }

    /// The signed bytes.
    pub fn record(&self) -> &[u8] {
        self.kept.record()
    }

    /// `record_sig`.
    pub fn signature(&self) -> Signature {
        self.kept.signature()
    }

    /// `seq` of the record.
    pub const fn seq(&self) -> Seq {
        self.kept.seq
    }

    /// Until when the record holds.
    pub const fn expires(&self) -> UnixMillis {
        self.kept.expires
    }

    /// When its owner was last here.
    pub const fn last_seen(&self) -> UnixMillis {
        self.kept.last_seen
    }

    /// Until when it is remembered that its seq was taken.
    pub fn remembered_until(&self) -> UnixMillis {
        self.kept.remembered_until()
    }
}

impl Kept {
    fn split(&self) -> (&[u8], &[u8], &[u8]) {
        let at = usize::from(self.identity_len);
        let (identity, rest) = self.documents.split_at_checked(at).unwrap_or_default();
        let at = rest.len().saturating_sub(Signature::LEN);
        let (record, signature) = rest.split_at_checked(at).unwrap_or_default();
        (identity, record, signature)
    }

    fn identity(&self) -> &[u8] {
        self.split().0
    }

    fn record(&self) -> &[u8] {
        self.split().1
    }

    fn signature(&self) -> Signature {
        // it was put there whole
        Signature::from_slice(self.split().2).unwrap_or_else(|| Signature::new([0; Signature::LEN]))
    }

    fn remembered_until(&self) -> UnixMillis {
        self.expires.plus(RECORD_MEMORY)
    }

    fn is_live(&self, now: UnixMillis) -> bool {
        !self.tombstone && now <= self.shown_until()
    }

    fn shown_until(&self) -> UnixMillis {
        self.expires.plus(CLOCK_SKEW)
    }

    fn size(&self) -> usize {
        self.documents.len().saturating_add(PEER_OVERHEAD)
    }

    fn to_peer(&self) -> PeerInfo {
        let step = u64::try_from(PRESENCE_STEP.as_millis()).unwrap_or(u64::MAX);
        let hour = |at: UnixMillis| {
            let rest = at.get().checked_rem(step).unwrap_or(0);
            UnixMillis::saturating(at.get().saturating_sub(rest))
        };
        let (identity, record, _) = self.split();
        PeerInfo {
            identity: ByteBuf::from(identity),
            record: ByteBuf::from(record),
            record_sig: self.signature(),
            last_seen: self.listed.then(|| hour(self.last_seen)),
            online: self.listed.then_some(self.present > 0),
        }
    }
}

/// What a registration is to a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Of a key that is not here.
    New,
    /// Newer than what is here.
    Newer,
    /// What is here already, word for word: its answer was lost.
    Same,
}

/// All registrations of a server.
#[derive(Clone, Debug)]
pub struct Directory {
    entries: BTreeMap<IdentityKey, Kept>,
    /// When each is next to be looked at: when it is not shown any more, then when it is forgotten.
    due: BTreeSet<(UnixMillis, IdentityKey)>,
    circle: Circle,
    max: usize,
}

impl Directory {
    /// An empty directory for at most `max` keys. `secret` is random; it decides the order of pages.
    pub const fn new(max: usize, secret: [u8; 32]) -> Self {
        Self {
            entries: BTreeMap::new(),
            due: BTreeSet::new(),
            circle: Circle::new(secret),
            max,
        }
    }

    /// A directory with what was kept before, each key once; what is beyond `max` is left out. A
    /// million at once are sorted and put in their places in a fraction of the time, and the room,
    /// that they take one by one.
    pub fn restored(max: usize, secret: [u8; 32], mut entries: Vec<Entry>) -> Self {
        entries.truncate(max);
        let listed = entries.iter().filter(|entry| entry.kept.listed);
        let circle = Circle::with(secret, listed.map(Entry::key));
        let due = entries.iter().map(|e| (e.kept.shown_until(), e.key));
        let due = due.collect();
        let entries = entries.into_iter().map(|entry| (entry.key, entry.kept));
        Self {
            entries: entries.collect(),
            due,
            circle,
            max,
        }
    }

    /// Keys that are here, those included whose records are over and still remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys for which there is room.
    pub fn room(&self) -> usize {
        self.max.saturating_sub(self.entries.len())
    }

    /// Registrations that are shown to whoever browses.
    pub fn listed(&self) -> usize {
        self.circle.len()
    }

    /// What is kept of a key, shown or not.
    pub fn entry(&self, key: &IdentityKey) -> Option<Entry> {
        let kept = self.entries.get(key)?.clone();
        Some(Entry { key: *key, kept })
    }

    /// Whether this very document is kept of its key: it was verified when it came.
    pub fn knows(&self, key: &IdentityKey, identity: &[u8]) -> bool {
        let kept = self.entries.get(key);
        kept.is_some_and(|kept| kept.identity() == identity)
    }

    /// Whether this may take the place of what is here.
    ///
    /// # Errors
    /// `STALE_SEQ` when a record as new or newer is here, `FULL` when there is no room for one key
    /// more.
    pub fn judge(&self, entry: &Entry) -> Result<Verdict, ErrorCode> {
        match self.entries.get(&entry.key) {
            None if self.entries.len() >= self.max => Err(ErrorCode::Full),
            None => Ok(Verdict::New),
            Some(known) if known.seq < entry.kept.seq => Ok(Verdict::Newer),
            Some(known)
                if known.record() == entry.record() && known.identity() == entry.identity() =>
            {
                Ok(Verdict::Same)
            }
            Some(_) => Err(ErrorCode::StaleSeq),
        }
    }

    /// Puts a registration in its place.
    ///
    /// # Errors
    /// As of [`judge`](Self::judge); nothing has changed then.
    pub fn put(&mut self, entry: Entry) -> Result<Verdict, ErrorCode> {
        let verdict = self.judge(&entry)?;
        let Entry { key, mut kept } = entry;
        if let Some(known) = self.entries.get(&key) {
            self.due.remove(&(known.shown_until(), key));
            self.due.remove(&(known.remembered_until(), key));
            self.circle.remove(&key);
            kept.present = known.present;
        }
        if kept.listed {
            self.circle.insert(key);
        }
        self.due.insert((kept.shown_until(), key));
        self.entries.insert(key, kept);
        Ok(verdict)
    }

    /// The registration of a key, as it may be told to whoever knows the key.
    pub fn lookup(&self, key: &IdentityKey, now: UnixMillis) -> Option<PeerInfo> {
        let entry = self.entries.get(key)?;
        entry.is_live(now).then(|| entry.to_peer())
    }

    /// A page of the listed registrations: of the walk that `cursor` goes on with, else of one that
    /// begins at `start`, which is random. Each that is there all the time comes exactly once in a
    /// walk.
    pub fn page(&self, cursor: Option<&PageCursor>, start: Place, now: UnixMillis) -> Page {
        let walk = Walk::of(cursor, start);
        let mut ahead = self.circle.ahead(walk).peekable();
        let (mut peers, mut last) = (Vec::new(), None);
        let mut room = MAX_RDV_RESPONSE.saturating_sub(PAGE_OVERHEAD);
        for _ in 0..MAX_PAGE_SCAN {
            let Some((place, key)) = ahead.peek() else {
                break;
            };
            if let Some(entry) = self.entries.get(key).filter(|entry| entry.is_live(now)) {
                let Some(left) = room.checked_sub(entry.size()) else {
                    break;
                };
                if peers.len() >= MAX_PAGE {
                    break;
                }
                room = left;
                peers.push(entry.to_peer());
            }
            last = Some(*place);
            ahead.next();
        }
        let more = ahead.peek().is_some();
        Page {
            peers,
            next: last.filter(|_| more).map(|last| walk.after(last)),
        }
    }

    /// The owner of this key has come with a proof.
    pub fn arrive(&mut self, key: &IdentityKey, now: UnixMillis) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.present = entry.present.saturating_add(1);
            entry.last_seen = now;
        }
    }

    /// A connection of the owner of this key is over.
    pub fn depart(&mut self, key: &IdentityKey, now: UnixMillis) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.present = entry.present.saturating_sub(1);
            entry.last_seen = now;
        }
    }

    /// Looks at up to `max` of those whose time has come; the keys that are forgotten by it.
    pub fn tidy(&mut self, now: UnixMillis, max: usize) -> Vec<IdentityKey> {
        let mut forgotten = Vec::new();
        for _ in 0..max {
            match self.due.first() {
                Some((at, _)) if *at < now => {}
                _ => break,
            }
            let Some((at, key)) = self.due.pop_first() else {
                break;
            };
            let until = self.entries.get(&key).map(Kept::remembered_until);
            match until {
                Some(until) if at < until => {
                    self.circle.remove(&key);
                    self.due.insert((until, key));
                }
                _ => {
                    self.entries.remove(&key);
                    forgotten.push(key);
                }
            }
        }
        forgotten
    }
}
