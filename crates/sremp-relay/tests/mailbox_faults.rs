//! What a fault leaves behind: everything that was acknowledged, and nothing by halves.

mod mailboxes;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use mailboxes::*;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sremp_core::error::ErrorCode;
use sremp_relay::mailbox::{
    DiskGuard, EmbeddedStore, Limits, MailboxReader as _, MailboxStore as _, Op, Outcome,
    StoreError,
    embedded::{backup, fsck},
};

fn open_at(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, Limits::NONE, NO_GUARD).unwrap()
}

/// Messages `first` to `first + count` for BOB, in one batch.
fn stores(first: u64, count: u64) -> Vec<Op> {
    let ids = first..first + count;
    ids.map(|id| Op::Store(Box::new(message(ANN, BOB, id))))
        .collect()
}

/// The ids in BOB's mailbox, each envelope compared with what was stored.
fn ids_in(store: &EmbeddedStore) -> Vec<u64> {
    let page = store
        .reader()
        .page(&somebody(BOB), Default::default(), usize::MAX, usize::MAX);
    let page = page.unwrap();
    let items = page.items.iter();
    items
        .map(|item| {
            let id = item.message_id.get();
            assert!(item.blob[..] == blob(id, MESSAGE)[..], "half an envelope");
            id
        })
        .collect()
}

fn numbers(upto: usize) -> Vec<u64> {
    (0..upto as u64).collect()
}

/// Bytes before the first frame of a log, with the salt that its frames carry (SQLite, "The Write-Ahead Log
/// File Format").
const LOG_HEADER: usize = 32;

fn log_of(database: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", database.display()))
}

#[test]
fn a_batch_that_fails_leaves_nothing_and_the_next_one_holds() {
    let mut backend = Embedded::new(Limits {
        request_items: 20,
        ..Limits::NONE
    });
    backend.batch(at(0), vec![open(BOB)]);
    backend.batch(at(0), stores(0, 10));
    backend.store().limit_growth(1).unwrap();
    let error = backend.store().commit(at(0), stores(10, 10)).unwrap_err();
    assert_eq!(error, StoreError::Full);
    assert_eq!(ids_in(backend.store()), numbers(10));
    assert_eq!(backend.store().stats().items, 10);
    backend.store().limit_growth(1_000).unwrap();
    // neither counted to the quota nor taken for stored
    let outcomes = backend.batch(at(0), stores(0, 20));
    let first = |outcome: &Outcome| matches!(outcome, Outcome::Stored(s) if s.first);
    assert_eq!(outcomes.iter().filter(|o| first(o)).count(), 10);
    backend.restart();
    assert_eq!(ids_in(backend.store()), numbers(20));
    assert_eq!(fsck(&backend.path()).unwrap(), Vec::<String>::new());
}

#[test]
fn a_disk_that_is_nearly_full_refuses_messages_and_lets_owners_make_room() {
    let mut backend = Embedded::new(Limits::NONE);
    backend.batch(at(0), vec![open(BOB)]);
    backend.batch(at(0), stores(0, 3));
    backend.close();
    let full = DiskGuard {
        full: 100,
        room: u64::MAX,
    };
    let mut store = EmbeddedStore::open(&backend.path(), Limits::NONE, full).unwrap();
    let mut batch = stores(2, 2);
    batch.push(open(EVE));
    batch.push(confirm(BOB, vec![confirmation(ANN, BOB, 0)]));
    let outcomes = store.commit(at(0), batch).unwrap();
    assert!(matches!(outcomes[0], Outcome::Stored(s) if !s.first));
    assert_eq!(outcomes[1], Outcome::Refused(ErrorCode::Storage));
    assert_eq!(outcomes[2], Outcome::Refused(ErrorCode::Full));
    assert_eq!(ids_in(&store), [1, 2]);
}

