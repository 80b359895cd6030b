//! The server's side of one connection: what a message asks for, and whether it is signed.

use std::net::{IpAddr, SocketAddr};

use super::{
    ExporterValue, Lookup, PageCursor, Record, Register, RendezvousDecodeError, RendezvousMessage,
    ServerRecord,
    address::{is_public, may_be_public},
    proof,
};
use crate::{
    channel::{ErrorReply, Message},
    contact_card::Endpoint,
    error::ErrorCode,
    id::{ContactId, IdentityKey},
    identity::Identity,
    time::UnixMillis,
};

/// One connection of a server, from the end of the TLS handshake.
///
/// [`handle`](Self::handle) tells what a message asks for; a [`Register`] goes on to
/// [`check`](Self::check), which costs three signatures, once the caller has asked its limits.
#[derive(Clone, Debug)]
pub struct ServerConnection {
    exporter: ExporterValue,
    registered: Option<(ContactId, UnixMillis)>,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// To be registered; nothing of it is checked yet.
    Register(Register),
    /// Somebody's registration.
    Lookup(IdentityKey),
    /// A page of those who are listed.
    Page(Option<PageCursor>),
    /// The servers that are known here; and to be known as one, if it says so and the signature
    /// holds.
    Servers(Option<Box<ServerRecord>>),
    /// From where it comes.
    Address,
}

/// What to do instead of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Say why, then close the connection.
    Close(ErrorCode),
    /// Answer with ERROR.
    Reply(ErrorReply),
    /// An answer to nothing.
    Ignore,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::Reply(code.into())
    }
}

/// A registration by whoever is at the other end of this connection: every signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    identity: Identity,
    record: Record,
}

impl Registration {
    /// Who registers.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where, and until when.
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// Which of the endpoints have to be dialled, to see whether whoever registers is there: all but
    /// those at the address from which it comes.
    ///
    /// # Errors
    /// `NOT_ALLOWED` when one of them, or of the relays, is where nobody dials for a stranger.
    pub fn to_dial_back(
        &self,
        source: IpAddr,
        allow_private: bool,
    ) -> Result<Vec<Endpoint>, ErrorCode> {
        let endpoints = self.record.endpoints();
        let relays = self.record.relays().iter().map(|hint| &hint.endpoint);
        let all_may = endpoints.iter().chain(relays).all(may_be_public);
        if !allow_private && !all_may {
            return Err(ErrorCode::NotAllowed);
        }
        let elsewhere = |endpoint: &&Endpoint| {
            let ip = endpoint.ip().map(|ip| ip.to_canonical());
            ip != Some(source.to_canonical())
        };
        Ok(endpoints.iter().filter(elsewhere).cloned().collect())
    }
}

/// The addresses of an endpoint that may be dialled for a stranger: all that it has, or, if a single
/// one of them is not public, none: a name that points inside as well is not asked twice.
pub fn dialled_back(addresses: &[SocketAddr], allow_private: bool) -> Result<(), ErrorCode> {
    match allow_private || addresses.iter().all(is_public) {
        true => Ok(()),
        false => Err(ErrorCode::NotAllowed),
    }
}

impl ServerConnection {
    /// A connection with this exporter value, on which nobody has registered.
    pub const fn new(exporter: ExporterValue) -> Self {
        Self {
            exporter,
            registered: None,
        }
    }

    /// Who has registered here.
    pub fn registered_as(&self) -> Option<ContactId> {
        self.registered.map(|(key, _)| key)
    }

    /// A registration is kept.
    pub fn registered(&mut self, registration: &Registration) {
        let record = registration.record();
        // whoever has withdrawn is not registered any more
        let until = match record.is_tombstone() {
            true => UnixMillis::ZERO,
            false => record.expires(),
        };
        self.registered = Some((record.owner(), until));
    }

    /// What a message asks for.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn handle(&self, message: &Message, now: UnixMillis) -> Result<Request, Refusal> {
        let decoded = match RendezvousMessage::decode(message) {
            Ok(decoded) => decoded,
            Err(RendezvousDecodeError::Malformed) => {
                return Err(Refusal::Close(ErrorCode::ProtocolViolation));
            }
            Err(RendezvousDecodeError::UnknownType) => return Err(ErrorCode::NotAllowed.into()),
        };
        match decoded {
            RendezvousMessage::Register(register) => Ok(Request::Register(register)),
            RendezvousMessage::Lookup(lookup) => self.lookup(&lookup, now),
            RendezvousMessage::ListServers(list) => {
                let own = list.own.and_then(|own| {
                    let record = ServerRecord::verify(&own.record, &own.signature).ok()?;
                    record.holds_at(now).then(|| Box::new(record))
                });
                Ok(Request::Servers(own))
            }
            RendezvousMessage::AddressRequest => Ok(Request::Address),
            RendezvousMessage::Error(_) => Err(Refusal::Ignore),
            // what only a server says
            RendezvousMessage::RegisterResponse(_)
            | RendezvousMessage::LookupResponse(_)
            | RendezvousMessage::Servers(_)
            | RendezvousMessage::AddressResponse { .. } => Err(ErrorCode::NotAllowed.into()),
        }
    }

    fn lookup(&self, lookup: &Lookup, now: UnixMillis) -> Result<Request, Refusal> {
        match lookup.target_identity {
            Some(key) => Ok(Request::Lookup(key)),
            // who browses can be browsed, or at least has shown a key
            None if self.registered.is_some_and(|(_, until)| now <= until) => {
                Ok(Request::Page(lookup.cursor))
            }
            None => Err(ErrorCode::NotAllowed.into()),
        }
    }

    /// Checks a registration: identity, record, proof, time, in this order.
    ///
    /// # Errors
    /// `BAD_PROOF` when a signature does not hold or the identity and the record are not of one key,
    /// `EXPIRED` when the record does not hold now, `NOT_ALLOWED` when another key has registered on
    /// this connection.
    pub fn check(&self, register: &Register, now: UnixMillis) -> Result<Registration, ErrorCode> {
        self.check_known(register, now, |_| false)
    }

    /// The same, with a signature less for whoever renews: `knows` tells whether the very document
    /// is kept of this key, which was verified when it came.
    ///
    /// # Errors
    /// As of [`check`](Self::check).
    pub fn check_known(
        &self,
        register: &Register,
        now: UnixMillis,
        knows: impl FnOnce(&IdentityKey) -> bool,
    ) -> Result<Registration, ErrorCode> {
        let identity = Identity::verify_new(&register.identity, |key| knows(&(*key).into()));
        let identity = identity.map_err(|_| ErrorCode::BadProof)?;
        let owner = identity.id();
        if self.registered_as().is_some_and(|known| known != owner) {
            return Err(ErrorCode::NotAllowed);
        }
        let record = Record::verify(&register.record, &register.signature, &owner)
            .map_err(|_| ErrorCode::BadProof)?;
        let bytes = &register.identity;
        proof::verify(&owner, &self.exporter, bytes, &record, &register.proof)
            .map_err(|_| ErrorCode::BadProof)?;
        if !record.holds_at(now) {
            return Err(ErrorCode::Expired);
        }
        Ok(Registration { identity, record })
    }
}
