//! People and servers: a directory each, and where its processes run.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::{Place, Talker, directory};
use crate::process::{Outcome, output};

/// How long people wait for each other.
const PATIENCE: Duration = Duration::from_secs(40);

/// Somebody, or a server: a directory, and where its processes run.
pub(crate) struct Home<'a> {
    sremp: &'a Path,
    place: &'a Place,
    path: PathBuf,
}

impl<'a> Home<'a> {
    pub(crate) fn new(sremp: &'a Path, place: &'a Place, name: &str) -> Self {
        let path = directory().join(name);
        // of another world that is over
        let _ = std::fs::remove_dir_all(&path);
        Self { sremp, place, path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.place.command(self.sremp);
        command.args(args).env("SREMP_HOME", &self.path);
        command.env("SREMP_STATE_DIR", self.path.with_extension("state"));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Result<String, String> {
        output(&mut self.command(args))
    }

    /// A server that is ready, with its link.
    pub(crate) fn serve(&self, kind: &str, init: &[&str]) -> Result<(Talker, String), String> {
        self.run(&[&[kind, "init"], init].concat())?;
        let mut server = Talker::start(&mut self.command(&[kind, "run"]))?;
        let line = server.line()?;
        let link = line.strip_prefix(&format!("{kind} ready "));
        let link = link.ok_or_else(|| format!("{kind}: {line}"))?.to_owned();
        Ok((server, link))
    }

    pub(crate) fn up(&self) -> Result<Talker, String> {
        let mut client = Talker::start(&mut self.command(&["up"]))?;
        let line = client.line()?;
        match line.starts_with("up ") {
            true => Ok(client),
            false => Err(line),
        }
    }

    pub(crate) fn id(&self) -> Result<String, String> {
        field(&self.run(&["id", "--json"])?, "id")
    }

    /// Waits until what a verb prints contains this.
    pub(crate) fn until(&self, args: &[&str], wanted: &str) -> Outcome {
        let since = Instant::now();
        loop {
            let printed = self.run(args)?;
            if printed.contains(wanted) {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("no {wanted} within {PATIENCE:?} in {printed}"));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The text of a field in the one object that a verb prints.
pub(crate) fn field(object: &str, name: &str) -> Result<String, String> {
    let begin = format!("\"{name}\":\"");
    let rest = object.split_once(&begin).map(|(_, rest)| rest);
    let text = rest.and_then(|rest| rest.split_once('"'));
    text.map(|(text, _)| text.to_owned())
        .ok_or_else(|| format!("no {name} in {object}"))
}
