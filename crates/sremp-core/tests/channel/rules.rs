//! Version, framing and transport: protocol 11, cases 1 to 5.

use sremp_core::{
    channel::{CloseReason, VersionHeader},
    error::ErrorCode,
    time::Tick,
};

use crate::world::{
    Pair, Rogue, Side, accept, drain, hello, initiate, message, noise_secret, secret,
};

fn ended(side: &mut Side) -> CloseReason {
    side.pull(Tick::new(0));
    side.end().clone()
}

#[test]
fn case_01_impossible_lengths_close_without_a_word() {
    for length in [0u16, 1, 16] {
        let mut pair = Pair::open();
        let now = pair.now;
        pair.b.channel.handle_bytes(now, &length.to_le_bytes());
        assert_eq!(
            ended(&mut pair.b),
            CloseReason::Local(ErrorCode::FrameInvalid),
            "length {length} after the handshake"
        );
        assert!(drain(&mut pair.b.channel, now).is_empty());
    }
    for length in [0u16, 31, 33, 65_535] {
        let mut side = Side::new(accept(2));
        let header = VersionHeader::OWN.to_bytes();
        let wire = [header.as_slice(), &length.to_le_bytes()].concat();
        side.channel.handle_bytes(Tick::new(0), &wire);
        assert_eq!(
            ended(&mut side),
            CloseReason::Local(ErrorCode::FrameInvalid),
            "length {length} as message 1"
        );
        assert!(drain(&mut side.channel, Tick::new(0)).is_empty());
    }
}

#[test]
fn case_01_a_frame_that_breaks_off_is_a_truncation() {
    let mut pair = Pair::open();
    let now = pair.now;
    pair.b.channel.handle_bytes(now, &[32, 0, 1, 2, 3]);
    pair.b.channel.handle_eof(now);
    assert_eq!(ended(&mut pair.b), CloseReason::Truncated);
}

#[test]
fn case_01_a_frame_that_stands_still_is_given_up_after_30_s() {
    let mut pair = Pair::open();
    pair.b.channel.handle_bytes(pair.now, &[32]);
    let mut rng = crate::world::rng(1);
    pair.b.channel.handle_timeout(Tick::new(29_999), &mut rng);
    assert!(pair.b.channel.peer().is_some());
    assert_eq!(pair.b.channel.poll_timeout(), Some(Tick::new(30_000)));
    pair.b.channel.handle_timeout(Tick::new(30_000), &mut rng);
    assert_eq!(ended(&mut pair.b), CloseReason::Local(ErrorCode::Timeout));
}

#[test]
fn case_02_a_changed_initiator_header_fails_at_message_2() {
    let mut pair = Pair::new(initiate(1, None, None), accept(2));
    let mut first = true;
    pair.tamper = Box::new(move |from_a, mut bytes| {
        if from_a && std::mem::take(&mut first) {
            bytes[6] ^= 1;
        }
        bytes
    });
    pair.settle();
    assert_eq!(
        pair.a.end(),
        &CloseReason::Local(ErrorCode::HandshakeFailed)
    );
    assert!(!pair.a.was_shown() && !pair.b.was_shown());
}

#[test]
fn case_02_a_changed_responder_header_is_noticed_in_hello() {
    let mut pair = Pair::new(initiate(1, None, None), accept(2));
    let mut first = true;
    pair.tamper = Box::new(move |from_a, mut bytes| {
        if !from_a && std::mem::take(&mut first) {
            bytes[6] ^= 1;
        }
        bytes
    });
    pair.settle();
    assert_eq!(pair.b.end(), &CloseReason::Own(ErrorCode::VersionMismatch));
    let CloseReason::Peer(close) = pair.a.end() else {
        panic!("the initiator is told");
    };
    assert_eq!(close.known(), Some(ErrorCode::VersionMismatch));
    assert!(!pair.a.was_shown() && !pair.b.was_shown());
}

#[test]
fn case_03_another_major_version_gets_our_header_and_nothing_else() {
    let mut side = Side::new(accept(2));
    let mut offered = b"SREMP\x02\x00".to_vec();
    offered.extend_from_slice(&[32, 0]);
    offered.extend_from_slice(&[9; 32]);
    side.channel.handle_bytes(Tick::new(0), &offered);
    let mismatch = CloseReason::Local(ErrorCode::VersionMismatch);
    assert_eq!(ended(&mut side), mismatch);
    let answer = drain(&mut side.channel, Tick::new(0));
    assert_eq!(answer, VersionHeader::OWN.to_bytes());
    assert!(side.channel.is_closed());

    let mut side = Side::new(initiate(1, None, None));
    drain(&mut side.channel, Tick::new(0));
    side.channel.handle_bytes(Tick::new(0), b"SREMP\x02\x00");
    assert_eq!(ended(&mut side), mismatch);
    assert!(drain(&mut side.channel, Tick::new(0)).is_empty());
}

