//! Contacts, and how they are made.

use serde::{Deserialize, Serialize};

#[cfg(test)]
use super::openrpc;
use super::{Choice, Trust, VerifiedVia};
use crate::clock::Rfc3339;

/// An invite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct InviteView {
    /// Names the invite: the first 8 hex digits of its token's SHA-256.
    pub invite: String,
    /// The card as a URI; empty in a list.
    pub card: String,
    /// When it ends.
    pub expires: Rfc3339,
}

/// Where a contact stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Added or accepted.
    Accepted,
    /// A stranger who asked and waits for an answer.
    Request,
}

/// A contact, or a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ContactView {
    /// `identity_key`, 64 hex digits.
    pub id: String,
    /// What the user calls the contact, or its name if that is unique, or digits of the id.
    pub alias: String,
    /// What the contact calls itself; empty until its identity was seen.
    pub username: String,
    /// Where the contact stands.
    pub standing: Standing,
    /// The user's assessment.
    #[cfg_attr(test, schemars(with = "openrpc::TrustWord"))]
    pub trust: Trust,
    /// How trust was made.
    #[cfg_attr(test, schemars(with = "openrpc::VerifiedWord"))]
    pub verified_via: VerifiedVia,
    /// When trust was set.
    pub trusted_at: Option<Rfc3339>,
    /// The user's word on direct connections.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "openrpc::ChoiceWord"))]
    pub direct: Choice,
    /// First contact.
    pub first_seen: Rfc3339,
    /// Last sign of life.
    pub last_seen: Option<Rfc3339>,
    /// Whether a direct connection is open.
    pub connected: bool,
    /// Messages that wait for this contact.
    pub queued: u64,
    /// A request's first text.
    pub request_text: Option<String>,
    /// What the user should know before trusting: a confusable name, a forked or withdrawn identity.
    pub warnings: Vec<String>,
    /// After how many seconds new messages disappear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<u32>,
}

/// A safety number and what became of the comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VerifyView {
    /// The contact's alias.
    pub alias: String,
    /// 60 digits in groups of five.
    pub safety_number: String,
    /// Whether the number that was given is the same; absent if none was given.
    pub matches: Option<bool>,
    /// The contact's trust now.
    #[cfg_attr(test, schemars(with = "openrpc::TrustWord"))]
    pub trust: Trust,
}
