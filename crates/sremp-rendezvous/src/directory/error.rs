//! What can go wrong in a store, in words that an operator can act on.

/// Why a store did not do what was asked. Nothing of it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// No room is left on the disk; the store goes on once there is.
    Full,
    /// The disk or the file refuses to be written; the store goes on once it can be.
    ReadOnly,
    /// Another process writes to the database.
    InUse,
    /// The database is not what was written: changed, cut off, or of something else.
    Damaged(String),
    /// The database was written by a newer version.
    Newer {
        /// Version of the database.
        found: u32,
        /// Newest version known here.
        known: u32,
    },
    /// An earlier write failed in a way after which the operating system's word is no longer good.
    Stopped,
    /// The disk failed while reading or writing.
    Io(String),
}

impl StoreError {
    /// Whether the same store may be asked again.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Full | Self::ReadOnly | Self::InUse)
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => f.write_str(
                "the disk of the directory is full, nothing was registered: make room and clients will try again",
            ),
            Self::ReadOnly => f.write_str(
                "the directory cannot be written, nothing was registered: make its disk and files writable",
            ),
            Self::InUse => f.write_str(
                "the database of the directory is open in another process: end that process and try again",
            ),
            Self::Damaged(what) => write!(
                f,
                "the database of the directory is damaged ({what}): remove it, and clients register again within a day"
            ),
            Self::Newer { found, known } => write!(
                f,
                "the database of the directory has version {found}, this program knows version {known} at most: use the newer program"
            ),
            Self::Stopped => f.write_str(
                "an earlier write to the directory failed, nothing more is registered: check the disk and start again",
            ),
            Self::Io(cause) => write!(
                f,
                "the disk of the directory failed ({cause}): check the disk and start again"
            ),
        }
    }
}

impl std::error::Error for StoreError {}
