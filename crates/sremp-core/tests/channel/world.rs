//! Two channels, a virtual clock and a wire between them; and a peer that says what it likes.

use std::sync::Arc;

use rand_chacha::{ChaCha12Rng, rand_core::SeedableRng as _};
use sremp_core::{
    channel::{
        Accept, Admission, Channel, Event, Hello, Initiate, LocalIdentity, Message, NoiseHandshake,
        NoiseTransport, ReassemblyBudget, Service, VersionHeader,
    },
    constants::HANDSHAKE_LEN,
    id::ContactId,
    identity::{SecretIdentity, Username},
    key::{NoisePublicKey, NoiseSecret},
    time::{Tick, UnixMillis},
    wire::frame::write_frame,
};

pub(crate) fn secret(n: u8) -> SecretIdentity {
    let name = Username::parse(&format!("user {n}")).unwrap();
    let created = UnixMillis::saturating(1_760_000_000_000);
    SecretIdentity::from_keys(&[n; 32], noise_secret(n), &name, created)
}

pub(crate) fn noise_secret(n: u8) -> NoiseSecret {
    NoiseSecret::from_bytes(&[n | 0x80; 32])
}

pub(crate) fn local(n: u8) -> Arc<LocalIdentity> {
    Arc::new(LocalIdentity::new(&secret(n)))
}

pub(crate) fn rng(seed: u64) -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(seed)
}

pub(crate) fn message(n: u32, len: usize) -> Message {
    let mut body = vec![0xdc];
    body.resize(len.max(1), n as u8);
    Message {
        msg_type: 0x0001,
        req_id: n,
        body,
    }
}

pub(crate) fn initiate(
    n: u8,
    expected: Option<ContactId>,
    pinned: Option<NoisePublicKey>,
) -> Channel {
    let config = Initiate {
        local: local(n),
        service: Service::P2p,
        expected,
        pinned_noise_key: pinned,
        intro: None,
        reassembly: ReassemblyBudget::default(),
    };
    Channel::initiate(config, Tick::new(0), &mut rng(u64::from(n)))
}

pub(crate) fn accept(n: u8) -> Channel {
    let config = Accept {
        local: local(n),
        service: Service::P2p,
        reassembly: ReassemblyBudget::default(),
    };
    Channel::accept(config, Tick::new(0), &mut rng(u64::from(n)))
}

/// Everything that a channel wants to send now.
pub(crate) fn drain(channel: &mut Channel, now: Tick) -> Vec<u8> {
    let mut out = Vec::new();
    while channel.poll_transmit(now, &mut out) > 0 {}
    out
}

/// One end: its channel, and all that it has said to its owner and to the wire.
pub(crate) struct Side {
    pub(crate) channel: Channel,
    pub(crate) events: Vec<Event>,
    pub(crate) wire: Vec<u8>,
    pub(crate) admission: Admission,
}

impl Side {
    pub(crate) fn new(channel: Channel) -> Self {
        Self {
            channel,
            events: Vec::new(),
            wire: Vec::new(),
            admission: Admission::Accept,
        }
    }

    pub(crate) fn pull(&mut self, now: Tick) {
        while let Some(event) = self.channel.poll_event() {
            if matches!(event, Event::Shown { .. }) {
                self.channel.handle_admission(now, self.admission);
            }
            self.events.push(event);
        }
    }

    pub(crate) fn messages(&self) -> Vec<&Message> {
        let mut messages = Vec::new();
        for event in &self.events {
            if let Event::Message(message) = event {
                messages.push(message);
            }
        }
        messages
    }

    pub(crate) fn was_shown(&self) -> bool {
        self.events.iter().any(|e| matches!(e, Event::Shown { .. }))
    }

    /// The last event, which must be the end.
    pub(crate) fn end(&self) -> &sremp_core::channel::CloseReason {
        match self.events.last() {
            Some(Event::Closed(reason)) => reason,
            other => panic!("not closed, last event {other:?}"),
        }
    }
}

/// What is done to bytes on their way: whether they come from the initiator, and the bytes.
pub(crate) type Tamper = Box<dyn FnMut(bool, Vec<u8>) -> Vec<u8>>;

pub(crate) struct Pair {
    pub(crate) a: Side,
    pub(crate) b: Side,
    pub(crate) now: Tick,
    pub(crate) rng: ChaCha12Rng,
    pub(crate) tamper: Tamper,
}

impl Pair {
    pub(crate) fn new(a: Channel, b: Channel) -> Self {
        Self {
            a: Side::new(a),
            b: Side::new(b),
            now: Tick::new(0),
            rng: rng(99),
            tamper: Box::new(|_, bytes| bytes),
        }
    }

    /// Alice dials Bob and both are let in.
    pub(crate) fn open() -> Self {
        let bob = secret(2);
        let pinned = Some(bob.identity().noise_key());
        let mut pair = Self::new(initiate(1, Some(bob.id()), pinned), accept(2));
        pair.settle();
        assert!(pair.a.channel.peer().is_some() && pair.b.channel.peer().is_some());
        pair
    }

