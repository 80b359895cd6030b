//! The way of a message, on both sides.

use std::time::Duration;

use sremp_client::{
    clock::Rfc3339,
    store::NewConfirmation,
    view::{
        Command, EventKind, MessageKind, Observer, Path, Reply, Status, Waits, WhyStep, WhyView,
    },
};
use sremp_core::{id::EnvelopeId, signature::Signature, time::UnixMillis};
use sremp_sim::World;

use super::{by_a_relay, by_both_ways, kept, names, why};
use crate::{DAY, MINUTE, seeds};

#[test]
fn a_way_is_told_in_its_order_and_what_failed_later_is_no_part_of_it() {
    for seed in seeds(2) {
        let mut world = World::new(seed);
        let [ann, ben] = ["ann", "ben"].map(|name| world.join(name));
        world.add(ann, ben);
        world.add(ben, ann);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "one");
        world.run(10 * MINUTE);
        let waiting = why(&mut world, ann);
        assert_eq!(names(&waiting), ["written", "tried"], "seed {seed}");
        assert!(waiting.next_try.is_some(), "seed {seed}");
        world.set_reachable(ben, true);
        world.run(20 * MINUTE);
        let arrived = why(&mut world, ann);
        let way = ["written", "tried", "on-device"];
        assert_eq!(names(&arrived), way, "seed {seed}");
        let direct = matches!(
            arrived.timeline.last(),
            Some(WhyStep::OnDevice {
                path: Path::Direct,
                relay: None,
                confirmation_valid: None,
                ..
            })
        );
        assert!(direct, "seed {seed}: {arrived:?}");
        // of the next message alone it is told that nobody was there
        world.set_reachable(ben, false);
        world.send(ann, "ben", "two");
        world.run(10 * MINUTE);
        let Reply::Why(first) = world.command(
            ann,
            Command::Why {
                msg_id: arrived.msg_id.clone(),
            },
        ) else {
            panic!("seed {seed}: no way");
        };
        assert_eq!(first.timeline, arrived.timeline, "seed {seed}");
        assert_eq!(first.next_try, None, "seed {seed}: it has arrived");
        // for 30 days it is tried
        world.run(31 * DAY);
        let given_up = why(&mut world, ann);
        assert_eq!(given_up.status, Some(Status::Failed), "seed {seed}");
        assert_eq!(names(&given_up).last(), Some(&"given-up"), "seed {seed}");
        assert_eq!(given_up.next_try, None, "seed {seed}");
    }
}

#[test]
fn a_confirmation_that_a_relay_brings_of_what_arrived_directly_is_no_part_of_its_way() {
    for seed in seeds(1) {
        let (mut world, [ann, _, relay]) = by_both_ways(seed);
        let link = world.relay(relay).link();
        kept(&mut world, ann, |tx, contact, msg_id| {
            let relay = tx.remember_relay(&link.relay(), link.endpoint())?.row;
            tx.add_confirmation(&NewConfirmation {
                contact,
                msg_id,
                relay,
                message_id: 1,
                envelope: EnvelopeId::of(b"the same"),
                at: UnixMillis::ZERO,
                received: UnixMillis::ZERO,
                signature: Signature::new([0; 64]),
            })
        });
        let view = why(&mut world, ann);
        let direct = matches!(
            view.timeline.last(),
            Some(WhyStep::OnDevice {
                path: Path::Direct,
                relay: None,
                confirmed_at: None,
                confirmation_valid: None,
                ..
            })
        );
        assert!(direct, "seed {seed}: {view:?}");
    }
}

#[test]
fn a_failure_that_began_before_a_message_is_told_of_it_since_it_was_written() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.add(ann, ben);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "one");
        world.run(60 * MINUTE);
        let written = Rfc3339(world.now().wall);
        world.send(ann, "ben", "two");
        world.run(60 * MINUTE);
        let view = why(&mut world, ann);
        let [
            WhyStep::Written { at },
            WhyStep::Tried {
                since, at: last, ..
            },
        ] = view.timeline[..]
        else {
            panic!("seed {seed}: {view:?}");
        };
        assert_eq!((at, since), (written, written), "seed {seed}");
        assert!(last.0 > since.0, "seed {seed}");
    }
}

