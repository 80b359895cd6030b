//! `sremp demo`: people, an echo bot, a relay and a rendezvous server on loopback, with real listeners
//! and real homes.
//!
//! [`steps`] is the play, [`found`] its part with a rendezvous server, [`relayed`] that with a relay, [`person`] and [`bot`] are who plays it, [`report`] says what was checked.
//! Nothing is acted: every line that is printed was verified through the same handle that the other
//! faces use.

mod bot;
mod found;
mod person;
mod relayed;
mod report;
mod steps;

use std::{io, path::PathBuf, sync::mpsc};

use sremp_client::view::{CommandError, ErrorKind};
use tempfile::TempDir;

use self::{report::Report, steps::Play};
use crate::cli::{DONE, Ending, Failure, Hangup, Out, conversation::Conversation, on_end};

/// Plays all steps; then, at a terminal, leaves the user in a conversation with the bot.
///
/// # Errors
/// The first step that did not hold.
pub(crate) fn run(out: Out) -> Ending {
    let stage = TempDir::with_prefix("sremp-demo-").map_err(|error| {
        CommandError::new(
            ErrorKind::Storage,
            format!("there is no place for the demo's homes: {error}; free space or set TMPDIR"),
        )
    })?;
    clear_away_when_asked_to_end(stage.path().to_owned())?;
    let mut report = Report::new(out);
    let mut play = Play::new(stage.path());
    let result = play
        .perform(&mut report)
        .map_err(|failure| report.broken_off(failure))
        .and_then(|()| {
            report.all_held()?;
            if io::IsTerminal::is_terminal(&io::stdin()) && out.terminal && !out.json {
                talk_to_the_bot(&play, out)?;
            }
            Ok(DONE)
        });
    play.end();
    // A directory that cannot be removed is left to the system; the result stands.
    drop(stage);
    result
}

fn talk_to_the_bot(play: &Play<'_>, out: Out) -> Result<(), Failure> {
    let mut chat = Conversation::open(play.ann_face()?, steps::BOT, out)?;
    let (tell, heard) = mpsc::channel();
    chat.hold(tell, &heard)
}

/// A demo that is broken off leaves nothing behind.
fn clear_away_when_asked_to_end(stage: PathBuf) -> Result<(), CommandError> {
    on_end(Hangup::Ends, move || {
        let _ = std::fs::remove_dir_all(stage);
        std::process::exit(130);
    })
}
