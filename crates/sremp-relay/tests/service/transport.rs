//! Who does not speak the transport well: protocol 11, cases 1 to 6.

use std::time::Duration;

use sremp_core::{
    channel::{Hello, VersionHeader},
    error::ErrorCode,
    relay::{Cursor, Role},
};
use sremp_relay::load::raw::{RawConnection, SECOND_FLIGHT, first_flight, hello};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    peer::{Peer, someone},
    relay::{Relay, open_config},
    rogue::{
        Honest, assert_closed, connect, connect_from, open, plaintexts, shake, skip, until_end,
    },
};

#[tokio::test]
async fn case_01_frames_of_impossible_lengths_end_the_connection_without_a_word() {
    let relay = Relay::start().await;
    let mut honest = Honest::at(&relay).await;
    let own = someone();
    for length in [0u16, 1, 16] {
        for opened in [false, true] {
            let mut raw = match opened {
                true => open(&relay, &own).await,
                false => shake(&relay, &own).await,
            };
            let frame = [&length.to_le_bytes(), vec![7; length.into()].as_slice()].concat();
            raw.stream.write_all(&frame).await.unwrap();
            assert_eq!(until_end(&mut raw.stream).await, [], "{length} {opened}");
        }
    }
    assert_eq!(relay.ended("FRAME_INVALID"), 6);
    for length in [31u16, 33] {
        let mut stream = connect(&relay).await;
        let header = VersionHeader::OWN.to_bytes();
        let message = vec![9; length.into()];
        let flight = [&header[..], &length.to_le_bytes(), &message].concat();
        stream.write_all(&flight).await.unwrap();
        assert_eq!(until_end(&mut stream).await, [], "message 1 of {length}");
    }
    assert_eq!(relay.ended("FRAME_INVALID"), 8);
    honest.exchange().await;
}

#[tokio::test]
async fn case_01_a_stream_that_ends_within_a_frame_is_no_more() {
    let relay = Relay::start().await;
    let mut honest = Honest::at(&relay).await;
    let own = someone();
    for length in [5u16, 65_535] {
        let mut raw = shake(&relay, &own).await;
        raw.stream.write_all(&length.to_le_bytes()).await.unwrap();
        raw.stream.shutdown().await.unwrap();
        assert_eq!(until_end(&mut raw.stream).await, []);
    }
    // a frame of the largest size whose body does not come
    let mut raw = open(&relay, &own).await;
    raw.stream.write_all(&[0xff; 100]).await.unwrap();
    relay.settled(&mut honest).await;
    skip(Duration::from_secs(30)).await;
    assert_eq!(until_end(&mut raw.stream).await, []);
    assert_eq!(relay.ended("TIMEOUT"), 1);
    honest.exchange().await;
}

#[tokio::test]
async fn case_02_a_header_that_is_changed_on_its_way_ends_the_connection() {
    let relay = Relay::start().await;
    let own = someone();
    // the initiator's: the answer is none that the initiator could read
    let (mut flight, mut noise) = first_flight(own.noise_key()).unwrap();
    flight[6] ^= 1;
    let mut stream = connect(&relay).await;
    stream.write_all(&flight).await.unwrap();
    let mut answer = [0; SECOND_FLIGHT];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[..7], VersionHeader::OWN.to_bytes());
    assert!(noise.read(&answer[9..]).is_err());
    drop(stream);
    // the responder's: what was seen is not what was sent
    for seen in [(1, 1), (0, 9), (2, 0)] {
        let mut raw = shake(&relay, &own).await;
        let (major, minor) = seen;
        let hello = Hello {
            responder_header: VersionHeader { major, minor },
            ..hello(own.identity().as_bytes(), Some(relay.link().relay()))
        };
        raw.say(0x07, &hello.encode()).await.unwrap();
        assert_closed(&mut raw, ErrorCode::VersionMismatch, "another header").await;
    }
    assert_eq!(relay.ended("VERSION_MISMATCH"), 3);
    Honest::at(&relay).await.exchange().await;
}

#[tokio::test]
async fn case_03_another_major_version_gets_our_header_and_nothing_else() {
    let relay = Relay::start().await;
    let (mut flight, _) = first_flight(someone().noise_key()).unwrap();
    flight[5] = 2;
    let mut stream = connect(&relay).await;
    stream.write_all(&flight).await.unwrap();
    assert_eq!(until_end(&mut stream).await, VersionHeader::OWN.to_bytes());
    assert_eq!(relay.ended("VERSION_MISMATCH"), 1);
    // whoever speaks something else gets nothing
    let mut stream = connect(&relay).await;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(until_end(&mut stream).await, []);
    assert_eq!(relay.ended("BAD_MAGIC"), 1);
    Honest::at(&relay).await.exchange().await;
}

/// An owner on a raw connection that has something to retrieve, and frames of two requests.
async fn two_requests(relay: &Relay) -> (RawConnection, Vec<u8>, Vec<u8>) {
    let own = someone();
    let mut raw = open(relay, &own).await;
    let mut machine = sremp_core::relay::RelayClient::new(own.id(), relay.link().relay());
    let register = machine.register(&own, &raw.h, Role::Owner, crate::peer::wished(), None);
    raw.say(0x01, &register.unwrap().encode()).await.unwrap();
    let granted = crate::rogue::hear(&mut raw).await;
    let is_granted = matches!(granted, sremp_core::relay::RelayMessage::Granted(_));
    assert!(is_granted, "{granted:?}");
    let counts = machine.prekeys_put(None, vec![]).unwrap().encode();
    let page = sremp_core::relay::Retrieve {
        identity: own.id().into(),
        since: None,
        after: Cursor::START,
        max_items: 1,
        max_bytes: 1024,
    };
    let page = machine.retrieve(page).unwrap().encode();
    let first = raw.frame(0x01, &counts).unwrap();
    let second = raw.frame(0x01, &page).unwrap();
    (raw, first, second)
}