/// The last message that Ben has got of Ann, and its way.
fn why_read(world: &mut World, ben: usize) -> WhyView {
    let mut lines = world.history(ben, "ann").into_iter();
    let line = lines.rfind(|line| line.kind == MessageKind::Received);
    let msg_id = line.unwrap().msg_id;
    match world.command(ben, Command::Why { msg_id }) {
        Reply::Why(view) => view,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_reader_is_told_by_whose_clock_a_message_was_written_kept_and_received() {
    for seed in seeds(1) {
        let (mut world, [ann, ben, relay]) = by_a_relay(seed);
        let id = world.relay(relay).link().relay().to_string();
        world.set_reachable(ben, false);
        // her clock is a little ahead
        world.turn_calendar_of(ann, 2 * MINUTE as i64);
        let written = world.now().wall.plus(Duration::from_secs(120));
        world.send(ann, "ben", "later");
        world.run(MINUTE);
        let stored = why(&mut world, ann)
            .timeline
            .into_iter()
            .find_map(|step| match step {
                WhyStep::AtRelay { stored_at, .. } => Some(stored_at),
                _ => None,
            });
        world.run(2 * DAY);
        world.set_reachable(ben, true);
        let back = world.now().wall;
        world.run(60 * MINUTE);
        let view = why_read(&mut world, ben);
        let [
            WhyStep::Sent { at: sent },
            WhyStep::Stored { at: kept, relay },
            WhyStep::Received { at: received, path },
        ] = &view.timeline[..]
        else {
            panic!("seed {seed}: {view:?}");
        };
        assert_eq!(*sent, Rfc3339(written), "seed {seed}");
        assert_eq!((Some(*kept), relay), (stored, &id), "seed {seed}");
        assert!(received.0 > back, "seed {seed}: {received:?}");
        assert_eq!(
            (*path, view.path),
            (Path::Relay, Some(Path::Relay)),
            "seed {seed}"
        );
        assert_eq!((view.status, view.waits, view.next_try), (None, None, None));
        let seen: Vec<_> = view.privacy.seen.iter().map(|seen| seen.who).collect();
        let expected = [Observer::Contact, Observer::NetworkToRelay, Observer::Relay];
        assert_eq!(seen, expected, "seed {seed}");
    }
}

#[test]
fn the_reader_of_what_came_directly_is_told_of_no_relay() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let [ann, ben] = ["ann", "ben"].map(|name| world.join(name));
        world.add(ann, ben);
        world.add(ben, ann);
        world.send(ann, "ben", "here");
        world.run(MINUTE);
        let view = why_read(&mut world, ben);
        let direct = matches!(
            view.timeline[..],
            [
                WhyStep::Sent { .. },
                WhyStep::Received {
                    path: Path::Direct,
                    ..
                }
            ]
        );
        assert!(direct, "seed {seed}: {view:?}");
        let seen: Vec<_> = view.privacy.seen.iter().map(|seen| seen.who).collect();
        assert_eq!(
            seen,
            [Observer::Contact, Observer::NetworkBetween],
            "seed {seed}"
        );
    }
}

#[test]
fn a_relay_keeps_for_fourteen_days_and_the_outbox_for_thirty() {
    for seed in seeds(1) {
        let (mut world, [ann, ben, relay]) = by_a_relay(seed);
        world.set_reachable(ben, false);
        let written = world.now().wall;
        world.send(ann, "ben", "never");
        world.run(MINUTE);
        let view = why(&mut world, ann);
        let Some(WhyStep::AtRelay {
            stored_at,
            expires_at,
            ..
        }) = view.timeline.last()
        else {
            panic!("seed {seed}: {view:?}");
        };
        let fourteen = Duration::from_millis(14 * DAY);
        assert_eq!(expires_at.0, stored_at.0.plus(fourteen), "seed {seed}");
        assert!(
            stored_at.0.since(written) < Duration::from_secs(60),
            "seed {seed}"
        );
        let until = format!("keeps it until {expires_at}");
        assert!(
            view.waits_for.unwrap().contains(&until),
            "seed {seed}: {until}"
        );
        // until the hourly look nothing is said of a time to come that is over
        let left = expires_at.0.since(world.now().wall);
        world.run(u64::try_from(left.as_millis()).unwrap());
        let said = why(&mut world, ann).waits_for.unwrap();
        assert!(!said.contains("keeps it until"), "seed {seed}: {said}");
        // from then on it waits here again, and is tried
        world.set_reachable(relay, false);
        world.run(15 * DAY);
        let view = why(&mut world, ann);
        assert_eq!(view.waits, Some(Waits::RelayDown), "seed {seed}: {view:?}");
        assert!(view.next_try.is_some(), "seed {seed}: {view:?}");
        let waiting = (Some(Status::Queued), None);
        assert_eq!((view.status, view.path), waiting, "seed {seed}");
        let listed = world.statuses(ann, "ben").pop();
        assert_eq!(listed, Some(Status::Queued), "seed {seed}");
        let statuses = world.events(ann).into_iter();
        let statuses: Vec<Status> = statuses
            .filter_map(|event| match event.event {
                EventKind::Status { status, .. } => Some(status),
                _ => None,
            })
            .collect();
        let there_and_back = [Status::AtRelay, Status::Queued];
        assert!(
            statuses.ends_with(&there_and_back),
            "seed {seed}: {statuses:?}"
        );
        let thirty = written.plus(Duration::from_millis(30 * DAY));
        let left = thirty.since(world.now().wall);
        world.run(u64::try_from(left.as_millis()).unwrap() - MINUTE);
        assert!(
            !names(&why(&mut world, ann)).contains(&"given-up"),
            "seed {seed}"
        );
        world.run(DAY);
        let view = why(&mut world, ann);
        let Some(WhyStep::GivenUp { at }) = view.timeline.last() else {
            panic!("seed {seed}: {view:?}");
        };
        assert!(at.0 >= thirty, "seed {seed}: {at:?}");
        assert!(
            at.0 <= thirty.plus(Duration::from_secs(3_600)),
            "seed {seed}: {at:?}"
        );
        assert_eq!((view.status, view.next_try), (Some(Status::Failed), None));
        assert_eq!(view.waits, None, "seed {seed}");
    }
}
