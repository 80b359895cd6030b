//! The history: one row is one line of a conversation.

use rusqlite::{Row, params};
use sremp_core::{
    id::{ContactId, MsgId},
    time::UnixMillis,
};

use super::{
    ContactRow, Expiry, Fate, StoreError, Tx,
    column::{Cells as _, Code as _, saturating, time},
};
use crate::view::{MessageKind, Path, Standing, Status};

type Result<T> = std::result::Result<T, StoreError>;

/// A line that is not there yet.
#[derive(Clone, Copy, Debug)]
pub struct NewMessage<'a> {
    /// Whose conversation.
    pub contact: ContactRow,
    /// The content's id; none for a notice.
    pub msg_id: Option<MsgId>,
    /// Sent, received, or a notice.
    pub kind: MessageKind,
    /// The sender's `seq`; of a notice 0.
    pub seq: u64,
    /// The text.
    pub text: &'a str,
    /// The sender's time.
    pub sent: UnixMillis,
    /// When it was received here.
    pub received: Option<UnixMillis>,
    /// How far one's own has come.
    pub status: Option<Status>,
    /// The way it took.
    pub path: Option<Path>,
}

/// A line of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRecord {
    /// Number in the order of arrival, over all conversations.
    pub id: i64,
    /// Whose conversation.
    pub contact: ContactRow,
    /// Place in the conversation, from 1 upwards with gaps; give it to [`Tx::history`].
    pub position: i64,
    /// Sent, received, or a notice.
    pub kind: MessageKind,
    /// The content's id; none for a notice.
    pub msg_id: Option<MsgId>,
    /// The sender's `seq`, at most `i64::MAX`.
    pub seq: u64,
    /// The text; of a message that was taken back empty.
    pub text: String,
    /// The sender's time.
    pub sent: UnixMillis,
    /// When it was received here.
    pub received: Option<UnixMillis>,
    /// How far one's own has come.
    pub status: Option<Status>,
    /// When it came so far.
    pub status_at: Option<UnixMillis>,
    /// The way it took.
    pub path: Option<Path>,
    /// When its author last gave it another text, by the author's clock.
    pub edited: Option<UnixMillis>,
    /// Its author has taken it back.
    pub deleted: bool,
    /// The message that it answers.
    pub answers: Option<MsgId>,
    /// When it disappears.
    pub expiry: Option<Expiry>,
    /// It came after what stands below it.
    pub late: bool,
}

/// A conversation by its last line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationRecord {
    /// With whom.
    pub contact: ContactRow,
    /// `identity_key`.
    pub key: ContactId,
    /// What the user calls the contact.
    pub alias: Option<String>,
    /// What the contact calls itself.
    pub username: Option<String>,
    /// Contact or request.
    pub standing: Standing,
    /// The last line.
    pub last: MessageRecord,
}

macro_rules! columns {
    () => {
        "m.id, m.contact, m.position, m.kind, m.msg_id, m.seq, m.text, m.sent, m.received, \
         m.status, m.status_at, m.path, g.fate, g.at, r.answers, x.seconds, x.at, m.late"
    };
}
pub(super) use columns;

/// `message m` with what belongs to it, for [`columns`].
macro_rules! lines {
    () => {
        "message m LEFT JOIN message_change g ON g.message = m.id
                   LEFT JOIN message_reply r ON r.message = m.id
                   LEFT JOIN message_expiry x ON x.message = m.id"
    };
}
pub(super) use lines;

/// As many spaces as the text has bytes. SQLite overwrites a row of the same length in place; one
/// that is shortened or deleted makes it move neighbours about, and it does not wipe where a moved
/// row stood before.
macro_rules! blank {
    () => {
        "substr(replace(hex(zeroblob(octet_length(text))), '0', ' '), 1, octet_length(text))"
    };
}
pub(super) use blank;

pub(super) fn read(row: &Row<'_>) -> Result<MessageRecord> {
    let fate: Option<Fate> = row.opt_code(12)?;
    let deleted = fate == Some(Fate::TakenBack);
    let changed = row.opt_time(13)?;
    Ok(MessageRecord {
        id: row.int(0)?,
        contact: ContactRow(row.int(1)?),
        position: row.int(2)?,
        kind: row.code(3)?,
        msg_id: row.opt_bytes(4)?.map(MsgId::new),
        seq: row.count(5)?,
        text: match deleted {
            true => String::new(),
            false => row.text(6)?,
        },
        sent: row.time(7)?,
        received: row.opt_time(8)?,
        status: row.opt_code(9)?,
        status_at: row.opt_time(10)?,
        path: row.opt_code(11)?,
        edited: changed.filter(|_| fate == Some(Fate::Edited)),
        deleted,
        answers: row.opt_bytes(14)?.map(MsgId::new),
        expiry: match row.opt_int(15)? {
            None => None,
            Some(_) => Some(Expiry {
                seconds: row.small(15)?,
                at: row.opt_time(16)?,
            }),
        },
        late: row.int(17)? != 0,
    })
}

