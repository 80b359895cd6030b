//! A home goes back to an older state: sessions begin anew, nothing is lost, no key is used twice.

mod hostile;
mod without_relay;

use std::{collections::BTreeSet, time::Duration};

use sremp_client::{
    store::{OutboxItem, Store, StoreError},
    view::{Action, Command, MessageKind, MessageView, Reply, Trust, Waits},
};
use sremp_core::{
    id::{ContactId, SessionId},
    identity::VerifiedVia,
    session::content::{Body, Content, ContentHash, ResetReason, UnverifiedIdentity},
};
use sremp_sim::{
    Malice, World,
    commands::{act, add, trust},
};

use crate::{
    DAY, HOUR, MINUTE,
    people::{apart, texts},
    seeds,
};

const ANN: usize = 0;
const BEN: usize = 1;

/// Two people who trust each other, in the middle of a conversation, each with a mailbox.
fn ann_and_ben(seed: u64) -> World {
    let mut world = World::new(seed);
    let relay = world.open_relay("relay");
    for name in ["ann", "ben"] {
        world.join_at(name, &[relay]);
    }
    world.run(MINUTE);
    world.introduce(ANN, BEN);
    for (node, contact) in [(ANN, "ben"), (BEN, "ann")] {
        world.command(node, trust(contact, Trust::Trusted));
    }
    for n in 0..3 {
        world.send(ANN, "ben", &format!("ann before {n}"));
        world.run(5_000);
        world.send(BEN, "ann", &format!("ben before {n}"));
        world.run(5_000);
    }
    world
}

/// What a backup of now holds.
fn backup(world: &mut World, node: usize) -> Store {
    let mut copy = world.node(node).store.copy().unwrap();
    copy.strip("").unwrap();
    copy
}

/// The home is lost and the backup is in its place; what was on the lost disk comes back.
fn restore(world: &mut World, node: usize, backup: Store) -> Store {
    let lost = std::mem::replace(&mut world.node(node).store, backup);
    world.restart(node);
    lost
}

/// The sessions with which a state has encrypted anything.
fn sending_sessions(store: &mut Store) -> BTreeSet<SessionId> {
    let sessions = store.transaction(|tx| {
        let mut found = BTreeSet::new();
        for contact in tx.contacts()? {
            for (session, _) in tx.sessions(contact.row)? {
                if !tx.key_uses(&session, None, 1)?.is_empty() {
                    found.insert(session);
                }
            }
        }
        Ok::<_, StoreError>(found)
    });
    sessions.unwrap()
}

fn trusted(world: &mut World, node: usize) -> bool {
    let mut contacts = world.contacts(node).into_iter();
    contacts.all(|c| c.trust == Trust::Trusted && c.verified_via == VerifiedVia::None)
}

