//! Two people, a bad network, and processes that die: nothing lost, nothing twice, order kept.

use sremp_client::view::{Command, EventKind, Reply, Status, Wait};
use sremp_core::identity::Trust;
use sremp_sim::{
    Faults, World,
    commands::{add, trust, verify},
};

use crate::{
    DAY, HOUR,
    people::{ann_and_ben, texts},
    seeds,
};

#[test]
fn a_message_reaches_a_contact_and_its_confirmation_comes_back() {
    for seed in seeds(1) {
        let mut world = ann_and_ben(seed);
        world.send(0, "ben", "hello");
        world.run(10_000);
        assert_eq!(world.received(1, "ann"), ["hello"]);
        assert_eq!(world.statuses(0, "ben"), [Status::OnDevice]);
        world.send(1, "ann", "hello yourself");
        world.run(10_000);
        assert_eq!(world.received(0, "ben"), ["hello yourself"]);
        assert_eq!(world.statuses(1, "ann"), [Status::OnDevice]);
    }
}

#[test]
fn what_is_not_confirmed_after_a_day_is_marked_until_it_is() {
    for seed in seeds(1) {
        for relayed in [false, true] {
            let mut world = World::new(seed);
            let relay = world.open_relay("relay");
            let relays: &[usize] = if relayed { &[relay] } else { &[] };
            let [ann, ben] = ["ann", "ben"].map(|name| world.join_at(name, relays));
            world.run(HOUR);
            world.introduce(ann, ben);
            world.send(ann, "ben", "hello");
            world.run(HOUR);
            world.set_reachable(ben, false);
            world.send(ann, "ben", "are you there?");
            let marked = |world: &mut World| {
                let lines = world.history(ann, "ben");
                let marked: Vec<_> = lines.iter().map(|l| (l.overdue, l.status)).collect();
                marked[marked.len() - 2..].to_vec()
            };
            let arrived = (false, Some(Status::OnDevice));
            let waits = match relayed {
                true => Some(Status::AtRelay),
                false => Some(Status::Queued),
            };
            world.run(DAY - HOUR);
            assert_eq!(marked(&mut world), [arrived, (false, waits)], "seed {seed}");
            world.run(2 * HOUR);
            assert_eq!(marked(&mut world), [arrived, (true, waits)], "seed {seed}");
            world.set_reachable(ben, true);
            world.run(HOUR);
            assert_eq!(marked(&mut world), [arrived, arrived], "seed {seed}");
        }
    }
}

#[test]
fn both_write_at_once_and_nothing_is_lost() {
    for seed in seeds(30) {
        let mut world = ann_and_ben(seed);
        for n in 0..5 {
            world.send(0, "ben", &format!("a{n}"));
            world.send(1, "ann", &format!("b{n}"));
            world.run(seed % 7 * 30);
        }
        world.run(HOUR);
        assert_eq!(world.received(1, "ann"), texts("a", 5), "seed {seed}");
        assert_eq!(world.received(0, "ben"), texts("b", 5), "seed {seed}");
    }
}

#[test]
fn every_message_arrives_once_and_in_order_whatever_dies() {
    for seed in seeds(60) {
        let mut world = ann_and_ben(seed);
        world.faults = Faults {
            cut: 30,
            die_before_commit: 20,
            die_after_commit: 20,
        };
        for n in 0..30 {
            world.send(0, "ben", &format!("a{n}"));
            world.send(1, "ann", &format!("b{n}"));
            world.run(seed % 11 * 100);
        }
        world.run(HOUR);
        world.faults = Faults::default();
        world.run(2 * HOUR);
        assert_eq!(world.received(1, "ann"), texts("a", 30), "seed {seed}");
        assert_eq!(world.received(0, "ben"), texts("b", 30), "seed {seed}");
        assert!(world.all_arrived(0, "ben"), "seed {seed}");
    }
}

#[test]
fn a_message_to_somebody_away_waits_and_arrives_when_they_come_back() {
    for seed in seeds(1) {
        let mut world = ann_and_ben(seed);
        world.send(0, "ben", "first");
        world.run(10_000);
        world.set_reachable(1, false);
        for n in 0..10 {
            world.send(0, "ben", &format!("while away {n}"));
        }
        world.run(6 * HOUR);
        assert_eq!(world.received(1, "ann").len(), 1);
        assert_eq!(world.statuses(0, "ben")[1], Status::Queued);
        world.set_reachable(1, true);
        world.run(HOUR);
        assert_eq!(world.received(1, "ann").len(), 11);
        assert!(world.all_arrived(0, "ben"));
    }
}

