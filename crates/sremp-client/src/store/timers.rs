//! Messages that disappear: the timer of each conversation, and when each message goes.

use rusqlite::params;
use sremp_core::{id::MsgId, time::UnixMillis};

use super::{
    ContactRow, StoreError, Tx,
    column::{Cells as _, Code as _, saturating, time},
};
use crate::view::MessageKind;

type Result<T> = std::result::Result<T, StoreError>;

/// The timer of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerRecord {
    /// After how many seconds new messages disappear; 0: never.
    pub seconds: u32,
    /// When whoever set it did so; the later one holds.
    pub sent: UnixMillis,
    /// The line that tells of it.
    pub line: Option<i64>,
    /// The event that tells of it.
    pub event: Option<u64>,
}

/// When a message disappears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// How many seconds after it was sent or first read.
    pub seconds: u32,
    /// When; `None` while nobody has read it.
    pub at: Option<UnixMillis>,
}

impl Tx<'_> {
    /// The timer of a conversation; `None` if nobody ever set one.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn timer(&mut self, contact: ContactRow) -> Result<Option<TimerRecord>> {
        let sql = "SELECT seconds, sent, line, event FROM timer WHERE contact = ?1";
        self.get(sql, [contact.0], |row| {
            Ok(TimerRecord {
                seconds: row.small(0)?,
                sent: row.time(1)?,
                line: row.opt_int(2)?,
                event: row.opt_int(3)?.map(i64::cast_unsigned),
            })
        })
    }

    /// Sets the timer of a conversation.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the contact is not there.
    pub fn set_timer(&mut self, contact: ContactRow, timer: &TimerRecord) -> Result<()> {
        self.execute_one(
            "INSERT OR REPLACE INTO timer VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                contact.0,
                timer.seconds,
                time(timer.sent),
                timer.line,
                timer.event.map(saturating)
            ],
        )
    }

    /// Whether a line is the last of its conversation.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn is_last_line(&mut self, contact: ContactRow, line: i64) -> Result<bool> {
        let sql = "SELECT id FROM message WHERE contact = ?1 ORDER BY position DESC LIMIT 1";
        let last = self.get(sql, [contact.0], |row| row.int(0))?;
        Ok(last == Some(line))
    }

    /// Deletes a notice, with its place: another one stands for it.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn delete_notice(&mut self, line: i64) -> Result<()> {
        self.index()?;
        self.execute("DELETE FROM message WHERE id = ?1 AND kind = 2", [line])?;
        Ok(())
    }

    /// A message is to disappear.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the message is not there or has a time already.
    pub fn set_expiry(&mut self, message: i64, expiry: Expiry) -> Result<()> {
        let sql = "INSERT INTO message_expiry VALUES (?1, ?2, ?3)";
        self.execute_one(sql, params![message, expiry.seconds, expiry.at.map(time)])
    }

    /// A message that is to disappear was read: it goes at this time.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn begin_expiry(&mut self, message: i64, at: UnixMillis) -> Result<()> {
        let sql = "UPDATE message_expiry SET at = ?2 WHERE message = ?1 AND at IS NULL";
        self.execute(sql, params![message, time(at)])?;
        Ok(())
    }

    /// After how many seconds a message of one's own that waits for its contact was to disappear, also
    /// if it has here; `None`: it was to stay.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn seconds_of_waiting(
        &mut self,
        contact: ContactRow,
        msg_id: &MsgId,
    ) -> Result<Option<u32>> {
        let sql = "SELECT x.seconds FROM message m JOIN message_expiry x ON x.message = m.id
                   WHERE m.msg_id = ?1 AND m.contact = ?2 AND m.kind = ?3";
        let kind = MessageKind::Sent.code();
        let params = params![msg_id.as_bytes(), contact.0, kind];
        self.get(sql, params, |row| row.small(0))
    }

    /// When the next message is to go.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn next_expiry(&mut self) -> Result<Option<UnixMillis>> {
        let sql = "SELECT at FROM message_expiry WHERE at IS NOT NULL ORDER BY at LIMIT 1";
        self.get(sql, [], |row| row.time(0))
    }

    /// Messages whose time has come, those that are due longest first.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn expired_messages(&mut self, now: UnixMillis, limit: u32) -> Result<Vec<i64>> {
        let sql = "SELECT message FROM message_expiry WHERE at IS NOT NULL AND at <= ?1
                   ORDER BY at LIMIT ?2";
        self.list(sql, params![time(now), limit], |row| row.int(0))
    }
}
