//! What holds in every store (D6.3 to D6.7), one story for each property.

use sremp_core::error::ErrorCode;
use sremp_relay::mailbox::{
    ConfirmationId, Confirmed, Cursor, Limits, MAX_WAITING, MailboxReader as _, MailboxStore as _,
    Op, Outcome, PrekeyCounts, Route, WaitingConfirmation,
};

use crate::mailboxes::*;

pub(crate) fn a_message_is_read_as_it_was_stored<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    for (id, len) in [1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 61_440, 1, 48]
        .into_iter()
        .enumerate()
    {
        let op = sized(ANN, BOB, id as u64, len);
        let stored = backend.put(at(id as u64), op.clone());
        backend.restart();
        let item = backend.items(BOB).pop().unwrap();
        assert!(item.blob[..] == op.blob[..], "{len}");
        assert_eq!(item.cursor, stored.cursor);
        assert_eq!(item.sender, op.sender);
        assert_eq!(item.stored_at, at(id as u64));
        assert_eq!(stored.expires_at, at(id as u64 + 14 * DAY));
        assert!(stored.first);
    }
}

pub(crate) fn the_same_message_again_gets_the_first_answer_also_when_it_is_gone<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    let first = backend.put(at(0), message(ANN, BOB, 1));
    let again = |backend: &mut B| {
        let again = backend.put(at(5), message(ANN, BOB, 1));
        assert!(!again.first);
        assert_eq!(
            (again.cursor, again.stored_at),
            (first.cursor, first.stored_at)
        );
        let mut other = message(ANN, BOB, 2);
        other.message_id = message(ANN, BOB, 1).message_id;
        assert_eq!(backend.refused(at(5), other), ErrorCode::Conflict);
    };
    again(&mut backend);
    backend.confirm(BOB, vec![confirmation(ANN, BOB, 1)]);
    again(&mut backend);
    backend.restart();
    again(&mut backend);
    assert!(backend.items(BOB).is_empty());
    // of another sender it is another message
    backend.run(at(0), accept(BOB, &[EVE]));
    assert!(backend.put(at(6), message(EVE, BOB, 1)).first);
}

pub(crate) fn within_a_batch_each_op_sees_those_before_it<B: Backend>() {
    let mut backend = B::new(Limits::default());
    let store = |id| Op::Store(Box::new(message(ANN, BOB, id)));
    let outcomes = backend.batch(
        at(0),
        vec![
            store(1),
            open(BOB),
            store(1),
            store(1),
            store(2),
            confirm(BOB, vec![confirmation(ANN, BOB, 1)]),
            store(1),
        ],
    );
    assert_eq!(outcomes[0], Outcome::Refused(ErrorCode::Denied));
    let firsts: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Stored(stored) => Some(stored.first),
            _ => None,
        })
        .collect();
    assert_eq!(firsts, [true, false, true, false]);
    assert_eq!(backend.ids(BOB), [2]);
}

pub(crate) fn cursors_rise_and_are_never_used_twice<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    // the first is the time at least, in microseconds
    let mut last = Cursor::new(at(95).get() * 1_000 - 1);
    for round in 0..6 {
        // the clock goes backward; the cursors do not
        let now = at(100 - round);
        let stored = backend.put(now, message(ANN, BOB, round));
        assert!(stored.cursor > last, "round {round}");
        last = stored.cursor;
        if round % 2 == 0 {
            backend.confirm(BOB, vec![confirmation(ANN, BOB, round)]);
        }
        if round > 1 {
            backend.purge(at(0), at(20 * DAY), at(0));
            assert!(backend.items(BOB).is_empty());
        }
        backend.restart();
        let head = backend.store().reader().mailbox(&somebody(BOB)).unwrap();
        assert_eq!(head.head, last);
    }
    // also after the mailbox was removed for want of use, and asked for again
    let purged = backend.purge(at(200 * DAY), at(0), at(180 * DAY));
    assert_eq!(purged.mailboxes, 1);
    assert_eq!(backend.store().reader().mailbox(&somebody(BOB)), None);
    backend.restart();
    backend.run(at(200 * DAY), open(BOB));
    backend.run(at(200 * DAY), accept(BOB, &[ANN]));
    assert!(backend.put(at(0), message(ANN, BOB, 99)).cursor > last);
}

pub(crate) fn what_is_stored_after_a_copy_was_put_back_is_given_to_a_reader_who_was_further<
    B: Backend,
