//! `sremp rendezvous run`: the server itself.

use std::io::{self, Write as _};

use sremp_rendezvous::run::{self, Running};
use tokio::sync::mpsc;

use super::{Operator, link_view};
use crate::cli::{
    DONE, Ending,
    context::private_addresses_allowed,
    object,
    server::{ended, until_told},
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
        until_told(self.with_parent, |told| serve(told, operator))
    }
}

async fn serve(told: mpsc::Receiver<()>, operator: &Operator) -> Ending {
    let mut running = run::start(&operator.home, private_addresses_allowed()).await?;
    ready(&running, operator)?;
    match ended(told, running.failed()).await {
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
