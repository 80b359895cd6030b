//! People who know no more of each other than an id, and a rendezvous server.

use std::{process::Command, time::Instant};

use serde_json::Value;

use crate::support::{Home, PATIENCE, Ran, Running, text};

/// Everything is on loopback.
const ANYWHERE: (&str, &str) = ("SREMP_ALLOW_PRIVATE_ADDRESSES", "1");

fn anywhere(home: &Home, args: &[&str]) -> Command {
    let mut command = home.command(args);
    command.env(ANYWHERE.0, ANYWHERE.1);
    command
}

/// A rendezvous server with a certificate of its own, and its link.
struct Server {
    home: Home,
    link: String,
}

impl Server {
    fn made() -> Self {
        Self::with_peers(&[])
    }

    /// One that exchanges lists with these every second.
    fn with_peers(peers: &[&Self]) -> Self {
        let home = Home::none();
        let made = home.json(&[
            "rendezvous",
            "init",
            "--listen",
            "127.0.0.1:0",
            "--self-signed",
        ]);
        let link = text(&made, "link");
        let path = home.path().join("rendezvous.toml");
        let links: Vec<String> = peers
            .iter()
            .map(|peer| format!("{:?}", peer.link))
            .collect();
        let set = |line: &str| match line.split(" =").next() {
            Some("peers") => format!("peers = [{}]\n", links.join(", ")),
            Some("peers_every") => "peers_every = 1\n".to_owned(),
            // of several on one machine one would have the port
            Some("operations") => "operations = \"\"\n".to_owned(),
            _ => format!("{line}\n"),
        };
        let settings = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, settings.lines().map(set).collect::<String>()).unwrap();
        Self { home, link }
    }

    fn run(&self) -> Running {
        let running = Running::of(&mut anywhere(&self.home, &["rendezvous", "run"]));
        assert!(running.line().starts_with("rendezvous ready "));
        running
    }

    fn person(&self, name: &str) -> Home {
        let home = Home::none();
        let args = [
            "init",
            "--name",
            name,
            "--no-passphrase",
            "--listen",
            "127.0.0.1:0",
        ];
        home.ok(&[&args[..], &["--rendezvous", &self.link]].concat());
        home
    }
}

/// A client that runs, and is registered.
fn up(home: &Home) -> Running {
    let running = Running::of(&mut anywhere(home, &["up"]));
    assert!(running.line().starts_with("up "));
    until(home, |status| {
        !status["rendezvous"][0]["registered_until"].is_null()
    });
    running
}

/// Waits until the client's status is so.
#[track_caller]
fn until(home: &Home, so: impl Fn(&Value) -> bool) {
    let from = Instant::now();
    loop {
        let status = home.json(&["status"]);
        if so(&status) {
            return;
        }
        assert!(from.elapsed() < PATIENCE, "{status}");
    }
}

fn find(home: &Home, who: &str) -> Ran {
    Ran::of(&mut anywhere(home, &["find", who, "--json"]))
}

#[test]
fn two_who_know_an_id_and_a_server_meet_and_find_each_other_again_after_one_has_moved() {
    let server = Server::made();
    let running = server.run();
    let (ann, ben) = (server.person("ann"), server.person("ben"));
    let (up_ann, up_ben) = (up(&ann), up(&ben));
    let found = find(&ann, &ben.id());
    assert_eq!(found.code, 0, "{found:?}");
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(
        (&found["username"], &found["alias"]),
        (&"ben".into(), &Value::Null)
    );
    assert_eq!(found["endpoints"][0], ben.json(&["status"])["listening"]);
    ann.ok(&["add", &ben.id(), "--as", "ben"]);
    ann.ok(&["send", "ben", "is that you?"]);
    assert_eq!(text(&ben.comes("is that you?"), "from"), ann.id());
    ben.ok(&["add", &ann.id(), "--as", "ann"]);
    let sent = ben.json(&["send", "ann", "it is", "--wait", "device"]);
    assert_eq!(
        (&sent["status"], &sent["path"]),
        (&"on-device".into(), &"direct".into())
    );
    assert_eq!(text(&ann.comes("it is"), "from"), ben.id());
    // ann is away while ben moves and takes a new noise key, and the server begins anew
    up_ann.signal("TERM");
    assert_eq!(up_ann.end().0, 0);
    let before = ben.json(&["status"])["listening"].clone();
    up_ben.kill();
    ben.ok(&["identity", "rotate"]);
    running.kill();
    let running = server.run();
    let up_ben = Running::of(&mut anywhere(&ben, &["up", "--listen", "127.0.0.2:0"]));
    up_ben.line();
    until(&ben, |s| {
        !s["rendezvous"][0]["registered_until"].is_null() && s["listening"] != before
    });
    let up_ann = up(&ann);
    let sent = ann.json(&[
        "send",
        "ben",
        "found you",
        "--wait",
        "device",
        "--timeout",
        "30",
    ]);
    assert_eq!(
        (&sent["status"], &sent["path"]),
        (&"on-device".into(), &"direct".into())
    );
    assert_eq!(text(&ben.comes("found you"), "from"), ann.id());
    // who has ended is not found any more
    up_ben.signal("TERM");
    assert_eq!(up_ben.end().0, 0);
    let gone = find(&ann, &ben.id());
    assert_eq!(gone.code, 8, "{gone:?}");
    for running in [up_ann, running] {
        running.signal("TERM");
        let (code, log) = running.end();
        assert_eq!((code, log.contains("panicked")), (0, false), "{log}");
    }
}

