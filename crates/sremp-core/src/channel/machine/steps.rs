//! What the machine does with each unit of input, and how it ends.

use std::ops::RangeInclusive;

use rand_core::CryptoRng;

use super::{Channel, State, Unit};
use crate::{
    channel::{
        CloseReason, Event, Message, Plain, VersionHeader,
        handshake::{Established, ExpectResponderHello, ShownPeer},
        keepalive::PingPayload,
        outbox::Outbox,
        plain::{OwnClose, PlainType, plain},
        transport::Transport,
    },
    constants::{
        CONNECTION_MAX_AGE, FRAME_BODY_TIMEOUT, HANDSHAKE_LEN, MAX_FRAME, MAX_HELD_BYTES,
        MAX_HELLO, MIN_TRANSPORT_FRAME, TAG_LEN,
    },
    error::{ErrorCode, Scope},
    time::Tick,
    wire::{chunk::Reassembler, frame::FrameReader},
};

/// Frame lengths before both HELLOs: nothing larger than a HELLO is taken from a stranger.
const HELLO_FRAME: RangeInclusive<usize> = MIN_TRANSPORT_FRAME..=MAX_HELLO + TAG_LEN;

impl Channel {
    pub(super) fn next_unit(&mut self, bytes: &mut &[u8]) -> Result<Option<Unit>, ErrorCode> {
        let [first, second, third] = HANDSHAKE_LEN;
        let lengths = match &self.state {
            State::ResponderHeader(_) | State::InitiatorHeader(_) => {
                return Ok(self.header.read(bytes)?.map(Unit::Header));
            }
            State::Message1(_) => first..=first,
            State::Message2(_) => second..=second,
            State::Message3(_) => third..=third,
            State::ResponderHello(_) | State::InitiatorHello(_) => HELLO_FRAME,
            _ => MIN_TRANSPORT_FRAME..=MAX_FRAME,
        };
        let frame = self.frames.read(bytes, lengths);
        let frame = frame.map_err(|_| ErrorCode::FrameInvalid)?;
        Ok(frame.map(Unit::Frame))
    }

    pub(super) fn handle_unit(&mut self, unit: Unit, now: Tick) -> Result<(), ErrorCode> {
        // A state that fails is gone: `Closed` stands in its place.
        let state = std::mem::replace(&mut self.state, State::Closed);
        match (state, unit) {
            (State::ResponderHeader(state), Unit::Header(header)) => {
                let next = state.handle(header)?;
                self.enter(State::Message2(next), now);
            }
            (State::InitiatorHeader(state), Unit::Header(header)) => {
                let next = state.handle(header).inspect_err(|_| {
                    // told to whoever speaks another major version, so that it can tell its user
                    self.flight = VersionHeader::OWN.to_bytes().to_vec();
                })?;
                self.enter(State::Message1(next), now);
            }
            (State::Message1(state), Unit::Frame(frame)) => {
                let (next, flight) = state.handle(&frame)?;
                self.flight = flight;
                self.enter(State::Message3(next), now);
            }
            (State::Message2(state), Unit::Frame(frame)) => {
                let (next, established, flight) = state.handle(&frame)?;
                self.flight = flight;
                self.establish(established, now);
                self.send_first_flight(&next, now)?;
                self.enter(State::ResponderHello(next), now);
            }
            (State::Message3(state), Unit::Frame(frame)) => {
                let (next, established) = state.handle(&frame)?;
                self.establish(established, now);
                self.enter(State::InitiatorHello(next), now);
            }
            (State::ResponderHello(state), Unit::Frame(frame)) => {
                let plaintext = self.open_frame(&frame, now)?;
                if let Some(body) = self.hello_or_close(&plaintext, now)? {
                    let shown = state.handle(body)?;
                    self.show(shown, None, now);
                }
            }
            (State::InitiatorHello(state), Unit::Frame(frame)) => {
                let plaintext = self.open_frame(&frame, now)?;
                if let Some(body) = self.hello_or_close(&plaintext, now)? {
                    let (shown, answer) = state.handle(body)?;
                    self.show(shown, Some(answer), now);
                }
            }
            (State::Open(peer), Unit::Frame(frame)) => {
                self.state = State::Open(peer);
                let plaintext = self.open_frame(&frame, now)?;
                self.handle_plain(&plaintext, now)?;
            }
            _ => return Err(ErrorCode::ProtocolViolation),
        }
        Ok(())
    }

