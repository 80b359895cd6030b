//! `sremp relay run`: the relay itself.

use std::io::{self, Write as _};

use sremp_client::view::ErrorKind;
use sremp_relay::{
    config::Config,
    invite::UsedInvites,
    mailbox::{DiskGuard, EmbeddedStore, Limits},
    run::{self, Running, Start},
};
use tokio::sync::mpsc;

use super::{Operator, link_view};
use crate::cli::{
    DONE, Ending, Failure,
    context::private_addresses_allowed,
    object,
    server::{ended, until_told},
};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  sremp relay run --home /var/lib/sremp-relay

When it accepts it prints one line: relay ready LINK")]
pub(crate) struct Args {
    /// End when standard input does: whoever started this is gone then
    #[arg(long, hide = true)]
    with_parent: bool,
}

impl Args {
    pub(crate) fn run(self, operator: &Operator) -> Ending {
        let _lock = operator.home.lock()?;
        let mut config = operator.home.config()?;
        config.allow_private_addresses |= private_addresses_allowed();
        let identity = operator.home.identity()?;
        let store = {
            let (limits, guard) = limits(&config);
            EmbeddedStore::open(&operator.home.database_path(), limits, guard)?
        };
        let used_invites = UsedInvites::open(&operator.home.invites_path()).map_err(|error| {
            let message = format!("{}: {error}", operator.home.invites_path().display());
            Failure::new(ErrorKind::Storage, message)
        })?;
        let start = Start {
            identity,
            config,
            store,
            used_invites,
        };
        until_told(self.with_parent, |told| serve(start, told, operator))
    }
}

/// Bounds of the store, as the config says.
fn limits(config: &Config) -> (Limits, DiskGuard) {
    let (mailbox, senders) = (&config.mailbox, &config.senders);
    let limits = Limits {
        mailboxes: mailbox.max_mailboxes,
        items: mailbox.max_items,
        bytes: mailbox.max_bytes,
        sender_items: senders.max_items,
        sender_bytes: senders.max_bytes,
        request_items: senders.request_items,
        request_size: senders.request_size,
    };
    let guard = DiskGuard {
        full: config.guards.disk_full,
        room: config.guards.disk_room,
    };
    (limits, guard)
}

async fn serve(
    start: Start<EmbeddedStore>,
    told: mpsc::Receiver<()>,
    operator: &Operator,
) -> Ending {
    let mut running = run::start(start).await?;
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
        writeln!(to, "relay ready {}", running.link())?;
    }
    to.flush()
}
