//! A screen: how far it has followed its home, and records put in their places.

use sremp_core::{
    constants::MAX_ENVELOPE,
    identity::{Identity, SecretIdentity},
    key::NoiseSecret,
    rand_core::CryptoRng,
    wire::codec::decode_exact,
};

use super::{
    ERA, Era, Result,
    record::{Cell, Kind, Record},
};
use crate::store::{SCHEMA_VERSION, StoreError, Tx, column::Cells as _, error::vendor};

/// The settings of a screen: where its home is, the era that it follows, and how far it has followed.
const PLACES: &str = "screen.places";
const FOLLOWED: &str = "screen.era";
const CURSOR: &str = "screen.cursor";

/// Where a screen stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScreenState {
    /// Where its home is, `HOST:PORT` each.
    pub places: Vec<String>,
    /// The era that it follows.
    pub era: Era,
    /// The number of the last change that it has.
    pub cursor: u64,
}

/// What a record has done on a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is in its place.
    Yes,
    /// It tells which records follow.
    Greeting {
        /// Whether this program reads them.
        readable: bool,
        /// Of which era they are.
        era: Era,
    },
    /// It is none.
    No,
}

impl Tx<'_> {
    /// Makes a screen of a home's backup: it follows from here on its home at these places, `HOST:PORT`
    /// each. Nothing is left in it that could be sent, nor a key that anybody else knows of. `false`: the
    /// home noted no changes, so that it could not be followed.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn become_screen(&mut self, places: &[String], rng: &mut dyn CryptoRng) -> Result<bool> {
        let Some(era) = self.setting(ERA)? else {
            return Ok(false);
        };
        let parts = self.own_identity()?;
        let before = Identity::verify(&parts.identity).map_err(|_| StoreError::Damaged)?;
        // the first version: whoever knows the identity knows it as old
        let noise_key = NoiseSecret::generate(rng);
        let (seed, name, at) = (&parts.identity_seed, before.username(), before.created());
        let hidden = SecretIdentity::from_keys(seed, noise_key, name, at);
        self.save_own_identity(&hidden.to_parts())?;
        let cursor = self.last_change()?;
        self.set_setting(FOLLOWED, &era)?;
        self.set_setting(CURSOR, &cursor.to_le_bytes())?;
        self.set_setting(PLACES, places.join("\n").as_bytes())?;
        self.delete_setting(ERA)?;
        self.forget_sessions()?;
        self.unmark_restored()?;
        for sql in [
            "DELETE FROM change",
            "DELETE FROM outbox",
            "DELETE FROM renewal",
            "DELETE FROM invite",
        ] {
            self.execute(sql, [])?;
        }
        Ok(true)
    }

    /// Where this screen stands; `None`: this is no screen.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn screen(&mut self) -> Result<Option<ScreenState>> {
        let Some(places) = self.setting(PLACES)? else {
            return Ok(None);
        };
        let places = String::from_utf8(places).map_err(|_| StoreError::Damaged)?;
        let era = self.setting(FOLLOWED)?.and_then(|era| era.try_into().ok());
        let cursor = self.setting(CURSOR)?.and_then(|at| at.try_into().ok());
        Ok(Some(ScreenState {
            places: places.split_whitespace().map(str::to_owned).collect(),
            era: era.ok_or(StoreError::Damaged)?,
            cursor: u64::from_le_bytes(cursor.ok_or(StoreError::Damaged)?),
        }))
    }

    /// This screen has every change up to this number.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn screen_has(&mut self, cursor: u64) -> Result<()> {
        self.set_setting(CURSOR, &cursor.to_le_bytes())
    }

    /// Puts what a record tells in its place.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn apply(&mut self, record: &[u8]) -> Result<Applied> {
        let Ok(record) = decode_exact::<Record>(record, MAX_ENVELOPE) else {
            return Ok(Applied::No);
        };
        let Some(kind) = Kind::of(record.kind) else {
            return Ok(Applied::No);
        };
        if kind == Kind::Greeting {
            return Ok(greeted(&record));
        }
        let row = record.row.cast_signed();
        if !self.is_whole(kind, row, &record)? {
            return Ok(Applied::No);
        }
        // the index counts on new lines being the last
        self.index()?;
        if kind == Kind::Line && !self.make_way(&record)? {
            return Ok(Applied::No);
        }
        match record.tables.split_first() {
            None => self.remove(kind, row)?,
            Some((own, others)) => {
                self.put(kind, row, own)?;
                for ((table, column), rows) in kind.parts().iter().skip(1).zip(others) {
                    let sql = format!("DELETE FROM {table} WHERE {column} = ?1");
                    self.execute_text(&sql, [row])?;
                    for cells in rows {
                        self.insert_cells(table, cells)?;
                    }
                }
            }
        }
        Ok(Applied::Yes)
    }

    /// Whether a record has the rows and columns that this kind has here, and is of its row only.
    fn is_whole(&mut self, kind: Kind, row: i64, record: &Record) -> Result<bool> {
        let parts = kind.parts();
        if record.tables.is_empty() {
            return Ok(true);
        }
        if record.tables.len() != parts.len() || record.tables.first().map(Vec::len) != Some(1) {
            return Ok(false);
        }
        for ((table, column), rows) in parts.iter().zip(&record.tables) {
            let names = self.columns(table)?;
            let key = names.iter().position(|name| name == column);
            let fits = |cells: &Vec<Cell>| {
                let of = key.and_then(|key| cells.get(key));
                cells.len() == names.len() && of == Some(&Cell::Int(row))
            };
            if !rows.iter().all(fits) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn columns(&mut self, table: &str) -> Result<Vec<String>> {
        let sql = format!("SELECT * FROM {table} LIMIT 0");
        self.run(|conn| {
            let statement = conn.prepare_cached(&sql).map_err(vendor)?;
            Ok(statement.column_names().map(str::to_owned).collect())
        })
    }

    /// What is in the way of a line at its home has changed there as well, and comes later; its contact
    /// comes before it.
    fn make_way(&mut self, record: &Record) -> Result<bool> {
        let Some(line) = record.tables.first().and_then(|rows| rows.first()) else {
            return Ok(true);
        };
        let names = self.columns("message")?;
        let cell = |name| {
            let at = names.iter().position(|n| n == name);
            at.and_then(|at| line.get(at))
                .cloned()
                .unwrap_or(Cell::Null)
        };
        let (id, contact) = (cell("id"), cell("contact"));
        let known = "SELECT 1 FROM contact WHERE row = ?1";
        if !self.any(known, [&contact])? {
            return Ok(false);
        }
        let sql = "SELECT id FROM message WHERE id <> ?1 AND contact = ?2
                   AND (position = ?3 OR (msg_id = ?4 AND kind = ?5))";
        let place = [id, contact, cell("position"), cell("msg_id"), cell("kind")];
        let others = self.list(sql, rusqlite::params_from_iter(&place), |row| row.int(0))?;
        for other in others {
            self.remove(Kind::Line, other)?;
        }
        Ok(true)
    }

    /// Its text is overwritten where it stood.
    fn remove(&mut self, kind: Kind, row: i64) -> Result<()> {
        let Some((table, column)) = kind.parts().first() else {
            return Ok(());
        };
        if kind == Kind::Line && self.any("SELECT 1 FROM message WHERE id = ?1", [row])? {
            self.blank_message(row)?;
        }
        let sql = format!("DELETE FROM {table} WHERE {column} = ?1");
        self.execute_text(&sql, [row])?;
        Ok(())
    }

    fn put(&mut self, kind: Kind, row: i64, own: &[Vec<Cell>]) -> Result<()> {
        let (Some((table, column)), Some(cells)) = (kind.parts().first(), own.first()) else {
            return Ok(());
        };
        let sql = format!("SELECT * FROM {table} WHERE {column} = ?1");
        let before = self.cells(&sql, row)?;
        let Some(before) = before.first() else {
            self.insert_cells(table, cells)?;
            return match kind {
                Kind::Line => {
                    let sql = "INSERT INTO message_text (rowid, text)
                               SELECT id, text FROM message WHERE id = ?1";
                    self.execute_one(sql, [row])
                }
                // a contact is found with its sessions, of which there are none
                Kind::Contact => {
                    self.execute_one("INSERT INTO contact_book VALUES (?1, NULL)", [row])
                }
                Kind::Greeting | Kind::Event => Ok(()),
            };
        };
        let names = self.columns(table)?;
        let changed = names.iter().zip(before).zip(cells);
        let changed: Vec<(&String, &Cell)> = changed
            .filter(|((_, before), now)| before != now)
            .map(|((name, _), now)| (name, now))
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        if kind == Kind::Line && changed.iter().any(|(name, _)| *name == "text") {
            self.blank_message(row)?;
        }
        let set: Vec<String> = changed
            .iter()
            .map(|(name, _)| format!("{name} = ?"))
            .collect();
        let sql = format!("UPDATE {table} SET {} WHERE {column} = ?", set.join(", "));
        let key = Cell::Int(row);
        let values = changed.iter().map(|(_, cell)| *cell).chain([&key]);
        self.execute_text(&sql, rusqlite::params_from_iter(values))?;
        Ok(())
    }

    fn insert_cells(&mut self, table: &str, cells: &[Cell]) -> Result<()> {
        let places = vec!["?"; cells.len()].join(", ");
        let sql = format!("INSERT INTO {table} VALUES ({places})");
        self.execute_text(&sql, rusqlite::params_from_iter(cells))?;
        Ok(())
    }
}

/// What a greeting says.
fn greeted(record: &Record) -> Applied {
    let cell = record.tables.first().and_then(|rows| rows.first()?.first());
    match cell {
        Some(Cell::Blob(era)) => match Era::try_from(era.as_slice()) {
            Ok(era) => Applied::Greeting {
                readable: record.row == u64::from(SCHEMA_VERSION),
                era,
            },
            Err(_) => Applied::No,
        },
        _ => Applied::No,
    }
}
