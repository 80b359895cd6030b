//! What the tests of stores share: people, ops and the backends.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use sremp_core::{
    contact_card::{Endpoint, RelayHint},
    error::ErrorCode,
    id::{ContactId, IdentityKey, IntroToken},
    signature::Signature,
    time::UnixMillis,
};
use sremp_relay::mailbox::{
    BlobHash, Confirmation, Confirmed, Cursor, DiskGuard, EmbeddedStore, IntroHash, IntroRule,
    Item, Limits, MailboxReader as _, MailboxStore, MemoryStore, MessageId, Op, Outcome, Purged,
    StoreError, StoreKey, StoreOp, Stored,
};

pub(crate) const DAY: u64 = 24 * 60 * 60 * 1_000;
/// No room has to be left, so that tests run on any disk.
pub(crate) const NO_GUARD: DiskGuard = DiskGuard { full: 100, room: 0 };

pub(crate) fn at(millis: u64) -> UnixMillis {
    UnixMillis::new(1_800_000_000_000 + millis).unwrap()
}

pub(crate) fn somebody(n: u8) -> IdentityKey {
    IdentityKey::new([n; 32])
}

pub(crate) const ANN: u8 = 1;
pub(crate) const BOB: u8 = 2;
pub(crate) const EVE: u8 = 3;

pub(crate) fn token(n: u8) -> IntroToken {
    IntroToken::new([n; 16])
}

pub(crate) fn rule(n: u8, one_time: bool) -> IntroRule {
    let hash = IntroHash::of(&token(n));
    IntroRule { hash, one_time }
}

pub(crate) fn relay(host: &str) -> RelayHint {
    let key = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
    RelayHint {
        relay: key.parse::<ContactId>().unwrap(),
        endpoint: Endpoint::new(host, 33_399).unwrap(),
        priority: 0,
    }
}

/// An envelope of this length, another for each id.
pub(crate) fn blob(id: u64, len: usize) -> Arc<[u8]> {
    // eight bytes at a time: a debug build makes millions of them
    let each = u64::from_le_bytes([1; 8]);
    let words = (0..len.div_ceil(8)).map(|n| id ^ (each * u64::from(n as u8)));
    let mut bytes: Vec<u8> = Vec::with_capacity(len + 8);
    words.for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    bytes.truncate(len);
    bytes.into()
}

/// Length of an envelope in bytes, where it does not matter.
pub(crate) const MESSAGE: usize = 1_024;

/// A message from one to another.
pub(crate) fn message(from: u8, to: u8, id: u64) -> StoreOp {
    sized(from, to, id, MESSAGE)
}

pub(crate) fn sized(from: u8, to: u8, id: u64, len: usize) -> StoreOp {
    let blob = blob(id, len);
    StoreOp {
        sender: somebody(from),
        recipient: somebody(to),
        message_id: MessageId::new(id),
        hash: BlobHash::of(&blob),
        blob,
        ttl: 14 * 24 * 60 * 60,
        reply_relay: None,
        intro: None,
    }
}

pub(crate) fn confirmation(from: u8, to: u8, id: u64) -> Confirmation {
    let op = message(from, to, id);
    Confirmation {
        message_id: op.message_id,
        sender: op.sender,
        delivered_to: op.recipient,
        timestamp: at(id),
        blob_hash: op.hash,
        signature: Signature::new([id as u8; 64]),
    }
}

pub(crate) fn confirm(of: u8, confirmations: Vec<Confirmation>) -> Op {
    let owner = somebody(of);
    Op::Confirm {
        owner,
        confirmations,
    }
}

pub(crate) fn open(of: u8) -> Op {
    Op::OpenMailbox {
        owner: somebody(of),
    }
}

pub(crate) fn accept(of: u8, whom: &[u8]) -> Op {
    senders(of, whom, &[], None)
}

pub(crate) fn senders(of: u8, accept: &[u8], block: &[u8], intro: Option<Vec<IntroRule>>) -> Op {
    Op::SetSenders {
        owner: somebody(of),
        accept: accept.iter().map(|&n| somebody(n)).collect(),
        block: block.iter().map(|&n| somebody(n)).collect(),
        intro,
    }
}

/// A store and how it is opened again.
pub(crate) trait Backend {
    type Store: MailboxStore;
    fn new(limits: Limits) -> Self;
    fn store(&mut self) -> &mut Self::Store;
    /// As after a restart, where that makes a difference.
    fn restart(&mut self);
    /// Makes a copy, which is put back later.
    fn copy(&mut self);
    /// As after the last copy was put in the place of what is there. Without a disk it is empty.
    fn put_back(&mut self);

    /// One op in a batch of its own.
    fn run(&mut self, now: UnixMillis, op: Op) -> Outcome {
        self.batch(now, vec![op]).pop().unwrap()
    }

    fn batch(&mut self, now: UnixMillis, ops: Vec<Op>) -> Vec<Outcome> {
        let count = ops.len();
        let outcomes = self.store().commit(now, ops).unwrap();
        assert_eq!(outcomes.len(), count);
        outcomes
    }

    fn put(&mut self, now: UnixMillis, op: StoreOp) -> Stored {
        match self.run(now, Op::Store(Box::new(op))) {
            Outcome::Stored(stored) => stored,
            other => panic!("not stored: {other:?}"),
        }
    }

