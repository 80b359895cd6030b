//! The certificate that is shown: the operator's files, one of the server's own, or an authority's.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use sremp_core::rendezvous::SpkiHash;
use sremp_net::tls::{Certificate, CertificateError};

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

impl std::fmt::Display for CertificatesError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
    Files(CertificateFiles, Changed),
    /// Until it is asked.
    #[cfg(feature = "acme")]
    Authority(Option<Box<Authority>>),
}

/// Also the lengths: two writes can have the same time.
type Changed = [Option<(SystemTime, u64)>; 2];

impl Certificates {
    /// The certificate of a server with these settings.
    pub(crate) fn load(home: &RendezvousHome, config: &Config) -> Result<Self, CertificatesError> {
        if let Some(files) = &config.certificate {
            let seen = changed(files);
            return Ok(Self {
                current: read(files)?,
                source: Source::Files(files.clone(), seen),
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

    /// Reads the files again if they have changed; whether there is another certificate now. One that
    /// is bad is tried again, and the one before stays in use.
    pub(crate) fn reload(&mut self) -> Result<bool, CertificatesError> {
        let Source::Files(files, seen) = &mut self.source else {
            return Ok(false);
        };
        let now = changed(files);
        if now == *seen {
            return Ok(false);
        }
        let next = read(files)?;
        *seen = now;
        self.current.replace(&next);
        Ok(true)
    }
}

fn changed(files: &CertificateFiles) -> Changed {
    let seen = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    [seen(&files.chain), seen(&files.key)]
}

/// The certificate in these files, as it is now.
pub(crate) fn read(files: &CertificateFiles) -> Result<Certificate, CertificatesError> {
    let read = |path: &PathBuf| {
        fs::read(path).map_err(|error| CertificatesError::Read(path.clone(), error))
    };
    let made = Certificate::from_pem(&read(&files.chain)?, &read(&files.key)?);
    made.map_err(|error| CertificatesError::Bad(files.chain.clone(), error))
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
