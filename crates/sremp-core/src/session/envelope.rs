//! ENVELOPE: the one form in which messages leave a device, on every path (D3.5, D3.18).
//!
//! ```text
//! 0 ver=01 · 1 hpke_suite=01 · 2 env_key_id u32 · 6 enc[32] · 38 ct ‖ tag
//! plaintext: 0 session_id[16] · 16 len u16 · 18 DR_* · zero padding
//! ```
//! HPKE (RFC 9180, Base mode) hides ratchet headers, session ids and the initiator from relays. It
//! authenticates nobody: that is the ratchet's alone.

use hpke::{
    Deserializable as _, OpModeR, OpModeS, Serializable as _, aead::AeadTag,
    aead::ChaCha20Poly1305, inout::InOutBuf, kdf::HkdfSha256,
};
use rand_core::CryptoRng;

use crate::{
    constants::{DHLEN, ENVELOPE_BUCKETS, TAG_LEN},
    id::{ContactId, SessionId},
    session::{
        dhkem::Dhkem,
        header::Message,
        prekey::{EnvelopeKey, PrekeyId, PublicEnvelopeKey},
    },
};

const VERSION: u8 = 1;
/// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305.
const HPKE_SUITE: u8 = 1;
/// `ver ‖ hpke_suite ‖ env_key_id`: the additional data.
const AAD_LEN: usize = 6;
const HEADER_LEN: usize = AAD_LEN + DHLEN;
/// `session_id ‖ len`.
const PREFIX_LEN: usize = SessionId::LEN + 2;

/// The message does not fit the largest envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl std::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the message is larger than the largest envelope")
    }
}

impl std::error::Error for TooLarge {}

/// Why an envelope was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvelopeError {
    /// Its length is none of the seven sizes.
    Size,
    /// Its version or suite is not known here.
    Unsupported,
    /// It names a key that is not the one at hand, or none.
    Key,
    /// It was not sealed to this key, or was changed.
    Open,
    /// What was sealed is not of the right form, or its padding is not zero.
    Malformed,
}

impl std::fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Size => "the envelope is of no allowed size",
            Self::Unsupported => "the envelope is of an unknown version",
            Self::Key => "the envelope names a key that is not here",
            Self::Open => "the envelope cannot be opened",
            Self::Malformed => "the envelope's content is malformed",
        })
    }
}

impl std::error::Error for EnvelopeError {}

fn info(recipient: &ContactId) -> [u8; 44] {
    let mut info = *b"SREMP/1/env\0................................";
    if let Some(id) = info.last_chunk_mut() {
        *id = *recipient.as_bytes();
    }
    info
}

/// Seals a ratchet message to the owner of `key`. The result is as long as the smallest of
/// [`ENVELOPE_BUCKETS`] that holds it. Draws 32 bytes.
///
/// # Errors
/// [`TooLarge`] if no size holds it.
pub fn seal<R: CryptoRng + ?Sized>(
    key: &PublicEnvelopeKey,
    session_id: &SessionId,
    ratchet_message: &[u8],
    rng: &mut R,
) -> Result<Vec<u8>, TooLarge> {
    let len = u16::try_from(ratchet_message.len()).map_err(|_| TooLarge)?;
    let used = HEADER_LEN + PREFIX_LEN + ratchet_message.len() + TAG_LEN;
    let bucket = ENVELOPE_BUCKETS
        .into_iter()
        .find(|bucket| used <= *bucket)
        .ok_or(TooLarge)?;

    let mut envelope = Vec::with_capacity(bucket);
    envelope.extend_from_slice(&[VERSION, HPKE_SUITE]);
    envelope.extend_from_slice(&key.id().get().to_le_bytes());
    envelope.extend_from_slice(&[0; DHLEN]);
    envelope.extend_from_slice(session_id.as_bytes());
    envelope.extend_from_slice(&len.to_le_bytes());
    envelope.extend_from_slice(ratchet_message);
    envelope.resize(bucket - TAG_LEN, 0);

    let (header, plaintext) = envelope
        .split_first_chunk_mut::<HEADER_LEN>()
        .ok_or(TooLarge)?;
    let (aad, enc) = header.split_at_mut(AAD_LEN);
    // A verified envelope key is of 32 bytes and not of small order, so neither step fails.
    let public = <Dhkem as hpke::Kem>::PublicKey::from_bytes(key.public().as_bytes())
        .map_err(|_| TooLarge)?;
    let (encapsulated, tag) =
        hpke::single_shot_seal_inout_detached_with_rng::<ChaCha20Poly1305, HkdfSha256, Dhkem>(
            &OpModeS::Base,
            &public,
            &info(key.owner()),
            InOutBuf::from(plaintext),
            aad,
            &mut &mut *rng,
        )
        .map_err(|_| TooLarge)?;
    enc.copy_from_slice(&encapsulated.to_bytes());
    envelope.extend_from_slice(&tag.to_bytes());
    Ok(envelope)
}

