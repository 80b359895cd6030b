//! What the screens of this home are told: which rows changed, in order, and the rows as they are now.
//! And on a screen, those rows put in their places.
//!
//! A record is the whole of a contact, a line of a conversation or an event, row by row of its tables.
//! So it may come twice, or late, and nothing is lost by what changed in between.

mod following;
mod record;

use sremp_core::{constants::MAX_ENVELOPE, rand_core::CryptoRng, wire::codec::encode};

pub use self::following::{Applied, ScreenState};
use self::record::{Cell, Kind, Record};
use super::{
    SCHEMA_VERSION, StoreError, Tx,
    column::{Cells as _, saturating},
    error::vendor,
};

type Result<T> = std::result::Result<T, StoreError>;

/// The setting that holds the [`Era`] while changes are noted.
const ERA: &str = "screens.era";

/// Names a time without gaps in the noting of changes: another one begins when noting was off, or with
/// a state that went on elsewhere.
pub type Era = [u8; 16];

/// What a change of each table is a change of; a contact's counters, which move with every message,
/// are none.
const NOTED: [(&str, &str, Kind); 9] = [
    ("contact", "row", Kind::Contact),
    ("timer", "contact", Kind::Contact),
    ("contact_direct", "contact", Kind::Contact),
    ("message", "id", Kind::Line),
    ("message_change", "message", Kind::Line),
    ("message_reply", "message", Kind::Line),
    ("message_expiry", "message", Kind::Line),
    ("reaction", "message", Kind::Line),
    ("event", "seq", Kind::Event),
];

/// A change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number: they rise.
    pub seq: u64,
    kind: u8,
    row: i64,
}

impl Tx<'_> {
    /// From now on changes are noted, or no longer. With `anew` what was noted is not to be gone on from.
    /// The era, if they are noted.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn note_changes(
        &mut self,
        on: bool,
        anew: bool,
        rng: &mut dyn CryptoRng,
    ) -> Result<Option<Era>> {
        let known = self.setting(ERA)?.and_then(|era| Era::try_from(era).ok());
        if known.is_some() && (anew || !on) {
            self.delete_setting(ERA)?;
            self.execute("DELETE FROM change", [])?;
        }
        if !on {
            return Ok(None);
        }
        for (table, column, kind) in NOTED {
            for (when, row) in [("INSERT", "new"), ("UPDATE", "new"), ("DELETE", "old")] {
                self.execute_text(&trigger(table, column, kind, when, row), [])?;
            }
        }
        match known.filter(|_| !anew) {
            Some(era) => Ok(Some(era)),
            None => {
                let mut era = Era::default();
                rng.fill_bytes(&mut era);
                self.set_setting(ERA, &era)?;
                Ok(Some(era))
            }
        }
    }

    /// The number of the last change.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn last_change(&mut self) -> Result<u64> {
        let sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'change'";
        self.one(sql, [], |row| row.count(0))
    }

    /// Puts the events among the changes after a number behind the others: who is told of an event finds
    /// what it tells of in its place.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be written.
    pub fn events_last(&mut self, after: u64) -> Result<()> {
        let sql = "SELECT seq, row FROM change e WHERE kind = 3 AND seq > ?1 AND EXISTS
                   (SELECT 1 FROM change c WHERE c.seq > e.seq AND c.kind <> 3) ORDER BY seq";
        let early = self.list(sql, [saturating(after)], |row| {
            Ok((row.int(0)?, row.int(1)?))
        })?;
        for (seq, row) in early {
            self.execute_one("DELETE FROM change WHERE seq = ?1", [seq])?;
            self.execute_one("INSERT INTO change (kind, row) VALUES (3, ?1)", [row])?;
        }
        Ok(())
    }

    /// Changes after a number, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn changes_after(&mut self, after: u64, limit: usize) -> Result<Vec<Change>> {
        let sql = "SELECT seq, kind, row FROM change WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.list(sql, [saturating(after), limit], |row| {
            Ok(Change {
                seq: row.count(0)?,
                kind: u8::try_from(row.int(1)?).map_err(|_| StoreError::Damaged)?,
                row: row.int(2)?,
            })
        })
    }

    /// The record that comes before all others.
    pub fn greeting(era: &Era) -> Vec<u8> {
        encode(&Record {
            kind: Kind::Greeting.code(),
            row: SCHEMA_VERSION.into(),
            tables: vec![vec![vec![Cell::Blob(era.to_vec())]]],
        })
    }

    /// The records of a change, to be told in this order: a line follows its contact, if that comes
    /// only later. None if one is too large to be told.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn records(&mut self, change: &Change) -> Result<Vec<Vec<u8>>> {
        let Some(kind) = Kind::of(change.kind) else {
            return Ok(Vec::new());
        };
        let mut records = Vec::with_capacity(2);
        if kind == Kind::Line {
            let sql = "SELECT contact FROM message JOIN change c ON c.kind = 1 AND c.row = contact
                       WHERE id = ?1 AND c.seq > ?2";
            let later = [change.row, saturating(change.seq)];
            if let Some(contact) = self.get(sql, later, |row| row.int(0))? {
                records.push(self.record(Kind::Contact, contact)?);
            }
        }
        records.push(self.record(kind, change.row)?);
        let fits = records.iter().all(|record| record.len() <= MAX_ENVELOPE);
        Ok(if fits { records } else { Vec::new() })
    }

    fn record(&mut self, kind: Kind, row: i64) -> Result<Vec<u8>> {
        let mut tables = Vec::new();
        for (table, column) in kind.parts() {
            let sql = format!("SELECT * FROM {table} WHERE {column} = ?1");
            tables.push(self.cells(&sql, row)?);
        }
        if tables.first().is_none_or(Vec::is_empty) {
            tables.clear();
        }
        Ok(encode(&Record {
            kind: kind.code(),
            row: row.cast_unsigned(),
            tables,
        }))
    }

    fn cells(&mut self, sql: &str, row: i64) -> Result<Vec<Vec<Cell>>> {
        self.run(|conn| {
            let mut statement = conn.prepare_cached(sql).map_err(vendor)?;
            let columns = statement.column_count();
            let mut rows = statement.query([row]).map_err(vendor)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next().map_err(vendor)? {
                let cells = (0..columns).map(|at| Cell::of(row.get_ref(at).map_err(vendor)?));
                found.push(cells.collect::<Result<_>>()?);
            }
            Ok(found)
        })
    }
}

