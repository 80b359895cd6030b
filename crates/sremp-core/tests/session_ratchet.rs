//! One session between two people: what arrives, what is refused, what stays as it was.

mod session_support;

use rand_chacha::rand_core::Rng as _;
use session_support::*;
use sremp_core::{
    constants::{MAX_CONTENT, MAX_SKIP, MAX_SKIPPED_KEYS},
    session::{
        DecryptError, EncryptError,
        envelope::{self, EnvelopePlaintext},
    },
};

/// Seals altered ratchet bytes as the sender would have, so that only the ratchet can refuse them.
fn reseal(to: &Person, original: &EnvelopePlaintext, message: &[u8]) -> Vec<u8> {
    let key = to.envelope_key();
    envelope::seal(&key, &original.session_id(), message, &mut rng(9)).unwrap()
}

#[test]
fn two_people_talk_in_both_directions() {
    let mut pair = Pair::talking(1);
    for round in 0..20u8 {
        pair.a_says(&[round, 1]);
        pair.a_says(&[round, 2]);
        pair.b_says(&[round, 3]);
        pair.book_a = reload(&pair.book_a);
        pair.book_b = reload(&pair.book_b);
    }
    assert_eq!(pair.book_a.sending_session(), pair.book_b.sending_session());
}

#[test]
fn a_session_starts_with_and_without_a_one_time_prekey_and_with_messages_out_of_order() {
    for with_otp in [false, true] {
        let mut pair = Pair::strangers(2);
        let bundle = if with_otp {
            pair.b.bundle_with_otp(NOW)
        } else {
            pair.b.bundle(NOW)
        };
        pair.a.start(&mut pair.book_a, &bundle);
        let sent: Vec<_> = (0..3u8).map(|n| pair.a_sends(&[n])).collect();
        for n in [2u8, 0, 1] {
            let incoming = pair.b_gets(&sent[usize::from(n)]).unwrap();
            assert_eq!(*incoming.content, [n]);
            assert_eq!(incoming.started, n == 2);
            assert_eq!(incoming.one_time_prekey.is_some(), with_otp && n == 2);
        }
        pair.b_says(b"answer");
        pair.a_says(b"no longer an INIT");
    }
}

#[test]
fn case_16_one_init_makes_one_session_and_one_message() {
    let mut pair = Pair::strangers(3);
    let bundle = pair.b.bundle_with_otp(NOW);
    pair.a.start(&mut pair.book_a, &bundle);
    let init = pair.a_sends(b"hello");

    let first = pair.b_gets(&init).unwrap();
    assert!(first.started);
    let otp = first.one_time_prekey.unwrap();
    pair.b.prekeys.one_time.remove(&otp).unwrap();
    let after_first = state(&pair.book_b);

    assert_eq!(pair.b_gets(&init).unwrap_err(), DecryptError::Replay);
    pair.book_b = reload(&pair.book_b);
    assert_eq!(pair.b_gets(&init).unwrap_err(), DecryptError::Replay);
    assert_eq!(state(&pair.book_b), after_first);

    // a later message of the same INIT belongs to the same session, though the OTP is gone
    let second = pair.a_sends(b"again");
    let second = pair.b_gets(&second).unwrap();
    assert!(!second.started);
    assert_eq!(second.session_id, first.session_id);
    assert_eq!(sessions(&pair.book_b).len(), 1);
}

