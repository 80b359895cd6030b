//! Messages, as faces show them.

use serde::{Deserialize, Serialize};

use super::{Path, Status};
use crate::clock::Rfc3339;

/// What became of a message that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SentView {
    /// The message's id, 32 hex digits.
    pub msg_id: String,
    /// How far it has come.
    pub status: Status,
    /// The way it took, once it has arrived.
    pub path: Option<Path>,
    /// Why it has not come as far as was awaited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MessageView {
    /// History number: orders the messages of one conversation; give it as `before` for the page
    /// above.
    pub seq: u64,
    /// The message's id, 32 hex digits; empty for a notice.
    pub msg_id: String,
    /// The contact's id.
    pub contact: String,
    /// The contact's alias.
    pub alias: String,
    /// What this is.
    pub kind: MessageKind,
    /// The text, cleaned of control and bidirectional characters where it is a contact's; empty if
    /// the message was taken back.
    pub text: String,
    /// The sender's time.
    pub sent_at: Rfc3339,
    /// When it was received here; absent for one's own.
    pub received_at: Option<Rfc3339>,
    /// How far one's own has come.
    pub status: Option<Status>,
    /// The way it took.
    pub path: Option<Path>,
    /// When its author last gave it another text, by the author's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Rfc3339>,
    /// Its author has taken it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The id of the message that it answers, 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The beginning of that message, if it is known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// Reactions to it, one's own first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<ReactionView>,
    /// When it disappears here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disappears_at: Option<Rfc3339>,
    /// It came after what stands below it, and has its place by the order of its sender.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// One's own, written more than 24 hours ago, and neither confirmed nor given up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overdue: bool,
}

/// Somebody's reaction to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReactionView {
    /// One's own, else the contact's.
    pub own: bool,
    /// The reaction, cleaned.
    pub reaction: String,
    /// When, by its author's clock.
    pub at: Rfc3339,
}

/// What a line of a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// Written here.
    Sent,
    /// Received.
    Received,
    /// A grey line of the client's: a renewed session, a missing message.
    Notice,
}

/// What can be done to messages that are there, and to a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Gives a message of one's own another text.
    Edit {
        /// The message's id, 32 hex digits, or at least 6 of the first; `ID@CONTACT` where several contacts
        /// gave one id.
        msg_id: String,
        /// The text from now on.
        text: String,
    },
    /// Takes a message of one's own back.
    Delete {
        /// The message's id, 32 hex digits, or at least 6 of the first; `ID@CONTACT` where several contacts
        /// gave one id.
        msg_id: String,
    },
    /// Reacts to a message.
    React {
        /// The message's id, 32 hex digits, or at least 6 of the first; `ID@CONTACT` where several contacts
        /// gave one id.
        msg_id: String,
        /// At most 32 bytes; empty takes an earlier one back.
        reaction: String,
    },
    /// Lets new messages of a conversation disappear.
    Timer {
        /// Alias, unique name, or at least 6 digits of the id.
        contact: String,
        /// After so many seconds, at least 30; 0: not any more.
        seconds: u32,
    },
}
