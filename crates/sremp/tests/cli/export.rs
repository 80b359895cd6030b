//! Conversations as files.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::support::{acquainted, parse_lines};

#[test]
fn json_lines_are_what_history_prints() {
    let (ann, _) = acquainted();
    for n in 0..5 {
        ann.ok(&["send", "ben", &format!("line {n}")]);
    }
    let history = ann.ok(&["history", "ben", "--json"]);
    assert_eq!(ann.ok(&["export", "ben"]), history);
    assert_eq!(ann.ok(&["export"]), history);
    assert_eq!(parse_lines(&history).len(), 5);
}

#[test]
fn a_file_is_readable_by_its_owner_alone() {
    let (ann, _) = acquainted();
    ann.ok(&["send", "ben", "# not a heading <b>"]);
    let path = ann.beside().join("out.md");
    let args = [
        "export",
        "--format",
        "markdown",
        "--output",
        path.to_str().unwrap(),
    ];
    let written = ann.json(&args);
    assert_eq!(written["messages"], 1);
    let content = fs::read_to_string(&path).unwrap();
    assert!(
        content.starts_with("# Conversation with ben\n"),
        "{content}"
    );
    assert!(
        content.contains("\n> \\# not a heading \\<b\\>\n"),
        "{content}"
    );
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_place_that_cannot_be_written_is_an_error_and_leaves_nothing() {
    let (ann, _) = acquainted();
    let args = ["export", "--output", "/nonexistent/out.jsonl"];
    ann.run(&args).refused(6, "written");
}