#[test]
fn an_init_that_names_a_spent_or_deleted_prekey_is_dropped_and_a_new_session_wanted() {
    let mut pair = Pair::strangers(4);
    let bundle = pair.b.bundle_with_otp(NOW);
    pair.a.start(&mut pair.book_a, &bundle);
    let init = pair.a_sends(b"hello");
    let otps = std::mem::take(&mut pair.b.prekeys.one_time);
    assert!(!pair.book_b.poll_reset(NOW));
    assert_eq!(pair.b_gets(&init).unwrap_err(), DecryptError::PrekeyUnknown);
    assert!(pair.book_b.poll_reset(NOW), "no session is confirmed");
    pair.b.prekeys.one_time = otps;
    let spks = std::mem::take(&mut pair.b.prekeys.signed);
    assert_eq!(pair.b_gets(&init).unwrap_err(), DecryptError::PrekeyUnknown);
    assert!(sessions(&pair.book_b).is_empty());
    pair.b.prekeys.signed = spks;
    assert!(pair.b_gets(&init).is_ok());
    assert!(!pair.book_b.poll_reset(NOW));

    // with a session that works it takes three
    pair.book_a = pair.a.book(&pair.b);
    pair.b.prekeys.one_time.clear();
    pair.a.start(&mut pair.book_a, &bundle);
    for n in 0..3 {
        assert!(!pair.book_b.poll_reset(NOW), "{n}");
        let again = pair.a_sends(b"anew");
        assert_eq!(
            pair.b_gets(&again).unwrap_err(),
            DecryptError::PrekeyUnknown
        );
    }
    assert!(pair.book_b.poll_reset(NOW));
}

#[test]
fn case_17_every_plaintext_arrives_once_in_any_order() {
    for seed in 0..20 {
        let mut pair = Pair::talking(seed);
        let mut dice = rng(seed);
        let mut flying = Vec::new();
        let mut expected = Vec::new();
        let mut arrived = Vec::new();
        for n in 0..60u8 {
            if n % 20 == 0 {
                pair.b_says(b"turn");
            }
            let envelope = pair.a_sends(&[n]);
            if !dice.next_u32().is_multiple_of(5) {
                expected.push(n);
                flying.push(envelope.clone());
                if dice.next_u32().is_multiple_of(4) {
                    flying.push(envelope);
                }
            }
            while flying.len() > 12 {
                let at = dice.next_u32() as usize % flying.len();
                match pair.b_gets(&flying.swap_remove(at)) {
                    Ok(incoming) => arrived.push(incoming.content[0]),
                    Err(error) => assert_eq!(error, DecryptError::Replay, "seed {seed}"),
                }
            }
        }
        for envelope in flying {
            if let Ok(incoming) = pair.b_gets(&envelope) {
                arrived.push(incoming.content[0]);
            }
        }
        arrived.sort_unstable();
        assert_eq!(arrived, expected, "seed {seed}");
    }
}

#[test]
fn case_17_too_far_ahead_is_refused_and_changes_nothing() {
    let mut pair = Pair::talking(5);
    pair.a_says(b"the chain is known");
    let mut sent: Vec<_> = (0..MAX_SKIP + 2).map(|_| pair.a_sends(b"x")).collect();
    let too_far = sent.pop().unwrap();
    let furthest = sent.pop().unwrap();
    let before = sessions(&pair.book_b);
    assert_eq!(pair.b_gets(&too_far).unwrap_err(), DecryptError::SkipLimit);
    assert_eq!(sessions(&pair.book_b), before);

    // a forged tag on the furthest that is allowed stores no key
    let opened = pair.b.open(&furthest);
    let mut forged = opened.message().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = reseal(&pair.b, &opened, &forged);
    assert_eq!(pair.b_gets(&forged).unwrap_err(), DecryptError::Decrypt);
    assert_eq!(sessions(&pair.book_b), before);

    assert!(pair.b_gets(&furthest).is_ok());
    assert!(pair.b_gets(&sent[0]).is_ok());
    assert!(
        pair.b_gets(&sent[usize::try_from(MAX_SKIP).unwrap() - 1])
            .is_ok()
    );
}

