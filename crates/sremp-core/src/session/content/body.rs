//! The bodies of contents, a struct or a variant each.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::ContentError;
use crate::{
    constants::{MAX_ENDPOINTS, MAX_IDENTITY, MAX_REACTION, MAX_RELAY_HINTS, MAX_REQUEST_TEXT},
    contact_card::{Endpoint, RelayHint},
    id::MsgId,
    identity::{Identity, IdentityError},
    session::prekey::UnverifiedEnvelopeKey,
};

/// An encoded `Identity` that somebody claims; nothing of it counts before
/// [`UnverifiedIdentity::verify`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnverifiedIdentity(ByteBuf);

impl UnverifiedIdentity {
    /// Verifies it.
    ///
    /// # Errors
    /// [`IdentityError`] names the first check that failed.
    pub fn verify(&self) -> Result<Identity, IdentityError> {
        Identity::verify(&self.0)
    }
}

impl From<&Identity> for UnverifiedIdentity {
    fn from(identity: &Identity) -> Self {
        Self(ByteBuf::from(identity.as_bytes()))
    }
}

/// Why a session is started anew: a `u8`. A number that is not known here still resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResetReason(u8);

impl ResetReason {
    /// Envelopes of a known session could not be decrypted.
    pub const DESYNC: Self = Self(1);
    /// The sender's profile was restored from a backup.
    pub const RESTORED: Self = Self(2);

    /// The reason with this number.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// Body of CONTACT_REQUEST: `[identity bin, relay_hints, text, env, endpoints]`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactRequest {
    /// Who asks; has to be the initiator of the session.
    pub identity: UnverifiedIdentity,
    /// The relays of whoever asks, at most three.
    pub relay_hints: Vec<RelayHint>,
    /// The first text, at most 4 KiB.
    pub text: String,
    /// Where the answer is sealed to.
    pub env: UnverifiedEnvelopeKey,
    /// Where whoever asks can be dialled, at most four.
    pub endpoints: Vec<Endpoint>,
}

/// Body of PROFILE_UPDATE and CONTACT_ACCEPT:
/// `[rev u64, identity, relay_hints, env, endpoints: each Optional]`. What is nil stays as it was.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileUpdate {
    /// Highest wins; the author's own count.
    pub rev: u64,
    /// A newer identity.
    pub identity: Option<UnverifiedIdentity>,
    /// The relays from now on, at most three.
    pub relay_hints: Option<Vec<RelayHint>>,
    /// The envelope key from now on.
    pub env: Option<UnverifiedEnvelopeKey>,
    /// The addresses from now on, at most four.
    pub endpoints: Option<Vec<Endpoint>>,
}

/// What is said.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// 01: a message.
    Text(String),
    /// 04: something about its author changed. Control.
    ProfileUpdate(ProfileUpdate),
    /// 05: the session was started anew. Control.
    Reset {
        /// Why.
        reason: ResetReason,
        /// The highest `seq` that was received, 0 for none.
        last_seq: u64,
    },
    /// 06: a stranger's first message.
    ContactRequest(ContactRequest),
    /// 07: the first answer to a request.
    ContactAccept(ProfileUpdate),
    /// 0A: another text for one's own message.
    Edit {
        /// Which.
        msg_id: MsgId,
        /// The text from now on.
        text: String,
    },
    /// 0B: takes one's own message back.
    Delete {
        /// Which.
        msg_id: MsgId,
    },
    /// 0C: a message that answers another.
    Reply {
        /// Which.
        msg_id: MsgId,
        /// The answer.
        text: String,
    },
    /// 0D: a reaction to a message; an empty one takes the earlier back.
    Reaction {
        /// Which.
        msg_id: MsgId,
        /// At most 32 bytes.
        reaction: String,
    },
    /// 0E: messages of this conversation disappear after this time; 0 for never.
    Timer {
        /// How long, in seconds.
        seconds: u32,
    },
    /// Any other type, reserved ones included (02 FILE_REF, 03 RECEIPT, 08 PUNCH, 09 GROUP): "needs
    /// a newer version". The body was not kept.
    Unknown(u8),
}

impl Body {
    pub(super) const TEXT: u8 = 0x01;
    pub(super) const PROFILE_UPDATE: u8 = 0x04;
    pub(super) const RESET: u8 = 0x05;
    pub(super) const CONTACT_REQUEST: u8 = 0x06;
    pub(super) const CONTACT_ACCEPT: u8 = 0x07;
    pub(super) const EDIT: u8 = 0x0A;
    pub(super) const DELETE: u8 = 0x0B;
    pub(super) const REPLY: u8 = 0x0C;
    pub(super) const REACTION: u8 = 0x0D;
    pub(super) const TIMER: u8 = 0x0E;

    /// The type's number.
    pub const fn content_type(&self) -> u8 {
        match self {
            Self::Text(_) => Self::TEXT,
            Self::ProfileUpdate(_) => Self::PROFILE_UPDATE,
            Self::Reset { .. } => Self::RESET,
            Self::ContactRequest(_) => Self::CONTACT_REQUEST,
            Self::ContactAccept(_) => Self::CONTACT_ACCEPT,
            Self::Edit { .. } => Self::EDIT,
            Self::Delete { .. } => Self::DELETE,
            Self::Reply { .. } => Self::REPLY,
            Self::Reaction { .. } => Self::REACTION,
            Self::Timer { .. } => Self::TIMER,
            Self::Unknown(content_type) => *content_type,
        }
    }

    pub(super) fn check(&self) -> Result<(), ContentError> {
        let within = match self {
            Self::ProfileUpdate(update) | Self::ContactAccept(update) => update.within_limits(),
            Self::ContactRequest(request) => request.within_limits(),
            Self::Reaction { reaction, .. } => reaction.len() <= MAX_REACTION,
            _ => true,
        };
        within.then_some(()).ok_or(ContentError::Limit)
    }
}

impl ContactRequest {
    fn within_limits(&self) -> bool {
        self.identity.0.len() <= MAX_IDENTITY
            && self.relay_hints.len() <= MAX_RELAY_HINTS
            && self.text.len() <= MAX_REQUEST_TEXT
            && self.endpoints.len() <= MAX_ENDPOINTS
    }
}

impl ProfileUpdate {
    fn within_limits(&self) -> bool {
        let identity = self.identity.as_ref().map_or(0, |i| i.0.len());
        identity <= MAX_IDENTITY
            && self.relay_hints.as_ref().map_or(0, Vec::len) <= MAX_RELAY_HINTS
            && self.endpoints.as_ref().map_or(0, Vec::len) <= MAX_ENDPOINTS
    }
}

/// Says what kind of content it is, never what it says.
impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "TEXT",
            Self::ProfileUpdate(_) => "PROFILE_UPDATE",
            Self::Reset { .. } => "RESET",
            Self::ContactRequest(_) => "CONTACT_REQUEST",
            Self::ContactAccept(_) => "CONTACT_ACCEPT",
            Self::Edit { .. } => "EDIT",
            Self::Delete { .. } => "DELETE",
            Self::Reply { .. } => "REPLY",
            Self::Reaction { .. } => "REACTION",
            Self::Timer { .. } => "TIMER",
            Self::Unknown(content_type) => return write!(f, "type {content_type:02X}"),
        })
    }
}
