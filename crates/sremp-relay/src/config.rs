//! The relay's config file.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};
use sremp_core::{
    constants::{ENVELOPE_BUCKETS, MAX_HOST},
    id::ContactId,
};
use sremp_net::{AdmissionLimits, BanRule};

/// Settings of a relay, `relay.toml`. The annotated [`Config::DEFAULT`] is the default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen, `ADDR:PORT`.
    pub listen: SocketAddr,
    /// What the relay's link says instead, `HOST:PORT`.
    #[serde(deserialize_with = "advertise")]
    pub advertise: Option<String>,
    /// Who gets a mailbox.
    pub policy: Policy,
    /// Who gets one under [`Policy::AllowList`].
    #[serde(deserialize_with = "ids")]
    pub allow: Vec<ContactId>,
    /// Where metrics, health and readiness are served over HTTP.
    #[serde(deserialize_with = "operations")]
    pub operations: Option<SocketAddr>,
    /// Dials private addresses of other relays (protocol D5.4).
    pub allow_private_addresses: bool,
    /// Of each mailbox.
    pub mailbox: MailboxLimits,
    /// Of each sender in a mailbox.
    pub senders: SenderLimits,
    /// Requests per minute.
    pub rates: Rates,
    /// Connections.
    pub connections: Connections,
    /// Who is not let in after breaking the protocol.
    pub bans: Bans,
    /// Memory and disk.
    pub guards: Guards,
}

/// Who gets a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Everybody.
    Open,
    /// Whoever brings an invite.
    #[default]
    Invite,
    /// Whoever is on the list.
    AllowList,
}

/// Bounds of each mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailboxLimits {
    /// Largest envelope, bytes.
    #[serde(deserialize_with = "bucket")]
    pub max_message_size: u32,
    /// A message is kept as long as its sender asks for, at most so long, seconds.
    pub max_retention: u32,
    /// Items of a mailbox.
    pub max_items: u32,
    /// Bytes of a mailbox.
    pub max_bytes: u64,
    /// An unused mailbox is removed after this time, seconds.
    pub purge_unused: u32,
    /// Mailboxes of the relay.
    pub max_mailboxes: u64,
}

/// Bounds of each sender in each mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SenderLimits {
    /// Items.
    pub max_items: u32,
    /// Bytes.
    pub max_bytes: u64,
    /// Items of all senders together whom the owner has not accepted.
    pub request_items: u32,
    /// Largest envelope of those, bytes.
    pub request_size: u32,
}

/// Requests per minute, and at once, of an address a tenth of them; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// STORE_MESSAGE of one sender.
    pub stores_per_sender: u32,
    /// STORE_MESSAGE into one mailbox.
    pub stores_per_mailbox: u32,
    /// Any request from one address prefix.
    pub requests_per_address: u32,
}

/// Bounds on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connections {
    /// Open ones.
    pub open: usize,
    /// Those that have not shown an identity yet.
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
}

/// What follows when somebody breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bans {
    /// For how long an identity is not let in, seconds; 0 is no ban.
    pub time: u32,
    /// Violations within that time after which an address is not let in; 0 is never.
    pub violations_per_address: u32,
}

/// When new messages are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Guards {
    /// Bytes that wait for the disk.
    pub queue: usize,
    /// The disk is full beyond this share, percent.
    #[serde(deserialize_with = "percent")]
    pub disk_full: u8,
    /// The disk is full below this room, bytes.
    pub disk_room: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 33_399)),
            advertise: None,
            policy: Policy::Invite,
            allow: Vec::new(),
            operations: Some(SocketAddr::from(([127, 0, 0, 1], 33_390))),
            allow_private_addresses: false,
            mailbox: MailboxLimits::default(),
            senders: SenderLimits::default(),
            rates: Rates::default(),
            connections: Connections::default(),
            bans: Bans::default(),
            guards: Guards::default(),
        }
    }
}

impl Default for MailboxLimits {
    fn default() -> Self {
        const DAY: u32 = 24 * 60 * 60;
        Self {
            max_message_size: 61_440,
            max_retention: 30 * DAY,
            max_items: 10_000,
            max_bytes: 64 * 1024 * 1024,
            purge_unused: 180 * DAY,
            max_mailboxes: 1_000_000,
        }
    }
}

impl Default for SenderLimits {
    fn default() -> Self {
        Self {
            max_items: 1_000,
            max_bytes: 16 * 1024 * 1024,
            request_items: 64,
            request_size: 32 * 1024,
        }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            stores_per_sender: 3_000,
            stores_per_mailbox: 6_000,
            requests_per_address: 12_000,
        }
    }
}