/// A file system of its own, unmounted on drop.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this user may not mount.
    fn mount(directory: &Path, options: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]);
        let mounted = mount.arg(directory).stderr(Stdio::null()).status();
        if !mounted.is_ok_and(|status| status.success()) {
            eprintln!("not tried: this user may not mount a small disk");
            return None;
        }
        Some(Self(directory.to_owned()))
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let mut mount = Command::new("mount");
        mount.args(["-o", &options]).arg(&self.0);
        assert!(mount.status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_and_a_read_only_one_lose_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(directory.path(), "size=4m") else {
        return;
    };
    let path = directory.path().join("mailboxes.db");
    let mut store = open_at(&path);
    store.commit(at(0), vec![open(BOB)]).unwrap();
    let mut kept = 0;
    let error = loop {
        match store.commit(at(0), stores(kept, 16)) {
            Ok(_) => kept += 16,
            Err(error) => break error,
        }
        assert!(kept < 10_000);
    };
    assert!(kept > 100, "{kept}");
    assert!(
        matches!(error, StoreError::Full | StoreError::Io(_)),
        "{error}"
    );
    let again = store.commit(at(0), stores(kept, 16)).unwrap_err();
    assert!(again == StoreError::Full || again == StoreError::Stopped);
    drop(store);
    disk.remount("size=32m");
    let mut store = open_at(&path);
    assert_eq!(ids_in(&store), numbers(kept as usize));
    assert_eq!(fsck(&path).unwrap(), Vec::<String>::new());
    store.commit(at(0), stores(kept, 16)).unwrap();
    drop(store);

    disk.remount("ro");
    let error = EmbeddedStore::open(&path, Limits::NONE, NO_GUARD).unwrap_err();
    assert!(
        matches!(error, StoreError::ReadOnly | StoreError::Io(_)),
        "{error}"
    );
    let elsewhere = directory.path().join("new.db");
    let error = EmbeddedStore::open(&elsewhere, Limits::NONE, NO_GUARD).unwrap_err();
    assert_eq!(error, StoreError::ReadOnly);
    assert!(error.to_string().contains("writable"));
    disk.remount("rw");
    assert_eq!(ids_in(&open_at(&path)).len() as u64, kept + 16);
}

/// The two files of a database at one moment.
#[derive(Clone)]
struct Snapshot {
    database: Vec<u8>,
    log: Vec<u8>,
    acknowledged: usize,
}

impl Snapshot {
    fn of(path: &Path, acknowledged: usize) -> Self {
        Self {
            database: fs::read(path).unwrap(),
            log: fs::read(log_of(path)).unwrap(),
            acknowledged,
        }
    }

    fn open(&self) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mailboxes.db");
        fs::write(&path, &self.database).unwrap();
        fs::write(log_of(&path), &self.log).unwrap();
        (directory, path)
    }
}

/// Of what was written since `from`, each sector has arrived or not, in any order, or all up to one of
/// them: so a disk may leave what no `fdatasync` covers.
fn mixed(from: &[u8], to: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    const SECTOR: usize = 512;
    // what did not arrive at a place beyond the old end is zeros
    let mut bytes = from.to_vec();
    bytes.resize(from.len().max(to.len()), 0);
    let mut written: Vec<_> = bytes
        .chunks_mut(SECTOR)
        .zip(to.chunks(SECTOR))
        .filter(|(old, new)| old[..new.len()] != **new)
        .collect();
    let in_order = rng.random();
    let last = rng.random_range(0..=written.len());
    let percent = rng.random_range(0..=100);
    for (n, (old, new)) in written.iter_mut().enumerate() {
        let arrived = match in_order {
            true => n < last,
            false => rng.random_range(0..100) < percent,
        };
        if arrived {
            old[..new.len()].copy_from_slice(new);
        }
    }
    bytes
}

#[test]
fn case_22_a_power_cut_after_any_sync_loses_nothing_that_was_acknowledged() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut backend = Embedded::new(Limits::NONE);
    backend.batch(at(0), vec![open(BOB)]);
    let path = backend.path();
    let mut moments = vec![Snapshot::of(&path, 0)];
    let mut stored = 0;
    let mut carried = 0;
    for round in 0..150 {
        let count = rng.random_range(1..50);
        backend.batch(at(0), stores(stored, count));
        stored += count;
        moments.push(Snapshot::of(&path, stored as usize));
        if round % 5 == 0 {
            backend.store().rest().unwrap();
            moments.push(Snapshot::of(&path, stored as usize));
        }
    }
    for pair in moments.windows(2) {
        let [before, after] = pair else {
            unreachable!();
        };
        let mut cut = before.clone();
        if before.database == after.database {
            // a commit: its part of the log was not synced yet
            cut.log = mixed(&before.log, &after.log, &mut rng);
            // a log that begins anew has its header synced before a frame is written over old ones
            let header = 0..LOG_HEADER;
            if let (Some(old), Some(new)) = (cut.log.get_mut(header.clone()), after.log.get(header))
            {
                old.copy_from_slice(new);
            }
        } else {
            // the log was carried over; it had been synced before the first page was written
            carried += 1;
            cut.log.clone_from(&after.log);
            cut.database = mixed(&before.database, &after.database, &mut rng);
        }
        let (_directory, path) = cut.open();
        let store = open_at(&path);
        let ids = ids_in(&store);
        let whole = [before.acknowledged, after.acknowledged];
        assert!(
            whole.contains(&ids.len()),
            "{} of {whole:?}, seed {seed}",
            ids.len()
        );
        assert_eq!(ids, numbers(ids.len()), "seed {seed}");
        assert_eq!(fsck(&path).unwrap(), Vec::<String>::new(), "seed {seed}");
    }
    assert!(carried > 1, "the log was carried over {carried} times");
}

