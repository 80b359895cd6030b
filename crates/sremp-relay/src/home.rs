//! The relay's data directory: that of a [server](sremp_server::home), and
//!
//! ```text
//! relay.toml     settings, for people (config.rs)
//! mailboxes.db   everything that is stored (mailbox/)
//! invites-used   single-use invites that were used (invite.rs)
//! ```

use std::{ops::Deref, path::PathBuf};

use sremp_core::{identity::SecretIdentity, rand_core::CryptoRng, time::UnixMillis};
pub use sremp_server::home::HomeError;
use sremp_server::home::{Kind, ServerHome};

use crate::config::Config;

/// A relay's directory, there or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayHome(ServerHome);

impl Deref for RelayHome {
    type Target = ServerHome;

    fn deref(&self) -> &ServerHome {
        &self.0
    }
}

impl RelayHome {
    /// The directory at a path. Nothing is read or made.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(ServerHome::at(Kind::Relay, path))
    }

    /// The database.
    pub fn database_path(&self) -> PathBuf {
        self.file("mailboxes.db")
    }

    /// The single-use invites that were used.
    pub fn invites_path(&self) -> PathBuf {
        self.file("invites-used")
    }

    /// Makes a relay with a new identity and this config file. Durable when it returns.
    ///
    /// # Errors
    /// [`HomeError::Exists`], [`HomeError::Occupied`], or what the disk said.
    pub fn create<R: CryptoRng + ?Sized>(
        &self,
        config: &str,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<SecretIdentity, HomeError> {
        self.0.create(config, &[], now, rng)
    }

    /// Reads the settings.
    ///
    /// # Errors
    /// [`HomeError::NotFound`], [`HomeError::Config`], or what the disk said.
    pub fn config(&self) -> Result<Config, HomeError> {
        self.0.config(Config::parse)
    }
}
