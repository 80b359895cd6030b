//! What is done to messages after they were written, as it is stored: replaced, never piled up, and
//! gone from the files when it is to be gone.

use crate::support::*;
use sremp_client::{
    store::{
        ChangeKind, Expiry, Fate, MAX_EARLY, MessageChange, ReactionRecord, SCHEMA_VERSION, Store,
        TimerRecord,
    },
    view::{MessageKind, Path, Status},
};

fn reaction(own: bool, seq: u64, text: &str) -> ReactionRecord {
    ReactionRecord {
        own,
        seq,
        at: at(seq),
        event: None,
        text: text.to_owned(),
    }
}

#[test]
fn what_is_edited_taken_back_or_over_is_gone_from_the_files_and_from_the_index() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open_plain(&directory.path().join("plain.db")).unwrap();
    let ann = befriend(&mut store, 1);
    let mut ids = Vec::new();
    for (seq, word) in (1..).zip(["zanzibar", "yucatan", "xanadu", "wuppertal"]) {
        let text = format!("{word} {}", "and more of the same ".repeat(30));
        let id = commit(&mut store, |tx| {
            tx.insert_message(&received(ann, seq, &text))
        });
        ids.push(id.unwrap());
    }
    store.checkpoint().unwrap();
    commit(&mut store, |tx| {
        tx.edit_message(ids[0], "tokelau", 5, at(5), None)?;
        tx.take_back(ids[1], 6, at(6), None)?;
        tx.set_expiry(
            ids[2],
            Expiry {
                seconds: 30,
                at: Some(at(7)),
            },
        )?;
        tx.set_reaction(ids[2], &reaction(false, 8, "ruritania"))?;
        tx.set_answers(ids[2], &msg_id(1))?;
        tx.erase_message(ids[2]).map(drop)
    });
    assert!(commit(&mut store, |tx| tx.reactions(ids[2])).is_empty());
    store.checkpoint().unwrap();
    store.integrity_check().unwrap();
    let bytes = files(directory.path());
    let holds = |word: &str| bytes.windows(word.len()).any(|w| w == word.as_bytes());
    for gone in ["zanzibar", "yucatan", "xanadu", "ruritania"] {
        assert!(!holds(gone), "{gone} is still in the files");
        assert!(
            commit(&mut store, |tx| tx.search(gone, 1)).is_empty(),
            "{gone}"
        );
    }
    assert!(holds("tokelau") && holds("wuppertal"));
    let lines = commit(&mut store, |tx| tx.history(ann, None, 10));
    assert_eq!(
        lines.len(),
        3,
        "what is taken back keeps its place, what is over does not"
    );
    assert_eq!(
        (lines[0].text.as_str(), lines[0].edited),
        ("tokelau", Some(at(5)))
    );
    assert_eq!((lines[1].text.as_str(), lines[1].deleted), ("", true));
    assert_eq!(commit(&mut store, |tx| tx.search("tokelau", 1)), lines[..1]);
    assert_eq!(commit(&mut store, |tx| tx.next_expiry()), None);
}

#[test]
fn a_message_that_was_written_and_edited_in_one_transaction_is_found_by_its_last_text() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    commit(&mut store, |tx| {
        let id = tx.insert_message(&received(ann, 1, "first"))?.unwrap();
        tx.edit_message(id, "second and longer", 2, at(2), None)?;
        tx.edit_message(id, "3rd", 3, at(3), None)
    });
    for (word, times) in [("first", 0), ("second", 0), ("3rd", 1)] {
        assert_eq!(
            commit(&mut store, |tx| tx.search(word, 9)).len(),
            times,
            "{word}"
        );
    }
    store.integrity_check().unwrap();
}

#[test]
fn a_message_is_found_for_a_change_also_when_it_is_gone() {
    let mut store = Store::in_memory().unwrap();
    let (ann, bob) = (befriend(&mut store, 1), befriend(&mut store, 2));
    commit(&mut store, |tx| {
        let target = |tx: &mut sremp_client::store::Tx<'_>, kind| tx.target(ann, &msg_id(1), kind);
        assert_eq!(target(tx, None)?, None);
        let theirs = tx.insert_message(&received(ann, 1, "hers"))?.unwrap();
        let own = tx.insert_message(&sent(ann, 1, "mine"))?.unwrap();
        assert_eq!(target(tx, None)?.map(|t| t.id), Some(own));
        let hers = target(tx, Some(MessageKind::Received))?.unwrap();
        assert_eq!((hers.id, hers.fate, hers.changed), (theirs, None, 0));
        tx.edit_message(theirs, "changed", 7, at(7), Some(3))?;
        let hers = target(tx, Some(MessageKind::Received))?.unwrap();
        assert_eq!(
            (hers.fate, hers.changed, hers.event),
            (Some(Fate::Edited), 7, Some(3))
        );
        assert!(hers.stands());
        tx.take_back(theirs, 8, at(8), None)?;
        assert!(!target(tx, Some(MessageKind::Received))?.unwrap().stands());
        tx.erase_message(own)?;
        assert!(!target(tx, Some(MessageKind::Sent))?.unwrap().stands());
        assert_eq!(tx.target(bob, &msg_id(1), None)?, None);
        Ok(())
    });
}

