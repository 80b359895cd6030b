//! Frames: `u16` little-endian length, then a Noise message (D1.4).

use std::ops::RangeInclusive;

use crate::constants::MAX_FRAME;

/// A length that no frame may have at this point of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameInvalid;

impl std::fmt::Display for FrameInvalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a frame has an impossible length")
    }
}

impl std::error::Error for FrameInvalid {}

/// Puts frames together from bytes as they come.
///
/// The length is read, compared with what is allowed, and only then is memory taken: at most
/// 65535 bytes, whatever the peer says.
#[derive(Debug, Default)]
pub struct FrameReader {
    first_length_byte: Option<u8>,
    body: Option<Body>,
}

#[derive(Debug)]
struct Body {
    missing: usize,
    bytes: Vec<u8>,
}

impl FrameReader {
    /// Takes bytes from the front of `input` until a frame is whole; `None` when more are needed.
    ///
    /// `lengths` are the lengths in bytes that the frame may have; they must not change while
    /// [`Self::is_partial`].
    ///
    /// # Errors
    /// [`FrameInvalid`] as soon as both bytes of a forbidden length are there.
    pub fn read(
        &mut self,
        input: &mut &[u8],
        lengths: RangeInclusive<usize>,
    ) -> Result<Option<Vec<u8>>, FrameInvalid> {
        if self.body.is_none() {
            let Some(length) = self.read_length(input) else {
                return Ok(None);
            };
            if !lengths.contains(&length) {
                return Err(FrameInvalid);
            }
            self.body = Some(Body {
                missing: length,
                bytes: Vec::with_capacity(length),
            });
        }
        Ok(self.read_body(input))
    }

    /// Whether a frame has begun and is not whole.
    pub const fn is_partial(&self) -> bool {
        self.first_length_byte.is_some() || self.body.is_some()
    }

    fn read_length(&mut self, input: &mut &[u8]) -> Option<usize> {
        let low = match self.first_length_byte {
            Some(low) => low,
            None => *self.first_length_byte.insert(take_byte(input)?),
        };
        let high = take_byte(input)?;
        self.first_length_byte = None;
        Some(usize::from(u16::from_le_bytes([low, high])))
    }

    fn read_body(&mut self, input: &mut &[u8]) -> Option<Vec<u8>> {
        let body = self.body.as_mut()?;
        let (now, later) = input.split_at_checked(body.missing).unwrap_or((input, &[]));
        body.bytes.extend_from_slice(now);
        body.missing = body.missing.saturating_sub(now.len());
        *input = later;
        if body.missing > 0 {
            return None;
        }
        self.body.take().map(|body| body.bytes)
    }
}

fn take_byte(input: &mut &[u8]) -> Option<u8> {
    let (byte, rest) = input.split_first()?;
    *input = rest;
    Some(*byte)
}

/// Appends a frame to `out`.
///
/// # Errors
/// [`FrameInvalid`] for more than [`MAX_FRAME`] bytes.
pub fn write_frame(noise_message: &[u8], out: &mut Vec<u8>) -> Result<(), FrameInvalid> {
    let length = u16::try_from(noise_message.len()).map_err(|_| FrameInvalid)?;
    debug_assert!(usize::from(length) <= MAX_FRAME);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(noise_message);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constants::MIN_TRANSPORT_FRAME;

    const TRANSPORT: RangeInclusive<usize> = MIN_TRANSPORT_FRAME..=MAX_FRAME;

    #[test]
    fn frames_come_out_whole_however_the_bytes_are_cut() {
        let mut wire = Vec::new();
        for len in [17, 18, 300, MAX_FRAME] {
            write_frame(&vec![len as u8; len], &mut wire).unwrap();
        }
        for cut in [1, 2, 3, 19, 1000, wire.len()] {
            let mut reader = FrameReader::default();
            let mut lengths = Vec::new();
            for mut piece in wire.chunks(cut) {
                while let Some(frame) = reader.read(&mut piece, TRANSPORT).unwrap() {
                    assert!(frame.iter().all(|b| *b == frame.len() as u8));
                    lengths.push(frame.len());
                }
            }
            assert_eq!(lengths, [17, 18, 300, MAX_FRAME], "cut every {cut} bytes");
            assert!(!reader.is_partial());
        }
    }

    #[test]
    fn a_forbidden_length_is_refused_before_any_body_is_read() {
        for length in [0u16, 1, 16] {
            let bytes = length.to_le_bytes();
            let mut reader = FrameReader::default();
            assert_eq!(
                reader.read(&mut bytes.as_slice(), TRANSPORT),
                Err(FrameInvalid)
            );
        }
        for length in [31u16, 33] {
            let bytes = length.to_le_bytes();
            let mut reader = FrameReader::default();
            assert_eq!(
                reader.read(&mut bytes.as_slice(), 32..=32),
                Err(FrameInvalid)
            );
        }
        assert!(write_frame(&vec![0; MAX_FRAME + 1], &mut Vec::new()).is_err());
    }
}
