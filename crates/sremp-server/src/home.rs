//! The data directory of a server.
//!
//! ```text
//! KIND.toml   settings, for people
//! identity    the server's keys and document, mode 0600
//! lock        held while a process serves from here
//! ```
//!
//! and what else that kind of server keeps. Nothing is encrypted under a passphrase: a server has to
//! start by itself, and it holds no content that it could read. The directory has mode 0700.

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

const IDENTITY: &str = "identity";
const LOCK: &str = "lock";
/// Longest file in bytes that is read whole.
pub const MAX_FILE: usize = 256 * 1024;
/// Version of the identity file.
const VERSION: u8 = 1;

/// What lies in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A relay (chapter 6).
    Relay,
    /// A rendezvous server (chapter 5).
    Rendezvous,
}

impl Kind {
    /// As people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Rendezvous => "rendezvous server",
        }
    }

    /// `sremp VERB init`; the name of its settings, and the username in its document.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Rendezvous => "rendezvous",
        }
    }
}

/// Why a server's directory cannot be used.
#[derive(Debug)]
pub enum HomeError {
    /// There is one already.
    Exists(Kind, PathBuf),
    /// Something else is there.
    Occupied(PathBuf),
    /// There is none.
    NotFound(Kind, PathBuf),
    /// Another process serves from it.
    InUse,
    /// A file is damaged.
    Damaged(PathBuf),
    /// The config file is not valid: in words.
    Config(PathBuf, String),
    /// The operating system refused something.
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for HomeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exists(kind, path) => {
                write!(f, "{} holds a {} already", path.display(), kind.name())
            }
            Self::Occupied(path) => write!(
                f,
                "{} holds other files; give a directory that is empty or not there",
                path.display()
            ),
            Self::NotFound(kind, path) => write!(
                f,
                "there is no {} in {path}; make one with `sremp {} init --home {path}`",
                kind.name(),
                kind.verb(),
                path = path.display()
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

/// A server's directory, there or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHome {
    kind: Kind,
    path: PathBuf,
}

/// The right to serve from a directory; given back on drop, and by the system when the process ends.
#[derive(Debug)]
pub struct ServerLock(#[expect(dead_code, reason = "held, never read")] File);

impl ServerHome {
    /// The directory at a path. Nothing is read or made.
    pub fn at(kind: Kind, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { kind, path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The config file.
    pub fn config_path(&self) -> PathBuf {
        self.path.join(self.config_name())
    }

    fn config_name(&self) -> String {
        format!("{}.toml", self.kind.verb())
    }

    /// Whether a server is there, whole or damaged.
    pub fn exists(&self) -> bool {
        self.path.join(IDENTITY).exists()
    }

    /// Makes a server with a new identity, this config file and other files by their names, each for
    /// its owner alone. Durable when it returns.
    ///
    /// # Errors
    /// [`HomeError::Exists`], [`HomeError::Occupied`], or what the disk said.
    pub fn create<R: CryptoRng + ?Sized>(
        &self,
        config: &str,
        others: &[(&str, &[u8])],
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<SecretIdentity, HomeError> {
        if self.exists() {
            return Err(HomeError::Exists(self.kind, self.path.clone()));
        }
        let io = |e| HomeError::Io(self.path.clone(), e);
        match fs::read_dir(&self.path).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => return Err(HomeError::Occupied(self.path.clone())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(io(e)),
        }
        let mut builder = DirBuilder::new();
        builder
            .mode(0o700)
            .recursive(true)
            .create(&self.path)
            .map_err(io)?;
        let identity = new_identity(self.kind, now, rng);
        self.write(&self.config_name(), config.as_bytes())?;
        for (name, bytes) in others {
            self.write(name, bytes)?;
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

    /// Reads the settings, as `parse` understands them.
    ///
    /// # Errors
    /// [`HomeError::NotFound`], [`HomeError::Config`] with what `parse` says, or what the disk said.
    pub fn config<C, E: std::fmt::Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<C, E>,
    ) -> Result<C, HomeError> {
        let path = self.config_path();
        let text = String::from_utf8(self.read(&self.config_name())?);
        let text = text.map_err(|_| HomeError::Damaged(path.clone()))?;
        parse(&text).map_err(|error| HomeError::Config(path, error.to_string()))
    }

    /// Takes the right to serve from here.
    ///
    /// # Errors
    /// [`HomeError::InUse`], [`HomeError::NotFound`], or what the disk said.
    pub fn lock(&self) -> Result<ServerLock, HomeError> {
        if !self.exists() {
            return Err(HomeError::NotFound(self.kind, self.path.clone()));
        }
        let path = self.path.join(LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let opened = options.mode(0o600).open(&path);
        let file = opened.map_err(|e| HomeError::Io(path.clone(), e))?;
        match file.try_lock() {
            Ok(()) => Ok(ServerLock(file)),
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

    /// Reads a file of at most 256 KiB.
    ///
    /// # Errors
    /// [`HomeError::NotFound`], [`HomeError::Damaged`] if it is longer, or what the disk said.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, HomeError> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) if bytes.len() <= MAX_FILE => Ok(bytes),
            Ok(_) => Err(HomeError::Damaged(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound && !self.exists() => {
                Err(HomeError::NotFound(self.kind, self.path.clone()))
            }
            Err(e) => Err(HomeError::Io(path, e)),
        }
    }

    /// Writes a file that only its owner may read: whole, under its name, and durable.
    ///
    /// # Errors
    /// What the disk said.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), HomeError> {
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
fn new_identity<R: CryptoRng + ?Sized>(kind: Kind, now: UnixMillis, rng: &mut R) -> SecretIdentity {
    let flags = Flags {
        is_machine_account: true,
        is_relay_server: kind == Kind::Relay,
        ..Flags::default()
    };
    #[allow(
        clippy::expect_used,
        reason = "a fixed name that is valid, and a first revision"
    )]
    let username = Username::parse(kind.verb()).expect("a valid name");
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const CONFIG: &str = "listen = 1";

    fn made() -> (tempfile::TempDir, ServerHome, SecretIdentity) {
        let dir = tempfile::tempdir().unwrap();
        let home = ServerHome::at(Kind::Relay, dir.path().join("relay"));
        let others: [(&str, &[u8]); 1] = [("other", b"kept")];
        let made = home.create(CONFIG, &others, UnixMillis::ZERO, &mut rand::rng());
        (dir, home, made.unwrap())
    }

    #[test]
    fn a_new_server_is_read_back_and_its_files_are_its_owners_alone() {
        let (_dir, home, identity) = made();
        assert!(identity.identity().flags().is_relay_server);
        assert_eq!(home.identity().unwrap().id(), identity.id());
        let text = home.config(|text| Ok::<_, &str>(text.to_owned()));
        assert_eq!(text.unwrap(), CONFIG);
        assert_eq!(home.read("other").unwrap(), b"kept");
        for name in [IDENTITY, "relay.toml", "other", ""] {
            let mode = fs::metadata(home.path().join(name)).unwrap().permissions();
            assert_eq!(mode.mode() & 0o077, 0, "{name}");
        }
    }

    #[test]
    fn nothing_is_overwritten_and_what_is_missing_is_said() {
        let (dir, home, _) = made();
        let again = home.create(CONFIG, &[], UnixMillis::ZERO, &mut rand::rng());
        assert!(matches!(again, Err(HomeError::Exists(..))));
        let occupied = ServerHome::at(Kind::Rendezvous, dir.path());
        let made = occupied.create("", &[], UnixMillis::ZERO, &mut rand::rng());
        assert!(matches!(made, Err(HomeError::Occupied(_))));
        for (kind, verb) in [
            (Kind::Relay, "sremp relay init"),
            (Kind::Rendezvous, "sremp rendezvous init"),
        ] {
            let nowhere = ServerHome::at(kind, dir.path().join("nowhere"));
            let error = nowhere.identity().unwrap_err().to_string();
            assert!(error.contains(verb), "{error}");
        }
        let error = home.config(|_| Err::<(), _>("line 1")).unwrap_err();
        assert!(error.to_string().contains("relay.toml: line 1"), "{error}");
    }

    #[test]
    fn one_process_serves_at_a_time() {
        let (_dir, home, _) = made();
        let lock = home.lock().unwrap();
        assert!(matches!(home.lock(), Err(HomeError::InUse)));
        drop(lock);
        home.lock().unwrap();
    }

    #[test]
    fn a_damaged_identity_is_refused_at_every_cut() {
        let (_dir, home, _) = made();
        let path = home.path().join(IDENTITY);
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            assert!(
                matches!(home.identity(), Err(HomeError::Damaged(_))),
                "{len}"
            );
        }
    }
}
