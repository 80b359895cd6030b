//! Many sessions with one contact: which one sends, when one is given up, what is forgotten.

mod session_support;

use std::time::Duration;

use session_support::*;
use sremp_core::{
    constants::{
        INACTIVE_SESSION_AGE, MAX_CHAIN_WITHOUT_REPLY, MAX_INACTIVE_SESSIONS, MAX_INIT_RECORDS,
        RESET_AFTER, RESET_INTERVAL, RESETS_PER_DAY, SKIPPED_KEY_AGE, UNACKNOWLEDGED_SESSION_AGE,
    },
    id::SessionId,
    session::{
        DecryptError, StartError,
        book::{Outgoing, SessionBook},
        envelope,
    },
    time::UnixMillis,
};

fn start_a(pair: &mut Pair) -> SessionId {
    let bundle = pair.b.bundle(NOW);
    pair.a.start(&mut pair.book_a, &bundle)
}

fn start_b(pair: &mut Pair) -> SessionId {
    let bundle = pair.a.bundle(NOW);
    pair.b.start(&mut pair.book_b, &bundle)
}

/// A message on a session by name.
fn send_on(from: &mut Person, book: &mut SessionBook, id: &SessionId, to: &Person) -> Outgoing {
    let key = to.envelope_key();
    book.encrypt_on(id, &from.identity, &key, b"reset", &mut from.rng)
        .unwrap()
}

/// A starts a RESET; the envelope that carries it.
fn reset_a(pair: &mut Pair, now: UnixMillis) -> (SessionId, Vec<u8>) {
    let id = start_a(pair);
    let sent = send_on(&mut pair.a, &mut pair.book_a, &id, &pair.b);
    pair.book_a.reset_started(&id, now);
    (id, sent.envelope)
}

fn reset_b(pair: &mut Pair, now: UnixMillis) -> (SessionId, Vec<u8>) {
    let id = start_b(pair);
    let sent = send_on(&mut pair.b, &mut pair.book_b, &id, &pair.a);
    pair.book_b.reset_started(&id, now);
    (id, sent.envelope)
}

fn assert_converged(pair: &mut Pair) {
    for _ in 0..12 {
        pair.a_says(b"a");
        pair.b_says(b"b");
    }
    assert_eq!(pair.book_a.sending_session(), pair.book_b.sending_session());
}

/// Something that fails on the sending session of B, each time other bytes.
fn failing_for_b(pair: &mut Pair, salt: u8) -> Vec<u8> {
    let id = pair.book_b.sending_session().unwrap();
    let mut message = vec![salt; 200];
    message[..2].copy_from_slice(&[1, 1]);
    message[106..108].copy_from_slice(&[0, 0]);
    envelope::seal(&pair.b.envelope_key(), &id, &message, &mut rng(1)).unwrap()
}

#[test]
fn case_18_crossing_inits_converge_on_the_session_of_the_smaller_key() {
    for seed in 0..10 {
        let mut pair = Pair::strangers(seed);
        let (a, b) = (start_a(&mut pair), start_b(&mut pair));
        let expected = if pair.a.id() < pair.b.id() { a } else { b };
        let loser = if expected == a { b } else { a };
        // five rounds in which both write before either reads
        let mut late = None;
        for round in 0..5u8 {
            let (to_b, to_a) = (pair.a_sends(&[round]), pair.b_sends(&[round]));
            if round == 1 {
                late = Some((to_b, to_a));
                continue;
            }
            assert_eq!(*pair.b_gets(&to_b).unwrap().content, [round]);
            assert_eq!(*pair.a_gets(&to_a).unwrap().content, [round]);
        }
        assert_eq!(pair.book_a.sending_session(), Some(expected), "seed {seed}");
        assert_eq!(pair.book_b.sending_session(), Some(expected), "seed {seed}");
        // what comes late on the loser is read and changes nothing
        let (to_b, to_a) = late.unwrap();
        assert_eq!(*pair.b_gets(&to_b).unwrap().content, [1]);
        assert_eq!(*pair.a_gets(&to_a).unwrap().content, [1]);
        assert_eq!(pair.book_a.sending_session(), Some(expected));
        assert_eq!(pair.book_b.sending_session(), Some(expected));
        assert_ne!(Some(loser), pair.book_a.sending_session());
    }
}

