//! Rendezvous: servers, one's own registration, and who was found.

use serde::{Deserialize, Serialize};
use sremp_core::rendezvous::Visibility;

use super::RelayState;
use crate::clock::Rfc3339;

/// Who may find one while the client runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RegisterAs {
    /// Nobody: nothing is registered.
    Off,
    /// Whoever knows the id.
    Unlisted,
    /// Also whoever browses.
    Listed,
}

impl RegisterAs {
    /// The number under which it is kept.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    pub(crate) fn of(code: u8) -> Option<Self> {
        [Self::Off, Self::Unlisted, Self::Listed]
            .into_iter()
            .find(|wish| wish.code() == code)
    }

    pub(crate) const fn visibility(self) -> Option<Visibility> {
        match self {
            Self::Off => None,
            Self::Unlisted => Some(Visibility::Unlisted),
            Self::Listed => Some(Visibility::Listed),
        }
    }
}

impl From<Option<Visibility>> for RegisterAs {
    fn from(visibility: Option<Visibility>) -> Self {
        match visibility {
            None => Self::Off,
            Some(Visibility::Unlisted) => Self::Unlisted,
            Some(Visibility::Listed) => Self::Listed,
        }
    }
}

/// How things stand with a rendezvous server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ServerView {
    /// Where it is, `HOST:PORT`; a domain whose servers are not known.
    pub server: String,
    /// Whether it is one of one's own; else a contact's card names it.
    pub own: bool,
    /// Whether it is believed by its key instead of a name.
    pub pinned: bool,
    /// How far the connection has come.
    pub state: RelayState,
    /// Until when one is registered there.
    pub registered_until: Option<Rfc3339>,
    /// It keeps one's relays, but not the addresses at which one says to be.
    pub relays_only: bool,
    /// Why there is no connection, or what the server refused.
    pub last_error: Option<String>,
    /// When it is connected to again.
    pub next_try: Option<Rfc3339>,
}

/// One's own registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RegisterView {
    /// Who may find one while the client runs.
    pub visibility: RegisterAs,
    /// What one's own servers say to it.
    pub servers: Vec<ServerView>,
    /// Why nothing is registered although it is wished.
    pub warning: Option<String>,
}

/// Servers in use, and others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ServersView {
    /// Who may find one while the client runs.
    pub visibility: RegisterAs,
    /// Servers in use, one's own first.
    pub servers: Vec<ServerView>,
    /// Servers of which they told, and which are not used.
    pub candidates: Vec<CandidateView>,
}

/// A server of which another told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CandidateView {
    /// Where it says to be, `HOST:PORT`.
    pub server: String,
    /// Its link, for the settings.
    pub link: String,
    /// Whether it would be believed by its key instead of a name.
    pub pinned: bool,
    /// Until when its word holds.
    pub until: Rfc3339,
}

/// Somebody who was found: signed by the owner of the id, and in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FoundView {
    /// `identity_key`, 64 hex digits.
    pub id: String,
    /// What they call themselves, cleaned.
    pub username: String,
    /// What the user calls them, if they are a contact.
    pub alias: Option<String>,
    /// Version of the identity.
    pub version: u64,
    /// Where they say to be, `HOST:PORT`.
    pub endpoints: Vec<String>,
    /// Where they say to have mailboxes, `HOST:PORT`.
    pub relays: Vec<String>,
    /// Whether they are shown to whoever browses.
    pub listed: bool,
    /// When they said so.
    pub issued: Rfc3339,
    /// Until when it holds.
    pub expires: Rfc3339,
    /// The server's claim, to the hour; only of those who are listed.
    pub last_seen: Option<Rfc3339>,
    /// The server's claim; only of those who are listed.
    pub online: Option<bool>,
    /// The servers that told so, `HOST:PORT`.
    pub servers: Vec<String>,
    /// What the user should know: a confusable name, an older identity than one that was seen.
    pub warnings: Vec<String>,
}

/// Those who are listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BrowseView {
    /// In the order of their ids.
    pub people: Vec<FoundView>,
    /// Whether there are more.
    pub more: bool,
    /// Entries that did not hold and were left out.
    pub refused: u64,
    /// Servers that gave nothing, and why.
    pub failures: Vec<String>,
}
