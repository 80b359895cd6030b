//! What happened, as faces tell it.

use serde::{Deserialize, Serialize};

use super::{Path, Status};
use crate::clock::Rfc3339;

/// Something that happened, in the order in which it was committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Event {
    /// Sequence number, from 1.
    pub seq: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: EventKind,
}

/// The kinds of event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// A message came.
    Message {
        /// The message's id, 32 hex digits.
        msg_id: String,
        /// The sender's id, 64 hex digits.
        from: String,
        /// The sender's alias.
        alias: String,
        /// The text, cleaned, as it is by now.
        text: String,
        /// The message that it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<String>,
        /// The beginning of that message, if it is known here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quote: Option<String>,
        /// The text is not there any more: it was taken back, erased, or has disappeared.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        gone: bool,
        /// When it disappears here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        disappears_at: Option<Rfc3339>,
        /// The sender's time.
        sent_at: Rfc3339,
        /// When it was committed here.
        received_at: Rfc3339,
        /// The way it took.
        path: Path,
        /// It came after others that its sender wrote later: its place in the conversation is above them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        late: bool,
    },
    /// A contact has given a message of its own another text.
    Edited {
        /// The message's id, 32 hex digits.
        msg_id: String,
        /// The contact's id.
        from: String,
        /// The contact's alias.
        alias: String,
        /// The text, cleaned, as it is by now.
        text: String,
        /// The text is not there any more.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        gone: bool,
        /// When it was committed here.
        at: Rfc3339,
    },
    /// A contact has taken a message of its own back.
    Deleted {
        /// The message's id, 32 hex digits.
        msg_id: String,
        /// The contact's id.
        from: String,
        /// The contact's alias.
        alias: String,
        /// When it was committed here.
        at: Rfc3339,
    },
    /// A contact reacts to a message.
    Reaction {
        /// The message's id, 32 hex digits.
        msg_id: String,
        /// The contact's id.
        from: String,
        /// The contact's alias.
        alias: String,
        /// The reaction, cleaned, as it is by now; empty: taken back.
        reaction: String,
        /// The message is not there any more, nor is the reaction.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        gone: bool,
        /// When it was committed here.
        at: Rfc3339,
    },
    /// A contact has set after how long new messages disappear.
    Timer {
        /// The contact's id.
        from: String,
        /// The contact's alias.
        alias: String,
        /// After how many seconds; 0: not any more.
        seconds: u32,
        /// When it was committed here.
        at: Rfc3339,
    },
    /// A message of one's own came further.
    Status {
        /// The message's id, 32 hex digits.
        msg_id: String,
        /// The contact's alias.
        alias: String,
        /// How far it has come.
        status: Status,
        /// The way it took.
        path: Option<Path>,
        /// When.
        at: Rfc3339,
    },
    /// A stranger asks to be accepted.
    Request {
        /// The stranger's id.
        from: String,
        /// The name the stranger uses, cleaned.
        username: String,
        /// The first text, cleaned.
        text: String,
        /// When it was committed here.
        received_at: Rfc3339,
    },
    /// A contact accepted one's request.
    Accepted {
        /// The contact's id.
        from: String,
        /// The contact's alias.
        alias: String,
        /// When.
        at: Rfc3339,
    },
    /// Something about a contact that the user should see.
    Notice {
        /// The contact's id.
        from: String,
        /// The contact's alias.
        alias: String,
        /// What happened, in words.
        text: String,
        /// When.
        at: Rfc3339,
    },
}
