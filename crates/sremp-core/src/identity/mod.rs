//! Identities: the document that a key signs about itself, its versions, and what a reader thinks
//! of it (chapter 2).

mod document;
mod secret;
mod trust;
mod username;
mod version;

pub use document::{Extensions, Flags, Identity, IdentityError};
pub use secret::{SecretIdentity, SecretIdentityParts};
pub use trust::{Trust, VerifiedVia};
pub use username::{Username, UsernameError, confusable};
pub use version::{VersionRecord, VersionVerdict};
