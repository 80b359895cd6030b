//! Sessions: bundles, envelopes, ratchet messages, stored states, and two people talking over a
//! wire that loses, reorders, repeats and damages.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};
use sremp_core::{
    constants::{ENVELOPE_BUCKETS, MAX_BUNDLE},
    id::SessionId,
    identity::{SecretIdentity, Username},
    session::{
        DecryptError,
        book::SessionBook,
        envelope,
        prekey::{
            self, DhIdentity, EnvelopeKey, OneTimePrekey, PrekeyBundle, PrekeyId, PrekeyLookup,
            PublicEnvelopeKey, SignedPrekey,
        },
    },
    time::UnixMillis,
};

use super::input::Input;

const NOW: UnixMillis = UnixMillis::saturating(1_760_000_000_000);

struct Person {
    identity: SecretIdentity,
    dhk: DhIdentity,
    spk: SignedPrekey,
    one_time: BTreeMap<PrekeyId, OneTimePrekey>,
    env: EnvelopeKey,
    rng: ChaCha8Rng,
}

impl PrekeyLookup for Person {
    fn dh_identity(&self) -> &DhIdentity {
        &self.dhk
    }
    fn signed_prekey(&self, id: PrekeyId) -> Option<&SignedPrekey> {
        (self.spk.id() == id).then_some(&self.spk)
    }
    fn one_time_prekey(&self, id: PrekeyId) -> Option<&OneTimePrekey> {
        self.one_time.get(&id)
    }
}

impl Person {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let name = Username::parse("somebody").expect("a name");
        let identity = SecretIdentity::generate(&name, NOW, &mut rng);
        let id = |n| PrekeyId::new(n).expect("not the one that means none");
        let otp = OneTimePrekey::generate(&identity, id(3), NOW, &mut rng);
        Self {
            dhk: DhIdentity::generate(&identity, NOW, &mut rng),
            spk: SignedPrekey::generate(&identity, id(1), NOW, &mut rng),
            env: EnvelopeKey::generate(&identity, id(2), NOW, &mut rng),
            one_time: [(id(3), otp)].into(),
            identity,
            rng,
        }
    }

    fn bundle_bytes(&self, one_time: bool) -> Vec<u8> {
        let otp = self.one_time.values().next().filter(|_| one_time);
        prekey::bundle(
            self.identity.identity(),
            &self.dhk,
            &self.spk,
            &self.env,
            otp,
        )
    }

    fn bundle(&self, one_time: bool) -> PrekeyBundle {
        let bytes = self.bundle_bytes(one_time);
        PrekeyBundle::verify(&bytes, &self.identity.id(), NOW).expect("one's own bundle")
    }

    fn reborn(&self) -> Self {
        let state = |bytes: &[u8]| OneTimePrekey::from_bytes(bytes).expect("written by itself");
        let one_time = self.one_time.values().map(|otp| state(&otp.to_bytes()));
        Self {
            identity: SecretIdentity::from_parts(&self.identity.to_parts()).expect("its own"),
            dhk: DhIdentity::from_bytes(&self.dhk.to_bytes()).expect("its own"),
            spk: SignedPrekey::from_bytes(&self.spk.to_bytes()).expect("its own"),
            env: EnvelopeKey::from_bytes(&self.env.to_bytes()).expect("its own"),
            one_time: one_time.map(|otp| (otp.id(), otp)).collect(),
            rng: self.rng.clone(),
        }
    }
}

thread_local! {
    /// Keys are made once: an input is about what happens with them.
    static PEOPLE: (Person, Person) = (Person::new(1), Person::new(2));
}

fn people() -> (Person, Person) {
    PEOPLE.with(|(a, b)| (a.reborn(), b.reborn()))
}

type State = (Vec<u8>, Vec<(SessionId, Vec<u8>)>);

fn state(book: &SessionBook) -> State {
    let all = book.snapshot();
    let sessions = all.saved.iter().map(|(id, bytes)| (*id, bytes.to_vec()));
    (
        all.book.map(|b| b.to_vec()).unwrap_or_default(),
        sessions.collect(),
    )
}

