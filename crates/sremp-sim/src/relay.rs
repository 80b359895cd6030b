//! A relay in the world: what it has stored survives it, its connections do not.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use rand_chacha::{ChaCha20Rng, rand_core::Rng as _};
use sremp_client::engine::Now;
use sremp_core::{
    channel::{HandshakeHash, Message},
    contact_card::{Endpoint, RelayLink},
    error::ErrorCode,
    id::{ContactId, EnvelopeId, IdentityKey, IntroToken},
    identity::{Flags, SecretIdentity, Username},
    relay::{
        Confirmation, Cursor, Granted, IntroEntry, IntroHash, MessageId, PrekeyCounts, PrekeyGet,
        Refusal, RelayMessage, ReplyRelay, Request, Role, SendersSet, ServerConnection,
        StoreMessage, StoreResponse, StoredMessage, Subscription,
        proof::{ReceiptClaim, ReceiptTree},
    },
    time::{Tick, UnixMillis},
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
    sender: IdentityKey,
    message_id: MessageId,
    blob: Vec<u8>,
    stored: UnixMillis,
    expires: UnixMillis,
}

#[derive(Default)]
struct Mailbox {
    next: u64,
    items: BTreeMap<u64, Item>,
    accepted: BTreeSet<IdentityKey>,
    blocked: BTreeSet<IdentityKey>,
    intro: Vec<IntroEntry>,
    bundle: Option<Vec<u8>>,
    first_bundle: Option<Vec<u8>>,
    otps: VecDeque<Vec<u8>>,
    /// What was ever stored: for retries, and for confirmations that come twice.
    seen: BTreeMap<(IdentityKey, MessageId), Seen>,
}

struct Seen {
    hash: EnvelopeId,
    stored: UnixMillis,
    expires: UnixMillis,
    reply_relay: Option<ReplyRelay>,
}

struct Subscriber {
    link: LinkId,
    req_id: u32,
    after: u64,
    credits: Subscription,
}

