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
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufWriter, Read, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use sremp_core::{contact_card::Endpoint, rand_core::CryptoRng};
use zeroize::Zeroizing;

use super::{DATABASE, Home, HomeError, KEY, Passphrase, create, epoch, key_file};
use crate::{
    config::Config,
    store::{Store, StoreError},
};

const MAGIC: &[u8; 16] = b"SREMP backup 01\n";
/// Beginning of the name of a copy that is being made, in the home.
const COPY: &str = ".backup-copy-";
/// Bytes moved at a time.
const CHUNK: usize = 256 * 1024;

/// A backup whose pages are copied: the store is not needed any more.
pub(crate) struct Copied {
    copy: Pages,
    key: crate::store::DatabaseKey,
    key_file: Zeroizing<String>,
    config: String,
    part: Part,
}

/// The pages of a store in a file of its own, removed when dropped.
struct Pages(PathBuf);

/// A backup that is whole and durable, and has not got its name yet.
pub(crate) struct Written {
    part: Part,
    bytes: u64,
}

/// The file that a backup is written into before it gets its name. Locked, so that two backups at
/// once do not write over each other; what a killed one has left is written over.
struct Part {
    file: File,
    path: PathBuf,
    to: PathBuf,
    /// What has the name is written over.
    over: bool,
    moved: bool,
}

