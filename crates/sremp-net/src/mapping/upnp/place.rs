//! Something that the gateway serves over HTTP.

use std::net::Ipv4Addr;

use hyper::{Uri, http::uri::PathAndQuery};

/// A port and a path at the gateway. There is no host in it: a place elsewhere cannot be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Place {
    pub(super) port: u16,
    pub(super) path: PathAndQuery,
}

impl Place {
    /// `http://`, the gateway's address in figures, a path; `None` for everything else.
    pub(super) fn parse(url: &str, gateway: Ipv4Addr) -> Option<Self> {
        let uri: Uri = url.trim().parse().ok()?;
        let authority = uri.authority()?;
        let host: Ipv4Addr = authority.host().parse().ok()?;
        // nothing but host and port
        let plain = !authority.as_str().contains('@');
        let at_gateway = uri.scheme_str() == Some("http") && plain && host == gateway;
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str().contains(':') => return None,
            None => 80,
        };
        (at_gateway && port != 0).then(|| Self {
            port,
            path: uri
                .path_and_query()
                .cloned()
                .unwrap_or(PathAndQuery::from_static("/")),
        })
    }

    /// What `reference` means in a document from here (RFC 3986, section 5.2, without dot segments,
    /// which no gateway uses and none of ours resolves).
    pub(super) fn join(&self, reference: &str, gateway: Ipv4Addr) -> Option<Self> {
        let reference = reference.trim();
        if reference.contains("://") {
            return Self::parse(reference, gateway);
        }
        if reference.starts_with("//") {
            return None;
        }
        let path = match reference.strip_prefix('/') {
            Some(_) => reference.to_owned(),
            None => {
                let (directory, _) = self.path.path().rsplit_once('/')?;
                format!("{directory}/{reference}")
            }
        };
        let path = path.parse().ok()?;
        Some(Self {
            port: self.port,
            path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

    #[test]
    fn a_place_is_at_the_gateway_or_nowhere() {
        let place = |url| Place::parse(url, GATEWAY).map(|p| (p.port, p.path.to_string()));
        let at = |port, path: &str| Some((port, path.to_owned()));
        assert_eq!(place("http://192.168.1.1:5000/a/b?c"), at(5000, "/a/b?c"));
        assert_eq!(place("http://192.168.1.1"), at(80, "/"));
        for elsewhere in [
            "http://192.168.1.2:5000/a",
            "http://router.example/a",
            "http://localhost/a",
            "https://192.168.1.1/a",
            "ftp://192.168.1.1/a",
            "http://192.168.1.1@192.168.1.2/a",
            "http://192.168.1.1:80@192.168.1.2/a",
            "http://x@192.168.1.1/a",
            "http://192.168.1.1.example/a",
            "http://192.168.1.1:0/a",
            "http://192.168.1.1:99999/a",
            "http://192.168.1.1:/a",
            "http://[::ffff:192.168.1.1]/a",
            "http://3232235777/a",
            "http://0300.168.1.1/a",
            "//192.168.1.1/a",
            "/a",
            "",
        ] {
            assert_eq!(place(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn a_reference_stays_at_the_gateway() {
        let base = Place::parse("http://192.168.1.1:5000/desc/root.xml", GATEWAY).unwrap();
        let joined = |reference| {
            let place = base.join(reference, GATEWAY)?;
            Some(format!("{}{}", place.port, place.path))
        };
        for (reference, place) in [
            ("/ctl", Some("5000/ctl")),
            ("ctl/IPConn", Some("5000/desc/ctl/IPConn")),
            (" http://192.168.1.1:81/ctl\n", Some("81/ctl")),
            ("http://192.168.1.2:81/ctl", None),
            ("//192.168.1.2/ctl", None),
            ("/ctl\r\nX: y", None),
            ("c tl", None),
        ] {
            assert_eq!(joined(reference).as_deref(), place, "{reference:?}");
        }
    }
}
