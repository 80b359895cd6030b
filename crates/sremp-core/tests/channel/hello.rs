//! Who speaks, and to whom: protocol 11, cases 6 and 14.

use sremp_core::{
    channel::{Admission, CloseReason, Event, Hello, VersionHeader},
    error::ErrorCode,
    key::NoiseSecret,
    signature::SignatureLabel,
    time::Tick,
    wire::codec::encode,
};

use crate::world::{
    Pair, Rogue, Side, accept, drain, hello, initiate, message, noise_secret, secret,
};

const NOW: Tick = Tick::new(0);

/// What a responder does with this HELLO: its end, and the plaintexts it sent.
fn respond(key: &NoiseSecret, hello: &Hello) -> (Side, Vec<Vec<u8>>) {
    let mut side = Side::new(accept(2));
    let mut rogue = Rogue::dial(&mut side.channel, key);
    let wire = rogue.hello(hello);
    side.channel.handle_bytes(NOW, &wire);
    side.pull(NOW);
    let said = drain(&mut side.channel, NOW);
    let said = rogue.read(&said);
    (side, said)
}

/// One CLOSE with this code and no HELLO; nobody was shown.
fn assert_closed(side: &Side, said: &[Vec<u8>], code: ErrorCode) {
    assert_eq!(side.end(), &CloseReason::Own(code));
    let close = [&[0x06], code.to_u16().to_le_bytes().as_slice()].concat();
    assert_eq!(said, [close], "only the CLOSE");
    assert!(!side.was_shown());
}

#[test]
fn case_06_an_identity_over_somebody_elses_channel_is_refused() {
    let alice = secret(1);
    let hello = hello(alice.identity().as_bytes(), Some(secret(2).id()));
    let (side, said) = respond(&noise_secret(3), &hello);
    assert_closed(&side, &said, ErrorCode::StaticMismatch);
}

