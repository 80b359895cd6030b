//! The certificate that is shown: the operator's files, one of the server's own, or an authority's.

use std::{fmt, fs, path::PathBuf};

use sremp_core::rendezvous::SpkiHash;
use sremp_net::tls::{Certificate, CertificateError};
use zeroize::Zeroizing;

#[cfg(feature = "acme")]
use crate::acme::Authority;
use crate::{
    config::{CertificateFiles, Config},
    home::{HomeError, RendezvousHome, StoredCertificate},
};

/// Why there is no certificate.
#[derive(Debug)]
pub enum CertificatesError {
    /// A file cannot be read.
    Read(PathBuf, std::io::Error),
    /// What is in it is none.
    Bad(PathBuf, CertificateError),
    /// The server's directory.
    Home(HomeError),
    /// None could be made.
    Make(String),
}

impl fmt::Display for CertificatesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "{} cannot be read: {error}", path.display()),
            Self::Bad(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Home(error) => error.fmt(f),
            Self::Make(error) => write!(f, "no certificate could be made: {error}"),
        }
    }
}

impl std::error::Error for CertificatesError {}

/// A certificate, and what it was read from.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) current: Certificate,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Nobody has signed it.
    Own,
    Files(CertificateFiles, Pem),
    /// Until it is asked.
    #[cfg(feature = "acme")]
    Authority(Option<Box<Authority>>),
}

/// What is in the files. Compared as a whole: two writes can have the same time.
#[derive(PartialEq, Eq)]
struct Pem {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pem")
    }
}

impl Pem {
    fn read(files: &CertificateFiles) -> Result<Self, CertificatesError> {
        let read = |path: &PathBuf| {
            fs::read(path).map_err(|error| CertificatesError::Read(path.clone(), error))
        };
        Ok(Self {
            chain: read(&files.chain)?,
            key: Zeroizing::new(read(&files.key)?),
        })
    }

    fn certificate(&self, files: &CertificateFiles) -> Result<Certificate, CertificatesError> {
        let made = Certificate::from_pem(&self.chain, &self.key);
        made.map_err(|error| CertificatesError::Bad(files.chain.clone(), error))
    }
}

impl Certificates {
    /// The certificate of a server with these settings.
    pub(crate) fn load(home: &RendezvousHome, config: &Config) -> Result<Self, CertificatesError> {
        if let Some(files) = &config.certificate {
            let pem = Pem::read(files)?;
            return Ok(Self {
                current: pem.certificate(files)?,
                source: Source::Files(files.clone(), pem),
            });
        }
        #[cfg(feature = "acme")]
        if let Some(acme) = &config.acme {
            let authority = Authority::new(home, acme)?;
            return Ok(Self {
                current: authority.certificate().clone(),
                source: Source::Authority(Some(Box::new(authority))),
            });
        }
        let stored = home.certificate().map_err(CertificatesError::Home)?;
        let current = Certificate::from_der(&stored.certificate, &stored.key);
        let bad = |error| CertificatesError::Bad(home.path().to_owned(), error);
        Ok(Self {
            current: current.map_err(bad)?,
            source: Source::Own,
        })
    }

    /// Who gives certificates, the first time.
    #[cfg(feature = "acme")]
    pub(crate) fn authority(&mut self) -> Option<Box<Authority>> {
        match &mut self.source {
            Source::Authority(authority) => authority.take(),
            Source::Own | Source::Files(..) => None,
        }
    }

    /// What the link pins: a certificate that no authority has signed.
    pub(crate) fn pin(&self) -> Option<SpkiHash> {
        match self.source {
            Source::Own => self.current.spki(),
            _ => None,
        }
    }

    /// Reads the files again; whether there is another certificate now. One that
    /// is bad is tried again, and the one before stays in use.
    pub(crate) fn reload(&mut self) -> Result<bool, CertificatesError> {
        let Source::Files(files, seen) = &mut self.source else {
            return Ok(false);
        };
        let now = Pem::read(files)?;
        if now == *seen {
            return Ok(false);
        }
        self.current.replace(&now.certificate(files)?);
        *seen = now;
        Ok(true)
    }
}

/// The certificate in these files, as it is now.
pub(crate) fn read(files: &CertificateFiles) -> Result<Certificate, CertificatesError> {
    Pem::read(files)?.certificate(files)
}

/// A certificate for this host that nobody has signed but itself.
pub(crate) fn self_signed(host: &str) -> Result<StoredCertificate, CertificatesError> {
    let made = rcgen::generate_simple_self_signed(vec![host.to_owned()]);
    let made = made.map_err(|error| CertificatesError::Make(error.to_string()))?;
    Ok(StoredCertificate {
        certificate: made.cert.der().to_vec().into(),
        key: made.signing_key.serialize_der().into(),
    })
}
