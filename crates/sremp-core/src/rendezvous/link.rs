//! A rendezvous server's link: what its operator hands to those who may use it (5.10).
//!
//! ```text
//! 0   ver = 01
//! 1   flags          bit 0 an SPKI hash follows
//! 2   server_key     32
//! 34  port           u16 LE, not 0
//! 36  host_len       u8
//! 37  host           UTF-8, one spelling
//! …   spki           32, only with bit 0
//! …   check          4: H("SREMP/1/rdv-link" ‖ everything before it), cut
//! ```
//!
//! As text `sremp-rdv:1#` and base64url without padding.

use std::{fmt, str::FromStr};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest as _, Sha256};

use super::SpkiHash;
use crate::{constants::MAX_HOST, contact_card::Endpoint, id::ContactId};

/// Before the major version, in any case.
const SCHEME: &str = "sremp-rdv:";
const VERSION: u8 = 1;
const SPKI: u8 = 1;
const CHECK_LEN: usize = 4;
/// Longest text that is looked at: base64 of the longest link, twice that for white space.
const MAX_TEXT: usize = 4 * (37 + MAX_HOST + SpkiHash::LEN + CHECK_LEN);

/// Why a text is no link of a rendezvous server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RendezvousLinkError {
    /// No such link at all, or not the whole of one.
    Malformed,
    /// Of a newer version, or with a part that is not known here.
    Unsupported,
}

impl fmt::Display for RendezvousLinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => {
                "this is no complete link of a rendezvous server; copy it again, all of it, as \
                 `sremp rendezvous` prints it"
            }
            Self::Unsupported => {
                "the rendezvous server's link needs a newer version of this program"
            }
        })
    }
}

impl std::error::Error for RendezvousLinkError {}

/// A rendezvous server: its key, where it listens, and the key of its certificate if that is not to
/// be checked by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RendezvousLink {
    /// `server_key`, which signs its SERVER_RECORD.
    pub server: ContactId,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Pinned instead of the name in the certificate.
    pub spki: Option<SpkiHash>,
}

impl RendezvousLink {
    fn to_bytes(&self) -> Vec<u8> {
        let flags = if self.spki.is_some() { SPKI } else { 0 };
        let mut bytes = vec![VERSION, flags];
        bytes.extend_from_slice(self.server.as_bytes());
        bytes.extend_from_slice(&self.endpoint.port().to_le_bytes());
        let host = self.endpoint.host().as_bytes();
        // a host is never longer than 253
        bytes.push(u8::try_from(host.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(host);
        if let Some(spki) = &self.spki {
            bytes.extend_from_slice(spki.as_bytes());
        }
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, RendezvousLinkError> {
        // the version decides where the rest lies
        match bytes.first() {
            None | Some(0) => return Err(RendezvousLinkError::Malformed),
            Some(&VERSION) => {}
            Some(_) => return Err(RendezvousLinkError::Unsupported),
        }
        let (body, found) = bytes
            .split_last_chunk::<CHECK_LEN>()
            .ok_or(RendezvousLinkError::Malformed)?;
        if check(body) != *found {
            return Err(RendezvousLinkError::Malformed);
        }
        if body.get(1).is_some_and(|flags| flags & !SPKI != 0) {
            return Err(RendezvousLinkError::Unsupported);
        }
        Self::read(body).ok_or(RendezvousLinkError::Malformed)
    }

    /// The fields of a whole link; `None` when they do not fill it exactly.
    fn read(body: &[u8]) -> Option<Self> {
        let ([_, flags], rest) = body.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_first_chunk::<32>()?;
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let (len, rest) = rest.split_first()?;
        let (host, rest) = rest.split_at_checked(usize::from(*len))?;
        let host = std::str::from_utf8(host).ok()?;
        let spki = match flags & SPKI {
            0 if rest.is_empty() => None,
            0 => return None,
            _ => Some(SpkiHash::from_slice(rest)?),
        };
        Some(Self {
            server: ContactId::parse(key).ok()?,
            endpoint: Endpoint::new(host, u16::from_le_bytes(*port)).ok()?,
            spki,
        })
    }
}

fn check(body: &[u8]) -> [u8; CHECK_LEN] {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(b"SREMP/1/rdv-link")
        .chain_update(body)
        .finalize()
        .into();
    hash.first_chunk().copied().unwrap_or_default()
}

impl fmt::Display for RendezvousLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Base64UrlUnpadded::encode_string(&self.to_bytes());
        write!(f, "{SCHEME}{VERSION}#{text}")
    }
}

impl FromStr for RendezvousLink {
    type Err = RendezvousLinkError;

