//! The messages of service 2 (chapter 6). Each struct is an SMP1 array in the order of its fields.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha256};

use super::{Confirmation, Cursor, MessageId, Role};
use crate::{
    channel::{ErrorReply, Message},
    constants::{
        MAX_BATCH_BYTES, MAX_BATCH_ITEMS, MAX_BUNDLE, MAX_CONFIRMATIONS, MAX_CREDIT_BYTES,
        MAX_CREDIT_ITEMS, MAX_DISCARDS, MAX_ENVELOPE, MAX_ERROR_TEXT, MAX_OTP_BYTES, MAX_OTPS_PUT,
        MAX_RECEIPT, MAX_RELAY_INVITE, MAX_SENDERS_SET,
    },
    contact_card::Endpoint,
    error::ErrorCode,
    id::{EnvelopeId, IdentityKey, IntroToken},
    signature::Signature,
    time::UnixMillis,
    wire::{
        bytes::public_bytes,
        codec::{decode_exact, encode},
    },
};

public_bytes! {
    /// `H("SREMP/1/token" ‖ token)`: what a relay knows of an intro token.
    IntroHash, 32
}

impl IntroHash {
    /// The hash of a token.
    pub fn of(token: &IntroToken) -> Self {
        let hash = Sha256::new()
            .chain_update(b"SREMP/1/token")
            .chain_update(token.as_bytes());
        Self::new(hash.finalize().into())
    }
}

/// What a client wishes and a relay grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Largest envelope, bytes.
    pub max_message_size: u32,
    /// Longest storage, seconds.
    pub max_storage_duration: u32,
}

/// 0101 RELAY_REGISTER.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The registering identity; its document came in HELLO.
    pub identity: IdentityKey,
    /// Under `relay-auth`; see [`proof`](super::proof).
    pub auth_signature: Signature,
    /// What is wished.
    pub capabilities: Capabilities,
    /// As what.
    pub role: Role,
    /// What lets a newcomer in, 1 to 64 bytes.
    pub invite: Option<ByteBuf>,
}

impl std::fmt::Debug for Register {
    /// Without the invite: whoever has it gets in.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { identity, role, .. } = self;
        write!(f, "Register({identity:?}, {role:?})")
    }
}

/// 0102 RELAY_GRANTED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// What is granted.
    pub capabilities: Capabilities,
    /// Items of the mailbox.
    pub max_items: u32,
    /// Bytes of the mailbox.
    pub max_bytes: u64,
    /// The relay's clock.
    pub server_time: UnixMillis,
}

/// 0103 PREKEYS_PUT; with nothing in it, it asks for the counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrekeysPut {
    /// The bundle without one-time prekey.
    pub bundle: Option<ByteBuf>,
    /// One-time prekeys as they stand in a bundle, at most 100.
    pub otps: Vec<ByteBuf>,
}

/// 0104 PREKEY_COUNTS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrekeyCounts {
    /// Whether there is a bundle.
    pub has_bundle: bool,
    /// One-time prekeys in stock.
    pub otps: u16,
}

/// 0105 PREKEY_GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrekeyGet {
    /// Whose bundle.
    pub recipient: IdentityKey,
    /// From a card of theirs.
    pub intro: Option<IntroToken>,
}

/// One intro token of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntroEntry {
    /// Its hash.
    pub hash: IntroHash,
    /// Whether the first message that is stored with it burns it.
    pub one_time: bool,
}

/// 0107 SENDERS_SET: who may write beyond the request class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendersSet {
    /// Accepted from now on, at most 64.
    pub accept: Vec<IdentityKey>,
    /// Blocked from now on, at most 64.
    pub block: Vec<IdentityKey>,
    /// All intro tokens that hold, at most 64; nil leaves them as they are.
    pub intro: Option<Vec<IntroEntry>>,
}

/// Another relay: `[key, host, port]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyRelay {
    /// Its identity key.
    pub relay: IdentityKey,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl ReplyRelay {
    /// Where it listens; `None` if host and port are no endpoint.
    pub fn endpoint(&self) -> Option<Endpoint> {
        Endpoint::new(&self.host, self.port).ok()
    }
}

