//! One transaction: the only way to read or write.

use rusqlite::{Connection, Params, Row};

use super::{StoreError, error::vendor};

/// A transaction of [`Store::transaction`](super::Store::transaction).
///
/// After a call has failed, every further call fails with the same error and nothing is committed:
/// SQLite may have ended the transaction by itself, and what came after would be kept piecemeal.
pub struct Tx<'s> {
    conn: &'s Connection,
    broken: Option<StoreError>,
    /// The first message of this transaction that is not in the search index yet.
    unindexed: Option<i64>,
    moved: bool,
}

impl<'s> Tx<'s> {
    pub(super) const fn new(conn: &'s Connection) -> Self {
        Self {
            conn,
            broken: None,
            unindexed: None,
            moved: false,
        }
    }

    /// A message was added whose words are to be indexed.
    pub(super) fn index_later(&mut self, message: i64) {
        self.unindexed.get_or_insert(message);
    }

    /// Indexes the messages that this transaction has added, all at once: between two of them any
    /// statement that may fail halfway makes SQLite write the index out, which costs more than the
    /// message itself.
    pub(super) fn index(&mut self) -> Result<(), StoreError> {
        if let Some(first) = self.unindexed.take() {
            let sql = "INSERT INTO message_text (rowid, text)
                       SELECT id, text FROM message WHERE id >= ?1 ORDER BY id";
            self.execute(sql, [first])?;
        }
        Ok(())
    }

    /// A session has been changed.
    pub(super) fn note_move(&mut self) {
        self.moved = true;
    }

    /// Whether this transaction changes a session.
    pub(crate) const fn moves_sessions(&self) -> bool {
        self.moved
    }

    pub(super) fn broken(self) -> Option<StoreError> {
        self.broken
    }

    /// Fails the transaction: whatever its author does with the error, it is not committed.
    pub(super) fn fail<T>(&mut self, error: StoreError) -> Result<T, StoreError> {
        self.broken.get_or_insert_with(|| error.clone());
        Err(error)
    }

    pub(super) fn run<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        match work(self.conn) {
            Ok(value) => Ok(value),
            Err(error) => self.fail(error),
        }
    }

    /// Runs a statement and tells how many rows it changed.
    pub(super) fn execute(
        &mut self,
        sql: &'static str,
        params: impl Params,
    ) -> Result<usize, StoreError> {
        self.run(|conn| {
            let mut statement = conn.prepare_cached(sql).map_err(vendor)?;
            statement.execute(params).map_err(vendor)
        })
    }

    /// Runs a statement that is made of names of tables and columns.
    pub(super) fn execute_text(
        &mut self,
        sql: &str,
        params: impl Params,
    ) -> Result<usize, StoreError> {
        self.run(|conn| {
            let mut statement = conn.prepare_cached(sql).map_err(vendor)?;
            statement.execute(params).map_err(vendor)
        })
    }

    /// Runs a statement that has to change exactly one row.
    pub(super) fn execute_one(
        &mut self,
        sql: &'static str,
        params: impl Params,
    ) -> Result<(), StoreError> {
        match self.execute(sql, params)? {
            1 => Ok(()),
            _ => self.fail(StoreError::Other("a row is missing".into())),
        }
    }

    /// Inserts a row and tells its number.
    pub(super) fn insert(
        &mut self,
        sql: &'static str,
        params: impl Params,
    ) -> Result<i64, StoreError> {
        self.execute_one(sql, params)?;
        Ok(self.conn.last_insert_rowid())
    }

    /// The first row, if there is one.
    pub(super) fn get<T>(
        &mut self,
        sql: &'static str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.run(|conn| {
            let mut statement = conn.prepare_cached(sql).map_err(vendor)?;
            let mut rows = statement.query(params).map_err(vendor)?;
            rows.next().map_err(vendor)?.map(read).transpose()
        })
    }

    /// The first row of a query that always has one.
    pub(super) fn one<T>(
        &mut self,
        sql: &'static str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.get(sql, params, read)? {
            Some(value) => Ok(value),
            None => self.fail(StoreError::Damaged),
        }
    }

    /// Whether there is a row.
    pub(super) fn any(
        &mut self,
        sql: &'static str,
        params: impl Params,
    ) -> Result<bool, StoreError> {
        Ok(self.get(sql, params, |_| Ok(()))?.is_some())
    }

    /// Every row.
    pub(super) fn list<T>(
        &mut self,
        sql: &'static str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.run(|conn| {
            let mut statement = conn.prepare_cached(sql).map_err(vendor)?;
            let mut rows = statement.query(params).map_err(vendor)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next().map_err(vendor)? {
                found.push(read(row)?);
            }
            Ok(found)
        })
    }
}
