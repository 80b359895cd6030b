//! One connection of the load generator.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_bytes::ByteBuf;
use sremp_core::{
    channel::{LocalIdentity, Message},
    contact_card::RelayLink,
    id::{ContactId, EnvelopeId, IdentityKey},
    identity::{SecretIdentity, Username},
    relay::{
        Capabilities, Confirmation, Cursor, MessageId, RelayClient, RelayEvent, RelayMessage,
        Retrieve, Role, StoreMessage, StoredMessage, Subscribe, proof::StoreClaim,
    },
    signature::Signature,
};
use sremp_net::{
    Admission, AdmissionLimits, DialTarget, LinkCommand, LinkEvent, LinkHandle, Network, Service,
};
use tokio::sync::{mpsc, watch};

use super::LoadError;
use crate::clock::Clock;

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a reader that gets nothing looks whether the run is over.
const LOOK: Duration = Duration::from_millis(100);
/// Confirmations of one message.
const MAX_LIST: usize = 128;
/// Requests with confirmations that wait for their answers: enough for every list that the credit
/// of one subscription allows, and fewer than may be open.
const MAX_CONFIRMING: usize = 32;

pub(super) struct LoadPeer {
    own: SecretIdentity,
    relay: ContactId,
    machine: RelayClient,
    handle: LinkHandle,
    events: mpsc::Receiver<LinkEvent>,
    under_way: HashMap<u32, Instant>,
    /// Confirmations that are not sent yet.
    unsent: Vec<Confirmation>,
    /// How many each open request confirms.
    confirming: HashMap<u32, usize>,
    last_request: u32,
    envelope: Vec<u8>,
    hash: EnvelopeId,
    ahead: VecDeque<Signed>,
    sent: Arc<SentTimes>,
    _network: Network,
}

/// What a store needs beside its envelope.
#[derive(Clone, Copy)]
struct Signed {
    recipient: IdentityKey,
    message_id: MessageId,
    signature: Signature,
}

/// How long each message keeps, seconds.
const TTL: u32 = 86_400;

/// When messages were sent, found by their ids: the last 20 bits name a place. Senders and readers
/// of a run are in one process.
pub(super) struct SentTimes {
    began: Instant,
    next: AtomicU64,
    micros: Box<[AtomicU64]>,
}

impl SentTimes {
    const PLACES: u64 = 1 << 20;

    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            next: AtomicU64::new(0),
            micros: (0..Self::PLACES).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn new_id(&self) -> MessageId {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % Self::PLACES;
        MessageId::new(rand::random::<u64>() / Self::PLACES * Self::PLACES + place)
    }

    fn place(&self, id: MessageId) -> Option<&AtomicU64> {
        let place = usize::try_from(id.get() % Self::PLACES).ok()?;
        self.micros.get(place)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn sent(&self, id: MessageId) {
        if let Some(place) = self.place(id) {
            place.store(self.now(), Ordering::Relaxed);
        }
    }

    fn age(&self, id: MessageId) -> Option<Duration> {
        let sent = self.place(id)?.load(Ordering::Relaxed);
        Some(Duration::from_micros(self.now().saturating_sub(sent)))
    }
}

/// What a sender heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) stored: Option<Duration>,
    pub(super) confirmed: u64,
    pub(super) refused: u64,
}

/// What a reader heard.
#[derive(Debug, Default)]
pub(super) struct Came {
    pub(super) items: Vec<LoadedItem>,
    /// Confirmations that are committed.
    pub(super) settled: u64,
    /// Confirmations that were refused.
    pub(super) refused: u64,
}

/// A message in its reader's hands.
#[derive(Debug)]
pub(super) struct LoadedItem {
    pub(super) item: StoredMessage,
    /// Since it was sent.
    pub(super) age: Option<Duration>,
}

