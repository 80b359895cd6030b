//! A loss of power, for a relay that runs as a process: what it wrote since a file was last synced
//! has arrived on the disk or not, sector by sector, in any order and any version.
//!
//! A library that is loaded into the process (`power_cut.c`, built here with the system's C compiler)
//! journals what each write replaces. After the kill, [`PowerCut::cut`] takes back a random part.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    ops::AddAssign,
    os::unix::{
        ffi::OsStringExt as _,
        fs::{FileExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    process::Command,
};

use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};
use serde::Serialize;

const SOURCE: &str = include_str!("power_cut.c");
const SECTOR: u64 = 512;
/// Bytes before a note's path.
const NOTE: usize = 56;
const MAGIC: u32 = 0x5343_4a31;

/// What losses of power took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Writes that no sync had covered.
    pub unsynced_writes: u64,
    /// Their sectors that hold something older now.
    pub lost_sectors: u64,
    /// Files that have another length now.
    pub cut_files: u64,
    /// New files that are gone.
    pub lost_files: u64,
}

impl AddAssign for Lost {
    fn add_assign(&mut self, other: Self) {
        self.unsynced_writes += other.unsynced_writes;
        self.lost_sectors += other.lost_sectors;
        self.cut_files += other.cut_files;
        self.lost_files += other.lost_files;
    }
}

/// Power that can be cut.
#[derive(Debug)]
pub struct PowerCut {
    root: PathBuf,
    library: PathBuf,
    journal: PathBuf,
}

impl PowerCut {
    /// For the files below `root`; library and journal go into `stage`.
    ///
    /// # Errors
    /// Also when there is no C compiler.
    pub fn prepare(stage: &Path, root: &Path) -> io::Result<Self> {
        let (source, library) = (stage.join("power_cut.c"), stage.join("power_cut.so"));
        fs::write(&source, SOURCE)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-shared", "-fPIC", "-pthread", "-o"]);
        let built = compiler.arg(&library).arg(&source).arg("-ldl").output()?;
        if !built.status.success() {
            let said = String::from_utf8_lossy(&built.stderr).into_owned();
            return Err(io::Error::other(format!("cc: {said}")));
        }
        Ok(Self {
            root: root.to_owned(),
            library,
            journal: stage.join("power_cut.journal"),
        })
    }

    /// What the relay has to find in its environment. With `broken`, its disk says that it has
    /// synced and has not: so it can be seen that a loss would be found.
    pub fn environment(&self, broken: bool) -> Vec<(&'static str, OsString)> {
        let mut environment = vec![
            ("LD_PRELOAD", self.library.clone().into()),
            ("SREMP_CUT_ROOT", self.root.clone().into()),
            ("SREMP_CUT_JOURNAL", self.journal.clone().into()),
        ];
        if broken {
            environment.push(("SREMP_CUT_BROKEN", "1".into()));
        }
        environment
    }

    /// Takes back a random part of what was not synced. The process must have been killed.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn cut(&self, rng: &mut StdRng) -> io::Result<Lost> {
        let notes = match fs::read(&self.journal) {
            Ok(journal) => Note::all(&journal),
            // killed before it had begun
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut lost = Lost::default();
        for (path, file) in unsynced(notes) {
            lost += file.lose(&path, rng)?;
        }
        self.scramble_shared_memory(rng)?;
        if self.journal.exists() {
            fs::remove_file(&self.journal)?;
        }
        Ok(lost)
    }

