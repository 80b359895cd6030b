//! Contacts that say they were restored, and relays that give out again what was: nobody gets more than
//! was theirs, and nothing grows without end.

use std::time::Duration;

use sremp_client::{
    store::{NewMessage, StoreError},
    view::{Action, MessageKind, Status},
};
use sremp_core::{
    id::MsgId,
    session::content::{Body, Content, ContentHash, ResetReason},
    time::UnixMillis,
};
use sremp_sim::{
    Alone, Malice, Scripted, World,
    commands::{act, add, send},
};

use super::{backup, restore};
use crate::{
    DAY, HOUR, MINUTE,
    people::{apart, ben_and_scripted_ann},
    seeds,
};

const MIB: usize = 1024 * 1024;

const fn restored(last_seq: u64) -> Body {
    Body::Reset {
        reason: ResetReason::RESTORED,
        last_seq,
    }
}

/// Ann connects anew, begins a session and says that she was restored. Whether it was confirmed.
fn claims(ben: &mut Alone, ann: &mut Scripted, last_seq: u64) -> bool {
    let link = ben.connect(ann.identity.identity());
    let session = ann.start_session(ben, link);
    let reset = ann.content(ben, restored(last_seq));
    ann.send(ben, link, &session, &reset).0
}

/// Texts of Ben that Ann has confirmed long ago, numbered from 1.
fn have_confirmed(ben: &mut Alone, ann: &Scripted, texts: impl IntoIterator<Item = String>) {
    let sent = ben.now().wall;
    let done = ben.node.store.transaction(|tx| {
        let contact = tx.contact_row(&ann.identity.id())?.unwrap();
        for (seq, text) in (1..).zip(texts) {
            let mut msg_id = [0xb; MsgId::LEN];
            msg_id[..8].copy_from_slice(&u64::to_le_bytes(seq));
            tx.insert_message(&NewMessage {
                contact,
                msg_id: Some(MsgId::new(msg_id)),
                kind: MessageKind::Sent,
                seq,
                text: &text,
                sent,
                received: None,
                status: Some(Status::OnDevice),
                path: None,
            })?;
        }
        Ok::<_, StoreError>(())
    });
    done.unwrap();
}

/// What waits for Ann.
fn waiting(ben: &mut Alone, ann: &Scripted) -> Vec<Content> {
    let items = ben.node.store.transaction(|tx| {
        let contact = tx.contact_row(&ann.identity.id())?.unwrap();
        tx.outbox(contact, 0, 100_000)
    });
    let items = items.unwrap().into_iter();
    items
        .map(|item| Content::decode_exact(&item.content).unwrap())
        .collect()
}

