//! Receiving: on a session that is known, or by a first message.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{Incoming, InitRecord, SessionBook};
use crate::{
    constants::MAX_INIT_RECORDS,
    id::{ContactId, SessionId},
    session::{
        DecryptError, agreement,
        envelope::EnvelopePlaintext,
        header::{InitMessage, Message, RatchetMessage},
        key::EphemeralPublicKey,
        prekey::PrekeyLookup,
        ratchet::Session,
    },
    time::UnixMillis,
};

impl SessionBook {
    /// Decrypts what an envelope carried.
    ///
    /// # Errors
    /// [`DecryptError`]; no session has changed, at most the count of failures.
    pub fn decrypt(
        &mut self,
        prekeys: &dyn PrekeyLookup,
        plaintext: &EnvelopePlaintext,
        now: UnixMillis,
    ) -> Result<Incoming, DecryptError> {
        let id = plaintext.session_id();
        let sent_on = self.active;
        let mut result = match Message::parse(plaintext.message()) {
            Ok(Message::Normal(message)) => self.decrypt_on(id, &message, now),
            Ok(Message::Init(init)) => self.decrypt_init(prekeys, id, &init, now),
            Err(error) => Err(error),
        };
        match &mut result {
            Ok(incoming) => {
                incoming.moved = self.active != sent_on;
                self.clear_failures();
            }
            Err(error) => self.note_failure(plaintext, *error, now),
        }
        result
    }

    fn decrypt_on(
        &mut self,
        id: SessionId,
        message: &RatchetMessage<'_>,
        now: UnixMillis,
    ) -> Result<Incoming, DecryptError> {
        let peer = self.peer;
        let entry = self.entry_mut(&id).ok_or(DecryptError::NoSession)?;
        let was_confirmed = entry.session.is_confirmed();
        let content = entry.session.decrypt(&peer, message, now)?;
        entry.changed = true;
        if !entry.parked && self.active != Some(id) {
            self.touch(id, now);
        }
        self.limit_skipped_keys();
        self.follow(id, !was_confirmed, now);
        Ok(Incoming {
            content,
            session_id: id,
            started: false,
            one_time_prekey: None,
            moved: false,
        })
    }

    /// A first message: a repeat goes to the session that it once started, whatever became of its
    /// prekeys; a new one makes a session if everything in it holds.
    fn decrypt_init(
        &mut self,
        prekeys: &dyn PrekeyLookup,
        id: SessionId,
        init: &InitMessage<'_>,
        now: UnixMillis,
    ) -> Result<Incoming, DecryptError> {
        if init.id_a != self.peer || self.peer == self.own {
            return Err(DecryptError::NoSession);
        }
        let hash = init_hash(&init.id_a, &init.ek);
        if let Some(record) = self.inits.iter().find(|record| record.hash == hash) {
            return if record.session_id == id {
                self.decrypt_on(id, &init.message, now)
            } else {
                Err(DecryptError::Decrypt)
            };
        }
        if self.inits.len() >= MAX_INIT_RECORDS {
            return Err(DecryptError::TooManyInits);
        }
        let (session, content) = self.accept(prekeys, id, init, now)?;

        let id = self.insert(session, now);
        self.inits.push(InitRecord {
            hash,
            spk_id: init.spk_id,
            session_id: id,
        });
        self.note_crossing(&id);
        self.follow(id, false, now);
        self.limit_sessions(id);
        self.limit_skipped_keys();
        Ok(Incoming {
            content,
            session_id: id,
            started: true,
            one_time_prekey: init.otp_id,
            moved: false,
        })
    }

    fn accept(
        &self,
        prekeys: &dyn PrekeyLookup,
        id: SessionId,
        init: &InitMessage<'_>,
        now: UnixMillis,
    ) -> Result<(Session, Zeroizing<Vec<u8>>), DecryptError> {
        // first: that a prekey is not here counts, and only its owner has this signature
        init.dhk_a
            .verify(&init.id_a)
            .map_err(|_| DecryptError::Decrypt)?;
        let unknown = DecryptError::PrekeyUnknown;
        let spk = prekeys.signed_prekey(init.spk_id).ok_or(unknown)?;
        let otp = match init.otp_id {
            Some(id) => Some(prekeys.one_time_prekey(id).ok_or(unknown)?),
            None => None,
        };
        let dhk_b = prekeys.dh_identity();
        let agreed =
            agreement::respond(&self.own, dhk_b, spk, otp, init).ok_or(DecryptError::Decrypt)?;
        if agreed.session_id != id || self.entry(&id).is_some() {
            return Err(DecryptError::Decrypt);
        }
        let dhks = [init.dhk_a.public, dhk_b.public()];
        Session::accept(&self.sides(), agreed, dhks, spk, &init.message, now)
    }
}

/// `H(id_A ‖ EK)`.
fn init_hash(id_a: &ContactId, ek: &EphemeralPublicKey) -> [u8; 32] {
    Sha256::new()
        .chain_update(id_a.as_bytes())
        .chain_update(ek.as_bytes())
        .finalize()
        .into()
}
