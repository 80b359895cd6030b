//! A relay's link: what its operator hands to those who may use it (chapter 8).
//!
//! ```text
//! 0   ver = 01
//! 1   flags          bit 0 an invite follows
//! 2   identity_key   32
//! 34  port           u16 LE, not 0
//! 36  host_len       u8
//! 37  host           UTF-8, one spelling
//! …   invite_len     u8, 1 to 64    } only with bit 0
//! …   invite                        }
//! …   check          4: H("SREMP/1/relay-link" ‖ everything before it), cut
//! ```
//!
//! As text `sremp-relay:1#` and base64url without padding. The check finds slips of the hand, not
//! forgers: whoever can change a link can also replace it.

use std::{fmt, str::FromStr};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest as _, Sha256};

use super::{Endpoint, RelayHint};
use crate::{
    constants::{MAX_HOST, MAX_RELAY_INVITE},
    id::ContactId,
};

/// Before the major version, in any case.
const SCHEME: &str = "sremp-relay:";
const VERSION: u8 = 1;
const INVITE: u8 = 1;
const CHECK_LEN: usize = 4;
/// Longest text that is looked at: base64 of the longest link, twice that for white space.
const MAX_TEXT: usize = 4 * (37 + MAX_HOST + 1 + MAX_RELAY_INVITE + CHECK_LEN);

/// Why a text is no link of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayLinkError {
    /// No link of a relay at all, or not the whole of one.
    Malformed,
    /// Of a newer version, or with a part that is not known here.
    Unsupported,
}

impl fmt::Display for RelayLinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => {
                "this is no complete link of a relay; copy it again, all of it, as `sremp relay` \
                 prints it"
            }
            Self::Unsupported => "the relay's link needs a newer version of this program",
        })
    }
}

impl std::error::Error for RelayLinkError {}

/// A relay: its key, where it listens, and the invite with which it takes a new mailbox.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayLink {
    relay: ContactId,
    endpoint: Endpoint,
    invite: Option<Vec<u8>>,
}

impl RelayLink {
    /// The link of a relay.
    ///
    /// # Errors
    /// [`RelayLinkError::Malformed`] when the invite is empty or longer than 64 bytes.
    pub fn new(
        relay: ContactId,
        endpoint: Endpoint,
        invite: Option<Vec<u8>>,
    ) -> Result<Self, RelayLinkError> {
        let fits = |invite: &Vec<u8>| (1..=MAX_RELAY_INVITE).contains(&invite.len());
        if !invite.as_ref().is_none_or(fits) {
            return Err(RelayLinkError::Malformed);
        }
        Ok(Self {
            relay,
            endpoint,
            invite,
        })
    }

    /// `identity_key` of the relay, which the client pins.
    pub const fn relay(&self) -> ContactId {
        self.relay
    }

    /// Where the relay listens.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What lets a newcomer in, 1 to 64 bytes.
    pub fn invite(&self) -> Option<&[u8]> {
        self.invite.as_deref()
    }

    /// What others are told of this relay: without the invite.
    pub fn hint(&self, priority: u8) -> RelayHint {
        RelayHint {
            relay: self.relay,
            endpoint: self.endpoint.clone(),
            priority,
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let flags = if self.invite.is_some() { INVITE } else { 0 };
        let mut bytes = vec![VERSION, flags];
        bytes.extend_from_slice(self.relay.as_bytes());
        bytes.extend_from_slice(&self.endpoint.port().to_le_bytes());
        push(&mut bytes, self.endpoint.host().as_bytes());
        if let Some(invite) = &self.invite {
            push(&mut bytes, invite);
        }
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, RelayLinkError> {
        // the version decides where the rest lies
        match bytes.first() {
            None | Some(0) => return Err(RelayLinkError::Malformed),
            Some(&VERSION) => {}
            Some(_) => return Err(RelayLinkError::Unsupported),
        }
        let (body, found) = bytes
            .split_last_chunk::<CHECK_LEN>()
            .ok_or(RelayLinkError::Malformed)?;
        if check(body) != *found {
            return Err(RelayLinkError::Malformed);
        }
        Self::read(body).ok_or(RelayLinkError::Malformed)?
    }

    /// The fields of a whole link; `None` when they do not fill it exactly.
    fn read(body: &[u8]) -> Option<Result<Self, RelayLinkError>> {
        let ([_, flags], rest) = body.split_first_chunk::<2>()?;
        if flags & !INVITE != 0 {
            return Some(Err(RelayLinkError::Unsupported));
        }
        let (key, rest) = rest.split_first_chunk::<32>()?;
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let (host, rest) = pull(rest)?;
        let host = std::str::from_utf8(host).ok()?;
        let (invite, rest) = match flags & INVITE {
            0 => (None, rest),
            _ => pull(rest).map(|(invite, rest)| (Some(invite.to_vec()), rest))?,
        };
        if !rest.is_empty() {
            return None;
        }
        let relay = ContactId::parse(key).ok()?;
        let endpoint = Endpoint::new(host, u16::from_le_bytes(*port)).ok()?;
        Some(Self::new(relay, endpoint, invite))
    }
}

/// Length and bytes; what is written here is never longer than 253.
fn push(to: &mut Vec<u8>, bytes: &[u8]) {
    to.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    to.extend_from_slice(bytes);
}

fn pull(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*len))
}