#[test]
fn each_person_has_one_reaction_to_a_message() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    let id = commit(&mut store, |tx| tx.insert_message(&received(ann, 1, "x"))).unwrap();
    for n in 1..=1_000 {
        commit(&mut store, |tx| {
            tx.set_reaction(id, &reaction(false, n, "r"))
        });
    }
    commit(&mut store, |tx| {
        tx.set_reaction(id, &reaction(true, 1, "own"))
    });
    let shown = commit(&mut store, |tx| tx.reactions(id));
    assert_eq!(
        shown,
        [reaction(true, 1, "own"), reaction(false, 1_000, "r")]
    );
    commit(&mut store, |tx| tx.set_reaction(id, &reaction(true, 2, "")));
    assert_eq!(commit(&mut store, |tx| tx.reactions(id)).len(), 1);
    let taken_back = commit(&mut store, |tx| tx.reaction(id, true)).unwrap();
    assert_eq!(taken_back.seq, 2, "that it was taken back is remembered");
    commit(&mut store, |tx| tx.take_back(id, 3, at(3), None));
    assert_eq!(commit(&mut store, |tx| tx.reaction(id, true)), None);
}

#[test]
fn changes_that_came_early_are_few_and_the_newest() {
    let mut store = Store::in_memory().unwrap();
    let (ann, bob) = (befriend(&mut store, 1), befriend(&mut store, 2));
    let change = |target: u64, seq: u64| MessageChange {
        msg_id: msg_id(target),
        kind: ChangeKind::Edit,
        seq,
        at: at(seq),
        text: format!("edit {seq}"),
    };
    commit(&mut store, |tx| tx.keep_early(bob, &change(1, 1)));
    for seq in 1..=1_000 {
        commit(&mut store, |tx| tx.keep_early(ann, &change(seq, seq)));
    }
    commit(&mut store, |tx| tx.keep_early(ann, &change(1_000, 999)));
    let mut kept = 0;
    for target in 1..=1_000 {
        let taken = commit(&mut store, |tx| tx.take_early(ann, &msg_id(target)));
        assert!(
            taken.iter().all(|c| *c == change(target, target)),
            "{taken:?}"
        );
        kept += taken.len();
    }
    assert_eq!(kept, MAX_EARLY as usize);
    assert!(commit(&mut store, |tx| tx.take_early(ann, &msg_id(1_000))).is_empty());
    assert_eq!(
        commit(&mut store, |tx| tx.take_early(bob, &msg_id(1))),
        [change(1, 1)]
    );
}

#[test]
fn messages_go_in_the_order_of_their_time_and_only_once_read() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    let ids: Vec<_> = (1..=4)
        .map(|seq| commit(&mut store, |tx| tx.insert_message(&received(ann, seq, "x"))).unwrap())
        .collect();
    commit(&mut store, |tx| {
        for (id, ends) in ids
            .iter()
            .zip([Some(at(30)), None, Some(at(10)), Some(at(20))])
        {
            tx.set_expiry(
                *id,
                Expiry {
                    seconds: 60,
                    at: ends,
                },
            )?;
        }
        Ok(())
    });
    let due = |store: &mut Store, now, limit| commit(store, |tx| tx.expired_messages(now, limit));
    assert_eq!(commit(&mut store, |tx| tx.next_expiry()), Some(at(10)));
    assert_eq!(due(&mut store, at(25), 10), [ids[2], ids[3]]);
    assert_eq!(due(&mut store, at(100), 2), [ids[2], ids[3]]);
    commit(&mut store, |tx| tx.begin_expiry(ids[1], at(5)));
    commit(&mut store, |tx| tx.begin_expiry(ids[1], at(500)));
    assert_eq!(
        due(&mut store, at(5), 10),
        [ids[1]],
        "the first look counts"
    );
    let expected = Some(Expiry {
        seconds: 60,
        at: Some(at(5)),
    });
    assert_eq!(
        commit(&mut store, |tx| tx.history(ann, None, 9))[1].expiry,
        expected
    );
}

