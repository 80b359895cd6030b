//! The home's config file: what the user may set by hand.

pub mod edit;

use std::{fmt, net::SocketAddr, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error as _};
pub use sremp_core::route::Direct;
use sremp_core::{
    constants::MAX_RELAY_HINTS,
    contact_card::{Endpoint, RelayLink},
    rendezvous::{RendezvousLink, RendezvousLinkError},
};

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
    /// Wishes to be reached by relays alone, and reaches others so: `prefers_async` of the identity.
    pub prefers_async: bool,
    /// Dials private addresses that somebody else named (protocol D5.4).
    pub allow_private_addresses: bool,
    /// A command whose output is the passphrase.
    pub passphrase_command: Option<String>,
    /// One's relays, the preferred one first; at most three.
    #[serde(deserialize_with = "relays")]
    pub relays: Vec<RelayLink>,
    /// One's rendezvous servers, at most eight; those that come with the program unless set.
    #[serde(deserialize_with = "rendezvous")]
    pub rendezvous: Option<Vec<RendezvousPlace>>,
    /// Asks the router to lead to this client from outside (D7.3).
    pub map_port: bool,
    /// Keeps what comes over a direct connection in a mailbox of the home before it is read (D6.13).
    pub built_in_relay: bool,
}

/// Rendezvous servers that come with the program: a line each, a link or a domain; `#` begins a
/// comment.
const BUILT_IN: &str = include_str!("rendezvous-servers.txt");
/// Most rendezvous servers of a home.
const MAX_RENDEZVOUS: usize = 8;

/// What names rendezvous servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RendezvousPlace {
    /// A link, as `sremp rendezvous` prints it.
    Link(Box<RendezvousLink>),
    /// A domain whose servers DNS names, in its records `_sremp-rdv._tcp` (protocol 5.9).
    Domain(String),
}

impl fmt::Display for RendezvousPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(link) => link.fmt(f),
            Self::Domain(name) => f.write_str(name),
        }
    }
}

impl FromStr for RendezvousPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(':') {
            return text
                .parse()
                .map(|link| Self::Link(Box::new(link)))
                .map_err(|e: RendezvousLinkError| e.to_string());
        }
        // what is a host in an endpoint is a name that can be asked for
        let name = text.to_ascii_lowercase();
        match Endpoint::new(&name, 443) {
            Ok(host) if host.ip().is_none() && name.contains('.') => Ok(Self::Domain(name)),
            _ => Err(format!(
                "{} is neither a link of a rendezvous server nor a domain that names one",
                sremp_core::text::clean_line(text)
            )),
        }
    }
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

