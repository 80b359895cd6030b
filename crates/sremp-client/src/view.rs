//! Plain data that faces ask for, draw and print: commands, replies, events. The JSON form of every
//! type here is the scripting contract.

mod contact;
mod doctor;
mod error;
mod event;
mod message;
#[cfg(test)]
mod openrpc;
mod privacy;
mod relay;
mod rendezvous;
mod why;

pub use self::{
    contact::{ContactView, InviteView, Standing, VerifyView},
    doctor::{CheckView, DoctorView, Outcome, Unit},
    error::{CommandError, ErrorKind},
    event::{Event, EventKind},
    message::{Action, MessageKind, MessageView, ReactionView, SentView},
    privacy::{Observer, PrivacyView, SeenView, Trace, Ways, privacy},
    relay::{RelayState, RelayView},
    rendezvous::{
        BrowseView, CandidateView, FoundView, RegisterAs, RegisterView, ServerView, ServersView,
    },
    why::{Waits, WhyStep, WhyView},
};
use serde::{Deserialize, Serialize};
pub use sremp_core::{
    identity::{Trust, VerifiedVia},
    route::Choice,
};

use crate::clock::Rfc3339;

/// What a face asks of the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    tag = "method",
    content = "params",
    rename_all = "snake_case",
    deny_unknown_fields
)]
pub enum Command {
    /// One's own identity and reusable card.
    Id,
    /// A single-use invite.
    Invite {
        /// Life in seconds; 7 days unless given.
        expires: Option<u32>,
    },
    /// Every invite that is still open.
    Invites,
    /// Closes an invite before it is used.
    RevokeInvite {
        /// The invite's id: the first 8 hex digits of its token's hash.
        invite: String,
    },
    /// Adds the contact of a card, or accepts the request of a contact named by alias, name or id.
    Add {
        /// A card (`sremp:1#…` or `SREMP:1/…`), a contact, or an id of 64 hex digits, which one's
        /// rendezvous servers look for.
        who: String,
        /// What the user calls the contact.
        alias: Option<String>,
        /// Adds a contact although its name looks like another's.
        #[serde(default)]
        despite_confusable: bool,
    },
    /// Contacts, or the requests of strangers.
    Contacts {
        /// Requests instead of contacts.
        #[serde(default)]
        requests: bool,
        /// Requests that were declined, instead of either.
        #[serde(default)]
        declined: bool,
    },
    /// The safety number with a contact; with a number, the comparison, which makes the contact
    /// trusted when it is equal.
    Verify {
        /// Alias, unique name, or at least 6 digits of the id.
        contact: String,
        /// The 60 digits that the other reads out, spaces allowed.
        number: Option<String>,
    },
    /// Sets trust by hand.
    SetTrust {
        /// Alias, unique name, or at least 6 digits of the id.
        contact: String,
        /// The trust to set.
        #[cfg_attr(test, schemars(with = "openrpc::TrustWord"))]
        trust: Trust,
    },
    /// Turns direct connections with a contact on or off, or leaves them to the setting again.
    SetDirect {
        /// Alias, unique name, or at least 6 digits of the id.
        contact: String,
        /// The user's word.
        #[cfg_attr(test, schemars(with = "openrpc::ChoiceWord"))]
        direct: Choice,
    },
    /// Sends a text; answered when it is durable in the outbox or the awaited status is reached.
    Send {
        /// Alias, unique name, or at least 6 digits of the id.
        contact: String,
        /// The text, UTF-8, at most 58 KiB with its header.
        text: String,
        /// The message that it answers: its id, or at least 6 of its first digits.
        #[serde(default)]
        reply_to: Option<String>,
        /// Names this sending, at most 128 bytes: the same key sends nothing to this contact a second
        /// time, and is answered with the message that it named first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// The status to wait for.
        #[serde(default)]
        wait: Wait,
        /// Milliseconds to wait for it at the most.
        #[serde(default = "half_a_minute")]
        timeout_ms: u64,
    },
    /// Does something to a message or a conversation, on both sides; answered as `Send` is.
    Act {
        /// What.
        action: Action,
        /// The status to wait for.
        #[serde(default)]
        wait: Wait,
        /// Milliseconds to wait for it at the most.
        #[serde(default = "half_a_minute")]
        timeout_ms: u64,
    },
    /// Erases a message here, and only here.
    Erase {
        /// The message's id, 32 hex digits, or at least 6 of the first; `ID@CONTACT` where several contacts
        /// gave one id.
        msg_id: String,
    },
    /// Events after a number, oldest first; waits for the first if there is none yet.
    Events {
        /// Events after this sequence number; after the last acknowledged one if absent.
        after: Option<u64>,
        /// Most events in the reply.
        #[serde(default = "a_page")]
        limit: u32,
        /// Milliseconds to wait while there is none.
        #[serde(default)]
        wait_ms: u64,
    },
    /// Lets every event after a number follow on this connection, each in a notification `event`.
    Subscribe {
        /// Events after this sequence number; after the last acknowledged one if absent.
        after: Option<u64>,
    },
    /// Ends the subscription of this connection.
    Unsubscribe,
    /// Acknowledges every event up to a number: they do not come again unasked.
    Ack {
        /// The sequence number.
        seq: u64,
    },
    /// One page of a conversation, oldest first.
    History {
        /// Alias, unique name, or at least 6 digits of the id.
        contact: String,
        /// Only messages before this history number.
        before: Option<u64>,
        /// Most messages in the reply.
        #[serde(default = "a_page")]
        limit: u32,
    },
    /// Messages that contain all words, newest first.
    Search {
        /// The words.
        words: String,
        /// Most messages in the reply.
        #[serde(default = "a_page")]
        limit: u32,
    },
    /// The way of one message.
    Why {
        /// The message's id, 32 hex digits, or at least 6 of the first; `ID@CONTACT` where several contacts
        /// gave one id.
        msg_id: String,
    },
    /// What the client is doing.
    Status,
    /// Checks the client and its surroundings, and measures them; answered within ten seconds.
    Doctor,
    /// Where somebody is now, by the rendezvous servers.
    Find {
        /// An id of 64 hex digits, or a contact.
        who: String,
    },
    /// Those who are listed at one's own rendezvous servers.
    Browse {
        /// Only names that contain this.
        name: Option<String>,
        /// Most people in the reply.
        #[serde(default = "a_page")]
        limit: u32,
    },
    /// Who may find one while the client runs; answered when one's own servers know.
    Register {
        /// Unless it is to stay as it is.
        visibility: Option<RegisterAs>,
    },
    /// Rendezvous servers in use, and those of which they told.
    Servers,
    /// A new noise key at the next version of the identity.
    RotateNoiseKey,
    /// Writes a backup while the client runs.
    Backup {
        /// The file, an absolute path, which must not be there.
        file: String,
        /// The identity moves with it: this home sends nothing any more, and the client ends.
        retire: bool,
    },
    /// Ends the client.
    Stop,
}

