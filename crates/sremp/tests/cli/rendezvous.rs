//! A rendezvous server as its operator meets it.

use crate::support::{Home, text};

#[test]
fn a_rendezvous_server_is_made_serves_and_ends() {
    let home = Home::none();
    let made = [
        "rendezvous",
        "init",
        "--listen",
        "127.0.0.1:0",
        "--self-signed",
    ];
    let made = home.json(&made);
    let link = text(&made, "link");
    assert!(link.starts_with("sremp-rdv:1#"), "{link}");
    assert_eq!(made["self_signed"], true);
    let server = home.start(&["rendezvous", "run"]);
    assert_eq!(server.line(), format!("rendezvous ready {link}"));
    let status = home.json(&["rendezvous", "status"]);
    assert_eq!(
        (
            &status["running"],
            &status["registrations"],
            &status["link"]
        ),
        (&true.into(), &0.into(), &made["link"])
    );
    home.run(&["rendezvous", "run"])
        .refused(5, "another process");
    server.signal("TERM");
    let (code, log) = server.end();
    assert_eq!((code, log.contains("panicked")), (0, false), "{log}");
    assert_eq!(home.json(&["rendezvous", "status"])["running"], false);
}

#[test]
fn a_rendezvous_server_is_made_once_and_what_is_missing_is_said() {
    let home = Home::none();
    home.run(&["rendezvous", "run"])
        .refused(5, "sremp rendezvous init");
    let neither = home.run(&["rendezvous", "init"]);
    assert_eq!(neither.code, 2, "{neither:?}");
    assert!(neither.stderr.contains("--self-signed"), "{neither:?}");
    let nowhere = ["--certificate", "chain.pem", "--key", "key.pem"];
    let init = [&["rendezvous", "init"][..], &nowhere].concat();
    home.run(&init).refused(5, "chain.pem");
    let home = Home::none();
    home.ok(&["rendezvous", "init", "--self-signed"]);
    home.run(&["rendezvous", "init", "--self-signed"])
        .refused(5, "holds a rendezvous server already");
}

#[test]
fn an_authority_gives_the_certificate_in_a_build_that_can_ask_one() {
    let home = Home::none();
    let init = [
        "rendezvous",
        "init",
        "--listen",
        "127.0.0.1:0",
        "--acme",
        "rdv.example",
        "--contact",
        "operator@rdv.example",
    ];
    if cfg!(feature = "acme") {
        let made = home.json(&init);
        assert_eq!(made["endpoint"], "rdv.example:443");
        assert_eq!(made["self_signed"], false);
    } else {
        home.run(&init).refused(5, "the feature `acme`");
    }
}
