//! Confirmations for senders of another relay, which is down for a while or for good.

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

/// A message to somebody, whose confirmation is for this relay.
fn answered_at(home: &Relay, to: &Peer) -> ToStore {
    ToStore {
        reply_relay: Some(ReplyRelay {
            relay: home.link().relay().into(),
            host: home.link().endpoint().host().to_owned(),
            port: home.link().endpoint().port(),
        }),
        ..to_store(to.key(), envelope())
    }
}

#[tokio::test]
async fn a_sender_that_comes_in_person_gets_what_its_own_relay_would_bring() {
    let relay = Relay::start().await;
    let mut home = Relay::start().await;
    home.stop().await;
    let mut ben = Peer::owner(relay.link()).await;
    ben.subscribe(Cursor::START, 32).await;
    let mut ann = Peer::sender(relay.link()).await;
    let parts = ann.own.to_parts();
    let confirm_one = async |ann: &mut Peer, ben: &mut Peer| {
        assert!(is_stored(&ann.store_this(answered_at(&home, ben)).await));
        let item = ben.item().await;
        let confirmation = ben.confirmation(&item);
        assert!(ben.confirm(vec![confirmation.clone()]).await.is_empty());
        confirmation
    };
    // there when it comes
    let first = confirm_one(&mut ann, &mut ben).await;
    assert_eq!(ann.confirmations().await, [first]);
    // and when it has come before
    let second = confirm_one(&mut ann, &mut ben).await;
    ann.leave().await;
    let own = SecretIdentity::from_parts(&parts).unwrap();
    let mut ann = Peer::registered(own, relay.link(), Role::Sender).await;
    assert_eq!(ann.confirmations().await, [second]);
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
    let store = answered_at(&home, &ben);
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