>() {
    let mut backend = with_bob::<B>(Limits::default());
    backend.put(at(0), message(ANN, BOB, 0));
    backend.copy();
    // he reads these, and the relay forgets that it gave them
    let further = (1..5).map(|id| backend.put(at(1), message(ANN, BOB, id)).cursor);
    let further = further.max().unwrap();
    backend.put_back();
    backend.run(at(2), open(BOB));
    backend.run(at(2), accept(BOB, &[ANN]));
    for id in 5..10 {
        backend.put(at(2), message(ANN, BOB, id));
    }
    backend.restart();
    let reader = backend.store().reader();
    let head = reader.mailbox(&somebody(BOB)).unwrap().head;
    assert!(
        head >= further,
        "a reader is not sent back to the beginning"
    );
    let page = reader
        .page(&somebody(BOB), further, 99, usize::MAX)
        .unwrap();
    let ids = page.items.iter().map(|item| item.message_id.get());
    assert_eq!(ids.collect::<Vec<_>>(), [5, 6, 7, 8, 9]);
}

pub(crate) fn pages_give_every_item_once_whatever_the_clock_did<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    for id in 0..50 {
        backend.put(at((id * 7) % 13), message(ANN, BOB, id));
    }
    assert_eq!(backend.ids(BOB), (0..50).collect::<Vec<_>>());
    let reader = backend.store().reader();
    let page = reader
        .page(&somebody(BOB), Cursor::START, 100, 2_500)
        .unwrap();
    assert_eq!(
        (page.items.len(), page.more),
        (2, true),
        "at most the bytes"
    );
    let page = reader.page(&somebody(BOB), page.next, 100, 1).unwrap();
    assert_eq!(page.items.len(), 1, "one at least");
    let nobody = reader.page(&somebody(EVE), Cursor::START, 100, 1).unwrap();
    assert!(nobody.items.is_empty() && !nobody.more);
    // a gap does not stop a page
    backend.confirm(BOB, (3..40).map(|id| confirmation(ANN, BOB, id)).collect());
    let left: Vec<_> = (0..3).chain(40..50).collect();
    assert_eq!(backend.ids(BOB), left);
    let end = reader.mailbox(&somebody(BOB)).unwrap().head;
    assert!(
        reader
            .page(&somebody(BOB), end, 9, 9)
            .unwrap()
            .items
            .is_empty()
    );
}

pub(crate) fn a_confirmation_deletes_one_item_and_waits_for_its_sender<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    backend.put(at(0), message(ANN, BOB, 1));
    backend.put(at(0), message(ANN, BOB, 2));
    let sent = confirmation(ANN, BOB, 1);
    let confirmed = backend.confirm(BOB, vec![sent.clone()]);
    let [Confirmed::Now(waits)] = &confirmed[..] else {
        panic!("{confirmed:?}");
    };
    assert_eq!(backend.ids(BOB), [2]);
    let again = backend.confirm(BOB, vec![sent.clone()]);
    assert_eq!(
        again,
        [Confirmed::Before],
        "idempotent, and nothing is sent twice"
    );
    backend.restart();
    let route = Route::Sender(somebody(ANN));
    assert_eq!(waits.route, route);
    let reader = backend.store().reader();
    let waiting = reader.waiting(&route, ConfirmationId::START, 9).unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].confirmation, sent, "as it was signed");
    assert_eq!(
        (waiting[0].id, waiting[0].expires),
        (waits.id, at(14 * DAY))
    );
    assert!(reader.waiting(&route, waits.id, 9).unwrap().is_empty());
    // only whom it waits for can take it
    let taken = |whom| Op::ConfirmationsTaken {
        route: Route::Sender(somebody(whom)),
        ids: vec![waits.id],
    };
    backend.run(at(0), taken(BOB));
    assert_eq!(backend.store().stats().confirmations, 1);
    backend.run(at(0), taken(ANN));
    assert_eq!(backend.store().stats().confirmations, 0);
}

pub(crate) fn case_24_a_false_confirmation_keeps_the_item<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    backend.run(at(0), open(EVE));
    backend.put(at(0), message(ANN, BOB, 1));
    let mut wrong_hash = confirmation(ANN, BOB, 1);
    wrong_hash.blob_hash = confirmation(ANN, BOB, 2).blob_hash;
    let unknown = confirmation(ANN, BOB, 7);
    let of_nobody = confirmation(99, BOB, 1);
    let refused = backend.confirm(BOB, vec![wrong_hash, unknown, of_nobody]);
    assert_eq!(refused, vec![Confirmed::Refused; 3]);
    let not_hers = backend.confirm(EVE, vec![confirmation(ANN, BOB, 1)]);
    assert_eq!(not_hers, [Confirmed::Refused]);
    assert_eq!(backend.ids(BOB), [1]);
}

