//! The demo, as it runs where there is no terminal.

use std::fs;

use crate::support::{Home, Ran, parse_lines};

#[test]
fn the_demo_holds_all_it_promises_and_leaves_nothing_behind() {
    let home = Home::none();
    let stage = home.beside().join("tmp");
    fs::create_dir(&stage).unwrap();
    let ran = Ran::of(home.command(&["demo"]).env("TMPDIR", &stage));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.stderr, "");
    let steps: Vec<&str> = ran
        .stdout
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    for (n, step) in (1..).zip(&steps) {
        assert!(step.starts_with(&format!("{n}. ")), "{step}");
    }
    assert_eq!(ran.stdout.lines().last(), Some("All 10 steps held."));
    assert_eq!(fs::read_dir(&stage).unwrap().count(), 0);
}

#[test]
fn a_demo_without_a_place_for_its_homes_says_so() {
    let home = Home::none();
    Ran::of(home.command(&["demo"]).env("TMPDIR", "/nonexistent")).refused(6, "TMPDIR");
}

#[test]
fn the_demo_tells_programs_what_it_checked() {
    let home = Home::none();
    let ran = Ran::of(
        home.command(&["demo", "--json"])
            .env("TMPDIR", home.beside()),
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let objects = parse_lines(&ran.stdout);
    assert_eq!(objects.last().unwrap()["demo"], "held");
    let steps = &objects[..objects.len() - 1];
    assert!(
        steps
            .iter()
            .all(|step| !step["checked"].as_array().unwrap().is_empty())
    );
}