#[test]
fn a_new_chain_that_starts_too_far_ahead_is_refused_and_changes_nothing() {
    let mut pair = Pair::talking(6);
    // of the chain that B knows nothing: all lost
    let lost: Vec<_> = (0..=MAX_SKIP + 1).map(|_| pair.a_sends(b"x")).collect();
    let before = sessions(&pair.book_b);
    let last = lost.last().unwrap();
    assert_eq!(pair.b_gets(last).unwrap_err(), DecryptError::SkipLimit);
    assert_eq!(sessions(&pair.book_b), before);
    assert!(pair.b_gets(&lost[lost.len() - 2]).is_ok());
}

#[test]
fn kept_keys_are_bounded_and_the_oldest_goes_first() {
    let mut pair = Pair::talking(7);
    let mut late = Vec::new();
    for _ in 0..3 {
        let batch: Vec<_> = (0..901).map(|_| pair.a_sends(b"x")).collect();
        pair.b_gets(batch.last().unwrap()).unwrap();
        pair.b_says(b"turn");
        late.push(batch);
    }
    let size: usize = sessions(&pair.book_b).iter().map(Vec::len).sum();
    assert!(size < 3_400 + MAX_SKIPPED_KEYS * 48, "{size} bytes");
    assert_eq!(pair.b_gets(&late[0][0]).unwrap_err(), DecryptError::Decrypt);
    assert!(pair.b_gets(&late[2][0]).is_ok());
    assert!(pair.b_gets(&late[0][899]).is_ok());
}

#[test]
fn no_altered_byte_of_a_message_is_accepted_or_changes_a_session() {
    let mut pair = Pair::talking(8);
    // a message with a new ratchet key, and one on the chain that it starts
    let turn = pair.a_sends(b"turn");
    let opened = pair.b.open(&turn);
    let before = sessions(&pair.book_b);
    for at in 0..opened.message().len() {
        let mut forged = opened.message().to_vec();
        forged[at] ^= 1 << (at % 8);
        let forged = reseal(&pair.b, &opened, &forged);
        assert!(pair.b_gets(&forged).is_err(), "byte {at}");
        assert_eq!(sessions(&pair.book_b), before, "byte {at}");
    }
    pair.b_gets(&turn).unwrap();
    let next = pair.a_sends(b"next");
    let opened = pair.b.open(&next);
    let before = sessions(&pair.book_b);
    for at in 0..opened.message().len() {
        let mut forged = opened.message().to_vec();
        forged[at] ^= 1 << (at % 8);
        let forged = reseal(&pair.b, &opened, &forged);
        assert!(pair.b_gets(&forged).is_err(), "byte {at}");
        assert_eq!(sessions(&pair.book_b), before, "byte {at}");
    }
    assert!(pair.b_gets(&next).is_ok());
}

#[test]
fn no_altered_byte_of_a_first_message_makes_a_session() {
    let mut pair = Pair::strangers(9);
    let bundle = pair.b.bundle_with_otp(NOW);
    pair.a.start(&mut pair.book_a, &bundle);
    let init = pair.a_sends(b"hello");
    let opened = pair.b.open(&init);
    // every byte of the fields, some of the KEM ciphertext
    let len = opened.message().len();
    for at in (0..190).chain((190..1278).step_by(31)).chain(1278..len) {
        let mut forged = opened.message().to_vec();
        forged[at] ^= 1 << (at % 8);
        let forged = reseal(&pair.b, &opened, &forged);
        assert!(pair.b_gets(&forged).is_err(), "byte {at}");
        assert!(sessions(&pair.book_b).is_empty(), "byte {at}");
    }
    assert!(pair.b_gets(&init).unwrap().started);
}

#[test]
fn no_cut_message_is_accepted() {
    let mut pair = Pair::strangers(10);
    let bundle = pair.b.bundle(NOW);
    pair.a.start(&mut pair.book_a, &bundle);
    let init = pair.a_sends(b"hello");
    let opened = pair.b.open(&init);
    let before = state(&pair.book_b);
    for len in (0..opened.message().len()).filter(|len| len % 13 == 0 || *len > 1200) {
        let cut = reseal(&pair.b, &opened, &opened.message()[..len]);
        assert!(pair.b_gets(&cut).is_err(), "length {len}");
    }
    assert_eq!(state(&pair.book_b), before);
}

