//! The home's config file: what the user may set by hand.

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer, de::Error as _};
use sremp_core::{constants::MAX_RELAY_HINTS, contact_card::RelayLink};

/// Settings of a home, `config.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen for direct connections, `ADDR:PORT`; nowhere if absent.
    #[serde(deserialize_with = "listen")]
    pub listen: Option<String>,
    /// What the card says instead, `HOST:PORT`.
    #[serde(deserialize_with = "advertise")]
    pub advertise: Option<String>,
    /// What strangers may do.
    pub strangers: Strangers,
    /// Who may learn one's address by a direct connection.
    pub direct: Direct,
    /// Dials private addresses that somebody else named (protocol D5.4).
    pub allow_private_addresses: bool,
    /// A command whose output is the passphrase.
    pub passphrase_command: Option<String>,
    /// One's relays, the preferred one first; at most three.
    #[serde(deserialize_with = "relays")]
    pub relays: Vec<RelayLink>,
    /// Rendezvous servers, as links.
    pub rendezvous: Vec<String>,
}

/// What strangers may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strangers {
    /// Send one request.
    #[default]
    Request,
    /// Send one request if they hold an open invite.
    IntroOnly,
    /// Nothing.
    Never,
}

/// With whom direct connections are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direct {
    /// Contacts that were added or accepted.
    #[default]
    Accepted,
    /// Contacts that are trusted.
    Trusted,
    /// Nobody.
    Never,
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
    /// Reads a config file.
    ///
    /// # Errors
    /// [`ConfigError`] names the line and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|e| ConfigError {
            line: e.span().map(|span| line_of(text, span.start)),
            message: e.message().trim_end().replace('\n', ", "),
        })
    }

    /// The config file of these settings: every setting with its explanation, those that are not
    /// set commented out.
    pub fn to_toml(&self) -> String {
        let strangers = match self.strangers {
            Strangers::Request => "request",
            Strangers::IntroOnly => "intro-only",
            Strangers::Never => "never",
        };
        let direct = match self.direct {
            Direct::Accepted => "accepted",
            Direct::Trusted => "trusted",
            Direct::Never => "never",
        };
        let text = |value: &str| toml::Value::from(value).to_string();
        let list = |values: &[String]| toml::Value::from(values.to_vec()).to_string();
        let relays: Vec<String> = self.relays.iter().map(ToString::to_string).collect();
        let optional = |key: &str, value: &Option<String>, example: &str| match value {
            Some(value) => format!("{key} = {}", text(value)),
            None => format!("# {key} = {}", text(example)),
        };
        [
            "# Settings of this SREMP home. Times, keys and contacts are not here but in the database.\n\n\
             # Where to listen for direct connections, ADDR:PORT. Port 0 takes a free one.\n",
            &optional("listen", &self.listen, "0.0.0.0:33399"),
            "\n\n# What your card says instead, HOST:PORT: needed behind a router or a wildcard address.\n",
            &optional("advertise", &self.advertise, "home.example.org:33399"),
            "\n\n# What strangers may do: \"request\" (send one request), \"intro-only\" (only with an open\n\
             # invite) or \"never\".\nstrangers = ",
            &text(strangers),
            "\n\n# With whom direct connections are made; they show your address to that contact: \"accepted\"\n\
             # (contacts you added or accepted), \"trusted\" (contacts you trust) or \"never\".\ndirect = ",
            &text(direct),
            "\n\n# Whether to dial private addresses that a contact or a server names, of people and of relays:\n\
             # for a LAN and for tests. What you typed, or what a card says that you added, is dialled anyhow.\n\
             allow_private_addresses = ",
            if self.allow_private_addresses { "true" } else { "false" },
            "\n\n# A command that prints the passphrase, so that nobody has to type it.\n",
            &optional(
                "passphrase_command",
                &self.passphrase_command,
                "secret-tool lookup sremp home",
            ),
            "\n\n# Your relays, at most three, the preferred one first: links as `sremp relay` prints them. A\n\
             # relay keeps what is sent to you while you are away.\nrelays = ",
            &list(&relays),
            "\n\n# The rendezvous servers that you use, as links.",
            "\nrendezvous = ",
            &list(&self.rendezvous),
            "\n",
        ]
        .concat()
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

fn listen<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(d)?;
    match text.parse::<SocketAddr>() {
        Ok(_) => Ok(Some(text)),
        Err(_) => Err(D::Error::custom(
            "`listen` has to be an address and a port, such as \"0.0.0.0:33399\" or \"[::]:33399\"",
        )),
    }
}