#[test]
fn what_does_not_begin_with_sremp_is_closed_at_its_first_wrong_byte() {
    for start in ["GET / HTTP/1.1", "X", "SREMQ"] {
        let mut side = Side::new(accept(2));
        side.channel.handle_bytes(Tick::new(0), start.as_bytes());
        assert_eq!(ended(&mut side), CloseReason::Local(ErrorCode::BadMagic));
        assert!(drain(&mut side.channel, Tick::new(0)).is_empty());
    }
}

#[test]
fn an_ephemeral_key_of_small_order_gets_no_answer() {
    for low_byte in [0, 1] {
        let mut side = Side::new(accept(2));
        let mut wire = VersionHeader::OWN.to_bytes().to_vec();
        wire.extend_from_slice(&[32, 0, low_byte]);
        wire.extend_from_slice(&[0; 31]);
        side.channel.handle_bytes(Tick::new(0), &wire);
        let failed = CloseReason::Local(ErrorCode::HandshakeFailed);
        assert_eq!(ended(&mut side), failed);
        assert!(drain(&mut side.channel, Tick::new(0)).is_empty());
    }
}

/// Three messages of Alice as frames, not yet delivered to Bob.
fn three_frames() -> (Pair, Vec<Vec<u8>>) {
    let mut pair = Pair::open();
    let mut frames = Vec::new();
    for n in 0..3 {
        pair.a.channel.send(&message(n, 100)).unwrap();
        frames.push(drain(&mut pair.a.channel, pair.now));
    }
    (pair, frames)
}

#[test]
fn case_04_a_flipped_bit_kills_the_channel_and_the_genuine_frame_is_never_delivered() {
    for bit in [2 * 8, 40 * 8, 110 * 8 + 7] {
        let (mut pair, frames) = three_frames();
        let mut forged = frames[0].clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        pair.b.channel.handle_bytes(pair.now, &forged);
        pair.b.channel.handle_bytes(pair.now, &frames[0]);
        pair.b.pull(pair.now);
        let failed = CloseReason::Local(ErrorCode::DecryptFailed);
        assert_eq!(pair.b.end(), &failed, "bit {bit}");
        assert!(pair.b.messages().is_empty());
        assert!(!pair.b.channel.is_established(), "the keys are gone");
        assert!(drain(&mut pair.b.channel, pair.now).is_empty());
    }
}

#[test]
fn case_04_replayed_and_swapped_frames_kill_the_channel() {
    for (order, delivered) in [([0, 0], 1), ([1, 0], 0), ([0, 2], 1)] {
        let (mut pair, frames) = three_frames();
        for n in order {
            pair.b.channel.handle_bytes(pair.now, &frames[n]);
        }
        pair.b.pull(pair.now);
        let failed = CloseReason::Local(ErrorCode::DecryptFailed);
        assert_eq!(pair.b.end(), &failed, "order {order:?}");
        assert_eq!(pair.b.messages().len(), delivered, "order {order:?}");
    }
}

#[test]
fn case_05_a_peer_that_says_too_little_is_dropped_in_time() {
    let mut rng = crate::world::rng(5);
    let wire = VersionHeader::OWN.to_bytes();
    for (bytes, limit) in [(0, 5_000), (6, 5_000), (7, 5_000)] {
        let mut side = Side::new(accept(2));
        side.channel.handle_bytes(Tick::new(0), &wire[..bytes]);
        assert_eq!(side.channel.poll_timeout(), Some(Tick::new(limit)));
        side.channel.handle_timeout(Tick::new(limit), &mut rng);
        assert_eq!(ended(&mut side), CloseReason::Local(ErrorCode::Timeout));
    }
}

#[test]
fn case_05_one_byte_every_four_seconds_after_the_handshake_ends_at_15_s() {
    let mut rng = crate::world::rng(5);
    let mut side = Side::new(accept(2));
    let mut rogue = Rogue::dial(&mut side.channel, &noise_secret(1));
    let wire = rogue.hello(&hello(secret(1).identity().as_bytes(), None));
    for (n, byte) in wire.iter().take(3).enumerate() {
        let now = Tick::new(n as u64 * 4_000);
        side.channel.handle_timeout(now, &mut rng);
        side.channel.handle_bytes(now, &[*byte]);
        assert_eq!(side.channel.poll_timeout(), Some(Tick::new(15_000)));
    }
    side.channel.handle_timeout(Tick::new(15_000), &mut rng);
    assert_eq!(ended(&mut side), CloseReason::Local(ErrorCode::Timeout));
}

#[test]
fn case_05_an_owner_that_does_not_decide_loses_the_peer_at_15_s() {
    let mut side = Side::new(accept(2));
    let mut rogue = Rogue::dial(&mut side.channel, &noise_secret(1));
    let wire = rogue.hello(&hello(secret(1).identity().as_bytes(), None));
    side.channel.handle_bytes(Tick::new(0), &wire);
    assert!(!side.channel.wants_bytes());
    let mut rng = crate::world::rng(5);
    side.channel.handle_timeout(Tick::new(15_000), &mut rng);
    while side.channel.poll_event().is_some() {}
    assert!(side.channel.is_closed());
}
