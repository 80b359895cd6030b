//! Relays: how far one's mailbox was read, what is still to be said about it, and which envelopes
//! they are to be given.

use std::{collections::BTreeSet, ops::Range};

use rusqlite::{Row, params};
use sremp_core::{
    contact_card::Endpoint,
    id::{ContactId, EnvelopeId, MsgId},
    time::UnixMillis,
};

use super::{
    ContactRow, OutboxItem, StoreError, Tx,
    column::{Cells as _, time},
    outbox,
};

type Result<T> = std::result::Result<T, StoreError>;

/// Relays that one envelope is given to at most: a contact may name ever new ones (6.10).
const MAX_RELAYS_EACH: u32 = 8;

/// Relays with which one stays for their confirmations (6.10).
const MAX_WATCHED: u32 = 32;

/// The number of a relay in this database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayRow(pub i64);

/// A relay that was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayRecord {
    /// Its number here.
    pub row: RelayRow,
    /// Its `identity_key`.
    pub key: ContactId,
    /// Where it was last reached or said to be.
    pub endpoint: Endpoint,
    /// Everything in one's mailbox there up to this place was read and committed.
    pub cursor: u64,
    /// Hash of the accepted and blocked senders that it was last told of.
    pub senders: Option<[u8; 32]>,
}

/// An item of one's mailbox that was read and committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadItem {
    /// Its place in the mailbox.
    pub cursor: u64,
    /// What its sender called it.
    pub message_id: u64,
    /// Who is to be told that it arrived; nobody if it is only to be discarded.
    pub confirm_to: Option<ContactId>,
    /// The envelope.
    pub envelope: EnvelopeId,
    /// When it was committed.
    pub at: UnixMillis,
}

const SELECT: &str = "SELECT row, key, host, port, cursor, senders FROM relay WHERE key = ?1";

fn read(row: &Row<'_>) -> Result<RelayRecord> {
    let port = u16::try_from(row.int(3)?).map_err(|_| StoreError::Damaged)?;
    Ok(RelayRecord {
        row: RelayRow(row.int(0)?),
        key: row.contact_id(1)?,
        endpoint: Endpoint::new(&row.text(2)?, port).map_err(|_| StoreError::Damaged)?,
        cursor: row.counter(4)?,
        senders: row.opt_bytes(5)?,
    })
}