fn check(body: &[u8]) -> [u8; CHECK_LEN] {
    let hash = Sha256::new()
        .chain_update(b"SREMP/1/relay-link")
        .chain_update(body)
        .finalize();
    let hash: [u8; 32] = hash.into();
    let [a, b, c, d, ..] = hash;
    [a, b, c, d]
}

impl fmt::Display for RelayLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = Base64UrlUnpadded::encode_string(&self.to_bytes());
        write!(f, "{SCHEME}{VERSION}#{body}")
    }
}

impl FromStr for RelayLink {
    type Err = RelayLinkError;

    /// Reads the text form; white space is ignored wherever a terminal may have put it.
    fn from_str(text: &str) -> Result<Self, RelayLinkError> {
        if text.len() > MAX_TEXT {
            return Err(RelayLinkError::Malformed);
        }
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (scheme, rest) = text
            .split_at_checked(SCHEME.len())
            .ok_or(RelayLinkError::Malformed)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(RelayLinkError::Malformed);
        }
        let (version, body) = rest.split_once('#').ok_or(RelayLinkError::Malformed)?;
        match version {
            "1" => {}
            digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                return Err(RelayLinkError::Unsupported);
            }
            _ => return Err(RelayLinkError::Malformed),
        }
        let bytes = Base64UrlUnpadded::decode_vec(body).map_err(|_| RelayLinkError::Malformed)?;
        Self::from_bytes(&bytes)
    }
}

/// Without the invite: whoever has it gets a mailbox.
impl fmt::Debug for RelayLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayLink({} {})", self.relay.short(), self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";

    fn link(host: &str, invite: Option<&[u8]>) -> RelayLink {
        let endpoint = Endpoint::new(host, 33_401).unwrap();
        RelayLink::new(KEY.parse().unwrap(), endpoint, invite.map(<[u8]>::to_vec)).unwrap()
    }

    #[test]
    fn a_link_reads_what_it_prints() {
        for invite in [None, Some([7u8; 64].as_slice()), Some(&[0])] {
            for host in ["relay.example.org", "127.0.0.1", "2001:db8::1"] {
                let link = link(host, invite);
                let text = link.to_string();
                assert_eq!(text.parse(), Ok(link.clone()), "{text}");
                let folded: String = text.chars().flat_map(|c| [c, '\n']).collect();
                assert_eq!(folded.parse(), Ok(link.clone()));
                assert!(text.replace("sremp", "SREMP").parse::<RelayLink>().is_ok());
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let expected = "sremp-relay:1#AQGKiOPddAnxlf1S2y08ul1yymcJvx2UEhvzdIgBtA9vXHmCEXJlbGF5LmV4YW1wbGUub3JnBAECAwT9Otry";
        let link = link("relay.example.org", Some(&[1, 2, 3, 4]));
        assert_eq!(link.to_string(), expected);
    }

    #[test]
    fn a_link_with_a_slip_is_refused() {
        let text = link("relay.example.org", Some(&[1, 2, 3, 4])).to_string();
        for at in 14..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'x' { b'y' } else { b'x' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert!(wrong.parse::<RelayLink>().is_err(), "{wrong}");
        }
        for end in 0..text.len() {
            assert!(text[..end].parse::<RelayLink>().is_err());
        }
        let newer = text.replace("relay:1#", "relay:2#");
        assert_eq!(newer.parse::<RelayLink>(), Err(RelayLinkError::Unsupported));
        assert!("sremp:1#AQ".parse::<RelayLink>().is_err());
    }

    #[test]
    fn parts_beyond_their_limit_or_unknown_are_refused() {
        let endpoint = || Endpoint::new("a", 1).unwrap();
        let key = || KEY.parse().unwrap();
        assert!(RelayLink::new(key(), endpoint(), Some(vec![])).is_err());
        assert!(RelayLink::new(key(), endpoint(), Some(vec![1; 65])).is_err());
        let sealed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = link("a", None).to_bytes();
            bytes.truncate(bytes.len() - CHECK_LEN);
            change(&mut bytes);
            let check = check(&bytes);
            bytes.extend_from_slice(&check);
            RelayLink::from_bytes(&bytes)
        };
        assert_eq!(sealed(&|_| ()), Ok(link("a", None)));
        assert_eq!(sealed(&|b| b[1] = 2), Err(RelayLinkError::Unsupported));
        for change in [
            (&|b: &mut Vec<u8>| b[1] = 1) as &dyn Fn(&mut Vec<u8>),
            &|b| b[2..34].fill(0),
            &|b| b[34..36].fill(0),
            &|b| b[37] = b'A',
            &|b| b.push(0),
        ] {
            assert_eq!(sealed(change), Err(RelayLinkError::Malformed));
        }
    }

    #[test]
    fn case_25_an_invite_does_not_print_itself() {
        let shown = format!("{:?}", link("a", Some(&[0xab; 8])));
        assert_eq!(shown, "RelayLink(8a88e3dd a:33401)");
    }
}
