//! Keys and envelopes of the model: made once, since they are not what it tests.

use std::collections::BTreeSet;

use sremp_core::{
    id::SessionId,
    session::{
        envelope::EnvelopePlaintext,
        prekey::{DhIdentity, OneTimePrekey, PrekeyBundle, PrekeyId, PrekeyLookup, SignedPrekey},
    },
};

use super::{NOW, Person};

/// How often a person may be there: at first, and after each restore.
pub const LIVES: usize = 3;
const OTPS: usize = 6;

/// A bundle and the one-time prekey in it.
pub type Offer = (Option<PrekeyId>, PrekeyBundle);

/// Keys are made once: a person, again after each restore, and bundles of all of them.
pub struct Cast {
    pub people: [Vec<Person>; 2],
    pub bundles: [Vec<Vec<Offer>>; 2],
}

impl Cast {
    pub fn new() -> Self {
        let mut people = [Vec::new(), Vec::new()];
        let mut bundles = [Vec::new(), Vec::new()];
        for side in 0..2 {
            for life in 0..LIVES {
                let seed = 1 + 10 * side as u64 + life as u64;
                let mut person = match people[side].first() {
                    None => Person::new(["alice", "bob"][side], seed),
                    Some(first) => Person::restored(first, NOW, seed),
                };
                let mut offered = vec![(None, person.bundle(NOW))];
                for _ in 0..OTPS {
                    let otp = person.add_one_time_prekey(NOW);
                    let bytes = person.bundle_bytes(Some(otp));
                    let bundle = PrekeyBundle::verify(&bytes, &person.id(), NOW).unwrap();
                    offered.push((Some(otp), bundle));
                }
                bundles[side].push(offered);
                people[side].push(person);
            }
        }
        Self { people, bundles }
    }
}

pub struct Keys<'a>(pub &'a Person, pub &'a BTreeSet<PrekeyId>);

impl PrekeyLookup for Keys<'_> {
    fn dh_identity(&self) -> &DhIdentity {
        &self.0.prekeys.dhk
    }
    fn signed_prekey(&self, id: PrekeyId) -> Option<&SignedPrekey> {
        self.0.prekeys.signed_prekey(id)
    }
    fn one_time_prekey(&self, id: PrekeyId) -> Option<&OneTimePrekey> {
        if self.1.contains(&id) {
            return None;
        }
        self.0.prekeys.one_time_prekey(id)
    }
}

/// In place of HPKE, which has tests of its own and would take most of the time here: only the
/// life of the recipient that was sealed to can open it.
pub fn seal(life: usize, session_id: &SessionId, message: &[u8]) -> Vec<u8> {
    [&[life as u8], session_id.as_bytes().as_slice(), message].concat()
}

pub fn open(life: usize, envelope: &[u8]) -> Option<EnvelopePlaintext> {
    let (to, rest) = envelope.split_first()?;
    let (id, message) = rest.split_first_chunk()?;
    let opened = EnvelopePlaintext::new(SessionId::new(*id), message.to_vec());
    (usize::from(*to) == life).then_some(opened)
}
