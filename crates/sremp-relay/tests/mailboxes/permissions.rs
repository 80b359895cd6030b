//! Who may write how much, and who gets a prekey (D6.3), in every store.

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use sremp_core::{
    error::ErrorCode,
    identity::{SecretIdentity, Username},
    session::prekey::{self, DhIdentity, EnvelopeKey, PrekeyId, SignedPrekey},
};
use sremp_relay::mailbox::{
    Limits, MAX_INTROS, MAX_ONE_TIME_PREKEYS, MailboxReader as _, MailboxStore as _, Op, Outcome,
    PrekeyCounts, TakenBundle,
};

use crate::mailboxes::*;

pub(crate) fn case_24_unknown_mailboxes_and_blocked_senders_are_denied_alike<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    backend.run(at(0), senders(BOB, &[EVE], &[EVE], None));
    assert_eq!(
        backend.refused(at(0), message(EVE, BOB, 1)),
        ErrorCode::Denied
    );
    assert_eq!(
        backend.refused(at(0), message(EVE, 77, 1)),
        ErrorCode::Denied
    );
    // the latest word holds
    backend.run(at(0), accept(BOB, &[EVE]));
    backend.restart();
    backend.put(at(0), message(EVE, BOB, 1));
    backend.run(at(0), senders(BOB, &[], &[EVE], None));
    assert_eq!(
        backend.refused(at(0), message(EVE, BOB, 1)),
        ErrorCode::Denied
    );
    assert_eq!(
        backend.run(at(0), accept(77, &[ANN])),
        Outcome::Refused(ErrorCode::Denied)
    );
}

pub(crate) fn case_24_quotas_hold_for_each_sender_for_strangers_together_and_for_the_mailbox<
    B: Backend,
>() {
    let limits = Limits {
        items: 9,
        bytes: 64 * 1_024,
        sender_items: 4,
        sender_bytes: 8 * 1_024,
        request_items: 2,
        request_size: 2_048,
        ..Limits::default()
    };
    let mut backend = with_bob::<B>(limits);
    for id in 0..4 {
        backend.put(at(0), message(ANN, BOB, id));
    }
    assert_eq!(
        backend.refused(at(0), message(ANN, BOB, 4)),
        ErrorCode::Quota
    );
    assert!(
        !backend.put(at(0), message(ANN, BOB, 3)).first,
        "what is there is answered"
    );
    backend.restart();
    assert_eq!(
        backend.refused(at(0), message(ANN, BOB, 4)),
        ErrorCode::Quota
    );
    // strangers share
    assert_eq!(
        backend.refused(at(0), sized(EVE, BOB, 0, 4_096)),
        ErrorCode::Quota
    );
    backend.put(at(0), message(EVE, BOB, 0));
    backend.put(at(0), message(9, BOB, 0));
    backend.restart();
    assert_eq!(
        backend.refused(at(0), message(10, BOB, 0)),
        ErrorCode::Quota
    );
    // bytes of an accepted sender
    backend.run(at(0), accept(BOB, &[11, 12]));
    backend.put(at(0), sized(11, BOB, 1, 4_096));
    assert_eq!(
        backend.refused(at(0), sized(11, BOB, 2, 8_192)),
        ErrorCode::Quota
    );
    // the mailbox
    backend.put(at(0), message(12, BOB, 1));
    backend.put(at(0), message(12, BOB, 2));
    assert_eq!(
        backend.refused(at(0), message(12, BOB, 3)),
        ErrorCode::Quota
    );
    // what is confirmed makes room
    backend.confirm(BOB, vec![confirmation(EVE, BOB, 0)]);
    backend.put(at(0), message(10, BOB, 0));
}

