//! A backup: one file that the home's passphrase opens, made while the client runs (D3.13).
//!
//! ```text
//! SREMP backup 01⏎     16 bytes
//! length of the key file, u32 little-endian
//! the key file, as in the home (key_file.rs)
//! the database, encrypted under the same key
//! ```
//!
//! The database holds the identity key, contacts, settings and history. Sessions, prekeys, finished
//! envelopes and the noise key are not in it: a ratchet that goes on from an older state uses keys
//! twice. Whoever restores it begins every session anew.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use sremp_core::rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{DATABASE, Home, HomeError, KEY, Passphrase, create, key_file};
use crate::store::{Store, StoreError};

const MAGIC: &[u8; 16] = b"SREMP backup 01\n";
/// Beginning of the name of a copy that is being made, in the home.
const COPY: &str = "backup-";
/// Bytes moved at a time.
const CHUNK: usize = 256 * 1024;

/// A backup whose pages are copied: the store is not needed any more.
pub(crate) struct Copied {
    copy: PathBuf,
    key: crate::store::DatabaseKey,
    key_file: Zeroizing<String>,
    config: String,
    to: PathBuf,
    done: bool,
}

impl Drop for Copied {
    fn drop(&mut self) {
        remove_database(&self.copy);
        if !self.done {
            let _ = fs::remove_file(part(&self.to));
            let _ = fs::remove_file(&self.to);
        }
    }
}

impl Home {
    /// Copies the pages of the open store of this home for a backup.
    ///
    /// # Errors
    /// [`HomeError::BackupExists`] if there is a file of this name, or what the disk said; nothing is
    /// left behind.
    pub(crate) fn copy_for_backup<R: CryptoRng + ?Sized>(
        &self,
        store: &Store,
        to: &Path,
        rng: &mut R,
    ) -> Result<Copied, HomeError> {
        let key = store.key().ok_or(HomeError::Damaged("the key"))?.clone();
        let key_file = self.key_file()?;
        let config = self.config_text()?;
        reserve(to)?;
        let copied = Copied {
            copy: self.path.join(format!("{COPY}{:016x}", rng.next_u64())),
            key,
            key_file,
            config,
            to: to.to_owned(),
            done: false,
        };
        create::file(&copied.copy, b"")?;
        store
            .copy_to(&copied.copy)
            .map_err(|e| HomeError::store(&copied.copy, e))?;
        Ok(copied)
    }

    /// Removes copies that a process left which did not end well.
    pub(super) fn remove_copies(&self) {
        let Ok(entries) = fs::read_dir(&self.path) else {
            return;
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(COPY) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Makes a home of a backup. All of it is durable when this returns; after an error nothing is
    /// left behind.
    ///
    /// # Errors
    /// [`HomeError::NoBackup`], [`HomeError::WrongPassphrase`], [`HomeError::Exists`],
    /// [`HomeError::Occupied`], [`HomeError::NewerVersion`], [`HomeError::Damaged`], or what the disk
    /// said.
    pub fn restore<R: CryptoRng + ?Sized>(
        &self,
        from: &Path,
        passphrase: &Passphrase,
        rng: &mut R,
    ) -> Result<(), HomeError> {
        let mut file = File::open(from).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => HomeError::NoBackup(from.to_owned()),
            _ => HomeError::io("reading", from, e),
        })?;
        let key_text = read_head(&mut file).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                HomeError::NoBackup(from.to_owned())
            }
            _ => HomeError::io("reading", from, e),
        })?;
        let key = key_file::read(&key_text, passphrase)?;
        create::in_one_step(&self.path, rng, |draft, _| {
            create::file(&draft.join(KEY), key_text.as_bytes())?;
            let database = draft.join(DATABASE);
            copy_rest(&mut file, &database)?;
            let config =
                finish(&database, &key).map_err(|e| match HomeError::store(&database, e) {
                    HomeError::Damaged(_) => HomeError::DamagedBackup(from.to_owned()),
                    error => error,
                })?;
            create::file(&draft.join(super::CONFIG), config.as_bytes())
        })
    }
}

impl Copied {
    /// Takes out what must not be used twice and writes the file. Its name stands for a whole backup
    /// from then on. Tells its length.
    ///
    /// # Errors
    /// [`HomeError`] as the disk said; nothing is left behind.
    pub(crate) fn finish(mut self) -> Result<u64, HomeError> {
        let stripped =
            Store::open(&self.copy, &self.key).and_then(|mut copy| copy.strip(&self.config));
        stripped.map_err(|e| HomeError::store(&self.copy, e))?;
        let part = part(&self.to);
        let written = self.write(&part);
        written.map_err(|e| HomeError::io("writing", &part, e))?;
        create::move_over(&part, &self.to)?;
        self.done = true;
        Ok(fs::metadata(&self.to).map_or(0, |meta| meta.len()))
    }

    fn write(&self, part: &Path) -> io::Result<()> {
        // of a backup that was broken off
        let _ = fs::remove_file(part);
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(part)?;
        let mut to = BufWriter::with_capacity(CHUNK, file);
        let length = u32::try_from(self.key_file.len()).map_err(io::Error::other)?;
        to.write_all(MAGIC)?;
        to.write_all(&length.to_le_bytes())?;
        to.write_all(self.key_file.as_bytes())?;
        io::copy(&mut File::open(&self.copy)?, &mut to)?;
        to.into_inner()?.sync_all()
    }
}

/// Takes the name, so that two backups at once do not write over each other.
fn reserve(to: &Path) -> Result<(), HomeError> {
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(to);
    match made {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            Err(HomeError::BackupExists(to.to_owned()))
        }
        Err(e) => Err(HomeError::io("making", to, e)),
    }
}

fn part(to: &Path) -> PathBuf {
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    part.into()
}

fn remove_database(path: &Path) {
    let _ = fs::remove_file(path);
    for beside in ["-wal", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(beside);
        let _ = fs::remove_file(PathBuf::from(name));
    }
}

/// The key file of a backup; its database is what follows.
fn read_head(file: &mut File) -> io::Result<Zeroizing<String>> {
    let mut head = [0; MAGIC.len() + 4];
    file.read_exact(&mut head)?;
    let (magic, length) = head.split_at(MAGIC.len());
    let length = length.try_into().map_or(0, u32::from_le_bytes);
    if magic != MAGIC || u64::from(length) > key_file::MAX_KEY_FILE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = Zeroizing::new(String::new());
    file.take(u64::from(length)).read_to_string(&mut text)?;
    if text.len() as u64 == u64::from(length) {
        Ok(text)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn copy_rest(from: &mut File, to: &Path) -> Result<(), HomeError> {
    create::file(to, b"")?;
    let copied = OpenOptions::new().write(true).open(to).and_then(|mut out| {
        io::copy(from, &mut out)?;
        out.sync_all()
    });
    copied.map_err(|e| HomeError::io("writing", to, e))
}

/// Checks every page; the text of the config file.
fn finish(database: &Path, key: &crate::store::DatabaseKey) -> Result<String, StoreError> {
    let mut store = Store::open(database, key)?;
    store.integrity_check()?;
    let config = store.transaction(|tx| tx.take_backup_config())?;
    store.checkpoint()?;
    config.ok_or(StoreError::Damaged)
}
