//! `sremp direct`: with whom direct connections are made.

use sremp_client::view::{Choice, Command, ContactView};

use super::{DONE, Ending, context::Context, peer, words};
use crate::ask::Ask as _;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp direct eve off        not dialled, not told where you are, not let in
  sremp direct ben on         although the setting `direct` is narrower
  sremp direct eve default    undo: as the setting says

A direct connection shows your address to the contact. What it learnt before, it knows: off hides where
you are from then on. A request can be turned off before it is accepted.")]
pub(crate) struct Args {
    /// Alias, unique name, or at least 6 digits of the id
    contact: String,
    /// Whether direct connections are made
    #[arg(value_enum)]
    direct: Word,
}

/// What may be typed.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Word {
    On,
    Off,
    Default,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let command = Command::SetDirect {
            contact: self.contact,
            direct: match self.direct {
                Word::On => Choice::On,
                Word::Off => Choice::Off,
                Word::Default => Choice::Default,
            },
        };
        let contact: ContactView = context.locally(|client| Ok(client.face.ask(&command)?))?;
        context.out.one(&contact, |to| {
            writeln!(
                to,
                "{} [{}]: {}",
                peer::line(&contact.alias),
                words::short(&contact.id),
                words::direct(contact.direct)
            )
        })?;
        Ok(DONE)
    }
}
