//! A relay in the world: what it has stored survives it, its connections do not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand_chacha::{ChaCha20Rng, rand_core::Rng as _};
use sremp_core::{
    contact_card::{Endpoint, RelayHint, RelayLink},
    error::ErrorCode,
    id::{ContactId, EnvelopeId, IntroToken},
    identity::{Flags, SecretIdentity, Username},
    relay::{
        Confirmation, Cursor, IntroEntry, MessageId, RelayMessage, Role, StoreReceipt,
        StoreRequest, StoredItem,
    },
    time::UnixMillis,
};
use sremp_net::LinkId;

/// Items of senders that the owner has not accepted, in one mailbox.
const REQUEST_ITEMS: usize = 64;

/// What a relay does that it must not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Malice {
    /// Nothing.
    #[default]
    None,
    /// Promises to keep what it throws away.
    Drops,
    /// Hands items over in any order.
    Reorders,
    /// Hands every item over again and again.
    Replays,
    /// Names somebody else as the sender.
    Misattributes,
    /// Signs receipts that do not hold.
    ForgesReceipts,
    /// Confirms in the name of recipients.
    ForgesConfirmations,
    /// Gives another person's bundle.
    GivesAnothersBundle,
    /// Gives the first bundle that it ever had.
    GivesOldBundle,
    /// Takes nothing.
    RefusesAll,
}

struct Item {
    sender: ContactId,
    message_id: MessageId,
    blob: Vec<u8>,
    stored: UnixMillis,
    expires: UnixMillis,
    reply_relay: Option<RelayHint>,
}

#[derive(Default)]
struct Mailbox {
    next: u64,
    items: BTreeMap<u64, Item>,
    accepted: BTreeSet<ContactId>,
    blocked: BTreeSet<ContactId>,
    intro: Vec<IntroEntry>,
    bundle: Option<Vec<u8>>,
    first_bundle: Option<Vec<u8>>,
    otps: VecDeque<Vec<u8>>,
    /// What was ever stored: for retries, and for confirmations that come twice.
    seen: BTreeMap<(ContactId, MessageId), Seen>,
}

struct Seen {
    hash: EnvelopeId,
    stored: UnixMillis,
    expires: UnixMillis,
    reply_relay: Option<RelayHint>,
}

struct Subscription {
    link: LinkId,
    req_id: u32,
    after: u64,
    credit: usize,
    pushed: BTreeSet<u64>,
}

struct Guest {
    peer: ContactId,
    role: Option<Role>,
    next_request: u32,
    /// Confirmations that were pushed and not yet acknowledged.
    pushed: BTreeMap<u32, Vec<Confirmation>>,
}

/// What a relay says on a connection.
pub(crate) type Said = (LinkId, RelayMessage, u32);

/// A relay.
pub struct Relay {
    /// The host under which it listens.
    pub name: String,
    /// What it does wrong.
    pub malice: Malice,
    /// Envelopes that it has stored so far.
    pub stored: u64,
    pub(crate) identity: SecretIdentity,
    mailboxes: BTreeMap<ContactId, Mailbox>,
    confirmations: BTreeMap<ContactId, Vec<Confirmation>>,
    /// Confirmations for other relays.
    pub(crate) outward: Vec<(RelayHint, Confirmation)>,
    guests: BTreeMap<LinkId, Guest>,
    subscriptions: BTreeMap<ContactId, Subscription>,
}

impl Relay {
    pub(crate) fn new(name: &str, now: UnixMillis, rng: &mut ChaCha20Rng) -> Self {
        let username = Username::parse(name).expect("a test's name is valid");
        let flags = Flags {
            is_relay_server: true,
            ..Flags::default()
        };
        let identity = SecretIdentity::generate(&username, now, rng)
            .with_profile(&username, flags, None, now)
            .expect("a profile without extras");
        Self {
            name: name.to_owned(),
            malice: Malice::None,
            stored: 0,
            identity,
            mailboxes: BTreeMap::new(),
            confirmations: BTreeMap::new(),
            outward: Vec::new(),
            guests: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
        }
    }

    /// What its operator hands out.
    pub fn link(&self) -> RelayLink {
        let endpoint = Endpoint::new(&self.name, 4000).expect("a test's name is a host");
        RelayLink::new(self.identity.id(), endpoint, None).expect("no invite")
    }

    /// Items in a mailbox.
    pub fn items(&self, owner: &ContactId) -> usize {
        self.mailboxes.get(owner).map_or(0, |m| m.items.len())
    }

    /// One-time prekeys of an owner that are left.
    pub fn prekeys(&self, owner: &ContactId) -> usize {
        self.mailboxes.get(owner).map_or(0, |m| m.otps.len())
    }