#[test]
fn a_week_old_backup_loses_nothing_and_uses_no_key_twice() {
    for seed in seeds(60) {
        let mut world = ann_and_ben(seed);
        let old = backup(&mut world, BEN);
        // the week that the backup knows nothing of: both write, and each confirms
        let (told, waiting) = (1 + seed % 7, 1 + seed % 3);
        for n in 0..told {
            world.send(ANN, "ben", &format!("ann week {n}"));
            world.run(DAY / 4);
            world.send(BEN, "ann", &format!("ben week {n}"));
            world.run(DAY / 4);
        }
        // Ben's device is lost, Ann goes on writing
        world.set_reachable(BEN, false);
        for n in 0..waiting {
            world.send(ANN, "ben", &format!("ann after {n}"));
            world.run(HOUR);
        }
        world.run(7 * DAY - told * DAY / 2);
        let mut lost = restore(&mut world, BEN, old);
        world.set_reachable(BEN, true);
        world.send(BEN, "ann", "ben again");
        world.run(2 * HOUR);

        let mut expected = texts("ann before ", 3);
        expected.extend(texts("ann week ", told));
        expected.extend(texts("ann after ", waiting));
        assert_eq!(world.received(BEN, "ann"), expected, "seed {seed}");
        let mut expected = texts("ben before ", 3);
        expected.extend(texts("ben week ", told));
        expected.push("ben again".to_owned());
        assert_eq!(world.received(ANN, "ben"), expected, "seed {seed}");
        for (node, other) in [(ANN, "ben"), (BEN, "ann")] {
            let lines = world.notices(node, other);
            assert_eq!(lines.len(), 1, "seed {seed}: {lines:?}");
            assert!(world.all_arrived(node, other), "seed {seed}");
            assert!(trusted(&mut world, node), "seed {seed}");
        }
        let before = sending_sessions(&mut lost);
        let after = sending_sessions(&mut world.node(BEN).store);
        assert!(!before.is_empty() && !after.is_empty(), "seed {seed}");
        assert!(before.is_disjoint(&after), "seed {seed}");

        // and it is an ordinary conversation again
        world.send(ANN, "ben", "at last");
        world.run(MINUTE);
        assert_eq!(world.received(BEN, "ann").last().unwrap(), "at last");
        assert_eq!(world.notices(ANN, "ben").len(), 1, "seed {seed}");
        assert_eq!(world.notices(BEN, "ann").len(), 1, "seed {seed}");
    }
}

#[test]
fn what_was_written_to_a_home_that_was_off_needs_no_further_word_after_its_restoration() {
    for seed in seeds(8) {
        for writes in [false, true] {
            let mut world = World::new(seed);
            let relays = ["one", "two"].map(|name| world.open_relay(name));
            let (ann, ben) = apart(
                &mut world,
                [&relays[..1], &relays[seed as usize % 2..][..1]],
            );
            for (from, to) in [(ann, "ben"), (ben, "ann")] {
                world.send(from, to, "before");
                world.run(MINUTE);
            }
            let old = backup(&mut world, ben);
            world.send(ann, "ben", "on the lost device");
            world.run(MINUTE);
            world.set_reachable(ben, false);
            world.send(ann, "ben", "while it was off");
            world.run(MINUTE);
            restore(&mut world, ben, old);
            world.set_reachable(ben, true);
            if writes {
                world.send(ben, "ann", "here again");
            }
            world.run(12 * MINUTE);
            let expected = ["before", "on the lost device", "while it was off"];
            assert_eq!(
                world.received(ben, "ann"),
                expected,
                "seed {seed}: {writes}"
            );
            assert!(world.all_arrived(ann, "ben"), "seed {seed}: {writes}");
        }
    }
}

/// What waits for a contact, as it is in a store.
fn outbox(store: &mut Store, contact: &ContactId) -> Vec<OutboxItem> {
    let items = store.transaction(|tx| {
        let row = tx.contact_row(contact)?.unwrap();
        tx.outbox(row, 0, 1_000)
    });
    items.unwrap()
}

fn contents(items: &[OutboxItem]) -> Vec<Content> {
    let decoded = items
        .iter()
        .map(|item| Content::decode_exact(&item.content));
    decoded.collect::<Result<_, _>>().unwrap()
}

#[test]
fn what_waits_is_in_a_backup_as_it_was_said_and_not_as_it_was_encrypted() {
    let mut world = ann_and_ben(1);
    world.set_reachable(ANN, false);
    world.send(BEN, "ann", "waits");
    world.run(MINUTE);
    let ann = world.id(ANN);
    let waits = outbox(&mut world.node(BEN).store, &ann);
    let stored = |item: &OutboxItem| {
        item.envelope.is_some() && item.session.is_some() && item.relay_until.is_some()
    };
    assert!(!waits.is_empty() && waits.iter().all(stored));
    let in_backup = outbox(&mut backup(&mut world, BEN), &ann);
    assert!(contents(&in_backup) == contents(&waits));
    for item in in_backup {
        assert!(item.session.is_none() && item.envelope.is_none());
        assert!(item.envelope_id.is_none() && item.message_id.is_none());
        assert!(item.relay_at.is_none() && item.relay_until.is_none());
    }
}

