//! The client's side of one connection: requests, and what their answers are worth.

use std::time::Duration;

use rand_core::CryptoRng;
use serde_bytes::ByteBuf;

use super::{
    ExporterValue, ListServers, Lookup, LookupResponse, PageCursor, PeerInfo, Record, Register,
    RegisterResponse, RendezvousDecodeError, RendezvousMessage, Seq, ServerRecord, Servers,
    SignedServer, Visibility, proof,
};
use crate::{
    channel::{Message, OpenRequests, TooManyRequests},
    constants::{MAX_PAGES, MAX_RDV_OPEN, RENEW_PERCENT},
    error::ErrorCode,
    id::{ContactId, IdentityKey},
    identity::{Identity, SecretIdentity},
    time::UnixMillis,
};

/// One connection to a rendezvous server.
///
/// Each command gives the message to send, whose `req_id` its answer's event carries. Nothing that a
/// server says of others is believed unless they have signed it.
#[derive(Debug)]
pub struct RendezvousClient {
    exporter: ExporterValue,
    open: OpenRequests<Asked>,
    pages: u32,
}

#[derive(Clone, Debug)]
enum Asked {
    Register { expires: UnixMillis },
    Lookup { target: ContactId, least: Seq },
    Page(Option<PageCursor>),
    Servers,
    Address,
}

/// Somebody who was found: both documents are signed, of one key, and hold now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Who.
    pub identity: Identity,
    /// Where, and until when. The places are claims, to be dialled under the rules of
    /// [`address`](super::address).
    pub record: Record,
    /// The server's claim.
    pub last_seen: Option<UnixMillis>,
    /// The server's claim.
    pub online: Option<bool>,
}

/// What a server's message means. `req_id` is that of the request which it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields that are named as in the messages")]
pub enum RendezvousEvent {
    /// The record is kept.
    Registered { req_id: u32, renewal_interval: u32 },
    /// The owner of the key is registered.
    Found { req_id: u32, peer: Box<Found> },
    /// Nothing is known of the key here, or nothing is told.
    NotFound { req_id: u32 },
    /// Some of those who are listed. `refused` did not hold and are left out.
    Page {
        req_id: u32,
        peers: Vec<Found>,
        refused: usize,
        next: Option<PageCursor>,
    },
    /// Servers that the server names: candidates. `refused` did not hold and are left out.
    Servers {
        req_id: u32,
        servers: Vec<ServerRecord>,
        refused: usize,
    },
    /// From where the server sees this connection come.
    Address { req_id: u32, host: String },
    /// A request is refused: by the server, or here, because what it says does not hold
    /// (`BAD_PROOF`), is not the newest that is known (`STALE_SEQ`) or is over (`EXPIRED`).
    Refused {
        req_id: u32,
        code: u16,
        retry_after_s: u32,
    },
}

impl RendezvousClient {
    /// A connection with this exporter value, on which nothing is asked.
    pub fn new(exporter: ExporterValue) -> Self {
        Self {
            exporter,
            open: OpenRequests::default(),
            pages: 0,
        }
    }

    /// Requests that wait for their answer.
    pub fn open_requests(&self) -> usize {
        self.open.len()
    }

    fn ask(
        &mut self,
        asked: Asked,
        message: &RendezvousMessage,
    ) -> Result<Message, TooManyRequests> {
        if self.open.len() >= MAX_RDV_OPEN {
            return Err(TooManyRequests);
        }
        let req_id = self.open.open(asked)?;
        Ok(message.to_message(req_id))
    }

    /// REGISTER_REQUEST, with a proof for this connection.
    ///
    /// # Errors
    /// [`TooManyRequests`], as of every command.
    pub fn register(
        &mut self,
        own: &SecretIdentity,
        record: &Record,
    ) -> Result<Message, TooManyRequests> {
        let register = Register {
            identity: ByteBuf::from(own.identity().as_bytes()),
            record: ByteBuf::from(record.as_bytes()),
            signature: *record.signature(),
            proof: proof::sign(own, &self.exporter, record),
        };
        let expires = record.expires();
        let asked = Asked::Register { expires };
        self.ask(asked, &RendezvousMessage::Register(register))
    }

