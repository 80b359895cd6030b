//! `sremp move`: a backup to go on with elsewhere; this home is closed.

use std::path::PathBuf;

use super::{DONE, Ending, backup, context::Context};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  sremp move /media/stick/sremp.backup
  sremp restore /media/stick/sremp.backup       (on the other device)

An identity lives once. The running client ends, and this home cannot be used any more; nothing in
it is deleted.")]
pub(crate) struct Args {
    /// The file to write, which must not be there; readable by you alone
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let written = backup::write(context, &self.file, true)?;
        // the client that ran has more to do before it ends, and whoever goes on has to find it gone
        let _ = context.wait_until_free();
        context.out.one(&written, |to| {
            writeln!(
                to,
                "{} written, and this home is closed. Go on elsewhere with:\n  sremp restore FILE",
                written.file
            )
        })?;
        backup::warn(&written);
        Ok(DONE)
    }
}
