//! `sremp search`: messages by their words.

use sremp_client::view::{Command, ErrorKind, MessageView};

use super::{DONE, Ending, Failure, context::Context, peer, words};
use crate::ask::Ask as _;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sremp search eight o\\'clock --limit 10")]
pub(crate) struct Args {
    /// Words that a message must contain, all of them
    #[arg(required = true, value_name = "WORDS")]
    words: Vec<String>,
    /// Most messages to print, newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let words = self.words.join(" ");
        if words.trim().is_empty() {
            return Err(Failure::new(
                ErrorKind::Usage,
                "there is nothing to search for; give at least one word",
            ));
        }
        let command = Command::Search {
            words,
            limit: self.limit,
        };
        let found: Vec<MessageView> = context.locally(|client| Ok(client.face.ask(&command)?))?;
        let out = context.out;
        out.list(&found, |to| {
            if found.is_empty() {
                return writeln!(to, "No message contains these words.");
            }
            for message in &found {
                let time = words::moment(message.sent_at);
                let alias = peer::line(&message.alias);
                writeln!(to, "[{alias}] {}", words::message(message, &time, out))?;
            }
            Ok(())
        })?;
        Ok(DONE)
    }
}
