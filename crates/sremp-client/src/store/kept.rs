//! What relays keep, by the order in which they were given it.

use rusqlite::params;
use sremp_core::{
    id::{ContactId, MsgId},
    time::UnixMillis,
};

use super::{
    ContactRow, StoreError, Tx,
    column::{Cells as _, time},
};

type Result<T> = std::result::Result<T, StoreError>;

/// When a relay was given something: by the order of its receipts here, and by its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReceiptPlace {
    /// The receipt's number, in the order of arrival.
    pub id: i64,
    /// When the relay says that it stored the envelope.
    pub stored: UnixMillis,
}

impl ReceiptPlace {
    /// Whether it was given before the other by either: clocks are set back, and receipts get lost.
    pub fn is_before(self, other: Self) -> bool {
        self.id < other.id && self.stored <= other.stored
    }
}

impl Tx<'_> {
    /// The first receipt for an envelope under this name, and whose, if no other relay has given one.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn only_receipt(
        &mut self,
        contact: ContactRow,
        msg_id: &MsgId,
        message_id: u64,
    ) -> Result<Option<(ContactId, ReceiptPlace)>> {
        let sql = "SELECT relay.key, min(receipt.id), receipt.stored
                   FROM receipt JOIN relay ON relay.row = receipt.relay
                   WHERE contact = ?1 AND msg_id = ?2 AND message_id = ?3
                   GROUP BY receipt.relay LIMIT 2";
        let params = params![contact.0, msg_id.as_bytes(), message_id.cast_signed()];
        let mut receipts = self.list(sql, params, place)?;
        let first = receipts.pop();
        Ok(first.filter(|_| receipts.is_empty()))
    }

    /// A contact's items that a relay has promised to keep and was given before this place, in the order of
    /// making.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn kept_before(
        &mut self,
        contact: ContactRow,
        relay: &ContactId,
        upto: ReceiptPlace,
    ) -> Result<Vec<(i64, MsgId)>> {
        let sql = "SELECT o.id, o.msg_id FROM outbox o
                   WHERE o.contact = ?1 AND o.relay_until IS NOT NULL
                     AND EXISTS (SELECT 1 FROM receipt r JOIN relay ON relay.row = r.relay
                                 WHERE r.contact = o.contact AND r.msg_id = o.msg_id
                                   AND r.message_id = o.message_id AND relay.key = ?2
                                   AND r.id < ?3 AND r.stored <= ?4)
                   ORDER BY o.id";
        let params = params![contact.0, relay.as_bytes(), upto.id, time(upto.stored)];
        self.list(sql, params, |row| {
            Ok((row.int(0)?, MsgId::new(row.bytes(1)?)))
        })
    }

    /// Relays that have promised to keep an item's envelope under the name that it has now, each with its last
    /// receipt.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn receipts_of_item(&mut self, item: i64) -> Result<Vec<(ContactId, ReceiptPlace)>> {
        let sql = "SELECT relay.key, max(receipt.id), receipt.stored
                   FROM outbox o
                   JOIN receipt ON receipt.contact = o.contact AND receipt.msg_id = o.msg_id
                               AND receipt.message_id = o.message_id
                   JOIN relay ON relay.row = receipt.relay
                   WHERE o.id = ?1 GROUP BY receipt.relay";
        self.list(sql, [item], place)
    }

    /// Of each contact for whom relays keep something: the last that it had confirmed before this time, by relay.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn read_at_relays(
        &mut self,
        before: UnixMillis,
    ) -> Result<Vec<(ContactId, ContactId, ReceiptPlace)>> {
        let sql = "SELECT contact, min(relay_at) FROM outbox
                   WHERE relay_until IS NOT NULL AND relay_at < ?1 GROUP BY contact";
        let kept = self.list(sql, [time(before)], |row| Ok((row.int(0)?, row.int(1)?)))?;
        let sql = "SELECT relay.key, max(r.id), r.stored, contact.key
                   FROM confirmation c
                   JOIN receipt r ON r.contact = c.contact AND r.msg_id = c.msg_id
                                 AND r.message_id = c.message_id
                   JOIN relay ON relay.row = r.relay
                   JOIN contact ON contact.row = c.contact
                   WHERE c.contact = ?1 AND c.received BETWEEN ?2 AND ?3
                     AND NOT EXISTS (SELECT 1 FROM receipt other
                                     WHERE other.contact = r.contact AND other.msg_id = r.msg_id
                                       AND other.message_id = r.message_id
                                       AND other.relay <> r.relay)
                   GROUP BY r.relay";
        let mut read = Vec::new();
        for (contact, since) in kept {
            let params = params![contact, since, time(before)];
            read.extend(self.list(sql, params, |row| {
                let (relay, place) = place(row)?;
                Ok((row.contact_id(3)?, relay, place))
            })?);
        }
        Ok(read)
    }

    /// An item waits anew.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn keep_no_more(&mut self, item: i64) -> Result<()> {
        let sql = "UPDATE outbox SET message_id = NULL, relay_at = NULL, relay_until = NULL
                   WHERE id = ?1";
        self.execute_one(sql, [item])
    }
}

fn place(row: &rusqlite::Row<'_>) -> Result<(ContactId, ReceiptPlace)> {
    let place = ReceiptPlace {
        id: row.int(1)?,
        stored: row.time(2)?,
    };
    Ok((row.contact_id(0)?, place))
}
