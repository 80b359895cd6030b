//! Backups of the running client: the engine's thread copies the pages, another one does the rest.

use std::path::Path;

use super::{Answer, Shell, asking::Asker, failed};
use crate::{
    home::{HomeError, MOVED},
    store::StoreError,
    view::{BackupView, CommandError, ErrorKind, Reply},
};

impl Shell {
    /// Writes a backup; with `retire` this home is over when it is written.
    pub(super) fn back_up(&mut self, file: &str, retire: bool, asker: Asker) {
        let path = Path::new(file);
        if !path.is_absolute() {
            let error = CommandError::new(ErrorKind::Usage, "name the backup by an absolute path");
            (asker.respond)(Err(error));
            return;
        }
        let copied = self
            .home
            .copy_for_backup(&self.store, path, &mut rand::rng());
        let copied = match copied {
            Ok(copied) => copied,
            Err(error) => {
                (asker.respond)(Err(error.into()));
                return;
            }
        };
        let view = BackupView {
            file: file.to_owned(),
            bytes: 0,
            encrypted: self.home.has_passphrase().unwrap_or(true),
        };
        let finish = move || -> Answer {
            let bytes = copied.finish()?;
            Ok(Reply::Backup(BackupView { bytes, ..view }))
        };
        if !retire {
            let spawned = std::thread::Builder::new()
                .name("sremp-backup".to_owned())
                .spawn(move || {
                    (asker.respond)(finish());
                });
            // the answer's end is gone with the thread, and whoever waits for it is told
            drop(spawned);
            return;
        }
        // nothing happens between the copy and the end: what came in meanwhile would be in neither
        let finished = finish().and_then(|reply| {
            self.retire(file)?;
            Ok(reply)
        });
        self.retired = finished.is_ok();
        self.stop |= self.retired;
        (asker.respond)(finished);
    }

    fn retire(&mut self, file: &str) -> Result<(), CommandError> {
        let retired: Result<(), StoreError> = self
            .store
            .transaction(|tx| tx.set_setting(MOVED, file.as_bytes()));
        retired.map_err(|error| {
            let error = HomeError::Store(error);
            failed(&format!(
                "the backup is written, but this home cannot be closed ({error}): do not use it any more"
            ))
        })
    }
}