pub(crate) fn a_confirmation_for_another_relay_waits_for_that_one<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    for (id, host) in [(1, "one.example"), (2, "two.example"), (3, "one.example")] {
        let mut op = message(ANN, BOB, id);
        op.reply_relay = Some(relay(host));
        backend.put(at(0), op);
    }
    let all = [1, 2, 3].map(|id| confirmation(ANN, BOB, id));
    backend.confirm(BOB, all.to_vec());
    backend.restart();
    let reader = backend.store().reader();
    let mut relays: Vec<_> = reader.relays().unwrap();
    relays.sort_by_key(|hint| hint.endpoint.host().to_owned());
    assert_eq!(relays, [relay("one.example"), relay("two.example")]);
    let route = Route::Relay(Box::new(relay("one.example")));
    let waiting = reader.waiting(&route, ConfirmationId::START, 9).unwrap();
    let ids: Vec<_> = waiting
        .iter()
        .map(|w| w.confirmation.message_id.get())
        .collect();
    assert_eq!(ids, [1, 3], "the same relay elsewhere is another route");
    let ids = waiting.iter().map(|w| w.id).collect();
    backend.run(at(0), Op::ConfirmationsTaken { route, ids });
    assert_eq!(
        backend.store().reader().relays().unwrap(),
        [relay("two.example")]
    );
}

pub(crate) fn what_waits_for_another_relay_goes_also_to_the_sender_in_person<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    for (id, elsewhere) in [(1, true), (2, false), (3, true)] {
        let mut op = message(ANN, BOB, id);
        op.reply_relay = elsewhere.then(|| relay("one.example"));
        backend.put(at(0), op);
    }
    let all = [1, 2, 3].map(|id| confirmation(ANN, BOB, id));
    backend.confirm(BOB, all.to_vec());
    backend.restart();
    let to_relay = || Route::Relay(Box::new(relay("one.example")));
    let waiting = |backend: &mut B, route: &Route| -> Vec<_> {
        let reader = backend.store().reader();
        let waiting = reader.waiting(route, ConfirmationId::START, 9).unwrap();
        let of = |w: WaitingConfirmation| (w.confirmation.message_id.get(), w.id);
        waiting.into_iter().map(of).collect()
    };
    let names = |list: &[(u64, ConfirmationId)]| list.iter().map(|(n, _)| *n).collect::<Vec<_>>();
    let hers = waiting(&mut backend, &Route::Sender(somebody(ANN)));
    assert_eq!(names(&hers), [1, 2, 3]);
    assert_eq!(waiting(&mut backend, &Route::Sender(somebody(EVE))), []);
    let take = |backend: &mut B, route: Route, ids: Vec<ConfirmationId>| {
        backend.run(at(0), Op::ConfirmationsTaken { route, ids });
    };
    // nobody takes another's, and no relay what is not for it
    let all: Vec<_> = hers.iter().map(|(_, id)| *id).collect();
    take(&mut backend, Route::Sender(somebody(EVE)), all.clone());
    let stranger = Route::Relay(Box::new(relay("two.example")));
    take(&mut backend, stranger, all.clone());
    take(&mut backend, to_relay(), vec![all[1]]);
    assert_eq!(waiting(&mut backend, &Route::Sender(somebody(ANN))), hers);
    // each goes once, by whichever way comes first
    take(
        &mut backend,
        Route::Sender(somebody(ANN)),
        vec![all[0], all[1]],
    );
    assert_eq!(names(&waiting(&mut backend, &to_relay())), [3]);
    take(&mut backend, to_relay(), vec![all[2]]);
    assert_eq!(waiting(&mut backend, &Route::Sender(somebody(ANN))), []);
    assert_eq!(backend.store().reader().relays().unwrap(), []);
    assert_eq!(backend.store().stats().confirmations, 0);
}

