//! The built-in relay: what comes directly goes through a mailbox of the home (D6.13).

use std::time::Duration;

use sremp_client::view::{Path, Status};
use sremp_core::{channel::P2pMessage, session::content::Body};
use sremp_sim::{Alone, Faults, Scripted, World, closed};

use crate::{
    HOUR,
    people::{built_in, texts},
    seeds,
};

/// Two people who know each other, both with a built-in relay.
fn ann_and_ben(world: &mut World) -> (usize, usize) {
    let (ann, ben) = (
        world.join_with("ann", built_in),
        world.join_with("ben", built_in),
    );
    world.introduce(ann, ben);
    (ann, ben)
}

#[test]
fn a_message_goes_through_the_mailbox_and_is_confirmed_as_ever() {
    let mut world = World::new(1);
    let (ann, ben) = ann_and_ben(&mut world);
    world.send(ann, "ben", "hello");
    world.run(60_000);
    assert_eq!(world.received(ben, "ann"), ["hello"]);
    assert_eq!(world.history(ben, "ann")[0].path, Some(Path::Direct));
    assert_eq!(world.statuses(ann, "ben"), [Status::OnDevice]);
    assert_eq!(world.through_mailbox(ben), 1);
    assert_eq!(world.in_mailbox(ben), 0, "it is not needed there any more");
}

#[test]
fn whatever_dies_between_mailbox_and_history_each_message_is_shown_once_and_in_order() {
    let (mut left, mut again) = (0, 0);
    for seed in seeds(15) {
        let mut world = World::new(seed);
        let (ann, ben) = ann_and_ben(&mut world);
        world.faults = Faults {
            cut: 30,
            die_before_commit: 60,
            die_after_commit: 120,
        };
        let (anns, bens) = (texts("a", 15), texts("b", 15));
        for (a, b) in anns.iter().zip(&bens) {
            world.send(ann, "ben", a);
            world.send(ben, "ann", b);
            world.run(20_000);
        }
        world.faults = Faults::default();
        world.run(2 * HOUR);
        assert_eq!(world.received(ben, "ann"), anns, "seed {seed}");
        assert_eq!(world.received(ann, "ben"), bens, "seed {seed}");
        for (node, contact) in [(ann, "ben"), (ben, "ann")] {
            let statuses = world.statuses(node, contact);
            let arrived = statuses.iter().all(|s| *s == Status::OnDevice);
            assert!(arrived, "seed {seed}: {statuses:?}");
            assert_eq!(world.in_mailbox(node), 0, "seed {seed}");
            left += world.left_in_mailbox(node);
            again += world.refused(node, "REPLAY");
        }
    }
    assert!(left > 20, "{left} read at a later start only");
    assert!(again > 0, "none died between its history and the mailbox");
}

#[test]
fn a_message_that_comes_directly_and_by_a_relay_is_shown_once() {
    for seed in seeds(10) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let [ann, ben] = ["ann", "ben"].map(|name| world.join_at_with(name, &[relay], built_in));
        world.run(60_000);
        world.introduce(ann, ben);
        world.run(60_000);
        world.faults = Faults {
            cut: 100,
            die_before_commit: 20,
            die_after_commit: 60,
        };
        let said = texts("a", 12);
        for text in &said {
            world.send(ann, "ben", text);
            world.run(15_000);
        }
        world.faults = Faults::default();
        world.run(2 * HOUR);
        assert_eq!(world.received(ben, "ann"), said, "seed {seed}");
    }
}

#[test]
fn a_disk_that_is_full_for_the_history_loses_nothing_of_what_the_mailbox_took() {
    let mut world = World::new(3);
    let (ann, ben) = ann_and_ben(&mut world);
    world.send(ann, "ben", "first");
    world.run(10_000);
    let said: Vec<_> = (0..20)
        .map(|n| format!("{n} {}", "x".repeat(20_000)))
        .collect();
    world.node(ben).store.limit_growth(20).unwrap();
    for text in &said {
        world.send(ann, "ben", text);
    }
    world.run(HOUR / 6);
    assert!(
        world.received(ben, "ann").len() <= said.len(),
        "the disk was not full"
    );
    assert!(world.in_mailbox(ben) > 0, "what it could not read waits");
    // it looks again, and not all the time
    let tries = world.refused_by_disks();
    assert!((1..=60).contains(&tries), "{tries} tries");
    world.node(ben).store.limit_growth(10_000).unwrap();
    world.run(HOUR);
    assert_eq!(world.received(ben, "ann")[1..], said);
    assert_eq!(world.in_mailbox(ben), 0);
}

#[test]
fn a_contact_that_floods_with_what_nobody_can_read_fills_nothing() {
    let mut ben = Alone::with("ben", 1, built_in);
    let (mut ann, link) = Scripted::connected_to(&mut ben, "ann");
    for n in 0..3_000u32 {
        let mut rubbish = vec![0; 1024];
        rubbish[..4].copy_from_slice(&n.to_le_bytes());
        let done = ben.hear(link, P2pMessage::Envelope(rubbish).to_message(n));
        assert!(done.is_empty(), "{done:?}");
    }
    assert!(ben.in_mailbox() <= 1, "{} left", ben.in_mailbox());
    let refused = ben.status().refused;
    assert_eq!(refused["envelope-unreadable"], 3_000);
    assert_eq!(refused.get("mailbox-quota"), None);
    // and what can be read is
    let session = ann.start_session(&mut ben, link);
    let request = ann.request_to(&mut ben, "hello");
    assert!(ann.send(&mut ben, link, &session, &request).0);
    assert!(ann.write(&mut ben, link, &session, "still here"));
}

#[test]
fn a_stranger_leaves_one_request_and_gets_no_answer() {
    let mut ben = Alone::with("ben", 1, built_in);
    let mut eve = Scripted::unknown_to(&mut ben, "eve");
    let link = ben.connect(eve.identity.identity());
    let session = eve.start_session(&mut ben, link);
    let request = eve.request_to(&mut ben, "may I?");
    let (confirmed, done) = eve.send(&mut ben, link, &session, &request);
    assert!(!confirmed && closed(&done).is_empty());
    assert_eq!(ben.status().requests, 1);
    // what follows is not even kept
    let before = ben.in_mailbox();
    for n in 0..3 {
        let text = eve.content(&mut ben, Body::Text(format!("{n}")));
        let (confirmed, done) = eve.send(&mut ben, link, &session, &text);
        assert!(!confirmed);
        assert_eq!(
            closed(&done).len(),
            usize::from(n == 2),
            "the third closes it"
        );
    }
    assert_eq!(ben.in_mailbox(), before);
    assert_eq!(ben.status().refused["request-pending"], 3);
}

#[test]
fn a_mailbox_that_takes_nothing_confirms_nothing_and_status_says_so() {
    let mut ben = Alone::with("ben", 1, built_in);
    let (mut ann, link) = Scripted::connected_to(&mut ben, "ann");
    let session = ann.start_session(&mut ben, link);
    ben.fail_mailbox(true);
    let request = ann.request_to(&mut ben, "hello");
    assert!(!ann.send(&mut ben, link, &session, &request).0);
    let status = ben.status();
    assert_eq!(status.refused["mailbox-failed"], 1);
    let says = |word: &str| status.warnings.iter().any(|w| w.contains(word));
    assert!(says("built-in relay"), "{:?}", status.warnings);
    ben.fail_mailbox(false);
    ben.pass(Duration::from_secs(60));
    assert!(
        ann.send(&mut ben, link, &session, &request).0,
        "it may try again"
    );
    assert!(ben.status().warnings.is_empty());
}
