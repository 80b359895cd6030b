//! HKDF-SHA-256 and HMAC-SHA-256 (RFC 5869, RFC 2104), as chapter 3 uses them.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// HKDF with `info` given in parts.
#[allow(
    clippy::expect_used,
    reason = "HKDF refuses only lengths above 255 × 32 bytes; the longest here is 80"
)]
pub(super) fn hkdf<const N: usize>(
    salt: &[u8; 32],
    ikm: &[u8],
    info: &[&[u8]],
) -> Zeroizing<[u8; N]> {
    let mut okm = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::new(Some(salt), ikm)
        .expand_multi_info(info, okm.as_mut())
        .expect("the length is allowed");
    okm
}

/// HMAC under one key, of several one-byte messages.
pub(super) struct ByteHmac(Hmac<Sha256>);

impl ByteHmac {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        // HMAC pads a key that is shorter than a block with zeros
        let mut block = Zeroizing::new([0; 64]);
        if let Some(head) = block.first_chunk_mut() {
            *head = *key;
        }
        Self(Hmac::new((&*block).into()))
    }

    pub(super) fn of(&self, byte: u8) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(
            self.0
                .clone()
                .chain_update([byte])
                .finalize()
                .into_bytes()
                .into(),
        )
    }
}

/// The parts of an output, which are as long as the output by their types.
pub(super) fn split<const N: usize, const A: usize, const B: usize>(
    okm: &[u8; N],
) -> (Zeroizing<[u8; A]>, Zeroizing<[u8; B]>) {
    const { assert!(A + B <= N) };
    let mut first = Zeroizing::new([0; A]);
    let mut second = Zeroizing::new([0; B]);
    for (to, from) in first.iter_mut().chain(second.iter_mut()).zip(okm) {
        *to = *from;
    }
    (first, second)
}