#[test]
fn what_waited_follows_the_word_of_the_restoration_and_says_who_and_where_one_is_now() {
    let mut world = World::new(1);
    for name in ["ann", "ben", "cleo"] {
        world.join(name);
    }
    world.introduce(ANN, BEN);
    world.send(ANN, "ben", "hello");
    world.send(BEN, "ann", "hello");
    world.run(MINUTE);
    world.add(BEN, 2);
    world.set_reachable(ANN, false);
    world.set_reachable(2, false);
    world.send(BEN, "cleo", "may I?");
    world.send(BEN, "ann", "waits");
    world.advertise(BEN, "elsewhere.example:4000");
    world.run(MINUTE);
    let [ann, cleo] = [ANN, 2].map(|node| world.id(node));
    let before = contents(&outbox(&mut world.node(BEN).store, &ann));
    let is_profile = |content: &&Content| matches!(content.body, Body::ProfileUpdate(_));
    assert!(before.iter().any(|content| is_profile(&content)));
    let version = |world: &mut World| match world.command(BEN, Command::Id) {
        Reply::Id(view) => view.version,
        other => panic!("{other:?}"),
    };
    let old_version = version(&mut world);

    let old = backup(&mut world, BEN);
    restore(&mut world, BEN, old);
    let items = outbox(&mut world.node(BEN).store, &ann);
    let said = contents(&items);
    let restored = ResetReason::RESTORED;
    assert!(matches!(&said[0].body, Body::Reset { reason, .. } if *reason == restored));
    assert_eq!(said[0].prev, ContentHash::NONE);
    for (before, after) in items.iter().zip(&said[1..]) {
        assert_eq!(after.prev, ContentHash::of(&before.content));
    }
    assert!(said.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
    let texts = said
        .iter()
        .filter(|c| matches!(&c.body, Body::Text(text) if text == "waits"));
    assert_eq!(texts.count(), 1);
    let mut profiles = said.iter().filter(is_profile);
    let Some(Body::ProfileUpdate(profile)) = profiles.next().map(|content| &content.body) else {
        panic!("{said:?}")
    };
    assert!(profiles.next().is_none(), "the one of before is not said");
    let now = version(&mut world);
    assert!(now > old_version);
    let told = |identity: &UnverifiedIdentity| identity.verify().unwrap().version();
    assert_eq!(told(profile.identity.as_ref().unwrap()), now);
    // a request that nobody has got yet is of the one who asks now
    let said = contents(&outbox(&mut world.node(BEN).store, &cleo));
    let Body::ContactRequest(request) = &said[0].body else {
        panic!("{said:?}")
    };
    assert_eq!((said.len(), request.text.as_str()), (1, "may I?"));
    assert_eq!(told(&request.identity), now);
    assert_eq!(Some(&request.env), profile.env.as_ref());
}

#[test]
fn a_restored_home_tells_its_contacts_by_itself_within_ten_minutes() {
    for seed in seeds(20) {
        let mut world = ann_and_ben(seed);
        let old = backup(&mut world, BEN);
        world.send(ANN, "ben", "only the lost device has this");
        world.run(HOUR);
        restore(&mut world, BEN, old);
        world.run(11 * MINUTE);
        let last = world.received(BEN, "ann").pop().unwrap();
        assert_eq!(last, "only the lost device has this", "seed {seed}");
        // nothing goes on after that
        let before = world.messages();
        world.run(HOUR);
        assert!(world.messages() - before < 12, "seed {seed}");
    }
}

#[test]
fn contacts_are_not_told_all_at_once() {
    for seed in seeds(2) {
        for by_relay in [false, true] {
            let mut world = World::new(seed);
            let relay = world.open_relay("relay");
            let join = |world: &mut World, name: &str| match by_relay {
                true => world.join_far(name, &[relay]),
                false => world.join(name),
            };
            let ben = join(&mut world, "ben");
            let names = (0..12).map(|n| format!("friend{n}"));
            let friends: Vec<usize> = names.map(|name| join(&mut world, &name)).collect();
            world.run(MINUTE);
            for friend in &friends {
                world.introduce(ben, *friend);
                world.send(*friend, "ben", "hello");
                world.run(1_000);
            }
            world.run(2 * MINUTE);
            let old = backup(&mut world, ben);
            for reachable in [false, true] {
                for friend in &friends {
                    world.set_reachable(*friend, reachable);
                }
                world.run(1_000);
            }
            restore(&mut world, ben, old);
            let told = |world: &mut World| {
                let lines = friends.iter();
                lines
                    .filter(|friend| !world.notices(**friend, "ben").is_empty())
                    .count()
            };
            // by chance two or three of the twelve are told within this time
            world.run(2 * MINUTE);
            let early = told(&mut world);
            assert!(early < 11, "seed {seed}, by relay {by_relay}: {early}");
            world.run(10 * MINUTE);
            assert_eq!(told(&mut world), 12, "seed {seed}, by relay {by_relay}");
        }
    }
}

#[test]
fn whoever_has_written_to_a_home_is_told_at_once_when_it_is_restored() {
    for seed in seeds(5) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let (ann, ben) = apart(&mut world, [&[relay]; 2]);
        for (from, to) in [(ann, "ben"), (ben, "ann")] {
            world.send(from, to, "hello");
            world.run(MINUTE);
        }
        let old = backup(&mut world, ben);
        world.set_reachable(ben, false);
        world.run(1_000);
        world.send(ann, "ben", "are you there?");
        world.run(1_000);
        restore(&mut world, ben, old);
        world.set_reachable(ben, true);
        world.run(20_000);
        let received = world.received(ben, "ann");
        assert_eq!(received, ["hello", "are you there?"], "seed {seed}");
        assert!(world.all_arrived(ann, "ben"), "seed {seed}");
    }
}

