//! SMP1: the one MessagePack profile of SREMP, and its one decoder (chapter 0).
//!
//! A struct is an array in declared field order, a byte string is `bin`, an option is nil or the
//! value, an enum a `u8`, a time a `u64` of milliseconds, a duration a `u32` of seconds, a map has
//! sorted unique keys. Everything has exactly one encoding: [`decode_exact`] encodes again what it
//! decoded and requires the same bytes.

use std::io;

use serde::{Deserialize, Serialize};

use crate::constants::MAX_SMP1_DEPTH;

/// Why bytes are not the SMP1 encoding of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Longer than this kind of value may be.
    TooLong,
    /// Not MessagePack, or not of this type.
    Malformed,
    /// Decodes, but is not the one encoding of the value: trailing bytes, long integers, the map
    /// form, `bin` for an array, unsorted or repeated keys.
    NotCanonical,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooLong => "longer than allowed",
            Self::Malformed => "not of the expected form",
            Self::NotCanonical => "not in its one exact encoding",
        })
    }
}

impl std::error::Error for DecodeError {}

/// Decodes the SMP1 encoding of one value of at most `max` bytes.
///
/// # Errors
/// [`DecodeError`] for anything that [`encode`] would not have written.
pub fn decode_exact<'a, T: Deserialize<'a> + Serialize>(
    bytes: &'a [u8],
    max: usize,
) -> Result<T, DecodeError> {
    if bytes.len() > max {
        return Err(DecodeError::TooLong);
    }
    let mut decoder = rmp_serde::Deserializer::from_read_ref(bytes);
    // rmp counts down once more than it nests
    decoder.set_max_depth(MAX_SMP1_DEPTH + 1);
    let value = T::deserialize(&mut decoder).map_err(|_| DecodeError::Malformed)?;
    let mut expected = Expected(bytes);
    if rmp_serde::encode::write(&mut expected, &value).is_err() || !expected.0.is_empty() {
        return Err(DecodeError::NotCanonical);
    }
    Ok(value)
}

/// Takes exactly these bytes and fails at the first other one: encoding again costs no memory.
struct Expected<'a>(&'a [u8]);

impl io::Write for Expected<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .strip_prefix(bytes)
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The SMP1 encoding of a value.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    // Writing to memory cannot fail, and no type of the protocol refuses to be serialised; an
    // empty result decodes as nothing, so even then nothing false is accepted.
    rmp_serde::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use serde::de::DeserializeOwned;

    use crate::wire::bytes::from_hex;

    fn decode<T: DeserializeOwned + Serialize>(hex: &str) -> Result<T, DecodeError> {
        decode_exact(&from_hex(hex).unwrap(), 1024)
    }

    #[test]
    fn a_value_has_one_encoding() {
        assert_eq!(decode::<String>("a161"), Ok("a".into()));
        assert_eq!(decode::<String>("d90161"), Err(DecodeError::NotCanonical));
        assert_eq!(decode::<String>("a16100"), Err(DecodeError::NotCanonical));
        assert_eq!(decode::<u64>("01"), Ok(1));
        assert_eq!(decode::<u64>("d001"), Err(DecodeError::NotCanonical));
        assert_eq!(
            decode::<serde_bytes::ByteBuf>("c50001ff"),
            Err(DecodeError::NotCanonical)
        );
        assert_eq!(
            decode::<serde_bytes::ByteBuf>("91cc80"),
            Err(DecodeError::NotCanonical)
        );
        assert!(decode::<(u8, u8)>("920102").is_ok());
        assert!(decode::<(u8, u8)>("c4020102").is_err());
        assert!(decode::<(u8, u8)>("93010203").is_err());
    }

    #[test]
    fn maps_are_sorted_and_their_keys_unique() {
        type Map = BTreeMap<String, u8>;
        assert!(decode::<Map>("82a16101a16202").is_ok());
        assert_eq!(
            decode::<Map>("82a16202a16101"),
            Err(DecodeError::NotCanonical)
        );
        assert_eq!(
            decode::<Map>("82a16101a16101"),
            Err(DecodeError::NotCanonical)
        );
    }

    #[test]
    fn too_long_is_refused_before_it_is_read() {
        assert_eq!(
            decode_exact::<u64>(&[0xff; 11], 10),
            Err(DecodeError::TooLong)
        );
    }

    #[test]
    fn nesting_is_bounded() {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct Nest(Vec<Nest>);
        let nested = |n: usize| {
            let mut v = vec![0x91; n - 1];
            v.push(0x90);
            v
        };
        assert!(decode_exact::<Nest>(&nested(8), 1024).is_ok());
        assert!(decode_exact::<Nest>(&nested(9), 1024).is_err());
        assert!(decode_exact::<Nest>(&nested(1000), 1024).is_err());
    }
}
