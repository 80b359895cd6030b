//! Messages, as faces show them.

use serde::{Deserialize, Serialize};

use super::{Path, Status};
use crate::clock::Rfc3339;

/// What became of a message that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The text, cleaned of control and bidirectional characters where it is a contact's.
    pub text: String,
    /// The sender's time.
    pub sent_at: Rfc3339,
    /// When it was received here; absent for one's own.
    pub received_at: Option<Rfc3339>,
    /// How far one's own has come.
    pub status: Option<Status>,
    /// The way it took.
    pub path: Option<Path>,
}

/// What a line of a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// Written here.
    Sent,
    /// Received.
    Received,
    /// A grey line of the client's: a renewed session, a missing message.
    Notice,
}
