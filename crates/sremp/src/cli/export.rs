//! `sremp export`: conversations as JSON Lines or Markdown.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde_json::json;
use sremp_client::{
    client::Face,
    view::{Command, CommandError, ContactView, MessageKind, MessageView},
};
use tempfile::NamedTempFile;

use super::{DONE, Ending, Failure, context::Context, history::page, out, peer, words};
use crate::ask::Ask as _;

/// Messages that are held in memory at once.
const PAGE: u32 = 500;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp export ben --format markdown --output ben.md
  sremp export > everything.jsonl")]
pub(crate) struct Args {
    /// Whose conversation; all of them unless given
    contact: Option<String>,
    /// The form of the file
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Write to a file, which appears when it is complete; readable by you alone
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One message a line, as `history --json` prints it
    Jsonl,
    /// For people
    Markdown,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let (format, contact) = (self.format, self.contact);
        context.locally(|client| {
            let face = &client.face;
            let Some(path) = self.output else {
                let mut to = BufWriter::new(io::stdout().lock());
                write(&mut to, face, contact.as_deref(), format)?;
                return Ok(to.flush()?);
            };
            let count = whole_file(&path, |to| write(to, face, contact.as_deref(), format))?;
            let written = json!({ "messages": count, "file": path });
            context.out.one(&written, |to| {
                writeln!(to, "{count} messages written to {}", path.display())
            })?;
            Ok(())
        })?;
        Ok(DONE)
    }
}

/// Writes a file that is complete or not there: readers never see a part.
fn whole_file<T>(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let beside = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let mut file = NamedTempFile::new_in(beside.unwrap_or(Path::new(".")))?;
    let mut to = BufWriter::new(file.as_file_mut());
    let filled = fill(&mut to)?;
    to.flush()?;
    drop(to);
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(filled)
}

/// Writes one conversation, or all; returns the number of messages.
fn write(
    to: &mut dyn Write,
    face: &Face,
    contact: Option<&str>,
    format: Format,
) -> Result<u64, Failure> {
    let mut count = 0;
    let Some(contact) = contact else {
        let all: Vec<ContactView> = face.ask(&Command::Contacts {
            requests: false,
            declined: false,
        })?;
        for contact in all {
            count += conversation(to, face, &contact.id, format)?;
        }
        return Ok(count);
    };
    count += conversation(to, face, contact, format)?;
    Ok(count)
}

fn conversation(
    to: &mut dyn Write,
    face: &Face,
    contact: &str,
    format: Format,
) -> Result<u64, Failure> {
    let mut count = 0;
    let mut day = String::new();
    let mut last = None;
    for before in pages(face, contact)? {
        // Late messages may have come between the others since the pages were counted.
        for message in page(face, contact, before, PAGE * 2)? {
            if last.is_some_and(|last| message.seq <= last) {
                continue;
            }
            last = Some(message.seq);
            match format {
                Format::Jsonl => out::object(to, &message)?,
                Format::Markdown => markdown(to, &message, count == 0, &mut day)?,
            }
            count += 1;
        }
    }
    Ok(count)
}

/// Where the pages of a conversation end, oldest first. Conversations can only be walked backwards:
/// remembering the ends keeps one page in memory instead of all.
fn pages(face: &Face, contact: &str) -> Result<Vec<Option<u64>>, CommandError> {
    let mut ends = Vec::new();
    let mut before = None;
    while let Some(first) = page(face, contact, before, PAGE)?.first() {
        ends.push(before);
        before = Some(first.seq);
    }
    ends.reverse();
    Ok(ends)
}

fn markdown(
    to: &mut dyn Write,
    message: &MessageView,
    first: bool,
    day: &mut String,
) -> io::Result<()> {
    let alias = escaped(&peer::line(&message.alias));
    if first {
        writeln!(to, "# Conversation with {alias}\n")?;
        writeln!(to, "Id {}. Times are UTC.\n", peer::line(&message.contact))?;
    }
    let time = words::moment(message.sent_at);
    let (date, hour) = time.split_once(' ').unwrap_or(("", &time));
    if date != day.as_str() {
        writeln!(to, "## {date}\n")?;
        date.clone_into(day);
    }
    let hour = hour.trim_end_matches('Z');
    match message.kind {
        MessageKind::Received => writeln!(to, "**{alias}** {hour}\n")?,
        MessageKind::Sent => {
            let how = message.status.map_or("", words::status);
            writeln!(to, "**you** {hour} ({how}{})\n", words::path(message.path))?;
        }
        MessageKind::Notice => writeln!(to, "*notice* {hour}\n")?,
    }
    let answers = words::answers(message.reply_to.as_deref(), message.quote.as_deref());
    if !answers.is_empty() {
        writeln!(to, "> {}", escaped(answers.trim_end()))?;
    }
    if message.deleted {
        writeln!(to, "> *message deleted*")?;
    } else {
        for line in peer::text(&message.text).split('\n') {
            writeln!(to, "> {}", escaped(line))?;
        }
    }
    markdown_marks(to, message)?;
    writeln!(to)
}

/// What was done to a message, below its text.
fn markdown_marks(to: &mut dyn Write, message: &MessageView) -> io::Result<()> {
    if let Some(came) = words::arrival(message) {
        writeln!(to, "\n*{came}*")?;
    }
    if let Some(at) = message.edited_at {
        writeln!(to, "\n*edited {}*", words::moment(at))?;
    }
    for reaction in &message.reactions {
        let who = match reaction.own {
            true => "you".to_owned(),
            false => escaped(&peer::line(&message.alias)),
        };
        writeln!(
            to,
            "\n*{who}: {}*",
            escaped(&peer::line(&reaction.reaction))
        )?;
    }
    Ok(())
}

/// A text that Markdown shows as it is: nobody writes headings, links or markup into somebody
/// else's file.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(
            character,
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '!' | '&' | '~'
        ) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_of_a_peer_is_shown_and_not_obeyed() {
        assert_eq!(escaped("![x](http://a)"), "\\!\\[x\\](http://a)");
        assert_eq!(escaped("<script>"), "\\<script\\>");
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let failed = whole_file(&path, |to| {
            to.write_all(b"half")?;
            Err::<(), _>(io::Error::other("full").into())
        });
        assert!(failed.is_err());
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
        whole_file(&path, |to| Ok(to.write_all(b"whole")?)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
    }
}
