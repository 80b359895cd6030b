//! The user's state on disk: one encrypted SQLite database, one connection, one writer.
//!
//! Everything SQLite writes, the write-ahead log included, is encrypted page by page (SQLCipher)
//! under a random key that the home's passphrase unwraps (D3.15); temporary data stays in memory.
//! A transaction is durable when [`Store::transaction`] returns, so an output may leave the process
//! only after that (D3.14).

mod actions;
mod changes;
mod column;
mod contacts;
mod copying;
mod direct;
mod epoch;
mod error;
mod events;
mod invites;
mod kept;
mod messages;
mod names;
mod outbox;
mod own;
mod place;
mod receipts;
mod relays;
mod rendezvous;
mod restoring;
mod screens;
mod search;
mod sessions;
mod timers;
mod tx;

use std::path::Path;

use hkdf::Hkdf;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig, limits::Limit};
use sha2::Sha256;
use zeroize::Zeroizing;

pub use changes::{ChangeKind, Fate, MAX_EARLY, MessageChange, MessageTarget, ReactionRecord};
pub use contacts::{ContactRecord, ContactRow, Fork, NewContact};
pub use epoch::{Epoch, Epochs};
pub use error::StoreError;
pub use events::EVENTS_KEPT;
pub use invites::InviteRecord;
pub use kept::ReceiptPlace;
pub use messages::{ConversationRecord, MessageRecord, NewMessage};
pub use names::{ContactName, ContactStanding};
pub use outbox::{NewOutboxItem, OutboxItem};
pub use own::PrekeyKind;
pub use receipts::{
    AttemptRecord, ConfirmationRecord, MAX_ATTEMPTS, NewConfirmation, NewReceipt, ReceiptRecord,
};
pub use relays::{ReadItem, RelayRecord, RelayRow};
pub use rendezvous::FoundPlaces;
pub use restoring::{OwnReaction, Renewal, Room};
pub use screens::{Applied, Change, Era, ScreenState};
pub use search::MAX_SEARCH_WORDS;
pub use sessions::{KEY_USE_AGE, KeyUse};
pub use timers::{Expiry, TimerRecord};
pub use tx::Tx;

use error::vendor;
use sremp_core::wire::bytes::Hex;

/// The version of the schema, and what leads to it: entry `n` makes version `n + 1` of version `n`.
const MIGRATIONS: [&str; 12] = [
    include_str!("schema.sql"),
    include_str!("rendezvous.sql"),
    include_str!("content.sql"),
    include_str!("restoring.sql"),
    include_str!("paths.sql"),
    include_str!("screens.sql"),
    include_str!("rollbacks.sql"),
    include_str!("attempts.sql"),
    include_str!("evidence.sql"),
    include_str!("late.sql"),
    include_str!("givers.sql"),
    include_str!("handed.sql"),
];
/// Newest version of the database known here.
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// Length of a page in bytes: the default of SQLCipher 4 and of SQLite.
const PAGE: u64 = 4096;
/// Memory for database pages, in KiB.
const PAGE_CACHE_KIB: i64 = 8 * 1024;
/// Length to which the write-ahead log is cut after it was carried over, in bytes.
const LOG_KEPT: i64 = 8 * 1024 * 1024;
/// Longest single value in bytes.
const MAX_VALUE: i32 = 16 * 1024 * 1024;
/// Prepared statements that are kept: more than there are.
const STATEMENTS: usize = 192;

/// A random key that encrypts a database.
pub(crate) type DatabaseKey = Zeroizing<[u8; 32]>;