impl LoadPeer {
    pub(super) async fn registered(
        link: &RelayLink,
        role: Role,
        size: usize,
        sent: Arc<SentTimes>,
    ) -> Result<Self, LoadError> {
        let failed = |what: &str| LoadError(format!("the relay {what}"));
        #[allow(clippy::expect_used, reason = "a fixed name that is valid")]
        let name = Username::parse("load").expect("a valid name");
        let own = SecretIdentity::generate(&name, Clock::wall(), &mut rand::rng());
        let local = watch::channel(Arc::new(LocalIdentity::new(&own))).1;
        let (sender, mut events) = mpsc::channel(1_024);
        let network = Network::new(local, sender, AdmissionLimits::CLIENT);
        network.dial(DialTarget {
            expected: Some(link.relay()),
            service: Service::Relay,
            ..DialTarget::at(link.endpoint().clone())
        });
        let (handle, h) = loop {
            match next(&mut events, PATIENCE).await {
                Some(LinkEvent::Shown { answer, .. }) => {
                    let _ = answer.send(Admission::Accept);
                }
                Some(LinkEvent::Opened {
                    handle,
                    channel_binding,
                    ..
                }) => break (handle, channel_binding),
                other => return Err(failed(&format!("cannot be reached: {other:?}"))),
            }
        };
        let mut envelope = vec![0; size];
        rand::fill(envelope.as_mut_slice());
        let mut peer = Self {
            machine: RelayClient::new(own.id(), link.relay()),
            own,
            relay: link.relay(),
            handle,
            events,
            under_way: HashMap::new(),
            unsent: Vec::new(),
            confirming: HashMap::new(),
            last_request: 0,
            hash: EnvelopeId::of(&envelope),
            envelope,
            ahead: VecDeque::new(),
            sent,
            _network: network,
        };
        let wished = Capabilities {
            max_message_size: 61_440,
            max_storage_duration: 1_209_600,
        };
        let invite = link.invite().map(<[u8]>::to_vec);
        let register = peer.machine.register(&peer.own, &h, role, wished, invite);
        peer.send(register.map_err(|_| failed("answers nothing"))?);
        match peer.event(PATIENCE).await {
            Some(RelayEvent::Granted(_)) => Ok(peer),
            other => Err(failed(&format!("does not register us: {other:?}"))),
        }
    }

    pub(super) fn key(&self) -> IdentityKey {
        self.own.id().into()
    }

    fn send(&self, message: Message) {
        // a connection that is full or gone is seen by the missing answer
        let _ = self.handle.try_send(LinkCommand::Send(message));
    }

    async fn event(&mut self, patience: Duration) -> Option<RelayEvent> {
        loop {
            match next(&mut self.events, patience).await? {
                LinkEvent::Message { message, .. } => match self.machine.handle(&message) {
                    Ok(Some(event)) => return Some(event),
                    Ok(None) => {}
                    Err(_) => return None,
                },
                _ => return None,
            }
        }
    }

