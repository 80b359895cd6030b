//! An open connection over hours: keepalive, rekey, closing, chunks among messages.

use sremp_core::{
    channel::{CloseReason, Event, SendError},
    constants::MAX_MESSAGE,
    error::ErrorCode,
    time::Tick,
};

use crate::world::{Pair, Rogue, Side, accept, drain, hello, message, noise_secret, rng, secret};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

#[test]
fn an_idle_connection_lives_through_rekeys_until_it_is_a_day_old() {
    let mut pair = Pair::open();
    pair.advance(Tick::new(24 * HOUR - 1));
    assert!(pair.a.channel.peer().is_some() && pair.b.channel.peer().is_some());
    pair.a.channel.send(&message(1, 100)).unwrap();
    pair.settle();
    assert_eq!(pair.b.messages().len(), 1, "after 23 rekeys each way");
    pair.advance(Tick::new(24 * HOUR));
    assert_eq!(pair.a.end(), &CloseReason::Own(ErrorCode::GoingAway));
}

#[test]
fn a_peer_that_hears_nothing_is_dead_after_two_pings() {
    let mut pair = Pair::open();
    pair.tamper = Box::new(|from_a, bytes| if from_a { Vec::new() } else { bytes });
    let mut alone = pair.a;
    let mut pings = 0;
    let mut now;
    loop {
        now = alone.channel.poll_timeout().unwrap();
        alone.channel.handle_timeout(now, &mut rng(1));
        alone.pull(now);
        if alone.channel.is_closed() {
            break;
        }
        pings += u32::from(!drain(&mut alone.channel, now).is_empty());
    }
    assert_eq!(alone.end(), &CloseReason::Local(ErrorCode::Timeout));
    assert_eq!(pings, 2);
    let seconds = now.get() / SECOND;
    assert!((120..=160).contains(&seconds), "{seconds} s");
}

#[test]
fn a_probe_is_answered() {
    let mut pair = Pair::open();
    pair.a.channel.probe(pair.now, &mut rng(1));
    pair.settle();
    assert_eq!(pair.a.events.last(), Some(&Event::Pong));
}

#[test]
fn closing_sends_what_is_queued_first() {
    let mut pair = Pair::open();
    for n in 0..5 {
        pair.a.channel.send(&message(n, 50_000)).unwrap();
    }
    pair.a.channel.send(&message(5, 300_000)).unwrap();
    pair.a.channel.close(pair.now, ErrorCode::Duplicate);
    assert_eq!(pair.a.channel.send(&message(9, 1)), Err(SendError::Closed));
    pair.settle();
    assert_eq!(pair.b.messages().len(), 6);
    let CloseReason::Peer(close) = pair.b.end() else {
        panic!("told");
    };
    assert_eq!(close.known(), Some(ErrorCode::Duplicate));
    assert_eq!(pair.a.end(), &CloseReason::Own(ErrorCode::Duplicate));
    assert!(pair.a.channel.is_closed() && pair.b.channel.is_closed());
}

#[test]
fn the_largest_message_arrives_and_small_ones_overtake_it() {
    let mut pair = Pair::open();
    let large = message(1, MAX_MESSAGE - 3);
    pair.a.channel.send(&large).unwrap();
    // the queue holds 1 MiB; what is beyond waits at the owner
    assert_eq!(
        pair.a.channel.send(&message(2, 10)),
        Err(SendError::QueueFull)
    );
    let mut wire = Vec::new();
    while pair.a.channel.queued_bytes() >= 1024 * 1024 {
        pair.a.channel.poll_transmit(pair.now, &mut wire);
    }
    pair.a.channel.send(&message(2, 10)).unwrap();
    pair.b.channel.handle_bytes(pair.now, &wire);
    pair.settle();
    assert_eq!(pair.b.messages(), [&message(2, 10), &large]);
}

/// An open responder and the rogue that opened it.
fn opened() -> (Side, Rogue) {
    let mut side = Side::new(accept(2));
    let mut rogue = Rogue::dial(&mut side.channel, &noise_secret(1));
    let wire = rogue.hello(&hello(secret(1).identity().as_bytes(), None));
    side.channel.handle_bytes(Tick::new(0), &wire);
    side.pull(Tick::new(0));
    let said = drain(&mut side.channel, Tick::new(0));
    assert_eq!(rogue.read(&said).len(), 1);
    (side, rogue)
}

#[test]
fn two_rekeys_within_a_minute_are_a_violation() {
    for (pause, is_violation) in [(59_999, true), (60_000, false)] {
        let (mut side, mut rogue) = opened();
        for n in 0..2 {
            let wire = rogue.frame(&[0x05]);
            rogue.transport.rekey_outgoing();
            side.channel.handle_bytes(Tick::new(n * pause), &wire);
        }
        let wire = rogue.frame(&[0x00, 1, 2, 3]);
        side.channel.handle_bytes(Tick::new(pause), &wire);
        side.pull(Tick::new(pause));
        assert!(!side.channel.is_closed(), "a CLOSE waits or it is open");
        let closed = matches!(side.events.last(), Some(Event::Closed(_)));
        assert_eq!(closed, is_violation, "pause of {pause} ms");
    }
}

#[test]
fn what_has_no_meaning_closes_the_connection() {
    for plaintext in [
        &[0x01][..],
        &[0x01, 0xc0],
        &[0x02],
        &[0x03, 1, 2, 3],
        &[0x04, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x05, 0],
        &[0x06],
        &[0x06, 0, 0, 0xff],
        &[0x07],
        &[0x08],
        &[0x10, 1],
    ] {
        let (mut side, mut rogue) = opened();
        let wire = rogue.frame(plaintext);
        side.channel.handle_bytes(Tick::new(0), &wire);
        side.pull(Tick::new(0));
        assert!(
            matches!(side.end(), CloseReason::Own(_)),
            "{plaintext:02x?}"
        );
    }
}

#[test]
fn a_flood_of_pings_is_answered_twice_and_padding_never() {
    let (mut side, mut rogue) = opened();
    for n in 0..50 {
        let ping = rogue.frame(&[0x03, n, 0, 0, 0, 0, 0, 0, 0]);
        let pad = rogue.frame(&[0x00; 100]);
        side.channel.handle_bytes(Tick::new(0), &ping);
        side.channel.handle_bytes(Tick::new(0), &pad);
    }
    side.pull(Tick::new(0));
    let said = drain(&mut side.channel, Tick::new(0));
    let said = rogue.read(&said);
    assert_eq!(said.len(), 2);
    assert_eq!(said[1], [0x04, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert!(side.channel.peer().is_some());
}
