//! One SQLite database, one writer; a commit returns after `fdatasync` of the log.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rusqlite::{
    Connection, ErrorCode as Code, OpenFlags, Transaction, TransactionBehavior, params,
};
use sremp_core::{rendezvous::Entry, signature::Signature, time::UnixMillis};

use super::{DirectoryStore, Op, StoreError};

/// Newest version of the database known here.
const SCHEMA_VERSION: u32 = 1;
const SCHEMA: &str = "
CREATE TABLE registration (
    key BLOB NOT NULL UNIQUE,
    seq INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    identity BLOB NOT NULL,
    record BLOB NOT NULL,
    record_sig BLOB NOT NULL
) STRICT;
";
const PUT: &str = "
INSERT INTO registration (key, seq, last_seen, identity, record, record_sig)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (key) DO UPDATE SET
    seq = excluded.seq, last_seen = excluded.last_seen, identity = excluded.identity,
    record = excluded.record, record_sig = excluded.record_sig
WHERE excluded.seq > seq
";
/// Pages of the write-ahead log after which it is carried over into the database: 16 MiB.
const LOG_PAGES: u32 = 4_096;
/// How long a connection waits for a lock, in milliseconds.
const BUSY_MILLIS: u32 = 5_000;

/// The writer of one database file.
pub struct EmbeddedStore {
    conn: Connection,
    stopped: bool,
}

impl std::fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EmbeddedStore")
    }
}

impl EmbeddedStore {
    /// Opens the database at `path`; makes it, for its owner alone, if there is none. The caller
    /// holds the lock that keeps a second writer away.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written, is damaged, or of a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        create(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut conn = Connection::open_with_flags(path, flags).map_err(vendor)?;
        pragma(&conn, "cipher_log_level = NONE")?;
        pragma(&conn, &format!("busy_timeout = {BUSY_MILLIS}"))?;
        let found: u32 = conn
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(vendor)?;
        if found > SCHEMA_VERSION {
            let known = SCHEMA_VERSION;
            return Err(StoreError::Newer { found, known });
        }
        pragma(&conn, "journal_mode = WAL")?;
        pragma(&conn, "synchronous = FULL")?;
        pragma(&conn, &format!("wal_autocheckpoint = {LOG_PAGES}"))?;
        if found == 0 {
            let tx = conn.transaction().map_err(vendor)?;
            tx.execute_batch(SCHEMA).map_err(vendor)?;
            pragma(&tx, &format!("user_version = {SCHEMA_VERSION}"))?;
            tx.commit().map_err(vendor)?;
        }
        Ok(Self {
            conn,
            stopped: false,
        })
    }

    fn carry_out(&mut self, ops: &[Op]) -> Result<(), StoreError> {
        let tx = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(vendor)?;
        for op in ops {
            run(&tx, op).map_err(vendor)?;
        }
        tx.commit().map_err(vendor)
    }
}

impl DirectoryStore for EmbeddedStore {
    fn load(&mut self, each: &mut dyn FnMut(Entry)) -> Result<(), StoreError> {
        let select = "SELECT identity, record, record_sig, last_seen FROM registration";
        let mut statement = self.conn.prepare(select).map_err(vendor)?;
        let mut rows = statement.query([]).map_err(vendor)?;
        while let Some(row) = rows.next().map_err(vendor)? {
            let blob = |n| {
                row.get_ref(n)
                    .map_err(vendor)?
                    .as_blob()
                    .map_err(|_| damaged())
            };
            let signature = Signature::from_slice(blob(2)?).ok_or_else(damaged)?;
            let last_seen: i64 = row.get(3).map_err(vendor)?;
            let last_seen = u64::try_from(last_seen).ok().and_then(UnixMillis::new);
            let last_seen = last_seen.ok_or_else(damaged)?;
            let entry = Entry::restored(blob(0)?, blob(1)?, signature, last_seen);
            each(entry.ok_or_else(damaged)?);
        }
        Ok(())
    }

    fn commit(&mut self, ops: &[Op]) -> Result<(), StoreError> {
        if self.stopped {
            return Err(StoreError::Stopped);
        }
        self.carry_out(ops)
            .inspect_err(|error| self.stopped = !error.is_passing())
    }
}

/// How many keys the database at `path` has, also while a server of another process writes to it.
///
/// # Errors
/// [`StoreError`] if it cannot be read.
pub fn registrations(path: &Path) -> Result<u64, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(vendor)?;
    pragma(&conn, "cipher_log_level = NONE")?;
    pragma(&conn, &format!("busy_timeout = {BUSY_MILLIS}"))?;
    pragma(&conn, "query_only = ON")?;
    let count: i64 = conn
        .query_row("SELECT count(*) FROM registration", [], |row| row.get(0))
        .map_err(vendor)?;
    u64::try_from(count).map_err(|_| damaged())
}

fn run(tx: &Transaction<'_>, op: &Op) -> rusqlite::Result<()> {
    match op {
        Op::Put(entry) => tx.prepare_cached(PUT)?.execute(params![
            entry.key().as_bytes(),
            number(entry.seq().get()),
            number(entry.last_seen().get()),
            entry.identity(),
            entry.record(),
            entry.signature().as_bytes(),
        ]),
        Op::Forget(key) => tx
            .prepare_cached("DELETE FROM registration WHERE key = ?1")?
            .execute([key.as_bytes()]),
    }
    .map(|_| ())
}

/// Times and what is taken for one: SQLite's integers are signed, and no clock goes so far.
fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn pragma(conn: &Connection, setting: &str) -> Result<(), StoreError> {
    let mut statement = conn.prepare(&format!("PRAGMA {setting}")).map_err(vendor)?;
    let mut rows = statement.query([]).map_err(vendor)?;
    while rows.next().map_err(vendor)?.is_some() {}
    Ok(())
}

/// SQLite would give a new file to everybody's eyes.
fn create(path: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(_) => sync_directory(path),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::StorageFull => Err(StoreError::Full),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Err(StoreError::ReadOnly),
        Err(e) => Err(StoreError::Io(format!("{}: {e}", path.display()))),
    }
}

/// The name of a new file is durable only with its directory.
fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let synced = File::open(parent).and_then(|directory| directory.sync_all());
    synced.map_err(|e| StoreError::Io(format!("{}: {e}", parent.display())))
}

fn damaged() -> StoreError {
    StoreError::Damaged("a row was not written here".to_owned())
}

/// The error of a library call; its own text is not passed on, as it may quote values.
fn vendor(error: rusqlite::Error) -> StoreError {
    use rusqlite::Error as E;
    let damaged = |what: &str| StoreError::Damaged(what.to_owned());
    match error {
        E::SqliteFailure(failure, _) | E::SqlInputError { error: failure, .. } => {
            match failure.code {
                Code::DiskFull => StoreError::Full,
                Code::ReadOnly | Code::PermissionDenied => StoreError::ReadOnly,
                Code::DatabaseBusy | Code::DatabaseLocked => StoreError::InUse,
                Code::DatabaseCorrupt => damaged("a page is corrupt"),
                Code::NotADatabase => damaged("it is no database"),
                _ => StoreError::Io(format!("SQLite code {}", failure.extended_code)),
            }
        }
        _ => damaged("a value is not of its type"),
    }
}
