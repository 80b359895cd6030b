//! Backups of the running client: the engine's thread copies the pages, another one does the rest.

use std::path::Path;

use super::{Answer, Shell, asking::Asker, failed};
use crate::{
    home::{Copied, HomeError, MOVED, MOVING},
    store::{StoreError, Tx},
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
        if retire {
            // nothing happens between the copy and the end: what came in meanwhile would be in neither
            let moved = self.move_into(file);
            self.retired = moved.is_ok();
            self.stop |= self.retired;
            (asker.respond)(moved);
            return;
        }
        let copied = match self.forget_move(file) {
            Ok(()) => self.copy(file, false),
            Err(error) => Err(error),
        };
        let (copied, view) = match copied {
            Ok(copied) => copied,
            Err(error) => {
                (asker.respond)(Err(error));
                return;
            }
        };
        let finish = move || -> Answer {
            let bytes = copied.write()?.place()?;
            Ok(Reply::Backup(BackupView { bytes, ..view }))
        };
        let spawned = std::thread::Builder::new()
            .name("sremp-backup".to_owned())
            .spawn(move || {
                (asker.respond)(finish());
            });
        // the answer's end is gone with the thread, and whoever waits for it is told
        drop(spawned);
    }

    fn copy(&self, file: &str, over: bool) -> Result<(Copied, BackupView), CommandError> {
        let (store, to) = (&self.store, Path::new(file));
        let copied = self
            .home
            .copy_for_backup(store, to, over, &mut rand::rng())?;
        let view = BackupView {
            file: file.to_owned(),
            bytes: 0,
            encrypted: self.home.has_passphrase().unwrap_or(true),
        };
        Ok((copied, view))
    }

    /// The file is whole and has its name before this home is closed. What a process leaves that dies
    /// between the two is told by a note, and moving into the same file again finishes it.
    fn move_into(&mut self, file: &str) -> Answer {
        let over = self.was_moving(file)?;
        let (copied, view) = self.copy(file, over)?;
        let written = copied.write()?;
        let note = |tx: &mut Tx<'_>| tx.set_setting(MOVING, file.as_bytes());
        self.store.transaction(note).map_err(HomeError::Store)?;
        let bytes = match written.place() {
            Ok(bytes) => bytes,
            Err(error) => {
                // what has the name is not ours
                let _ = self.store.transaction(|tx| tx.delete_setting(MOVING));
                return Err(error.into());
            }
        };
        self.retire(file)?;
        Ok(Reply::Backup(BackupView { bytes, ..view }))
    }

    /// Whether a move into this file was broken off.
    fn was_moving(&mut self, file: &str) -> Result<bool, CommandError> {
        let noted = self.store.transaction(|tx| tx.setting(MOVING));
        Ok(noted.map_err(HomeError::Store)?.as_deref() == Some(file.as_bytes()))
    }

    /// A backup under the name of a move that was broken off is not that move's: it stays.
    fn forget_move(&mut self, file: &str) -> Result<(), CommandError> {
        if self.was_moving(file)? {
            let forgotten = self.store.transaction(|tx| tx.delete_setting(MOVING));
            forgotten.map_err(HomeError::Store)?;
        }
        Ok(())
    }

    fn retire(&mut self, file: &str) -> Result<(), CommandError> {
        let retired: Result<(), StoreError> = self
            .store
            .transaction(|tx| tx.set_setting(MOVED, file.as_bytes()));
        retired.map_err(|error| {
            let error = HomeError::Store(error);
            failed(&format!(
                "the backup is written, but this home cannot be closed ({error}): move into the same file again, or do not use this home any more"
            ))
        })
    }
}