    /// Carries bytes to and fro until nobody has any.
    pub(crate) fn settle(&mut self) {
        loop {
            self.a.pull(self.now);
            self.b.pull(self.now);
            let from_a = drain(&mut self.a.channel, self.now);
            let from_b = drain(&mut self.b.channel, self.now);
            if from_a.is_empty() && from_b.is_empty() {
                self.a.pull(self.now);
                self.b.pull(self.now);
                return;
            }
            self.a.wire.extend_from_slice(&from_a);
            self.b.wire.extend_from_slice(&from_b);
            if !from_a.is_empty() {
                let bytes = (self.tamper)(true, from_a);
                self.b.channel.handle_bytes(self.now, &bytes);
            }
            if !from_b.is_empty() {
                let bytes = (self.tamper)(false, from_b);
                self.a.channel.handle_bytes(self.now, &bytes);
            }
        }
    }

    /// Lets time pass, deadline by deadline.
    pub(crate) fn advance(&mut self, until: Tick) {
        loop {
            let deadlines = [&self.a, &self.b].map(|s| s.channel.poll_timeout());
            let next = deadlines.into_iter().flatten().min().unwrap_or(until);
            self.now = next.max(self.now).min(until);
            self.a.channel.handle_timeout(self.now, &mut self.rng);
            self.b.channel.handle_timeout(self.now, &mut self.rng);
            self.settle();
            if next >= until {
                return;
            }
        }
    }
}

/// A peer that speaks Noise well and then says what a test wants.
pub(crate) struct Rogue {
    pub(crate) transport: NoiseTransport,
}

impl Rogue {
    /// Dials `channel` as somebody with this noise key.
    pub(crate) fn dial(channel: &mut Channel, key: &NoiseSecret) -> Self {
        let now = Tick::new(0);
        let mut wire = VersionHeader::OWN.to_bytes().to_vec();
        let mut noise = NoiseHandshake::initiator(key, [0x55; 32].into(), &wire).unwrap();
        write_frame(&noise.write(&[]).unwrap(), &mut wire).unwrap();
        channel.handle_bytes(now, &wire);
        let answer = drain(channel, now);
        assert_eq!(answer.len(), 7 + 2 + HANDSHAKE_LEN[1]);
        noise.read(&answer[9..]).unwrap();
        let mut wire = Vec::new();
        write_frame(&noise.write(&[]).unwrap(), &mut wire).unwrap();
        channel.handle_bytes(now, &wire);
        let (transport, _) = noise.finish().unwrap();
        Self { transport }
    }

    /// Answers `channel` as somebody with this noise key; returns also what came with message 3.
    pub(crate) fn answer(channel: &mut Channel, key: &NoiseSecret) -> (Self, Vec<u8>) {
        let now = Tick::new(0);
        let first = drain(channel, now);
        let mut noise = NoiseHandshake::responder(key, [0x66; 32].into(), &first[..7]).unwrap();
        noise.read(&first[9..]).unwrap();
        let mut wire = VersionHeader::OWN.to_bytes().to_vec();
        write_frame(&noise.write(&[]).unwrap(), &mut wire).unwrap();
        channel.handle_bytes(now, &wire);
        let third = drain(channel, now);
        let message_3 = 2 + HANDSHAKE_LEN[2];
        if third.len() >= message_3 {
            noise.read(&third[2..message_3]).unwrap();
        }
        let rest = third.get(message_3..).unwrap_or_default().to_vec();
        let (transport, _) = noise.finish().expect("message 3 was sent");
        (Self { transport }, rest)
    }

    pub(crate) fn frame(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let (mut message, mut wire) = (Vec::new(), Vec::new());
        self.transport.write(plaintext, &mut message).unwrap();
        write_frame(&message, &mut wire).unwrap();
        wire
    }

    pub(crate) fn hello(&mut self, hello: &Hello) -> Vec<u8> {
        let body = hello.encode();
        self.frame(&[&[0x07], body.as_slice()].concat())
    }

    /// The plaintexts of these frames.
    pub(crate) fn read(&mut self, mut wire: &[u8]) -> Vec<Vec<u8>> {
        let mut plaintexts = Vec::new();
        while let Some((length, rest)) = wire.split_first_chunk() {
            let (frame, rest) = rest.split_at(usize::from(u16::from_le_bytes(*length)));
            plaintexts.push(self.transport.read(frame).unwrap());
            wire = rest;
        }
        plaintexts
    }
}

/// A HELLO of an initiator with this identity.
pub(crate) fn hello(identity: &[u8], intended: Option<ContactId>) -> Hello {
    Hello {
        responder_header: VersionHeader::OWN,
        service: 1,
        intended,
        identity: Some(identity.to_vec()),
        intro: None,
        features: 0,
    }
}