/// A trigger of this connection alone: none without a built-in relay pays for it.
fn trigger(table: &str, column: &str, kind: Kind, when: &str, row: &str) -> String {
    // a conflict clause in here would be overruled by that of the statement outside
    format!(
        "CREATE TEMP TRIGGER IF NOT EXISTS note_{table}_{when} AFTER {when} ON main.{table} BEGIN
            DELETE FROM change WHERE kind = {kind} AND row = {row}.{column};
            INSERT INTO change (kind, row) VALUES ({kind}, {row}.{column});
         END",
        kind = kind.code()
    )
}

#[cfg(test)]
mod tests {
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
    use sremp_core::{
        id::{ContactId, MsgId},
        identity::{SecretIdentity, Username},
        key::NoiseSecret,
        time::UnixMillis,
        wire::codec::decode_exact,
    };

    use super::*;
    use crate::{
        store::{ContactRow, EVENTS_KEPT, NewContact, NewMessage, Store},
        view::{MessageKind, Standing},
    };

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::from_seed([1; 32])
    }

    fn key(n: u8) -> ContactId {
        let name = Username::parse("ann").unwrap();
        let noise_key = NoiseSecret::from_bytes(&[3; 32]);
        SecretIdentity::from_keys(&[n; 32], noise_key, &name, UnixMillis::ZERO).id()
    }

    fn done<T>(store: &mut Store, work: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> T {
        store.transaction(work).unwrap()
    }

    fn contact(tx: &mut Tx<'_>, n: u8) -> Result<ContactRow> {
        let new = NewContact {
            key: key(n),
            alias: None,
            standing: Standing::Accepted,
            first_seen: UnixMillis::ZERO,
        };
        tx.insert_contact(&new)
    }

    fn line(tx: &mut Tx<'_>, contact: ContactRow, n: u8, text: &str) -> Result<i64> {
        let new = NewMessage {
            contact,
            msg_id: Some(MsgId::new([n; MsgId::LEN])),
            kind: MessageKind::Received,
            seq: n.into(),
            text,
            sent: UnixMillis::ZERO,
            received: None,
            status: None,
            path: None,
        };
        Ok(tx.insert_message(&new)?.unwrap())
    }

    /// A home that notes its changes, and a copy of it that does not.
    fn two() -> (Store, Store) {
        let mut home = Store::in_memory().unwrap();
        done(&mut home, |tx| contact(tx, 1));
        let copy = home.copy().unwrap();
        done(&mut home, |tx| tx.note_changes(true, false, &mut rng()));
        (home, copy)
    }

    fn told(home: &mut Store, after: u64) -> Vec<Vec<u8>> {
        done(home, |tx| {
            let changes = tx.changes_after(after, 1_000)?;
            let records = changes.iter().map(|change| tx.records(change));
            Ok(records.collect::<Result<Vec<_>>>()?.concat())
        })
    }

    fn apply(copy: &mut Store, records: &[Vec<u8>]) {
        done(copy, |tx| {
            for record in records {
                assert_eq!(tx.apply(record)?, Applied::Yes);
            }
            Ok(())
        });
    }

    fn texts(store: &mut Store, contact: ContactRow) -> Vec<String> {
        let lines = done(store, |tx| tx.history(contact, None, 100));
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_row_that_changes_again_is_told_once_as_it_is_now() {
        let (mut home, mut copy) = two();
        let row = done(&mut home, |tx| tx.contact_row(&key(1))).unwrap();
        let id = done(&mut home, |tx| line(tx, row, 1, "first"));
        done(&mut home, |tx| line(tx, row, 2, "second"));
        done(&mut home, |tx| {
            tx.edit_message(id, "changed", 3, UnixMillis::ZERO, None)
        });
        let records = told(&mut home, 0);
        assert_eq!(records.len(), 2);
        apply(&mut copy, &records);
        assert_eq!(texts(&mut copy, row), ["changed", "second"]);
        apply(&mut copy, &records);
        assert_eq!(
            texts(&mut copy, row),
            ["changed", "second"],
            "also when it comes twice"
        );
        copy.integrity_check().unwrap();
    }

    #[test]
    fn what_is_gone_goes_from_text_and_index_and_lines_may_change_places() {
        let (mut home, mut copy) = two();
        let row = done(&mut home, |tx| tx.contact_row(&key(1))).unwrap();
        for n in [1, 9, 8, 7, 6] {
            done(&mut home, |tx| line(tx, row, n, &format!("word{n}")));
        }
        let upto = done(&mut home, |tx| tx.last_change());
        apply(&mut copy, &told(&mut home, 0));
        // so many between two others that those behind are spread anew
        for n in (20..60).rev() {
            done(&mut home, |tx| line(tx, row, n, &format!("word{n}")));
        }
        done(&mut home, |tx| {
            tx.execute("DELETE FROM message WHERE seq = 9", [])
        });
        // one by one, and the last of two neighbours first
        let mut records = told(&mut home, upto);
        records.reverse();
        apply(&mut copy, &records);
        let mut again = told(&mut home, upto);
        apply(&mut copy, &again);
        again.clear();
        assert_eq!(texts(&mut copy, row), texts(&mut home, row));
        // two that take each other's places
        let upto = done(&mut home, |tx| tx.last_change());
        let places = done(&mut home, |tx| {
            let sql = "SELECT position FROM message WHERE seq IN (6, 7) ORDER BY seq";
            tx.list(sql, [], |row| row.int(0))
        });
        for (place, seq) in [(-1, 6), (places[0], 7), (places[1], 6)] {
            let sql = "UPDATE message SET position = ?1 WHERE seq = ?2";
            done(&mut home, |tx| tx.execute(sql, [place, seq]));
        }
        apply(&mut copy, &told(&mut home, upto));
        assert_eq!(texts(&mut copy, row), texts(&mut home, row));
        let found = done(&mut copy, |tx| tx.search("word9", 10));
        assert!(found.is_empty());
        assert_eq!(done(&mut copy, |tx| tx.search("word25", 10)).len(), 1);
        copy.integrity_check().unwrap();
    }

    #[test]
    fn a_line_comes_after_its_contact_whenever_that_changed() {
        let (mut home, mut copy) = two();
        let row = done(&mut home, |tx| contact(tx, 2));
        done(&mut home, |tx| line(tx, row, 1, "hello"));
        // the contact's change is behind that of its line now
        done(&mut home, |tx| {
            tx.execute("UPDATE contact SET alias = 'two' WHERE row = 2", [])
        });
        let records = told(&mut home, 0);
        assert_eq!(records.len(), 3, "the contact is told twice");
        apply(&mut copy, &records);
        assert_eq!(texts(&mut copy, row), ["hello"]);
        let names = done(&mut copy, |tx| tx.contact_names());
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn events_are_told_after_what_they_tell_of() {
        let (mut home, _) = two();
        let row = done(&mut home, |tx| tx.contact_row(&key(1))).unwrap();
        let before = done(&mut home, |tx| tx.last_change());
        done(&mut home, |tx| {
            tx.append_event("{}", UnixMillis::ZERO)?;
            line(tx, row, 1, "later")?;
            tx.append_event("{}", UnixMillis::ZERO)?;
            tx.events_last(before)
        });
        let kinds = done(&mut home, |tx| tx.changes_after(before, 10));
        let kinds: Vec<u8> = kinds.into_iter().map(|change| change.kind).collect();
        assert_eq!(kinds, [2, 3, 3]);
    }

    #[test]
    fn events_that_are_not_kept_leave_nothing_to_be_told() {
        let (mut home, _) = two();
        done(&mut home, |tx| {
            for _ in 0..EVENTS_KEPT + 5 {
                tx.append_event("{}", UnixMillis::ZERO)?;
            }
            let last = tx.last_event()?;
            tx.acknowledge(last)
        });
        let noted = done(&mut home, |tx| tx.changes_after(0, usize::MAX));
        assert_eq!(noted.len() as u64, EVENTS_KEPT);
    }

    #[test]
    fn an_era_ends_when_changes_are_not_noted_or_not_to_be_gone_on_from() {
        fn note(home: &mut Store, on: bool, anew: bool) -> Option<Era> {
            let mut rng = ChaCha20Rng::seed_from_u64(done(home, |tx| tx.last_change()));
            done(home, |tx| {
                let era = tx.note_changes(on, anew, &mut rng)?;
                tx.append_event("{}", UnixMillis::ZERO)?;
                Ok(era)
            })
        }
        let mut home = Store::in_memory().unwrap();
        let first = note(&mut home, true, false);
        assert!(first.is_some());
        assert_eq!(note(&mut home, true, false), first);
        assert_eq!(note(&mut home, false, false), None);
        let second = note(&mut home, true, false);
        assert_ne!(second, first);
        let before = done(&mut home, |tx| tx.last_change());
        let third = note(&mut home, true, true);
        assert!(third.is_some() && third != second);
        let noted = done(&mut home, |tx| tx.changes_after(0, 10));
        let noted: Vec<u64> = noted.into_iter().map(|change| change.seq).collect();
        assert_eq!(noted, [before + 1], "nothing of before");
    }

    #[test]
    fn nothing_is_taken_that_is_not_a_record_of_these_tables() {
        let (mut home, mut copy) = two();
        let row = done(&mut home, |tx| tx.contact_row(&key(1))).unwrap();
        done(&mut home, |tx| line(tx, row, 1, "hello"));
        let good = told(&mut home, 0).remove(0);
        let record: Record = decode_exact(&good, MAX_ENVELOPE).unwrap();
        let with = |change: &dyn Fn(&mut Record)| {
            let mut record = record.clone();
            change(&mut record);
            encode(&record)
        };
        let bad = [
            Vec::new(),
            good[1..].to_vec(),
            [good.as_slice(), &[0]].concat(),
            with(&|r| r.kind = 9),
            with(&|r| r.row += 1),
            with(&|r| r.tables.truncate(1)),
            with(&|r| r.tables[0].clear()),
            with(&|r| {
                r.tables[0][0].pop();
            }),
            with(&|r| {
                let twice = r.tables[0][0].clone();
                r.tables[0].push(twice);
            }),
            // of a contact that is not there
            with(&|r| r.tables[0][0][1] = Cell::Int(77)),
            // a greeting without an era
            with(&|r| r.kind = 0),
        ];
        for record in &bad {
            assert_eq!(done(&mut copy, |tx| tx.apply(record)), Applied::No);
        }
        assert!(texts(&mut copy, row).is_empty());
        let era = [7; 16];
        let greeting = Tx::greeting(&era);
        let applied = done(&mut copy, |tx| tx.apply(&greeting));
        assert_eq!(
            applied,
            Applied::Greeting {
                readable: true,
                era
            }
        );
        apply(&mut copy, std::slice::from_ref(&good));
        // nor does a changed one do harm, whether it is one still or not
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1 << (at % 8);
            let _ = copy.transaction(|tx| tx.apply(&changed));
        }
        copy.integrity_check().unwrap();
    }
}
