//! The states up to HELLO: a struct per awaited message, consumed by it (D1.14a).
//!
//! ```text
//! initiator                                     responder
//!   header ‖ msg 1        ────────────────────▶   ExpectInitiatorHeader, ExpectMessage1
//!   ExpectResponderHeader ◀────────────────────   header ‖ msg 2
//!   ExpectMessage2
//!   msg 3 ‖ HELLO         ────────────────────▶   ExpectMessage3, ExpectInitiatorHello
//!   ExpectResponderHello  ◀────────────────────   HELLO
//! ```

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{
    HandshakeHash, Hello, LocalIdentity, NoiseHandshake, NoiseTransport, Service, VersionHeader,
    noise::NoiseError,
};
use crate::{
    constants::DHLEN,
    error::ErrorCode,
    id::{ContactId, IntroToken},
    identity::Identity,
    key::NoisePublicKey,
    wire::frame::write_frame,
};

/// 32 bytes of randomness for one ephemeral key.
pub(super) type Ephemeral = Zeroizing<[u8; DHLEN]>;

/// What a finished handshake leaves for the states after it.
pub(super) struct Established {
    pub(super) transport: NoiseTransport,
    pub(super) hash: HandshakeHash,
}

/// Whom the initiator wants to reach.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) local: Arc<LocalIdentity>,
    pub(super) service: Service,
    pub(super) expected: Option<ContactId>,
    pub(super) pinned_noise_key: Option<NoisePublicKey>,
    pub(super) intro: Option<IntroToken>,
}

/// A peer whose HELLO passed every check that needs no state of the user.
pub(super) struct ShownPeer {
    pub(super) identity: Identity,
    pub(super) intro: Option<IntroToken>,
}

fn noise_failed(_: NoiseError) -> ErrorCode {
    ErrorCode::HandshakeFailed
}

/// Header and first message are out; the responder's header comes.
pub(super) struct ExpectResponderHeader {
    target: Target,
    noise: NoiseHandshake,
}

impl ExpectResponderHeader {
    /// Begins a connection; returns what to send.
    pub(super) fn start(
        target: Target,
        ephemeral: Ephemeral,
    ) -> Result<(Self, Vec<u8>), ErrorCode> {
        let mut flight = VersionHeader::OWN.to_bytes().to_vec();
        let key = target.local.noise_key();
        let noise = NoiseHandshake::initiator(key, ephemeral, &flight);
        let mut noise = noise.map_err(noise_failed)?;
        let message = noise.write(&[]).map_err(noise_failed)?;
        write_frame(&message, &mut flight).map_err(|_| ErrorCode::FrameInvalid)?;
        Ok((Self { target, noise }, flight))
    }

    pub(super) fn handle(self, header: VersionHeader) -> Result<ExpectMessage2, ErrorCode> {
        header.agree()?;
        Ok(ExpectMessage2 {
            target: self.target,
            noise: self.noise,
            responder_header: header,
        })
    }
}

/// The responder's header fits; its Noise message comes.
pub(super) struct ExpectMessage2 {
    target: Target,
    noise: NoiseHandshake,
    responder_header: VersionHeader,
}

impl ExpectMessage2 {
    /// Reads message 2 and, if the static key is the pinned one or none is pinned, makes message 3.
    /// With another key nothing is sent: our own static key is not shown to a stranger.
    pub(super) fn handle(
        mut self,
        message: &[u8],
    ) -> Result<(ExpectResponderHello, Established, Vec<u8>), ErrorCode> {
        // its length is exact, so its payload is empty
        self.noise.read(message).map_err(noise_failed)?;
        let remote_static = self.noise.remote_static();
        let remote_static = remote_static.ok_or(ErrorCode::HandshakeFailed)?;
        if remote_static.ct_eq(self.target.local.noise_key().public().as_bytes()) {
            return Err(ErrorCode::WrongPeer);
        }
        let pinned = self.target.pinned_noise_key;
        if pinned.is_some_and(|key| !key.ct_eq(remote_static.as_bytes())) {
            return Err(ErrorCode::StaticMismatch);
        }
        let message = self.noise.write(&[]).map_err(noise_failed)?;
        let mut flight = Vec::new();
        write_frame(&message, &mut flight).map_err(|_| ErrorCode::FrameInvalid)?;
        let (transport, hash) = self.noise.finish().map_err(noise_failed)?;
        let next = ExpectResponderHello {
            target: self.target,
            remote_static,
            responder_header: self.responder_header,
        };
        Ok((next, Established { transport, hash }, flight))
    }
}

/// Our HELLO is out; the responder's comes.
pub(super) struct ExpectResponderHello {
    target: Target,
    remote_static: NoisePublicKey,
    responder_header: VersionHeader,
}

impl ExpectResponderHello {
    /// The body of our own HELLO.
    pub(super) fn hello(&self) -> Vec<u8> {
        let hello = Hello {
            responder_header: self.responder_header,
            service: self.target.service as u8,
            intended: self.target.expected,
            identity: Some(self.target.local.identity().as_bytes().to_vec()),
            intro: self.target.intro,
            features: 0,
        };
        hello.encode()
    }

    /// Whether the responder has proved to hold the key of the dialled identity already, so that
    /// messages may go out before its HELLO.
    pub(super) const fn is_pinned(&self) -> bool {
        self.target.pinned_noise_key.is_some() && self.target.expected.is_some()
    }

