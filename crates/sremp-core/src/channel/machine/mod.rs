//! [`Channel`]: the whole of chapter 1 as one machine without IO.

mod steps;

use std::{collections::VecDeque, sync::Arc};

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{
    Admission, CloseReason, Event, HandshakeHash, LocalIdentity, Message, SendError, Service,
    VersionHeader,
    handshake::{
        Ephemeral, ExpectInitiatorHeader, ExpectInitiatorHello, ExpectMessage1, ExpectMessage2,
        ExpectMessage3, ExpectResponderHeader, ExpectResponderHello, ShownPeer, Target,
    },
    header::HeaderReader,
    keepalive::{Keepalive, Probe},
    outbox::Outbox,
    plain::{OwnClose, PlainType},
    transport::Transport,
};
use crate::{
    constants::{
        CONNECTION_MAX_AGE, DHLEN, DRAIN_TIMEOUT, FRAME_BODY_TIMEOUT, HANDSHAKE_TIMEOUT,
        HEADER_TIMEOUT, HELLO_TIMEOUT,
    },
    error::{ErrorCode, Scope},
    id::{ContactId, IntroToken},
    identity::Identity,
    key::NoisePublicKey,
    time::Tick,
    wire::{
        chunk::{Reassembler, ReassemblyBudget},
        frame::FrameReader,
    },
};

/// How to begin a connection as its initiator, the side that dialled.
#[derive(Clone, Debug)]
pub struct Initiate {
    /// Our own side.
    pub local: Arc<LocalIdentity>,
    /// What the connection is for.
    pub service: Service,
    /// The identity that is dialled; `None` when only an address is known.
    pub expected: Option<ContactId>,
    /// The noise key of that identity, when it is known: another one ends the connection before
    /// our own is shown, and with this one messages may leave in the flight of our HELLO.
    pub pinned_noise_key: Option<NoisePublicKey>,
    /// From a card of the dialled identity.
    pub intro: Option<IntroToken>,
    /// The memory for chunks that the process shares.
    pub reassembly: ReassemblyBudget,
}

/// How to begin a connection as its responder.
#[derive(Clone, Debug)]
pub struct Accept {
    /// Our own side.
    pub local: Arc<LocalIdentity>,
    /// What is served here.
    pub service: Service,
    /// The memory for chunks that the process shares.
    pub reassembly: ReassemblyBudget,
}

/// One connection, from the first byte to the last, without socket, clock or randomness of its own.
///
/// # Contract
/// - *Input*: give it every byte that the peer sent with [`handle_bytes`](Self::handle_bytes), but
///   none while [`wants_bytes`](Self::wants_bytes) is false; the end of the stream with
///   [`handle_eof`](Self::handle_eof); the answer to [`Event::Shown`] with
///   [`handle_admission`](Self::handle_admission); and call
///   [`handle_timeout`](Self::handle_timeout) when the time of
///   [`poll_timeout`](Self::poll_timeout) has come. `now` never goes back.
/// - *Output*: after every input or command call [`poll_event`](Self::poll_event) and
///   [`poll_transmit`](Self::poll_transmit) until they have no more, then ask for the deadline. The
///   bytes of `poll_transmit` are written in that order, once; bytes are encrypted only there, so
///   ask for them only as fast as the peer takes them.
/// - *End*: [`Event::Closed`] comes exactly once and is the last event. What `poll_transmit` still
///   has then (the rest of the queue, a CLOSE) is written, until [`is_closed`](Self::is_closed).
///   The first error drops the keys: nothing that comes later is read.
///
/// No input makes it panic.
pub struct Channel {
    state: State,
    started: Tick,
    since: Tick,
    header: HeaderReader,
    frames: FrameReader,
    partial_since: Option<Tick>,
    held: Vec<u8>,
    transport: Option<Transport>,
    hash: Option<HandshakeHash>,
    flight: Vec<u8>,
    outbox: Outbox,
    keepalive: Keepalive,
    reassembler: Reassembler,
    reassembly: ReassemblyBudget,
    events: VecDeque<Event>,
}

enum State {
    ResponderHeader(ExpectResponderHeader),
    Message2(ExpectMessage2),
    ResponderHello(ExpectResponderHello),
    InitiatorHeader(ExpectInitiatorHeader),
    Message1(ExpectMessage1),
    Message3(ExpectMessage3),
    InitiatorHello(ExpectInitiatorHello),
    Admission {
        shown: ShownPeer,
        /// Of the responder: its HELLO.
        answer: Option<Vec<u8>>,
    },
    Open(Identity),
    /// What is queued still goes out, then this.
    Closing(OwnClose),
    Closed,
}

/// What the bytes of one direction consist of.
enum Unit {
    Header(VersionHeader),
    Frame(Vec<u8>),
}

