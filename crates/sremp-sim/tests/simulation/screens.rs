//! Screens: homes of the same user that show what the main one has, and do nothing else.

use sremp_client::{
    config::Config,
    view::{
        Action, Command, ErrorKind, Event, MessageKind, MessageView, Outcome, Reply, Status, Wait,
        Waits,
    },
};
use sremp_core::{
    channel::P2pMessage,
    error::ErrorCode,
    id::ContactId,
    identity::Trust,
    relay::{Cursor, RelayMessage, Subscribe},
    route::Choice,
};
use sremp_sim::{
    Alone, Faults, World,
    commands::{self, act, direct, trust},
};

use crate::{HOUR, people::built_in, seeds};

/// Two people who know each other; the first has a built-in relay.
fn ann_and_ben(world: &mut World) -> (usize, usize) {
    let (ann, ben) = (world.join_with("ann", built_in), world.join("ben"));
    world.introduce(ann, ben);
    (ann, ben)
}

// by commands, whose other outputs are carried out as well: a screen dials with its first step
fn shown(world: &mut World, node: usize, contact: &str) -> Vec<MessageView> {
    match world.command(node, commands::history(contact)) {
        Reply::Messages { messages } => messages,
        other => panic!("{other:?}"),
    }
}

fn received(world: &mut World, node: usize, contact: &str) -> Vec<String> {
    let lines = shown(world, node, contact).into_iter();
    let received = lines.filter(|line| line.kind == MessageKind::Received);
    received.map(|line| line.text).collect()
}

fn events(world: &mut World, node: usize) -> Vec<Event> {
    match world.command(node, commands::events()) {
        Reply::Events { events, .. } => events,
        other => panic!("{other:?}"),
    }
}

fn contacts(world: &mut World, node: usize) -> Vec<(String, Trust, Choice)> {
    let seen = world.contacts(node).into_iter();
    seen.map(|c| (c.alias, c.trust, c.direct)).collect()
}

fn warnings(world: &mut World, node: usize) -> String {
    world.status(node).warnings.join(
        "
",
    )
}

fn id_of(world: &mut World, node: usize, line: usize, contact: &str) -> String {
    shown(world, node, contact)[line].msg_id.clone()
}

#[test]
fn a_screen_shows_what_is_said_edited_taken_back_and_answered_also_after_it_was_away() {
    let mut world = World::new(1);
    let (ann, ben) = ann_and_ben(&mut world);
    world.send(ann, "ben", "before the backup");
    world.run(60_000);
    let screen = world.screen_of(ann, "tablet");
    assert_eq!(
        shown(&mut world, screen, "ben"),
        shown(&mut world, ann, "ben")
    );
    world.send(ann, "ben", "out");
    world.send(ben, "ann", "in");
    world.send(ben, "ann", "to be changed");
    world.send(ben, "ann", "to be taken back");
    world.run(60_000);
    assert_eq!(received(&mut world, screen, "ben").len(), 3);
    assert_eq!(
        shown(&mut world, screen, "ben"),
        shown(&mut world, ann, "ben")
    );
    world.set_reachable(screen, false);
    let ids: Vec<_> = (0..5).map(|n| id_of(&mut world, ben, n, "ann")).collect();
    let lines = shown(&mut world, ben, "ann");
    let of = |text: &str| lines.iter().position(|line| line.text == text).unwrap();
    world.command(
        ben,
        act(Action::Edit {
            msg_id: ids[of("to be changed")].clone(),
            text: "changed word".to_owned(),
        }),
    );
    let msg_id = ids[of("to be taken back")].clone();
    world.command(ben, act(Action::Delete { msg_id }));
    let msg_id = ids[of("out")].clone();
    let reaction = "+".to_owned();
    world.command(ben, act(Action::React { msg_id, reaction }));
    world.run(60_000);
    assert_ne!(
        shown(&mut world, screen, "ben"),
        shown(&mut world, ann, "ben"),
        "it was away"
    );
    assert!(warnings(&mut world, screen).contains("does not follow"));
    world.set_reachable(screen, true);
    world.run(120_000);
    assert_eq!(
        shown(&mut world, screen, "ben"),
        shown(&mut world, ann, "ben")
    );
    assert_eq!(world.found(screen, "word").len(), 1);
    assert!(
        world.found(screen, "taken").is_empty(),
        "it is gone from the index too"
    );
    assert_eq!(events(&mut world, screen), events(&mut world, ann));
    assert!(warnings(&mut world, screen).contains("it follows"));
}