const CHILD: &str = "SREMP_TEST_CHILD_DATABASE";

/// Not a test of its own: the process that other tests kill and watch.
#[test]
#[ignore = "run by tests that kill it or watch it"]
fn a_process_that_commits_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let mut store = open_at(Path::new(&path));
    store.commit(at(0), vec![open(BOB)]).unwrap();
    let mut done = store.stats().items;
    for round in 0..100_000 {
        let count = 1 + round % 40;
        store.commit(at(0), stores(done, count)).unwrap();
        done += count;
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nacknowledged {done}").unwrap();
        out.flush().unwrap();
        drop(out);
        if round % 50 == 49 {
            store.rest().unwrap();
        }
    }
}

fn child(mut command: Command, database: &Path) -> (Child, BufReader<ChildStdout>) {
    command
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("a_process_that_commits_until_it_is_killed")
        .env(CHILD, database)
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    (child, lines)
}

#[test]
fn case_22_a_killed_process_keeps_what_it_acknowledged() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mailboxes.db");
    let mut kept = 0;
    for _ in 0..8 {
        let command = Command::new(std::env::current_exe().unwrap());
        let (mut child, lines) = child(command, &path);
        let mut acknowledged = kept;
        let mut left = rng.random_range(1..120);
        for line in lines.lines().map_while(Result::ok) {
            if let Some(count) = line.strip_prefix("acknowledged ") {
                acknowledged = count.parse().unwrap();
                left -= 1;
            }
            if left == 0 {
                break;
            }
        }
        child.kill().unwrap(); // SIGKILL, most likely inside a commit
        child.wait().unwrap();
        let store = open_at(&path);
        let ids = ids_in(&store);
        assert!(
            ids.len() as u64 >= acknowledged,
            "{} of {acknowledged}, seed {seed}",
            ids.len()
        );
        assert_eq!(
            ids,
            numbers(ids.len()),
            "no holes, nothing twice, seed {seed}"
        );
        drop(store);
        assert_eq!(fsck(&path).unwrap(), Vec::<String>::new(), "seed {seed}");
        kept = ids.len() as u64;
    }
}

#[test]
fn no_commit_returns_before_the_log_is_synced() {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-e", "trace=pwrite64,fdatasync,fsync,write"]);
    command.arg("-o").arg(&trace);
    command.arg(std::env::current_exe().unwrap());
    if Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        eprintln!("not tried: strace is not installed");
        return;
    }
    let (mut child, lines) = child(command, &directory.path().join("mailboxes.db"));
    let acknowledged = lines
        .lines()
        .map_while(Result::ok)
        .filter(|line| line.starts_with("acknowledged "));
    assert_eq!(acknowledged.take(30).count(), 30);
    // closed pipe: the child ends at its next word
    child.wait().unwrap();
    let (mut said, mut dirty) = (0, false);
    for line in fs::read_to_string(&trace).unwrap().lines() {
        let synced = line.contains("fdatasync(") || line.contains("fsync(");
        if line.contains("pwrite64(") && line.contains("-wal>") {
            dirty = true;
        } else if synced && line.contains("-wal>") && line.contains("= 0") {
            dirty = false;
        } else if line.contains("acknowledged ") && line.contains("write(") {
            assert!(!dirty, "acknowledged before the log was synced: {line}");
            said += 1;
        }
    }
    assert!(said >= 30, "{said}");
}