impl Drop for Pages {
    fn drop(&mut self) {
        remove_database(&self.0);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.moved {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Home {
    /// Copies the pages of the open store of this home for a backup. `over`: a backup of this home that
    /// has the name is written over.
    ///
    /// # Errors
    /// [`HomeError::BackupExists`] if there is a file of this name, [`HomeError::BackupInHome`],
    /// [`HomeError::LongName`], or what the disk said; nothing is left behind.
    pub(crate) fn copy_for_backup<R: CryptoRng + ?Sized>(
        &self,
        store: &Store,
        to: &Path,
        over: bool,
        rng: &mut R,
    ) -> Result<Copied, HomeError> {
        if self.would_hold(to) {
            return Err(HomeError::BackupInHome(to.to_owned()));
        }
        let key = store.key().ok_or(HomeError::Damaged("the key"))?.clone();
        let key_file = self.key_file()?;
        let config = self.config_text()?;
        let over = over && is_backup_with(to, &key_file);
        let part = Part::take(to, over)?;
        let copied = Copied {
            copy: Pages(self.path.join(format!("{COPY}{:016x}", rng.next_u64()))),
            key,
            key_file,
            config,
            part,
        };
        let copy = &copied.copy.0;
        create::file(copy, b"")?;
        store.copy_to(copy).map_err(|e| HomeError::store(copy, e))?;
        Ok(copied)
    }

    /// Whether a file would be in the home, by whatever links: there are names that the home takes for
    /// its own, and what lies there is lost with it.
    fn would_hold(&self, file: &Path) -> bool {
        let place = fs::canonicalize(create::parent(file));
        let home = fs::canonicalize(&self.path);
        matches!((place, home), (Ok(place), Ok(home)) if place.starts_with(&home))
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

    /// Makes a home of a backup, unless its identity is in use on this machine, which the place `state`
    /// of epochs tells. All of it is durable when this returns; after an error nothing is left behind.
    ///
    /// # Errors
    /// [`HomeError::NoFile`], [`HomeError::NoBackup`], [`HomeError::WrongBackupPassphrase`],
    /// [`HomeError::Exists`], [`HomeError::Occupied`], [`HomeError::NoDirectory`],
    /// [`HomeError::OriginalInUse`], [`HomeError::NewerVersion`], [`HomeError::DamagedBackup`], or what
    /// the disk said.
    pub fn restore<R: CryptoRng + ?Sized>(
        &self,
        from: &Path,
        passphrase: &Passphrase,
        state: Option<&Path>,
        rng: &mut R,
    ) -> Result<(), HomeError> {
        let mut alone = None;
        let made = self.restore_and(from, passphrase, rng, |store, _, _| {
            alone = epoch::only_use(store, state)?;
            Ok(())
        });
        // nobody else begins to use the identity before the home has its place
        drop(alone);
        made.map_err(|error| match error {
            HomeError::CopyInUse { pid } => HomeError::OriginalInUse { pid },
            error => error,
        })
    }

    /// Makes a home of a backup that only shows what the home has that the backup was made of, and asks
    /// for it `at` this `HOST:PORT`, or where the backup says that it is.
    ///
    /// # Errors
    /// As [`Self::restore`]; [`HomeError::NoScreen`], [`HomeError::Nowhere`].
    pub fn restore_screen<R: CryptoRng>(
        &self,
        from: &Path,
        passphrase: &Passphrase,
        at: Option<&str>,
        rng: &mut R,
    ) -> Result<(), HomeError> {
        self.restore_and(from, passphrase, rng, |store, config, rng| {
            let places = places(store, at, config).map_err(HomeError::Store)?;
            if places.is_empty() {
                return Err(HomeError::Nowhere);
            }
            let made = store.transaction(|tx| tx.become_screen(&places, rng));
            match made.map_err(HomeError::Store)? {
                true => store.checkpoint().map_err(HomeError::Store),
                false => Err(HomeError::NoScreen),
            }
        })
    }

    fn restore_and<R: CryptoRng + ?Sized>(
        &self,
        from: &Path,
        passphrase: &Passphrase,
        rng: &mut R,
        then: impl FnOnce(&mut Store, &str, &mut R) -> Result<(), HomeError>,
    ) -> Result<(), HomeError> {
        let mut file = File::open(from).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                HomeError::NoFile(from.to_owned())
            }
            _ => HomeError::reading(from, e),
        })?;
        let key_text = read_head(&mut file, from)?;
        let key = key_file::read(&key_text, passphrase).map_err(|e| e.reading_backup(from))?;
        create::in_one_step(&self.path, rng, |draft, rng| {
            create::file(&draft.join(KEY), key_text.as_bytes())?;
            let database = draft.join(DATABASE);
            copy_rest(&mut file, &database)?;
            let (mut store, config) = finish(&database, &key)
                .map_err(|e| HomeError::store(&database, e).reading_backup(from))?;
            then(&mut store, &config, rng)?;
            create::file(&draft.join(super::CONFIG), config.as_bytes())
        })
    }
}

impl Copied {
    /// Takes out what must not be used twice and writes the file, under the name of a part.
    ///
    /// # Errors
    /// [`HomeError`] as the disk said; nothing is left behind.
    pub(crate) fn write(self) -> Result<Written, HomeError> {
        let copy = &self.copy.0;
        let stripped = Store::open(copy, &self.key).and_then(|mut copy| copy.strip(&self.config));
        stripped.map_err(|e| HomeError::store(copy, e))?;
        let written = self.write_part();
        let part = self.part;
        let bytes = written
            .map_err(|e| HomeError::io("writing", &part.path, e).writing_backup(&part.to))?;
        Ok(Written { part, bytes })
    }

    fn write_part(&self) -> io::Result<u64> {
        let mut to = BufWriter::with_capacity(CHUNK, &self.part.file);
        let length = u32::try_from(self.key_file.len()).map_err(io::Error::other)?;
        to.write_all(MAGIC)?;
        to.write_all(&length.to_le_bytes())?;
        to.write_all(self.key_file.as_bytes())?;
        io::copy(&mut File::open(&self.copy.0)?, &mut to)?;
        let file = to.into_inner()?;
        file.sync_all()?;
        Ok(file.metadata()?.len())
    }
}

impl Written {
    /// Gives the file its name, which stands for a whole backup from then on. Tells its length.
    ///
    /// # Errors
    /// [`HomeError::BackupExists`] if something has taken the name meanwhile, or what the disk said;
    /// nothing is left behind.
    pub(crate) fn place(mut self) -> Result<u64, HomeError> {
        let (path, to) = (&self.part.path, &self.part.to);
        let moved = match self.part.over {
            true => create::move_over(path, to).map(|()| true),
            false => create::move_to_free(path, to),
        };
        if !moved.map_err(|e| e.writing_backup(to))? {
            return Err(HomeError::BackupExists(to.clone()));
        }
        self.part.moved = true;
        Ok(self.bytes)
    }
}

impl Part {
    fn take(to: &Path, over: bool) -> Result<Self, HomeError> {
        let exists = || !over && to.symlink_metadata().is_ok();
        let mut path = to.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        if exists() {
            return Err(HomeError::BackupExists(to.to_owned()));
        }
        let left = remove_left(&path)?;
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|e| not_made(&path, e))?;
        lock(&file, &path)?;
        drop(left);
        // another may have been finished since
        if exists() {
            let _ = fs::remove_file(&path);
            return Err(HomeError::BackupExists(to.to_owned()));
        }
        Ok(Self {
            file,
            path,
            to: to.to_owned(),
            over,
            moved: false,
        })
    }
}

