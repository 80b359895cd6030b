//! The way of one message, as `why` tells it.

use serde::{Deserialize, Serialize};

use super::{MessageKind, Path, Status};
use crate::clock::Rfc3339;

/// The way of one message: what happened to it, what was proved, and what comes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WhyView {
    /// The message's id, 32 hex digits.
    pub msg_id: String,
    /// The contact's id.
    pub contact: String,
    /// The contact's alias.
    pub alias: String,
    /// Sent or received.
    pub kind: MessageKind,
    /// How far one's own has come.
    pub status: Option<Status>,
    /// The way it took.
    pub path: Option<Path>,
    /// What it waits for, in words; absent once it has arrived.
    pub waits_for: Option<String>,
    /// When something is tried next by itself, if a time is set.
    pub next_try: Option<Rfc3339>,
    /// What happened, in the order of time.
    pub timeline: Vec<WhyStep>,
}

/// One thing that happened to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum WhyStep {
    /// Written here, durable.
    Written {
        /// When.
        at: Rfc3339,
    },
    /// A way was tried and failed; equal failures are one entry.
    Tried {
        /// The last time.
        at: Rfc3339,
        /// Which way.
        path: Path,
        /// The relay's id, 64 hex digits.
        relay: Option<String>,
        /// Why it failed.
        cause: String,
        /// The first time, also before this message was written.
        since: Rfc3339,
        /// How often.
        count: u64,
    },
    /// A relay has promised to keep it.
    AtRelay {
        /// When its receipt came here.
        at: Rfc3339,
        /// The relay's id, 64 hex digits.
        relay: String,
        /// When the relay says it was durable there.
        stored_at: Rfc3339,
        /// Until when it keeps it.
        expires_at: Rfc3339,
        /// Whether the relay's signature over this promise holds, checked just now.
        receipt_valid: bool,
        /// The signed receipt, hex.
        receipt: String,
    },
    /// The contact's client has committed it.
    OnDevice {
        /// When this was known here.
        at: Rfc3339,
        /// The way of the confirmation.
        path: Path,
        /// The relay that brought it, 64 hex digits.
        relay: Option<String>,
        /// When the contact says that it had it; only by a relay.
        confirmed_at: Option<Rfc3339>,
        /// Whether the contact's signature holds, checked just now; only by a relay: a direct
        /// connection authenticates by itself.
        confirmation_valid: Option<bool>,
    },
    /// It was given up.
    GivenUp {
        /// When.
        at: Rfc3339,
    },
    /// The contact wrote it, by the contact's clock.
    Sent {
        /// When.
        at: Rfc3339,
    },
    /// A relay had it.
    Stored {
        /// Since when, by the relay's clock.
        at: Rfc3339,
        /// The relay's id, 64 hex digits.
        relay: String,
    },
    /// It was committed here.
    Received {
        /// When.
        at: Rfc3339,
        /// The way it took.
        path: Path,
    },
}
