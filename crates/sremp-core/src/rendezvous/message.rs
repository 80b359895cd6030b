//! The messages of chapter 5. Each struct is an SMP1 array in the order of its fields.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

use super::{PageCursor, Record, ServerRecord};
use crate::{
    channel::{ErrorReply, Message},
    constants::{
        MAX_CANDIDATES, MAX_ERROR_TEXT, MAX_HOST, MAX_IDENTITY, MAX_PAGE, MAX_RDV_REQUEST,
        MAX_RDV_RESPONSE, MAX_RECORD, MAX_SERVER_RECORD,
    },
    contact_card::Endpoint,
    error::ErrorCode,
    id::IdentityKey,
    signature::Signature,
    time::UnixMillis,
    wire::codec::{decode_exact, encode},
};

/// 0201 REGISTER_REQUEST.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The document of whoever registers.
    pub identity: ByteBuf,
    /// The RECORD; endpoint, ttl, seq and visibility are in it.
    pub record: ByteBuf,
    /// `record_sig`, under `rdv-record`.
    pub signature: Signature,
    /// Under `rdv-proof`, for this connection alone.
    pub proof: Signature,
}

impl std::fmt::Debug for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (identity, record) = (self.identity.len(), self.record.len());
        write!(f, "Register({identity} B, {record} B)")
    }
}

/// 0202 REGISTER_RESPONSE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterResponse {
    /// Whether it is registered, and would survive a loss of power.
    pub success: bool,
    /// Until when.
    pub expires_at: UnixMillis,
    /// After how many seconds it had better be renewed.
    pub renewal_interval: u32,
    /// For people, at most 128 bytes.
    pub error_message: Option<String>,
    /// Why not: a code of chapter 10.
    pub error: Option<u16>,
}

/// 0203 LOOKUP_REQUEST: of one key, or a page of those who are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// Whose registration.
    pub target_identity: Option<IdentityKey>,
    /// Whether all that are listed.
    pub list_all: bool,
    /// Where the page before ended.
    pub cursor: Option<PageCursor>,
}

/// A registration, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// The document.
    pub identity: ByteBuf,
    /// The RECORD, word for word.
    pub record: ByteBuf,
    /// Its signature.
    pub record_sig: Signature,
    /// When it was last here, rounded down to an hour: a claim, and only of who is listed.
    pub last_seen: Option<UnixMillis>,
    /// Whether it is here: a claim, and only of who is listed.
    pub online: Option<bool>,
}

/// 0204 LOOKUP_RESPONSE.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupResponse {
    /// At most one of a key, at most 20 of a page.
    pub peers: Vec<PeerInfo>,
    /// For people, at most 128 bytes.
    pub error_message: Option<String>,
    /// Where the next page goes on.
    pub next: Option<PageCursor>,
}

/// A SERVER_RECORD, not verified yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedServer {
    /// The signed bytes.
    pub record: ByteBuf,
    /// Under `server-record`.
    pub signature: Signature,
}

impl From<&ServerRecord> for SignedServer {
    fn from(record: &ServerRecord) -> Self {
        Self {
            record: ByteBuf::from(record.as_bytes()),
            signature: *record.signature(),
        }
    }
}

/// 0205 LIST_SERVERS_REQUEST.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListServers {
    /// The asker's own record, if it is a server that wants to be known.
    pub own: Option<SignedServer>,
}

/// 0206 LIST_SERVERS_RESPONSE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Servers {
    /// At most 64.
    pub servers: Vec<SignedServer>,
    /// The server's clock.
    pub timestamp: UnixMillis,
}

/// A message between a client and a rendezvous server, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the names are the specification's; each body says more"
)]
pub enum RendezvousMessage {
    Register(Register),
    RegisterResponse(RegisterResponse),
    Lookup(Lookup),
    LookupResponse(LookupResponse),
    ListServers(ListServers),
    Servers(Servers),
    /// 0207: from which address this connection comes, as the server sees it.
    AddressRequest,
    /// 0208.
    AddressResponse {
        host: String,
    },
    Error(ErrorReply),
}

/// Why a message is not one of this chapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RendezvousDecodeError {
    /// A type that is not known here: to be answered with ERROR, unless it is an answer itself.
    UnknownType,
    /// The body is not exact or too large: the connection is closed with `PROTOCOL_VIOLATION`.
    Malformed,
}

impl std::fmt::Display for RendezvousDecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UnknownType => "a message of a type that is not known here",
            Self::Malformed => "a message whose body is not of its type",
        })
    }
}

impl std::error::Error for RendezvousDecodeError {}

impl RendezvousMessage {
    /// The type on the wire.
    pub const fn msg_type(&self) -> u16 {
        match self {
            Self::Register(_) => 0x0201,
            Self::RegisterResponse(_) => 0x0202,
            Self::Lookup(_) => 0x0203,
            Self::LookupResponse(_) => 0x0204,
            Self::ListServers(_) => 0x0205,
            Self::Servers(_) => 0x0206,
            Self::AddressRequest => 0x0207,
            Self::AddressResponse { .. } => 0x0208,
            Self::Error(_) => 0x00FF,
        }
    }