pub(crate) fn a_token_lets_a_stranger_in_and_a_one_time_token_once<B: Backend>() {
    let limits = Limits {
        request_items: 0,
        ..Limits::default()
    };
    let mut backend = with_bob::<B>(limits);
    let tokens = Some(vec![rule(1, false), rule(2, true)]);
    backend.run(at(0), senders(BOB, &[], &[], tokens));
    let with = |id, n| {
        let mut op = message(EVE, BOB, id);
        op.intro = Some(token(n));
        op
    };
    assert_eq!(
        backend.refused(at(0), message(EVE, BOB, 1)),
        ErrorCode::Quota
    );
    assert_eq!(backend.refused(at(0), with(1, 3)), ErrorCode::Quota);
    backend.put(at(0), with(1, 1));
    backend.put(at(0), with(2, 1));
    backend.put(at(0), with(3, 2));
    assert!(
        !backend.put(at(0), with(3, 2)).first,
        "lost answers do not burn"
    );
    backend.restart();
    assert_eq!(backend.refused(at(0), with(4, 2)), ErrorCode::Quota);
    // nil leaves the list as it is, another list replaces it
    backend.run(at(0), senders(BOB, &[], &[], None));
    backend.put(at(0), with(5, 1));
    backend.run(at(0), senders(BOB, &[], &[], Some(Vec::new())));
    assert_eq!(backend.refused(at(0), with(6, 1)), ErrorCode::Quota);
    let many = (0..=MAX_INTROS).map(|n| rule(n as u8, false)).collect();
    let refused = backend.run(at(0), senders(BOB, &[], &[], Some(many)));
    assert_eq!(refused, Outcome::Refused(ErrorCode::Quota));
}

pub(crate) fn a_token_stays_burnt_until_its_owner_lists_it_no_more<B: Backend>() {
    let limits = Limits {
        request_items: 0,
        ..Limits::default()
    };
    let mut backend = with_bob::<B>(limits);
    let list = |rules: &[_]| senders(BOB, &[], &[], Some(rules.to_vec()));
    let with = |id, n| {
        let mut op = message(EVE, BOB, id);
        op.intro = Some(token(n));
        op
    };
    backend.run(at(0), list(&[rule(2, true)]));
    backend.put(at(0), with(1, 2));
    // an owner that lists all it gave out does not know which of them are burnt
    backend.run(at(0), list(&[rule(2, true), rule(3, true)]));
    assert_eq!(backend.refused(at(0), with(2, 2)), ErrorCode::Quota);
    backend.restart();
    backend.run(at(0), list(&[rule(2, true), rule(3, true)]));
    assert_eq!(backend.refused(at(0), with(2, 2)), ErrorCode::Quota);
    backend.put(at(0), with(2, 3));
    // one that wants it again leaves it out once, or lets it in for more than once
    backend.run(at(0), list(&[rule(3, false)]));
    backend.put(at(0), with(3, 3));
    backend.run(at(0), list(&[rule(2, true)]));
    backend.put(at(0), with(4, 2));
}

fn take(asker: u8, of: u8, intro: Option<u8>) -> Op {
    Op::TakePrekey {
        asker: somebody(asker),
        recipient: somebody(of),
        intro: intro.map(token),
    }
}

fn given<B: Backend>(backend: &mut B, now: u64, asker: u8, intro: Option<u8>) -> TakenBundle {
    match backend.run(at(now), take(asker, BOB, intro)) {
        Outcome::Bundle(taken) => taken,
        other => panic!("no bundle: {other:?}"),
    }
}

pub(crate) fn a_one_time_prekey_is_given_once_and_one_an_hour_to_each<B: Backend>() {
    const HOUR: u64 = 60 * 60 * 1_000;
    let mut backend = with_bob::<B>(Limits::default());
    let none = Outcome::Refused(ErrorCode::NoPrekey);
    assert_eq!(backend.run(at(0), take(ANN, BOB, None)), none);
    assert_eq!(backend.run(at(0), take(ANN, 77, None)), none);
    let counts = PrekeyCounts {
        bundle: true,
        one_time: 3,
    };
    assert_eq!(
        backend.run(at(0), put_prekeys(BOB, Some(9), 0..3)),
        Outcome::Prekeys(counts)
    );
    // put again because its answer was lost, each is there once
    let again = Op::PutPrekeys {
        owner: somebody(BOB),
        bundle: None,
        one_time: [0, 1, 2, 2].map(|n| vec![n; 50]).to_vec(),
    };
    assert_eq!(backend.run(at(0), again), Outcome::Prekeys(counts));
    let first = given(&mut backend, 0, ANN, None);
    assert_eq!(
        (first.bundle, first.one_time, first.left),
        (vec![9; 99], Some(vec![0; 50]), 2)
    );
    backend.restart();
    assert_eq!(given(&mut backend, HOUR - 1, ANN, None).one_time, None);
    assert_eq!(
        given(&mut backend, HOUR, ANN, None).one_time,
        Some(vec![1; 50])
    );
    // the last one, and then the bundle alone
    assert_eq!(
        given(&mut backend, 2 * HOUR, ANN, None).one_time,
        Some(vec![2; 50])
    );
    assert_eq!(given(&mut backend, 3 * HOUR, ANN, None).one_time, None);
    // a new bundle replaces, one-time prekeys add up
    backend.run(at(0), put_prekeys(BOB, Some(8), 5..6));
    let ask = backend.run(at(0), put_prekeys(BOB, None, 0..0));
    let counts = PrekeyCounts {
        bundle: true,
        one_time: 1,
    };
    assert_eq!(ask, Outcome::Prekeys(counts));
    assert_eq!(
        backend.store().reader().prekeys(&somebody(BOB)).unwrap(),
        counts
    );
    let much = put_prekeys(BOB, None, 0..MAX_ONE_TIME_PREKEYS as u8 + 1);
    assert_eq!(backend.run(at(0), much), Outcome::Refused(ErrorCode::Quota));
}

