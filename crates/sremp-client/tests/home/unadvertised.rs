//! The built-in relay is there for its owner alone: whoever asks for it sees what is seen of a client
//! without one.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::support::*;
use sremp_client::{
    client::{Face, StartOptions},
    config::Config,
    home::{Home, Passphrase},
    view::{Command, IdView, Reply, StatusView},
};
use sremp_core::{
    channel::Service,
    contact_card::{CardContent, ContactCard},
    identity::{SecretIdentity, Username},
};
use sremp_net::{
    AdmissionLimits, CloseReason, DialTarget, LinkEvent, LocalIdentity, Network, clock::wall,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);
const CONTACT: u8 = 2;
const STRANGER: u8 = 3;

/// What a caller sees.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// How it ended; `None`: it was let in.
    end: Option<CloseReason>,
    /// Bytes that came before that.
    bytes: usize,
}

/// Somebody with a noise key of their own.
fn caller(n: u8) -> SecretIdentity {
    let name = Username::parse("caller").unwrap();
    SecretIdentity::generate(&name, at(0), &mut rng(n))
}

fn card_of(identity: &SecretIdentity) -> String {
    let content = CardContent {
        endpoints: vec!["127.0.0.1:9".parse().unwrap()],
        dial: true,
        ..CardContent::default()
    };
    ContactCard::issue(identity, content).unwrap().to_uri()
}

/// A client that listens and has one contact.
fn client(home: &Home, built_in_relay: bool) -> Face {
    let none = Passphrase::None;
    let config = Config {
        built_in_relay,
        rendezvous: Some(Vec::new()),
        ..Config::default()
    };
    home.create(&none, &config, &somebody(1), at(0), &mut rng(1))
        .unwrap();
    let options = StartOptions {
        listen: Some("127.0.0.1:0".to_owned()),
        online: true,
        resident: true,
        ..StartOptions::default()
    };
    let face = Face::start(home, &none, &options).unwrap();
    let add = Command::Add {
        who: card_of(&caller(CONTACT)),
        alias: Some("contact".to_owned()),
        despite_confusable: false,
    };
    face.call(&add).unwrap();
    face
}

fn status(face: &Face) -> StatusView {
    match face.call(&Command::Status) {
        Ok(Reply::Status(view)) => view,
        other => panic!("{other:?}"),
    }
}

fn id(face: &Face) -> IdView {
    match face.call(&Command::Id) {
        Ok(Reply::Id(view)) => view,
        other => panic!("{other:?}"),
    }
}

/// Passes one connection on, and tells how many bytes came back.
async fn pass_on(listener: TcpListener, to: SocketAddr) -> usize {
    let (caller, _) = listener.accept().await.unwrap();
    let called = TcpStream::connect(to).await.unwrap();
    let (mut from_caller, mut to_caller) = caller.into_split();
    let (mut from_called, mut to_called) = called.into_split();
    tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_caller, &mut to_called).await;
    });
    let (mut all, mut some) = (0, [0; 4096]);
    while let Ok(n @ 1..) = from_called.read(&mut some).await {
        all += n;
        if to_caller.write_all(&some[..n]).await.is_err() {
            break;
        }
    }
    all
}

async fn ask(listening: SocketAddr, who: u8, service: Service) -> Seen {
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = between.local_addr().unwrap();
    let passing = tokio::spawn(pass_on(between, listening));
    let own = watch::channel(Arc::new(LocalIdentity::new(&caller(who)))).1;
    let (events_in, mut events) = mpsc::channel(16);
    let network = Network::new(own, events_in, AdmissionLimits::CLIENT);
    let target = DialTarget {
        expected: Some(id_of(1)),
        service,
        ..DialTarget::at(place.to_string().parse().unwrap())
    };
    let _link = network.dial(target);
    let end = loop {
        match timeout(PATIENCE, events.recv()).await.expect("in time") {
            Some(LinkEvent::Shown { answer, .. }) => {
                answer.send(sremp_net::Admission::Accept).unwrap();
            }
            Some(LinkEvent::Opened { .. }) => break None,
            Some(LinkEvent::Closed { reason, .. }) => break Some(reason),
            other => panic!("{other:?}"),
        }
    };
    network
        .shutdown(sremp_core::error::ErrorCode::GoingAway)
        .await;
    let bytes = timeout(PATIENCE, passing).await.expect("in time").unwrap();
    Seen { end, bytes }
}

#[test]
fn case_14_who_asks_for_the_relay_service_sees_the_same_bytes_with_a_built_in_relay_or_without() {
    let directory = tempfile::tempdir().unwrap();
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let mut all = Vec::new();
    for on in [false, true] {
        let home = Home::at(directory.path().join(on.to_string()));
        let face = client(&home, on);
        assert_eq!(home.mailbox_path().exists(), on);
        let listening: SocketAddr = status(&face).listening.unwrap().parse().unwrap();
        let ask = |who, service| tokio.block_on(ask(listening, who, service));
        // it is there, and lets a contact in that asks for its owner
        assert_eq!(ask(CONTACT, Service::P2p).end, None);
        for who in [STRANGER, CONTACT] {
            all.push(ask(who, Service::Relay));
        }
        face.stop();
    }
    assert!(all[0].end.is_some(), "{all:?}");
    assert!(all.iter().all(|seen| *seen == all[0]), "{all:?}");
}

#[test]
fn nothing_tells_of_a_built_in_relay() {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::at(directory.path().join("home"));
    let face = client(&home, true);
    let card = ContactCard::parse(&id(&face).card, wall()).unwrap();
    assert!(card.content().relays.is_empty());
    assert!(status(&face).relays.is_empty());
    face.stop();
    let mut store = home.open(&home.lock().unwrap(), &Passphrase::None).unwrap();
    let own = commit(&mut store, |tx| tx.own_identity());
    let own = SecretIdentity::from_parts(&own).unwrap();
    assert!(!own.identity().flags().is_relay_server);
}
