//! `doctor` with real disks, sockets, relays.

use std::{net::TcpListener, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use crate::{
    invited::{Relay, stop},
    support::{Home, keys, parse_lines},
};

fn doctor(home: &Home) -> (i32, Value) {
    let ran = home.run(&["doctor", "--json"]);
    let mut objects = parse_lines(&ran.stdout);
    assert_eq!(objects.len(), 1, "{ran:?}");
    (ran.code, objects.remove(0))
}

#[track_caller]
fn check<'a>(found: &'a Value, name: &str) -> &'a Value {
    let mut checks = found["checks"].as_array().unwrap().iter();
    checks
        .find(|check| check["check"] == name)
        .unwrap_or_else(|| panic!("{name} in {found}"))
}

#[test]
fn doctor_measures_with_a_running_client_and_without_one() {
    let home = Home::of("Ann");
    let alone = doctor(&home);
    let running = home.up();
    for (code, found) in [alone, doctor(&home)] {
        assert_eq!(code, 0, "{found}");
        let store = check(&found, "store");
        assert_eq!(
            (&store["outcome"], &store["unit"]),
            (&"ok".into(), &"microseconds".into())
        );
        assert!(store["measured"].as_u64().unwrap() > 0, "{store}");
        assert_eq!(check(&found, "listening")["outcome"], "ok");
        assert!(check(&found, "disk")["measured"].as_u64().unwrap() > 0);
        let all = [
            "check", "measured", "outcome", "remedy", "subject", "unit", "words",
        ];
        assert_eq!(keys(store), all);
    }
    drop(running);
}

#[test]
fn doctor_tells_of_an_open_key_and_of_a_relay_that_is_gone() {
    let relay = Relay::made();
    let home = relay.person("Ann");
    let running = relay.run();
    let (code, found) = doctor(&home);
    assert_eq!(code, 0, "{found}");
    let measured = check(&found, "relay");
    assert_eq!(measured["outcome"], "ok");
    assert_eq!(measured["unit"], "milliseconds");
    assert_eq!(check(&found, "clock")["outcome"], "ok");
    stop(running);
    let key = home.path().join("key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = home.run(&["doctor"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("chmod 600"), "{ran:?}");
    assert!(ran.stdout.contains("FAIL     relay"), "{ran:?}");
    assert!(
        ran.stdout
            .lines()
            .all(|line| line.chars().count() <= 80 || !line.contains("  "))
    );
}

#[test]
fn doctor_tells_of_a_port_that_another_program_has_and_checks_the_rest() {
    let home = Home::of("Ann");
    let listen = home.json(&["config"])["listen"].clone();
    let _other = TcpListener::bind(listen.as_str().unwrap()).unwrap();
    let (code, found) = doctor(&home);
    assert_eq!(code, 1, "{found}");
    let listening = check(&found, "listening");
    assert_eq!(listening["outcome"], "fail");
    let (words, remedy) = (&listening["words"], &listening["remedy"]);
    assert!(words.as_str().unwrap().contains("in use"), "{words}");
    assert!(!words.as_str().unwrap().contains("--listen"), "{words}");
    assert!(remedy.as_str().unwrap().contains("sremp config listen"));
    assert_eq!(check(&found, "store")["outcome"], "ok");
    let checks = found["checks"].as_array().unwrap().iter();
    assert_eq!(checks.filter(|c| c["check"] == "listening").count(), 1);
}
