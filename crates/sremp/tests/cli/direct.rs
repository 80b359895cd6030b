//! `sremp direct`: with whom direct connections are made.

use std::time::Instant;

use crate::support::{Home, PATIENCE, acquainted, text};

/// Waits until Ann's client has, or has not, a connection with Ben.
#[track_caller]
fn connected(ann: &Home, wanted: bool) {
    let from = Instant::now();
    while ann.json(&["contacts"])["connected"] != wanted {
        assert!(from.elapsed() < PATIENCE, "connected: {wanted}");
    }
}

#[test]
fn a_contact_that_is_off_is_cut_off_refused_and_comes_back_by_default() {
    let (ann, ben) = acquainted();
    let (_ann, _ben) = (ann.up(), ben.up());
    let hello = ["send", "ben", "hello", "--wait", "device"];
    assert_eq!(ann.json(&hello)["path"], "direct");
    connected(&ann, true);

    let off = ann.json(&["direct", "ben", "off"]);
    assert_eq!(
        (text(&off, "direct"), &off["connected"]),
        ("off".into(), &false.into())
    );
    assert_eq!(ann.json(&["status"])["direct_off"][0], "ben");
    assert!(ann.ok(&["status"]).contains("off for ben"));
    let back = [
        "send",
        "ann",
        "are you there?",
        "--wait",
        "device",
        "--timeout",
        "3",
    ];
    let refused = ben.run(&back);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(ann.json(&["status"])["refused"]["direct-off"].as_u64() >= Some(1));
    let sent = ann.json(&["send", "ben", "wait"]);
    let why = ann.json(&["why", &text(&sent, "msg_id")]);
    assert_eq!(why["waits"], "direct-off");
    assert!(
        text(&why, "waits_for").contains("sremp direct ben default"),
        "{why}"
    );

    let undone = ann.json(&["direct", "ben", "default"]);
    assert_eq!(text(&undone, "direct"), "default");
    connected(&ann, true);
    let wrong = ann.run(&["direct", "ben", "sometimes"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("on, off, default"), "{wrong:?}");
    ann.run(&["direct", "nobody", "off"]).refused(8, "nobody");
}
