//! A home: made whole or not at all, opened by one process with the right passphrase, and clear
//! about what is wrong with it.

use std::{
    fs,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::Path,
};

use crate::support::*;
use sremp_client::{
    config::{Config, Direct},
    home::{Home, HomeError, Passphrase},
    store::{SCHEMA_VERSION, Store, StoreError},
    view::{CommandError, ErrorKind},
};
use sremp_core::identity::SecretIdentity;

fn given(text: &str) -> Passphrase {
    Passphrase::Given(text.to_owned().into())
}

fn make(home: &Home, passphrase: &Passphrase) -> Result<(), HomeError> {
    let config = Config {
        direct: Direct::Trusted,
        ..Config::default()
    };
    home.create(passphrase, &config, &somebody(1), at(0), &mut rng(1))
}

/// A home without a passphrase in which a conversation of some pages took place.
fn lived_in(directory: &Path) -> Home {
    let home = Home::at(directory.join("home"));
    make(&home, &Passphrase::None).unwrap();
    let mut store = open(&home).unwrap();
    let ann = befriend(&mut store, 1);
    for seq in 1..=300 {
        let text = format!("secret{seq} {}", "word ".repeat(60));
        commit(&mut store, |tx| {
            tx.insert_message(&received(ann, seq, &text))
        });
    }
    store.checkpoint().unwrap();
    home
}

/// The one sentence that a user gets, which names a remedy.
fn sentence(error: HomeError, kind: ErrorKind) -> String {
    let error = CommandError::from(error);
    assert_eq!(error.kind, kind, "{}", error.message);
    assert!(!error.message.contains('\n') && error.message.len() < 400);
    error.message
}

#[test]
fn a_home_opens_with_its_passphrase_and_holds_its_identity() {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::at(directory.path().join("some/where/home"));
    assert!(!home.exists());
    make(&home, &given("correct horse")).unwrap();
    assert!(home.exists() && home.has_passphrase().unwrap());
    assert_eq!(home.config().unwrap().direct, Direct::Trusted);

    let lock = home.lock().unwrap();
    let mut store = home.open(&lock, &given("correct horse")).unwrap();
    let parts = commit(&mut store, |tx| tx.own_identity());
    assert_eq!(SecretIdentity::from_parts(&parts).unwrap().id(), id_of(1));
    drop(store);
    let wrong = home.open(&lock, &given("Correct horse")).unwrap_err();
    assert!(sentence(wrong, ErrorKind::Passphrase).contains("try again"));
    let none = home.open(&lock, &Passphrase::None).unwrap_err();
    assert!(sentence(none, ErrorKind::Passphrase).contains("SREMP_PASSPHRASE"));
    home.open(&lock, &given("correct horse")).unwrap();
}

#[test]
fn only_its_owner_can_read_a_home() {
    let directory = tempfile::tempdir().unwrap();
    let home = lived_in(directory.path());
    let mut store = open(&home).unwrap();
    befriend(&mut store, 2);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(home.path()), 0o700);
    let mut names: Vec<_> = fs::read_dir(home.path())
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            path.file_name().unwrap().to_str().unwrap().to_owned()
        })
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["config.toml", "key", "lock", "sremp.db", "sremp.db-wal"]
    );
}

#[test]
fn nothing_of_a_conversation_is_readable_in_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let home = lived_in(directory.path());
    let mut store = open(&home).unwrap();
    let ann = commit(&mut store, |tx| tx.contact_by_key(&id_of(1)))
        .unwrap()
        .row;
    commit(&mut store, |tx| {
        tx.insert_message(&received(ann, 999, "in the log"))
    });
    let seed = commit(&mut store, |tx| tx.own_identity()).identity_seed;
    for name in ["sremp.db", "sremp.db-wal"] {
        let bytes = fs::read(home.path().join(name)).unwrap();
        assert!(bytes.len() > 4096);
        for word in [
            b"secret".as_slice(),
            b"in the log",
            b"SQLite",
            b"friend",
            &*seed,
        ] {
            assert!(!bytes.windows(word.len()).any(|w| w == word), "{name}");
        }
    }
}