    /// Stores that wait for their receipts.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    fn sign(&self, recipient: IdentityKey) -> Signed {
        let message_id = self.sent.new_id();
        let claim = StoreClaim {
            relay: self.relay.into(),
            recipient,
            message_id,
            blob_hash: self.hash,
            ttl: TTL,
        };
        Signed {
            recipient,
            message_id,
            signature: claim.sign(&self.own),
        }
    }

    /// Signs stores before the clock starts: in the field each sender has a processor of its own.
    pub(super) fn sign_ahead(mut self, recipients: impl Iterator<Item = IdentityKey>) -> Self {
        self.ahead = recipients.map(|recipient| self.sign(recipient)).collect();
        self
    }

    /// Stores an envelope that nobody can open: what was signed ahead, else one for `recipient`.
    pub(super) fn store(&mut self, recipient: IdentityKey) -> MessageId {
        let ahead = self.ahead.pop_front();
        let signed = ahead.unwrap_or_else(|| self.sign(recipient));
        let store = RelayMessage::Store(StoreMessage {
            recipient: signed.recipient,
            encrypted_blob: ByteBuf::from(self.envelope.clone()),
            sender_signature: signed.signature,
            message_id: signed.message_id,
            ttl: TTL,
            reply_relay: None,
            intro: None,
        });
        self.last_request = self.last_request.wrapping_add(1);
        self.sent.sent(signed.message_id);
        self.under_way.insert(self.last_request, Instant::now());
        self.send(store.to_message(self.last_request));
        signed.message_id
    }

    /// The next thing that a sender hears. Receipts are taken as they are: who checks them is the
    /// client, and this one shares its cores with the relay.
    pub(super) async fn answer(&mut self) -> Option<Heard> {
        let mut heard = Heard::default();
        loop {
            let LinkEvent::Message { message, .. } = next(&mut self.events, PATIENCE).await? else {
                return None;
            };
            match RelayMessage::decode(&message).ok()? {
                RelayMessage::StoreResponse(response) => {
                    let began = self.under_way.remove(&message.req_id)?;
                    match response.success {
                        true => heard.stored = Some(began.elapsed()),
                        false => heard.refused = 1,
                    }
                    return Some(heard);
                }
                RelayMessage::Error(_) => {
                    self.under_way.remove(&message.req_id);
                    heard.refused = 1;
                    return Some(heard);
                }
                RelayMessage::ConfirmationPush(list) => {
                    heard.confirmed += u64::try_from(list.len()).unwrap_or(0);
                    self.send(RelayClient::taken(message.req_id, Vec::new()));
                }
                _ => {}
            }
        }
    }

    pub(super) fn subscribe(&mut self) {
        let subscribe = Subscribe {
            after: Cursor::START,
            credit_items: 256,
            credit_bytes: 1024 * 1024,
        };
        if let Ok(message) = self.machine.subscribe(subscribe) {
            self.send(message);
        }
    }

    /// What has come: at least something, or nothing for a while.
    pub(super) async fn items(&mut self) -> Option<Came> {
        let mut came = Came::default();
        let mut event = match tokio::time::timeout(LOOK, self.events.recv()).await {
            Ok(event) => Some(event?),
            Err(_) => None,
        };
        while let Some(LinkEvent::Message { message, .. }) = event {
            let said = self.machine.handle(&message).ok()?;
            self.note(said, &mut came);
            event = match came.items.len() < MAX_LIST {
                true => self.events.try_recv().ok(),
                false => None,
            };
        }
        Some(came)
    }

    fn note(&mut self, said: Option<RelayEvent>, came: &mut Came) {
        let mut answered = |req_id, refused: Option<usize>| {
            let asked = self.confirming.remove(&req_id).unwrap_or(0);
            let refused = refused.unwrap_or(asked).min(asked);
            came.refused += refused as u64;
            came.settled += asked.saturating_sub(refused) as u64;
        };
        match said {
            Some(RelayEvent::Item(item)) => {
                let age = self.sent.age(item.message_id);
                came.items.push(LoadedItem { item, age });
            }
            Some(RelayEvent::Confirmed { req_id, refused }) => {
                answered(req_id, Some(refused.len()));
            }
            Some(RelayEvent::Refused { req_id, .. }) => answered(req_id, None),
            _ => {}
        }
    }

    /// Confirms, unless too much waits for its answer: then with what comes next.
    pub(super) fn confirm(&mut self, items: Vec<LoadedItem>) {
        let now = Clock::wall();
        let confirm = |LoadedItem { item, .. }: LoadedItem| {
            let hash = EnvelopeId::of(&item.encrypted_blob);
            Confirmation::sign(&self.own, item.sender, item.message_id, hash, now)
        };
        self.unsent.extend(items.into_iter().map(confirm));
        while !self.unsent.is_empty() && self.confirming.len() < MAX_CONFIRMING {
            let rest = self.unsent.split_off(self.unsent.len().min(MAX_LIST));
            let list = std::mem::replace(&mut self.unsent, rest);
            let count = list.len();
            let Ok(message) = self.machine.confirm(list) else {
                return;
            };
            self.confirming.insert(message.req_id, count);
            self.send(message);
        }
    }

    /// How many messages of its mailbox are left.
    pub(super) async fn left(&mut self) -> Option<usize> {
        let retrieve = Retrieve {
            identity: self.key(),
            after: Cursor::START,
            max_items: 64,
            max_bytes: 1_048_576,
            since: None,
        };
        let message = self.machine.retrieve(retrieve).ok()?;
        self.send(message);
        loop {
            match self.event(PATIENCE).await? {
                RelayEvent::Batch { batch, .. } => return Some(batch.messages.len()),
                RelayEvent::Refused { .. } => return None,
                _ => {}
            }
        }
    }
}

async fn next(events: &mut mpsc::Receiver<LinkEvent>, patience: Duration) -> Option<LinkEvent> {
    tokio::time::timeout(patience, events.recv()).await.ok()?
}
