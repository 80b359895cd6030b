//! A server's certificate, and the next one.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
    version::TLS13,
};
use sremp_core::{constants::RDV_ALPN, rendezvous::SpkiHash};

use super::{provider, spki_of};

/// Why a certificate is not used; the one before stays in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateError {
    /// There is no certificate in it.
    NoCertificate,
    /// There is no private key in it that could be used: RSA, ECDSA or Ed25519.
    NoKey,
    /// The key is not the certificate's.
    OtherKey,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCertificate => "there is no certificate in the file: it has to be PEM",
            Self::NoKey => {
                "there is no private key in the file: it has to be PEM, and RSA, ECDSA or Ed25519"
            }
            Self::OtherKey => "the private key is not the certificate's: give the two that belong",
        })
    }
}

impl std::error::Error for CertificateError {}

/// The certificate of a server; clones are the same one, also after it was replaced.
#[derive(Clone)]
pub struct Certificate(Arc<RwLock<Arc<CertifiedKey>>>);

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}

impl Certificate {
    /// A chain, its own certificate first, and its key, both PEM.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|_| CertificateError::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
        Self::of(chain, &key)
    }

    /// One certificate and its key (PKCS #8), both DER.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_der(certificate: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let key = PrivateKeyDer::try_from(key).map_err(|_| CertificateError::NoKey)?;
        Self::of(vec![CertificateDer::from(certificate.to_vec())], &key)
    }

    fn of(
        chain: Vec<CertificateDer<'static>>,
        key: &PrivateKeyDer<'_>,
    ) -> Result<Self, CertificateError> {
        let key = any_supported_type(key).map_err(|_| CertificateError::NoKey)?;
        let first = chain.first().ok_or(CertificateError::NoCertificate)?;
        spki_of(first).ok_or(CertificateError::NoCertificate)?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) => Ok(Self(Arc::new(RwLock::new(Arc::new(certified))))),
            Err(_) => Err(CertificateError::OtherKey),
        }
    }

    /// From now on `next` is shown; connections that are open go on.
    pub fn replace(&self, next: &Self) {
        let next = next.current();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// `H` of the key: what a link pins.
    pub fn spki(&self) -> SpkiHash {
        let current = self.current();
        let first = current.cert.first().and_then(spki_of);
        // it was looked at when it came
        first.unwrap_or_else(|| SpkiHash::new([0; 32]))
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    pub(super) fn server_config(&self) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![RDV_ALPN.to_vec()];
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        config.ignore_client_order = true;
        Ok(config)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}
