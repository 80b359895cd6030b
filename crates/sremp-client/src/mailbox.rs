//! The mailbox of the built-in relay (D6.13): a relay's store with one mailbox, that of the home's
//! owner. What comes over a direct connection is stored as a relay stores it, then read, and deleted
//! when what came of it is durable.
//!
//! Nothing in it was confirmed to its sender. So it may be lost as a whole, and nothing is lost by it.

use std::{mem, path::Path, sync::Arc, time::Duration};

use sremp_core::{
    error::ErrorCode,
    id::{ContactId, EnvelopeId, IdentityKey},
    relay::{Cursor, MessageId},
    time::{Tick, UnixMillis},
};
use sremp_relay::mailbox::{
    DiskGuard, EmbeddedStore, Item, Limits, MailboxReader as _, Op, Outcome, StoreError, StoreKey,
    StoreOp, Stored,
};
pub use sremp_relay::mailbox::{MailboxStore, MemoryStore};

use crate::engine::{Input, Keep, Kept, Now, Unkept};

/// What one page of what an earlier run has left holds at the most.
const PAGE_ITEMS: usize = 64;
const PAGE_BYTES: usize = 1024 * 1024;
/// Time after which what was read goes, if nothing is stored before: at best with the next commit.
const DISCARD: Duration = Duration::from_secs(2);
/// Time between two looks for traces that are over.
const TIDY: Duration = Duration::from_secs(60);
/// Steps of one such look, a few milliseconds each.
const TIDY_STEPS: usize = 4;
/// How long an item's trace stays, in seconds: a sender that asks again meanwhile is recognised at the
/// mailbox, later by the ratchet. What was not read is never over.
const TRACE: u32 = 60;
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(30);
/// A file of more bytes is made anew at a start with nothing in it.
const LARGE: u64 = 16 * 1024 * 1024;
/// The database beside it goes on until its disk is full; this one stops a little before.
const GUARD: DiskGuard = DiskGuard {
    full: 100,
    room: 8 * 1024 * 1024,
};
/// The label of its key.
pub(crate) const KEY_LABEL: &[u8] = b"SREMP/1/home-mailbox";

/// Bounds of the mailbox: those of a relay (6.3), for one owner.
pub fn limits() -> Limits {
    Limits {
        mailboxes: 1,
        ..Limits::default()
    }
}

/// The mailbox, and what is to be done to it.
pub struct Mailbox<S: MailboxStore> {
    store: S,
    owner: IdentityKey,
    /// Whom the store was told of as a contact.
    told: Vec<IdentityKey>,
    /// Up to where what an earlier run has left is read; `None`: all of it.
    left: Option<(Cursor, Tick)>,
    /// Items that are read, and since when one waits to be deleted.
    read: Vec<Cursor>,
    discard_at: Option<Tick>,
    tidy_at: Option<Tick>,
}

impl Mailbox<EmbeddedStore> {
    /// Opens the mailbox in this file; makes it if there is none.
    pub(crate) fn open(
        path: &Path,
        key: &StoreKey,
        owner: &ContactId,
        now: Now,
    ) -> Result<Self, StoreError> {
        let open = || EmbeddedStore::open_encrypted(path, key, limits(), GUARD);
        let mut store = open()?;
        if store.stats().items == 0 && store.stats().disk > LARGE {
            drop(store);
            remove(path)?;
            store = open()?;
        }
        Self::new(store, owner, now)
    }
}

/// What went wrong, as the owner of a home can act on it.
pub(crate) fn words(error: &StoreError) -> String {
    match error {
        StoreError::Damaged(what) => format!("its file is damaged: {what}"),
        other => other.to_string(),
    }
}

