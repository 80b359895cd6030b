//! Relays that a sender names to have this one knock there: protocol 11, case 25.

use sremp_core::relay::{Cursor, ReplyRelay, ToStore};
use tokio::net::TcpListener;

use crate::{
    is_stored,
    peer::{Peer, envelope, someone, to_store},
    relay::{Relay, open_config},
    rogue::Honest,
};

#[tokio::test]
async fn case_25_addresses_inside_are_never_dialled_whoever_names_them() {
    let mut config = open_config();
    config.allow_private_addresses = false;
    let relay = Relay::with(config).await;
    let mut ben = Peer::owner(relay.link()).await;
    let mut ann = Peer::sender(relay.link()).await;
    ben.subscribe(Cursor::START, 32).await;
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = door.local_addr().unwrap().port();
    let inside = [
        ("127.0.0.1", port),
        ("::ffff:127.0.0.1", port),
        ("::1", port),
        ("localhost", port),
        ("0.0.0.0", port),
        ("10.0.0.1", 33_399),
        ("::ffff:10.0.0.1", 33_399),
        ("fe80::1", 33_399),
        ("169.254.169.254", 80),
        ("9.9.9.9", 25),
    ];
    for (n, (host, port)) in inside.into_iter().enumerate() {
        let reply = ReplyRelay {
            relay: someone().id().into(),
            host: host.to_owned(),
            port,
        };
        assert!(reply.endpoint().is_some(), "{host} is an address");
        let store = ToStore {
            reply_relay: Some(reply),
            ..to_store(ben.key(), envelope())
        };
        assert!(is_stored(&ann.store_this(store).await));
        let item = ben.item().await;
        let confirmation = ben.confirmation(&item);
        assert!(ben.confirm(vec![confirmation]).await.is_empty());
        relay
            .until_refused("address of another relay", n as u64 + 1)
            .await;
        assert_eq!(ann.confirmations().await.len(), 1, "told in person");
    }
    Honest::at(&relay).await.exchange().await;
    tokio::select! {
        biased;
        knock = door.accept() => panic!("dialled: {knock:?}"),
        () = std::future::ready(()) => {}
    }
}