#[test]
fn contacts_that_come_and_change_are_seen_on_two_screens_at_once() {
    let mut world = World::new(2);
    let (ann, ben) = ann_and_ben(&mut world);
    world.run(60_000);
    let screens = [world.screen_of(ann, "one"), world.screen_of(ann, "two")];
    let cid = world.join("cid");
    world.introduce(ann, cid);
    world.send(cid, "ann", "hello");
    world.send(ben, "ann", "hello too");
    world.command(ann, trust("ben", Trust::Trusted));
    world.run(60_000);
    world.command(ann, direct("cid", Choice::Off));
    world.run(120_000);
    assert_eq!(contacts(&mut world, ann)[1].2, Choice::Off);
    for screen in screens {
        assert_eq!(contacts(&mut world, screen), contacts(&mut world, ann));
        assert_eq!(received(&mut world, screen, "cid"), ["hello"]);
        assert_eq!(received(&mut world, screen, "ben"), ["hello too"]);
    }
    assert!(
        warnings(&mut world, ann).is_empty(),
        "its own links are not confused"
    );
}

#[test]
fn whatever_dies_a_screen_comes_to_show_what_its_home_has() {
    for seed in seeds(15) {
        let mut world = World::new(seed);
        let (ann, ben) = ann_and_ben(&mut world);
        world.run(60_000);
        let screen = world.screen_of(ann, "tablet");
        world.faults = Faults {
            cut: 60,
            die_before_commit: 30,
            die_after_commit: 60,
        };
        for n in 0..12 {
            world.send(ann, "ben", &format!("out {n}"));
            world.send(ben, "ann", &format!("in {n}"));
            world.run(4_000);
            if n % 3 == 0 {
                let lines = shown(&mut world, ann, "ben");
                let own = lines.iter().rfind(|line| line.text.starts_with("out"));
                if let Some(line) = own {
                    let (msg_id, text) = (line.msg_id.clone(), format!("out edited {n}"));
                    world.command(ann, act(Action::Edit { msg_id, text }));
                }
            }
        }
        world.faults = Faults::default();
        world.run(2 * HOUR);
        let (home, seen) = (
            shown(&mut world, ann, "ben"),
            shown(&mut world, screen, "ben"),
        );
        assert_eq!(seen, home, "seed {seed}");
        assert_eq!(
            events(&mut world, screen),
            events(&mut world, ann),
            "seed {seed}"
        );
        assert_eq!(
            world.found(screen, "edited").len(),
            world.found(ann, "edited").len(),
            "seed {seed}"
        );
        world.node(screen).store.integrity_check().unwrap();
    }
}

#[test]
fn what_disappears_does_so_on_a_screen_that_nobody_reaches() {
    let mut world = World::new(8);
    let (ann, ben) = ann_and_ben(&mut world);
    world.send(ben, "ann", "hello");
    world.run(60_000);
    let screen = world.screen_of(ann, "tablet");
    let (contact, seconds) = ("ben".to_owned(), 60);
    world.command(ann, act(Action::Timer { contact, seconds }));
    world.send(ann, "ben", "fleeting words");
    world.run(10_000);
    assert_eq!(world.found(screen, "fleeting").len(), 1);
    world.set_reachable(screen, false);
    world.run(120_000);
    assert!(world.found(screen, "fleeting").is_empty());
    let said = shown(&mut world, screen, "ben");
    assert!(said.iter().all(|line| line.text != "fleeting words"));
    world.set_reachable(screen, true);
    world.run(120_000);
    assert_eq!(
        shown(&mut world, screen, "ben"),
        shown(&mut world, ann, "ben")
    );
}