    /// Whether what it keeps contains these bytes.
    pub fn keeps(&self, bytes: &[u8]) -> bool {
        let found = |item: &Item| item.blob.windows(bytes.len()).any(|w| w == bytes);
        self.mailboxes.values().any(|m| m.items.values().any(found))
    }

    /// The process dies.
    pub(crate) fn restart(&mut self) {
        self.guests.clear();
        self.subscriptions.clear();
    }

    pub(crate) fn opened(&mut self, link: LinkId, peer: ContactId) {
        let guest = Guest {
            peer,
            role: None,
            next_request: 0,
            pushed: BTreeMap::new(),
        };
        self.guests.insert(link, guest);
    }

    pub(crate) fn closed(&mut self, link: LinkId) {
        self.guests.remove(&link);
        self.subscriptions.retain(|_, s| s.link != link);
    }

    /// A confirmation for a sender whose mailbox is here.
    pub(crate) fn take_confirmation(&mut self, confirmation: Confirmation) -> Vec<Said> {
        let sender = confirmation.sender;
        let waiting = self.confirmations.entry(sender).or_default();
        if !waiting.contains(&confirmation) {
            waiting.push(confirmation);
        }
        self.push_confirmations(&sender)
    }

    /// Answers a message; what is said holds once what was done is durable.
    pub(crate) fn handle(
        &mut self,
        link: LinkId,
        message: &RelayMessage,
        req_id: u32,
        now: UnixMillis,
        rng: &mut ChaCha20Rng,
    ) -> Vec<Said> {
        let Some(guest) = self.guests.get_mut(&link) else {
            return Vec::new();
        };
        let peer = guest.peer;
        let answer = |message| vec![(link, message, req_id)];
        match message {
            RelayMessage::Register(role, _) => {
                guest.role = Some(*role);
                if *role == Role::Owner {
                    let first = rng.next_u64() % (1 << 32);
                    let mailbox = self.mailboxes.entry(peer).or_default();
                    mailbox.next = mailbox.next.max(first);
                }
                let mut said = answer(RelayMessage::Granted);
                said.extend(self.push_confirmations(&peer));
                said
            }
            RelayMessage::PutPrekeys(bundle, otps) => {
                let mailbox = self.mailboxes.entry(peer).or_default();
                if let Some(bundle) = bundle {
                    mailbox.first_bundle.get_or_insert(bundle.clone());
                    mailbox.bundle = Some(bundle.clone());
                }
                mailbox.otps.extend(otps.iter().cloned());
                answer(counts(mailbox))
            }
            RelayMessage::GetPrekey(recipient, intro) => {
                answer(self.bundle(&peer, recipient, intro.as_ref()))
            }
            RelayMessage::Senders(accept, block, intro) => {
                let mailbox = self.mailboxes.entry(peer).or_default();
                for key in accept {
                    mailbox.blocked.remove(key);
                    mailbox.accepted.insert(*key);
                }
                for key in block {
                    mailbox.accepted.remove(key);
                    mailbox.blocked.insert(*key);
                }
                if let Some(intro) = intro {
                    mailbox.intro = intro.clone();
                }
                answer(RelayMessage::Ok)
            }
            RelayMessage::Store(request) => {
                let mut said = vec![(link, self.store(peer, request, now), req_id)];
                said.extend(self.push_items(&request.recipient, now, rng));
                if self.malice == Malice::ForgesConfirmations {
                    said.extend(self.forge_confirmation(link, peer, request, now));
                }
                said
            }
            RelayMessage::Subscribe(after, credit, _) => {
                let head = self.mailboxes.get(&peer).map_or(0, |m| m.next);
                if after.get() > head {
                    let code = ErrorCode::Cursor.to_u16();
                    return answer(RelayMessage::Error(code, 0));
                }
                let subscription = Subscription {
                    link,
                    req_id,
                    after: after.get(),
                    credit: (*credit).into(),
                    pushed: BTreeSet::new(),
                };
                self.subscriptions.insert(peer, subscription);
                self.push_items(&peer, now, rng)
            }
            RelayMessage::Confirm(list) => {
                let (refused, mut said) = self.confirm(&peer, list);
                said.insert(0, (link, RelayMessage::Confirmed(refused), req_id));
                said.extend(self.push_items(&peer, now, rng));
                said
            }
            RelayMessage::Discard(cursors) => {
                for cursor in cursors {
                    self.settle(&peer, cursor.get());
                }
                let mut said = answer(RelayMessage::Ok);
                said.extend(self.push_items(&peer, now, rng));
                said
            }
            RelayMessage::Confirmed(_) => {
                if let Some(list) = guest.pushed.remove(&req_id)
                    && let Some(waiting) = self.confirmations.get_mut(&peer)
                {
                    waiting.retain(|c| !list.contains(c));
                }
                Vec::new()
            }
            _ => answer(RelayMessage::Error(ErrorCode::NotAllowed.to_u16(), 0)),
        }
    }

