//! `sremp bench rendezvous`: what a rendezvous server bears.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::json;
use sremp_client::view::ErrorKind;
use sremp_relay::load::{idle::signature_check, process::ProcessCost};
use sremp_rendezvous::{
    home::RendezvousHome,
    load::{
        Keys, LoadError, Times,
        browse::beside,
        fill::{Filled, fill},
        idle::Idle,
        lookup, register,
    },
    run::{RendezvousLink, RendezvousLinkError},
};

use super::{Cost, Figures, allow_files};
use crate::{
    cli::{Ending, Failure, Out},
    server_process::{Kind, ServerProcess},
};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp bench rendezvous
  sremp bench rendezvous lookups connect --seconds 4 --json
  sremp bench rendezvous restart --registrations 1000000")]
pub(super) struct RendezvousArgs {
    /// What to measure; all unless given
    what: Vec<What>,
    /// Connections that ask
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Registrations that are there before
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    registrations: u64,
    /// How long each measurement takes
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Silent connections
    #[arg(long, default_value_t = 10_000)]
    idle: u32,
}

fn parsed(link: &str) -> Result<RendezvousLink, Failure> {
    let parsed = link.parse();
    parsed.map_err(|e: RendezvousLinkError| Failure::new(ErrorKind::Failed, e.to_string()))
}

/// A measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Lookups over connections that are kept
    Lookups,
    /// A new connection for each lookup
    Connect,
    /// What a client goes through to find somebody, every signature checked
    Round,
    /// Registrations, each with its signatures, a proof and a commit
    Register,
    /// Lookups while 1,000 people browse as often as they may
    Browse,
    /// Memory of connections on which nothing happens
    Idle,
    /// Memory of all registrations, and the time until a killed server is there again
    Restart,
}

/// For 64 clients, 100,000 registrations and 10,000 idle connections; of a restart, for 1,000,000.
const LIMITS: &[(&str, &str)] = &[
    (
        "lookups_per_s",
        ">= 0.6 x nginx's (bench/compare/rendezvous.sh)",
    ),
    ("lookup_p99_ms", "<= 2 x nginx's"),
    ("connect_cpu_us", "<= 0.6 x nginx's"),
    ("round_p50_ms", "<= 8"),
    ("registers_share", ">= 0.6"),
    ("browse_share", ">= 0.8"),
    ("idle_kib_each", "<= 15"),
    ("memory_share", "<= 2"),
    ("restart_s", "<= 5"),
];
/// Connections that are made at the same time.
const CONNECTING: usize = 16;
/// Rounds of a client.
const ROUNDS: usize = 500;
/// Those who browse share this many connections, which ask as often as all of them may.
const BROWSERS: u64 = 10;
const BROWSE_EVERY: Duration = Duration::from_millis(100);
/// How often lookups are measured with and without those who browse, in turn.
const TURNS: u32 = 4;
/// Until what the last connections left behind is done.
const REST: Duration = Duration::from_secs(1);

impl RendezvousArgs {
    pub(super) fn run(self, out: Out) -> Ending {
        // one thread, as the load is to leave the processors to the server
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.measure())?.print(out)
    }

    async fn measure(&self) -> Result<Figures, Failure> {
        let stage = tempfile::tempdir()?;
        let mut server = ServerProcess::init(
            Kind::Rendezvous,
            &stage.path().join("rendezvous"),
            UNBOUNDED,
        )?;
        let filled =
            fill(&RendezvousHome::at(server.home()), self.registrations).map_err(unreachable)?;
        server.run()?;
        let report = json!({ "clients": self.clients, "registrations": self.registrations });
        let mut bench = Bench {
            link: parsed(server.link())?,
            keys: filled.keys.clone(),
            time: Duration::from_secs(self.seconds.max(1)),
            clients: self.clients.max(1),
            figures: Figures::of(&report, LIMITS)?,
            server,
        };
        let all = What::value_variants();
        let wanted = if self.what.is_empty() {
            all
        } else {
            &self.what[..]
        };
        // what is there before memory is measured counts
        if wanted.contains(&What::Restart) {
            bench.restart(&filled)?;
        }
        for what in wanted {
            match what {
                What::Lookups => bench.lookups().await?,
                What::Connect => bench.connect().await?,
                What::Round => bench.round().await?,
                What::Register => bench.register().await?,
                What::Browse => bench.browse().await?,
                What::Idle => bench.idle(self.idle).await?,
                What::Restart => {}
            }
        }
        Ok(bench.figures)
    }
}

struct Bench {
    server: ServerProcess,
    link: RendezvousLink,
    keys: Keys,
    time: Duration,
    clients: usize,
    figures: Figures,
}

impl Bench {
    fn cost(&self) -> Option<Cost> {
        ProcessCost::of(self.server.pid()?).map(Cost)
    }

