//! What waits to be delivered: contents in the order of making, and the finished envelopes, which
//! are sent again byte for byte (D3.14).

use rusqlite::{Row, params};
use sremp_core::{
    id::{EnvelopeId, MsgId, SessionId},
    time::UnixMillis,
};
use zeroize::Zeroizing;

use super::{
    ContactRow, StoreError, Tx,
    column::{Cells as _, Code as _, time},
};
use crate::view::{MessageKind, Status};

type Result<T> = std::result::Result<T, StoreError>;

/// A content to be delivered.
#[derive(Clone, Copy)]
pub struct NewOutboxItem<'a> {
    /// To whom.
    pub contact: ContactRow,
    /// The content's id.
    pub msg_id: MsgId,
    /// The content, encoded.
    pub content: &'a [u8],
    /// When it was made.
    pub created: UnixMillis,
    /// When it is given up.
    pub expires: UnixMillis,
}

/// A content that waits to be delivered.
pub struct OutboxItem {
    /// Number in the order of making; never given again.
    pub id: i64,
    /// To whom.
    pub contact: ContactRow,
    /// The content's id.
    pub msg_id: MsgId,
    /// The content, encoded: encrypted anew after a reset.
    pub content: Zeroizing<Vec<u8>>,
    /// Session that encrypted the envelope.
    pub session: Option<SessionId>,
    /// The envelope, once there is a session.
    pub envelope: Option<Vec<u8>>,
    /// The envelope's id.
    pub envelope_id: Option<EnvelopeId>,
    /// What relays are told that the envelope is called.
    pub message_id: Option<u64>,
    /// When a relay last promised to keep the envelope.
    pub relay_at: Option<UnixMillis>,
    /// Until when a relay keeps it; `None`: none does.
    pub relay_until: Option<UnixMillis>,
    /// When it was made.
    pub created: UnixMillis,
    /// When it is given up.
    pub expires: UnixMillis,
}

impl std::fmt::Debug for OutboxItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutboxItem({} {:?})", self.id, self.msg_id)
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, contact, msg_id, content, session, envelope, envelope_id, created, expires,
                    message_id, relay_at, relay_until
             FROM outbox ",
            $rest
        )
    };
}

pub(super) use select;

pub(super) fn read(row: &Row<'_>) -> Result<OutboxItem> {
    Ok(OutboxItem {
        id: row.int(0)?,
        contact: ContactRow(row.int(1)?),
        msg_id: MsgId::new(row.bytes(2)?),
        content: row.secret(3)?,
        session: row.opt_bytes(4)?.map(SessionId::new),
        envelope: row.opt_blob(5)?.map(<[u8]>::to_vec),
        envelope_id: row.opt_bytes(6)?.map(EnvelopeId::new),
        created: row.time(7)?,
        expires: row.time(8)?,
        message_id: row.opt_int(9)?.map(i64::cast_unsigned),
        relay_at: row.opt_time(10)?,
        relay_until: row.opt_time(11)?,
    })
}