    fn store(&mut self, sender: ContactId, request: &StoreRequest, now: UnixMillis) -> RelayMessage {
        let refuse = |code: ErrorCode| RelayMessage::Error(code.to_u16(), 0);
        if self.malice == Malice::RefusesAll {
            return refuse(ErrorCode::Quota);
        }
        let Some(mailbox) = self.mailboxes.get_mut(&request.recipient) else {
            return refuse(ErrorCode::Denied);
        };
        if mailbox.blocked.contains(&sender) {
            return refuse(ErrorCode::Denied);
        }
        let message_id = MessageId::new(request.message_id);
        let hash = EnvelopeId::of(&request.blob);
        let token = request.intro.and_then(|token| mailbox.token(&token));
        let welcome = mailbox.accepted.contains(&sender) || token.is_some();
        let of_strangers = |i: &&Item| !mailbox.accepted.contains(&i.sender);
        let strangers = mailbox.items.values().filter(of_strangers).count();
        if !welcome && strangers >= REQUEST_ITEMS {
            return refuse(ErrorCode::Quota);
        }
        let seen = mailbox.seen.get(&(sender, message_id));
        if seen.is_some_and(|seen| seen.hash != hash) {
            return refuse(ErrorCode::Conflict);
        }
        let (stored, expires) = match seen {
            Some(seen) => (seen.stored, seen.expires),
            None => (now, now.plus(request.ttl)),
        };
        if seen.is_none() {
            if let Some(at) = token.filter(|at| mailbox.intro[*at].one_time) {
                mailbox.intro.remove(at);
            }
            let reply_relay = request.reply_relay.clone();
            let seen = Seen {
                hash,
                stored,
                expires,
                reply_relay: reply_relay.clone(),
            };
            mailbox.seen.insert((sender, message_id), seen);
            self.stored += 1;
            if self.malice != Malice::Drops {
                mailbox.next += 1;
                let item = Item {
                    sender,
                    message_id,
                    blob: request.blob.clone(),
                    stored,
                    expires,
                    reply_relay,
                };
                mailbox.items.insert(mailbox.next, item);
            }
        }
        let receipt = StoreReceipt {
            sender,
            recipient: request.recipient,
            message_id,
            blob_hash: hash,
            stored_at: stored,
            expires_at: expires,
        };
        let mut signature = receipt.sign(&self.identity);
        if self.malice == Malice::ForgesReceipts {
            signature[5] ^= 1;
        }
        RelayMessage::Stored(stored, expires, signature)
    }

    fn bundle(
        &mut self,
        asker: &ContactId,
        recipient: &ContactId,
        intro: Option<&IntroToken>,
    ) -> RelayMessage {
        let anothers = self.mailboxes.get(asker).and_then(|m| m.bundle.clone());
        let Some(mailbox) = self.mailboxes.get_mut(recipient) else {
            return RelayMessage::Error(ErrorCode::NoPrekey.to_u16(), 0);
        };
        let bundle = match self.malice {
            Malice::GivesAnothersBundle => anothers,
            Malice::GivesOldBundle => mailbox.first_bundle.clone(),
            _ => mailbox.bundle.clone(),
        };
        let welcome = mailbox.accepted.contains(asker)
            || intro.is_some_and(|token| mailbox.token(token).is_some());
        let otp = match welcome {
            true => mailbox.otps.pop_front(),
            false => None,
        };
        match bundle {
            Some(bundle) => RelayMessage::Bundle(with_prekey(bundle, otp)),
            None => RelayMessage::Error(ErrorCode::NoPrekey.to_u16(), 0),
        }
    }

    fn confirm(&mut self, owner: &ContactId, list: &[Confirmation]) -> (Vec<u16>, Vec<Said>) {
        let (mut refused, mut said) = (Vec::new(), Vec::new());
        for (index, confirmation) in (0u16..).zip(list) {
            let key = (confirmation.sender, confirmation.message_id);
            let mailbox = self.mailboxes.entry(*owner).or_default();
            let seen = mailbox.seen.get(&key);
            let right = confirmation.delivered_to == *owner
                && confirmation.verify().is_ok()
                && seen.is_some_and(|seen| seen.hash == confirmation.blob_hash);
            if !right {
                refused.push(index);
                continue;
            }
            let reply = seen.and_then(|seen| seen.reply_relay.clone());
            let is_it = |i: &Item| (i.sender, i.message_id) == key;
            let item = mailbox.items.iter().find(|(_, i)| is_it(i));
            let cursor = item.map(|(cursor, _)| *cursor);
            if let Some(cursor) = cursor {
                self.settle(owner, cursor);
            } else {
                continue;
            }
            match reply.filter(|hint| hint.relay != self.identity.id()) {
                Some(hint) => self.outward.push((hint, confirmation.clone())),
                None => said.extend(self.take_confirmation(confirmation.clone())),
            }
        }
        (refused, said)
    }

