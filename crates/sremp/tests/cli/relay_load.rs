//! What `sremp bench relay` measures, in short: that the figures are those of what happened.

use serde_json::Value;

use crate::support::{Home, Ran};

/// `sremp bench relay --json`, with its temporary files in the home's directory.
fn ran(args: &[&str]) -> Ran {
    let home = Home::none();
    let args = [&["bench", "relay", "--json"], args].concat();
    Ran::of(home.command(&args).env("TMPDIR", home.beside()))
}

fn report(args: &[&str]) -> Value {
    let ran = ran(args);
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

#[track_caller]
fn are(report: &Value, count: u64, names: &[&str]) {
    for name in names {
        assert_eq!(report[name], count, "{name} of {report}");
    }
}

#[track_caller]
fn are_positive(report: &Value, names: &[&str]) {
    for name in names {
        assert!(report[name].as_f64() > Some(0.0), "{name} of {report}");
    }
}

#[test]
fn a_backlog_is_drained_each_message_once_and_in_order() {
    let report = report(&["--drain", "600"]);
    are(&report, 600, &["stored", "drained", "confirmed"]);
    are(&report, 0, &["misplaced", "refused", "left"]);
    let figures = ["first_ms", "seconds", "drained_per_s", "cpu_us_per_message"];
    are_positive(&report, &figures);
    let seconds = report["seconds"].as_f64().unwrap();
    assert!(report["first_ms"].as_f64().unwrap() <= seconds * 1e3);
    assert_eq!(report["limits"]["first_ms"], "<= 20");
}

#[test]
fn idle_connections_are_all_there_in_the_end() {
    let report = report(&["--idle", "40"]);
    are(&report, 40, &["connections"]);
    are(&report, 0, &["lost"]);
    let figures = [
        "connects_per_s",
        "cpu_us_each",
        "signature_check_us",
        "resident_kib_each",
    ];
    are_positive(&report, &figures);
    let kib = |name: &str| report[name].as_f64().unwrap();
    assert!(kib("resident_kib") > kib("resident_kib_before"), "{report}");
}

#[test]
fn a_full_relay_is_compared_with_an_empty_one_and_starts_again() {
    let load = ["--senders", "2", "--mailboxes", "3", "--seconds", "1"];
    let report = report(&[&["--fill", "500"], &load[..]].concat());
    are(&report, 500, &["filled"]);
    let figures = ["filled_per_s", "empty_per_s", "full_per_s", "restart_s"];
    are_positive(&report, &figures);
    let ratio = report["full_per_s"].as_f64().unwrap() / report["empty_per_s"].as_f64().unwrap();
    let said = report["ratio"].as_f64().unwrap();
    assert!((said - ratio).abs() < 1e-9, "{report}");
    assert!(report["disk_share"].as_f64() > Some(1.0), "{report}");
    are_positive(&report, &["resident_kib", "resident_kib_restarted"]);
}

#[test]
fn no_more_is_stored_than_the_rate_says() {
    let load = ["--senders", "4", "--mailboxes", "1", "--online"];
    let report = report(&[&load[..], &["--rate", "50", "--seconds", "2"]].concat());
    let stored = report["stored"].as_u64().unwrap();
    assert!((50..=101).contains(&stored), "{report}");
    assert_eq!(report["refused"], 0);
    are_positive(&report, &["delivery_p50_ms", "delivery_p99_ms"]);
}

#[test]
fn one_thing_is_measured_at_a_time() {
    for other in [
        &["--idle", "1"],
        &["--fill", "1"],
        &["--kills", "1"],
        &["--rate", "1"],
    ] {
        let ran = ran(&[&["--drain", "1"], &other[..]].concat());
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains("cannot be used with"), "{ran:?}");
    }
}

#[test]
fn more_connections_than_files_may_be_open_are_refused_with_the_remedy() {
    let ran = ran(&["--idle", "4000000000"]);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("`ulimit -n 4000000128`"), "{ran:?}");
}
