//! The history: what was written and received, in whose order, and how it is found again.

use crate::support::*;
use proptest::prelude::*;
use sremp_client::{
    store::{NewMessage, Store},
    view::{MessageKind, Path, Status},
};

#[test]
fn a_conversation_is_read_from_its_end_page_by_page() {
    let mut store = Store::in_memory().unwrap();
    let (ann, bob) = (befriend(&mut store, 1), befriend(&mut store, 2));
    commit(&mut store, |tx| {
        for seq in 1..=10 {
            tx.insert_message(&received(ann, seq, &format!("ann {seq}")))?;
            tx.insert_message(&received(bob, seq, &format!("bob {seq}")))?;
        }
        Ok(())
    });

    let last = commit(&mut store, |tx| tx.history(ann, None, 3));
    let shown: Vec<_> = last.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(shown, ["ann 8", "ann 9", "ann 10"]);
    let above = commit(&mut store, |tx| tx.history(ann, Some(last[0].position), 4));
    let shown: Vec<_> = above.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(shown, ["ann 4", "ann 5", "ann 6", "ann 7"]);

    let mut exported = Vec::new();
    let mut place = 0;
    loop {
        let page = commit(&mut store, |tx| tx.history_after(bob, place, 4));
        let Some(end) = page.last() else { break };
        place = end.position;
        exported.extend(page.into_iter().map(|line| line.text));
    }
    let all: Vec<_> = (1..=10).map(|seq| format!("bob {seq}")).collect();
    assert_eq!(exported, all);
}

#[test]
fn a_line_comes_back_as_it_was_stored() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    let line = NewMessage {
        path: Some(Path::Relay),
        ..received(ann, 7, "naïve \u{1F600} text\0with everything")
    };
    let id = commit(&mut store, |tx| tx.insert_message(&line)).unwrap();
    let found = commit(&mut store, |tx| tx.message(Some(ann), &msg_id(7))).unwrap();
    assert_eq!(
        (found.id, found.contact, found.kind, found.seq, found.path),
        (id, ann, MessageKind::Received, 7, Some(Path::Relay))
    );
    assert_eq!(found.text, line.text);
    assert_eq!((found.sent, found.received), (at(7), Some(at(8))));
    assert_eq!((found.msg_id, found.status), (Some(msg_id(7)), None));
    assert_eq!(
        commit(&mut store, |tx| tx.message(None, &msg_id(7))),
        Some(found)
    );
    assert_eq!(commit(&mut store, |tx| tx.message(None, &msg_id(8))), None);
}

#[test]
fn a_message_that_comes_twice_is_kept_once() {
    let mut store = Store::in_memory().unwrap();
    let (ann, bob) = (befriend(&mut store, 1), befriend(&mut store, 2));
    let add = |store: &mut Store, line| commit(store, |tx| tx.insert_message(&line)).is_some();
    assert!(add(&mut store, received(ann, 1, "hello")));
    assert!(!add(&mut store, received(ann, 1, "hello")));
    // the same id of another contact, or of one's own, is another message
    assert!(add(&mut store, received(bob, 1, "hello")));
    assert!(add(&mut store, sent(ann, 1, "hello")));
    assert!(!add(&mut store, sent(ann, 1, "hello")));
    let notice = NewMessage {
        msg_id: None,
        kind: MessageKind::Notice,
        ..received(ann, 0, "session renewed")
    };
    assert!(add(&mut store, notice) && add(&mut store, notice));

    let first = commit(&mut store, |tx| tx.message(Some(ann), &msg_id(1))).unwrap();
    assert!(commit(&mut store, |tx| tx.erase_message(first.id)));
    assert!(!add(&mut store, sent(ann, 1, "erased, but still known")));
}

#[test]
fn late_messages_stand_where_their_sender_wrote_them() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    for line in [
        received(ann, 3, "a3"),
        sent(ann, 1, "me 1"),
        received(ann, 6, "a6"),
        received(ann, 1, "a1"), // nothing of hers before it: before her first
        received(ann, 5, "a5"), // right behind a3, before my answer
        received(ann, 4, "a4"),
        received(ann, 7, "a7"),
        sent(ann, 2, "me 2"),
        received(ann, 2, "a2"),
    ] {
        commit(&mut store, |tx| tx.insert_message(&line));
    }
    assert_eq!(
        texts(&mut store, ann),
        ["a1", "a2", "a3", "a4", "a5", "me 1", "a6", "a7", "me 2"]
    );
}

