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
  sremp restore sremp.backup --screen --at home.example.org:33399

The passphrase is the one that the home had when the backup was made. An identity lives once: do not
use the home any more that the backup was made of.")]
pub(crate) struct Args {
    /// The file that `sremp backup` or `sremp move` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Make a screen: a home that only shows what the other has, beside which it may be used
    #[arg(long)]
    screen: bool,
    /// Where the other home is reached, instead of where the backup says
    #[arg(long, value_name = "HOST:PORT", requires = "screen")]
    at: Option<String>,
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
            match self.screen {
                true => client::restore_screen(
                    &context.home,
                    &self.file,
                    passphrase,
                    self.at.as_deref(),
                ),
                false => client::restore(&context.home, &self.file, passphrase, state),
            }
        })?;
        if self.screen {
            context.out.one(&id, |to| {
                let name = peer::line(&id.username);
                writeln!(to, "A screen of {name} lies in {path}.")?;
                writeln!(
                    to,
                    "\nIt follows while `sremp up` runs in it, and in the other home with `built_in_relay`. It only\n\
                     shows: write in the other home."
                )
            })?;
            return Ok(DONE);
        }
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
