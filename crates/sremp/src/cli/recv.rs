//! `sremp recv`: what happened, in the order in which it was committed.

use std::{
    io::{self, Write as _},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use sremp_client::view::{Command, CommandError, Event};

use super::{
    DONE, Ending, Failure, Out,
    context::{Client, Context},
    out, signals, words,
};
use crate::ask::Ask as _;

/// Most events in one reply.
const BATCH: u32 = 256;

/// Longest single wait: how late a signal is noticed.
const SLICE: Duration = Duration::from_millis(250);

/// How long to wait for the first event, unless said: a client of our own has to reach its contacts
/// first, one that runs already has.
const OWN_CLIENT_PATIENCE: Duration = Duration::from_secs(10);

/// How long a client of our own may be silent before all that waited has come.
const OWN_CLIENT_PAUSE: Duration = Duration::from_millis(500);

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp recv
  sremp recv --json --follow --ack     for bots: each event until it is acknowledged
  sremp recv --follow --timeout 60

Without --ack the same events come again next time. With it, an event is acknowledged after its
line was written.")]
pub(crate) struct Args {
    /// Go on until --timeout, Ctrl-C or SIGTERM
    #[arg(long, short)]
    follow: bool,
    /// Acknowledge what was printed, so that it does not come again
    #[arg(long)]
    ack: bool,
    /// Without --follow: how long to wait for the first event (0 with a running client, else 10).
    /// With --follow: when to end
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let ended = signals::end_flag()?;
        context.online(self.follow, |client| {
            self.pass_on(client, &ended, context.out)
        })?;
        Ok(DONE)
    }

    fn pass_on(&self, client: &Client, ended: &AtomicBool, out: Out) -> Result<(), Failure> {
        let (mut end, pause) = self.patience(client.ours);
        let mut after = None;
        while !ended.load(Ordering::Relaxed) {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let events = next(client, after, left.map_or(SLICE, |left| left.min(SLICE)))?;
            let Some(last) = events.last() else {
                if left.is_some_and(|left| left.is_zero()) {
                    break;
                }
                continue;
            };
            print(&events, out)?;
            if self.ack {
                client.face.ask::<()>(&Command::Ack { seq: last.seq })?;
            }
            after = Some(last.seq);
            if !self.follow {
                end = Some(Instant::now() + pause);
            } else if left.is_some_and(|left| left.is_zero()) {
                break;
            }
        }
        Ok(())
    }

    /// When to give up if nothing comes, and how long to wait for more once something came.
    fn patience(&self, ours: bool) -> (Option<Instant>, Duration) {
        let given = self.timeout.map(|s| Duration::from_secs(s.into()));
        let (usual, pause) = if ours {
            (OWN_CLIENT_PATIENCE, OWN_CLIENT_PAUSE)
        } else {
            (Duration::ZERO, Duration::ZERO)
        };
        let patience = if self.follow {
            given
        } else {
            Some(given.unwrap_or(usual))
        };
        (patience.map(|patience| Instant::now() + patience), pause)
    }
}

fn next(client: &Client, after: Option<u64>, wait: Duration) -> Result<Vec<Event>, CommandError> {
    client.face.ask(&Command::Events {
        after,
        limit: BATCH,
        wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
    })
}

/// Written and flushed when this returns, so that it may be acknowledged.
fn print(events: &[Event], out: Out) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for event in events {
        if out.json {
            out::object(&mut stdout, event)?;
        } else {
            words::event(&mut stdout, event)?;
        }
    }
    stdout.flush()
}
