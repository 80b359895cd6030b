//! A home, its router, and everybody outside, each a network namespace.
//!
//! ```text
//! home 192.168.77.2 ── 192.168.77.1 router 45.77.0.1 ── 45.77.0.2 outside
//! ```

use std::{
    fs,
    path::PathBuf,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    namespaces::{Place, directory},
    process::Outcome,
};

/// The router's address outside, and that of whoever is there. They look public, because a mapping at
/// an address that does not is refused; nobody outside of this world sees them.
pub(super) const PUBLIC: &str = "45.77.0.1";
pub(super) const OUTSIDE: &str = "45.77.0.2";
const HOME: &str = "192.168.77.2";
const ROUTER: &str = "192.168.77.1";
/// The router's outer address when it stands behind another one itself.
const INNER: &str = "100.64.0.1";

/// How long is waited for the daemon.
const PATIENCE: Duration = Duration::from_secs(20);

/// The table of a NAT router that lets nobody in, with the chains that miniupnpd fills.
const RULES: &str = "
table inet filter {
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        iifname home accept
        jump miniupnpd
    }
    chain miniupnpd { }
    chain prerouting {
        type nat hook prerouting priority -100;
        jump prerouting_miniupnpd
    }
    chain prerouting_miniupnpd { }
    chain postrouting {
        type nat hook postrouting priority 100;
        jump postrouting_miniupnpd
        oifname outside masquerade
    }
    chain postrouting_miniupnpd { }
}
";

/// What the router offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gateway {
    /// PCP, NAT-PMP and UPnP.
    All,
    /// UPnP and nothing else.
    UpnpOnly,
    /// Nothing.
    Silent,
    /// Everything, but its own address outside is no public one.
    BehindAnother,
}

impl Gateway {
    pub(super) const ALL: [Self; 4] =
        [Self::All, Self::UpnpOnly, Self::Silent, Self::BehindAnother];

    /// The protocols that map.
    pub(super) const fn protocols(self) -> &'static [&'static str] {
        match self {
            Self::All => &["pcp", "nat-pmp", "upnp"],
            Self::UpnpOnly => &["upnp"],
            Self::Silent | Self::BehindAnother => &[],
        }
    }

    pub(super) const fn maps(self) -> bool {
        matches!(self, Self::All | Self::UpnpOnly)
    }

    const fn address(self) -> &'static str {
        match self {
            Self::BehindAnother => INNER,
            _ => PUBLIC,
        }
    }
}

static PLACES: [Place; 3] = [
    Place::named("home"),
    Place::named("router"),
    Place::named("outside"),
];

/// The three, and the router's daemon. All of it goes with this.
pub(super) struct World {
    daemon: Option<Child>,
}

impl World {
    pub(super) fn new(gateway: Gateway) -> Result<Self, String> {
        let mut world = Self { daemon: None };
        world.wire(gateway.address())?;
        if gateway != Gateway::Silent {
            world.daemon = Some(world.start_daemon(gateway)?);
        }
        Ok(world)
    }

    pub(super) fn home(&self) -> &Place {
        &PLACES[0]
    }

    fn router(&self) -> &Place {
        &PLACES[1]
    }

    pub(super) fn outside(&self) -> &Place {
        &PLACES[2]
    }

    /// How many ports the router leads inside.
    pub(super) fn mappings(&self) -> Result<usize, String> {
        let rules = self
            .router()
            .run("nft", "list chain inet filter prerouting_miniupnpd")?;
        Ok(rules.matches("dnat").count())
    }

    fn wire(&self, address: &str) -> Outcome {
        for place in &PLACES {
            place.make()?;
        }
        let router = self.router();
        for (name, peer) in [("home", HOME), ("outside", OUTSIDE)] {
            let pair = format!("link add {name} type veth peer name router netns {name}");
            router.run("ip", &pair)?;
            let place = if name == "home" {
                self.home()
            } else {
                self.outside()
            };
            place.run("ip", &format!("addr add {peer}/24 dev router"))?;
            place.run("ip", "link set router up")?;
            place.run("ip", "link set lo up")?;
        }
        self.home()
            .run("ip", &format!("route add default via {ROUTER}"))?;
        self.outside()
            .run("ip", &format!("route add {INNER} dev router"))?;
        router.run("ip", &format!("addr add {ROUTER}/24 dev home"))?;
        router.run("ip", &format!("addr add {address}/24 dev outside"))?;
        for link in ["home", "outside", "lo"] {
            router.run("ip", &format!("link set {link} up"))?;
        }
        if address == INNER {
            // whoever is outside is reached through the router beyond, which is left out here
            router.run("ip", &format!("route add {OUTSIDE} dev outside"))?;
        }
        router.run("sysctl", "-q -w net.ipv4.ip_forward=1")?;
        let rules = self.file("rules", RULES)?;
        router.run("nft", &format!("-f {}", rules.display()))?;
        Ok(())
    }

    fn start_daemon(&self, gateway: Gateway) -> Result<Child, String> {
        let pmp = if gateway == Gateway::UpnpOnly {
            "no"
        } else {
            "yes"
        };
        let settings = format!(
            "ext_ifname=outside\nlistening_ip=home\nport=0\nenable_natpmp={pmp}\nenable_upnp=yes\n\
             secure_mode=yes\nsystem_uptime=yes\nuuid=728d123a-7232-48c8-826c-2540f7da7710\n\
             upnp_table_name=filter\nupnp_nat_table_name=filter\nupnp_forward_chain=miniupnpd\n\
             upnp_nat_chain=prerouting_miniupnpd\nupnp_nat_postrouting_chain=postrouting_miniupnpd\n\
             allow 1024-65535 192.168.77.0/24 1024-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n"
        );
        let settings = self.file("settings", &settings)?;
        let log = directory().join("log");
        let log = fs::File::create(log).map_err(|e| format!("the router's log: {e}"))?;
        let mut daemon = self.router().command("miniupnpd");
        // in the foreground
        daemon.args(["-d", "-f"]).arg(settings);
        daemon.arg("-P").arg(directory().join("pid"));
        let errors = log
            .try_clone()
            .map_err(|e| format!("the router's log: {e}"))?;
        let started = daemon
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn();
        let mut daemon = started.map_err(|e| format!("miniupnpd cannot be started: {e}"))?;
        if let Err(why) = self.listens(&mut daemon, pmp == "yes") {
            let _ = (daemon.kill(), daemon.wait());
            let log = fs::read_to_string(directory().join("log")).unwrap_or_default();
            return Err(format!("{why}\n{log}"));
        }
        Ok(daemon)
    }

    /// Waits until the daemon has its sockets.
    fn listens(&self, daemon: &mut Child, pmp: bool) -> Outcome {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Ok(Some(status)) = daemon.try_wait() {
                return Err(format!("miniupnpd ended ({status})"));
            }
            let sockets = self.router().run("ss", "-Huln")?;
            let bound = |port: &str| sockets.contains(&format!(":{port} "));
            if bound("1900") && (!pmp || bound("5351")) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err("miniupnpd does not listen".into())
    }

    fn file(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = directory().join(name);
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(path)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = (daemon.kill(), daemon.wait());
        }
        for place in &PLACES {
            place.unmake();
        }
    }
}
