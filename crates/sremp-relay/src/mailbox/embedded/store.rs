//! STORE_MESSAGE and what removes it again (D6.4 to D6.7).

use std::time::Duration;

use rusqlite::OptionalExtension as _;
use sremp_core::{contact_card::RelayHint, error::ErrorCode, time::UnixMillis};

use super::{
    batch::{Answer, Batch, Mailbox, row_number},
    disk::Room,
    index::{Change, ItemId, PartyId, RelayId, Slot},
    ledger::Weight,
    sql::{damaged, vendor},
};
use crate::mailbox::{
    BlobHash, Cursor, MessageId, Outcome, StoreError, StoreOp, Stored, ids::cursor_at,
};

/// Bytes of an envelope that are in the row of the item; see schema.sql.
pub(super) const HEAD: usize = 48;

/// A row of `item`.
pub(super) struct ItemRow {
    pub(super) id: ItemId,
    pub(super) mailbox: PartyId,
    pub(super) message_id: MessageId,
    pub(super) cursor: u64,
    pub(super) weight: Weight,
    pub(super) gone: bool,
    pub(super) expires: u64,
    pub(super) stored: u64,
    pub(super) relay: Option<RelayId>,
    pub(super) hash: BlobHash,
}

/// Why a message may come in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Accepted,
    /// By a token that this message burns.
    Burning([u8; 32]),
    Request,
}

