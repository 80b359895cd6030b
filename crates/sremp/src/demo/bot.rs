//! The echo bot: accepts everybody and repeats what they write. A dozen lines like these, over
//! `sremp recv --json --follow --ack` and `sremp send`, make a bot in any language.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use sremp_client::{
    client::Face,
    view::{Command, CommandError, Event, EventKind, SentView, Wait},
};

use crate::ask::Ask as _;

/// What the bot writes before the text that it repeats.
pub(super) const ECHO: &str = "echo: ";

/// What the bot writes to somebody whom it has just accepted.
pub(super) const GREETING: &str = "Hello! Whatever you write, I repeat.";

/// A bot at work.
pub(super) struct Bot {
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Bot {
    /// Lets a client answer by itself.
    pub(super) fn start(face: Face) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                // The play notices by itself that a bot has fallen silent.
                if serve(&face).is_err() {
                    break;
                }
            }
            face.stop();
        });
        Self { over, thread }
    }

    /// Ends the bot and its client.
    pub(super) fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
    }
}

/// Answers what has come, then acknowledges it.
fn serve(face: &Face) -> Result<(), CommandError> {
    let events: Vec<Event> = face.ask(&Command::Events {
        after: None,
        limit: 16,
        wait_ms: 250,
    })?;
    for event in events {
        match event.event {
            EventKind::Request { from, .. } => {
                face.ask::<()>(&Command::Add {
                    who: from.clone(),
                    alias: None,
                    despite_confusable: true,
                })?;
                say(face, from, GREETING.to_owned())?;
            }
            EventKind::Message { from, text, .. } => say(face, from, format!("{ECHO}{text}"))?,
            _ => {}
        }
        face.ask::<()>(&Command::Ack { seq: event.seq })?;
    }
    Ok(())
}

fn say(face: &Face, contact: String, text: String) -> Result<(), CommandError> {
    face.ask::<SentView>(&Command::Send {
        contact,
        text,
        reply_to: None,
        key: None,
        wait: Wait::Outbox,
        timeout_ms: 0,
    })?;
    Ok(())
}
