//! Any number of places on one switch.
//!
//! ```text
//! place 45.77.0.2 ── port p2 ┐
//! place 45.77.0.3 ── port p3 ┼ bridge, in the namespace `switch`
//! …                          ┘
//! ```

use std::process::Command;

use crate::{
    namespaces::{Place, Talker, directory},
    process::{Outcome, output},
};

/// How a place loses its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Its device is switched off, as by hand.
    Device,
    /// Its device has no carrier, as with a cable pulled out.
    Carrier,
    /// Its frames go nowhere, and nothing tells of it.
    Silence,
}

impl Cut {
    pub(super) const ALL: [Self; 3] = [Self::Device, Self::Carrier, Self::Silence];
}

/// The switch and its places. All of it goes with this.
pub(super) struct World {
    switch: Place,
    places: Vec<Place>,
    wires: Vec<Talker>,
}

/// The address of a place. It looks public, because others are not dialled; nobody outside sees it.
pub(super) fn address(number: usize) -> String {
    format!("45.77.0.{}", number + 2)
}

impl World {
    /// So many places, with an address each.
    pub(super) fn new(places: usize) -> Result<Self, String> {
        let mut world = Self {
            switch: Place::named("switch"),
            places: Vec::new(),
            wires: Vec::new(),
        };
        world.switch.make()?;
        let switch = &world.switch;
        switch.run("ip", "link add bridge type bridge forward_delay 0")?;
        switch.run("ip", "link set bridge up")?;
        for number in 0..places {
            let place = Place::of(format!("place{number}"));
            place.make()?;
            let name = place.name().to_owned();
            world.places.push(place);
            world.switch.run(
                "ip",
                &format!("link add p{number} type veth peer name eth netns {name}"),
            )?;
            world.plug_in(number)?;
        }
        Ok(world)
    }

    pub(super) fn place(&self, number: usize) -> &Place {
        &self.places[number]
    }

    fn plug_in(&self, number: usize) -> Outcome {
        self.switch
            .run("ip", &format!("link set p{number} master bridge up"))?;
        let place = self.place(number);
        place.run("ip", "link set lo up")?;
        let address = address(number);
        place.run("ip", &format!("addr add {address}/24 dev eth"))?;
        place.run("ip", "link set eth up")?;
        Ok(())
    }

    /// Puts a slow wire that loses between a place and the switch.
    pub(super) fn slow(
        &mut self,
        number: usize,
        delay_ms: u32,
        loss_percent: u32,
        seed: u64,
    ) -> Outcome {
        self.switch.run("ip", &format!("link del p{number}"))?;
        let script = directory().join("slow.py");
        std::fs::write(&script, include_str!("slow.py"))
            .map_err(|e| format!("{}: {e}", script.display()))?;
        let mut wire = self.switch.command("python3");
        wire.arg(script)
            .args([format!("p{number}"), format!("far{number}")])
            .args([delay_ms.to_string(), loss_percent.to_string()])
            .arg(seed.to_string());
        let mut wire = Talker::start(&mut wire)?;
        let line = wire.line()?;
        if line != "ready" {
            return Err(format!("the slow wire says {line}"));
        }
        self.wires.push(wire);
        let place = self.place(number).name().to_owned();
        self.switch.run(
            "ip",
            &format!("link set far{number} netns {place} name eth"),
        )?;
        self.plug_in(number)
    }

    pub(super) fn cut(&self, number: usize, how: Cut) -> Outcome {
        let port = format!("p{number}");
        match how {
            Cut::Device => self.place(number).run("ip", "link set eth down"),
            Cut::Carrier => self.switch.run("ip", &format!("link set {port} down")),
            Cut::Silence => self.switch.run("ip", &format!("link set {port} nomaster")),
        }?;
        Ok(())
    }

    pub(super) fn mend(&self, number: usize, how: Cut) -> Outcome {
        let port = format!("p{number}");
        match how {
            Cut::Device => self.place(number).run("ip", "link set eth up"),
            Cut::Carrier => self.switch.run("ip", &format!("link set {port} up")),
            Cut::Silence => self
                .switch
                .run("ip", &format!("link set {port} master bridge")),
        }?;
        Ok(())
    }

    /// The place is at another address from now on, as after a walk to another network.
    pub(super) fn readdress(&self, number: usize, to: &str) -> Outcome {
        let place = self.place(number);
        place.run("ip", "addr flush dev eth")?;
        place.run("ip", &format!("addr add {to}/24 dev eth"))?;
        Ok(())
    }

    /// TCP segments that a place has sent and got, without those that it sent itself.
    pub(super) fn segments(&self, number: usize) -> Result<u64, String> {
        let text = output(
            Command::new("ip")
                .args(["netns", "exec", self.place(number).name()])
                .args(["cat", "/proc/net/snmp"]),
        )?;
        let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
        let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
            return Err("no TCP counters".into());
        };
        let named = names.split(' ').zip(values.split(' '));
        let counted = named.filter(|(name, _)| ["InSegs", "OutSegs"].contains(name));
        Ok(counted.filter_map(|(_, n)| n.parse::<u64>().ok()).sum())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.wires.clear();
        for place in &self.places {
            place.unmake();
        }
        self.switch.unmake();
    }
}
