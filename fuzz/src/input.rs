//! Fuzz bytes as a script: numbers and pieces taken from the front.

/// What is left of the input.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte()?, self.byte()?]))
    }

    /// A piece with its length in front, cut to what is there.
    pub fn piece(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(self.u16()?);
        let (piece, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        Some(piece)
    }
}
