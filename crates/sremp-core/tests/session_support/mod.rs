//! Two people with keys and a book each, for the session tests.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test file uses another part of it"
)]

pub mod cast;
pub mod scripted;
pub mod spec;

use std::collections::BTreeMap;

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use sremp_core::{
    id::{ContactId, SessionId},
    identity::{SecretIdentity, Username},
    session::{
        DecryptError,
        book::{BookChanges, Incoming, Outgoing, SessionBook},
        envelope::{self, EnvelopePlaintext},
        prekey::{
            self, DhIdentity, EnvelopeKey, OneTimePrekey, PrekeyBundle, PrekeyId, PrekeyLookup,
            PublicEnvelopeKey, SignedPrekey,
        },
    },
    time::UnixMillis,
};

pub const NOW: UnixMillis = UnixMillis::saturating(1_760_000_000_000);
pub const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);
pub const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// One's own prekeys in memory.
pub struct Prekeys {
    pub dhk: DhIdentity,
    pub signed: BTreeMap<PrekeyId, SignedPrekey>,
    pub one_time: BTreeMap<PrekeyId, OneTimePrekey>,
}

impl PrekeyLookup for Prekeys {
    fn dh_identity(&self) -> &DhIdentity {
        &self.dhk
    }
    fn signed_prekey(&self, id: PrekeyId) -> Option<&SignedPrekey> {
        self.signed.get(&id)
    }
    fn one_time_prekey(&self, id: PrekeyId) -> Option<&OneTimePrekey> {
        self.one_time.get(&id)
    }
}

pub struct Person {
    pub identity: SecretIdentity,
    pub prekeys: Prekeys,
    pub env: EnvelopeKey,
    pub rng: ChaCha20Rng,
}

impl Person {
    pub fn new(name: &str, seed: u64) -> Self {
        let mut rng = rng(seed);
        let username = Username::parse(name).unwrap();
        let identity = SecretIdentity::generate(&username, NOW, &mut rng);
        Self::with_identity(identity, NOW, rng)
    }

    /// New keys for an identity, as after a restore.
    pub fn with_identity(identity: SecretIdentity, now: UnixMillis, mut rng: ChaCha20Rng) -> Self {
        let dhk = DhIdentity::generate(&identity, now, &mut rng);
        let env_id = PrekeyId::random(&mut rng, |_| false);
        let env = EnvelopeKey::generate(&identity, env_id, now, &mut rng);
        let mut person = Self {
            identity,
            prekeys: Prekeys {
                dhk,
                signed: BTreeMap::new(),
                one_time: BTreeMap::new(),
            },
            env,
            rng,
        };
        person.rotate_signed_prekey(now);
        person
    }

    /// The same person with all private keys made anew, as after a restore from a backup.
    pub fn restored(&self, now: UnixMillis, seed: u64) -> Self {
        let identity = SecretIdentity::from_parts(&self.identity.to_parts()).unwrap();
        Self::with_identity(identity, now, rng(seed))
    }

    pub fn id(&self) -> ContactId {
        self.identity.id()
    }

    pub fn rotate_signed_prekey(&mut self, now: UnixMillis) -> PrekeyId {
        let id = PrekeyId::random(&mut self.rng, |id| self.prekeys.signed.contains_key(&id));
        let spk = SignedPrekey::generate(&self.identity, id, now, &mut self.rng);
        self.prekeys.signed.insert(id, spk);
        id
    }

    pub fn add_one_time_prekey(&mut self, now: UnixMillis) -> PrekeyId {
        let taken = &self.prekeys.one_time;
        let id = PrekeyId::random(&mut self.rng, |id| taken.contains_key(&id));
        let otp = OneTimePrekey::generate(&self.identity, id, now, &mut self.rng);
        self.prekeys.one_time.insert(id, otp);
        id
    }

    pub fn newest_signed_prekey(&self) -> &SignedPrekey {
        let newest = self.prekeys.signed.values().max_by_key(|spk| spk.created());
        newest.unwrap()
    }

    pub fn bundle_bytes(&self, otp: Option<PrekeyId>) -> Vec<u8> {
        prekey::bundle(
            self.identity.identity(),
            &self.prekeys.dhk,
            self.newest_signed_prekey(),
            &self.env,
            otp.map(|id| &self.prekeys.one_time[&id]),
        )
    }

    pub fn bundle(&self, now: UnixMillis) -> PrekeyBundle {
        PrekeyBundle::verify(&self.bundle_bytes(None), &self.id(), now).unwrap()
    }

