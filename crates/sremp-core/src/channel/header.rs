//! The version header: 7 raw bytes, once per direction (D1.2).

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    constants::{PROTOCOL_NAME, VERSION_HEADER_LEN, VERSION_MAJOR, VERSION_MINOR},
    error::ErrorCode,
    wire::bytes::ExactBytes,
};

/// `protocol_name[5] ‖ version_major u8 ‖ version_minor u8`, kept as it was on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionHeader {
    /// `version_major`.
    pub major: u8,
    /// `version_minor`.
    pub minor: u8,
}

impl VersionHeader {
    /// The header that is sent here.
    pub const OWN: Self = Self {
        major: VERSION_MAJOR,
        minor: VERSION_MINOR,
    };

    /// Reads a header of any version.
    ///
    /// # Errors
    /// `BAD_MAGIC` when it does not begin with "SREMP".
    pub fn parse(bytes: &[u8; VERSION_HEADER_LEN]) -> Result<Self, ErrorCode> {
        let [name @ .., major, minor] = bytes;
        if *name != PROTOCOL_NAME {
            return Err(ErrorCode::BadMagic);
        }
        Ok(Self {
            major: *major,
            minor: *minor,
        })
    }

    /// The header as on the wire; of the initiator it is also the Noise prologue (D1.3).
    pub const fn to_bytes(self) -> [u8; VERSION_HEADER_LEN] {
        let [s, r, e, m, p] = PROTOCOL_NAME;
        [s, r, e, m, p, self.major, self.minor]
    }

    /// The minor version that both speak.
    ///
    /// # Errors
    /// `VERSION_MISMATCH` when the major version is not spoken here. Nobody tries a lower one
    /// then: a fallback would be an invitation to downgrade.
    #[allow(
        clippy::unnecessary_min_or_max,
        reason = "our minor version is 0 today and will not stay so"
    )]
    pub fn agree(self) -> Result<u8, ErrorCode> {
        if self.major != VERSION_MAJOR {
            return Err(ErrorCode::VersionMismatch);
        }
        Ok(self.minor.min(VERSION_MINOR))
    }
}

impl Serialize for VersionHeader {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(&self.to_bytes())
    }
}

impl<'de> Deserialize<'de> for VersionHeader {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let bytes = d.deserialize_bytes(ExactBytes::<VERSION_HEADER_LEN>)?;
        Self::parse(&bytes).map_err(|_| D::Error::custom("not a version header"))
    }
}

/// Gathers the seven bytes, and refuses at the first that is wrong.
#[derive(Debug, Default)]
pub(super) struct HeaderReader {
    bytes: [u8; VERSION_HEADER_LEN],
    have: usize,
}

impl HeaderReader {
    /// Takes bytes from the front of `input`; the header when it is whole.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<Option<VersionHeader>, ErrorCode> {
        while let Some(place) = self.bytes.get_mut(self.have) {
            let Some((byte, rest)) = input.split_first() else {
                return Ok(None);
            };
            if PROTOCOL_NAME.get(self.have).is_some_and(|b| b != byte) {
                return Err(ErrorCode::BadMagic);
            }
            *place = *byte;
            *input = rest;
            self.have = self.have.saturating_add(1);
        }
        VersionHeader::parse(&self.bytes).map(Some)
    }
}