#[test]
fn lines_are_spread_anew_when_there_is_no_room_left() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    commit(&mut store, |tx| tx.insert_message(&received(ann, 1, "1")));
    // each halves the gap behind the first; 20 halvings use up a step
    for seq in (2..=400).rev() {
        let text = seq.to_string();
        commit(&mut store, |tx| {
            tx.insert_message(&received(ann, seq, &text))
        });
    }
    let in_order: Vec<_> = (1..=400).map(|seq| seq.to_string()).collect();
    assert_eq!(texts(&mut store, ann), in_order);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_order_of_arrival_gives_the_senders_order(
        arrival in Just((1..=150u64).collect::<Vec<_>>()).prop_shuffle(),
        answers in prop::collection::vec(any::<bool>(), 150),
    ) {
        let mut store = Store::in_memory().unwrap();
        let ann = befriend(&mut store, 1);
        let mut own = 0;
        for (seq, answer) in arrival.iter().zip(answers) {
            let text = format!("ann {seq}");
            commit(&mut store, |tx| tx.insert_message(&received(ann, *seq, &text)));
            if answer {
                own += 1;
                let text = format!("me {own}");
                commit(&mut store, |tx| tx.insert_message(&sent(ann, 1000 + own, &text)));
            }
        }
        let shown = texts(&mut store, ann);
        let of = |who: &str| -> Vec<u64> {
            shown.iter().filter_map(|t| t.strip_prefix(who)?.trim().parse().ok()).collect()
        };
        prop_assert_eq!(of("ann"), (1..=150).collect::<Vec<_>>());
        prop_assert_eq!(of("me"), (1..=own).collect::<Vec<_>>());
    }
}

#[test]
fn a_status_only_goes_forward() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    commit(&mut store, |tx| tx.insert_message(&sent(ann, 1, "hello")));
    let mut set = |status, path, time| {
        commit(&mut store, |tx| {
            let changed = tx.set_status(&msg_id(1), ann, status, path, at(time))?;
            let line = tx.message(Some(ann), &msg_id(1))?.unwrap();
            Ok((
                changed,
                line.status.unwrap(),
                line.path,
                line.status_at.unwrap(),
            ))
        })
    };
    let relay = Some(Path::Relay);
    assert_eq!(
        set(Status::AtRelay, relay, 5),
        (true, Status::AtRelay, relay, at(5))
    );
    assert_eq!(
        set(Status::Queued, None, 6),
        (false, Status::AtRelay, relay, at(5))
    );
    assert_eq!(
        set(Status::Failed, None, 7),
        (true, Status::Failed, relay, at(7))
    );
    // given up, and yet it had arrived
    let direct = Some(Path::Direct);
    assert_eq!(
        set(Status::OnDevice, direct, 8),
        (true, Status::OnDevice, direct, at(8))
    );
    assert_eq!(
        set(Status::Failed, None, 9),
        (false, Status::OnDevice, direct, at(8))
    );
}

#[test]
fn search_finds_lines_with_all_words_newest_first() {
    let mut store = Store::in_memory().unwrap();
    let (ann, bob) = (befriend(&mut store, 1), befriend(&mut store, 2));
    for line in [
        received(ann, 1, "The café by the harbour"),
        received(bob, 2, "harbour, at noon"),
        received(ann, 3, "Not the CAFE, the harbour!"),
        received(ann, 4, "elsewhere"),
    ] {
        commit(&mut store, |tx| tx.insert_message(&line));
    }
    let mut found = |words: &str, limit| -> Vec<u64> {
        let lines = commit(&mut store, |tx| tx.search(words, limit));
        lines.iter().map(|line| line.seq).collect()
    };
    assert_eq!(found("harbour", 10), [3, 2, 1]);
    assert_eq!(found("harbour", 2), [3, 2]);
    assert_eq!(found("Cafe  HARBOUR", 10), [3, 1]);
    assert_eq!(
        found("harbour-at", 10),
        [2],
        "a phrase where the word has several parts"
    );
    assert_eq!(found("harb", 10), [0u64; 0]);
    assert_eq!(found("", 10), [0u64; 0]);
}

