//! Two people who listen nowhere: everything between them goes by relays.

use std::time::Instant;

use serde_json::Value;

use crate::{
    invited::{Relay, stop},
    support::{Home, PATIENCE, acquaint, parse_lines, text},
};

/// Waits until the relay can give away prekeys: from now on its owner can be written to.
fn served(home: &Home) {
    let from = Instant::now();
    while home.json(&["status"])["relays"][0]["prekeys"] != 50 {
        assert!(from.elapsed() < PATIENCE, "the relay has the prekeys");
    }
}

/// What a message's timeline says of this.
#[track_caller]
fn step<'a>(why: &'a Value, what: &str) -> &'a Value {
    let mut steps = why["timeline"].as_array().unwrap().iter();
    steps
        .find(|step| step["what"] == what)
        .unwrap_or_else(|| panic!("{what} in {why}"))
}

/// The message with this text, once it has come by a relay.
#[track_caller]
fn received(home: &Home, body: &str) -> Value {
    let message = home.comes(body);
    assert_eq!(message["path"], "relay");
    message
}

/// `why` at the sender's: the relay that kept it, and the one that brought the confirmation.
#[track_caller]
fn sent_by(home: &Home, msg_id: &str, kept: &Relay, brought: &Relay) {
    let why = home.json(&["why", msg_id]);
    assert_eq!(
        (&why["status"], &why["path"]),
        (&"on-device".into(), &"relay".into())
    );
    let (at_relay, on_device) = (step(&why, "at-relay"), step(&why, "on-device"));
    assert_eq!(text(at_relay, "relay"), kept.id);
    assert_eq!(at_relay["receipt_valid"], true);
    assert_eq!(text(on_device, "relay"), brought.id);
    assert_eq!(on_device["confirmation_valid"], true);
    let told = home.ok(&["why", msg_id]);
    assert!(told.contains("its signed receipt holds"), "{told}");
    assert!(told.contains("the contact's signature holds"), "{told}");
}

/// `why` at the reader's: the relay that kept it.
#[track_caller]
fn received_by(home: &Home, message: &Value, kept: &Relay) {
    let why = home.json(&["why", &text(message, "msg_id")]);
    assert_eq!(text(step(&why, "stored"), "relay"), kept.id);
    assert_eq!(step(&why, "received")["path"], "relay");
}

#[test]
fn two_who_listen_nowhere_write_both_ways_and_why_names_relay_receipt_and_confirmation() {
    let relay = Relay::made();
    let run = relay.run();
    let (ann, ben) = (relay.person("ann"), relay.person("ben"));
    acquaint(&ann, &ben);
    let (up_ann, up_ben) = (ann.up(), ben.up());
    assert_eq!(ann.json(&["status"])["listening"], Value::Null);
    for (from, to, alias, body) in [
        (&ann, &ben, "ben", "can you read me?"),
        (&ben, &ann, "ann", "every word"),
    ] {
        let sent = from.json(&["send", alias, body, "--wait", "device"]);
        assert_eq!(
            (&sent["status"], &sent["path"]),
            (&"on-device".into(), &"relay".into())
        );
        let message = received(to, body);
        assert_eq!(message["msg_id"], sent["msg_id"]);
        sent_by(from, &text(&sent, "msg_id"), &relay, &relay);
        received_by(to, &message, &relay);
    }
    let status = relay.home.json(&["relay", "status"]);
    assert_eq!(
        (&status["mailboxes"], &status["items"]),
        (&2.into(), &0.into())
    );
    stop(up_ann);
    stop(up_ben);
    stop(run);
}

/// Waits until a confirmation waits at a relay.
#[track_caller]
fn keeps_a_confirmation(relay: &Relay) {
    let from = Instant::now();
    while relay.home.json(&["relay", "status"])["confirmations"] != 1 {
        assert!(from.elapsed() < PATIENCE, "no confirmation waits there");
    }
}

#[test]
fn a_confirmation_crosses_relays_also_when_the_senders_was_down() {
    let (anns, bens) = (Relay::made(), Relay::made());
    let (run_anns, run_bens) = (anns.run(), bens.run());
    let (ann, ben) = (anns.person("ann"), bens.person("ben"));
    acquaint(&ann, &ben);
    // neither is there while the other one is
    let sent = |body: &str| {
        let sent = ann.json(&["send", "ben", body, "--wait", "relay"]);
        assert_eq!(sent["status"], "at-relay");
        text(&sent, "msg_id")
    };
    let read = |body: &str| {
        let up = ben.up();
        let message = received(&ben, body);
        received_by(&ben, &message, &bens);
        up
    };
    let confirmed = |msg_id: &str| {
        let up = ann.up();
        let events = ann.start(&["recv", "--json", "--follow", "--ack"]);
        events.object(|e| e["msg_id"] == msg_id && e["status"] == "on-device");
        sent_by(&ann, msg_id, &bens, &anns);
        up
    };
    let up = ben.up();
    served(&ben);
    stop(up);
    let first = sent("one");
    let up = read("one");
    keeps_a_confirmation(&anns);
    stop(confirmed(&first));
    stop(up);

    let second = sent("two");
    stop(run_anns);
    let up = read("two");
    keeps_a_confirmation(&bens);
    let run_anns = anns.run();
    // handed over before Ann could fetch it herself
    keeps_a_confirmation(&anns);
    stop(confirmed(&second));
    stop(up);
    stop(run_anns);
    stop(run_bens);
}

#[test]
fn a_message_to_one_whose_client_never_ran_waits_and_says_what_for() {
    let relay = Relay::made();
    let run = relay.run();
    let (ann, ben) = (relay.person("ann"), relay.person("ben"));
    acquaint(&ann, &ben);
    let send = ["send", "ben", "hello", "--wait", "relay", "--json"];
    let sent = ann.run(&[&send[..], &["--timeout", "1"]].concat());
    assert_eq!(sent.code, 3);
    let sent = parse_lines(&sent.stdout).remove(0);
    let reason = text(&sent, "reason");
    assert!(reason.contains("has to run once"), "{reason}");
    let why = ann.json(&["why", &text(&sent, "msg_id")]);
    let waits_for = text(&why, "waits_for");
    assert!(waits_for.contains("`sremp up`"), "{waits_for}");
    assert!(waits_for.contains("has to run once"), "{waits_for}");
    assert_eq!(why["next_try"], Value::Null, "nobody is there to try");
    let (up_ann, up_ben) = (ann.up(), ben.up());
    received(&ben, "hello");
    stop(up_ann);
    stop(up_ben);
    stop(run);
}