/// The open database.
pub struct Store {
    conn: Connection,
    /// None: not encrypted.
    key: Option<DatabaseKey>,
    stopped: bool,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// An empty store in memory, with the same schema and rules: for simulations and tests.
    ///
    /// # Errors
    /// [`StoreError`] if there is no memory.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::prepare(Connection::open_in_memory().map_err(vendor)?, None)
    }

    /// An unencrypted store: to measure the price of encryption, and to look at pages in tests.
    ///
    /// # Errors
    /// As [`Home::open`](crate::home::Home::open).
    #[doc(hidden)]
    pub fn open_plain(path: &Path) -> Result<Self, StoreError> {
        Self::prepare(connect(path, true)?, None)
    }

    /// Makes the database in a file that exists and is empty.
    pub(crate) fn create(path: &Path, key: &DatabaseKey) -> Result<Self, StoreError> {
        Self::prepare(connect(path, false)?, Some(key))
    }

    /// Opens a database that was made before.
    pub(crate) fn open(path: &Path, key: &DatabaseKey) -> Result<Self, StoreError> {
        if file_length(path) == 0 && file_length(&log_path(path)) == 0 {
            return Err(StoreError::Damaged);
        }
        let store = Self::prepare(connect(path, false)?, Some(key))?;
        store.check_length(path)?;
        Ok(store)
    }

    fn prepare(mut conn: Connection, key: Option<&DatabaseKey>) -> Result<Self, StoreError> {
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        let limits = [
            (Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE),
            (Limit::SQLITE_LIMIT_ATTACHED, 0),
            (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
        ];
        for (limit, value) in limits {
            conn.set_limit(limit, value).map_err(vendor)?;
        }
        // else every statement that compares a parameter with the condition of a partial index is
        // parsed anew whenever it is run: 5 % of all time
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .map_err(vendor)?;
        if let Some(key) = key {
            unlock(&conn, key)?;
        }
        // no other process, hence no shared memory file; and nothing in files but what is encrypted
        pragma(&conn, "locking_mode = EXCLUSIVE")?;
        pragma(&conn, "temp_store = MEMORY")?;
        pragma(&conn, "mmap_size = 0")?;
        pragma(&conn, &format!("cache_size = -{PAGE_CACHE_KIB}"))?;
        let found = version(&conn)?;
        if found > SCHEMA_VERSION {
            let known = SCHEMA_VERSION;
            return Err(StoreError::Newer { found, known });
        }
        pragma(&conn, "journal_mode = WAL")?;
        pragma(&conn, &format!("journal_size_limit = {LOG_KEPT}"))?;
        pragma(&conn, "synchronous = FULL")?;
        pragma(&conn, "foreign_keys = ON")?;
        pragma(&conn, "secure_delete = ON")?;
        migrate(&mut conn, found)?;
        Ok(Self {
            conn,
            key: key.cloned(),
            stopped: false,
        })
    }

    /// A key of its own for something beside the database; none if the database is not encrypted.
    pub(crate) fn key_for(&self, label: &[u8]) -> Option<DatabaseKey> {
        let mut key: DatabaseKey = Zeroizing::new([0; 32]);
        let hkdf = Hkdf::<Sha256>::new(None, self.key.as_ref()?.as_slice());
        // refused are only lengths above 255 × 32 bytes
        hkdf.expand(label, key.as_mut()).ok()?;
        Some(key)
    }

    /// Runs `work` in one transaction. `Ok` is durable when this returns: it survives power loss.
    /// After `Err` the database is as before, whatever `work` did.
    ///
    /// # Errors
    /// What `work` returned, or the [`StoreError`] of a call inside it even if `work` ignored it,
    /// or that of the commit. After [`StoreError::Io`] every further call is
    /// [`StoreError::Stopped`]: a system that failed to write once may have dropped the pages and
    /// report the next attempt as done.
    pub fn transaction<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.stopped {
            return Err(StoreError::Stopped.into());
        }
        let transaction = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| E::from(vendor(e)))?;
        let mut tx = Tx::new(&transaction);
        let outcome = work(&mut tx);
        if outcome.is_ok() {
            // a failure is kept in `broken`
            let _ = tx.index();
        }
        let broken = tx.broken();
        let committed = match (&outcome, broken) {
            (_, Some(error)) => Err(error),
            (Err(_), None) => Ok(()),
            (Ok(_), None) => transaction.commit().map_err(vendor),
        };
        // whatever was not committed is rolled back when `transaction` is dropped
        match committed {
            Ok(()) => outcome,
            Err(error) => {
                self.stopped |= matches!(error, StoreError::Io(_));
                Err(outcome.err().unwrap_or_else(|| E::from(error)))
            }
        }
    }

    /// Reads every page and compares every index with its table: seconds on a large history.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if anything is not as it was written.
    pub fn integrity_check(&mut self) -> Result<(), StoreError> {
        if self.key.is_some() && !report(&self.conn, "PRAGMA cipher_integrity_check")?.is_empty() {
            return Err(StoreError::Damaged);
        }
        if report(&self.conn, "PRAGMA integrity_check(1)")? != ["ok"] {
            return Err(StoreError::Damaged);
        }
        let index = "INSERT INTO message_text (message_text, rank) VALUES ('integrity-check', 1)";
        self.conn.execute_batch(index).map_err(vendor)
    }

    /// Whether the pages are as they were written, if they are few enough to be read at once: each is
    /// authenticated as it is read. `None`: they are too many.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be told.
    pub fn looks_intact(&mut self) -> Result<Option<bool>, StoreError> {
        const MOST_PAGES: i64 = 16 * 1024;
        if number(&self.conn, "PRAGMA page_count")? > MOST_PAGES {
            return Ok(None);
        }
        Ok(Some(report(&self.conn, "PRAGMA quick_check(1)")? == ["ok"]))
    }

    /// Carries the write-ahead log over into the database and cuts it to nothing: the clean end.
    /// Not needed for durability.
    ///
    /// # Errors
    /// [`StoreError`] if the disk is full or fails; nothing is lost by that.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        if self.stopped {
            return Err(StoreError::Stopped);
        }
        let outcome = pragma(&self.conn, "wal_checkpoint(TRUNCATE)");
        self.stopped |= matches!(outcome, Err(StoreError::Io(_)));
        outcome
    }

    /// Lets the database grow by so many pages at the most, as a full disk would; for tests.
    #[doc(hidden)]
    pub fn limit_growth(&mut self, pages: u32) -> Result<(), StoreError> {
        let now = number(&self.conn, "PRAGMA page_count")?;
        pragma(
            &self.conn,
            &format!("max_page_count = {}", now + i64::from(pages)),
        )
    }

    /// A file that was cut off still has its header, and SQLite would say so only when it reaches
    /// for a missing page. Pages may be absent only as far as the log can hold them.
    fn check_length(&self, path: &Path) -> Result<(), StoreError> {
        let pages = number(&self.conn, "PRAGMA page_count")?.cast_unsigned();
        if pages.saturating_mul(PAGE) > file_length(path) + file_length(&log_path(path)) {
            return Err(StoreError::Damaged);
        }
        Ok(())
    }
}