    /// LOOKUP_REQUEST for one key, of which a record with this seq is known.
    ///
    /// # Errors
    /// [`TooManyRequests`].
    pub fn lookup(
        &mut self,
        target: ContactId,
        known: Option<Seq>,
    ) -> Result<Message, TooManyRequests> {
        let lookup = Lookup {
            target_identity: Some(target.into()),
            list_all: false,
            cursor: None,
        };
        let least = known.unwrap_or_default();
        let asked = Asked::Lookup { target, least };
        self.ask(asked, &RendezvousMessage::Lookup(lookup))
    }

    /// LOOKUP_REQUEST for a page of those who are listed: the first, or the one behind `cursor`.
    ///
    /// # Errors
    /// [`TooManyRequests`], also when this connection has given as many pages as anybody reads: no
    /// list is endless.
    pub fn page(&mut self, cursor: Option<PageCursor>) -> Result<Message, TooManyRequests> {
        if self.pages >= MAX_PAGES {
            return Err(TooManyRequests);
        }
        let lookup = Lookup {
            target_identity: None,
            list_all: true,
            cursor,
        };
        let message = self.ask(Asked::Page(cursor), &RendezvousMessage::Lookup(lookup))?;
        self.pages = self.pages.saturating_add(1);
        Ok(message)
    }

    /// LIST_SERVERS_REQUEST; a server adds its own record.
    ///
    /// # Errors
    /// [`TooManyRequests`].
    pub fn servers(&mut self, own: Option<&ServerRecord>) -> Result<Message, TooManyRequests> {
        let list = ListServers {
            own: own.map(SignedServer::from),
        };
        self.ask(Asked::Servers, &RendezvousMessage::ListServers(list))
    }

    /// ADDRESS_REQUEST.
    ///
    /// # Errors
    /// [`TooManyRequests`].
    pub fn address(&mut self) -> Result<Message, TooManyRequests> {
        self.ask(Asked::Address, &RendezvousMessage::AddressRequest)
    }

    /// What a message of the server means; `None` for an answer to nothing.
    ///
    /// # Errors
    /// The code for which the connection is given up.
    pub fn handle(
        &mut self,
        message: &Message,
        now: UnixMillis,
    ) -> Result<Option<RendezvousEvent>, ErrorCode> {
        let decoded = match RendezvousMessage::decode(message) {
            Ok(decoded) => decoded,
            Err(RendezvousDecodeError::Malformed) => return Err(ErrorCode::ProtocolViolation),
            Err(RendezvousDecodeError::UnknownType) => return Ok(None),
        };
        let req_id = message.req_id;
        if let (0, RendezvousMessage::Error(error)) = (req_id, &decoded) {
            // why the server closes
            return Err(ErrorCode::from_u16(error.code).unwrap_or(ErrorCode::ProtocolViolation));
        }
        let Some(asked) = self.open.close(req_id) else {
            return Ok(None);
        };
        answered(req_id, asked, decoded, now).map(Some)
    }
}

fn refused(req_id: u32, code: ErrorCode) -> RendezvousEvent {
    RendezvousEvent::Refused {
        req_id,
        code: code.to_u16(),
        retry_after_s: 0,
    }
}

fn answered(
    req_id: u32,
    asked: Asked,
    answer: RendezvousMessage,
    now: UnixMillis,
) -> Result<RendezvousEvent, ErrorCode> {
    let event = match (asked, answer) {
        (_, RendezvousMessage::Error(error)) => RendezvousEvent::Refused {
            req_id,
            code: error.code,
            retry_after_s: error.retry_after_s,
        },
        (Asked::Register { expires }, RendezvousMessage::RegisterResponse(response)) => {
            registered(req_id, expires, &response)?
        }
        (Asked::Lookup { target, least }, RendezvousMessage::LookupResponse(response)) => {
            found(req_id, &target, least, response, now)?
        }
        (Asked::Page(cursor), RendezvousMessage::LookupResponse(response)) => {
            page(req_id, cursor, response, now)?
        }
        (Asked::Servers, RendezvousMessage::Servers(list)) => servers(req_id, &list, now),
        (Asked::Address, RendezvousMessage::AddressResponse { host }) => {
            RendezvousEvent::Address { req_id, host }
        }
        _ => return Err(ErrorCode::ProtocolViolation),
    };
    Ok(event)
}

