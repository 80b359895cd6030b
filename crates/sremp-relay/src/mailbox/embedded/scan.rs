//! The start: what memory holds is made anew from what the disk says.

use rusqlite::{Connection, Row};

use super::{
    index::{Change, Index, PartyId, RouteId, Slot},
    ledger::{Account, Ledger, Weight},
    sql::{number, vendor},
};
use crate::mailbox::{MessageId, StoreError};

/// Reads mailboxes, the narrow table of items once, and confirmations.
pub(super) fn scan(conn: &Connection) -> Result<(Ledger, Index), StoreError> {
    let mut ledger = Ledger::new();
    let mut index = Index::default();
    mailboxes(conn, &mut ledger)?;
    items(conn, &mut ledger, &mut index)?;
    confirmations(conn, &mut ledger, &mut index)?;
    Ok((ledger, index))
}

fn each(
    conn: &Connection,
    sql: &str,
    mut row: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> Result<(), StoreError> {
    let mut statement = conn.prepare(sql).map_err(vendor)?;
    let mut rows = statement.query([]).map_err(vendor)?;
    while let Some(found) = rows.next().map_err(vendor)? {
        row(found).map_err(vendor)?;
    }
    Ok(())
}

fn mailboxes(conn: &Connection, ledger: &mut Ledger) -> Result<(), StoreError> {
    const SQL: &str =
        "SELECT mailbox.id, key, open, next, used FROM mailbox JOIN party ON party.id = mailbox.id";
    each(conn, SQL, |row| {
        let account = Account {
            owner: row.get(1)?,
            open: row.get(2)?,
            next: row.get::<_, i64>(3)?.cast_unsigned(),
            used: row.get::<_, i64>(4)?.cast_unsigned(),
            ..Account::default()
        };
        ledger.open += u64::from(account.open);
        ledger.accounts.insert(row.get(0)?, account);
        Ok(())
    })
}

/// What the scan reads of an item: the first columns of its row.
struct Found {
    id: u64,
    mailbox: PartyId,
    message_id: MessageId,
    cursor: u64,
    weight: Weight,
    gone: bool,
}

fn items(conn: &Connection, ledger: &mut Ledger, index: &mut Index) -> Result<(), StoreError> {
    const SQL: &str =
        "SELECT id, mailbox, message_id, cursor, sender, size, request, gone FROM item ORDER BY id";
    for (&id, account) in ledger.accounts.iter().filter(|(_, account)| account.open) {
        index.shelves.entry(id).or_default();
        index.owners.insert(account.owner, id);
    }
    each(conn, SQL, |row| {
        let found = Found {
            id: row.get::<_, i64>(0)?.cast_unsigned(),
            mailbox: row.get(1)?,
            message_id: MessageId::new(row.get::<_, i64>(2)?.cast_unsigned()),
            cursor: row.get::<_, i64>(3)?.cast_unsigned(),
            weight: Weight {
                sender: row.get(4)?,
                size: row.get(5)?,
                request: row.get(6)?,
            },
            gone: row.get(7)?,
        };
        take_in(&found, ledger, index);
        Ok(())
    })?;
    ledger.seen.shrink();
    for (id, shelf) in &mut index.shelves {
        shelf.items.shrink_to_fit();
        shelf.head = ledger.accounts.get(id).map_or(0, |a| a.next - 1);
    }
    Ok(())
}

fn take_in(found: &Found, ledger: &mut Ledger, index: &mut Index) {
    let weight = found.weight;
    let of = (found.mailbox, weight.sender, found.message_id);
    let of = ledger.seen.fingerprint(of.0, of.1, of.2);
    ledger.seen.insert(of, found.id);
    ledger.next_item = found.id + 1;
    if let Some(account) = ledger.accounts.get_mut(&found.mailbox) {
        account.next = account.next.max(found.cursor + 1);
        if !found.gone && account.open {
            account.add(weight);
            let slot = Slot::new(found.cursor, found.id, weight.size);
            index.add(found.mailbox, slot);
        }
    }
}

fn confirmations(
    conn: &Connection,
    ledger: &mut Ledger,
    index: &mut Index,
) -> Result<(), StoreError> {
    const LAST: &str =
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'confirmation'";
    ledger.next_confirmation = number(conn, LAST)?.cast_unsigned() + 1;
    each(
        conn,
        "SELECT id, sender, relay FROM confirmation ORDER BY id",
        |row| {
            let id = row.get::<_, i64>(0)?.cast_unsigned();
            let (sender, relay) = (row.get(1)?, row.get(2)?);
            ledger.wait(RouteId::of(sender, relay));
            index.apply(vec![Change::Waits { sender, relay, id }]);
            Ok(())
        },
    )
}

/// When an item was stored.
pub(super) fn stored_at(conn: &Connection, id: u64) -> Result<u64, StoreError> {
    number(conn, &format!("SELECT stored FROM item WHERE id = {id}")).map(i64::cast_unsigned)
}
