//! The embedded store: one SQLite database, one writer, one transaction for each batch.
//!
//! On the disk is everything; in memory is what leads to it (24 bytes for an item) and what is
//! counted, made anew at the start by one scan of a narrow table. A commit appends to the ends of
//! two tables, so that it writes few pages, and returns after one `fdatasync` of the log.
//!
//! | part | |
//! |---|---|
//! | `batch`, `store`, `confirm`, `prekeys`, `senders`, `purge` | what each op does, inside the transaction |
//! | `ledger`, `seen` | the writer's memory: counts, and which messages were there before |
//! | `index` | what readers share with the writer; changed after the commit |
//! | `scan` | the start |
//! | `reader` | pages of items, counts, waiting confirmations, backup |
//! | `fsck` | what is wrong |

mod batch;
mod confirm;
mod disk;
mod fsck;
mod index;
mod inspect;
mod ledger;
mod prekeys;
mod purge;
mod reader;
mod scan;
mod seen;
mod senders;
mod sql;
mod store;

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{Connection, TransactionBehavior};
use sremp_core::time::UnixMillis;
use zeroize::Zeroizing;

use self::{
    batch::Batch,
    index::{Change, Shared},
    ledger::Ledger,
    sql::vendor,
};
use super::{DiskGuard, Limits, MailboxStore, Op, Outcome, Stats, StoreError};

pub use fsck::fsck;
pub use inspect::stats;
pub use reader::EmbeddedReader;

/// Pages of the log that are worth carrying over when nothing waits: 2 MiB.
const LOG_AT_REST: i64 = 512;
/// Free pages that are given back at once, and from how many on: 4 and 32 MiB.
const FREE_STEP: u32 = 1_024;
const FREE_KEPT: i64 = 8_192;

/// A random key of 32 bytes that encrypts a database.
pub type StoreKey = Zeroizing<[u8; 32]>;

/// The writer of one database file.
pub struct EmbeddedStore {
    conn: Connection,
    shared: Arc<Shared>,
    ledger: Ledger,
    limits: Limits,
    guard: DiskGuard,
    state: State,
    last_commit: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Memory is what the disk says.
    Sound,
    /// A batch failed: memory ran ahead of the disk.
    Ahead,
    /// The system's word is no longer good.
    Stopped,
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
    pub fn open(path: &Path, limits: Limits, guard: DiskGuard) -> Result<Self, StoreError> {
        Self::open_with(path, None, limits, guard)
    }

    /// The same for a database whose every page is encrypted under this key: for a mailbox beside
    /// what its owner keeps encrypted.
    ///
    /// # Errors
    /// As [`Self::open`]; under another key than its own it is [`StoreError::Damaged`].
    pub fn open_encrypted(
        path: &Path,
        key: &StoreKey,
        limits: Limits,
        guard: DiskGuard,
    ) -> Result<Self, StoreError> {
        Self::open_with(path, Some(key), limits, guard)
    }

    fn open_with(
        path: &Path,
        key: Option<&StoreKey>,
        limits: Limits,
        guard: DiskGuard,
    ) -> Result<Self, StoreError> {
        create(path)?;
        let conn = sql::writer(path, key)?;
        let shared = Arc::new(Shared::new(path.to_owned(), key.cloned()));
        let (ledger, index) = scan::scan(&conn)?;
        *shared.write() = index;
        Ok(Self {
            conn,
            shared,
            ledger,
            limits,
            guard,
            state: State::Sound,
            last_commit: Duration::ZERO,
        })
    }

    /// Lets the database grow by so many pages at the most, as a full disk would; for tests.
    #[doc(hidden)]
    pub fn limit_growth(&mut self, pages: u32) -> Result<(), StoreError> {
        let now = sql::number(&self.conn, "PRAGMA page_count")?;
        let limit = format!("max_page_count = {}", now + i64::from(pages));
        sql::pragma(&self.conn, &limit)
    }

