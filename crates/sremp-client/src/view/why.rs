//! The way of one message, as `why` tells it.

use serde::{Deserialize, Serialize};

use super::{MessageKind, Path, PrivacyView, Status};
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
    /// What it waits for; absent once it has arrived.
    pub waits: Option<Waits>,
    /// The same in words, with the cause.
    pub waits_for: Option<String>,
    /// When something is tried next by itself, if a time is set; now, while a dial is under way.
    pub next_try: Option<Rfc3339>,
    /// Who could see what of it so far.
    pub privacy: PrivacyView,
    /// What happened, in the order of time.
    pub timeline: Vec<WhyStep>,
}

/// What a message waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Waits {
    /// A relay keeps it: for its reader to come.
    Reader,
    /// The contact is connected: for its confirmation.
    Confirmation,
    /// For the contact to accept who wrote.
    Acceptance,
    /// For keys of the contact, to which it is sealed.
    Keys,
    /// For a new session in the place of one that was lost.
    NewSession,
    /// For an answer of the contact's relay.
    RelayAnswer,
    /// For a relay of the contact's to be there again.
    RelayDown,
    /// For a relay that refuses it: a full mailbox, too many requests.
    RelayRefuses,
    /// For a relay that takes nothing from this sender for the contact.
    RelayDenies,
    /// For a direct connection, the only way.
    Direct,
    /// For the user: direct connections are off, and there is no other way.
    DirectOff,
    /// For anybody to tell where the contact is.
    Address,
    /// For a client that runs.
    Client,
    /// This home is a screen: for its home, which knows more.
    Home,
    /// For the user's clock to be set right.
    Clock,
    /// For the user, who has rejected the contact.
    Rejected,
    /// For nothing: the contact has withdrawn its identity.
    Withdrawn,
    /// For the user to find out who is who: two identities carry the contact's key.
    Forked,
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
        /// The first time since this message was written.
        since: Rfc3339,
        /// How often, for messages before it included.
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