#[test]
fn a_stranger_is_a_request_until_accepted_and_hears_nothing_before() {
    for seed in seeds(20) {
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.add(ann, ben);
        for text in ["may I write?", "are you there?", "please"] {
            world.send(ann, "ben", text);
            world.run(1_000);
        }
        world.run(60_000);
        assert_eq!(
            world.statuses(ann, "ben"),
            [Status::Queued; 3],
            "seed {seed}"
        );
        let waiting = world.requests(ben);
        assert_eq!(waiting.len(), 1, "seed {seed}");
        assert_eq!(waiting[0].request_text.as_deref(), Some("may I write?"));
        world.command(ben, add(&waiting[0].id, None));
        world.run(HOUR);
        assert_eq!(
            world.received(ben, "ann"),
            ["may I write?", "are you there?", "please"],
            "seed {seed}"
        );
        assert_eq!(
            world.statuses(ann, "ben"),
            [Status::OnDevice; 3],
            "seed {seed}"
        );
        assert!(world.requests(ben).is_empty());
        let accepted =
            |e: &sremp_client::view::Event| matches!(e.event, EventKind::Accepted { .. });
        assert!(world.events(ann).iter().any(accepted), "seed {seed}");
    }
}

#[test]
fn a_rejected_contact_is_not_heard_until_the_user_undoes_it() {
    for seed in seeds(1) {
        let mut world = ann_and_ben(seed);
        world.send(0, "ben", "one");
        world.run(10_000);
        world.command(1, trust("ann", Trust::Rejected));
        world.send(0, "ben", "two");
        world.run(2 * HOUR);
        assert_eq!(world.received(1, "ann"), ["one"]);
        world.command(1, trust("ann", Trust::Unknown));
        world.run(2 * HOUR);
        assert_eq!(world.received(1, "ann"), ["one", "two"]);
    }
}

#[test]
fn a_rotated_noise_key_is_announced_and_passes_silently() {
    for seed in seeds(1) {
        let mut world = ann_and_ben(seed);
        world.send(0, "ben", "before");
        world.run(10_000);
        let Reply::Id(rotated) = world.command(1, Command::RotateNoiseKey) else {
            panic!("no id");
        };
        assert_eq!(rotated.version, 2);
        world.restart(1);
        world.run(60_000);
        world.send(0, "ben", "after");
        world.run(HOUR);
        assert_eq!(world.received(1, "ann"), ["before", "after"]);
        let notice = |e: &sremp_client::view::Event| matches!(e.event, EventKind::Notice { .. });
        assert!(!world.events(0).iter().any(notice));
    }
}

#[test]
fn who_cannot_be_dialled_learns_a_new_noise_key_although_a_relay_takes_what_it_writes() {
    for seed in seeds(2) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let hub = world.join_at("hub", &[relay]);
        let leaf = world.join_with("leaf", |config| config.advertise = None);
        let far = world.join_far("far", &[relay]);
        world.run(HOUR);
        world.introduce(hub, leaf);
        world.introduce(far, leaf);
        world.send(leaf, "hub", "before");
        world.run(10_000);
        world.send(hub, "leaf", "before");
        world.run(10_000);
        world.leave(hub);
        world.run(10_000);
        world.restart(hub);
        world.set_reachable(hub, true);
        let Reply::Id(rotated) = world.command(hub, Command::RotateNoiseKey) else {
            panic!("no id");
        };
        assert_eq!(rotated.version, 2);
        world.restart(hub);
        // there is a connection to the relay, which takes what is for the hub at once
        world.send(leaf, "far", "hello");
        world.run(20_000);
        world.send(leaf, "hub", "are you there?");
        world.run(10_000);
        world.send(hub, "leaf", "yes");
        world.run(10_000);
        assert_eq!(world.received(hub, "leaf"), ["before", "are you there?"]);
        assert_eq!(
            world.received(leaf, "hub"),
            ["before", "yes"],
            "seed {seed}"
        );
    }
}

#[test]
fn adding_a_contact_dials_nobody() {
    for seed in seeds(1) {
        let mut world = ann_and_ben(seed);
        world.run(HOUR);
        let status = world.status(0);
        assert!(status.connected.is_empty());
        assert_eq!(world.dials(), 0);
    }
}

#[test]
fn a_request_that_nobody_took_for_a_month_is_made_again_with_the_next_message() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.add(ann, ben);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "first");
        world.run(31 * DAY);
        assert_eq!(world.statuses(ann, "ben"), [Status::Failed]);
        world.set_reachable(ben, true);
        world.send(ann, "ben", "second");
        world.run(HOUR);
        let contacts = world.requests(ben);
        assert_eq!(contacts[0].request_text.as_deref(), Some("second"));
    }
}

#[test]
fn a_calendar_that_jumps_ends_no_message_and_no_key() {
    for (seed, by) in [
        (9, 40 * DAY as i64),
        (10, -400 * DAY as i64),
        (11, 20_000 * DAY as i64),
    ] {
        let mut world = ann_and_ben(seed);
        world.send(0, "ben", "before");
        world.run(HOUR);
        world.set_reachable(1, false);
        world.send(0, "ben", "waits");
        world.run(2 * HOUR);
        world.turn_calendars(by);
        world.run(3 * HOUR);
        world.turn_calendars(-by);
        world.run(3 * HOUR);
        world.set_reachable(1, true);
        world.run(HOUR);
        assert_eq!(world.received(1, "ann"), ["before", "waits"], "by {by}");
        world.send(1, "ann", "answer");
        world.run(HOUR);
        assert_eq!(world.received(0, "ben"), ["answer"], "by {by}");
    }
}

