//! What was asked, promised, given and confirmed, and what of it does not fit together.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use sremp_core::{
    id::{EnvelopeId, IdentityKey},
    relay::{Confirmation, Cursor, MessageId, StoredMessage, ToStore, proof::ReceiptClaim},
    time::UnixMillis,
};

/// Names an item within its mailbox.
pub(super) type Name = (IdentityKey, MessageId);

/// What came of all lives of the relay. Everything from `missing` on has to be zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Messages for which the relay gave a receipt that holds.
    pub acknowledged: u64,
    /// Messages that reached their readers.
    pub delivered: u64,
    /// Confirmations that the relay has taken.
    pub confirmed: u64,
    /// Acknowledged messages that their readers never got, or not as they were sent.
    pub missing: u64,
    /// Messages given under two cursors, or after the relay had taken their confirmation.
    pub given_twice: u64,
    /// Messages given that nobody had sent so.
    pub not_sent: u64,
    /// Successes without a receipt that holds.
    pub bad_receipts: u64,
    /// Stores asked again whose second answer promises something else than the first.
    pub changed_promises: u64,
    /// Stores that were refused.
    pub refused_stores: u64,
    /// Confirmations of given messages that were refused.
    pub refused_confirmations: u64,
    /// Confirmations that the relay has taken and not carried to the sender.
    pub lost_confirmations: u64,
    /// Confirmations carried to somebody who had sent no such message.
    pub foreign_confirmations: u64,
}

impl Findings {
    /// How much is wrong.
    pub fn faults(&self) -> u64 {
        self.missing
            + self.given_twice
            + self.not_sent
            + self.bad_receipts
            + self.changed_promises
            + self.refused_stores
            + self.refused_confirmations
            + self.lost_confirmations
            + self.foreign_confirmations
    }
}

/// A message as its sender knows it.
#[derive(Clone, Copy, Debug)]
struct Sent {
    recipient: IdentityKey,
    hash: EnvelopeId,
    promised: Option<(UnixMillis, UnixMillis)>,
    heard: bool,
}

/// What one sender has sent, and heard of it.
#[derive(Debug)]
pub(super) struct Outbox {
    owner: IdentityKey,
    sent: HashMap<MessageId, Sent>,
    found: Findings,
}

impl Outbox {
    pub(super) fn of(owner: IdentityKey) -> Self {
        Self {
            owner,
            sent: HashMap::new(),
            found: Findings::default(),
        }
    }

    pub(super) fn asked(&mut self, store: &ToStore) {
        let sent = Sent {
            recipient: store.recipient,
            hash: EnvelopeId::of(&store.envelope),
            promised: None,
            heard: false,
        };
        self.sent.insert(store.message_id, sent);
    }

    /// A receipt that holds has come; whether it is the first for its message.
    pub(super) fn promised(&mut self, claim: &ReceiptClaim) -> bool {
        let Some(sent) = self.sent.get_mut(&claim.message_id) else {
            return false;
        };
        let promise = (claim.stored_at, claim.expires_at);
        let before = sent.promised.replace(promise);
        if before.is_some_and(|before| before != promise) {
            self.found.changed_promises += 1;
        }
        before.is_none()
    }

    pub(super) fn refused(&mut self, for_its_receipt: bool) {
        match for_its_receipt {
            true => self.found.bad_receipts += 1,
            false => self.found.refused_stores += 1,
        }
    }

    /// A confirmation has come whose signature holds; whether it is for something sent here.
    pub(super) fn heard(&mut self, of: &Confirmation) -> bool {
        let fits =
            |sent: &&mut Sent| sent.recipient == of.delivered_to && sent.hash == of.blob_hash;
        let Some(sent) = self.sent.get_mut(&of.message_id).filter(fits) else {
            self.found.foreign_confirmations += 1;
            return false;
        };
        sent.heard = true;
        true
    }

    /// Confirmations that were refused for what they say by themselves.
    pub(super) fn heard_nonsense(&mut self, count: usize) {
        self.found.foreign_confirmations += count as u64;
    }

    pub(super) fn owner(&self) -> IdentityKey {
        self.owner
    }

    /// Of these, what was not heard of.
    pub(super) fn unheard<'a>(&self, of: impl IntoIterator<Item = &'a MessageId>) -> u64 {
        let unheard = |id: &&MessageId| self.sent.get(id).is_none_or(|sent| !sent.heard);
        of.into_iter().filter(unheard).count() as u64
    }
}

/// A message as its reader knows it.
#[derive(Clone, Copy, Debug)]
struct Given {
    cursor: Cursor,
    hash: EnvelopeId,
    settled: bool,
}

