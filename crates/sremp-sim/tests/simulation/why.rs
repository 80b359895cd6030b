//! `why` names the true reason for which a message waits.

use std::time::Duration;

use sremp_client::{
    clock::Rfc3339,
    config::{Direct, RendezvousPlace},
    store::{ContactRow, NewConfirmation, NewMessage, NewReceipt, StoreError, Tx},
    view::{
        Choice, Command, ErrorKind, EventKind, MessageKind, Observer, Outcome, Path, Reply, Status,
        Waits, WhyStep, WhyView,
    },
};
use sremp_core::{
    id::{EnvelopeId, MsgId},
    identity::Trust,
    signature::Signature,
    time::UnixMillis,
};
use sremp_sim::{Alone, Malice, Scripted, World};

use super::doctor::{check, doctor};

use crate::seeds;

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// Ann and Ben, who reach each other by one relay and have written to each other.
fn by_a_relay(seed: u64) -> (World, [usize; 3]) {
    let (mut world, all) = at_a_relay(seed);
    world.send(all[0], "ben", "hello");
    world.run(MINUTE);
    world.send(all[1], "ann", "hello");
    world.run(MINUTE);
    (world, all)
}

/// The same before a word was said.
fn at_a_relay(seed: u64) -> (World, [usize; 3]) {
    let mut world = World::new(seed);
    let relay = world.open_relay("relay");
    let [ann, ben] = ["ann", "ben"].map(|name| world.join_far(name, &[relay]));
    world.run(MINUTE);
    world.add(ann, ben);
    world.add(ben, ann);
    world.run(MINUTE);
    (world, [ann, ben, relay])
}

fn trust(contact: &str, trust: Trust) -> Command {
    Command::SetTrust {
        contact: contact.to_owned(),
        trust,
    }
}

/// What is said of Ann's last message to Ben.
fn why(world: &mut World, ann: usize) -> WhyView {
    let mut line = world.history(ann, "ben").into_iter();
    let line = line.rfind(|line| line.status.is_some()).unwrap();
    let msg_id = line.msg_id;
    match world.command(ann, Command::Why { msg_id }) {
        Reply::Why(view) => view,
        other => panic!("{other:?}"),
    }
}

/// Ann writes, a while passes, and this is why it waits, in these words.
#[track_caller]
fn waits(world: &mut World, ann: usize, reason: Waits, words: &[&str]) -> WhyView {
    world.send(ann, "ben", "are you there?");
    world.run(2 * MINUTE);
    still_waits(world, ann, reason, words)
}

#[track_caller]
fn still_waits(world: &mut World, ann: usize, reason: Waits, words: &[&str]) -> WhyView {
    let view = why(world, ann);
    let said = view.waits_for.clone().unwrap_or_default();
    assert_eq!(view.waits, Some(reason), "{said}");
    for word in words {
        assert!(said.contains(word), "{word} in: {said}");
    }
    view
}

#[test]
fn who_is_away_and_has_no_relay_is_waited_for_directly() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.add(ann, ben);
        world.set_reachable(ben, false);
        let words = ["took too long", "no relay of ben is known"];
        let view = waits(&mut world, ann, Waits::Direct, &words);
        assert!(view.next_try.is_some());
        assert!(view.privacy.seen.is_empty());
        // the cause outlives the process
        world.look_into(ann);
        let words = ["sremp up", "took too long"];
        still_waits(&mut world, ann, Waits::Client, &words);
    }
}

#[test]
fn what_a_relay_keeps_waits_for_its_reader() {
    for seed in seeds(1) {
        let (mut world, [ann, ben, _]) = by_a_relay(seed);
        world.set_reachable(ben, false);
        let view = waits(&mut world, ann, Waits::Reader, &["keeps it until 20"]);
        assert_eq!(view.status, Some(Status::AtRelay));
        let receipt = |step: &WhyStep| matches!(step, WhyStep::AtRelay { receipt_valid, .. } if *receipt_valid);
        assert!(view.timeline.iter().any(receipt));
        let seen: Vec<_> = view.privacy.seen.iter().map(|seen| seen.who).collect();
        assert_eq!(seen, [Observer::NetworkToRelay, Observer::Relay]);
        world.set_reachable(ben, true);
        world.run(60 * MINUTE);
        let view = why(&mut world, ann);
        assert_eq!((view.waits, view.waits_for), (None, None));
        assert_eq!(view.privacy.seen[0].who, Observer::Contact);
    }
}