#[test]
fn what_was_sealed_for_a_contact_who_never_answered_and_is_restored_is_read_at_once() {
    for seed in seeds(5) {
        let mut world = crate::people::ann_and_ben(seed);
        let old = backup(&mut world, BEN);
        world.send(ANN, "ben", "one");
        let key = world.id(BEN);
        let sealed = |world: &mut World| {
            let found = world.node(ANN).store.transaction(|tx| {
                let row = tx.contact_row(&key)?.expect("a contact");
                tx.outbox(row, 0, 1)
            });
            found
                .unwrap()
                .first()
                .is_some_and(|item| item.envelope.is_some())
        };
        let steps = (0..10_000).take_while(|_| {
            world.run(1);
            !sealed(&mut world)
        });
        assert!(steps.count() < 10_000, "seed {seed}");
        world.set_reachable(BEN, false);
        restore(&mut world, BEN, old);
        world.set_reachable(BEN, true);
        world.run(20_000);
        assert_eq!(world.received(BEN, "ann"), ["one"], "seed {seed}");
        assert!(world.all_arrived(ANN, "ben"), "seed {seed}");
    }
}

#[test]
fn a_used_prekey_that_a_relay_gives_to_a_restored_home_parts_nobody() {
    for seed in seeds(5) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        world.relay(relay).malice = Malice::GivesPrekeysAgain;
        let (ann, ben) = apart(&mut world, [&[relay]; 2]);
        for (from, to) in [(ann, "ben"), (ben, "ann")] {
            world.send(from, to, "hello");
            world.run(MINUTE);
        }
        let old = backup(&mut world, ann);
        world.send(ben, "ann", "lost with the device");
        world.run(MINUTE);
        restore(&mut world, ann, old);
        world.send(ann, "ben", "again");
        world.send(ben, "ann", "still");
        world.run(HOUR);
        assert!(world.refused(ben, "PREKEY_UNKNOWN") > 0, "seed {seed}");
        let received = world.received(ben, "ann");
        assert_eq!(received, ["hello", "again"], "seed {seed}");
        // what was lost is asked for under the session that Ben begins, after what he wrote since
        let received = world.received(ann, "ben");
        let expected = ["hello", "still", "lost with the device"];
        assert_eq!(received, expected, "seed {seed}");
    }
}