#[test]
fn case_18_the_loser_still_decrypts_for_35_days() {
    let mut pair = Pair::strangers(3);
    let (a, b) = (start_a(&mut pair), start_b(&mut pair));
    let (to_b, to_a) = (pair.a_sends(b"x"), pair.b_sends(b"x"));
    // kept back on what will be the loser
    let (late_to_b, late_to_a) = (pair.a_sends(b"late"), pair.b_sends(b"late"));
    pair.b_gets(&to_b).unwrap();
    pair.a_gets(&to_a).unwrap();
    pair.a_says(b"a");
    pair.b_says(b"b");
    pair.a_says(b"a");
    let winner = pair.book_a.sending_session().unwrap();
    assert_eq!(pair.book_b.sending_session(), Some(winner));

    let almost = NOW.plus(INACTIVE_SESSION_AGE).minus(Duration::from_secs(1));
    let over = NOW.plus(INACTIVE_SESSION_AGE);
    pair.book_a.prune(almost, |_| true);
    pair.book_b.prune(almost, |_| true);
    if winner == a {
        assert_eq!(*pair.a_gets(&late_to_a).unwrap().content, *b"late");
    } else {
        assert_eq!(winner, b);
        assert_eq!(*pair.b_gets(&late_to_b).unwrap().content, *b"late");
    }
    pair.book_a.prune(over, |_| true);
    pair.book_b.prune(over, |_| true);
    assert_eq!(sessions(&pair.book_a).len(), 1);
    assert_eq!(sessions(&pair.book_b).len(), 1);
    assert_eq!(pair.book_a.take_changes().deleted.len(), 1);
}

#[test]
fn an_unconfirmed_session_does_not_send_while_a_confirmed_one_can() {
    let mut pair = Pair::talking(1);
    let old = pair.book_a.sending_session();
    let new = start_a(&mut pair);
    assert_eq!(pair.book_a.sending_session(), old);
    // a message on it confirms it and both move over
    let sent = send_on(&mut pair.a, &mut pair.book_a, &new, &pair.b);
    pair.b_gets(&sent.envelope).unwrap();
    assert_eq!(pair.book_b.sending_session(), Some(new));
    pair.b_says(b"over here");
    assert_eq!(pair.book_a.sending_session(), Some(new));
    assert_converged(&mut pair);
}

#[test]
fn a_message_on_an_inactive_session_makes_it_the_sending_one() {
    let mut pair = Pair::talking(2);
    let old = pair.book_a.sending_session().unwrap();
    let late = pair.b_sends(b"late");
    let new = start_a(&mut pair);
    let sent = send_on(&mut pair.a, &mut pair.book_a, &new, &pair.b);
    pair.b_gets(&sent.envelope).unwrap();
    pair.b_says(b"on the new one");
    assert_eq!(pair.book_a.sending_session(), Some(new));
    pair.a_gets(&late).unwrap();
    assert_eq!(pair.book_a.sending_session(), Some(old));
    assert_converged(&mut pair);
}

#[test]
fn a_chain_of_5000_without_answer_asks_for_a_new_session() {
    let mut pair = Pair::talking(3);
    let old = pair.book_a.sending_session();
    for _ in 0..MAX_CHAIN_WITHOUT_REPLY - 1 {
        let _ = pair.a_sends(b"x");
    }
    assert!(!pair.book_a.needs_new_session(NOW));
    let _ = pair.a_sends(b"x");
    assert!(pair.book_a.needs_new_session(NOW));
    let new = start_a(&mut pair);
    assert_eq!(pair.book_a.sending_session(), Some(new));
    assert_ne!(Some(new), old);
    assert!(!pair.book_a.needs_new_session(NOW));
    assert_converged(&mut pair);
}

