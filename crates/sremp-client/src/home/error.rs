//! Why a home cannot be made or opened, in words that a user can act on.

use std::{io, path::PathBuf};

use crate::{
    config::ConfigError,
    store::StoreError,
    view::{CommandError, ErrorKind},
};

/// Why a home cannot be made, locked or opened. Nothing was changed.
#[derive(Debug)]
pub enum HomeError {
    /// There is no home there.
    NotFound(PathBuf),
    /// There is a home there already.
    Exists(PathBuf),
    /// There is something else there.
    Occupied(PathBuf),
    /// Another process has locked the home.
    InUse {
        /// That process, if it left its number.
        pid: Option<u32>,
    },
    /// Another process uses a home of the same identity.
    CopyInUse {
        /// That process, if it left its number.
        pid: Option<u32>,
    },
    /// Another process uses a home of the identity that was to be restored.
    OriginalInUse {
        /// That process, if it left its number.
        pid: Option<u32>,
    },
    /// The passphrase is not the one of this home, or the key file was changed.
    WrongPassphrase,
    /// The home has a passphrase and none was given.
    PassphraseNeeded,
    /// A passphrase of no characters is none.
    EmptyPassphrase,
    /// A newer version of the program wrote this home.
    NewerVersion {
        /// What has the newer version.
        what: &'static str,
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// A file of the home is not as it was written.
    Damaged(&'static str),
    /// No room is left on the disk.
    DiskFull,
    /// The home or the place for it cannot be written.
    ReadOnly(PathBuf),
    /// The identity has moved elsewhere with the backup in this file.
    Moved(String),
    /// There is a file where a backup was to be written.
    BackupExists(PathBuf),
    /// The file is no backup, or not there.
    NoBackup(PathBuf),
    /// The backup is not as it was written.
    DamagedBackup(PathBuf),
    /// The home noted no changes that a screen of it could follow.
    NoScreen,
    /// It is not known where the home of a screen is.
    Nowhere,
    /// The config file does not make sense.
    Config(PathBuf, ConfigError),
    /// The system failed.
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The store failed in another way.
    Store(StoreError),
}

impl std::fmt::Display for HomeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound(path) => write!(
                f,
                "there is no SREMP home at {}: make one with `sremp init`, or name another with --home",
                path.display()
            ),
            Self::Exists(path) => write!(
                f,
                "there is a SREMP home at {} already, which is left as it is: use it, or name another place with --home",
                path.display()
            ),
            Self::Occupied(path) => write!(
                f,
                "{} holds other files: name an empty or new directory with --home",
                path.display()
            ),
            Self::CopyInUse { pid } => {
                f.write_str("another home of the same identity is in use")?;
                if let Some(pid) = pid {
                    write!(f, " by process {pid}")?;
                }
                f.write_str(": a copy must not be used beside it; end the other first")
            }
            Self::OriginalInUse { pid } => {
                f.write_str("a home of this identity is in use on this machine")?;
                if let Some(pid) = pid {
                    write!(f, " by process {pid}")?;
                }
                f.write_str(
                    ", nothing was restored: an identity lives once; end that process first, or make a home that only shows the other with --screen",
                )
            }
            Self::InUse { pid: Some(pid) } => write!(
                f,
                "the home is in use by process {pid}, which cannot be asked: wait until it is done, or end it with `kill {pid}`; nothing is lost"
            ),
            Self::InUse { pid: None } => f.write_str(
                "the home is in use by another process: end it, or wait until it is done",
            ),
            Self::WrongPassphrase => f.write_str(
                "the passphrase does not open this home: try again, with attention to case and keyboard layout",
            ),
            Self::PassphraseNeeded => f.write_str(
                "the home has a passphrase: give it in SREMP_PASSPHRASE, with --passphrase-file, or at the prompt",
            ),
            Self::EmptyPassphrase => f.write_str(
                "an empty passphrase protects nothing: choose one, or say --no-passphrase",
            ),
            Self::NewerVersion { what, found, known } => write!(
                f,
                "{what} of this home has version {found}, this program knows version {known} at most: use the newer program"
            ),
            Self::Damaged(what) => write!(
                f,
                "{what} of this home is damaged, nothing was changed: put back a copy of the home, or check the disk"
            ),
            Self::DiskFull => f.write_str(
                "the disk is full, nothing was saved: make room on the disk of the home and try again",
            ),
            Self::ReadOnly(path) => write!(
                f,
                "{} cannot be written: make its disk and permissions writable and try again",
                path.display()
            ),
            Self::Moved(file) => write!(
                f,
                "this identity has moved elsewhere with the file {file}, and lives once: use it where it is now; to take it back here, `sremp restore {file} --home` with a new directory"
            ),
            Self::BackupExists(path) => write!(
                f,
                "{} is there already and is left as it is: give another name",
                path.display()
            ),
            Self::NoBackup(path) => write!(
                f,
                "{} is no backup that `sremp backup` made: name its file",
                path.display()
            ),
            Self::DamagedBackup(path) => write!(
                f,
                "{} is cut off or damaged, nothing was restored: copy it anew, or take another backup",
                path.display()
            ),
            Self::NoScreen => f.write_str(
                "the home was backed up without a built-in relay, which tells its screens what changes: there, set `sremp config built_in_relay true`, start `sremp up` anew, and make another backup",
            ),
            Self::Nowhere => f.write_str(
                "the backup does not say where its home is reached: say it with --at HOST:PORT",
            ),
            Self::Config(path, error) => {
                write!(f, "{}, {error}: correct it and try again", path.display())
            }
            Self::Io { doing, path, cause } => write!(
                f,
                "{doing} {} failed ({cause}): check the disk and the permissions",
                path.display()
            ),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HomeError {}

impl HomeError {
    /// The error of a system call on a file of the home.
    pub(super) fn io(doing: &'static str, path: &std::path::Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly(path)
            }
            _ => Self::Io { doing, path, cause },
        }
    }

    /// The error of opening the store at a path.
    pub(super) fn store(path: &std::path::Path, error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::DiskFull,
            StoreError::ReadOnly => Self::ReadOnly(path.to_owned()),
            StoreError::Damaged => Self::Damaged("the database"),
            StoreError::InUse => Self::InUse { pid: None },
            StoreError::Newer { found, known } => Self::NewerVersion {
                what: "the database",
                found,
                known,
            },
            other => Self::Store(other),
        }
    }
}

impl From<HomeError> for CommandError {
    fn from(error: HomeError) -> Self {
        let kind = match &error {
            HomeError::WrongPassphrase
            | HomeError::PassphraseNeeded
            | HomeError::EmptyPassphrase => ErrorKind::Passphrase,
            HomeError::DiskFull | HomeError::ReadOnly(_) | HomeError::Io { .. } => {
                ErrorKind::Storage
            }
            HomeError::Config(..)
            | HomeError::BackupExists(_)
            | HomeError::NoBackup(_)
            | HomeError::NoScreen
            | HomeError::Nowhere => ErrorKind::Usage,
            HomeError::Store(store) => return store.clone().into(),
            HomeError::NotFound(_)
            | HomeError::Exists(_)
            | HomeError::Occupied(_)
            | HomeError::InUse { .. }
            | HomeError::CopyInUse { .. }
            | HomeError::OriginalInUse { .. }
            | HomeError::NewerVersion { .. }
            | HomeError::Moved(_)
            | HomeError::DamagedBackup(_)
            | HomeError::Damaged(_) => ErrorKind::Home,
        };
        Self::new(kind, error.to_string())
    }
}
