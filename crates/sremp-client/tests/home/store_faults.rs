//! What a fault leaves behind: everything that was committed, and nothing that was not.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use crate::support::{small_disk::SmallDisk, *};
use sremp_client::{
    home::Home,
    store::{Store, StoreError},
    view::{CommandError, ErrorKind},
};

#[test]
fn a_transaction_that_fails_leaves_nothing() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    let outcome: Result<(), StoreError> = store.transaction(|tx| {
        tx.insert_message(&received(ann, 1, "never"))?;
        tx.append_event("{}", at(0))?;
        Err(StoreError::Other("the engine changed its mind".into()))
    });
    assert!(outcome.is_err());
    commit(&mut store, |tx| {
        assert_eq!(
            tx.history(ann, None, 9)?.len() + tx.search("never", 9)?.len(),
            0
        );
        assert_eq!(tx.append_event("{}", at(0))?, 1);
        Ok(())
    });
}

#[test]
fn an_error_that_is_ignored_still_rolls_back() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    let outcome = store.transaction(|tx| {
        tx.insert_message(&received(ann, 1, "before"))?;
        let twice = tx.insert_invite(&[1; 32], at(9), at(0));
        let twice = twice.and_then(|()| tx.insert_invite(&[1; 32], at(9), at(0)));
        assert!(twice.is_err());
        assert!(
            tx.append_event("{}", at(0)).is_err(),
            "nothing more is taken"
        );
        Ok::<_, StoreError>(())
    });
    assert!(matches!(outcome, Err(StoreError::Other(_))));
    assert!(texts(&mut store, ann).is_empty());
}

#[test]
fn a_panic_rolls_back() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        commit(&mut store, |tx| -> Result<(), StoreError> {
            tx.insert_message(&received(ann, 1, "never"))?;
            panic!("in the middle")
        });
    }));
    assert!(panicked.is_err());
    assert!(texts(&mut store, ann).is_empty());
}

#[test]
fn a_full_database_refuses_and_goes_on_when_there_is_room() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    store.limit_growth(2).unwrap();
    let mut kept = 0;
    let error = loop {
        let text = "x".repeat(3_000);
        let line = received(ann, kept + 1, &text);
        match store.transaction(|tx| tx.insert_message(&line)) {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 10);
    };
    assert_eq!(error, StoreError::Full);
    assert_eq!(CommandError::from(error).kind, ErrorKind::Storage);
    assert_eq!(texts(&mut store, ann).len() as u64, kept);
    store.limit_growth(1_000).unwrap();
    commit(&mut store, |tx| {
        tx.insert_message(&received(ann, kept + 1, "room again"))
    });
    assert_eq!(texts(&mut store, ann).len() as u64, kept + 1);
    store.integrity_check().unwrap();
}

#[test]
fn a_full_disk_loses_nothing_that_was_confirmed() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(directory.path(), "size=2m") else {
        return;
    };
    let home = make_home(&directory.path().join("home")).unwrap();
    let mut store = open(&home).unwrap();
    let ann = befriend(&mut store, 1);
    let mut kept = Vec::new();
    let error = loop {
        let text = format!("{} {}", kept.len(), "x".repeat(2_000));
        let line = received(ann, kept.len() as u64 + 1, &text);
        match store.transaction(|tx| tx.insert_message(&line)) {
            Ok(_) => kept.push(text),
            Err(error) => break error,
        }
        assert!(kept.len() < 2_000);
    };
    assert_eq!(CommandError::from(error).kind, ErrorKind::Storage);
    assert!(kept.len() > 10);
    // what was not confirmed is not there, now or after the next start
    let again = store.transaction(|tx| tx.history(ann, None, u32::MAX));
    assert!(matches!(&again, Err(StoreError::Stopped)) || again.unwrap().len() == kept.len());
    drop(store);
    disk.remount("size=8m");
    let mut store = open(&home).unwrap();
    assert!(texts(&mut store, ann) == kept);
    store.integrity_check().unwrap();
    commit(&mut store, |tx| {
        tx.insert_message(&received(ann, 9_999, "room again"))
    });

    drop(store);
    disk.remount("ro");
    let error = CommandError::from(home.lock().map(drop).unwrap_err());
    assert_eq!(error.kind, ErrorKind::Storage);
    assert!(error.message.contains("writable"), "{error}");
}

#[test]
fn no_home_is_made_on_a_disk_that_is_too_small_or_read_only() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(directory.path(), "size=64k") else {
        return;
    };
    let place = directory.path().join("home");
    let error = CommandError::from(make_home(&place).unwrap_err());
    assert_eq!(error.kind, ErrorKind::Storage);
    assert!(error.message.contains("make room"), "{error}");
    assert_eq!(
        fs::read_dir(directory.path()).unwrap().count(),
        0,
        "nothing half-made"
    );
    disk.remount("ro");
    let error = CommandError::from(make_home(&place).unwrap_err());
    assert_eq!(error.kind, ErrorKind::Storage);
    assert!(error.message.contains("writable"), "{error}");
}

const CHILD_HOME: &str = "SREMP_TEST_CHILD_HOME";

/// Not a test of its own: the process that `a_killed_process_keeps_what_it_confirmed` kills.
#[test]
#[ignore = "run by a_killed_process_keeps_what_it_confirmed"]
fn a_process_that_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD_HOME) else {
        return;
    };
    let mut store = open(&Home::at(path)).unwrap();
    let ann = commit(&mut store, |tx| tx.contact_by_key(&id_of(1)))
        .unwrap()
        .row;
    let done = texts(&mut store, ann).len() as u64;
    let say = |word: &str, n: u64| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{word} {n}")
            .and_then(|()| out.flush())
            .unwrap();
    };
    for n in done + 1.. {
        let text = format!("message {n} {}", "y".repeat(500));
        commit(&mut store, |tx| {
            tx.insert_message(&received(ann, n, &text))?;
            say("open", n);
            tx.append_event("{}", at(n))
        });
        say("committed", n);
    }
}

#[test]
fn a_killed_process_keeps_what_it_confirmed() {
    let directory = tempfile::tempdir().unwrap();
    let home = make_home(&directory.path().join("home")).unwrap();
    befriend(&mut open(&home).unwrap(), 1);
    let mut confirmed = 0;
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture"])
            .arg("store_faults::a_process_that_writes_until_it_is_killed")
            .env(CHILD_HOME, home.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // killed inside a transaction in one round, right after a commit in the next
        let last = format!("{} {}", ["open", "committed"][round % 2], confirmed + 20);
        let mut opened = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(n) = line.strip_prefix("committed ") {
                confirmed = n.parse().unwrap();
            } else if let Some(n) = line.strip_prefix("open ") {
                opened = n.parse().unwrap();
            }
            if line == last {
                break;
            }
        }
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();

        let mut store = open(&home).unwrap();
        let ann = commit(&mut store, |tx| tx.contact_by_key(&id_of(1)))
            .unwrap()
            .row;
        let lines = commit(&mut store, |tx| tx.history(ann, None, u32::MAX));
        let seqs: Vec<_> = lines.iter().map(|line| line.seq).collect();
        let kept = seqs.len() as u64;
        assert!(confirmed > 0 && kept >= confirmed, "{kept} of {confirmed}");
        assert!(
            kept <= opened + 1,
            "the child ran on for an instant at the most"
        );
        assert_eq!(
            seqs,
            (1..=kept).collect::<Vec<_>>(),
            "no holes, nothing twice"
        );
        let events = commit(&mut store, |tx| tx.last_event());
        assert_eq!(events, kept, "whole transactions only");
        store.integrity_check().unwrap();
        confirmed = kept;
    }
}