#[test]
fn a_relay_that_is_down_is_named_with_its_cause_and_since_when() {
    for seed in seeds(1) {
        let (mut world, [ann, _, relay]) = by_a_relay(seed);
        world.set_reachable(relay, false);
        let words = ["relay:4000", "since 20", "took too long"];
        let view = waits(&mut world, ann, Waits::RelayDown, &words);
        assert!(view.next_try.is_some());
    }
}

#[test]
fn a_full_mailbox_is_told_as_the_relay_tells_it() {
    for seed in seeds(1) {
        let (mut world, [ann, _, relay]) = by_a_relay(seed);
        world.relay(relay).malice = Malice::RefusesAll;
        let words = ["relay:4000", "the mailbox is full"];
        let view = waits(&mut world, ann, Waits::RelayRefuses, &words);
        assert!(view.next_try.is_some());
    }
}

#[test]
fn what_a_relay_denies_is_explained_without_guessing_why() {
    for seed in seeds(1) {
        let (mut world, [ann, ben, _]) = by_a_relay(seed);
        world.command(ben, trust("ann", Trust::Rejected));
        world.run(MINUTE);
        let words = ["has no mailbox there", "blocked you"];
        waits(&mut world, ann, Waits::RelayDenies, &words);
    }
}

#[test]
fn whoever_has_not_accepted_a_request_is_named_connected_or_not() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.add(ann, ben);
        let words = ["connected", "not accepted you"];
        waits(&mut world, ann, Waits::Acceptance, &words);
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let [ann, ben] = ["ann", "ben"].map(|name| world.join_far(name, &[relay]));
        world.run(MINUTE);
        world.add(ann, ben);
        let words = ["keeps it until", "not accepted you"];
        waits(&mut world, ann, Waits::Acceptance, &words);
        for _ in 0..40 {
            world.send(ann, "ben", "hello?");
        }
        world.run(2 * MINUTE);
        let words = ["only the first messages"];
        still_waits(&mut world, ann, Waits::Acceptance, &words);
    }
}

#[test]
fn a_bundle_that_is_withheld_or_anothers_is_waited_for() {
    for seed in seeds(1) {
        let cases = [
            (Malice::WithholdsBundles, "left no keys"),
            (Malice::GivesAnothersBundle, "not valid"),
        ];
        for (malice, said) in cases {
            let (mut world, [ann, _, relay]) = at_a_relay(seed);
            world.relay(relay).malice = malice;
            waits(&mut world, ann, Waits::Keys, &["relay:4000", said]);
        }
    }
}

#[test]
fn a_lost_session_is_waited_for_until_the_new_one() {
    for seed in seeds(1) {
        /// Place of the root key in a stored session.
        const ROOT: usize = 114 - 32;
        /// Place in a stored session of the flag that there is a sending chain, and of its key.
        const SENDING: usize = 146;
        const CHAIN_KEY: usize = SENDING + 1 + 32 + 64 + 4;
        let (mut world, [ann, ben, relay]) = by_a_relay(seed);
        let lost = world.node(ben).store.transaction(|tx| {
            for contact in tx.contacts()? {
                for (session, mut state) in tx.sessions(contact.row)? {
                    assert_eq!(state[SENDING], 1, "Ben has written");
                    state[CHAIN_KEY] ^= 1;
                    state[ROOT] ^= 1;
                    tx.save_session(contact.row, &session, &state)?;
                }
            }
            Ok::<_, StoreError>(())
        });
        lost.unwrap();
        world.restart(ben);
        world.relay(relay).malice = Malice::WithholdsBundles;
        for _ in 0..5 {
            world.send(ben, "ann", "can you read this?");
            world.run(MINUTE);
        }
        world.set_reachable(ben, false);
        waits(&mut world, ann, Waits::NewSession, &["is lost", "new keys"]);
        let lost = |world: &mut World| {
            let found = doctor(world, ann);
            let sessions = check(&found, "sessions");
            (sessions.outcome, sessions.measured)
        };
        assert_eq!(lost(&mut world), (Outcome::Warn, Some(1)));
        world.relay(relay).malice = Malice::None;
        world.set_reachable(ben, true);
        world.run(DAY);
        assert_eq!(why(&mut world, ann).waits, None);
        assert_eq!(lost(&mut world), (Outcome::Ok, Some(0)));
    }
}