    fn settle(&mut self, owner: &ContactId, cursor: u64) {
        if self.malice == Malice::Replays {
            // deletes nothing, and hands it over anew on every connection
            if let Some(subscription) = self.subscriptions.get_mut(owner) {
                subscription.pushed.remove(&cursor);
            }
            return;
        }
        if let Some(mailbox) = self.mailboxes.get_mut(owner) {
            mailbox.items.remove(&cursor);
        }
        if let Some(subscription) = self.subscriptions.get_mut(owner) {
            subscription.pushed.remove(&cursor);
        }
    }

    fn push_items(
        &mut self,
        owner: &ContactId,
        now: UnixMillis,
        rng: &mut ChaCha20Rng,
    ) -> Vec<Said> {
        let (Some(mailbox), Some(subscription)) = (
            self.mailboxes.get_mut(owner),
            self.subscriptions.get_mut(owner),
        ) else {
            return Vec::new();
        };
        mailbox.items.retain(|_, item| item.expires > now);
        let mut said = Vec::new();
        let mut waiting: Vec<u64> = mailbox
            .items
            .range(subscription.after + 1..)
            .map(|(cursor, _)| *cursor)
            .take(subscription.credit.saturating_sub(subscription.pushed.len()))
            .collect();
        if self.malice == Malice::Reorders {
            for at in (1..waiting.len()).rev() {
                let other = (rng.next_u64() % (at as u64 + 1)) as usize;
                waiting.swap(at, other);
            }
        }
        let twice = if self.malice == Malice::Replays { 2 } else { 1 };
        for cursor in waiting {
            subscription.after = subscription.after.max(cursor);
            subscription.pushed.insert(cursor);
            let Some(item) = mailbox.items.get(&cursor) else {
                continue;
            };
            let sender = match self.malice {
                Malice::Misattributes => *mailbox.accepted.first().unwrap_or(&item.sender),
                _ => item.sender,
            };
            for _ in 0..twice {
                let pushed = RelayMessage::Item(StoredItem {
                    message_id: item.message_id,
                    sender,
                    timestamp: item.stored,
                    blob: item.blob.clone().into(),
                    cursor: Cursor::new(cursor),
                });
                said.push((subscription.link, pushed, subscription.req_id));
            }
        }
        said
    }

    fn push_confirmations(&mut self, sender: &ContactId) -> Vec<Said> {
        let waiting = self.confirmations.get(sender);
        let Some(waiting) = waiting.filter(|w| !w.is_empty()) else {
            return Vec::new();
        };
        let registered = |g: &Guest| g.peer == *sender && g.role.is_some();
        let guest = self.guests.iter_mut().find(|(_, g)| registered(g));
        let Some((link, guest)) = guest else {
            return Vec::new();
        };
        let fresh = |c: &&Confirmation| !guest.pushed.values().any(|list| list.contains(c));
        let list: Vec<_> = waiting.iter().filter(fresh).take(256).cloned().collect();
        if list.is_empty() {
            return Vec::new();
        }
        guest.next_request += 1;
        guest.pushed.insert(guest.next_request, list.clone());
        vec![(*link, RelayMessage::Push(list), guest.next_request)]
    }

    /// Says that the recipient has it: signed by itself, and with the recipient's name on it.
    fn forge_confirmation(
        &mut self,
        link: LinkId,
        sender: ContactId,
        request: &StoreRequest,
        now: UnixMillis,
    ) -> Vec<Said> {
        let hash = EnvelopeId::of(&request.blob);
        let id = MessageId::new(request.message_id);
        let own = Confirmation::sign(&self.identity, id, sender, now, hash);
        let mut posing = own.clone();
        posing.delivered_to = request.recipient;
        vec![(link, RelayMessage::Push(vec![own, posing]), 9_999)]
    }
}

impl Mailbox {
    fn token(&self, token: &IntroToken) -> Option<usize> {
        use sha2::{Digest as _, Sha256};
        let hash: [u8; 32] = Sha256::new()
            .chain_update(b"SREMP/1/token")
            .chain_update(token.as_bytes())
            .finalize()
            .into();
        self.intro.iter().position(|entry| entry.token_hash == hash)
    }
}

fn counts(mailbox: &Mailbox) -> RelayMessage {
    let otps = u16::try_from(mailbox.otps.len()).unwrap_or(u16::MAX);
    RelayMessage::Counts(mailbox.bundle.is_some(), otps)
}

/// A bundle ends with nil where a one-time prekey may stand.
fn with_prekey(mut bundle: Vec<u8>, otp: Option<Vec<u8>>) -> Vec<u8> {
    if let Some(otp) = otp {
        assert_eq!(bundle.pop(), Some(0xc0));
        bundle.extend(otp);
    }
    bundle
}