    /// Nobody syncs it: anything may be there.
    fn scramble_shared_memory(&self, rng: &mut StdRng) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with("-shm") {
                let mut bytes = fs::read(&path)?;
                rng.fill(&mut bytes[..]);
                fs::write(&path, bytes)?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Write,
    Sync,
    Create,
    Forget,
}

/// An entry of the journal, as `power_cut.c` describes it.
struct Note {
    kind: Kind,
    number: u64,
    offset: u64,
    end: u64,
    size: u64,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Note {
    /// All notes; the last may be cut, and then its write had not begun.
    fn all(mut journal: &[u8]) -> Vec<Self> {
        let mut notes = Vec::new();
        while let Some((note, rest)) = Self::first(journal) {
            notes.push(note);
            journal = rest;
        }
        notes
    }

    fn first(journal: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = journal.split_at_checked(NOTE)?;
        let short = |at: usize| Some(u32::from_ne_bytes(head.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_ne_bytes(head.get(at..at + 8)?.try_into().ok()?));
        if short(0)? != MAGIC {
            return None;
        }
        let kind = match short(4)? {
            1 => Kind::Write,
            2 => Kind::Sync,
            3 => Kind::Create,
            4 => Kind::Forget,
            _ => return None,
        };
        let (path, rest) = rest.split_at_checked(usize::try_from(short(48)?).ok()?)?;
        let (bytes, rest) = rest.split_at_checked(usize::try_from(long(40)?).ok()?)?;
        let note = Self {
            kind,
            number: long(8)?,
            offset: long(16)?,
            end: long(24)?,
            size: long(32)?,
            path: OsString::from_vec(path.to_vec()).into(),
            bytes: bytes.to_vec(),
        };
        Some((note, rest))
    }
}

/// What of one file no sync has covered.
#[derive(Default)]
struct Unsynced {
    created: bool,
    writes: u64,
    /// Lengths that it had.
    sizes: Vec<u64>,
    /// What stood in each sector, the oldest first; shorter where the file ended.
    sectors: BTreeMap<u64, Vec<Vec<u8>>>,
}

fn unsynced(notes: Vec<Note>) -> BTreeMap<PathBuf, Unsynced> {
    let synced = last(&notes, |kind| matches!(kind, Kind::Sync | Kind::Forget));
    let forgotten = last(&notes, |kind| kind == Kind::Forget);
    let upto = |of: &HashMap<PathBuf, u64>, path: &Path| of.get(path).copied().unwrap_or(0);
    let mut files: BTreeMap<PathBuf, Unsynced> = BTreeMap::new();
    for note in notes {
        let covered = match note.kind {
            // a new name is in its directory
            Kind::Create => note.path.parent().map_or(0, |parent| upto(&synced, parent)),
            _ => upto(&synced, &note.path),
        };
        if note.number <= covered.max(upto(&forgotten, &note.path)) {
            continue;
        }
        match note.kind {
            Kind::Write => files.entry(note.path.clone()).or_default().write(&note),
            Kind::Create => files.entry(note.path).or_default().created = true,
            Kind::Sync | Kind::Forget => {}
        }
    }
    files
}

/// The highest number of such a note, by path.
fn last(notes: &[Note], of: impl Fn(Kind) -> bool) -> HashMap<PathBuf, u64> {
    let mut numbers: HashMap<PathBuf, u64> = HashMap::new();
    for note in notes.iter().filter(|note| of(note.kind)) {
        let number = numbers.entry(note.path.clone()).or_default();
        *number = note.number.max(*number);
    }
    numbers
}

impl Unsynced {
    fn write(&mut self, note: &Note) {
        self.writes += 1;
        self.sizes.push(note.size);
        let mut stood = note.bytes.chunks(SECTOR as usize);
        let mut at = note.offset;
        while at < note.end {
            let stood = stood.next().unwrap_or_default().to_vec();
            self.sectors.entry(at).or_default().push(stood);
            at += SECTOR;
        }
    }

    fn lose(self, path: &Path, rng: &mut StdRng) -> io::Result<Lost> {
        let mut lost = Lost {
            unsynced_writes: self.writes,
            ..Lost::default()
        };
        if self.created && rng.random() {
            lost.lost_files = u64::from(fs::remove_file(path).is_ok());
            return Ok(lost);
        }
        if self.writes == 0 {
            return Ok(lost);
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        let file = options.open(path)?;
        let now = file.metadata()?.len();
        let length = match rng.random() {
            true => now,
            false => self.sizes.choose(rng).copied().unwrap_or(now),
        };
        lost.cut_files = u64::from(length != now);
        // as often nothing has arrived as everything
        let arrived = rng.random_range(0..=100_u32);
        for (at, versions) in &self.sectors {
            if *at < length && rng.random_range(0..100) >= arrived {
                let older = versions.choose(rng).map_or(&[][..], Vec::as_slice);
                put(&file, *at, older, length)?;
                lost.lost_sectors += 1;
            }
        }
        file.set_len(length)?;
        Ok(lost)
    }
}

/// Puts a sector back; where the file had ended there is nothing.
fn put(file: &File, at: u64, older: &[u8], length: u64) -> io::Result<()> {
    let room = usize::try_from(SECTOR.min(length - at)).unwrap_or(0);
    let mut sector = older.to_vec();
    sector.resize(room, 0);
    file.write_all_at(&sector, at)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    const PATH: &str = "/relay/file";

    fn note(kind: Kind, number: u64, path: &str) -> Note {
        Note {
            kind,
            number,
            offset: 0,
            end: 0,
            size: 0,
            path: path.into(),
            bytes: Vec::new(),
        }
    }

    fn write(number: u64, offset: u64, end: u64, stood: &[u8]) -> Note {
        Note {
            offset,
            end,
            size: offset + stood.len() as u64,
            bytes: stood.to_vec(),
            ..note(Kind::Write, number, PATH)
        }
    }

    #[test]
    fn a_sync_covers_what_was_written_before_it_and_a_name_only_that_of_its_directory() {
        let notes = vec![
            note(Kind::Create, 1, PATH),
            write(2, 0, 512, &[]),
            write(3, 512, 1_024, &[]),
            note(Kind::Sync, 2, PATH),
        ];
        let files = unsynced(notes);
        let file = &files[Path::new(PATH)];
        assert!(file.created);
        assert_eq!(file.sectors.keys().collect::<Vec<_>>(), [&512]);
        let notes = vec![
            note(Kind::Create, 1, PATH),
            note(Kind::Sync, 1, "/relay"),
            write(2, 0, 512, &[]),
            note(Kind::Forget, 2, PATH),
        ];
        assert!(unsynced(notes).is_empty());
    }

    #[test]
    fn what_was_not_synced_is_old_or_new_by_sectors_and_the_rest_stays() {
        let seed = rand::random();
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut seen = [0_u32; 3];
        for _ in 0..200 {
            // sectors: one synced, one overwritten twice, one appended
            fs::write(&path, [[1; 512], [4; 512], [5; 512]].concat()).unwrap();
            let mut file = Unsynced::default();
            file.write(&write(1, 512, 1_024, &[2; 512]));
            file.write(&write(2, 512, 1_024, &[3; 512]));
            file.write(&write(3, 1_024, 1_536, &[]));
            let sizes = std::mem::replace(&mut file.sizes, vec![1_024]);
            assert_eq!(sizes, [1_024; 3]);
            file.lose(&path, &mut rng).unwrap();
            let bytes = fs::read(&path).unwrap();
            assert_eq!(bytes[..512], [1; 512]);
            let middle = bytes[512];
            assert!((2..=4).contains(&middle) && bytes[512..1_024] == [middle; 512]);
            seen[usize::from(middle) - 2] += 1;
            assert!(
                bytes.len() == 1_024 || bytes[1_024..] == [5; 512] || bytes[1_024..] == [0; 512]
            );
        }
        assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    }

    #[test]
    fn a_note_that_was_cut_is_none() {
        let mut bytes = Vec::new();
        for word in [MAGIC, 1] {
            bytes.extend(word.to_ne_bytes());
        }
        for word in [7_u64, 512, 515, 514, 2] {
            bytes.extend(word.to_ne_bytes());
        }
        for word in [4_u32, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(b"/abcxy");
        assert_eq!(bytes.len(), NOTE + 6);
        let notes = Note::all(&bytes);
        let [note] = notes.as_slice() else { panic!() };
        assert_eq!(
            (note.number, note.offset, note.end, note.size),
            (7, 512, 515, 514)
        );
        assert_eq!(
            (note.path.to_str(), note.bytes.as_slice()),
            (Some("/abc"), &b"xy"[..])
        );
        assert!(Note::all(&bytes[..NOTE + 5]).is_empty());
    }
}
