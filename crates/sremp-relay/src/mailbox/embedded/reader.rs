//! Reading beside the writer.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{Arc, PoisonError},
};

use rusqlite::{Connection, OptionalExtension as _, Row};
use sremp_core::{
    contact_card::RelayHint, id::IdentityKey, signature::Signature, time::UnixMillis,
};

use super::{
    confirm::{relay_hint, relay_number},
    index::{PartyId, RelayId, RouteId, Shared, Slot},
    prekeys,
    sql::{self, vendor},
};
use crate::mailbox::{
    BlobHash, Confirmation, ConfirmationId, Cursor, Item, MailboxInfo, MailboxReader, MessageId,
    Page, PrekeyCounts, Route, StoreError, WaitingConfirmation,
};

/// Connections kept open while nobody reads.
const CONNECTIONS_KEPT: usize = 8;

/// Reads an [`EmbeddedStore`](super::EmbeddedStore).
#[derive(Clone)]
pub struct EmbeddedReader(pub(super) Arc<Shared>);

impl std::fmt::Debug for EmbeddedReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EmbeddedReader")
    }
}

impl MailboxReader for EmbeddedReader {
    fn page(
        &self,
        owner: &IdentityKey,
        after: Cursor,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Page, StoreError> {
        let Some((mailbox, slots, more)) = self.choose(owner, after, max_items, max_bytes) else {
            return Ok(Page::default());
        };
        let next = slots.last().map_or(after, |s| Cursor::new(s.cursor));
        if slots.is_empty() {
            let items = Vec::new();
            return Ok(Page { items, more, next });
        }
        let items = self.with(|conn| {
            let items = slots.iter().map(|slot| self.item(conn, mailbox, *slot));
            // what was deleted since is passed over
            items.filter_map(Result::transpose).collect()
        })?;
        Ok(Page { items, more, next })
    }

    fn mailbox(&self, owner: &IdentityKey) -> Option<MailboxInfo> {
        let index = self.0.read();
        let shelf = index.shelves.get(index.owners.get(owner.as_bytes())?)?;
        Some(MailboxInfo {
            items: u32::try_from(shelf.items.len()).unwrap_or(u32::MAX),
            bytes: shelf.bytes,
            head: Cursor::new(shelf.head),
        })
    }

    fn prekeys(&self, owner: &IdentityKey) -> Result<PrekeyCounts, StoreError> {
        let mailbox = self.0.read().owners.get(owner.as_bytes()).copied();
        mailbox.map_or_else(
            || Ok(PrekeyCounts::default()),
            |mailbox| self.with(|conn| prekeys::counts(conn, mailbox)),
        )
    }

    fn waiting(
        &self,
        route: &Route,
        after: ConfirmationId,
        max: usize,
    ) -> Result<Vec<WaitingConfirmation>, StoreError> {
        if self.0.read().waiting.is_empty() {
            return Ok(Vec::new());
        }
        self.with(|conn| {
            let Some(at) = route_id(conn, route)? else {
                return Ok(Vec::new());
            };
            let ids: Vec<u64> = {
                let index = self.0.read();
                let ids = index.waiting.get(&at);
                let ids = ids.into_iter().flatten().copied();
                ids.filter(|&id| id > after.get()).take(max).collect()
            };
            let rows = ids.into_iter().map(|id| self.confirmation(conn, id));
            rows.filter_map(Result::transpose).collect()
        })
    }

    fn relays(&self) -> Result<Vec<RelayHint>, StoreError> {
        let ids: Vec<RelayId> = {
            let index = self.0.read();
            let relay = |route: &RouteId| match route {
                RouteId::Relay(id) => Some(*id),
                RouteId::Sender(_) => None,
            };
            index.waiting.keys().filter_map(relay).collect()
        };
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.with(|conn| ids.into_iter().map(|id| relay_hint(conn, id)).collect())
    }

    fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.with(|conn| copy(conn, to))
    }
}