pub(crate) fn one_time_prekeys_of_a_state_that_its_owner_has_lost_are_given_to_nobody<
    B: Backend,
>() {
    let mut rng = ChaCha20Rng::seed_from_u64(13);
    let name = Username::parse("bob").unwrap();
    let bob = SecretIdentity::generate(&name, at(0), &mut rng);
    let mut bundle = |dhk: &DhIdentity, n: u32| {
        let id = PrekeyId::new(n).unwrap();
        let spk = SignedPrekey::generate(&bob, id, at(0), &mut rng);
        let env = EnvelopeKey::generate(&bob, id, at(0), &mut rng);
        prekey::bundle(bob.identity(), dhk, &spk, &env, None)
    };
    let [first, other] = [1, 2].map(|n| {
        let mut rng = ChaCha20Rng::seed_from_u64(n);
        DhIdentity::generate(&bob, at(0), &mut rng)
    });
    let put = |bundle: Vec<u8>, one_time: std::ops::Range<u8>| Op::PutPrekeys {
        owner: somebody(BOB),
        bundle: Some(bundle),
        one_time: one_time.map(|n| vec![n; 50]).collect(),
    };
    let left = |outcome| match outcome {
        Outcome::Prekeys(counts) => counts.one_time,
        other => panic!("{other:?}"),
    };
    let mut backend = with_bob::<B>(Limits::default());
    assert_eq!(left(backend.run(at(0), put(bundle(&first, 1), 0..5))), 5);
    // a new signed prekey is no new state
    assert_eq!(left(backend.run(at(0), put(bundle(&first, 2), 5..7))), 7);
    assert_eq!(left(backend.run(at(0), put(bundle(&other, 3), 9..10))), 1);
    backend.restart();
    assert_eq!(
        given(&mut backend, 0, ANN, None).one_time,
        Some(vec![9; 50])
    );
}

pub(crate) fn case_24_a_flood_of_askers_does_not_empty_the_stock<B: Backend>() {
    let mut backend = with_bob::<B>(Limits::default());
    let tokens = Some(vec![rule(1, true), rule(2, false)]);
    backend.run(at(0), senders(BOB, &[], &[EVE], tokens));
    backend.run(at(0), put_prekeys(BOB, Some(9), 0..9));
    for asker in 20..40 {
        assert_eq!(
            given(&mut backend, 0, asker, None).one_time,
            None,
            "a stranger"
        );
    }
    let none = Outcome::Refused(ErrorCode::NoPrekey);
    assert_eq!(
        backend.run(at(0), take(EVE, BOB, None)),
        none,
        "who is blocked"
    );
    assert!(given(&mut backend, 0, 20, Some(1)).one_time.is_some());
    for asker in 21..40 {
        assert_eq!(
            given(&mut backend, 0, asker, Some(1)).one_time,
            None,
            "one token"
        );
    }
    assert!(given(&mut backend, 0, 40, Some(2)).one_time.is_some());
    assert_eq!(given(&mut backend, 0, 40, Some(2)).one_time, None);
}
