//! People in such a world, and what they are watched doing.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use super::world::{World, address};
use crate::{
    namespaces::{Home, Talker, field},
    process::Outcome,
};

/// Port of every listener.
const PORT: u16 = 33_399;
/// Longest that anything is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);

/// A server that runs.
pub(super) struct Server<'a> {
    _home: Home<'a>,
    pub(super) running: Talker,
    pub(super) link: String,
}

impl<'a> Server<'a> {
    pub(super) fn relay(sremp: &'a Path, world: &'a World, number: usize) -> Result<Self, String> {
        Self::start(sremp, world, number, "relay", "--open")
    }

    pub(super) fn rendezvous(
        sremp: &'a Path,
        world: &'a World,
        number: usize,
    ) -> Result<Self, String> {
        Self::start(sremp, world, number, "rendezvous", "--self-signed")
    }

    fn start(
        sremp: &'a Path,
        world: &'a World,
        number: usize,
        kind: &str,
        how: &str,
    ) -> Result<Self, String> {
        let home = Home::new(sremp, world.place(number), &format!("{kind}{number}"));
        let listen = format!("{}:{PORT}", address(number));
        let (running, link) = home.serve(kind, &["--listen", &listen, how])?;
        Ok(Self {
            _home: home,
            running,
            link,
        })
    }
}

/// Somebody whose client runs.
pub(super) struct Person<'a> {
    pub(super) name: String,
    pub(super) number: usize,
    pub(super) home: Home<'a>,
    // ends before the client that it reads from
    read: Option<Talker>,
    client: Option<Talker>,
}

/// What somebody is reached by.
#[derive(Clone, Copy, Default)]
pub(super) struct Ways<'a> {
    pub(super) listens: bool,
    pub(super) relays: &'a [&'a str],
    pub(super) rendezvous: &'a [&'a str],
}

impl<'a> Person<'a> {
    pub(super) fn new(
        sremp: &'a Path,
        world: &'a World,
        number: usize,
        ways: Ways<'_>,
    ) -> Result<Self, String> {
        let name = format!("person{number}");
        let home = Home::new(sremp, world.place(number), &name);
        let mut init = vec!["init", "--no-passphrase", "--name", &name];
        let (listen, advertise) = (
            format!("0.0.0.0:{PORT}"),
            format!("{}:{PORT}", address(number)),
        );
        if ways.listens {
            init.extend(["--listen", &listen]);
            if ways.rendezvous.is_empty() {
                init.extend(["--advertise", &advertise]);
            }
        }
        for relay in ways.relays {
            init.extend(["--relay", relay]);
        }
        for server in ways.rendezvous {
            init.extend(["--rendezvous", server]);
        }
        home.run(&init)?;
        let client = home.up()?;
        Ok(Self {
            name,
            number,
            home,
            client: Some(client),
            read: None,
        })
    }

    /// Waits until `status` says this.
    pub(super) fn until(&self, wanted: &str) -> Outcome {
        self.home.until(&["status", "--json"], wanted)
    }

    pub(super) fn card(&self) -> Result<String, String> {
        field(&self.home.run(&["id", "--json"])?, "card")
    }

    /// Adds another one and is added; the first message is on the device of either.
    pub(super) fn meet(&self, other: &Self) -> Outcome {
        for (one, two) in [(self, other), (other, self)] {
            one.home.run(&["add", &two.card()?, "--as", &two.name])?;
        }
        for (one, two) in [(self, other), (other, self)] {
            let wait = ["--wait", "device", "--timeout", "40"];
            one.home
                .run(&[&["send", &two.name, "hello"][..], &wait].concat())?;
        }
        Ok(())
    }

    pub(super) fn send(&self, to: &Self, text: &str) -> Outcome {
        self.home.run(&["send", &to.name, text]).map(drop)
    }

    /// JSON-RPC with the client.
    pub(super) fn rpc(&self) -> Result<Talker, String> {
        Talker::start(&mut self.home.command(&["rpc"]))
    }

    fn follow(&self) -> Command {
        let args = ["recv", "--json", "--follow", "--ack", "--timeout", "86400"];
        self.home.command(&args)
    }

    /// Waits until this text is on the device, and tells when; other texts than those expected before it
    /// are an error.
    pub(super) fn reads(&mut self, text: &str) -> Result<Instant, String> {
        if self.read.is_none() {
            self.read = Some(Talker::start(&mut self.follow())?);
        }
        let (wanted, since) = (format!("\"text\":\"{text}\""), Instant::now());
        let Some(read) = &mut self.read else {
            return Err("nothing is read".into());
        };
        loop {
            let left = PATIENCE.saturating_sub(since.elapsed());
            let line = read
                .line_within(left)
                .map_err(|e| format!("{}: {text} has not come: {e}", self.name))?;
            if !line.contains("\"event\":\"message\"") || line.contains("\"text\":\"hello\"") {
                continue;
            }
            return match line.contains(&wanted) {
                true => Ok(Instant::now()),
                false => Err(format!("{}: not {text} but {line}", self.name)),
            };
        }
    }

    /// The client's process id, and how long it has used a processor.
    pub(super) fn processor_time(&self) -> Result<Duration, String> {
        let client = self.client.as_ref().ok_or("no client")?;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", client.id()))
            .map_err(|e| format!("the client's processor time: {e}"))?;
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map_or("", |(_, rest)| rest)
            .split_whitespace()
            .collect();
        let ticks: u64 = [11, 12]
            .iter()
            .filter_map(|n| fields.get(*n)?.parse::<u64>().ok())
            .sum();
        // a tick is 10 ms on every Linux that we know
        Ok(Duration::from_millis(ticks * 10))
    }
}
