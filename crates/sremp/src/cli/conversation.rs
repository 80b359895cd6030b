//! A conversation line by line: what is typed goes out, what comes is shown.

use std::{
    collections::HashSet,
    io::{self, BufRead, IsTerminal as _, Write as _},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use sremp_client::{
    client::Face,
    shell::word,
    view::{
        Command, CommandError, ContactView, ErrorKind, Event, EventKind, SentView, Status,
        StatusView, Wait,
    },
};

use super::{DONE, Failure, Out, contacts::named, failure::tell, history, out, peer, words};
use crate::ask::Ask as _;

/// Lines of the conversation that are shown at the start.
const BEFORE: u32 = 20;

/// Longest single wait for events: how late the end is noticed.
const SLICE: Duration = Duration::from_millis(250);

/// How long to wait at the end for what was written to arrive, if the client ends with it.
const FAREWELL: Duration = Duration::from_secs(5);

const HELP: &str = "Type a line and press Enter to send it; /quit or Ctrl-D leaves.";

/// What a conversation reacts to.
pub(crate) enum Happening {
    /// A line was typed.
    Line(String),
    /// A line came that is no text, or the input cannot be read.
    NoText(CommandError),
    /// No more lines will be typed.
    End,
    /// The process is asked to end.
    Cut,
    /// The client reports something.
    Event(Event),
    /// The client does not answer any more.
    Lost(CommandError),
}

/// A conversation with one contact.
pub(crate) struct Conversation<'a> {
    face: &'a Face,
    alias: String,
    id: String,
    out: Out,
    /// Whether a person sits here: then history and marks are shown.
    live: bool,
    /// The last event before the conversation was opened.
    since: u64,
    /// Messages on screen, which an event may tell again.
    shown: HashSet<String>,
    /// Messages written here that have not arrived yet.
    pending: HashSet<String>,
    /// What the first line that was not sent was refused for.
    refused: Option<ErrorKind>,
}

impl<'a> Conversation<'a> {
    /// Opens a conversation and, for a person, shows its last lines.
    ///
    /// # Errors
    /// [`ErrorKind::Contact`] if nobody is called so; those of writing.
    pub(crate) fn open(face: &'a Face, contact: &str, out: Out) -> Result<Self, Failure> {
        // Before the history is read: what comes in between is told twice rather than not at all.
        let status: StatusView = face.ask(&Command::Status)?;
        let before = history::latest(face, contact, None, BEFORE)?;
        let contacts: Vec<ContactView> = face.ask(&Command::Contacts {
            requests: false,
            declined: false,
        })?;
        let with = named(&contacts, contact).ok_or_else(|| {
            Failure::new(
                ErrorKind::Contact,
                format!(
                    "{contact:?} is no contact yet; accept the request first: sremp add {}",
                    word(contact)
                ),
            )
        })?;
        let chat = Self {
            face,
            alias: with.alias.clone(),
            id: with.id.clone(),
            out,
            live: io::stdin().is_terminal() && out.terminal && !out.json,
            since: status.last_event,
            shown: before.iter().map(|m| m.msg_id.clone()).collect(),
            pending: HashSet::new(),
            refused: None,
        };
        if chat.live {
            let mut to = io::stdout().lock();
            let trust = words::trust(with.trust, with.verified_via);
            writeln!(
                to,
                "Conversation with {} ({trust}). {HELP}",
                peer::line(&with.alias)
            )?;
            for message in &before {
                let time = words::clock(message.sent_at);
                writeln!(to, "{}", words::message(message, &time, out))?;
            }
        }
        Ok(chat)
    }

    /// Passes lines to the contact and shows what comes, until the input ends.
    ///
    /// # Errors
    /// The client's if it does not answer any more; those of writing.
    pub(crate) fn hold(
        &mut self,
        tell: Sender<Happening>,
        heard: &Receiver<Happening>,
    ) -> Result<(), Failure> {
        read_lines(tell.clone());
        let over = AtomicBool::new(false);
        let (face, since) = (self.face, self.since);
        thread::scope(|scope| {
            scope.spawn(|| follow(face, since, &over, &tell));
            let result = self.talk(heard);
            over.store(true, Ordering::Relaxed);
            result
        })
    }

