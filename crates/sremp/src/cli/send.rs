//! `sremp send`: one message; and how long the verbs that send wait.

use std::io::{self, Read as _};

use clap::ValueEnum;
use sremp_client::view::{Action, Command, ErrorKind, SentView, Status, Wait};

use super::{
    DONE, Ending, Failure,
    context::{Client, Context},
    peer, words,
};
use crate::ask::Ask as _;

/// Most bytes that are read from standard input: more than any message may have, so that the client
/// refuses a text that is too long instead of one that was cut.
const MAX_INPUT: u64 = 64 * 1024;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp send ben 'See you at eight'
  sremp send ben 'On my way' --wait device --timeout 10
  sremp send ben 'At nine' --reply-to 5f0c2a7e
  uptime | sremp send ben -

Exit code 3 says that the awaited status was not reached in time: the message stays queued and goes
out as soon as a client runs. Other users of this machine can see arguments: use - for secrets.")]
pub(crate) struct Args {
    /// Alias, unique name, or at least 6 digits of the id
    contact: String,
    /// The text; - reads it from standard input
    #[arg(value_name = "TEXT|-")]
    text: String,
    /// The message that this one answers: its id, or at least 6 of its first digits
    #[arg(long, value_name = "MSG_ID")]
    reply_to: Option<String>,
    #[command(flatten)]
    delivery: Delivery,
}

/// How long to wait, and for what.
#[derive(clap::Args)]
pub(crate) struct Delivery {
    /// What to wait for
    #[arg(long, value_enum, default_value_t = Until::Outbox)]
    wait: Until,
    /// How long to wait at the most
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u32,
}

/// The status to wait for, as typed.
#[derive(Clone, Copy, ValueEnum)]
enum Until {
    /// Stored here, durably
    Outbox,
    /// Stored by a relay, or further
    Relay,
    /// Received by the contact's client
    Device,
}

impl Until {
    const fn meant(self) -> (Wait, Status) {
        match self {
            Self::Outbox => (Wait::Outbox, Status::Queued),
            Self::Relay => (Wait::Relay, Status::AtRelay),
            Self::Device => (Wait::Device, Status::OnDevice),
        }
    }
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let (contact, reply_to) = (self.contact, self.reply_to);
        let text = text(self.text)?;
        self.delivery.of(context, |wait, timeout_ms| Command::Send {
            contact,
            text,
            reply_to,
            key: None,
            wait,
            timeout_ms,
        })
    }
}

impl Delivery {
    /// Does something to a message or a conversation and prints what became of it.
    pub(crate) fn act(self, context: &Context, action: Action) -> Ending {
        self.of(context, |wait, timeout_ms| Command::Act {
            action,
            wait,
            timeout_ms,
        })
    }

    fn of(self, context: &Context, command: impl FnOnce(Wait, u64) -> Command) -> Ending {
        let (wait, awaited) = self.wait.meant();
        let command = command(wait, u64::from(self.timeout) * 1000);
        let send = |client: &Client| {
            let sent: SentView = client.face.ask(&command)?;
            Ok((sent, client.ours))
        };
        let (sent, ours) = match wait {
            Wait::Outbox => context.locally(send)?,
            Wait::Relay | Wait::Device => context.online(false, send)?,
        };
        context.out.one(&sent, |to| {
            write!(to, "{}", words::status(sent.status))?;
            write!(to, "{}", words::path(sent.path))?;
            if ours && sent.status == Status::Queued {
                write!(to, "; goes out while a client runs: sremp up")?;
            }
            writeln!(to, "  [{}]", peer::line(&sent.msg_id))?;
            if let Some(reason) = &sent.reason {
                writeln!(
                    to,
                    "{}; the message stays queued and is tried again",
                    peer::line(reason)
                )?;
            }
            Ok(())
        })?;
        Ok(code(sent.status, awaited))
    }
}

const fn code(reached: Status, awaited: Status) -> u8 {
    match reached {
        Status::Failed => ErrorKind::Failed.exit_code(),
        _ if reached as u8 >= awaited as u8 => DONE,
        _ => ErrorKind::Timeout.exit_code(),
    }
}

/// The text itself, or standard input without its last line end.
pub(crate) fn text(typed: String) -> Result<String, Failure> {
    let text = if typed == "-" { from_input()? } else { typed };
    if text.is_empty() {
        return Err(Failure::new(
            ErrorKind::Usage,
            "the text is empty; give one, or - to read it from standard input",
        ));
    }
    Ok(text)
}

fn from_input() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(MAX_INPUT)
        .read_to_string(&mut text)
        .map_err(|error| {
            Failure::new(
                ErrorKind::Usage,
                format!("standard input is no text: {error}; send UTF-8"),
            )
        })?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_awaited_status_or_a_later_one_is_success() {
        assert_eq!(code(Status::Queued, Status::Queued), 0);
        assert_eq!(code(Status::OnDevice, Status::AtRelay), 0);
        assert_eq!(code(Status::AtRelay, Status::OnDevice), 3);
        assert_eq!(code(Status::Failed, Status::Queued), 1);
    }
}
