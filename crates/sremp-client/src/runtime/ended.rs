//! How the engine's thread tells that it has ended.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::view::CommandError;

/// Set once the engine has ended.
#[derive(Default)]
pub(super) struct Ended {
    pub(super) reason: Mutex<Option<Result<(), CommandError>>>,
    pub(super) changed: Condvar,
}

/// Tells of the end, also of one by a panic.
pub(super) struct Signal(pub(super) Arc<Ended>, pub(super) Result<(), CommandError>);

/// What is told when the engine broke instead of ending.
pub(super) const BROKEN: &str =
    "the client has failed and stopped; nothing unsaved was confirmed: start it again";

impl Drop for Signal {
    fn drop(&mut self) {
        let mut reason = self.0.reason.lock().unwrap_or_else(PoisonError::into_inner);
        *reason = Some(self.1.clone());
        self.0.changed.notify_all();
    }
}