struct Guest {
    connection: ServerConnection,
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
    mailboxes: BTreeMap<IdentityKey, Mailbox>,
    confirmations: BTreeMap<IdentityKey, Vec<Confirmation>>,
    /// Confirmations for other relays.
    pub(crate) outward: Vec<(ReplyRelay, Confirmation)>,
    guests: BTreeMap<LinkId, Guest>,
    subscribers: BTreeMap<IdentityKey, Subscriber>,
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
            subscribers: BTreeMap::new(),
        }
    }

    /// What its operator hands out.
    pub fn link(&self) -> RelayLink {
        let endpoint = Endpoint::new(&self.name, 4000).expect("a test's name is a host");
        RelayLink::new(self.identity.id(), endpoint, None).expect("no invite")
    }

    /// Items in a mailbox.
    pub fn items(&self, owner: &ContactId) -> usize {
        self.mailboxes
            .get(&(*owner).into())
            .map_or(0, |m| m.items.len())
    }

    /// One-time prekeys of an owner that are left.
    pub fn prekeys(&self, owner: &ContactId) -> usize {
        self.mailboxes
            .get(&(*owner).into())
            .map_or(0, |m| m.otps.len())
    }

    /// Loses some of an owner's one-time prekeys, as those who ask take them.
    pub fn lose_prekeys(&mut self, owner: &ContactId, count: usize) {
        if let Some(mailbox) = self.mailboxes.get_mut(&(*owner).into()) {
            mailbox.otps.drain(..count);
        }
    }

    /// Whether what it keeps contains these bytes.
    pub fn keeps(&self, bytes: &[u8]) -> bool {
        let found = |item: &Item| item.blob.windows(bytes.len()).any(|w| w == bytes);
        self.mailboxes.values().any(|m| m.items.values().any(found))
    }

    /// The process dies.
    pub(crate) fn restart(&mut self) {
        self.guests.clear();
        self.subscribers.clear();
    }

    pub(crate) fn opened(&mut self, link: LinkId, peer: ContactId, h: HandshakeHash) {
        let guest = Guest {
            connection: ServerConnection::new(self.identity.id(), peer, h),
            next_request: 0,
            pushed: BTreeMap::new(),
        };
        self.guests.insert(link, guest);
    }

    pub(crate) fn closed(&mut self, link: LinkId) {
        self.guests.remove(&link);
        self.subscribers.retain(|_, s| s.link != link);
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
        message: &Message,
        now: Now,
        rng: &mut ChaCha20Rng,
    ) -> Vec<Said> {
        let Some(guest) = self.guests.get_mut(&link) else {
            return Vec::new();
        };
        let (peer, req_id) = (*guest.connection.peer(), message.req_id);
        let answer = |message| vec![(link, message, req_id)];
        let request = match guest.connection.handle(message, now.wall) {
            Ok(request) => request,
            Err(Refusal::Reply(error)) => return answer(RelayMessage::Error(error)),
            Err(Refusal::Store(id, code)) => return answer(refused(id, code)),
            Err(Refusal::Ignore) => return Vec::new(),
            Err(Refusal::Close(code)) => panic!("a client broke the protocol: {code}"),
        };
        match request {
            Request::Register(register) => {
                guest.connection.registered(register.role);
                let capabilities = register.capabilities;
                if register.role == Role::Owner {
                    let first = rng.next_u64() % (1 << 32);
                    let mailbox = self.mailboxes.entry(peer.into()).or_default();
                    if mailbox.next == 0 {
                        mailbox.next = first;
                    }
                }
                let mut said = answer(RelayMessage::Granted(Granted {
                    capabilities,
                    max_items: 10_000,
                    max_bytes: 64 << 20,
                    server_time: now.wall,
                }));
                said.extend(self.push_confirmations(&peer.into()));
                said
            }
            Request::PrekeysPut(put) => {
                let mailbox = self.mailboxes.entry(peer.into()).or_default();
                if let Some(bundle) = put.bundle {
                    mailbox.first_bundle.get_or_insert(bundle.clone());
                    mailbox.bundle = Some(bundle);
                }
                mailbox
                    .otps
                    .extend(put.otps.into_iter().map(|(_, otp)| otp));
                answer(counts(mailbox))
            }
            Request::PrekeyGet(get) => answer(self.bundle(&peer.into(), &get)),
            Request::SendersSet(set) => {
                self.mailboxes.entry(peer.into()).or_default().set(set);
                answer(RelayMessage::Ok)
            }
            Request::Store(store) => {
                assert_eq!(store.claim.verify(&peer, store.signature()), Ok(()));
                let store = store.message;
                let mut said = vec![(link, self.store(peer.into(), &store, now.wall), req_id)];
                said.extend(self.push_items(&store.recipient, now, rng));
                if self.malice == Malice::ForgesConfirmations {
                    said.extend(self.forge_confirmation(link, peer.into(), &store, now.wall));
                }
                said
            }
            Request::Subscribe(subscribe) => {
                let head = self.mailboxes.get(&peer.into()).map_or(0, |m| m.next);
                if subscribe.after.get() > head {
                    return answer(RelayMessage::Error(ErrorCode::Cursor.into()));
                }
                let credits = Subscription::new(&subscribe, now.tick);
                let after = subscribe.after.get();
                let subscriber = Subscriber {
                    link,
                    req_id,
                    after,
                    credits,
                };
                self.subscribers.insert(peer.into(), subscriber);
                self.push_items(&peer.into(), now, rng)
            }
            Request::Confirm {
                confirmations,
                mut refused,
            } => {
                let (more, mut said) = self.confirm(&peer.into(), confirmations, now.tick);
                refused.extend(more);
                refused.sort_unstable();
                said.insert(0, (link, RelayMessage::Confirmed { refused }, req_id));
                said.extend(self.push_items(&peer.into(), now, rng));
                said
            }
            Request::Discard(cursors) => {
                for cursor in cursors {
                    self.settle(&peer.into(), cursor.get(), now.tick);
                }
                let mut said = answer(RelayMessage::Ok);
                said.extend(self.push_items(&peer.into(), now, rng));
                said
            }
            Request::Taken => {
                if let Some(list) = guest.pushed.remove(&req_id)
                    && let Some(waiting) = self.confirmations.get_mut(&peer.into())
                {
                    waiting.retain(|c| !list.contains(c));
                }
                Vec::new()
            }
            Request::Retrieve(_) | Request::HandOver { .. } => {
                answer(RelayMessage::Error(ErrorCode::NotAllowed.into()))
            }
        }
    }

    fn store(
        &mut self,
        sender: IdentityKey,
        request: &StoreMessage,
        now: UnixMillis,
    ) -> RelayMessage {
        let refuse = |code| refused(request.message_id, code);
        if self.malice == Malice::RefusesAll {
            return refuse(ErrorCode::Quota);
        }
        let Some(mailbox) = self.mailboxes.get_mut(&request.recipient) else {
            return refuse(ErrorCode::Denied);
        };
        if mailbox.blocked.contains(&sender) {
            return refuse(ErrorCode::Denied);
        }
        let message_id = request.message_id;
        let hash = request.hash();
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
            None => (now, now.plus(Duration::from_secs(request.ttl.into()))),
        };
        if seen.is_none() {
            if let Some(at) = token.filter(|at| mailbox.intro[*at].one_time) {
                mailbox.intro.remove(at);
            }
            let seen = Seen {
                hash,
                stored,
                expires,
                reply_relay: request.reply_relay.clone(),
            };
            mailbox.seen.insert((sender, message_id), seen);
            self.stored += 1;
            if self.malice != Malice::Drops {
                mailbox.next += 1;
                let item = Item {
                    sender,
                    message_id,
                    blob: request.encrypted_blob.to_vec(),
                    stored,
                    expires,
                };
                mailbox.items.insert(mailbox.next, item);
            }
        }
        let claim = ReceiptClaim {
            sender,
            recipient: request.recipient,
            message_id,
            blob_hash: hash,
            stored_at: stored,
            expires_at: expires,
        };
        let tree = ReceiptTree::sign(&self.identity, [&claim]).expect("one claim");
        let mut receipt = tree.receipt(0).to_bytes();
        if self.malice == Malice::ForgesReceipts {
            receipt[5] ^= 1;
        }
        RelayMessage::StoreResponse(StoreResponse {
            success: true,
            stored_at: stored,
            message_id,
            expires_at: expires,
            receipt_signature: receipt.into(),
            error: None,
        })
    }

    fn bundle(&mut self, asker: &IdentityKey, get: &PrekeyGet) -> RelayMessage {
        let anothers = self.mailboxes.get(asker).and_then(|m| m.bundle.clone());
        let Some(mailbox) = self.mailboxes.get_mut(&get.recipient) else {
            return RelayMessage::Error(ErrorCode::NoPrekey.into());
        };
        let bundle = match self.malice {
            Malice::GivesAnothersBundle => anothers,
            Malice::GivesOldBundle => mailbox.first_bundle.clone(),
            _ => mailbox.bundle.clone(),
        };
        let welcome = mailbox.accepted.contains(asker)
            || get
                .intro
                .is_some_and(|token| mailbox.token(&token).is_some());
        let otp = match welcome {
            true => mailbox.otps.pop_front(),
            false => None,
        };
        match bundle {
            Some(bundle) => RelayMessage::PrekeyBundle(with_prekey(bundle, otp)),
            None => RelayMessage::Error(ErrorCode::NoPrekey.into()),
        }
    }

    fn confirm(
        &mut self,
        owner: &IdentityKey,
        list: Vec<(u16, Confirmation)>,
        now: Tick,
    ) -> (Vec<u16>, Vec<Said>) {
        let (mut refused, mut said) = (Vec::new(), Vec::new());
        for (place, confirmation) in list {
            let key = (confirmation.sender, confirmation.message_id);
            let mailbox = self.mailboxes.entry(*owner).or_default();
            let seen = mailbox.seen.get(&key);
            if seen.is_none_or(|seen| seen.hash != confirmation.blob_hash) {
                refused.push(place);
                continue;
            }
            let reply = seen.and_then(|seen| seen.reply_relay.clone());
            let is_it = |i: &Item| (i.sender, i.message_id) == key;
            let item = mailbox.items.iter().find(|(_, i)| is_it(i));
            let cursor = item.map(|(cursor, _)| *cursor);
            let Some(cursor) = cursor else {
                continue;
            };
            self.settle(owner, cursor, now);
            match reply.filter(|hint| hint.relay != self.identity.id().into()) {
                Some(hint) => self.outward.push((hint, confirmation.clone())),
                None => said.extend(self.take_confirmation(confirmation.clone())),
            }
        }
        (refused, said)
    }

    fn settle(&mut self, owner: &IdentityKey, cursor: u64, now: Tick) {
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

    fn push_items(&mut self, owner: &IdentityKey, now: Now, rng: &mut ChaCha20Rng) -> Vec<Said> {
        let (Some(mailbox), Some(subscriber)) = (
            self.mailboxes.get_mut(owner),
            self.subscribers.get_mut(owner),
        ) else {
            return Vec::new();
        };
        mailbox.items.retain(|_, item| item.expires > now.wall);
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
                message_id: item.message_id,
                sender,
                timestamp: item.stored,
                encrypted_blob: item.blob.clone().into(),
                cursor,
            });
            said.push((subscriber.link, pushed, subscriber.req_id));
        }
        said
    }

    fn push_confirmations(&mut self, sender: &IdentityKey) -> Vec<Said> {
        let waiting = self.confirmations.get(sender);
        let Some(waiting) = waiting.filter(|w| !w.is_empty()) else {
            return Vec::new();
        };
        let registered =
            |g: &Guest| *sender == (*g.connection.peer()).into() && g.connection.role().is_some();
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
        vec![(
            *link,
            RelayMessage::ConfirmationPush(list),
            guest.next_request,
        )]
    }

    /// Says that the recipient has it: signed by itself, and with the recipient's name on it.
    fn forge_confirmation(
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

fn refused(message_id: MessageId, code: ErrorCode) -> RelayMessage {
    RelayMessage::StoreResponse(StoreResponse {
        success: false,
        stored_at: UnixMillis::ZERO,
        message_id,
        expires_at: UnixMillis::ZERO,
        receipt_signature: Vec::new().into(),
        error: Some(code.to_u16()),
    })
}

impl Mailbox {
    fn token(&self, token: &IntroToken) -> Option<usize> {
        let hash = IntroHash::of(token);
        self.intro.iter().position(|entry| entry.hash == hash)
    }

    fn set(&mut self, set: SendersSet) {
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

fn counts(mailbox: &Mailbox) -> RelayMessage {
    let otps = u16::try_from(mailbox.otps.len()).unwrap_or(u16::MAX);
    RelayMessage::PrekeyCounts(PrekeyCounts {
        has_bundle: mailbox.bundle.is_some(),
        otps,
    })
}

/// A bundle ends with nil where a one-time prekey may stand.
fn with_prekey(mut bundle: Vec<u8>, otp: Option<Vec<u8>>) -> Vec<u8> {
    if let Some(otp) = otp {
        assert_eq!(bundle.pop(), Some(0xc0));
        bundle.extend(otp);
    }
    bundle
}
