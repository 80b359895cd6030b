//! Attacks that need the inside of a session: valid messages under headers that no honest sender
//! writes, and a thief who has the state but not the identity key.

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};

use super::*;
use crate::{
    constants::{MAX_LATE_CHAINS, MAX_RECEIVING_CHAINS, MAX_SKIP, SKIPPED_KEY_AGE},
    identity::Username,
    session::{
        DecryptError,
        header::{RatchetMessage, encode_normal},
        key::RatchetPublicKey,
        prekey::{EnvelopeKey, OneTimePrekey, PrekeyLookup, SignedPrekey, bundle},
    },
    signature::{Signature, SignatureLabel},
};

const NOW: UnixMillis = UnixMillis::saturating(1_760_000_000_000);

struct Person {
    identity: SecretIdentity,
    dhk: DhIdentity,
    spk: SignedPrekey,
    otp: OneTimePrekey,
    env: EnvelopeKey,
}

impl PrekeyLookup for Person {
    fn dh_identity(&self) -> &DhIdentity {
        &self.dhk
    }
    fn signed_prekey(&self, id: PrekeyId) -> Option<&SignedPrekey> {
        (self.spk.id() == id).then_some(&self.spk)
    }
    fn one_time_prekey(&self, id: PrekeyId) -> Option<&OneTimePrekey> {
        (self.otp.id() == id).then_some(&self.otp)
    }
}

fn person(name: &str, rng: &mut ChaCha20Rng) -> Person {
    let username = Username::parse(name).unwrap();
    let identity = SecretIdentity::generate(&username, NOW, rng);
    let id = |n| PrekeyId::new(n).unwrap();
    Person {
        dhk: DhIdentity::generate(&identity, NOW, rng),
        spk: SignedPrekey::generate(&identity, id(1), NOW, rng),
        otp: OneTimePrekey::generate(&identity, id(2), NOW, rng),
        env: EnvelopeKey::generate(&identity, id(3), NOW, rng),
        identity,
    }
}

struct Pair {
    rng: ChaCha20Rng,
    a: Person,
    b: Person,
    book_a: SessionBook,
    book_b: SessionBook,
}

impl Pair {
    fn started() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (a, b) = (person("alice", &mut rng), person("bob", &mut rng));
        let (id_a, id_b) = (a.identity.id(), b.identity.id());
        let bytes = bundle(b.identity.identity(), &b.dhk, &b.spk, &b.env, Some(&b.otp));
        let bundle = PrekeyBundle::verify(&bytes, &id_b, NOW).unwrap();
        let mut book_a = SessionBook::new(id_a, id_b);
        book_a
            .start(&a.identity, &a.dhk, &bundle, NOW, &mut rng)
            .unwrap();
        let book_b = SessionBook::new(id_b, id_a);
        Self {
            rng,
            a,
            b,
            book_a,
            book_b,
        }
    }

    /// A has the floor: B's last message turned the ratchet, A's next one carries a new key.
    fn talking() -> Self {
        let mut pair = Self::started();
        pair.a_says().unwrap();
        pair.b_says().unwrap();
        pair
    }

    fn session_a(&mut self) -> &mut Session {
        &mut self.book_a.entries[0].session
    }

    fn session_b(&mut self) -> &mut Session {
        &mut self.book_b.entries[0].session
    }

    fn a_sends(&mut self) -> Vec<u8> {
        let session = &mut self.book_a.entries[0].session;
        let sent = session.encrypt(&self.a.identity, b"from a", &mut self.rng);
        sent.unwrap().0
    }

    /// Hands ratchet bytes of A's session to B.
    fn b_gets(&mut self, message: &[u8]) -> Result<(), DecryptError> {
        let id = self.book_a.entries[0].session.id;
        let key = self.b.env.public_part();
        let sealed = envelope::seal(key, &id, message, &mut self.rng).unwrap();
        let opened = envelope::open(&self.b.env, &sealed).unwrap();
        self.book_b.decrypt(&self.b, &opened, NOW).map(drop)
    }

    fn a_says(&mut self) -> Result<(), DecryptError> {
        let message = self.a_sends();
        self.b_gets(&message)
    }

    fn b_says(&mut self) -> Result<(), DecryptError> {
        let key = self.a.env.public_part();
        let sent = self
            .book_b
            .encrypt(&self.b.identity, key, b"from b", &mut self.rng)
            .unwrap();
        let opened = envelope::open(&self.a.env, &sent.envelope).unwrap();
        self.book_a.decrypt(&self.a, &opened, NOW).map(drop)
    }

    /// B refuses what A's session, after `tamper`, sends in all authenticity.
    fn refused(mut self, tamper: impl FnOnce(&mut Session)) -> DecryptError {
        let before = self.session_b().to_bytes();
        // the new key is made, then the state of A is bent
        let session = &mut self.book_a.entries[0].session;
        let honest = session.to_bytes();
        session
            .encrypt(&self.a.identity, b"lost", &mut self.rng)
            .unwrap();
        tamper(session);
        let bent = self.a_sends();
        let error = self.b_gets(&bent).unwrap_err();
        assert_eq!(self.session_b().to_bytes(), before);
        // and the session goes on for the honest
        let (own, peer) = (self.a.identity.id(), self.b.identity.id());
        let sides = Sides {
            own: &own,
            peer: &peer,
        };
        *self.session_a() = Session::from_bytes(&sides, &honest).unwrap();
        self.a_says().unwrap();
        error
    }
}

