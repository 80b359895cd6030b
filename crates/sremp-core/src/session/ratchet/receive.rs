//! The receiving half of a session: derive beside the state, open, then commit (D3.9).

use zeroize::Zeroizing;

use super::{ReceivingChain, Session, SkippedKey, signed_key};
use crate::{
    constants::{
        DHLEN, MAX_FORGOTTEN_CHAINS, MAX_LATE_CHAINS, MAX_RECEIVING_CHAINS, MAX_SKIP,
        MAX_SKIPPED_KEYS,
    },
    id::ContactId,
    key::diffie_hellman,
    session::{
        DecryptError,
        chain::{KeptKey, MessageKey},
        header::RatchetMessage,
        key::RatchetPublicKey,
    },
    signature::SignatureLabel,
    time::UnixMillis,
};

impl Session {
    /// Decrypts a message of `peer` and moves the session forward. Everything is derived beside
    /// the state and goes into it only after the AEAD has opened.
    ///
    /// # Errors
    /// [`DecryptError::Decrypt`], [`DecryptError::SkipLimit`], [`DecryptError::Replay`]; the state
    /// is what it was.
    pub(in crate::session) fn decrypt(
        &mut self,
        peer: &ContactId,
        message: &RatchetMessage<'_>,
        now: UnixMillis,
    ) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        let known = self
            .receiving
            .iter()
            .position(|chain| chain.dh_pub == message.dh_pub);
        let content = match known {
            Some(index) => self.decrypt_in(index, message, now)?,
            None if self.has_forgotten(&message.dh_pub) => return Err(DecryptError::Replay),
            None => {
                // A new key answers our newest one. Without one of ours in between, the peer could
                // not have made it.
                let own = self.sending.as_ref().ok_or(DecryptError::Decrypt)?;
                let own = Zeroizing::new(*own.key.expose());
                self.turn(peer, &own, message, now)?
            }
        };
        self.init = None;
        Ok(content)
    }

    fn open(
        &self,
        key: &MessageKey,
        message: &RatchetMessage<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        let ad = [self.associated.as_slice(), message.associated].concat();
        key.open(&ad, message.ciphertext)
            .ok_or(DecryptError::Decrypt)
    }

    /// Decrypts a message of a chain whose key is known.
    fn decrypt_in(
        &mut self,
        index: usize,
        message: &RatchetMessage<'_>,
        now: UnixMillis,
    ) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        let chain = self.receiving.get(index).ok_or(DecryptError::Decrypt)?;
        if chain.key_sig != message.key_sig {
            return Err(DecryptError::Decrypt);
        }
        let epoch = chain.epoch;
        if message.n < chain.n {
            let gone = match chain.lossy {
                true => DecryptError::Decrypt,
                false => DecryptError::Replay,
            };
            return self.decrypt_skipped(epoch, message, gone);
        }
        // beyond the end that the peer's next key has announced for this chain
        let ck = chain.ck.as_ref().ok_or(DecryptError::Decrypt)?;
        let first = chain.n;
        let next_n = message.n.checked_add(1).ok_or(DecryptError::Decrypt)?;
        let gap = gap(first, message.n)?;

        let (skipped, ck) = ck.skip(gap);
        let (key, next) = ck.step();
        let content = self.open(&key, message)?;

        if let Some(chain) = self.receiving.get_mut(index) {
            chain.ck = Some(Box::new(next));
            chain.n = next_n;
        }
        self.keep_skipped(epoch, first, skipped, now);
        Ok(content)
    }

    /// `gone` is what it means that the key is not there.
    fn decrypt_skipped(
        &mut self,
        epoch: u32,
        message: &RatchetMessage<'_>,
        gone: DecryptError,
    ) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        let of_message = |key: &SkippedKey| key.epoch == epoch && key.n == message.n;
        let index = self.skipped.iter().position(of_message).ok_or(gone)?;
        let skipped = self.skipped.get(index).ok_or(gone)?;
        let content = self.open(&skipped.key, message)?;
        self.skipped.remove(index);
        self.forget_old_chains();
        Ok(content)
    }

    /// The receiving half of a Diffie-Hellman step: `message` is the first to come of a new chain,
    /// whose key answers the ratchet key `own`.
    pub(super) fn turn(
        &mut self,
        peer: &ContactId,
        own: &[u8; DHLEN],
        message: &RatchetMessage<'_>,
        now: UnixMillis,
    ) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        let epoch = self.received_keys;
        let received_keys = epoch.checked_add(1).ok_or(DecryptError::Decrypt)?;
        let next_n = message.n.checked_add(1).ok_or(DecryptError::Decrypt)?;
        // Before any Diffie-Hellman with the key: only the peer's identity can push one.
        let payload = signed_key(&self.id, self.role.other(), epoch, &message.dh_pub);
        peer.verify(SignatureLabel::RatchetKey, &payload, &message.key_sig)
            .map_err(|_| DecryptError::Decrypt)?;
        // before any derivation
        let closing = match self.receiving.last() {
            Some(chain) => {
                let ck = chain.ck.as_ref().ok_or(DecryptError::Decrypt)?;
                Some((ck, chain.epoch, chain.n, gap(chain.n, message.pn)?))
            }
            None if message.pn == 0 => None,
            None => return Err(DecryptError::Decrypt),
        };
        let new_gap = gap(0, message.n)?;

        let late = closing.map(|(ck, epoch, n, gap)| (ck.skip(gap).0, epoch, n));
        let dh = diffie_hellman(own, message.dh_pub.as_bytes()).ok_or(DecryptError::Decrypt)?;
        let (root, ck) = self.root.step(&dh);
        let (skipped, ck) = ck.skip(new_gap);
        let (key, next) = ck.step();
        let content = self.open(&key, message)?;

        if let Some((skipped, epoch, n)) = late {
            self.keep_skipped(epoch, n, skipped, now);
        }
        if let Some(chain) = self.receiving.last_mut() {
            chain.n = message.pn;
            chain.ck = None;
        }
        self.root = root;
        self.peer_key = message.dh_pub;
        self.received_keys = received_keys;
        self.receiving.push(ReceivingChain {
            dh_pub: message.dh_pub,
            key_sig: message.key_sig,
            epoch,
            n: next_n,
            ck: Some(Box::new(next)),
            lossy: false,
        });
        self.pn = self.sending.take().map_or(0, |chain| chain.n);
        self.keep_skipped(epoch, 0, skipped, now);
        self.forget_old_chains();
        Ok(content)
    }

    fn keep_skipped(&mut self, epoch: u32, first: u32, keys: Vec<KeptKey>, now: UnixMillis) {
        let numbers = first..=u32::MAX;
        self.skipped
            .extend(numbers.zip(keys).map(|(n, key)| SkippedKey {
                epoch,
                n,
                at: now,
                key,
            }));
        while self.skipped.len() > MAX_SKIPPED_KEYS {
            self.lose_oldest_skipped();
        }
    }

    /// Deletes the oldest skipped key, whose message cannot be read any more.
    pub(in crate::session) fn lose_oldest_skipped(&mut self) {
        if let Some(key) = self.skipped.pop_front() {
            self.mark_lossy(key.epoch);
        }
    }

    pub(super) fn mark_lossy(&mut self, epoch: u32) {
        let chain = self.receiving.iter_mut().find(|chain| chain.epoch == epoch);
        if let Some(chain) = chain {
            chain.lossy = true;
        }
    }

    /// Forgets the chains before the newest of which everything has come. A chain of which something is
    /// lost is not remembered: its messages are no replays.
    pub(super) fn forget_old_chains(&mut self) {
        let mut old = self.receiving.len().saturating_sub(MAX_RECEIVING_CHAINS);
        let (skipped, forgotten) = (&self.skipped, &mut self.forgotten);
        self.receiving.retain(|chain| {
            let is_old = old > 0;
            old = old.saturating_sub(1);
            let stays = !is_old || skipped.iter().any(|key| key.epoch == chain.epoch);
            if !stays && !chain.lossy {
                forgotten.extend(chain.dh_pub.as_bytes().first_chunk());
            }
            stays
        });
        while self.receiving.len() > MAX_RECEIVING_CHAINS + MAX_LATE_CHAINS {
            let gone = self.receiving.remove(0);
            self.skipped.retain(|key| key.epoch != gone.epoch);
        }
        while self.forgotten.len() > MAX_FORGOTTEN_CHAINS {
            self.forgotten.pop_front();
        }
    }

    fn has_forgotten(&self, key: &RatchetPublicKey) -> bool {
        let start = key.as_bytes().first_chunk();
        self.forgotten.iter().any(|gone| Some(gone) == start)
    }
}

/// Message keys to be skipped from `first` to `n`.
fn gap(first: u32, n: u32) -> Result<u32, DecryptError> {
    let gap = n.checked_sub(first).ok_or(DecryptError::Decrypt)?;
    if gap > MAX_SKIP {
        return Err(DecryptError::SkipLimit);
    }
    Ok(gap)
}
