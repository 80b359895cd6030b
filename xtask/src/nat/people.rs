//! Two people and their servers in such a world: one behind the router, everybody else outside.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::world::{OUTSIDE, PUBLIC, Place, Talker, World, directory};
use crate::process::{Outcome, output};

/// How long people wait for each other.
const PATIENCE: Duration = Duration::from_secs(40);

/// Somebody, or a server: a directory, and where its processes run.
struct Home<'a> {
    sremp: &'a Path,
    place: &'a Place,
    path: PathBuf,
}

impl<'a> Home<'a> {
    fn new(sremp: &'a Path, place: &'a Place, name: &str) -> Self {
        let path = directory().join(name);
        // of another world that is over
        let _ = std::fs::remove_dir_all(&path);
        Self { sremp, place, path }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.place.command(self.sremp);
        command.args(args).env("SREMP_HOME", &self.path);
        command.env("SREMP_STATE_DIR", self.path.with_extension("state"));
        command
    }

    fn run(&self, args: &[&str]) -> Result<String, String> {
        output(&mut self.command(args))
    }

    /// A server that is ready, with its link.
    fn serve(&self, kind: &str, init: &[&str]) -> Result<(Talker, String), String> {
        self.run(&[&[kind, "init"], init].concat())?;
        let mut server = Talker::start(&mut self.command(&[kind, "run"]))?;
        let line = server.line()?;
        let link = line.strip_prefix(&format!("{kind} ready "));
        let link = link.ok_or_else(|| format!("{kind}: {line}"))?.to_owned();
        Ok((server, link))
    }

    fn up(&self) -> Result<Talker, String> {
        let mut client = Talker::start(&mut self.command(&["up"]))?;
        let line = client.line()?;
        match line.starts_with("up ") {
            true => Ok(client),
            false => Err(line),
        }
    }

    fn id(&self) -> Result<String, String> {
        field(&self.run(&["id", "--json"])?, "id")
    }

    /// Waits until what a verb prints contains this.
    fn until(&self, args: &[&str], wanted: &str) -> Outcome {
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
fn field(object: &str, name: &str) -> Result<String, String> {
    let begin = format!("\"{name}\":\"");
    let rest = object.split_once(&begin).map(|(_, rest)| rest);
    let text = rest.and_then(|rest| rest.split_once('"'));
    text.map(|(text, _)| text.to_owned())
        .ok_or_else(|| format!("no {name} in {object}"))
}

/// Ben is behind the router and asks it for a port, Ann outside knows his id. Where the router maps
/// they write directly; where it does not, and Ann listens nowhere, by the relay.
pub(super) fn meet(world: &World, sremp: &Path, mapped: bool) -> Outcome {
    let outside = world.outside();
    let at = |port: u16| format!("{OUTSIDE}:{port}");
    let server = Home::new(sremp, outside, "rendezvous");
    let advertised = ["--listen", &at(33_400), "--self-signed"];
    let (_server, server_link) = server.serve("rendezvous", &advertised)?;
    let relay = Home::new(sremp, outside, "relay");
    let (_relay, relay_link) = relay.serve("relay", &["--listen", &at(33_401), "--open"])?;
    let both = ["--rendezvous", &server_link, "--relay", &relay_link];
    let init = ["init", "--no-passphrase", "--name"];
    let ben = Home::new(sremp, world.home(), "ben");
    ben.run(&[&init[..], &["ben", "--listen", "0.0.0.0:33399"], &both].concat())?;
    let settings = ben.path.join("config.toml");
    let text = std::fs::read_to_string(&settings).map_err(|e| format!("settings: {e}"))?;
    let text = text.replace("map_port = false", "map_port = true");
    std::fs::write(&settings, text).map_err(|e| format!("settings: {e}"))?;
    let ann = Home::new(sremp, outside, "ann");
    ann.run(&[&init[..], &["ann"], &both].concat())?;
    let (up_ben, up_ann) = (ben.up()?, ann.up()?);
    let registered = "\"registered_until\":\"";
    match mapped {
        true => ben.until(&["status", "--json"], &format!("\"mapped\":\"{PUBLIC}:"))?,
        false => ben.until(&["status", "--json"], "no port is mapped: ")?,
    }
    for person in [&ben, &ann] {
        person.until(&["status", "--json"], registered)?;
        // the relay has their prekeys
        person.until(&["status", "--json"], "\"prekeys\":50")?;
    }
    let id = ben.id()?;
    // where he is is known once the router has led there
    let place = format!("{PUBLIC}:");
    ann.until(
        &["find", &id, "--json"],
        if mapped { &place } else { "\"endpoints\":[]" },
    )?;
    ann.run(&["add", &id, "--as", "ben"])?;
    ann.run(&["send", "ben", "is that you?"])?;
    ben.until(&["contacts", "--requests", "--json"], "is that you?")?;
    ben.run(&["add", &ann.id()?, "--as", "ann"])?;
    ann.until(&["history", "ben", "--json"], "\"status\":\"on-device\"")?;
    let sent = ann.run(&["send", "ben", "and now?", "--wait", "device", "--json"])?;
    let path = field(&sent, "path")?;
    let wanted = if mapped { "direct" } else { "relay" };
    for (person, client) in [(&ben, up_ben), (&ann, up_ann)] {
        person.run(&["up", "--stop"])?;
        client.end()?;
    }
    match (path == wanted, world.mappings()?) {
        (false, _) => Err(format!("the message went by {path}, not by {wanted}")),
        (true, 0) => Ok(()),
        (true, left) => Err(format!("the router has {left} mappings left")),
    }
}
