//! What is known of a message's way: relays' signed receipts, contacts' signed confirmations, and
//! what went wrong.

use std::time::Duration;

use rusqlite::params;
use sremp_core::{
    constants::RELAY_STORAGE,
    id::{ContactId, EnvelopeId, MsgId},
    signature::Signature,
    time::UnixMillis,
};

use super::{
    ContactRow, RelayRow, StoreError, Tx,
    column::{Cells as _, Code as _, time},
};
use crate::view::{MessageKind, Status};

type Result<T> = std::result::Result<T, StoreError>;

/// Time for which receipts, confirmations and causes are kept after their end.
const EVIDENCE_AGE: Duration = Duration::from_secs(60 * 24 * 60 * 60);
/// Entries of what went wrong that are kept of a contact.
pub const MAX_ATTEMPTS: u32 = 64;

/// A relay's promise, verified.
#[derive(Clone, Debug)]
pub struct NewReceipt {
    /// The outbox item.
    pub item: i64,
    /// To whom.
    pub contact: ContactRow,
    /// The content's id.
    pub msg_id: MsgId,
    /// Which relay.
    pub relay: RelayRow,
    /// What the relay was told that the envelope is called.
    pub message_id: u64,
    /// The envelope.
    pub envelope: EnvelopeId,
    /// When the receipt came here.
    pub received: UnixMillis,
    /// When the relay says that it stored the envelope.
    pub stored: UnixMillis,
    /// Until when it promises to keep it.
    pub expires: UnixMillis,
    /// When that is by the calendar here.
    pub kept_until: UnixMillis,
    /// `receipt_signature`, as it came.
    pub signature: Vec<u8>,
}

/// A relay's promise as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRecord {
    /// `identity_key` of the relay.
    pub relay: ContactId,
    /// What the relay was told that the envelope is called.
    pub message_id: u64,
    /// The envelope.
    pub envelope: EnvelopeId,
    /// When the receipt came here.
    pub received: UnixMillis,
    /// When the relay says that it stored the envelope.
    pub stored: UnixMillis,
    /// Until when it promised to keep it.
    pub expires: UnixMillis,
    /// `receipt_signature`, as it came.
    pub signature: Vec<u8>,
}

/// A contact's confirmation, verified.
#[derive(Clone, Debug)]
pub struct NewConfirmation {
    /// Whose.
    pub contact: ContactRow,
    /// Of which message.
    pub msg_id: MsgId,
    /// The relay that brought it.
    pub relay: RelayRow,
    /// What the relay was told that the envelope is called.
    pub message_id: u64,
    /// The envelope.
    pub envelope: EnvelopeId,
    /// When the contact says that it had it.
    pub at: UnixMillis,
    /// When this came here.
    pub received: UnixMillis,
    /// The contact's signature.
    pub signature: Signature,
}

/// A contact's confirmation as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmationRecord {
    /// The relay that brought it.
    pub relay: ContactId,
    /// What the relay was told that the envelope is called.
    pub message_id: u64,
    /// The envelope.
    pub envelope: EnvelopeId,
    /// When the contact says that it had it.
    pub at: UnixMillis,
    /// When this came here.
    pub received: UnixMillis,
    /// The contact's signature.
    pub signature: Signature,
}

/// One cause of failure on the way to a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The relay; `None`: on the direct way.
    pub relay: Option<ContactId>,
    /// What went wrong.
    pub cause: String,
    /// When it first did.
    pub first: UnixMillis,
    /// When it last did.
    pub last: UnixMillis,
    /// How often.
    pub count: u64,
}