    fn refused(&mut self, now: UnixMillis, op: StoreOp) -> ErrorCode {
        match self.run(now, Op::Store(Box::new(op))) {
            Outcome::Refused(code) => code,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn confirm(&mut self, of: u8, confirmations: Vec<Confirmation>) -> Vec<Confirmed> {
        match self.run(at(0), confirm(of, confirmations)) {
            Outcome::Confirmed(each) => each,
            other => panic!("not confirmed: {other:?}"),
        }
    }

    /// Everything in a mailbox, in order.
    fn items(&mut self, of: u8) -> Vec<Item> {
        let reader = self.store().reader();
        let mut items = Vec::new();
        let mut after = Cursor::START;
        loop {
            let page = reader.page(&somebody(of), after, 7, usize::MAX).unwrap();
            items.extend(page.items);
            after = page.next;
            if !page.more {
                return items;
            }
        }
    }

    fn ids(&mut self, of: u8) -> Vec<u64> {
        let items = self.items(of);
        items.iter().map(|item| item.message_id.get()).collect()
    }

    /// All steps of a purge.
    fn purge(&mut self, now: UnixMillis, before: UnixMillis, unused_since: UnixMillis) -> Purged {
        let mut all = Purged::default();
        loop {
            let op = Op::Purge {
                before,
                unused_since,
            };
            let Outcome::Purged(step) = self.run(now, op) else {
                panic!("not purged");
            };
            all.expired += step.expired;
            all.tombstones += step.tombstones;
            all.mailboxes += step.mailboxes;
            all.confirmations += step.confirmations;
            if !step.more {
                return all;
            }
        }
    }
}

pub(crate) struct Memory(MemoryStore, Limits);

impl Backend for Memory {
    type Store = MemoryStore;

    fn new(limits: Limits) -> Self {
        Self(MemoryStore::new(limits), limits)
    }

    fn store(&mut self) -> &mut MemoryStore {
        &mut self.0
    }

    fn restart(&mut self) {}

    fn copy(&mut self) {}

    fn put_back(&mut self) {
        *self = Self::new(self.1);
    }
}

/// As in docs/operate/relay.md.
fn put_back(database: &Path) {
    for end in ["-wal", "-shm"] {
        let mut file = database.as_os_str().to_owned();
        file.push(end);
        let _ = fs::remove_file(file);
    }
    fs::copy(copy_of(database), database).unwrap();
}

fn copy_of(database: &Path) -> PathBuf {
    database.with_extension("copy")
}

pub(crate) struct Embedded {
    store: Option<EmbeddedStore>,
    limits: Limits,
    pub(crate) directory: tempfile::TempDir,
}

impl Embedded {
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("mailboxes.db")
    }

    pub(crate) fn open(&self) -> Result<EmbeddedStore, StoreError> {
        EmbeddedStore::open(&self.path(), self.limits, NO_GUARD)
    }

    pub(crate) fn close(&mut self) {
        self.store = None;
    }
}

impl Backend for Embedded {
    type Store = EmbeddedStore;

    fn new(limits: Limits) -> Self {
        let mut new = Self {
            store: None,
            limits,
            directory: tempfile::tempdir().unwrap(),
        };
        new.restart();
        new
    }

    fn store(&mut self) -> &mut EmbeddedStore {
        self.store.as_mut().unwrap()
    }

    fn restart(&mut self) {
        self.store = None;
        self.store = Some(self.open().unwrap());
    }

    fn copy(&mut self) {
        let to = copy_of(&self.path());
        self.store().reader().backup(&to).unwrap();
    }

    fn put_back(&mut self) {
        self.close();
        put_back(&self.path());
        self.restart();
    }
}

/// The same under a key.
pub(crate) struct Encrypted(Option<EmbeddedStore>, Limits, tempfile::TempDir);

impl Encrypted {
    pub(crate) fn path(&self) -> PathBuf {
        self.2.path().join("mailboxes.db")
    }

    pub(crate) fn open(&self, key: u8) -> Result<EmbeddedStore, StoreError> {
        EmbeddedStore::open_encrypted(&self.path(), &StoreKey::new([key; 32]), self.1, NO_GUARD)
    }

    pub(crate) fn close(&mut self) {
        self.0 = None;
    }
}

impl Backend for Encrypted {
    type Store = EmbeddedStore;

    fn new(limits: Limits) -> Self {
        let mut new = Self(None, limits, tempfile::tempdir().unwrap());
        new.restart();
        new
    }

    fn store(&mut self) -> &mut EmbeddedStore {
        self.0.as_mut().unwrap()
    }

    fn restart(&mut self) {
        self.close();
        self.0 = Some(self.open(1).unwrap());
    }

    fn copy(&mut self) {
        // a backup is of a relay's store, which has no key
        self.close();
        fs::copy(self.path(), copy_of(&self.path())).unwrap();
        self.restart();
    }

    fn put_back(&mut self) {
        self.close();
        put_back(&self.path());
        self.restart();
    }
}

/// A store with BOB's mailbox, who has accepted ANN.
pub(crate) fn with_bob<B: Backend>(limits: Limits) -> B {
    let mut backend = B::new(limits);
    backend.run(at(0), open(BOB));
    backend.run(at(0), accept(BOB, &[ANN]));
    backend
}

/// A bundle, and one-time prekeys of these numbers.
pub(crate) fn put_prekeys(of: u8, bundle: Option<u8>, one_time: std::ops::Range<u8>) -> Op {
    Op::PutPrekeys {
        owner: somebody(of),
        bundle: bundle.map(|n| vec![n; 99]),
        one_time: one_time.map(|n| vec![n; 50]).collect(),
    }
}