#[test]
fn case_15_a_first_message_with_a_zero_key_makes_no_session() {
    let mut pair = Pair::strangers(11);
    let bundle = pair.b.bundle(NOW);
    pair.a.start(&mut pair.book_a, &bundle);
    let init = pair.a_sends(b"hello");
    let opened = pair.b.open(&init);
    let before = state(&pair.book_b);
    for field in [38..70, 150..182] {
        let mut forged = opened.message().to_vec();
        forged[field].fill(0);
        let forged = reseal(&pair.b, &opened, &forged);
        assert_eq!(pair.b_gets(&forged).unwrap_err(), DecryptError::Decrypt);
    }
    assert_eq!(state(&pair.book_b), before);
}

#[test]
fn a_first_message_under_another_session_id_makes_no_session() {
    let mut pair = Pair::strangers(12);
    let bundle = pair.b.bundle(NOW);
    pair.a.start(&mut pair.book_a, &bundle);
    let init = pair.a_sends(b"hello");
    let opened = pair.b.open(&init);
    let before = state(&pair.book_b);
    let other = sremp_core::id::SessionId::new([7; 16]);
    let key = pair.b.envelope_key();
    let forged = envelope::seal(&key, &other, opened.message(), &mut rng(1)).unwrap();
    assert_eq!(pair.b_gets(&forged).unwrap_err(), DecryptError::Decrypt);
    assert_eq!(state(&pair.book_b), before);
}

#[test]
fn what_one_said_cannot_be_reflected() {
    let mut pair = Pair::strangers(13);
    let bundle = pair.b.bundle(NOW);
    pair.a.start(&mut pair.book_a, &bundle);
    let init = pair.a_sends(b"hello");
    let reflected = reseal(&pair.a, &pair.b.open(&init), pair.b.open(&init).message());
    let before = sessions(&pair.book_a);
    assert!(pair.a_gets(&reflected).is_err());
    pair.b_gets(&init).unwrap();
    pair.b_says(b"hi");
    let normal = pair.a_sends(b"normal");
    let opened = pair.b.open(&normal);
    let before_normal = sessions(&pair.book_a);
    assert_ne!(before, before_normal);
    let reflected = reseal(&pair.a, &opened, opened.message());
    assert_eq!(pair.a_gets(&reflected).unwrap_err(), DecryptError::Decrypt);
    assert_eq!(sessions(&pair.book_a), before_normal);
}

#[test]
fn a_message_of_another_session_or_contact_is_refused() {
    let mut pair = Pair::talking(14);
    let mut other = Pair::talking(15);
    let foreign = other.a_sends(b"foreign");
    let opened = other.b.open(&foreign);
    let unknown = reseal(&pair.b, &opened, opened.message());
    assert_eq!(pair.b_gets(&unknown).unwrap_err(), DecryptError::NoSession);
    // under the id of a session that is known
    let id = pair.book_b.sending_session().unwrap();
    let key = pair.b.envelope_key();
    let forged = envelope::seal(&key, &id, opened.message(), &mut rng(1)).unwrap();
    let before = sessions(&pair.book_b);
    assert_eq!(pair.b_gets(&forged).unwrap_err(), DecryptError::Decrypt);
    assert_eq!(sessions(&pair.book_b), before);
}

#[test]
fn an_unknown_suite_is_named() {
    let mut pair = Pair::talking(16);
    let message = pair.a_sends(b"x");
    let opened = pair.b.open(&message);
    let mut other = opened.message().to_vec();
    other[1] = 2;
    let other = reseal(&pair.b, &opened, &other);
    assert_eq!(pair.b_gets(&other).unwrap_err(), DecryptError::Suite);
}