#[test]
fn fsck_names_a_damaged_page_and_the_store_stops_at_it() {
    let mut backend = Embedded::new(Limits::NONE);
    backend.batch(at(0), vec![open(BOB)]);
    for first in (0..2_000).step_by(50) {
        backend.batch(at(0), stores(first, 50));
    }
    backend.close();
    let path = backend.path();
    assert_eq!(fsck(&path).unwrap(), Vec::<String>::new());
    let whole = fs::read(&path).unwrap();
    // one bit of an envelope
    let needle = &message(ANN, BOB, 700).blob[100..400];
    let place = whole
        .windows(needle.len())
        .position(|w| w == needle)
        .unwrap();
    let mut flipped = whole.clone();
    flipped[place] ^= 1;
    fs::write(&path, &flipped).unwrap();
    let faults = fsck(&path).unwrap();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("not what was stored"), "{faults:?}");
    // a page overwritten
    let mut torn = whole.clone();
    torn[place / 4_096 * 4_096..][..4_096].fill(0xa5);
    fs::write(&path, &torn).unwrap();
    assert!(!fsck(&path).unwrap().is_empty());
    let mut store = open_at(&path);
    let all = (0..2_000).map(|id| confirmation(ANN, BOB, id)).collect();
    let error = store.commit(at(0), vec![confirm(BOB, all)]).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    assert!(error.to_string().contains("sremp relay fsck"));
    assert_eq!(store.commit(at(0), stores(0, 1)), Err(StoreError::Stopped));
    drop(store);
    // cut off, and no database at all
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(!fsck(&path).unwrap_or(vec![String::new()]).is_empty());
    fs::write(&path, vec![7; 20_000]).unwrap();
    let error = EmbeddedStore::open(&path, Limits::NONE, NO_GUARD).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    assert!(fsck(&path).is_err());
}

#[test]
fn a_clock_a_day_ahead_or_behind_costs_no_message() {
    let mut backend = Embedded::new(Limits::NONE);
    backend.batch(at(5 * DAY), vec![open(BOB)]);
    let mut ttl = message(ANN, BOB, 0);
    ttl.ttl = 60;
    backend.put(at(5 * DAY), ttl);
    // the service passes a time a day before its clock
    let ahead = at(6 * DAY);
    backend.purge(ahead, at(5 * DAY), at(0));
    backend.put(ahead, message(ANN, BOB, 1));
    let behind = at(4 * DAY);
    backend.put(behind, message(ANN, BOB, 2));
    backend.purge(behind, at(3 * DAY), at(0));
    backend.restart();
    assert_eq!(backend.ids(BOB), [0, 1, 2]);
    let items = backend.items(BOB);
    assert!(items.windows(2).all(|pair| pair[0].cursor < pair[1].cursor));
}

#[test]
fn a_backup_is_whole_while_the_store_goes_on() {
    let mut backend = Embedded::new(Limits::NONE);
    backend.batch(at(0), vec![open(BOB)]);
    backend.batch(at(0), stores(0, 500));
    let reader = backend.store().reader();
    let copy = backend.directory.path().join("copy.db");
    let target = copy.clone();
    let copying = std::thread::spawn(move || reader.backup(&target));
    backend.batch(at(0), stores(500, 500));
    copying.join().unwrap().unwrap();
    let copied = ids_in(&open_at(&copy));
    assert!([500, 1_000].contains(&copied.len()));
    assert_eq!(copied, numbers(copied.len()));
    assert_eq!(fsck(&copy).unwrap(), Vec::<String>::new());
    // from another process, and never over a file that is there
    let second = backend.directory.path().join("second.db");
    backup(&backend.path(), &second).unwrap();
    assert_eq!(ids_in(&open_at(&second)).len(), 1_000);
    assert!(matches!(
        backup(&backend.path(), &second),
        Err(StoreError::Io(_))
    ));
}

#[test]
fn a_database_under_a_key_shows_nothing_and_opens_with_no_other_key() {
    let mut backend: Encrypted = with_bob(Limits::NONE);
    for id in 0..20 {
        backend.run(at(0), Op::Store(Box::new(message(ANN, BOB, id))));
    }
    backend.close();
    let bytes = fs::read(backend.path()).unwrap();
    let log = fs::read(backend.path().with_extension("db-wal")).unwrap_or_default();
    let on_disk = [bytes, log].concat();
    let secret = |needle: &[u8]| on_disk.windows(needle.len()).any(|at| at == needle);
    assert!(on_disk.len() > 20 * 1024, "everything is there");
    assert!(!secret(b"SQLite format"), "not even what it is");
    assert!(
        !secret(&[ANN; 32]) && !secret(&[BOB; 32]),
        "nor whose it is"
    );
    let wrong = backend.open(2).unwrap_err();
    assert!(matches!(wrong, StoreError::Damaged(_)), "{wrong}");
    let mut right = backend.open(1).unwrap();
    assert_eq!(ids_in(&right), (0..20).collect::<Vec<_>>());
    right.commit(at(1), stores(20, 1)).unwrap();
}
