//! Backups, homes that are restored from them, homes that are copied, homes that move.

use std::{path::Path, process::Command};

use crate::support::{Home, Ran, acquainted, text};

fn version(home: &Home) -> u64 {
    home.json(&["id"])["version"].as_u64().unwrap()
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_home_restored_from_a_backup_of_before_gets_what_it_missed() {
    let (ann, ben) = acquainted();
    let (_ann, ben_up) = (ann.up(), ben.up());
    ann.delivers("ben", "before");
    ben.delivers("ann", "from ben");
    let file = ben.backup_file();
    let written = ben.json(&["backup", &file]);
    assert_eq!(text(&written, "file"), file);
    assert!(written["bytes"].as_u64().unwrap() > 10_000);
    assert_eq!(mode(Path::new(&file)), 0o600);
    ann.delivers("ben", "after the backup");
    let before = version(&ben);
    ben_up.kill();
    std::fs::rename(ben.path(), ben.beside().join("lost")).unwrap();

    let restored = ben.json(&["restore", &file]);
    assert_eq!(text(&restored, "username"), "Ben");
    assert_eq!(mode(&ben.path()), 0o700);
    assert!(restored["version"].as_u64().unwrap() > before);
    let _ben = ben.up();
    ann.delivers("ben", "after the restoration");
    ben.delivers("ann", "again");
    assert_eq!(
        ben.texts("ann", "received"),
        ["before", "after the backup", "after the restoration"]
    );
    assert_eq!(ann.texts("ben", "received"), ["from ben", "again"]);
    assert_eq!(ben.texts("ann", "notice").len(), 1);
    assert_eq!(ann.texts("ben", "notice").len(), 1);
    // nothing of the way is left beside the home
    let mut names: Vec<_> = std::fs::read_dir(ben.beside()).unwrap().collect();
    names.retain(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        !["home", "lost", "sremp.backup", ".local"].contains(&name.to_str().unwrap())
    });
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn a_copied_home_begins_its_sessions_anew_before_it_sends() {
    let (ann, ben) = acquainted();
    let _ann = ann.up();
    let ben_up = ben.up();
    ben.delivers("ann", "one");
    // from now on each knows that the other answers
    ann.delivers("ben", "and one back");
    ben_up.signal("TERM");
    assert_eq!(ben_up.end().0, 0);
    let copy = ben.beside().join("copy");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(ben.path())
        .arg(&copy)
        .status();
    assert!(copied.unwrap().success());
    ben.delivers("ann", "two");
    let before = version(&ben);
    // the copy knows nothing of the second message, and would use its key once more
    std::fs::remove_dir_all(ben.path()).unwrap();
    std::fs::rename(&copy, ben.path()).unwrap();
    ben.delivers("ann", "three");
    assert!(version(&ben) > before);
    assert_eq!(ann.texts("ben", "received"), ["one", "two", "three"]);
    assert_eq!(ann.texts("ben", "notice").len(), 1);
    assert_eq!(ben.texts("ann", "notice").len(), 1);
    // noticed once, not at every start
    let after = version(&ben);
    ben.delivers("ann", "four");
    assert_eq!(version(&ben), after);
    assert_eq!(ann.texts("ben", "notice").len(), 1);
}

#[test]
fn a_home_on_another_machine_is_taken_for_a_copy() {
    let (ann, ben) = acquainted();
    let _ann = ann.up();
    ben.delivers("ann", "one");
    let before = version(&ben);
    let elsewhere = |args: &[&str]| {
        let mut command = ben.command(args);
        let ran = Ran::of(command.env("SREMP_STATE_DIR", ben.beside().join("other")));
        assert_eq!(ran.code, 0, "{ran:?}");
    };
    elsewhere(&["send", "ann", "two", "--wait", "device", "--timeout", "60"]);
    assert!(version(&ben) > before);
    assert_eq!(ann.texts("ben", "received"), ["one", "two"]);
}

#[test]
fn a_home_that_moved_sends_nothing_any_more_and_goes_on_elsewhere() {
    let (ann, ben) = acquainted();
    let (_ann, ben_up) = (ann.up(), ben.up());
    ann.delivers("ben", "before");
    let file = ben.backup_file();
    ben.json(&["move", &file]);
    // it has ended before the verb returns
    for verb in [&["id"][..], &["send", "ann", "from the old home"], &["up"]] {
        ben.run(verb).refused(5, "has moved elsewhere");
    }
    let (code, _) = ben_up.end();
    assert_eq!(code, 0);
    let new = Home::none();
    new.ok(&["restore", &file]);
    let _new = new.up();
    ann.delivers("ben", "after");
    assert_eq!(new.texts("ann", "received"), ["before", "after"]);
}

#[test]
fn nothing_is_restored_while_a_home_of_the_identity_is_in_use() {
    let ann = Home::of("Ann");
    ann.ok(&["config", "built_in_relay", "true"]);
    let (file, second) = (ann.backup_file(), ann.beside().join("second"));
    let up = ann.up();
    ann.ok(&["backup", &file]);
    let beside = || {
        let entries = std::fs::read_dir(ann.beside()).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    let before: std::collections::BTreeSet<_> = beside();
    let restore = ["restore", &file, "--home", second.to_str().unwrap()];
    let refused = ann.run(&restore);
    refused.refused(5, "nothing was restored");
    assert!(refused.stderr.contains(&format!("by process {}", up.id())));
    assert_eq!(beside(), before);
    assert_eq!(text(&ann.json(&["id"]), "id"), ann.id());

    // a screen is made for being used beside its home
    ann.ok(&[&restore[..], &["--screen"]].concat());
    std::fs::remove_dir_all(&second).unwrap();
    up.kill();
    ann.ok(&restore);
}

#[test]
fn a_backup_needs_the_passphrase_of_its_home() {
    let ann = Home::none();
    let with = |passphrase: &str, args: &[&str]| {
        let mut command = ann.command(args);
        Ran::of(command.env("SREMP_PASSPHRASE", passphrase))
    };
    assert_eq!(with("right", &["init", "--name", "Ann"]).code, 0);
    let file = ann.backup_file();
    let made = with("right", &["backup", &file]);
    assert_eq!((made.code, made.stderr.as_str()), (0, ""), "{made:?}");
    std::fs::rename(ann.path(), ann.beside().join("lost")).unwrap();
    with("wrong", &["restore", &file]).refused(4, "does not open the backup");
    ann.run(&["restore", &file]).refused(4, "passphrase");
    assert!(!ann.path().exists());
    assert_eq!(with("right", &["restore", &file]).code, 0);
    assert_eq!(with("right", &["id"]).code, 0);
}

#[test]
fn a_file_that_is_no_whole_backup_restores_nothing() {
    let ann = Home::of("Ann");
    let file = ann.backup_file();
    let made = ann.run(&["backup", &file]);
    assert_eq!(made.code, 0);
    assert!(made.stderr.contains("no passphrase"), "{made:?}");
    ann.run(&["backup", &file]).refused(2, "is there already");
    ann.run(&["restore", &file]).refused(5, "already holds");
    std::fs::rename(ann.path(), ann.beside().join("lost")).unwrap();

    let whole = std::fs::read(&file).unwrap();
    let mut cases = vec![
        (b"letter to Ben".to_vec(), 2, "is no backup"),
        (b"SREMP backup 02\n".repeat(100), 2, "is no backup"),
        (Vec::new(), 5, "cut off or damaged"),
        (whole[..1].to_vec(), 5, "cut off or damaged"),
        (whole[..15].to_vec(), 5, "cut off or damaged"),
        (whole[..16].to_vec(), 5, "cut off or damaged"),
        (whole[..30].to_vec(), 5, "cut off or damaged"),
        ([&whole[..16], &[0xff; 4]].concat(), 5, "cut off or damaged"),
        (whole[..whole.len() / 2].to_vec(), 5, "cut off or damaged"),
        (
            whole[..whole.len() - 4096].to_vec(),
            5,
            "cut off or damaged",
        ),
    ];
    // the key file is text: what does not fit into it is damage of the backup, not of a home
    for place in [20, 40, 100, 5_000, whole.len() / 2, whole.len() - 100] {
        let mut flipped = whole.clone();
        flipped[place] ^= 1;
        cases.push((flipped, 5, "cut off or damaged"));
    }
    for (bytes, code, word) in cases {
        std::fs::write(&file, bytes).unwrap();
        ann.run(&["restore", &file]).refused(code, word);
        assert!(!ann.path().exists());
    }
    ann.run(&["restore", "/no/such/file"])
        .refused(2, "there is no file /no/such/file");
    std::fs::write(&file, whole).unwrap();
    ann.ok(&["restore", &file]);
}

#[test]
fn a_backup_is_not_written_into_the_home_under_whatever_name() {
    let ann = Home::of("Ann");
    let link = ann.beside().join("link");
    std::os::unix::fs::symlink(ann.path(), &link).unwrap();
    for place in [ann.path().join("mailbox.db"), link.join("mine")] {
        for verb in ["backup", "move"] {
            ann.run(&[verb, place.to_str().unwrap()])
                .refused(2, "outside of the home");
            assert!(!place.exists());
        }
    }
    ann.ok(&["id"]);
}

#[test]
fn a_backup_whose_name_is_too_long_is_refused_as_that() {
    let ann = Home::of("Ann");
    let file = ann.beside().join("b".repeat(252));
    ann.run(&["backup", file.to_str().unwrap()])
        .refused(2, "at most 250 bytes");
}

#[test]
fn nothing_is_restored_in_the_place_of_a_file() {
    let ann = Home::of("Ann");
    let (file, place) = (ann.backup_file(), ann.file("place", "mine"));
    ann.ok(&["backup", &file]);
    let home = place.to_str().unwrap();
    ann.run(&["restore", &file, "--home", home])
        .refused(5, "is a file and not a directory");
    assert_eq!(std::fs::read(&place).unwrap(), b"mine");
}
