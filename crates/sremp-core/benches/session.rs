//! The session layer on one core. The yardstick is vodozemac's Olm on the same machine.

#[path = "../tests/session_support/mod.rs"]
mod session_support;

use divan::{Bencher, black_box};
use session_support::*;
use sremp_core::{
    id::SessionId,
    session::{
        envelope::{self, EnvelopePlaintext},
        prekey::PrekeyBundle,
    },
};

fn main() {
    divan::main();
}

const CONTENT: [u8; 1024] = [7; 1024];

/// A message from A to B without envelope.
fn a_to_b(pair: &mut Pair, id: &SessionId) {
    let (a, book) = (&mut pair.a, &mut pair.book_a);
    let sent = book.encrypt_message(id, &a.identity, &CONTENT, &mut a.rng);
    let plaintext = EnvelopePlaintext::new(*id, sent.unwrap().0);
    let read = pair.book_b.decrypt(&pair.b.prekeys, &plaintext, NOW);
    black_box(read.unwrap());
}

fn b_to_a(pair: &mut Pair, id: &SessionId) {
    let (b, book) = (&mut pair.b, &mut pair.book_b);
    let sent = book.encrypt_message(id, &b.identity, &CONTENT, &mut b.rng);
    let plaintext = EnvelopePlaintext::new(*id, sent.unwrap().0);
    let read = pair.book_a.decrypt(&pair.a.prekeys, &plaintext, NOW);
    black_box(read.unwrap());
}

/// Encrypt and decrypt 1 KB in a chain, no envelope. Limit: half of vodozemac's 20 µs.
#[divan::bench]
fn message_1_kb_both_sides(bencher: Bencher<'_, '_>) {
    let mut pair = Pair::talking(1);
    let id = pair.book_a.sending_session().unwrap();
    a_to_b(&mut pair, &id);
    bencher.bench_local(|| a_to_b(&mut pair, &id));
}

/// Two messages and two Diffie-Hellman steps with their signed keys. Limit: 1.05 × vodozemac's
/// ping-pong (208 µs), and two signatures and checks.
#[divan::bench]
fn turn_both_sides(bencher: Bencher<'_, '_>) {
    let mut pair = Pair::talking(1);
    let id = pair.book_a.sending_session().unwrap();
    bencher.bench_local(|| {
        a_to_b(&mut pair, &id);
        b_to_a(&mut pair, &id);
    });
}

/// What a turn pays for its two signed keys.
#[divan::bench]
fn two_signatures_and_checks(bencher: Bencher<'_, '_>) {
    let person = Person::new("alice", 1);
    let label = sremp_core::signature::SignatureLabel::RatchetKey;
    let id = person.id();
    bencher.bench_local(|| {
        for _ in 0..2 {
            let signature = person.identity.sign(label, black_box(&[7; 53]));
            id.verify(label, &[7; 53], &signature).unwrap();
        }
    });
}

/// Seal and open an envelope with 1 KB. Limit: 150 µs, the ratchet included.
#[divan::bench]
fn envelope_both_sides(bencher: Bencher<'_, '_>) {
    let mut bob = Person::new("bob", 1);
    let (key, id) = (bob.envelope_key(), SessionId::new([1; 16]));
    bencher.bench_local(|| {
        let sealed = envelope::seal(&key, &id, &CONTENT, &mut bob.rng).unwrap();
        black_box(envelope::open(&bob.env, &sealed).unwrap());
    });
}

/// A whole message of 1 KB in its envelope. Limit: 150 µs.
#[divan::bench]
fn whole_message_both_sides(bencher: Bencher<'_, '_>) {
    let mut pair = Pair::talking(1);
    bencher.bench_local(|| {
        let envelope = pair.a_sends(&CONTENT);
        black_box(pair.b_gets(&envelope).unwrap());
    });
}

/// From a verified bundle to the first message decrypted: PQXDH, first ratchet step, envelope.
/// Limit: 1.3 ms.
#[divan::bench]
fn first_message_both_sides(bencher: Bencher<'_, '_>) {
    let mut pair = Pair::strangers(1);
    let bundle = pair.b.bundle_with_otp(NOW);
    bencher.bench_local(|| {
        pair.book_a = pair.a.book(&pair.b);
        pair.book_b = pair.b.book(&pair.a);
        pair.a.start(&mut pair.book_a, &bundle);
        let envelope = pair.a_sends(&CONTENT);
        black_box(pair.b_gets(&envelope).unwrap());
    });
}

/// The five signatures and the keys of a bundle.
#[divan::bench]
fn bundle_verified(bencher: Bencher<'_, '_>) {
    let mut bob = Person::new("bob", 1);
    let otp = bob.add_one_time_prekey(NOW);
    let bytes = bob.bundle_bytes(Some(otp));
    bencher.bench_local(|| PrekeyBundle::verify(black_box(&bytes), &bob.id(), NOW).unwrap());
}

/// A message 1000 ahead of its chain. Limit: 1.5 ms.
#[divan::bench]
fn thousand_keys_skipped(bencher: Bencher<'_, '_>) {
    let mut pair = Pair::talking(1);
    let id = pair.book_a.sending_session().unwrap();
    a_to_b(&mut pair, &id);
    let mut last = None;
    for _ in 0..=1_000 {
        let (a, book) = (&mut pair.a, &mut pair.book_a);
        let sent = book.encrypt_message(&id, &a.identity, b"x", &mut a.rng);
        last = Some(EnvelopePlaintext::new(id, sent.unwrap().0));
    }
    let last = last.unwrap();
    bencher
        .with_inputs(|| reload(&pair.book_b))
        .bench_local_values(|mut book| {
            black_box(book.decrypt(&pair.b.prekeys, &last, NOW).unwrap());
            book
        });
}

/// The changes of one message, encoded.
#[divan::bench]
fn state_saved(bencher: Bencher<'_, '_>) {
    let pair = Pair::talking(1);
    bencher.bench_local(|| pair.book_a.snapshot());
}
