//! A relay with a store of maps, its clients, and what each of them saw.

use std::collections::BTreeMap;

use sremp_core::{
    channel::{HandshakeHash, Message},
    error::ErrorCode,
    id::{ContactId, EnvelopeId, IdentityKey},
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    relay::{
        Capabilities, Confirmation, Cursor, Granted, MessageBatch, MessageId, PrekeyCounts,
        Refusal, RelayClient, RelayEvent, RelayMessage, Request, Role, ServerConnection,
        StoreMessage, StoreResponse, StoredMessage, Subscription, ToStore, UncheckedStore,
        proof::{Claimed, ReceiptClaim, ReceiptTree, check_claims},
    },
    session::prekey::with_one_time_prekey,
    time::{Tick, UnixMillis},
};

use super::session_support::NOW;

pub(crate) const WISHED: Capabilities = Capabilities {
    max_message_size: 61_440,
    max_storage_duration: 14 * 24 * 60 * 60,
};

pub(crate) fn person(seed: u8) -> SecretIdentity {
    let name = Username::parse("somebody").unwrap();
    SecretIdentity::from_keys(
        &[seed; 32],
        NoiseSecret::from_bytes(&[seed; 32]),
        &name,
        NOW,
    )
}

pub(crate) fn hash(n: u8) -> HandshakeHash {
    HandshakeHash::new([n; 32])
}

pub(crate) fn key(of: &SecretIdentity) -> IdentityKey {
    of.id().into()
}

/// An envelope, as far as a relay can tell.
pub(crate) fn envelope(n: u64) -> Vec<u8> {
    let mut envelope = vec![7; 1024];
    envelope[..8].copy_from_slice(&n.to_le_bytes());
    envelope
}

pub(crate) fn to_store(recipient: &SecretIdentity, n: u64) -> ToStore {
    ToStore {
        recipient: key(recipient),
        envelope: envelope(n),
        message_id: MessageId::new(n),
        ttl: 60,
        reply_relay: None,
        intro: None,
    }
}

struct Item {
    stored: StoredMessage,
    expires_at: UnixMillis,
    /// What is left of a message that was taken: its traces.
    gone: bool,
}

#[derive(Default)]
pub(crate) struct Mailbox {
    items: Vec<Item>,
    pub(crate) blocked: Vec<IdentityKey>,
    pub(crate) bundle: Option<Vec<u8>>,
    pub(crate) otps: Vec<Vec<u8>>,
}

impl Mailbox {
    pub(crate) fn waiting(&self) -> usize {
        self.items.iter().filter(|item| !item.gone).count()
    }
}

/// The service and its store, without IO.
pub(crate) struct Relay {
    pub(crate) secret: SecretIdentity,
    pub(crate) mailboxes: BTreeMap<IdentityKey, Mailbox>,
    /// Confirmations that wait, by the sender to whom they go.
    pub(crate) waiting: BTreeMap<IdentityKey, Vec<Confirmation>>,
    pub(crate) now: UnixMillis,
}

/// A connection as the relay holds it.
pub(crate) struct Conn {
    pub(crate) machine: ServerConnection,
    pub(crate) subscription: Option<(u32, Cursor, Subscription)>,
    pub(crate) closed: Option<ErrorCode>,
}

impl Relay {
    pub(crate) fn new() -> Self {
        Self {
            secret: person(9),
            mailboxes: BTreeMap::new(),
            waiting: BTreeMap::new(),
            now: NOW,
        }
    }

    pub(crate) fn accept(&self, peer: ContactId, h: HandshakeHash) -> Conn {
        Conn {
            machine: ServerConnection::new(self.secret.id(), peer, h),
            subscription: None,
            closed: None,
        }
    }

