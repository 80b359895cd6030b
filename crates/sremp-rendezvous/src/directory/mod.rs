//! Registrations that survive: what is written down before it is told.
//!
//! The rules are [`Directory`](sremp_core::rendezvous::Directory)'s, in memory; a [`DirectoryStore`]
//! keeps what it has to know after a restart. [`EmbeddedStore`] is one SQLite database;
//! [`MemoryStore`] forgets with its process, for tests. Every store passes the stories of
//! `tests/directory_conformance.rs`.

mod embedded;
mod error;
mod memory;

use sremp_core::{id::IdentityKey, rendezvous::Entry};

pub use embedded::{EmbeddedStore, registrations};
pub use error::StoreError;
pub use memory::MemoryStore;

/// A change of what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// This takes the place of what is kept of its key, if its seq is higher.
    Put(Box<Entry>),
    /// Nothing is kept of this key any more.
    Forget(IdentityKey),
}

/// The one writer of a store.
pub trait DirectoryStore: Send + 'static {
    /// Gives all that is kept, in no order.
    ///
    /// # Errors
    /// [`StoreError`] if the disk fails or what is on it was not written here.
    fn load(&mut self, each: &mut dyn FnMut(Entry)) -> Result<(), StoreError>;

    /// Carries out changes in order, as a whole. They survive power loss when it returns.
    ///
    /// # Errors
    /// Nothing of them holds. Unless the error is [passing](StoreError::is_passing), every later
    /// call is [`StoreError::Stopped`].
    fn commit(&mut self, ops: &[Op]) -> Result<(), StoreError>;
}