impl EmbeddedReader {
    /// Runs `work` on a connection at rest, or a new one.
    fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let rest = || {
            let rest = self.0.connections.lock();
            rest.unwrap_or_else(PoisonError::into_inner)
        };
        let resting = rest().pop();
        let conn = match resting {
            Some(conn) => conn,
            None => sql::reader(&self.0.path, self.0.key.as_ref())?,
        };
        let outcome = work(&conn)?;
        let mut rest = rest();
        if rest.len() < CONNECTIONS_KEPT {
            rest.push(conn);
        }
        Ok(outcome)
    }

    /// The places of a page, and whether there are more behind.
    fn choose(
        &self,
        owner: &IdentityKey,
        after: Cursor,
        max_items: usize,
        max_bytes: usize,
    ) -> Option<(PartyId, Vec<Slot>, bool)> {
        let index = self.0.read();
        let mailbox = *index.owners.get(owner.as_bytes())?;
        let items = &index.shelves.get(&mailbox)?.items;
        let start = items.partition_point(|slot| slot.cursor <= after.get());
        let mut bytes = 0;
        let fits = |slot: &&Slot| {
            let first = bytes == 0;
            bytes += slot.size();
            first || bytes <= max_bytes as u64
        };
        let behind = items.range(start..).take(max_items);
        let slots: Vec<Slot> = behind.take_while(fits).copied().collect();
        let more = start + slots.len() < items.len();
        Some((mailbox, slots, more))
    }

    fn item(
        &self,
        conn: &Connection,
        mailbox: PartyId,
        slot: Slot,
    ) -> Result<Option<Item>, StoreError> {
        const SQL: &str = "SELECT message_id, sender, stored, head, bytes FROM item JOIN body ON body.id = item.id \
             WHERE item.id = ?1 AND mailbox = ?2 AND cursor = ?3";
        let key = (slot.id().cast_signed(), mailbox, slot.cursor.cast_signed());
        let mut statement = conn.prepare_cached(SQL).map_err(vendor)?;
        let row = statement.query_row(key, |row| {
            let message_id = MessageId::new(row.get::<_, i64>(0)?.cast_unsigned());
            let sender: PartyId = row.get(1)?;
            let stored = row.get::<_, i64>(2)?.cast_unsigned();
            Ok((message_id, sender, stored, joined(row)?))
        });
        let Some((message_id, sender, stored, blob)) = row.optional().map_err(vendor)? else {
            return Ok(None);
        };
        Ok(Some(Item {
            cursor: Cursor::new(slot.cursor),
            message_id,
            sender: self.sender(conn, sender)?,
            stored_at: UnixMillis::saturating(stored),
            blob,
        }))
    }

    fn sender(&self, conn: &Connection, id: PartyId) -> Result<IdentityKey, StoreError> {
        if let Some(key) = self.0.sender(id) {
            return Ok(key);
        }
        let key: [u8; 32] = conn
            .prepare_cached("SELECT key FROM party WHERE id = ?1")
            .and_then(|mut s| s.query_row([id], |row| row.get(0)))
            .map_err(vendor)?;
        let key = IdentityKey::new(key);
        self.0.keep_sender(id, key);
        Ok(key)
    }

    fn confirmation(
        &self,
        conn: &Connection,
        id: u64,
    ) -> Result<Option<WaitingConfirmation>, StoreError> {
        const SQL: &str = "SELECT sender, message_id, delivered_to, at, hash, signature, expires FROM confirmation WHERE id = ?1";
        let millis = |row: &Row<'_>, at: usize| {
            Ok::<_, rusqlite::Error>(UnixMillis::saturating(
                row.get::<_, i64>(at)?.cast_unsigned(),
            ))
        };
        let mut statement = conn.prepare_cached(SQL).map_err(vendor)?;
        let row = statement.query_row([id.cast_signed()], |row| {
            let keys: (PartyId, [u8; 32]) = (row.get(0)?, row.get(2)?);
            let message_id = MessageId::new(row.get::<_, i64>(1)?.cast_unsigned());
            let hash = BlobHash::new(row.get(4)?);
            let signature = Signature::new(row.get(5)?);
            Ok((
                keys,
                message_id,
                millis(row, 3)?,
                hash,
                signature,
                millis(row, 6)?,
            ))
        });
        let Some((keys, message_id, timestamp, blob_hash, signature, expires)) =
            row.optional().map_err(vendor)?
        else {
            return Ok(None);
        };
        let confirmation = Confirmation {
            message_id,
            sender: self.sender(conn, keys.0)?,
            delivered_to: IdentityKey::new(keys.1),
            timestamp,
            blob_hash,
            signature,
        };
        Ok(Some(WaitingConfirmation {
            id: ConfirmationId::new(id),
            confirmation,
            expires,
        }))
    }
}

/// The two parts of an envelope.
fn joined(row: &Row<'_>) -> rusqlite::Result<Vec<u8>> {
    let head = row.get_ref(3)?.as_blob()?;
    let body = row.get_ref(4)?.as_blob()?;
    Ok([head, body].concat())
}

fn route_id(conn: &Connection, route: &Route) -> Result<Option<RouteId>, StoreError> {
    match route {
        Route::Relay(hint) => Ok(relay_number(conn, hint)?.map(RouteId::Relay)),
        Route::Sender(sender) => {
            let mut statement = conn
                .prepare_cached("SELECT id FROM party WHERE key = ?1")
                .map_err(vendor)?;
            let id = statement.query_row([sender.as_bytes()], |row| row.get(0));
            Ok(id.optional().map_err(vendor)?.map(RouteId::Sender))
        }
    }
}

/// Copies a database as of one moment, without the room that deleted items left.
pub(super) fn copy(conn: &Connection, to: &Path) -> Result<(), StoreError> {
    let io = |e: std::io::Error| StoreError::Io(format!("{}: {e}", to.display()));
    let name = to
        .to_str()
        .ok_or_else(|| StoreError::Other("the name of the copy is not UTF-8".into()))?;
    // made here, so that nobody else may read it; SQLite takes a file that is empty
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(to).map_err(io)?;
    // writing to another file counts as writing
    sql::pragma(conn, "query_only = OFF")?;
    let copied = conn.execute("VACUUM INTO ?1", [name]).map_err(vendor);
    sql::pragma(conn, "query_only = ON")?;
    copied?;
    File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(io)?;
    super::sync_directory(to)
}