#[test]
fn a_timer_is_kept_with_its_line_and_goes_with_its_contact() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    let notice = |text| sremp_client::store::NewMessage {
        msg_id: None,
        kind: MessageKind::Notice,
        ..received(ann, 0, text)
    };
    let line = commit(&mut store, |tx| tx.insert_message(&notice("a timer"))).unwrap();
    let timer = TimerRecord {
        seconds: u32::MAX,
        sent: at(1),
        line: Some(line),
        event: Some(4),
    };
    assert_eq!(commit(&mut store, |tx| tx.timer(ann)), None);
    commit(&mut store, |tx| tx.set_timer(ann, &timer));
    assert_eq!(commit(&mut store, |tx| tx.timer(ann)), Some(timer));
    assert!(commit(&mut store, |tx| tx.is_last_line(ann, line)));
    let text = commit(&mut store, |tx| tx.insert_message(&received(ann, 1, "x"))).unwrap();
    assert!(!commit(&mut store, |tx| tx.is_last_line(ann, line)));
    commit(&mut store, |tx| {
        tx.delete_notice(line)?;
        tx.delete_notice(text)
    });
    assert_eq!(texts(&mut store, ann), ["x"], "only notices are deleted so");
    commit(&mut store, |tx| tx.delete_contact(ann));
    assert_eq!(commit(&mut store, |tx| tx.timer(ann)), None);
    store.integrity_check().unwrap();
}

#[test]
fn an_action_has_a_status_like_a_message() {
    let mut store = Store::in_memory().unwrap();
    let (ann, bob) = (befriend(&mut store, 1), befriend(&mut store, 2));
    commit(&mut store, |tx| tx.insert_action(ann, &msg_id(9), at(9)));
    let of = |store: &mut Store, contact| commit(store, |tx| tx.action(contact, &msg_id(9)));
    assert_eq!(of(&mut store, bob), None);
    let made = of(&mut store, ann).unwrap();
    assert_eq!((made.status, made.sent), (Some(Status::Queued), at(9)));
    let set = |store: &mut Store, status| {
        let path = Some(Path::Relay);
        commit(store, |tx| {
            tx.set_status(&msg_id(9), ann, status, path, at(10))
        })
    };
    assert!(set(&mut store, Status::OnDevice));
    assert!(!set(&mut store, Status::AtRelay), "it never goes back");
    let done = of(&mut store, ann).unwrap();
    assert_eq!(
        (done.status, done.path),
        (Some(Status::OnDevice), Some(Path::Relay))
    );
    let all = commit(&mut store, |tx| {
        tx.actions_between(&msg_id(0), &msg_id(u64::MAX), 9)
    });
    assert_eq!(all, [done]);
    assert!(commit(&mut store, |tx| tx.history(ann, None, 9)).is_empty());
}

#[test]
fn an_event_that_is_replaced_is_not_told_and_numbers_go_on() {
    let mut store = Store::in_memory().unwrap();
    let numbers: Vec<u64> = (0..3)
        .map(|n| {
            commit(&mut store, |tx| {
                if n > 0 {
                    tx.replace_event(n)?;
                }
                tx.append_event(&format!("{{\"n\":{n}}}"), at(n))
            })
        })
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
    let told = commit(&mut store, |tx| tx.events(0, 10));
    assert_eq!(told, [(3, "{\"n\":2}".to_owned())]);
}

#[test]
fn a_database_of_version_2_loses_the_texts_of_its_events_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plain.db");
    let conn = rusqlite::Connection::open(&path).unwrap();
    for migration in [
        include_str!("../../src/store/schema.sql"),
        include_str!("../../src/store/rendezvous.sql"),
    ] {
        conn.execute_batch(migration).unwrap();
    }
    conn.pragma_update(None, "user_version", 2).unwrap();
    conn.execute_batch(
        r#"INSERT INTO event (at, json) VALUES
           (1, '{"event":"message","msg_id":"21","text":"zanzibar"}'),
           (2, '{"event":"notice","text":"kept"}'),
           (3, '{"event":"request","from":"ab","text":"yucatan"}')"#,
    )
    .unwrap();
    drop(conn);
    const { assert!(SCHEMA_VERSION > 2) };
    let mut store = Store::open_plain(&path).unwrap();
    let told: Vec<String> = commit(&mut store, |tx| tx.events(0, 9))
        .into_iter()
        .map(|(_, json)| json)
        .collect();
    assert_eq!(
        told,
        [
            r#"{"event":"message","msg_id":"21","text":""}"#,
            r#"{"event":"notice","text":"kept"}"#,
            r#"{"event":"request","from":"ab","text":""}"#
        ]
    );
    let ann = befriend(&mut store, 1);
    assert_eq!(commit(&mut store, |tx| tx.timer(ann)), None);
}