#[test]
fn direct_connections_that_are_off_are_the_reason_where_there_is_no_relay() {
    for seed in seeds(1) {
        for (direct, word) in [
            (Direct::Never, "config direct"),
            (Direct::Trusted, "verify ben"),
        ] {
            let mut world = World::new(seed);
            let ann = world.join_with("ann", |config| config.direct = direct);
            let ben = world.join("ben");
            world.add(ann, ben);
            waits(&mut world, ann, Waits::DirectOff, &["no relay", word]);
        }
    }
}

#[test]
fn a_contact_that_is_off_or_wishes_for_relays_is_named_as_such() {
    for seed in seeds(1) {
        let off = |world: &mut World, ann| {
            let (contact, direct) = ("ben".to_owned(), Choice::Off);
            world.command(ann, Command::SetDirect { contact, direct });
        };
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.add(ann, ben);
        off(&mut world, ann);
        let words = ["no relay", "sremp direct ben default"];
        waits(&mut world, ann, Waits::DirectOff, &words);
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let [ann, ben] = ["ann", "ben"].map(|name| world.join_at(name, &[relay]));
        world.run(MINUTE);
        world.add(ann, ben);
        world.set_reachable(relay, false);
        world.configure(ann, |config| config.prefers_async = true);
        let words = ["relay:4000", "directly: you wish", "prefers_async"];
        waits(&mut world, ann, Waits::RelayDown, &words);
        off(&mut world, ann);
        let words = ["relay:4000", "directly", "sremp direct ben default"];
        still_waits(&mut world, ann, Waits::RelayDown, &words);
    }
}

#[test]
fn a_clock_that_is_wrong_is_the_reason_if_keys_seem_over() {
    for seed in seeds(1) {
        let (mut world, [ann, _, _]) = at_a_relay(seed);
        world.turn_calendar_of(ann, 400 * DAY as i64);
        world.restart(ann);
        let words = ["your clock is 400 days fast", "relay:4000"];
        waits(&mut world, ann, Waits::Clock, &words);
    }
}

#[test]
fn who_is_nowhere_and_who_was_turned_away_are_told_as_such() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let ann = world.join("ann");
        let ben = world.join_far("ben", &[]);
        world.add(ann, ben);
        waits(&mut world, ann, Waits::Address, &["no address of ben"]);
        world.command(ann, trust("ben", Trust::Rejected));
        still_waits(&mut world, ann, Waits::Rejected, &["sremp trust ben"]);
    }
}

/// Each step of a way, by its name in JSON, and when it was.
fn told(view: &WhyView) -> Vec<(&'static str, Rfc3339)> {
    let step = |step: &WhyStep| match step {
        WhyStep::Written { at } => ("written", *at),
        WhyStep::Tried { at, .. } => ("tried", *at),
        WhyStep::AtRelay { at, .. } => ("at-relay", *at),
        WhyStep::OnDevice { at, .. } => ("on-device", *at),
        WhyStep::GivenUp { at } => ("given-up", *at),
        other => panic!("{other:?}"),
    };
    let told: Vec<_> = view.timeline.iter().map(step).collect();
    let mut sorted = told.clone();
    sorted.sort_by_key(|(_, at)| at.0);
    assert_eq!(told, sorted, "in the order of time");
    told
}

