//! Messages that disappear: when, where, and what of a timer that is meant badly.

use std::time::Duration;

use sremp_client::view::{Command, ErrorKind, EventKind, MessageKind, Status};
use sremp_core::session::content::Body;
use sremp_sim::{Faults, World};

use super::{messages, say, timer};
use crate::{
    HOUR, MINUTE, SECOND,
    people::{ann_and_ben, ben_and_scripted_ann},
    seeds,
};

/// What the store still holds of messages, without looking at it as a reader does.
fn kept(world: &mut World, node: usize, word: &str) -> bool {
    let store = &mut world.node(node).store;
    let found = store.transaction(|tx| tx.search(word, 10));
    !found.expect("the store is read").is_empty()
}

#[test]
fn messages_after_a_timer_disappear_on_both_sides_and_those_before_stay() {
    for restarted in [false, true] {
        let mut world = ann_and_ben(1);
        say(&mut world, 0, "ben", "before");
        world.run(10 * SECOND);
        world.command(0, timer("ben", 300));
        world.run(10 * SECOND);
        say(&mut world, 0, "ben", "of ann");
        say(&mut world, 1, "ann", "of ben");
        world.run(10 * SECOND);
        for (node, other) in [(0, "ben"), (1, "ann")] {
            let lines = world.history(node, other);
            let timed = lines.iter().filter(|line| line.disappears_at.is_some());
            assert_eq!(timed.count(), 2, "both say until when");
        }
        world.run(4 * MINUTE);
        assert_eq!(world.found(1, "of ann").len(), 1, "not before their time");
        if restarted {
            // off when the time comes
            world.leave(1);
            world.run(10 * MINUTE);
            world.restart(1);
            assert!(
                kept(&mut world, 1, "of ann"),
                "nobody was there to erase it"
            );
        }
        world.run(2 * MINUTE);
        for (node, other) in [(0, "ben"), (1, "ann")] {
            if restarted && node == 1 {
                assert!(
                    world.received(1, "ann") == ["before"],
                    "shown no more, erased or not"
                );
            }
            for text in ["of ann", "of ben"] {
                assert!(!kept(&mut world, node, text), "{text} is still with {node}");
            }
            assert_eq!(world.found(node, "before").len(), 1);
            assert_eq!(
                world
                    .history(node, other)
                    .iter()
                    .filter(|l| l.kind != MessageKind::Notice)
                    .count(),
                1
            );
        }
        let texts = world.events(1).into_iter().filter_map(|e| match e.event {
            EventKind::Message { text, gone, .. } => Some((text, gone)),
            _ => None,
        });
        assert_eq!(
            texts.collect::<Vec<_>>(),
            [("before".to_owned(), false), (String::new(), true)],
            "nor do events hold it"
        );
    }
}

#[test]
fn what_disappears_is_gone_on_both_sides_whatever_dies() {
    for seed in seeds(20) {
        let mut world = ann_and_ben(seed);
        say(&mut world, 0, "ben", "stays");
        say(&mut world, 1, "ann", "stays");
        world.run(HOUR);
        world.faults = Faults {
            cut: 30,
            die_before_commit: 20,
            die_after_commit: 20,
        };
        world.command(0, timer("ben", 60));
        world.run(HOUR);
        for n in 0..10 {
            say(&mut world, 0, "ben", &format!("secret {n}"));
            say(&mut world, 1, "ann", &format!("secret {n}"));
            world.run(seed % 11 * 100);
        }
        world.run(HOUR);
        for (node, other) in [(0, "ben"), (1, "ann")] {
            assert_eq!(
                world.received(node, other).len(),
                11,
                "seed {seed}: all came"
            );
        }
        world.run(HOUR);
        for (node, other) in [(0, "ben"), (1, "ann")] {
            assert!(!kept(&mut world, node, "secret"), "seed {seed}");
            assert_eq!(world.received(node, other), ["stays"], "seed {seed}");
        }
    }
}

