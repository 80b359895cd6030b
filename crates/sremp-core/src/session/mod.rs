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

pub mod book;
pub mod envelope;
mod error;
mod header;
mod kem;
mod key;
pub mod prekey;
mod state;

pub use error::{DecryptError, EncryptError, StartError};
pub use kem::KemPublicKey;
pub use key::{
    DhPublicKey, EphemeralPublicKey, PrekeyPublicKey, RatchetPublicKey, SealingPublicKey,
};
pub use state::BadState;
