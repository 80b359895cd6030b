//! A server's certificate, the next one, and how an authority sees that the server has its name.

use std::{
    collections::BTreeMap,
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
use sremp_core::rendezvous::SpkiHash;

use super::{provider, spki_of};

/// What an authority offers that looks whether a name is the server's (RFC 8737).
pub(super) const CHALLENGE_ALPN: &[u8] = b"acme-tls/1";

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
pub struct Certificate(Arc<Shown>);

/// What is shown, and to whom.
#[derive(Default)]
struct Shown {
    /// To clients; none of them gets in without.
    current: RwLock<Option<Arc<CertifiedKey>>>,
    /// To an authority that looks whether a name is the server's, by the name.
    challenges: RwLock<BTreeMap<String, Arc<CertifiedKey>>>,
}

/// A challenge that is answered until this is dropped.
#[must_use = "it is answered no longer once this is dropped"]
pub struct Challenge {
    shown: Arc<Shown>,
    name: String,
}

impl Drop for Challenge {
    fn drop(&mut self) {
        let challenges = self.shown.challenges.write();
        let mut challenges = challenges.unwrap_or_else(PoisonError::into_inner);
        challenges.remove(&self.name);
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({})", self.name)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}

impl Certificate {
    /// None yet: nobody gets in before it is [replaced](Self::replace).
    pub fn awaited() -> Self {
        Self(Arc::default())
    }

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
            Ok(()) => Ok(Self(Arc::new(Shown {
                current: RwLock::new(Some(Arc::new(certified))),
                ..Shown::default()
            }))),
            Err(_) => Err(CertificateError::OtherKey),
        }
    }

    /// From now on `next` is shown; connections that are open go on.
    pub fn replace(&self, next: &Self) {
        let next = next.current();
        let current = self.0.current.write();
        *current.unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// Shows this certificate (DER; its key PKCS #8) to an authority that asks for this name by
    /// `acme-tls/1` (RFC 8737), which nobody is spoken to by otherwise. One at a time for each name.
    ///
    /// # Errors
    /// [`CertificateError::NoKey`].
    pub fn challenged(
        &self,
        name: &str,
        certificate: &[u8],
        key: &[u8],
    ) -> Result<Challenge, CertificateError> {
        let key = PrivateKeyDer::try_from(key).map_err(|_| CertificateError::NoKey)?;
        let key = any_supported_type(&key).map_err(|_| CertificateError::NoKey)?;
        // not looked at: its critical extension is one that only an authority knows
        let answer = CertifiedKey::new(vec![CertificateDer::from(certificate.to_vec())], key);
        let challenges = self.0.challenges.write();
        let mut challenges = challenges.unwrap_or_else(PoisonError::into_inner);
        challenges.insert(name.to_owned(), Arc::new(answer));
        Ok(Challenge {
            shown: self.0.clone(),
            name: name.to_owned(),
        })
    }

    pub(super) fn is_challenged(&self) -> bool {
        let challenges = self.0.challenges.read();
        !challenges
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// `H` of the key: what a link pins. `None` while there is none.
    pub fn spki(&self) -> Option<SpkiHash> {
        self.current()?.cert.first().and_then(spki_of)
    }

    fn current(&self) -> Option<Arc<CertifiedKey>> {
        let current = self.0.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn challenge(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let challenges = self.0.challenges.read();
        let challenges = challenges.unwrap_or_else(PoisonError::into_inner);
        challenges.get(name).cloned()
    }

    /// For those who speak one of these protocols, or none.
    pub(super) fn server_config(&self, protocols: &[&[u8]]) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        config.ignore_client_order = true;
        Ok(config)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // an authority offers nothing else (RFC 8737, 3)
        let asks = hello
            .alpn()
            .is_some_and(|mut offered| offered.all(|name| name == CHALLENGE_ALPN));
        match asks {
            true => self.challenge(hello.server_name()?),
            false => self.current(),
        }
    }
}