#[tokio::test]
async fn case_04_after_a_frame_that_does_not_hold_nothing_is_heard_any_more() {
    let relay = Relay::start().await;
    let mut honest = Honest::at(&relay).await;
    let flipped = |frame: &[u8]| {
        let mut frame = frame.to_vec();
        *frame.last_mut().unwrap() ^= 1;
        frame
    };
    let before = relay.ended("DECRYPT_FAILED");
    // forged, then genuine
    let (mut raw, first, second) = two_requests(&relay).await;
    let wire = [flipped(&first), first, second].concat();
    raw.stream.write_all(&wire).await.unwrap();
    assert_eq!(plaintexts(&mut raw).await, Vec::<Vec<u8>>::new());
    // swapped
    let (mut raw, first, second) = two_requests(&relay).await;
    raw.stream
        .write_all(&[second, first].concat())
        .await
        .unwrap();
    assert_eq!(plaintexts(&mut raw).await, Vec::<Vec<u8>>::new());
    // replayed: the first is answered at most
    let (mut raw, first, second) = two_requests(&relay).await;
    let wire = [first.clone(), first, second].concat();
    raw.stream.write_all(&wire).await.unwrap();
    assert!(plaintexts(&mut raw).await.len() <= 1);
    assert_eq!(relay.ended("DECRYPT_FAILED") - before, 3);
    honest.exchange().await;
}

#[tokio::test]
async fn case_05_whoever_says_nothing_or_drips_is_dropped_in_time() {
    let relay = Relay::start().await;
    let mut honest = Honest::at(&relay).await;
    let mut silent = connect(&relay).await;
    let mut dripping = connect(&relay).await;
    let mut half = connect(&relay).await;
    let (flight, _) = first_flight(someone().noise_key()).unwrap();
    half.write_all(&flight).await.unwrap();
    let mut answer = [0; SECOND_FLIGHT];
    half.read_exact(&mut answer).await.unwrap();
    let mut nameless = shake(&relay, &someone()).await;
    relay.settled(&mut honest).await;
    for byte in b"SR" {
        dripping.write_all(&[*byte]).await.unwrap();
        skip(Duration::from_secs(4)).await;
    }
    // the header within 5 s, and each message of the handshake
    for stream in [&mut silent, &mut dripping, &mut half] {
        assert_eq!(until_end(stream).await, []);
    }
    assert_eq!(relay.ended("TIMEOUT"), 3);
    // HELLO within 15 s
    let first = nameless.frame(0x07, &[0; 1023]).unwrap();
    nameless.stream.write_all(&first[..3]).await.unwrap();
    skip(Duration::from_secs(8)).await;
    assert_eq!(until_end(&mut nameless.stream).await, []);
    assert_eq!(relay.ended("TIMEOUT"), 4);
    honest.exchange().await;
}

#[tokio::test]
async fn case_05_too_many_half_open_connections_are_refused_and_others_get_in() {
    let mut config = open_config();
    config.connections.half_open = 20;
    config.connections.half_open_per_address = 8;
    let relay = Relay::with(config).await;
    let mut honest = Honest::at(&relay).await;
    let mut held = Vec::new();
    for host in [2, 3] {
        for _ in 0..8 {
            held.push(connect_from(&relay, host).await);
        }
        let mut ninth = connect_from(&relay, host).await;
        assert_eq!(until_end(&mut ninth).await, [], "the ninth of an address");
    }
    assert_eq!(relay.ended("half-open connections of one address"), 2);
    honest.exchange().await;
    Honest::at(&relay).await.exchange().await;
    for _ in 0..4 {
        held.push(connect_from(&relay, 4).await);
    }
    let mut next = connect_from(&relay, 5).await;
    assert_eq!(until_end(&mut next).await, [], "the 21st of all");
    assert_eq!(relay.ended("half-open connections"), 1);
    honest.exchange().await;
    // they are forgotten as soon as they are gone
    drop(held);
    skip(Duration::from_secs(5)).await;
    let mut late = None;
    while late.is_none() {
        let stream = connect_from(&relay, 5).await;
        late = RawConnection::shake(stream, someone().noise_key())
            .await
            .ok();
    }
}

#[tokio::test]
async fn case_06_an_identity_that_is_not_of_this_channel_is_refused_before_ours_is_shown() {
    let relay = Relay::start().await;
    let (ann, eve) = (someone(), someone());
    let own = relay.link().relay();
    let refused = [
        // Ann's identity over Eve's channel
        (&ann, Some(own), ErrorCode::StaticMismatch),
        // a stream that was forwarded: Eve wanted somebody else
        (&eve, Some(ann.id()), ErrorCode::WrongPeer),
    ];
    for (shown, intended, code) in refused {
        let mut raw = shake(&relay, &eve).await;
        let hello = hello(shown.identity().as_bytes(), intended);
        raw.say(0x07, &hello.encode()).await.unwrap();
        assert_closed(&mut raw, code, code.name()).await;
        assert_eq!(relay.ended(code.name()), 1);
    }
    // nothing of it was kept: both come in as themselves
    for own in [ann, eve] {
        let peer = Peer::registered(own, relay.link(), Role::Owner).await;
        peer.leave().await;
    }
    relay.until_gauge("mailboxes", 2).await;
}
