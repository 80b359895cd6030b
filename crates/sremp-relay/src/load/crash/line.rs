//! A connection of somebody who has had others before.

use std::{sync::Arc, time::Duration};

use sremp_core::{
    channel::{HandshakeHash, LocalIdentity, Message},
    contact_card::RelayLink,
    identity::{SecretIdentity, Username},
    relay::{Capabilities, RelayClient, RelayEvent, Role},
};
use sremp_net::{
    Admission, AdmissionLimits, DialTarget, LinkCommand, LinkEvent, LinkHandle, Network, Service,
};
use tokio::sync::{mpsc, watch};

use crate::clock::Clock;

/// The longest wait for anything that the relay says.
const PATIENCE: Duration = Duration::from_secs(10);
/// Events of a connection that wait.
const EVENTS: usize = 1_024;

/// A new identity.
pub(super) fn somebody() -> SecretIdentity {
    #[allow(clippy::expect_used, reason = "a fixed name that is valid")]
    let name = Username::parse("load").expect("a valid name");
    SecretIdentity::generate(&name, Clock::wall(), &mut rand::rng())
}

/// A connection that is registered.
pub(super) struct Line {
    pub(super) machine: RelayClient,
    handle: LinkHandle,
    events: mpsc::Receiver<LinkEvent>,
    _network: Network,
}

impl Line {
    /// Connects and registers; `None` if the relay is not there, or goes meanwhile.
    pub(super) async fn open(own: &SecretIdentity, link: &RelayLink, role: Role) -> Option<Self> {
        let local = watch::channel(Arc::new(LocalIdentity::new(own))).1;
        let (sender, mut events) = mpsc::channel(EVENTS);
        let network = Network::new(local, sender, AdmissionLimits::CLIENT);
        network.dial(DialTarget {
            expected: Some(link.relay()),
            service: Service::Relay,
            ..DialTarget::at(link.endpoint().clone())
        });
        let (handle, h) = opened(&mut events).await?;
        let mut line = Self {
            machine: RelayClient::new(own.id(), link.relay()),
            handle,
            events,
            _network: network,
        };
        line.register(own, &h, role, link.invite()).await?;
        Some(line)
    }

    async fn register(
        &mut self,
        own: &SecretIdentity,
        h: &HandshakeHash,
        role: Role,
        invite: Option<&[u8]>,
    ) -> Option<()> {
        let wished = Capabilities {
            max_message_size: 61_440,
            max_storage_duration: 1_209_600,
        };
        let invite = invite.map(<[u8]>::to_vec);
        let register = self.machine.register(own, h, role, wished, invite);
        self.send(register.ok()?);
        match self.event().await? {
            RelayEvent::Granted(_) => Some(()),
            _ => None,
        }
    }

    pub(super) fn send(&self, message: Message) {
        // a connection that is full or gone is seen by the missing answer
        let _ = self.handle.try_send(LinkCommand::Send(message));
    }

    /// The next thing that the relay says; `None` when the connection is lost.
    pub(super) async fn event(&mut self) -> Option<RelayEvent> {
        loop {
            let event = self.events.recv();
            let event = tokio::time::timeout(PATIENCE, event).await.ok()??;
            if let Some(said) = self.meaning(event)? {
                return Some(said);
            }
        }
    }

    /// As [`Self::event`], if it has come already.
    pub(super) fn event_at_hand(&mut self) -> Option<RelayEvent> {
        loop {
            let event = self.events.try_recv().ok()?;
            if let Some(said) = self.meaning(event)? {
                return Some(said);
            }
        }
    }

    /// `None` ends the connection.
    fn meaning(&mut self, event: LinkEvent) -> Option<Option<RelayEvent>> {
        match event {
            LinkEvent::Message { message, .. } => self.machine.handle(&message).ok(),
            LinkEvent::Pong { .. } => Some(None),
            _ => None,
        }
    }
}

async fn opened(events: &mut mpsc::Receiver<LinkEvent>) -> Option<(LinkHandle, HandshakeHash)> {
    loop {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await;
        match event.ok()?? {
            LinkEvent::Shown { answer, .. } => {
                let _ = answer.send(Admission::Accept);
            }
            LinkEvent::Opened {
                handle,
                channel_binding,
                ..
            } => return Some((handle, channel_binding)),
            _ => return None,
        }
    }
}