fn ephemeral<R: CryptoRng + ?Sized>(rng: &mut R) -> Ephemeral {
    let mut bytes = Zeroizing::new([0; DHLEN]);
    rng.fill_bytes(bytes.as_mut());
    bytes
}

impl Channel {
    /// Begins a connection that this side dialled; the first flight can be polled at once.
    ///
    /// Draws 32 bytes for the ephemeral key from `rng`, then the jitter of the keepalive.
    pub fn initiate<R: CryptoRng + ?Sized>(config: Initiate, now: Tick, rng: &mut R) -> Self {
        let target = Target {
            local: config.local,
            service: config.service,
            expected: config.expected,
            pinned_noise_key: config.pinned_noise_key,
            intro: config.intro,
        };
        let begun = ExpectResponderHeader::start(target, ephemeral(rng));
        let mut channel = Self::new(State::Closed, config.reassembly, now, rng);
        match begun {
            Ok((state, flight)) => {
                channel.state = State::ResponderHeader(state);
                channel.flight = flight;
            }
            Err(code) => channel.fail(code, now),
        }
        channel
    }

    /// Begins a connection that the peer dialled. Nothing is sent before its header and first
    /// message are read.
    ///
    /// Draws 32 bytes for the ephemeral key from `rng`, then the jitter of the keepalive.
    pub fn accept<R: CryptoRng + ?Sized>(config: Accept, now: Tick, rng: &mut R) -> Self {
        let state = State::InitiatorHeader(ExpectInitiatorHeader {
            local: config.local,
            service: config.service,
            ephemeral: ephemeral(rng),
        });
        Self::new(state, config.reassembly, now, rng)
    }

    fn new<R: CryptoRng + ?Sized>(
        state: State,
        reassembly: ReassemblyBudget,
        now: Tick,
        rng: &mut R,
    ) -> Self {
        Self {
            state,
            started: now,
            since: now,
            header: HeaderReader::default(),
            frames: FrameReader::default(),
            partial_since: None,
            held: Vec::new(),
            transport: None,
            hash: None,
            flight: Vec::new(),
            outbox: Outbox::default(),
            keepalive: Keepalive::new(now, rng),
            reassembler: Reassembler::new(reassembly.clone()),
            reassembly,
            events: VecDeque::new(),
        }
    }

    // ---- getters ------------------------------------------------------------------------------

    /// The peer, once the connection is open.
    pub const fn peer(&self) -> Option<&Identity> {
        match &self.state {
            State::Open(peer) => Some(peer),
            _ => None,
        }
    }

    /// What names this connection and no other, once the connection is open.
    pub const fn handshake_hash(&self) -> Option<&HandshakeHash> {
        match &self.state {
            State::Open(_) => self.hash.as_ref(),
            _ => None,
        }
    }

    /// Whether the Noise handshake is done: what is sent from now on the peer alone can read. As the
    /// initiator, message 3 and HELLO still wait in [`Self::poll_transmit`] at first.
    pub const fn is_established(&self) -> bool {
        self.transport.is_some()
    }

    /// Whether bytes of the peer are to be read now.
    pub const fn wants_bytes(&self) -> bool {
        !matches!(
            self.state,
            State::Admission { .. } | State::Closing(_) | State::Closed
        )
    }

    /// Bytes that wait to be encrypted and sent.
    pub const fn queued_bytes(&self) -> usize {
        self.outbox.bytes()
    }

