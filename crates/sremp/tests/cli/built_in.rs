//! The built-in relay: what comes directly is kept in a mailbox of the home before it is read.

use std::{fs, os::unix::fs::PermissionsExt as _, sync::mpsc};

use crate::support::{Home, acquainted, text};

fn switch(home: &Home, on: bool) {
    home.ok(&["config", "built_in_relay", &on.to_string()]);
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(bytes, needle).is_some()
}

#[test]
fn with_a_built_in_relay_every_message_is_there_once_after_kill_9() {
    let (ann, ben) = acquainted();
    switch(&ben, true);
    let _ann_up = ann.up();
    let mut ben_up = ben.up();
    let mut said = Vec::new();
    for round in 0..6 {
        let say: Vec<_> = (0..20).map(|n| format!("{round}-{n}")).collect();
        let (tell, told) = mpsc::channel();
        std::thread::scope(|scope| {
            let (ann, say) = (&ann, &say);
            scope.spawn(move || {
                for text in say {
                    ann.ok(&["send", "ben", text]);
                    tell.send(()).unwrap();
                }
            });
            // some of it is on its way, some is kept and not read, some is read and still kept
            told.iter().take(3 * (round + 1)).for_each(drop);
            ben_up.kill();
            told.iter().for_each(drop);
        });
        said.extend(say);
        ben_up = ben.up();
    }
    let last = ann.json(&["send", "ben", "last", "--wait", "device", "--timeout", "30"]);
    assert_eq!(text(&last, "status"), "on-device");
    said.push("last".to_owned());
    assert_eq!(ben.texts("ann", "received"), said);
    let refused = &ben.json(&["status"])["refused"];
    assert_eq!(refused.get("mailbox-failed"), None, "{refused}");
}

#[test]
fn the_mailbox_is_for_its_owner_alone_and_goes_when_it_is_switched_off() {
    let (ann, ben) = acquainted();
    switch(&ben, true);
    let _ann_up = ann.up();
    let ben_up = ben.up();
    let sent = ann.json(&[
        "send",
        "ben",
        "a secret",
        "--wait",
        "device",
        "--timeout",
        "30",
    ]);
    assert_eq!(text(&sent, "status"), "on-device");
    let found = ben.run(&["doctor", "--json"]).stdout;
    assert!(found.contains("kept before it is read"), "{found}");
    ben_up.kill();
    let path = ben.path().join("mailbox.db");
    for file in [&path, &path.with_extension("db-wal")] {
        let bytes = fs::read(file).unwrap();
        assert!(!holds(&bytes, b"SQLite format") && !holds(&bytes, b"a secret"));
        let key: Vec<u8> = (0..32)
            .map(|at| u8::from_str_radix(&ann.id()[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        assert!(!holds(&bytes, &key), "nor who writes");
        assert_eq!(
            fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    // what needs no network leaves it alone
    ben.ok(&["history", "ann"]);
    assert!(path.exists());
    switch(&ben, false);
    let _ben_up = ben.up();
    let left = fs::read_dir(ben.path()).unwrap();
    let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("mailbox")).count(), 0);
}

#[test]
fn a_damaged_mailbox_is_named_with_what_can_be_done() {
    let (_, ben) = acquainted();
    switch(&ben, true);
    fs::write(ben.path().join("mailbox.db"), [7; 8192]).unwrap();
    let ran = ben.run(&["up"]);
    ran.refused(6, "built_in_relay");
    assert!(ran.stderr.contains("its file is damaged"), "{ran:?}");
    fs::remove_file(ben.path().join("mailbox.db")).unwrap();
    let _up = ben.up();
}
