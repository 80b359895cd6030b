//! A screen: a second home of the same user, which shows what the first one has.

use serde_json::Value;

use crate::support::{Home, Running, acquainted, text};

fn backup_of(home: &Home) -> String {
    let file = home.backup_file();
    home.ok(&["backup", &file]);
    file
}

/// The next event of a screen for which this holds.
fn event(reader: &Running, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    reader.object(|event| event["event"] == kind && wanted(event))
}

#[test]
fn what_is_said_changed_and_taken_back_is_seen_on_a_screen_also_after_it_was_away() {
    let (ann, ben) = acquainted();
    ann.ok(&["config", "built_in_relay", "true"]);
    let (_ann_up, _ben_up) = (ann.up(), ben.up());
    ann.delivers("ben", "before the backup");
    let screen = Home::none();
    let made = screen.json(&["restore", &backup_of(&ann), "--screen"]);
    assert_eq!(text(&made, "id"), ann.id());
    let history = |home: &Home| home.objects(&["history", "ben"]);
    assert_eq!(history(&screen), history(&ann), "without the network");

    let screen_up = screen.up();
    let reader = screen.start(&["recv", "--json", "--follow"]);
    let first = ben.delivers("ann", "a message in");
    event(&reader, "message", |event| event["text"] == "a message in");
    ann.delivers("ben", "a message out");
    ben.ok(&["edit", &first, "a message changed", "--wait", "device"]);
    event(&reader, "edited", |event| {
        event["text"] == "a message changed"
    });
    drop(reader);
    screen_up.kill();

    let second = ben.delivers("ann", "while it was away");
    ben.ok(&["delete", &first, "--wait", "device"]);
    ben.ok(&["react", &second, "+", "--wait", "device"]);
    let _screen_up = screen.up();
    let reader = screen.start(&["recv", "--json", "--follow"]);
    event(&reader, "reaction", |event| event["reaction"] == "+");
    assert_eq!(history(&screen), history(&ann));
    let found = |words| screen.objects(&["search", words]).len();
    assert_eq!((found("away"), found("changed")), (1, 0));
}

#[test]
fn a_screen_runs_beside_its_home_and_changes_nothing() {
    let (ann, ben) = acquainted();
    ann.ok(&["config", "built_in_relay", "true"]);
    let (_ann_up, _ben_up) = (ann.up(), ben.up());
    let file = backup_of(&ann);
    let screen = Home::none();
    screen.ok(&["restore", &file, "--screen"]);
    let _screen_up = screen.up();
    for args in [
        &["send", "ben", "no"][..],
        &["add", &ben.card(), "--yes"],
        &["trust", "ben"],
        &["invite"],
        &["identity", "rotate"],
        &["backup", "/tmp/never"],
        &["timer", "ben", "1d"],
    ] {
        screen.run(args).refused(2, "a screen of Ann");
    }
    // it went on being one and the same client to its contacts
    ben.delivers("ann", "to the home");
    ann.delivers("ben", "from the home");
    let status = ann.json(&["status"]);
    assert_eq!(status["screens"], 1, "a home knows how many look on");
    assert_eq!(status["warnings"].as_array().unwrap().len(), 0, "{status}");
    // the very identity of the home is not on the screen's card at a later version
    assert!(screen.json(&["id"])["version"].as_u64() <= ann.json(&["id"])["version"].as_u64());
}

#[test]
fn a_backup_that_cannot_be_followed_makes_no_screen_and_leaves_nothing() {
    let (ann, _) = acquainted();
    let file = backup_of(&ann);
    let screen = Home::none();
    let ran = screen.run(&["restore", &file, "--screen"]);
    ran.refused(2, "built_in_relay true");
    assert!(!screen.path().exists());
    let ran = screen.run(&["restore", &file, "--at", "localhost:1"]);
    assert_eq!(ran.code, 2, "--at is for screens: {ran:?}");
}
