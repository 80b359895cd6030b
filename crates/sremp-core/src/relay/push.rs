//! Credits: how much a subscriber may have unsettled (D6.6).

use std::collections::BTreeMap;

use super::{Cursor, Subscribe};
use crate::{constants::PUSH_STALL, time::Tick};

/// What may still be pushed to one subscriber.
#[derive(Clone, Debug)]
pub struct Subscription {
    credit_items: usize,
    credit_bytes: usize,
    unsettled: BTreeMap<Cursor, usize>,
    bytes: usize,
    /// When it last settled something, or began to have something to settle.
    progress: Tick,
}

/// Room for the next items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// How many.
    pub items: usize,
    /// How many bytes; the first item may be larger.
    pub bytes: usize,
}

impl Subscription {
    /// A subscription with these credits and nothing under way.
    pub fn new(subscribe: &Subscribe, now: Tick) -> Self {
        Self {
            credit_items: subscribe.credit_items.into(),
            credit_bytes: usize::try_from(subscribe.credit_bytes).unwrap_or(usize::MAX),
            unsettled: BTreeMap::new(),
            bytes: 0,
            progress: now,
        }
    }

    /// What may be pushed now; `None` while nothing may, because the credits are used or because
    /// the subscriber has settled nothing for [`PUSH_STALL`].
    pub fn room(&self, now: Tick) -> Option<Room> {
        if self.unsettled.is_empty() {
            return Some(Room {
                items: self.credit_items,
                bytes: self.credit_bytes,
            });
        }
        let items = self.credit_items.saturating_sub(self.unsettled.len());
        let bytes = self.credit_bytes.saturating_sub(self.bytes);
        let stalled = now.since(self.progress) >= PUSH_STALL;
        (items > 0 && bytes > 0 && !stalled).then_some(Room { items, bytes })
    }

    /// An item was pushed.
    pub fn pushed(&mut self, cursor: Cursor, bytes: usize, now: Tick) {
        if self.unsettled.is_empty() {
            self.progress = now;
        }
        if self.unsettled.insert(cursor, bytes).is_none() {
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }

    /// An item was confirmed or discarded; anything that was not pushed is ignored.
    pub fn settled(&mut self, cursor: Cursor, now: Tick) {
        if let Some(bytes) = self.unsettled.remove(&cursor) {
            self.bytes = self.bytes.saturating_sub(bytes);
            self.progress = now;
        }
    }

    /// Items that are unsettled.
    pub fn unsettled(&self) -> usize {
        self.unsettled.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(items: u16, bytes: u32) -> Subscription {
        let subscribe = Subscribe {
            after: Cursor::new(0),
            credit_items: items,
            credit_bytes: bytes,
        };
        Subscription::new(&subscribe, Tick::new(0))
    }

    #[test]
    fn no_more_is_pushed_than_the_credits_allow() {
        let now = Tick::new(0);
        let mut subscription = subscription(3, 5_000);
        for n in 1..=3 {
            assert!(subscription.room(now).is_some());
            subscription.pushed(Cursor::new(n), 1_024, now);
        }
        assert_eq!(subscription.room(now), None);
        subscription.settled(Cursor::new(2), now);
        assert_eq!(
            subscription.room(now),
            Some(Room {
                items: 1,
                bytes: 2_952
            })
        );
        subscription.settled(Cursor::new(2), now);
        subscription.settled(Cursor::new(77), now);
        assert_eq!(subscription.unsettled(), 2);
    }

    #[test]
    fn an_item_larger_than_the_credits_goes_alone() {
        let now = Tick::new(0);
        let mut subscription = subscription(3, 1);
        assert!(subscription.room(now).is_some());
        subscription.pushed(Cursor::new(1), 61_440, now);
        assert_eq!(subscription.room(now), None);
    }

    #[test]
    fn whoever_settles_nothing_for_a_minute_gets_nothing_until_it_does() {
        let mut subscription = subscription(3, 5_000);
        subscription.pushed(Cursor::new(1), 1, Tick::new(1_000));
        subscription.pushed(Cursor::new(2), 1, Tick::new(2_000));
        assert!(subscription.room(Tick::new(60_999)).is_some());
        assert_eq!(subscription.room(Tick::new(61_000)), None);
        subscription.settled(Cursor::new(1), Tick::new(70_000));
        assert!(subscription.room(Tick::new(70_001)).is_some());
    }
}