impl Command {
    /// What the commands are called.
    pub const METHODS: [&str; 28] = [
        "id",
        "invite",
        "invites",
        "revoke_invite",
        "add",
        "contacts",
        "verify",
        "set_trust",
        "set_direct",
        "send",
        "act",
        "erase",
        "events",
        "subscribe",
        "unsubscribe",
        "ack",
        "history",
        "search",
        "why",
        "status",
        "find",
        "browse",
        "register",
        "servers",
        "rotate_noise_key",
        "stop",
        "doctor",
        "backup",
    ];

    /// Whether it only asks what the client knows or finds out: it may be given again, and no room on the
    /// disk is needed for its answer.
    pub(crate) const fn is_question(&self) -> bool {
        matches!(
            self,
            Self::Id
                | Self::Invites
                | Self::Contacts { .. }
                | Self::Verify { number: None, .. }
                | Self::Events { .. }
                | Self::History { .. }
                | Self::Search { .. }
                | Self::Why { .. }
                | Self::Status
                | Self::Doctor
                | Self::Servers
        )
    }
}

/// Unless said otherwise.
const fn half_a_minute() -> u64 {
    30_000
}

/// Unless said otherwise.
const fn a_page() -> u32 {
    100
}

/// How far a message has to come before `send` answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// Durable in the local outbox.
    #[default]
    Outbox,
    /// Accepted by a relay, or further.
    Relay,
    /// Committed by the recipient's client.
    Device,
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Durable in the local outbox.
    Queued,
    /// Stored by a relay.
    AtRelay,
    /// Committed by the recipient's client.
    OnDevice,
    /// Given up after 30 days.
    Failed,
}