#[test]
fn the_readers_time_begins_with_reading() {
    let mut world = ann_and_ben(2);
    world.command(0, timer("ben", 60));
    say(&mut world, 0, "ben", "unread");
    world.run(24 * HOUR);
    assert!(
        !kept(&mut world, 0, "unread"),
        "the sender's begins with sending"
    );
    assert!(kept(&mut world, 1, "unread"), "nobody has looked");
    assert_eq!(world.received(1, "ann"), ["unread"]);
    world.run(59 * SECOND);
    assert_eq!(
        world.received(1, "ann"),
        ["unread"],
        "looking again changes nothing"
    );
    world.run(2 * SECOND);
    assert!(!kept(&mut world, 1, "unread"));
    // an event is a look, too
    say(&mut world, 0, "ben", "by event");
    world.run(10 * SECOND);
    let until = world.events(1).into_iter().find_map(|e| match e.event {
        EventKind::Message {
            text,
            disappears_at,
            ..
        } if text == "by event" => disappears_at,
        _ => None,
    });
    assert!(until.is_some());
    world.run(61 * SECOND);
    assert!(!kept(&mut world, 1, "by event"));
}

#[test]
fn a_message_on_its_way_arrives_though_its_time_is_over_here() {
    let mut world = ann_and_ben(3);
    say(&mut world, 0, "ben", "first");
    world.run(10 * SECOND);
    world.command(0, timer("ben", 60));
    world.run(10 * SECOND);
    world.set_reachable(1, false);
    say(&mut world, 0, "ben", "waits");
    world.run(HOUR);
    assert!(!kept(&mut world, 0, "waits"));
    world.restart(0);
    world.set_reachable(1, true);
    world.run(HOUR);
    assert_eq!(world.received(1, "ann"), ["first", "waits"]);
    let told = |e: &EventKind| {
        matches!(
            e,
            EventKind::Status {
                status: Status::OnDevice,
                ..
            }
        )
    };
    assert_eq!(world.events(0).iter().filter(|e| told(&e.event)).count(), 3);
}

#[test]
fn both_are_told_of_a_timer_and_who_set_it() {
    let mut world = ann_and_ben(4);
    say(&mut world, 0, "ben", "hello");
    world.run(10 * SECOND);
    world.command(0, timer("ben", 86_400));
    world.run(10 * SECOND);
    assert_eq!(
        world.notices(0, "ben"),
        ["new messages disappear after 1 day, set by you"]
    );
    assert_eq!(
        world.notices(1, "ann"),
        ["new messages disappear after 1 day, set by ann"]
    );
    let told = world.events(1).into_iter().find_map(|e| match e.event {
        EventKind::Timer { seconds, alias, .. } => Some((seconds, alias)),
        _ => None,
    });
    assert_eq!(told, Some((86_400, "ann".to_owned())));
    say(&mut world, 1, "ann", "between");
    world.command(1, timer("ann", 0));
    world.run(10 * SECOND);
    let stay = "new messages do not disappear any more, set by";
    assert_eq!(world.notices(0, "ben")[1], format!("{stay} ben"));
    assert_eq!(world.notices(1, "ann")[1], format!("{stay} you"));
    let short = world.try_command(0, timer("ben", 29)).unwrap_err();
    assert_eq!(short.kind, ErrorKind::Usage);
    assert!(short.message.contains("30 seconds"), "{short}");
}

#[test]
fn of_two_timers_that_cross_the_later_holds_on_both_sides() {
    for seed in seeds(20) {
        let mut world = ann_and_ben(seed);
        say(&mut world, 0, "ben", "hello");
        say(&mut world, 1, "ann", "hello");
        world.run(10 * SECOND);
        // calendars that disagree, and a later setting that has to hold all the same
        let ahead = [0, 3_600_000, -3_600_000][seed as usize % 3];
        world.turn_calendar_of(1, ahead);
        world.set_reachable(1, false);
        world.command(
            seed as usize % 2,
            timer(["ben", "ann"][seed as usize % 2], 60),
        );
        world.run(seed * 500);
        world.command(
            1 - seed as usize % 2,
            timer(["ann", "ben"][seed as usize % 2], 7_200),
        );
        world.run(SECOND);
        world.set_reachable(1, true);
        world.run(HOUR);
        let held = |world: &mut World| [0, 1].map(|node| world.contacts(node)[0].timer);
        let [anns, bens] = held(&mut world);
        assert_eq!(anns, bens, "seed {seed}");
        if ahead == 0 && seed > 0 {
            assert_eq!(anns, Some(7_200), "seed {seed}: the later one");
        }
        for (node, other, seconds) in [(0, "ben", 90), (1, "ann", 0), (0, "ben", 45)] {
            world.command(node, timer(other, seconds));
            world.run(10 * SECOND);
            let expected = Some(seconds).filter(|s| *s > 0);
            assert_eq!(held(&mut world), [expected; 2], "seed {seed}");
        }
    }
}