impl Batch<'_> {
    pub(super) fn store(&mut self, op: &StoreOp) -> Answer {
        let mailbox = self.mailbox(&op.recipient)?;
        let sender = self.party(&op.sender)?;
        // the same work whether the mailbox is unknown or the sender blocked: number 0 is nobody
        let at = mailbox.as_ref().map_or(0, |m| m.id);
        let rule = self.rule(at, sender.unwrap_or(0))?;
        let Some(mailbox) = mailbox.filter(|_| rule != Some(false)) else {
            return Ok(Outcome::Refused(ErrorCode::Denied));
        };
        if let Some(sender) = sender
            && let Some(found) = self.find(mailbox.id, sender, op.message_id)?
        {
            return Ok(again(&found, &op.hash));
        }
        if self.room < Room::Some {
            return Ok(Outcome::Refused(ErrorCode::Storage));
        }
        let class = self.class(&mailbox, rule, op)?;
        if !self.has_room(&mailbox, sender, class, op.blob.len()) {
            return Ok(Outcome::Refused(ErrorCode::Quota));
        }
        if let Class::Burning(hash) = class {
            self.burn(mailbox.id, &hash)?;
        }
        self.keep(&mailbox, class, op)
    }

    fn class(
        &mut self,
        mailbox: &Mailbox,
        rule: Option<bool>,
        op: &StoreOp,
    ) -> Result<Class, StoreError> {
        if rule == Some(true) || op.sender == mailbox.owner {
            return Ok(Class::Accepted);
        }
        let token = self.intro(mailbox.id, op.intro.as_ref())?;
        Ok(match token {
            None => Class::Request,
            Some(rule) if rule.one_time => Class::Burning(*rule.hash.as_bytes()),
            Some(_) => Class::Accepted,
        })
    }

    fn has_room(
        &mut self,
        mailbox: &Mailbox,
        sender: Option<PartyId>,
        class: Class,
        size: usize,
    ) -> bool {
        let limits = self.limits;
        let Some(account) = self.ledger.account(mailbox.id) else {
            return false;
        };
        let more = size as u64;
        if account.items >= limits.items || account.bytes.saturating_add(more) > limits.bytes {
            return false;
        }
        if class == Class::Request {
            return account.requests < limits.request_items
                && more <= u64::from(limits.request_size);
        }
        let tally = sender.map(|s| account.tally(s)).unwrap_or_default();
        tally.items < limits.sender_items && tally.bytes.saturating_add(more) <= limits.sender_bytes
    }

    fn keep(&mut self, mailbox: &Mailbox, class: Class, op: &StoreOp) -> Answer {
        let sender = self.known_party(&op.sender)?;
        let size = u16::try_from(op.blob.len())
            .map_err(|_| StoreError::Other("an envelope is longer than 61440 bytes".into()))?;
        let request = class == Class::Request;
        let relay = op.reply_relay.as_ref().map(|hint| self.relay(hint));
        let Some(account) = self.ledger.account(mailbox.id) else {
            return Ok(Outcome::Refused(ErrorCode::Denied));
        };
        let weight = Weight {
            sender,
            size,
            request,
        };
        account.add(weight);
        let cursor = cursor_at(account.next, self.now);
        account.next = cursor + 1;
        let id = self.ledger.next_item;
        self.ledger.next_item += 1;
        let row = ItemRow {
            id,
            mailbox: mailbox.id,
            message_id: op.message_id,
            cursor,
            weight,
            gone: false,
            expires: self.now.plus(Duration::from_secs(op.ttl.into())).get(),
            stored: self.now.get(),
            relay: relay.transpose()?,
            hash: op.hash,
        };
        self.write(&row, &op.blob)?;
        let of = self
            .ledger
            .seen
            .fingerprint(mailbox.id, sender, op.message_id);
        self.ledger.seen.insert(of, id);
        self.shared.keep_sender(sender, op.sender);
        self.changes.push(Change::Added {
            mailbox: mailbox.id,
            slot: Slot::new(cursor, id, size),
        });
        Ok(Outcome::Stored(promise(&row, true)))
    }

    fn write(&mut self, row: &ItemRow, blob: &[u8]) -> Result<(), StoreError> {
        const ITEM: &str = "INSERT INTO item (id, mailbox, sender, message_id, cursor, size, request, gone, expires, stored, relay, hash, head) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, ?9, ?10, ?11, ?12)";
        const BODY: &str = "INSERT INTO body (id, bytes) VALUES (?1, ?2)";
        let (head, body) = blob.split_at(blob.len().min(HEAD));
        let id = row.id.cast_signed();
        let item = (
            id,
            row.mailbox,
            row.weight.sender,
            row.message_id.get().cast_signed(),
            row.cursor.cast_signed(),
            row.weight.size,
            row.weight.request,
            row.expires.cast_signed(),
            row.stored.cast_signed(),
            row.relay,
            row.hash.as_bytes(),
            head,
        );
        let tx = self.tx;
        tx.prepare_cached(ITEM)
            .and_then(|mut s| s.execute(item))
            .and_then(|_| tx.prepare_cached(BODY)?.execute((id, body)))
            .map_err(vendor)?;
        Ok(())
    }

    /// The row of this message, if it was stored and has not expired.
    pub(super) fn find(
        &mut self,
        mailbox: PartyId,
        sender: PartyId,
        message_id: MessageId,
    ) -> Result<Option<ItemRow>, StoreError> {
        let of = self.ledger.seen.fingerprint(mailbox, sender, message_id);
        for id in self.ledger.seen.candidates(of) {
            let row = self.item(id)?;
            let same = |row: &ItemRow| {
                row.mailbox == mailbox
                    && row.weight.sender == sender
                    && row.message_id == message_id
            };
            if let Some(row) = row.filter(same) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    pub(super) fn item(&self, id: ItemId) -> Result<Option<ItemRow>, StoreError> {
        const SQL: &str = "SELECT mailbox, message_id, cursor, sender, size, request, gone, expires, stored, relay, hash FROM item WHERE id = ?1";
        let read = |row: &rusqlite::Row<'_>| {
            Ok(ItemRow {
                id,
                mailbox: row.get(0)?,
                message_id: MessageId::new(row.get::<_, i64>(1)?.cast_unsigned()),
                cursor: row.get::<_, i64>(2)?.cast_unsigned(),
                weight: Weight {
                    sender: row.get(3)?,
                    size: row.get(4)?,
                    request: row.get(5)?,
                },
                gone: row.get(6)?,
                expires: row.get::<_, i64>(7)?.cast_unsigned(),
                stored: row.get::<_, i64>(8)?.cast_unsigned(),
                relay: row.get(9)?,
                hash: BlobHash::new(row.get(10)?),
            })
        };
        self.tx
            .prepare_cached(SQL)
            .and_then(|mut s| s.query_row([id.cast_signed()], read).optional())
            .map_err(vendor)
    }

    /// Deletes an envelope and leaves its row, until it expires, for whoever sends it again.
    pub(super) fn bury(&mut self, row: &ItemRow) -> Result<(), StoreError> {
        let id = row.id.cast_signed();
        self.tx
            .prepare_cached("UPDATE item SET gone = 1, head = NULL WHERE id = ?1")
            .and_then(|mut s| s.execute([id]))
            .map_err(vendor)?;
        self.drop_body(row)
    }

    /// Deletes an envelope; what becomes of its row is the caller's.
    pub(super) fn drop_body(&mut self, row: &ItemRow) -> Result<(), StoreError> {
        let deleted = self
            .tx
            .prepare_cached("DELETE FROM body WHERE id = ?1")
            .and_then(|mut s| s.execute([row.id.cast_signed()]))
            .map_err(vendor)?;
        if deleted != 1 {
            return Err(damaged("an item has no body"));
        }
        if let Some(account) = self.ledger.account(row.mailbox) {
            account.remove(row.weight);
        }
        self.changes.push(Change::Removed {
            mailbox: row.mailbox,
            cursor: row.cursor,
        });
        Ok(())
    }

    pub(super) fn discard(&mut self, mailbox: &Mailbox, cursors: &[Cursor]) -> Answer {
        let ids: Vec<ItemId> = {
            let index = self.shared.read();
            let shelf = index.shelves.get(&mailbox.id);
            let id = |cursor: &Cursor| {
                let items = &shelf?.items;
                let at = items
                    .binary_search_by_key(&cursor.get(), |s| s.cursor)
                    .ok()?;
                items.get(at).map(|slot| slot.id())
            };
            cursors.iter().filter_map(id).collect()
        };
        let mut gone = 0;
        for id in ids {
            // an earlier op of this batch may have taken it
            if let Some(row) = self.item(id)?.filter(|row| !row.gone) {
                self.bury(&row)?;
                gone += 1;
            }
        }
        Ok(Outcome::Discarded(gone))
    }

    /// The number of another relay, given now if it has none.
    fn relay(&mut self, hint: &RelayHint) -> Result<RelayId, StoreError> {
        if let Some(id) = self.known_relay(hint)? {
            return Ok(id);
        }
        let host = hint.endpoint.host();
        self.tx
            .prepare_cached("INSERT INTO relay (key, host, port) VALUES (?1, ?2, ?3)")
            .and_then(|mut s| s.insert((hint.relay.as_bytes(), host, hint.endpoint.port())))
            .map_err(vendor)
            .and_then(row_number)
    }
}

fn again(found: &ItemRow, hash: &BlobHash) -> Outcome {
    if found.hash == *hash {
        Outcome::Stored(promise(found, false))
    } else {
        Outcome::Refused(ErrorCode::Conflict)
    }
}

fn promise(row: &ItemRow, first: bool) -> Stored {
    Stored {
        cursor: Cursor::new(row.cursor),
        stored_at: UnixMillis::saturating(row.stored),
        expires_at: UnixMillis::saturating(row.expires),
        first,
    }
}