    /// Answers to one message.
    pub(crate) fn answer(&mut self, conn: &mut Conn, message: &Message) -> Vec<Message> {
        let answers = match conn.machine.handle(message, self.now) {
            Ok(request) => self.serve(conn, message.req_id, request),
            Err(Refusal::Close(code)) => {
                conn.closed = Some(code);
                vec![]
            }
            Err(Refusal::Reply(error)) => vec![RelayMessage::Error(error)],
            Err(Refusal::Store(id, code)) => {
                vec![RelayMessage::StoreResponse(StoreResponse::refused(
                    id, code,
                ))]
            }
            Err(Refusal::Ignore) => vec![],
        };
        let own = |answer: &RelayMessage| answer.to_message(message.req_id);
        let mut answers: Vec<Message> = answers.iter().map(own).collect();
        answers.extend(self.push(conn));
        answers
    }

    fn serve(&mut self, conn: &mut Conn, req_id: u32, request: Request) -> Vec<RelayMessage> {
        let peer = IdentityKey::from(*conn.machine.peer());
        let answer = match request {
            Request::Register(register) => {
                conn.machine.registered(register.role);
                if register.role == Role::Owner {
                    self.mailboxes.entry(peer).or_default();
                }
                RelayMessage::Granted(Granted {
                    capabilities: register.capabilities,
                    max_items: 10_000,
                    max_bytes: 1 << 26,
                    server_time: self.now,
                })
            }
            Request::PrekeysPut(put) => {
                let mailbox = self.mailboxes.entry(peer).or_default();
                mailbox.bundle = put.bundle.or(mailbox.bundle.take());
                mailbox
                    .otps
                    .extend(put.otps.into_iter().map(|(_, otp)| otp));
                RelayMessage::PrekeyCounts(PrekeyCounts {
                    has_bundle: mailbox.bundle.is_some(),
                    otps: mailbox.otps.len() as u16,
                })
            }
            Request::PrekeyGet(get) => self.bundle_of(&get.recipient),
            Request::SendersSet(set) => {
                self.mailboxes.entry(peer).or_default().blocked = set.block;
                RelayMessage::Ok
            }
            Request::Store(store) => self.store(peer, &conn.machine, *store),
            Request::Subscribe(subscribe) => {
                let subscription = Subscription::new(&subscribe, Tick::new(self.now.get()));
                conn.subscription = Some((req_id, subscribe.after, subscription));
                return vec![];
            }
            Request::Retrieve(retrieve) => {
                let items = &self.mailboxes[&peer].items;
                let mut rest = items.iter().filter(|item| {
                    let since = retrieve.since.unwrap_or(UnixMillis::ZERO);
                    !item.gone
                        && item.stored.cursor > retrieve.after
                        && item.stored.timestamp >= since
                });
                let page: Vec<_> = rest.by_ref().take(retrieve.max_items.into()).collect();
                let messages: Vec<_> = page.iter().map(|item| item.stored.clone()).collect();
                RelayMessage::MessageBatch(MessageBatch {
                    next: messages.last().map_or(retrieve.after, |item| item.cursor),
                    messages,
                    has_more: rest.next().is_some(),
                })
            }
            Request::Confirm {
                confirmations,
                mut refused,
            } => {
                for (place, confirmation) in confirmations {
                    if !self.confirm(conn, confirmation) {
                        refused.push(place);
                    }
                }
                refused.sort_unstable();
                RelayMessage::Confirmed { refused }
            }
            Request::Discard(cursors) => {
                for item in &mut self.mailboxes.entry(peer).or_default().items {
                    item.gone |= cursors.contains(&item.stored.cursor);
                }
                RelayMessage::Ok
            }
            Request::HandOver {
                confirmations,
                mut refused,
            } => {
                for (place, confirmation) in confirmations {
                    match self.mailboxes.contains_key(&confirmation.sender) {
                        true => self.wait(confirmation),
                        false => refused.push(place),
                    }
                }
                refused.sort_unstable();
                RelayMessage::Confirmed { refused }
            }
            Request::Taken => {
                self.waiting.remove(&peer);
                return vec![];
            }
        };
        vec![answer]
    }

