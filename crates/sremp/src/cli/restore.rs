//! `sremp restore`: a home from a backup.

use std::path::PathBuf;

use sremp_client::{
    client,
    view::{ErrorKind, IdView},
};

use super::{DONE, Ending, Failure, context::Context, peer};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp restore sremp-2026-11-27.backup
  sremp restore sremp.backup --home ~/second

The passphrase is the one that the home had when the backup was made. An identity lives once: do not
use the home any more that the backup was made of.")]
pub(crate) struct Args {
    /// The file that `sremp backup` or `sremp move` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let path = context.path.display();
        if context.home.exists() {
            return Err(Failure::new(
                ErrorKind::Home,
                format!(
                    "{path} already holds an identity, which is left as it is; choose another place with --home DIR"
                ),
            ));
        }
        let id: IdView = context.unlock.open(&context.home, |passphrase| {
            let state = context.state.clone();
            client::restore(&context.home, &self.file, passphrase, state)
        })?;
        context.out.one(&id, |to| {
            writeln!(to, "{} is restored and lies in {path}.", peer::line(&id.username))?;
            writeln!(to, "id    {}", id.id)?;
            writeln!(
                to,
                "\nYour contacts are told within ten minutes of `sremp up`; what you have missed comes again.\n\
                 Do not use the home any more that the backup was made of."
            )
        })?;
        Ok(DONE)
    }
}