impl Tx<'_> {
    /// A relay by its key.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn relay(&mut self, key: &ContactId) -> Result<Option<RelayRecord>> {
        self.get(SELECT, [key.as_bytes()], read)
    }

    /// The relay of a key, which is remembered with where it is now.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn remember_relay(&mut self, key: &ContactId, endpoint: &Endpoint) -> Result<RelayRecord> {
        self.execute(
            "INSERT INTO relay (key, host, port) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET host = excluded.host, port = excluded.port
             WHERE (host, port) IS NOT (excluded.host, excluded.port)",
            params![key.as_bytes(), endpoint.host(), endpoint.port()],
        )?;
        self.one(SELECT, [key.as_bytes()], read)
    }

    /// The user has given this place of a relay, with a card.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn give_relay(&mut self, key: &ContactId, endpoint: &Endpoint) -> Result<()> {
        let sql = "INSERT INTO given_relay (key, host, port) VALUES (?1, ?2, ?3)
                   ON CONFLICT DO NOTHING";
        self.execute(
            sql,
            params![key.as_bytes(), endpoint.host(), endpoint.port()],
        )?;
        Ok(())
    }

    /// Whether the user has given this place of a relay.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn is_given_relay(&mut self, key: &ContactId, endpoint: &Endpoint) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM given_relay
                                  WHERE key = ?1 AND host = ?2 AND port = ?3)";
        let params = params![key.as_bytes(), endpoint.host(), endpoint.port()];
        self.one(sql, params, |row| Ok(row.int(0)? == 1))
    }

    /// The key of a relay by its number.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it is not there.
    pub fn relay_key(&mut self, relay: RelayRow) -> Result<ContactId> {
        let sql = "SELECT key FROM relay WHERE row = ?1";
        self.one(sql, [relay.0], |row| row.contact_id(0))
    }

    /// Everything up to this place was read. A cursor goes back only to 0, by
    /// [`forget_cursor`](Self::forget_cursor).
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn advance_cursor(&mut self, relay: RelayRow, cursor: u64) -> Result<()> {
        // stored bit by bit: compared as what it was
        let sql = "UPDATE relay SET cursor = ?2
                   WHERE row = ?1 AND (cursor < ?2) <> ((cursor < 0) <> (?2 < 0))";
        self.execute(sql, params![relay.0, cursor.cast_signed()])?;
        Ok(())
    }

    /// The mailbox is to be read from its beginning.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn forget_cursor(&mut self, relay: RelayRow) -> Result<()> {
        self.execute("UPDATE relay SET cursor = 0 WHERE row = ?1", [relay.0])?;
        Ok(())
    }

    /// Remembers which senders a relay was told of.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn set_relay_senders(&mut self, relay: RelayRow, hash: &[u8; 32]) -> Result<()> {
        let sql = "UPDATE relay SET senders = ?2 WHERE row = ?1";
        self.execute_one(sql, params![relay.0, hash])
    }

    /// An item was read: the relay is to be told in its time.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn push_read(&mut self, relay: RelayRow, item: &ReadItem) -> Result<()> {
        self.execute(
            "INSERT INTO relay_read (relay, cursor, message_id, sender, envelope, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            params![
                relay.0,
                item.cursor.cast_signed(),
                item.message_id.cast_signed(),
                item.confirm_to.as_ref().map(ContactId::as_bytes),
                item.envelope.as_bytes(),
                time(item.at)
            ],
        )?;
        Ok(())
    }

    /// What a relay is still to be told.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn read_items(&mut self, relay: RelayRow, limit: u32) -> Result<Vec<ReadItem>> {
        let sql = "SELECT cursor, message_id, sender, envelope, at FROM relay_read
                   WHERE relay = ?1 ORDER BY cursor LIMIT ?2";
        self.list(sql, params![relay.0, limit], |row| {
            let sender = row.opt_blob(2)?.is_some();
            Ok(ReadItem {
                cursor: row.counter(0)?,
                message_id: row.counter(1)?,
                confirm_to: if sender {
                    Some(row.contact_id(2)?)
                } else {
                    None
                },
                envelope: EnvelopeId::new(row.bytes(3)?),
                at: row.time(4)?,
            })
        })
    }

    /// A relay was told of an item.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn read_item_told(&mut self, relay: RelayRow, cursor: u64) -> Result<()> {
        let sql = "DELETE FROM relay_read WHERE relay = ?1 AND cursor = ?2";
        self.execute(sql, params![relay.0, cursor.cast_signed()])?;
        Ok(())
    }

    /// An item is not to be confirmed but discarded: the relay does not take its confirmation.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn discard_instead(&mut self, relay: RelayRow, cursor: u64) -> Result<()> {
        let sql = "UPDATE relay_read SET sender = NULL WHERE relay = ?1 AND cursor = ?2";
        self.execute(sql, params![relay.0, cursor.cast_signed()])?;
        Ok(())
    }

    /// Relays that keep what no confirmation has come for; of many the newest.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn relays_with_unconfirmed(&mut self) -> Result<Vec<RelayRecord>> {
        let sql = "SELECT row, key, host, port, cursor, relay.senders FROM relay
                   WHERE row IN (SELECT receipt.relay FROM outbox
                                 JOIN receipt ON receipt.envelope = outbox.envelope_id
                                 WHERE outbox.relay_until IS NOT NULL)
                   ORDER BY row DESC LIMIT ?1";
        self.list(sql, [MAX_WATCHED], read)
    }

    /// Names an item's envelope for relays.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the item is not there.
    pub fn set_message_id(&mut self, item: i64, message_id: u64) -> Result<()> {
        let sql = "UPDATE outbox SET message_id = ?2 WHERE id = ?1";
        self.execute_one(sql, params![item, message_id.cast_signed()])
    }

    /// A contact's items after a number that one relay or more have kept since `before` without a
    /// confirmation, this relay has not, and fewer than eight have (6.10), in the order of making. With
    /// `in_any_session` this relay has what it keeps under an earlier session too.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn outbox_unconfirmed(
        &mut self,
        contact: ContactRow,
        relay: &ContactId,
        after: i64,
        before: UnixMillis,
        in_any_session: bool,
        limit: u32,
    ) -> Result<Vec<OutboxItem>> {
        let sql = outbox::select!(
            "o WHERE contact = ?1 AND id > ?2 AND relay_until IS NOT NULL AND relay_at <= ?3
               AND NOT EXISTS (SELECT 1 FROM receipt JOIN relay ON relay.row = receipt.relay
                               WHERE receipt.contact = o.contact AND receipt.msg_id = o.msg_id
                                 AND relay.key = ?4
                                 AND (receipt.envelope = o.envelope_id
                                      AND receipt.message_id IS o.message_id
                                      OR ?7 AND receipt.expires > ?3))
               AND (SELECT count(DISTINCT relay) FROM receipt
                    WHERE receipt.contact = o.contact AND receipt.msg_id = o.msg_id) < ?6
             ORDER BY id LIMIT ?5"
        );
        let params = params![
            contact.0,
            after,
            time(before),
            relay.as_bytes(),
            limit,
            MAX_RELAYS_EACH,
            in_any_session
        ];
        self.list(sql, params, outbox::read)
    }

    /// Items whose relays have ceased to keep them wait anew; tells which, and what the relays were told that
    /// the envelope is called, unless that is to be sealed once more.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn end_relay_storage(
        &mut self,
        now: UnixMillis,
    ) -> Result<Vec<(ContactRow, MsgId, Option<u64>)>> {
        let sql = "SELECT contact, msg_id, message_id FROM outbox INDEXED BY outbox_relay
                   WHERE relay_until IS NOT NULL AND relay_until <= ?1 ORDER BY contact, id";
        let of = |row: &Row<'_>| {
            let (contact, msg_id) = (ContactRow(row.int(0)?), MsgId::new(row.bytes(1)?));
            Ok((contact, msg_id, row.opt_int(2)?.map(i64::cast_unsigned)))
        };
        let ended = self.list(sql, [time(now)], of)?;
        if !ended.is_empty() {
            let sql = "UPDATE outbox SET message_id = NULL, relay_at = NULL, relay_until = NULL
                       WHERE relay_until IS NOT NULL AND relay_until <= ?1";
            self.execute(sql, [time(now)])?;
        }
        Ok(ended)
    }

    /// When relays took the oldest and the newest of what they keep for a contact without a confirmation.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn kept_since(&mut self, contact: ContactRow) -> Result<Option<(UnixMillis, UnixMillis)>> {
        let sql = "SELECT min(relay_at), max(relay_at) FROM outbox
                   WHERE contact = ?1 AND relay_until IS NOT NULL";
        self.one(sql, [contact.0], |row| {
            Ok(row.opt_time(0)?.zip(row.opt_time(1)?))
        })
    }

    /// When the first of the relays' promises ends.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn first_promise_end(&mut self) -> Result<Option<UnixMillis>> {
        let sql = "SELECT min(relay_until) FROM outbox WHERE relay_until IS NOT NULL";
        self.one(sql, [], |row| row.opt_time(0))
    }

    /// A contact has left all relays but these: what none of these keeps waits anew, but for what
    /// eight have kept (6.10); tells which.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn end_storage_but_at(
        &mut self,
        contact: ContactRow,
        relays: &[ContactId],
    ) -> Result<Vec<MsgId>> {
        let sql = "SELECT o.id, o.msg_id, relay.key, relay.row, receipt.envelope = o.envelope_id
                   FROM outbox o
                   JOIN receipt ON receipt.contact = o.contact AND receipt.msg_id = o.msg_id
                   JOIN relay ON relay.row = receipt.relay
                   WHERE o.contact = ?1 AND o.relay_until IS NOT NULL ORDER BY o.id";
        let of = |row: &Row<'_>| {
            let kept = relays
                .iter()
                .any(|key| Ok(key.as_bytes().as_slice()) == row.blob(2));
            let kept = kept && row.int(4)? == 1;
            Ok((row.int(0)?, MsgId::new(row.bytes(1)?), kept, row.int(3)?))
        };
        let mut left: Vec<(i64, MsgId)> = Vec::new();
        let all = self.list(sql, [contact.0], of)?;
        for of_one in all.chunk_by(|a, b| a.0 == b.0) {
            let relays: BTreeSet<i64> = of_one.iter().map(|o| o.3).collect();
            let stays = of_one.iter().any(|o| o.2) || relays.len() >= MAX_RELAYS_EACH as usize;
            if let (Some((item, msg_id, ..)), false) = (of_one.first(), stays) {
                left.push((*item, *msg_id));
            }
        }
        for (item, _) in &left {
            let sql = "UPDATE outbox SET message_id = NULL, relay_at = NULL, relay_until = NULL
                       WHERE id = ?1";
            self.execute_one(sql, [item])?;
        }
        Ok(left.into_iter().map(|(_, msg_id)| msg_id).collect())
    }

    /// What a contact's relays keep of these items has to be stored again under new names: the contact has
    /// thrown away what it was not ready to read. Tells whether there is any.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn forget_relay_storage(&mut self, contact: ContactRow, items: Range<i64>) -> Result<bool> {
        let sql = "UPDATE outbox SET message_id = NULL, relay_at = NULL, relay_until = NULL
                   WHERE contact = ?1 AND id >= ?2 AND id < ?3
                     AND (message_id IS NOT NULL OR relay_until IS NOT NULL)";
        let changed = self.execute(sql, [contact.0, items.start, items.end])?;
        Ok(changed > 0)
    }
}