#[test]
fn content_up_to_58_kib_goes_into_a_first_message_and_more_is_refused() {
    let mut pair = Pair::strangers(17);
    let bundle = pair.b.bundle_with_otp(NOW);
    pair.a.start(&mut pair.book_a, &bundle);
    let before = sessions(&pair.book_a);
    let too_large = pair.book_a.encrypt(
        &pair.a.identity,
        &pair.b.envelope_key(),
        &vec![0; MAX_CONTENT + 1],
        &mut pair.a.rng,
    );
    assert_eq!(too_large.unwrap_err(), EncryptError::TooLarge);
    assert_eq!(sessions(&pair.book_a), before);
    let content: Vec<u8> = (0..MAX_CONTENT).map(|n| n as u8).collect();
    pair.a_says(&content);
    pair.a_says(b"");
}

#[test]
fn an_envelope_key_of_somebody_else_and_another_identity_are_refused() {
    let mut pair = Pair::talking(18);
    let (own_key, peer_key) = (pair.a.envelope_key(), pair.b.envelope_key());
    let wrong = pair
        .book_a
        .encrypt(&pair.a.identity, &own_key, b"x", &mut pair.a.rng);
    assert_eq!(wrong.unwrap_err(), EncryptError::WrongEnvelopeKey);
    let wrong = pair
        .book_a
        .encrypt(&pair.b.identity, &peer_key, b"x", &mut pair.a.rng);
    assert_eq!(wrong.unwrap_err(), EncryptError::WrongIdentity);
}

#[test]
fn a_damaged_state_is_refused() {
    let pair = Pair::talking(19);
    let snapshot = pair.book_a.snapshot();
    let book = snapshot.book.unwrap();
    let session = &snapshot.saved[0].1;
    let load = |book: &[u8], sessions: &[&[u8]]| {
        sremp_core::session::book::SessionBook::load(
            pair.a.id(),
            pair.b.id(),
            Some(book),
            sessions.iter().copied(),
        )
        .is_ok()
    };
    assert!(load(&book, &[session]));
    assert!(!load(&book, &[]));
    assert!(!load(&book, &[session, session]));
    assert!(!load(&[&book[..], &[0]].concat(), &[session]));
    assert!(!load(&book[..book.len() - 1], &[session]));
    assert!(!load(&book, &[&session[..session.len() - 1]]));
    assert!(!load(&book, &[&[&session[..], &[0]].concat()]));
    let mut newer = session.to_vec();
    newer[0] += 1;
    assert!(!load(&book, &[&newer]));
    for len in 0..session.len() {
        assert!(!load(&book, &[&session[..len]]));
    }
}

#[test]
fn nothing_secret_is_printed() {
    let mut pair = Pair::talking(20);
    let envelope = pair.a_sends(b"a secret sentence");
    let incoming = pair.b_gets(&envelope).unwrap();
    let changes = pair.book_b.take_changes();
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        pair.book_b, incoming, changes, pair.b.prekeys.dhk, pair.b.env, pair.b.prekeys.signed
    );
    assert!(!shown.contains("secret sentence"));
    let secret = pair.b.prekeys.dhk.to_bytes();
    let hex: String = secret[1..33].iter().map(|b| format!("{b:02x}")).collect();
    assert!(!shown.contains(&hex));
    assert!(shown.len() < 2_000, "{shown}");
}

#[test]
fn a_book_says_what_changed_and_nothing_else() {
    let mut pair = Pair::talking(21);
    let _ = pair.book_a.take_changes();
    let nothing = pair.book_a.take_changes();
    assert!(nothing.book.is_none() && nothing.saved.is_empty() && nothing.deleted.is_empty());
    let _ = pair.a_sends(b"x");
    let changes = pair.book_a.take_changes();
    assert!(changes.book.is_none());
    assert_eq!(changes.saved.len(), 1);
    assert_eq!(*changes.saved[0].1, sessions(&pair.book_a)[0]);
}
