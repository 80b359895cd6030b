//! Links over real sockets on loopback.
#![allow(missing_docs)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use sremp_core::{
    channel::VersionHeader,
    error::ErrorCode,
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    time::UnixMillis,
};
use sremp_net::{
    Admission, AdmissionLimits, CloseReason, DialTarget, Endpoint, LinkCommand, LinkEvent,
    LinkHandle, LinkId, Listening, LocalIdentity, Message, Network, NotQueued,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{mpsc, watch},
};

fn secret(n: u8) -> SecretIdentity {
    let name = Username::parse(&format!("user {n}")).unwrap();
    let noise = NoiseSecret::from_bytes(&[n | 0x80; 32]);
    SecretIdentity::from_keys(&[n; 32], noise, &name, UnixMillis::ZERO)
}

struct Node {
    network: Network,
    events: mpsc::Receiver<LinkEvent>,
    identity: watch::Sender<Arc<LocalIdentity>>,
}

impl Node {
    fn new(n: u8) -> Self {
        let (identity, own) = watch::channel(Arc::new(LocalIdentity::new(&secret(n))));
        let (sender, events) = mpsc::channel(16);
        Self {
            network: Network::new(own, sender, AdmissionLimits::CLIENT),
            events,
            identity,
        }
    }

    async fn listening(n: u8) -> (Self, Listening) {
        let node = Self::new(n);
        let listening = node.network.listen(loopback(0)).await.unwrap();
        (node, listening)
    }

    async fn event(&mut self) -> LinkEvent {
        let event = tokio::time::timeout(Duration::from_secs(20), self.events.recv());
        event.await.expect("an event in time").expect("open")
    }

    /// Answers the next event, which is `Shown`.
    async fn shown(&mut self, admission: Admission) -> LinkId {
        match self.event().await {
            LinkEvent::Shown { link, answer, .. } => {
                answer.send(admission).unwrap();
                link
            }
            other => panic!("{other:?}"),
        }
    }

    async fn opened(&mut self) -> (LinkId, LinkHandle) {
        match self.event().await {
            LinkEvent::Opened { link, handle, .. } => (link, handle),
            other => panic!("{other:?}"),
        }
    }

    async fn message(&mut self) -> Message {
        match self.event().await {
            LinkEvent::Message { message, .. } => message,
            other => panic!("{other:?}"),
        }
    }

