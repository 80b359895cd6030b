//! One process at a time.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::HomeError;

/// The right to open a home; given back on drop, and by the system when the process ends.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
    home: PathBuf,
}

impl HomeLock {
    /// Whether this is the lock of that home.
    pub(super) fn is_of(&self, home: &Path) -> bool {
        self.home == home
    }

    pub(super) fn take(home: &Path, path: &Path) -> Result<Self, HomeError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|e| HomeError::io("opening", path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let read = (&file).take(20).read_to_string(&mut text);
                let pid = read.ok().and_then(|_| text.trim().parse().ok());
                return Err(HomeError::InUse { pid });
            }
            Err(TryLockError::Error(e)) => return Err(HomeError::io("locking", path, e)),
        }
        // only for the message that others get: a full disk must not keep anybody from reading
        let _ = file.set_len(0);
        let _ = write!(file, "{}", std::process::id());
        Ok(Self {
            _file: file,
            home: home.to_owned(),
        })
    }
}
