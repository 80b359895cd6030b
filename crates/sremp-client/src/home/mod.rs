//! The data directory: who may open it, and with what.
//!
//! ```text
//! config.toml   settings, for people (config.rs)
//! key           the database key, wrapped by the passphrase (key_file.rs)
//! sremp.db      everything else, encrypted (store/)
//! mailbox.db    the mailbox of the built-in relay, encrypted (mailbox.rs); if the user wants one
//! lock          held while a process has the home open (lock.rs)
//! sock          where that process takes commands
//! ```
//!
//! The directory has mode 0700, its files 0600.

mod backup;
mod create;
mod draft;
mod epoch;
mod error;
mod examine;
mod key_file;
mod lock;

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use sremp_core::{identity::SecretIdentity, rand_core::CryptoRng, time::UnixMillis};
use zeroize::Zeroizing;

pub(crate) use backup::Copied;
pub(crate) use epoch::EpochKeeper;
pub use error::HomeError;
pub use lock::HomeLock;

use crate::{
    config::{Config, ConfigError},
    store::Store,
};

const CONFIG: &str = "config.toml";
const KEY: &str = "key";
const DATABASE: &str = "sremp.db";
const MAILBOX: &str = "mailbox.db";
const LOCK: &str = "lock";
const SOCKET: &str = "sock";
/// Longest config file in bytes.
const MAX_CONFIG: u64 = 256 * 1024;

/// The setting that tells when the home was made, Unix milliseconds as 8 little-endian bytes.
pub const CREATED: &str = "home.created";

/// The setting of a home that moved elsewhere: the name of the file that it moved into.
pub(crate) const MOVED: &str = "moved";

/// The setting of a home that was about to move: the name of the file that it was to move into.
pub(crate) const MOVING: &str = "moving";

/// What opens a home.
pub enum Passphrase {
    /// None was given; for a new home, the user wants none.
    None,
    /// As the user typed it, UTF-8.
    Given(Zeroizing<String>),
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "Passphrase::None",
            Self::Given(_) => "Passphrase::Given(…)",
        })
    }
}

/// A data directory, there or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    path: PathBuf,
}

fn is_home(path: &Path) -> bool {
    path.join(KEY).exists() || path.join(DATABASE).exists()
}

impl Home {
    /// The home at a path. Nothing is read or made.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The config file.
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// The encrypted database.
    pub fn database_path(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// The mailbox of the built-in relay.
    pub fn mailbox_path(&self) -> PathBuf {
        self.path.join(MAILBOX)
    }

    /// The socket on which the running client takes commands.
    pub fn socket_path(&self) -> PathBuf {
        self.path.join(SOCKET)
    }

    /// Whether there is a home, whole or damaged.
    pub fn exists(&self) -> bool {
        is_home(&self.path)
    }

    /// Whether the home was made with a passphrase, so that one has to be asked for.
    ///
    /// # Errors
    /// [`HomeError::NotFound`], [`HomeError::Damaged`] or [`HomeError::NewerVersion`].
    pub fn has_passphrase(&self) -> Result<bool, HomeError> {
        match key_file::read(&self.key_file()?, &Passphrase::None) {
            Ok(_) => Ok(false),
            Err(HomeError::PassphraseNeeded) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Makes a home with this identity. All of it is durable when this returns; after an error
    /// nothing is left behind. Takes about 0.2 s and 64 MiB of memory with a passphrase.
    ///
    /// # Errors
    /// [`HomeError::Exists`], [`HomeError::Occupied`], [`HomeError::NoDirectory`],
    /// [`HomeError::EmptyPassphrase`], or what the disk said.
    pub fn create<R: CryptoRng + ?Sized>(
        &self,
        passphrase: &Passphrase,
        config: &Config,
        identity: &SecretIdentity,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<(), HomeError> {
        let contents = create::Contents {
            passphrase,
            config,
            identity,
            now,
        };
        create::create(&self.path, &contents, rng)
    }

    /// Locks the home for this process.
    ///
    /// # Errors
    /// [`HomeError::InUse`] with the process that holds it; [`HomeError::NotFound`].
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        if !self.exists() {
            return Err(HomeError::NotFound(self.path.clone()));
        }
        HomeLock::take(&self.path, &self.path.join(LOCK))
    }

    /// Opens the store of a locked home; the lock has to be kept as long as the store. Takes about 0.2 s and 64 MiB of memory with a passphrase.
    ///
    /// # Errors
    /// [`HomeError::WrongPassphrase`], [`HomeError::PassphraseNeeded`], [`HomeError::Moved`],
    /// [`HomeError::NewerVersion`], [`HomeError::Damaged`], or what the disk said.
    pub fn open(&self, lock: &HomeLock, passphrase: &Passphrase) -> Result<Store, HomeError> {
        if !lock.is_of(&self.path) {
            return Err(HomeError::InUse { pid: None });
        }
        let key = key_file::read(&self.key_file()?, passphrase)?;
        let path = self.database_path();
        if !path.exists() {
            return Err(HomeError::Damaged("the database"));
        }
        self.remove_copies();
        let mut store = Store::open(&path, &key).map_err(|e| HomeError::store(&path, e))?;
        let moved = store.transaction(|tx| tx.setting(MOVED));
        match moved.map_err(HomeError::Store)? {
            Some(file) => Err(HomeError::Moved(
                String::from_utf8_lossy(&file).into_owned(),
            )),
            None => Ok(store),
        }
    }

    /// The settings; the defaults if there is no file.
    ///
    /// # Errors
    /// [`HomeError::Config`] names the line and what is wrong with it.
    pub fn config(&self) -> Result<Config, HomeError> {
        let path = self.config_path();
        match read(&path, MAX_CONFIG) {
            Ok(text) => Config::parse(&text).map_err(|e| HomeError::Config(path, e)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Config::default()),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                let message = format!("not UTF-8 text of at most {MAX_CONFIG} bytes");
                let fault = ConfigError {
                    line: None,
                    message,
                };
                Err(HomeError::Config(path, fault))
            }
            Err(e) => Err(HomeError::reading(&path, e)),
        }
    }

    /// The text of the config file; empty if there is none.
    ///
    /// # Errors
    /// As [`Self::config`].
    pub fn config_text(&self) -> Result<String, HomeError> {
        self.config()?;
        let path = self.config_path();
        match read(&path, MAX_CONFIG) {
            Ok(text) => Ok(text.to_string()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(e) => Err(HomeError::reading(&path, e)),
        }
    }

    /// Writes a config file in the place of the one that is there, all of it or nothing.
    ///
    /// # Errors
    /// What the disk said; the one before stays then.
    pub fn write_config(&self, text: &str) -> Result<(), HomeError> {
        let path = self.config_path();
        create::replace(&path, text.as_bytes())
    }

    fn key_file(&self) -> Result<Zeroizing<String>, HomeError> {
        let path = self.path.join(KEY);
        match read(&path, key_file::MAX_KEY_FILE) {
            Ok(text) => Ok(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound && !self.exists() => {
                Err(HomeError::NotFound(self.path.clone()))
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::InvalidData
                ) =>
            {
                Err(HomeError::Damaged("the key file"))
            }
            Err(e) => Err(HomeError::reading(&path, e)),
        }
    }
}

/// Reads a text file, at most `max` bytes of it.
fn read(path: &Path, max: u64) -> io::Result<Zeroizing<String>> {
    if fs::metadata(path)?.len() > max {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = Zeroizing::new(String::new());
    File::open(path)?.take(max).read_to_string(&mut text)?;
    Ok(text)
}