/// What one reader was given.
#[derive(Debug)]
pub(super) struct Inbox {
    owner: IdentityKey,
    given: HashMap<Name, Given>,
    cursors: HashMap<Cursor, Name>,
    found: Findings,
}

impl Inbox {
    pub(super) fn of(owner: IdentityKey) -> Self {
        Self {
            owner,
            given: HashMap::new(),
            cursors: HashMap::new(),
            found: Findings::default(),
        }
    }

    /// A message has come. One that was not confirmed may come again, as it was.
    pub(super) fn given(&mut self, item: &StoredMessage, hash: EnvelopeId) {
        let name = (item.sender, item.message_id);
        let new = Given {
            cursor: item.cursor,
            hash,
            settled: false,
        };
        let of_cursor = *self.cursors.entry(item.cursor).or_insert(name);
        let before = *self.given.entry(name).or_insert(new);
        let same = before.cursor == item.cursor && before.hash == hash && of_cursor == name;
        if before.settled || !same {
            self.found.given_twice += 1;
        }
    }

    /// The relay has taken the confirmations of these, but for those at the refused places.
    pub(super) fn settled(&mut self, names: &[Name], refused: &[u16]) {
        self.found.refused_confirmations += refused.len() as u64;
        for (place, name) in names.iter().enumerate() {
            let taken = !refused.iter().any(|r| usize::from(*r) == place);
            if let Some(given) = self.given.get_mut(name).filter(|_| taken) {
                given.settled = true;
            }
        }
    }

    /// Messages of this sender whose confirmations the relay has taken.
    pub(super) fn settled_of(&self, sender: IdentityKey) -> impl Iterator<Item = MessageId> {
        let given = self.given.iter();
        given.filter_map(move |((from, id), given)| {
            (*from == sender && given.settled).then_some(*id)
        })
    }
}

/// Compares what was promised with what was given, and what was confirmed with what was heard.
pub(super) fn judge(outboxes: &[Outbox], inboxes: &[Inbox]) -> Findings {
    let mut all = Findings::default();
    for outbox in outboxes {
        add(&mut all, &outbox.found);
        all.acknowledged += outbox.promised_count();
        all.missing += outbox.missing(inboxes);
        let settled: HashSet<MessageId> = inboxes
            .iter()
            .flat_map(|inbox| inbox.settled_of(outbox.owner))
            .collect();
        all.lost_confirmations += outbox.unheard(&settled);
    }
    for inbox in inboxes {
        add(&mut all, &inbox.found);
        all.delivered += inbox.given.len() as u64;
        all.confirmed += inbox.given.values().filter(|given| given.settled).count() as u64;
        all.not_sent += inbox.not_sent(outboxes);
    }
    all
}

impl Outbox {
    fn promised_count(&self) -> u64 {
        let promised = |sent: &&Sent| sent.promised.is_some();
        self.sent.values().filter(promised).count() as u64
    }

    fn missing(&self, inboxes: &[Inbox]) -> u64 {
        let inboxes: HashMap<_, _> = inboxes.iter().map(|inbox| (inbox.owner, inbox)).collect();
        let arrived = |id: MessageId, sent: &Sent| {
            let inbox = inboxes.get(&sent.recipient);
            let given = inbox.and_then(|inbox| inbox.given.get(&(self.owner, id)));
            given.is_some_and(|given| given.hash == sent.hash)
        };
        let sent = self.sent.iter();
        let promised = sent.filter(|(_, sent)| sent.promised.is_some());
        promised.filter(|(id, sent)| !arrived(**id, sent)).count() as u64
    }
}

impl Inbox {
    fn not_sent(&self, outboxes: &[Outbox]) -> u64 {
        let outboxes: HashMap<_, _> = outboxes.iter().map(|out| (out.owner, out)).collect();
        let was_sent = |(sender, id): &Name, given: &Given| {
            let sent = outboxes.get(sender).and_then(|out| out.sent.get(id));
            sent.is_some_and(|sent| sent.recipient == self.owner && sent.hash == given.hash)
        };
        let given = self.given.iter();
        given.filter(|(name, given)| !was_sent(name, given)).count() as u64
    }
}

/// Adds what is counted as it happens.
fn add(all: &mut Findings, one: &Findings) {
    all.given_twice += one.given_twice;
    all.bad_receipts += one.bad_receipts;
    all.changed_promises += one.changed_promises;
    all.refused_stores += one.refused_stores;
    all.refused_confirmations += one.refused_confirmations;
    all.foreign_confirmations += one.foreign_confirmations;
}