fn names(view: &WhyView) -> Vec<&'static str> {
    told(view).into_iter().map(|(name, _)| name).collect()
}

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
fn what_lies_at_a_relay_has_no_next_try() {
    for seed in seeds(2) {
        let (mut world, [ann, ben, _]) = by_a_relay(seed);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "later");
        world.run(MINUTE);
        let view = why(&mut world, ann);
        assert_eq!(view.status, Some(Status::AtRelay), "seed {seed}");
        assert_eq!(view.next_try, None, "seed {seed}");
    }
}

/// Ann's last message to Ben, as her store knows it.
fn kept<T>(
    world: &mut World,
    ann: usize,
    of: impl FnOnce(&mut Tx<'_>, ContactRow, MsgId) -> Result<T, StoreError>,
) -> T {
    let msg_id = why(world, ann).msg_id.parse().unwrap();
    let kept = world.node(ann).store.transaction(|tx| {
        let ben = tx.contacts()?.remove(0).row;
        of(tx, ben, msg_id)
    });
    kept.unwrap()
}

#[test]
fn a_kept_receipt_that_does_not_hold_is_told_as_such_and_not_as_a_proof() {
    for seed in seeds(1) {
        let (mut world, [ann, ben, _]) = by_a_relay(seed);
        let other = world.open_relay("other");
        let other = world.relay(other).link();
        world.set_reachable(ben, false);
        world.send(ann, "ben", "later");
        world.run(MINUTE);
        let altered = kept(&mut world, ann, |tx, contact, msg_id| {
            let [genuine] = &tx.receipts(contact, &msg_id)?[..] else {
                panic!("seed {seed}: not one receipt");
            };
            let relay = tx.relay(&genuine.relay)?.unwrap().row;
            let new = || NewReceipt {
                item: 0,
                contact,
                msg_id,
                relay,
                message_id: genuine.message_id,
                envelope: genuine.envelope,
                received: genuine.received,
                stored: genuine.stored,
                expires: genuine.expires,
                signature: genuine.signature.clone(),
            };
            let mut altered: [NewReceipt; 7] = std::array::from_fn(|_| new());
            altered[0].relay = tx.remember_relay(&other.relay(), other.endpoint())?.row;
            altered[1].message_id ^= 1;
            altered[2].envelope = EnvelopeId::of(b"another");
            altered[3].stored = genuine.stored.plus(Duration::from_millis(1));
            altered[4].expires = genuine.expires.plus(Duration::from_millis(1));
            *altered[5].signature.last_mut().unwrap() ^= 1;
            altered[6].signature.pop();
            for receipt in &altered {
                tx.add_receipt(receipt)?;
            }
            Ok(altered.len())
        });
        let view = why(&mut world, ann);
        let valid = view.timeline.iter().filter_map(|step| match step {
            WhyStep::AtRelay { receipt_valid, .. } => Some(*receipt_valid),
            _ => None,
        });
        let valid: Vec<bool> = valid.collect();
        let expected: Vec<bool> = (0..=altered).map(|n| n == 0).collect();
        assert_eq!(valid, expected, "seed {seed}: the genuine one alone holds");
    }
}

#[test]
fn a_kept_confirmation_that_does_not_hold_is_told_as_such_and_not_as_a_proof() {
    for seed in seeds(1) {
        let (mut world, [ann, _, _]) = by_a_relay(seed);
        let now = world.now().wall;
        let confirmations = kept(&mut world, ann, |tx, contact, msg_id| {
            let genuine = tx.confirmation(contact, &msg_id)?.unwrap();
            let relay = tx.relay(&genuine.relay)?.unwrap().row;
            let new = || NewConfirmation {
                contact,
                msg_id,
                relay,
                message_id: genuine.message_id,
                envelope: genuine.envelope,
                at: genuine.at,
                received: genuine.received,
                signature: genuine.signature,
            };
            let mut all: [NewConfirmation; 5] = std::array::from_fn(|_| new());
            all[1].message_id ^= 1;
            all[2].envelope = EnvelopeId::of(b"another");
            all[3].at = genuine.at.plus(Duration::from_millis(1));
            let mut signature = *genuine.signature.as_bytes();
            signature[5] ^= 1;
            all[4].signature = Signature::new(signature);
            Ok(all)
        });
        for (n, confirmation) in confirmations.into_iter().enumerate() {
            kept(&mut world, ann, |tx, contact, msg_id| {
                tx.prune_evidence(now.plus(Duration::from_millis(70 * DAY)))?;
                assert_eq!(tx.confirmation(contact, &msg_id)?, None, "seed {seed}");
                tx.add_confirmation(&confirmation)
            });
            let view = why(&mut world, ann);
            let Some(WhyStep::OnDevice {
                confirmation_valid,
                confirmed_at,
                relay,
                ..
            }) = view.timeline.last()
            else {
                panic!("seed {seed}: {view:?}");
            };
            assert_eq!(*confirmation_valid, Some(n == 0), "seed {seed}: {n}");
            assert!(confirmed_at.is_some() && relay.is_some(), "seed {seed}");
        }
    }
}

/// A line of a conversation with an id that the test chooses.
fn insert(ann: &mut Alone, contact: usize, kind: MessageKind, id: &str) {
    let msg_id = id.parse().unwrap();
    let sent = ann.now().wall;
    let inserted = ann.node.store.transaction(|tx| {
        let contact = tx.contacts()?[contact].row;
        tx.insert_message(&NewMessage {
            contact,
            msg_id: Some(msg_id),
            kind,
            seq: 1,
            text: "hello",
            sent,
            received: (kind == MessageKind::Received).then_some(sent),
            status: (kind == MessageKind::Sent).then_some(Status::Queued),
            path: None,
        })?;
        Ok::<_, StoreError>(())
    });
    inserted.unwrap();
}

#[test]
fn an_id_that_names_no_message_or_several_is_refused_with_what_to_do() {
    let mut ann = Alone::new("ann");
    for name in ["ben", "cat"] {
        Scripted::known_to(&mut ann, name);
    }
    let id = |digits: &str| format!("{digits:0<32}");
    insert(&mut ann, 0, MessageKind::Sent, &id("abcdef01"));
    insert(&mut ann, 1, MessageKind::Received, &id("abcdef02"));
    let mut ask = |msg_id: &str| {
        let msg_id = msg_id.to_owned();
        match ann.command(Command::Why { msg_id }) {
            Ok(Reply::Why(view)) => Ok((view.alias, view.msg_id)),
            Err(error) => Err((error.kind, error.message)),
            other => panic!("{other:?}"),
        }
    };
    let (ben, cat) = ("ben".to_owned(), "cat".to_owned());
    assert_eq!(ask("abcdef01"), Ok((ben, id("abcdef01"))));
    assert_eq!(ask("ABCDEF02"), Ok((cat, id("abcdef02"))));
    for (typed, remedy) in [
        ("abcdef", "give more of its digits"),
        ("abcdef0", "give more of its digits"),
        ("abcdef03", "`sremp history --json`"),
        ("abcdee", "`sremp history --json`"),
        ("abcde", "at least 6 of the first"),
        ("abcdex", "at least 6 of the first"),
        (&id("abcdef01f").repeat(2), "at least 6 of the first"),
    ] {
        let (kind, words) = ask(typed).unwrap_err();
        assert_eq!(kind, ErrorKind::Usage, "{typed}");
        assert!(words.contains(remedy), "{typed}: {words}");
    }
}

#[test]
fn contacts_who_give_the_id_of_a_message_to_one_of_theirs_do_not_hide_its_way() {
    let mut ann = Alone::new("ann");
    for name in ["ben", "cat", "dan"] {
        Scripted::known_to(&mut ann, name);
    }
    let [own, theirs] = ["ab", "cd"].map(|digits| digits.repeat(16));
    for contact in [0, 1] {
        insert(&mut ann, contact, MessageKind::Received, &own);
        insert(&mut ann, contact, MessageKind::Received, &theirs);
    }
    insert(&mut ann, 2, MessageKind::Sent, &own);
    let mut ask = |id: &str| {
        let msg_id = id.to_owned();
        ann.command(Command::Why { msg_id })
    };
    match ask(&own) {
        Ok(Reply::Why(view)) => {
            assert_eq!((view.alias, view.kind), ("dan".into(), MessageKind::Sent))
        }
        other => panic!("{other:?}"),
    }
    // of fewer digits it is not known which is meant
    assert!(ask(&own[..31]).is_err());
    let words = ask(&theirs).unwrap_err().message;
    assert!(words.contains("several contacts"), "{words}");
    assert!(!words.contains("more of its digits"), "{words}");
}

/// What is said of when the next try is: by `why`, and of the relays by `status`.
fn next_tries(world: &mut World, ann: usize) -> (Option<Rfc3339>, Vec<Rfc3339>) {
    let Reply::Status(status) = world.command(ann, Command::Status) else {
        panic!("no status");
    };
    let relays = status.relays.into_iter().filter_map(|relay| relay.next_try);
    let relays = relays.collect();
    (why(world, ann).next_try, relays)
}

/// How often something was tried for Ann's last message.
fn tries(world: &mut World, ann: usize) -> u64 {
    let steps = why(world, ann).timeline.into_iter();
    let tried = steps.filter_map(|step| match step {
        WhyStep::Tried { count, .. } => Some(count),
        _ => None,
    });
    tried.sum()
}

/// The next try is as `why` says: it fails after the time of a dial, and none before.
#[track_caller]
fn is_tried_when_it_says(world: &mut World, ann: usize) {
    const DIAL: u64 = 200;
    let next = why(world, ann).next_try.expect("a next try").0;
    let before = tries(world, ann);
    let left = next.since(world.now().wall);
    let left = u64::try_from(left.as_millis()).unwrap();
    assert!(left > 1_000, "seed {}: {left} ms", world.seed);
    world.run(left + DIAL - 1);
    assert_eq!(tries(world, ann), before, "seed {}", world.seed);
    world.run(2);
    assert_eq!(tries(world, ann), before + 1, "seed {}", world.seed);
}

#[test]
fn the_next_try_is_when_a_relay_that_does_not_answer_has_rested() {
    for seed in seeds(3) {
        let (mut world, [ann, ben, relay]) = by_a_relay(seed);
        // its own mailbox lies there as well: nothing else is tried
        world.set_reachable(ben, false);
        world.set_reachable(relay, false);
        world.run(60 * MINUTE);
        world.send(ann, "ben", "later");
        world.run(10 * MINUTE);
        let (next, relays) = next_tries(&mut world, ann);
        assert_eq!(next, relays.into_iter().min(), "seed {seed}");
        is_tried_when_it_says(&mut world, ann);
    }
}

#[test]
fn the_next_try_is_the_next_dial_where_there_is_no_relay() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.add(ann, ben);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "later");
        world.run(60 * MINUTE);
        is_tried_when_it_says(&mut world, ann);
    }
}

