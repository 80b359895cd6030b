//! What a relay may push under one's subscription (D6.8).

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Confirmation, Cursor, MessageId, StoredMessage, Subscribe, Subscription};
use crate::{id::IdentityKey, time::Tick};

/// What a confirmation calls an item.
pub(super) type Name = (IdentityKey, MessageId);

/// The name in a confirmation.
pub(super) const fn name(confirmation: &Confirmation) -> Name {
    (confirmation.sender, confirmation.message_id)
}

/// That nothing was settled for long is for the relay to see: here no time passes.
const NOW: Tick = Tick::new(0);

/// A subscription, and what counts against its credit.
#[derive(Debug)]
pub(super) struct Subscribed {
    pub(super) req_id: u32,
    last: Cursor,
    credit: Subscription,
    names: BTreeMap<Cursor, Name>,
}

impl Subscribed {
    pub(super) fn new(req_id: u32, subscribe: &Subscribe) -> Self {
        Self {
            req_id,
            last: subscribe.after,
            credit: Subscription::new(subscribe, NOW),
            names: BTreeMap::new(),
        }
    }

    /// Whether this item may come now: behind the last one, and within the credit.
    pub(super) fn takes(&mut self, item: &StoredMessage) -> bool {
        if item.cursor <= self.last || self.credit.room(NOW).is_none() {
            return false;
        }
        self.last = item.cursor;
        let bytes = item.encrypted_blob.len();
        self.credit.pushed(item.cursor, bytes, NOW);
        self.names
            .insert(item.cursor, (item.sender, item.message_id));
        true
    }

    /// Items of these names count no more.
    pub(super) fn confirmed(&mut self, names: impl Iterator<Item = Name>) {
        let names: BTreeSet<Name> = names.collect();
        let named = self.names.iter().filter(|(_, name)| names.contains(name));
        let cursors: Vec<Cursor> = named.map(|(cursor, _)| *cursor).collect();
        self.discarded(&cursors);
    }

    /// Items at these places count no more.
    pub(super) fn discarded(&mut self, cursors: &[Cursor]) {
        for cursor in cursors {
            self.credit.settled(*cursor, NOW);
            self.names.remove(cursor);
        }
    }
}
