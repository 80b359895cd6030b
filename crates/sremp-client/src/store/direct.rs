//! With whom direct connections are made, by the user's word on single contacts; and what went over one.

use rusqlite::params;
use sremp_core::{
    id::{ContactId, MsgId},
    route::Choice,
};

use super::{
    ContactRow, StoreError, Tx,
    column::{Cells as _, Code as _},
};
use crate::view::MessageKind;

impl Tx<'_> {
    /// Keeps the user's word on direct connections with a contact.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written, or the contact is not there.
    pub fn set_direct(&mut self, contact: ContactRow, choice: Choice) -> Result<(), StoreError> {
        if choice == Choice::Default {
            let sql = "DELETE FROM contact_direct WHERE contact = ?1";
            return self.execute(sql, [contact.0]).map(drop);
        }
        let sql = "INSERT OR REPLACE INTO contact_direct VALUES (?1, ?2)";
        self.execute_one(sql, params![contact.0, choice.code()])
    }

    /// Whether direct connections are turned off for any contact.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn any_direct_off(&mut self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM contact_direct WHERE choice = ?1 LIMIT 1";
        self.any(sql, [Choice::Off.code()])
    }

    /// Contacts about whom the user has said something, in the order of first contact.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn direct_choices(&mut self) -> Result<Vec<(ContactId, Choice)>, StoreError> {
        let sql = "SELECT c.key, d.choice FROM contact_direct d JOIN contact c ON c.row = d.contact
                   ORDER BY d.contact";
        self.list(sql, [], |row| Ok((row.contact_id(0)?, row.code(1)?)))
    }

    /// One's own message, should the content be one, leaves over a direct connection.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn note_handed(&mut self, contact: ContactRow, msg_id: &MsgId) -> Result<(), StoreError> {
        let sql = "UPDATE message SET handed = 1
                   WHERE msg_id = ?1 AND contact = ?2 AND kind = ?3 AND NOT handed";
        let sent = MessageKind::Sent.code();
        self.execute(sql, params![msg_id.as_bytes(), contact.0, sent])?;
        Ok(())
    }

    /// Whether a line has left over a direct connection, whatever became of that.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn was_handed(&mut self, line: i64) -> Result<bool, StoreError> {
        self.any("SELECT 1 FROM message WHERE id = ?1 AND handed", [line])
    }
}