    pub fn bundle_with_otp(&mut self, now: UnixMillis) -> PrekeyBundle {
        let otp = self.add_one_time_prekey(now);
        PrekeyBundle::verify(&self.bundle_bytes(Some(otp)), &self.id(), now).unwrap()
    }

    pub fn envelope_key(&self) -> PublicEnvelopeKey {
        *self.env.public_part()
    }

    pub fn book(&self, peer: &Person) -> SessionBook {
        SessionBook::new(self.id(), peer.id())
    }

    pub fn open(&self, envelope: &[u8]) -> EnvelopePlaintext {
        envelope::open(&self.env, envelope).unwrap()
    }

    /// Starts a session in `book`.
    pub fn start(&mut self, book: &mut SessionBook, bundle: &PrekeyBundle) -> SessionId {
        book.start(
            &self.identity,
            &self.prekeys.dhk,
            bundle,
            NOW,
            &mut self.rng,
        )
        .unwrap()
    }

    pub fn send(&mut self, book: &mut SessionBook, to: &Person, content: &[u8]) -> Outgoing {
        book.encrypt(&self.identity, &to.envelope_key(), content, &mut self.rng)
            .unwrap()
    }

    pub fn try_receive(
        &self,
        book: &mut SessionBook,
        envelope: &[u8],
    ) -> Result<Incoming, DecryptError> {
        book.decrypt(&self.prekeys, &self.open(envelope), NOW)
    }

    pub fn receive(&self, book: &mut SessionBook, envelope: &[u8]) -> Vec<u8> {
        self.try_receive(book, envelope).unwrap().content.to_vec()
    }
}

/// Two people, a started session, and one message each way.
pub struct Pair {
    pub a: Person,
    pub b: Person,
    pub book_a: SessionBook,
    pub book_b: SessionBook,
}

impl Pair {
    pub fn strangers(seed: u64) -> Self {
        let a = Person::new("alice", seed);
        let b = Person::new("bob", seed.wrapping_add(1_000_000));
        let (book_a, book_b) = (a.book(&b), b.book(&a));
        Self {
            a,
            b,
            book_a,
            book_b,
        }
    }

    pub fn talking(seed: u64) -> Self {
        let mut pair = Self::strangers(seed);
        let bundle = pair.b.bundle_with_otp(NOW);
        pair.a.start(&mut pair.book_a, &bundle);
        pair.a_says(b"hello");
        pair.b_says(b"hi");
        pair
    }

    pub fn a_sends(&mut self, content: &[u8]) -> Vec<u8> {
        self.a.send(&mut self.book_a, &self.b, content).envelope
    }

    pub fn b_sends(&mut self, content: &[u8]) -> Vec<u8> {
        self.b.send(&mut self.book_b, &self.a, content).envelope
    }

    pub fn a_gets(&mut self, envelope: &[u8]) -> Result<Incoming, DecryptError> {
        self.a.try_receive(&mut self.book_a, envelope)
    }

    pub fn b_gets(&mut self, envelope: &[u8]) -> Result<Incoming, DecryptError> {
        self.b.try_receive(&mut self.book_b, envelope)
    }

    pub fn a_says(&mut self, content: &[u8]) {
        let envelope = self.a_sends(content);
        assert_eq!(*self.b_gets(&envelope).unwrap().content, content);
    }

    pub fn b_says(&mut self, content: &[u8]) {
        let envelope = self.b_sends(content);
        assert_eq!(*self.a_gets(&envelope).unwrap().content, content);
    }
}

/// Every byte of a book's sessions.
pub fn sessions(book: &SessionBook) -> Vec<Vec<u8>> {
    let saved = book.snapshot().saved;
    saved.iter().map(|(_, bytes)| bytes.to_vec()).collect()
}

/// Every byte of a book and its sessions.
pub fn state(book: &SessionBook) -> (Vec<u8>, Vec<Vec<u8>>) {
    (book.snapshot().book.unwrap().to_vec(), sessions(book))
}

pub fn reload(book: &SessionBook) -> SessionBook {
    let BookChanges {
        book: bytes, saved, ..
    } = book.snapshot();
    let sessions = saved.iter().map(|(_, bytes)| bytes.as_slice());
    SessionBook::load(
        *book.own(),
        *book.peer(),
        bytes.as_deref().map(Vec::as_slice),
        sessions,
    )
    .unwrap()
}
