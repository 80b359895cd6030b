//! `sremp chat`: a conversation line by line.

use std::sync::mpsc;

use super::{
    Ending,
    context::Context,
    conversation::{Conversation, Happening},
    signals::{self, Hangup},
};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp chat ben
  printf 'one\\ntwo\\n' | sremp chat ben

Marks: … queued, ✓ at the relay, ✓✓ on the contact's device. --plain says them in words.
From a pipe, the exit code is that of the first line that was refused; the others are sent.")]
pub(crate) struct Args {
    /// Alias, unique name, or at least 6 digits of the id
    contact: String,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let (tell, heard) = mpsc::channel();
        let over = tell.clone();
        signals::on_end(Hangup::Ends, move || {
            let _ = over.send(Happening::Cut);
        })?;
        context.online(true, |client| {
            let mut talk = Conversation::open(&client.face, &self.contact, context.out)?;
            talk.hold(tell, &heard)?;
            if client.ours {
                talk.see_off(&heard)?;
            }
            Ok(talk.code())
        })
    }
}