#[cfg(test)]
mod tests {
    use serde_bytes::ByteBuf;
    use sremp_core::signature::Signature;

    use super::*;

    const ANN: IdentityKey = IdentityKey::new([1; 32]);
    const BEN: IdentityKey = IdentityKey::new([2; 32]);

    fn store(id: u64) -> ToStore {
        ToStore {
            recipient: BEN,
            envelope: id.to_le_bytes().to_vec(),
            message_id: MessageId::new(id),
            ttl: 1,
            reply_relay: None,
            intro: None,
        }
    }

    fn hash(id: u64) -> EnvelopeId {
        EnvelopeId::of(&store(id).envelope)
    }

    fn claim(id: u64, stored_at: u64) -> ReceiptClaim {
        ReceiptClaim {
            sender: ANN,
            recipient: BEN,
            message_id: MessageId::new(id),
            blob_hash: hash(id),
            stored_at: UnixMillis::saturating(stored_at),
            expires_at: UnixMillis::saturating(stored_at + 1_000),
        }
    }

    fn item(id: u64, cursor: u64) -> StoredMessage {
        StoredMessage {
            message_id: MessageId::new(id),
            sender: ANN,
            timestamp: UnixMillis::ZERO,
            encrypted_blob: ByteBuf::from(store(id).envelope),
            cursor: Cursor::new(cursor),
        }
    }

    fn confirmation(id: u64, by: IdentityKey) -> Confirmation {
        Confirmation {
            message_id: MessageId::new(id),
            sender: ANN,
            delivered_to: by,
            timestamp: UnixMillis::ZERO,
            blob_hash: hash(id),
            signature: Signature::new([0; 64]),
        }
    }

    /// Two messages that went all the way.
    fn whole() -> (Outbox, Inbox) {
        let (mut out, mut into) = (Outbox::of(ANN), Inbox::of(BEN));
        for id in [1, 2] {
            out.asked(&store(id));
            assert!(out.promised(&claim(id, 5)));
            into.given(&item(id, id), hash(id));
            into.settled(&[(ANN, MessageId::new(id))], &[]);
            assert!(out.heard(&confirmation(id, BEN)));
        }
        (out, into)
    }

    fn found(out: Outbox, into: Inbox) -> Findings {
        judge(&[out], &[into])
    }

    #[test]
    fn what_went_all_the_way_has_no_fault() {
        let (out, into) = whole();
        let found = found(out, into);
        assert_eq!(found.faults(), 0, "{found:?}");
        let counts = (found.acknowledged, found.delivered, found.confirmed);
        assert_eq!(counts, (2, 2, 2));
    }

    #[test]
    fn what_was_promised_and_not_given_is_missing() {
        let (mut out, mut into) = whole();
        out.asked(&store(3));
        out.asked(&store(4));
        out.promised(&claim(4, 6));
        assert_eq!(judge(&[out], &[]).missing, 3);
        // as others wrote it, it did not arrive
        let (mut out, _) = whole();
        out.asked(&store(4));
        out.promised(&claim(4, 6));
        into.given(&item(4, 9), hash(5));
        let found = found(out, into);
        assert_eq!((found.missing, found.not_sent), (1, 1));
    }

    #[test]
    fn what_comes_again_after_its_confirmation_or_elsewhere_is_given_twice() {
        let (out, mut into) = whole();
        into.given(&item(1, 1), hash(1));
        assert_eq!(found(out, into).given_twice, 1);
        let (mut out, mut into) = whole();
        out.asked(&store(3));
        into.given(&item(3, 3), hash(3));
        into.given(&item(3, 3), hash(3));
        assert_eq!(into.found.given_twice, 0, "it was not confirmed");
        into.given(&item(3, 4), hash(3));
        into.given(&item(3, 1), hash(3));
        assert_eq!(found(out, into).given_twice, 2);
    }

    #[test]
    fn a_promise_that_changes_and_a_confirmation_that_is_lost_or_foreign_are_faults() {
        let (mut out, mut into) = whole();
        assert!(!out.promised(&claim(1, 5)));
        assert!(!out.promised(&claim(1, 6)));
        assert!(!out.heard(&confirmation(1, ANN)));
        out.asked(&store(3));
        into.given(&item(3, 3), hash(3));
        into.settled(&[(ANN, MessageId::new(3)), (ANN, MessageId::new(4))], &[1]);
        let found = found(out, into);
        assert_eq!(found.changed_promises, 1);
        assert_eq!(found.lost_confirmations, 1);
        assert_eq!(found.foreign_confirmations, 1);
        assert_eq!(found.refused_confirmations, 1);
        assert_eq!(found.faults(), 4);
    }
}