fn load(book: &SessionBook, (bytes, sessions): &State) -> SessionBook {
    let sessions = sessions.iter().map(|(_, bytes)| bytes.as_slice());
    SessionBook::load(*book.own(), *book.peer(), Some(bytes), sessions).expect("its own state")
}

/// Any bytes as a bundle and an envelope key, and a good bundle with some bytes changed.
pub fn bundle(data: &[u8]) {
    let (_, b) = people();
    let id = b.identity.id();
    let _ = PublicEnvelopeKey::verify(data, &id);
    if let Ok(bundle) = PrekeyBundle::verify(data, &id, NOW) {
        assert!(data.len() <= MAX_BUNDLE);
        assert_eq!(bundle.identity().id(), id);
    }
    let good = b.bundle_bytes(data.len().is_multiple_of(2));
    let mut changed = good.clone();
    let mut input = Input(data);
    while let (Some(at), Some(to)) = (input.u16(), input.byte()) {
        let at = usize::from(at) % changed.len();
        if let Some(byte) = changed.get_mut(at) {
            *byte = to;
        }
    }
    let verified = PrekeyBundle::verify(&changed, &id, NOW);
    assert_eq!(verified.is_ok(), changed == good, "a changed bundle");
}

/// Any bytes as an envelope, then as what a stranger sealed.
pub fn envelope_open(data: &[u8]) {
    let (_, mut b) = people();
    for bucket in ENVELOPE_BUCKETS.into_iter().take(2) {
        let mut bytes = data.to_vec();
        bytes.resize(bucket, 0);
        if let Some(head) = bytes.first_chunk_mut() {
            *head = [1, 1, 2, 0, 0, 0];
        }
        assert!(envelope::open(&b.env, &bytes).is_err(), "nobody sealed it");
    }
    let _ = envelope::key_id(data);
    let key = *b.env.public_part();
    if let Ok(sealed) = envelope::seal(&key, &SessionId::new([9; 16]), data, &mut b.rng) {
        assert!(ENVELOPE_BUCKETS.contains(&sealed.len()));
        let opened = envelope::open(&b.env, &sealed).expect("sealed to it");
        assert_eq!(opened.message(), data);
        let _ = opened.init();
    }
}

/// Any bytes as a ratchet message to somebody with a session: they may count as a failure, but no
/// session changes. The first byte says how much of a good message stands in front.
pub fn ratchet(data: &[u8]) {
    let (mut a, mut b) = people();
    let (a_id, b_id) = (a.identity.id(), b.identity.id());
    let mut book_a = SessionBook::new(a_id, b_id);
    let mut book_b = SessionBook::new(b_id, a_id);
    let bundle = b.bundle(true);
    let started = book_a.start(&a.identity, &a.dhk, &bundle, NOW, &mut a.rng);
    let session = started.expect("a good bundle");
    let first = book_a
        .encrypt(&a.identity, b.env.public_part(), b"hello", &mut a.rng)
        .expect("a session");
    let good = envelope::open(&b.env, &first.envelope).expect("sealed to it");
    let Some((keep, data)) = data.split_first() else {
        return;
    };
    if keep & 1 == 1 {
        book_b.decrypt(&b, &good, NOW).expect("a good message");
    }
    let kept = good.message().len() * usize::from(keep >> 1) / 127;
    let mut message = good.message().get(..kept).unwrap_or_default().to_vec();
    message.extend_from_slice(data);
    if message == good.message() {
        return;
    }
    let key = *b.env.public_part();
    let Ok(sealed) = envelope::seal(&key, &session, &message, &mut b.rng) else {
        return;
    };
    let before = state(&book_b).1;
    let forged = envelope::open(&b.env, &sealed).expect("sealed to it");
    let result = book_b.decrypt(&b, &forged, NOW);
    assert!(result.is_err(), "a forged message");
    assert_eq!(state(&book_b).1, before, "a session changed");
    if keep & 1 == 0 {
        book_b
            .decrypt(&b, &good, NOW)
            .expect("the good one still counts");
    }
}

