//! RECORD: where somebody is, until when, signed by them and given on word for word (D5.2).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Seq, Visibility};
use crate::{
    constants::{
        CLOCK_SKEW, MAX_ENDPOINTS, MAX_RECORD, MAX_RECORD_TTL, MAX_RELAY_HINTS, MIN_RECORD_TTL,
        RECORD_MEMORY,
    },
    contact_card::{Endpoint, RelayHint},
    id::{ContactId, IdentityKey},
    identity::SecretIdentity,
    signature::{Signature, SignatureLabel},
    time::UnixMillis,
    wire::codec::{decode_exact, encode},
};

/// What a RECORD says, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordDraft {
    /// Newer than every record before.
    pub seq: Seq,
    /// Where its owner can be dialled, at most four, the best first.
    pub endpoints: Vec<Endpoint>,
    /// When it is signed.
    pub issued: UnixMillis,
    /// How long it holds, 60 to 86400 s.
    pub ttl: Duration,
    /// Who may find it.
    pub visibility: Visibility,
    /// Relays with a mailbox of its owner, at most three.
    pub relays: Vec<RelayHint>,
}

/// The array that is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fields {
    identity_key: IdentityKey,
    seq: Seq,
    endpoints: Vec<Endpoint>,
    issued: UnixMillis,
    expires: UnixMillis,
    visibility: Visibility,
    relays: Vec<RelayHint>,
}

/// Why bytes are no RECORD of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Longer than a RECORD may be, or not in its one encoding.
    Encoding,
    /// Not signed by whom it is said to be of.
    Signature,
    /// Of another key, too many places or one twice, or a life that is too short or too long.
    Fields,
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Encoding => "the record is not in its one exact encoding",
            Self::Signature => "the record is not signed by its owner",
            Self::Fields => "the record says what none may say",
        })
    }
}

impl std::error::Error for RecordError {}

/// A RECORD whose signature holds, with the bytes as they came.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    bytes: Vec<u8>,
    signature: Signature,
    owner: ContactId,
    fields: Fields,
}

/// What a directory knows of a record without reading it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) owner: IdentityKey,
    pub(super) seq: Seq,
    pub(super) expires: UnixMillis,
    pub(super) listed: bool,
    pub(super) tombstone: bool,
}

impl Head {
    /// Of a record from one's own disk, whose signature was checked before it was written there.
    pub(super) fn trusted(bytes: &[u8]) -> Option<Self> {
        let fields: Fields = decode_exact(bytes, MAX_RECORD).ok()?;
        Some(Self::of(&fields))
    }

    fn of(fields: &Fields) -> Self {
        let tombstone = fields.is_tombstone();
        Self {
            owner: fields.identity_key,
            seq: fields.seq,
            expires: fields.expires,
            listed: fields.visibility == Visibility::Listed && !tombstone,
            tombstone,
        }
    }
}

impl Record {
    /// Signs a record.
    ///
    /// # Errors
    /// [`RecordError::Fields`] when the draft breaks a rule.
    pub fn sign(own: &SecretIdentity, draft: RecordDraft) -> Result<Self, RecordError> {
        let fields = Fields {
            identity_key: own.id().into(),
            seq: draft.seq,
            endpoints: draft.endpoints,
            issued: draft.issued,
            expires: draft.issued.plus(draft.ttl),
            visibility: draft.visibility,
            relays: draft.relays,
        };
        if !fields.keep_the_rules() {
            return Err(RecordError::Fields);
        }
        let bytes = encode(&fields);
        let signature = own.sign(SignatureLabel::RdvRecord, &bytes);
        Ok(Self {
            bytes,
            signature,
            owner: own.id(),
            fields,
        })
    }

    /// The record of `owner` in these bytes. Size, signature, encoding, fields, in this order.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn verify(
        bytes: &[u8],
        signature: &Signature,
        owner: &ContactId,
    ) -> Result<Self, RecordError> {
        if bytes.len() > MAX_RECORD {
            return Err(RecordError::Encoding);
        }
        owner
            .verify(SignatureLabel::RdvRecord, bytes, signature)
            .map_err(|_| RecordError::Signature)?;
        let fields: Fields = decode_exact(bytes, MAX_RECORD).map_err(|_| RecordError::Encoding)?;
        if fields.identity_key != (*owner).into() || !fields.keep_the_rules() {
            return Err(RecordError::Fields);
        }
        Ok(Self {
            bytes: bytes.to_vec(),
            signature: *signature,
            owner: *owner,
            fields,
        })
    }

    pub(super) fn head(&self) -> Head {
        Head::of(&self.fields)
    }

    /// The bytes that are signed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// `record_sig`.
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// `H(record)`.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// Whose it is.
    pub const fn owner(&self) -> ContactId {
        self.owner
    }

    /// Which of two is newer.
    pub const fn seq(&self) -> Seq {
        self.fields.seq
    }

    /// Where its owner can be dialled: a claim of the owner, to be checked by
    /// [`is_public`](super::address::is_public) after every name lookup.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.fields.endpoints
    }

    /// Relays with a mailbox of its owner.
    pub fn relays(&self) -> &[RelayHint] {
        &self.fields.relays
    }

    /// When it was signed, by its owner's clock.
    pub const fn issued(&self) -> UnixMillis {
        self.fields.issued
    }

    /// Until when it holds.
    pub const fn expires(&self) -> UnixMillis {
        self.fields.expires
    }

    /// How long it holds.
    pub fn ttl(&self) -> Duration {
        self.fields.expires.since(self.fields.issued)
    }

    /// Who may find it.
    pub const fn visibility(&self) -> Visibility {
        self.fields.visibility
    }

    /// Whether its owner has withdrawn: it names no place.
    pub const fn is_tombstone(&self) -> bool {
        self.fields.is_tombstone()
    }

    /// Whether it holds now, by a clock that may be 300 s wrong.
    pub fn holds_at(&self, now: UnixMillis) -> bool {
        let ahead = now.plus(CLOCK_SKEW);
        // a seq ahead of every clock would shut its owner out once the clock is put right
        self.fields.issued <= ahead
            && self.fields.seq.get() <= ahead.get()
            && now <= self.fields.expires.plus(CLOCK_SKEW)
    }

    /// Until when a server remembers that this seq was taken.
    pub fn remembered_until(&self) -> UnixMillis {
        self.fields.expires.plus(RECORD_MEMORY)
    }
}

impl std::fmt::Debug for Record {
    /// Without places: an address tells where somebody is.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seq = self.fields.seq.get();
        write!(f, "Record({} #{seq})", self.owner.short())
    }
}

impl Fields {
    const fn is_tombstone(&self) -> bool {
        self.endpoints.is_empty() && self.relays.is_empty()
    }

    fn keep_the_rules(&self) -> bool {
        let ttl = self.expires.get().checked_sub(self.issued.get());
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let life = millis(MIN_RECORD_TTL)..=millis(MAX_RECORD_TTL);
        let relays: Vec<ContactId> = self.relays.iter().map(|hint| hint.relay).collect();
        self.endpoints.len() <= MAX_ENDPOINTS
            && self.relays.len() <= MAX_RELAY_HINTS
            && each_once(&self.endpoints)
            && each_once(&relays)
            && ttl.is_some_and(|ttl| life.contains(&ttl))
    }
}

fn each_once<T: PartialEq>(list: &[T]) -> bool {
    let mut rest = list.iter();
    while let Some(first) = rest.next() {
        if rest.as_slice().contains(first) {
            return false;
        }
    }
    true
}