/// Ann and Ben, who reach each other directly and by a relay, and have written to each other.
fn by_both_ways(seed: u64) -> (World, [usize; 3]) {
    let mut world = World::new(seed);
    let relay = world.open_relay("relay");
    let [ann, ben] = ["ann", "ben"].map(|name| world.join_at(name, &[relay]));
    world.run(MINUTE);
    world.add(ann, ben);
    world.add(ben, ann);
    world.send(ann, "ben", "hello");
    world.run(MINUTE);
    (world, [ann, ben, relay])
}

#[test]
fn of_two_ways_that_are_tried_by_turns_the_next_try_is_the_earlier() {
    for seed in seeds(3) {
        let (mut world, [ann, ben, relay]) = by_both_ways(seed);
        world.set_reachable(ben, false);
        world.set_reachable(relay, false);
        world.send(ann, "ben", "later");
        world.run(60 * MINUTE);
        // in an order that differs
        for _ in 0..4 {
            is_tried_when_it_says(&mut world, ann);
        }
    }
}

#[test]
fn what_a_relay_keeps_has_no_next_try_beside_what_it_does_not_keep() {
    for seed in seeds(1) {
        let (mut world, [ann, ben, relay]) = by_both_ways(seed);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "kept");
        world.run(MINUTE);
        let kept = why(&mut world, ann);
        assert_eq!(kept.status, Some(Status::AtRelay), "seed {seed}");
        world.set_reachable(relay, false);
        world.send(ann, "ben", "not kept");
        world.run(MINUTE);
        assert!(why(&mut world, ann).next_try.is_some(), "seed {seed}");
        let msg_id = kept.msg_id;
        let Reply::Why(kept) = world.command(ann, Command::Why { msg_id }) else {
            panic!("seed {seed}: no way");
        };
        assert_eq!(
            (kept.waits, kept.next_try),
            (Some(Waits::Reader), None),
            "seed {seed}"
        );
    }
}