    fn bundle_of(&mut self, whose: &IdentityKey) -> RelayMessage {
        let Some(mailbox) = self.mailboxes.get_mut(whose) else {
            return RelayMessage::Error(ErrorCode::NoPrekey.into());
        };
        match (&mailbox.bundle, mailbox.otps.pop()) {
            (None, _) => RelayMessage::Error(ErrorCode::NoPrekey.into()),
            (Some(bundle), None) => RelayMessage::PrekeyBundle(bundle.clone()),
            (Some(bundle), Some(otp)) => {
                RelayMessage::PrekeyBundle(with_one_time_prekey(bundle, &otp).unwrap())
            }
        }
    }

    fn store(
        &mut self,
        sender: IdentityKey,
        machine: &ServerConnection,
        store: UncheckedStore,
    ) -> RelayMessage {
        let claimed = Claimed::store(*machine.peer(), &store.claim, *store.signature());
        let refused = |code| {
            RelayMessage::StoreResponse(StoreResponse::refused(store.claim.message_id, code))
        };
        if check_claims(&[claimed])[0].is_err() {
            return refused(ErrorCode::BadProof);
        }
        let message = store.message;
        let Some(mailbox) = self.mailboxes.get_mut(&message.recipient) else {
            return refused(ErrorCode::Denied);
        };
        if mailbox.blocked.contains(&sender) {
            return refused(ErrorCode::Denied);
        }
        let same = |item: &&Item| {
            (item.stored.sender, item.stored.message_id) == (sender, message.message_id)
        };
        if let Some(item) = mailbox.items.iter().find(same) {
            let (since, until) = (item.stored.timestamp, item.expires_at);
            return match item.stored.encrypted_blob == message.encrypted_blob {
                true => self.receipt(&message, sender, since, until),
                false => refused(ErrorCode::Conflict),
            };
        }
        let expires_at = self
            .now
            .plus(std::time::Duration::from_secs(message.ttl.into()));
        mailbox.items.push(Item {
            stored: StoredMessage {
                message_id: message.message_id,
                sender,
                timestamp: self.now,
                encrypted_blob: message.encrypted_blob.clone(),
                cursor: Cursor::new(1_000 + 3 * mailbox.items.len() as u64),
            },
            expires_at,
            gone: false,
        });
        self.receipt(&message, sender, self.now, expires_at)
    }

    fn receipt(
        &self,
        message: &StoreMessage,
        sender: IdentityKey,
        stored_at: UnixMillis,
        expires_at: UnixMillis,
    ) -> RelayMessage {
        let claim = ReceiptClaim {
            sender,
            recipient: message.recipient,
            message_id: message.message_id,
            blob_hash: message.hash(),
            stored_at,
            expires_at,
        };
        let receipt = ReceiptTree::sign(&self.secret, [&claim])
            .unwrap()
            .receipt(0);
        RelayMessage::StoreResponse(StoreResponse {
            success: true,
            stored_at,
            message_id: message.message_id,
            expires_at,
            receipt_signature: receipt.to_bytes().into(),
            error: None,
        })
    }

    /// Whether there is such an item, or was.
    fn confirm(&mut self, conn: &mut Conn, confirmation: Confirmation) -> bool {
        let mailbox = self.mailboxes.entry(confirmation.delivered_to).or_default();
        let item = mailbox.items.iter_mut().find(|item| {
            item.stored.sender == confirmation.sender
                && item.stored.message_id == confirmation.message_id
                && EnvelopeId::of(&item.stored.encrypted_blob) == confirmation.blob_hash
        });
        let Some(item) = item else {
            return false;
        };
        if let Some((_, _, subscription)) = &mut conn.subscription {
            subscription.settled(item.stored.cursor, Tick::new(self.now.get()));
        }
        if !std::mem::replace(&mut item.gone, true) {
            self.wait(confirmation);
        }
        true
    }

