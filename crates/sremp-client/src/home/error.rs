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
    /// What is there, or above it, is no directory.
    NoDirectory(PathBuf),
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
    /// The passphrase is not the one of the home that this backup was made of, or its key file was
    /// changed.
    WrongBackupPassphrase(PathBuf),
    /// The home or the backup has a passphrase and none was given.
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
    /// No room is left on the disk that this backup was to be written on.
    BackupDiskFull(PathBuf),
    /// The file may not be read by this user.
    Unreadable(PathBuf),
    /// The home or the place for it cannot be written.
    ReadOnly(PathBuf),
    /// The identity has moved elsewhere with the backup in this file.
    Moved(String),
    /// There is a file where a backup was to be written.
    BackupExists(PathBuf),
    /// A backup was to be written into the home itself.
    BackupInHome(PathBuf),
    /// The name of the file that a backup is written into first is too long.
    LongName(PathBuf),
    /// The file is no backup.
    NoBackup(PathBuf),
    /// There is no such file.
    NoFile(PathBuf),
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
            Self::NoDirectory(path) => write!(
                f,
                "{} is a file and not a directory: name an empty or new directory with --home",
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
            Self::WrongBackupPassphrase(path) => write!(
                f,
                "the passphrase does not open the backup {}: try again with the one that the home had when it was made, or take another backup if this one may be damaged",
                path.display()
            ),
            Self::PassphraseNeeded => f.write_str(
                "a passphrase is needed: give it in SREMP_PASSPHRASE, with --passphrase-file, or at the prompt",
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
            Self::BackupDiskFull(path) => write!(
                f,
                "the backup could not be written, no room is left on the disk of {}: free space there or choose another place",
                path.display()
            ),
            Self::Unreadable(path) => write!(
                f,
                "{} cannot be read by this user: change its permissions and try again",
                path.display()
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
            Self::BackupInHome(path) => write!(
                f,
                "{} would be in the home itself, which may remove it and is lost with it: give a place outside of the home",
                path.display()
            ),
            Self::LongName(path) => write!(
                f,
                "the name {} is too long for a file, and a backup is written under it first: give a name of at most 250 bytes",
                path.display()
            ),
            Self::NoFile(path) => write!(
                f,
                "there is no file {}: name the one that `sremp backup` wrote",
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

    /// The error of reading a file.
    pub(super) fn reading(path: &std::path::Path, cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::PermissionDenied => Self::Unreadable(path.to_owned()),
            _ => Self::io("reading", path, cause),
        }
    }

    /// The error, when what could not be written was this backup: its disk may be another one than the
    /// home's.
    pub(super) fn writing_backup(self, path: &std::path::Path) -> Self {
        match self {
            Self::DiskFull => Self::BackupDiskFull(path.to_owned()),
            error => error,
        }
    }

    /// The error, when what was read was in this backup: of a home there is nothing to put back.
    pub(super) fn reading_backup(self, path: &std::path::Path) -> Self {
        match self {
            Self::Damaged(_) => Self::DamagedBackup(path.to_owned()),
            Self::WrongPassphrase => Self::WrongBackupPassphrase(path.to_owned()),
            error => error,
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
            | HomeError::WrongBackupPassphrase(_)
            | HomeError::PassphraseNeeded
            | HomeError::EmptyPassphrase => ErrorKind::Passphrase,
            HomeError::DiskFull
            | HomeError::BackupDiskFull(_)
            | HomeError::Unreadable(_)
            | HomeError::ReadOnly(_)
            | HomeError::Io { .. } => ErrorKind::Storage,
            HomeError::Config(..)
            | HomeError::BackupExists(_)
            | HomeError::BackupInHome(_)
            | HomeError::LongName(_)
            | HomeError::NoBackup(_)
            | HomeError::NoFile(_)
            | HomeError::NoScreen
            | HomeError::Nowhere => ErrorKind::Usage,
            HomeError::Store(store) => return store.clone().into(),
            HomeError::NotFound(_)
            | HomeError::Exists(_)
            | HomeError::Occupied(_)
            | HomeError::NoDirectory(_)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_may_not_be_read_is_not_told_as_what_cannot_be_written() {
        let path = Path::new("/backup");
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let told = CommandError::from(HomeError::reading(path, denied()));
        assert_eq!(told.kind, ErrorKind::Storage);
        assert!(told.message.starts_with("/backup cannot be read"), "{told}");
        let told = CommandError::from(HomeError::io("making", path, denied()));
        assert!(
            told.message.starts_with("/backup cannot be written"),
            "{told}"
        );
    }
}
