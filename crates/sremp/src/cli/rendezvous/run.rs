//! `sremp rendezvous run`: the server itself.

use std::io::{self, Write as _};

use sremp_client::view::ErrorKind;
use sremp_rendezvous::run::{self, Running};
use tokio::sync::mpsc;

use super::{Operator, link_view};
use crate::cli::{
    DONE, Ending, Failure, Hangup, context::private_addresses_allowed, object, on_end,
};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  sremp rendezvous run --home /var/lib/sremp-rendezvous

When it accepts it prints one line: rendezvous ready LINK")]
pub(crate) struct Args {
    /// End when standard input does: whoever started this is gone then
    #[arg(long, hide = true)]
    with_parent: bool,
}

impl Args {
    pub(crate) fn run(self, operator: &Operator) -> Ending {
        log();
        let runtime = tokio::runtime::Runtime::new().map_err(|error| {
            let message = format!("the system gives no threads: {error}");
            Failure::new(ErrorKind::Failed, message)
        })?;
        let (end, ended) = mpsc::channel(2);
        if self.with_parent {
            let end = end.clone();
            std::thread::spawn(move || {
                let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
                let _ = end.blocking_send(());
            });
        }
        on_end(Hangup::Ends, move || {
            // there is room: full would mean that it has been told
            let _ = end.try_send(());
        })?;
        runtime.block_on(serve(ended, operator))
    }
}

/// Counts and causes, never who or from where (D6.12).
fn log() {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        .finish();
    // set already by whoever runs several of them in one process
    let _ = tracing::subscriber::set_global_default(subscriber);
}

async fn serve(mut ended: mpsc::Receiver<()>, operator: &Operator) -> Ending {
    let mut running = run::start(&operator.home, private_addresses_allowed()).await?;
    ready(&running, operator)?;
    // told to systemd, if it asked to be told
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let failure = tokio::select! {
        _ = ended.recv() => None,
        failure = running.failed() => Some(failure),
    };
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    match failure {
        None => {
            running.shutdown().await;
            Ok(DONE)
        }
        Some(failure) => Err(failure.into()),
    }
}

fn ready(running: &Running, operator: &Operator) -> io::Result<()> {
    let mut to = io::stdout().lock();
    if operator.out.json {
        let mut view = link_view(running.link());
        view["listening"] = running.local_addr().to_string().into();
        view["operations"] = running.operations_addr().map(|a| a.to_string()).into();
        object(&mut to, &view)?;
    } else {
        writeln!(to, "rendezvous ready {}", running.link())?;
    }
    to.flush()
}