    fn talk(&mut self, heard: &Receiver<Happening>) -> Result<(), Failure> {
        while let Ok(happening) = heard.recv() {
            match happening {
                Happening::Line(line) if line == "/quit" => break,
                Happening::Line(line) if line == "/help" && self.live => {
                    writeln!(io::stdout(), "{HELP}")?;
                }
                Happening::Line(line) => self.write(line),
                Happening::NoText(error) => self.refuse(&error),
                Happening::Event(event) => self.show(&event)?,
                Happening::Lost(error) => return Err(error.into()),
                Happening::End | Happening::Cut => break,
            }
        }
        Ok(())
    }

    /// Sends a line; a refusal is told and the conversation goes on.
    fn write(&mut self, text: String) {
        if text.is_empty() {
            return;
        }
        let sent = self.face.ask::<SentView>(&Command::Send {
            contact: self.id.clone(),
            text,
            reply_to: None,
            key: None,
            wait: Wait::Outbox,
            timeout_ms: 0,
        });
        match sent {
            Ok(sent) => {
                if sent.status < Status::OnDevice {
                    self.pending.insert(sent.msg_id);
                }
            }
            Err(error) => self.refuse(&error),
        }
    }

    fn refuse(&mut self, error: &CommandError) {
        tell(error, self.out.json);
        self.refused.get_or_insert(error.kind);
    }

    /// The exit code: a person has seen what was refused, a script has only this.
    pub(crate) fn code(&self) -> u8 {
        match self.refused {
            Some(kind) if !io::stdin().is_terminal() => kind.exit_code(),
            _ => DONE,
        }
    }

    /// Shows an event if it belongs here.
    fn show(&mut self, event: &Event) -> io::Result<()> {
        let mut to = io::stdout().lock();
        match &event.event {
            EventKind::Message { msg_id, .. } if !self.shown.insert(msg_id.clone()) => {
                return Ok(());
            }
            EventKind::Status {
                msg_id,
                status: Status::OnDevice | Status::Failed,
                ..
            } => {
                self.pending.remove(msg_id);
            }
            _ => {}
        }
        if self.out.json {
            if self.concerns(&event.event) {
                out::object(&mut to, event)?;
            }
        } else if let Some(line) = self.line(&event.event) {
            writeln!(to, "{line}")?;
        }
        to.flush()
    }

    fn concerns(&self, event: &EventKind) -> bool {
        match event {
            EventKind::Message { from, .. }
            | EventKind::Request { from, .. }
            | EventKind::Accepted { from, .. }
            | EventKind::Edited { from, .. }
            | EventKind::Deleted { from, .. }
            | EventKind::Reaction { from, .. }
            | EventKind::Timer { from, .. }
            | EventKind::Notice { from, .. } => *from == self.id,
            EventKind::Status { alias, .. } => *alias == self.alias,
        }
    }

    /// The line that shows an event, if it is to be seen here.
    fn line(&self, event: &EventKind) -> Option<String> {
        let here = self.concerns(event);
        let name = peer::line(&self.alias);
        match event {
            EventKind::Message {
                text,
                sent_at,
                received_at,
                late,
                gone,
                reply_to,
                quote,
                ..
            } if here => Some(format!(
                "{} {name}: {}{}",
                words::clock(*sent_at),
                words::came(text, *gone, reply_to.as_deref(), quote.as_deref()),
                words::arrived(*sent_at, *received_at, *late)
            )),
            // The rest is for a person: a program reads events with --json.
            _ if !self.live => None,
            EventKind::Message { alias, .. } => {
                let alias = peer::line(alias);
                let chat = word(&alias);
                Some(format!("- {alias} wrote; see `sremp chat {chat}`"))
            }
            EventKind::Status { status, path, .. } if here => Some(format!(
                "      {}{}",
                words::mark(*status, self.out.plain),
                words::path(*path)
            )),
            EventKind::Accepted { at, .. } if here => Some(format!(
                "{} - {name} accepted your request",
                words::clock(*at)
            )),
            EventKind::Notice { text, at, .. } if here => {
                Some(format!("{} - {}", words::clock(*at), words::indented(text)))
            }
            _ if here && words::done(event).is_some() => words::done(event)
                .map(|(at, _, what)| format!("{} - {name} {what}", words::clock(at))),
            EventKind::Request { username, .. } => Some(format!(
                "- {} asks to be accepted; see `sremp contacts --requests`",
                peer::line(username)
            )),
            _ => None,
        }
    }

