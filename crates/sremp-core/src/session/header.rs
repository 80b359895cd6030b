//! DR_NORMAL and DR_INIT: the layouts of D3.5, little-endian, read without copying.

use crate::{
    constants::{DEVICE_ID, SUITE, TAG_LEN},
    id::ContactId,
    session::{
        DecryptError,
        kem::{KEM_CT_LEN, KemCiphertext},
        key::{DhPublicKey, EphemeralPublicKey, RatchetPublicKey},
        prekey::{PrekeyId, wire::SignedDh},
    },
    signature::Signature,
    time::UnixMillis,
};

const KIND_NORMAL: u8 = 1;
const KIND_INIT: u8 = 2;

/// Length of the header of a DR_NORMAL without extension, the only one in suite 01.
pub(crate) const NORMAL_LEN: usize = 108;
/// Length of the header of a DR_INIT, which a DR_NORMAL follows.
pub(crate) const INIT_LEN: usize = 190 + KEM_CT_LEN;

/// The header of a first message, repeated until the session is confirmed.
pub(crate) type InitHeader = [u8; INIT_LEN];

/// A received ratchet message: DR_NORMAL, or the DR_NORMAL inside a DR_INIT.
#[derive(Clone, Copy)]
pub(crate) struct RatchetMessage<'a> {
    pub(crate) dh_pub: RatchetPublicKey,
    pub(crate) key_sig: Signature,
    pub(crate) pn: u32,
    pub(crate) n: u32,
    /// Every byte in front of the ciphertext, `[INIT header] ‖ ratchet header`: the AEAD binds it.
    pub(crate) associated: &'a [u8],
    /// Ciphertext and tag.
    pub(crate) ciphertext: &'a [u8],
}

/// A received DR_INIT.
pub(crate) struct InitMessage<'a> {
    pub(crate) id_a: ContactId,
    pub(crate) dhk_a: SignedDh,
    pub(crate) ek: EphemeralPublicKey,
    pub(crate) spk_id: PrekeyId,
    pub(crate) otp_id: Option<PrekeyId>,
    pub(crate) kem_ct: &'a KemCiphertext,
    pub(crate) message: RatchetMessage<'a>,
}

/// What an envelope carries.
pub(crate) enum Message<'a> {
    Normal(RatchetMessage<'a>),
    Init(Box<InitMessage<'a>>),
}

impl<'a> Message<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, DecryptError> {
        match bytes.first() {
            Some(&KIND_NORMAL) => parse_normal(bytes, 0).map(Self::Normal),
            Some(&KIND_INIT) => parse_init(bytes).map(|m| Self::Init(Box::new(m))),
            _ => Err(DecryptError::Decrypt),
        }
    }
}

/// Reads fields off the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], DecryptError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(DecryptError::Decrypt)?;
        self.0 = rest;
        Ok(head)
    }

    fn u8(&mut self) -> Result<u8, DecryptError> {
        self.array::<1>().map(|[byte]| *byte)
    }

    fn u16(&mut self) -> Result<u16, DecryptError> {
        self.array().map(|b| u16::from_le_bytes(*b))
    }

    fn u32(&mut self) -> Result<u32, DecryptError> {
        self.array().map(|b| u32::from_le_bytes(*b))
    }

    fn time(&mut self) -> Result<UnixMillis, DecryptError> {
        let millis = u64::from_le_bytes(*self.array()?);
        UnixMillis::new(millis).ok_or(DecryptError::Decrypt)
    }

    /// The kind byte and the suite in front of both layouts.
    fn start(&mut self, kind: u8) -> Result<(), DecryptError> {
        if self.u8()? != kind {
            return Err(DecryptError::Decrypt);
        }
        if self.u8()? != SUITE {
            return Err(DecryptError::Suite);
        }
        Ok(())
    }
}

