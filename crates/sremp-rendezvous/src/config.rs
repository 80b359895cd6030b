//! The server's config file.

mod acme;

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;
use sremp_core::{
    constants::{
        BAN_TIME, BAN_VIOLATIONS, MAX_SERVER_PEERS, PAGES_PER_MINUTE, REGISTERS_PER_KEY,
        REGISTERS_PER_PREFIX, SERVER_RENEWAL,
    },
    contact_card::Endpoint,
    rendezvous::{RendezvousLink, RendezvousLinkError},
};
use sremp_net::{AdmissionLimits, BanRule, tls::TlsLimits};

pub use acme::Acme;

/// Settings of a rendezvous server, `rendezvous.toml`. The annotated [`Config::DEFAULT`] is the
/// default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen, `ADDR:PORT`.
    pub listen: SocketAddr,
    /// What the link says instead, `HOST:PORT`; "" for what is listened on.
    pub advertise: String,
    /// A certificate for the advertised host and its key, PEM; without, a self-signed one is used.
    pub certificate: Option<CertificateFiles>,
    /// An authority that gives one; only in a build with the feature `acme`.
    pub acme: Option<Acme>,
    /// Where metrics, health and readiness are served over HTTP; "" for nowhere.
    pub operations: String,
    /// Whether whoever is registered may browse those who are listed.
    pub browse: bool,
    /// Takes and dials back private addresses (protocol D5.4).
    pub allow_private_addresses: bool,
    /// Links of other servers with which lists of servers are exchanged.
    pub peers: Vec<String>,
    /// Seconds between two exchanges with one of them.
    pub peers_every: u32,
    /// Keys that are kept.
    pub max_registrations: usize,
    /// Requests per minute.
    pub rates: Rates,
    /// Connections.
    pub connections: Connections,
    /// What follows when somebody breaks the protocol.
    pub bans: Bans,
}

/// Where a certificate lies; both files are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Requests per minute, after a burst of as many; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Registrations of one key.
    pub registers_per_key: u32,
    /// Registrations from one address prefix.
    pub registers_per_address: u32,
    /// Pages of those who are listed, for one key.
    pub pages_per_key: u32,
    /// Any request from one address prefix.
    pub requests_per_address: u32,
}

/// Bounds on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connections {
    /// Open ones.
    pub open: usize,
    /// Of those, from one address prefix.
    pub open_per_address: usize,
    /// Those whose handshake is not done.
    pub half_open: usize,
    /// The same, of one address prefix.
    pub half_open_per_address: usize,
    /// New ones of one address prefix in a minute.
    pub new_per_address_and_minute: usize,
    /// Of those at once.
    pub new_per_address_at_once: usize,
    /// Handshakes that are computed at the same time; 0 is one fewer than the machine has
    /// processors, and at least one.
    pub handshakes_at_once: usize,
    /// Endpoints that are dialled back at a time.
    pub dial_backs: usize,
}

/// What follows when somebody breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bans {
    /// For how long an address is not let in, seconds; 0 is no ban.
    pub time: u32,
    /// Violations within that time after which it is not; 0 is never.
    pub violations_per_address: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 33_400)),
            advertise: String::new(),
            certificate: None,
            acme: None,
            operations: "127.0.0.1:33391".to_owned(),
            browse: true,
            allow_private_addresses: false,
            peers: Vec::new(),
            peers_every: seconds(SERVER_RENEWAL),
            max_registrations: 1_000_000,
            rates: Rates::default(),
            connections: Connections::default(),
            bans: Bans::default(),
        }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            registers_per_key: REGISTERS_PER_KEY,
            registers_per_address: REGISTERS_PER_PREFIX,
            pages_per_key: PAGES_PER_MINUTE,
            requests_per_address: 1_200,
        }
    }
}

impl Default for Connections {
    fn default() -> Self {
        let limits = AdmissionLimits::RELAY;
        Self {
            open: 20_000,
            open_per_address: 1_000,
            half_open: limits.half_open,
            half_open_per_address: limits.half_open_per_prefix,
            new_per_address_and_minute: limits.accepts_per_minute,
            new_per_address_at_once: limits.accepts_at_once,
            handshakes_at_once: 0,
            dial_backs: 64,
        }
    }
}

impl Default for Bans {
    fn default() -> Self {
        Self {
            time: seconds(BAN_TIME),
            violations_per_address: BAN_VIOLATIONS,
        }
    }
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

/// The config file is not valid; in words, with the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// The annotated file that a new server gets.
    pub const DEFAULT: &str = include_str!("default.toml");

