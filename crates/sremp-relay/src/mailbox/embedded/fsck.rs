//! Looks for what is wrong in a database, and names it.

use std::path::Path;

use rusqlite::Connection;

use super::sql::{self, vendor};
use crate::mailbox::{BlobHash, StoreError};

/// Faults that are named; a damaged page can make thousands.
const NAMED: usize = 100;

/// What each query finds is wrong.
const CHECKS: [(&str, &str); 10] = [
    (
        "a waiting item has no body",
        "SELECT id FROM item WHERE gone = 0 AND NOT EXISTS (SELECT 1 FROM body WHERE body.id = item.id)",
    ),
    (
        "a body has no waiting item",
        "SELECT id FROM body WHERE NOT EXISTS (SELECT 1 FROM item WHERE item.id = body.id AND gone = 0)",
    ),
    (
        "the size of an item is not that of its envelope",
        "SELECT item.id FROM item JOIN body ON body.id = item.id WHERE gone = 0 AND size <> length(head) + length(bytes)",
    ),
    (
        "an item is in no mailbox",
        "SELECT id FROM item WHERE mailbox NOT IN (SELECT id FROM mailbox)",
    ),
    (
        "a purged mailbox holds an item",
        "SELECT id FROM item WHERE gone = 0 AND mailbox IN (SELECT id FROM mailbox WHERE open = 0)",
    ),
    (
        "an item, rule or mailbox is of nobody",
        "SELECT id FROM mailbox WHERE id NOT IN (SELECT id FROM party) \
         UNION SELECT sender FROM item WHERE sender NOT IN (SELECT id FROM party) \
         UNION SELECT sender FROM rule WHERE sender NOT IN (SELECT id FROM party)",
    ),
    (
        "cursors of a mailbox do not rise",
        "SELECT id FROM (SELECT id, cursor, lag(cursor) OVER (PARTITION BY mailbox ORDER BY id) AS before FROM item) WHERE cursor <= before",
    ),
    (
        "a message is there twice",
        "SELECT max(id) FROM item GROUP BY mailbox, sender, message_id HAVING count(*) > 1",
    ),
    (
        "a confirmation goes to nobody",
        "SELECT id FROM confirmation WHERE sender NOT IN (SELECT id FROM party) \
         OR (relay IS NOT NULL AND relay NOT IN (SELECT id FROM relay))",
    ),
    (
        "a prekey, rule or token is of no open mailbox",
        "SELECT mailbox FROM (SELECT mailbox FROM rule UNION SELECT mailbox FROM intro UNION SELECT mailbox FROM bundle UNION SELECT mailbox FROM one_time) \
         WHERE mailbox NOT IN (SELECT id FROM mailbox WHERE open = 1)",
    ),
];

/// Checks the whole database at `path`, also while a relay serves from it: every page, every
/// relation between rows, every envelope against its hash. Each line names a fault; none is well.
///
/// # Errors
/// [`StoreError`] if it cannot be opened at all, or the disk fails.
pub fn fsck(path: &Path) -> Result<Vec<String>, StoreError> {
    let mut faults = Vec::new();
    if !path.exists() {
        return Err(StoreError::Io(format!("{} is not there", path.display())));
    }
    let conn = sql::reader(path, None)?;
    // all of it as of one moment
    let check = sql::pragma(&conn, "query_only = ON")
        .and_then(|()| conn.execute_batch("BEGIN").map_err(vendor))
        .and_then(|()| pages(&conn, &mut faults));
    note(&mut faults, "the pages cannot be read", check)?;
    for (what, query) in CHECKS {
        let check = rows(&conn, what, query, &mut faults);
        note(&mut faults, what, check)?;
    }
    let check = hashes(&conn, &mut faults);
    note(&mut faults, "an envelope cannot be read", check)?;
    faults.truncate(NAMED);
    Ok(faults)
}

/// Damage is what is looked for; other errors end the search.
fn note(
    faults: &mut Vec<String>,
    what: &str,
    check: Result<(), StoreError>,
) -> Result<(), StoreError> {
    match check {
        Err(StoreError::Damaged(how)) => faults.push(format!("{what}: {how}")),
        other => return other,
    }
    Ok(())
}

fn pages(conn: &Connection, faults: &mut Vec<String>) -> Result<(), StoreError> {
    let sql = format!("PRAGMA integrity_check({NAMED})");
    let mut statement = conn.prepare(&sql).map_err(vendor)?;
    let mut rows = statement.query([]).map_err(vendor)?;
    while let Some(row) = rows.next().map_err(vendor)? {
        let line: String = row.get(0).map_err(vendor)?;
        if line != "ok" {
            faults.extend(line.lines().map(str::to_owned));
        }
    }
    Ok(())
}

fn rows(
    conn: &Connection,
    what: &str,
    query: &str,
    faults: &mut Vec<String>,
) -> Result<(), StoreError> {
    let mut statement = conn.prepare(query).map_err(vendor)?;
    let mut rows = statement.query([]).map_err(vendor)?;
    while let Some(row) = rows.next().map_err(vendor)? {
        let id: i64 = row.get(0).map_err(vendor)?;
        faults.push(format!("{what}: row {id}"));
        if faults.len() >= NAMED {
            break;
        }
    }
    Ok(())
}

fn hashes(conn: &Connection, faults: &mut Vec<String>) -> Result<(), StoreError> {
    let sql =
        "SELECT item.id, hash, head, bytes FROM item JOIN body ON body.id = item.id WHERE gone = 0";
    let mut statement = conn.prepare(sql).map_err(vendor)?;
    let mut rows = statement.query([]).map_err(vendor)?;
    while let Some(row) = rows.next().map_err(vendor)? {
        let id: i64 = row.get(0).map_err(vendor)?;
        let hash: [u8; 32] = row.get(1).map_err(vendor)?;
        let parts = [row.get::<_, Vec<u8>>(2), row.get(3)];
        let [head, body] = parts;
        let blob = [head.map_err(vendor)?, body.map_err(vendor)?].concat();
        if BlobHash::of(&blob).as_bytes() != &hash {
            faults.push(format!("an envelope is not what was stored: row {id}"));
        }
    }
    Ok(())
}
