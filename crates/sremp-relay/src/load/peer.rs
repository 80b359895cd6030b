//! One connection of the load generator.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use sremp_core::{
    channel::{LocalIdentity, Message},
    contact_card::RelayLink,
    id::{EnvelopeId, IdentityKey},
    identity::{SecretIdentity, Username},
    relay::{
        Capabilities, Confirmation, Cursor, MessageId, RelayClient, RelayEvent, RelayMessage, Role,
        StoredMessage, Subscribe, ToStore,
    },
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

pub(super) struct LoadPeer {
    own: SecretIdentity,
    machine: RelayClient,
    handle: LinkHandle,
    events: mpsc::Receiver<LinkEvent>,
    under_way: HashMap<u32, Instant>,
    _network: Network,
}

/// What a sender heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) stored: Option<Duration>,
    pub(super) confirmed: u64,
    pub(super) refused: u64,
}

/// A message in its reader's hands.
#[derive(Debug)]
pub(super) struct LoadedItem(StoredMessage);

impl LoadedItem {
    /// Since its sender wrote the time into it.
    pub(super) fn age(&self) -> Option<Duration> {
        let sent = self.0.encrypted_blob.first_chunk()?;
        let sent = u64::from_le_bytes(*sent);
        Some(Duration::from_micros(micros().saturating_sub(sent)))
    }
}

/// Microseconds of the calendar: sender and reader may be on two clocks of one machine.
fn micros() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(0))
}

impl LoadPeer {
    pub(super) async fn registered(link: &RelayLink, role: Role) -> Result<Self, LoadError> {
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
        let mut peer = Self {
            machine: RelayClient::new(own.id(), link.relay()),
            own,
            handle,
            events,
            under_way: HashMap::new(),
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

    /// Stores an envelope that nobody can open, with the time in its first bytes.
    pub(super) fn store(&mut self, recipient: IdentityKey, size: usize) {
        let mut envelope = vec![0; size];
        if let Some(head) = envelope.first_chunk_mut::<8>() {
            *head = micros().to_le_bytes();
        }
        if let Some(tail) = envelope.last_chunk_mut::<8>() {
            *tail = rand::random::<u64>().to_le_bytes();
        }
        let store = ToStore {
            recipient,
            envelope,
            message_id: MessageId::new(rand::random()),
            ttl: 86_400,
            reply_relay: None,
            intro: None,
        };
        if let Ok(message) = self.machine.store(&self.own, store) {
            self.under_way.insert(message.req_id, Instant::now());
            self.send(message);
        }
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
                    self.machine.forget(message.req_id);
                    let began = self.under_way.remove(&message.req_id)?;
                    match response.success {
                        true => heard.stored = Some(began.elapsed()),
                        false => heard.refused = 1,
                    }
                    return Some(heard);
                }
                RelayMessage::Error(_) => {
                    self.machine.forget(message.req_id);
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

    /// What has come: at least one item, or nothing for a while.
    pub(super) async fn items(&mut self) -> Option<Vec<LoadedItem>> {
        let mut items = Vec::new();
        let mut event = match tokio::time::timeout(LOOK, self.events.recv()).await {
            Ok(event) => Some(event?),
            Err(_) => None,
        };
        while let Some(LinkEvent::Message { message, .. }) = event {
            if let Some(RelayEvent::Item(item)) = self.machine.handle(&message).ok()? {
                items.push(LoadedItem(item));
            }
            event = match items.len() < MAX_LIST {
                true => self.events.try_recv().ok(),
                false => None,
            };
        }
        Some(items)
    }

    pub(super) fn confirm(&mut self, items: Vec<LoadedItem>) {
        let now = Clock::wall();
        let confirm = |LoadedItem(item): LoadedItem| {
            let hash = EnvelopeId::of(&item.encrypted_blob);
            Confirmation::sign(&self.own, item.sender, item.message_id, hash, now)
        };
        let list: Vec<_> = items.into_iter().map(confirm).collect();
        if list.is_empty() {
            return;
        }
        if let Ok(message) = self.machine.confirm(list) {
            self.send(message);
        }
    }
}

async fn next(events: &mut mpsc::Receiver<LinkEvent>, patience: Duration) -> Option<LinkEvent> {
    tokio::time::timeout(patience, events.recv()).await.ok()?
}
