//! What a home that was restored must not use again, and what contacts of a restored one lack (D3.13).

use std::collections::BTreeSet;

use rusqlite::{Row, params};
use sremp_core::{
    id::{ContactId, MsgId},
    time::UnixMillis,
};

use super::{
    ContactRow, MessageRecord, StoreError, Tx,
    column::{Cells as _, Code as _, saturating, time},
    messages::{columns, lines, read},
};
use crate::view::{MessageKind, Status};

type Result<T> = std::result::Result<T, StoreError>;

/// The setting of a store that holds an older state than the last that was used: its sessions are to
/// begin anew before anything is sent.
const RESTORED: &str = "restored";

/// The column of a length behind those of [`columns`].
const LENGTH: usize = 18;

/// A contact of a restored home from whom nothing new has come since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The contact.
    pub key: ContactId,
    /// It has not been sent on its way yet that the session begins anew.
    pub held: bool,
}

/// How much may go out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Lines that still fit.
    pub items: u32,
    /// Bytes of text that still fit.
    pub bytes: usize,
    /// Something did not fit, and nothing older does.
    pub full: bool,
}

/// What the user thinks of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnReaction {
    /// Which message.
    pub msg_id: MsgId,
    /// Since when.
    pub at: UnixMillis,
    /// Empty: taken back.
    pub reaction: String,
}

impl Room {
    /// The line of a row that ends with the length of its text, if it fits: no other is loaded.
    fn take(&mut self, row: &Row<'_>) -> Result<Option<MessageRecord>> {
        let length = usize::try_from(row.int(LENGTH)?).unwrap_or(usize::MAX);
        match (self.items.checked_sub(1), self.bytes.checked_sub(length)) {
            (Some(items), Some(bytes)) if !self.full => {
                (self.items, self.bytes) = (items, bytes);
                read(row).map(Some)
            }
            _ => {
                self.full = true;
                Ok(None)
            }
        }
    }
}