#[test]
fn search_input_is_text_and_never_syntax() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    commit(&mut store, |tx| {
        tx.insert_message(&received(ann, 1, "a near text and NOT more"))
    });
    let mut found = |words: &str| commit(&mut store, |tx| tx.search(words, 10)).len();
    let odd = [
        "\"",
        "\"\"",
        "*",
        "-a",
        "NEAR(",
        "NEAR(a text, 1)",
        "a OR b",
        "text:a",
        "{text}:a",
        "^a",
        "a*",
        "(",
        ")",
        "a AND",
        "+",
        "'",
        "'; DROP TABLE message; --",
        "\0",
        "a\0b",
        "text\0",
        "\u{1F600}",
        "\u{301}",
        "a\u{301}",
        "%",
        "_",
        "\\",
        "a\"b",
    ];
    for words in odd {
        let _ = found(words);
    }
    assert_eq!(found("NOT text"), 1, "a word like any other");
    assert_eq!(found("near AND a"), 1);
    assert_eq!(
        found("text OR absent"),
        0,
        "OR is a word, and it is not there"
    );
    assert_eq!(found("\"near\" *"), 1);
    assert_eq!(found(&"text ".repeat(10_000)), 1);
}

#[test]
fn conversations_show_their_last_line_newest_first() {
    let mut store = Store::in_memory().unwrap();
    let (ann, bob) = (befriend(&mut store, 1), befriend(&mut store, 2));
    befriend(&mut store, 3); // has said nothing
    for line in [
        received(ann, 2, "a2"),
        received(bob, 1, "b1"),
        received(ann, 3, "a3"),
        received(bob, 2, "b2"),
        received(ann, 1, "late"),
    ] {
        commit(&mut store, |tx| tx.insert_message(&line));
    }
    let mut shown = || -> Vec<(String, String)> {
        let list = commit(&mut store, |tx| tx.conversations());
        let line = |c: sremp_client::store::ConversationRecord| (c.alias.unwrap(), c.last.text);
        list.into_iter().map(line).collect()
    };
    let line = |n: u16, text: &str| (format!("friend {n}"), text.to_owned());
    assert_eq!(shown(), [line(2, "b2"), line(1, "a3")]);
    let last = commit(&mut store, |tx| tx.message(Some(bob), &msg_id(2))).unwrap();
    commit(&mut store, |tx| tx.erase_message(last.id));
    let list = commit(&mut store, |tx| tx.conversations());
    assert_eq!((list[0].contact, list[0].last.text.as_str()), (ann, "a3"));
    assert_eq!((list[1].contact, list[1].last.text.as_str()), (bob, "b1"));
}

#[test]
fn erased_text_is_gone_from_the_files_and_from_the_index() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plain.db");
    let mut store = Store::open_plain(&path).unwrap();
    let (ann, bob) = (befriend(&mut store, 1), befriend(&mut store, 2));
    for seq in 1..=200 {
        let text = format!("zanzibar{seq} filler of a line {}", "and more ".repeat(20));
        commit(&mut store, |tx| {
            tx.insert_message(&received(ann, seq, &text))
        });
        let text = format!("ordinary{seq}");
        commit(&mut store, |tx| {
            tx.insert_message(&received(bob, seq, &text))
        });
    }
    store.checkpoint().unwrap();
    let holds = |word: &[u8]| {
        files(directory.path())
            .windows(word.len())
            .any(|w| w == word)
    };
    assert!(holds(b"zanzibar77"), "a plain file shows its text");

    let one = commit(&mut store, |tx| tx.message(Some(ann), &msg_id(77))).unwrap();
    assert!(commit(&mut store, |tx| tx.erase_message(one.id)));
    store.checkpoint().unwrap();
    assert!(!holds(b"zanzibar77 "));
    assert!(commit(&mut store, |tx| tx.search("zanzibar77", 1)).is_empty());

    commit(&mut store, |tx| tx.delete_contact(ann));
    store.checkpoint().unwrap();
    store.integrity_check().unwrap();
    for word in [b"zanzibar".as_slice(), b"anzibar1", b"filler"] {
        assert!(
            !holds(word),
            "{} is still there",
            String::from_utf8_lossy(word)
        );
    }
    assert_eq!(commit(&mut store, |tx| tx.search("ordinary9", 10)).len(), 1);
}
