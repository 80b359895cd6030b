//! Which messages were stored before: from `(mailbox, sender, message_id)` to a row, in 8 bytes.

use std::hash::{BuildHasher as _, RandomState};

use crate::mailbox::MessageId;

/// Bits of a row's number; a store that takes 10,000 messages a second counts to it in three years.
const ID_BITS: u32 = 40;
const ID_MASK: u64 = (1 << ID_BITS) - 1;
/// Number of shards, a power of two.
const SHARDS: usize = 1 << 16;

/// A set of `(fingerprint, row)`. The fingerprint is a hash under a key of this process, so nobody
/// can choose message ids that crowd one place. Sixteen bits of it choose a shard and 24 are kept
/// beside the row number; whoever asks compares the row itself.
pub(super) struct Seen {
    key: RandomState,
    shards: Vec<Vec<u64>>,
}

/// A message's fingerprint under the key of one [`Seen`].
#[derive(Clone, Copy)]
pub(super) struct Fingerprint(u64);

impl Seen {
    pub(super) fn new() -> Self {
        Self {
            key: RandomState::new(),
            shards: vec![Vec::new(); SHARDS],
        }
    }

    pub(super) fn fingerprint(&self, mailbox: u32, sender: u32, id: MessageId) -> Fingerprint {
        Fingerprint(self.key.hash_one((mailbox, sender, id)))
    }

    pub(super) fn insert(&mut self, of: Fingerprint, row: u64) {
        if let Some(shard) = self.shards.get_mut(of.shard()) {
            shard.push(of.tagged(row));
        }
    }

    pub(super) fn remove(&mut self, of: Fingerprint, row: u64) {
        if let Some(shard) = self.shards.get_mut(of.shard()) {
            let at = shard.iter().position(|&entry| entry == of.tagged(row));
            at.map(|at| shard.swap_remove(at));
        }
    }

    /// Rows that may be this message: nearly always none or the right one.
    pub(super) fn candidates(&self, of: Fingerprint) -> impl Iterator<Item = u64> + '_ {
        let shard = self.shards.get(of.shard()).into_iter().flatten();
        let tag = of.tagged(0);
        shard
            .filter(move |&&entry| entry & !ID_MASK == tag)
            .map(|entry| entry & ID_MASK)
    }

    /// Gives back memory that growing left over.
    pub(super) fn shrink(&mut self) {
        self.shards.iter_mut().for_each(Vec::shrink_to_fit);
    }
}

impl Fingerprint {
    fn shard(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    fn tagged(self, row: u64) -> u64 {
        (self.0 & !ID_MASK) | (row & ID_MASK)
    }
}
