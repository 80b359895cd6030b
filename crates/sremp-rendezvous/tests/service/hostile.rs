//! What a server refuses, with the code of chapter 10, and counts.

use serde_bytes::ByteBuf;
use sremp_core::{
    contact_card::RelayHint,
    error::ErrorCode,
    rendezvous::{
        Record, RecordDraft, Register, RendezvousEvent, RendezvousMessage, ServerRecord,
        ServerRecordDraft, proof,
    },
    time::UnixMillis,
};
use tokio::net::{TcpListener, TcpStream};

use super::world::*;

#[tokio::test]
async fn case_21_a_registration_that_is_replayed_or_forwarded_on_another_connection_is_refused() {
    let server = Server::new().await;
    let alice = person(1);
    let signed = record(&alice, 5, &["127.0.0.1:33399"]);
    let mut first = server.client().await;
    let captured = first.machine.register(&alice, &signed).unwrap();
    let mut second = server.client().await;
    // so that the answer is one to something
    let own = second.machine.register(&alice, &signed).unwrap();
    assert_eq!(own.req_id, captured.req_id);
    let refused = second.ask(&captured).await;
    assert_eq!(refusal(&refused), Some(ErrorCode::BadProof));
    assert_eq!(server.refused(ErrorCode::BadProof), 1);
    assert!(matches!(
        second.lookup(&alice).await,
        RendezvousEvent::NotFound { .. }
    ));
    let good = first.ask(&captured).await;
    assert!(is_registered(&good), "{good:?}");
}

#[tokio::test]
async fn case_21_a_registration_by_somebody_else_or_of_nobody_is_refused() {
    let server = Server::new().await;
    let (alice, mallory) = (person(1), person(2));
    let mut client = server.client().await;
    let exporter = *client.tls.exporter();
    let (hers, his) = (
        record(&alice, 5, &["127.0.0.1:33399"]),
        record(&mallory, 5, &["127.0.0.1:33399"]),
    );
    let register = |identity: &[u8], record: &Record, by: &_| Register {
        identity: ByteBuf::from(identity),
        record: ByteBuf::from(record.as_bytes()),
        signature: *record.signature(),
        proof: proof::sign(by, &exporter, record),
    };
    let mut unsigned = register(alice.identity().as_bytes(), &hers, &alice);
    unsigned.proof = sremp_core::signature::Signature::new([0; 64]);
    for forged in [
        register(alice.identity().as_bytes(), &hers, &mallory),
        register(alice.identity().as_bytes(), &his, &mallory),
        register(mallory.identity().as_bytes(), &hers, &mallory),
        unsigned,
    ] {
        let ask = client.machine.lookup(alice.id(), None).unwrap();
        let message = RendezvousMessage::Register(forged).to_message(ask.req_id);
        client.tls.send(&message).await.unwrap();
        let answer = client.tls.next().await.unwrap();
        let Ok(RendezvousMessage::RegisterResponse(response)) = RendezvousMessage::decode(&answer)
        else {
            panic!("{answer:?}")
        };
        assert_eq!(response.error, Some(ErrorCode::BadProof.to_u16()));
        client
            .machine
            .handle(
                &RendezvousMessage::Error(ErrorCode::Busy.into()).to_message(ask.req_id),
                now(),
            )
            .unwrap();
    }
    assert_eq!(server.refused(ErrorCode::BadProof), 4);
    assert_eq!(server.counted("sremp_rendezvous_keys"), 0);
}

#[tokio::test]
async fn a_record_of_another_time_is_refused() {
    let server = Server::new().await;
    let alice = person(1);
    let mut client = server.client().await;
    let ahead = UnixMillis::saturating(now().get() + 600_000);
    for issued in [UnixMillis::saturating(1_760_000_000_000), ahead] {
        let draft = RecordDraft {
            issued,
            ..draft(5, &["127.0.0.1:33399"])
        };
        let refused = client
            .register(&alice, &Record::sign(&alice, draft).unwrap())
            .await;
        assert_eq!(refusal(&refused), Some(ErrorCode::Expired));
    }
    assert_eq!(server.refused(ErrorCode::Expired), 2);
}

