//! `Noise_XX_25519_ChaChaPoly_BLAKE2s` (Noise revision 34), with its randomness as an argument.
//!
//! The layer below [`Channel`](super::Channel); public for vectors, benchmarks and fuzzing. snow
//! keeps `h` and `ck` of a handshake in memory that it does not clear, so a handshake is dropped
//! as soon as its keys are split.

use snow::{Builder, HandshakeState, TransportState};
use zeroize::Zeroizing;

use super::resolver::Resolver;
use crate::{
    constants::{DHLEN, HANDSHAKE_LEN, MAX_FRAME, NOISE_PROTOCOL, TAG_LEN},
    key::{NoisePublicKey, NoiseSecret},
    wire::bytes::public_bytes,
};

public_bytes! {
    /// `h` after the handshake, 32 bytes: names this one connection. Never secret, never `ck` (D1.8).
    HandshakeHash, 32
}

/// A Noise message was not made by the peer for this place in the conversation, or is not for us
/// to write or read now. Nothing more is said: the connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoiseError;

impl std::fmt::Display for NoiseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a Noise message does not hold")
    }
}

impl std::error::Error for NoiseError {}

impl From<snow::Error> for NoiseError {
    fn from(_: snow::Error) -> Self {
        Self
    }
}

/// A handshake on its way.
pub struct NoiseHandshake(Box<HandshakeState>);

impl NoiseHandshake {
    /// The side that speaks first. `ephemeral` is 32 bytes of randomness, used once.
    ///
    /// # Errors
    /// [`NoiseError`] never in practice: every part is fixed here.
    pub fn initiator(
        key: &NoiseSecret,
        ephemeral: Zeroizing<[u8; DHLEN]>,
        prologue: &[u8],
    ) -> Result<Self, NoiseError> {
        Self::start(key, ephemeral, prologue, true)
    }

    /// The side that answers. `ephemeral` is 32 bytes of randomness, used once.
    ///
    /// # Errors
    /// [`NoiseError`] never in practice: every part is fixed here.
    pub fn responder(
        key: &NoiseSecret,
        ephemeral: Zeroizing<[u8; DHLEN]>,
        prologue: &[u8],
    ) -> Result<Self, NoiseError> {
        Self::start(key, ephemeral, prologue, false)
    }

    fn start(
        key: &NoiseSecret,
        ephemeral: Zeroizing<[u8; DHLEN]>,
        prologue: &[u8],
        initiator: bool,
    ) -> Result<Self, NoiseError> {
        let mut key_pair = Zeroizing::new([0; 2 * DHLEN]);
        let (private, public) = key_pair.split_at_mut(DHLEN);
        private.copy_from_slice(key.expose());
        public.copy_from_slice(key.public().as_bytes());
        let params = NOISE_PROTOCOL.parse()?;
        let builder = Builder::with_resolver(params, Box::new(Resolver { ephemeral }))
            .local_private_key(key_pair.as_slice())?
            .prologue(prologue)?;
        let state = if initiator {
            builder.build_initiator()
        } else {
            builder.build_responder()
        };
        Ok(Self(Box::new(state?)))
    }

    /// The next message of this side.
    ///
    /// # Errors
    /// [`NoiseError`] when it is not this side's turn, or the peer's key is of small order.
    pub fn write(&mut self, payload: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let [_, longest, _] = HANDSHAKE_LEN;
        let mut message = vec![0; payload.len().saturating_add(longest + TAG_LEN)];
        let len = self.0.write_message(payload, &mut message)?;
        message.truncate(len);
        Ok(message)
    }

    /// Reads the next message of the peer and returns its payload.
    ///
    /// # Errors
    /// [`NoiseError`] for any message that does not hold. snow restores its state then; a caller
    /// must not try another message.
    pub fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let mut payload = vec![0; message.len()];
        let len = self.0.read_message(message, &mut payload)?;
        payload.truncate(len);
        Ok(payload)
    }

    /// The static key that the peer showed, once it has.
    pub fn remote_static(&self) -> Option<NoisePublicKey> {
        self.0
            .get_remote_static()
            .and_then(NoisePublicKey::from_slice)
    }

    /// The hash of all that was said so far.
    pub fn handshake_hash(&self) -> Option<HandshakeHash> {
        HandshakeHash::from_slice(self.0.get_handshake_hash())
    }

    /// The transport after the third message, with the handshake hash that binds to it.
    ///
    /// # Errors
    /// [`NoiseError`] before the third message.
    pub fn finish(self) -> Result<(NoiseTransport, HandshakeHash), NoiseError> {
        let hash = self.handshake_hash().ok_or(NoiseError)?;
        let state = (*self.0).into_transport_mode()?;
        Ok((NoiseTransport(Box::new(state)), hash))
    }
}

impl std::fmt::Debug for NoiseHandshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NoiseHandshake")
    }
}

/// The two transport keys of a finished handshake.
pub struct NoiseTransport(Box<TransportState>);

impl NoiseTransport {
    /// Encrypts at most [`MAX_PLAIN`](crate::constants::MAX_PLAIN) bytes and appends the Noise
    /// message to `out`.
    ///
    /// # Errors
    /// [`NoiseError`] for a longer plaintext; nothing is appended then.
    pub fn write(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        let start = out.len();
        let len = plaintext.len().saturating_add(TAG_LEN);
        if len > MAX_FRAME {
            return Err(NoiseError);
        }
        out.resize(start.saturating_add(len), 0);
        let place = out.get_mut(start..).unwrap_or_default();
        let written = self.0.write_message(plaintext, place);
        if written != Ok(len) {
            out.truncate(start);
            return Err(NoiseError);
        }
        Ok(())
    }

    /// Decrypts a Noise message.
    ///
    /// # Errors
    /// [`NoiseError`] for anything but the peer's next message. snow keeps its nonce and would
    /// accept the genuine message afterwards; a caller must not let it (D1.7).
    pub fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let text_len = message.len().checked_sub(TAG_LEN).ok_or(NoiseError)?;
        let mut plaintext = vec![0; text_len];
        let len = self.0.read_message(message, &mut plaintext)?;
        plaintext.truncate(len);
        Ok(plaintext)
    }

    /// Replaces the sending key by its successor (Noise 11.3); the counter goes on.
    pub fn rekey_outgoing(&mut self) {
        self.0.rekey_outgoing();
    }

    /// Replaces the receiving key by its successor.
    pub fn rekey_incoming(&mut self) {
        self.0.rekey_incoming();
    }
}

impl std::fmt::Debug for NoiseTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NoiseTransport")
    }
}