    fn establish(&mut self, established: Established, now: Tick) {
        self.transport = Some(Transport::new(established.transport, now));
        self.hash = Some(established.hash);
    }

    /// HELLO behind message 3, and with it what is queued when the key is the pinned one.
    fn send_first_flight(
        &mut self,
        state: &ExpectResponderHello,
        now: Tick,
    ) -> Result<(), ErrorCode> {
        self.seal_into_flight(&plain(PlainType::Hello, &state.hello()), now)?;
        if state.is_pinned() {
            while let Some(plaintext) = self.outbox.pop_unchunked() {
                self.seal_into_flight(&plaintext, now)?;
            }
        }
        Ok(())
    }

    fn seal_into_flight(&mut self, plaintext: &[u8], now: Tick) -> Result<(), ErrorCode> {
        let transport = self.transport.as_mut();
        let transport = transport.ok_or(ErrorCode::HandshakeFailed)?;
        transport.seal(plaintext, now, &mut self.flight)
    }

    fn open_frame(&mut self, frame: &[u8], now: Tick) -> Result<Vec<u8>, ErrorCode> {
        let transport = self.transport.as_mut();
        transport
            .ok_or(ErrorCode::HandshakeFailed)?
            .open(frame, now)
    }

    /// The body of a HELLO; `None` when the peer closed instead.
    fn hello_or_close<'a>(
        &mut self,
        plaintext: &'a [u8],
        now: Tick,
    ) -> Result<Option<&'a [u8]>, ErrorCode> {
        match Plain::decode(plaintext)? {
            Plain::Hello(body) => Ok(Some(body)),
            Plain::Close(close) => {
                self.end(CloseReason::Peer(close), now);
                Ok(None)
            }
            _ => Err(ErrorCode::ProtocolViolation),
        }
    }

    fn show(&mut self, shown: ShownPeer, answer: Option<Vec<u8>>, now: Tick) {
        self.events.push_back(Event::Shown {
            identity: shown.identity.clone(),
            intro: shown.intro,
        });
        self.enter(State::Admission { shown, answer }, now);
    }

    /// Keeps what came behind a HELLO until the peer is let in. A driver that heeds
    /// [`Self::wants_bytes`] never fills it.
    pub(super) fn hold(&mut self, bytes: &[u8], now: Tick) {
        if self.held.len().saturating_add(bytes.len()) > MAX_HELD_BYTES {
            return self.fail(ErrorCode::Busy, now);
        }
        self.held.extend_from_slice(bytes);
    }

    pub(super) fn open(&mut self, now: Tick) {
        let state = std::mem::replace(&mut self.state, State::Closed);
        let State::Admission { shown, answer } = state else {
            return;
        };
        if let Some(hello) = answer {
            let hello = plain(PlainType::Hello, &hello);
            if let Err(code) = self.seal_into_flight(&hello, now) {
                return self.fail(code, now);
            }
        }
        self.keepalive.start(now);
        let peer = shown.identity.clone();
        self.events.push_back(Event::Opened { peer });
        self.enter(State::Open(shown.identity), now);
        let held = std::mem::take(&mut self.held);
        self.handle_bytes(now, &held);
    }

    fn handle_plain(&mut self, plaintext: &[u8], now: Tick) -> Result<(), ErrorCode> {
        self.keepalive.heard(now);
        match Plain::decode(plaintext)? {
            Plain::Pad | Plain::Rekey => {}
            Plain::Msg(body) => self.handle_message(body)?,
            Plain::Chunk(chunk) => {
                if let Some(message) = self.reassembler.handle(chunk, now)? {
                    self.handle_message(&message)?;
                }
            }
            Plain::Ping(payload) => {
                if self.keepalive.allows_ping(now) {
                    self.outbox.push_control(plain(PlainType::Pong, &payload));
                }
            }
            Plain::Pong(payload) => {
                if self.keepalive.handle_pong(payload)? {
                    self.events.push_back(Event::Pong);
                }
            }
            Plain::Close(close) => self.end(CloseReason::Peer(close), now),
            Plain::Hello(_) => return Err(ErrorCode::ProtocolViolation),
        }
        Ok(())
    }

    fn handle_message(&mut self, encoded: &[u8]) -> Result<(), ErrorCode> {
        let message = Message::decode(encoded).map_err(|_| ErrorCode::ProtocolViolation)?;
        self.events.push_back(Event::Message(message));
        Ok(())
    }

    pub(super) fn handle_open_timeout<R: CryptoRng + ?Sized>(&mut self, now: Tick, rng: &mut R) {
        self.reassembler.handle_timeout(now);
        if now >= self.started.plus(CONNECTION_MAX_AGE) {
            return self.close(now, ErrorCode::GoingAway);
        }
        let partial = self.partial_since;
        if partial.is_some_and(|at| now >= at.plus(FRAME_BODY_TIMEOUT)) {
            return self.fail(ErrorCode::Timeout, now);
        }
        match self.keepalive.handle_timeout(now, rng) {
            Ok(Some(payload)) => self.push_ping(payload),
            Ok(None) => {}
            Err(code) => self.fail(code, now),
        }
    }

    pub(super) fn push_ping(&mut self, payload: PingPayload) {
        self.outbox.push_control(plain(PlainType::Ping, &payload));
    }

    pub(super) fn next_plaintext(&mut self) -> Option<Vec<u8>> {
        match &self.state {
            State::Open(_) => self.outbox.pop(),
            State::Closing(close) => {
                let close = *close;
                self.outbox.pop().or_else(|| Some(close.encode()))
            }
            _ => None,
        }
    }

    pub(super) fn enter(&mut self, state: State, now: Tick) {
        self.state = state;
        self.since = now;
    }

    /// The first error is fatal: a CLOSE if the code is one that is told and there are keys to tell
    /// it under, silence otherwise.
    pub(super) fn fail(&mut self, code: ErrorCode, now: Tick) {
        if self.transport.is_some() && code.scope() == Scope::Close {
            self.close_now(OwnClose { code, seen: None }, now);
        } else {
            self.end(CloseReason::Local(code), now);
        }
    }

    pub(super) fn close_now(&mut self, close: OwnClose, now: Tick) {
        let sealed = self.seal_into_flight(&close.encode(), now);
        let flight = std::mem::take(&mut self.flight);
        self.end(
            match sealed {
                Ok(()) => CloseReason::Own(close.code),
                Err(code) => CloseReason::Local(code),
            },
            now,
        );
        self.flight = flight;
    }

    pub(super) fn end(&mut self, reason: CloseReason, now: Tick) {
        let version_answer = reason == CloseReason::Local(ErrorCode::VersionMismatch);
        let flight = std::mem::take(&mut self.flight);
        // a graceful close has told its reason already
        if !matches!(self.state, State::Closing(_)) {
            self.events.push_back(Event::Closed(reason));
        }
        self.drop_everything();
        if version_answer {
            self.flight = flight;
        }
        self.since = now;
    }

    /// Keys, queues and half-read messages go; what was said stays said.
    pub(super) fn drop_everything(&mut self) {
        self.state = State::Closed;
        self.transport = None;
        self.flight = Vec::new();
        self.held = Vec::new();
        self.frames = FrameReader::default();
        self.partial_since = None;
        self.outbox = Outbox::default();
        self.reassembler = Reassembler::new(self.reassembly.clone());
    }
}
