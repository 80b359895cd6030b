//! `sremp trust` and `sremp reject`: trust set by hand.

use sremp_client::view::{Command, ContactView, Trust};

use super::{DONE, Ending, context::Context, peer, words};
use crate::ask::Ask as _;

/// What was typed after `trust`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp trust ben
  sremp trust ben --unknown    undo: neither trusted nor rejected

This trusts without verifying. `sremp verify` is the way to be sure.")]
pub(crate) struct TrustArgs {
    /// Alias, unique name, or at least 6 digits of the id
    contact: String,
    /// Go back to unknown, as after adding
    #[arg(long)]
    unknown: bool,
}

/// What was typed after `reject`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sremp reject eve    undone by `sremp trust eve`")]
pub(crate) struct RejectArgs {
    /// Alias, unique name, or at least 6 digits of the id
    contact: String,
}

impl TrustArgs {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let trust = if self.unknown {
            Trust::Unknown
        } else {
            Trust::Trusted
        };
        set(context, self.contact, trust)
    }
}

impl RejectArgs {
    pub(crate) fn run(self, context: &Context) -> Ending {
        set(context, self.contact, Trust::Rejected)
    }
}

fn set(context: &Context, contact: String, trust: Trust) -> Ending {
    let command = Command::SetTrust { contact, trust };
    let contact: ContactView = context.locally(|client| Ok(client.face.ask(&command)?))?;
    context.out.one(&contact, |to| {
        writeln!(
            to,
            "{} [{}]: {}, {}",
            peer::line(&contact.alias),
            words::short(&contact.id),
            words::standing(contact.standing),
            words::trust(contact.trust, contact.verified_via)
        )
    })?;
    Ok(DONE)
}