fn texts_of(contents: &[Content]) -> Vec<&str> {
    contents
        .iter()
        .filter_map(|content| match &content.body {
            Body::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

fn lines(ben: &mut Alone) -> Vec<(MessageKind, String)> {
    let lines = ben.history("ann").into_iter();
    lines.map(|line| (line.kind, line.text)).collect()
}

#[test]
fn who_asks_again_and_again_and_takes_nothing_gets_nothing_more() {
    let (mut ben, mut ann, _) = ben_and_scripted_ann(1);
    have_confirmed(&mut ben, &ann, (1..=20).map(|n| n.to_string()));
    let timer = act(Action::Timer {
        contact: "ann".to_owned(),
        seconds: 20 * 86_400,
    });
    ben.command(timer).unwrap();
    for n in [5, 6] {
        let mut msg_id = [0xb; MsgId::LEN];
        msg_id[..8].copy_from_slice(&u64::to_le_bytes(n));
        let delete = act(Action::Delete {
            msg_id: MsgId::new(msg_id).to_string(),
        });
        ben.command(delete).unwrap();
    }
    assert!(claims(&mut ben, &mut ann, 0));
    let first = waiting(&mut ben, &ann).len();
    assert!(first >= 18);
    for _ in 0..5 {
        ben.pass(Duration::from_millis(HOUR + MINUTE));
        assert!(claims(&mut ben, &mut ann, 0));
        let contents = waiting(&mut ben, &ann);
        assert_eq!(texts_of(&contents).len(), 18);
        assert_eq!(contents.len(), first);
    }
}

#[test]
fn what_was_lost_goes_out_once_an_hour_however_often_it_is_asked_for() {
    let (mut ben, mut ann, _) = ben_and_scripted_ann(1);
    have_confirmed(&mut ben, &ann, (1..=3).map(|n| n.to_string()));
    for _ in 0..10 {
        assert!(claims(&mut ben, &mut ann, 0));
        ben.pass(Duration::from_millis(MINUTE));
    }
    assert_eq!(ben.status().refused["restored-too-often"], 9);
}

#[test]
fn any_number_may_be_named_as_the_last_and_only_what_is_beyond_goes_out() {
    for (last, expected) in [(0, 3), (2, 1), (3, 0), (i64::MAX as u64, 0), (u64::MAX, 0)] {
        let (mut ben, mut ann, _) = ben_and_scripted_ann(1);
        have_confirmed(&mut ben, &ann, (1..=3).map(|n| n.to_string()));
        assert!(claims(&mut ben, &mut ann, last));
        let contents = waiting(&mut ben, &ann);
        assert_eq!(texts_of(&contents).len(), expected, "last {last}");
        let seqs: Vec<u64> = contents.iter().map(|content| content.seq).collect();
        assert!(
            seqs.is_sorted() && seqs.iter().all(|seq| *seq < 100),
            "{seqs:?}"
        );
    }
}

#[test]
fn of_a_huge_history_the_newest_goes_out_and_the_line_says_so() {
    let (mut ben, mut ann, _) = ben_and_scripted_ann(1);
    let long = ".".repeat(50_000);
    have_confirmed(&mut ben, &ann, (1..=400).map(|n| format!("{n} {long}")));
    assert!(claims(&mut ben, &mut ann, 0));
    let contents = waiting(&mut ben, &ann);
    let texts = texts_of(&contents);
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    assert!(bytes <= 16 * MIB && bytes > 15 * MIB, "{bytes}");
    assert!(texts.last().unwrap().starts_with("400 "));
    let (_, line) = lines(&mut ben)
        .into_iter()
        .rfind(|(kind, _)| *kind == MessageKind::Notice)
        .unwrap();
    let expected = format!("the newest {} messages", texts.len());
    assert!(line.contains(&expected), "{line}");
}

#[test]
fn a_restored_contact_that_has_a_small_history_is_told_no_more_than_that() {
    let (mut ben, mut ann, _) = ben_and_scripted_ann(1);
    have_confirmed(&mut ben, &ann, (1..=3).map(|n| n.to_string()));
    assert!(claims(&mut ben, &mut ann, 1));
    assert!(
        lines(&mut ben).contains(&(
            MessageKind::Notice,
            "[session renewed, 2 messages sent again]".to_owned()
        )),
        "{:?}",
        lines(&mut ben)
    );
}

#[test]
fn what_a_client_says_by_itself_is_not_counted_among_the_messages_sent_again() {
    let (mut ben, mut ann, _) = ben_and_scripted_ann(1);
    have_confirmed(&mut ben, &ann, (1..=2).map(|n| n.to_string()));
    let timer = act(Action::Timer {
        contact: "ann".to_owned(),
        seconds: 86_400,
    });
    ben.command(timer).unwrap();
    ben.command(send("ann", "hello")).unwrap();
    assert!(claims(&mut ben, &mut ann, 1));
    let contents = waiting(&mut ben, &ann);
    assert_eq!(texts_of(&contents), ["2", "hello"]);
    assert!(contents.len() > 2, "the timer waits too");
    let line = "[session renewed, 2 messages sent again]".to_owned();
    let lines = lines(&mut ben);
    assert!(lines.contains(&(MessageKind::Notice, line)), "{lines:?}");
}

#[test]
fn a_stranger_cannot_say_that_it_was_restored() {
    let mut ben = Alone::new("ben");
    let mut ann = Scripted::unknown_to(&mut ben, "ann");
    let (link, _) = ben.call(ann.identity.identity());
    ben.open(link, ann.identity.identity());
    let session = ann.start_session(&mut ben, link);
    let reset = ann.content(&mut ben, restored(0));
    assert!(!ann.send(&mut ben, link, &session, &reset).0);
    assert!(ben.requests().is_empty());
    // nor after a request that nobody has answered
    let request = ann.request_to(&mut ben, "hello");
    ann.send(&mut ben, link, &session, &request);
    let reset = ann.content(&mut ben, restored(0));
    assert!(!ann.send(&mut ben, link, &session, &reset).0);
    assert_eq!(ben.status().refused.get("reset-too-often"), None);
}

#[test]
fn the_first_word_of_a_contact_may_be_that_it_was_restored() {
    let (mut ben, mut ann, _) = ben_and_scripted_ann(1);
    ben.command(send("ann", "are you there?")).unwrap();
    assert!(claims(&mut ben, &mut ann, 0));
    let requests = waiting(&mut ben, &ann);
    let requests = requests
        .iter()
        .filter(|content| matches!(content.body, Body::ContactRequest(_)));
    assert_eq!(requests.count(), 1, "what waited waits once");
}

#[test]
fn a_count_that_goes_back_shows_nothing_twice_and_moves_no_count_of_ours() {
    let (mut ben, mut ann, link) = ben_and_scripted_ann(1);
    let first = ann.start_session(&mut ben, link);
    let text = ann.content(&mut ben, Body::Text("once".to_owned()));
    let later = ann.content(&mut ben, Body::Text("later".to_owned()));
    for content in [&text, &later] {
        assert!(ann.send(&mut ben, link, &first, content).0);
    }
    let next = next_seq(&mut ben, &ann);
    ben.pass(Duration::from_millis(2 * MINUTE));
    let link = ben.connect(ann.identity.identity());
    let second = ann.start_session(&mut ben, link);
    let back = Content {
        msg_id: MsgId::new([9; MsgId::LEN]),
        seq: 1,
        prev: ContentHash::NONE,
        sent: ben.now().wall,
        body: restored(u64::MAX),
    };
    let back = back.encode().unwrap();
    for content in [&back, &text, &later, &back] {
        assert!(ann.send(&mut ben, link, &second, content).0);
    }
    let received: Vec<String> = lines(&mut ben)
        .into_iter()
        .filter(|(kind, _)| *kind == MessageKind::Received)
        .map(|(_, text)| text)
        .collect();
    assert_eq!(received, ["once", "later"]);
    assert_eq!(next_seq(&mut ben, &ann), next);
}

/// The lines that say that something is missing.
fn gaps(ben: &mut Alone) -> usize {
    let lines = lines(ben).into_iter();
    let gaps = lines.filter(|(_, text)| text.contains("missing here"));
    gaps.count()
}

#[test]
fn what_is_missing_is_told_but_before_the_first_word_that_comes_to_a_restored_home() {
    let (mut ben, mut ann, link) = ben_and_scripted_ann(1);
    let session = ann.start_session(&mut ben, link);
    let body = |n| match n {
        7 => Body::Reset {
            reason: ResetReason::DESYNC,
            last_seq: 0,
        },
        n => Body::Text(n.to_string()),
    };
    let said: Vec<_> = (0..10).map(|n| ann.content(&mut ben, body(n))).collect();
    // one that comes late is missing no more
    for (n, missing) in [(0, 0), (2, 1), (1, 0)] {
        assert!(ann.send(&mut ben, link, &session, &said[n]).0);
        assert_eq!(gaps(&mut ben), missing, "{n}");
    }
    let marked = ben.node.store.transaction(|tx| tx.mark_restored());
    marked.unwrap();
    ben.restart();
    let link = ben.connect(ann.identity.identity());
    let session = ann.start_session(&mut ben, link);
    // a contact that has begun by itself says what the lost home has not confirmed, and then that it has
    for (n, missing) in [(0, 0), (4, 0), (6, 0), (7, 0), (9, 1)] {
        assert!(ann.send(&mut ben, link, &session, &said[n]).0);
        assert_eq!(gaps(&mut ben), missing, "{n}");
    }
    let renewed = lines(&mut ben).into_iter();
    let renewed = renewed.filter(|(_, text)| text.starts_with("[session renewed"));
    assert_eq!(renewed.count(), 0, "the restoration has its line");
}

fn next_seq(ben: &mut Alone, ann: &Scripted) -> u64 {
    let found = ben.node.store.transaction(|tx| {
        let row = tx.contact_row(&ann.identity.id())?.unwrap();
        Ok::<_, StoreError>(tx.contact(row)?.unwrap().next_seq)
    });
    found.unwrap()
}

#[test]
fn a_relay_that_gives_out_again_what_was_shows_a_restored_home_nothing_twice() {
    for malice in [Malice::Drops, Malice::Replays, Malice::Reorders] {
        for seed in seeds(6) {
            let mut world = World::new(seed);
            let (bad, good) = (world.open_relay("bad"), world.open_relay("good"));
            let (ann, ben) = apart(&mut world, [&[bad, good]; 2]);
            world.send(ann, "ben", "before");
            world.send(ben, "ann", "ben before");
            world.run(MINUTE);
            let old = backup(&mut world, ben);
            world.relay(bad).malice = malice;
            for n in 0..3 {
                world.send(ann, "ben", &format!("since {n}"));
                world.run(HOUR);
            }
            restore(&mut world, ben, old);
            world.run(2 * HOUR);
            world.send(ann, "ben", "after");
            world.send(ben, "ann", "ben after");
            world.run(2 * DAY);
            let said = ["before", "since 0", "since 1", "since 2", "after"];
            let told = format!("{malice:?}, seed {seed}");
            assert_eq!(world.received(ben, "ann"), said, "{told}");
            let said = ["ben before", "ben after"];
            assert_eq!(world.received(ann, "ben"), said, "{told}");
            assert_eq!(world.notices(ann, "ben").len(), 1, "{told}");
        }
    }
}

#[test]
fn a_bundle_of_before_a_restoration_keeps_no_stranger_away_where_another_relay_is() {
    for seed in seeds(5) {
        let mut world = World::new(seed);
        let (bad, good) = (world.open_relay("bad"), world.open_relay("good"));
        let [ben, cat] = ["ben", "cat"].map(|name| world.join_far(name, &[bad, good]));
        world.run(MINUTE);
        let old = backup(&mut world, ben);
        world.run(MINUTE);
        restore(&mut world, ben, old);
        world.run(MINUTE);
        world.relay(bad).malice = Malice::GivesOldBundle;
        world.add(cat, ben);
        world.send(cat, "ben", "let me in");
        world.run(30_000);
        assert!(world.requests(ben).is_empty(), "seed {seed}");
        assert!(world.refused(ben, "envelope-unreadable") > 0, "seed {seed}");
        world.run(4 * MINUTE);
        let asking = world.requests(ben);
        assert_eq!(asking.len(), 1, "seed {seed}");
        world.command(ben, add(&asking[0].id, Some("cat")));
        world.run(4 * MINUTE);
        assert_eq!(world.received(ben, "cat"), ["let me in"], "seed {seed}");
        assert!(world.all_arrived(cat, "ben"), "seed {seed}");
    }
}

#[test]
fn who_writes_to_keys_of_before_a_restoration_is_told_the_new_ones_by_whoever_has_the_card() {
    for seed in seeds(3) {
        for relay_lies in [true, false] {
            let what = format!("seed {seed}, the relay lies: {relay_lies}");
            let mut world = World::new(seed);
            let relay = world.open_relay("relay");
            let [ben, cat] = ["ben", "cat"].map(|name| world.join_far(name, &[relay]));
            world.run(MINUTE);
            world.introduce(ben, cat);
            // it knows nothing of a conversation
            let old = backup(&mut world, ben);
            let text = if relay_lies {
                restore(&mut world, ben, old);
                world.run(MINUTE);
                world.relay(relay).malice = Malice::GivesOldBundle;
                "first"
            } else {
                world.send(cat, "ben", "lost with the device");
                world.run(MINUTE);
                restore(&mut world, ben, old);
                world.run(10 * MINUTE);
                "second"
            };
            world.send(cat, "ben", text);
            world.run(MINUTE);
            assert!(world.refused(ben, "envelope-unreadable") > 0, "{what}");
            assert_eq!(world.received(ben, "cat"), [text], "{what}");
            assert!(world.all_arrived(cat, "ben"), "{what}");
        }
    }
}

#[test]
fn a_stranger_who_began_directly_is_read_by_a_home_that_was_restored_since() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        let relays = [world.open_relay("one"), world.open_relay("two")];
        let ben = world.join_at("ben", &relays);
        let cat = world.join_at("cat", &relays);
        world.run(MINUTE);
        let old = backup(&mut world, ben);
        for relay in relays {
            world.set_reachable(relay, false);
        }
        world.add(cat, ben);
        world.send(cat, "ben", "let me in");
        world.run(MINUTE);
        assert_eq!(world.requests(ben).len(), 1, "seed {seed}");
        let asked = relays.map(|relay| world.relay(relay).asked_for_bundles);
        assert_eq!(asked, [0, 0], "seed {seed}: it began over a connection");
        // Ben's device is lost; the new one cannot be dialled
        world.set_reachable(ben, false);
        world.configure(ben, |config| config.advertise = None);
        restore(&mut world, ben, old);
        for relay in relays {
            world.set_reachable(relay, true);
        }
        world.set_private(ben);
        world.set_reachable(ben, true);
        world.run(16 * MINUTE);
        assert_eq!(world.requests(ben).len(), 1, "seed {seed}");
    }
}

#[test]
fn a_second_relay_whose_bundle_is_of_no_use_is_asked_for_it_once_an_hour() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        let (good, bad) = (world.open_relay("good"), world.open_relay("bad"));
        let [ben, cat] = ["ben", "cat"].map(|name| world.join_far(name, &[good, bad]));
        world.run(MINUTE);
        let old = backup(&mut world, ben);
        restore(&mut world, ben, old);
        world.run(MINUTE);
        world.relay(bad).malice = Malice::GivesOldBundle;
        world.set_reachable(ben, false);
        world.add(cat, ben);
        world.send(cat, "ben", "let me in");
        world.run(5 * HOUR);
        let asked = world.relay(bad).asked_for_bundles;
        assert!((2..=6).contains(&asked), "seed {seed}: {asked}");
        assert_eq!(world.relay(good).asked_for_bundles, 1, "seed {seed}");
        assert_eq!(world.relay(bad).stored, 1, "seed {seed}");
        world.set_reachable(ben, true);
        world.run(20 * MINUTE);
        assert_eq!(world.requests(ben).len(), 1, "seed {seed}");
    }
}

