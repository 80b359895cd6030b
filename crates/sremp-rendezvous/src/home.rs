//! A rendezvous server's directory: that of a [server](sremp_server::home), and
//!
//! ```text
//! rendezvous.toml   settings (config.rs)
//! certificate       a self-signed certificate and its key, mode 0600
//! acme-account      the account at an authority, with its key, mode 0600 (acme/kept.rs)
//! acme-certificate  the authority's certificate and its key, mode 0600 (acme/kept.rs)
//! directory.db      registrations (directory/)
//! ```

use std::{ops::Deref, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sremp_core::{
    identity::SecretIdentity,
    rand_core::CryptoRng,
    time::UnixMillis,
    wire::codec::{decode_exact, encode},
};
pub use sremp_server::home::HomeError;
use sremp_server::home::{Kind, MAX_FILE, ServerHome};
use zeroize::{Zeroize as _, Zeroizing};

use crate::config::Config;

const CERTIFICATE: &str = "certificate";

/// A certificate of one's own and its key, both DER.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredCertificate {
    pub(crate) certificate: ByteBuf,
    pub(crate) key: ByteBuf,
}

impl Drop for StoredCertificate {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// A server's directory, there or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RendezvousHome(ServerHome);

impl Deref for RendezvousHome {
    type Target = ServerHome;

    fn deref(&self) -> &ServerHome {
        &self.0
    }
}

impl RendezvousHome {
    /// The directory at a path. Nothing is read or made.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(ServerHome::at(Kind::Rendezvous, path))
    }

    /// The database.
    pub fn database_path(&self) -> PathBuf {
        self.file("directory.db")
    }

    /// Makes a server with a new identity, this config file and certificate. Durable when it
    /// returns.
    ///
    /// # Errors
    /// [`HomeError::Exists`], [`HomeError::Occupied`], or what the disk said.
    pub(crate) fn create<R: CryptoRng + ?Sized>(
        &self,
        config: &str,
        certificate: Option<&StoredCertificate>,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<SecretIdentity, HomeError> {
        let certificate = certificate.map(|certificate| Zeroizing::new(encode(certificate)));
        let others: Vec<(&str, &[u8])> = certificate
            .iter()
            .map(|bytes| (CERTIFICATE, bytes.as_slice()))
            .collect();
        self.0.create(config, &others, now, rng)
    }

    /// Reads the self-signed certificate.
    ///
    /// # Errors
    /// [`HomeError::Damaged`], or what the disk said, also if there is none.
    pub(crate) fn certificate(&self) -> Result<StoredCertificate, HomeError> {
        let bytes = Zeroizing::new(self.read(CERTIFICATE)?);
        let damaged = |_| HomeError::Damaged(self.file(CERTIFICATE));
        decode_exact(&bytes, MAX_FILE).map_err(damaged)
    }

    /// Reads the settings.
    ///
    /// # Errors
    /// [`HomeError::NotFound`], [`HomeError::Config`], or what the disk said.
    pub fn config(&self) -> Result<Config, HomeError> {
        self.0.config(Config::parse)
    }
}
