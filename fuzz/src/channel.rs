//! The channel machine: from strangers, and from somebody who holds a noise key.

use std::sync::{Arc, OnceLock};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};
use sremp_core::{
    channel::{
        Accept, Admission, Channel, Event, Hello, Initiate, LocalIdentity, NoiseHandshake,
        NoiseTransport, ReassemblyBudget, Service, VersionHeader,
    },
    error::ErrorCode,
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    time::{Tick, UnixMillis},
    wire::frame::write_frame,
};

use super::input::Input;

const START: Tick = Tick::new(0);

fn noise_secret(n: u8) -> NoiseSecret {
    NoiseSecret::from_bytes(&[n | 0x80; 32])
}

fn secret(n: u8) -> SecretIdentity {
    let name = Username::parse("somebody").expect("a name");
    let created = UnixMillis::saturating(1_760_000_000_000);
    SecretIdentity::from_keys(&[n; 32], noise_secret(n), &name, created)
}

fn local() -> Arc<LocalIdentity> {
    static LOCAL: OnceLock<Arc<LocalIdentity>> = OnceLock::new();
    LOCAL
        .get_or_init(|| Arc::new(LocalIdentity::new(&secret(2))))
        .clone()
}

fn accept() -> Channel {
    let config = Accept {
        local: local(),
        service: Service::P2p,
        reassembly: ReassemblyBudget::default(),
    };
    Channel::accept(config, START, &mut ChaCha8Rng::seed_from_u64(2))
}

fn initiate() -> Channel {
    let config = Initiate {
        local: local(),
        service: Service::P2p,
        expected: None,
        pinned_noise_key: None,
        intro: None,
        reassembly: ReassemblyBudget::default(),
    };
    Channel::initiate(config, START, &mut ChaCha8Rng::seed_from_u64(1))
}

fn drain(channel: &mut Channel, now: Tick) -> Vec<u8> {
    let mut out = Vec::new();
    while channel.poll_transmit(now, &mut out) > 0 {}
    out
}

/// One channel and what it has said so far.
struct Turning {
    channel: Channel,
    now: u64,
    closed: bool,
    opened: bool,
}

impl Turning {
    fn new(channel: Channel) -> Self {
        Self {
            channel,
            now: 0,
            closed: false,
            opened: false,
        }
    }

    fn bytes(&mut self, pause: u8, bytes: &[u8]) {
        self.now += u64::from(pause) * 250;
        let now = Tick::new(self.now);
        self.channel
            .handle_timeout(now, &mut ChaCha8Rng::seed_from_u64(3));
        self.channel.handle_bytes(now, bytes);
        drain(&mut self.channel, now);
        self.events(pause);
    }

    fn events(&mut self, choice: u8) {
        while let Some(event) = self.channel.poll_event() {
            assert!(!self.closed, "an event after the last");
            match event {
                Event::Shown { .. } => {
                    assert!(!self.opened);
                    let admission = match choice % 8 {
                        0 => Admission::Close(ErrorCode::Refused),
                        1 => Admission::Stale { seen: 7 },
                        _ => Admission::Accept,
                    };
                    self.channel
                        .handle_admission(Tick::new(self.now), admission);
                }
                Event::Opened { .. } => self.opened = true,
                Event::Message(_) => assert!(self.opened, "a message of nobody"),
                Event::Closed(_) => self.closed = true,
                Event::Pong => {}
            }
        }
        drain(&mut self.channel, Tick::new(self.now));
    }

    fn end(mut self) -> bool {
        self.channel.handle_eof(Tick::new(self.now));
        self.events(2);
        assert!(self.closed, "the end was not told");
        self.opened
    }
}

/// Arbitrary bytes in pieces, to both roles. Nobody is let in who has not proved a key.
pub fn channel_stranger(data: &[u8]) {
    for channel in [accept(), initiate()] {
        let mut turning = Turning::new(channel);
        let mut input = Input(data);
        while let (Some(pause), Some(piece)) = (input.byte(), input.piece()) {
            turning.bytes(pause, piece);
        }
        assert!(!turning.end(), "a stranger was let in");
    }
}

/// Completes Noise with `channel`.
fn dial(channel: &mut Channel) -> NoiseTransport {
    let mut wire = VersionHeader::OWN.to_bytes().to_vec();
    let key = noise_secret(1);
    let mut noise = NoiseHandshake::initiator(&key, [0x55; 32].into(), &wire).expect("fixed keys");
    write_frame(&noise.write(&[]).expect("message 1"), &mut wire).expect("32 bytes");
    channel.handle_bytes(START, &wire);
    let answer = drain(channel, START);
    noise
        .read(answer.get(9..).expect("message 2"))
        .expect("ours");
    let mut wire = Vec::new();
    write_frame(&noise.write(&[]).expect("message 3"), &mut wire).expect("64 bytes");
    channel.handle_bytes(START, &wire);
    noise.finish().expect("all three").0
}

fn greeting() -> Vec<u8> {
    static HELLO: OnceLock<Vec<u8>> = OnceLock::new();
    let hello = || Hello {
        responder_header: VersionHeader::OWN,
        service: 1,
        intended: Some(local().id()),
        identity: Some(secret(1).identity().as_bytes().to_vec()),
        intro: None,
        features: 0,
    };
    HELLO
        .get_or_init(|| [&[7], hello().encode().as_slice()].concat())
        .clone()
}

/// Arbitrary plaintexts of somebody who completed Noise; the first byte decides whether a good HELLO
/// comes before them.
pub fn channel_peer(data: &[u8]) {
    let mut turning = Turning::new(accept());
    let mut noise = dial(&mut turning.channel);
    let mut frame = |plaintext: &[u8]| {
        let (mut message, mut wire) = (Vec::new(), Vec::new());
        noise.write(plaintext, &mut message).ok()?;
        write_frame(&message, &mut wire).ok()?;
        Some(wire)
    };
    let mut input = Input(data);
    let greets = input.byte().is_some_and(|b| b & 1 == 1);
    if greets && let Some(wire) = frame(&greeting()) {
        turning.bytes(2, &wire);
    }
    while let (Some(pause), Some(piece)) = (input.byte(), input.piece()) {
        if let Some(wire) = frame(piece) {
            turning.bytes(pause, &wire);
        }
    }
    turning.end();
}
