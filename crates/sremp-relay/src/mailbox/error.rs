//! What can go wrong in a store, in words that an operator can act on.

/// Why a store did not do what was asked. Nothing of the batch holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// No room is left on the disk; the store goes on once there is.
    Full,
    /// The disk or the file refuses to be written; the store goes on once it can be.
    ReadOnly,
    /// The database is not what was written: changed, cut off, or of something else.
    Damaged(String),
    /// Another process writes to the database.
    InUse,
    /// The database was written by a newer version.
    Newer {
        /// Version of the database.
        found: u32,
        /// Newest version known here.
        known: u32,
    },
    /// An earlier write failed in a way after which the operating system's word is no longer good;
    /// the store has to be opened again.
    Stopped,
    /// The disk failed while reading or writing.
    Io(String),
    /// A mistake in the program.
    Other(String),
}

impl StoreError {
    /// Whether the same store may be asked again. After any other error it answers
    /// [`StoreError::Stopped`] and has to be opened again: a system that failed to write once may
    /// have dropped the pages and report the next attempt as done.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Full | Self::ReadOnly | Self::InUse)
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => f.write_str(
                "the disk of the mailboxes is full, nothing was stored: make room and senders will try again",
            ),
            Self::ReadOnly => f.write_str(
                "the mailboxes cannot be written, nothing was stored: make their disk and files writable",
            ),
            Self::Damaged(what) => write!(
                f,
                "the database of the mailboxes is damaged ({what}): run `sremp relay fsck`, and put back a backup"
            ),
            Self::InUse => f.write_str(
                "the database of the mailboxes is open in another process: end that process and try again",
            ),
            Self::Newer { found, known } => write!(
                f,
                "the database of the mailboxes has version {found}, this program knows version {known} at most: use the newer program"
            ),
            Self::Stopped => f.write_str(
                "an earlier write to the mailboxes failed, nothing more is stored: check the disk and start again",
            ),
            Self::Io(cause) => write!(
                f,
                "the disk of the mailboxes failed ({cause}), nothing was stored: check the disk and start again"
            ),
            Self::Other(cause) => write!(f, "the store refused a change, nothing was stored: {cause}"),
        }
    }
}

impl std::error::Error for StoreError {}