impl Default for Connections {
    fn default() -> Self {
        let limits = AdmissionLimits::RELAY;
        Self {
            open: 20_000,
            half_open: limits.half_open,
            half_open_per_address: limits.half_open_per_prefix,
            new_per_address_and_minute: limits.accepts_per_minute,
            new_per_address_at_once: limits.accepts_at_once,
            handshakes_at_once: 0,
        }
    }
}

impl Default for Bans {
    fn default() -> Self {
        let rule = BanRule::SERVER;
        Self {
            time: u32::try_from(rule.time.as_secs()).unwrap_or(u32::MAX),
            violations_per_address: rule.violations_per_prefix,
        }
    }
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            queue: 64 * 1024 * 1024,
            disk_full: 95,
            disk_room: 256 * 1024 * 1024,
        }
    }
}

/// What is wrong with a config file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Line, from 1; absent if the fault has no place.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// The annotated config file, with every default.
    pub const DEFAULT: &str = include_str!("default.toml");

    /// Reads a config file.
    ///
    /// # Errors
    /// [`ConfigError`] names the line and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|e: toml::de::Error| ConfigError {
            line: e.span().map(|span| line_of(text, span.start)),
            message: e.message().trim_end().replace('\n', ", "),
        })
    }

    /// The limits on connections that are not open yet.
    pub fn admission(&self) -> AdmissionLimits {
        let connections = &self.connections;
        AdmissionLimits {
            half_open: connections.half_open,
            half_open_per_prefix: connections.half_open_per_address,
            accepts_per_minute: connections.new_per_address_and_minute,
            accepts_at_once: connections.new_per_address_at_once,
            handshakes_at_once: match connections.handshakes_at_once {
                0 => sremp_server::processors().saturating_sub(1).max(1),
                some => some,
            },
            bans: BanRule {
                time: Duration::from_secs(self.bans.time.into()),
                violations_per_prefix: self.bans.violations_per_address,
            },
            ..AdmissionLimits::RELAY
        }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

fn advertise<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(d)?;
    let valid = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && host.len() <= MAX_HOST
            && !host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
            && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    if !valid {
        return Err(D::Error::custom(
            "`advertise` has to be a host and a port, such as \"relay.example.org:33399\"",
        ));
    }
    Ok(Some(text))
}

fn ids<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<ContactId>, D::Error> {
    let texts = Vec::<String>::deserialize(d)?;
    let parse = |text: String| {
        text.parse()
            .map_err(|_| D::Error::custom(format!("{text} is no id: 64 hex digits")))
    };
    texts.into_iter().map(parse).collect()
}

fn operations<'de, D: Deserializer<'de>>(d: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(d)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        D::Error::custom("`operations` has to be an address and a port, or \"\" for none")
    })
}

fn bucket<'de, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    let size = u32::deserialize(d)?;
    if !ENVELOPE_BUCKETS
        .iter()
        .any(|b| u32::try_from(*b) == Ok(size))
    {
        return Err(D::Error::custom(
            "`max_message_size` has to be 1024, 2048, 4096, 8192, 16384, 32768 or 61440",
        ));
    }
    Ok(size)
}

fn percent<'de, D: Deserializer<'de>>(d: D) -> Result<u8, D::Error> {
    let percent = u8::deserialize(d)?;
    if !(1..=100).contains(&percent) {
        return Err(D::Error::custom("`disk_full` has to be between 1 and 100"));
    }
    Ok(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Config::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_annotated_file_says_every_default() {
        assert_eq!(Config::parse(Config::DEFAULT), Ok(Config::default()));
        assert_eq!(Config::parse(""), Ok(Config::default()));
        let mut left = toml::from_str::<toml::Table>(Config::DEFAULT).unwrap();
        // a key that the file forgot would not be seen by the comparison above
        let sections = [
            ("mailbox", 6),
            ("senders", 4),
            ("rates", 3),
            ("connections", 6),
            ("bans", 2),
            ("guards", 3),
        ];
        for (section, keys) in sections {
            let table = left.remove(section).unwrap();
            assert_eq!(table.as_table().unwrap().len(), keys, "{section}");
        }
        assert_eq!(left.len(), 5);
    }

    #[test]
    fn a_fault_is_named_with_its_line() {
        assert!(error("a = 1").starts_with("line 1: unknown field `a`"));
        assert!(error("\npolicy = \"all\"").starts_with("line 2: unknown variant `all`"));
        assert!(error("advertise = \"x\"").contains("has to be a host"));
        assert!(error("allow = [\"12\"]").contains("is no id"));
        assert!(error("[mailbox]\nmax_message_size = 5000").starts_with("line 2: "));
        assert!(error("[guards]\ndisk_full = 0").contains("between 1 and 100"));
    }
}