/// 0110 STORE_MESSAGE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreMessage {
    /// Whose mailbox.
    pub recipient: IdentityKey,
    /// The envelope.
    pub encrypted_blob: ByteBuf,
    /// Under `relay-store`.
    pub sender_signature: Signature,
    /// The sender's id for this envelope, random.
    pub message_id: MessageId,
    /// How long to keep it, seconds.
    pub ttl: u32,
    /// Where the confirmation goes, if the sender has its mailbox there.
    pub reply_relay: Option<ReplyRelay>,
    /// From a card of the recipient.
    pub intro: Option<IntroToken>,
}

/// 0111 STORE_RESPONSE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreResponse {
    /// Whether it is stored, and would survive a loss of power.
    pub success: bool,
    /// Since when.
    pub stored_at: UnixMillis,
    /// The sender's id.
    pub message_id: MessageId,
    /// Until when.
    pub expires_at: UnixMillis,
    /// The relay's promise; see [`Receipt`](super::Receipt).
    pub receipt_signature: ByteBuf,
    /// Why not.
    pub error: Option<u16>,
}

/// 0120 SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribe {
    /// The last cursor that was read.
    pub after: Cursor,
    /// Items that may be unsettled, 1 to 256.
    pub credit_items: u16,
    /// Bytes of those.
    pub credit_bytes: u32,
}

/// 0121 STORED_MESSAGE, and an item of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMessage {
    /// The sender's id.
    pub message_id: MessageId,
    /// Who stored it.
    pub sender: IdentityKey,
    /// When.
    pub timestamp: UnixMillis,
    /// The envelope.
    pub encrypted_blob: ByteBuf,
    /// Its place in the mailbox.
    pub cursor: Cursor,
}

/// 0122 RETRIEVE_MESSAGES.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retrieve {
    /// Whose mailbox: one's own.
    pub identity: IdentityKey,
    /// Only items stored at or after this time.
    pub since: Option<UnixMillis>,
    /// Only items after this cursor.
    pub after: Cursor,
    /// At most 100.
    pub max_items: u16,
    /// At most 1 MiB.
    pub max_bytes: u32,
}

/// 0123 MESSAGE_BATCH.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageBatch {
    /// In the order of their cursors.
    pub messages: Vec<StoredMessage>,
    /// Whether the mailbox has more.
    pub has_more: bool,
    /// The `after` of the next request.
    pub next: Cursor,
}

/// A message between a client and a relay, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the names are the specification's; each body says more"
)]
pub enum RelayMessage {
    Register(Register),
    Granted(Granted),
    PrekeysPut(PrekeysPut),
    PrekeyCounts(PrekeyCounts),
    PrekeyGet(PrekeyGet),
    PrekeyBundle(Vec<u8>),
    SendersSet(SendersSet),
    Ok,
    Store(StoreMessage),
    StoreResponse(StoreResponse),
    Subscribe(Subscribe),
    StoredMessage(StoredMessage),
    Retrieve(Retrieve),
    MessageBatch(MessageBatch),
    DeliveryConfirmation(Vec<Confirmation>),
    Confirmed { refused: Vec<u16> },
    ConfirmationPush(Vec<Confirmation>),
    Discard(Vec<Cursor>),
    Superseded,
    Error(ErrorReply),
}

/// Why a message is not one of service 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayDecodeError {
    /// A type that is not known here: to be answered with ERROR, unless it is an answer itself.
    UnknownType,
    /// The body is not exact or too large: the connection is closed with `PROTOCOL_VIOLATION`.
    Malformed,
}

impl std::fmt::Display for RelayDecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UnknownType => "a message of a type that is not known here",
            Self::Malformed => "a message whose body is not of its type",
        })
    }
}

impl std::error::Error for RelayDecodeError {}

/// More than any confirmation takes in a list.
const CONFIRMATION_LEN: usize = 224;

