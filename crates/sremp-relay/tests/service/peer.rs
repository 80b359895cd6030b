//! Somebody who speaks with a relay over a real socket.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicU8, atomic::Ordering},
    time::Duration,
};

use sremp_core::{
    channel::{HandshakeHash, LocalIdentity, Message},
    id::{EnvelopeId, IdentityKey},
    identity::{SecretIdentity, Username},
    relay::{
        Capabilities, Confirmation, Cursor, MessageId, RelayClient, RelayEvent, Role,
        StoredMessage, Subscribe, ToStore,
    },
    time::UnixMillis,
};
use sremp_net::{
    Admission, AdmissionLimits, DialTarget, LinkCommand, LinkEvent, LinkHandle, Network, Service,
};
use sremp_relay::run::RelayLink;
use tokio::sync::{mpsc, watch};

/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A new identity, different from all others of the test.
pub(crate) fn someone() -> SecretIdentity {
    let name = Username::parse("someone").unwrap();
    SecretIdentity::generate(&name, now(), &mut rand::rng())
}

pub(crate) fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixMillis::saturating(since.unwrap().as_millis() as u64)
}

/// One connection.
pub(crate) struct Peer {
    pub(crate) own: SecretIdentity,
    pub(crate) machine: RelayClient,
    pub(crate) h: HandshakeHash,
    handle: LinkHandle,
    network: Network,
    events: mpsc::Receiver<LinkEvent>,
    waiting: VecDeque<RelayEvent>,
}

impl Peer {
    /// Connects, without registering.
    pub(crate) async fn connect(own: SecretIdentity, link: &RelayLink) -> Self {
        let local = watch::channel(Arc::new(LocalIdentity::new(&own))).1;
        let (sender, mut events) = mpsc::channel(64);
        let network = Network::new(local, sender, AdmissionLimits::CLIENT);
        network.dial(DialTarget {
            expected: Some(link.relay()),
            service: Service::Relay,
            ..DialTarget::at(link.endpoint().clone())
        });
        let (handle, h) = loop {
            match next(&mut events).await {
                LinkEvent::Shown { answer, .. } => answer.send(Admission::Accept).unwrap(),
                LinkEvent::Opened {
                    handle,
                    channel_binding,
                    ..
                } => break (handle, channel_binding),
                other => panic!("{other:?}"),
            }
        };
        Self {
            machine: RelayClient::new(own.id(), link.relay()),
            own,
            h,
            handle,
            network,
            events,
            waiting: VecDeque::new(),
        }
    }

    /// Connects and registers.
    pub(crate) async fn registered(own: SecretIdentity, link: &RelayLink, role: Role) -> Self {
        let mut peer = Self::connect(own, link).await;
        let event = peer.register(role, link.invite().map(<[u8]>::to_vec)).await;
        assert!(matches!(event, RelayEvent::Granted(_)), "{event:?}");
        peer
    }

    pub(crate) async fn owner(link: &RelayLink) -> Self {
        Self::registered(someone(), link, Role::Owner).await
    }

    pub(crate) async fn sender(link: &RelayLink) -> Self {
        Self::registered(someone(), link, Role::Sender).await
    }

    pub(crate) fn key(&self) -> IdentityKey {
        self.own.id().into()
    }

    pub(crate) async fn register(&mut self, role: Role, invite: Option<Vec<u8>>) -> RelayEvent {
        let message = self
            .machine
            .register(&self.own, &self.h, role, wished(), invite)
            .unwrap();
        self.ask(message).await
    }

    pub(crate) fn send(&self, message: Message) {
        self.handle.try_send(LinkCommand::Send(message)).unwrap();
    }

    /// Sends a request and waits for the next thing that the relay says.
    pub(crate) async fn ask(&mut self, message: Message) -> RelayEvent {
        self.send(message);
        self.event().await
    }

    /// The next thing that the relay says.
    pub(crate) async fn event(&mut self) -> RelayEvent {
        if let Some(event) = self.waiting.pop_front() {
            return event;
        }
        loop {
            match next(&mut self.events).await {
                LinkEvent::Message { message, .. } => {
                    if let Some(event) = self.machine.handle(&message).unwrap() {
                        return event;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Whether the relay says anything, by asking for something else afterwards: answers come in
    /// order.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        let message = self.machine.prekey_get(self.key(), None).unwrap();
        let asked = message.req_id;
        let event = self.ask(message).await;
        match event {
            RelayEvent::Refused { req_id, .. } | RelayEvent::Bundle { req_id, .. }
                if req_id == asked =>
            {
                true
            }
            event => {
                self.waiting.push_back(event);
                false
            }
        }
    }

    pub(crate) async fn store(&mut self, recipient: IdentityKey, envelope: Vec<u8>) -> RelayEvent {
        let store = to_store(recipient, envelope);
        self.store_this(store).await
    }

    pub(crate) async fn store_this(&mut self, store: ToStore) -> RelayEvent {
        let message = self.machine.store(&self.own, store).unwrap();
        self.ask(message).await
    }

    pub(crate) async fn subscribe(&mut self, after: Cursor, items: u16) {
        let subscribe = Subscribe {
            after,
            credit_items: items,
            credit_bytes: 1024 * 1024,
        };
        let message = self.machine.subscribe(subscribe).unwrap();
        self.send(message);
    }

    /// The next event, which is an item.
    pub(crate) async fn item(&mut self) -> StoredMessage {
        match self.event().await {
            RelayEvent::Item(item) => item,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn confirmation(&self, item: &StoredMessage) -> Confirmation {
        let hash = EnvelopeId::of(&item.encrypted_blob);
        Confirmation::sign(&self.own, item.sender, item.message_id, hash, now())
    }

    /// Confirms items; places of those that the relay refuses.
    pub(crate) async fn confirm(&mut self, list: Vec<Confirmation>) -> Vec<u16> {
        let message = self.machine.confirm(list).unwrap();
        match self.ask(message).await {
            RelayEvent::Confirmed { refused, .. } => refused,
            other => panic!("{other:?}"),
        }
    }

    /// The next event, which is confirmations; they are acknowledged.
    pub(crate) async fn confirmations(&mut self) -> Vec<Confirmation> {
        match self.event().await {
            RelayEvent::Confirmations {
                req_id,
                confirmations,
                refused,
            } => {
                self.send(RelayClient::taken(req_id, refused));
                confirmations
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn leave(self) {
        self.network
            .shutdown(sremp_core::error::ErrorCode::GoingAway)
            .await;
    }
}

async fn next(events: &mut mpsc::Receiver<LinkEvent>) -> LinkEvent {
    let event = tokio::time::timeout(PATIENCE, events.recv()).await;
    event.expect("an event in time").expect("open")
}

pub(crate) const fn wished() -> Capabilities {
    Capabilities {
        max_message_size: 61_440,
        max_storage_duration: 1_209_600,
    }
}

/// An envelope of 1 KiB, different from all others.
pub(crate) fn envelope() -> Vec<u8> {
    static COUNT: AtomicU8 = AtomicU8::new(0);
    let mut envelope = vec![COUNT.fetch_add(1, Ordering::Relaxed); 1_024];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut envelope[..32]);
    envelope
}

pub(crate) fn to_store(recipient: IdentityKey, envelope: Vec<u8>) -> ToStore {
    ToStore {
        recipient,
        envelope,
        message_id: MessageId::new(rand::random()),
        ttl: 3_600,
        reply_relay: None,
        intro: None,
    }
}
