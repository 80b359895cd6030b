//! What the store keeps of relays: how far a mailbox was read, what is still to be said, promises.

use crate::support::*;
use sremp_client::store::{NewOutboxItem, NewReceipt, ReadItem, RelayRow, Store};
use sremp_core::id::{EnvelopeId, SessionId};

fn remember(store: &mut Store, n: u16) -> RelayRow {
    let endpoint = "relay.example.org:33401".parse().unwrap();
    commit(store, |tx| tx.remember_relay(&id_of(n), &endpoint)).row
}

#[test]
fn a_cursor_only_goes_forward_over_its_whole_range() {
    let mut store = Store::in_memory().unwrap();
    let relay = remember(&mut store, 9);
    for (cursor, kept) in [
        (5, 5),
        (4, 5),
        (u64::MAX - 1, u64::MAX - 1),
        (7, u64::MAX - 1),
        (u64::MAX, u64::MAX),
    ] {
        commit(&mut store, |tx| tx.advance_cursor(relay, cursor));
        let record = commit(&mut store, |tx| tx.relay(&id_of(9))).unwrap();
        assert_eq!(record.cursor, kept, "after {cursor}");
    }
    assert_eq!(remember(&mut store, 9), relay, "a relay keeps its number");
    commit(&mut store, |tx| tx.forget_cursor(relay));
    let record = commit(&mut store, |tx| tx.relay(&id_of(9))).unwrap();
    assert_eq!(record.cursor, 0);
}

#[test]
fn what_was_read_is_told_once_and_discarded_where_its_confirmation_is_refused() {
    let mut store = Store::in_memory().unwrap();
    let relay = remember(&mut store, 9);
    let item = |cursor| ReadItem {
        cursor,
        message_id: u64::MAX - cursor,
        confirm_to: Some(id_of(1)),
        envelope: EnvelopeId::of(b"x"),
        at: at(3),
    };
    for cursor in [2, 1, 2] {
        commit(&mut store, |tx| tx.push_read(relay, &item(cursor)));
    }
    let kept = commit(&mut store, |tx| tx.read_items(relay, 10));
    assert_eq!(kept, [item(1), item(2)]);
    commit(&mut store, |tx| tx.discard_instead(relay, 1));
    commit(&mut store, |tx| tx.read_item_told(relay, 2));
    let kept = commit(&mut store, |tx| tx.read_items(relay, 10));
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].cursor, kept[0].confirm_to), (1, None));
}

#[test]
fn a_promise_counts_for_the_envelope_it_was_given_for_and_for_its_time() {
    let mut store = Store::in_memory().unwrap();
    let relay = remember(&mut store, 9);
    let ann = befriend(&mut store, 1);
    let item = commit(&mut store, |tx| {
        tx.push_outbox(&NewOutboxItem {
            contact: ann,
            msg_id: msg_id(1),
            content: b"content",
            created: at(0),
            expires: at(1_000),
        })
    });
    let seal = |store: &mut Store, bytes: &[u8]| {
        let (session, id) = (SessionId::new([1; 16]), EnvelopeId::of(bytes));
        commit(store, |tx| tx.set_envelope(item, &session, bytes, &id));
        id
    };
    let promise = |store: &mut Store, envelope| {
        let receipt = NewReceipt {
            item,
            contact: ann,
            msg_id: msg_id(1),
            relay,
            message_id: 7,
            envelope,
            received: at(10),
            stored: at(9),
            expires: at(100_000),
            kept_until: at(100),
            signature: vec![1; 65],
        };
        commit(store, |tx| tx.add_receipt(&receipt));
    };
    let waits = |store: &mut Store| commit(store, |tx| tx.outbox_waiting(ann, 0, 9)).len();
    let first = seal(&mut store, b"first");
    commit(&mut store, |tx| tx.clear_envelopes(ann));
    seal(&mut store, b"second");
    commit(&mut store, |tx| tx.set_message_id(item, 7));
    promise(&mut store, first);
    assert_eq!(waits(&mut store), 1, "the promise was for other bytes");
    promise(&mut store, EnvelopeId::of(b"second"));
    assert_eq!(waits(&mut store), 0);
    let (own, other) = (id_of(9), id_of(8));
    let left = |store: &mut Store, key, before| {
        commit(store, |tx| {
            tx.outbox_unconfirmed(ann, key, 0, at(before), false, 9)
        })
        .len()
    };
    assert_eq!(left(&mut store, &own, 10), 0, "it has it");
    assert_eq!(left(&mut store, &other, 9), 0, "too soon");
    assert_eq!(left(&mut store, &other, 10), 1);
    assert!(commit(&mut store, |tx| tx.end_relay_storage(at(99))).is_empty());
    assert_eq!(
        commit(&mut store, |tx| tx.end_relay_storage(at(100))),
        [(ann, msg_id(1), Some(7))]
    );
    assert_eq!(waits(&mut store), 1);
    let of = commit(&mut store, |tx| tx.message_of_envelope(ann, &first, 6));
    assert_eq!(of, None, "it was given under another name");
    let of = commit(&mut store, |tx| tx.message_of_envelope(ann, &first, 7));
    assert_eq!(
        of,
        Some(msg_id(1)),
        "a late confirmation still finds its message"
    );
    assert_eq!(
        commit(&mut store, |tx| tx.receipts(ann, &msg_id(1))).len(),
        2
    );
}

#[test]
fn equal_failures_are_one_entry() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    let relay = id_of(9);
    for (by, cause, time) in [
        (None, "silence", 1),
        (Some(&relay), "full", 2),
        (None, "silence", 3),
    ] {
        commit(&mut store, |tx| tx.note_attempt(ann, by, cause, at(time)));
    }
    let found = commit(&mut store, |tx| tx.attempts(ann, at(0)));
    let shown = found.iter().map(|a| (a.relay, a.count, a.first, a.last));
    let shown: Vec<_> = shown.collect();
    assert_eq!(
        shown,
        [(Some(relay), 1, at(2), at(2)), (None, 2, at(1), at(3))]
    );
    assert_eq!(commit(&mut store, |tx| tx.attempts(ann, at(3))).len(), 1);
}

#[test]
fn failures_before_and_after_an_arrival_are_two_entries_and_a_contact_has_sixty_four_at_most() {
    let mut store = Store::in_memory().unwrap();
    let (ann, ben) = (befriend(&mut store, 1), befriend(&mut store, 2));
    commit(&mut store, |tx| {
        tx.note_attempt(ben, None, "silence", at(1))
    });
    for n in 0..100 {
        commit(&mut store, |tx| {
            tx.note_attempt(ann, None, "silence", at(10 * n))?;
            tx.note_attempt(ann, None, "silence", at(10 * n + 1))?;
            tx.attempts_over(ann)
        });
    }
    let found = commit(&mut store, |tx| tx.attempts(ann, at(0)));
    let shown: Vec<_> = found.iter().map(|a| (a.count, a.first, a.last)).collect();
    let newest: Vec<_> = (36..100).map(|n| (2, at(10 * n), at(10 * n + 1))).collect();
    assert_eq!(shown, newest);
    assert_eq!(commit(&mut store, |tx| tx.attempts(ben, at(0))).len(), 1);
}
