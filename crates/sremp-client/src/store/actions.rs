//! One's own contents that are no line of a conversation: edits, deletions, reactions, timers. They
//! are delivered and confirmed as messages are.

use rusqlite::{Row, params};
use sremp_core::{id::MsgId, time::UnixMillis};

use super::{
    ContactRow, MessageRecord, StoreError, Tx,
    column::{Cells as _, Code as _, time},
};
use crate::view::{MessageKind, Path, Status};

type Result<T> = std::result::Result<T, StoreError>;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT contact, msg_id, made, status, status_at, path FROM action ",
            $rest
        )
    };
}

/// As a message without a text, which stands in no conversation.
fn read(row: &Row<'_>) -> Result<MessageRecord> {
    Ok(MessageRecord {
        id: 0,
        contact: ContactRow(row.int(0)?),
        position: 0,
        kind: MessageKind::Sent,
        msg_id: Some(MsgId::new(row.bytes(1)?)),
        seq: 0,
        text: String::new(),
        sent: row.time(2)?,
        received: None,
        status: Some(row.code(3)?),
        status_at: Some(row.time(4)?),
        path: row.opt_code(5)?,
        edited: None,
        deleted: false,
        answers: None,
        expiry: None,
        late: false,
    })
}

impl Tx<'_> {
    /// Adds a content that is to be delivered.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the contact is not there, or the content is there already.
    pub fn insert_action(
        &mut self,
        contact: ContactRow,
        msg_id: &MsgId,
        made: UnixMillis,
    ) -> Result<()> {
        self.execute_one(
            "INSERT INTO action VALUES (?1, ?2, ?3, ?4, ?3, NULL)",
            params![
                msg_id.as_bytes(),
                contact.0,
                time(made),
                Status::Queued.code()
            ],
        )
    }

    /// A content by its id, as a message of one's own without a text.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn action(&mut self, contact: ContactRow, msg_id: &MsgId) -> Result<Option<MessageRecord>> {
        let sql = select!("WHERE msg_id = ?1 AND contact = ?2");
        self.get(sql, params![msg_id.as_bytes(), contact.0], read)
    }

    /// Contents whose id begins so, at most `limit`: between two ids inclusive.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn actions_between(
        &mut self,
        lowest: &MsgId,
        highest: &MsgId,
        limit: u32,
    ) -> Result<Vec<MessageRecord>> {
        let sql = select!("WHERE msg_id BETWEEN ?1 AND ?2 ORDER BY msg_id, contact LIMIT ?3");
        let params = params![lowest.as_bytes(), highest.as_bytes(), limit];
        self.list(sql, params, read)
    }

    /// Notes that a content came further; tells whether it did. As
    /// [`Self::set_status`](Tx::set_status).
    pub(super) fn set_action_status(
        &mut self,
        msg_id: &MsgId,
        contact: ContactRow,
        status: Status,
        path: Option<Path>,
        at: UnixMillis,
    ) -> Result<bool> {
        let sql = "UPDATE action SET status = ?3, path = coalesce(?4, path), status_at = ?5
                   WHERE msg_id = ?1 AND contact = ?2 AND status < ?3";
        let changed = self.execute(
            sql,
            params![
                msg_id.as_bytes(),
                contact.0,
                status.code(),
                path.map(Path::code),
                time(at)
            ],
        )?;
        Ok(changed == 1)
    }
}
