//! The sending half of a session.

use rand_core::CryptoRng;

use super::{KeyPlace, SendingChain, Session, signed_key};
use crate::{
    constants::{MAX_CONTENT, MAX_ENVELOPE, TAG_LEN},
    identity::SecretIdentity,
    key::diffie_hellman,
    session::{
        EncryptError,
        header::{INIT_LEN, NORMAL_LEN, encode_normal},
        key::RatchetSecret,
    },
    signature::SignatureLabel,
};

// The longest content fits the largest envelope even in a first message: 38 + 18 bytes in front,
// two tags.
const _: () = assert!(38 + 18 + INIT_LEN + NORMAL_LEN + MAX_CONTENT + 2 * TAG_LEN <= MAX_ENVELOPE);

impl Session {
    /// Encrypts `content` into a DR_NORMAL, or a DR_INIT while unconfirmed. Draws 32 bytes for a
    /// new ratchet key at the first message after a new key of the peer.
    ///
    /// # Errors
    /// [`EncryptError::TooLarge`], [`EncryptError::Exhausted`].
    pub(in crate::session) fn encrypt<R: CryptoRng + ?Sized>(
        &mut self,
        identity: &SecretIdentity,
        content: &[u8],
        rng: &mut R,
    ) -> Result<(Vec<u8>, KeyPlace), EncryptError> {
        if content.len() > MAX_CONTENT {
            return Err(EncryptError::TooLarge);
        }
        if self.sending.is_none() {
            self.start_sending(identity, rng)?;
        }
        let chain = self.sending.as_mut().ok_or(EncryptError::Exhausted)?;
        let next_n = chain.n.checked_add(1).ok_or(EncryptError::Exhausted)?;

        let init: &[u8] = self.init.as_ref().map_or(&[], |init| init.as_slice());
        let header_len = init.len() + NORMAL_LEN;
        let mut message = Vec::with_capacity(header_len + content.len() + TAG_LEN);
        message.extend_from_slice(init);
        encode_normal(
            &chain.key.public(),
            &chain.key_sig,
            self.pn,
            chain.n,
            &mut message,
        );
        let ad = [self.associated.as_slice(), &message].concat();
        message.extend_from_slice(content);
        let (key, next) = chain.ck.step();
        key.seal(&ad, &mut message, header_len)
            .ok_or(EncryptError::TooLarge)?;

        let place = KeyPlace {
            epoch: chain.epoch,
            n: chain.n,
        };
        chain.ck = next;
        chain.n = next_n;
        Ok((message, place))
    }

    /// The sending half of a Diffie-Hellman step.
    fn start_sending<R: CryptoRng + ?Sized>(
        &mut self,
        identity: &SecretIdentity,
        rng: &mut R,
    ) -> Result<(), EncryptError> {
        let epoch = self.sent_keys;
        let sent_keys = epoch.checked_add(1).ok_or(EncryptError::Exhausted)?;
        let key = RatchetSecret::generate(rng);
        // The peer's key contributed when it came; SPK is checked with its bundle.
        let dh = diffie_hellman(key.expose(), self.peer_key.as_bytes())
            .ok_or(EncryptError::Exhausted)?;
        let payload = signed_key(&self.id, self.role, epoch, &key.public());
        let key_sig = identity.sign(SignatureLabel::RatchetKey, &payload);
        let (root, ck) = self.root.step(&dh);
        self.root = root;
        self.sent_keys = sent_keys;
        self.sending = Some(SendingChain {
            key,
            key_sig,
            epoch,
            ck,
            n: 0,
        });
        Ok(())
    }
}
