//! A relay in the world: what it has stored survives it, its connections do not.

mod handing;
mod mailbox;
mod malice;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand_chacha::{ChaCha20Rng, rand_core::Rng as _};
use sremp_client::engine::Now;
use sremp_core::{
    channel::{HandshakeHash, Message},
    contact_card::{Endpoint, RelayLink},
    error::ErrorCode,
    id::{ContactId, IdentityKey},
    identity::{Flags, SecretIdentity, Username},
    relay::{
        Confirmation, Granted, MessageId, PrekeyGet, Refusal, RelayMessage, ReplyRelay, Request,
        Role, ServerConnection, StoreMessage, StoreResponse, Subscription,
        proof::{ReceiptClaim, ReceiptTree},
    },
    session::prekey::is_of_another_state,
    time::UnixMillis,
};
use sremp_net::LinkId;

use self::mailbox::{Item, Mailbox, Seen, counts};
pub use self::malice::Malice;
use self::malice::none_left;

/// Items of senders that the owner has not accepted, in one mailbox.
const REQUEST_ITEMS: usize = 64;

struct Subscriber {
    link: LinkId,
    req_id: u32,
    after: u64,
    credits: Subscription,
}

struct Guest {
    connection: ServerConnection,
    next_request: u32,
    /// The numbers of confirmations that were pushed and not yet acknowledged.
    pushed: BTreeMap<u32, Vec<u64>>,
    /// Confirmations up to this number were pushed.
    pushed_upto: u64,
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
    /// The last of them.
    pub last_stored: Option<sremp_core::id::EnvelopeId>,
    kept_back: Option<sremp_core::id::EnvelopeId>,
    /// Bundles that it was asked for so far.
    pub asked_for_bundles: u64,
    pub(crate) identity: SecretIdentity,
    mailboxes: BTreeMap<IdentityKey, Mailbox>,
    /// By sender, numbered in the order in which they came.
    confirmations: BTreeMap<IdentityKey, BTreeMap<u64, Confirmation>>,
    last_confirmation: u64,
    /// Confirmations that their senders have taken.
    taken: Vec<Confirmation>,
    visitors: BTreeSet<ContactId>,
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
            last_stored: None,
            kept_back: None,
            asked_for_bundles: 0,
            identity,
            mailboxes: BTreeMap::new(),
            confirmations: BTreeMap::new(),
            last_confirmation: 0,
            taken: Vec::new(),
            visitors: BTreeSet::new(),
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

    /// It is put back from a copy of before anything was in this mailbox.
    pub fn lose_items(&mut self, owner: &ContactId) {
        if let Some(mailbox) = self.mailboxes.get_mut(&(*owner).into()) {
            mailbox.items.clear();
            mailbox.seen.clear();
        }
    }

    /// Hands every confirmation that was taken over once more, to whoever comes next.
    pub fn confirm_again(&mut self) {
        for confirmation in std::mem::take(&mut self.taken) {
            self.last_confirmation += 1;
            let waiting = self.confirmations.entry(confirmation.sender).or_default();
            waiting.insert(self.last_confirmation, confirmation);
        }
    }

    /// Whether somebody has ever connected to it.
    pub fn was_visited_by(&self, who: &ContactId) -> bool {
        self.visitors.contains(who)
    }

    /// Whether what it keeps contains these bytes.
    pub fn keeps(&self, bytes: &[u8]) -> bool {
        let found = |item: &Item| item.blob.windows(bytes.len()).any(|w| w == bytes);
        self.mailboxes.values().any(|m| m.items.values().any(found))
    }

    /// Another connection takes over a mailbox.
    pub(crate) fn take_over(&mut self, owner: &ContactId) -> Option<Said> {
        let subscriber = self.subscribers.remove(&(*owner).into())?;
        Some((subscriber.link, RelayMessage::Superseded, subscriber.req_id))
    }

    /// The process dies.
    pub(crate) fn restart(&mut self) {
        self.guests.clear();
        self.subscribers.clear();
    }