#[test]
fn an_unanswered_session_is_renewed_while_its_prekey_still_lives() {
    let mut pair = Pair::strangers(4);
    assert!(pair.book_a.needs_new_session(NOW));
    start_a(&mut pair);
    let _ = pair.a_sends(b"x");
    assert!(!pair.book_a.needs_new_session(NOW.plus(20 * DAY)));
    // 35 days of life less the 14 that a relay may keep the last message
    assert!(pair.book_a.needs_new_session(NOW.plus(21 * DAY)));
    assert!(21 * DAY < UNACKNOWLEDGED_SESSION_AGE);
    // an answered one is not
    let pair = Pair::talking(4);
    assert!(!pair.book_a.needs_new_session(NOW.plus(300 * DAY)));
}

#[test]
fn three_different_failures_ask_for_a_reset_and_one_that_is_repeated_does_not() {
    let mut pair = Pair::talking(5);
    let same = failing_for_b(&mut pair, 1);
    for _ in 0..5 {
        assert_eq!(pair.b_gets(&same).unwrap_err(), DecryptError::Decrypt);
    }
    assert!(!pair.book_b.poll_reset(NOW));
    for salt in [2, 3] {
        assert!(!pair.book_b.poll_reset(NOW));
        let failing = failing_for_b(&mut pair, salt);
        pair.b_gets(&failing).unwrap_err();
    }
    assert!(pair.book_b.poll_reset(NOW));
    assert!(reload(&pair.book_b).poll_reset(NOW));
}

#[test]
fn one_failure_asks_for_a_reset_after_ten_minutes_without_a_good_message() {
    let mut pair = Pair::talking(6);
    let failing = failing_for_b(&mut pair, 1);
    pair.b_gets(&failing).unwrap_err();
    let late = NOW.plus(RESET_AFTER);
    assert!(!pair.book_b.poll_reset(late.minus(Duration::from_millis(1))));
    assert!(pair.book_b.poll_reset(late));
    pair.a_says(b"good");
    assert!(!pair.book_b.poll_reset(late));
}

#[test]
fn what_anybody_can_produce_asks_for_no_reset() {
    let mut pair = Pair::talking(7);
    let before = state(&pair.book_b);
    let key = pair.b.envelope_key();
    for n in 0..10 {
        let unknown = SessionId::new([n; 16]);
        let garbage = envelope::seal(&key, &unknown, &[1; 200], &mut rng(1)).unwrap();
        pair.b_gets(&garbage).unwrap_err();
    }
    // nor does a replay
    let message = pair.a_sends(b"x");
    pair.b_gets(&message).unwrap();
    let after = state(&pair.book_b);
    for _ in 0..5 {
        assert_eq!(pair.b_gets(&message).unwrap_err(), DecryptError::Replay);
    }
    assert!(!pair.book_b.poll_reset(NOW.plus(DAY)));
    assert_eq!(state(&pair.book_b), after);
    assert_ne!(before, after);
}

#[test]
fn resets_are_limited_to_one_an_hour_and_five_a_day() {
    let mut pair = Pair::talking(8);
    let mut now = NOW;
    for n in 0..u8::try_from(RESETS_PER_DAY).unwrap() {
        for salt in 0..3 {
            let failing = failing_for_b(&mut pair, 10 + 3 * n + salt);
            pair.b_gets(&failing).unwrap_err();
        }
        assert!(pair.book_b.poll_reset(now), "reset {n}");
        reset_b(&mut pair, now);
        assert!(!pair.book_b.poll_reset(now));
        for salt in 0..3 {
            let failing = failing_for_b(&mut pair, 100 + 3 * n + salt);
            pair.b_gets(&failing).unwrap_err();
        }
        assert!(
            !pair
                .book_b
                .poll_reset(now.plus(RESET_INTERVAL).minus(MINUTE))
        );
        now = now.plus(RESET_INTERVAL);
    }
    assert!(!pair.book_b.poll_reset(now), "five in a day");
    assert!(pair.book_b.poll_reset(NOW.plus(DAY)));
}

