//! Why commands fail.

use serde::{Deserialize, Serialize};

/// Why a command failed. The number is the exit code of the verb.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[error("{message}")]
pub struct CommandError {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// What happened, why, and what to do, in one sentence.
    pub message: String,
}

/// The kinds of failure; documented as exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// Anything that is none of the others.
    Failed,
    /// Wrong use: an argument that makes no sense.
    Usage,
    /// The awaited status was not reached in time; the message stays queued.
    Timeout,
    /// The passphrase is wrong.
    Passphrase,
    /// The home is missing, damaged, of a newer version, or in use.
    Home,
    /// The disk is full or a write failed; nothing was confirmed.
    Storage,
    /// A card is expired, altered, one's own, or of a rejected contact.
    Card,
    /// No contact, or several, by that name.
    Contact,
    /// The network: a port in use, an address that does not answer.
    Network,
}

impl ErrorKind {
    /// The exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Timeout => 3,
            Self::Passphrase => 4,
            Self::Home => 5,
            Self::Storage => 6,
            Self::Card => 7,
            Self::Contact => 8,
            Self::Network => 9,
        }
    }
}

impl CommandError {
    /// An error of a kind with its sentence.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}