/// The way a message took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// Over a connection between the two.
    Direct,
    /// Through a relay.
    Relay,
}

/// What the client answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
#[allow(
    missing_docs,
    reason = "one arm for each command, named as the command"
)]
pub enum Reply {
    Id(IdView),
    Invite(InviteView),
    Contact(ContactView),
    Verify(VerifyView),
    Sent(SentView),
    Status(StatusView),
    Why(WhyView),
    Doctor(DoctorView),
    Found(Box<FoundView>),
    Browse(BrowseView),
    Servers(ServersView),
    Register(RegisterView),
    Backup(BackupView),
    Invites {
        invites: Vec<InviteView>,
    },
    Contacts {
        contacts: Vec<ContactView>,
    },
    Events {
        events: Vec<Event>,
        /// The number up to which this tells: ask for those after it.
        #[serde(default)]
        upto: u64,
    },
    Subscribed(SubscribedView),
    Messages {
        messages: Vec<MessageView>,
    },
    Done {},
}

/// One's own identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct IdView {
    /// `identity_key`, 64 hex digits.
    pub id: String,
    /// The name on the card.
    pub username: String,
    /// The reusable card as a URI.
    pub card: String,
    /// The first eight digits of the id, as shown beside names.
    pub safety_prefix: String,
    /// Version of the identity.
    pub version: u64,
}

/// A backup that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BackupView {
    /// The file, an absolute path.
    pub file: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether a passphrase has to be known to read it.
    pub encrypted: bool,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubscribedView {
    /// Events after this number follow.
    pub after: u64,
    /// The last event's number now.
    pub last: u64,
    /// Events were asked for that are not kept any more: all up to this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<u64>,
}

/// What the client is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StatusView {
    /// One's own id.
    pub id: String,
    /// One's own name.
    pub username: String,
    /// Where the client listens, `ADDR:PORT`.
    pub listening: Option<String>,
    /// The endpoint on the card, `HOST:PORT`.
    pub advertised: Option<String>,
    /// Aliases of contacts with an open direct connection.
    pub connected: Vec<String>,
    /// Messages that wait in the outbox.
    pub queued: u64,
    /// When the oldest of them was written that no relay keeps.
    pub oldest_unsent: Option<Rfc3339>,
    /// Relays in use, one's own first.
    pub relays: Vec<RelayView>,
    /// Who may find one through rendezvous servers while the client runs.
    pub visibility: RegisterAs,
    /// Rendezvous servers in use, one's own first.
    pub rendezvous: Vec<ServerView>,
    /// The place to which a router leads from outside, if that is wished and done, `HOST:PORT`.
    pub mapped: Option<String>,
    /// Whether private addresses are dialled that somebody else named.
    pub allow_private_addresses: bool,
    /// Whether one wishes to be reached by relays alone.
    #[serde(default)]
    pub prefers_async: bool,
    /// Aliases of contacts with whom direct connections are made however narrow the setting is.
    #[serde(default)]
    pub direct_on: Vec<String>,
    /// Aliases of contacts with whom none are made.
    #[serde(default)]
    pub direct_off: Vec<String>,
    /// What the user should know: the same identity live twice; contacts who claim to be in a private
    /// network.
    pub warnings: Vec<String>,
    /// Requests that wait for an answer.
    pub requests: u64,
    /// Number of contacts.
    pub contacts: u64,
    /// Last event's number.
    pub last_event: u64,
    /// Last acknowledged event's number.
    pub acknowledged: u64,
    /// Screens that follow this home now.
    pub screens: u64,
    /// Connections and envelopes refused since the start, by cause.
    pub refused: std::collections::BTreeMap<String, u64>,
    /// Seconds since the start.
    pub uptime: u64,
}
