//! What was measured, and what it is to be compared with.

use std::{io::Write, path::Path};

use serde::Serialize;
use serde_json::{Value, json};
use sremp_client::view::ErrorKind;
use sremp_relay::load::process::ProcessCost;

use crate::{
    cli::{DONE, Ending, Failure, Out},
    server_process::ServerProcess,
};

/// Figures by name.
pub(super) struct Figures {
    view: Value,
    limits: &'static [(&'static str, &'static str)],
}

impl Figures {
    /// Those of a report, with the limits that were set for some of them. They hold for the amounts
    /// that docs/performance.md gives, on two processors, for a release build.
    ///
    /// # Errors
    /// None in practice.
    pub(super) fn of(
        report: &impl Serialize,
        limits: &'static [(&'static str, &'static str)],
    ) -> Result<Self, Failure> {
        let view = serde_json::to_value(report);
        let view = view.map_err(|e| Failure::new(ErrorKind::Failed, e.to_string()))?;
        Ok(Self { view, limits })
    }

    pub(super) fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.view[name] = value.into();
    }

    /// What a relay cost since it cost `before`, for each of so many messages.
    pub(super) fn add_cost(&mut self, relay: &ServerProcess, before: Option<Cost>, messages: u64) {
        let now = Cost::of(relay);
        let each = |amount: f64| amount / messages.max(1) as f64;
        let since = |of: fn(&Cost) -> f64| Some(each(of(&now?) - of(&before?)));
        self.add("resident_kib", json!(now.map(|now| now.0.resident / 1024)));
        self.add(
            "anonymous_kib",
            json!(now.map(|now| now.0.anonymous / 1024)),
        );
        self.add("cpu_us_per_message", json!(since(Cost::cpu_us)));
        self.add("written_per_message", json!(since(Cost::written)));
        let disk = size_of(relay.home()) as f64;
        self.add("disk_per_message", json!(each(disk)));
    }

    pub(super) fn print(self, out: Out) -> Ending {
        let Self { mut view, limits } = self;
        let limit = |name: &str| limits.iter().find(|(of, _)| *of == name).map(|(_, l)| *l);
        view["limits"] = limits.iter().copied().collect();
        out.one(&view, |to| {
            let fields = view.as_object().into_iter().flatten();
            for (name, value) in fields.filter(|(name, _)| *name != "limits") {
                line(to, name, value, limit(name))?;
            }
            Ok(())
        })?;
        Ok(DONE)
    }
}

fn line(to: &mut dyn Write, name: &str, value: &Value, limit: Option<&str>) -> std::io::Result<()> {
    let value = match value.as_f64().filter(|_| value.is_f64()) {
        Some(number) => format!("{number:.3}"),
        None => value.to_string(),
    };
    match limit {
        Some(limit) => writeln!(to, "{name:26} {value:>14}   limit {limit}"),
        None => writeln!(to, "{name:26} {value:>14}"),
    }
}

/// What a relay of its own has cost so far.
#[derive(Clone, Copy)]
pub(super) struct Cost(pub(super) ProcessCost);

impl Cost {
    /// `None` where the system does not tell.
    pub(super) fn of(relay: &ServerProcess) -> Option<Self> {
        ProcessCost::of(relay.pid()?).map(Self)
    }

    pub(super) fn cpu_us(&self) -> f64 {
        self.0.cpu.as_secs_f64() * 1e6
    }

    fn written(&self) -> f64 {
        self.0.written as f64
    }
}

/// Bytes of the files of a directory.
pub(super) fn size_of(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files
        .filter_map(|file| file.metadata().ok())
        .map(|found| found.len())
        .sum()
}
