//! Sessions, and the audit that no message key encrypts twice.

use std::time::Duration;

use rusqlite::params;
use sremp_core::{
    id::{ContactId, EnvelopeId, SessionId},
    time::UnixMillis,
};
use zeroize::Zeroizing;

use super::{
    ContactRow, StoreError, Tx,
    column::{Cells as _, time},
};

type Result<T> = std::result::Result<T, StoreError>;

/// Time for which the audit of a session is kept after its end.
pub const KEY_USE_AGE: Duration = Duration::from_secs(60 * 24 * 60 * 60);

/// One line of the audit: a message key and the envelope that it encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// Which of our ratchet keys the chain belongs to.
    pub epoch: u32,
    /// Place in the chain.
    pub n: u32,
    /// The envelope.
    pub envelope: EnvelopeId,
}

impl Tx<'_> {
    /// The sessions with a contact, oldest first: id and state.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn sessions(
        &mut self,
        contact: ContactRow,
    ) -> Result<Vec<(SessionId, Zeroizing<Vec<u8>>)>> {
        let sql = "SELECT id, state FROM session WHERE contact = ?1 ORDER BY row";
        self.list(sql, [contact.0], |row| {
            Ok((SessionId::new(row.bytes(0)?), row.secret(1)?))
        })
    }

    /// Whose session this is.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn session_contact(&mut self, session: &SessionId) -> Result<Option<ContactRow>> {
        let sql = "SELECT contact FROM session WHERE id = ?1";
        self.get(sql, [session.as_bytes()], |row| Ok(ContactRow(row.int(0)?)))
    }

    /// Stores a session's state, new or changed.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the contact is not there.
    pub fn save_session(
        &mut self,
        contact: ContactRow,
        session: &SessionId,
        state: &[u8],
    ) -> Result<()> {
        self.note_move();
        self.execute_one(
            "INSERT INTO session (id, contact, state) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET contact = excluded.contact, state = excluded.state",
            params![session.as_bytes(), contact.0, state],
        )
    }

    /// Remembers who gave the bundle with which a session was begun: a relay, or the contact itself.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the session is not there.
    pub fn set_session_giver(&mut self, session: &SessionId, giver: &ContactId) -> Result<()> {
        let sql = "UPDATE session SET giver = ?2 WHERE id = ?1";
        self.execute_one(sql, params![session.as_bytes(), giver.as_bytes()])
    }

    /// Who gave the bundle with which a session was begun here; `None` if that is not known.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn session_giver(&mut self, session: &SessionId) -> Result<Option<ContactId>> {
        let sql = "SELECT giver FROM session WHERE id = ?1 AND giver IS NOT NULL";
        self.get(sql, [session.as_bytes()], |row| row.contact_id(0))
    }

    /// Deletes a session; its audit stays for [`KEY_USE_AGE`]. One that is not there is no error.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn delete_session(&mut self, session: &SessionId) -> Result<()> {
        let sql = "DELETE FROM session WHERE id = ?1";
        if self.execute(sql, [session.as_bytes()])? == 1 {
            let sql = "INSERT OR IGNORE INTO ended_session (id) VALUES (?1)";
            self.execute(sql, [session.as_bytes()])?;
        }
        Ok(())
    }

    /// The audit: records that our message key `n` of `epoch` encrypted this envelope.
    ///
    /// # Errors
    /// [`StoreError::KeyReused`] if the key has encrypted another one; the transaction cannot be
    /// committed any more.
    pub fn record_key_use(
        &mut self,
        session: &SessionId,
        epoch: u32,
        n: u32,
        envelope: &EnvelopeId,
    ) -> Result<()> {
        let (session, envelope) = (session.as_bytes(), envelope.as_bytes());
        let sql = "INSERT INTO key_use VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        if self.execute(sql, params![session, epoch, n, envelope])? == 1 {
            return Ok(());
        }
        let sql = "SELECT envelope FROM key_use WHERE session = ?1 AND epoch = ?2 AND n = ?3";
        let used: [u8; 32] = self.one(sql, params![session, epoch, n], |row| row.bytes(0))?;
        if used == *envelope {
            Ok(())
        } else {
            self.fail(StoreError::KeyReused)
        }
    }

    /// Whether an envelope was sealed in this session.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn has_sealed(&mut self, session: &SessionId, envelope: &EnvelopeId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM key_use WHERE session = ?1 AND envelope = ?2)";
        let params = params![session.as_bytes(), envelope.as_bytes()];
        self.one(sql, params, |row| Ok(row.int(0)? == 1))
    }

    /// The audit of a session in order, at most `limit` lines after `(epoch, n)`.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn key_uses(
        &mut self,
        session: &SessionId,
        after: Option<(u32, u32)>,
        limit: u32,
    ) -> Result<Vec<KeyUse>> {
        let (epoch, n) = after.map_or((-1, -1), |(e, n)| (i64::from(e), i64::from(n)));
        let sql = "SELECT epoch, n, envelope FROM key_use
                   WHERE session = ?1 AND (epoch, n) > (?2, ?3) ORDER BY epoch, n LIMIT ?4";
        self.list(sql, params![session.as_bytes(), epoch, n, limit], |row| {
            Ok(KeyUse {
                epoch: row.small(0)?,
                n: row.small(1)?,
                envelope: EnvelopeId::new(row.bytes(2)?),
            })
        })
    }

    /// Forgets the audit of sessions that ended [`KEY_USE_AGE`] ago; to be called once in a while.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn prune_key_uses(&mut self, now: UnixMillis) -> Result<()> {
        let sql = "UPDATE ended_session SET since = ?1 WHERE since IS NULL";
        self.execute(sql, [time(now)])?;
        let gone = time(now.minus(KEY_USE_AGE));
        self.execute(
            "DELETE FROM key_use
             WHERE session IN (SELECT id FROM ended_session WHERE since < ?1)",
            [gone],
        )?;
        self.execute("DELETE FROM ended_session WHERE since < ?1", [gone])?;
        Ok(())
    }
}