#[test]
fn whoever_gives_a_bundle_of_before_a_restoration_and_takes_nothing_keeps_no_stranger_away() {
    for seed in seeds(5) {
        let mut world = World::new(seed);
        let (bad, good) = (world.open_relay("bad"), world.open_relay("good"));
        let [ben, cat] = ["ben", "cat"].map(|name| world.join_far(name, &[bad, good]));
        world.run(MINUTE);
        let old = backup(&mut world, ben);
        restore(&mut world, ben, old);
        world.run(MINUTE);
        world.relay(bad).malice = Malice::GivesOldBundle;
        world.add(cat, ben);
        world.send(cat, "ben", "let me in");
        while world.relay(bad).asked_for_bundles == 0 {
            world.run(1);
        }
        world.relay(bad).malice = Malice::RefusesAll;
        world.run(30_000);
        assert_eq!(world.requests(ben).len(), 1, "seed {seed}");
    }
}

#[test]
fn a_relay_that_keeps_nothing_for_long_holds_up_no_honest_one_after_a_restoration() {
    for seed in seeds(5) {
        let mut world = World::new(seed);
        let (bad, good) = (world.open_relay("bad"), world.open_relay("good"));
        let (ann, ben) = apart(&mut world, [&[bad, good]; 2]);
        for (from, to) in [(ann, "ben"), (ben, "ann")] {
            world.send(from, to, "hello");
            world.run(MINUTE);
        }
        let old = backup(&mut world, ben);
        world.set_reachable(ben, false);
        world.send(ann, "ben", "one");
        world.run(2 * MINUTE);
        let kept = [bad, good].map(|relay| world.relay(relay).stored);
        world.relay(bad).malice = Malice::PromisesSeconds;
        restore(&mut world, ben, old);
        world.set_reachable(ben, true);
        while world.notices(ann, "ben").is_empty() {
            world.run(100);
        }
        world.set_reachable(ben, false);
        world.run(3 * MINUTE);
        let now = [bad, good].map(|relay| world.relay(relay).stored);
        assert!(now[0] > kept[0] && now[1] > kept[1], "seed {seed}: {now:?}");
        world.set_reachable(ben, true);
        world.run(HOUR);
        assert_eq!(world.received(ben, "ann"), ["hello", "one"], "seed {seed}");
    }
}