#[test]
fn many_that_are_due_are_shown_no_more_and_erased_little_by_little() {
    let mut world = ann_and_ben(5);
    world.command(0, timer("ben", 60));
    for n in 0..400 {
        say(&mut world, 0, "ben", &format!("zanzibar {n}"));
    }
    world.set_reachable(1, false);
    world.leave(0);
    world.run(HOUR);
    world.restart(0);
    let left = |world: &mut World| {
        let store = &mut world.node(0).store;
        store
            .transaction(|tx| tx.search("zanzibar", 1_000))
            .expect("a search")
            .len()
    };
    assert_eq!(world.found(0, "zanzibar").len(), 0, "none is shown");
    let after_one = left(&mut world);
    assert!(
        (1..400).contains(&after_one),
        "one step erases some: {after_one} left"
    );
    assert!(
        world
            .history(0, "ben")
            .iter()
            .all(|l| l.kind == MessageKind::Notice)
    );
    world.run(10 * SECOND);
    assert_eq!(left(&mut world), 0);
}

#[test]
fn why_tells_of_what_is_erased_here_until_it_has_arrived() {
    let mut world = ann_and_ben(1);
    world.set_reachable(1, false);
    world.command(0, timer("ben", 60));
    for text in ["soon over", "not for me"] {
        say(&mut world, 0, "ben", text);
    }
    let lines = world.history(0, "ben").into_iter();
    let written = lines.filter(|line| line.kind == MessageKind::Sent);
    let ids: Vec<_> = written.map(|line| line.msg_id).collect();
    let msg_id = ids[1].clone();
    world.command(0, Command::Erase { msg_id });
    world.run(2 * MINUTE);
    assert!(world.found(0, "over").is_empty());
    for id in &ids {
        assert_eq!(world.why(0, id).status, Some(Status::Queued));
        assert!(world.why(0, id).waits_for.is_some());
    }
    world.set_reachable(1, true);
    world.run(HOUR);
    assert_eq!(world.received(1, "ann"), ["soon over", "not for me"]);
    let msg_id = ids[0].clone();
    let gone = world.try_command(0, Command::Why { msg_id });
    assert!(gone.is_err(), "{gone:?}");
}

#[test]
fn timers_that_are_meant_badly_lose_nothing_that_was_not_read() {
    let (mut ben, mut ann, link) = ben_and_scripted_ann(1);
    let session = ann.start_session(&mut ben, link);
    for (n, seconds) in [1, u32::MAX, 2, 29].into_iter().enumerate() {
        let set = ann.content(&mut ben, Body::Timer { seconds });
        assert!(
            ann.send(&mut ben, link, &session, &set).0,
            "confirmed like a message"
        );
        assert!(ann.write(&mut ben, link, &session, &format!("text {n}")));
        ben.pass(Duration::from_secs(24 * 60 * 60));
    }
    let all = messages(&mut ben, "ann");
    assert_eq!(all.len(), 4, "nobody had read them");
    ben.pass(Duration::from_secs(29));
    assert_eq!(
        messages(&mut ben, "ann").len(),
        4,
        "nor are they taken out of the reader's hand"
    );
    ben.pass(Duration::from_secs(2));
    let left = messages(&mut ben, "ann");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].text, "text 1", "136 years have not passed");
}

#[test]
fn timers_by_the_thousand_leave_one_line_and_one_event() {
    let (mut ben, mut ann, link) = ben_and_scripted_ann(1);
    let session = ann.start_session(&mut ben, link);
    for n in 0..300 {
        let set = ann.content(
            &mut ben,
            Body::Timer {
                seconds: 30 + n % 2,
            },
        );
        ann.send(&mut ben, link, &session, &set);
        ben.pass(Duration::from_secs(1));
    }
    let lines = ben.history("ann");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        lines[0].text,
        "new messages disappear after 31 seconds, set by ann"
    );
    let told = ben.events();
    let told = told
        .iter()
        .filter(|e| matches!(e.event, EventKind::Timer { .. }));
    assert_eq!(told.count(), 1);
}