/// What is wrong with a config file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Line, from 1; absent if the fault has no place.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

    /// The rendezvous servers to use: those that are set, else those that come with the program.
    pub fn rendezvous_places(&self) -> Vec<RendezvousPlace> {
        match &self.rendezvous {
            Some(places) => places.clone(),
            None => built_in(BUILT_IN),
        }
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
        let places = match &self.rendezvous {
            Some(places) => {
                let places: Vec<String> = places.iter().map(ToString::to_string).collect();
                format!("rendezvous = {}", list(&places))
            }
            None => "# rendezvous = [\"example.org\"]".to_owned(),
        };
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
             # (contacts you added or accepted), \"trusted\" (contacts you trust) or \"never\". Nobody else is\n\
             # dialled, told where you are or let in. `sremp direct` says otherwise for one contact.\ndirect = ",
            &text(direct),
            "\n\n# Whether contacts are asked to write to you by your relays alone, and you write by theirs: no\n\
             # direct connection is made to who has a relay, and nobody is told where you are if you have one.\n\
             # Your identity says so to everybody.\nprefers_async = ",
            if self.prefers_async { "true" } else { "false" },
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
            "\n\n# Rendezvous servers, where you find people by their ids and are found: links as `sremp\n\
             # rendezvous` prints them, or domains that name their servers in DNS. While the client runs it\n\
             # tells them where you are; `sremp register` says to whom that is shown, or turns it off.\n\
             # Without this setting the servers that came with the program are used.\n",
            &places,
            "\n\n# Whether to ask your router to lead to this client from outside (PCP, NAT-PMP or UPnP).\n\
             map_port = ",
            if self.map_port { "true" } else { "false" },
            "\n\n# Whether what comes over a direct connection goes through a mailbox of this home, as at a relay,\n\
             # before it is read, and whether your screens (`sremp restore --screen`) are told what changes.\n\
             # Nobody else is served by it and nobody is told of it. It costs a second write for each message.\n\
             built_in_relay = ",
            if self.built_in_relay { "true" } else { "false" },
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

fn rendezvous<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<RendezvousPlace>>, D::Error> {
    let places = Vec::<String>::deserialize(d)?;
    check_rendezvous(&places)
        .map(Some)
        .map_err(D::Error::custom)
}

/// At most eight servers, and none twice.
pub(crate) fn check_rendezvous(texts: &[String]) -> Result<Vec<RendezvousPlace>, String> {
    if texts.len() > MAX_RENDEZVOUS {
        return Err(format!(
            "`rendezvous` has {} entries, and at most {MAX_RENDEZVOUS} are used; keep the best",
            texts.len()
        ));
    }
    let mut places: Vec<RendezvousPlace> = Vec::new();
    for text in texts {
        let place: RendezvousPlace = text.parse().map_err(|e| format!("`rendezvous`: {e}"))?;
        let same = |other: &RendezvousPlace| match (other, &place) {
            (RendezvousPlace::Link(a), RendezvousPlace::Link(b)) => a.endpoint == b.endpoint,
            (a, b) => a == b,
        };
        if places.iter().any(same) {
            return Err("`rendezvous` names a server twice; keep one of the entries".to_owned());
        }
        places.push(place);
    }
    Ok(places)
}

/// The places in a list, one a line.
fn built_in(list: &str) -> Vec<RendezvousPlace> {
    let lines = list
        .lines()
        .map(|line| line.split_once(" #").map_or(line, |(l, _)| l).trim());
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .filter_map(|line| line.parse().ok())
        .take(MAX_RENDEZVOUS)
        .collect()
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

    fn server() -> RendezvousLink {
        RendezvousLink {
            server: relay(7).relay(),
            endpoint: "rdv.example.org:443".parse().unwrap(),
            spki: None,
        }
    }

    #[test]
    fn rendezvous_servers_are_links_or_domains_and_each_once() {
        let link = server();
        let text = format!("rendezvous = ['{link}', 'Example.org']");
        let config = Config::parse(&text).unwrap();
        let places = config.rendezvous_places();
        assert_eq!(
            places,
            [
                RendezvousPlace::Link(Box::new(link.clone())),
                RendezvousPlace::Domain("example.org".into())
            ]
        );
        assert!(error(&format!("rendezvous = ['{link}', '{link}']")).contains("twice"));
        for wrong in [
            "",
            "localhost",
            "127.0.0.1",
            "a b.example",
            "sremp-rdv:1#AAAA",
        ] {
            let error = error(&format!("\nrendezvous = ['{wrong}']"));
            assert!(
                error.starts_with("line 2: `rendezvous`: "),
                "{wrong}: {error}"
            );
        }
        let nine: Vec<String> = (0..9).map(|n| format!("'{n}.example'")).collect();
        assert!(error(&format!("rendezvous = [{}]", nine.join(","))).contains("at most 8"));
    }

    #[test]
    fn the_list_that_comes_with_the_program_names_no_host_and_an_empty_setting_replaces_it() {
        assert_eq!(built_in(BUILT_IN), []);
        let link = server();
        let list = format!("# a comment\n\n{link} # somebody's\nexample.org\nnot a place\n");
        assert_eq!(
            built_in(&list),
            [
                RendezvousPlace::Link(Box::new(link)),
                RendezvousPlace::Domain("example.org".into())
            ]
        );
        assert_eq!(
            Config::parse("rendezvous = []").unwrap().rendezvous,
            Some(Vec::new())
        );
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
            "prefers_async",
            "allow_private_addresses",
            "passphrase_command",
            "relays",
            "rendezvous",
            "map_port",
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
            prefers_async: true,
            allow_private_addresses: true,
            passphrase_command: Some("echo \"a # b\" \\\n'c'".into()),
            relays: vec![relay(1), relay(2)],
            rendezvous: Some(vec![
                server().to_string().parse().unwrap(),
                RendezvousPlace::Domain("example.org".into()),
            ]),
            map_port: true,
            built_in_relay: true,
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