#[test]
fn what_waits_while_contacts_are_told_names_that_and_when_it_goes() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let (ann, ben) = apart(&mut world, [&[relay]; 2]);
        for (from, to) in [(ann, "ben"), (ben, "ann")] {
            world.send(from, to, "hello");
            world.run(MINUTE);
        }
        world.set_reachable(relay, false);
        world.send(ben, "ann", "wait for me");
        world.run(1_000);
        let old = backup(&mut world, ben);
        restore(&mut world, ben, old);
        world.set_reachable(relay, true);
        world.run(1);
        let begun = world.now().wall;
        let view = world.why_last(ben, "ann");
        assert_eq!(view.waits, Some(Waits::NewSession), "seed {seed}: {view:?}");
        let next = view.next_try.expect("a time").0;
        let latest = begun.plus(Duration::from_millis(10 * MINUTE));
        assert!(begun <= next && next <= latest, "seed {seed}: {view:?}");
        world.run(12 * MINUTE);
        assert!(world.all_arrived(ben, "ann"), "seed {seed}");
    }
}

#[test]
fn a_request_that_waits_can_be_answered_although_who_made_it_was_restored() {
    for seed in seeds(10) {
        for (far, kept) in [(false, false), (true, false), (false, true)] {
            let mut world = World::new(seed);
            let relay = world.open_relay("relay");
            let [ann, eve] = ["ann", "eve"].map(|name| match far {
                true => world.join_far(name, &[relay]),
                false => world.join_at_with(name, &[relay], |config| config.built_in_relay = kept),
            });
            world.run(MINUTE);
            world.add(eve, ann);
            for text in ["may I?", "please"] {
                world.send(eve, "ann", text);
            }
            world.run(MINUTE);
            let old = backup(&mut world, eve);
            restore(&mut world, eve, old);
            world.run(12 * MINUTE);
            assert_eq!(
                world.requests(ann).len(),
                1,
                "seed {seed}, far {far}, kept {kept}"
            );
            world.command(ann, add("eve", None));
            world.send(ann, "eve", "you may");
            world.run(2 * MINUTE);
            assert_eq!(
                world.received(eve, "ann"),
                ["you may"],
                "seed {seed}, far {far}, kept {kept}"
            );
            let asked = world.received(ann, "eve");
            assert_eq!(
                asked,
                ["may I?", "please"],
                "seed {seed}, far {far}, kept {kept}"
            );
            assert!(
                world.all_arrived(eve, "ann"),
                "seed {seed}, far {far}, kept {kept}"
            );
        }
    }
}

#[test]
fn a_restoration_that_dies_between_any_two_steps_ends_the_same() {
    for seed in seeds(40) {
        let mut world = ann_and_ben(seed);
        let old = backup(&mut world, BEN);
        world.send(ANN, "ben", "in between");
        world.run(HOUR);
        restore(&mut world, BEN, old);
        world.faults.die_before_commit = 60;
        world.faults.die_after_commit = 60;
        world.send(BEN, "ann", "again");
        world.run(30 * MINUTE);
        world.faults = Default::default();
        world.run(2 * HOUR);
        assert_eq!(
            world.received(BEN, "ann").last().unwrap(),
            "in between",
            "seed {seed}"
        );
        assert_eq!(
            world.received(ANN, "ben").last().unwrap(),
            "again",
            "seed {seed}"
        );
        for (node, contact) in [(BEN, "ann"), (ANN, "ben")] {
            let lines = world.notices(node, contact);
            assert!(lines.len() <= 1, "seed {seed}: {lines:?}");
        }
    }
}

