//! Making an identity, showing it, renewing its keys, inviting others.

use crate::support::{Home, Ran, keys, text};

const IDENTITY: [&str; 5] = ["card", "id", "safety_prefix", "username", "version"];

#[test]
fn init_prints_the_identity_that_id_shows() {
    let home = Home::none();
    let made = home.json(&["init", "--name", "Ann", "--no-passphrase"]);
    assert_eq!(keys(&made), IDENTITY);
    assert_eq!(made, home.json(&["id"]));
    let id = text(&made, "id");
    assert_eq!(id.len(), 64);
    assert!(
        id.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')),
        "{id}"
    );
    assert_eq!(made["username"], "Ann");
    assert_eq!(made["version"], 1);
    assert!(id.starts_with(&text(&made, "safety_prefix")));
    let card = text(&made, "card");
    assert!(card.starts_with("sremp:1#") && card.len() <= 400, "{card}");
}

#[test]
fn a_second_init_changes_nothing() {
    let home = Home::of("Ann");
    let before = home.json(&["id"]);
    home.run(&["init", "--name", "Eve", "--no-passphrase"])
        .refused(5, "already");
    assert_eq!(before, home.json(&["id"]));
}

#[test]
fn names_that_mislead_are_refused_and_leave_nothing() {
    let home = Home::none();
    for name in ["", "a\u{202e}nn", "a\u{200b}nn", "ann\n", &"a".repeat(41)] {
        let ran = home.run(&["init", "--no-passphrase", "--name", name]);
        assert_eq!(ran.code, 2, "{name:?}: {ran:?}");
        assert!(!home.path().exists(), "{name:?}");
    }
    home.run(&["init", "--no-passphrase"]).refused(2, "--name");
}

#[test]
fn home_is_chosen_by_option_before_variable() {
    let (ann, ben) = (Home::of("Ann"), Home::of("Ben"));
    let bens = ben.path();
    let shown = ann.json(&["--home", bens.to_str().unwrap(), "id"]);
    assert_eq!(shown["username"], "Ben");
    assert_eq!(ann.json(&["id"])["username"], "Ann");
    // Without either it is the platform's.
    let mut command = ann.command(&["id"]);
    let ran = Ran::of(command.env_remove("SREMP_HOME"));
    ran.refused(5, ann.beside().to_str().unwrap());
}

#[test]
fn rotating_keeps_the_id_and_raises_the_version() {
    let home = Home::of("Ann");
    let before = home.json(&["id"]);
    let after = home.json(&["identity", "rotate"]);
    assert_eq!(keys(&after), IDENTITY);
    assert_eq!(after["id"], before["id"]);
    assert_eq!(after["version"], 2);
    assert_ne!(after["card"], before["card"], "the card names the version");
    assert_eq!(after, home.json(&["id"]));
}

#[test]
fn an_invite_is_listed_until_it_is_revoked() {
    let home = Home::of("Ann");
    let invite = home.json(&["invite", "--expires", "3600"]);
    assert_eq!(keys(&invite), ["card", "expires", "invite"]);
    assert!(text(&invite, "card").starts_with("sremp:1#"));
    assert!(text(&invite, "expires").ends_with('Z'));
    let id = text(&invite, "invite");
    let open = home.objects(&["invite", "--list"]);
    assert_eq!(open.len(), 1);
    assert_eq!(text(&open[0], "invite"), id);
    assert_eq!(
        open[0]["card"], "",
        "a list does not repeat what lets people in"
    );
    home.ok(&["invite", "--revoke", &id]);
    assert_eq!(home.objects(&["invite", "--list"]).len(), 0);
    assert_ne!(home.run(&["invite", "--revoke", &id]).code, 0);
}

#[test]
fn status_without_a_client_says_so() {
    let home = Home::of("Ann");
    let status = home.json(&["status"]);
    assert_eq!(status["running"], false);
    assert_eq!(text(&status, "id"), home.id());
    assert_eq!(status["contacts"], 0);
    assert_eq!(status["queued"], 0);
    assert!(home.ok(&["status"]).contains("sremp up"));
}

#[test]
fn settings_are_shown_and_changed_and_what_is_wrong_changes_nothing() {
    let home = Home::of("ann");
    let before = home.json(&["config"]);
    assert_eq!(before["direct"], "accepted");
    assert_eq!(before["advertise"], serde_json::Value::Null);
    let changed = home.json(&["config", "advertise", "ann.example.org:4017"]);
    assert_eq!(changed["advertise"], "ann.example.org:4017");
    home.ok(&["config", "rendezvous", "example.org", "example.net"]);
    let after = home.json(&["config"]);
    assert_eq!(
        after["rendezvous"],
        serde_json::json!(["example.org", "example.net"])
    );
    assert_eq!(home.json(&["status"])["advertised"], "ann.example.org:4017");
    home.ok(&["config", "rendezvous", "--none"]);
    home.ok(&["config", "advertise", "--default"]);
    let told = home.ok(&["config"]);
    assert!(told.contains("(none)"), "{told}");
    home.run(&["config", "listne", "x"])
        .refused(2, "there are listen");
    home.run(&["config", "listne"])
        .refused(2, "there are listen");
    home.run(&["config", "map_port", "maybe"])
        .refused(2, "true or false");
    assert_eq!(home.json(&["config"])["map_port"], false);
    Home::none().run(&["config"]).refused(5, "sremp init");
}
