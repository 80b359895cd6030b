//! A server and its guests over real sockets on loopback.
#![allow(missing_docs)]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sremp_core::{
    channel::HandshakeHash,
    error::ErrorCode,
    id::{ContactId, IntroToken},
    identity::{Identity, SecretIdentity, Username},
    key::NoiseSecret,
    time::UnixMillis,
};
use sremp_net::{
    Admission, AdmissionLimits, Arrival, CloseReason, DialTarget, Endpoint, Guest, LinkCommand,
    LinkEvent, LinkHandle, Listening, LocalIdentity, Message, Network, Serve, Service,
};
use tokio::sync::{mpsc, watch};

fn secret(n: u8) -> SecretIdentity {
    let name = Username::parse(&format!("user {n}")).unwrap();
    let noise = NoiseSecret::from_bytes(&[n | 0x80; 32]);
    SecretIdentity::from_keys(&[n; 32], noise, &name, UnixMillis::ZERO)
}

fn network(n: u8) -> (Network, mpsc::Receiver<LinkEvent>) {
    // the sender may go: links keep the last value
    let own = watch::channel(Arc::new(LocalIdentity::new(&secret(n)))).1;
    let (sender, events) = mpsc::channel(16);
    (Network::new(own, sender, AdmissionLimits::RELAY), events)
}

/// Says everything again; type 9 is more than it can bear.
struct Echo {
    banned: ContactId,
    guests: Arc<AtomicUsize>,
}

struct EchoGuest {
    handle: LinkHandle,
    binding: HandshakeHash,
    guests: Arc<AtomicUsize>,
}

impl Serve for Echo {
    type Guest = EchoGuest;
    const SERVICE: Service = Service::Relay;

    fn admit(&self, peer: &Identity, _: Option<&IntroToken>) -> Admission {
        if peer.id() == self.banned {
            return Admission::Close(ErrorCode::Refused);
        }
        Admission::Accept
    }

    fn open(&self, arrival: Arrival) -> Result<EchoGuest, ErrorCode> {
        if self.guests.fetch_add(1, Ordering::SeqCst) >= 2 {
            self.guests.fetch_sub(1, Ordering::SeqCst);
            return Err(ErrorCode::Busy);
        }
        Ok(EchoGuest {
            handle: arrival.handle,
            binding: arrival.channel_binding,
            guests: self.guests.clone(),
        })
    }
}

impl Guest for EchoGuest {
    fn handle(&mut self, mut message: Message) -> Result<(), ErrorCode> {
        match message.msg_type {
            9 => return Err(ErrorCode::ProtocolViolation),
            2 => message.body.extend_from_slice(self.binding.as_bytes()),
            _ => {}
        }
        let _ = self.handle.try_send(LinkCommand::Send(message));
        Ok(())
    }
}