#[test]
fn the_next_try_is_the_next_question_to_a_server_where_no_way_is_known() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let server = world.open_rendezvous("rdv");
        let place = RendezvousPlace::Link(Box::new(world.rendezvous(server).link()));
        let ann = world.join_with("ann", |config| config.rendezvous = Some(vec![place]));
        let ben = world.join_far("ben", &[]);
        world.run(MINUTE);
        world.add(ann, ben);
        world.send(ann, "ben", "where are you?");
        world.run(10 * MINUTE);
        let view = why(&mut world, ann);
        assert_eq!(view.waits, Some(Waits::Address), "seed {seed}: {view:?}");
        let left = view.next_try.expect("a next try").0.since(world.now().wall);
        let asked = world.rendezvous(server).lookups;
        world.run(u64::try_from(left.as_millis()).unwrap() - 1);
        assert_eq!(world.rendezvous(server).lookups, asked, "seed {seed}");
        world.run(1_000);
        assert_eq!(world.rendezvous(server).lookups, asked + 1, "seed {seed}");
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

#[test]
fn the_next_try_is_when_a_relay_that_refuses_is_asked_again() {
    for seed in seeds(3) {
        let (mut world, [ann, _, relay]) = by_a_relay(seed);
        world.relay(relay).malice = Malice::RefusesAll;
        world.send(ann, "ben", "later");
        world.run(10 * MINUTE);
        let next = why(&mut world, ann).next_try.expect("a next try").0;
        let before = tries(&mut world, ann);
        let left = next.since(world.now().wall).as_millis();
        world.run(u64::try_from(left).unwrap() - 1);
        assert_eq!(tries(&mut world, ann), before, "seed {seed}");
        world.run(1_000);
        assert!(tries(&mut world, ann) > before, "seed {seed}");
    }
}

