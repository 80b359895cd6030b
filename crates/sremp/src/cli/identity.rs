//! `sremp identity rotate`: new keys under the same identity.

use clap::Subcommand;
use sremp_client::view::{Command, IdView};

use super::{DONE, Ending, context::Context, id};
use crate::ask::Ask as _;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sremp identity rotate")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Replace the key that connections are made with; contacts learn it by themselves
    #[command(after_help = "Example:\n  sremp identity rotate --json")]
    Rotate,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let command = match self.what {
            What::Rotate => Command::RotateNoiseKey,
        };
        let id: IdView = context.locally(|client| Ok(client.face.ask(&command)?))?;
        context.out.one(&id, |to| {
            writeln!(
                to,
                "The noise key is new; id and safety numbers stay the same."
            )?;
            id::show(to, &id, context.out)
        })?;
        Ok(DONE)
    }
}