    /// Whether it is all over: nothing is read and nothing will be sent any more.
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed) && self.flight.is_empty()
    }

    // ---- input --------------------------------------------------------------------------------

    /// Takes bytes of the peer.
    pub fn handle_bytes(&mut self, now: Tick, mut bytes: &[u8]) {
        while self.wants_bytes() {
            match self.next_unit(&mut bytes) {
                Ok(Some(unit)) => {
                    self.partial_since = None;
                    if let Err(code) = self.handle_unit(unit, now) {
                        return self.fail(code, now);
                    }
                }
                Ok(None) => {
                    if self.frames.is_partial() {
                        self.partial_since.get_or_insert(now);
                    }
                    return;
                }
                Err(code) => return self.fail(code, now),
            }
        }
        if matches!(self.state, State::Admission { .. }) {
            self.hold(bytes, now);
        }
    }

    /// The peer's bytes ended.
    pub fn handle_eof(&mut self, now: Tick) {
        match self.state {
            State::Closed => {}
            State::Closing(_) => self.drop_everything(),
            _ => self.end(CloseReason::Truncated, now),
        }
    }

    /// The answer to [`Event::Shown`]; without effect at any other time.
    pub fn handle_admission(&mut self, now: Tick, admission: Admission) {
        if !matches!(self.state, State::Admission { .. }) {
            return;
        }
        match admission {
            Admission::Accept => self.open(now),
            Admission::Close(code) => self.fail(code, now),
            Admission::Stale { seen } => self.close_now(
                OwnClose {
                    code: ErrorCode::StaleIdentity,
                    seen: Some(seen),
                },
                now,
            ),
        }
    }

    /// The time of [`Self::poll_timeout`] has come, or any other time.
    pub fn handle_timeout<R: CryptoRng + ?Sized>(&mut self, now: Tick, rng: &mut R) {
        match &self.state {
            State::Closed => {}
            State::Closing(_) => {
                if now >= self.since.plus(DRAIN_TIMEOUT) {
                    self.drop_everything();
                }
            }
            State::Open(_) => self.handle_open_timeout(now, rng),
            _ => {
                if self.poll_timeout().is_some_and(|at| at <= now) {
                    self.fail(ErrorCode::Timeout, now);
                }
            }
        }
    }

    // ---- commands -----------------------------------------------------------------------------

    /// Queues a message. Before the connection is open it waits, or leaves with our HELLO when the
    /// peer's noise key is pinned. Messages that need chunks may be overtaken by others.
    ///
    /// # Errors
    /// [`SendError`]; the message is not queued then.
    pub fn send(&mut self, message: &Message) -> Result<(), SendError> {
        match self.state {
            State::Closing(_) | State::Closed => Err(SendError::Closed),
            _ => self.outbox.push(message),
        }
    }

    /// Asks whether the peer is there: [`Event::Pong`] is the answer. Without effect before the
    /// connection is open.
    pub fn probe<R: CryptoRng + ?Sized>(&mut self, now: Tick, rng: &mut R) {
        if !matches!(self.state, State::Open(_)) {
            return;
        }
        match self.keepalive.probe(now, rng) {
            Probe::Send(payload) => self.push_ping(payload),
            Probe::Waiting => {}
            Probe::Alive => self.events.push_back(Event::Pong),
        }
    }

    /// Closes the connection: what is queued goes out, then a CLOSE with this code. Codes that are
    /// never sent close it without a word.
    pub fn close(&mut self, now: Tick, code: ErrorCode) {
        match self.state {
            State::Closing(_) | State::Closed => {}
            State::Open(_) if code.scope() == Scope::Close => {
                self.enter(State::Closing(OwnClose { code, seen: None }), now);
                self.events.push_back(Event::Closed(CloseReason::Own(code)));
            }
            _ => self.fail(code, now),
        }
    }

    // ---- output -------------------------------------------------------------------------------

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Appends the next flight or frame to `out` and returns its length in bytes, 0 when there is
    /// nothing to send.
    pub fn poll_transmit(&mut self, now: Tick, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        if !self.flight.is_empty() {
            out.append(&mut self.flight);
        } else if let Some(plaintext) = self.next_plaintext() {
            let sealed = self
                .transport
                .as_mut()
                .ok_or(ErrorCode::ProtocolViolation)
                .and_then(|transport| transport.seal(&plaintext, now, out));
            if let Err(code) = sealed {
                self.fail(code, now);
            } else if plaintext.first() == Some(&(PlainType::Close as u8)) {
                self.drop_everything();
            }
        }
        out.len().saturating_sub(start)
    }

    /// When [`Self::handle_timeout`] has to be called.
    pub fn poll_timeout(&self) -> Option<Tick> {
        let whole = self.started.plus(HELLO_TIMEOUT);
        let step = |limit| Some(self.since.plus(limit).min(whole));
        match &self.state {
            State::ResponderHeader(_) | State::InitiatorHeader(_) => step(HEADER_TIMEOUT),
            State::Message1(_) | State::Message2(_) | State::Message3(_) => step(HANDSHAKE_TIMEOUT),
            State::ResponderHello(_) | State::InitiatorHello(_) | State::Admission { .. } => {
                Some(whole)
            }
            State::Open(_) => [
                Some(self.keepalive.poll_timeout()),
                Some(self.started.plus(CONNECTION_MAX_AGE)),
                self.reassembler.poll_timeout(),
                self.partial_since.map(|at| at.plus(FRAME_BODY_TIMEOUT)),
            ]
            .into_iter()
            .flatten()
            .min(),
            State::Closing(_) => Some(self.since.plus(DRAIN_TIMEOUT)),
            State::Closed => None,
        }
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match &self.state {
            State::ResponderHeader(_) | State::InitiatorHeader(_) => "header",
            State::Message1(_) | State::Message2(_) | State::Message3(_) => "handshake",
            State::ResponderHello(_) | State::InitiatorHello(_) => "HELLO",
            State::Admission { .. } => "admission",
            State::Open(_) => "open",
            State::Closing(_) => "closing",
            State::Closed => "closed",
        };
        write!(f, "Channel({state})")
    }
}