#[test]
fn an_old_confirmation_that_comes_again_ends_nothing_that_a_restored_contact_lacks() {
    for seed in seeds(5) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let (ann, ben) = apart(&mut world, [&[relay]; 2]);
        for (from, to) in [(ann, "ben"), (ben, "ann")] {
            world.send(from, to, "hello");
            world.run(MINUTE);
        }
        let old = backup(&mut world, ben);
        world.send(ann, "ben", "after the backup");
        world.run(MINUTE);
        assert!(world.all_arrived(ann, "ben"), "seed {seed}");
        world.set_reachable(ann, false);
        restore(&mut world, ben, old);
        world.send(ben, "ann", "I was restored");
        world.run(MINUTE);
        // it takes nothing any more, and brings what Ben's lost home has confirmed
        world.relay(relay).malice = Malice::RefusesAll;
        world.set_reachable(ann, true);
        world.run(MINUTE);
        assert_eq!(world.received(ann, "ben").len(), 2, "seed {seed}");
        world.relay(relay).confirm_again();
        world.restart(ann);
        world.run(MINUTE);
        world.relay(relay).malice = Malice::None;
        world.run(DAY);
        let received = world.received(ben, "ann");
        assert_eq!(received, ["hello", "after the backup"], "seed {seed}");
    }
}