fn sending(session: &mut Session) -> &mut crate::session::ratchet::SendingChain {
    session.sending.as_mut().unwrap()
}

#[test]
fn case_17_a_new_ratchet_key_without_its_signature_is_refused() {
    let wrong = |sig: [u8; 64]| move |s: &mut Session| sending(s).key_sig = Signature::new(sig);
    assert_eq!(
        Pair::talking().refused(wrong([0; 64])),
        DecryptError::Decrypt
    );
    assert_eq!(
        Pair::talking().refused(wrong([7; 64])),
        DecryptError::Decrypt
    );
}

#[test]
fn case_17_a_signature_for_another_session_epoch_role_or_key_is_refused() {
    type Parts = ([u8; 16], u8, u32, [u8; 32]);
    type Case = (&'static str, fn(&mut Parts));
    let cases: [Case; 5] = [
        ("session", |p| p.0[0] ^= 1),
        ("role", |p| p.1 = 1),
        ("an epoch before", |p| p.2 = 0),
        ("an epoch ahead", |p| p.2 = 2),
        ("key", |p| p.3[0] ^= 1),
    ];
    for (name, alter) in cases {
        let pair = Pair::talking();
        let parts = pair.a.identity.to_parts();
        let signer = SecretIdentity::from_parts(&parts).unwrap();
        let error = pair.refused(|session| {
            let id = *session.id.as_bytes();
            let chain = sending(session);
            let mut parts = (id, 0, chain.epoch, *chain.key.public().as_bytes());
            alter(&mut parts);
            let (id, role, epoch, key) = parts;
            let payload = [&id[..], &[role], &epoch.to_le_bytes(), &key].concat();
            chain.key_sig = signer.sign(SignatureLabel::RatchetKey, &payload);
        });
        assert_eq!(error, DecryptError::Decrypt, "{name}");
    }
}

#[test]
fn case_09_a_signature_under_any_other_label_pushes_no_ratchet_key() {
    for label in SignatureLabel::ALL {
        if label == SignatureLabel::RatchetKey {
            continue;
        }
        let pair = Pair::talking();
        let signer = SecretIdentity::from_parts(&pair.a.identity.to_parts()).unwrap();
        let error = pair.refused(|session| {
            let id = *session.id.as_bytes();
            let chain = sending(session);
            let (epoch, key) = (chain.epoch.to_le_bytes(), chain.key.public());
            let payload = [&id[..], &[0], &epoch, key.as_bytes()].concat();
            chain.key_sig = signer.sign(label, &payload);
        });
        assert_eq!(error, DecryptError::Decrypt, "{label:?}");
    }
}

#[test]
fn a_known_key_must_carry_the_same_signature_bytes() {
    let mut pair = Pair::talking();
    pair.a_says().unwrap();
    let before = pair.session_b().to_bytes();
    let chain = sending(pair.session_a());
    let honest = chain.key_sig;
    chain.key_sig = Signature::new([1; 64]);
    assert_eq!(pair.a_says(), Err(DecryptError::Decrypt));
    assert_eq!(pair.session_b().to_bytes(), before);
    sending(pair.session_a()).key_sig = honest;
    pair.a_says().unwrap();
}

#[test]
fn case_17_stolen_state_without_the_identity_key_cannot_advance_the_session() {
    let mut pair = Pair::talking();
    let (own, peer) = (pair.a.identity.id(), pair.b.identity.id());
    let sides = Sides {
        own: &own,
        peer: &peer,
    };
    let stolen = pair.session_a().to_bytes();
    let mut thief = Session::from_bytes(&sides, &stolen).unwrap();
    let other = person("mallory", &mut pair.rng).identity;
    let (forged, _) = thief.encrypt(&other, b"from a", &mut pair.rng).unwrap();
    let before = pair.session_b().to_bytes();
    assert_eq!(pair.b_gets(&forged), Err(DecryptError::Decrypt));
    assert_eq!(pair.session_b().to_bytes(), before);
    // the owner goes on, and a round trip later the stolen state reads nothing
    pair.a_says().unwrap();
    pair.b_says().unwrap();
    pair.a_says().unwrap();
    let key = pair.a.env.public_part();
    let sent = pair
        .book_b
        .encrypt(&pair.b.identity, key, b"private", &mut pair.rng)
        .unwrap();
    let opened = envelope::open(&pair.a.env, &sent.envelope).unwrap();
    let mut thief = SessionBook::new(own, peer);
    thief.insert(Session::from_bytes(&sides, &stolen).unwrap(), NOW);
    assert!(thief.decrypt(&pair.a, &opened, NOW).is_err());
    pair.book_a.decrypt(&pair.a, &opened, NOW).unwrap();
}

#[test]
fn all_keys_of_both_sides_stolen_after_a_message_was_read_do_not_read_it() {
    let mut pair = Pair::talking();
    let (a, b) = (pair.a.identity.id(), pair.b.identity.id());
    let id = pair.session_a().id;
    // one that turns the ratchet, and two of the same chain, the last of which comes first
    let [first, second, third] = [(); 3].map(|()| {
        let message = pair.a_sends();
        let key = pair.b.env.public_part();
        envelope::seal(key, &id, &message, &mut pair.rng).unwrap()
    });
    for sealed in [&first, &third, &second] {
        let opened = envelope::open(&pair.b.env, sealed).unwrap();
        pair.book_b.decrypt(&pair.b, &opened, NOW).unwrap();
    }
    // each with what its owner has, and prekeys, identity and envelope keys of both
    let [of_a, of_b] = [pair.session_a().to_bytes(), pair.session_b().to_bytes()];
    let stolen = [(b, a, of_b, &pair.b), (a, b, of_a, &pair.a)];
    for (own, peer, state, keys) in stolen {
        let sides = Sides {
            own: &own,
            peer: &peer,
        };
        for sealed in [&first, &second, &third] {
            let opened = envelope::open(&pair.b.env, sealed).unwrap();
            let mut thief = SessionBook::new(own, peer);
            thief.insert(Session::from_bytes(&sides, &state).unwrap(), NOW);
            assert!(thief.decrypt(keys, &opened, NOW).is_err());
        }
    }
}

#[test]
fn a_second_new_key_without_ours_in_between_is_refused() {
    // B has not answered: no key of B's exists that A could answer
    let mut pair = Pair::talking();
    pair.a_says().unwrap();
    let before = pair.session_b().to_bytes();
    pair.session_a().sending = None;
    assert_eq!(pair.a_says(), Err(DecryptError::Decrypt));
    assert_eq!(pair.session_b().to_bytes(), before);
    // B has answered, A has not seen it and makes a key on its old root
    let mut pair = Pair::talking();
    pair.a_says().unwrap();
    let key = pair.a.env.public_part();
    let _unseen = pair
        .book_b
        .encrypt(&pair.b.identity, key, b"x", &mut pair.rng);
    let before = pair.session_b().to_bytes();
    pair.session_a().sending = None;
    assert_eq!(pair.a_says(), Err(DecryptError::Decrypt));
    assert_eq!(pair.session_b().to_bytes(), before);
}

#[test]
fn a_previous_chain_shorter_than_what_came_or_too_long_is_refused() {
    let mut pair = Pair::talking();
    pair.a_says().unwrap();
    pair.a_says().unwrap();
    pair.b_says().unwrap();
    assert_eq!(
        pair.refused(|session| session.pn = 1),
        DecryptError::Decrypt
    );
    let error = Pair::talking().refused(|session| session.pn = 1 + MAX_SKIP + 1);
    assert_eq!(error, DecryptError::SkipLimit);
    // the very first chain has none before it
    let mut pair = Pair::started();
    pair.session_a().pn = 1;
    assert_eq!(pair.a_says(), Err(DecryptError::Decrypt));
    assert!(pair.book_b.entries.is_empty());
}

#[test]
fn a_message_behind_the_announced_end_of_a_chain_is_refused() {
    let mut pair = Pair::talking();
    pair.a_says().unwrap();
    let (own, peer) = (pair.a.identity.id(), pair.b.identity.id());
    let sides = Sides {
        own: &own,
        peer: &peer,
    };
    let old = pair.session_a().to_bytes();
    pair.b_says().unwrap();
    pair.a_says().unwrap();
    let before = pair.session_b().to_bytes();
    *pair.session_a() = Session::from_bytes(&sides, &old).unwrap();
    assert_eq!(pair.a_says(), Err(DecryptError::Decrypt));
    assert_eq!(pair.session_b().to_bytes(), before);
}

#[test]
fn a_signed_ratchet_key_of_small_order_is_refused() {
    let mut pair = Pair::talking();
    let before = pair.session_b().to_bytes();
    let session = &mut pair.book_a.entries[0].session;
    let zero = RatchetPublicKey::new([0; 32]);
    let epoch = session.sent_keys.to_le_bytes();
    let payload = [session.id.as_bytes().as_slice(), &[0], &epoch, &[0; 32]].concat();
    let key_sig = pair.a.identity.sign(SignatureLabel::RatchetKey, &payload);
    let mut message = Vec::new();
    encode_normal(&zero, &key_sig, 1, 0, &mut message);
    message.extend_from_slice(&[0; 32]);
    assert_eq!(pair.b_gets(&message), Err(DecryptError::Decrypt));
    assert_eq!(pair.session_b().to_bytes(), before);
}

#[test]
fn counters_end_and_do_not_wrap() {
    let mut pair = Pair::talking();
    pair.a_says().unwrap();
    sending(pair.session_a()).n = u32::MAX;
    let session = &mut pair.book_a.entries[0].session;
    let sent = session.encrypt(&pair.a.identity, b"x", &mut pair.rng);
    assert_eq!(sent.unwrap_err(), EncryptError::Exhausted);
    session.sending = None;
    session.sent_keys = u32::MAX;
    let sent = session.encrypt(&pair.a.identity, b"x", &mut pair.rng);
    assert_eq!(sent.unwrap_err(), EncryptError::Exhausted);

    // a header with the last number, and one at the end of the epochs
    let mut pair = Pair::talking();
    pair.a_says().unwrap();
    sending(pair.session_a()).n = u32::MAX - 1;
    let last = pair.a_sends();
    assert_eq!(pair.b_gets(&last), Err(DecryptError::SkipLimit));
    let parsed = match crate::session::header::Message::parse(&last) {
        Ok(crate::session::header::Message::Normal(message)) => message,
        _ => panic!("not a DR_NORMAL"),
    };
    let beyond = RatchetMessage {
        n: u32::MAX,
        ..parsed
    };
    let peer = pair.a.identity.id();
    let session = &mut pair.book_b.entries[0].session;
    session.receiving.last_mut().unwrap().n = u32::MAX;
    assert!(session.decrypt(&peer, &beyond, NOW).is_err());
    session.received_keys = u32::MAX;
    let new = RatchetMessage {
        dh_pub: RatchetPublicKey::new([9; 32]),
        ..parsed
    };
    assert!(session.decrypt(&peer, &new, NOW).is_err());
}

#[test]
fn a_session_state_fits_in_3400_bytes() {
    let mut pair = Pair::started();
    let unsent = pair.session_a().to_bytes().len();
    pair.a_sends();
    let unconfirmed = pair.session_a().to_bytes().len();
    assert!(
        unsent < unconfirmed && unconfirmed <= 3_400,
        "{unconfirmed} bytes"
    );
    let mut pair = Pair::talking();
    for _ in 0..10 {
        pair.a_says().unwrap();
        pair.b_says().unwrap();
    }
    pair.a_sends();
    assert_eq!(pair.session_a().receiving.len(), MAX_RECEIVING_CHAINS);
    let long = pair.session_a().to_bytes();
    assert!(long.len() <= 3_400, "{} bytes", long.len());
    let (own, peer) = (pair.a.identity.id(), pair.b.identity.id());
    let sides = Sides {
        own: &own,
        peer: &peer,
    };
    let again = Session::from_bytes(&sides, &long).unwrap().to_bytes();
    assert_eq!(again, long);
    println!(
        "state: unconfirmed {unconfirmed} bytes, five chains {} bytes",
        long.len()
    );
}

#[test]
fn what_has_not_come_is_read_however_many_turns_later_and_a_copy_of_it_is_a_replay() {
    let mut pair = Pair::talking();
    let read = pair.a_sends();
    pair.b_gets(&read).unwrap();
    let late = pair.a_sends();
    for _ in 0..100 {
        pair.a_says().unwrap();
        pair.b_says().unwrap();
    }
    assert_eq!(pair.session_b().receiving.len(), MAX_RECEIVING_CHAINS + 1);
    let bytes = pair.session_b().to_bytes();
    let (own, peer) = (pair.b.identity.id(), pair.a.identity.id());
    let sides = Sides {
        own: &own,
        peer: &peer,
    };
    assert_eq!(
        Session::from_bytes(&sides, &bytes).unwrap().to_bytes(),
        bytes
    );
    pair.b_gets(&late).unwrap();
    assert_eq!(pair.session_b().receiving.len(), MAX_RECEIVING_CHAINS);
    // a late copy is no failure, or copies from a relay would lead to a RESET
    assert_eq!(pair.b_gets(&late).unwrap_err(), DecryptError::Replay);
    assert!(pair.book_b.failures.is_empty());
    let state = pair.session_b().to_bytes();
    assert!(state.len() <= 3_400, "{} bytes", state.len());
}

#[test]
fn what_is_given_up_unread_is_no_replay() {
    // a message lacks in each of more chains than are remembered
    let mut pair = Pair::talking();
    let first = pair.a_sends();
    for _ in 0..MAX_RECEIVING_CHAINS + MAX_LATE_CHAINS {
        pair.a_says().unwrap();
        pair.b_says().unwrap();
        let _lost = pair.a_sends();
    }
    pair.a_says().unwrap();
    assert_eq!(
        pair.session_b().receiving.len(),
        MAX_RECEIVING_CHAINS + MAX_LATE_CHAINS
    );
    assert_eq!(pair.b_gets(&first).unwrap_err(), DecryptError::Decrypt);

    // its key was deleted for its age
    let mut pair = Pair::talking();
    let late = pair.a_sends();
    pair.a_says().unwrap();
    let then = NOW.plus(SKIPPED_KEY_AGE);
    assert!(pair.session_b().prune(then));
    assert_eq!(pair.b_gets(&late).unwrap_err(), DecryptError::Decrypt);
}
