//! The contact card (chapter 8): what somebody hands out so that others can reach them.
//!
//! ```text
//! 0   ver = 01
//! 1   flags            bit 0 intro token, bit 1 one-time, bit 2 endpoints may be dialled
//! 2   identity_key     32
//! 34  identity_version u64 LE
//! 42  expires          u64 LE, ms, 0 = none
//! 50  intro_token      16, zero without bit 0
//! 66  TLVs             t u8 ‖ len u8 ‖ value, ascending by t
//! …   signature        64, label `card`, over everything before it
//! ```
//!
//! | t | value | at most |
//! |---|---|---|
//! | 01 relay | key 32 ‖ port u16 LE ‖ host | 3 |
//! | 02 rendezvous | port u16 LE ‖ host | 3 |
//! | 03 endpoint | port u16 LE ‖ host | 4 |
//! | 04 username hint | UTF-8 | 1 |
//!
//! An unknown t below 128 is ignored but stays signed; from 128 on the card is refused.

mod endpoint;
mod layout;
mod relay_link;
mod text_form;

pub use endpoint::{Endpoint, EndpointError, RelayHint};
pub use relay_link::{RelayLink, RelayLinkError};

use crate::{
    constants::{
        MAX_CARD, MAX_ENDPOINTS, MAX_IDENTITY_VERSION, MAX_RELAY_HINTS, MAX_RENDEZVOUS_HINTS,
    },
    id::{ContactId, IntroToken},
    identity::{SecretIdentity, Username},
    signature::{Signature, SignatureLabel},
    time::UnixMillis,
};

/// Why a text or bytes are no card that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardError {
    /// No card at all, or not a whole one, or one that breaks a rule of the form.
    Malformed,
    /// The signature does not hold: damaged or changed on the way.
    Altered,
    /// Expired at this time.
    Expired {
        /// When it ceased to hold.
        at: UnixMillis,
    },
    /// Of a newer version, or with a part that may not be ignored.
    Unsupported,
    /// More than 512 bytes.
    TooLong,
}

impl std::fmt::Display for CardError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "this is not a complete contact card",
            Self::Altered => "the contact card was damaged or changed on the way",
            Self::Expired { .. } => "the contact card has expired",
            Self::Unsupported => "the contact card needs a newer version of this program",
            Self::TooLong => "the contact card is longer than 512 bytes",
        })
    }
}

impl std::error::Error for CardError {}

/// What lets a stranger past a contacts-only policy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Intro {
    /// The token to present.
    pub token: IntroToken,
    /// Whether the first stored request burns it.
    pub one_time: bool,
}

impl std::fmt::Debug for Intro {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intro")
            .field("one_time", &self.one_time)
            .finish_non_exhaustive()
    }
}

/// What a card says beside whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardContent {
    /// When the card ceases to hold; `None` for never.
    pub expires: Option<UnixMillis>,
    /// The token for strangers.
    pub intro: Option<Intro>,
    /// At most three, in order of preference: `priority` is not written and reads as the position.
    pub relays: Vec<RelayHint>,
    /// At most three rendezvous servers.
    pub rendezvous: Vec<Endpoint>,
    /// At most four addresses of the owner.
    pub endpoints: Vec<Endpoint>,
    /// Whether the reader may dial `endpoints` before being accepted.
    pub dial: bool,
    /// What the owner wants to be called: a claim.
    pub username: Option<Username>,
}

/// A card whose signature holds, with the exact bytes that were signed.
///
/// It proves that its key made it, not who showed it.
#[derive(Clone, PartialEq, Eq)]
pub struct ContactCard {
    bytes: Vec<u8>,
    id: ContactId,
    identity_version: u64,
    content: CardContent,
}

