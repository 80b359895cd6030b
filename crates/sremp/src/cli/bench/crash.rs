//! `sremp bench relay --kills`: whether a relay keeps what it acknowledged.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde::Serialize;
use sremp_client::view::ErrorKind;
use sremp_relay::{
    home::RelayHome,
    load::{
        LoadError,
        crash::{Crowd, Death, Findings, Schedule, Size},
        power_cut::{Lost, PowerCut},
    },
    mailbox::embedded::fsck,
    run::{RelayLink, RelayLinkError},
};

use super::UNBOUNDED;
use crate::{
    cli::{DONE, Ending, Failure, Out},
    server_process::{Kind, ServerProcess},
};

/// Acknowledged messages between two kills, unless told.
const BETWEEN: u64 = 1_100;

/// Starts that are killed before the first life: while the database is made.
const FIRST_STARTS: u32 = 4;

/// What was typed of a run with kills.
#[derive(clap::Args)]
pub(super) struct CrashArgs {
    /// Kill the relay so often at random moments, and look for what it owes then
    #[arg(
        long,
        value_name = "N",
        help_heading = "Kills",
        conflicts_with_all = ["senders", "window", "mailboxes", "online", "seconds", "rate", "link"]
    )]
    pub(super) kills: Option<u32>,
    /// Cut the power too: what was not synced is lost in part (needs a C compiler)
    #[arg(long, help_heading = "Kills", requires = "kills")]
    cut: bool,
    /// Messages to be acknowledged at the least; 1100 for each kill unless given
    #[arg(long, value_name = "M", help_heading = "Kills", requires = "kills")]
    messages: Option<u64>,
    /// What the random moments come of; random unless given
    #[arg(long, help_heading = "Kills", requires = "kills")]
    seed: Option<u64>,
    /// Let syncs do nothing: to see that a loss is found
    #[arg(long, help_heading = "Kills", requires = "cut")]
    broken_sync: bool,
}

/// What is printed.
#[derive(Serialize)]
struct Report {
    seed: u64,
    kills: u64,
    kills_at_start: u64,
    #[serde(flatten)]
    findings: Findings,
    /// What `fsck` says in the end.
    damages: usize,
    #[serde(flatten)]
    lost: Option<Lost>,
    seconds: f64,
}

impl CrashArgs {
    pub(super) fn run(self, kills: u32, envelope: usize, out: Out) -> Ending {
        let size = Size {
            senders: 16,
            window: 8,
            online: 4,
            offline: 4,
            envelope,
        };
        let kills = kills.max(1);
        let messages = self.messages.unwrap_or(u64::from(kills) * BETWEEN);
        let stage = tempfile::tempdir()?;
        let mut schedule = Schedule::new(self.seed, messages / u64::from(kills));
        eprintln!("seed {}", schedule.seed());
        let runtime = tokio::runtime::Runtime::new()?;
        let mut subject = Subject::prepare(stage.path(), &self, &mut schedule)?;
        let ended = runtime.block_on(subject.outlive(size, kills, messages));
        let report = match ended {
            Ok(findings) => subject.report(findings),
            Err(failure) => return Err(kept(stage, failure)),
        };
        out.one(&report, |to| report.print(to))?;
        match report.findings.faults() + report.damages as u64 {
            0 => Ok(DONE),
            faults => {
                let what = Failure::new(ErrorKind::Failed, format!("{faults} faults"));
                Err(kept(stage, what))
            }
        }
    }
}

/// The directory is evidence now.
fn kept(stage: tempfile::TempDir, failure: Failure) -> Failure {
    eprintln!("the relay's directory is kept: {}", stage.keep().display());
    failure
}

impl Report {
    fn print(&self, to: &mut dyn std::io::Write) -> std::io::Result<()> {
        let view = serde_json::to_value(self).map_err(std::io::Error::other)?;
        for (name, value) in view.as_object().into_iter().flatten() {
            writeln!(to, "{name:22} {value}")?;
        }
        Ok(())
    }
}