#[tokio::test]
async fn case_25_places_inside_are_not_registered_and_nobody_knocks_there() {
    let server = Server::with("allow_private_addresses = false").await;
    let (alice, target) = (person(1), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let at = target.local_addr().unwrap();
    let mut client = server.client().await;
    let mut seq = 5;
    for inside in [
        format!("127.0.0.1:{}", at.port()),
        format!("localhost:{}", at.port()),
        format!("[::ffff:127.0.0.1]:{}", at.port()),
        "10.0.0.1:33399".to_owned(),
        "[fe80::1]:33399".to_owned(),
        "224.0.0.1:33399".to_owned(),
        "9.9.9.9:25".to_owned(),
        "mail.example:25".to_owned(),
    ] {
        seq += 1;
        let refused = client
            .register(&alice, &record(&alice, seq, &[&inside]))
            .await;
        assert_eq!(refusal(&refused), Some(ErrorCode::NotAllowed), "{inside}");
    }
    assert_eq!(server.refused(ErrorCode::NotAllowed), 8);
    let own = TcpStream::connect(at).await.unwrap();
    let (_, first) = target.accept().await.unwrap();
    assert_eq!(first, own.local_addr().unwrap(), "nobody came before");
    // a relay is named and not dialled
    let relay = RelayHint {
        relay: person(9).id(),
        endpoint: "relay.example:33399".parse().unwrap(),
        priority: 0,
    };
    let by_relay = RecordDraft {
        relays: vec![relay],
        ..draft(50, &[])
    };
    let done = client
        .register(&alice, &Record::sign(&alice, by_relay).unwrap())
        .await;
    assert!(is_registered(&done), "{done:?}");
    assert!(matches!(
        client.lookup(&alice).await,
        RendezvousEvent::Found { .. }
    ));
}

#[tokio::test]
async fn whoever_registers_too_often_waits() {
    let server = Server::with("allow_private_addresses = true\n[rates]\n").await;
    let alice = person(1);
    let mut client = server.client().await;
    for seq in 1..=5 {
        let done = client
            .register(&alice, &record(&alice, seq, &["127.0.0.1:33399"]))
            .await;
        assert!(is_registered(&done), "{seq}: {done:?}");
    }
    let sixth = client
        .register(&alice, &record(&alice, 6, &["127.0.0.1:33399"]))
        .await;
    let RendezvousEvent::Refused { retry_after_s, .. } = sixth else {
        panic!("{sixth:?}")
    };
    assert_eq!(refusal(&sixth), Some(ErrorCode::RateLimited));
    assert!((1..=13).contains(&retry_after_s), "{retry_after_s}");
    assert_eq!(server.refused(ErrorCode::RateLimited), 1);
}

#[tokio::test]
async fn nobody_browses_who_is_not_registered_and_no_one_where_it_is_turned_off() {
    let server = Server::new().await;
    let mut client = server.client().await;
    let ask = client.machine.page(None).unwrap();
    let refused = client.ask(&ask).await;
    assert_eq!(refusal(&refused), Some(ErrorCode::NotAllowed));
    let server = Server::with("browse = false\nallow_private_addresses = true").await;
    let mut client = server.client().await;
    client.register(&person(1), &listed(&person(1), 5)).await;
    let ask = client.machine.page(None).unwrap();
    let refused = client.ask(&ask).await;
    assert_eq!(refusal(&refused), Some(ErrorCode::NotAllowed));
}

#[tokio::test]
async fn a_body_that_is_not_exact_ends_the_connection_with_a_word() {
    let server = Server::new().await;
    let mut client = server.client().await;
    let mut bad = client.machine.address().unwrap();
    bad.body = vec![0x91, 0xc0];
    client.tls.send(&bad).await.unwrap();
    let last = client.tls.next().await.unwrap();
    let verdict = client.machine.handle(&last, now());
    assert_eq!(verdict, Err(ErrorCode::ProtocolViolation));
    assert!(client.tls.next().await.is_err());
    assert_eq!(server.refused(ErrorCode::ProtocolViolation), 1);
}

#[tokio::test]
async fn gossip_of_many_servers_leaves_eight_of_an_address() {
    let server = Server::new().await;
    let mut client = server.client().await;
    let mut last = 0;
    for seed in 100..120 {
        let told = ServerRecordDraft {
            endpoint: format!("127.0.0.1:{seed}").parse().unwrap(),
            spki: None,
            issued: now(),
            ttl: HOUR,
        };
        let told = ServerRecord::sign(&person(seed), told).unwrap();
        let ask = client.machine.servers(Some(&told)).unwrap();
        let RendezvousEvent::Servers { servers, .. } = client.ask(&ask).await else {
            panic!("servers")
        };
        last = servers.len();
    }
    assert_eq!(last, 1 + 8);
    assert_eq!(
        server.counted("sremp_rendezvous_candidates_refused_total"),
        12
    );
}

#[tokio::test]
async fn a_server_that_is_not_where_it_says_is_not_named() {
    let server = Server::new().await;
    let mut client = server.client().await;
    for elsewhere in ["9.9.9.9:443", "[2606:4700::1]:443", "nowhere.invalid:443"] {
        let told = ServerRecordDraft {
            endpoint: elsewhere.parse().unwrap(),
            spki: None,
            issued: now(),
            ttl: HOUR,
        };
        let told = ServerRecord::sign(&person(100), told).unwrap();
        let ask = client.machine.servers(Some(&told)).unwrap();
        let RendezvousEvent::Servers { servers, .. } = client.ask(&ask).await else {
            panic!("servers")
        };
        assert_eq!(servers.len(), 1, "{elsewhere}");
    }
    let refused = server.counted("sremp_rendezvous_candidates_refused_total");
    assert_eq!(refused, 3);
}

#[tokio::test]
async fn a_full_server_takes_renewals_and_nobody_new() {
    let server = Server::with("allow_private_addresses = true\nmax_registrations = 1").await;
    let here = ["127.0.0.1:33399"];
    let mut alice = server.client().await;
    assert!(is_registered(
        &alice
            .register(&person(1), &record(&person(1), 5, &here))
            .await
    ));
    let mut bob = server.client().await;
    let refused = bob
        .register(&person(2), &record(&person(2), 5, &here))
        .await;
    assert_eq!(refusal(&refused), Some(ErrorCode::Full));
    assert!(is_registered(
        &alice
            .register(&person(1), &record(&person(1), 6, &here))
            .await
    ));
}
