//! The client on its own, in the foreground and in the background.

use std::net::TcpListener;

use crate::support::{Home, Ran, Running, keys, text};

#[test]
fn up_says_where_it_listens_and_other_verbs_use_it() {
    let home = Home::of("Ann");
    let up = home.start(&["up", "--listen", "127.0.0.1:0"]);
    let line = up.line();
    let words: Vec<&str> = line.split(' ').collect();
    let [first, id, listening, address] = words[..] else {
        panic!("{line}");
    };
    assert_eq!((first, listening), ("up", "listening"));
    assert!(
        address.starts_with("127.0.0.1:") && !address.ends_with(":0"),
        "{line}"
    );
    let status = home.json(&["status"]);
    assert_eq!(status["running"], true);
    assert_eq!(status["listening"], address);
    assert_eq!(status["id"], id);
    assert_eq!(home.id(), id);
    assert_ends(&home, up);
}

#[test]
fn port_0_means_the_port_that_a_card_may_name_already() {
    let home = Home::of("Ann");
    let config = std::fs::read_to_string(home.path().join("config.toml")).unwrap();
    let configured = config
        .lines()
        .find_map(|line| line.strip_prefix("listen = "))
        .unwrap()
        .trim_matches('"');
    for _ in 0..2 {
        let up = home.start(&["up", "--listen", "127.0.0.1:0"]);
        assert!(up.line().ends_with(configured), "not {configured}");
        up.signal("KILL");
        up.end();
    }
}

#[test]
fn a_home_that_listens_no_more_names_no_place_to_anybody() {
    let home = Home::of("Ann");
    assert_ends(&home, home.up());
    assert!(home.json(&["status"])["advertised"].is_string());
    home.ok(&["config", "listen", "--default"]);
    let _up = home.up();
    let status = home.json(&["status"]);
    assert!(status["listening"].is_null(), "{status}");
    assert!(status["advertised"].is_null(), "{status}");
    let examined = home.run(&["doctor", "--json"]);
    assert!(
        examined.stdout.contains("neither an address nor a relay"),
        "{examined:?}"
    );
}

#[test]
fn a_chat_leaves_the_port_as_it_was_that_a_client_is_told_to_listen_on() {
    let home = Home::of("Ann");
    home.ok(&["config", "listen", "--default"]);
    let place = || {
        let up = home.start(&["up", "--listen", "127.0.0.1:0"]);
        let line = up.line();
        assert_ends(&home, up);
        line
    };
    let before = place();
    home.run(&["chat", "nobody"]);
    assert_eq!(place(), before);
}

fn assert_ends(home: &Home, up: Running) {
    up.signal("TERM");
    assert_eq!(up.end(), (0, String::new()));
    assert_eq!(home.json(&["status"])["running"], false);
    assert!(!home.path().join("sock").exists());
}

#[test]
fn a_second_client_on_the_same_home_is_refused() {
    let home = Home::of("Ann");
    let _up = home.up();
    home.run(&["up"]).refused(5, "already runs");
    home.run(&["up", "--detach"]).refused(5, "already runs");
}

#[test]
fn a_port_in_use_is_named() {
    let home = Home::of("Ann");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = taken.local_addr().unwrap().port().to_string();
    home.run(&["up", "--listen", &address]).refused(9, &port);
    home.run(&["up", "--listen", &address, "--detach"])
        .refused(9, &port);
    home.run(&["up", "--listen", "nonsense"])
        .refused(2, "nonsense");
}