#[test]
fn after_a_reset_both_send_on_its_session_only() {
    let mut pair = Pair::talking(9);
    let old = pair.book_a.sending_session().unwrap();
    let late = pair.b_sends(b"late");
    let (new, reset) = reset_a(&mut pair, NOW);
    assert_eq!(pair.book_a.sending_session(), Some(new));
    // what was under way is read, but not followed
    pair.a_gets(&late).unwrap();
    assert_eq!(pair.book_a.sending_session(), Some(new));
    pair.b_gets(&reset).unwrap();
    pair.book_b.handle_reset(&new, NOW);
    assert_eq!(pair.book_b.sending_session(), Some(new));
    let (key_a, key_b) = (pair.a.envelope_key(), pair.b.envelope_key());
    let (a, b) = (&mut pair.a, &mut pair.b);
    for (book, from, key) in [(&mut pair.book_a, a, key_b), (&mut pair.book_b, b, key_a)] {
        let sent = book.encrypt_on(&old, &from.identity, &key, b"x", &mut from.rng);
        assert!(sent.is_err(), "the old session sends no more");
    }
    assert_converged(&mut pair);
    assert_eq!(pair.book_a.sending_session(), Some(new));
}

#[test]
fn resets_that_cross_converge_however_late_one_comes() {
    for seed in 0..6 {
        for late in [false, true] {
            for swap in [false, true] {
                let mut pair = Pair::talking(seed);
                let (ra, to_b) = reset_a(&mut pair, NOW);
                let (rb, to_a) = reset_b(&mut pair, NOW);
                if swap {
                    pair.a_gets(&to_a).unwrap();
                    pair.book_a.handle_reset(&rb, NOW);
                } else {
                    pair.b_gets(&to_b).unwrap();
                    pair.book_b.handle_reset(&ra, NOW);
                }
                if late {
                    // an answer confirms one's own RESET before the other's comes
                    if swap {
                        pair.a_says(b"a");
                    } else {
                        pair.b_says(b"b");
                    }
                }
                if swap {
                    pair.b_gets(&to_b).unwrap();
                    pair.book_b.handle_reset(&ra, NOW);
                } else {
                    pair.a_gets(&to_a).unwrap();
                    pair.book_a.handle_reset(&rb, NOW);
                }
                assert_converged(&mut pair);
            }
        }
    }
}

#[test]
fn a_plain_init_that_crosses_a_reset_gives_way_to_it() {
    for seed in 0..6 {
        for late in [false, true] {
            let mut pair = Pair::strangers(seed);
            let (ra, to_b) = reset_a(&mut pair, NOW);
            start_b(&mut pair);
            let to_a = pair.b_sends(b"plain");
            pair.b_gets(&to_b).unwrap();
            pair.book_b.handle_reset(&ra, NOW);
            if late {
                pair.b_says(b"b");
            }
            pair.a_gets(&to_a).unwrap();
            assert_converged(&mut pair);
        }
    }
}

#[test]
fn case_16_no_init_starts_a_second_session_while_its_signed_prekey_lives() {
    let mut pair = Pair::strangers(10);
    start_a(&mut pair);
    let init = pair.a_sends(b"x");
    let (id, spk) = {
        let opened = pair.b.open(&init);
        (opened.session_id(), opened.init().unwrap().signed_prekey)
    };
    pair.b_gets(&init).unwrap();
    // the session is long gone, the signed prekey is not (a device that was off)
    start_b(&mut pair);
    let sent = pair.b_sends(b"x");
    pair.a_gets(&sent).unwrap();
    pair.a_says(b"a");
    let far = NOW.plus(300 * DAY);
    let newer = start_b(&mut pair);
    let reset = send_on(&mut pair.b, &mut pair.book_b, &newer, &pair.a);
    pair.a_gets(&reset.envelope).unwrap();
    pair.book_b.reset_started(&newer, NOW);
    pair.book_b.prune(far, |_| true);
    assert_eq!(sessions(&pair.book_b).len(), 1);
    assert_ne!(pair.book_b.sending_session(), Some(id));
    pair.book_b = reload(&pair.book_b);
    assert_eq!(pair.b_gets(&init).unwrap_err(), DecryptError::NoSession);
    assert_eq!(sessions(&pair.book_b).len(), 1);
    // once it is, the record may go: the message finds no prekey
    pair.b.prekeys.signed.remove(&spk);
    let signed = &pair.b.prekeys.signed;
    pair.book_b.prune(far, |id| signed.contains_key(&id));
    assert_eq!(pair.b_gets(&init).unwrap_err(), DecryptError::PrekeyUnknown);
}

