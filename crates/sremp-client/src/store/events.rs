//! Events for faces and scripts: kept until they are acknowledged, and a while longer.

use rusqlite::params;
use sremp_core::time::UnixMillis;

use super::{
    StoreError, Tx,
    column::{Cells as _, saturating, time},
};

type Result<T> = std::result::Result<T, StoreError>;

/// Acknowledged events that are kept at the most.
pub const EVENTS_KEPT: u64 = 10_000;

impl Tx<'_> {
    /// Appends an event, the JSON of a [`view::EventKind`](crate::view::EventKind); its number is
    /// one higher than the last.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn append_event(&mut self, json: &str, at: UnixMillis) -> Result<u64> {
        let sql = "INSERT INTO event (at, json) VALUES (?1, ?2)";
        Ok(self.insert(sql, params![time(at), json])?.cast_unsigned())
    }

    /// Events after a number, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn events(&mut self, after: u64, limit: u32) -> Result<Vec<(u64, String)>> {
        let sql = "SELECT seq, json FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        self.list(sql, params![saturating(after), limit], |row| {
            Ok((row.count(0)?, row.text(1)?))
        })
    }

    /// Acknowledges every event up to a number. It never goes back, nor ahead of the last event.
    /// Of the acknowledged ones the newest [`EVENTS_KEPT`] stay.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn acknowledge(&mut self, seq: u64) -> Result<()> {
        let seq = seq.min(self.last_event()?);
        let sql = "UPDATE event_mark SET acknowledged = ?1 WHERE acknowledged < ?1";
        if self.execute(sql, [saturating(seq)])? == 1 {
            let gone = saturating(seq.saturating_sub(EVENTS_KEPT));
            self.execute("DELETE FROM event WHERE seq <= ?1", [gone])?;
            // a screen acknowledges for itself
            self.execute("DELETE FROM change WHERE kind = 3 AND row <= ?1", [gone])?;
        }
        Ok(())
    }

    /// Drops an event in whose place a newer one comes; it may be gone already.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn replace_event(&mut self, seq: u64) -> Result<()> {
        self.execute("DELETE FROM event WHERE seq = ?1", [saturating(seq)])?;
        Ok(())
    }

    /// The last acknowledged event's number; 0 if none was.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn acknowledged(&mut self) -> Result<u64> {
        self.one("SELECT acknowledged FROM event_mark", [], |row| {
            row.count(0)
        })
    }

    /// The last event's number; 0 if there was none.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn last_event(&mut self) -> Result<u64> {
        let sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'";
        self.one(sql, [], |row| row.count(0))
    }
}