    /// Gives what was written a moment to arrive before the client ends with the conversation.
    ///
    /// # Errors
    /// The client's; those of writing.
    pub(crate) fn see_off(&mut self, heard: &Receiver<Happening>) -> Result<(), Failure> {
        let end = Instant::now() + FAREWELL;
        // What was heard while the conversation ended comes before what is asked for now.
        while let Ok(happening) = heard.try_recv() {
            match happening {
                Happening::Event(event) => self.hear(&event)?,
                Happening::Cut => return Ok(()),
                _ => {}
            }
        }
        while !self.pending.is_empty() && Instant::now() < end {
            if heard.try_iter().any(|h| matches!(h, Happening::Cut)) {
                return Ok(());
            }
            for event in events(self.face, self.since)? {
                self.hear(&event)?;
            }
        }
        let left = self.pending.len();
        if left > 0 {
            let _ = writeln!(
                io::stderr(),
                "sremp: {left} of your messages wait in the outbox; they go out while a client runs: sremp up"
            );
        }
        Ok(())
    }

    fn hear(&mut self, event: &Event) -> io::Result<()> {
        if event.seq > self.since {
            self.since = event.seq;
            self.show(event)?;
        }
        Ok(())
    }
}

/// Reads standard input on a thread that lives as long as the process: a read cannot be called off.
fn read_lines(tell: Sender<Happening>) {
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let (happening, goes_on) = match next_line(&mut input) {
                Ok(Some(line)) => (line, true),
                Ok(None) => break,
                Err(error) => (unread(&error), false),
            };
            if tell.send(happening).is_err() || !goes_on {
                break;
            }
        }
        let _ = tell.send(Happening::End);
    });
}

/// The next line without its end. Bytes that are no text spoil their own line alone.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Happening>> {
    let mut line = Vec::new();
    if input.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.pop_if(|last| *last == b'\n').is_some() {
        let _ = line.pop_if(|last| *last == b'\r');
    }
    Ok(Some(match String::from_utf8(line) {
        Ok(line) => Happening::Line(line),
        Err(error) => {
            let message =
                format!("a line of standard input is no text: {error}; send it again as UTF-8");
            Happening::NoText(CommandError::new(ErrorKind::Usage, message))
        }
    }))
}

fn unread(error: &io::Error) -> Happening {
    let message = format!("standard input cannot be read: {error}; give a file or a pipe");
    Happening::NoText(CommandError::new(ErrorKind::Usage, message))
}

/// Tells every event until it is over.
fn follow(face: &Face, mut since: u64, over: &AtomicBool, tell: &Sender<Happening>) {
    while !over.load(Ordering::Relaxed) {
        match events(face, since) {
            Ok(events) => {
                for event in events {
                    since = event.seq;
                    if tell.send(Happening::Event(event)).is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                let _ = tell.send(Happening::Lost(error));
                return;
            }
        }
    }
}

fn events(face: &Face, since: u64) -> Result<Vec<Event>, CommandError> {
    face.ask(&Command::Events {
        after: Some(since),
        limit: 256,
        wait_ms: u64::try_from(SLICE.as_millis()).unwrap_or(u64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_text_does_not_end_those_after_it() {
        let mut input = &b"one\r\nb\xffad\n\nlast\r"[..];
        let lines = std::iter::from_fn(|| next_line(&mut input).unwrap());
        let lines: Vec<_> = lines
            .map(|happening| match happening {
                Happening::Line(line) => line,
                Happening::NoText(error) => error.message,
                _ => "neither".to_owned(),
            })
            .collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines[1].contains("standard input is no text"), "{lines:?}");
        assert_eq!([&lines[0], &lines[2], &lines[3]], ["one", "", "last\r"]);
    }
}
