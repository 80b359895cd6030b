//! How a relay hands over what it keeps: items to their owners, confirmations to senders.

use rand_chacha::{ChaCha20Rng, rand_core::Rng as _};
use sremp_client::engine::Now;
use sremp_core::{
    id::IdentityKey,
    relay::{Confirmation, Cursor, MessageId, RelayMessage, StoreMessage, StoredMessage},
    time::{Tick, UnixMillis},
};
use sremp_net::LinkId;

use super::{Guest, Malice, Relay, Said};

/// Another name, of which this one is the other.
const fn renamed(name: MessageId) -> MessageId {
    MessageId::new(name.get() ^ 1)
}

impl Relay {
    pub(super) fn confirm(
        &mut self,
        owner: &IdentityKey,
        list: Vec<(u16, Confirmation)>,
        now: Tick,
    ) -> (Vec<u16>, Vec<Said>) {
        let (mut refused, mut said) = (Vec::new(), Vec::new());
        for (place, confirmation) in list {
            let key = (
                confirmation.sender,
                self.given_name(confirmation.message_id),
            );
            let mailbox = self.mailboxes.entry(*owner).or_default();
            let seen = mailbox.seen.get(&key);
            if seen.is_none_or(|seen| seen.hash != confirmation.blob_hash) {
                refused.push(place);
                continue;
            }
            let reply = seen.and_then(|seen| seen.reply_relay.clone());
            let cursor = seen.map_or(0, |seen| seen.cursor);
            if !mailbox.items.contains_key(&cursor) {
                continue;
            }
            self.settle(owner, cursor, now);
            if let Some(hint) = reply.filter(|hint| hint.relay != self.identity.id().into()) {
                self.outward.push((hint, confirmation.clone()));
            }
            said.extend(self.take_confirmation(confirmation));
        }
        (refused, said)
    }

    /// What its sender called an item.
    fn given_name(&self, shown: MessageId) -> MessageId {
        match self.malice {
            Malice::Renames => renamed(shown),
            _ => shown,
        }
    }

    pub(super) fn settle(&mut self, owner: &IdentityKey, cursor: u64, now: Tick) {
        if let Some(subscriber) = self.subscribers.get_mut(owner) {
            subscriber.credits.settled(Cursor::new(cursor), now);
        }
        // one that replays deletes nothing, and hands it over anew on every connection
        if self.malice != Malice::Replays
            && let Some(mailbox) = self.mailboxes.get_mut(owner)
        {
            mailbox.items.remove(&cursor);
        }
    }

    pub(super) fn push_items(
        &mut self,
        owner: &IdentityKey,
        now: Now,
        rng: &mut ChaCha20Rng,
    ) -> Vec<Said> {
        let (Some(mailbox), Some(subscriber)) = (
            self.mailboxes.get_mut(owner),
            self.subscribers.get_mut(owner),
        ) else {
            return Vec::new();
        };
        mailbox.expire(now.wall);
        let Some(room) = subscriber.credits.room(now.tick) else {
            return Vec::new();
        };
        let waiting = mailbox.items.range(subscriber.after + 1..);
        let waiting = waiting.map(|(cursor, _)| *cursor).take(room.items);
        let mut waiting: Vec<u64> = waiting.collect();
        // a client takes no cursor that is not higher: the contents change their places
        let cursors = waiting.clone();
        if self.malice == Malice::Reorders {
            for at in (1..waiting.len()).rev() {
                let other = (rng.next_u64() % (at as u64 + 1)) as usize;
                waiting.swap(at, other);
            }
        }
        let mut said = Vec::new();
        for (kept_at, shown_at) in waiting.into_iter().zip(cursors) {
            let Some(item) = mailbox.items.get(&kept_at) else {
                continue;
            };
            subscriber.after = subscriber.after.max(shown_at);
            let bytes = item.blob.len();
            let cursor = Cursor::new(shown_at);
            subscriber.credits.pushed(cursor, bytes, now.tick);
            let sender = match self.malice {
                Malice::Misattributes => *mailbox.accepted.first().unwrap_or(&item.sender),
                _ => item.sender,
            };
            let pushed = RelayMessage::StoredMessage(StoredMessage {
                message_id: match self.malice {
                    Malice::Renames => renamed(item.message_id),
                    _ => item.message_id,
                },
                sender,
                timestamp: item.stored,
                encrypted_blob: item.blob.clone().into(),
                cursor,
            });
            said.push((subscriber.link, pushed, subscriber.req_id));
        }
        said
    }

    pub(super) fn push_confirmations(&mut self, sender: &IdentityKey) -> Vec<Said> {
        let waiting = self.confirmations.get(sender);
        let Some(waiting) = waiting.filter(|w| !w.is_empty()) else {
            return Vec::new();
        };
        let registered =
            |g: &Guest| *sender == (*g.connection.peer()).into() && g.connection.role().is_some();
        // one whose end is not known yet hears nothing any more
        let guest = self.guests.iter_mut().rev().find(|(_, g)| registered(g));
        let Some((link, guest)) = guest else {
            return Vec::new();
        };
        let fresh = waiting.range(guest.pushed_upto + 1..).take(256);
        let (numbers, list): (Vec<u64>, Vec<_>) = fresh.map(|(n, c)| (*n, c.clone())).unzip();
        let Some(last) = numbers.last() else {
            return Vec::new();
        };
        guest.pushed_upto = *last;
        guest.next_request += 1;
        guest.pushed.insert(guest.next_request, numbers);
        vec![(
            *link,
            RelayMessage::ConfirmationPush(list),
            guest.next_request,
        )]
    }

    /// Says that the recipient has it: signed by itself, and with the recipient's name on it.
    pub(super) fn forge_confirmation(
        &mut self,
        link: LinkId,
        sender: IdentityKey,
        store: &StoreMessage,
        now: UnixMillis,
    ) -> Vec<Said> {
        let (id, hash) = (store.message_id, store.hash());
        let own = Confirmation::sign(&self.identity, sender, id, hash, now);
        let mut posing = own.clone();
        posing.delivered_to = store.recipient;
        let forged = RelayMessage::ConfirmationPush(vec![own, posing]);
        vec![(link, forged, 9_999)]
    }
}
