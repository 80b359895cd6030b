//! `sremp backup`: one encrypted file, made while the client runs.

use std::path::{Path, PathBuf};

use sremp_client::view::{BackupView, Command, CommandError, ErrorKind};

use super::{DONE, Ending, Failure, context::Context};
use crate::ask::Ask as _;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  sremp backup ~/backups/sremp-2026-11-27.backup

The file holds your identity, contacts, settings and history; your passphrase opens it. What only
this device may know is not in it: `sremp restore` makes that anew and tells your contacts.")]
pub(crate) struct Args {
    /// The file to write, which must not be there; readable by you alone
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let written = write(context, &self.file, false)?;
        context.out.one(&written, |to| {
            writeln!(
                to,
                "{} written, {} KiB: keep it where this device is not",
                written.file,
                written.bytes.div_ceil(1024)
            )
        })?;
        warn(&written);
        Ok(DONE)
    }
}

/// Has the client write a backup.
pub(super) fn write(context: &Context, file: &Path, retire: bool) -> Result<BackupView, Failure> {
    let no_name = |why: String| CommandError::new(ErrorKind::Usage, why);
    let path = std::path::absolute(file).map_err(|e| no_name(format!("no such file name: {e}")))?;
    let file = path
        .into_os_string()
        .into_string()
        .map_err(|_| no_name("the file's name is not UTF-8; give another".to_owned()))?;
    context.locally(|client| Ok(client.face.ask(&Command::Backup { file, retire })?))
}

/// Of a home without a passphrase anybody can read the backup.
pub(super) fn warn(written: &BackupView) {
    if !written.encrypted {
        eprintln!(
            "this home has no passphrase, so whoever gets the file can read it and write as you: \
             encrypt it before it leaves this device"
        );
    }
}