    fn ready(&mut self) -> Result<(), StoreError> {
        match self.state {
            State::Sound => {}
            State::Stopped => return Err(StoreError::Stopped),
            State::Ahead => {
                let sweep = self.ledger.sweep;
                self.ledger = scan::scan(&self.conn)?.0;
                self.ledger.sweep = sweep;
                self.state = State::Sound;
            }
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        now: UnixMillis,
        batch: Vec<Op>,
    ) -> Result<(Vec<Outcome>, Vec<Change>), StoreError> {
        let tx = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(vendor)?;
        let mut work = Batch {
            tx: &tx,
            ledger: &mut self.ledger,
            shared: &self.shared,
            limits: &self.limits,
            room: disk::room(&self.shared.path, &self.guard),
            now,
            changes: Vec::with_capacity(batch.len()),
        };
        let mut outcomes = Vec::with_capacity(batch.len());
        for op in batch {
            outcomes.push(work.run(op)?);
        }
        let changes = work.changes;
        tx.commit().map_err(vendor)?;
        Ok((outcomes, changes))
    }

    /// After a failure nothing of the batch may be believed; after some, nothing at all.
    fn failed(&mut self, error: &StoreError) {
        self.state = match error.is_passing() {
            true => State::Ahead,
            false => State::Stopped,
        };
    }

    fn tidy(&mut self) -> Result<(), StoreError> {
        let mut log = [0_i64; 3];
        self.conn
            .query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
                log = [row.get(0)?, row.get(1)?, row.get(2)?];
                Ok(())
            })
            .map_err(vendor)?;
        let [_, written, carried] = log;
        if written - carried >= LOG_AT_REST {
            sql::pragma(&self.conn, "wal_checkpoint(PASSIVE)")?;
        }
        if sql::number(&self.conn, "PRAGMA freelist_count")? > FREE_KEPT {
            let step = format!("incremental_vacuum({FREE_STEP})");
            sql::pragma(&self.conn, &step)?;
        }
        Ok(())
    }
}

impl MailboxStore for EmbeddedStore {
    type Reader = EmbeddedReader;

    fn commit(&mut self, now: UnixMillis, batch: Vec<Op>) -> Result<Vec<Outcome>, StoreError> {
        let start = Instant::now();
        self.ready()?;
        match self.carry_out(now, batch) {
            Ok((outcomes, changes)) => {
                self.shared.write().apply(changes);
                self.last_commit = start.elapsed();
                Ok(outcomes)
            }
            Err(error) => {
                self.failed(&error);
                Err(error)
            }
        }
    }

    fn reader(&self) -> EmbeddedReader {
        EmbeddedReader(Arc::clone(&self.shared))
    }

    fn stats(&self) -> Stats {
        let index = self.shared.read();
        let first = |shelf: &index::Shelf| shelf.items.front().map(|slot| slot.id());
        let oldest = index.shelves.values().filter_map(first).min();
        let oldest = oldest.and_then(|id| scan::stored_at(&self.conn, id).ok());
        Stats {
            mailboxes: index.shelves.len() as u64,
            items: index.items,
            bytes: index.bytes,
            confirmations: index.confirmations(),
            oldest: oldest.map(UnixMillis::saturating),
            disk: disk::taken(&self.shared.path),
            last_commit: self.last_commit,
        }
    }

    fn rest(&mut self) -> Result<(), StoreError> {
        self.ready()?;
        self.tidy().inspect_err(|error| self.failed(error))
    }
}

/// Copies the database at `from`, also while a relay of another process serves from it.
///
/// # Errors
/// As [`MailboxReader::backup`](super::MailboxReader::backup).
pub fn backup(from: &Path, to: &Path) -> Result<(), StoreError> {
    reader::copy(&sql::reader(from, None)?, to)
}

/// SQLite would give a new file to everybody's eyes.
fn create(path: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            Err(StoreError::ReadOnly)
        }
        Err(e) if e.kind() == io::ErrorKind::StorageFull => Err(StoreError::Full),
        Err(e) => Err(StoreError::Io(format!("{}: {e}", path.display()))),
        Ok(file) => {
            drop(file);
            sync_directory(path)
        }
    }
}

/// The name of a new file is durable only with its directory.
fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
    std::fs::File::open(directory.unwrap_or(Path::new(".")))
        .and_then(|file| file.sync_all())
        .map_err(|e| StoreError::Io(format!("{}: {e}", path.display())))
}