impl Drop for EchoGuest {
    fn drop(&mut self) {
        self.guests.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Served {
    network: Network,
    listening: Listening,
    guests: Arc<AtomicUsize>,
    _events: mpsc::Receiver<LinkEvent>,
}

async fn serve() -> Served {
    let (network, events) = network(1);
    let guests = Arc::<AtomicUsize>::default();
    let echo = Echo {
        banned: secret(66).id(),
        guests: guests.clone(),
    };
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listening = network.serve(address, Arc::new(echo)).await.unwrap();
    Served {
        network,
        listening,
        guests,
        _events: events,
    }
}

impl Served {
    fn target(&self, service: Service) -> DialTarget {
        let port = self.listening.local_addr().port();
        DialTarget {
            expected: Some(secret(1).id()),
            service,
            ..DialTarget::at(Endpoint::new("127.0.0.1", port).unwrap())
        }
    }
}

async fn next(events: &mut mpsc::Receiver<LinkEvent>) -> LinkEvent {
    let event = tokio::time::timeout(Duration::from_secs(20), events.recv());
    event.await.expect("an event in time").expect("open")
}

async fn opened(events: &mut mpsc::Receiver<LinkEvent>) -> (LinkHandle, HandshakeHash) {
    loop {
        match next(events).await {
            LinkEvent::Shown { answer, .. } => answer.send(Admission::Accept).unwrap(),
            LinkEvent::Opened {
                handle,
                channel_binding,
                ..
            } => return (handle, channel_binding),
            other => panic!("{other:?}"),
        }
    }
}

async fn closed(events: &mut mpsc::Receiver<LinkEvent>) -> CloseReason {
    loop {
        match next(events).await {
            LinkEvent::Shown { answer, .. } => answer.send(Admission::Accept).unwrap(),
            LinkEvent::Closed { reason, .. } => return reason,
            _ => {}
        }
    }
}

fn message(msg_type: u16, len: usize) -> LinkCommand {
    let mut body = vec![0x90];
    body.resize(len, 7);
    LinkCommand::Send(Message {
        msg_type,
        req_id: 5,
        body,
    })
}

#[tokio::test]
async fn a_guest_answers_and_both_sides_know_the_connection_by_the_same_hash() {
    let served = serve().await;
    let (client, mut events) = network(2);
    client.dial(served.target(Service::Relay));
    let (handle, binding) = opened(&mut events).await;
    handle.try_send(message(1, 200_000)).unwrap();
    handle.try_send(message(2, 1)).unwrap();
    let mut echoed = Vec::new();
    while echoed.len() < 2 {
        if let LinkEvent::Message { message, .. } = next(&mut events).await {
            echoed.push(message);
        }
    }
    echoed.sort_by_key(|m| m.msg_type);
    assert_eq!(echoed[0].body.len(), 200_000);
    assert_eq!(&echoed[1].body[1..], binding.as_bytes());
}

#[tokio::test]
async fn whoever_is_not_admitted_or_asks_for_another_service_is_sent_away() {
    let served = serve().await;
    let refused = |code: ErrorCode, reason: &CloseReason| matches!(reason, CloseReason::Peer(close) if close.known() == Some(code));
    let (banned, mut events) = network(66);
    banned.dial(served.target(Service::Relay));
    let reason = closed(&mut events).await;
    assert!(refused(ErrorCode::Refused, &reason), "{reason:?}");
    let (person, mut events) = network(3);
    person.dial(served.target(Service::P2p));
    let reason = closed(&mut events).await;
    assert!(matches!(reason, CloseReason::Peer(_)), "{reason:?}");
    assert_eq!(served.guests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_third_connection_and_a_guest_that_errs_are_closed_with_the_code() {
    let served = serve().await;
    let mut clients = Vec::new();
    for n in 2..4 {
        let (client, mut events) = network(n);
        client.dial(served.target(Service::Relay));
        let (handle, _) = opened(&mut events).await;
        clients.push((client, events, handle));
    }
    let (third, mut events) = network(4);
    third.dial(served.target(Service::Relay));
    let reason = closed(&mut events).await;
    let busy = |close: &sremp_net::PeerClose| close.known() == Some(ErrorCode::Busy);
    assert!(
        matches!(&reason, CloseReason::Peer(close) if busy(close)),
        "{reason:?}"
    );

    let (_, events, handle) = &mut clients[0];
    handle.try_send(message(9, 1)).unwrap();
    let reason = closed(events).await;
    assert!(matches!(
        reason,
        CloseReason::Peer(close) if close.known() == Some(ErrorCode::ProtocolViolation)
    ));
    assert_eq!(served.network.refused().get("BUSY"), Some(&1));
    assert_eq!(served.network.refused().get("PROTOCOL_VIOLATION"), Some(&1));
}

#[tokio::test]
async fn what_was_answered_before_a_shutdown_still_arrives() {
    let served = serve().await;
    let (client, mut events) = network(2);
    client.dial(served.target(Service::Relay));
    let (handle, _) = opened(&mut events).await;
    handle.try_send(message(1, 100)).unwrap();
    loop {
        if let LinkEvent::Message { .. } = next(&mut events).await {
            break;
        }
    }
    served.network.shutdown(ErrorCode::GoingAway).await;
    let reason = closed(&mut events).await;
    assert!(matches!(
        reason,
        CloseReason::Peer(close) if close.known() == Some(ErrorCode::GoingAway)
    ));
    assert_eq!(served.guests.load(Ordering::SeqCst), 0, "the guest is gone");
}