#[test]
fn both_are_restored_at_once_and_find_together_again() {
    for seed in seeds(40) {
        let mut world = ann_and_ben(seed);
        let olds = [backup(&mut world, ANN), backup(&mut world, BEN)];
        world.send(ANN, "ben", "lost by both");
        world.run(DAY);
        for (node, old) in [ANN, BEN].into_iter().zip(olds) {
            restore(&mut world, node, old);
        }
        world.run(12 * MINUTE);
        world.send(ANN, "ben", "ann");
        world.send(BEN, "ann", "ben");
        world.run(2 * HOUR);
        assert_eq!(
            world.received(BEN, "ann").last().unwrap(),
            "ann",
            "seed {seed}"
        );
        assert_eq!(
            world.received(ANN, "ben").last().unwrap(),
            "ben",
            "seed {seed}"
        );
        for (node, other) in [(ANN, "ben"), (BEN, "ann")] {
            assert!(world.all_arrived(node, other), "seed {seed}");
            // one of its own restoration, and one of the other's unless the two crossed
            assert!(world.notices(node, other).len() <= 2, "seed {seed}");
        }
    }
}

#[test]
fn a_request_that_waited_in_the_backup_can_be_answered_after_it() {
    for seed in seeds(20) {
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.add(ben, ann);
        world.set_reachable(ann, false);
        world.send(ben, "ann", "may I?");
        world.run(MINUTE);
        let old = backup(&mut world, ben);
        world.set_reachable(ann, true);
        world.run(30 * MINUTE);
        restore(&mut world, ben, old);
        world.run(MINUTE);
        world.command(ann, add("ben", None));
        world.run(HOUR);
        world.send(ann, "ben", "you may");
        world.run(HOUR);
        assert_eq!(world.received(ben, "ann"), ["you may"], "seed {seed}");
        assert_eq!(world.received(ann, "ben"), ["may I?"], "seed {seed}");
    }
}

#[test]
fn what_was_edited_or_taken_back_meanwhile_is_so_in_the_restored_home_too() {
    for seed in seeds(10) {
        let mut world = ann_and_ben(seed);
        let old = backup(&mut world, BEN);
        let sent: Vec<MessageView> = world.history(ANN, "ben");
        let of = |text: &str| {
            let line = sent.iter().find(|line| line.text == text).unwrap();
            line.msg_id.clone()
        };
        let edit = Action::Edit {
            msg_id: of("ann before 1"),
            text: "ann after all".to_owned(),
        };
        let delete = Action::Delete {
            msg_id: of("ann before 2"),
        };
        world.command(ANN, act(edit));
        world.command(ANN, act(delete));
        // reactions to one of hers and one of his, and one of which nothing is left
        for (to, reaction) in [
            ("ann before 0", "mine"),
            ("ben before 0", "wow"),
            ("ben before 1", "hm"),
            ("ben before 1", ""),
        ] {
            let react = Action::React {
                msg_id: of(to),
                reaction: reaction.to_owned(),
            };
            world.command(ANN, act(react));
        }
        world.run(HOUR);
        restore(&mut world, BEN, old);
        world.run(HOUR);
        assert_eq!(
            world.received(BEN, "ann"),
            ["ann before 0", "ann after all", ""],
            "seed {seed}"
        );
        let of_both = [ANN, BEN].map(|node| {
            let other = ["ben", "ann"][node];
            let lines = world.history(node, other).into_iter();
            let reactions = lines.filter(|line| line.kind != MessageKind::Notice);
            let reactions = reactions.map(|line| {
                let reactions = line.reactions.into_iter();
                reactions.map(|r| r.reaction).collect::<Vec<_>>()
            });
            reactions.collect::<Vec<_>>()
        });
        assert_eq!(of_both[0].concat(), ["mine", "wow"], "seed {seed}");
        assert_eq!(of_both[0], of_both[1], "seed {seed}");
    }
}