    /// Processor time of the server since it cost `before`, microseconds for each.
    fn cpu_us(&self, before: Option<Cost>, times: &Times) -> Option<f64> {
        let spent = self.cost()?.cpu_us() - before?.cpu_us();
        Some(spent / times.count().max(1) as f64)
    }

    fn add(&mut self, name: &str, value: impl Into<serde_json::Value>) {
        self.figures.add(name, value);
    }

    async fn lookups(&mut self) -> Result<(), Failure> {
        let before = self.cost();
        let times = lookup::kept(&self.link, &self.keys, self.clients, self.time).await;
        let times = times.map_err(unreachable)?;
        self.add("lookups_per_s", times.per_s());
        self.add("lookup_p50_ms", times.percentile_ms(50));
        self.add("lookup_p99_ms", times.percentile_ms(99));
        self.add("lookup_cpu_us", self.cpu_us(before, &times));
        Ok(())
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        let before = self.cost();
        let times = lookup::new_each(&self.link, &self.keys, CONNECTING, self.time).await;
        let times = times.map_err(unreachable)?;
        self.add("connects_per_s", times.per_s());
        self.add("connect_cpu_us", self.cpu_us(before, &times));
        Ok(())
    }

    async fn round(&mut self) -> Result<(), Failure> {
        let times = lookup::rounds(&self.link, &self.keys, ROUNDS).await;
        let times = times.map_err(unreachable)?;
        self.add("round_p50_ms", times.percentile_ms(50));
        self.add("round_p99_ms", times.percentile_ms(99));
        Ok(())
    }

    async fn register(&mut self) -> Result<(), Failure> {
        let before = self.cost();
        let times = register::run(&self.link, self.clients, self.time).await;
        let times = times.map_err(unreachable)?;
        let check = signature_check().as_secs_f64();
        self.add("registers_per_s", times.per_s());
        self.add("register_p50_ms", times.percentile_ms(50));
        self.add("register_p99_ms", times.percentile_ms(99));
        self.add("register_cpu_us", self.cpu_us(before, &times));
        self.add("signature_check_us", check * 1e6);
        // of what one processor could do if there were nothing but two checks
        self.add("registers_share", times.per_s() * 2.0 * check);
        Ok(())
    }

    async fn browse(&mut self) -> Result<(), Failure> {
        let time = self.time / TURNS;
        let (mut alone, mut beside_them, mut pages) = (0.0, 0.0, 0.0);
        for _ in 0..TURNS {
            let without = lookup::kept(&self.link, &self.keys, self.clients, time).await;
            alone += without.map_err(unreachable)?.per_s();
            let with = beside(
                &self.link,
                &self.keys,
                self.clients,
                time,
                BROWSERS,
                BROWSE_EVERY,
            );
            let with = with.await.map_err(unreachable)?;
            beside_them += with.lookups.per_s();
            pages += with.pages_per_s;
        }
        let each = f64::from(TURNS);
        self.add("browse_pages_per_s", pages / each);
        self.add("browse_lookups_per_s", beside_them / each);
        self.add("browse_share", beside_them / alone);
        Ok(())
    }

    async fn idle(&mut self, count: u32) -> Result<(), Failure> {
        allow_files(count)?;
        let resident = |cost: Option<Cost>| cost.map(|cost| cost.0.resident as f64 / 1024.0);
        let before = resident(self.cost());
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        let idle = Idle::connect(&self.link, &self.keys, wanted).await;
        let idle = idle.map_err(unreachable)?;
        tokio::time::sleep(REST).await;
        let after = resident(self.cost());
        let each = after.zip(before).map(|(after, before)| after - before);
        self.add("idle_connections", count);
        let each = each.map(|kib| kib / f64::from(count.max(1)));
        self.add("idle_kib_each", each);
        drop(idle);
        Ok(())
    }

    fn restart(&mut self, filled: &Filled) -> Result<(), Failure> {
        self.server.kill();
        let began = Instant::now();
        self.server.run()?;
        self.add("restart_s", began.elapsed().as_secs_f64());
        let resident = self.cost().map(|cost| cost.0.resident as f64);
        self.add("resident_kib", resident.map(|bytes| bytes / 1024.0));
        self.add("wire_kib", filled.wire as f64 / 1024.0);
        let share = resident.map(|bytes| bytes / filled.wire.max(1) as f64);
        self.add("memory_share", share);
        Ok(())
    }
}

fn unreachable(error: LoadError) -> Failure {
    Failure::new(ErrorKind::Network, error.to_string())
}

/// No bounds but those of the machine: what is measured is the server, not its patience.
const UNBOUNDED: &str = "\
operations = \"\"
allow_private_addresses = true
max_registrations = 4294967295
[rates]
registers_per_key = 0
registers_per_address = 0
pages_per_key = 0
requests_per_address = 0
[connections]
open = 100000
open_per_address = 100000
half_open = 100000
half_open_per_address = 100000
new_per_address_and_minute = 1000000
new_per_address_at_once = 1000000
";