#[test]
fn a_screen_is_examined_by_whether_it_follows_and_not_by_whom_it_reaches() {
    let mut world = World::new(9);
    let (ann, _) = ann_and_ben(&mut world);
    world.run(60_000);
    let screen = world.screen_of(ann, "tablet");
    let examined = |world: &mut World| match world.command_within(screen, Command::Doctor, 10_000) {
        Some(Ok(Reply::Doctor(view))) => {
            let of = view.checks.iter().map(|c| (c.check.to_string(), c.outcome));
            of.collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    world.run(60_000);
    let of = |name: &str, outcome| (name.to_owned(), outcome);
    // nobody measures a store here
    let wanted = [
        of("store", Outcome::Skipped),
        of("screen", Outcome::Ok),
        of("refusals", Outcome::Ok),
    ];
    assert_eq!(examined(&mut world), wanted);
    world.leave(ann);
    world.run(60_000);
    assert!(examined(&mut world).contains(&of("screen", Outcome::Warn)));
}

#[test]
fn a_screen_says_of_what_waits_that_its_home_sends_it_and_counts_it() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let link = world.relay(relay).link();
        let ann = world.join_with("ann", built_in);
        let [ben, cid] = [
            world.join("ben"),
            world.join_with("cid", |config| config.relays = vec![link]),
        ];
        world.run(60_000);
        for other in [ben, cid] {
            world.introduce(ann, other);
        }
        world.send(ann, "ben", "hello");
        world.send(ann, "cid", "hello");
        world.run(60_000);
        let screen = world.screen_of(ann, "tablet");
        for other in [ben, cid] {
            world.set_reachable(other, false);
        }
        for (to, text) in [("cid", "kept"), ("ben", "one"), ("ben", "two")] {
            world.send(ann, to, text);
            world.run(60_000);
        }
        let waiting = |world: &mut World, node| {
            let status = world.status(node);
            let contacts = world.contacts(node).into_iter();
            let queued: Vec<_> = contacts.map(|c| (c.alias, c.queued)).collect();
            (status.queued, status.oldest_unsent, queued)
        };
        assert_eq!(waiting(&mut world, ann).0, 3);
        assert_eq!(waiting(&mut world, screen), waiting(&mut world, ann));
        for (to, status) in [("ben", Status::Queued), ("cid", Status::AtRelay)] {
            let view = world.why_last(screen, to);
            assert_eq!(
                (view.status, view.waits, view.next_try),
                (Some(status), Some(Waits::Home), None)
            );
            let words = view.waits_for.unwrap();
            assert!(words.contains("its home sends it"), "{words}");
            assert!(words.contains("it follows"), "{words}");
            let privacy = view.privacy.words;
            assert!(privacy.contains("its home knows"), "{privacy}");
            assert!(!privacy.contains("no relay has answered"), "{privacy}");
        }
        world.leave(ann);
        world.run(60_000);
        let words = world.why_last(screen, "ben").waits_for.unwrap();
        assert!(words.contains("does not follow"), "{words}");
        // also a verb that looks into the home of a screen that does not run
        world.look_into(screen);
        let view = world.why_last(screen, "ben");
        assert_eq!(view.waits, Some(Waits::Home));
        assert_eq!(world.status(screen).queued, 3);
    }
}

#[test]
fn a_screen_that_is_carried_to_another_network_goes_on_there() {
    let mut world = World::new(10);
    let (ann, ben) = ann_and_ben(&mut world);
    world.run(60_000);
    let screen = world.screen_of(ann, "tablet");
    world.run(60_000);
    for text in ["one", "two", "three"] {
        world.walk(screen);
        world.send(ben, "ann", text);
        world.run(3_000);
        let got = received(&mut world, screen, "ben");
        assert_eq!(got.last().map(String::as_str), Some(text));
    }
}

