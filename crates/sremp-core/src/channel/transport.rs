//! Transport frames: sealing, opening, and when a key has served long enough (D1.9).

use super::{
    NoiseTransport, Plain,
    plain::{PlainType, plain},
};
use crate::{
    constants::{
        REKEY_AFTER, REKEY_AFTER_BYTES, REKEY_AFTER_FRAMES, REKEY_MIN_INTERVAL, REKEY_SEND_INTERVAL,
    },
    error::ErrorCode,
    time::Tick,
};

/// The two directions of a connection after the handshake.
pub(super) struct Transport {
    noise: NoiseTransport,
    frames: u64,
    bytes: u64,
    key_since: Tick,
    peer_rekeyed: Option<Tick>,
}

impl Transport {
    pub(super) const fn new(noise: NoiseTransport, now: Tick) -> Self {
        Self {
            noise,
            frames: 0,
            bytes: 0,
            key_since: now,
            peer_rekeyed: None,
        }
    }

    /// Encrypts a plaintext and appends its frame to `out`, with a REKEY before it when one is due.
    pub(super) fn seal(
        &mut self,
        plaintext: &[u8],
        now: Tick,
        out: &mut Vec<u8>,
    ) -> Result<(), ErrorCode> {
        if self.is_rekey_due(now) {
            self.write(&plain(PlainType::Rekey, &[]), out)?;
            self.noise.rekey_outgoing();
            (self.frames, self.bytes, self.key_since) = (0, 0, now);
        }
        self.write(plaintext, out)
    }

    fn is_rekey_due(&self, now: Tick) -> bool {
        let age = now.since(self.key_since);
        let used = self.frames >= REKEY_AFTER_FRAMES || self.bytes >= REKEY_AFTER_BYTES;
        age >= REKEY_AFTER || (used && age >= REKEY_SEND_INTERVAL)
    }

    fn write(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), ErrorCode> {
        let start = out.len();
        // the length is filled in when it is known
        out.extend_from_slice(&[0; 2]);
        let body = out.len();
        let written = self.noise.write(plaintext, out);
        let length = u16::try_from(out.len().saturating_sub(body)).ok();
        let (Ok(()), Some(length)) = (written, length) else {
            out.truncate(start);
            return Err(ErrorCode::TooLarge);
        };
        if let Some(place) = out.get_mut(start..body) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        self.frames = self.frames.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u64::from(length));
        Ok(())
    }

    /// Decrypts a frame. A REKEY takes effect here and is returned all the same.
    pub(super) fn open(&mut self, frame: &[u8], now: Tick) -> Result<Vec<u8>, ErrorCode> {
        let plaintext = self.noise.read(frame);
        let plaintext = plaintext.map_err(|_| ErrorCode::DecryptFailed)?;
        if Plain::decode(&plaintext) == Ok(Plain::Rekey) {
            let previous = self.peer_rekeyed.replace(now);
            if previous.is_some_and(|at| now.since(at) < REKEY_MIN_INTERVAL) {
                return Err(ErrorCode::ProtocolViolation);
            }
            self.noise.rekey_incoming();
        }
        Ok(plaintext)
    }
}
