//! `sremp edit`: another text for a message of one's own.

use sremp_client::view::Action;

use super::{
    Ending,
    context::Context,
    send::{self, Delivery},
};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp edit 5f0c2a7e 'See you at nine'
  sremp edit 5f0c2a7e - < text --wait device

The contact sees that the message was edited; neither side keeps the older text. `sremp send` and
`sremp history --json` print the ids of messages.")]
pub(crate) struct Args {
    /// The message's id, or at least 6 of its first digits; one of your own
    #[arg(value_name = "MSG_ID")]
    msg_id: String,
    /// The text from now on; - reads it from standard input
    #[arg(value_name = "TEXT|-")]
    text: String,
    #[command(flatten)]
    delivery: Delivery,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let action = Action::Edit {
            msg_id: self.msg_id,
            text: send::text(self.text)?,
        };
        self.delivery.act(context, action)
    }
}
