//! Time limits over a stream in memory, with the clock under control.

use std::sync::Arc;

use sremp_core::{
    channel::{Admission, Channel, Event, Initiate, LocalIdentity, Service, VersionHeader},
    error::ErrorCode,
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    time::UnixMillis,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::{mpsc, watch},
    time::{Duration, Instant, sleep},
};

use crate::{
    AdmissionLimits, CloseReason, LinkCommand, LinkEvent, Message, Network, accept::inbound,
    clock::Clock, pump::Pump,
};

fn local(n: u8) -> Arc<LocalIdentity> {
    let name = Username::parse("someone").unwrap();
    let noise = NoiseSecret::from_bytes(&[n | 0x80; 32]);
    let secret = SecretIdentity::from_keys(&[n; 32], noise, &name, UnixMillis::ZERO);
    Arc::new(LocalIdentity::new(&secret))
}

/// A network with one inbound link whose other end is returned.
fn listener() -> (Network, mpsc::Receiver<LinkEvent>, DuplexStream) {
    let (sender, events) = mpsc::channel(16);
    let own = watch::channel(local(2)).1;
    let network = Network::new(own, sender, AdmissionLimits::CLIENT);
    let (near, far) = duplex(4096);
    let shared = network.shared().clone();
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    let permit = shared.gate.admit(address, shared.clock.now()).unwrap();
    let task = inbound(near, permit, shared, network.subscribe());
    tokio::spawn(task.run());
    (network, events, far)
}

async fn seconds_until_end(stream: &mut DuplexStream, begun: Instant) -> u64 {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    begun.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn case_05_a_silent_connection_is_dropped_after_5_s() {
    let (network, _events, mut far) = listener();
    let begun = Instant::now();
    assert_eq!(seconds_until_end(&mut far, begun).await, 5);
    assert_eq!(network.refused().get("TIMEOUT"), Some(&1));
}

#[tokio::test(start_paused = true)]
async fn case_05_a_byte_every_four_seconds_does_not_keep_it_open() {
    let (network, _events, mut far) = listener();
    let begun = Instant::now();
    for byte in b"SREMP" {
        if far.write_all(&[*byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_secs(4)).await;
    }
    seconds_until_end(&mut far, begun).await;
    assert_eq!(network.refused().get("TIMEOUT"), Some(&1));
}

/// The far end, opened by a pump that the test turns by hand.
async fn open(
    far: DuplexStream,
    events: &mut mpsc::Receiver<LinkEvent>,
) -> (Pump<DuplexStream>, crate::LinkHandle) {
    let clock = Clock::start();
    let config = Initiate {
        local: local(1),
        service: Service::P2p,
        expected: None,
        pinned_noise_key: None,
        intro: None,
        reassembly: Default::default(),
    };
    let channel = Channel::initiate(config, clock.now(), &mut rand::rng());
    let mut pump = Pump::new(far, channel, clock);
    let mut handle = None;
    while pump.channel.peer().is_none() || handle.is_none() {
        tokio::select! {
            stepped = pump.step(true) => stepped.unwrap(),
            event = events.recv() => match event.unwrap() {
                LinkEvent::Shown { answer, .. } => answer.send(Admission::Accept).unwrap(),
                LinkEvent::Opened { handle: h, .. } => handle = Some(h),
                other => panic!("{other:?}"),
            },
        }
        while let Some(event) = pump.channel.poll_event() {
            if matches!(event, Event::Shown { .. }) {
                let now = clock.now();
                pump.channel.handle_admission(now, Admission::Accept);
            }
        }
    }
    (pump, handle.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_is_given_up_after_30_s() {
    let (_network, mut events, far) = listener();
    let (_pump, handle) = open(far, &mut events).await;
    let begun = Instant::now();
    let body = vec![0x90; 50_000];
    let message = Message {
        msg_type: 1,
        req_id: 1,
        body,
    };
    handle.try_send(LinkCommand::Send(message)).unwrap();
    let Some(LinkEvent::Closed { reason, .. }) = events.recv().await else {
        panic!("closed");
    };
    assert_eq!(reason, CloseReason::Local(ErrorCode::Timeout));
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_drops_the_question_refuses_the_peer() {
    let (_network, mut events, far) = listener();
    let turn = open(far, &mut events);
    let error = tokio::time::timeout(Duration::from_secs(1), turn).await;
    assert!(error.is_ok(), "an answer opens");

    let (_network, mut events, far) = listener();
    let clock = Clock::start();
    let config = Initiate {
        local: local(1),
        service: Service::P2p,
        expected: None,
        pinned_noise_key: None,
        intro: None,
        reassembly: Default::default(),
    };
    let channel = Channel::initiate(config, clock.now(), &mut rand::rng());
    let mut pump = Pump::new(far, channel, clock);
    while !pump.is_done() {
        tokio::select! {
            stepped = pump.step(true) => stepped.unwrap(),
            event = events.recv() => drop(event),
        }
    }
    let closed = std::iter::from_fn(|| pump.channel.poll_event()).last();
    let Some(Event::Closed(sremp_core::channel::CloseReason::Peer(close))) = closed else {
        panic!("{closed:?}");
    };
    assert_eq!(close.known(), Some(ErrorCode::Refused));
}

#[tokio::test(start_paused = true)]
async fn when_the_last_handle_is_dropped_the_link_closes() {
    let (_network, mut events, far) = listener();
    let (mut pump, handle) = open(far, &mut events).await;
    drop(handle);
    while !pump.is_done() {
        pump.step(true).await.unwrap();
    }
    let Some(LinkEvent::Closed { reason, .. }) = events.recv().await else {
        panic!("closed");
    };
    assert_eq!(reason, CloseReason::Own(ErrorCode::GoingAway));
}

/// The far end dials, until it is open or has been closed.
async fn dial(far: DuplexStream, events: &mut mpsc::Receiver<LinkEvent>) -> bool {
    tokio::select! {
        _opened = open(far, events) => true,
        () = sleep(Duration::from_secs(60)) => false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_is_computed_in_its_turn_and_given_up_when_that_does_not_come() {
    let (network, mut events, far) = listener();
    let gate = network.shared().gate.clone();
    let held = gate.handshakes().acquire().await.unwrap();
    let begun = Instant::now();
    let releases = async {
        sleep(Duration::from_secs(3)).await;
        drop(held);
    };
    let dialled = async {
        let opened = dial(far, &mut events).await;
        opened.then(|| begun.elapsed().as_secs())
    };
    let ((), opened_at) = tokio::join!(releases, dialled);
    assert_eq!(opened_at, Some(3));
    assert_eq!(gate.handshakes().available_permits(), 1, "given back");

    let (network, _events, mut far) = listener();
    let gate = network.shared().gate.clone();
    let _held = gate.handshakes().acquire().await.unwrap();
    let begun = Instant::now();
    let header = VersionHeader::OWN.to_bytes();
    let flight = [header.as_slice(), &[32, 0], &[9; 32]].concat();
    far.write_all(&flight).await.unwrap();
    let mut said = Vec::new();
    far.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, [], "no answer was computed");
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert_eq!(network.refused().get("TIMEOUT"), Some(&1));
}
