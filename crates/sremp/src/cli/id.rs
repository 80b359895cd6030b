//! `sremp id`: one's own identity and card.

use std::io::{self, Write};

use sremp_client::view::{Command, IdView};

use super::{DONE, Ending, Out, context::Context, peer, qr};
use crate::ask::Ask as _;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp id
  sremp id --json")]
pub(crate) struct Args {}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let id: IdView = context.locally(|client| Ok(client.face.ask(&Command::Id)?))?;
        context.out.one(&id, |to| show(to, &id, context.out))?;
        Ok(DONE)
    }
}

/// Prints an identity for people.
///
/// # Errors
/// Those of writing.
pub(crate) fn show(to: &mut dyn Write, id: &IdView, out: Out) -> io::Result<()> {
    writeln!(to, "name     {}", peer::line(&id.username))?;
    writeln!(to, "id       {}", peer::line(&id.id))?;
    writeln!(to, "version  {}", id.version)?;
    writeln!(to, "card     {}", peer::line(&id.card))?;
    qr::draw_card(to, &id.card, out)
}