#[test]
fn a_contact_can_start_256_sessions_per_signed_prekey_and_no_more() {
    let mut pair = Pair::strangers(11);
    for n in 0..MAX_INIT_RECORDS {
        let id = start_a(&mut pair);
        let sent = send_on(&mut pair.a, &mut pair.book_a, &id, &pair.b);
        pair.b_gets(&sent.envelope).unwrap();
        let kept = sessions(&pair.book_b).len();
        assert!(kept <= MAX_INACTIVE_SESSIONS + 1, "{kept} after {n}");
    }
    let id = start_a(&mut pair);
    let sent = send_on(&mut pair.a, &mut pair.book_a, &id, &pair.b);
    let before = state(&pair.book_b);
    let refused = pair.b_gets(&sent.envelope).unwrap_err();
    assert_eq!(refused, DecryptError::TooManyInits);
    assert_eq!(state(&pair.book_b), before);
    let (book, sessions) = state(&pair.book_b);
    assert!(book.len() < 16 * 1024 && sessions.len() == MAX_INACTIVE_SESSIONS + 1);
    pair.book_b = reload(&pair.book_b);
}

#[test]
fn kept_keys_are_deleted_after_35_days() {
    let mut pair = Pair::talking(12);
    let late = [pair.a_sends(b"1"), pair.a_sends(b"2")];
    pair.a_says(b"3");
    pair.book_b.take_changes();
    let over = NOW.plus(SKIPPED_KEY_AGE);
    pair.book_b.prune(over.minus(MINUTE), |_| true);
    assert!(pair.book_b.take_changes().saved.is_empty());
    assert!(pair.b_gets(&late[0]).is_ok());
    pair.book_b.prune(over, |_| true);
    assert_eq!(pair.book_b.take_changes().saved.len(), 1);
    // it was never read, so it is no replay
    assert_eq!(pair.b_gets(&late[1]).unwrap_err(), DecryptError::Decrypt);
}

#[test]
fn a_bundle_of_somebody_else_or_of_oneself_starts_nothing() {
    let mut pair = Pair::strangers(13);
    let own = pair.a.bundle(NOW);
    let started = pair.book_a.start(
        &pair.a.identity,
        &pair.a.prekeys.dhk,
        &own,
        NOW,
        &mut pair.a.rng,
    );
    assert_eq!(started.unwrap_err(), StartError::WrongPeer);
    let theirs = pair.b.bundle(NOW);
    let started = pair.book_a.start(
        &pair.b.identity,
        &pair.b.prekeys.dhk,
        &theirs,
        NOW,
        &mut pair.b.rng,
    );
    assert_eq!(started.unwrap_err(), StartError::WrongIdentity);
    assert!(!pair.book_a.can_send());
}

#[test]
fn an_init_of_another_contact_is_not_for_this_book() {
    let mut pair = Pair::strangers(14);
    let mut carol = Person::new("carol", 99);
    let mut book = carol.book(&pair.b);
    carol.start(&mut book, &pair.b.bundle(NOW));
    let init = carol.send(&mut book, &pair.b, b"x").envelope;
    assert_eq!(pair.b.open(&init).initiator(), Some(carol.id()));
    assert_eq!(pair.b_gets(&init).unwrap_err(), DecryptError::NoSession);
}