    fn wait(&mut self, confirmation: Confirmation) {
        let list = self.waiting.entry(confirmation.sender).or_default();
        list.push(confirmation);
    }

    /// What is due to a connection without a question.
    fn push(&mut self, conn: &mut Conn) -> Vec<Message> {
        let peer = IdentityKey::from(*conn.machine.peer());
        let mut pushes = Vec::new();
        if let Some((req_id, after, subscription)) = &mut conn.subscription {
            let now = Tick::new(self.now.get());
            let items = self.mailboxes[&peer].items.iter().filter(|item| !item.gone);
            let items: Vec<_> = items.filter(|item| item.stored.cursor > *after).collect();
            for item in items {
                if subscription.room(now).is_none() {
                    break;
                }
                *after = item.stored.cursor;
                subscription.pushed(*after, item.stored.encrypted_blob.len(), now);
                let push = RelayMessage::StoredMessage(item.stored.clone());
                pushes.push(push.to_message(*req_id));
            }
        }
        if conn.machine.role().is_some()
            && let Some(list) = self.waiting.get(&peer)
        {
            pushes.push(RelayMessage::ConfirmationPush(list.clone()).to_message(77));
        }
        pushes
    }
}

/// A client and its connection to the relay.
pub(crate) struct Client {
    pub(crate) secret: SecretIdentity,
    pub(crate) machine: RelayClient,
    pub(crate) h: HandshakeHash,
    pub(crate) conn: Conn,
}

impl Client {
    /// Connected, not registered.
    pub(crate) fn connected(relay: &Relay, seed: u8, connection: u8) -> Self {
        let secret = person(seed);
        Self {
            machine: RelayClient::new(secret.id(), relay.secret.id()),
            h: hash(connection),
            conn: relay.accept(secret.id(), hash(connection)),
            secret,
        }
    }

    /// Connected and registered.
    pub(crate) fn registered(relay: &mut Relay, seed: u8, role: Role) -> Self {
        let mut client = Self::connected(relay, seed, seed);
        let events = client.register(relay, role);
        assert!(matches!(events[0], RelayEvent::Granted(_)), "{events:?}");
        client
    }

    pub(crate) fn register(&mut self, relay: &mut Relay, role: Role) -> Vec<RelayEvent> {
        let register = self
            .machine
            .register(&self.secret, &self.h, role, WISHED, None);
        self.ask(relay, &register.unwrap())
    }

    /// What comes of a message, over the wire both ways.
    pub(crate) fn ask(&mut self, relay: &mut Relay, message: &Message) -> Vec<RelayEvent> {
        let message = Message::decode(&message.encode()).unwrap();
        let answers = relay.answer(&mut self.conn, &message);
        answers
            .iter()
            .filter_map(|answer| {
                let answer = Message::decode(&answer.encode()).unwrap();
                self.machine.handle(&answer).unwrap()
            })
            .collect()
    }

    pub(crate) fn store(&mut self, relay: &mut Relay, store: ToStore) -> Vec<RelayEvent> {
        let message = self.machine.store(&self.secret, store).unwrap();
        self.ask(relay, &message)
    }

    pub(crate) fn confirmation_of(&self, item: &StoredMessage) -> Confirmation {
        let blob = EnvelopeId::of(&item.encrypted_blob);
        Confirmation::sign(&self.secret, item.sender, item.message_id, blob, NOW)
    }

    pub(crate) fn confirm(
        &mut self,
        relay: &mut Relay,
        list: Vec<Confirmation>,
    ) -> Vec<RelayEvent> {
        let message = self.machine.confirm(list).unwrap();
        self.ask(relay, &message)
    }
}

/// The code of the refusal that these events are.
pub(crate) fn refusal(events: &[RelayEvent]) -> Option<ErrorCode> {
    match events {
        [RelayEvent::Refused { code, .. }] => ErrorCode::from_u16(*code),
        _ => None,
    }
}
