//! What makes a REGISTER good for one connection, and for no other (D5.2).
//!
//! | label | by | over |
//! |---|---|---|
//! | `rdv-record` | owner | the bytes of the RECORD |
//! | `rdv-proof` | owner | TLS exporter value 32 ‖ H(identity) ‖ H(record) |
//! | `server-record` | server | the bytes of the SERVER_RECORD |

use sha2::{Digest as _, Sha256};

use super::Record;
use crate::{
    id::ContactId,
    identity::SecretIdentity,
    signature::{BadSignature, Signature, SignatureLabel},
    wire::bytes::byte_newtype,
};

/// Label under which the exporter value is asked from TLS (RFC 8446, section 7.5); no context.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-SREMP-RDV";

byte_newtype! {
    /// What TLS exports for this connection under [`EXPORTER_LABEL`]: equal at both ends, different
    /// on every connection, 32 bytes.
    ExporterValue, 32
}

impl std::fmt::Debug for ExporterValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ExporterValue")
    }
}

fn payload(exporter: &ExporterValue, identity: &[u8], record: &[u8; 32]) -> Vec<u8> {
    let identity: [u8; 32] = Sha256::digest(identity).into();
    [exporter.as_bytes().as_slice(), &identity, record].concat()
}

/// `proof` that whoever registers this record is here.
pub fn sign(own: &SecretIdentity, exporter: &ExporterValue, record: &Record) -> Signature {
    let payload = payload(exporter, own.identity().as_bytes(), &record.hash());
    own.sign(SignatureLabel::RdvProof, &payload)
}

/// Checks `proof` on the connection with this exporter value.
///
/// # Errors
/// [`BadSignature`].
pub fn verify(
    owner: &ContactId,
    exporter: &ExporterValue,
    identity: &[u8],
    record: &Record,
    proof: &Signature,
) -> Result<(), BadSignature> {
    let payload = payload(exporter, identity, &record.hash());
    owner.verify(SignatureLabel::RdvProof, &payload, proof)
}