impl Tx<'_> {
    /// Whether this is a restored state that nothing was sent from yet.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn is_restored(&mut self) -> Result<bool> {
        Ok(self.setting(RESTORED)?.is_some())
    }

    /// Marks the state as a restored one.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn mark_restored(&mut self) -> Result<()> {
        self.set_setting(RESTORED, &[1])
    }

    /// The mark has been acted on.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn unmark_restored(&mut self) -> Result<()> {
        self.delete_setting(RESTORED)
    }

    /// Forgets sessions, private prekeys, finished envelopes and what was to be said about them:
    /// whoever goes on from an older state with one of them uses a key twice. The audit stays.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn forget_sessions(&mut self) -> Result<()> {
        for sql in [
            "INSERT OR IGNORE INTO ended_session (id) SELECT id FROM session",
            "DELETE FROM session",
            "UPDATE contact_book SET state = NULL",
            "DELETE FROM prekey",
            "UPDATE outbox SET session = NULL, envelope = NULL, envelope_id = NULL,
                               message_id = NULL, relay_at = NULL, relay_until = NULL",
            "DELETE FROM relay_read",
            "DELETE FROM bundle_due",
            // a relay may have been told of other senders since
            "UPDATE relay SET senders = NULL",
        ] {
            self.execute(sql, [])?;
        }
        Ok(())
    }

    /// Takes the private noise key out of one's own identity: a state with none cannot be used until
    /// it has made another.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub(crate) fn forget_noise_key(&mut self) -> Result<()> {
        self.execute_one("UPDATE own_identity SET noise_secret = zeroblob(32)", [])
    }

    /// Forgets the audit: in a copy it proves nothing.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub(crate) fn forget_audit(&mut self) -> Result<()> {
        self.execute("DELETE FROM key_use", [])?;
        self.execute("DELETE FROM ended_session", [])?;
        Ok(())
    }

    /// A contact has to be told that its session begins anew, and may be silent until then.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the contact is not there.
    pub fn add_renewal(&mut self, contact: ContactRow) -> Result<()> {
        self.execute_one("INSERT OR REPLACE INTO renewal VALUES (?1, 1)", [contact.0])
    }

    /// Every contact of a restored home from whom nothing new has come since.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn renewals(&mut self) -> Result<Vec<Renewal>> {
        let sql = "SELECT key, held FROM renewal JOIN contact ON row = contact ORDER BY row";
        self.list(sql, [], |row| {
            Ok(Renewal {
                key: ContactId::parse(&row.bytes::<32>(0)?).map_err(|_| StoreError::Damaged)?,
                held: row.int(1)? == 1,
            })
        })
    }

    /// That the session begins anew is on its way.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn release_renewal(&mut self, contact: ContactRow) -> Result<()> {
        self.execute(
            "UPDATE renewal SET held = 0 WHERE contact = ?1",
            [contact.0],
        )?;
        Ok(())
    }

    /// Something new has come from a contact, so that what follows is counted from there.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn end_renewal(&mut self, contact: ContactRow) -> Result<()> {
        self.execute("DELETE FROM renewal WHERE contact = ?1", [contact.0])?;
        Ok(())
    }

    /// Whether a contact that says at `seq` that it was restored says something new; it counts from then
    /// on, and confirmations of what relays were given before count no more.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn note_restored(&mut self, contact: ContactRow, seq: u64) -> Result<bool> {
        let sql = "INSERT INTO restored VALUES (?1, ?2)
                   ON CONFLICT (contact) DO UPDATE SET seq = excluded.seq WHERE seq < excluded.seq";
        let new = self.execute(sql, params![contact.0, saturating(seq)])? == 1;
        if new {
            let sql = "UPDATE receipt SET over = 1 WHERE contact = ?1 AND over = 0";
            self.execute(sql, [contact.0])?;
        }
        Ok(new)
    }

    /// One's own texts to a contact that it has confirmed, in the order of writing: those beyond
    /// `seq` and not older than `since` that are still there and do not go out already; the newest
    /// that `room` has room for.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn confirmed_after(
        &mut self,
        contact: ContactRow,
        seq: u64,
        since: UnixMillis,
        room: &mut Room,
    ) -> Result<Vec<MessageRecord>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            ", octet_length(m.text) FROM ",
            lines!(),
            " WHERE m.contact = ?1 AND m.kind = ?2 AND m.seq > ?3 AND m.sent >= ?4
                AND m.status = ?5 AND m.erased = 0 AND m.msg_id IS NOT NULL
                AND m.msg_id NOT IN (SELECT msg_id FROM outbox WHERE contact = ?1)
              ORDER BY m.position DESC LIMIT ?6"
        );
        let params = params![
            contact.0,
            MessageKind::Sent.code(),
            saturating(seq),
            time(since),
            Status::OnDevice.code(),
            i64::from(room.items) + 1
        ];
        let found = self.list(sql, params, |row| room.take(row))?;
        let mut found: Vec<MessageRecord> = found.into_iter().flatten().collect();
        found.retain(|line| !line.deleted);
        found.reverse();
        Ok(found)
    }

    /// One's own texts of at most `seq` that were edited or taken back by a content beyond it, in the
    /// order of that; the newest that `room` has room for.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn changed_after(
        &mut self,
        contact: ContactRow,
        seq: u64,
        since: UnixMillis,
        room: &mut Room,
    ) -> Result<Vec<MessageRecord>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            ", octet_length(m.text) FROM ",
            lines!(),
            " WHERE m.contact = ?1 AND m.kind = ?2 AND m.seq <= ?3 AND g.seq > ?3 AND g.at >= ?4
                AND m.msg_id IS NOT NULL
              ORDER BY g.seq DESC LIMIT ?5"
        );
        let params = params![
            contact.0,
            MessageKind::Sent.code(),
            saturating(seq),
            time(since),
            i64::from(room.items) + 1
        ];
        let found = self.list(sql, params, |row| room.take(row))?;
        let mut found: Vec<MessageRecord> = found.into_iter().flatten().collect();
        found.reverse();
        Ok(found)
    }

    /// The user's reactions to texts of a conversation that are of a content beyond `seq` and not older than
    /// `since`, also those that were taken back, in the order of that; the newest `most`, and whether there
    /// are more.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn reactions_after(
        &mut self,
        contact: ContactRow,
        seq: u64,
        since: UnixMillis,
        most: u32,
    ) -> Result<(Vec<OwnReaction>, bool)> {
        let sql = "SELECT m.msg_id, r.at, r.text FROM reaction r JOIN message m ON m.id = r.message
                   WHERE m.contact = ?1 AND r.own = 1 AND r.seq > ?2 AND r.at >= ?3
                     AND m.msg_id IS NOT NULL AND m.erased = 0
                   ORDER BY r.seq DESC LIMIT ?4";
        let params = params![contact.0, saturating(seq), time(since), i64::from(most) + 1];
        let mut found = self.list(sql, params, |row| {
            Ok(OwnReaction {
                msg_id: MsgId::new(row.bytes(0)?),
                at: row.time(1)?,
                reaction: row.text(2)?,
            })
        })?;
        let more = found.len() > most as usize;
        found.truncate(most as usize);
        found.reverse();
        Ok((found, more))
    }

    /// The ids of what goes out to a contact.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn outbox_ids(&mut self, contact: ContactRow) -> Result<BTreeSet<MsgId>> {
        let sql = "SELECT msg_id FROM outbox WHERE contact = ?1";
        let found = self.list(sql, [contact.0], |row| Ok(MsgId::new(row.bytes(0)?)))?;
        Ok(found.into_iter().collect())
    }

    /// One's own text goes out again as another content. Whether there is one: what the client says by
    /// itself has none.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn set_sent_seq(&mut self, contact: ContactRow, msg_id: &MsgId, seq: u64) -> Result<bool> {
        let sql = "UPDATE message SET seq = ?4 WHERE msg_id = ?1 AND contact = ?2 AND kind = ?3";
        let kind = MessageKind::Sent.code();
        let params = params![msg_id.as_bytes(), contact.0, kind, saturating(seq)];
        Ok(self.execute(sql, params)? > 0)
    }
}