impl ContactCard {
    /// Makes a card of one's own identity.
    ///
    /// # Errors
    /// [`CardError::TooLong`] beyond 512 bytes, [`CardError::Malformed`] when a count is exceeded or
    /// flags contradict the rest (`one_time` is part of [`Intro`]; `dial` needs an endpoint).
    pub fn issue(identity: &SecretIdentity, content: CardContent) -> Result<Self, CardError> {
        check(&content)?;
        let id = identity.id();
        let identity_version = identity.identity().version();
        let mut bytes = layout::write(&id, identity_version, &content)?;
        let signature = identity.sign(SignatureLabel::Card, &bytes);
        bytes.extend_from_slice(signature.as_bytes());
        if bytes.len() > MAX_CARD {
            return Err(CardError::TooLong);
        }
        let content = layout::number_relays(content);
        Ok(Self {
            bytes,
            id,
            identity_version,
            content,
        })
    }

    /// Verifies the bytes of a card: length, version, key, signature, and only then the fields;
    /// last, whether it holds at this time.
    ///
    /// # Errors
    /// [`CardError`]; [`CardError::Expired`] only for a card that is otherwise good.
    pub fn verify(bytes: &[u8], now: UnixMillis) -> Result<Self, CardError> {
        if bytes.len() > MAX_CARD {
            return Err(CardError::TooLong);
        }
        let (signed, signature) = layout::split(bytes)?;
        // The version decides where the key lies, so it cannot wait for the signature.
        let id = layout::read_key(signed)?;
        Signature::from_slice(signature)
            .and_then(|signature| id.verify(SignatureLabel::Card, signed, &signature).ok())
            .ok_or(CardError::Altered)?;
        let (identity_version, content) = layout::read(signed)?;
        if identity_version == 0 || identity_version > MAX_IDENTITY_VERSION {
            return Err(CardError::Malformed);
        }
        check(&content)?;
        if let Some(at) = content.expires.filter(|at| *at <= now) {
            return Err(CardError::Expired { at });
        }
        Ok(Self {
            bytes: bytes.to_vec(),
            id,
            identity_version,
            content,
        })
    }

    /// Reads and verifies a card as people pass it on: the link `sremp:1#…` (base64url) or the text
    /// of a QR code `SREMP:1/…` (base32, either case). White space is ignored wherever a mail
    /// program or a terminal may have put it.
    ///
    /// # Errors
    /// As [`ContactCard::verify`].
    pub fn parse(text: &str, now: UnixMillis) -> Result<Self, CardError> {
        Self::verify(&text_form::decode(text)?, now)
    }

    /// The link `sremp:1#…`. The card is the fragment, which no browser sends to a server.
    pub fn to_uri(&self) -> String {
        text_form::uri(&self.bytes)
    }

    /// The text of a QR code, all of its alphanumeric alphabet.
    pub fn to_qr_text(&self) -> String {
        text_form::qr(&self.bytes)
    }

    /// The bytes, as they were signed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// `identity_key`: whose card it is.
    pub const fn id(&self) -> ContactId {
        self.id
    }

    /// The version of the identity when the card was made.
    pub const fn identity_version(&self) -> u64 {
        self.identity_version
    }

    /// What else it says.
    pub const fn content(&self) -> &CardContent {
        &self.content
    }

    /// The addresses that may be dialled before the owner has accepted the reader.
    pub fn dialable(&self) -> &[Endpoint] {
        if self.content.dial {
            &self.content.endpoints
        } else {
            &[]
        }
    }
}

/// The token and the addresses stay out of logs.
impl std::fmt::Debug for ContactCard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ContactCard({} v{})",
            self.id.short(),
            self.identity_version
        )
    }
}

/// The rules that hold for a card that is made as for one that is read.
fn check(content: &CardContent) -> Result<(), CardError> {
    let counts = content.relays.len() <= MAX_RELAY_HINTS
        && content.rendezvous.len() <= MAX_RENDEZVOUS_HINTS
        && content.endpoints.len() <= MAX_ENDPOINTS;
    let dial = !content.dial || !content.endpoints.is_empty();
    // zero means "never" on the wire
    let expires = content.expires != Some(UnixMillis::ZERO);
    (counts && dial && expires)
        .then_some(())
        .ok_or(CardError::Malformed)
}