pub(crate) fn what_another_relay_refuses_waits_for_its_sender_alone<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    for id in 1..=3 {
        let mut op = message(ANN, BOB, id);
        op.reply_relay = Some(relay("one.example"));
        backend.put(at(0), op);
    }
    let all = [1, 2, 3].map(|id| confirmation(ANN, BOB, id));
    backend.confirm(BOB, all.to_vec());
    let waiting = |backend: &mut B, route: &Route| -> Vec<_> {
        let reader = backend.store().reader();
        let waiting = reader.waiting(route, ConfirmationId::START, 9).unwrap();
        waiting.into_iter().map(|w| w.id).collect()
    };
    let to_relay = || Route::Relay(Box::new(relay("one.example")));
    let ids = waiting(&mut backend, &to_relay());
    let refused = |host, ids: &[ConfirmationId]| Op::ConfirmationsRefused {
        relay: Box::new(relay(host)),
        ids: ids.to_vec(),
    };
    // a relay refuses only what was for it
    backend.run(at(0), refused("two.example", &ids));
    backend.run(at(0), refused("one.example", &ids[..2]));
    backend.run(at(0), refused("one.example", &ids[..2]));
    for _ in 0..2 {
        assert_eq!(waiting(&mut backend, &to_relay()), ids[2..]);
        assert_eq!(waiting(&mut backend, &Route::Sender(somebody(ANN))), ids);
        assert_eq!(backend.store().stats().confirmations, 3);
        backend.restart();
    }
    // it is no relay's any more to take
    let (route, ids) = (to_relay(), ids);
    backend.run(
        at(0),
        Op::ConfirmationsTaken {
            route,
            ids: ids.clone(),
        },
    );
    let left = waiting(&mut backend, &Route::Sender(somebody(ANN)));
    assert_eq!(left, ids[..2]);
}

pub(crate) fn what_another_relay_refuses_is_dropped_if_too_many_wait_for_its_sender<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    backend.run(at(0), open(ANN));
    for id in 1..=2 {
        let mut op = message(ANN, BOB, id);
        op.reply_relay = Some(relay("one.example"));
        backend.put(at(0), op);
    }
    backend.confirm(BOB, [1, 2].map(|id| confirmation(ANN, BOB, id)).to_vec());
    let to_relay = Route::Relay(Box::new(relay("one.example")));
    let ids = |backend: &mut B, route: &Route| -> Vec<_> {
        let reader = backend.store().reader();
        let limit = MAX_WAITING + 9;
        let waiting = reader.waiting(route, ConfirmationId::START, limit).unwrap();
        waiting.into_iter().map(|w| w.id).collect()
    };
    let both = ids(&mut backend, &to_relay);
    // there is room for one more
    let ops = (1..MAX_WAITING as u64).map(|id| Op::AddConfirmation {
        confirmation: Box::new(confirmation(ANN, EVE, id)),
        expires: at(DAY),
    });
    let added = backend.batch(at(0), ops.collect());
    assert!(added.iter().all(|o| matches!(o, Outcome::Queued(_))));
    let refused = Op::ConfirmationsRefused {
        relay: Box::new(relay("one.example")),
        ids: both.clone(),
    };
    assert_eq!(backend.run(at(0), refused), Outcome::Dropped(1));
    for _ in 0..2 {
        let anns = ids(&mut backend, &Route::Sender(somebody(ANN)));
        assert_eq!(anns.len(), MAX_WAITING);
        assert_eq!(
            (anns.contains(&both[0]), anns.contains(&both[1])),
            (true, false)
        );
        assert_eq!(ids(&mut backend, &to_relay), []);
        assert_eq!(backend.store().stats().confirmations, MAX_WAITING as u64);
        backend.restart();
    }
}

pub(crate) fn another_relays_confirmation_is_taken_for_those_who_have_a_mailbox<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    let bring = |to: u8| Op::AddConfirmation {
        confirmation: Box::new(confirmation(to, EVE, 5)),
        expires: at(DAY),
    };
    let denied = Outcome::Refused(ErrorCode::Denied);
    assert_eq!(backend.run(at(0), bring(ANN)), denied);
    let Outcome::Queued(waits) = backend.run(at(0), bring(BOB)) else {
        panic!("not queued");
    };
    assert_eq!(waits.route, Route::Sender(somebody(BOB)));
    let purged = backend.purge(at(0), at(DAY + 1), at(0));
    assert_eq!(purged.confirmations, 1);
    assert_eq!(backend.store().stats().confirmations, 0);
}