/// Removes what a backup has left that was broken off, but nothing that is being written. It stays
/// locked until what comes back is dropped.
fn remove_left(path: &Path) -> Result<Option<File>, HomeError> {
    match path.symlink_metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(not_made(path, e)),
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Err(HomeError::BackupExists(path.to_owned())),
    }
    let failed = |e| not_made(path, e);
    let file = File::open(path).map_err(failed)?;
    lock(&file, path)?;
    fs::remove_file(path).map_err(failed)?;
    Ok(Some(file))
}

/// Why there is no part: its name is longer than that of the backup, for which there may be room.
fn not_made(path: &Path, cause: io::Error) -> HomeError {
    match cause.kind() {
        io::ErrorKind::InvalidFilename => HomeError::LongName(path.to_owned()),
        _ => HomeError::io("making", path, cause).writing_backup(path),
    }
}

fn lock(file: &File, path: &Path) -> Result<(), HomeError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(HomeError::BackupExists(path.to_owned())),
        Err(TryLockError::Error(e)) => Err(HomeError::io("locking", path, e)),
    }
}

fn remove_database(path: &Path) {
    let _ = fs::remove_file(path);
    for beside in ["-wal", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(beside);
        let _ = fs::remove_file(PathBuf::from(name));
    }
}

/// Whether this is a backup of the home with that key file.
fn is_backup_with(path: &Path, key_file: &str) -> bool {
    if !path.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
        return false;
    }
    let file = File::open(path).ok();
    let text = file.and_then(|mut file| read_head(&mut file, path).ok());
    text.is_some_and(|text| text.as_str() == key_file)
}