/// Any bytes as the stored states that a start reads.
pub fn stored_state(data: &[u8]) {
    let _ = DhIdentity::from_bytes(data);
    let _ = SignedPrekey::from_bytes(data);
    let _ = OneTimePrekey::from_bytes(data);
    let _ = EnvelopeKey::from_bytes(data);
    let (a, b) = PEOPLE.with(|(a, b)| (a.identity.id(), b.identity.id()));
    let mut input = Input(data);
    let book = input.piece();
    let mut sessions = Vec::new();
    while let Some(session) = input.piece() {
        sessions.push(session);
    }
    if let Ok(book) = SessionBook::load(a, b, book, sessions) {
        let bytes = state(&book);
        assert_eq!(state(&load(&book, &bytes)), bytes);
    }
}

/// One side of a conversation.
struct Side {
    person: Person,
    book: SessionBook,
    sent: u32,
    /// Numbers that arrived; none may do so twice.
    received: BTreeSet<u32>,
    /// Envelopes to this side, in the order of their sending.
    inbox: Vec<Vec<u8>>,
}

impl Side {
    fn new(person: Person, peer: &Person) -> Self {
        let book = SessionBook::new(person.identity.id(), peer.identity.id());
        Self {
            person,
            book,
            sent: 0,
            received: BTreeSet::new(),
            inbox: Vec::new(),
        }
    }

    fn send(&mut self, to: &mut Self) {
        if !self.book.can_send() {
            self.start(to);
        }
        let (me, rng) = (&self.person.identity, &mut self.person.rng);
        let content = self.sent.to_le_bytes();
        let key = to.person.env.public_part();
        if let Ok(out) = self.book.encrypt(me, key, &content, rng) {
            self.sent += 1;
            to.inbox.push(out.envelope);
        }
    }

    fn start(&mut self, with: &Self) {
        let bundle = with.person.bundle(!with.person.one_time.is_empty());
        let Person {
            identity, dhk, rng, ..
        } = &mut self.person;
        self.book
            .start(identity, dhk, &bundle, NOW, rng)
            .expect("a good bundle");
    }

    /// Takes one envelope; a damaged one changes no session.
    fn receive(&mut self, envelope: &[u8]) {
        let Ok(opened) = envelope::open(&self.person.env, envelope) else {
            return;
        };
        let before = state(&self.book).1;
        match self.book.decrypt(&self.person, &opened, NOW) {
            Ok(incoming) => {
                let number = incoming.content.as_slice().try_into().expect("four bytes");
                let new = self.received.insert(u32::from_le_bytes(number));
                assert!(new, "a message arrived twice");
                if let Some(otp) = incoming.one_time_prekey {
                    self.person.one_time.remove(&otp);
                }
            }
            Err(error) => {
                assert_eq!(state(&self.book).1, before, "{error:?} changed a session");
                assert_ne!(error, DecryptError::Suite);
            }
        }
    }

    fn reload(&mut self) {
        self.book = load(&self.book, &state(&self.book));
    }
}

/// A script of two people: who acts, what they do, and with which envelope.
pub fn conversation(data: &[u8]) {
    let (a, b) = people();
    let mut sides = [Side::new(a.reborn(), &b), Side::new(b, &a)];
    for step in data.iter().take(64) {
        let [first, second] = &mut sides;
        let (actor, other) = if step & 1 == 0 {
            (first, second)
        } else {
            (second, first)
        };
        let which = usize::from(step >> 4);
        match (step >> 1) & 7 {
            0 | 1 => actor.send(other),
            2 | 3 if !actor.inbox.is_empty() => {
                let envelope = actor.inbox.remove(which % actor.inbox.len());
                actor.receive(&envelope);
            }
            4 if !actor.inbox.is_empty() => {
                let envelope = actor.inbox[which % actor.inbox.len()].clone();
                actor.receive(&envelope);
            }
            5 if !actor.inbox.is_empty() => {
                let at = which % actor.inbox.len();
                let mut envelope = actor.inbox[at].clone();
                let at = (which * 67 + usize::from(*step)) % envelope.len();
                envelope[at] ^= 1 << (step & 7);
                actor.receive(&envelope);
            }
            6 => actor.reload(),
            7 => actor.start(other),
            _ => {}
        }
    }
    let sent = [sides[0].sent, sides[1].sent];
    for (side, sent) in sides.iter().zip([sent[1], sent[0]]) {
        assert!(
            side.received.iter().all(|n| *n < sent),
            "a message that nobody sent"
        );
    }
}
