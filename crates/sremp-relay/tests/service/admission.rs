//! Who is let in how often, and who is not any more.

use std::time::Duration;

use sremp_core::{
    channel::Message, error::ErrorCode, identity::SecretIdentity, relay::RelayMessage,
};
use sremp_relay::load::raw::{RawConnection, SECOND_FLIGHT, first_flight, hello};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    peer::someone,
    relay::{Relay, open_config, strict_config},
    rogue::{Honest, assert_closed, connect_from, hear, say, skip, until_end},
};

fn message(msg_type: u16) -> Message {
    Message {
        msg_type,
        req_id: 1,
        body: vec![0x90],
    }
}

async fn open_from(relay: &Relay, host: u8, own: &SecretIdentity) -> RawConnection {
    let stream = connect_from(relay, host).await;
    let raw = RawConnection::open(stream, own, relay.link().relay()).await;
    raw.unwrap()
}

/// Comes in, and breaks the protocol: a store that is none.
async fn violate(relay: &Relay, host: u8, own: &SecretIdentity) {
    let mut raw = open_from(relay, host, own).await;
    say(&mut raw, &message(0x0110)).await;
    assert_closed(&mut raw, ErrorCode::ProtocolViolation, "malformed").await;
}

/// What a connection is told that shows an identity.
async fn assert_refused(relay: &Relay, host: u8, own: &SecretIdentity) {
    let stream = connect_from(relay, host).await;
    let mut raw = RawConnection::shake(stream, own.noise_key()).await.unwrap();
    let hello = hello(own.identity().as_bytes(), Some(relay.link().relay()));
    raw.say(0x07, &hello.encode()).await.unwrap();
    assert_closed(&mut raw, ErrorCode::Refused, "banned").await;
}

#[tokio::test]
async fn whoever_breaks_the_protocol_is_not_let_in_for_ten_minutes_wherever_it_comes_from() {
    let relay = Relay::with(strict_config()).await;
    let eve = someone();
    violate(&relay, 2, &eve).await;
    for host in [2, 3] {
        assert_refused(&relay, host, &eve).await;
    }
    assert_eq!(relay.ended("banned identity"), 2);
    assert_eq!(relay.ended("REFUSED"), 0, "it is counted once");
    assert_eq!(relay.ended("PROTOCOL_VIOLATION"), 1);
    // others behind its address are
    open_from(&relay, 2, &someone()).await;
    Honest::at(&relay).await.exchange().await;
    skip(Duration::from_secs(9 * 60)).await;
    assert_refused(&relay, 2, &eve).await;
    skip(Duration::from_secs(60)).await;
    open_from(&relay, 2, &eve).await;
}

#[tokio::test]
async fn eight_violations_close_an_address_to_new_connections_and_to_no_others() {
    let relay = Relay::with(strict_config()).await;
    let mut before = open_from(&relay, 2, &someone()).await;
    for _ in 0..8 {
        assert_eq!(relay.ended("banned address"), 0);
        violate(&relay, 2, &someone()).await;
    }
    let mut ninth = connect_from(&relay, 2).await;
    assert_eq!(until_end(&mut ninth).await, [], "not a byte");
    assert_eq!(relay.ended("banned address"), 1);
    open_from(&relay, 3, &someone()).await;
    // who is connected already stays so
    say(&mut before, &message(0x0777)).await;
    let answer = hear(&mut before).await;
    assert!(matches!(answer, RelayMessage::Error(_)), "{answer:?}");
    Honest::at(&relay).await.exchange().await;
    skip(Duration::from_secs(10 * 60)).await;
    open_from(&relay, 2, &someone()).await;
}

#[tokio::test]
async fn a_connection_that_comes_too_early_waits_for_its_turn_and_a_later_one_is_refused() {
    let mut config = open_config();
    config.connections.new_per_address_and_minute = 60;
    config.connections.new_per_address_at_once = 1;
    let relay = Relay::with(config).await;
    let at_once = open_from(&relay, 2, &someone()).await;
    let (flight, _) = first_flight(someone().noise_key()).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut stream = connect_from(&relay, 2).await;
        stream.write_all(&flight).await.unwrap();
        waiting.push(stream);
    }
    let mut refused = connect_from(&relay, 2).await;
    assert_eq!(until_end(&mut refused).await, [], "its turn is too late");
    assert_eq!(relay.ended("connections of one address per minute"), 1);
    for mut stream in waiting {
        // whatever has come by now came without its turn
        let early = stream.try_read(&mut [0]);
        let nothing = std::io::ErrorKind::WouldBlock;
        assert_eq!(early.unwrap_err().kind(), nothing);
        skip(Duration::from_secs(1)).await;
        let mut answer = [0; SECOND_FLIGHT];
        stream.read_exact(&mut answer).await.unwrap();
    }
    drop(at_once);
}
