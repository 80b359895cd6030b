//! What can go wrong in the store, in words that a user can act on.

use rusqlite::ErrorCode as Code;

use crate::view::{CommandError, ErrorKind};

/// Why the store did not do what was asked. Nothing of the transaction was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// No room is left on the disk; the store goes on once there is.
    Full,
    /// The disk or the file refuses to be written.
    ReadOnly,
    /// The database is not what was written: changed, cut off, or not of this key.
    Damaged,
    /// Another process has the database open.
    InUse,
    /// The database was written by a newer version.
    Newer {
        /// Version of the database.
        found: u32,
        /// Newest version known here.
        known: u32,
    },
    /// The audit: this message key has already encrypted another envelope.
    KeyReused,
    /// An earlier write failed in a way after which the operating system's word is no longer good;
    /// the home has to be opened again.
    Stopped,
    /// The disk failed while reading or writing.
    Io(String),
    /// A mistake in the program: a row that is not there, a value out of range.
    Other(String),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => f.write_str(
                "the disk is full, nothing was saved: make room on the disk of the home and try again",
            ),
            Self::ReadOnly => f.write_str(
                "the home cannot be written, nothing was saved: make its disk and files writable and try again",
            ),
            Self::Damaged => f.write_str(
                "the database is damaged, nothing was changed: put back a copy of the home, or check the disk",
            ),
            Self::InUse => f.write_str(
                "the database is open in another process: end that process and try again",
            ),
            Self::Newer { found, known } => write!(
                f,
                "the database has version {found}, this program knows version {known} at most: use the newer program"
            ),
            Self::KeyReused => f.write_str(
                "a message key was about to be used twice, nothing was saved or sent: restore the newest copy of the home",
            ),
            Self::Stopped => f.write_str(
                "an earlier write to the disk failed, nothing more is saved: check the disk and start again",
            ),
            Self::Io(cause) => write!(
                f,
                "the disk failed ({cause}), nothing was saved: check the disk and start again"
            ),
            Self::Other(cause) => write!(f, "the store refused a change, nothing was saved: {cause}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let kind = match error {
            StoreError::Full | StoreError::ReadOnly | StoreError::Stopped | StoreError::Io(_) => {
                ErrorKind::Storage
            }
            StoreError::Damaged | StoreError::InUse | StoreError::Newer { .. } => ErrorKind::Home,
            StoreError::KeyReused | StoreError::Other(_) => ErrorKind::Failed,
        };
        Self::new(kind, error.to_string())
    }
}

/// The error of a library call. Its own text is not passed on where it may quote SQL, and SQL is
/// how the key is given.
pub(super) fn vendor(error: rusqlite::Error) -> StoreError {
    use rusqlite::Error as E;
    match error {
        E::SqliteFailure(failure, _) | E::SqlInputError { error: failure, .. } => code(failure),
        E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::InvalidColumnType(..)
        | E::Utf8Error(..) => StoreError::Damaged,
        E::QueryReturnedNoRows => StoreError::Other("a row is missing".into()),
        _ => StoreError::Other("the database was used wrongly".into()),
    }
}

fn code(failure: rusqlite::ffi::Error) -> StoreError {
    /// `SQLITE_IOERR_SHORT_READ` and `SQLITE_IOERR_CORRUPTFS`: bytes that should be there are not.
    const SHORT_READ: i32 = 10 | 2 << 8;
    const CORRUPT_FS: i32 = 10 | 33 << 8;
    match failure.code {
        Code::DiskFull => StoreError::Full,
        Code::ReadOnly | Code::PermissionDenied => StoreError::ReadOnly,
        Code::DatabaseCorrupt | Code::NotADatabase => StoreError::Damaged,
        Code::DatabaseBusy | Code::DatabaseLocked => StoreError::InUse,
        Code::SystemIoFailure if matches!(failure.extended_code, SHORT_READ | CORRUPT_FS) => {
            StoreError::Damaged
        }
        Code::SystemIoFailure | Code::CannotOpen => {
            StoreError::Io(format!("SQLite code {}", failure.extended_code))
        }
        Code::TooBig => StoreError::Other("a value is too long".into()),
        Code::ConstraintViolation => StoreError::Other(format!(
            "it breaks a rule of the database, SQLite code {}",
            failure.extended_code
        )),
        _ => StoreError::Other(format!("SQLite code {}", failure.extended_code)),
    }
}