    /// Reads the text form; white space is ignored wherever a terminal may have put it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = RendezvousLinkError::Malformed;
        if text.len() > MAX_TEXT {
            return Err(malformed);
        }
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (scheme, rest) = text.split_at_checked(SCHEME.len()).ok_or(malformed)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(malformed);
        }
        let (version, body) = rest.split_once('#').ok_or(malformed)?;
        match version {
            "1" => {}
            digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                return Err(RendezvousLinkError::Unsupported);
            }
            _ => return Err(malformed),
        }
        let bytes = Base64UrlUnpadded::decode_vec(body).map_err(|_| malformed)?;
        Self::from_bytes(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";

    fn link(endpoint: &str, spki: Option<SpkiHash>) -> RendezvousLink {
        RendezvousLink {
            server: KEY.parse().unwrap(),
            endpoint: endpoint.parse().unwrap(),
            spki,
        }
    }

    fn text(bytes: &[u8]) -> String {
        format!("sremp-rdv:1#{}", Base64UrlUnpadded::encode_string(bytes))
    }

    fn resealed(mut body: Vec<u8>) -> String {
        let check = check(&body);
        body.extend_from_slice(&check);
        text(&body)
    }

    #[test]
    fn a_link_reads_as_what_it_says() {
        let longest = format!("{}:1", ["a"; 127].join("."));
        for endpoint in [
            "rdv.example:443",
            "192.0.2.7:33400",
            "[2001:db8::1]:1",
            &longest,
        ] {
            for spki in [None, Some(SpkiHash::new([7; 32]))] {
                let link = link(endpoint, spki);
                let shown = link.to_string();
                assert_eq!(shown.parse(), Ok(link), "{shown}");
                let wrapped = format!("  {}\n {}", &shown[..9], &shown[9..]);
                assert!(wrapped.parse::<RendezvousLink>().is_ok());
            }
        }
    }

    #[test]
    fn every_slip_of_the_hand_is_found() {
        let good = link("rdv.example:443", Some(SpkiHash::new([7; 32]))).to_bytes();
        for len in 0..good.len() {
            let cut = text(&good[..len]).parse::<RendezvousLink>();
            assert_eq!(cut, Err(RendezvousLinkError::Malformed), "{len}");
        }
        for at in 1..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let verdict = text(&bad).parse::<RendezvousLink>();
            assert_eq!(verdict, Err(RendezvousLinkError::Malformed), "{at}");
        }
    }

    #[test]
    fn a_whole_link_with_a_wrong_part_is_refused_by_its_name() {
        let malformed = Err(RendezvousLinkError::Malformed);
        let unsupported = Err(RendezvousLinkError::Unsupported);
        let plain = link("rdv.example:443", None).to_bytes();
        let body = &plain[..plain.len() - CHECK_LEN];
        let with = |at: usize, value: u8| {
            let mut body = body.to_vec();
            body[at] = value;
            resealed(body).parse::<RendezvousLink>()
        };
        assert_eq!(with(0, 2), unsupported);
        assert_eq!(with(0, 0), malformed);
        assert_eq!(with(1, 2), unsupported);
        assert_eq!(with(1, 1), malformed, "a pin that is not there");
        assert_eq!(with(36, 200), malformed, "a host longer than the rest");
        assert_eq!(with(37, b'R'), malformed, "another spelling");
        let mut longer = body.to_vec();
        longer.push(0);
        assert_eq!(resealed(longer).parse::<RendezvousLink>(), malformed);
        let shown = text(&plain);
        assert_eq!(shown.replace(":1#", ":2#").parse(), unsupported);
        assert_eq!(shown.replace("-rdv:", "-relay:").parse(), malformed);
        assert_eq!(shown.repeat(9).parse(), malformed);
    }
}