    /// The message to send, under this request id.
    pub fn to_message(&self, req_id: u32) -> Message {
        let body = match self {
            Self::Register(body) => encode(body),
            Self::RegisterResponse(body) => encode(body),
            Self::Lookup(body) => encode(body),
            Self::LookupResponse(body) => encode(body),
            Self::ListServers(body) => encode(body),
            Self::Servers(body) => encode(body),
            Self::AddressRequest => encode::<[u8; 0]>(&[]),
            Self::AddressResponse { host } => encode(&(host,)),
            Self::Error(body) => encode(body),
        };
        Message {
            msg_type: self.msg_type(),
            req_id,
            body,
        }
    }

    /// Decodes the body by the type, within the bounds of the chapter.
    ///
    /// # Errors
    /// [`RendezvousDecodeError`].
    pub fn decode(message: &Message) -> Result<Self, RendezvousDecodeError> {
        let body = message.body.as_slice();
        let decoded = match message.msg_type {
            0x0201 => Self::Register(exact(body, MAX_RDV_REQUEST)?),
            0x0202 => Self::RegisterResponse(exact(body, MAX_ERROR_TEXT + 32)?),
            0x0203 => Self::Lookup(exact(body, 96)?),
            0x0204 => Self::LookupResponse(exact(body, MAX_RDV_RESPONSE)?),
            0x0205 => Self::ListServers(exact(body, MAX_SERVER_RECORD + 96)?),
            0x0206 => Self::Servers(exact(body, MAX_RDV_RESPONSE)?),
            0x0207 => exact::<[u8; 0]>(body, 1).map(|_| Self::AddressRequest)?,
            0x0208 => Self::AddressResponse {
                host: one(body, MAX_HOST + 8)?,
            },
            0x00FF => Self::Error(exact(body, MAX_ERROR_TEXT + 16)?),
            _ => return Err(RendezvousDecodeError::UnknownType),
        };
        match decoded.is_within_bounds() {
            true => Ok(decoded),
            false => Err(RendezvousDecodeError::Malformed),
        }
    }

    fn is_within_bounds(&self) -> bool {
        match self {
            Self::Register(body) => fits(&body.identity, &body.record),
            Self::RegisterResponse(body) => body.is_one_of_both(),
            Self::Lookup(body) => match (body.target_identity, body.list_all) {
                (Some(_), false) => body.cursor.is_none(),
                (None, true) => true,
                _ => false,
            },
            Self::LookupResponse(body) => {
                body.peers.len() <= MAX_PAGE
                    && body.peers.iter().all(|p| fits(&p.identity, &p.record))
                    && is_short(body.error_message.as_ref())
            }
            Self::ListServers(body) => body.own.as_ref().is_none_or(SignedServer::fits),
            Self::Servers(body) => {
                body.servers.len() <= MAX_CANDIDATES && body.servers.iter().all(SignedServer::fits)
            }
            Self::AddressRequest => true,
            // an address, not a name
            Self::AddressResponse { host } => {
                Endpoint::new(host, 1).is_ok_and(|endpoint| endpoint.ip().is_some())
            }
            Self::Error(body) => body.text.len() <= MAX_ERROR_TEXT,
        }
    }
}

fn exact<T: DeserializeOwned + Serialize>(
    body: &[u8],
    max: usize,
) -> Result<T, RendezvousDecodeError> {
    decode_exact(body, max).map_err(|_| RendezvousDecodeError::Malformed)
}

fn one<T: DeserializeOwned + Serialize>(
    body: &[u8],
    max: usize,
) -> Result<T, RendezvousDecodeError> {
    exact::<(T,)>(body, max).map(|(value,)| value)
}

fn fits(identity: &ByteBuf, record: &ByteBuf) -> bool {
    identity.len() <= MAX_IDENTITY && record.len() <= MAX_RECORD
}

fn is_short(text: Option<&String>) -> bool {
    text.is_none_or(|text| text.len() <= MAX_ERROR_TEXT)
}

impl SignedServer {
    fn fits(&self) -> bool {
        self.record.len() <= MAX_SERVER_RECORD
    }
}

impl RegisterResponse {
    /// The answer to a registration that is kept.
    pub fn registered(record: &Record) -> Self {
        let half = record.ttl().as_secs() / 2;
        Self {
            success: true,
            expires_at: record.expires(),
            renewal_interval: u32::try_from(half).unwrap_or(u32::MAX),
            error_message: None,
            error: None,
        }
    }

    /// The answer to one that is refused.
    pub fn refused(code: ErrorCode, text: &str) -> Self {
        Self {
            success: false,
            expires_at: UnixMillis::ZERO,
            renewal_interval: 0,
            error_message: (!text.is_empty()).then(|| text.to_owned()),
            error: Some(code.to_u16()),
        }
    }

    /// Whether it says yes with a time, or no with a code and none.
    fn is_one_of_both(&self) -> bool {
        let nothing = self.expires_at == UnixMillis::ZERO && self.renewal_interval == 0;
        let whole = match (self.success, self.error) {
            (true, None) => self.error_message.is_none(),
            (false, Some(_)) => nothing,
            _ => false,
        };
        whole && is_short(self.error_message.as_ref())
    }
}
