//! Chain keys and message keys: `KDF_CK` and the MK step (D3.4).

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::kdf::{ByteHmac, hkdf, split};
use crate::constants::TAG_LEN;

/// `pq_key` of suite 01: there is none.
const NO_PQ_KEY: [u8; 32] = [0; 32];

/// CK. Gives one message key and its successor.
pub(super) struct ChainKey(Zeroizing<[u8; 32]>);

impl ChainKey {
    pub(super) const fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// `MK = HMAC(CK, 01)`, `CK' = HMAC(CK, 02)`.
    pub(super) fn step(&self) -> (MessageKey, Self) {
        let hmac = ByteHmac::new(&self.0);
        (MessageKey(hmac.of(1)), Self(hmac.of(2)))
    }

    /// The next `count` message keys, to be kept for messages that come late, and the chain key
    /// behind them. The caller has bounded `count`.
    pub(super) fn skip(&self, count: u32) -> (Vec<KeptKey>, Self) {
        let mut skipped = Vec::with_capacity(count.try_into().unwrap_or(0));
        let mut chain = Self(self.0.clone());
        for _ in 0..count {
            let (key, next) = chain.step();
            skipped.push(Box::new(key));
            chain = next;
        }
        (skipped, chain)
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A message key that is put aside. Boxed, so that moving it leaves no copy behind.
pub(super) type KeptKey = Box<MessageKey>;

/// MK: encrypts one message.
pub(super) struct MessageKey(Zeroizing<[u8; 32]>);

impl MessageKey {
    pub(super) fn from_bytes(key: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*key))
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// `key ‖ nonce = HKDF(pq_key | 0^32, MK, "SREMP/1/mk", 44)`.
    fn cipher(&self) -> Option<(LessSafeKey, Nonce)> {
        let okm = hkdf::<44>(&NO_PQ_KEY, self.0.as_ref(), &[b"SREMP/1/mk"]);
        let (key, nonce) = split::<44, 32, 12>(&okm);
        let key = UnboundKey::new(&CHACHA20_POLY1305, key.as_ref()).ok()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        Some((LessSafeKey::new(key), nonce))
    }

    /// Encrypts everything behind the first `header_len` bytes of `message` in place and appends
    /// the tag. `None` only for lengths far above the largest message.
    pub(super) fn seal(&self, ad: &[u8], message: &mut Vec<u8>, header_len: usize) -> Option<()> {
        let (key, nonce) = self.cipher()?;
        let (_, content) = message.split_at_mut_checked(header_len)?;
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(ad), content)
            .ok()?;
        message.extend_from_slice(tag.as_ref());
        Some(())
    }

    /// Decrypts `ciphertext ‖ tag`; `None` if it is not authentic.
    pub(super) fn open(&self, ad: &[u8], ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (key, nonce) = self.cipher()?;
        let mut content = Zeroizing::new(ciphertext.to_vec());
        key.open_in_place(nonce, Aad::from(ad), content.as_mut_slice())
            .ok()?;
        let len = content.len().saturating_sub(TAG_LEN);
        content.truncate(len);
        Some(content)
    }
}