#[test]
fn where_no_client_runs_there_is_no_next_try_also_of_what_is_written_there() {
    for seed in seeds(1) {
        let (mut world, [ann, _, relay]) = by_a_relay(seed);
        world.set_reachable(relay, false);
        world.send(ann, "ben", "later");
        world.run(MINUTE);
        assert!(why(&mut world, ann).next_try.is_some(), "seed {seed}");
        world.look_into(ann);
        world.send(ann, "ben", "and this");
        for line in world.history(ann, "ben").into_iter().rev().take(2) {
            let msg_id = line.msg_id;
            let Reply::Why(view) = world.command(ann, Command::Why { msg_id }) else {
                panic!("seed {seed}: no way");
            };
            assert_eq!(view.waits, Some(Waits::Client), "seed {seed}");
            assert_eq!(view.next_try, None, "seed {seed}");
        }
    }
}

#[test]
fn a_relay_that_has_promised_twice_and_failed_between_is_one_observer() {
    for seed in seeds(1) {
        let (mut world, [ann, ben, relay]) = by_a_relay(seed);
        let id = world.relay(relay).link().relay().to_string();
        world.set_reachable(ben, false);
        world.send(ann, "ben", "patience");
        world.run(MINUTE);
        world.set_reachable(relay, false);
        world.run(15 * DAY);
        world.set_reachable(relay, true);
        world.run(DAY);
        let view = why(&mut world, ann);
        let named = |step: &&WhyStep| match step {
            WhyStep::AtRelay { relay, .. } => *relay == id,
            WhyStep::Tried { relay, .. } => relay.as_ref() == Some(&id),
            _ => false,
        };
        assert!(
            view.timeline.iter().filter(named).count() >= 3,
            "seed {seed}: {view:?}"
        );
        let seen: Vec<_> = view
            .privacy
            .seen
            .iter()
            .map(|s| (s.who, s.relay.clone()))
            .collect();
        let expected = [
            (Observer::NetworkToRelay, None),
            (Observer::Relay, Some(id)),
        ];
        assert_eq!(seen, expected, "seed {seed}");
        assert!(
            view.privacy.words.contains("; the relay sees"),
            "{:?}",
            view.privacy
        );
    }
}

