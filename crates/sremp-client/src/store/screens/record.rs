//! A record: a row with all that hangs on it, as a screen is told of it.

use rusqlite::{
    ToSql,
    types::{ToSqlOutput, Value, ValueRef},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Result;
use crate::store::StoreError;

/// What a record is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Which era and which schema the records are of: before all others.
    Greeting,
    Contact,
    Line,
    Event,
}

/// A table, and the column by which its rows belong to a record.
pub(super) type Part = (&'static str, &'static str);

impl Kind {
    const ALL: [Self; 4] = [Self::Greeting, Self::Contact, Self::Line, Self::Event];

    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Greeting => 0,
            Self::Contact => 1,
            Self::Line => 2,
            Self::Event => 3,
        }
    }

    pub(super) fn of(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The first is the table whose row has the record's number; the others hang on it.
    pub(super) const fn parts(self) -> &'static [Part] {
        match self {
            Self::Greeting => &[],
            Self::Contact => &[
                ("contact", "row"),
                ("contact_flow", "contact"),
                ("timer", "contact"),
                ("contact_direct", "contact"),
            ],
            Self::Line => &[
                ("message", "id"),
                ("message_change", "message"),
                ("message_reply", "message"),
                ("message_expiry", "message"),
                ("reaction", "message"),
            ],
            Self::Event => &[("event", "seq")],
        }
    }
}

/// A value of a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// What a screen is told at once: SMP1 `[kind u8, row u64, tables]`, where `tables` is a list of lists
/// of rows, and empty for what is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) kind: u8,
    pub(super) row: u64,
    pub(super) tables: Vec<Vec<Vec<Cell>>>,
}

impl Cell {
    pub(super) fn of(value: ValueRef<'_>) -> Result<Self> {
        match value {
            ValueRef::Null => Ok(Self::Null),
            ValueRef::Integer(n) => Ok(Self::Int(n)),
            ValueRef::Text(text) => {
                let text = std::str::from_utf8(text).map_err(|_| StoreError::Damaged)?;
                Ok(Self::Text(text.to_owned()))
            }
            ValueRef::Blob(bytes) => Ok(Self::Blob(bytes.to_vec())),
            ValueRef::Real(_) => Err(StoreError::Damaged),
        }
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Int(n) => ToSqlOutput::Owned(Value::Integer(*n)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Int(n) => to.serialize_i64(*n),
            Self::Text(text) => to.serialize_str(text),
            Self::Blob(bytes) => to.serialize_bytes(bytes),
        }
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Any;

        impl de::Visitor<'_> for Any {
            type Value = Cell;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("nil, an integer, a text or bytes")
            }

            fn visit_unit<E>(self) -> std::result::Result<Cell, E> {
                Ok(Cell::Null)
            }

            fn visit_i64<E>(self, n: i64) -> std::result::Result<Cell, E> {
                Ok(Cell::Int(n))
            }

            fn visit_u64<E: de::Error>(self, n: u64) -> std::result::Result<Cell, E> {
                i64::try_from(n).map(Cell::Int).map_err(E::custom)
            }

            fn visit_str<E>(self, text: &str) -> std::result::Result<Cell, E> {
                Ok(Cell::Text(text.to_owned()))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> std::result::Result<Cell, E> {
                Ok(Cell::Blob(bytes.to_vec()))
            }
        }

        from.deserialize_any(Any)
    }
}