fn registered(
    req_id: u32,
    expires: UnixMillis,
    response: &RegisterResponse,
) -> Result<RendezvousEvent, ErrorCode> {
    if let Some(code) = response.error {
        return Ok(RendezvousEvent::Refused {
            req_id,
            code,
            retry_after_s: 0,
        });
    }
    // the record says until when; a server that says otherwise has kept something else
    match response.expires_at == expires {
        true => Ok(RendezvousEvent::Registered {
            req_id,
            renewal_interval: response.renewal_interval,
        }),
        false => Err(ErrorCode::ProtocolViolation),
    }
}

fn found(
    req_id: u32,
    target: &ContactId,
    least: Seq,
    response: LookupResponse,
    now: UnixMillis,
) -> Result<RendezvousEvent, ErrorCode> {
    let mut peers = response.peers.into_iter();
    let (first, second) = (peers.next(), peers.next());
    if second.is_some() || response.next.is_some() {
        return Err(ErrorCode::ProtocolViolation);
    }
    let Some(peer) = first else {
        return Ok(RendezvousEvent::NotFound { req_id });
    };
    let event = match Found::verify(peer, Some(target), now) {
        Ok(peer) if peer.record.seq() < least => refused(req_id, ErrorCode::StaleSeq),
        Ok(peer) if peer.record.is_tombstone() => RendezvousEvent::NotFound { req_id },
        Ok(peer) => RendezvousEvent::Found {
            req_id,
            peer: Box::new(peer),
        },
        Err(code) => refused(req_id, code),
    };
    Ok(event)
}

fn page(
    req_id: u32,
    cursor: Option<PageCursor>,
    response: LookupResponse,
    now: UnixMillis,
) -> Result<RendezvousEvent, ErrorCode> {
    // the same page again, for ever
    if response.next.is_some() && response.next == cursor {
        return Err(ErrorCode::ProtocolViolation);
    }
    let count = response.peers.len();
    let good = response.peers.into_iter().filter_map(|peer| {
        let peer = Found::verify(peer, None, now).ok()?;
        let shown = peer.record.visibility() == Visibility::Listed && !peer.record.is_tombstone();
        shown.then_some(peer)
    });
    let peers: Vec<Found> = good.collect();
    Ok(RendezvousEvent::Page {
        req_id,
        refused: count.saturating_sub(peers.len()),
        peers,
        next: response.next,
    })
}

fn servers(req_id: u32, list: &Servers, now: UnixMillis) -> RendezvousEvent {
    let good = list.servers.iter().filter_map(|server| {
        let record = ServerRecord::verify(&server.record, &server.signature).ok()?;
        record.holds_at(now).then_some(record)
    });
    let servers: Vec<ServerRecord> = good.collect();
    RendezvousEvent::Servers {
        req_id,
        refused: list.servers.len().saturating_sub(servers.len()),
        servers,
    }
}

impl Found {
    fn verify(
        peer: PeerInfo,
        target: Option<&ContactId>,
        now: UnixMillis,
    ) -> Result<Self, ErrorCode> {
        let identity = Identity::verify(&peer.identity).map_err(|_| ErrorCode::BadProof)?;
        let owner = identity.id();
        if target.is_some_and(|target| *target != owner) {
            return Err(ErrorCode::BadProof);
        }
        let record = Record::verify(&peer.record, &peer.record_sig, &owner)
            .map_err(|_| ErrorCode::BadProof)?;
        if !record.holds_at(now) {
            return Err(ErrorCode::Expired);
        }
        Ok(Self {
            identity,
            record,
            last_seen: peer.last_seen,
            online: peer.online,
        })
    }

    /// Whose registration it is.
    pub fn key(&self) -> IdentityKey {
        self.identity.id().into()
    }
}

/// When to renew a record that has just been kept: at a random moment between half and four fifths
/// of its life, sooner if the server advises so, but no sooner than after a tenth.
pub fn renew_after<R: CryptoRng + ?Sized>(
    record: &Record,
    renewal_interval: u32,
    rng: &mut R,
) -> Duration {
    let (from, to) = RENEW_PERCENT;
    let share = |percent: u32| record.ttl().saturating_mul(percent) / 100;
    let advice = Duration::from_secs(renewal_interval.into());
    let from = share(from).min(advice.max(share(10)));
    let width = share(to).saturating_sub(from);
    let random = u64::from(rng.next_u32());
    let millis = u64::try_from(width.as_millis()).unwrap_or(0);
    let part = millis.saturating_mul(random) >> 32;
    from.saturating_add(Duration::from_millis(part))
}
