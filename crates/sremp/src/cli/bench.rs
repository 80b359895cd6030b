//! `sremp bench`: what a relay and a rendezvous server bear.

mod crash;
mod drain;
mod figures;
mod fill;
mod idle;
mod rendezvous;

use std::time::Duration;

use clap::Subcommand;
use sremp_client::view::ErrorKind;
use sremp_relay::{
    load::{self, Load, LoadError, process::open_files},
    run::{RelayLink, RelayLinkError},
};

use self::figures::{Cost, Figures};
use super::{Ending, Failure, Out};
use crate::server_process::{Kind, ServerProcess};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp bench relay --senders 128
  sremp bench relay --senders 128 --online --mailboxes 100 --json
  sremp bench rendezvous lookups")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Put load on a relay: one of its own in a temporary directory, unless one is named
    Relay(RelayArgs),
    /// Put load on a rendezvous server of its own in a temporary directory
    Rendezvous(rendezvous::RendezvousArgs),
}

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp bench relay --senders 16 --seconds 4
  sremp bench relay --senders 1 --mailboxes 1 --online --rate 50
  sremp bench relay --drain 20000
  sremp bench relay --idle 10000
  sremp bench relay --fill 1000000 --senders 128
  sremp bench relay --fill 100000 --mailboxes 1
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
    /// Let N messages wait in one mailbox, and its owner fetch and confirm them
    #[arg(
        long,
        value_name = "N",
        help_heading = "Other measurements",
        conflicts_with_all = ["senders", "window", "mailboxes", "online", "seconds", "rate", "link"],
        conflicts_with_all = ["idle", "fill", "kills"]
    )]
    drain: Option<u64>,
    /// Let N owners connect, register and be silent
    #[arg(
        long,
        value_name = "N",
        help_heading = "Other measurements",
        conflicts_with_all = ["senders", "window", "mailboxes", "online", "seconds", "rate", "link"],
        conflicts_with_all = ["size", "fill", "kills"]
    )]
    idle: Option<u32>,
    /// Let N messages wait in the mailboxes, compare stores with those of an empty relay, and start
    /// the relay again
    #[arg(
        long,
        value_name = "N",
        help_heading = "Other measurements",
        conflicts_with_all = ["online", "rate", "link", "kills"]
    )]
    fill: Option<u64>,
    #[command(flatten)]
    crash: crash::CrashArgs,
}

impl Args {
    pub(crate) fn run(self, out: Out) -> Ending {
        match self.what {
            What::Relay(args) => args.run(out),
            What::Rendezvous(args) => args.run(out),
        }
    }
}

/// For 128 senders.
const LIMITS: &[(&str, &str)] = &[("written_per_message", "<= 3072")];
/// For 50 messages a second.
const RATE_LIMITS: &[(&str, &str)] = &[("delivery_p50_ms", "<= 1.5"), ("delivery_p99_ms", "<= 4")];

const fn limits(load: &Load) -> &'static [(&'static str, &'static str)] {
    match load.rate {
        Some(_) => RATE_LIMITS,
        None => LIMITS,
    }
}

impl RelayArgs {
    fn run(self, out: Out) -> Ending {
        if let Some(kills) = self.crash.kills {
            return self.crash.run(kills, self.size, out);
        }
        let runtime = tokio::runtime::Runtime::new()?;
        let load = Load {
            senders: self.senders,
            window: self.window.into(),
            mailboxes: self.mailboxes,
            online: self.online,
            size: self.size,
            time: Duration::from_secs(self.seconds),
            rate: self.rate,
        };
        match (self.drain, self.idle, self.fill, &self.link) {
            (Some(messages), ..) => runtime.block_on(drain::run(messages, self.size, out)),
            (_, Some(connections), ..) => runtime.block_on(idle::run(connections, out)),
            (_, _, Some(messages), _) => runtime.block_on(fill::run(messages, &load, out)),
            (.., Some(link)) => {
                let report = runtime.block_on(load::run(&parsed(link)?, &load));
                Figures::of(&report.map_err(unreachable)?, limits(&load))?.print(out)
            }
            (.., None) => runtime.block_on(of_its_own(&load, out)),
        }
    }
}

async fn of_its_own(load: &Load, out: Out) -> Ending {
    let own = OwnRelay::start()?;
    let before = Cost::of(&own.process);
    let report = load::run(&own.link, load).await.map_err(unreachable)?;
    let mut figures = Figures::of(&report, limits(load))?;
    figures.add_cost(&own.process, before, report.stored);
    figures.print(out)
}

fn unreachable(error: LoadError) -> Failure {
    Failure::new(ErrorKind::Network, error.to_string())
}

fn parsed(link: &str) -> Result<RelayLink, Failure> {
    link.parse()
        .map_err(|error: RelayLinkError| Failure::new(ErrorKind::Usage, error.to_string()))
}

/// Files that a process has open beside its connections.
const OTHER_FILES: u64 = 128;

/// Lets this process and those that it starts have so many connections.
fn allow_files(connections: u32) -> Result<(), Failure> {
    let wanted = u64::from(connections) + OTHER_FILES;
    open_files(wanted).map_err(|most| {
        let what = format!(
            "{connections} connections need {wanted} open files, and there may be {most}; \
             raise that with `ulimit -n {wanted}`"
        );
        Failure::new(ErrorKind::Failed, what)
    })
}

/// A relay in a process of its own, in a directory that goes with it.
struct OwnRelay {
    process: ServerProcess,
    link: RelayLink,
    _stage: tempfile::TempDir,
}

impl OwnRelay {
    fn start() -> Result<Self, Failure> {
        let stage = tempfile::tempdir()?;
        let process = ServerProcess::start(Kind::Relay, &stage.path().join("relay"), UNBOUNDED)?;
        let link = parsed(process.link())?;
        Ok(Self {
            process,
            link,
            _stage: stage,
        })
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
disk_full = 100
";
