//! Contacts and their sessions in memory: read once, written back at the end of each step.

use std::collections::HashMap;

use sremp_core::{
    constants::CLOCK_SKEW,
    id::ContactId,
    session::{book::SessionBook, prekey::PublicEnvelopeKey},
    time::UnixMillis,
};

use crate::store::{ContactRecord, NewContact, StoreError, Tx};

/// Contacts kept in memory; the rest are read when needed.
const MAX_CACHED: usize = 256;

/// One contact: what the store knows of it and the sessions with it.
pub(super) struct Peer {
    pub(super) record: ContactRecord,
    pub(super) book: SessionBook,
    /// Verified, of `record.envelope_key`.
    pub(super) envelope_key: Option<PublicEnvelopeKey>,
    /// Messages received since something was last sent.
    pub(super) unanswered: u32,
    changed: bool,
}

impl Peer {
    /// The record, to be changed; it is written at the end of the step.
    pub(super) fn edit(&mut self) -> &mut ContactRecord {
        self.changed = true;
        &mut self.record
    }

    pub(super) fn key(&self) -> ContactId {
        self.record.key
    }

    /// What the user calls this contact.
    pub(super) fn name(&self) -> String {
        self.record.name()
    }

    /// Whether the user added or accepted this contact and has not turned it away since.
    pub(super) fn is_accepted(&self) -> bool {
        self.record.is_accepted()
    }

    /// Whether anything may go to this contact.
    pub(super) fn is_served(&self) -> bool {
        self.record.is_served()
    }

    pub(super) fn set_envelope_key(&mut self, key: PublicEnvelopeKey) {
        self.edit().envelope_key = Some(key.to_bytes());
        self.envelope_key = Some(key);
    }

    /// Takes the key of a bundle, unless a newer one is known: a relay may serve an old bundle. A key
    /// of a time that has not come is no newer one; the contact's clock was wrong when it made it.
    pub(super) fn take_envelope_key(&mut self, key: PublicEnvelopeKey, now: UnixMillis) {
        let latest = now.plus(CLOCK_SKEW);
        let newer = |known: &PublicEnvelopeKey| {
            known.created() > key.created() && known.created() <= latest && known.expires() > now
        };
        if !self.envelope_key.as_ref().is_some_and(newer) {
            self.set_envelope_key(key);
        }
    }

    /// Whether a bundle has to come before anything can be sent to this contact.
    pub(super) fn needs_bundle(&self, now: UnixMillis) -> bool {
        !self.book.can_send() || self.book.needs_new_session(now) || self.sealing_key(now).is_none()
    }

    /// Whether nothing was ever read of this contact, and what goes to it begins a session: it may be unable
    /// to read that.
    pub(super) fn is_unanswered(&self) -> bool {
        !self.record.confirmed && self.book.is_unanswered()
    }

    /// Writes what has changed.
    pub(super) fn save(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let changes = self.book.take_changes();
        for (session, state) in &changes.saved {
            tx.save_session(self.record.row, session, state)?;
        }
        for session in &changes.deleted {
            tx.delete_session(session)?;
        }
        if let Some(book) = changes.book {
            self.edit().book = Some(book.to_vec());
        }
        if self.changed {
            tx.update_contact(&self.record)?;
            self.changed = false;
        }
        Ok(())
    }

    /// The key to seal for this contact, while it is valid.
    pub(super) fn sealing_key(&self, now: UnixMillis) -> Option<&PublicEnvelopeKey> {
        self.envelope_key.as_ref().filter(|key| key.expires() > now)
    }
}

/// The contacts in memory. A contact is taken out, worked on and put back, so that no two parts of
/// the engine hold the same one.
pub(super) struct Peers {
    own: ContactId,
    cached: HashMap<ContactId, Box<Peer>>,
}

impl Peers {
    pub(super) fn new(own: ContactId) -> Self {
        Self {
            own,
            cached: HashMap::new(),
        }
    }

    /// The contact of a key.
    pub(super) fn take(
        &mut self,
        tx: &mut Tx<'_>,
        key: &ContactId,
    ) -> Result<Option<Box<Peer>>, StoreError> {
        if let Some(peer) = self.cached.remove(key) {
            return Ok(Some(peer));
        }
        match tx.contact_by_key(key)? {
            Some(record) => self.read(tx, record).map(Some),
            None => Ok(None),
        }
    }

    /// Makes a contact.
    pub(super) fn insert(
        &mut self,
        tx: &mut Tx<'_>,
        new: &NewContact,
    ) -> Result<Box<Peer>, StoreError> {
        let row = tx.insert_contact(new)?;
        let record = tx.contact(row)?.ok_or(StoreError::Damaged)?;
        self.read(tx, record)
    }

    pub(super) fn put(&mut self, peer: Box<Peer>) {
        self.cached.insert(peer.key(), peer);
    }

    pub(super) fn put_back(&mut self, peer: Option<Box<Peer>>) {
        if let Some(peer) = peer {
            self.put(peer);
        }
    }

    /// Writes what has changed.
    pub(super) fn save(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        for peer in self.cached.values_mut() {
            peer.save(tx)?;
        }
        if self.cached.len() > MAX_CACHED {
            self.cached.clear();
        }
        Ok(())
    }

    fn read(&self, tx: &mut Tx<'_>, record: ContactRecord) -> Result<Box<Peer>, StoreError> {
        let sessions = tx.sessions(record.row)?;
        let states = sessions.iter().map(|(_, state)| state.as_slice());
        let book = SessionBook::load(self.own, record.key, record.book.as_deref(), states)
            .map_err(|_| StoreError::Damaged)?;
        let envelope_key = record
            .envelope_key
            .as_deref()
            .and_then(|bytes| PublicEnvelopeKey::verify(bytes, &record.key).ok());
        Ok(Box::new(Peer {
            record,
            book,
            envelope_key,
            unanswered: 0,
            changed: false,
        }))
    }
}