/// `env_key_id` of an envelope, after a check of its size, version and suite.
///
/// # Errors
/// [`EnvelopeError::Size`], [`EnvelopeError::Unsupported`] or [`EnvelopeError::Key`].
pub fn key_id(envelope: &[u8]) -> Result<PrekeyId, EnvelopeError> {
    if !ENVELOPE_BUCKETS.contains(&envelope.len()) {
        return Err(EnvelopeError::Size);
    }
    match envelope {
        [VERSION, HPKE_SUITE, a, b, c, d, ..] => {
            PrekeyId::new(u32::from_le_bytes([*a, *b, *c, *d])).ok_or(EnvelopeError::Key)
        }
        _ => Err(EnvelopeError::Unsupported),
    }
}

/// Opens an envelope sealed to `key`. Nothing in it is authentic yet.
///
/// # Errors
/// [`EnvelopeError`]; the caller drops the envelope without an answer.
pub fn open(key: &EnvelopeKey, envelope: &[u8]) -> Result<EnvelopePlaintext, EnvelopeError> {
    if key_id(envelope)? != key.id() {
        return Err(EnvelopeError::Key);
    }
    let (aad, rest) = envelope
        .split_first_chunk::<AAD_LEN>()
        .ok_or(EnvelopeError::Size)?;
    let (enc, rest) = rest
        .split_first_chunk::<DHLEN>()
        .ok_or(EnvelopeError::Size)?;
    let (ciphertext, tag) = rest
        .split_last_chunk::<TAG_LEN>()
        .ok_or(EnvelopeError::Size)?;

    let bad = |_| EnvelopeError::Open;
    let enc = <Dhkem as hpke::Kem>::EncappedKey::from_bytes(enc).map_err(bad)?;
    let tag = AeadTag::<ChaCha20Poly1305>::from_bytes(tag).map_err(bad)?;
    let mut plaintext = ciphertext.to_vec();
    hpke::single_shot_open_inout_detached::<ChaCha20Poly1305, HkdfSha256, Dhkem>(
        &OpModeR::Base,
        &(&key.key).into(),
        &enc,
        &info(key.public_part().owner()),
        InOutBuf::from(plaintext.as_mut_slice()),
        aad,
        &tag,
    )
    .map_err(bad)?;
    EnvelopePlaintext::parse(plaintext)
}

/// What was in an envelope: a session id and a ratchet message, both claims.
pub struct EnvelopePlaintext {
    session_id: SessionId,
    message: Vec<u8>,
}

/// What a first message (DR_INIT) says about itself; nothing of it is authentic before
/// [`SessionBook::decrypt`](super::book::SessionBook::decrypt).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitClaim {
    /// `id_A`: whose session book decides.
    pub initiator: ContactId,
    /// The signed prekey that it needs.
    pub signed_prekey: PrekeyId,
    /// The one-time prekey that it needs, if any.
    pub one_time_prekey: Option<PrekeyId>,
}

impl EnvelopePlaintext {
    /// The claims of a message that came without an envelope.
    pub const fn new(session_id: SessionId, message: Vec<u8>) -> Self {
        Self {
            session_id,
            message,
        }
    }

    fn parse(plaintext: Vec<u8>) -> Result<Self, EnvelopeError> {
        let split = |bytes: &[u8]| {
            let (session_id, rest) = bytes.split_first_chunk::<{ SessionId::LEN }>()?;
            let (len, rest) = rest.split_first_chunk::<2>()?;
            let (_, padding) = rest.split_at_checked(u16::from_le_bytes(*len).into())?;
            let zero = padding.iter().all(|byte| *byte == 0);
            zero.then(|| (SessionId::new(*session_id), rest.len() - padding.len()))
        };
        let (session_id, len) = split(&plaintext).ok_or(EnvelopeError::Malformed)?;
        let mut message = plaintext;
        message.drain(..PREFIX_LEN);
        message.truncate(len);
        Ok(Self {
            session_id,
            message,
        })
    }

    /// The session that the message claims to belong to.
    pub const fn session_id(&self) -> SessionId {
        self.session_id
    }

    /// The ratchet message, DR_NORMAL or DR_INIT.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// What a well-formed DR_INIT says about itself; `None` for any other message.
    pub fn init(&self) -> Option<InitClaim> {
        match Message::parse(&self.message) {
            Ok(Message::Init(init)) => Some(InitClaim {
                initiator: init.id_a,
                signed_prekey: init.spk_id,
                one_time_prekey: init.otp_id,
            }),
            _ => None,
        }
    }

    /// Who the initiator of a DR_INIT claims to be; `None` for any other message.
    pub fn initiator(&self) -> Option<ContactId> {
        self.init().map(|claim| claim.initiator)
    }
}

impl std::fmt::Debug for EnvelopePlaintext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EnvelopePlaintext({:?}, …)", self.session_id)
    }
}
