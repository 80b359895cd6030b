//! A relay as its operator meets it.

use crate::support::{Home, text};

/// A relay's directory on loopback that gives everybody a mailbox.
fn made() -> Home {
    let home = Home::none();
    home.make_relay(&["--open"]);
    home
}

#[test]
fn a_relay_is_made_serves_and_ends_and_what_it_keeps_is_whole() {
    let home = made();
    let relay = home.start(&["relay", "run"]);
    let line = relay.line();
    assert!(line.starts_with("relay ready sremp-relay:1#"), "{line}");
    let status = home.json(&["relay", "status"]);
    assert_eq!(
        (&status["running"], &status["mailboxes"]),
        (&true.into(), &0.into())
    );
    home.run(&["relay", "run"]).refused(5, "another process");
    let copy = home.beside().join("copy.db");
    let copy = copy.to_str().unwrap();
    home.ok(&["relay", "backup", copy]);
    home.run(&["relay", "backup", copy])
        .refused(2, "there already");
    relay.signal("TERM");
    let (code, log) = relay.end();
    assert_eq!((code, log.contains("panicked")), (0, false), "{log}");
    let faults = home.json(&["relay", "fsck"]);
    assert_eq!(faults["faults"].as_array().unwrap().len(), 0);
    assert_eq!(home.json(&["relay", "status"])["running"], false);
}

#[test]
fn whoever_looks_at_a_relay_leaves_no_file_there() {
    let home = made();
    let files = || {
        let files = std::fs::read_dir(home.path()).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = files();
    assert_eq!(home.json(&["relay", "status"])["running"], false);
    home.ok(&["relay", "invite"]);
    assert_eq!(
        files(),
        before,
        "of another user, the relay could not open it"
    );
}

#[test]
fn a_relay_is_made_once_and_what_is_not_there_is_said() {
    let home = Home::none();
    home.run(&["relay", "run"]).refused(5, "sremp relay init");
    home.run(&["relay", "fsck"]).refused(5, "sremp relay init");
    let link = text(
        &home.json(&["relay", "init", "--listen", "127.0.0.1:0"]),
        "link",
    );
    home.run(&["relay", "init"]).refused(5, "already");
    assert_eq!(text(&home.json(&["relay", "status"]), "link"), link);
    let invite = home.json(&["relay", "invite"]);
    assert_eq!(invite["single_use"], true);
    assert_ne!(text(&invite, "link"), link, "the invite is in it");
}

#[test]
fn a_message_waits_at_a_relay_until_its_reader_comes_also_over_a_kill() {
    let relay = made();
    let run = relay.start(&["relay", "run"]);
    let ready = run.line();
    let link = ready.strip_prefix("relay ready ").unwrap();
    let person = |name: &str| {
        let home = Home::none();
        home.ok(&["init", "--name", name, "--no-passphrase", "--relay", link]);
        home
    };
    let (ann, ben) = (person("ann"), person("ben"));
    ann.ok(&["add", &ben.card(), "--as", "ben"]);
    ben.ok(&["add", &ann.card(), "--as", "ann"]);
    let up = ben.up();
    let sent = ann.json(&["send", "ben", "are you there?", "--wait", "device"]);
    assert_eq!(
        (text(&sent, "status"), text(&sent, "path")),
        ("on-device".into(), "relay".into())
    );
    up.signal("TERM");
    up.end();

    let sent = ann.json(&["send", "ben", "for later", "--wait", "relay"]);
    assert_eq!(text(&sent, "status"), "at-relay");
    run.signal("KILL");
    run.end();
    let run = relay.start(&["relay", "run"]);
    run.line();
    let up = ben.up();
    // each call gives what there is, or waits for the first
    let heard = (0..20).any(|_| {
        let got = ben.objects(&["recv", "--timeout", "20", "--ack"]);
        got.iter()
            .any(|event| event["event"] == "message" && text(event, "text") == "for later")
    });
    assert!(heard, "it was kept");
    let history = ben.objects(&["history", "ann"]);
    let texts: Vec<String> = history.iter().map(|line| text(line, "text")).collect();
    assert_eq!(
        texts,
        ["are you there?", "for later"],
        "each once, in order"
    );
    up.signal("TERM");
    up.end();
    run.signal("TERM");
    run.end();
}

#[test]
fn a_load_is_stored_read_and_confirmed() {
    let home = Home::none();
    let load = [
        "bench",
        "relay",
        "--senders",
        "2",
        "--mailboxes",
        "2",
        "--online",
    ];
    let report = home.json(&[&load[..], &["--seconds", "1"]].concat());
    for count in ["stored", "delivered", "confirmed", "resident_kib"] {
        assert!(report[count].as_u64().unwrap() > 0, "{count} of {report}");
    }
    assert_eq!(report["refused"], 0);
}