/// Removes a mailbox that is not wanted any more.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    for end in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(end);
        match std::fs::remove_file(&file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::Io(format!("{}: {e}", path.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

impl<S: MailboxStore> Mailbox<S> {
    /// The mailbox of this owner in a store; made if it is not there.
    ///
    /// # Errors
    /// Those of the store.
    pub fn new(mut store: S, owner: &ContactId, now: Now) -> Result<Self, StoreError> {
        let owner = IdentityKey::from(*owner);
        store.commit(now.wall, vec![Op::OpenMailbox { owner }])?;
        Ok(Self {
            store,
            owner,
            told: Vec::new(),
            left: Some((Cursor::START, now.tick)),
            read: Vec::new(),
            discard_at: None,
            tidy_at: Some(now.tick.plus(TIDY)),
        })
    }

    /// The engine has begun anew: what it has not read comes once more, after a pause.
    pub fn begin_anew(&mut self, now: Tick) {
        self.left = Some((Cursor::START, now.plus(PAUSE)));
    }

    /// The store, for a mailbox that is opened again.
    pub fn into_store(self) -> S {
        self.store
    }

    /// Items that are not deleted.
    pub fn items(&self) -> u64 {
        self.store.stats().items
    }

    /// When [`Self::due`] has something to do.
    pub fn deadline(&self) -> Option<Tick> {
        let left = self.left.map(|(_, at)| at);
        [left, self.discard_at, self.tidy_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what is due; a page of what an earlier run has left comes back.
    pub fn due(&mut self, now: Now) -> Vec<Input> {
        let mut inputs = Vec::new();
        if self.discard_at.is_some_and(|at| at <= now.tick) {
            inputs = self.keep(Vec::new(), now);
        }
        if let Some((after, _)) = self.left.filter(|(_, at)| *at <= now.tick) {
            inputs.extend(self.page(after, now.tick));
        }
        if inputs.is_empty() && self.tidy_at.is_some_and(|at| at <= now.tick) {
            inputs.extend(self.tidy(now));
        }
        inputs
    }

    fn page(&mut self, after: Cursor, now: Tick) -> Vec<Input> {
        let reader = self.store.reader();
        match reader.page(&self.owner, after, PAGE_ITEMS, PAGE_BYTES) {
            Ok(page) => {
                self.left = page.more.then_some((page.next, now));
                page.items.into_iter().filter_map(left).collect()
            }
            Err(error) => {
                self.left = Some((after, now.plus(PAUSE)));
                vec![Input::NotKept(Unkept::Failed(words(&error)))]
            }
        }
    }

    /// The traces of what was deleted go. Nothing goes while something is unread.
    fn tidy(&mut self, now: Now) -> Option<Input> {
        self.tidy_at = None;
        let unread = self.store.reader().mailbox(&self.owner);
        if unread.is_some_and(|mailbox| mailbox.items > 0) {
            self.tidy_at = Some(now.tick.plus(TIDY));
            return None;
        }
        let purge = Op::Purge {
            before: now.wall,
            unused_since: UnixMillis::ZERO,
        };
        let purged = self.store.commit(now.wall, vec![purge; TIDY_STEPS]);
        let rested = purged.and_then(|outcomes| {
            let more = |outcome: &Outcome| matches!(outcome, Outcome::Purged(p) if p.more);
            if outcomes.last().is_some_and(more) {
                self.tidy_at = Some(now.tick);
            }
            self.store.rest()
        });
        rested.err().map(|error| {
            self.tidy_at = Some(now.tick.plus(PAUSE));
            Input::NotKept(Unkept::Failed(words(&error)))
        })
    }

    /// An item is read and what came of it is durable.
    pub fn discard(&mut self, cursor: Cursor, now: Tick) {
        self.read.push(cursor);
        self.discard_at.get_or_insert(now.plus(DISCARD));
    }

    /// Deletes what was read and stores envelopes, durably and in one commit; what became of each
    /// comes back in order.
    pub fn keep(&mut self, keeps: Vec<Keep>, now: Now) -> Vec<Input> {
        let read = mem::take(&mut self.read);
        let mut batch = Vec::with_capacity(keeps.len().saturating_add(2));
        if !read.is_empty() {
            batch.push(Op::Discard {
                owner: self.owner,
                cursors: read.clone(),
            });
        }
        let fresh: Vec<IdentityKey> = self.untold(&keeps);
        if !fresh.is_empty() {
            batch.push(Op::SetSenders {
                owner: self.owner,
                accept: fresh.clone(),
                block: Vec::new(),
                intro: None,
            });
        }
        let before = batch.len();
        batch.extend(keeps.iter().map(|keep| self.store_op(keep)));
        match self.store.commit(now.wall, batch) {
            Ok(outcomes) => {
                self.discard_at = None;
                self.told.extend(fresh);
                self.tidy_at.get_or_insert(now.tick.plus(TIDY));
                let outcomes = outcomes.into_iter().skip(before);
                keeps.into_iter().zip(outcomes).map(answer).collect()
            }
            Err(error) => {
                self.read = read;
                self.discard_at = Some(now.tick.plus(PAUSE));
                let failed = Unkept::Failed(words(&error));
                let told = keeps.len().max(1);
                vec![failed; told].into_iter().map(Input::NotKept).collect()
            }
        }
    }

    /// Contacts among the senders that the store does not know as such.
    fn untold(&self, keeps: &[Keep]) -> Vec<IdentityKey> {
        let accepted = keeps.iter().filter(|keep| keep.accepted);
        let mut fresh: Vec<_> = accepted.map(|keep| IdentityKey::from(keep.from)).collect();
        fresh.sort_unstable();
        fresh.dedup();
        fresh.retain(|key| !self.told.contains(key));
        fresh
    }

    fn store_op(&self, keep: &Keep) -> Op {
        let hash = EnvelopeId::of(&keep.envelope);
        // the same for every try, as a sender's own would be
        let (name, _) = hash
            .as_bytes()
            .split_first_chunk()
            .unwrap_or((&[0; 8], &[]));
        Op::Store(Box::new(StoreOp {
            sender: keep.from.into(),
            recipient: self.owner,
            message_id: MessageId::new(u64::from_le_bytes(*name)),
            blob: Arc::clone(&keep.envelope),
            hash,
            ttl: TRACE,
            reply_relay: None,
            intro: None,
        }))
    }
}

/// What an earlier run has not read.
fn left(item: Item) -> Option<Input> {
    Some(Input::Kept(Box::new(Kept {
        cursor: item.cursor,
        // nobody else was let in
        from: ContactId::parse(item.sender.as_bytes()).ok()?,
        envelope: Arc::from(item.blob),
        request: None,
    })))
}

fn answer((keep, outcome): (Keep, Outcome)) -> Input {
    match outcome {
        // also one that came before and is gone: its sender may not know what became of it
        Outcome::Stored(Stored { cursor, .. }) => Input::Kept(Box::new(Kept {
            cursor,
            from: keep.from,
            envelope: keep.envelope,
            request: Some(keep.request),
        })),
        Outcome::Refused(ErrorCode::Quota) => Input::NotKept(Unkept::Quota),
        Outcome::Refused(ErrorCode::Storage) => Input::NotKept(Unkept::Room),
        Outcome::Refused(code) => Input::NotKept(Unkept::Failed(code.meaning().to_owned())),
        _ => Input::NotKept(Unkept::Failed(
            "the store answered something else".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
    use sremp_core::identity::{SecretIdentity, Username};
    use sremp_net::LinkId;

    use super::*;

    fn person(n: u8) -> ContactId {
        let mut rng = ChaCha20Rng::from_seed([n; 32]);
        let name = Username::parse("ann").unwrap();
        SecretIdentity::generate(&name, UnixMillis::ZERO, &mut rng).id()
    }

    fn at(millis: u64) -> Now {
        Now {
            wall: UnixMillis::saturating(1_800_000_000_000 + millis),
            tick: Tick::new(millis),
        }
    }

    fn opened<S: MailboxStore>(store: S, now: Now) -> Mailbox<S> {
        Mailbox::new(store, &person(0), now).unwrap()
    }

    fn empty() -> Mailbox<MemoryStore> {
        opened(MemoryStore::new(limits()), at(0))
    }

    fn keep(from: u8, accepted: bool, n: u32, len: usize) -> Keep {
        let mut envelope = vec![0; len];
        envelope[..4].copy_from_slice(&n.to_le_bytes());
        Keep {
            from: person(from),
            accepted,
            envelope: Arc::from(envelope),
            request: (LinkId::simulated(1), n),
        }
    }

    fn kept(inputs: Vec<Input>) -> Vec<Kept> {
        let kept = |input| match input {
            Input::Kept(kept) => *kept,
            other => panic!("{other:?}"),
        };
        inputs.into_iter().map(kept).collect()
    }

    fn numbers(kept: &[Kept]) -> Vec<u8> {
        kept.iter().map(|kept| kept.envelope[0]).collect()
    }

    #[test]
    fn what_was_stored_comes_back_for_the_connection_that_brought_it() {
        let mut mailbox = empty();
        let came = kept(mailbox.keep(vec![keep(1, true, 5, 1024), keep(2, false, 6, 1024)], at(1)));
        assert_eq!(numbers(&came), [5, 6]);
        assert_eq!(came[0].from, person(1));
        assert_eq!(came[1].request, Some((LinkId::simulated(1), 6)));
        assert!(came[0].cursor < came[1].cursor);
    }

    #[test]
    fn what_a_run_has_not_read_comes_at_the_next_start_in_order_and_what_it_has_read_does_not() {
        let mut mailbox = empty();
        let keeps = (0..100).map(|n| keep(1, true, n, 1024)).collect();
        let came = kept(mailbox.keep(keeps, at(1)));
        came.iter()
            .take(30)
            .for_each(|read| mailbox.discard(read.cursor, at(1).tick));
        mailbox.keep(Vec::new(), at(2));
        let mut mailbox = opened(mailbox.into_store(), at(3));
        assert_eq!(mailbox.deadline(), Some(at(3).tick), "at once");
        let mut left = kept(mailbox.due(at(3)));
        assert_eq!(left.len(), PAGE_ITEMS, "a page at a time");
        left.extend(kept(mailbox.due(at(3))));
        assert_eq!(numbers(&left), (30..100).collect::<Vec<_>>());
        assert!(left.iter().all(|kept| kept.request.is_none()));
        assert!(mailbox.due(at(4)).is_empty());
    }

    #[test]
    fn a_run_that_dies_before_it_deletes_what_it_read_finds_it_again() {
        let mut mailbox = empty();
        let came = kept(mailbox.keep(vec![keep(1, true, 1, 1024)], at(1)));
        mailbox.discard(came[0].cursor, at(1).tick);
        let mut mailbox = opened(mailbox.into_store(), at(2));
        assert_eq!(numbers(&kept(mailbox.due(at(2)))), [1]);
    }

    #[test]
    fn what_was_read_is_deleted_two_seconds_later_or_with_what_comes_next() {
        for next in [Some(at(5)), None] {
            let mut mailbox = empty();
            let came = kept(mailbox.keep(vec![keep(1, true, 1, 1024)], at(1)));
            mailbox.due(at(1));
            mailbox.discard(came[0].cursor, at(1).tick);
            match next {
                Some(now) => drop(mailbox.keep(vec![keep(1, true, 2, 1024)], now)),
                None => drop(mailbox.due(at(2_001))),
            }
            let there = mailbox.store.stats().items;
            assert_eq!(there, u64::from(next.is_some()), "what was read is gone");
        }
    }

    #[test]
    fn an_envelope_that_comes_again_is_stored_once_and_read_again() {
        let mut mailbox = empty();
        let first = kept(mailbox.keep(vec![keep(1, true, 1, 1024)], at(1)));
        let again = kept(mailbox.keep(vec![keep(1, true, 1, 1024)], at(2)));
        assert_eq!(first[0].cursor, again[0].cursor);
        assert_eq!(mailbox.store.stats().items, 1);
        mailbox.discard(first[0].cursor, at(3).tick);
        let gone = kept(mailbox.keep(vec![keep(1, true, 1, 1024)], at(3)));
        assert_eq!(numbers(&gone), [1], "its sender waits for an answer");
        assert_eq!(mailbox.store.stats().items, 0);
    }

    #[test]
    fn a_flood_that_nobody_reads_ends_at_its_senders_share_and_leaves_room_for_others() {
        let mut mailbox = empty();
        let flood = |from: u8, accepted| (0..2_000).map(move |n| keep(from, accepted, n, 1024));
        let of_contact = mailbox.keep(flood(1, true).collect(), at(1));
        let of_strangers = mailbox.keep(flood(2, false).collect(), at(2));
        let refused = |inputs: &[Input]| {
            let refused = |input: &&Input| matches!(input, Input::NotKept(Unkept::Quota));
            inputs.iter().filter(refused).count()
        };
        let bounds = limits();
        assert_eq!(
            of_contact.len() - refused(&of_contact),
            bounds.sender_items as usize
        );
        assert_eq!(
            of_strangers.len() - refused(&of_strangers),
            bounds.request_items as usize
        );
        assert_eq!(
            kept(mailbox.keep(vec![keep(3, true, 1, 32_768)], at(3))).len(),
            1
        );
    }

    #[test]
    fn a_contact_that_was_a_stranger_gets_a_share_of_its_own() {
        let mut mailbox = empty();
        let strangers = (0..64).map(|n| keep(1, false, n, 1024)).collect();
        assert_eq!(kept(mailbox.keep(strangers, at(1))).len(), 64);
        assert!(matches!(
            mailbox.keep(vec![keep(2, false, 1, 1024)], at(2))[..],
            [Input::NotKept(Unkept::Quota)]
        ));
        assert_eq!(
            kept(mailbox.keep(vec![keep(1, true, 99, 1024)], at(3))).len(),
            1
        );
    }

    #[test]
    fn traces_go_after_a_minute_and_nothing_that_is_unread_does() {
        let mut mailbox = empty();
        let keeps = (0..3).map(|n| keep(1, true, n, 1024)).collect();
        let came = kept(mailbox.keep(keeps, at(0)));
        mailbox.due(at(0));
        came.iter()
            .take(2)
            .for_each(|read| mailbox.discard(read.cursor, at(0).tick));
        mailbox.due(at(2_000));
        mailbox.due(at(200_000));
        assert_eq!(mailbox.store.stats().items, 1, "far beyond its time");
        mailbox.discard(came[2].cursor, at(200_000).tick);
        mailbox.due(at(202_000));
        mailbox.due(at(400_000));
        // its trace would answer that it came before, with the cursor of then
        let anew = kept(mailbox.keep(vec![keep(1, true, 0, 1024)], at(400_001)));
        assert!(anew[0].cursor > came[2].cursor);
    }

    #[test]
    fn after_a_failed_step_what_was_not_read_comes_again_when_the_pause_is_over() {
        let mut mailbox = empty();
        mailbox.due(at(0));
        let came = kept(mailbox.keep(vec![keep(1, true, 1, 1024), keep(1, true, 2, 1024)], at(1)));
        mailbox.discard(came[0].cursor, at(1).tick);
        mailbox.begin_anew(at(1).tick);
        assert!(mailbox.due(at(100)).is_empty());
        assert_eq!(numbers(&kept(mailbox.due(at(30_001)))), [2]);
    }

    #[test]
    fn a_disk_that_fails_keeps_nothing_and_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mailbox.db");
        let key = StoreKey::new([1; 32]);
        let mut mailbox = Mailbox::open(&path, &key, &person(0), at(0)).unwrap();
        mailbox.store.limit_growth(2).unwrap();
        let keeps = (0..50).map(|n| keep(1, true, n, 32_768)).collect();
        let inputs = mailbox.keep(keeps, at(1));
        assert_eq!(inputs.len(), 50);
        let failed = |input: &Input| matches!(input, Input::NotKept(Unkept::Failed(why)) if why.contains("full"));
        assert!(inputs.iter().all(failed), "{inputs:?}");
        mailbox.store.limit_growth(10_000).unwrap();
        assert_eq!(
            kept(mailbox.keep(vec![keep(1, true, 1, 1024)], at(2))).len(),
            1
        );
    }

    #[test]
    fn a_mailbox_that_is_removed_is_gone_and_may_be_removed_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mailbox.db");
        let mailbox = Mailbox::open(&path, &StoreKey::new([1; 32]), &person(0), at(0));
        drop(mailbox.unwrap());
        remove(&path).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        remove(&path).unwrap();
    }
}
