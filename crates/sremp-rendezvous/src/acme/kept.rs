//! What lies in the server's directory: the account, and the last certificate. What is damaged or for
//! other settings is as if it were not there, since another can be had.

use std::{fs, io};

use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;
use sremp_core::wire::codec::{decode_exact, encode};
use sremp_net::tls::Certificate;
use sremp_server::home::MAX_FILE;
use zeroize::{Zeroize as _, Zeroizing};

use super::{AcmeError, order::Obtained, validity::Validity};
use crate::{
    config::Acme,
    home::{HomeError, RendezvousHome},
};

const ACCOUNT: &str = "acme-account";
const CERTIFICATE: &str = "acme-certificate";

fn read<T: DeserializeOwned + Serialize>(home: &RendezvousHome, name: &str) -> Option<T> {
    let bytes = match home.read(name) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(HomeError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(%error, "a file is not read");
            return None;
        }
    };
    let read = decode_exact(&bytes, MAX_FILE);
    read.inspect_err(|_| tracing::warn!(name, "a file is damaged"))
        .ok()
}

/// The account: its key and its name at the authority.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptAccount {
    directory: String,
    /// As the library writes it, JSON.
    credentials: ByteBuf,
}

impl Drop for KeptAccount {
    fn drop(&mut self) {
        self.credentials.zeroize();
    }
}

impl KeptAccount {
    pub(super) fn read(home: &RendezvousHome, settings: &Acme) -> Option<AccountCredentials> {
        let kept: Self = read(home, ACCOUNT)?;
        if kept.directory != settings.directory {
            return None;
        }
        serde_json::from_slice(&kept.credentials).ok()
    }

    pub(super) fn write(
        home: &RendezvousHome,
        settings: &Acme,
        credentials: &[u8],
    ) -> Result<(), HomeError> {
        let kept = Self {
            directory: settings.directory.clone(),
            credentials: ByteBuf::from(credentials),
        };
        home.write(ACCOUNT, &Zeroizing::new(encode(&kept)))
    }

    pub(super) fn forget(home: &RendezvousHome) {
        if let Err(error) = fs::remove_file(home.file(ACCOUNT)) {
            tracing::warn!(%error, "the account cannot be forgotten");
        }
    }
}

/// A certificate, its key, and from whom it is for which names.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptCertificate {
    directory: String,
    domains: Vec<String>,
    chain: String,
    key: String,
}

impl Drop for KeptCertificate {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl KeptCertificate {
    pub(super) fn of(settings: &Acme, obtained: Obtained) -> Self {
        Self {
            directory: settings.directory.clone(),
            domains: settings.domains.clone(),
            chain: obtained.chain,
            key: obtained.key,
        }
    }

    pub(super) fn read(home: &RendezvousHome, settings: &Acme) -> Option<Self> {
        let kept: Self = read(home, CERTIFICATE)?;
        let same = kept.directory == settings.directory && kept.domains == settings.domains;
        same.then_some(kept)
    }

    pub(super) fn write(&self, home: &RendezvousHome) -> Result<(), HomeError> {
        home.write(CERTIFICATE, &Zeroizing::new(encode(self)))
    }

    /// What can be shown of it, and how long.
    pub(super) fn usable(&self) -> Result<(Certificate, Validity), AcmeError> {
        let certificate = Certificate::from_pem(self.chain.as_bytes(), self.key.as_bytes());
        let validity = Validity::of_chain(&self.chain).ok_or(AcmeError::NoValidity)?;
        Ok((certificate.map_err(AcmeError::Bad)?, validity))
    }
}
