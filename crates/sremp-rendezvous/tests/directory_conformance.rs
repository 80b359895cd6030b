//! What every store of a directory has to do.
#![allow(missing_docs)]

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use sremp_core::{
    id::IdentityKey,
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    rendezvous::{Entry, Record, RecordDraft, Seq, Visibility},
    time::UnixMillis,
};
use sremp_rendezvous::directory::{DirectoryStore, EmbeddedStore, MemoryStore, Op, StoreError};

const NOW: UnixMillis = UnixMillis::saturating(1_760_000_000_000);

fn person(seed: u8) -> SecretIdentity {
    let name = Username::parse("somebody").unwrap();
    SecretIdentity::from_keys(&[seed; 32], NoiseSecret::from_bytes(&[7; 32]), &name, NOW)
}

fn entry(seed: u8, seq: u64) -> Entry {
    let draft = RecordDraft {
        seq: Seq::new(seq),
        endpoints: vec![format!("9.9.9.9:{}", 1024 + seq).parse().unwrap()],
        issued: NOW,
        ttl: Duration::from_secs(3600),
        visibility: Visibility::Listed,
        relays: vec![],
    };
    let of = person(seed);
    let record = Record::sign(&of, draft).unwrap();
    let (identity, signature) = (of.identity().as_bytes(), *record.signature());
    Entry::restored(identity, record.as_bytes(), signature, NOW).unwrap()
}

fn put(seed: u8, seq: u64) -> Op {
    Op::Put(Box::new(entry(seed, seq)))
}

fn all(store: &mut impl DirectoryStore) -> BTreeMap<IdentityKey, Entry> {
    let mut all = BTreeMap::new();
    let load = store.load(&mut |entry| {
        assert!(all.insert(entry.key(), entry).is_none(), "each key once");
    });
    load.unwrap();
    all
}

fn expected(entries: &[Entry]) -> BTreeMap<IdentityKey, Entry> {
    entries.iter().map(|e| (e.key(), e.clone())).collect()
}

/// The story of one store.
fn keeps_the_newest_of_each_key(store: &mut impl DirectoryStore) {
    assert!(all(store).is_empty());
    store.commit(&[put(1, 5), put(2, 5), put(3, 5)]).unwrap();
    assert_eq!(
        all(store),
        expected(&[entry(1, 5), entry(2, 5), entry(3, 5)])
    );
    // newer, older, and twice in one commit
    store
        .commit(&[put(1, 6), put(2, 4), put(3, 7), put(3, 6)])
        .unwrap();
    assert_eq!(
        all(store),
        expected(&[entry(1, 6), entry(2, 5), entry(3, 7)])
    );
    let forget = Op::Forget(person(1).id().into());
    store.commit(&[forget.clone(), put(4, 1)]).unwrap();
    store.commit(&[forget]).unwrap();
    assert_eq!(
        all(store),
        expected(&[entry(2, 5), entry(3, 7), entry(4, 1)])
    );
    // who was forgotten may come with any seq
    store.commit(&[put(1, 2)]).unwrap();
    assert_eq!(all(store).len(), 4);
    store.commit(&[]).unwrap();
}

#[test]
fn a_store_in_memory_keeps_the_newest_of_each_key() {
    keeps_the_newest_of_each_key(&mut MemoryStore::default());
}

#[test]
fn a_store_on_disk_keeps_the_newest_of_each_key_also_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("directory.db");
    let mut store = EmbeddedStore::open(&path).unwrap();
    keeps_the_newest_of_each_key(&mut store);
    let before = all(&mut store);
    drop(store);
    let mut store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(all(&mut store), before);
    store.commit(&[put(2, 4), put(2, 6)]).unwrap();
    drop(store);
    let mut store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(all(&mut store)[&person(2).id().into()], entry(2, 6));
}

#[test]
fn what_is_answered_is_in_the_log_when_the_process_dies() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("directory.db");
    let mut store = EmbeddedStore::open(&path).unwrap();
    store.commit(&[put(1, 5)]).unwrap();
    // what is on the disk at this moment, without what closing would do
    let copy = dir.path().join("copy.db");
    for suffix in ["", "-wal"] {
        let with = |path: &Path| format!("{}{suffix}", path.display());
        fs::copy(with(&path), with(&copy)).unwrap();
    }
    assert_eq!(
        all(&mut EmbeddedStore::open(&copy).unwrap()),
        expected(&[entry(1, 5)])
    );
}

#[test]
fn a_file_that_is_no_directory_or_a_newer_one_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("directory.db");
    fs::write(&path, vec![7; 8192]).unwrap();
    let error = EmbeddedStore::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    let path = dir.path().join("newer.db");
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA user_version = 2").unwrap();
    drop(conn);
    let newer = StoreError::Newer { found: 2, known: 1 };
    assert_eq!(EmbeddedStore::open(&path).unwrap_err(), newer);
}

#[test]
fn a_row_that_was_not_written_here_is_noticed_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("directory.db");
    let mut store = EmbeddedStore::open(&path).unwrap();
    store.commit(&[put(1, 5)]).unwrap();
    drop(store);
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("UPDATE registration SET record = x'97'")
        .unwrap();
    drop(conn);
    let loaded = EmbeddedStore::open(&path).unwrap().load(&mut |_| ());
    assert!(matches!(loaded, Err(StoreError::Damaged(_))), "{loaded:?}");
}

#[test]
fn only_its_owner_reads_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("directory.db");
    drop(EmbeddedStore::open(&path).unwrap());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
}
