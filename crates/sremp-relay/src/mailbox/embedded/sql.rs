//! The connection to SQLite, and its errors in our words.

use std::path::Path;

use rusqlite::{Connection, ErrorCode as Code, OpenFlags, limits::Limit};
use sremp_core::wire::bytes::Hex;
use zeroize::Zeroizing;

use super::StoreKey;
use crate::mailbox::StoreError;

/// What leads to each version of the schema: entry `n` makes version `n + 1` of version `n`.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];
/// Newest version of the database known here.
const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// Length of a page in bytes. A commit writes each page that it touches as a whole: with 8 KiB a
/// lone message costs 26 KiB instead of 16, and one of 64 costs 3.1 KiB instead of 2.8.
pub(super) const PAGE: u32 = 4 * 1024;
/// Memory for pages of the writer and of each reader, in KiB.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
const READER_CACHE_KIB: i64 = 1024;
/// Pages of the write-ahead log after which it is carried over into the database: 32 MiB.
const LOG_PAGES: u32 = 8_192;
/// Longest single value in bytes.
const MAX_VALUE: i32 = 1024 * 1024;
/// Prepared statements that are kept: more than there are.
const STATEMENTS: usize = 64;
/// How long a connection waits for a lock, in milliseconds: a backup or `fsck` of another process.
const BUSY_MILLIS: u32 = 5_000;

/// Opens for writing; makes the database if there is none.
pub(super) fn writer(path: &Path, key: Option<&StoreKey>) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut conn = connect(path, flags, key)?;
    if conn.is_readonly("main").map_err(vendor)? {
        return Err(StoreError::ReadOnly);
    }
    let found = version(&conn)?;
    if found == 0 {
        // both hold only for a database that has no page yet
        pragma(&conn, &format!("page_size = {PAGE}"))?;
        pragma(&conn, "auto_vacuum = INCREMENTAL")?;
    }
    pragma(&conn, &format!("cache_size = -{WRITER_CACHE_KIB}"))?;
    pragma(&conn, "journal_mode = WAL")?;
    pragma(&conn, "synchronous = FULL")?;
    pragma(&conn, &format!("wal_autocheckpoint = {LOG_PAGES}"))?;
    migrate(&mut conn, found)?;
    Ok(conn)
}

/// Opens for reading, beside a writer of this or another process.
pub(super) fn reader(path: &Path, key: Option<&StoreKey>) -> Result<Connection, StoreError> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, key)?;
    pragma(&conn, &format!("cache_size = -{READER_CACHE_KIB}"))?;
    pragma(&conn, "wal_autocheckpoint = 0")?;
    pragma(&conn, "query_only = ON")?;
    Ok(conn)
}

fn connect(
    path: &Path,
    flags: OpenFlags,
    key: Option<&StoreKey>,
) -> Result<Connection, StoreError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(vendor)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE)
        .map_err(vendor)?;
    pragma(&conn, "cipher_log_level = NONE")?;
    if let Some(key) = key {
        unlock(&conn, key)?;
    }
    pragma(&conn, &format!("busy_timeout = {BUSY_MILLIS}"))?;
    pragma(&conn, "foreign_keys = OFF")?;
    pragma(&conn, "temp_store = MEMORY")?;
    pragma(&conn, "mmap_size = 0")?;
    let found = version(&conn)?;
    if found > SCHEMA_VERSION {
        let known = SCHEMA_VERSION;
        return Err(StoreError::Newer { found, known });
    }
    Ok(conn)
}

/// Gives a connection the key of its database.
fn unlock(conn: &Connection, key: &StoreKey) -> Result<(), StoreError> {
    let sql = Zeroizing::new(format!("PRAGMA key = \"x'{}'\"", Hex(key.as_slice())));
    conn.execute_batch(&sql).map_err(vendor)?;
    // faster than the default, SHA-512, where the processor knows SHA-256
    pragma(conn, "cipher_hmac_algorithm = HMAC_SHA256")
}

/// Carries out `PRAGMA setting`.
pub(super) fn pragma(conn: &Connection, setting: &str) -> Result<(), StoreError> {
    let mut statement = conn.prepare(&format!("PRAGMA {setting}")).map_err(vendor)?;
    let mut rows = statement.query([]).map_err(vendor)?;
    while rows.next().map_err(vendor)?.is_some() {}
    Ok(())
}

/// The one number that a query gives.
pub(super) fn number(conn: &Connection, sql: &str) -> Result<i64, StoreError> {
    conn.query_row(sql, [], |row| row.get(0)).map_err(vendor)
}

fn version(conn: &Connection) -> Result<u32, StoreError> {
    let version = number(conn, "PRAGMA user_version")?;
    u32::try_from(version).map_err(|_| StoreError::Damaged("its version is no version".into()))
}

fn migrate(conn: &mut Connection, found: u32) -> Result<(), StoreError> {
    if found == SCHEMA_VERSION {
        return Ok(());
    }
    let transaction = conn.transaction().map_err(vendor)?;
    for step in MIGRATIONS.iter().skip(found as usize) {
        transaction.execute_batch(step).map_err(vendor)?;
    }
    pragma(&transaction, &format!("user_version = {SCHEMA_VERSION}"))?;
    transaction.commit().map_err(vendor)
}

/// The error of a library call; its own text is not passed on, as it may quote values.
pub(super) fn vendor(error: rusqlite::Error) -> StoreError {
    use rusqlite::Error as E;
    match error {
        E::SqliteFailure(failure, _) | E::SqlInputError { error: failure, .. } => code(failure),
        E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::InvalidColumnType(..)
        | E::Utf8Error(..) => damaged("a value is not of its type"),
        E::QueryReturnedNoRows => damaged("a row is missing"),
        _ => StoreError::Other("the database was used wrongly".into()),
    }
}

/// What is on the disk cannot have been written like that.
pub(super) fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(what.to_owned())
}

fn code(failure: rusqlite::ffi::Error) -> StoreError {
    /// `SQLITE_IOERR_SHORT_READ` and `SQLITE_IOERR_CORRUPTFS`: bytes that should be there are not.
    const SHORT_READ: i32 = 10 | 2 << 8;
    const CORRUPT_FS: i32 = 10 | 33 << 8;
    match failure.code {
        Code::DiskFull => StoreError::Full,
        Code::ReadOnly | Code::PermissionDenied => StoreError::ReadOnly,
        Code::DatabaseCorrupt => damaged("a page is corrupt"),
        Code::NotADatabase => damaged("it is no database"),
        Code::DatabaseBusy | Code::DatabaseLocked => StoreError::InUse,
        Code::SystemIoFailure if matches!(failure.extended_code, SHORT_READ | CORRUPT_FS) => {
            damaged("a part is missing")
        }
        _ => StoreError::Io(format!("SQLite code {}", failure.extended_code)),
    }
}