#[test]
fn an_existing_home_and_foreign_files_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let home = lived_in(directory.path());
    let before = fs::read(home.path().join("key")).unwrap();
    let error = make(&home, &Passphrase::None).unwrap_err();
    assert!(sentence(error, ErrorKind::Home).contains("is left as it is"));
    assert_eq!(fs::read(home.path().join("key")).unwrap(), before);

    let other = directory.path().join("other");
    fs::create_dir(&other).unwrap();
    make(&Home::at(&other), &Passphrase::None).expect("an empty directory is as good as none");
    let (file, full) = (directory.path().join("file"), directory.path().join("full"));
    fs::write(&file, "mine").unwrap();
    fs::create_dir(&full).unwrap();
    fs::write(full.join("mine"), "mine").unwrap();
    let told = |place: &Path| {
        let error = make(&Home::at(place), &Passphrase::None).unwrap_err();
        sentence(error, ErrorKind::Home)
    };
    assert!(told(&full).contains("full holds other files"));
    for place in [&file, &file.join("below")] {
        assert!(told(place).contains("file is a file and not a directory"));
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_home_that_cannot_be_finished_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::at(directory.path().join("home"));
    let error = make(&home, &given("")).unwrap_err();
    assert!(sentence(error, ErrorKind::Passphrase).contains("--no-passphrase"));
    assert!(!home.exists());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_second_process_is_told_who_has_the_home() {
    let directory = tempfile::tempdir().unwrap();
    let home = lived_in(directory.path());
    let lock = home.lock().unwrap();
    let store = home.open(&lock, &Passphrase::None).unwrap();
    let error = home.lock().unwrap_err();
    let pid = std::process::id();
    assert!(matches!(error, HomeError::InUse { pid: Some(p) } if p == pid));
    assert!(sentence(error, ErrorKind::Home).contains(&format!("process {pid}")));
    drop((store, lock));
    open(&home).expect("given back");

    let elsewhere = Home::at(directory.path().join("elsewhere"));
    let error = elsewhere.lock().unwrap_err();
    assert!(sentence(error, ErrorKind::Home).contains("sremp init"));
    assert!(!elsewhere.path().exists());
}

#[test]
fn a_database_is_open_once_even_without_the_lock_file() {
    let directory = tempfile::tempdir().unwrap();
    let home = lived_in(directory.path());
    let _store = open(&home).unwrap();
    fs::remove_file(home.path().join("lock")).unwrap();
    let error = open(&home).unwrap_err();
    assert!(matches!(error, HomeError::InUse { pid: None }), "{error}");
}

#[test]
fn a_database_of_a_newer_version_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plain.db");
    drop(Store::open_plain(&path).unwrap());
    let version_at = 60; // of the SQLite header, big-endian
    let file = fs::File::options()
        .write(true)
        .read(true)
        .open(&path)
        .unwrap();
    file.write_all_at(&(SCHEMA_VERSION + 1).to_be_bytes(), version_at)
        .unwrap();
    let before = fs::read(&path).unwrap();
    let error = Store::open_plain(&path).unwrap_err();
    assert!(
        error.to_string().contains("use the newer program"),
        "{error}"
    );
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn damage_is_said_in_one_sentence_and_never_read_over() {
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 7] = [
        ("a flipped bit in the first page", |db| flip(db, 100)),
        ("a flipped bit in a later page", |db| {
            flip(db, 40 * 4096 + 7)
        }),
        ("cut in the middle", |db| cut(db, 2)),
        ("cut to one page", |db| cut(db, 20_000)),
        ("emptied", |db| fs::write(db, "").unwrap()),
        ("garbage", |db| fs::write(db, [0x5a; 65536]).unwrap()),
        ("gone", |db| fs::remove_file(db).unwrap()),
    ];
    for (name, damage) in damages {
        let directory = tempfile::tempdir().unwrap();
        let home = lived_in(directory.path());
        damage(&home.database_path());
        let before = fs::read(home.database_path()).ok();
        let outcome = open(&home).and_then(|mut store| {
            let checked = store.integrity_check();
            checked.map_err(HomeError::Store)
        });
        let message = sentence(outcome.expect_err(name), ErrorKind::Home);
        assert!(
            message.contains("damaged") && message.contains("put back a copy"),
            "{name}"
        );
        assert!(
            fs::read(home.database_path()).ok() == before,
            "{name}: left as found"
        );
    }
}

fn flip(path: &Path, at: u64) {
    let file = fs::File::options()
        .write(true)
        .read(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn cut(path: &Path, parts: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len((length / parts).max(4096) / 4096 * 4096)
        .unwrap();
}

#[test]
fn reading_a_damaged_page_fails_the_transaction_as_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let home = lived_in(directory.path());
    let pages = fs::metadata(home.database_path()).unwrap().len() / 4096;
    // the schema with its empty tables and indexes stands on the first seventy-odd pages
    for page in 80..pages {
        flip(&home.database_path(), page * 4096 + 2_000);
    }
    let mut store = open(&home).expect("the pages of the schema are whole");
    let ann = commit(&mut store, |tx| tx.contact_by_key(&id_of(1)))
        .unwrap()
        .row;
    let error = store
        .transaction(|tx| tx.history(ann, None, 500))
        .unwrap_err();
    assert_eq!(error, StoreError::Damaged);
}

#[test]
fn a_damaged_key_or_config_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let home = lived_in(directory.path());
    fs::write(home.config_path(), "direct = \"never\"\nlisten = 5\n").unwrap();
    let message = sentence(home.config().unwrap_err(), ErrorKind::Usage);
    assert!(message.contains("config.toml, line 2"), "{message}");
    fs::write(home.config_path(), [0xff, 0xfe]).unwrap();
    assert!(sentence(home.config().unwrap_err(), ErrorKind::Usage).contains("UTF-8"));
    fs::remove_file(home.config_path()).unwrap();
    assert_eq!(home.config().unwrap(), Config::default());

    let key = fs::read_to_string(home.path().join("key")).unwrap();
    let other = key.replace(['4', '5', '6', '7'], "8");
    for (content, what) in [("{", "key file"), ("", "key file"), (&*other, "database")] {
        fs::write(home.path().join("key"), content).unwrap();
        let error = open(&home).unwrap_err();
        assert!(
            matches!(&error, HomeError::Damaged(w) if w.contains(what)),
            "{error}"
        );
    }
    fs::write(
        home.path().join("key"),
        key.replace("\"version\": 1", "\"version\": 7"),
    )
    .unwrap();
    assert!(sentence(open(&home).unwrap_err(), ErrorKind::Home).contains("version 7"));
    fs::remove_file(home.path().join("key")).unwrap();
    assert!(matches!(
        open(&home),
        Err(HomeError::Damaged("the key file"))
    ));
    fs::write(home.path().join("key"), key).unwrap();
    open(&home).expect("nothing was lost by all that");
}