pub(crate) fn what_is_discarded_is_gone_without_a_word<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    let cursors: Vec<_> = (1..4)
        .map(|id| backend.put(at(0), message(ANN, BOB, id)).cursor)
        .collect();
    let discard = |of, cursors: &[Cursor]| Op::Discard {
        owner: somebody(of),
        cursors: cursors.to_vec(),
    };
    backend.run(at(0), open(EVE));
    assert_eq!(
        backend.run(at(0), discard(EVE, &cursors)),
        Outcome::Discarded(0)
    );
    let twice = [cursors[0], cursors[0], cursors[2], Cursor::new(7)];
    assert_eq!(
        backend.run(at(0), discard(BOB, &twice)),
        Outcome::Discarded(2)
    );
    backend.restart();
    assert_eq!(backend.ids(BOB), [2]);
    assert_eq!(backend.store().stats().confirmations, 0);
    let late = backend.confirm(BOB, vec![confirmation(ANN, BOB, 1)]);
    assert_eq!(late, [Confirmed::Before]);
}

pub(crate) fn what_is_over_goes_and_nothing_else<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    for id in 0..6 {
        let mut op = message(ANN, BOB, id);
        op.ttl = if id < 3 { 60 } else { 600 };
        backend.put(at(0), op);
    }
    backend.confirm(
        BOB,
        vec![confirmation(ANN, BOB, 0), confirmation(ANN, BOB, 3)],
    );
    let purged = backend.purge(at(DAY), at(60_000), at(0));
    assert_eq!(
        (purged.expired, purged.tombstones),
        (0, 0),
        "not at its expiry, after it"
    );
    let purged = backend.purge(at(DAY), at(60_001), at(0));
    assert_eq!(
        (purged.expired, purged.tombstones, purged.confirmations),
        (2, 1, 1)
    );
    assert_eq!(backend.ids(BOB), [4, 5]);
    backend.restart();
    assert!(
        backend.put(at(DAY), message(ANN, BOB, 0)).first,
        "a new life"
    );
    assert!(!backend.put(at(DAY), message(ANN, BOB, 3)).first);
}

pub(crate) fn an_unused_mailbox_goes_with_all_in_it_and_a_used_one_stays<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    backend.run(at(0), open(ANN));
    backend.run(at(0), put_prekeys(BOB, Some(9), 0..9));
    backend.put(at(0), message(ANN, BOB, 1));
    backend.run(
        at(2 * DAY),
        Op::Touch {
            owner: somebody(ANN),
        },
    );
    let purged = backend.purge(at(180 * DAY), at(0), at(DAY));
    assert_eq!(purged.mailboxes, 1);
    for _ in 0..2 {
        let reader = backend.store().reader();
        assert!(reader.mailbox(&somebody(ANN)).is_some());
        assert_eq!(reader.mailbox(&somebody(BOB)), None);
        assert_eq!(
            reader.prekeys(&somebody(BOB)).unwrap(),
            PrekeyCounts::default()
        );
        let stats = backend.store().stats();
        assert_eq!((stats.mailboxes, stats.items, stats.bytes), (1, 0, 0));
        backend.restart();
    }
    assert_eq!(
        backend.refused(at(0), message(ANN, BOB, 2)),
        ErrorCode::Denied
    );
    let opened = backend.run(at(180 * DAY), open(BOB));
    assert!(matches!(opened, Outcome::Opened { new: true, .. }));
    assert!(backend.items(BOB).is_empty());
}

pub(crate) fn beyond_the_bound_there_are_no_new_mailboxes_and_old_ones_open<B: Backend>() {
    let limits = Limits {
        mailboxes: 2,
        ..Limits::default()
    };
    let mut backend = B::new(limits);
    for of in [ANN, BOB, ANN] {
        assert!(matches!(
            backend.run(at(0), open(of)),
            Outcome::Opened { .. }
        ));
    }
    let refused = Outcome::Refused(ErrorCode::Full);
    assert_eq!(backend.run(at(0), open(EVE)), refused);
    backend.restart();
    assert_eq!(backend.run(at(0), open(EVE)), refused);
}

pub(crate) fn the_statistics_count_what_waits<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    for id in 0..5 {
        backend.put(at(id), message(ANN, BOB, id));
    }
    backend.confirm(BOB, vec![confirmation(ANN, BOB, 0)]);
    for _ in 0..2 {
        let stats = backend.store().stats();
        assert_eq!(
            (stats.mailboxes, stats.items, stats.bytes),
            (1, 4, 4 * 1_024)
        );
        assert_eq!((stats.confirmations, stats.oldest), (1, Some(at(1))));
        backend.store().rest().unwrap();
        backend.restart();
    }
}
