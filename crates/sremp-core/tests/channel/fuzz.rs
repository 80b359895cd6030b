//! No input makes a decoder or the machine panic.

use proptest::prelude::*;
use sremp_core::{
    channel::{Admission, Channel, Event, Hello, Message, P2pMessage, Plain, VersionHeader},
    error::ErrorCode,
    time::Tick,
};

use crate::world::{Rogue, accept, drain, hello, initiate, noise_secret, rng, secret};

/// Feeds pieces with time between them and pulls everything out.
fn turn(channel: &mut Channel, pieces: &[(u16, Vec<u8>)], admission: Admission) -> Vec<Event> {
    let mut now = Tick::new(0);
    let mut events = Vec::new();
    for (pause, piece) in pieces {
        now = Tick::new(now.get() + u64::from(*pause));
        channel.handle_timeout(now, &mut rng(0));
        channel.handle_bytes(now, piece);
        drain(channel, now);
        while let Some(event) = channel.poll_event() {
            if matches!(event, Event::Shown { .. }) {
                channel.handle_admission(now, admission);
            }
            events.push(event);
        }
        channel.poll_timeout();
    }
    channel.handle_eof(now);
    events.extend(std::iter::from_fn(|| channel.poll_event()));
    events
}

fn closed_once(events: &[Event]) -> bool {
    let is_end = |e: &Event| matches!(e, Event::Closed(_));
    events.iter().filter(|e| is_end(e)).count() == 1 && events.last().is_some_and(is_end)
}

proptest! {
    #[test]
    fn arbitrary_bytes_only_ever_close_a_channel(
        header in any::<bool>(),
        pieces in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..200)), 1..8),
    ) {
        for mut channel in [accept(2), initiate(1, None, None)] {
            let mut pieces = pieces.clone();
            if header {
                pieces.insert(0, (0, VersionHeader::OWN.to_bytes().to_vec()));
            }
            let events = turn(&mut channel, &pieces, Admission::Accept);
            prop_assert!(closed_once(&events), "{:?}", events);
            prop_assert!(channel.is_closed() || !drain(&mut channel, Tick::new(0)).is_empty());
        }
    }

    #[test]
    fn arbitrary_plaintexts_of_an_authenticated_peer_only_ever_close_a_channel(
        plaintexts in prop::collection::vec(
            (0u8..0x12, prop::collection::vec(any::<u8>(), 0..100)), 0..12
        ),
        refuse in any::<bool>(),
        greets in any::<bool>(),
    ) {
        let mut channel = accept(2);
        let mut rogue = Rogue::dial(&mut channel, &noise_secret(1));
        let mut pieces = Vec::new();
        if greets {
            pieces.push((0, rogue.hello(&hello(secret(1).identity().as_bytes(), None))));
        }
        for (kind, body) in plaintexts {
            pieces.push((1000, rogue.frame(&[&[kind], body.as_slice()].concat())));
        }
        let admission = if refuse {
            Admission::Close(ErrorCode::Refused)
        } else {
            Admission::Accept
        };
        let events = turn(&mut channel, &pieces, admission);
        prop_assert!(closed_once(&events), "{:?}", events);
    }

    #[test]
    fn decoders_take_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let _ = Plain::decode(&bytes);
        let _ = Hello::decode(&bytes);
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(message.encode(), bytes);
            let _ = P2pMessage::decode(&message);
        }
    }
}