#[test]
fn a_relay_whose_receipts_do_not_hold_is_told_as_one_that_had_the_message() {
    for seed in seeds(1) {
        let (mut world, [ann, _, relay]) = by_a_relay(seed);
        let id = world.relay(relay).link().relay().to_string();
        world.relay(relay).malice = Malice::ForgesReceipts;
        world.send(ann, "ben", "hello?");
        world.run(60 * MINUTE);
        let view = why(&mut world, ann);
        let path = (view.status, view.path);
        assert_eq!(
            path,
            (Some(Status::OnDevice), Some(Path::Relay)),
            "seed {seed}"
        );
        assert!(!names(&view).contains(&"at-relay"), "seed {seed}: {view:?}");
        let seen: Vec<_> = view
            .privacy
            .seen
            .iter()
            .map(|s| (s.who, s.relay.clone()))
            .collect();
        let expected = [
            (Observer::Contact, None),
            (Observer::NetworkToRelay, None),
            (Observer::Relay, Some(id)),
        ];
        assert_eq!(seen, expected, "seed {seed}");
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

#[test]
fn whom_a_server_has_found_is_known_to_it_by_whatever_way_the_message_went() {
    for seed in seeds(1) {
        for relayed in [false, true] {
            let mut world = World::new(seed);
            let server = world.open_rendezvous("rdv");
            let relay = world.open_relay("relay");
            let link = world.relay(relay).link();
            let servers = world.rendezvous(server).link();
            let servers = vec![RendezvousPlace::Link(Box::new(servers))];
            let [ann, ben] = ["ann", "ben"].map(|name| {
                world.join_with(name, |config| {
                    config.rendezvous = Some(servers.clone());
                    if relayed {
                        config.direct = Direct::Never;
                        config.relays = vec![link.clone()];
                    }
                })
            });
            world.run(MINUTE);
            let add = Command::Add {
                who: world.id(ben).to_string(),
                alias: Some("ben".to_owned()),
                despite_confusable: false,
            };
            world.command(ann, add);
            world.send(ann, "ben", "found you");
            world.run(MINUTE);
            world.add(ben, ann);
            world.run(60 * MINUTE);
            let view = why(&mut world, ann);
            let seen: Vec<_> = view.privacy.seen.iter().map(|seen| seen.who).collect();
            let expected: &[Observer] = match relayed {
                true => &[
                    Observer::Contact,
                    Observer::NetworkToRelay,
                    Observer::Relay,
                    Observer::Rendezvous,
                ],
                false => &[
                    Observer::Contact,
                    Observer::NetworkBetween,
                    Observer::Rendezvous,
                ],
            };
            assert_eq!(seen, expected, "seed {seed}: {view:?}");
        }
    }
}
