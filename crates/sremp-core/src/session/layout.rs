//! Stored state: versioned fixed layouts, little-endian, read strictly.
//!
//! Not on the wire. A row that was cut, lengthened or written by a newer version is refused rather
//! than understood halfway: a ratchet must never run from a wrong state.

use zeroize::Zeroizing;

use crate::time::UnixMillis;

/// Stored bytes are not a state that this version writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadState;

impl std::fmt::Display for BadState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stored session data is damaged or of another version")
    }
}

impl std::error::Error for BadState {}

/// Writes secrets into a buffer that is allocated once, so that growing leaves no copies behind.
pub(super) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    pub(super) fn new(format: u8, capacity: usize) -> Self {
        let mut writer = Self(Zeroizing::new(Vec::with_capacity(capacity + 1)));
        writer.u8(format);
        writer
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        debug_assert!(
            self.0.len() + bytes.len() <= self.0.capacity(),
            "the buffer would move and leave a copy"
        );
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.u8(value.into());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(super) fn len(&mut self, value: usize) {
        // every list of a state is bounded far below 2^32
        self.u32(u32::try_from(value).unwrap_or(u32::MAX));
    }

    pub(super) fn time(&mut self, value: UnixMillis) {
        self.bytes(&value.get().to_le_bytes());
    }

    pub(super) fn finish(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(format: u8, bytes: &'a [u8]) -> Result<Self, BadState> {
        let mut reader = Self(bytes);
        if reader.u8()? == format {
            Ok(reader)
        } else {
            Err(BadState)
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], BadState> {
        let (head, rest) = self.0.split_first_chunk().ok_or(BadState)?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, BadState> {
        self.array::<1>().map(|[byte]| *byte)
    }

    pub(super) fn bool(&mut self) -> Result<bool, BadState> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(BadState),
        }
    }

    pub(super) fn u32(&mut self) -> Result<u32, BadState> {
        self.array().map(|b| u32::from_le_bytes(*b))
    }

    /// The length of a list of at most `max` elements.
    pub(super) fn len(&mut self, max: usize) -> Result<usize, BadState> {
        let len = usize::try_from(self.u32()?).map_err(|_| BadState)?;
        if len <= max { Ok(len) } else { Err(BadState) }
    }

    pub(super) fn time(&mut self) -> Result<UnixMillis, BadState> {
        let millis = u64::from_le_bytes(*self.array()?);
        UnixMillis::new(millis).ok_or(BadState)
    }

    /// Nothing may follow.
    pub(super) fn end(self) -> Result<(), BadState> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(BadState)
        }
    }
}
