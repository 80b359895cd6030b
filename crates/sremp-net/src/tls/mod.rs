//! TLS 1.3 to and from rendezvous servers (chapter 5): who is at the other end, frames, timeouts.
//!
//! | part | |
//! |---|---|
//! | [`Certificate`], [`listen`] | a server: its certificate, which may be replaced while it runs, and its connections |
//! | [`Trust`], [`connect`] | a client: by name or by pin |
//! | `stream` | frames of either side, and every timeout |
//!
//! There is no older TLS, no resumption and no early data at either end: the code for TLS 1.2 is not
//! compiled in, and each connection has an [exporter value](ExporterValue) of its own.

mod certificate;
mod client;
mod listen;
mod rooms;
mod stream;
#[cfg(test)]
mod tests;
mod turns;

use std::sync::Arc;

use ring::digest;
use rustls::{
    crypto::{
        CryptoProvider,
        ring::{
            cipher_suite::{
                TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
            },
            default_provider,
        },
    },
    pki_types::CertificateDer,
    server::ParsedCertificate,
};
use sremp_core::rendezvous::proof::EXPORTER_LABEL;
pub use sremp_core::rendezvous::{ExporterValue, SpkiHash};

pub use certificate::{Certificate, CertificateError, Challenge};
pub use client::{ConnectError, NamedServer, TlsClient, Trust, connect, connect_to};
pub use listen::{TlsAnswer, TlsArrival, TlsGuest, TlsLimits, TlsListening, TlsServe, listen};
pub use stream::StreamError;

/// ring, and nothing that another crate may have installed. The suites with SHA-256 come first:
/// processors have instructions for it, and none for SHA-384, which is a tenth of a handshake.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            TLS13_AES_128_GCM_SHA256,
            TLS13_CHACHA20_POLY1305_SHA256,
            TLS13_AES_256_GCM_SHA384,
        ],
        ..default_provider()
    })
}

/// `H` of the key that a certificate is for; `None` if it is no certificate.
fn spki_of(certificate: &CertificateDer<'_>) -> Option<SpkiHash> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let hash = digest::digest(&digest::SHA256, &parsed.subject_public_key_info());
    SpkiHash::from_slice(hash.as_ref())
}

/// What this connection exports; only after the handshake is there something.
fn exporter<D>(connection: &rustls::ConnectionCommon<D>) -> Option<ExporterValue> {
    let value = connection.export_keying_material([0; 32], EXPORTER_LABEL, None);
    value.ok().map(ExporterValue::new)
}