    pub(super) fn handle(self, body: &[u8]) -> Result<ShownPeer, ErrorCode> {
        let own = self.target.local.id();
        let hello = Hello::decode_for(Some(own), body).map_err(|_| ErrorCode::ProtocolViolation)?;
        let identity = check(
            &hello,
            self.responder_header,
            self.target.service,
            &self.remote_static,
        )?;
        let dialled = self.target.expected.unwrap_or(identity.id());
        if identity.id() != dialled || hello.intended != Some(own) || identity.id() == own {
            return Err(ErrorCode::WrongPeer);
        }
        Ok(ShownPeer {
            identity,
            intro: None,
        })
    }
}

/// Nothing has come yet.
pub(super) struct ExpectInitiatorHeader {
    pub(super) local: Arc<LocalIdentity>,
    pub(super) service: Service,
    pub(super) ephemeral: Ephemeral,
}

impl ExpectInitiatorHeader {
    pub(super) fn handle(self, header: VersionHeader) -> Result<ExpectMessage1, ErrorCode> {
        header.agree()?;
        let key = self.local.noise_key();
        let noise = NoiseHandshake::responder(key, self.ephemeral, &header.to_bytes());
        Ok(ExpectMessage1 {
            noise: noise.map_err(noise_failed)?,
            local: self.local,
            service: self.service,
        })
    }
}

/// The initiator's header fits; its first message comes.
pub(super) struct ExpectMessage1 {
    local: Arc<LocalIdentity>,
    service: Service,
    noise: NoiseHandshake,
}

impl ExpectMessage1 {
    /// Reads message 1; returns our header and message 2, to be sent together.
    pub(super) fn handle(mut self, message: &[u8]) -> Result<(ExpectMessage3, Vec<u8>), ErrorCode> {
        self.noise.read(message).map_err(noise_failed)?;
        let message = self.noise.write(&[]).map_err(noise_failed)?;
        let mut flight = VersionHeader::OWN.to_bytes().to_vec();
        write_frame(&message, &mut flight).map_err(|_| ErrorCode::FrameInvalid)?;
        let next = ExpectMessage3 {
            local: self.local,
            service: self.service,
            noise: self.noise,
        };
        Ok((next, flight))
    }
}

/// Our header and message 2 are out; the initiator's last message comes.
pub(super) struct ExpectMessage3 {
    local: Arc<LocalIdentity>,
    service: Service,
    noise: NoiseHandshake,
}

impl ExpectMessage3 {
    pub(super) fn handle(
        mut self,
        message: &[u8],
    ) -> Result<(ExpectInitiatorHello, Established), ErrorCode> {
        self.noise.read(message).map_err(noise_failed)?;
        let remote_static = self.noise.remote_static();
        let remote_static = remote_static.ok_or(ErrorCode::HandshakeFailed)?;
        let (transport, hash) = self.noise.finish().map_err(noise_failed)?;
        let next = ExpectInitiatorHello {
            local: self.local,
            service: self.service,
            remote_static,
        };
        Ok((next, Established { transport, hash }))
    }
}

/// The keys are split; the initiator's HELLO comes, and nothing of ours is said before it.
pub(super) struct ExpectInitiatorHello {
    local: Arc<LocalIdentity>,
    service: Service,
    remote_static: NoisePublicKey,
}

impl ExpectInitiatorHello {
    /// Checks the HELLO; returns the peer and the body of our own HELLO, to be sent only when the
    /// peer is let in.
    pub(super) fn handle(self, body: &[u8]) -> Result<(ShownPeer, Vec<u8>), ErrorCode> {
        let own = self.local.id();
        let hello = Hello::decode_for(Some(own), body).map_err(|_| ErrorCode::ProtocolViolation)?;
        let identity = check(
            &hello,
            VersionHeader::OWN,
            self.service,
            &self.remote_static,
        )?;
        if hello.intended.is_some_and(|id| id != own) || identity.id() == own {
            return Err(ErrorCode::WrongPeer);
        }
        let answer = Hello {
            responder_header: VersionHeader::OWN,
            service: self.service as u8,
            intended: Some(identity.id()),
            identity: Some(self.local.identity().as_bytes().to_vec()),
            intro: None,
            features: 0,
        };
        let shown = ShownPeer {
            identity,
            intro: hello.intro,
        };
        Ok((shown, answer.encode()))
    }
}

/// The checks that both sides make of a HELLO, in their order.
fn check(
    hello: &Hello,
    responder_header: VersionHeader,
    service: Service,
    remote_static: &NoisePublicKey,
) -> Result<Identity, ErrorCode> {
    if hello.responder_header != responder_header {
        return Err(ErrorCode::VersionMismatch);
    }
    if hello.service != service as u8 {
        return Err(match hello.service {
            1..=3 => ErrorCode::Refused,
            _ => ErrorCode::ProtocolViolation,
        });
    }
    let identity = hello.identity.as_deref();
    let identity = identity.ok_or(ErrorCode::ProtocolViolation)?;
    let identity = Identity::verify(identity).map_err(|_| ErrorCode::IdentityInvalid)?;
    // Without this an identity could be shown over somebody else's channel.
    if !remote_static.ct_eq(identity.noise_key().as_bytes()) {
        return Err(ErrorCode::StaticMismatch);
    }
    Ok(identity)
}