/// Parses the DR_NORMAL that starts at `offset` of a message.
fn parse_normal(message: &[u8], offset: usize) -> Result<RatchetMessage<'_>, DecryptError> {
    let (_, normal) = message
        .split_at_checked(offset)
        .ok_or(DecryptError::Decrypt)?;
    let mut fields = Fields(normal);
    fields.start(KIND_NORMAL)?;
    let dh_pub = RatchetPublicKey::new(*fields.array()?);
    let key_sig = Signature::new(*fields.array()?);
    let pn = fields.u32()?;
    let n = fields.u32()?;
    // suite 01 has no extension
    if fields.u16()? != 0 {
        return Err(DecryptError::Decrypt);
    }
    let ciphertext = fields.0;
    if ciphertext.len() < TAG_LEN {
        return Err(DecryptError::Decrypt);
    }
    let associated = message
        .get(..offset + NORMAL_LEN)
        .ok_or(DecryptError::Decrypt)?;
    Ok(RatchetMessage {
        dh_pub,
        key_sig,
        pn,
        n,
        associated,
        ciphertext,
    })
}

fn parse_init(bytes: &[u8]) -> Result<InitMessage<'_>, DecryptError> {
    let mut fields = Fields(bytes);
    fields.start(KIND_INIT)?;
    if fields.u32()? != DEVICE_ID {
        return Err(DecryptError::Decrypt);
    }
    let id_a = ContactId::parse(fields.array()?).map_err(|_| DecryptError::Decrypt)?;
    let dhk_a = SignedDh {
        public: DhPublicKey::new(*fields.array()?),
        created: fields.time()?,
        expires: fields.time()?,
        signature: Signature::new(*fields.array()?),
    };
    let ek = EphemeralPublicKey::new(*fields.array()?);
    let spk_id = PrekeyId::new(fields.u32()?).ok_or(DecryptError::Decrypt)?;
    let otp_id = PrekeyId::new(fields.u32()?);
    let kem_ct = fields.array()?;
    Ok(InitMessage {
        id_a,
        dhk_a,
        ek,
        spk_id,
        otp_id,
        kem_ct,
        message: parse_normal(bytes, INIT_LEN)?,
    })
}

/// The fields of a DR_INIT header to be written.
pub(crate) struct NewInit<'a> {
    pub(crate) id_a: &'a ContactId,
    pub(crate) dhk_a: &'a SignedDh,
    pub(crate) ek: EphemeralPublicKey,
    pub(crate) spk_id: PrekeyId,
    pub(crate) otp_id: Option<PrekeyId>,
    pub(crate) kem_ct: &'a KemCiphertext,
}

impl NewInit<'_> {
    pub(crate) fn encode(&self) -> Box<InitHeader> {
        let bytes = [
            [KIND_INIT, SUITE].as_slice(),
            &DEVICE_ID.to_le_bytes(),
            self.id_a.as_bytes(),
            self.dhk_a.public.as_bytes(),
            &self.dhk_a.created.get().to_le_bytes(),
            &self.dhk_a.expires.get().to_le_bytes(),
            self.dhk_a.signature.as_bytes(),
            self.ek.as_bytes(),
            &self.spk_id.get().to_le_bytes(),
            &self
                .otp_id
                .map_or(PrekeyId::NONE, PrekeyId::get)
                .to_le_bytes(),
            self.kem_ct,
        ]
        .concat();
        let mut header = Box::new([0; INIT_LEN]);
        header.copy_from_slice(&bytes);
        header
    }
}

/// The header of a DR_NORMAL.
pub(crate) fn encode_normal(
    dh_pub: &RatchetPublicKey,
    key_sig: &Signature,
    pn: u32,
    n: u32,
    message: &mut Vec<u8>,
) {
    message.extend_from_slice(&[KIND_NORMAL, SUITE]);
    message.extend_from_slice(dh_pub.as_bytes());
    message.extend_from_slice(key_sig.as_bytes());
    message.extend_from_slice(&pn.to_le_bytes());
    message.extend_from_slice(&n.to_le_bytes());
    message.extend_from_slice(&0u16.to_le_bytes());
}
