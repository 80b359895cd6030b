//! A server's directory on disk.
//!
//! ```text
//! rendezvous.toml   settings (config.rs)
//! identity          the server's keys and document, mode 0600
//! certificate       a self-signed certificate and its key, mode 0600
//! directory.db      registrations (directory/)
//! lock              held while a process serves from here
//! ```
//!
//! Nothing is encrypted under a passphrase: a server has to start by itself, and what it keeps it
//! gives to whoever asks. The directory has mode 0700.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sremp_core::{
    identity::{Flags, SecretIdentity, SecretIdentityParts, Username},
    rand_core::CryptoRng,
    time::UnixMillis,
    wire::codec::{decode_exact, encode},
};
use zeroize::{Zeroize as _, Zeroizing};

use crate::config::{Config, ConfigError};

const CONFIG: &str = "rendezvous.toml";
const IDENTITY: &str = "identity";
const CERTIFICATE: &str = "certificate";
const DATABASE: &str = "directory.db";
const LOCK: &str = "lock";
/// Longest file in bytes.
const MAX_FILE: usize = 256 * 1024;
/// Version of the identity file.
const VERSION: u8 = 1;

/// Why a server's directory cannot be used.
#[derive(Debug)]
pub enum HomeError {
    /// There is a server already.
    Exists(PathBuf),
    /// Something else is there.
    Occupied(PathBuf),
    /// There is no server.
    NotFound(PathBuf),
    /// Another process serves from it.
    InUse,
    /// A file is damaged.
    Damaged(PathBuf),
    /// The config file is not valid.
    Config(PathBuf, ConfigError),
    /// The operating system refused something.
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for HomeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exists(path) => {
                write!(f, "{} holds a rendezvous server already", path.display())
            }
            Self::Occupied(path) => write!(
                f,
                "{} holds other files; give a directory that is empty or not there",
                path.display()
            ),
            Self::NotFound(path) => write!(
                f,
                "there is no rendezvous server in {}; make one with `sremp rendezvous init --home {0}`",
                path.display()
            ),
            Self::InUse => f.write_str("another process serves from here; stop it first"),
            Self::Damaged(path) => write!(
                f,
                "{} is damaged; put it back from a backup",
                path.display()
            ),
            Self::Config(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for HomeError {}

/// What is stored of the server's identity.
#[derive(Serialize, Deserialize)]
struct StoredIdentity {
    version: u8,
    seed: ByteBuf,
    noise_secret: ByteBuf,
    document: ByteBuf,
}

impl Drop for StoredIdentity {
    fn drop(&mut self) {
        self.seed.zeroize();
        self.noise_secret.zeroize();
    }
}

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
pub struct RendezvousHome {
    path: PathBuf,
}

/// The right to serve from a directory; given back on drop, and by the system when the process ends.
#[derive(Debug)]
pub struct RendezvousLock(#[expect(dead_code, reason = "held, never read")] File);

impl RendezvousHome {
    /// The directory at a path. Nothing is read or made.
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

    /// The database.
    pub fn database_path(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Whether a server is there, whole or damaged.
    pub fn exists(&self) -> bool {
        self.path.join(IDENTITY).exists()
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
        if self.exists() {
            return Err(HomeError::Exists(self.path.clone()));
        }
        let io = |e| HomeError::Io(self.path.clone(), e);
        match fs::read_dir(&self.path).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => return Err(HomeError::Occupied(self.path.clone())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(io(e)),
        }
        let mut builder = DirBuilder::new();
        let builder = builder.mode(0o700).recursive(true);
        builder.create(&self.path).map_err(io)?;
        let identity = new_identity(now, rng);
        self.write(CONFIG, config.as_bytes())?;
        if let Some(certificate) = certificate {
            self.write(CERTIFICATE, &Zeroizing::new(encode(certificate)))?;
        }
        // last: with it the server is there
        self.write(IDENTITY, &stored(&identity))?;
        Ok(identity)
    }

    /// Reads the identity.
    ///
    /// # Errors
    /// [`HomeError::NotFound`], [`HomeError::Damaged`], or what the disk said.
    pub fn identity(&self) -> Result<SecretIdentity, HomeError> {
        let path = self.path.join(IDENTITY);
        let bytes = Zeroizing::new(self.read(IDENTITY)?);
        let damaged = || HomeError::Damaged(path.clone());
        let file: StoredIdentity = decode_exact(&bytes, MAX_FILE).map_err(|_| damaged())?;
        let key = |bytes: &ByteBuf| {
            let key: Option<[u8; 32]> = bytes.as_slice().try_into().ok();
            key.map(Zeroizing::new).ok_or_else(damaged)
        };
        let parts = SecretIdentityParts {
            identity_seed: key(&file.seed)?,
            noise_secret: key(&file.noise_secret)?,
            identity: file.document.to_vec(),
        };
        if file.version != VERSION {
            return Err(damaged());
        }
        SecretIdentity::from_parts(&parts).map_err(|_| damaged())
    }

    /// Reads the self-signed certificate.
    ///
    /// # Errors
    /// [`HomeError::Damaged`], or what the disk said, also if there is none.
    pub(crate) fn certificate(&self) -> Result<StoredCertificate, HomeError> {
        let bytes = Zeroizing::new(self.read(CERTIFICATE)?);
        let damaged = |_| HomeError::Damaged(self.path.join(CERTIFICATE));
        decode_exact(&bytes, MAX_FILE).map_err(damaged)
    }

    /// Reads the settings.
    ///
    /// # Errors
    /// [`HomeError::NotFound`], [`HomeError::Config`], or what the disk said.
    pub fn config(&self) -> Result<Config, HomeError> {
        let path = self.config_path();
        let text = String::from_utf8(self.read(CONFIG)?);
        let text = text.map_err(|_| HomeError::Damaged(path.clone()))?;
        Config::parse(&text).map_err(|e| HomeError::Config(path, e))
    }

    /// Takes the right to serve from here.
    ///
    /// # Errors
    /// [`HomeError::InUse`], [`HomeError::NotFound`], or what the disk said.
    pub fn lock(&self) -> Result<RendezvousLock, HomeError> {
        if !self.exists() {
            return Err(HomeError::NotFound(self.path.clone()));
        }
        let path = self.path.join(LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let opened = options.mode(0o600).open(&path);
        let file = opened.map_err(|e| HomeError::Io(path.clone(), e))?;
        match file.try_lock() {
            Ok(()) => Ok(RendezvousLock(file)),
            Err(TryLockError::WouldBlock) => Err(HomeError::InUse),
            Err(TryLockError::Error(e)) => Err(HomeError::Io(path, e)),
        }
    }

    /// Whether a process serves from here. Makes no file: whoever looks may be another user than the
    /// one who serves.
    ///
    /// # Errors
    /// What the disk said.
    pub fn is_served(&self) -> Result<bool, HomeError> {
        let path = self.path.join(LOCK);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(HomeError::Io(path, e)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(e)) => Err(HomeError::Io(path, e)),
        }
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, HomeError> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) if bytes.len() <= MAX_FILE => Ok(bytes),
            Ok(_) => Err(HomeError::Damaged(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound && !self.exists() => {
                Err(HomeError::NotFound(self.path.clone()))
            }
            Err(e) => Err(HomeError::Io(path, e)),
        }
    }

    /// Writes a file that only its owner may read: whole, under its name, and durable.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), HomeError> {
        let path = self.path.join(name);
        let draft = self.path.join(format!("{name}.new"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options.open(&draft).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            File::open(&self.path)?.sync_all()
        });
        written.map_err(|e| HomeError::Io(path, e))
    }
}

/// The document says what it is, and no more: nobody has to know a server by a name.
fn new_identity<R: CryptoRng + ?Sized>(now: UnixMillis, rng: &mut R) -> SecretIdentity {
    let flags = Flags {
        is_machine_account: true,
        ..Flags::default()
    };
    #[allow(
        clippy::expect_used,
        reason = "a fixed name that is valid, and a first revision"
    )]
    let username = Username::parse("rendezvous").expect("a valid name");
    let identity = SecretIdentity::generate(&username, now, rng);
    #[allow(
        clippy::expect_used,
        reason = "the identity is new, so it has a next version"
    )]
    let identity = identity
        .with_profile(&username, flags, None, now)
        .expect("a second version");
    identity
}

fn stored(identity: &SecretIdentity) -> Zeroizing<Vec<u8>> {
    let parts = identity.to_parts();
    Zeroizing::new(encode(&StoredIdentity {
        version: VERSION,
        seed: ByteBuf::from(parts.identity_seed.to_vec()),
        noise_secret: ByteBuf::from(parts.noise_secret.to_vec()),
        document: ByteBuf::from(parts.identity.clone()),
    }))
}