#[test]
fn a_name_that_spells_anothers_id_does_not_take_its_place() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.add(ann, ben);
        let Reply::Id(bens) = world.command(ben, Command::Id) else {
            panic!("no id");
        };
        let posing = world.join(&bens.safety_prefix);
        world.add(posing, ann);
        world.send(posing, "ann", "it is me");
        world.run(60_000);
        let trust = trust(&bens.safety_prefix, Trust::Trusted);
        let Reply::Contact(trusted) = world.command(ann, trust) else {
            panic!("nobody");
        };
        assert_eq!(trusted.id, bens.id);
    }
}

#[test]
fn whoever_has_not_accepted_is_sent_one_envelope_at_a_time() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.add(ann, ben);
        for n in 0..40 {
            world.send(ann, "ben", &format!("{n}"));
        }
        world.run(30 * 60_000);
        let refused = world.refused(ben, "request-pending");
        assert!(refused <= 60, "{refused} in half an hour");
    }
}

#[test]
fn a_lookalike_is_not_trusted_by_accident() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("paypal"));
        world.add(ann, ben);
        let posing = world.join("p\u{430}ypal");
        world.add(posing, ann);
        world.send(posing, "ann", "your account");
        world.run(60_000);
        let contacts = world.requests(ann);
        assert!(!contacts[0].warnings.is_empty());
        let id = contacts[0].id.clone();
        let trust = trust(&id, Trust::Trusted);
        assert!(world.try_command(ann, trust).is_err());
        let add = |despite_confusable| Command::Add {
            who: id.clone(),
            alias: None,
            despite_confusable,
        };
        assert!(world.try_command(ann, add(false)).is_err());
        let Reply::Contact(added) = world.command(ann, add(true)) else {
            panic!("nobody");
        };
        assert_ne!(added.alias, "paypal");
    }
}

#[test]
fn a_silent_reader_keeps_the_ratchet_turning() {
    for seed in seeds(1) {
        let mut world = ann_and_ben(seed);
        world.send(0, "ben", "0");
        world.run(10_000);
        // the number of the last that Ben has said, who writes nothing
        let said = |world: &mut World| {
            let contacts = world.node(0).store.transaction(|tx| tx.contacts()).unwrap();
            contacts[0].peer_seq
        };
        let before = said(&mut world);
        for n in 1..2_500 {
            world.send(0, "ben", &n.to_string());
            world.run(10);
        }
        world.run(HOUR);
        assert_eq!(said(&mut world) - before, 2, "one answer to each thousand");
        assert!(world.all_arrived(0, "ben"));
        assert_eq!(world.found(1, "2499").len(), 1);
    }
}

#[test]
fn where_too_many_wait_a_send_that_would_is_told_at_once_how_far_it_is() {
    for seed in seeds(1) {
        let mut world = ann_and_ben(seed);
        world.set_reachable(1, false);
        let wait = Command::Events {
            after: None,
            limit: 1,
            wait_ms: 3_600_000,
        };
        let last = world.status(0).last_event;
        world.command(0, Command::Ack { seq: last });
        for _ in 0..256 {
            world.begin(0, wait.clone());
        }
        assert!(world.command_within(0, wait, 1).unwrap().is_err(), "full");
        let waits = Command::Send {
            contact: "ben".to_owned(),
            text: "hello".to_owned(),
            reply_to: None,
            key: None,
            wait: Wait::Device,
            timeout_ms: 60_000,
        };
        let Some(Ok(Reply::Sent(sent))) = world.command_within(0, waits, 1) else {
            panic!("seed {seed}: no answer");
        };
        assert_eq!(sent.status, Status::Queued, "seed {seed}");
        assert_eq!(world.statuses(0, "ben"), [Status::Queued], "seed {seed}");
    }
}

#[test]
fn trust_begins_unknown_and_says_how_and_when_it_was_made() {
    for seed in seeds(1) {
        let mut world = ann_and_ben(seed);
        let contact = |world: &mut World| world.contacts(0).remove(0);
        let first = contact(&mut world);
        assert_eq!((first.trust, first.trusted_at), (Trust::Unknown, None));
        assert_eq!(first.last_seen, None);
        world.send(0, "ben", "hello");
        world.run(10_000);
        assert!(contact(&mut world).last_seen >= Some(first.first_seen));
        let Reply::Verify(shown) = world.command(0, verify("ben", None)) else {
            panic!("no number");
        };
        let other = "0".repeat(60);
        let Reply::Verify(wrong) = world.command(0, verify("ben", Some(other))) else {
            panic!("no answer");
        };
        assert_eq!((wrong.matches, wrong.trust), (Some(false), Trust::Unknown));
        let Reply::Verify(right) = world.command(0, verify("ben", Some(shown.safety_number)))
        else {
            panic!("no answer");
        };
        assert_eq!((right.matches, right.trust), (Some(true), Trust::Trusted));
        let verified = contact(&mut world);
        assert_eq!(
            verified.verified_via,
            sremp_client::view::VerifiedVia::Number
        );
        assert!(verified.trusted_at.is_some());
    }
}
