//! Sessions: prekeys, the key agreement (PQXDH), the Double Ratchet with signed ratchet keys, the
//! envelope, and the book of all sessions with a contact (chapters 3 and 4).
//!
//! ```text
//!  bundle of B ──start──▶ SessionBook of A ──encrypt──▶ envelope ──▶ SessionBook of B
//!                         root → chain → message key      HPKE       decrypt, or start from DR_INIT
//! ```
//!
//! Everything is transactional: a call that fails has changed no session, and what a call has
//! changed is in [`book::SessionBook::take_changes`], to be stored before anything is sent.

mod agreement;
pub mod book;
mod chain;
pub mod content;
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