impl Tx<'_> {
    /// Adds a line, at its place by its sender's order, and its words to the search index. `None`
    /// if this contact's message of this id and direction is there already, also when the user has
    /// erased it.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the contact is not there.
    pub fn insert_message(&mut self, new: &NewMessage<'_>) -> Result<Option<i64>> {
        if let Some(msg_id) = new.msg_id {
            let sql = "SELECT 1 FROM message WHERE msg_id = ?1 AND contact = ?2 AND kind = ?3";
            let key = params![msg_id.as_bytes(), new.contact.0, new.kind.code()];
            if self.any(sql, key)? {
                return Ok(None);
            }
        }
        let (position, late) = self.place(new.contact, new.kind, new.seq)?;
        let id = self.insert(
            "INSERT INTO message (contact, position, kind, msg_id, seq, sent, received, status,
                                  status_at, path, text, late)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?6, ?9, ?10, ?11)",
            params![
                new.contact.0,
                position,
                new.kind.code(),
                new.msg_id.as_ref().map(MsgId::as_bytes),
                saturating(new.seq),
                time(new.sent),
                new.received.map(time),
                new.status.map(Status::code),
                new.path.map(Path::code),
                new.text,
                late
            ],
        )?;
        self.index_later(id);
        Ok(Some(id))
    }

    /// Notes that one's own message came further; tells whether it did. A status goes back only by
    /// [`Self::wait_again`]: queued, at relay, failed (given up, yet it may have arrived), on device.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn set_status(
        &mut self,
        msg_id: &MsgId,
        contact: ContactRow,
        status: Status,
        path: Option<Path>,
        at: UnixMillis,
    ) -> Result<bool> {
        let sql = "UPDATE message SET status = ?4, path = coalesce(?5, path), status_at = ?6
                   WHERE msg_id = ?1 AND contact = ?2 AND kind = ?3 AND status < ?4";
        let changed = self.execute(
            sql,
            params![
                msg_id.as_bytes(),
                contact.0,
                MessageKind::Sent.code(),
                status.code(),
                path.map(Path::code),
                time(at)
            ],
        )?;
        Ok(changed == 1 || self.set_action_status(msg_id, contact, status, path, at)?)
    }

    /// Notes that no relay keeps one's own message any more; tells whether one was said to.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn wait_again(
        &mut self,
        msg_id: &MsgId,
        contact: ContactRow,
        at: UnixMillis,
    ) -> Result<bool> {
        let mut changed = 0;
        for table in ["message", "action"] {
            let sql = format!(
                "UPDATE {table} SET status = ?4, path = NULL, status_at = ?5
                 WHERE msg_id = ?1 AND contact = ?2 AND status = ?3"
            );
            changed += self.execute_text(
                &sql,
                params![
                    msg_id.as_bytes(),
                    contact.0,
                    Status::AtRelay.code(),
                    Status::Queued.code(),
                    time(at)
                ],
            )?;
        }
        Ok(changed > 0)
    }

    /// A message by its id; the first with it if no contact is given.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn message(
        &mut self,
        contact: Option<ContactRow>,
        msg_id: &MsgId,
    ) -> Result<Option<MessageRecord>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM ",
            lines!(),
            " WHERE m.msg_id = ?1 AND m.contact = coalesce(?2, m.contact)
              AND m.erased = 0 ORDER BY m.contact, m.kind LIMIT 1"
        );
        let contact = contact.map(|c| c.0);
        self.get(sql, params![msg_id.as_bytes(), contact], read)
    }

    /// The number of a line that is no message, by its id.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn notice(&mut self, contact: ContactRow, msg_id: &MsgId) -> Result<Option<i64>> {
        let sql = "SELECT id FROM message
                   WHERE msg_id = ?1 AND contact = ?2 AND kind = ?3 AND erased = 0";
        let params = params![msg_id.as_bytes(), contact.0, MessageKind::Notice.code()];
        self.get(sql, params, |row| row.int(0))
    }

    /// Sent and received messages whose id begins so, at most `limit`, of one contact or all: between two
    /// ids inclusive, of equal ids the sent one first.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn messages_between(
        &mut self,
        lowest: &MsgId,
        highest: &MsgId,
        contact: Option<ContactRow>,
        limit: u32,
    ) -> Result<Vec<MessageRecord>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM ",
            lines!(),
            " WHERE m.msg_id BETWEEN ?1 AND ?2 AND m.erased = 0 AND m.kind < 2
                AND m.contact = coalesce(?3, m.contact)
              ORDER BY m.msg_id, m.kind, m.contact LIMIT ?4"
        );
        let contact = contact.map(|c| c.0);
        let params = params![lowest.as_bytes(), highest.as_bytes(), contact, limit];
        self.list(sql, params, read)
    }

    /// Messages of one's own that are erased here, still wait for their contact and whose id begins so, at
    /// most `limit`: between two ids inclusive.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn erased_that_wait(
        &mut self,
        lowest: &MsgId,
        highest: &MsgId,
        limit: u32,
    ) -> Result<Vec<MessageRecord>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM ",
            lines!(),
            " WHERE m.msg_id BETWEEN ?1 AND ?2 AND m.erased = 1 AND m.kind = ?3
                AND m.status IN (?4, ?5)
              ORDER BY m.msg_id, m.contact LIMIT ?6"
        );
        let kind = MessageKind::Sent.code();
        let (queued, kept) = (Status::Queued.code(), Status::AtRelay.code());
        let (lowest, highest) = (lowest.as_bytes(), highest.as_bytes());
        self.list(
            sql,
            params![lowest, highest, kind, queued, kept, limit],
            read,
        )
    }

    /// The latest `limit` lines of a conversation before a place, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn history(
        &mut self,
        contact: ContactRow,
        before_position: Option<i64>,
        limit: u32,
    ) -> Result<Vec<MessageRecord>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM ",
            lines!(),
            " WHERE m.contact = ?1 AND m.position < ?2 AND m.erased = 0
              ORDER BY m.position DESC LIMIT ?3"
        );
        let before = before_position.unwrap_or(i64::MAX);
        let mut lines = self.list(sql, params![contact.0, before, limit], read)?;
        lines.reverse();
        Ok(lines)
    }

    /// The first `limit` lines of a conversation after a place, oldest first: for an export, page
    /// by page within one transaction.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn history_after(
        &mut self,
        contact: ContactRow,
        after_position: i64,
        limit: u32,
    ) -> Result<Vec<MessageRecord>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM ",
            lines!(),
            " WHERE m.contact = ?1 AND m.position > ?2 AND m.erased = 0
              ORDER BY m.position LIMIT ?3"
        );
        self.list(sql, params![contact.0, after_position, limit], read)
    }

    /// Erases the text of a message here, with its reactions; tells whether it was there. Its id is
    /// kept, so that it does not come again.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn erase_message(&mut self, id: i64) -> Result<bool> {
        self.index()?;
        let sent = MessageKind::Sent.code();
        let (queued, kept) = (Status::Queued.code(), Status::AtRelay.code());
        for sql in [
            "DELETE FROM reaction WHERE message = ?1",
            "DELETE FROM message_reply WHERE message = ?1",
            "DELETE FROM message_change WHERE message = ?1",
        ] {
            self.execute(sql, [id])?;
        }
        // what waits comes to its reader under the timer that it was written under (3.10)
        self.execute(
            "UPDATE message_expiry SET at = NULL WHERE message = ?1",
            [id],
        )?;
        let sql = "DELETE FROM message_expiry WHERE message = ?1 AND NOT EXISTS
                     (SELECT 1 FROM message WHERE id = ?1 AND kind = ?2 AND status IN (?3, ?4))";
        self.execute(sql, params![id, sent, queued, kept])?;
        let sql = concat!(
            "UPDATE message SET erased = 1, text = ",
            blank!(),
            " WHERE id = ?1 AND erased = 0"
        );
        Ok(self.execute(sql, [id])? == 1)
    }

    /// A received message by its sender's key and its id; `None` also if it is gone.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn received(&mut self, from: &ContactId, msg_id: &MsgId) -> Result<Option<MessageRecord>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM ",
            lines!(),
            " WHERE m.msg_id = ?2 AND m.contact = (SELECT row FROM contact WHERE key = ?1)
              AND m.kind = 1 AND m.erased = 0"
        );
        self.get(sql, params![from.as_bytes(), msg_id.as_bytes()], read)
    }

    /// The first message of somebody; `None` also if there is none.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn first_received(&mut self, from: &ContactId) -> Result<Option<MessageRecord>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM ",
            lines!(),
            " WHERE m.contact = (SELECT row FROM contact WHERE key = ?1)
              AND m.kind = 1 AND m.erased = 0 ORDER BY m.position LIMIT 1"
        );
        self.get(sql, [from.as_bytes()], read)
    }

    /// Deletes the lines of a conversation.
    pub(super) fn delete_messages(&mut self, contact: ContactRow) -> Result<()> {
        self.index()?;
        let sql = concat!(
            "UPDATE message SET text = ",
            blank!(),
            " WHERE contact = ?1"
        );
        self.execute(sql, [contact.0])?;
        self.execute("DELETE FROM message WHERE contact = ?1", [contact.0])?;
        Ok(())
    }

    /// Every conversation that has a line, the one with the newest first.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn conversations(&mut self) -> Result<Vec<ConversationRecord>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            ", c.key, c.alias, c.username, c.standing FROM contact c CROSS JOIN ",
            lines!(),
            " WHERE m.id = (SELECT id FROM message WHERE contact = c.row AND erased = 0
                            ORDER BY position DESC LIMIT 1)
              ORDER BY m.id DESC"
        );
        self.list(sql, [], |row| {
            let last = read(row)?;
            Ok(ConversationRecord {
                contact: last.contact,
                key: row.contact_id(18)?,
                alias: row.opt_text(19)?,
                username: row.opt_text(20)?,
                standing: row.code(21)?,
                last,
            })
        })
    }
}