#[test]
fn who_is_restored_again_within_the_hour_gets_what_is_lacking_when_it_is_over() {
    for seed in seeds(10) {
        let mut world = ann_and_ben(seed);
        let [first, second, third] = [(); 3].map(|()| backup(&mut world, BEN));
        for n in 0..3 {
            world.send(ANN, "ben", &format!("ann after {n}"));
        }
        world.run(MINUTE);
        // each home of Ben's lasts for seconds or minutes
        for backup in [first, second, third] {
            restore(&mut world, BEN, backup);
            world.send(BEN, "ann", "again");
            world.run(3_000 + seed % 20 * 17_000);
        }
        // what is owed is owed over an end of her process, and over a restoration of hers
        match seed % 3 {
            0 => {}
            1 => world.restart(ANN),
            _ => {
                let backup = backup(&mut world, ANN);
                restore(&mut world, ANN, backup);
            }
        }
        world.run(3 * HOUR);
        let mut expected = texts("ann before ", 3);
        expected.extend(texts("ann after ", 3));
        assert_eq!(world.received(BEN, "ann"), expected, "seed {seed}");
        assert!(world.all_arrived(ANN, "ben"), "seed {seed}");
    }
}

fn timer(contact: &str, seconds: u32) -> Command {
    act(Action::Timer {
        contact: contact.to_owned(),
        seconds,
    })
}

/// What was said of timers and messages: the text, and whether it disappears.
fn timed(world: &mut World, node: usize, contact: &str) -> Vec<(String, bool)> {
    let lines = world.history(node, contact).into_iter();
    lines
        .filter(|line| line.kind != MessageKind::Notice)
        .map(|line| (line.text, line.disappears_at.is_some()))
        .collect()
}

#[test]
fn what_comes_again_disappears_if_it_was_to_and_stays_if_not() {
    for seed in seeds(10) {
        let mut world = ann_and_ben(seed);
        world.command(ANN, timer("ben", u32::from(seed % 2 == 0) * 86_400));
        world.run(MINUTE);
        let old = backup(&mut world, BEN);
        // what is beyond this waits at her home when his comes back
        let waits = usize::try_from(seed % 8).unwrap();
        for (n, seconds) in [0, 0, 86_400, 3_600, 0, 3_600, 3_600]
            .into_iter()
            .enumerate()
        {
            if n == waits {
                world.leave(BEN);
            }
            world.command(ANN, timer("ben", seconds));
            world.send(ANN, "ben", &format!("{n} for {seconds}"));
            world.run(10_000);
        }
        world.set_reachable(BEN, true);
        let timed_there = timed(&mut world, ANN, "ben");
        restore(&mut world, BEN, old);
        world.run(20 * MINUTE);
        let timed_here = timed(&mut world, BEN, "ann");
        let of_now = |all: &[(String, bool)]| -> Vec<(String, bool)> {
            let mut all: Vec<_> = all
                .iter()
                .filter(|(text, _)| text.contains(" for "))
                .cloned()
                .collect();
            all.sort();
            all
        };
        let expected = of_now(&timed_there);
        assert_eq!(expected.len(), 7, "seed {seed}");
        assert_eq!(of_now(&timed_here), expected, "seed {seed}");
        // and both hold the same timer
        world.send(BEN, "ann", "at last");
        world.run(MINUTE);
        for (node, other) in [(ANN, "ben"), (BEN, "ann")] {
            let last = timed(&mut world, node, other).pop();
            assert_eq!(last, Some(("at last".to_owned(), true)), "seed {seed}");
        }
    }
}
