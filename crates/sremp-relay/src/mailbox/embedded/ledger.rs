//! What the writer alone keeps in memory: counts, places, and who is known.

use std::collections::HashMap;

use super::{
    index::{ItemId, PartyId, RouteId},
    seen::Seen,
};

/// Entries of a cache of the database; beyond, it is emptied.
const CACHED: usize = 65_536;

/// The writer's memory. It runs ahead of the disk within a batch: if the batch fails, it is made
/// anew from the disk.
pub(super) struct Ledger {
    pub(super) accounts: HashMap<PartyId, Account>,
    pub(super) open: u64,
    pub(super) seen: Seen,
    pub(super) waiting: HashMap<RouteId, usize>,
    pub(super) parties: Cache<[u8; 32], PartyId>,
    pub(super) rules: Cache<(PartyId, PartyId), Option<bool>>,
    pub(super) next_item: ItemId,
    pub(super) next_confirmation: u64,
    /// Where the next step of a purge begins.
    pub(super) sweep: ItemId,
}

/// The counts of a mailbox.
#[derive(Default)]
pub(super) struct Account {
    pub(super) owner: [u8; 32],
    pub(super) open: bool,
    pub(super) next: u64,
    pub(super) used: u64,
    pub(super) items: u32,
    pub(super) bytes: u64,
    pub(super) requests: u32,
    pub(super) senders: HashMap<PartyId, Tally>,
}

/// What one sender has in a mailbox.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) items: u32,
    pub(super) bytes: u64,
}

/// How an item counts.
#[derive(Clone, Copy)]
pub(super) struct Weight {
    pub(super) sender: PartyId,
    pub(super) size: u16,
    pub(super) request: bool,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            accounts: HashMap::new(),
            open: 0,
            seen: Seen::new(),
            waiting: HashMap::new(),
            parties: Cache::new(),
            rules: Cache::new(),
            next_item: 1,
            next_confirmation: 1,
            sweep: 0,
        }
    }

    /// The open mailbox of this number.
    pub(super) fn account(&mut self, mailbox: PartyId) -> Option<&mut Account> {
        self.accounts.get_mut(&mailbox).filter(|a| a.open)
    }

    pub(super) fn wait(&mut self, route: RouteId) {
        *self.waiting.entry(route).or_default() += 1;
    }

    pub(super) fn waited(&mut self, route: RouteId) {
        if let Some(count) = self.waiting.get_mut(&route) {
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(&route);
            }
        }
    }
}

impl Account {
    pub(super) fn tally(&self, sender: PartyId) -> Tally {
        self.senders.get(&sender).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, item: Weight) {
        self.items += 1;
        self.bytes += u64::from(item.size);
        self.requests += u32::from(item.request);
        let tally = self.senders.entry(item.sender).or_default();
        tally.items += 1;
        tally.bytes += u64::from(item.size);
    }

    pub(super) fn remove(&mut self, item: Weight) {
        self.items -= 1;
        self.bytes -= u64::from(item.size);
        self.requests -= u32::from(item.request);
        if let Some(tally) = self.senders.get_mut(&item.sender) {
            tally.items -= 1;
            tally.bytes -= u64::from(item.size);
            if tally.items == 0 {
                self.senders.remove(&item.sender);
            }
        }
    }

    /// Nothing is in it any more.
    pub(super) fn clear(&mut self) {
        self.items = 0;
        self.bytes = 0;
        self.requests = 0;
        self.senders = HashMap::new();
    }
}

/// A bounded copy of what the database says.
pub(super) struct Cache<K, V>(HashMap<K, V>);

impl<K: Eq + std::hash::Hash, V: Copy> Cache<K, V> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.0.get(key).copied()
    }

    pub(super) fn keep(&mut self, key: K, value: V) {
        if self.0.len() >= CACHED {
            self.0.clear();
        }
        self.0.insert(key, value);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn forget(&mut self, key: &K) {
        self.0.remove(key);
    }
}
