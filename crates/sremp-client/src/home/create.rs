//! Making a home: all of it or nothing.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use sremp_core::{identity::SecretIdentity, rand_core::CryptoRng, time::UnixMillis};
use zeroize::Zeroizing;

use super::{CONFIG, CREATED, DATABASE, HomeError, KEY, Passphrase, key_file};
use crate::{
    config::Config,
    store::{DatabaseKey, Store, StoreError},
};

/// What a new home starts with.
pub(super) struct Contents<'a> {
    pub(super) passphrase: &'a Passphrase,
    pub(super) config: &'a Config,
    pub(super) identity: &'a SecretIdentity,
    pub(super) now: UnixMillis,
}

/// A directory that is removed unless it was moved to its place.
struct Draft(Option<PathBuf>);

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Makes a home with these contents.
pub(super) fn create<R: CryptoRng + ?Sized>(
    place: &Path,
    contents: &Contents<'_>,
    rng: &mut R,
) -> Result<(), HomeError> {
    in_one_step(place, rng, |draft, rng| fill(draft, contents, rng))
}

/// Builds a home beside its place, makes it durable, and moves it there in one step.
pub(super) fn in_one_step<R: CryptoRng + ?Sized>(
    place: &Path,
    rng: &mut R,
    fill: impl FnOnce(&Path, &mut R) -> Result<(), HomeError>,
) -> Result<(), HomeError> {
    refuse_occupied(place)?;
    let parent = match place.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    directory(parent, true)?;
    let mut draft = Draft(Some(draft_path(place, parent, rng)));
    if let Some(path) = &draft.0 {
        directory(path, false)?;
        fill(path, rng)?;
        sync_directory(path)?;
        // replaces nothing but an empty directory: whoever was faster keeps what they made
        fs::rename(path, place).map_err(|e| match e.kind() {
            io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory => HomeError::Occupied(place.to_owned()),
            _ => HomeError::io("making", place, e),
        })?;
        draft.0 = None;
    }
    sync_directory(parent)
}

fn refuse_occupied(place: &Path) -> Result<(), HomeError> {
    if super::is_home(place) {
        return Err(HomeError::Exists(place.to_owned()));
    }
    match fs::read_dir(place) {
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(HomeError::Occupied(place.to_owned())),
            None => Ok(()),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
            Err(HomeError::Occupied(place.to_owned()))
        }
        Err(e) => Err(HomeError::io("reading", place, e)),
    }
}

fn draft_path<R: CryptoRng + ?Sized>(place: &Path, parent: &Path, rng: &mut R) -> PathBuf {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    parent.join(format!(".{name}.new-{:016x}", rng.next_u64()))
}

pub(super) fn directory(path: &Path, with_parents: bool) -> Result<(), HomeError> {
    let mut builder = DirBuilder::new();
    builder.mode(0o700).recursive(with_parents);
    let made = builder.create(path);
    made.map_err(|e| HomeError::io("making", path, e))
}

fn fill<R: CryptoRng + ?Sized>(
    home: &Path,
    contents: &Contents<'_>,
    rng: &mut R,
) -> Result<(), HomeError> {
    let mut key: DatabaseKey = Zeroizing::new([0; 32]);
    rng.fill_bytes(key.as_mut());
    let wrapped = key_file::write(&key, contents.passphrase, rng)?;
    file(&home.join(KEY), wrapped.as_bytes())?;
    file(&home.join(CONFIG), contents.config.to_toml().as_bytes())?;
    let database = home.join(DATABASE);
    file(&database, b"")?;
    fill_database(&database, &key, contents).map_err(|e| HomeError::store(&database, e))
}

fn fill_database(
    path: &Path,
    key: &DatabaseKey,
    contents: &Contents<'_>,
) -> Result<(), StoreError> {
    let mut store = Store::create(path, key)?;
    store.transaction(|tx| {
        tx.save_own_identity(&contents.identity.to_parts())?;
        tx.set_setting(CREATED, &contents.now.get().to_le_bytes())
    })?;
    store.checkpoint()
}

/// Writes a new file that only its owner may read, durably.
pub(super) fn file(path: &Path, bytes: &[u8]) -> Result<(), HomeError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|e| HomeError::io("writing", path, e))
}

/// Writes a file in the place of another, durably; there is never half of one.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), HomeError> {
    let new = path.with_extension("new");
    // of a write that was broken off
    let _ = fs::remove_file(&new);
    file(&new, bytes)?;
    move_over(&new, path)
}

/// Moves a file into the place of another, durably.
pub(super) fn move_over(new: &Path, path: &Path) -> Result<(), HomeError> {
    fs::rename(new, path).map_err(|e| HomeError::io("writing", path, e))?;
    sync_directory(match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    })
}

fn sync_directory(path: &Path) -> Result<(), HomeError> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(|e| HomeError::io("writing", path, e))
}
