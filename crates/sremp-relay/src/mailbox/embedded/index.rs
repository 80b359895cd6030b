//! What is in memory of committed items, shared by the writer and the readers.

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use rusqlite::Connection;
use sremp_core::id::IdentityKey;

use super::StoreKey;

/// Row number of a party, of another relay, of an item.
pub(super) type PartyId = u32;
pub(super) type RelayId = u32;
pub(super) type ItemId = u64;

/// Senders whose keys are kept.
const SENDERS_KEPT: usize = 8_192;

/// What writer and readers share.
pub(super) struct Shared {
    pub(super) path: PathBuf,
    /// None: not encrypted.
    pub(super) key: Option<StoreKey>,
    index: RwLock<Index>,
    /// Connections of readers at rest.
    pub(super) connections: Mutex<Vec<Connection>>,
    senders: Mutex<HashMap<PartyId, IdentityKey>>,
}

/// Where items and waiting confirmations are.
#[derive(Default)]
pub(super) struct Index {
    pub(super) owners: HashMap<[u8; 32], PartyId>,
    pub(super) shelves: HashMap<PartyId, Shelf>,
    /// What waits for another relay is in its list and in its sender's.
    pub(super) waiting: HashMap<RouteId, VecDeque<u64>>,
    pub(super) items: u64,
    pub(super) bytes: u64,
}

/// The items of a mailbox, ascending by cursor.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) items: VecDeque<Slot>,
    pub(super) bytes: u64,
    pub(super) head: u64,
}

/// An item in 16 bytes: its cursor, its row and its size.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) cursor: u64,
    packed: u64,
}

impl Slot {
    /// An envelope is shorter than 2^16 bytes, and rows stay below 2^48.
    pub(super) fn new(cursor: u64, id: ItemId, size: u16) -> Self {
        let packed = id << 16 | u64::from(size);
        Self { cursor, packed }
    }

    pub(super) fn id(self) -> ItemId {
        self.packed >> 16
    }

    pub(super) fn size(self) -> u64 {
        self.packed & 0xffff
    }
}

/// Whom a confirmation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum RouteId {
    Sender(PartyId),
    Relay(RelayId),
}

impl RouteId {
    /// By which way a confirmation goes by itself, and whose bound it counts against.
    pub(super) fn of(sender: PartyId, relay: Option<RelayId>) -> Self {
        relay.map_or(Self::Sender(sender), Self::Relay)
    }

    /// Every way by which it may be fetched: also what waits for another relay is for its sender.
    fn all(sender: PartyId, relay: Option<RelayId>) -> impl Iterator<Item = Self> {
        [Self::Sender(sender)]
            .into_iter()
            .chain(relay.map(Self::Relay))
    }
}

/// What a committed batch changes in the index.
pub(super) enum Change {
    Opened {
        owner: [u8; 32],
        mailbox: PartyId,
        head: u64,
    },
    Closed {
        owner: [u8; 32],
        mailbox: PartyId,
    },
    Added {
        mailbox: PartyId,
        slot: Slot,
    },
    Removed {
        mailbox: PartyId,
        cursor: u64,
    },
    Waits {
        sender: PartyId,
        relay: Option<RelayId>,
        id: u64,
    },
    Taken {
        sender: PartyId,
        relay: Option<RelayId>,
        id: u64,
    },
    /// It waits for its sender alone from now on.
    Refused {
        relay: RelayId,
        id: u64,
    },
}

impl Shared {
    pub(super) fn new(path: PathBuf, key: Option<StoreKey>) -> Self {
        Self {
            path,
            key,
            index: RwLock::default(),
            connections: Mutex::default(),
            senders: Mutex::default(),
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sender(&self, id: PartyId) -> Option<IdentityKey> {
        let senders = self.senders.lock();
        let senders = senders.unwrap_or_else(PoisonError::into_inner);
        senders.get(&id).copied()
    }

    pub(super) fn keep_sender(&self, id: PartyId, key: IdentityKey) {
        let senders = self.senders.lock();
        let mut senders = senders.unwrap_or_else(PoisonError::into_inner);
        if senders.len() >= SENDERS_KEPT {
            senders.clear();
        }
        senders.insert(id, key);
    }
}

impl Index {
    /// Confirmations that wait: each is in its sender's list.
    pub(super) fn confirmations(&self) -> u64 {
        let lists = self.waiting.iter();
        let senders = lists.filter(|(route, _)| matches!(route, RouteId::Sender(_)));
        senders.map(|(_, ids)| ids.len() as u64).sum()
    }

    pub(super) fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.change(change);
        }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Opened {
                owner,
                mailbox,
                head,
            } => {
                self.owners.insert(owner, mailbox);
                self.shelves.entry(mailbox).or_default().head = head;
            }
            Change::Closed { owner, mailbox } => {
                self.owners.remove(&owner);
                if let Some(shelf) = self.shelves.remove(&mailbox) {
                    self.items -= shelf.items.len() as u64;
                    self.bytes -= shelf.bytes;
                }
            }
            Change::Added { mailbox, slot } => self.add(mailbox, slot),
            Change::Removed { mailbox, cursor } => self.remove(mailbox, cursor),
            Change::Waits { sender, relay, id } => {
                for route in RouteId::all(sender, relay) {
                    self.waiting.entry(route).or_default().push_back(id);
                }
            }
            Change::Refused { relay, id } => self.take(RouteId::Relay(relay), id),
            Change::Taken { sender, relay, id } => {
                for route in RouteId::all(sender, relay) {
                    self.take(route, id);
                }
            }
        }
    }

    /// Adds an item behind all others of its mailbox.
    pub(super) fn add(&mut self, mailbox: PartyId, slot: Slot) {
        if let Some(shelf) = self.shelves.get_mut(&mailbox) {
            shelf.head = slot.cursor;
            shelf.bytes += slot.size();
            shelf.items.push_back(slot);
            self.items += 1;
            self.bytes += slot.size();
        }
    }

    fn remove(&mut self, mailbox: PartyId, cursor: u64) {
        let Some(shelf) = self.shelves.get_mut(&mailbox) else {
            return;
        };
        let at = shelf.items.binary_search_by_key(&cursor, |s| s.cursor);
        let Some(slot) = at.ok().and_then(|at| shelf.items.remove(at)) else {
            return;
        };
        shelf.bytes -= slot.size();
        if shelf.items.capacity() > 64 && shelf.items.len() < shelf.items.capacity() / 4 {
            shelf.items.shrink_to(shelf.items.len() * 2);
        }
        self.items -= 1;
        self.bytes -= slot.size();
    }

    fn take(&mut self, route: RouteId, id: u64) {
        if let Some(ids) = self.waiting.get_mut(&route) {
            if let Ok(at) = ids.binary_search(&id) {
                ids.remove(at);
            }
            if ids.is_empty() {
                self.waiting.remove(&route);
            }
        }
    }
}