/// A relay that is killed again and again.
struct Subject<'a> {
    relay: ServerProcess,
    power: Option<PowerCut>,
    broken_sync: bool,
    schedule: &'a mut Schedule,
    kills: u64,
    kills_at_start: u64,
    lost: Lost,
    began: Instant,
}

impl<'a> Subject<'a> {
    fn prepare(
        stage: &Path,
        args: &CrashArgs,
        schedule: &'a mut Schedule,
    ) -> Result<Self, Failure> {
        let stage = stage.canonicalize()?;
        let home = stage.join("relay");
        let mut relay = ServerProcess::init(Kind::Relay, &home, UNBOUNDED)?;
        let power = match args.cut {
            true => Some(PowerCut::prepare(&stage, &home)?),
            false => None,
        };
        if let Some(power) = &power {
            relay.surround(power.environment(false));
        }
        let mut subject = Self {
            relay,
            power,
            broken_sync: args.broken_sync,
            schedule,
            kills: 0,
            kills_at_start: 0,
            lost: Lost::default(),
            began: Instant::now(),
        };
        for _ in 0..FIRST_STARTS {
            let time = subject.schedule.next_start();
            subject.die_at_start(time)?;
        }
        subject.relay.run()?;
        Ok(subject)
    }

    async fn outlive(
        &mut self,
        size: Size,
        kills: u32,
        messages: u64,
    ) -> Result<Findings, Failure> {
        let link: RelayLink =
            self.relay.link().parse().map_err(|error: RelayLinkError| {
                Failure::new(ErrorKind::Failed, error.to_string())
            })?;
        let mut crowd = Crowd::gather(&link, size).await.map_err(failed)?;
        for _ in 0..kills {
            let death = self.schedule.next_death();
            let count = crowd.acknowledged() + death.messages;
            crowd.reaches(count).await.map_err(failed)?;
            tokio::time::sleep(death.delay).await;
            if !self.dies_and_lives(&death)? {
                return Ok(crowd.give_up().await);
            }
            crowd.relay_runs_again();
        }
        crowd.reaches(messages).await.map_err(failed)?;
        let settled = crowd.settle().await.map_err(failed)?;
        // what was confirmed must not come back either
        let death = self.schedule.next_death();
        if !self.dies_and_lives(&death)? {
            return Ok(settled.give_up());
        }
        let findings = settled.audit().await.map_err(failed);
        self.relay.kill();
        findings
    }

    /// Whether the relay could be started again after its death.
    fn dies_and_lives(&mut self, death: &Death) -> Result<bool, Failure> {
        self.die(death)?;
        match self.relay.run() {
            Ok(()) => Ok(true),
            Err(Failure::Refused(_)) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Kills the relay, and on some occasions its next start as well.
    fn die(&mut self, death: &Death) -> Result<(), Failure> {
        self.kills += 1;
        self.kill()?;
        if let (Some(power), true) = (&self.power, self.broken_sync) {
            // from the second life on, so that there is something to be lost
            self.relay.surround(power.environment(true));
        }
        if let Some(time) = death.next_start {
            self.die_at_start(time)?;
        }
        Ok(())
    }

    fn die_at_start(&mut self, time: Duration) -> Result<(), Failure> {
        self.kills_at_start += 1;
        self.relay.run_for(time)?;
        self.cut()
    }

    fn kill(&mut self) -> Result<(), Failure> {
        self.relay.kill();
        self.cut()
    }

    fn cut(&mut self) -> Result<(), Failure> {
        if let Some(power) = &self.power {
            self.lost += power.cut(self.schedule.rng())?;
        }
        Ok(())
    }

    fn report(&self, findings: Findings) -> Report {
        let database = RelayHome::at(self.relay.home()).database_path();
        Report {
            seed: self.schedule.seed(),
            kills: self.kills,
            kills_at_start: self.kills_at_start,
            findings,
            damages: fsck(&database).map_or(1, |damages| damages.len()),
            lost: self.power.as_ref().map(|_| self.lost),
            seconds: self.began.elapsed().as_secs_f64(),
        }
    }
}

fn failed(error: LoadError) -> Failure {
    Failure::new(ErrorKind::Failed, error.to_string())
}
