//! A relay in this process, on a database of its own.

use std::{net::SocketAddr, time::Duration};

use sremp_core::identity::SecretIdentity;
use sremp_relay::{
    config::{Bans, Config},
    home::RelayHome,
    invite::{InviteKey, UsedInvites},
    mailbox::{DiskGuard, EmbeddedStore, Limits},
    run::{self, RelayLink, Running, Start},
};
use tempfile::TempDir;

use crate::peer::now;

pub(crate) struct Relay {
    dir: TempDir,
    config: Config,
    disk: DiskGuard,
    running: Option<Running>,
    link: RelayLink,
}

/// Everybody gets a mailbox, on loopback, without metrics. All are at one address, so it may be
/// wrong as often as a test wants.
pub(crate) fn open_config() -> Config {
    let mut config = Config {
        bans: Bans {
            time: 0,
            violations_per_address: 0,
        },
        ..strict_config()
    };
    config.connections.new_per_address_at_once = config.connections.new_per_address_and_minute;
    config
}

/// The same with the bounds that a relay has by default.
pub(crate) fn strict_config() -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        policy: sremp_relay::config::Policy::Open,
        operations: None,
        allow_private_addresses: true,
        ..Config::default()
    }
}

impl Relay {
    pub(crate) async fn start() -> Self {
        Self::with(open_config()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        // how full the disk is that tests run on is nothing to them
        let any = DiskGuard {
            full: 100,
            ..DiskGuard::default()
        };
        Self::on(any, config).await
    }

    pub(crate) async fn on(disk: DiskGuard, mut config: Config) -> Self {
        let dir = TempDir::new().unwrap();
        let home = RelayHome::at(dir.path().join("relay"));
        home.create(Config::DEFAULT, now(), &mut rand::rng())
            .unwrap();
        let running = serve(&home, &config, disk).await;
        // a restart comes back where it was
        config.listen = running.local_addr();
        let link = running.link().clone();
        Self {
            dir,
            config,
            disk,
            running: Some(running),
            link,
        }
    }

    fn home(&self) -> RelayHome {
        RelayHome::at(self.dir.path().join("relay"))
    }

    pub(crate) fn link(&self) -> &RelayLink {
        &self.link
    }

    pub(crate) fn identity(&self) -> SecretIdentity {
        self.home().identity().unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.config.listen
    }

    /// Connections that were refused or ended for this cause.
    pub(crate) fn ended(&self, cause: &str) -> u64 {
        let name = format!("sremp_relay_connections_ended_total{{cause=\"{cause}\"}} ");
        self.number(&name)
    }

    /// Requests that were refused for this cause.
    pub(crate) fn refused(&self, cause: &str) -> u64 {
        let name = format!("sremp_relay_refused_total{{cause=\"{cause}\"}} ");
        self.number(&name)
    }

    pub(crate) fn gauge(&self, name: &str) -> u64 {
        self.number(&format!("sremp_relay_{name} "))
    }

    pub(crate) fn all_metrics(&self) -> String {
        self.running.as_ref().unwrap().metrics()
    }

    /// All that can be printed of it.
    pub(crate) fn debug(&self) -> String {
        let invites = UsedInvites::open(&self.home().invites_path()).unwrap();
        let running = self.running.as_ref().unwrap();
        let key = InviteKey::of(&self.identity());
        format!(
            "{running:?} {:?} {key:?} {:?}",
            self.identity(),
            self.home().config()
        ) + &format!("{invites:?}")
    }

    /// 0 for what was never counted.
    fn number(&self, name: &str) -> u64 {
        let text = self.all_metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |number| number.parse().unwrap())
    }

    /// Waits until what was sent before is read: later bytes of others are answered.
    pub(crate) async fn settled(&self, honest: &mut crate::rogue::Honest) {
        honest.exchange().await;
    }

    /// A single-use invite.
    pub(crate) fn invite(&self) -> Vec<u8> {
        let expires = now().plus(Duration::from_secs(60));
        InviteKey::of(&self.identity()).make(expires, true, &mut rand::rng())
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown().await;
        }
    }

    pub(crate) async fn restart(&mut self) {
        self.restart_on(self.disk).await;
    }

    pub(crate) async fn restart_on(&mut self, disk: DiskGuard) {
        self.stop().await;
        self.running = Some(serve(&self.home(), &self.config, disk).await);
    }

    /// Waits until a gauge shows this: under load it is brought up to date once a second.
    pub(crate) async fn until_gauge(&self, name: &str, value: u64) {
        let shown = async {
            while self.gauge(name) != value {
                tokio::task::yield_now().await;
            }
        };
        let shown = tokio::time::timeout(Duration::from_secs(20), shown).await;
        shown.unwrap_or_else(|_| panic!("{name} shows {}, not {value}", self.gauge(name)));
    }

    /// Waits until this many requests were refused for this cause.
    pub(crate) async fn until_refused(&self, cause: &str, count: u64) {
        let refused = async {
            while self.refused(cause) < count {
                tokio::task::yield_now().await;
            }
        };
        let refused = tokio::time::timeout(Duration::from_secs(20), refused).await;
        refused.unwrap_or_else(|_| panic!("{} of {count} for {cause}", self.refused(cause)));
    }
}

async fn serve(home: &RelayHome, config: &Config, disk: DiskGuard) -> Running {
    let database = home.database_path();
    let start = Start {
        identity: home.identity().unwrap(),
        config: config.clone(),
        store: EmbeddedStore::open(&database, Limits::default(), disk).unwrap(),
        used_invites: UsedInvites::open(&home.invites_path()).unwrap(),
    };
    run::start(start).await.unwrap()
}
