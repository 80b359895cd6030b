//! Making a home: all of it or nothing.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};
use sremp_core::{identity::SecretIdentity, rand_core::CryptoRng, time::UnixMillis};
use zeroize::Zeroizing;

use super::{
    CONFIG, CREATED, DATABASE, HomeError, KEY, Passphrase,
    draft::{self, Draft},
    key_file,
};
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
    let parent = parent(place);
    draft::sweep(place, parent);
    refuse_occupied(place)?;
    directory(parent, true)?;
    let draft = Draft::make(place, parent, rng)?;
    fill(draft.path(), rng)?;
    sync_directory(draft.path())?;
    draft.place(place)?;
    sync_directory(parent)
}

pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
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
            let file = place.ancestors().find(|path| path.exists());
            Err(HomeError::NoDirectory(file.unwrap_or(place).to_owned()))
        }
        Err(e) => Err(HomeError::reading(place, e)),
    }
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
    sync_directory(parent(path))
}

/// Moves a file to a name that nothing has, durably: it is there whole or not at all.
/// `false`: something has the name, and keeps it.
pub(super) fn move_to_free(new: &Path, path: &Path) -> Result<bool, HomeError> {
    match renameat_with(CWD, new, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Ok(false),
        // a disk that cannot look and move in one step
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            if path.symlink_metadata().is_ok() {
                return Ok(false);
            }
            move_over(new, path)?;
        }
        Err(e) => return Err(HomeError::io("writing", path, e.into())),
    }
    sync_directory(parent(path))?;
    Ok(true)
}

fn sync_directory(path: &Path) -> Result<(), HomeError> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(|e| HomeError::io("writing", path, e))
}
