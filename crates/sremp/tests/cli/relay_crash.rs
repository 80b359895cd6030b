//! A relay that dies under load: `sremp bench relay --kills`.

use serde_json::Value;

use crate::support::{Home, Ran, answers, parse_lines};

/// Counts that have to be zero.
const FAULTS: [&str; 10] = [
    "missing",
    "given_twice",
    "not_sent",
    "bad_receipts",
    "changed_promises",
    "refused_stores",
    "refused_confirmations",
    "lost_confirmations",
    "foreign_confirmations",
    "damages",
];

/// `sremp bench relay`, with its temporary files in the home's directory.
fn load(home: &Home, args: &[&str]) -> (Ran, Value) {
    let args = [&["bench", "relay", "--json"], args].concat();
    let mut command = home.command(&args);
    let ran = Ran::of(command.env("TMPDIR", home.beside()));
    let mut reports = parse_lines(&ran.stdout);
    assert_eq!(reports.len(), 1, "{ran:?}");
    (ran, reports.remove(0))
}

#[track_caller]
fn keeps_everything(args: &[&str]) {
    let home = Home::none();
    let (ran, report) = load(&home, args);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(report["acknowledged"].as_u64() >= Some(400), "{report}");
    for fault in FAULTS {
        assert_eq!(report[fault], 0, "{fault} of {report}");
    }
}

#[test]
fn case_22_a_relay_killed_under_load_has_what_it_acknowledged_and_gives_nothing_twice() {
    keeps_everything(&["--kills", "3", "--messages", "400"]);
}

#[test]
fn case_22_a_power_cut_under_load_takes_nothing_that_was_acknowledged() {
    if answers("cc") {
        keeps_everything(&["--kills", "3", "--messages", "400", "--cut"]);
    }
}

#[test]
fn a_disk_that_only_says_it_has_synced_is_found_out() {
    if !answers("cc") {
        return;
    }
    let home = Home::none();
    let args = [
        "--kills",
        "2",
        "--messages",
        "400",
        "--cut",
        "--broken-sync",
    ];
    let (ran, report) = load(&home, &[&args[..], &["--seed", "3"]].concat());
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(report["missing"].as_u64() > Some(0), "{report}");
    assert!(ran.stderr.contains("kept"), "the evidence: {ran:?}");
}