impl Tx<'_> {
    /// Appends a content.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the contact is not there.
    pub fn push_outbox(&mut self, new: &NewOutboxItem<'_>) -> Result<i64> {
        self.insert(
            "INSERT INTO outbox (contact, msg_id, content, created, expires)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                new.contact.0,
                new.msg_id.as_bytes(),
                new.content,
                time(new.created),
                time(new.expires)
            ],
        )
    }

    /// Stores an item's finished envelope.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the item is not there.
    pub fn set_envelope(
        &mut self,
        item: i64,
        session: &SessionId,
        envelope: &[u8],
        envelope_id: &EnvelopeId,
    ) -> Result<()> {
        self.execute_one(
            "UPDATE outbox SET session = ?2, envelope = ?3, envelope_id = ?4 WHERE id = ?1",
            params![item, session.as_bytes(), envelope, envelope_id.as_bytes()],
        )
    }

    /// Drops the envelopes of a contact's items, which are to be encrypted again; tells how many of them
    /// are messages that the user has written.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn clear_envelopes(&mut self, contact: ContactRow) -> Result<u64> {
        let messages = "SELECT count(*) FROM outbox o
                        WHERE o.contact = ?1 AND o.envelope IS NOT NULL
                          AND EXISTS (SELECT 1 FROM message m
                                      WHERE m.msg_id = o.msg_id AND m.contact = o.contact
                                        AND m.kind = ?2)";
        let sent = MessageKind::Sent.code();
        let count = self.one(messages, params![contact.0, sent], |row| row.count(0))?;
        let sql = "UPDATE outbox SET session = NULL, envelope = NULL, envelope_id = NULL,
                                     message_id = NULL, relay_at = NULL, relay_until = NULL
                   WHERE contact = ?1 AND envelope IS NOT NULL";
        self.execute(sql, [contact.0])?;
        Ok(count)
    }

    /// Takes the envelopes off a contact's items, which relays keep on; they are encrypted again.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn clear_kept_envelopes(&mut self, contact: ContactRow) -> Result<()> {
        let sql = "UPDATE outbox SET session = NULL, envelope = NULL, envelope_id = NULL,
                                     message_id = NULL
                   WHERE contact = ?1 AND envelope IS NOT NULL";
        self.execute(sql, [contact.0])?;
        Ok(())
    }

    /// A contact's items after a number, in the order of making.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn outbox(
        &mut self,
        contact: ContactRow,
        after: i64,
        limit: u32,
    ) -> Result<Vec<OutboxItem>> {
        let sql = select!("WHERE contact = ?1 AND id > ?2 ORDER BY id LIMIT ?3");
        self.list(sql, params![contact.0, after, limit], read)
    }

    /// The number of a contact's newest item, 0 for none.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn last_outbox(&mut self, contact: ContactRow) -> Result<i64> {
        let sql = "SELECT coalesce(max(id), 0) FROM outbox WHERE contact = ?1";
        self.one(sql, [contact.0], |row| row.int(0))
    }

    /// A contact's items after a number that no relay keeps, in the order of making.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn outbox_waiting(
        &mut self,
        contact: ContactRow,
        after: i64,
        limit: u32,
    ) -> Result<Vec<OutboxItem>> {
        let sql = select!(
            "INDEXED BY outbox_waiting
             WHERE contact = ?1 AND id > ?2 AND relay_until IS NULL ORDER BY id LIMIT ?3"
        );
        self.list(sql, params![contact.0, after, limit], read)
    }

    /// An item by its number.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn outbox_item(&mut self, id: i64) -> Result<Option<OutboxItem>> {
        self.get(select!("WHERE id = ?1"), [id], read)
    }

    /// The number of a message's item.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn outbox_of_message(
        &mut self,
        contact: ContactRow,
        msg_id: &MsgId,
    ) -> Result<Option<i64>> {
        let sql = "SELECT id FROM outbox WHERE contact = ?1 AND msg_id = ?2";
        self.get(sql, params![contact.0, msg_id.as_bytes()], |row| row.int(0))
    }

    /// The item of an envelope.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn outbox_by_envelope(
        &mut self,
        contact: ContactRow,
        envelope: &EnvelopeId,
    ) -> Result<Option<OutboxItem>> {
        let sql = select!(
            "WHERE id = (SELECT id FROM outbox INDEXED BY outbox_contact
                         WHERE contact = ?2 AND envelope_id = ?1 ORDER BY id LIMIT 1)"
        );
        self.get(sql, params![envelope.as_bytes(), contact.0], read)
    }

    /// Removes an item; tells whether it was there.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn remove_outbox(&mut self, id: i64) -> Result<bool> {
        Ok(self.execute("DELETE FROM outbox WHERE id = ?1", [id])? == 1)
    }

    /// Gives everything that waits until this time: a calendar that jumped must not end it.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn renew_outbox(&mut self, expires: UnixMillis) -> Result<()> {
        self.execute("UPDATE outbox SET expires = ?1", [time(expires)])?;
        Ok(())
    }

    /// How much waits for a contact.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn outbox_count(&mut self, contact: ContactRow) -> Result<u64> {
        let sql = "SELECT count(*) FROM outbox WHERE contact = ?1";
        self.one(sql, [contact.0], |row| row.count(0))
    }

    /// How many messages that the user has written wait, of all or for one contact, and when the oldest of them
    /// was written that no relay keeps. What the client says by itself is none.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn waiting_messages(
        &mut self,
        contact: Option<ContactRow>,
    ) -> Result<(u64, Option<UnixMillis>)> {
        macro_rules! waiting {
            ($of:literal) => {
                concat!(
                    "SELECT count(*), min(CASE WHEN o.relay_until IS NULL THEN o.created END)
                     FROM outbox o
                     WHERE EXISTS (SELECT 1 FROM message m
                                   WHERE m.msg_id = o.msg_id AND m.contact = o.contact
                                     AND m.kind = ?1)",
                    $of
                )
            };
        }
        let sent = MessageKind::Sent.code();
        let read = |row: &Row<'_>| Ok((row.count(0)?, row.opt_time(1)?));
        match contact {
            None => self.one(waiting!(""), params![sent], read),
            Some(contact) => {
                let params = params![sent, contact.0];
                self.one(waiting!(" AND o.contact = ?2"), params, read)
            }
        }
    }

    /// The same by what the history says of them, for a home without an outbox.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn waiting_lines(
        &mut self,
        contact: Option<ContactRow>,
    ) -> Result<(u64, Option<UnixMillis>)> {
        macro_rules! waiting {
            ($of:literal) => {
                concat!(
                    "SELECT count(*), min(CASE WHEN status = ?2 THEN sent END) FROM message
                     WHERE kind = ?1 AND status IN (?2, ?3)",
                    $of
                )
            };
        }
        let sent = MessageKind::Sent.code();
        let (queued, kept) = (Status::Queued.code(), Status::AtRelay.code());
        let read = |row: &Row<'_>| Ok((row.count(0)?, row.opt_time(1)?));
        match contact {
            None => self.one(waiting!(""), params![sent, queued, kept], read),
            Some(contact) => {
                let params = params![sent, queued, kept, contact.0];
                self.one(waiting!(" AND contact = ?4"), params, read)
            }
        }
    }

    /// Whether something for a contact waits without an envelope.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn outbox_is_unsealed(&mut self, contact: ContactRow) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_contact
                                  WHERE contact = ?1 AND envelope_id IS NULL)";
        self.one(sql, [contact.0], |row| Ok(row.int(0)? == 1))
    }

    /// Contacts for whom something waits, and how much.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn outbox_contacts(&mut self) -> Result<Vec<(ContactRow, u64)>> {
        let sql = "SELECT contact, count(*) FROM outbox GROUP BY contact ORDER BY contact";
        self.list(sql, [], |row| Ok((ContactRow(row.int(0)?), row.count(1)?)))
    }

    /// When the oldest item of a contact was made.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn oldest_item(&mut self, contact: ContactRow) -> Result<Option<UnixMillis>> {
        let sql = "SELECT created FROM outbox WHERE contact = ?1 ORDER BY id LIMIT 1";
        self.get(sql, [contact.0], |row| row.time(0))
    }

    /// Contacts who have left something sealed unconfirmed since `before`, and whose bundle was not
    /// asked for so lately that it has to wait; those who have waited longest first. A time of
    /// asking beyond `latest` is one that a wrong calendar made.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn silent_contacts(
        &mut self,
        before: UnixMillis,
        now: UnixMillis,
        latest: UnixMillis,
        limit: u32,
    ) -> Result<Vec<ContactRow>> {
        let sql = "SELECT oldest.contact
                   FROM (SELECT contact, min(id) AS id FROM outbox INDEXED BY outbox_contact
                         WHERE envelope_id IS NOT NULL GROUP BY contact) oldest
                   JOIN outbox ON outbox.id = oldest.id
                   LEFT JOIN bundle_due due ON due.contact = oldest.contact
                   WHERE outbox.created <= ?1
                     AND (due.at IS NULL OR due.at <= ?2 OR due.at > ?3)
                   ORDER BY due.at, oldest.contact LIMIT ?4";
        let params = params![time(before), time(now), time(latest), limit];
        self.list(sql, params, |row| Ok(ContactRow(row.int(0)?)))
    }

    /// A contact's bundle is not fetched for its silence before this time.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the contact is not there.
    pub fn set_bundle_due(&mut self, contact: ContactRow, at: UnixMillis) -> Result<()> {
        self.execute_one(
            "INSERT OR REPLACE INTO bundle_due VALUES (?1, ?2)",
            params![contact.0, time(at)],
        )
    }

    /// Items that are to be given up, in the order of making.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn expired_outbox(&mut self, now: UnixMillis, limit: u32) -> Result<Vec<OutboxItem>> {
        let sql = select!(
            "WHERE id IN (SELECT id FROM outbox INDEXED BY outbox_contact
                          WHERE expires <= ?1 ORDER BY id LIMIT ?2)
             ORDER BY id"
        );
        self.list(sql, params![time(now), limit], read)
    }
}