impl Tx<'_> {
    /// Keeps a receipt: a relay keeps the item until then, or as long as it was asked to.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn add_receipt(&mut self, new: &NewReceipt) -> Result<()> {
        self.insert(
            "INSERT INTO receipt (contact, msg_id, relay, message_id, envelope, received, stored,
                                  expires, signature)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                new.contact.0,
                new.msg_id.as_bytes(),
                new.relay.0,
                new.message_id.cast_signed(),
                new.envelope.as_bytes(),
                time(new.received),
                time(new.stored),
                time(new.expires),
                new.signature
            ],
        )?;
        // not of an envelope that was sealed anew meanwhile
        self.execute(
            "UPDATE outbox SET relay_at = ?3, relay_until = max(coalesce(relay_until, 0), ?4)
             WHERE id = ?1 AND envelope_id = ?2",
            params![
                new.item,
                new.envelope.as_bytes(),
                time(new.received),
                time(new.kept_until.min(new.received.plus(RELAY_STORAGE)))
            ],
        )?;
        Ok(())
    }

    /// The receipts of a message, the first first.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn receipts(&mut self, contact: ContactRow, msg_id: &MsgId) -> Result<Vec<ReceiptRecord>> {
        let sql = "SELECT relay.key, message_id, envelope, received, stored, expires, signature
                   FROM receipt JOIN relay ON relay.row = receipt.relay
                   WHERE contact = ?1 AND msg_id = ?2 ORDER BY id";
        self.list(sql, params![contact.0, msg_id.as_bytes()], |row| {
            Ok(ReceiptRecord {
                relay: row.contact_id(0)?,
                message_id: row.counter(1)?,
                envelope: EnvelopeId::new(row.bytes(2)?),
                received: row.time(3)?,
                stored: row.time(4)?,
                expires: row.time(5)?,
                signature: row.blob(6)?.to_vec(),
            })
        })
    }

    /// Which message an envelope was that a relay has promised to keep under this name; none of before a
    /// restoration of the contact.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn message_of_envelope(
        &mut self,
        contact: ContactRow,
        envelope: &EnvelopeId,
        message_id: u64,
    ) -> Result<Option<MsgId>> {
        let sql = "SELECT msg_id FROM receipt
                   WHERE envelope = ?1 AND contact = ?2 AND message_id = ?3 AND over = 0 LIMIT 1";
        let params = params![envelope.as_bytes(), contact.0, message_id.cast_signed()];
        self.get(sql, params, |row| Ok(MsgId::new(row.bytes(0)?)))
    }

    /// Whether a contact has ever confirmed a message.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn has_confirmed(&mut self, contact: ContactRow) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM message
                                  WHERE contact = ?1 AND kind = ?2 AND status = ?3)";
        let (kind, status) = (MessageKind::Sent.code(), Status::OnDevice.code());
        self.one(sql, params![contact.0, kind, status], |row| {
            Ok(row.int(0)? == 1)
        })
    }

    /// Keeps a confirmation, the first of a message.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn add_confirmation(&mut self, new: &NewConfirmation) -> Result<()> {
        self.execute(
            "INSERT INTO confirmation (contact, msg_id, relay, message_id, envelope, at, received,
                                       signature)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
            params![
                new.contact.0,
                new.msg_id.as_bytes(),
                new.relay.0,
                new.message_id.cast_signed(),
                new.envelope.as_bytes(),
                time(new.at),
                time(new.received),
                new.signature.as_bytes()
            ],
        )?;
        Ok(())
    }

    /// The confirmation of a message.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn confirmation(
        &mut self,
        contact: ContactRow,
        msg_id: &MsgId,
    ) -> Result<Option<ConfirmationRecord>> {
        let sql = "SELECT relay.key, message_id, envelope, at, received, signature
                   FROM confirmation JOIN relay ON relay.row = confirmation.relay
                   WHERE contact = ?1 AND msg_id = ?2";
        self.get(sql, params![contact.0, msg_id.as_bytes()], |row| {
            Ok(ConfirmationRecord {
                relay: row.contact_id(0)?,
                message_id: row.counter(1)?,
                envelope: EnvelopeId::new(row.bytes(2)?),
                at: row.time(3)?,
                received: row.time(4)?,
                signature: Signature::new(row.bytes(5)?),
            })
        })
    }

    /// A received line came by way of a relay, which says it had it since then.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn set_message_relay(
        &mut self,
        message: i64,
        relay: RelayRow,
        stored: UnixMillis,
    ) -> Result<()> {
        let sql = "INSERT INTO message_relay VALUES (?1, ?2, ?3)";
        self.execute_one(sql, params![message, relay.0, time(stored)])
    }

    /// The relay by which a received line came, and since when it says it had it.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn message_relay(&mut self, message: i64) -> Result<Option<(ContactId, UnixMillis)>> {
        let sql = "SELECT relay.key, stored FROM message_relay
                   JOIN relay ON relay.row = message_relay.relay WHERE message = ?1";
        self.get(sql, [message], |row| Ok((row.contact_id(0)?, row.time(1)?)))
    }

    /// Something went wrong on the way to a contact. Equal failures are one entry until something arrives
    /// ([`attempts_over`](Self::attempts_over)); the newest [`MAX_ATTEMPTS`] of a contact are kept.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn note_attempt(
        &mut self,
        contact: ContactRow,
        relay: Option<&ContactId>,
        cause: &str,
        at: UnixMillis,
    ) -> Result<()> {
        let relay = relay.map_or(&[][..], |key| key.as_bytes());
        let again = self.execute(
            "UPDATE attempt SET last = ?4, count = count + 1
             WHERE contact = ?1 AND relay = ?2 AND cause = ?3 AND over = 0",
            params![contact.0, relay, cause, time(at)],
        )?;
        if again > 0 {
            return Ok(());
        }
        self.execute_one(
            "INSERT INTO attempt VALUES (?1, ?2, ?3, ?4, ?4, 1, 0)
             ON CONFLICT DO UPDATE SET last = excluded.last, count = count + 1, over = 0",
            params![contact.0, relay, cause, time(at)],
        )?;
        self.execute(
            "DELETE FROM attempt WHERE contact = ?1 AND last <
                (SELECT last FROM attempt WHERE contact = ?1 ORDER BY last DESC LIMIT 1 OFFSET ?2)",
            params![contact.0, MAX_ATTEMPTS - 1],
        )?;
        Ok(())
    }

    /// Something has arrived at a contact: what goes wrong from now on does so for other messages.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn attempts_over(&mut self, contact: ContactRow) -> Result<()> {
        let sql = "UPDATE attempt SET over = 1 WHERE contact = ?1 AND over = 0";
        self.execute(sql, [contact.0]).map(drop)
    }

    /// What went wrong on the way to a contact since a time, the last last.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn attempts(
        &mut self,
        contact: ContactRow,
        since: UnixMillis,
    ) -> Result<Vec<AttemptRecord>> {
        let sql = "SELECT relay, cause, first, last, count FROM attempt
                   WHERE contact = ?1 AND last >= ?2 ORDER BY last, relay, cause";
        self.list(sql, params![contact.0, time(since)], |row| {
            let direct = row.blob(0)?.is_empty();
            Ok(AttemptRecord {
                relay: if direct {
                    None
                } else {
                    Some(row.contact_id(0)?)
                },
                cause: row.text(1)?,
                first: row.time(2)?,
                last: row.time(3)?,
                count: row.count(4)?,
            })
        })
    }

    /// Forgets what is older than 60 days.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn prune_evidence(&mut self, now: UnixMillis) -> Result<()> {
        let gone = now.minus(EVIDENCE_AGE);
        // whatever a relay promised, its item is over by then
        let kept = time(gone.minus(RELAY_STORAGE));
        let gone = time(gone);
        self.execute("DELETE FROM receipt WHERE received < ?1", [kept])?;
        self.execute("DELETE FROM confirmation WHERE received < ?1", [gone])?;
        self.execute("DELETE FROM attempt WHERE last < ?1", [gone])?;
        Ok(())
    }
}
