//! HELLO: who speaks, and to whom (D1.14).

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::VersionHeader;
use crate::{
    constants::{HELLO_PAD, MAX_HELLO},
    id::{ContactId, IdentityKey, IntroToken},
    wire::codec::{DecodeError, decode_exact, encode},
};

/// The fields of a HELLO. The padding is made by [`Self::encode`] and checked by [`Self::decode`].
#[derive(Clone, PartialEq, Eq)]
pub struct Hello {
    /// The responder's version header, as this side saw it.
    pub responder_header: VersionHeader,
    /// What the connection is for, as on the wire.
    pub service: u8,
    /// Whom the sender believes to speak to.
    pub intended: Option<ContactId>,
    /// The sender's encoded identity, not verified.
    pub identity: Option<Vec<u8>>,
    /// Lets a stranger past a policy for contacts only.
    pub intro: Option<IntroToken>,
    /// Bits that are not known are ignored.
    pub features: u64,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    responder_header: VersionHeader,
    service: u8,
    intended: Option<IdentityKey>,
    identity: Option<ByteBuf>,
    intro: Option<IntroToken>,
    features: u64,
    pad: ByteBuf,
}

impl Hello {
    /// The body, padded so that it and its type byte are a multiple of [`HELLO_PAD`] bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut wire = Wire {
            responder_header: self.responder_header,
            service: self.service,
            intended: self.intended.map(IdentityKey::from),
            identity: self.identity.clone().map(ByteBuf::from),
            intro: self.intro,
            features: self.features,
            pad: ByteBuf::new(),
        };
        wire.pad = ByteBuf::from(vec![0; pad_len(encode(&wire).len())]);
        encode(&wire)
    }

    /// Decodes a body.
    ///
    /// # Errors
    /// [`DecodeError`] when it is not the exact encoding, has not a padded length, the padding is not
    /// zero, or `intended` is no key.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_for(None, body)
    }

    /// The same for somebody, whose own key need not be parsed to be recognised.
    pub(super) fn decode_for(own: Option<ContactId>, body: &[u8]) -> Result<Self, DecodeError> {
        let parse = |intended: IdentityKey| match own {
            Some(own) if intended == own.into() => Ok(own),
            _ => ContactId::parse(intended.as_bytes()).map_err(|_| DecodeError::Malformed),
        };
        let with_type_byte = body.len().saturating_add(1);
        if !with_type_byte.is_multiple_of(HELLO_PAD) {
            return Err(DecodeError::NotCanonical);
        }
        let wire: Wire = decode_exact(body, MAX_HELLO)?;
        if wire.pad.iter().any(|b| *b != 0) {
            return Err(DecodeError::NotCanonical);
        }
        Ok(Self {
            responder_header: wire.responder_header,
            service: wire.service,
            intended: wire.intended.map(parse).transpose()?,
            identity: wire.identity.map(ByteBuf::into_vec),
            intro: wire.intro,
            features: wire.features,
        })
    }
}

impl std::fmt::Debug for Hello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hello(service {})", self.service)
    }
}

/// Length of the padding for a body that is `unpadded` bytes long with an empty one.
///
/// The length of a `bin` takes 1, 2 or 4 bytes (empty: 1), so a total can be out of reach by one;
/// the next multiple is taken then.
fn pad_len(unpadded: usize) -> usize {
    let mut total = unpadded.saturating_add(1).next_multiple_of(HELLO_PAD);
    loop {
        let room = total.saturating_sub(unpadded.saturating_add(1));
        // bin 8 needs no more than the empty one's header, bin 16 one byte more
        let pad = if room <= 0xff {
            room
        } else {
            room.saturating_sub(1)
        };
        if room <= 0xff || pad > 0xff {
            return pad;
        }
        total = total.saturating_add(HELLO_PAD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(identity_len: usize) -> Hello {
        Hello {
            responder_header: VersionHeader::OWN,
            service: 1,
            intended: None,
            identity: Some(vec![7; identity_len]),
            intro: Some(IntroToken::new([9; 16])),
            features: 0,
        }
    }

    #[test]
    fn every_length_is_padded_to_the_smallest_reachable_multiple() {
        for len in (0..3000).chain(16_000..=crate::constants::MAX_IDENTITY) {
            let hello = hello(len);
            let body = hello.encode();
            assert_eq!((body.len() + 1) % HELLO_PAD, 0, "identity of {len} bytes");
            assert!(body.len() < MAX_HELLO);
            assert_eq!(Hello::decode(&body), Ok(hello));
            let unpadded = body.len() + 1 - pad_of(&body);
            assert!(body.len() + 1 - unpadded <= HELLO_PAD + 0x100, "{len}");
        }
    }

    fn pad_of(body: &[u8]) -> usize {
        body.iter().rev().take_while(|b| **b == 0).count()
    }

    #[test]
    fn a_hello_with_another_length_or_padding_is_refused() {
        let body = hello(100).encode();
        let mut marked = body.clone();
        *marked.last_mut().unwrap() = 1;
        assert_eq!(Hello::decode(&marked), Err(DecodeError::NotCanonical));
        let mut longer = body.clone();
        longer.push(0);
        assert_eq!(Hello::decode(&longer), Err(DecodeError::NotCanonical));
        assert!(Hello::decode(&body[..body.len() - 1]).is_err());
        assert!(Hello::decode(&[]).is_err());
        longer.extend_from_slice(&[0; HELLO_PAD - 1]);
        assert!(Hello::decode(&longer).is_err());
    }
}
