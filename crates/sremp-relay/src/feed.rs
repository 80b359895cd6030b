//! What is pushed of a mailbox to its subscriber: from the store while it is behind, straight from
//! the commit when it is not (D6.6).

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sremp_core::{
    id::IdentityKey,
    relay::{Cursor, MessageId, RelayMessage, Room, StoredMessage, Subscription},
    time::Tick,
};

use crate::seats::Seat;

/// A subscription and how far it has been served. Empty before SUBSCRIBE.
#[derive(Debug, Default)]
pub(crate) struct Feed(Mutex<Option<Serving>>);

#[derive(Debug)]
struct Serving {
    req_id: u32,
    subscription: Subscription,
    /// Everything up to here was pushed.
    position: Cursor,
    progress: Progress,
    /// The cursors of what was pushed and is not settled, by the names that confirmations use.
    pushed: HashMap<(IdentityKey, MessageId), Cursor>,
}

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nothing is left in the store: what is committed is pushed at once.
    Live,
    /// The store may have more.
    Behind,
    /// The desk is reading; `again` if something was committed or settled meanwhile.
    Reading { again: bool },
}

/// What the desk is to read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) after: Cursor,
    pub(crate) room: Room,
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Option<Serving>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to serve; the desk has to be asked to read.
    pub(crate) fn start(&self, req_id: u32, subscription: Subscription, after: Cursor) {
        *self.lock() = Some(Serving {
            req_id,
            subscription,
            position: after,
            progress: Progress::Behind,
            pushed: HashMap::new(),
        });
    }

    pub(crate) fn stop(&self) {
        *self.lock() = None;
    }

    /// An item was committed. Pushes it if it is next and there is room. Never waits for a reader.
    pub(crate) fn committed(
        &self,
        seat: &Seat,
        item: impl FnOnce() -> StoredMessage,
        cursor: Cursor,
        now: Tick,
    ) -> bool {
        let mut feed = self.lock();
        let Some(serving) = feed.as_mut() else {
            return false;
        };
        match serving.progress {
            Progress::Live if serving.subscription.room(now).is_some() => {
                let pushed = cursor > serving.position && serving.push(seat, item(), now);
                if !pushed && cursor > serving.position {
                    serving.progress = Progress::Behind;
                }
                pushed
            }
            Progress::Live | Progress::Behind => {
                serving.progress = Progress::Behind;
                false
            }
            Progress::Reading { .. } => {
                serving.progress = Progress::Reading { again: true };
                false
            }
        }
    }

    /// Items were confirmed. Whether the desk has to read for it.
    pub(crate) fn confirmed(
        &self,
        items: impl Iterator<Item = (IdentityKey, MessageId)>,
        now: Tick,
    ) -> bool {
        let mut feed = self.lock();
        let Some(serving) = feed.as_mut() else {
            return false;
        };
        for item in items {
            if let Some(cursor) = serving.pushed.remove(&item) {
                serving.subscription.settled(cursor, now);
            }
        }
        serving.wants_reading(now)
    }

    /// Items were discarded. Whether the desk has to read for it.
    pub(crate) fn discarded(&self, cursors: &[Cursor], now: Tick) -> bool {
        let mut feed = self.lock();
        let Some(serving) = feed.as_mut() else {
            return false;
        };
        serving.pushed.retain(|_, cursor| !cursors.contains(cursor));
        for cursor in cursors {
            serving.subscription.settled(*cursor, now);
        }
        serving.wants_reading(now)
    }

    /// The desk begins to read; `None` if there is nothing to do for it.
    pub(crate) fn begin_reading(&self, now: Tick) -> Option<Wanted> {
        let mut feed = self.lock();
        let serving = feed.as_mut()?;
        if serving.progress != Progress::Behind {
            return None;
        }
        let room = serving.subscription.room(now)?;
        serving.progress = Progress::Reading { again: false };
        Some(Wanted {
            after: serving.position,
            room,
        })
    }

    /// What the desk has read. How many items were pushed, and whether it should read on.
    pub(crate) fn read(
        &self,
        seat: &Seat,
        items: Vec<StoredMessage>,
        more: bool,
        now: Tick,
    ) -> (u64, bool) {
        let mut feed = self.lock();
        let Some(serving) = feed.as_mut() else {
            return (0, false);
        };
        // a subscription that came meanwhile begins where it says, not behind what was read for another
        let Progress::Reading { again } = serving.progress else {
            return (0, serving.wants_reading(now));
        };
        let mut pushed = 0;
        let mut refused = false;
        for item in items {
            if item.cursor <= serving.position {
                continue;
            }
            if !serving.push(seat, item, now) {
                refused = true;
                break;
            }
            pushed += 1;
        }
        let live = !more && !again && !refused;
        serving.progress = if live {
            Progress::Live
        } else {
            Progress::Behind
        };
        // what did not fit the connection waits until something of it is settled
        (pushed, !live && !refused && serving.wants_reading(now))
    }

    /// The disk failed: the subscriber gets what it asked for after its next request.
    pub(crate) fn failed(&self) {
        if let Some(serving) = self.lock().as_mut() {
            serving.progress = Progress::Behind;
        }
    }
}

impl Serving {
    fn wants_reading(&self, now: Tick) -> bool {
        self.progress == Progress::Behind && self.subscription.room(now).is_some()
    }

    /// Pushes an item; `false` if the connection has no room for it.
    fn push(&mut self, seat: &Seat, item: StoredMessage, now: Tick) -> bool {
        let (cursor, bytes) = (item.cursor, item.encrypted_blob.len());
        let name = (item.sender, item.message_id);
        let message = RelayMessage::StoredMessage(item);
        if seat.try_send(&message, self.req_id).is_err() {
            return false;
        }
        self.subscription.pushed(cursor, bytes, now);
        self.pushed.insert(name, cursor);
        self.position = cursor;
        true
    }
}
