//! MSG: `[msg_type u16, req_id u32, body]`, the body inline (D1.6).

use crate::{
    constants::MAX_MESSAGE,
    wire::codec::{DecodeError, encode},
};

/// A message of any service. What its body is, its type tells; nothing of it is checked here but
/// that it is an array.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The type.
    pub msg_type: u16,
    /// Chosen by the requester, unique among its open requests; an answer carries it back.
    pub req_id: u32,
    /// The SMP1 encoding of an array.
    pub body: Vec<u8>,
}

/// First byte of an array of two and of three elements.
const ARRAY_2: u8 = 0x92;
const ARRAY_3: u8 = 0x93;

impl Message {
    /// The SMP1 encoding, without the type byte of the frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = encode(&(self.msg_type, self.req_id));
        debug_assert_eq!(bytes.first(), Some(&ARRAY_2));
        if let Some(first) = bytes.first_mut() {
            *first = ARRAY_3;
        }
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// [`DecodeError`] when it is too long, or not three elements with the shortest numbers. Whether
    /// the body is exact is decided by its type's decoder.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(DecodeError::TooLong);
        }
        let (first, rest) = bytes.split_first().ok_or(DecodeError::Malformed)?;
        if *first != ARRAY_3 {
            return Err(DecodeError::Malformed);
        }
        let (msg_type, rest) = read_uint(rest)?;
        let (req_id, body) = read_uint(rest)?;
        let is_array = body
            .first()
            .is_some_and(|b| matches!(b, 0x90..=0x9f | 0xdc));
        if !is_array {
            return Err(DecodeError::Malformed);
        }
        Ok(Self {
            msg_type: u16::try_from(msg_type).map_err(|_| DecodeError::Malformed)?,
            req_id,
            body: body.to_vec(),
        })
    }
}

impl std::fmt::Debug for Message {
    /// Without the body.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            msg_type,
            req_id,
            body,
        } = self;
        write!(f, "Message({msg_type:04X} #{req_id}, {} B)", body.len())
    }
}

/// Reads a MessagePack unsigned integer of at most 32 bits in its shortest form.
fn read_uint(bytes: &[u8]) -> Result<(u32, &[u8]), DecodeError> {
    let (marker, rest) = bytes.split_first().ok_or(DecodeError::Malformed)?;
    let (value, rest, least) = match marker {
        0x00..=0x7f => (u32::from(*marker), rest, 0),
        0xcc => {
            let ([b], rest) = rest.split_first_chunk().ok_or(DecodeError::Malformed)?;
            (u32::from(*b), rest, 0x80)
        }
        0xcd => {
            let (b, rest) = rest.split_first_chunk().ok_or(DecodeError::Malformed)?;
            (u32::from(u16::from_be_bytes(*b)), rest, 0x100)
        }
        0xce => {
            let (b, rest) = rest.split_first_chunk().ok_or(DecodeError::Malformed)?;
            (u32::from_be_bytes(*b), rest, 0x1_0000)
        }
        _ => return Err(DecodeError::Malformed),
    };
    if value < least {
        return Err(DecodeError::NotCanonical);
    }
    Ok((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::bytes::from_hex;

    #[test]
    fn a_message_has_one_encoding() {
        for (msg_type, req_id, hex) in [
            (3, 0, "93030090"),
            (0xff, 127, "93ccff7f90"),
            (0x100, 0x80, "93cd0100cc8090"),
            (0xffff, u32::MAX, "93cdffffceffffffff90"),
        ] {
            let message = Message {
                msg_type,
                req_id,
                body: vec![0x90],
            };
            let bytes = from_hex(hex).unwrap();
            assert_eq!(message.encode(), bytes, "{hex}");
            assert_eq!(Message::decode(&bytes), Ok(message));
        }
        for bad in [
            "",
            "93",
            "9303",
            "930300",
            "92030090",
            "93cc030090",
            "93cd00ff0090",
            "93ce000100000090",
            "9303ce0000ffff90",
            "93030080",
            "930300c0",
            "93d0030090",
        ] {
            assert!(Message::decode(&from_hex(bad).unwrap()).is_err(), "{bad}");
        }
    }
}