    /// Reads a config file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::parse_for(text, cfg!(feature = "acme"))
    }

    fn parse_for(text: &str, with_acme: bool) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|e| ConfigError(e.to_string()))?;
        config.check_acme(with_acme)?;
        config.advertised()?;
        config.operations()?;
        config.peers()?;
        Ok(config)
    }

    fn check_acme(&self, with_acme: bool) -> Result<(), ConfigError> {
        let Some(acme) = &self.acme else {
            return Ok(());
        };
        let wrong = |what: &str| Err(ConfigError(format!("`[acme]`: {what}")));
        if !with_acme {
            return wrong(
                "this build gets no certificates by ACME: take one with the feature `acme`, or name \
                 the files of a certificate in `[certificate]`",
            );
        }
        acme.check()?;
        if self.certificate.is_some() {
            return wrong("`[certificate]` is there, too: keep one of them");
        }
        let advertised = self.advertised()?;
        let host = advertised.as_ref().map_or("", Endpoint::host);
        match acme.domains.iter().any(|domain| domain == host) {
            true => Ok(()),
            false => wrong("`advertise` names none of the `domains`"),
        }
    }

    /// What the link says, if not where it listens.
    ///
    /// # Errors
    /// [`ConfigError`] when it is no endpoint.
    pub fn advertised(&self) -> Result<Option<Endpoint>, ConfigError> {
        if self.advertise.is_empty() {
            return self.acme.as_ref().map(Acme::endpoint).transpose();
        }
        let parsed = self.advertise.parse();
        let wrong = |e| ConfigError(format!("`advertise` says {}: {e}", self.advertise));
        parsed.map(Some).map_err(wrong)
    }

    /// Where metrics are served.
    ///
    /// # Errors
    /// [`ConfigError`] when it is no address.
    pub fn operations(&self) -> Result<Option<SocketAddr>, ConfigError> {
        if self.operations.is_empty() {
            return Ok(None);
        }
        let wrong = |_| {
            ConfigError(format!(
                "`operations` says {}: write ADDR:PORT, or \"\"",
                self.operations
            ))
        };
        self.operations.parse().map(Some).map_err(wrong)
    }

    /// The servers with which lists are exchanged: 16 at most, each once.
    ///
    /// # Errors
    /// [`ConfigError`] when one is no link, comes twice, or they are too many or asked all the time.
    pub fn peers(&self) -> Result<Vec<RendezvousLink>, ConfigError> {
        let wrong = |what: String| ConfigError(format!("`peers` {what}"));
        if self.peers.len() > MAX_SERVER_PEERS {
            return Err(wrong(format!("names more than {MAX_SERVER_PEERS}")));
        }
        if self.peers_every == 0 {
            let what = "`peers_every` says 0: give the seconds between two exchanges";
            return Err(ConfigError(what.to_owned()));
        }
        let mut known = BTreeSet::new();
        let links = self.peers.iter().map(|text| {
            let link: RendezvousLink = text
                .parse()
                .map_err(|e: RendezvousLinkError| wrong(format!("says {text}: {e}")))?;
            match known.insert(link.server) {
                true => Ok(link),
                false => Err(wrong(format!("names {} twice", link.endpoint))),
            }
        });
        links.collect()
    }

    pub(crate) const fn peers_every(&self) -> Duration {
        Duration::from_secs(self.peers_every as u64)
    }

    pub(crate) fn tls_limits(&self) -> TlsLimits {
        let limits = &self.connections;
        TlsLimits {
            admission: AdmissionLimits {
                half_open: limits.half_open,
                half_open_per_prefix: limits.half_open_per_address,
                accepts_per_minute: limits.new_per_address_and_minute,
                accepts_at_once: limits.new_per_address_at_once,
                handshakes_at_once: match limits.handshakes_at_once {
                    0 => sremp_server::processors().saturating_sub(1).max(1),
                    some => some,
                },
                bans: BanRule {
                    time: Duration::from_secs(self.bans.time.into()),
                    violations_per_prefix: self.bans.violations_per_address,
                },
                ..AdmissionLimits::RELAY
            },
            open: limits.open,
            open_per_prefix: limits.open_per_address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotated_file_is_the_default() {
        assert_eq!(Config::parse(Config::DEFAULT), Ok(Config::default()));
        assert_eq!(Config::parse(""), Ok(Config::default()));
    }

    #[test]
    fn a_wrong_line_is_refused_and_named() {
        for (text, word) in [
            ("listne = \"0.0.0.0:1\"", "listne"),
            ("advertise = \"somewhere\"", "advertise"),
            ("operations = \"here\"", "operations"),
            ("[rates]\npages = 1", "pages"),
            ("[certificate]\nchain = \"a\"", "key"),
            ("peers = [\"somewhere\"]", "peers"),
            ("peers_every = 0", "peers_every"),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_certificate_by_acme_is_for_the_advertised_name_and_from_one_source() {
        let minimal = "[acme]\ndomains = [\"rdv.example\"]";
        let config = Config::parse_for(minimal, true).unwrap();
        let advertised = config.advertised().unwrap().unwrap();
        assert_eq!(advertised.to_string(), "rdv.example:443");
        let acme = config.acme.unwrap();
        assert_eq!(
            acme.directory,
            "https://acme-v02.api.letsencrypt.org/directory"
        );
        let elsewhere = format!("advertise = \"rdv.example:33400\"\n{minimal}");
        assert!(Config::parse_for(&elsewhere, true).is_ok());
        for (text, word) in [
            ("[acme]\ndomains = []", "domains"),
            ("[acme]\ndomains = [\"192.0.2.7\"]", "DNS name"),
            ("[acme]\ndomains = [\"*.rdv.example\"]", "wildcard"),
            (
                "advertise = \"other.example:1\"\n[acme]\ndomains = [\"rdv.example\"]",
                "advertise",
            ),
            (
                "[acme]\ndomains = [\"a.example\"]\ndirectory = \"http://ca\"",
                "https",
            ),
            (
                "[acme]\ndomains = [\"a.example\"]\ncontact = \"mailto:a@b\"",
                "contact",
            ),
            (
                "[acme]\ndomains = [\"a.example\"]\n[certificate]\nchain = \"a\"\nkey = \"b\"",
                "keep one",
            ),
        ] {
            let error = Config::parse_for(text, true).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_build_without_acme_says_so() {
        let text = "[acme]\ndomains = [\"rdv.example\"]";
        let error = Config::parse_for(text, false).unwrap_err().to_string();
        assert!(error.contains("the feature `acme`"), "{error}");
        assert_eq!(Config::parse(text).is_ok(), cfg!(feature = "acme"));
    }
}
