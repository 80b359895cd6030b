//! Behind a NAT router that is made for the purpose: does a mapping lead inside, and is it gone after?

mod people;
mod world;

use std::path::PathBuf;

use self::world::{Gateway, World};
use crate::{
    namespaces::{self, Talker, program},
    process::{Outcome, cargo, run},
    tools::locked,
};

/// Programs that are needed, and Debian's packages with them.
const PROGRAMS: [(&str, &str); 3] = [
    ("nft", "nftables"),
    ("miniupnpd", "miniupnpd-nftables"),
    ("sysctl", "procps"),
];
/// Says that this process is the one in the private world.
const INSIDE: &str = "--inside";
/// Port of the listener at home.
const PORT: u16 = 33_399;

/// Builds what is run, then runs the test in a world of its own.
pub(crate) fn test(args: &[String]) -> Outcome {
    if args == [INSIDE] {
        return inside();
    }
    if !args.is_empty() {
        return Err("nat-test takes no arguments".into());
    }
    namespaces::ensure(&PROGRAMS)?;
    run(cargo()
        .args(["build", "--package", "sremp-net", "--example", "mapping"])
        .args(locked()))?;
    namespaces::enter(&["nat-test".into(), INSIDE.into()])
}

fn inside() -> Outcome {
    namespaces::prepare()?;
    let (mapping, sremp) = (program("examples/mapping")?, program("sremp")?);
    for gateway in Gateway::ALL {
        let world = World::new(gateway)?;
        for protocol in gateway.protocols() {
            comes_and_goes(&world, &mapping, protocol)?;
            eprintln!("nat-test: {gateway:?}: a port is mapped over {protocol}, and given back");
        }
        if !gateway.maps() {
            stays_out(&world, &mapping)?;
            eprintln!("nat-test: {gateway:?}: nothing is mapped, and that is told");
        }
        people::meet(&world, &sremp, gateway.maps())?;
        let way = if gateway.maps() {
            "directly"
        } else {
            "by the relay"
        };
        eprintln!("nat-test: {gateway:?}: two people meet by an id, and write {way}");
    }
    Ok(())
}

/// The port leads inside as long as the program runs.
fn comes_and_goes(world: &World, mapping: &PathBuf, protocol: &str) -> Outcome {
    let reach = |address: &str| {
        let mut reaching = world.outside().command(mapping);
        let status = reaching.args(["reach", address]).output();
        status.is_ok_and(|out| out.status.success())
    };
    let expected = format!("{}:{PORT}", world::PUBLIC);
    if reach(&expected) {
        return Err(format!(
            "{protocol}: {expected} leads inside before it is mapped"
        ));
    }
    let mut keeping = world.home().command(mapping);
    keeping.args(["keep", &PORT.to_string(), protocol]);
    let mut kept = Talker::start(&mut keeping)?;
    let line = kept.line()?;
    let told: Vec<&str> = line.split(' ').collect();
    let ["mapped", address, by] = *told else {
        return Err(format!("{protocol}: {line}"));
    };
    if by.to_lowercase() != protocol {
        return Err(format!("{protocol}: {line}"));
    }
    if !reach(address) {
        return Err(format!(
            "{protocol}: {address} is mapped, and does not lead inside"
        ));
    }
    kept.end()?;
    if reach(address) {
        return Err(format!(
            "{protocol}: {address} leads inside after it was given back"
        ));
    }
    match world.mappings()? {
        0 => Ok(()),
        left => Err(format!("{protocol}: the router has {left} mappings left")),
    }
}

/// No protocol maps, and the program says why.
fn stays_out(world: &World, mapping: &PathBuf) -> Outcome {
    let mut keeping = world.home().command(mapping);
    keeping.args(["keep", &PORT.to_string()]);
    let mut kept = Talker::start(&mut keeping)?;
    let line = kept.line()?;
    kept.end()?;
    match (line.starts_with("failed "), world.mappings()?) {
        (true, 0) => Ok(()),
        (_, left) => Err(format!("{line}; {left} mappings in the router")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_maps_over_some_protocol_or_over_none() {
        for gateway in Gateway::ALL {
            assert_eq!(gateway.maps(), !gateway.protocols().is_empty());
        }
    }
}
