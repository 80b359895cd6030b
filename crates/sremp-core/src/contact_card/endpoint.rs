//! Where somebody can be dialled: a host and a port, in exactly one spelling.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{constants::MAX_HOST, id::ContactId};

/// Longest label of a host name in bytes (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;

/// A host (DNS name or IP literal) and a TCP port other than 0.
///
/// SMP1 `[host, port u16]`. Text `host:port`, or `[v6]:port` for an IPv6 literal. The host is a
/// name of letters, digits and hyphens in lower case without a trailing dot, or an IP address in
/// its canonical text (RFC 5952): two endpoints are the same exactly if their bytes are, and no
/// spelling smuggles an address past whoever reads the text (`user@`, `127.1`, `0x7f.1`, a zone).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// The text or value is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// Not `host:port` or `[v6]:port`.
    Form,
    /// The host is neither a DNS name nor an IP address, or not in its one spelling.
    Host,
    /// The port is not a number from 1 to 65535.
    Port,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "an address is written host:port, or [IPv6]:port",
            Self::Host => "the host is neither a DNS name nor an IP address",
            Self::Port => "a port is a number from 1 to 65535",
        })
    }
}

impl std::error::Error for EndpointError {}

impl Endpoint {
    /// The endpoint of a host in its one spelling, as a peer must send it.
    ///
    /// # Errors
    /// [`EndpointError::Host`] or [`EndpointError::Port`].
    pub fn new(host: &str, port: u16) -> Result<Self, EndpointError> {
        let endpoint = Self::normal(host, port)?;
        if endpoint.host != host {
            return Err(EndpointError::Host);
        }
        Ok(endpoint)
    }

    /// The endpoint of a host as a person types it: case and spelling of addresses are brought to
    /// their one form.
    fn normal(host: &str, port: u16) -> Result<Self, EndpointError> {
        if port == 0 {
            return Err(EndpointError::Port);
        }
        let host = match host.parse::<IpAddr>() {
            Ok(ip) => ip.to_string(),
            Err(_) if is_name(host) => host.to_ascii_lowercase(),
            Err(_) => return Err(EndpointError::Host),
        };
        Ok(Self { host, port })
    }

    /// The DNS name or IP address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 1 to 65535.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address, if the host is one and needs no resolution.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// Letters, digits and inner hyphens in labels of 1 to 63 bytes (RFC 1123, section 2.1). A last
/// label that is a number is refused: resolvers read `127.1` and `0x7f.1` as addresses.
fn is_name(host: &str) -> bool {
    let label_ok = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").or(last.strip_prefix("0X"));
    let number = last.bytes().all(|b| b.is_ascii_digit())
        || hex.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    host.len() <= MAX_HOST && host.split('.').all(label_ok) && !number
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Reads `host:port` or `[v6]:port`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or(EndpointError::Form)?;
        // u16 would read "+80"; "080" is another spelling of 80, which only a peer may not send
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(EndpointError::Port);
        }
        let port = port.parse().map_err(|_| EndpointError::Port)?;
        if let Some(v6) = host.strip_prefix('[') {
            let v6 = v6.strip_suffix(']').ok_or(EndpointError::Form)?;
            let v6: Ipv6Addr = v6.parse().map_err(|_| EndpointError::Host)?;
            return Self::normal(&v6.to_string(), port);
        }
        if host.contains(':') {
            return Err(EndpointError::Form);
        }
        Self::normal(host, port)
    }
}

impl TryFrom<SocketAddr> for Endpoint {
    type Error = EndpointError;

    /// The endpoint of a socket address; an IPv6 zone is dropped, since it means nothing elsewhere.
    fn try_from(address: SocketAddr) -> Result<Self, Self::Error> {
        Self::normal(&address.ip().to_string(), address.port())
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        (&self.host, self.port).serialize(s)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let (host, port) = <(String, u16)>::deserialize(d)?;
        Self::new(&host, port).map_err(D::Error::custom)
    }
}

/// A relay at which somebody can be reached: SMP1 `[relay identity_key, host, port u16,
/// priority u8]`, lower priorities first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelayHint {
    /// `identity_key` of the relay, which the client pins.
    pub relay: ContactId,
    /// Where the relay listens.
    pub endpoint: Endpoint,
    /// Order of preference, lowest first. A card does not carry it: its order is the preference.
    pub priority: u8,
}

impl Serialize for RelayHint {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let Endpoint { host, port } = &self.endpoint;
        (&self.relay, host, port, self.priority).serialize(s)
    }
}

impl<'de> Deserialize<'de> for RelayHint {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let (relay, host, port, priority) = <(ContactId, String, u16, u8)>::deserialize(d)?;
        let endpoint = Endpoint::new(&host, port).map_err(D::Error::custom)?;
        Ok(Self {
            relay,
            endpoint,
            priority,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec::{decode_exact, encode};

    #[test]
    fn an_endpoint_prints_what_it_reads() {
        for text in [
            "example.org:33399",
            "a:1",
            "xn--bcher-kva.example:443",
            "3com.com:65535",
            "127.0.0.1:80",
            "[::1]:80",
            "[2001:db8::7]:33399",
            "[::ffff:10.0.0.1]:1024",
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), text);
            let bytes = encode(&endpoint);
            assert_eq!(decode_exact(&bytes, 512), Ok(endpoint));
        }
    }

    #[test]
    fn typed_spellings_are_brought_to_one_and_sent_ones_must_be_it() {
        for (typed, host) in [
            ("Example.ORG:7", "example.org"),
            ("[2001:DB8:0:0:0:0:0:1]:7", "2001:db8::1"),
        ] {
            let endpoint: Endpoint = typed.parse().unwrap();
            assert_eq!(endpoint.host(), host);
        }
        assert_eq!(Endpoint::new("Example.org", 7), Err(EndpointError::Host));
        assert_eq!(Endpoint::new("2001:DB8::1", 7), Err(EndpointError::Host));
        assert_eq!(Endpoint::new("[::1]", 7), Err(EndpointError::Host));
        assert!(decode_exact::<Endpoint>(&encode(&("Example.org", 7)), 512).is_err());
        assert!(decode_exact::<Endpoint>(&encode(&("example.org", 0)), 512).is_err());
    }

    #[test]
    fn hosts_that_deceive_a_reader_or_a_resolver_are_refused() {
        let long_label = format!("{}.org", "a".repeat(64));
        let long_name = format!("{}org", "abcdefg.".repeat(32));
        for host in [
            "",
            ".",
            "a..b",
            "example.org.",
            "-a.org",
            "a-.org",
            "a_b.org",
            "user@example.org",
            "exa mple.org",
            "example.org/path",
            "example.org\n",
            "example.org\0",
            "bücher.example",
            "127.1",
            "127.0.0.01",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "1.2.3.4.5",
            "256.1.1.1",
            "a.0xff",
            "fe80::1%eth0",
            "*.org",
            &long_label,
            &long_name,
        ] {
            assert_eq!(Endpoint::new(host, 80), Err(EndpointError::Host), "{host}");
            assert!(format!("{host}:80").parse::<Endpoint>().is_err(), "{host}");
        }
        assert!(Endpoint::new(&format!("{}abcde", "abcdefg.".repeat(31)), 80).is_ok());
    }

    #[test]
    fn ports_that_are_none_are_refused() {
        for text in [
            "a:0", "a:65536", "a:", "a:+80", "a:-1", "a:8 0", "a", "a:b:1",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
        for text in [
            "[::1]",
            "[::1]80",
            "::1:80",
            "[::1:80",
            "[127.0.0.1]:80",
            "[a]:80",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
