//! SERVER_RECORD: a rendezvous server's word on where it is and by which key (D5.7).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{SpkiHash, record::RecordError};
use crate::{
    constants::{CLOCK_SKEW, MAX_SERVER_RECORD, MAX_SERVER_RECORD_TTL},
    contact_card::Endpoint,
    id::ContactId,
    identity::SecretIdentity,
    signature::{Signature, SignatureLabel},
    time::UnixMillis,
    wire::codec::{decode_exact, encode},
};

/// What a SERVER_RECORD says, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRecordDraft {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// The key of its certificate, for those who cannot check the name in it.
    pub spki: Option<SpkiHash>,
    /// When it is signed.
    pub issued: UnixMillis,
    /// How long it holds, at most 30 days.
    pub ttl: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fields {
    server_key: ContactId,
    host: String,
    port: u16,
    spki: Option<SpkiHash>,
    issued: UnixMillis,
    expires: UnixMillis,
}

/// A SERVER_RECORD whose signature holds, with the bytes as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRecord {
    bytes: Vec<u8>,
    signature: Signature,
    fields: Fields,
    endpoint: Endpoint,
}

impl ServerRecord {
    /// Signs a record of the server with these keys.
    ///
    /// # Errors
    /// [`RecordError::Fields`] when it would hold for longer than 30 days, or not at all.
    pub fn sign(server: &SecretIdentity, draft: ServerRecordDraft) -> Result<Self, RecordError> {
        let fields = Fields {
            server_key: server.id(),
            host: draft.endpoint.host().to_owned(),
            port: draft.endpoint.port(),
            spki: draft.spki,
            issued: draft.issued,
            expires: draft.issued.plus(draft.ttl),
        };
        let bytes = encode(&fields);
        let signature = server.sign(SignatureLabel::ServerRecord, &bytes);
        fields.whole(bytes, signature)
    }

    /// The record in these bytes, by whoever it says to be of.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn verify(bytes: &[u8], signature: &Signature) -> Result<Self, RecordError> {
        let fields: Fields =
            decode_exact(bytes, MAX_SERVER_RECORD).map_err(|_| RecordError::Encoding)?;
        fields
            .server_key
            .verify(SignatureLabel::ServerRecord, bytes, signature)
            .map_err(|_| RecordError::Signature)?;
        fields.whole(bytes.to_vec(), *signature)
    }

    /// The bytes that are signed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their signature.
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Whose it is.
    pub const fn server(&self) -> ContactId {
        self.fields.server_key
    }

    /// Where the server listens: a claim.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The key of its certificate.
    pub const fn spki(&self) -> Option<&SpkiHash> {
        self.fields.spki.as_ref()
    }

    /// When it was signed.
    pub const fn issued(&self) -> UnixMillis {
        self.fields.issued
    }

    /// Until when it holds.
    pub const fn expires(&self) -> UnixMillis {
        self.fields.expires
    }

    /// Whether it holds now, by a clock that may be 300 s wrong.
    pub fn holds_at(&self, now: UnixMillis) -> bool {
        self.fields.issued <= now.plus(CLOCK_SKEW) && now <= self.fields.expires.plus(CLOCK_SKEW)
    }
}

impl Fields {
    fn whole(self, bytes: Vec<u8>, signature: Signature) -> Result<ServerRecord, RecordError> {
        let endpoint = Endpoint::new(&self.host, self.port).map_err(|_| RecordError::Fields)?;
        let life = self.expires.since(self.issued);
        if life.is_zero() || life > MAX_SERVER_RECORD_TTL {
            return Err(RecordError::Fields);
        }
        Ok(ServerRecord {
            bytes,
            signature,
            fields: self,
            endpoint,
        })
    }
}
