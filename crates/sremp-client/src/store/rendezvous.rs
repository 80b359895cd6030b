//! What rendezvous servers told: where contacts are, and which other servers there are.

use rusqlite::{Row, params};
use sremp_core::{
    contact_card::{Endpoint, RelayHint},
    id::ContactId,
    rendezvous::{Seq, ServerRecord},
    signature::Signature,
    time::UnixMillis,
};

use super::{
    ContactRecord, ContactRow, StoreError, Tx,
    column::{Cells as _, time},
    contacts::{endpoints_to, relays_to},
};

type Result<T> = std::result::Result<T, StoreError>;

/// The places in the newest RECORD of a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPlaces {
    /// Which RECORD; nothing older is taken, also when the places count no longer.
    pub seq: Seq,
    /// Until when the places count.
    pub expires: UnixMillis,
    /// Where its owner listens.
    pub endpoints: Vec<Endpoint>,
    /// Where its owner has mailboxes, the preferred one first.
    pub relays: Vec<RelayHint>,
}

fn read_endpoint(row: &Row<'_>) -> Result<Endpoint> {
    let port = u16::try_from(row.int(1)?).map_err(|_| StoreError::Damaged)?;
    Endpoint::new(&row.text(0)?, port).map_err(|_| StoreError::Damaged)
}

impl ContactRecord {
    fn found_at(&self, now: UnixMillis) -> Option<&FoundPlaces> {
        self.found.as_ref().filter(|found| now <= found.expires)
    }

    /// Where it may be dialled by its RECORD, beside what it said in a session or on a card.
    pub fn found_endpoints(&self, now: UnixMillis) -> impl Iterator<Item = &Endpoint> {
        let found = self.found_at(now).into_iter();
        let endpoints = found.flat_map(|found| &found.endpoints);
        endpoints.filter(|endpoint| !self.endpoints.contains(endpoint))
    }

    /// Whether any place is known where it may be dialled.
    pub fn has_endpoint(&self, now: UnixMillis) -> bool {
        !self.endpoints.is_empty() || self.found_endpoints(now).next().is_some()
    }

    /// Whether any relay of its is known.
    pub fn has_mailbox(&self, now: UnixMillis) -> bool {
        let found = |found: &FoundPlaces| !found.relays.is_empty();
        !self.relays.is_empty() || self.found_at(now).is_some_and(found)
    }

    /// Its relays: those of which it told in a session or on a card, then those of its RECORD.
    pub fn mailboxes(&self, now: UnixMillis) -> Vec<RelayHint> {
        let mut relays = self.relays.clone();
        for hint in self.found_at(now).into_iter().flat_map(|f| &f.relays) {
            if !relays.iter().any(|known| known.relay == hint.relay) {
                relays.push(hint.clone());
            }
        }
        relays
    }
}

impl Tx<'_> {
    /// Keeps the places of a contact's newest RECORD in the place of those before.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the contact is not there.
    pub fn save_found(&mut self, contact: ContactRow, found: &FoundPlaces) -> Result<()> {
        self.execute_one(
            "INSERT OR REPLACE INTO found_place VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                contact.0,
                found.seq.get().cast_signed(),
                time(found.expires),
                endpoints_to(&found.endpoints),
                relays_to(&found.relays)
            ],
        )
    }

    /// The servers that a contact's card names; those of an earlier card count no longer.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the contact is not there.
    pub fn give_servers(&mut self, contact: ContactRow, servers: &[Endpoint]) -> Result<()> {
        self.execute("DELETE FROM card_server WHERE contact = ?1", [contact.0])?;
        for server in servers {
            self.execute(
                "INSERT OR IGNORE INTO card_server VALUES (?1, ?2, ?3)",
                params![contact.0, server.host(), server.port()],
            )?;
        }
        Ok(())
    }

    /// The servers that a contact's card names.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn card_servers(&mut self, contact: ContactRow) -> Result<Vec<Endpoint>> {
        let sql = "SELECT host, port FROM card_server WHERE contact = ?1";
        self.list(sql, [contact.0], read_endpoint)
    }

    /// Keeps what a server told of another, and of which server it came.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn save_candidate(&mut self, source: &ContactId, record: &ServerRecord) -> Result<()> {
        self.execute_one(
            "INSERT INTO candidate VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (server) DO UPDATE SET record = excluded.record,
                                                signature = excluded.signature",
            params![
                record.server().as_bytes(),
                source.as_bytes(),
                record.as_bytes(),
                record.signature().as_bytes()
            ],
        )
    }

    /// Every server of which others told, with who did.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a record does not verify.
    pub fn candidates(&mut self) -> Result<Vec<(ContactId, ServerRecord)>> {
        let sql = "SELECT source, record, signature FROM candidate ORDER BY server";
        self.list(sql, [], |row| {
            let signature = Signature::new(row.bytes(2)?);
            let record = ServerRecord::verify(row.blob(1)?, &signature);
            Ok((row.contact_id(0)?, record.map_err(|_| StoreError::Damaged)?))
        })
    }

    /// Forgets a server of which others told.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn forget_candidate(&mut self, server: &ContactId) -> Result<()> {
        self.execute(
            "DELETE FROM candidate WHERE server = ?1",
            [server.as_bytes()],
        )?;
        Ok(())
    }
}
