//! Help, misuse, and what is printed for shells and manuals.

use std::process::Stdio;

use crate::support::{Home, parse_lines};

const VERBS: [&str; 26] = [
    "init",
    "id",
    "invite",
    "add",
    "contacts",
    "verify",
    "trust",
    "reject",
    "send",
    "edit",
    "delete",
    "react",
    "timer",
    "chat",
    "recv",
    "history",
    "search",
    "why",
    "doctor",
    "export",
    "up",
    "status",
    "identity",
    "demo",
    "completions",
    "man",
];

#[test]
fn every_verb_has_help_with_an_example() {
    let home = Home::none();
    let overview = home.ok(&["--help"]);
    for verb in VERBS {
        assert!(
            overview.contains(&format!("\n  {verb} ")),
            "{verb} in {overview}"
        );
        let help = home.ok(&[verb, "--help"]);
        assert!(help.contains("Example"), "{help}");
        assert!(help.contains(&format!("sremp {verb}")), "{help}");
        assert!(help.contains("--json") && help.contains("--home"), "{help}");
    }
}

#[test]
fn sremp_alone_shows_the_way_instead_of_an_error() {
    let home = Home::none();
    let newcomer = home.ok(&[]);
    assert!(newcomer.contains("sremp init"), "{newcomer}");
    assert!(!home.path().exists(), "looking makes no home");
    let home = Home::of("Ann");
    let settled = home.ok(&[]);
    assert!(
        settled.contains("sremp chat") && !settled.contains("sremp init"),
        "{settled}"
    );
}

#[test]
fn wrong_use_exits_with_2_and_says_what_is_wrong() {
    let home = Home::of("Ann");
    for args in [
        &["frobnicate"][..],
        &["send"],
        &["send", "ben"],
        &["send", "ben", "hi", "--wait", "forever"],
        &["send", "ben", "hi", "--timeout", "-1"],
        &["send", "ben", ""],
        &["edit", "5f0c2a7e"],
        &["delete", "5f0c2a7e", "--here", "--wait", "device"],
        &["react", "5f0c2a7e"],
        &["react", "5f0c2a7e", "x", "--remove"],
        &["timer", "ben"],
        &["timer", "ben", "0"],
        &["history", "ben", "--limit", "many"],
        &["search"],
        &["search", " "],
        &["invite", "--list", "--revoke", "1a2b3c4d"],
        &["invite", "--expires", "0"],
        &["up", "--stop", "--detach"],
        &["identity"],
        &["verify", "ben", "12345"],
        &["completions", "tcl"],
        &["--home"],
    ] {
        let ran = home.run(&[args, &["--json"]].concat());
        assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{args:?}");
        let last = ran.stderr.lines().last().unwrap();
        let object = &parse_lines(last)[0];
        assert_eq!(object["error"], "usage", "{args:?}: {ran:?}");
        assert!(!object["message"].as_str().unwrap().is_empty(), "{args:?}");
    }
}

#[test]
fn an_error_is_one_line_for_people_and_an_object_for_programs() {
    let home = Home::none();
    let ran = home.run(&["id"]);
    ran.refused(5, "sremp init");
    assert_eq!(ran.stderr.lines().count(), 1);
    let ran = home.run(&["id", "--json"]);
    ran.refused(5, "sremp init");
    let object = &parse_lines(ran.stderr.lines().nth(1).unwrap())[0];
    assert_eq!(object["error"], "home");
    assert!(
        ran.stderr
            .starts_with(&format!("sremp: {}\n", object["message"].as_str().unwrap()))
    );
}

#[test]
fn an_empty_sremp_home_is_refused_by_its_name() {
    let home = Home::none();
    for verb in [
        &["id"][..],
        &["relay", "status"],
        &["rendezvous", "status"],
        &[],
    ] {
        let output = home.command(verb).env("SREMP_HOME", "").output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.starts_with("sremp: SREMP_HOME is empty"), "{told}");
        let mut given = home.command(verb);
        given.arg("--home").arg(home.path()).env("SREMP_HOME", "");
        let told = given.output().unwrap().stderr;
        let told = String::from_utf8(told).unwrap();
        assert!(!told.contains("SREMP_HOME is empty"), "{told}");
    }
    home.run(&["id", "--home", ""])
        .refused(2, "--home is empty");
}

#[test]
fn completions_and_manual_cover_every_verb() {
    let home = Home::none();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.ok(&["completions", shell]);
        assert!(VERBS.iter().all(|verb| script.contains(verb)), "{shell}");
    }
    assert!(home.ok(&["man"]).contains(".TH"));
    let dir = home.beside().join("man1");
    home.ok(&["man", dir.to_str().unwrap()]);
    for verb in VERBS {
        assert!(dir.join(format!("sremp-{verb}.1")).exists(), "{verb}");
    }
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let home = Home::none();
    let mut command = home.command(&["completions", "bash"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stderr, b"");
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let home = Home::none();
    let Ok(full) = std::fs::File::create("/dev/full") else {
        return;
    };
    let mut command = home.command(&["man"]);
    let output = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = output.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{output:?}");
}

#[test]
fn nothing_is_coloured_or_drawn_where_there_is_no_terminal() {
    let home = Home::of("Ann");
    for args in [
        &["id"][..],
        &["invite"],
        &["status"],
        &["contacts"],
        &["--help"],
    ] {
        let ran = home.run(args);
        assert!(!ran.stdout.contains('\u{1b}'), "{ran:?}");
        assert!(!ran.stdout.contains('█'), "{ran:?}");
    }
}