    async fn closed(&mut self) -> CloseReason {
        match self.event().await {
            LinkEvent::Closed { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn endpoint(host: &str, port: u16) -> Endpoint {
    Endpoint::new(host, port).unwrap()
}

fn target(listening: &Listening, n: u8) -> DialTarget {
    let peer = secret(n);
    DialTarget {
        expected: Some(peer.id()),
        pinned_noise_key: Some(peer.identity().noise_key()),
        ..DialTarget::at(endpoint("127.0.0.1", listening.local_addr().port()))
    }
}

fn message(n: u32, len: usize) -> Message {
    let mut body = vec![0xdc];
    body.resize(len, 7);
    Message {
        msg_type: 1,
        req_id: n,
        body,
    }
}

fn peer_code(reason: &CloseReason) -> Option<ErrorCode> {
    match reason {
        CloseReason::Peer(close) => close.known(),
        _ => None,
    }
}

#[tokio::test]
async fn two_people_talk_and_part() {
    let (mut bob, listening) = Node::listening(2).await;
    let mut alice = Node::new(1);
    let (link, handle) = alice.network.dial(target(&listening, 2));
    // queued before the link is open: it leaves with HELLO
    handle.try_send(LinkCommand::Send(message(1, 500))).unwrap();
    bob.shown(Admission::Accept).await;
    let (_, to_alice) = bob.opened().await;
    assert_eq!(bob.message().await, message(1, 500));
    alice.shown(Admission::Accept).await;
    assert_eq!(alice.opened().await.0, link);

    for n in 2..20 {
        let large = message(n, 200_000);
        to_alice.try_send(LinkCommand::Send(large.clone())).unwrap();
        assert_eq!(alice.message().await, large);
    }
    handle.try_send(LinkCommand::Probe).unwrap();
    assert!(matches!(alice.event().await, LinkEvent::Pong { .. }));

    let huge = message(99, 5 * 1024 * 1024);
    let refused = handle.try_send(LinkCommand::Send(huge));
    assert_eq!(refused, Err(NotQueued::TooLarge));
    handle.try_send(LinkCommand::Send(message(9, 9))).unwrap();
    let bye = LinkCommand::Close(ErrorCode::GoingAway);
    handle.try_send(bye).unwrap();
    assert_eq!(bob.message().await, message(9, 9), "flushed before CLOSE");
    let reason = bob.closed().await;
    assert_eq!(peer_code(&reason), Some(ErrorCode::GoingAway));
    assert_eq!(alice.closed().await, CloseReason::Own(ErrorCode::GoingAway));
}

#[tokio::test]
async fn case_01_bad_bytes_get_no_answer_and_are_counted() {
    let (bob, listening) = Node::listening(2).await;
    let header = VersionHeader::OWN.to_bytes();
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        [header.as_slice(), &[31, 0], &[1; 31]].concat(),
        [header.as_slice(), &[33, 0], &[1; 33]].concat(),
    ] {
        let mut stream = TcpStream::connect(listening.local_addr()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        // the end may come as a reset, since the rest was not read
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer, b"");
    }
    let refused = bob.network.refused();
    assert_eq!(refused.get("BAD_MAGIC"), Some(&1));
    assert_eq!(refused.get("FRAME_INVALID"), Some(&2));
}

#[tokio::test]
async fn case_05_the_fifth_half_open_connection_of_an_address_is_refused() {
    let (mut bob, listening) = Node::listening(2).await;
    let mut alice = Node::new(1);
    let (_, handle) = alice.network.dial(target(&listening, 2));
    bob.shown(Admission::Accept).await;
    let (_, _to_alice) = bob.opened().await;
    alice.shown(Admission::Accept).await;
    alice.opened().await;

    let mut idle = Vec::new();
    for _ in 0..4 {
        idle.push(TcpStream::connect(listening.local_addr()).await.unwrap());
    }
    let mut fifth = TcpStream::connect(listening.local_addr()).await.unwrap();
    let ended = fifth.read(&mut [0; 16]).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "closed without a byte");
    let refused = bob.network.refused();
    assert_eq!(refused["half-open connections of one address"], 1);
    handle.try_send(LinkCommand::Send(message(1, 10))).unwrap();
    assert_eq!(bob.message().await, message(1, 10), "others are unaffected");
}

#[tokio::test]
async fn case_06_whoever_answers_in_anothers_place_is_not_shown() {
    let (bob, listening) = Node::listening(2).await;
    let mut alice = Node::new(1);
    let unpinned = DialTarget {
        expected: Some(secret(3).id()),
        pinned_noise_key: None,
        ..target(&listening, 2)
    };
    alice.network.dial(unpinned);
    let reason = alice.closed().await;
    assert_eq!(peer_code(&reason), Some(ErrorCode::WrongPeer));
    assert_eq!(bob.network.refused().get("WRONG_PEER"), Some(&1));

    let pinned = DialTarget {
        pinned_noise_key: Some(secret(3).identity().noise_key()),
        ..target(&listening, 2)
    };
    alice.network.dial(pinned);
    let mismatch = CloseReason::Local(ErrorCode::StaticMismatch);
    assert_eq!(alice.closed().await, mismatch);
}

#[tokio::test]
async fn a_refused_peer_is_told_so_and_nothing_else() {
    let (mut bob, listening) = Node::listening(2).await;
    let mut alice = Node::new(1);
    alice.network.dial(target(&listening, 2));
    bob.shown(Admission::Close(ErrorCode::Refused)).await;
    assert_eq!(bob.closed().await, CloseReason::Own(ErrorCode::Refused));
    let reason = alice.closed().await;
    assert_eq!(peer_code(&reason), Some(ErrorCode::Refused));
}

#[tokio::test]
async fn a_port_in_use_is_told_in_words() {
    let (_bob, listening) = Node::listening(2).await;
    let alice = Node::new(1);
    let error = alice.network.listen(listening.local_addr()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("another program listens on"));
}

#[tokio::test]
async fn addresses_where_nobody_is_are_told_apart() {
    let (bob, listening) = Node::listening(2).await;
    let gone = target(&listening, 2);
    let address = listening.local_addr();
    drop(listening);
    // the port is free again once the listener's task is gone
    while TcpStream::connect(address).await.is_ok() {}
    drop(bob);
    let mut alice = Node::new(1);
    alice.network.dial(gone);
    let refused = CloseReason::Io(std::io::ErrorKind::ConnectionRefused);
    assert_eq!(alice.closed().await, refused);
    assert_eq!(refused.to_string(), "nobody listens at this address");
    alice.network.dial(DialTarget {
        endpoints: Vec::new(),
        ..DialTarget::at(endpoint("127.0.0.1", 1))
    });
    assert_eq!(alice.closed().await, CloseReason::NameNotFound);
}

#[tokio::test]
async fn case_25_an_address_inside_that_others_name_is_not_dialled_nor_a_name_that_means_one() {
    let (_bob, listening) = Node::listening(2).await;
    let mut alice = Node::new(1);
    let port = listening.local_addr().port();
    for host in [
        "127.0.0.1",
        "::ffff:127.0.0.1",
        "10.0.0.1",
        "fe80::1",
        "localhost",
    ] {
        alice.network.dial(DialTarget {
            endpoints: Vec::new(),
            claimed: vec![endpoint(host, port)],
            ..target(&listening, 2)
        });
        assert_eq!(alice.closed().await, CloseReason::PrivateAddress, "{host}");
    }
}

#[tokio::test]
async fn case_25_a_place_inside_beside_one_that_the_user_gave_is_left_out() {
    let inside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let port = inside.local_addr().unwrap().port();
    let mut alice = Node::new(1);
    // nobody listens at port 1: the race would go on to what is claimed at once
    alice.network.dial(DialTarget {
        claimed: vec![endpoint("127.0.0.1", port), endpoint("localhost", port)],
        ..DialTarget::at(endpoint("127.0.0.1", 1))
    });
    let refused = CloseReason::Io(std::io::ErrorKind::ConnectionRefused);
    assert_eq!(alice.closed().await, refused);
    let knocked = inside.accept().map(|_| ()).map_err(|e| e.kind());
    assert_eq!(knocked, Err(std::io::ErrorKind::WouldBlock));
}

#[tokio::test]
async fn a_race_over_dead_and_living_addresses_opens_one_link() {
    let mut bob = Node::new(2);
    let any = SocketAddr::from(([0, 0, 0, 0], 0));
    let listening = bob.network.listen(any).await.unwrap();
    let port = listening.local_addr().port();
    let mut alice = Node::new(1);
    let (_, handle) = alice.network.dial(DialTarget {
        endpoints: vec![
            endpoint("127.0.0.9", 1),
            endpoint("127.0.0.1", port),
            endpoint("127.0.0.2", port),
            endpoint("127.0.0.3", port),
        ],
        ..target(&listening, 2)
    });
    handle.try_send(LinkCommand::Send(message(1, 10))).unwrap();
    bob.shown(Admission::Accept).await;
    let (link, _to_alice) = bob.opened().await;
    alice.shown(Admission::Accept).await;
    alice.opened().await;
    assert_eq!(bob.message().await, message(1, 10));
    handle
        .try_send(LinkCommand::Close(ErrorCode::GoingAway))
        .unwrap();
    let last = bob.event().await;
    assert!(
        matches!(last, LinkEvent::Closed { link: l, .. } if l == link),
        "no second link was shown: {last:?}"
    );
}

#[tokio::test]
async fn shutting_down_closes_every_link_after_what_is_queued() {
    let (mut bob, listening) = Node::listening(2).await;
    let mut alice = Node::new(1);
    let (_, handle) = alice.network.dial(target(&listening, 2));
    bob.shown(Admission::Accept).await;
    let (_, _to_alice) = bob.opened().await;
    alice.shown(Admission::Accept).await;
    alice.opened().await;
    for n in 0..5 {
        handle
            .try_send(LinkCommand::Send(message(n, 1_000)))
            .unwrap();
    }
    let read = async {
        let mut messages = 0;
        loop {
            match bob.event().await {
                LinkEvent::Message { .. } => messages += 1,
                LinkEvent::Closed { reason, .. } => return (messages, reason),
                other => panic!("{other:?}"),
            }
        }
    };
    let shutdown = alice.network.shutdown(ErrorCode::GoingAway);
    let ((messages, reason), ()) = tokio::join!(read, shutdown);
    assert_eq!(messages, 5);
    assert_eq!(peer_code(&reason), Some(ErrorCode::GoingAway));
    assert_eq!(alice.closed().await, CloseReason::Own(ErrorCode::GoingAway));
    alice.network.dial(target(&listening, 2));
    assert_eq!(alice.closed().await, CloseReason::Own(ErrorCode::GoingAway));
}

#[tokio::test]
async fn a_rotated_key_takes_effect_for_the_next_link() {
    let (mut bob, listening) = Node::listening(2).await;
    let rotated = secret(2)
        .with_noise_key(NoiseSecret::from_bytes(&[0x77; 32]), UnixMillis::ZERO)
        .unwrap();
    bob.identity
        .send_replace(Arc::new(LocalIdentity::new(&rotated)));
    let mut alice = Node::new(1);
    alice.network.dial(target(&listening, 2));
    let mismatch = CloseReason::Local(ErrorCode::StaticMismatch);
    assert_eq!(alice.closed().await, mismatch, "the old key is pinned");
    alice.network.dial(DialTarget {
        pinned_noise_key: Some(rotated.identity().noise_key()),
        ..target(&listening, 2)
    });
    bob.shown(Admission::Accept).await;
    alice.shown(Admission::Accept).await;
}