#[test]
fn case_06_an_identity_with_a_key_of_small_order_is_refused() {
    let alice = secret(1);
    for noise_key in [[0u8; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        let bytes = serde_bytes::Bytes::new;
        let verified = encode(&(
            "alice",
            bytes(alice.id().as_bytes()),
            bytes(&noise_key),
            [false; 4],
            (),
            1u64,
            1_760_000_000_000u64,
        ));
        let signature = alice.sign(SignatureLabel::Identity, &verified);
        let identity = encode(&(bytes(&verified), signature));
        let (side, said) = respond(&noise_secret(1), &hello(&identity, None));
        assert_closed(&side, &said, ErrorCode::IdentityInvalid);
    }
}

#[test]
fn case_06_a_forwarded_stream_reaches_the_wrong_peer() {
    // Mallory signed an identity with Bob's noise key and forwards Alice's stream to Bob.
    let mut pair = Pair::new(initiate(1, Some(secret(9).id()), None), accept(2));
    pair.settle();
    assert_eq!(pair.b.end(), &CloseReason::Own(ErrorCode::WrongPeer));
    assert!(!pair.a.was_shown() && !pair.b.was_shown());
    // her own HELLO left with message 3, Bob's identity never did
    assert_eq!(pair.b.wire.len(), 7 + 2 + 96 + 2 + 3 + 16);
}

#[test]
fn an_initiator_refuses_everybody_but_whom_it_dialled() {
    let (bob, alice) = (secret(2), secret(1));
    let good = Hello {
        intended: Some(alice.id()),
        ..hello(bob.identity().as_bytes(), None)
    };
    for (hello, code) in [
        (good.clone(), None),
        (
            Hello {
                intended: None,
                ..good.clone()
            },
            Some(ErrorCode::WrongPeer),
        ),
        (
            Hello {
                intended: Some(bob.id()),
                ..good.clone()
            },
            Some(ErrorCode::WrongPeer),
        ),
        (
            Hello {
                identity: Some(secret(3).identity().as_bytes().to_vec()),
                ..good.clone()
            },
            Some(ErrorCode::StaticMismatch),
        ),
        (
            Hello {
                identity: None,
                ..good.clone()
            },
            Some(ErrorCode::ProtocolViolation),
        ),
        (
            Hello {
                service: 2,
                ..good.clone()
            },
            Some(ErrorCode::Refused),
        ),
        (
            Hello {
                responder_header: VersionHeader { major: 1, minor: 1 },
                ..good
            },
            Some(ErrorCode::VersionMismatch),
        ),
    ] {
        let mut side = Side::new(initiate(1, Some(bob.id()), None));
        let (mut rogue, _) = Rogue::answer(&mut side.channel, bob.noise_key());
        let wire = rogue.hello(&hello);
        side.channel.handle_bytes(NOW, &wire);
        side.pull(NOW);
        match code {
            None => assert!(side.channel.peer().is_some()),
            Some(code) => assert_eq!(side.end(), &CloseReason::Own(code), "{hello:?}"),
        }
    }
}

#[test]
fn an_intended_that_is_no_key_is_no_hello_whatever_else_it_says() {
    let (alice, bob) = (secret(1), secret(2));
    // the order of the checks: this is seen before the wrong service
    let hello = Hello {
        service: 2,
        ..hello(alice.identity().as_bytes(), Some(secret(3).id()))
    };
    let other = *secret(3).id().as_bytes();
    for (key, code) in [
        (other, ErrorCode::Refused),
        ([0; 32], ErrorCode::ProtocolViolation),
        ([0xff; 32], ErrorCode::ProtocolViolation),
    ] {
        let mut body = hello.encode();
        let at = body.windows(32).position(|w| w == other).unwrap();
        body[at..at + 32].copy_from_slice(&key);
        let plaintext = [&[0x07], body.as_slice()].concat();

        let mut side = Side::new(accept(2));
        let mut rogue = Rogue::dial(&mut side.channel, alice.noise_key());
        side.channel.handle_bytes(NOW, &rogue.frame(&plaintext));
        side.pull(NOW);
        assert_eq!(side.end(), &CloseReason::Own(code), "to a responder");

        let mut side = Side::new(initiate(1, Some(bob.id()), None));
        let (mut rogue, _) = Rogue::answer(&mut side.channel, bob.noise_key());
        side.channel.handle_bytes(NOW, &rogue.frame(&plaintext));
        side.pull(NOW);
        assert_eq!(side.end(), &CloseReason::Own(code), "to an initiator");
    }
}

#[test]
fn a_pinned_key_that_is_not_shown_ends_the_dial_before_our_key_is_shown() {
    let (bob, mallory) = (secret(2), noise_secret(7));
    let pinned = Some(bob.identity().noise_key());
    let mut side = Side::new(initiate(1, Some(bob.id()), pinned));
    let first = drain(&mut side.channel, NOW);
    let mut responder =
        sremp_core::channel::NoiseHandshake::responder(&mallory, [1; 32].into(), &first[..7])
            .unwrap();
    responder.read(&first[9..]).unwrap();
    let mut wire = VersionHeader::OWN.to_bytes().to_vec();
    let second = responder.write(&[]).unwrap();
    sremp_core::wire::frame::write_frame(&second, &mut wire).unwrap();
    side.channel.handle_bytes(NOW, &wire);
    side.pull(NOW);
    let mismatch = CloseReason::Local(ErrorCode::StaticMismatch);
    assert_eq!(side.end(), &mismatch);
    assert!(drain(&mut side.channel, NOW).is_empty());
}

#[test]
fn dialling_oneself_ends_before_our_identity_is_sent() {
    let mut pair = Pair::new(initiate(2, None, None), accept(2));
    pair.settle();
    assert_eq!(pair.a.end(), &CloseReason::Local(ErrorCode::WrongPeer));
    assert_eq!(pair.a.wire.len(), 7 + 2 + 32);
}

#[test]
fn case_14_whoever_is_refused_sees_the_same_bytes_whatever_the_reason() {
    let own = secret(2);
    let refused = |n: u8, admission: Admission, intended| {
        let mut side = Side::new(accept(2));
        side.admission = admission;
        let peer = secret(n);
        let mut rogue = Rogue::dial(&mut side.channel, peer.noise_key());
        let wire = rogue.hello(&hello(peer.identity().as_bytes(), intended));
        side.channel.handle_bytes(NOW, &wire);
        side.pull(NOW);
        let said = drain(&mut side.channel, NOW);
        let kinds: Vec<_> = side.events.iter().map(std::mem::discriminant).collect();
        (said.len(), rogue.read(&said), kinds)
    };
    // a rejected contact, a stranger, a banned prefix: the owner answers each with the same code
    let close = Admission::Close(ErrorCode::Refused);
    let rejected = refused(1, close, Some(own.id()));
    assert_eq!(rejected, refused(3, close, Some(own.id())));
    assert_eq!(rejected, refused(4, close, None));
    assert_eq!(rejected.1, [vec![0x06, 0x05, 0x01]], "one CLOSE, no HELLO");
}

#[test]
fn a_stale_identity_is_told_what_was_seen() {
    let mut pair = Pair::new(initiate(1, None, None), accept(2));
    pair.b.admission = Admission::Stale { seen: 41 };
    pair.settle();
    let CloseReason::Peer(close) = pair.a.end() else {
        panic!("told");
    };
    assert_eq!(close.stale_seen(), Some(41));
    assert_eq!(close.known(), Some(ErrorCode::StaleIdentity));
}

#[test]
fn only_hello_and_close_are_legal_before_both_hellos() {
    for kind in [0x00u8, 0x01, 0x02, 0x03, 0x05, 0x08, 0x10, 0xff] {
        let mut side = Side::new(accept(2));
        let mut rogue = Rogue::dial(&mut side.channel, &noise_secret(1));
        let wire = rogue.frame(&[kind]);
        side.channel.handle_bytes(NOW, &wire);
        side.pull(NOW);
        let violation = CloseReason::Own(ErrorCode::ProtocolViolation);
        assert_eq!(side.end(), &violation, "type {kind:02x}");
    }
}

#[test]
fn with_a_pinned_key_messages_arrive_after_one_round_trip() {
    let bob = secret(2);
    let pinned = Some(bob.identity().noise_key());
    let mut a = Side::new(initiate(1, Some(bob.id()), pinned));
    let mut b = Side::new(accept(2));
    a.channel.send(&message(7, 500)).unwrap();
    let first = drain(&mut a.channel, NOW);
    b.channel.handle_bytes(NOW, &first);
    let second = drain(&mut b.channel, NOW);
    a.channel.handle_bytes(NOW, &second);
    let third = drain(&mut a.channel, NOW);
    b.channel.handle_bytes(NOW, &third);
    b.pull(NOW);
    assert_eq!(
        b.messages(),
        [&message(7, 500)],
        "before Bob's HELLO came back"
    );
    assert!(!a.was_shown());
}

#[test]
fn without_a_pinned_key_messages_wait_until_the_peer_is_known() {
    let bob = secret(2);
    let mut side = Side::new(initiate(1, Some(bob.id()), None));
    side.channel.send(&message(7, 500)).unwrap();
    let (mut rogue, flight) = Rogue::answer(&mut side.channel, bob.noise_key());
    let said = rogue.read(&flight);
    assert_eq!(said.len(), 1, "HELLO alone");
    assert_eq!(said[0][0], 0x07);
    assert_eq!(said[0].len() % 1024, 0);
}

#[test]
fn early_messages_of_a_refused_peer_are_not_delivered() {
    let bob = secret(2);
    let pinned = Some(bob.identity().noise_key());
    let mut pair = Pair::new(initiate(1, Some(bob.id()), pinned), accept(2));
    pair.b.admission = Admission::Close(ErrorCode::Refused);
    pair.a.channel.send(&message(7, 500)).unwrap();
    pair.settle();
    assert!(pair.b.messages().is_empty());
    assert!(
        !pair
            .b
            .events
            .iter()
            .any(|e| matches!(e, Event::Opened { .. }))
    );
    assert_eq!(pair.b.end(), &CloseReason::Own(ErrorCode::Refused));
}
