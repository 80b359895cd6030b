//! Two people and their servers in such a world: one behind the router, everybody else outside.

use std::path::Path;

use super::world::{OUTSIDE, PUBLIC, World};
use crate::{
    namespaces::{Home, field},
    process::Outcome,
};

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
    let settings = ben.path().join("config.toml");
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