/// The key file of a backup; its database is what follows.
fn read_head(file: &mut File, from: &Path) -> Result<Zeroizing<String>, HomeError> {
    let failed = |otherwise: HomeError, e: io::Error| match e.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => otherwise,
        _ => HomeError::reading(from, e),
    };
    let damaged = || HomeError::DamagedBackup(from.to_owned());
    let mut magic = Vec::with_capacity(MAGIC.len());
    Read::by_ref(file)
        .take(MAGIC.len() as u64)
        .read_to_end(&mut magic)
        .map_err(|e| HomeError::reading(from, e))?;
    if !MAGIC.starts_with(&magic) {
        return Err(HomeError::NoBackup(from.to_owned()));
    }
    // a disk that was full, or a copy that was broken off, leaves as little as nothing
    if magic.len() < MAGIC.len() {
        return Err(damaged());
    }
    let mut length = [0; 4];
    file.read_exact(&mut length)
        .map_err(|e| failed(damaged(), e))?;
    let length = u64::from(u32::from_le_bytes(length));
    if length > key_file::MAX_KEY_FILE {
        return Err(damaged());
    }
    let mut text = Zeroizing::new(String::new());
    file.take(length)
        .read_to_string(&mut text)
        .map_err(|e| failed(damaged(), e))?;
    match text.len() as u64 == length {
        true => Ok(text),
        false => Err(damaged()),
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

/// Where the home of a screen is: as somebody says, or as it said itself.
fn places(store: &mut Store, at: Option<&str>, config: &str) -> Result<Vec<String>, StoreError> {
    if let Some(at) = at {
        return Ok(vec![at.to_owned()]);
    }
    let config = Config::parse(config).unwrap_or_default();
    let listened = store.transaction(|tx| tx.setting("endpoint"))?;
    let listened = listened.and_then(|bytes| String::from_utf8(bytes).ok());
    let reachable = |place: &String| match place.parse::<SocketAddr>() {
        Ok(address) => !address.ip().is_unspecified() && address.port() != 0,
        Err(_) => place.parse::<Endpoint>().is_ok(),
    };
    let said = [config.advertise, listened, config.listen];
    let mut places: Vec<String> = said.into_iter().flatten().filter(reachable).collect();
    places.dedup();
    Ok(places)
}

/// Checks every page; the text of the config file.
fn finish(database: &Path, key: &crate::store::DatabaseKey) -> Result<(Store, String), StoreError> {
    let mut store = Store::open(database, key)?;
    store.integrity_check()?;
    let config = store.transaction(|tx| tx.take_backup_config())?;
    store.checkpoint()?;
    Ok((store, config.ok_or(StoreError::Damaged)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_that_was_killed_leaves_its_name_free_and_the_next_one_writes_over_it() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("backup");
        let left = directory.path().join("backup.part");
        fs::write(&left, "half").unwrap();
        let part = Part::take(&to, false).unwrap();
        assert_eq!(fs::read(&left).unwrap(), b"");
        assert!(!to.exists());
        drop(part);
        assert!(!left.exists());
    }

    #[test]
    fn two_backups_at_once_do_not_write_over_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("backup");
        let first = Part::take(&to, false).unwrap();
        let second = Part::take(&to, false);
        assert!(matches!(second, Err(HomeError::BackupExists(path)) if path == first.path));
        assert!(first.path.exists());
        drop(first);
        fs::write(&to, "a whole one").unwrap();
        assert!(matches!(Part::take(&to, false), Err(HomeError::BackupExists(path)) if path == to));
        assert_eq!(fs::read(&to).unwrap(), b"a whole one");
        assert!(!directory.path().join("backup.part").exists());
    }

    #[test]
    fn a_name_that_leaves_no_room_for_the_end_of_its_part_is_told_as_too_long() {
        let directory = tempfile::tempdir().unwrap();
        for length in [251, 252, 256] {
            let made = Part::take(&directory.path().join("b".repeat(length)), false);
            assert!(matches!(made, Err(HomeError::LongName(_))), "{length}");
        }
        assert!(Part::take(&directory.path().join("b".repeat(250)), false).is_ok());
    }

    #[test]
    fn a_name_in_the_home_is_known_by_whatever_way_it_is_given() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("home");
        let link = directory.path().join("link");
        fs::create_dir_all(path.join("below")).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for home in [Home::at(&path), Home::at(&link)] {
            for inside in ["home", "home/below", "link", "home/below/..", "link/below"] {
                let file = directory.path().join(inside).join(super::super::MAILBOX);
                assert!(home.would_hold(&file), "{}", file.display());
            }
            for outside in ["", "home/..", "home/nowhere"] {
                let file = directory.path().join(outside).join("home-2026");
                assert!(!home.would_hold(&file), "{}", file.display());
            }
        }
    }

    #[test]
    fn a_name_beside_that_is_a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("backup");
        let other = directory.path().join("other");
        fs::write(&other, "untouched").unwrap();
        std::os::unix::fs::symlink(&other, directory.path().join("backup.part")).unwrap();
        assert!(matches!(
            Part::take(&to, false),
            Err(HomeError::BackupExists(_))
        ));
        assert_eq!(fs::read(&other).unwrap(), b"untouched");
    }

    #[test]
    fn what_a_user_keeps_in_the_home_under_a_name_of_a_backup_stays() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        let kept = directory.path().join("backup-2026");
        let copy = directory.path().join(format!("{COPY}0123-wal"));
        for path in [&kept, &copy] {
            fs::write(path, "").unwrap();
        }
        home.remove_copies();
        assert!(kept.exists() && !copy.exists());
    }
}
