//! Where a home is made before it gets its place: a directory beside it. It is locked as long as it is
//! filled, so that what a killed process has left of one is told from one that is being made.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use sremp_core::rand_core::CryptoRng;

use super::{HomeError, create};

/// How many names are tried. A name fails only if somebody sweeps just then.
const TRIES: u32 = 8;
/// Digits at the end of a draft's name.
const DIGITS: usize = 16;

/// A directory that is removed unless it was moved to its place.
pub(super) struct Draft {
    path: PathBuf,
    placed: bool,
    _held: Option<File>,
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl Draft {
    /// Makes an empty one in `parent` for a home at `place`.
    pub(super) fn make<R: CryptoRng + ?Sized>(
        place: &Path,
        parent: &Path,
        rng: &mut R,
    ) -> Result<Self, HomeError> {
        for _ in 0..TRIES {
            let path = parent.join(format!("{}{:016x}", beginning(place), rng.next_u64()));
            create::directory(&path, false)?;
            let held = match hold(&path) {
                Ok(None) => continue,
                Ok(held) => held,
                // a disk without locks: then nobody sweeps there
                Err(_) => None,
            };
            return Ok(Self {
                path,
                placed: false,
                _held: held,
            });
        }
        let cause = io::ErrorKind::ResourceBusy.into();
        Err(HomeError::io("making", place, cause))
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves it to its place. It replaces nothing but an empty directory: whoever was faster keeps what
    /// they made.
    pub(super) fn place(mut self, place: &Path) -> Result<(), HomeError> {
        fs::rename(&self.path, place).map_err(|e| match e.kind() {
            io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory => HomeError::Occupied(place.to_owned()),
            _ => HomeError::io("making", place, e),
        })?;
        self.placed = true;
        Ok(())
    }
}

/// Removes drafts of a home at `place` that killed processes have left: they hold its keys.
pub(super) fn sweep(place: &Path, parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    let beginning = beginning(place);
    for entry in entries.flatten() {
        let name = entry.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix(&beginning));
        let is_draft = digits.is_some_and(|digits| {
            digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit())
        });
        if !is_draft {
            continue;
        }
        // held until it is gone, so that nobody fills it meanwhile
        if let Ok(Some(_held)) = hold(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn beginning(place: &Path) -> String {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.new-")
}

/// Locks a directory. `None`: another process has it, or it is gone.
fn hold(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(flags.bits().cast_signed());
    let held = match options.open(path) {
        Ok(directory) => directory,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    match held.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(e)) => return Err(e),
    }
    // it may have been swept, or moved to its place, before it was locked
    let still = match path.symlink_metadata() {
        Ok(there) => there.ino() == held.metadata()?.ino(),
        Err(_) => false,
    };
    Ok(still.then_some(held))
}

#[cfg(test)]
mod tests {
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};

    use super::*;

    fn names(parent: &Path) -> Vec<String> {
        let entries = fs::read_dir(parent).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn what_killed_processes_left_is_swept_and_nothing_else_is() {
        let parent = tempfile::tempdir().unwrap();
        let place = parent.path().join("home");
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let running = Draft::make(&place, parent.path(), &mut rng).unwrap();
        fs::write(running.path().join("key"), "mine").unwrap();
        let kept = [
            ".home.new-0123",
            ".home.new-notes-of-a-user-1",
            ".house.new-0123456789abcdef",
            "home",
        ];
        for name in kept.iter().chain(&[".home.new-0123456789abcdef"]) {
            fs::create_dir(parent.path().join(name)).unwrap();
            fs::write(parent.path().join(name).join("key"), "left").unwrap();
        }
        let file = ".home.new-fedcba9876543210";
        fs::write(parent.path().join(file), "no directory").unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("key"), "elsewhere").unwrap();
        let link = ".home.new-00000000000000ff";
        std::os::unix::fs::symlink(elsewhere.path(), parent.path().join(link)).unwrap();

        sweep(&place, parent.path());
        let own = running.path().file_name().unwrap().to_str().unwrap();
        let mut stays: Vec<&str> = [&kept[..], &[file, link, own]].concat();
        stays.sort_unstable();
        assert_eq!(names(parent.path()), stays);
        assert_eq!(fs::read(running.path().join("key")).unwrap(), b"mine");
        assert!(elsewhere.path().join("key").exists());
    }

    #[test]
    fn a_draft_is_one_process_s_until_it_is_placed_or_dropped() {
        let parent = tempfile::tempdir().unwrap();
        let place = parent.path().join("home");
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let draft = Draft::make(&place, parent.path(), &mut rng).unwrap();
        assert!(hold(draft.path()).unwrap().is_none());
        fs::write(draft.path().join("key"), "").unwrap();
        draft.place(&place).unwrap();
        assert_eq!(names(parent.path()), ["home"]);
        let second = Draft::make(&place, parent.path(), &mut rng).unwrap();
        assert!(matches!(second.place(&place), Err(HomeError::Occupied(_))));
        assert_eq!(names(parent.path()), ["home"]);
    }
}
