//! The bytes of a card, without judging them.

use super::{CardContent, CardError, Endpoint, Intro, RelayHint};
use crate::{
    id::{ContactId, IntroToken},
    identity::Username,
    signature::Signature,
    time::UnixMillis,
};

const VERSION: u8 = 1;

const INTRO: u8 = 1;
const ONE_TIME: u8 = 1 << 1;
const DIAL: u8 = 1 << 2;

const RELAY: u8 = 1;
const RENDEZVOUS: u8 = 2;
const ENDPOINT: u8 = 3;
const USERNAME: u8 = 4;
/// TLVs from here on change the meaning of the card for a reader that does not know them.
const CRITICAL: u8 = 128;

/// Everything before the signature.
pub(super) fn write(
    id: &ContactId,
    identity_version: u64,
    content: &CardContent,
) -> Result<Vec<u8>, CardError> {
    let one_time = content.intro.is_some_and(|intro| intro.one_time);
    let flags = [
        (content.intro.is_some(), INTRO),
        (one_time, ONE_TIME),
        (content.dial, DIAL),
    ];
    let flags = flags
        .iter()
        .filter(|(set, _)| *set)
        .fold(0, |flags, (_, bit)| flags | bit);
    let mut out = vec![VERSION, flags];
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(&identity_version.to_le_bytes());
    let expires = content.expires.unwrap_or(UnixMillis::ZERO);
    out.extend_from_slice(&expires.get().to_le_bytes());
    let token = content.intro.map(|intro| *intro.token.as_bytes());
    out.extend_from_slice(&token.unwrap_or_default());
    for hint in &content.relays {
        let value = [hint.relay.as_bytes().as_slice(), &address(&hint.endpoint)].concat();
        push(&mut out, RELAY, &value)?;
    }
    for server in &content.rendezvous {
        push(&mut out, RENDEZVOUS, &address(server))?;
    }
    for endpoint in &content.endpoints {
        push(&mut out, ENDPOINT, &address(endpoint))?;
    }
    if let Some(name) = &content.username {
        push(&mut out, USERNAME, name.as_str().as_bytes())?;
    }
    Ok(out)
}

fn push(out: &mut Vec<u8>, t: u8, value: &[u8]) -> Result<(), CardError> {
    let len = u8::try_from(value.len()).map_err(|_| CardError::TooLong)?;
    out.extend_from_slice(&[t, len]);
    out.extend_from_slice(value);
    Ok(())
}

/// `port u16 LE ‖ host`.
fn address(endpoint: &Endpoint) -> Vec<u8> {
    [&endpoint.port().to_le_bytes(), endpoint.host().as_bytes()].concat()
}

/// What is signed, and the signature.
pub(super) fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), CardError> {
    bytes
        .len()
        .checked_sub(Signature::LEN)
        .and_then(|at| bytes.split_at_checked(at))
        .ok_or(CardError::Malformed)
}

/// The key of a card of the version known here. A key that is none cannot have signed: damaged.
pub(super) fn read_key(signed: &[u8]) -> Result<ContactId, CardError> {
    let mut reader = Reader(signed);
    let [version, _] = reader.array()?;
    if version != VERSION {
        return Err(CardError::Unsupported);
    }
    ContactId::parse(&reader.array()?).map_err(|_| CardError::Altered)
}

/// The version of the identity and the rest, of bytes whose signature holds.
pub(super) fn read(signed: &[u8]) -> Result<(u64, CardContent), CardError> {
    let mut reader = Reader(signed);
    let [_, flags] = reader.array()?;
    let _: [u8; 32] = reader.array()?;
    let identity_version = u64::from_le_bytes(reader.array()?);
    let expires = match u64::from_le_bytes(reader.array()?) {
        0 => None,
        at => Some(UnixMillis::new(at).ok_or(CardError::Malformed)?),
    };
    let mut content = CardContent {
        expires,
        intro: intro(flags, reader.array()?)?,
        dial: flags & DIAL != 0,
        ..CardContent::default()
    };
    read_tlvs(reader, &mut content)?;
    Ok((identity_version, number_relays(content)))
}

fn intro(flags: u8, token: [u8; IntroToken::LEN]) -> Result<Option<Intro>, CardError> {
    if flags & !(INTRO | ONE_TIME | DIAL) != 0 {
        return Err(CardError::Unsupported);
    }
    let one_time = flags & ONE_TIME != 0;
    if flags & INTRO != 0 {
        let token = IntroToken::new(token);
        return Ok(Some(Intro { token, one_time }));
    }
    if one_time || token != [0; IntroToken::LEN] {
        return Err(CardError::Malformed);
    }
    Ok(None)
}

fn read_tlvs(mut reader: Reader<'_>, content: &mut CardContent) -> Result<(), CardError> {
    let mut last = 0;
    while !reader.0.is_empty() {
        let [t, len] = reader.array()?;
        let mut value = Reader(reader.take(usize::from(len))?);
        // One order, so that one card has one encoding and a reader never has to merge.
        if t < last {
            return Err(CardError::Malformed);
        }
        last = t;
        match t {
            RELAY => {
                let key = value.array()?;
                content.relays.push(RelayHint {
                    relay: ContactId::parse(&key).map_err(|_| CardError::Malformed)?,
                    endpoint: value.address()?,
                    priority: 0,
                });
            }
            RENDEZVOUS => content.rendezvous.push(value.address()?),
            ENDPOINT => content.endpoints.push(value.address()?),
            USERNAME if content.username.is_some() => return Err(CardError::Malformed),
            USERNAME => content.username = Some(value.username()?),
            CRITICAL.. => return Err(CardError::Unsupported),
            _ => {}
        }
    }
    Ok(())
}

/// A card's order of relays is their preference.
pub(super) fn number_relays(mut content: CardContent) -> CardContent {
    for (priority, hint) in (0..).zip(&mut content.relays) {
        hint.priority = priority;
    }
    content
}

/// Takes bytes from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], CardError> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(CardError::Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CardError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(CardError::Malformed)?;
        self.0 = rest;
        Ok(*head)
    }

    fn text(&self) -> Result<&'a str, CardError> {
        std::str::from_utf8(self.0).map_err(|_| CardError::Malformed)
    }

    fn address(&mut self) -> Result<Endpoint, CardError> {
        let port = u16::from_le_bytes(self.array()?);
        Endpoint::new(self.text()?, port).map_err(|_| CardError::Malformed)
    }

    fn username(&self) -> Result<Username, CardError> {
        Username::parse(self.text()?).map_err(|_| CardError::Malformed)
    }
}
