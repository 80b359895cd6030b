//! `sremp bench relay`: what a relay bears.

mod crash;

use std::{path::Path, time::Duration};

use clap::Subcommand;
use serde_json::{Value, json};
use sremp_client::view::ErrorKind;
use sremp_relay::{
    load::{self, Load},
    run::{RelayLink, RelayLinkError},
};

use super::{DONE, Ending, Failure, Out};
use crate::relay_process::RelayProcess;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp bench relay --senders 128
  sremp bench relay --senders 128 --online --mailboxes 100 --json")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Put load on a relay: one of its own in a temporary directory, unless one is named
    Relay(RelayArgs),
}

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp bench relay --senders 16 --seconds 4
  sremp bench relay --kills 20
  sremp bench relay --kills 20 --cut")]
struct RelayArgs {
    /// Connections that store
    #[arg(long, default_value_t = 16)]
    senders: usize,
    /// Stores that each has under way
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=60))]
    window: u16,
    /// Mailboxes that are stored into
    #[arg(long, default_value_t = 100)]
    mailboxes: usize,
    /// Let the owners be there, read and confirm
    #[arg(long)]
    online: bool,
    /// Bytes of an envelope: 1024, 2048, 4096, 8192, 16384, 32768 or 61440
    #[arg(long, default_value_t = 1_024)]
    size: usize,
    /// How long
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Stores a second, of all senders together; as fast as they are answered unless given
    #[arg(long)]
    rate: Option<f64>,
    /// The relay's link; it has to give everybody a mailbox
    #[arg(long)]
    link: Option<String>,
    #[command(flatten)]
    crash: crash::CrashArgs,
}

impl Args {
    pub(crate) fn run(self, out: Out) -> Ending {
        match self.what {
            What::Relay(args) => args.run(out),
        }
    }
}

impl RelayArgs {
    fn run(self, out: Out) -> Ending {
        if let Some(kills) = self.crash.kills {
            return self.crash.run(kills, self.size, out);
        }
        let load = Load {
            senders: self.senders,
            window: self.window.into(),
            mailboxes: self.mailboxes,
            online: self.online,
            size: self.size,
            time: Duration::from_secs(self.seconds),
            rate: self.rate,
        };
        let failed = |what: String| Failure::new(ErrorKind::Failed, what);
        let stage = tempfile::tempdir()?;
        let (own, link) = match &self.link {
            Some(link) => (None, link.clone()),
            None => {
                let own = RelayProcess::start(&stage.path().join("relay"), UNBOUNDED)?;
                let link = own.link().to_owned();
                (Some(own), link)
            }
        };
        let link: RelayLink = link
            .parse()
            .map_err(|error: RelayLinkError| Failure::new(ErrorKind::Usage, error.to_string()))?;
        let runtime = tokio::runtime::Runtime::new().map_err(|e| failed(e.to_string()))?;
        let report = runtime.block_on(load::run(&link, &load));
        let report = report.map_err(|error| Failure::new(ErrorKind::Network, error.to_string()))?;
        let mut view = serde_json::to_value(&report).map_err(|e| failed(e.to_string()))?;
        if let Some(own) = &own {
            measure(own, &mut view, report.stored);
        }
        out.one(&view, |to| {
            let fields = view.as_object().into_iter().flatten();
            for (name, value) in fields {
                writeln!(to, "{name:18} {value}")?;
            }
            Ok(())
        })?;
        Ok(DONE)
    }
}

/// No bounds but those of the machine: what is measured is the relay, not its patience.
const UNBOUNDED: &str = "\
policy = \"open\"
operations = \"\"
[mailbox]
max_items = 4294967295
max_bytes = 9007199254740991
[senders]
max_items = 4294967295
max_bytes = 9007199254740991
request_items = 4294967295
request_size = 61440
[rates]
stores_per_sender = 0
stores_per_mailbox = 0
requests_per_address = 0
[connections]
open = 100000
half_open = 100000
half_open_per_address = 100000
new_per_address_and_minute = 1000000
[guards]
disk_full = 99
";

/// What the relay cost: memory, writes and disk, as the system tells.
fn measure(relay: &RelayProcess, view: &mut Value, stored: u64) {
    let field = |file: &str, name: &str| -> Option<u64> {
        let pid = relay.pid()?;
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    view["resident_kib"] = json!(field("status", "VmRSS:"));
    let per_message = |bytes: u64| bytes as f64 / stored.max(1) as f64;
    view["written_per_message"] = json!(field("io", "write_bytes:").map(per_message));
    view["disk_per_message"] = json!(per_message(size_of(relay.home())));
}

fn size_of(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files
        .filter_map(|file| file.metadata().ok())
        .map(|found| found.len())
        .sum()
}