#[test]
fn a_client_in_the_background_is_ready_when_the_prompt_returns() {
    let home = Home::none();
    let with = |args: &[&str]| Ran::of(home.command(args).env("SREMP_PASSPHRASE", "secret"));
    let made = with(&["init", "--name", "Ann", "--listen", "127.0.0.1:0"]);
    assert_eq!(made.code, 0, "{made:?}");

    let mut wrong = home.command(&["up", "--detach"]);
    Ran::of(wrong.env("SREMP_PASSPHRASE", "guess")).refused(4, "passphrase");

    let ran = with(&["up", "--detach", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ready: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(keys(&ready), ["id", "listening"]);
    // Who asks the running client needs no passphrase.
    let status = home.json(&["status"]);
    assert_eq!(status["running"], true);
    assert_eq!(text(&status, "listening"), text(&ready, "listening"));
    // The passphrase is in nobody's arguments or environment.
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).into_owned();
        if arguments.contains("--detached") && arguments.contains(home.path().to_str().unwrap()) {
            let environment = std::fs::read(process.path().join("environ")).unwrap();
            let environment = String::from_utf8_lossy(&environment).into_owned();
            assert!(!environment.contains("secret") && !arguments.contains("secret"));
        }
    }
    assert_eq!(home.json(&["up", "--stop"])["stopped"], true);
    assert_eq!(with(&["status", "--json"]).code, 0);
    assert_eq!(home.json(&["up", "--stop"])["stopped"], false);
}

#[test]
fn a_client_killed_in_the_middle_of_its_work_starts_again() {
    let home = Home::of("Ann");
    let id = home.id();
    home.up().kill();
    assert_eq!(home.json(&["status"])["running"], false);
    let _up = home.up();
    assert_eq!(home.id(), id);
}

#[test]
fn a_client_whose_socket_was_removed_is_named_and_ends_by_a_signal() {
    let home = Home::of("Ann");
    let up = home.up();
    let sock = home.path().join("sock");
    std::fs::remove_file(&sock).unwrap();
    let sentence = format!("in use by process {}", up.id());
    let verbs = [
        &["status"][..],
        &["up"],
        &["up", "--detach"],
        &["up", "--stop"],
    ];
    std::thread::scope(|scope| {
        for verb in verbs {
            let (home, sentence) = (&home, &sentence);
            scope.spawn(move || {
                let ran = home.run(verb);
                ran.refused(5, sentence);
                assert_eq!(ran.stderr.lines().count(), 1, "{verb:?}: {ran:?}");
            });
        }
    });
    up.signal("TERM");
    assert_eq!(up.end(), (0, String::new()));
    let _up = home.up();
    assert_eq!(home.json(&["status"])["running"], true);
}

#[test]
fn a_socket_that_a_killed_client_left_is_no_client_and_the_next_takes_its_place() {
    let home = Home::of("Ann");
    home.up().kill();
    let sock = home.path().join("sock");
    assert!(sock.exists(), "kill -9 leaves it");
    // with it there, everything works as if no client had run
    assert_eq!(home.json(&["status"])["running"], false);
    assert_eq!(home.json(&["up", "--stop"])["stopped"], false);
    assert!(!home.ok(&["id"]).is_empty());
    let up = home.up();
    assert_eq!(home.json(&["status"])["running"], true);
    assert_ends(&home, up);
}

#[test]
fn a_client_that_is_stopped_is_named_by_every_verb_and_goes_on_where_it_was() {
    let home = Home::of("Ann");
    let up = home.up();
    up.signal("STOP");
    let changes = "may have been done";
    let verbs = [
        (&["status"][..], ""),
        (&["contacts"], ""),
        (&["identity", "rotate"], changes),
        (
            &["send", "ben", "hi", "--wait", "device", "--timeout", "1"],
            "`sremp history`",
        ),
        (&["up", "--stop"], changes),
    ];
    let process = format!("process {}", up.id());
    std::thread::scope(|scope| {
        for (verb, doubt) in verbs {
            let (home, process) = (&home, &process);
            scope.spawn(move || {
                let ran = home.run(verb);
                ran.refused(1, process);
                ran.refused(1, doubt);
                assert_eq!(ran.stderr.contains("outbox"), verb[0] == "send", "{ran:?}");
            });
        }
    });
    up.signal("CONT");
    // it was asked to end
    assert_eq!(up.end(), (0, String::new()));
}

#[test]
fn there_is_nothing_to_stop_where_there_is_no_home() {
    let none = Home::none();
    none.run(&["up", "--stop"]).refused(5, "sremp init");
    assert_eq!(Home::of("Ann").json(&["up", "--stop"])["stopped"], false);
}
