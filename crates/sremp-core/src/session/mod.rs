//! Sessions: prekeys, the key agreement (PQXDH), the Double Ratchet with signed ratchet keys, the
//! envelope, and the book of all sessions with a contact (chapters 3 and 4).
//!
//! ```text
//!  bundle of B ──start──▶ SessionBook of A ──encrypt──▶ envelope ──▶ SessionBook of B
//!                         root → chain → message key      HPKE       decrypt, or start from DR_INIT
//! ```
//!
//! ```
//! use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
//! use sremp_core::identity::{SecretIdentity, Username};
//! use sremp_core::session::{book::SessionBook, envelope, prekey::*};
//! use sremp_core::time::UnixMillis;
//!
//! struct Keys(DhIdentity, SignedPrekey);
//! impl PrekeyLookup for Keys {
//!     fn dh_identity(&self) -> &DhIdentity { &self.0 }
//!     fn signed_prekey(&self, id: PrekeyId) -> Option<&SignedPrekey> {
//!         Some(&self.1).filter(|spk| spk.id() == id)
//!     }
//!     fn one_time_prekey(&self, _: PrekeyId) -> Option<&OneTimePrekey> { None }
//! }
//!
//! let now = UnixMillis::saturating(1_760_000_000_000);
//! let rng = &mut ChaCha20Rng::seed_from_u64(1); // of the operating system, in earnest
//! let alice = SecretIdentity::generate(&Username::parse("alice")?, now, rng);
//! let bob = SecretIdentity::generate(&Username::parse("bob")?, now, rng);
//!
//! // Bob publishes a bundle and goes away.
//! let id = PrekeyId::random(rng, |_| false);
//! let keys = Keys(
//!     DhIdentity::generate(&bob, now, rng),
//!     SignedPrekey::generate(&bob, id, now, rng),
//! );
//! let env = EnvelopeKey::generate(&bob, id, now, rng);
//! let published = bundle(bob.identity(), &keys.0, &keys.1, &env, None);
//!
//! // Alice knows his identity key, starts a session and writes.
//! let bundle = PrekeyBundle::verify(&published, &bob.id(), now)?;
//! let dhk = DhIdentity::generate(&alice, now, rng);
//! let mut book = SessionBook::new(alice.id(), bob.id());
//! book.start(&alice, &dhk, &bundle, now, rng)?;
//! let sent = book.encrypt(&alice, bundle.envelope_key(), b"hello", rng)?;
//! let _store_this_first = book.take_changes();
//!
//! // Bob comes back and reads.
//! let opened = envelope::open(&env, &sent.envelope)?;
//! let mut book = SessionBook::new(bob.id(), opened.initiator().expect("a first message"));
//! let read = book.decrypt(&keys, &opened, now)?;
//! assert_eq!(*read.content, *b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Everything is transactional: a call that fails has changed no session, and what a call has
//! changed is in [`book::SessionBook::take_changes`], to be stored before anything is sent.

mod agreement;
pub mod book;
mod chain;
pub mod content;
mod dhkem;
pub mod envelope;
mod error;
mod header;
mod kdf;
mod kem;
#[allow(
    unreachable_pub,
    reason = "a role is a pair of types; only the public keys are exported"
)]
mod key;
mod layout;
pub mod prekey;
mod ratchet;
mod root;
mod state;

pub use error::{DecryptError, EncryptError, StartError};
pub use kem::KemPublicKey;
pub use key::{
    DhPublicKey, EphemeralPublicKey, PrekeyPublicKey, RatchetPublicKey, SealingPublicKey,
};
pub use layout::BadState;