fn connect(path: &Path, create: bool) -> Result<Connection, StoreError> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let conn = Connection::open_with_flags(path, flags).map_err(vendor)?;
    if conn.is_readonly("main").map_err(vendor)? {
        return Err(StoreError::ReadOnly);
    }
    Ok(conn)
}

/// Gives a connection the key of its database.
fn unlock(conn: &Connection, key: &DatabaseKey) -> Result<(), StoreError> {
    pragma(conn, "cipher_log_level = NONE")?;
    let sql = Zeroizing::new(format!("PRAGMA key = \"x'{}'\"", Hex(key.as_slice())));
    conn.execute_batch(&sql).map_err(vendor)?;
    // 5 µs a page against 13 with the default SHA-512 where the processor knows SHA-256
    pragma(conn, "cipher_hmac_algorithm = HMAC_SHA256")
}

fn log_path(database: &Path) -> std::path::PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

fn file_length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

fn pragma(conn: &Connection, setting: &str) -> Result<(), StoreError> {
    report(conn, &format!("PRAGMA {setting}")).map(drop)
}

/// The first column of every row as text; other types count as empty.
fn report(conn: &Connection, sql: &str) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare(sql).map_err(vendor)?;
    let mut rows = statement.query([]).map_err(vendor)?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next().map_err(vendor)? {
        lines.push(row.get::<_, String>(0).unwrap_or_default());
    }
    Ok(lines)
}

fn number(conn: &Connection, sql: &str) -> Result<i64, StoreError> {
    conn.query_row(sql, [], |row| row.get(0)).map_err(vendor)
}

fn version(conn: &Connection) -> Result<u32, StoreError> {
    u32::try_from(number(conn, "PRAGMA user_version")?).map_err(|_| StoreError::Damaged)
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

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn a_statement_is_parsed_once_however_often_it_is_run() {
        let store = Store::in_memory().unwrap();
        // `kind` is in the condition of an index
        let sql = "SELECT 1 FROM message WHERE contact = ?1 AND kind = ?2";
        let mut statement = store.conn.prepare_cached(sql).unwrap();
        for kind in [0, 1, 0, 1] {
            assert!(!statement.exists([7, kind]).unwrap());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