impl RelayMessage {
    /// The type on the wire.
    pub const fn msg_type(&self) -> u16 {
        match self {
            Self::Register(_) => 0x0101,
            Self::Granted(_) => 0x0102,
            Self::PrekeysPut(_) => 0x0103,
            Self::PrekeyCounts(_) => 0x0104,
            Self::PrekeyGet(_) => 0x0105,
            Self::PrekeyBundle(_) => 0x0106,
            Self::SendersSet(_) => 0x0107,
            Self::Ok => 0x0108,
            Self::Store(_) => 0x0110,
            Self::StoreResponse(_) => 0x0111,
            Self::Subscribe(_) => 0x0120,
            Self::StoredMessage(_) => 0x0121,
            Self::Retrieve(_) => 0x0122,
            Self::MessageBatch(_) => 0x0123,
            Self::DeliveryConfirmation(_) => 0x0124,
            Self::Confirmed { .. } => 0x0125,
            Self::ConfirmationPush(_) => 0x0126,
            Self::Discard(_) => 0x0127,
            Self::Superseded => 0x0128,
            Self::Error(_) => 0x00FF,
        }
    }

    /// The message to send, under this request id.
    pub fn to_message(&self, req_id: u32) -> Message {
        let body = match self {
            Self::Register(body) => encode(body),
            Self::Granted(body) => encode(body),
            Self::PrekeysPut(body) => encode(body),
            Self::PrekeyCounts(body) => encode(body),
            Self::PrekeyGet(body) => encode(body),
            Self::PrekeyBundle(bundle) => encode(&(serde_bytes::Bytes::new(bundle),)),
            Self::SendersSet(body) => encode(body),
            Self::Ok | Self::Superseded => encode::<[u8; 0]>(&[]),
            Self::Store(body) => encode(body),
            Self::StoreResponse(body) => encode(body),
            Self::Subscribe(body) => encode(body),
            Self::StoredMessage(body) => encode(body),
            Self::Retrieve(body) => encode(body),
            Self::MessageBatch(body) => encode(body),
            Self::DeliveryConfirmation(list) | Self::ConfirmationPush(list) => encode(&(list,)),
            Self::Confirmed { refused } => encode(&(refused,)),
            Self::Discard(cursors) => encode(&(cursors,)),
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
    /// [`RelayDecodeError`].
    pub fn decode(message: &Message) -> Result<Self, RelayDecodeError> {
        let body = message.body.as_slice();
        let decoded = match message.msg_type {
            0x0101 => Self::Register(exact(body, 256)?),
            0x0102 => Self::Granted(exact(body, 64)?),
            0x0103 => Self::PrekeysPut(exact(body, MAX_BUNDLE + MAX_OTPS_PUT * MAX_OTP_BYTES)?),
            0x0104 => Self::PrekeyCounts(exact(body, 8)?),
            0x0105 => Self::PrekeyGet(exact(body, 64)?),
            0x0106 => Self::PrekeyBundle(one::<ByteBuf>(body, MAX_BUNDLE + 8)?.into_vec()),
            0x0107 => Self::SendersSet(exact(body, 3 * MAX_SENDERS_SET * 40)?),
            0x0108 => exact::<[u8; 0]>(body, 1).map(|_| Self::Ok)?,
            // beyond the largest envelope, so that one that is too large is told so
            0x0110 => Self::Store(exact(body, 2 * MAX_ENVELOPE)?),
            0x0111 => Self::StoreResponse(exact(body, MAX_RECEIPT + 64)?),
            0x0120 => Self::Subscribe(exact(body, 32)?),
            0x0121 => Self::StoredMessage(exact(body, MAX_ENVELOPE + 128)?),
            0x0122 => Self::Retrieve(exact(body, 96)?),
            0x0123 => Self::MessageBatch(exact(body, 2 * MAX_BATCH_BYTES)?),
            0x0124 => Self::DeliveryConfirmation(confirmations(body)?),
            0x0125 => Self::Confirmed {
                refused: one(body, 4 * MAX_CONFIRMATIONS)?,
            },
            0x0126 => Self::ConfirmationPush(confirmations(body)?),
            0x0127 => Self::Discard(one(body, 16 * MAX_DISCARDS)?),
            0x0128 => exact::<[u8; 0]>(body, 1).map(|_| Self::Superseded)?,
            0x00FF => Self::Error(exact(body, MAX_ERROR_TEXT + 16)?),
            _ => return Err(RelayDecodeError::UnknownType),
        };
        match decoded.is_within_bounds() {
            true => Ok(decoded),
            false => Err(RelayDecodeError::Malformed),
        }
    }

    fn is_within_bounds(&self) -> bool {
        match self {
            Self::Register(body) => {
                let fits = |invite: &ByteBuf| (1..=MAX_RELAY_INVITE).contains(&invite.len());
                body.invite.as_ref().is_none_or(fits)
            }
            Self::PrekeysPut(body) => {
                let fits = |otp: &ByteBuf| otp.len() <= MAX_OTP_BYTES;
                body.otps.len() <= MAX_OTPS_PUT
                    && body.otps.iter().all(fits)
                    && body.bundle.as_ref().is_none_or(|b| b.len() <= MAX_BUNDLE)
            }
            Self::SendersSet(body) => {
                let intros = body.intro.as_ref().map_or(0, Vec::len);
                [body.accept.len(), body.block.len(), intros]
                    .iter()
                    .all(|len| *len <= MAX_SENDERS_SET)
            }
            Self::Store(body) => {
                let named = |relay: &ReplyRelay| relay.endpoint().is_some();
                body.ttl > 0 && body.reply_relay.as_ref().is_none_or(named)
            }
            Self::StoreResponse(body) => body.is_one_of_both(),
            Self::Subscribe(body) => {
                (1..=MAX_CREDIT_ITEMS).contains(&body.credit_items)
                    && (1..=MAX_CREDIT_BYTES).contains(&body.credit_bytes)
            }
            Self::Retrieve(body) => {
                let items = (1..=MAX_BATCH_ITEMS).contains(&usize::from(body.max_items));
                let bytes = usize::try_from(body.max_bytes).unwrap_or(usize::MAX);
                items && (1..=MAX_BATCH_BYTES).contains(&bytes)
            }
            Self::MessageBatch(body) => body.messages.len() <= MAX_BATCH_ITEMS,
            Self::DeliveryConfirmation(list) | Self::ConfirmationPush(list) => {
                (1..=MAX_CONFIRMATIONS).contains(&list.len())
            }
            Self::Confirmed { refused } => {
                refused.len() <= MAX_CONFIRMATIONS && refused.is_sorted_by(|a, b| a < b)
            }
            Self::Discard(cursors) => (1..=MAX_DISCARDS).contains(&cursors.len()),
            Self::Error(body) => body.text.len() <= MAX_ERROR_TEXT,
            _ => true,
        }
    }
}

fn exact<T: DeserializeOwned + Serialize>(body: &[u8], max: usize) -> Result<T, RelayDecodeError> {
    decode_exact(body, max).map_err(|_| RelayDecodeError::Malformed)
}

fn one<T: DeserializeOwned + Serialize>(body: &[u8], max: usize) -> Result<T, RelayDecodeError> {
    exact::<(T,)>(body, max).map(|(value,)| value)
}

fn confirmations(body: &[u8]) -> Result<Vec<Confirmation>, RelayDecodeError> {
    one(body, CONFIRMATION_LEN * MAX_CONFIRMATIONS)
}

impl StoreResponse {
    /// The answer to a store that is refused.
    pub fn refused(message_id: MessageId, code: ErrorCode) -> Self {
        Self {
            success: false,
            stored_at: UnixMillis::ZERO,
            message_id,
            expires_at: UnixMillis::ZERO,
            receipt_signature: ByteBuf::new(),
            error: Some(code.to_u16()),
        }
    }

    /// Whether it says yes with a receipt, or no with a code and nothing else.
    fn is_one_of_both(&self) -> bool {
        match (self.success, self.error) {
            (true, None) => true,
            (false, Some(_)) => {
                self.stored_at == UnixMillis::ZERO
                    && self.expires_at == UnixMillis::ZERO
                    && self.receipt_signature.is_empty()
            }
            _ => false,
        }
    }
}

impl StoreMessage {
    /// `H(encrypted_blob)`.
    pub fn hash(&self) -> EnvelopeId {
        EnvelopeId::of(&self.encrypted_blob)
    }
}
