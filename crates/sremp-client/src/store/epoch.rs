//! The random number that a run leaves, to notice a state that was rolled back (D3.13).

use super::{StoreError, Tx};

/// The setting: the epoch, and the one before, 16 bytes each.
const EPOCH: &str = "epoch";

/// A number that no other run has.
pub type Epoch = [u8; 16];

/// The epochs of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// Of the last run that moved a session.
    pub current: Epoch,
    /// What stood outside before it, which still stands there if the run ended at that moment.
    pub before: Epoch,
}

impl Tx<'_> {
    /// The epochs; `None`: no session was moved yet.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn epochs(&mut self) -> Result<Option<Epochs>, StoreError> {
        let Some(bytes) = self.setting(EPOCH)? else {
            return Ok(None);
        };
        match bytes.as_chunks::<16>() {
            ([current, before], []) => Ok(Some(Epochs {
                current: *current,
                before: *before,
            })),
            _ => self.fail(StoreError::Damaged),
        }
    }

    /// Sets the epochs.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be written.
    pub fn set_epochs(&mut self, epochs: &Epochs) -> Result<(), StoreError> {
        let bytes = [epochs.current, epochs.before].concat();
        self.set_setting(EPOCH, &bytes)
    }

    /// Forgets them.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn forget_epoch(&mut self) -> Result<(), StoreError> {
        self.delete_setting(EPOCH)
    }
}
