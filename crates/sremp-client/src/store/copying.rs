//! Copies of a store for backups: page by page while it is open, then without anything that must not
//! be used twice (D3.13).

use std::path::Path;

use rusqlite::{Connection, backup, limits::Limit};

use super::{DatabaseKey, Store, StoreError, Tx, connect, error::vendor, unlock};
use crate::home::MOVING;

/// The setting of a backup that holds the text of the home's config file.
const CONFIG: &str = "backup.config";

impl Store {
    /// Copies every page into a file that exists and is empty, under the same key. The store is not
    /// used meanwhile: about 15 µs a page.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let mut to = connect(path, false)?;
        if let Some(key) = &self.key {
            unlock(&to, key)?;
        }
        self.copy_pages(&mut to)
    }

    /// The same into memory: for simulations and tests.
    ///
    /// # Errors
    /// [`StoreError`] if there is no memory.
    #[doc(hidden)]
    pub fn copy(&self) -> Result<Self, StoreError> {
        let mut to = Connection::open_in_memory().map_err(vendor)?;
        self.copy_pages(&mut to)?;
        Self::prepare(to, None)
    }

    fn copy_pages(&self, to: &mut Connection) -> Result<(), StoreError> {
        let copying = backup::Backup::new(&self.conn, to).map_err(vendor)?;
        match copying.step(-1).map_err(vendor)? {
            backup::StepResult::Done => Ok(()),
            _ => Err(StoreError::Other("the copy was not finished".into())),
        }
    }

    /// Makes a backup of a copy: what must not be used twice is gone from its file, and whoever opens
    /// it begins every session anew.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    #[doc(hidden)]
    pub fn strip(&mut self, config: &str) -> Result<(), StoreError> {
        self.transaction(|tx| {
            tx.forget_sessions()?;
            tx.forget_audit()?;
            tx.forget_noise_key()?;
            tx.forget_epoch()?;
            tx.mark_restored()?;
            tx.delete_setting(MOVING)?;
            tx.set_setting(CONFIG, config.as_bytes())
        })?;
        // what was deleted is zero already; this gives its room back, by way of a second database
        let limit = |attached| self.conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, attached);
        limit(1).map_err(vendor)?;
        self.conn.execute_batch("VACUUM").map_err(vendor)?;
        limit(0).map_err(vendor)?;
        self.checkpoint()
    }

    /// The key of the database.
    pub(crate) fn key(&self) -> Option<&DatabaseKey> {
        self.key.as_ref()
    }
}

impl Tx<'_> {
    /// The text of the config file that a backup brought. `None`: there is none, or this is no backup.
    pub(crate) fn take_backup_config(&mut self) -> Result<Option<String>, StoreError> {
        let found = self.setting(CONFIG)?;
        let restored = self.is_restored()?;
        self.delete_setting(CONFIG)?;
        Ok(found
            .filter(|_| restored)
            .and_then(|bytes| String::from_utf8(bytes).ok()))
    }
}
