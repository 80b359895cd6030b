//! `sremp history`: one conversation, oldest first.

use sremp_client::{
    client::Face,
    view::{Command, CommandError, MessageView},
};

use super::{DONE, Ending, context::Context, words};
use crate::ask::Ask as _;

/// Most messages asked for at once.
const PAGE: u32 = 500;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp history ben
  sremp history ben --limit 20 --before 1000 --json")]
pub(crate) struct Args {
    /// Alias, unique name, or at least 6 digits of the id
    contact: String,
    /// Most messages to print, counted from the newest
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Only messages before the one with this history number
    #[arg(long, value_name = "SEQ")]
    before: Option<u64>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let messages = context.locally(|client| {
            Ok(latest(
                &client.face,
                &self.contact,
                self.before,
                self.limit,
            )?)
        })?;
        let out = context.out;
        out.list(&messages, |to| {
            for message in &messages {
                let time = words::moment(message.sent_at);
                writeln!(to, "{}", words::message(message, &time, out))?;
            }
            Ok(())
        })?;
        Ok(DONE)
    }
}

/// The latest messages before a number, oldest first.
///
/// # Errors
/// The client's.
pub(crate) fn latest(
    face: &Face,
    contact: &str,
    mut before: Option<u64>,
    limit: u32,
) -> Result<Vec<MessageView>, CommandError> {
    let mut pages: Vec<Vec<MessageView>> = Vec::new();
    let mut left = limit;
    loop {
        let page = page(face, contact, before, left.min(PAGE))?;
        let Some(first) = page.first() else { break };
        before = Some(first.seq);
        left = left.saturating_sub(u32::try_from(page.len()).unwrap_or(left));
        pages.push(page);
        if left == 0 {
            break;
        }
    }
    Ok(pages.into_iter().rev().flatten().collect())
}

/// One page of a conversation, oldest first.
///
/// # Errors
/// The client's.
pub(crate) fn page(
    face: &Face,
    contact: &str,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<MessageView>, CommandError> {
    face.ask(&Command::History {
        contact: contact.to_owned(),
        before,
        limit,
    })
}
