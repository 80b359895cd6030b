//! What happens when everybody keeps to the rules.

use sremp_core::rendezvous::{RendezvousEvent, ServerRecord, ServerRecordDraft};

use super::world::*;

#[tokio::test]
async fn who_registers_is_found_also_after_the_server_was_started_again() {
    let server = Server::new().await;
    let alice = person(1);
    let signed = record(&alice, 5, &["127.0.0.1:33399"]);
    let done = server.client().await.register(&alice, &signed).await;
    assert!(is_registered(&done), "{done:?}");
    let server = server.restarted().await;
    let mut bob = server.client().await;
    let RendezvousEvent::Found { peer, .. } = bob.lookup(&alice).await else {
        panic!("she is registered")
    };
    assert_eq!(peer.record, signed);
    assert_eq!(peer.identity, *alice.identity());
    assert!(matches!(
        bob.lookup(&person(2)).await,
        RendezvousEvent::NotFound { .. }
    ));
    let older = server
        .client()
        .await
        .register(&alice, &record(&alice, 4, &["127.0.0.1:1024"]))
        .await;
    assert_eq!(
        refusal(&older),
        Some(sremp_core::error::ErrorCode::StaleSeq),
        "also the seq is kept"
    );
}

#[tokio::test]
async fn who_withdraws_is_not_found_any_more() {
    let server = Server::new().await;
    let alice = person(1);
    let mut client = server.client().await;
    client
        .register(&alice, &record(&alice, 5, &["127.0.0.1:33399"]))
        .await;
    let gone = client.register(&alice, &record(&alice, 6, &[])).await;
    assert!(is_registered(&gone), "{gone:?}");
    assert!(matches!(
        client.lookup(&alice).await,
        RendezvousEvent::NotFound { .. }
    ));
}

#[tokio::test]
async fn who_listens_elsewhere_is_dialled_back_and_has_to_be_there() {
    let server = Server::new().await;
    let (alice, bob) = (person(1), person(2));
    let there = listening(&alice).await;
    let at = there.at.to_string();
    let mut client = server.client().await;
    let done = client.register(&alice, &record(&alice, 5, &[&at])).await;
    assert!(is_registered(&done), "{done:?}");
    assert_eq!(server.counted("sremp_rendezvous_dialled_back_total"), 1);
    // somebody else's address
    let mut client = server.client().await;
    let refused = client.register(&bob, &record(&bob, 5, &[&at])).await;
    assert_eq!(
        refusal(&refused),
        Some(sremp_core::error::ErrorCode::Unreachable)
    );
    drop(there);
    let refused = client.register(&bob, &record(&bob, 6, &[&at])).await;
    assert_eq!(
        refusal(&refused),
        Some(sremp_core::error::ErrorCode::Unreachable)
    );
    assert!(matches!(
        client.lookup(&bob).await,
        RendezvousEvent::NotFound { .. }
    ));
}

#[tokio::test]
async fn those_who_are_listed_are_browsed_with_their_presence() {
    let server = Server::new().await;
    let mut online = server.client().await;
    online.register(&person(1), &listed(&person(1), 5)).await;
    let mut offline = server.client().await;
    offline.register(&person(2), &listed(&person(2), 5)).await;
    offline.tls.close().await;
    let mut alice = server.client().await;
    alice
        .register(&person(3), &record(&person(3), 5, &["127.0.0.1:33399"]))
        .await;
    let presence = tokio::time::timeout(HOUR / 180, async {
        loop {
            let ask = alice.machine.page(None).unwrap();
            let RendezvousEvent::Page {
                peers,
                refused,
                next,
                ..
            } = alice.ask(&ask).await
            else {
                panic!("a page")
            };
            assert_eq!((peers.len(), refused, next), (2, 0, None));
            let mut presence: Vec<_> = peers.iter().map(|p| (p.identity.id(), p.online)).collect();
            presence.sort_unstable();
            let there: Vec<_> = presence
                .iter()
                .filter(|(_, online)| *online == Some(true))
                .collect();
            // the server notices in its own time that a connection is over
            if there.len() == 1 {
                return there[0].0;
            }
        }
    });
    assert_eq!(presence.await.expect("in time"), person(1).id());
}

#[tokio::test]
async fn a_server_names_itself_first_and_then_those_it_was_told_of() {
    let server = Server::new().await;
    let mut client = server.client().await;
    let told = ServerRecord::sign(
        &person(7),
        ServerRecordDraft {
            endpoint: "127.0.0.1:443".parse().unwrap(),
            spki: None,
            issued: now(),
            ttl: HOUR,
        },
    )
    .unwrap();
    for _ in 0..2 {
        let ask = client.machine.servers(Some(&told)).unwrap();
        let RendezvousEvent::Servers { servers, .. } = client.ask(&ask).await else {
            panic!("servers")
        };
        assert_eq!(servers.len(), 2);
        assert_eq!(servers[0].server(), server.running.link().server);
        assert_eq!(servers[0].spki(), server.running.link().spki.as_ref());
        assert_eq!(servers[1], told);
    }
    let ask = client.machine.address().unwrap();
    let RendezvousEvent::Address { host, .. } = client.ask(&ask).await else {
        panic!("an address")
    };
    assert_eq!(host, "127.0.0.1");
}
