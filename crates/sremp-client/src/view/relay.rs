//! Relays, as `status` shows them.

use serde::{Deserialize, Serialize};

use crate::clock::Rfc3339;

/// How things stand with a relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RelayView {
    /// Its id, 64 hex digits.
    pub relay: String,
    /// Where it is, `HOST:PORT`.
    pub endpoint: String,
    /// Whether one's own mailbox is there; else it is a contact's.
    pub own: bool,
    /// Until when what still comes there for us is fetched, if the user has left it.
    pub left_until: Option<Rfc3339>,
    /// How far the connection has come.
    pub state: RelayState,
    /// Why there is no connection, or what the relay last refused.
    pub last_error: Option<String>,
    /// When it is dialled again.
    pub next_try: Option<Rfc3339>,
    /// One-time prekeys that it can still give away for us; only of one's own, once known.
    pub prekeys: Option<u32>,
    /// Messages that are under way to it.
    pub in_flight: u64,
}

/// How far the connection to a relay has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RelayState {
    /// Not needed now.
    Idle,
    /// Waits until it is dialled again.
    Waiting,
    /// Is being dialled, or registered with.
    Connecting,
    /// Takes and gives messages.
    Connected,
}
