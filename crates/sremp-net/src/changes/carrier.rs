//! When a device of this host has a carrier again (Linux): a cable was plugged in or a radio network
//! joined, though the addresses may have stayed all the time.

use std::{collections::BTreeSet, ffi::OsString, fs, os::unix::net, path::Path};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, netlink, socket_with},
};
use tokio::net::UnixDatagram;

/// Changes of devices (`RTMGRP_LINK`, rtnetlink(7)).
const OF_LINKS: u32 = 1;
/// Where the system keeps a directory for each device of this network namespace.
const DEVICES: &str = "/sys/class/net";

/// The devices with a carrier.
pub(super) struct Carriers {
    /// Says that something has changed, not what: the directory tells.
    /// A socket of datagrams as others are, so tokio may take it for one that it knows.
    news: UnixDatagram,
    known: BTreeSet<OsString>,
}

impl Carriers {
    /// Watches from now on, inside a tokio runtime; `None` if the system does not say.
    pub(super) fn watch() -> Option<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            flags,
            // the one of routes and devices
            None,
        );
        let socket = socket.ok()?;
        bind(&socket, &netlink::SocketAddrNetlink::new(0, OF_LINKS)).ok()?;
        Some(Self {
            news: UnixDatagram::from_std(net::UnixDatagram::from(socket)).ok()?,
            known: with_carrier(Path::new(DEVICES)),
        })
    }

    /// Waits until a device has a carrier that had none. Safe to cancel.
    pub(super) async fn came(&mut self) {
        loop {
            // whatever it says; what did not fit was lost, and changes nothing here
            let mut message = [0; 4096];
            let lost = |e: &std::io::Error| e.raw_os_error() == Some(Errno::NOBUFS.raw_os_error());
            match self.news.recv(&mut message).await {
                Err(e) if !lost(&e) => return std::future::pending().await,
                _ => {}
            }
            if self.look(Path::new(DEVICES)) {
                return;
            }
        }
    }

    /// Looks again, and tells whether a carrier has come.
    fn look(&mut self, devices: &Path) -> bool {
        let now = with_carrier(devices);
        let came = now.difference(&self.known).next().is_some();
        self.known = now;
        came
    }
}

fn with_carrier(devices: &Path) -> BTreeSet<OsString> {
    let entries = fs::read_dir(devices).into_iter().flatten().flatten();
    // a device that is switched off has no answer
    let carries = |name: &OsString| {
        let carrier = fs::read_to_string(devices.join(name).join("carrier"));
        name != "lo" && carrier.is_ok_and(|text| text.trim() == "1")
    };
    let names = entries.map(|entry| entry.file_name());
    names.filter(carries).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_carrier_that_comes_is_news() {
        let dir = std::env::temp_dir().join(format!("sremp-carrier-{}", std::process::id()));
        let set = |name: &str, carrier: &str| {
            fs::create_dir_all(dir.join(name)).unwrap();
            fs::write(dir.join(name).join("carrier"), carrier).unwrap();
        };
        let mut carriers = Carriers::watch().expect("netlink");
        carriers.known = BTreeSet::new();
        set("lo", "1\n");
        set("cable", "0\n");
        assert!(!carriers.look(&dir), "no cable, and the host itself");
        set("cable", "1\n");
        assert!(carriers.look(&dir), "the cable");
        assert!(!carriers.look(&dir), "once");
        set("cable", "0\n");
        assert!(!carriers.look(&dir), "it went");
        set("cable", "1\n");
        assert!(carriers.look(&dir), "it came back");
        fs::remove_dir_all(dir).unwrap();
    }
}