#[test]
fn a_screen_writes_to_nobody_and_has_no_sessions() {
    let mut world = World::new(3);
    let (ann, ben) = ann_and_ben(&mut world);
    world.send(ann, "ben", "hello");
    world.send(ben, "ann", "hello");
    world.run(60_000);
    world.set_reachable(ben, false);
    world.send(ann, "ben", "waits");
    let screen = world.screen_of(ann, "tablet");
    world.leave(ann);
    world.set_reachable(ben, true);
    let said = shown(&mut world, ben, "ann").len();
    let refused = |world: &mut World, command: Command| {
        let error = world.try_command(screen, command).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Usage);
        assert!(
            error.message.contains("a screen of ann"),
            "{}",
            error.message
        );
    };
    for command in [
        Command::Send {
            contact: "ben".to_owned(),
            text: "no".to_owned(),
            reply_to: None,
            key: None,
            wait: Wait::Outbox,
            timeout_ms: 0,
        },
        Command::Invite { expires: None },
        Command::RotateNoiseKey,
        Command::Erase {
            msg_id: "123456".to_owned(),
        },
        Command::Register { visibility: None },
        Command::Backup {
            file: "/nowhere".to_owned(),
            retire: false,
        },
    ] {
        refused(&mut world, command);
    }
    world.run(24 * HOUR);
    assert_eq!(shown(&mut world, ben, "ann").len(), said);
    let store = &mut world.node(screen).store;
    let (sessions, waiting) = store
        .transaction(|tx| {
            let key: ContactId = tx.contact_names()?[0].key;
            let row = tx.contact_row(&key)?.expect("a contact");
            Ok::<_, sremp_client::store::StoreError>((
                tx.sessions(row)?.len(),
                tx.outbox_contacts()?.len(),
            ))
        })
        .unwrap();
    assert_eq!((sessions, waiting), (0, 0));
}

#[test]
fn a_screen_of_a_time_that_cannot_be_gone_on_from_says_so_and_changes_nothing() {
    let mut world = World::new(4);
    let (ann, ben) = ann_and_ben(&mut world);
    world.run(60_000);
    let screen = world.screen_of(ann, "tablet");
    world.run(60_000);
    world.configure(ann, |config| config.built_in_relay = false);
    world.run(60_000);
    let warning = warnings(&mut world, screen);
    assert!(warning.contains("serves no screens"), "{warning}");
    world.send(ben, "ann", "unseen");
    world.run(60_000);
    world.configure(ann, built_in);
    world.run(HOUR);
    let warning = warnings(&mut world, screen);
    assert!(warning.contains("make a backup"), "{warning}");
    assert!(received(&mut world, screen, "ben").is_empty());
    let another = world.screen_of(ann, "another");
    world.send(ben, "ann", "seen");
    world.run(60_000);
    assert_eq!(received(&mut world, another, "ben"), ["unseen", "seen"]);
}

#[test]
fn whoever_is_no_screen_is_told_nothing_and_five_screens_are_one_too_many() {
    let subscribe = Subscribe {
        after: Cursor::START,
        credit_items: 32,
        credit_bytes: 1024,
    };
    let subscribe = RelayMessage::Subscribe(subscribe).to_message(1);
    let answers = |set: fn(&mut Config)| {
        let mut ann = Alone::with("ann", 1, set);
        let eve = ann.somebody("eve");
        let link = ann.connect(eve.identity());
        let done = ann.hear(link, subscribe.clone());
        format!("{done:?}")
    };
    assert_eq!(answers(built_in), answers(|_| ()));
    assert!(
        answers(built_in).contains("Send"),
        "an error, as for what is not known"
    );
    let mut world = World::new(5);
    let (ann, _) = ann_and_ben(&mut world);
    world.run(60_000);
    let screens: Vec<_> = (0..5)
        .map(|n| world.screen_of(ann, &format!("s{n}")))
        .collect();
    world.run(10_000);
    let follow = |world: &mut World, screen| warnings(world, screen).contains("it follows");
    let following = screens.iter().filter(|s| follow(&mut world, **s)).count();
    assert_eq!(following, 4);
    assert!(world.refused(ann, "screens") > 0);
}

#[test]
fn a_screen_that_says_anything_else_is_sent_away() {
    let mut world = World::new(6);
    let (ann, _) = ann_and_ben(&mut world);
    world.run(60_000);
    let screen = world.screen_of(ann, "tablet");
    world.run(10_000);
    let before = world.refused(ann, ErrorCode::ProtocolViolation.name());
    world.interject(screen, P2pMessage::PrekeyReq.to_message(7));
    world.run(1_000);
    assert_eq!(
        world.refused(ann, ErrorCode::ProtocolViolation.name()),
        before + 1
    );
}