    pub(crate) fn opened(&mut self, link: LinkId, peer: ContactId, h: HandshakeHash) {
        self.visitors.insert(peer);
        let guest = Guest {
            connection: ServerConnection::new(self.identity.id(), peer, h),
            next_request: 0,
            pushed: BTreeMap::new(),
            pushed_upto: 0,
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
        if !waiting.values().any(|known| *known == confirmation) {
            self.last_confirmation += 1;
            waiting.insert(self.last_confirmation, confirmation);
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
        if let Some(said) = self.misbehave(link, message, now) {
            return said;
        }
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
                let kept = self.malice == Malice::KeepsToOneBundle && mailbox.bundle.is_some();
                if let Some(bundle) = put.bundle.filter(|_| !kept) {
                    let before = mailbox.bundle.as_deref().unwrap_or_default();
                    if is_of_another_state(before, &bundle) {
                        mailbox.otps.clear();
                    }
                    mailbox.first_bundle.get_or_insert(bundle.clone());
                    mailbox.bundle = Some(bundle);
                }
                mailbox
                    .otps
                    .extend(put.otps.into_iter().map(|(_, otp)| otp));
                match self.malice {
                    Malice::ForgetsPrekeys => answer(none_left()),
                    _ => answer(counts(mailbox)),
                }
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
                    for number in list {
                        self.taken.extend(waiting.remove(&number));
                    }
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
        if !welcome && mailbox.of_strangers() >= REQUEST_ITEMS {
            return refuse(ErrorCode::Quota);
        }
        let seen = mailbox.seen.get(&(sender, message_id));
        if seen.is_some_and(|seen| seen.hash != hash) {
            return refuse(ErrorCode::Conflict);
        }
        let (stored, expires) = match seen {
            Some(seen) => (seen.stored, seen.expires),
            None if self.malice == Malice::PromisesNothing => (now, now),
            None if self.malice == Malice::PromisesSeconds => {
                (now, now.plus(Duration::from_secs(40)))
            }
            None => (now, now.plus(Duration::from_secs(request.ttl.into()))),
        };
        if seen.is_none() {
            if let Some(at) = token.filter(|at| mailbox.intro[*at].one_time) {
                mailbox.intro.remove(at);
            }
            mailbox.next += 1;
            let seen = Seen {
                hash,
                cursor: mailbox.next,
                stored,
                expires,
                reply_relay: request.reply_relay.clone(),
            };
            mailbox.seen.insert((sender, message_id), seen);
            self.stored += 1;
            self.last_stored = Some(hash);
            let keeps = match self.malice {
                Malice::Drops => false,
                Malice::KeepsOneBack => *self.kept_back.get_or_insert(hash) != hash,
                _ => true,
            };
            if keeps {
                let item = Item {
                    sender,
                    message_id,
                    blob: request.encrypted_blob.to_vec(),
                    stored,
                    expires,
                };
                mailbox.keep(item);
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
        self.asked_for_bundles += 1;
        let anothers = self.mailboxes.get(asker).and_then(|m| m.bundle.clone());
        let Some(mailbox) = self.mailboxes.get_mut(&get.recipient) else {
            return RelayMessage::Error(ErrorCode::NoPrekey.into());
        };
        let bundle = match self.malice {
            Malice::GivesAnothersBundle => anothers,
            Malice::GivesOldBundle => mailbox.first_bundle.clone(),
            Malice::WithholdsBundles => None,
            _ => mailbox.bundle.clone(),
        };
        let welcome = mailbox.accepted.contains(asker)
            || get
                .intro
                .is_some_and(|token| mailbox.token(&token).is_some());
        let otp = match welcome {
            true if self.malice == Malice::GivesPrekeysAgain => mailbox.otps.front().cloned(),
            true => mailbox.otps.pop_front(),
            false => None,
        };
        match bundle {
            Some(bundle) => RelayMessage::PrekeyBundle(with_prekey(bundle, otp)),
            None => RelayMessage::Error(ErrorCode::NoPrekey.into()),
        }
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

/// A bundle ends with nil where a one-time prekey may stand.
fn with_prekey(mut bundle: Vec<u8>, otp: Option<Vec<u8>>) -> Vec<u8> {
    if let Some(otp) = otp {
        assert_eq!(bundle.pop(), Some(0xc0));
        bundle.extend(otp);
    }
    bundle
}
