//! `sremp delete`: takes a message back, or erases it on this side.

use serde_json::json;
use sremp_client::view::{Action, Command};

use super::{DONE, Ending, context::Context, peer, send::Delivery};
use crate::ask::Ask as _;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp delete 5f0c2a7e
  sremp delete 5f0c2a7e --wait device
  sremp delete 5f0c2a7e --here             also a message of the contact's; only you lose it

A message that is taken back loses its text on both sides; its place stays. One that still waits is
delivered first and taken back then: who looks on may see it. A contact whose client does not know
of this, or who has copied the text, keeps it.")]
pub(crate) struct Args {
    /// The message's id, or at least 6 of its first digits
    #[arg(value_name = "MSG_ID")]
    msg_id: String,
    /// Erase it on this side only; anybody's message
    #[arg(long, conflicts_with_all = ["wait", "timeout"])]
    here: bool,
    #[command(flatten)]
    delivery: Delivery,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let msg_id = self.msg_id;
        if !self.here {
            return self.delivery.act(context, Action::Delete { msg_id });
        }
        let command = Command::Erase {
            msg_id: msg_id.clone(),
        };
        context.locally(|client| Ok(client.face.ask::<()>(&command)?))?;
        let erased = json!({ "erased": msg_id });
        context.out.one(&erased, |to| {
            writeln!(to, "message {} is erased here", peer::line(&msg_id))
        })?;
        Ok(DONE)
    }
}