/// Under which timer a reader who holds none comes to have each text of what waits, and which holds then.
fn read_in_order(contents: &[Content]) -> (Vec<(&str, u32)>, u32) {
    let mut holds = (UnixMillis::ZERO, 0);
    let mut texts = Vec::new();
    for content in contents {
        match &content.body {
            Body::Timer { seconds } => holds = holds.max((content.sent, *seconds)),
            Body::Text(text) => texts.push((text.as_str(), holds.1)),
            Body::ContactRequest(request) if !request.text.is_empty() => {
                texts.push((request.text.as_str(), holds.1));
            }
            _ => {}
        }
    }
    (texts, holds.1)
}

fn set_timer(ben: &mut Alone, seconds: u32) {
    let timer = act(Action::Timer {
        contact: "ann".to_owned(),
        seconds,
    });
    ben.command(timer).unwrap();
    ben.pass(Duration::from_secs(1));
}

#[test]
fn the_timer_that_holds_is_told_though_an_older_one_waits() {
    for seed in seeds(1) {
        let (mut ben, mut ann, link) = ben_and_scripted_ann(seed);
        have_confirmed(&mut ben, &ann, ["long ago".to_owned()]);
        set_timer(&mut ben, 3_600);
        // hers is later
        let session = ann.start_session(&mut ben, link);
        let hers = ann.content(&mut ben, Body::Timer { seconds: 86_400 });
        assert!(ann.send(&mut ben, link, &session, &hers).0);
        ben.cut(link);
        assert!(claims(&mut ben, &mut ann, 0));
        let contents = waiting(&mut ben, &ann);
        assert_eq!(read_in_order(&contents), (vec![("long ago", 0)], 86_400));
    }
}

#[test]
fn what_is_erased_here_and_waits_comes_under_the_timer_that_it_was_written_under() {
    for seed in seeds(1) {
        let (mut ben, mut ann, link) = ben_and_scripted_ann(seed);
        let session = ann.start_session(&mut ben, link);
        let hers = ann.content(&mut ben, Body::Timer { seconds: 60 });
        assert!(ann.send(&mut ben, link, &session, &hers).0);
        ben.cut(link);
        // the first goes with the request
        for text in ["first", "soon over"] {
            ben.command(send("ann", text)).unwrap();
        }
        ben.pass(Duration::from_secs(120));
        assert!(lines(&mut ben).iter().all(|(_, text)| text != "soon over"));
        set_timer(&mut ben, 0);
        ben.command(send("ann", "for ever")).unwrap();
        assert!(claims(&mut ben, &mut ann, 0));
        let contents = waiting(&mut ben, &ann);
        let expected = vec![("first", 60), ("soon over", 60), ("for ever", 0)];
        assert_eq!(read_in_order(&contents), (expected, 0));
    }
}
