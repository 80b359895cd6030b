//! One mailbox of a relay, in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sremp_core::{
    id::{EnvelopeId, IdentityKey, IntroToken},
    relay::{IntroEntry, IntroHash, MessageId, PrekeyCounts, RelayMessage, ReplyRelay, SendersSet},
    time::UnixMillis,
};

pub(super) struct Item {
    pub(super) sender: IdentityKey,
    pub(super) message_id: MessageId,
    pub(super) blob: Vec<u8>,
    pub(super) stored: UnixMillis,
    pub(super) expires: UnixMillis,
}

#[derive(Default)]
pub(super) struct Mailbox {
    pub(super) next: u64,
    pub(super) items: BTreeMap<u64, Item>,
    /// Nothing expires before.
    first_expiry: Option<UnixMillis>,
    pub(super) accepted: BTreeSet<IdentityKey>,
    pub(super) blocked: BTreeSet<IdentityKey>,
    pub(super) intro: Vec<IntroEntry>,
    pub(super) bundle: Option<Vec<u8>>,
    pub(super) first_bundle: Option<Vec<u8>>,
    pub(super) otps: VecDeque<Vec<u8>>,
    /// What was ever stored: for retries, and for confirmations that come twice.
    pub(super) seen: BTreeMap<(IdentityKey, MessageId), Seen>,
}

pub(super) struct Seen {
    pub(super) hash: EnvelopeId,
    pub(super) cursor: u64,
    pub(super) stored: UnixMillis,
    pub(super) expires: UnixMillis,
    pub(super) reply_relay: Option<ReplyRelay>,
}

impl Mailbox {
    /// Keeps an item under the cursor that was given last.
    pub(super) fn keep(&mut self, item: Item) {
        let first = self.first_expiry.get_or_insert(item.expires);
        *first = (*first).min(item.expires);
        self.items.insert(self.next, item);
    }

    /// Throws away what has expired; thousands that have not are not walked over for each push.
    pub(super) fn expire(&mut self, now: UnixMillis) {
        if self.first_expiry.is_some_and(|first| first <= now) {
            self.items.retain(|_, item| item.expires > now);
            self.first_expiry = self.items.values().map(|item| item.expires).min();
        }
    }

    pub(super) fn of_strangers(&self) -> usize {
        let of_strangers = |i: &&Item| !self.accepted.contains(&i.sender);
        self.items.values().filter(of_strangers).count()
    }

    pub(super) fn token(&self, token: &IntroToken) -> Option<usize> {
        let hash = IntroHash::of(token);
        self.intro.iter().position(|entry| entry.hash == hash)
    }

    pub(super) fn set(&mut self, set: SendersSet) {
        for key in set.accept {
            self.blocked.remove(&key);
            self.accepted.insert(key);
        }
        for key in set.block {
            self.accepted.remove(&key);
            self.blocked.insert(key);
        }
        if let Some(intro) = set.intro {
            self.intro = intro;
        }
    }
}

pub(super) fn counts(mailbox: &Mailbox) -> RelayMessage {
    let otps = u16::try_from(mailbox.otps.len()).unwrap_or(u16::MAX);
    RelayMessage::PrekeyCounts(PrekeyCounts {
        has_bundle: mailbox.bundle.is_some(),
        otps,
    })
}
