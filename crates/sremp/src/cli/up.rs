//! `sremp up`: the client, for other verbs to use.

use std::{
    io::{self, Write as _},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use sremp_client::{
    client::{Face, StartOptions},
    view::{Command, ErrorKind, StatusView},
};

use super::{
    DONE, Ending, Failure, Out,
    context::{Context, private_addresses_allowed},
    detach,
    out::object,
    peer,
    signals::{self, Hangup},
};
use crate::ask::Ask as _;

/// How often the process looks whether its client has ended by itself, or by another face.
const PULSE: Duration = Duration::from_secs(1);

/// How long a client may take to end.
const STOPPING: Duration = Duration::from_secs(10);

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp up
  sremp up --listen 0.0.0.0:4017 --detach
  sremp up --stop

When it is ready it prints one line: up ID listening ADDR:PORT")]
pub(crate) struct Args {
    /// Address to listen on, instead of the config's
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<String>,
    /// Go on in the background, once it is ready
    #[arg(long)]
    detach: bool,
    /// End the client that runs
    #[arg(long, conflicts_with_all = ["listen", "detach"])]
    stop: bool,
    /// This is the process in the background
    #[arg(long, hide = true)]
    detached: bool,
}

/// What the client says when it is ready.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ready {
    id: String,
    listening: Option<String>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let running = context.running()?;
        if self.stop {
            return stop(context, running);
        }
        if running.is_some() {
            return Err(already_runs());
        }
        if self.detach {
            let ready = detach::run(context, self.listen.as_deref())?;
            ready.print(context.out)?;
            return Ok(DONE);
        }
        self.stay(context)
    }

    /// Runs the client until somebody ends it.
    fn stay(self, context: &Context) -> Ending {
        let hangup = if self.detached {
            Hangup::Ignored
        } else {
            Hangup::Ends
        };
        let (end, ended) = mpsc::channel();
        signals::on_end(hangup, move || {
            let _ = end.send(());
        })?;
        let options = StartOptions {
            listen: self.listen,
            online: true,
            resident: true,
            serve: true,
            state: context.state.clone(),
            allow_private_addresses: private_addresses_allowed(),
            ..StartOptions::default()
        };
        let client = context.unlock.open(&context.home, |passphrase| {
            context.start(passphrase, &options)
        })?;
        if !client.ours {
            return Err(already_runs());
        }
        let result = serve(&client.face, &ended, context.out);
        client.face.stop();
        result.map(|()| DONE)
    }
}

fn already_runs() -> Failure {
    Failure::new(
        ErrorKind::Home,
        "a client already runs for this home; use it, or end it with `sremp up --stop`",
    )
}

fn serve(face: &Face, ended: &mpsc::Receiver<()>, out: Out) -> Result<(), Failure> {
    let status: StatusView = face.ask(&Command::Status)?;
    Ready {
        id: status.id,
        listening: status.listening,
    }
    .print(out)?;
    while ended.recv_timeout(PULSE) == Err(RecvTimeoutError::Timeout) {
        if let Some(end) = face.wait(Duration::ZERO) {
            return Ok(end?);
        }
    }
    Ok(())
}

impl Ready {
    fn print(&self, out: Out) -> io::Result<()> {
        let mut to = io::stdout().lock();
        if out.json {
            object(&mut to, self)?;
        } else {
            let id = peer::line(&self.id);
            match &self.listening {
                Some(address) => writeln!(to, "up {id} listening {}", peer::line(address))?,
                None => writeln!(to, "up {id} not listening")?,
            }
        }
        to.flush()
    }
}

fn stop(context: &Context, running: Option<Face>) -> Ending {
    let out = context.out;
    let Some(face) = running else {
        context.wait_until_free()?;
        out.one(&serde_json::json!({ "stopped": false }), |to| {
            writeln!(to, "No client runs for this home.")
        })?;
        return Ok(DONE);
    };
    face.ask::<()>(&Command::Stop)?;
    let end = Instant::now() + STOPPING;
    while context.running()?.is_some() {
        if Instant::now() > end {
            return Err(Failure::new(
                ErrorKind::Timeout,
                "the client was asked to end and still runs after 10 s; look at it, then end its \
                 process: nothing is lost",
            ));
        }
        thread::sleep(Duration::from_millis(50));
    }
    out.one(&serde_json::json!({ "stopped": true }), |to| {
        writeln!(to, "The client has ended.")
    })?;
    Ok(DONE)
}