#[test]
fn those_who_are_listed_are_browsed_and_whoever_turns_it_off_is_gone() {
    let server = Server::made();
    let running = server.run();
    let (ann, ben) = (server.person("ann"), server.person("ben"));
    let (_up_ann, _up_ben) = (up(&ann), up(&ben));
    assert!(ann.objects(&["browse"]).is_empty());
    assert_eq!(ann.ok(&["browse"]), "Nobody is listed.\n");
    let told = ben.json(&["register", "--listed"]);
    assert_eq!(told["visibility"], "listed");
    assert!(!told["servers"][0]["registered_until"].is_null(), "{told}");
    let people = ann.objects(&["browse"]);
    assert_eq!((people.len(), text(&people[0], "id")), (1, ben.id()));
    assert_eq!(people[0]["online"], true);
    assert!(ann.objects(&["browse", "nobody"]).is_empty());
    assert_eq!(ann.objects(&["browse", "BE"]).len(), 1);
    assert!(ann.objects(&["contacts"]).is_empty());
    ben.ok(&["register", "--off"]);
    assert!(ann.objects(&["browse"]).is_empty());
    assert_eq!(find(&ann, &ben.id()).code, 8);
    ben.run(&["browse"]).refused(2, "sremp register");
    running.kill();
    ann.run(&["browse"])
        .refused(9, "no server told who is listed");
}

#[test]
fn what_is_missing_is_said() {
    let home = Home::of("ann");
    let id = Home::of("ben").id();
    home.run(&["find", &id])
        .refused(2, "no rendezvous server is set");
    home.run(&["add", &id])
        .refused(2, "no rendezvous server is set");
    home.run(&["browse"])
        .refused(2, "no rendezvous server is set");
    home.run(&["find", "ben"]).refused(8, "sremp browse");
    home.run(&["init", "--name", "x"]).refused(5, "already");
    let none = Home::none();
    let init = [
        "init",
        "--name",
        "x",
        "--no-passphrase",
        "--rendezvous",
        "nonsense",
    ];
    none.run(&init).refused(2, "neither a link");
    // a server that is not there
    let server = Server::made();
    let ann = server.person("ann");
    let missed = find(&ann, &id);
    assert_eq!(missed.code, 9, "{missed:?}");
    assert!(missed.stderr.contains("nothing answers"), "{missed:?}");
    assert_eq!(ann.json(&["servers"])["servers"][0]["state"], "idle");
    let told = ann.ok(&["register"]);
    assert!(told.contains("sremp up"), "{told}");
}

#[test]
fn a_client_learns_of_other_servers_and_told_to_uses_one_when_its_own_is_dead() {
    let (two, three) = (Server::made(), Server::made());
    let one = Server::with_peers(&[&two, &three]);
    let (running_one, _two, _three) = (one.run(), two.run(), three.run());
    let ann = one.person("ann");
    let client = up(&ann);
    // the servers may need a moment for each other; each registration asks for them anew
    let from = Instant::now();
    let told = loop {
        let told = ann.json(&["servers"])["candidates"]
            .as_array()
            .unwrap()
            .clone();
        if told.len() == 2 {
            break told;
        }
        assert!(from.elapsed() < PATIENCE, "{told:?}");
        let other = match ann.json(&["register"])["visibility"] == "listed" {
            true => "--unlisted",
            false => "--listed",
        };
        ann.run(&["register", other]);
    };
    let mut links: Vec<String> = told.iter().map(|other| text(other, "link")).collect();
    let mut wanted = vec![two.link.clone(), three.link.clone()];
    links.sort();
    wanted.sort();
    assert_eq!(links, wanted);
    running_one.kill();
    client.signal("TERM");
    assert_eq!(client.end().0, 0);
    // still known, also after a verb that may not use what is on loopback
    ann.ok(&["status"]);
    let shown = anywhere(&ann, &["servers", "--json"]).output().unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["candidates"].as_array().unwrap().len(), 2, "{shown}");
    let path = ann.path().join("config.toml");
    let settings = std::fs::read_to_string(&path).unwrap();
    let (old, new) = (
        format!("{:?}", one.link),
        format!("{:?}, {:?}", one.link, two.link),
    );
    assert!(settings.contains(&old), "{settings}");
    std::fs::write(&path, settings.replace(&old, &new)).unwrap();
    let client = Running::of(&mut anywhere(&ann, &["up"]));
    assert!(client.line().starts_with("up "));
    let registered = |status: &Value| {
        let servers = status["rendezvous"].as_array().unwrap().iter();
        let kept = servers.filter(|server| !server["registered_until"].is_null());
        kept.count() == 1
    };
    until(&ann, registered);
    // and is found there
    let ben = two.person("ben");
    assert_eq!(find(&ben, &ann.id()).code, 0);
}
