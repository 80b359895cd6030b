//! Looks at a database from another process than the one that serves from it.

use std::{fs, path::Path};

use sremp_core::time::UnixMillis;

use super::sql::{self, vendor};
use crate::mailbox::{Stats, StoreError};

/// What is in the database at `path`, also while a relay serves from it.
///
/// # Errors
/// [`StoreError`] if it cannot be read.
pub fn stats(path: &Path) -> Result<Stats, StoreError> {
    const SQL: &str =
        "SELECT count(*), coalesce(sum(size), 0), min(stored) FROM item WHERE gone = 0";
    let conn = open(path)?;
    let read = |row: &rusqlite::Row<'_>| {
        let (items, bytes, oldest): (i64, i64, Option<i64>) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((
            items.cast_unsigned(),
            bytes.cast_unsigned(),
            oldest.map(|at| UnixMillis::saturating(at.cast_unsigned())),
        ))
    };
    let (items, bytes, oldest) = conn.query_row(SQL, [], read).map_err(vendor)?;
    let count = |sql: &str| sql::number(&conn, sql).map(i64::cast_unsigned);
    let log = path.with_extension("db-wal");
    let disk = [path, &log].map(|file| fs::metadata(file).map_or(0, |found| found.len()));
    Ok(Stats {
        mailboxes: count("SELECT count(*) FROM mailbox WHERE open = 1")?,
        items,
        bytes,
        confirmations: count("SELECT count(*) FROM confirmation")?,
        oldest,
        disk: disk.iter().sum(),
        ..Stats::default()
    })
}

fn open(path: &Path) -> Result<rusqlite::Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Io(format!("{} is not there", path.display())));
    }
    sql::reader(path, None)
}
