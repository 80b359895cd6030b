//! The server's config file.

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;
use sremp_core::{
    constants::{PAGES_PER_MINUTE, REGISTERS_PER_KEY, REGISTERS_PER_PREFIX},
    contact_card::Endpoint,
};
use sremp_net::{AdmissionLimits, tls::TlsLimits};

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
    /// Where metrics, health and readiness are served over HTTP; "" for nowhere.
    pub operations: String,
    /// Whether whoever is registered may browse those who are listed.
    pub browse: bool,
    /// Takes and dials back private addresses (protocol D5.4).
    pub allow_private_addresses: bool,
    /// Keys that are kept.
    pub max_registrations: usize,
    /// Requests per minute.
    pub rates: Rates,
    /// Connections.
    pub connections: Connections,
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
    /// Those whose handshake is not done.
    pub half_open: usize,
    /// The same, of one address prefix.
    pub half_open_per_address: usize,
    /// New ones of one address prefix in a minute.
    pub new_per_address_and_minute: usize,
    /// Endpoints that are dialled back at a time.
    pub dial_backs: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 33_400)),
            advertise: String::new(),
            certificate: None,
            operations: "127.0.0.1:33391".to_owned(),
            browse: true,
            allow_private_addresses: false,
            max_registrations: 1_000_000,
            rates: Rates::default(),
            connections: Connections::default(),
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
        Self {
            open: 20_000,
            half_open: 1_024,
            half_open_per_address: 16,
            new_per_address_and_minute: 120,
            dial_backs: 64,
        }
    }
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
        let config: Self = toml::from_str(text).map_err(|e| ConfigError(e.to_string()))?;
        config.advertised()?;
        config.operations()?;
        Ok(config)
    }

    /// What the link says, if not where it listens.
    ///
    /// # Errors
    /// [`ConfigError`] when it is no endpoint.
    pub fn advertised(&self) -> Result<Option<Endpoint>, ConfigError> {
        if self.advertise.is_empty() {
            return Ok(None);
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

    pub(crate) const fn tls_limits(&self) -> TlsLimits {
        let limits = &self.connections;
        TlsLimits {
            admission: AdmissionLimits {
                half_open: limits.half_open,
                half_open_per_prefix: limits.half_open_per_address,
                accepts_per_minute: limits.new_per_address_and_minute,
                accepts_at_once: limits.new_per_address_and_minute,
                ..AdmissionLimits::CLIENT
            },
            open: limits.open,
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
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