fn relays<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<RelayLink>, D::Error> {
    let links = Vec::<String>::deserialize(d)?;
    let links: Result<Vec<RelayLink>, _> = links.iter().map(|text| text.parse()).collect();
    let links = links.map_err(|e| D::Error::custom(format!("`relays`: {e}")))?;
    check_relays(&links).map_err(D::Error::custom)?;
    Ok(links)
}

/// At most three relays, and none twice.
pub(crate) fn check_relays(links: &[RelayLink]) -> Result<(), String> {
    if links.len() > MAX_RELAY_HINTS {
        return Err(format!(
            "`relays` has {} links, and at most {MAX_RELAY_HINTS} are used; keep the best",
            links.len()
        ));
    }
    for (n, link) in links.iter().enumerate() {
        if links.iter().take(n).any(|l| l.relay() == link.relay()) {
            return Err(format!(
                "`relays` names the relay at {} twice; keep one of the links",
                link.endpoint()
            ));
        }
    }
    Ok(())
}

fn advertise<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(d)?;
    let valid = text.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        !host.is_empty()
            && host.len() <= sremp_core::constants::MAX_HOST
            && (bracketed || !host.contains(':'))
            && !host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
            && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    if !valid {
        return Err(D::Error::custom(
            "`advertise` has to be a host and a port, such as \"home.example.org:33399\"",
        ));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(n: u8) -> RelayLink {
        let identity = sremp_core::identity::SecretIdentity::from_keys(
            &[n; 32],
            sremp_core::key::NoiseSecret::from_bytes(&[2; 32]),
            &sremp_core::identity::Username::parse("relay").unwrap(),
            sremp_core::time::UnixMillis::ZERO,
        );
        let endpoint = "relay.example.org:33401".parse().unwrap();
        RelayLink::new(identity.id(), endpoint, Some(vec![n; 8])).unwrap()
    }

    fn error(text: &str) -> String {
        Config::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_and_the_commented_default_mean_the_same() {
        assert_eq!(Config::parse(""), Ok(Config::default()));
        let text = Config::default().to_toml();
        assert_eq!(Config::parse(&text), Ok(Config::default()));
        let keys = [
            "listen",
            "advertise",
            "strangers",
            "direct",
            "allow_private_addresses",
            "passphrase_command",
            "relays",
            "rendezvous",
        ];
        for key in keys {
            assert!(text.contains(&format!("\n{key} = ")) || text.contains(&format!("# {key} = ")));
        }
    }

    #[test]
    fn the_examples_of_the_default_file_are_valid() {
        let uncommented: String = Config::default()
            .to_toml()
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(example) if example.contains(" = ") => format!("{example}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let config = Config::parse(&uncommented).unwrap();
        assert_eq!(config.listen.as_deref(), Some("0.0.0.0:33399"));
        assert!(config.advertise.is_some() && config.passphrase_command.is_some());
    }

    #[test]
    fn a_file_written_from_settings_reads_back_as_them() {
        let config = Config {
            listen: Some("127.0.0.1:0".into()),
            advertise: Some("[2001:db8::1]:443".into()),
            strangers: Strangers::IntroOnly,
            direct: Direct::Never,
            allow_private_addresses: true,
            passphrase_command: Some("echo \"a # b\" \\\n'c'".into()),
            relays: vec![relay(1), relay(2)],
            rendezvous: vec!["a\"b".into()],
        };
        assert_eq!(Config::parse(&config.to_toml()), Ok(config));
    }

    #[test]
    fn a_fault_is_named_with_its_line() {
        let unknown = error("direct = \"never\"\nlisten_on = \"0.0.0.0:1\"\n");
        assert!(
            unknown.starts_with("line 2: unknown field `listen_on`"),
            "{unknown}"
        );
        let variant = error("# c\n\nstrangers = \"maybe\"");
        assert!(
            variant.starts_with("line 3: unknown variant `maybe`"),
            "{variant}"
        );
        assert!(variant.contains("intro-only"), "{variant}");
        assert!(error("listen = \"localhost\"").starts_with("line 1: `listen` has to be"));
        assert!(error("\nadvertise = \"host\"").starts_with("line 2: `advertise` has to be"));
        assert!(error("advertise = \"host:0\"").contains("has to be"));
        assert!(error("relays = \"x\"").starts_with("line 1: "));
        assert!(error("\nrelays = [\"x\"]").starts_with("line 2: `relays`: this is no complete"));
        let twice = format!("relays = ['{0}', '{0}']", relay(1));
        assert!(error(&twice).contains("twice; keep one"));
        let four: Vec<String> = (1..5).map(|n| format!("'{}'", relay(n))).collect();
        assert!(error(&format!("relays = [{}]", four.join(","))).contains("at most 3"));
        assert!(error("a = \nb = 1").starts_with("line 1: "));
        assert!(error("direct = \"never\"\ndirect = \"never\"").starts_with("line 2: "));
    }
}
