//! What the user thinks of a contact (draft 3.2, D8.3).

use serde::{Deserialize, Serialize};

/// The user's assessment of a contact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Trust on first use: taken as it came.
    #[default]
    Unknown,
    /// Verified, or declared good enough by hand.
    Trusted,
    /// Turned away; only the user's hand changes that.
    Rejected,
}

/// How trust was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerifiedVia {
    /// Not verified.
    #[default]
    None,
    /// The other's code was scanned.
    Qr,
    /// The safety numbers were compared.
    Number,
}
