//! Confirmations for senders of another relay, which is down for a while.

use std::time::Duration;

use sremp_core::{
    identity::SecretIdentity,
    relay::{Cursor, ReplyRelay, Role, ToStore},
};
use tokio::net::TcpListener;

use crate::{
    is_stored,
    peer::{Peer, envelope, to_store},
    relay::Relay,
    rogue::{Honest, skip},
};

const NOT_TAKEN: &str = "by another relay";

/// Somebody connects, and is sent away.
async fn knock(door: &TcpListener) {
    let knock = tokio::time::timeout(Duration::from_secs(20), door.accept());
    drop(knock.await.expect("dialled in time").unwrap());
}

#[tokio::test]
async fn a_confirmation_for_a_relay_that_is_down_is_tried_again_after_growing_pauses() {
    let relay = Relay::start().await;
    let mut honest = Honest::at(&relay).await;
    let mut home = Relay::start().await;
    let ann = Peer::owner(home.link()).await;
    let parts = ann.own.to_parts();
    let own = || SecretIdentity::from_parts(&parts).unwrap();
    ann.leave().await;
    home.stop().await;
    let door = TcpListener::bind(home.address()).await.unwrap();

    let mut ben = Peer::owner(relay.link()).await;
    ben.subscribe(Cursor::START, 32).await;
    let mut ann = Peer::registered(own(), relay.link(), Role::Sender).await;
    let store = ToStore {
        reply_relay: Some(ReplyRelay {
            relay: home.link().relay().into(),
            host: home.link().endpoint().host().to_owned(),
            port: home.link().endpoint().port(),
        }),
        ..to_store(ben.key(), envelope())
    };
    assert!(is_stored(&ann.store_this(store).await));
    let item = ben.item().await;
    let confirmation = ben.confirmation(&item);
    assert!(ben.confirm(vec![confirmation.clone()]).await.is_empty());

    // at once, then after 2 s, each time a quarter more or less, and then after twice as long
    knock(&door).await;
    relay.until_refused(NOT_TAKEN, 1).await;
    skip(Duration::from_millis(800)).await;
    honest.exchange().await;
    assert_eq!(relay.refused(NOT_TAKEN), 1, "too early");
    skip(Duration::from_secs(2)).await;
    knock(&door).await;
    relay.until_refused(NOT_TAKEN, 2).await;
    skip(Duration::from_millis(2_300)).await;
    honest.exchange().await;
    assert_eq!(relay.refused(NOT_TAKEN), 2, "too early");

    drop(door);
    home.restart().await;
    let mut ann = Peer::registered(own(), home.link(), Role::Owner).await;
    skip(Duration::from_secs(5)).await;
    assert_eq!(ann.confirmations().await, [confirmation]);
    assert_eq!(relay.refused(NOT_TAKEN), 2);
}
