//! `sremp react`: a reaction to a message.

use sremp_client::view::{Action, ErrorKind};

use super::{Ending, Failure, context::Context, send::Delivery};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp react 5f0c2a7e 👍
  sremp react 5f0c2a7e --remove

Everybody has one reaction to a message: a newer one takes the place of the older.")]
pub(crate) struct Args {
    /// The message's id, or at least 6 of its first digits; anybody's
    #[arg(value_name = "MSG_ID")]
    msg_id: String,
    /// An emoji or a word of at most 32 bytes
    #[arg(value_name = "EMOJI", required_unless_present = "remove")]
    reaction: Option<String>,
    /// Take the reaction back
    #[arg(long, conflicts_with = "reaction")]
    remove: bool,
    #[command(flatten)]
    delivery: Delivery,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let reaction = self.reaction.unwrap_or_default().trim().to_owned();
        if reaction.is_empty() && !self.remove {
            return Err(Failure::new(
                ErrorKind::Usage,
                "the reaction is empty; give an emoji or a word, or --remove to take it back",
            ));
        }
        let action = Action::React {
            msg_id: self.msg_id,
            reaction,
        };
        self.delivery.act(context, action)
    }
}
