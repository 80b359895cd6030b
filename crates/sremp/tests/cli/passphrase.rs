//! Where the passphrase comes from, and in which order.

use std::fs;

use crate::support::{Home, Ran};

const RIGHT: &str = "correct horse";

fn locked() -> Home {
    let home = Home::none();
    let mut init = home.command(&["init", "--name", "Ann"]);
    let ran = Ran::of(init.env("SREMP_PASSPHRASE", RIGHT));
    assert_eq!(ran.code, 0, "{ran:?}");
    home
}

/// Puts the setting where the config's own commented line may stand.
fn set_command(home: &Home, command: &str) {
    let path = home.path().join("config.toml");
    let config = fs::read_to_string(&path).unwrap_or_default();
    fs::write(&path, format!("passphrase_command = {command:?}\n{config}")).unwrap();
}

#[test]
fn the_variable_comes_before_the_file_and_the_file_before_the_command() {
    let home = locked();
    let right = home.file("right", &format!("{RIGHT}\nanother line\n"));
    let wrong = home.file("wrong", "battery staple\n");
    let (right, wrong) = (right.to_str().unwrap(), wrong.to_str().unwrap());
    let id = |variable: Option<&str>, file: Option<&str>| {
        let mut args = vec!["id"];
        args.extend(
            file.into_iter()
                .flat_map(|file| ["--passphrase-file", file]),
        );
        let mut command = home.command(&args);
        command.envs(variable.map(|value| ("SREMP_PASSPHRASE", value)));
        Ran::of(&mut command)
    };
    assert_eq!(id(Some(RIGHT), Some(wrong)).code, 0);
    id(Some("battery staple"), Some(right)).refused(4, "passphrase");
    set_command(&home, "echo battery staple");
    assert_eq!(id(None, Some(right)).code, 0);
    id(None, None).refused(4, "passphrase");
}

#[test]
fn a_command_in_the_config_gives_the_passphrase() {
    let home = locked();
    set_command(&home, &format!("echo {RIGHT}; echo more"));
    home.ok(&["id"]);
}

#[test]
fn a_command_that_fails_is_named() {
    let home = locked();
    set_command(&home, "exit 7");
    home.run(&["id"]).refused(4, "passphrase_command");
}

#[test]
fn the_file_may_be_standard_input() {
    let home = locked();
    let input = format!("{RIGHT}\n");
    let ran = home.run_with_input(&["id", "--passphrase-file", "-"], input.as_bytes());
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn without_a_source_and_a_terminal_nothing_hangs() {
    let home = locked();
    home.run(&["id"]).refused(4, "SREMP_PASSPHRASE");
    home.run(&["id", "--passphrase-file", "/nonexistent"])
        .refused(4, "/nonexistent");
}

#[test]
fn an_empty_passphrase_is_refused_and_leaves_nothing() {
    let home = Home::none();
    let mut init = home.command(&["init", "--name", "Ann"]);
    Ran::of(init.env("SREMP_PASSPHRASE", "")).refused(4, "--no-passphrase");
    home.run(&["init", "--name", "Ann"])
        .refused(4, "--no-passphrase");
    assert!(!home.path().exists());
}

#[test]
fn a_home_made_without_passphrase_needs_none() {
    let home = Home::of("Ann");
    home.ok(&["id"]);
    let mut id = home.command(&["id"]);
    assert_eq!(Ran::of(id.env("SREMP_PASSPHRASE", "")).code, 0);
}
