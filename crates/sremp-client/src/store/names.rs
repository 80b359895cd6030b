//! What contacts are called: all that has to be read to find the one that the user means.

use sremp_core::{id::ContactId, identity::Trust};

use super::{ContactRecord, Fork, StoreError, Tx, column::Cells as _};
use crate::view::Standing;

/// A contact by its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactName {
    /// `identity_key`.
    pub key: ContactId,
    /// What the user calls the contact.
    pub alias: Option<String>,
    /// What the contact calls itself.
    pub username: Option<String>,
    /// Contact or request.
    pub standing: Standing,
}

impl ContactName {
    /// The name to show: the alias, or what the contact calls itself with digits of its id.
    pub fn shown(&self) -> String {
        shown(self.alias.as_deref(), self.username.as_deref(), &self.key)
    }
}

impl ContactRecord {
    /// The name to show: the alias, or what the contact calls itself with digits of its id.
    pub fn name(&self) -> String {
        shown(self.alias.as_deref(), self.username(), &self.key)
    }

    /// What the contact calls itself, if its identity was seen.
    pub fn username(&self) -> Option<&str> {
        self.identity.as_ref().map(|i| i.username().as_str())
    }

    /// Whether the user added or accepted the contact and has not turned it away since, and it has
    /// not withdrawn its identity.
    pub fn is_accepted(&self) -> bool {
        self.standing == Standing::Accepted && self.trust != Trust::Rejected && !self.is_withdrawn()
    }

    /// Whether two identities carry its key and version and the user has not said yet to go on: it is
    /// heard, but nothing goes to it (D2.5).
    pub fn is_held(&self) -> bool {
        self.fork == Fork::Open
    }

    /// Whether anything may go to the contact.
    pub fn is_served(&self) -> bool {
        self.is_accepted() && !self.is_held()
    }

    /// Whether the contact has withdrawn its identity for good.
    pub fn is_withdrawn(&self) -> bool {
        self.identity.as_ref().is_some_and(|i| i.is_tombstone())
    }
}

fn shown(alias: Option<&str>, username: Option<&str>, key: &ContactId) -> String {
    match (alias, username) {
        (Some(alias), _) => alias.to_owned(),
        (None, Some(username)) => format!("{username} ({})", key.short()),
        (None, None) => key.short(),
    }
}

/// Whether a contact may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContactStanding {
    /// `identity_key`.
    pub key: ContactId,
    /// Added or accepted.
    pub accepted: bool,
    /// The user's assessment.
    pub trust: Trust,
}

impl Tx<'_> {
    /// Who is a contact and who is turned away, in the order of first contact.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn contact_standings(&mut self) -> Result<Vec<ContactStanding>, StoreError> {
        let sql = "SELECT key, standing, trust FROM contact ORDER BY row";
        self.list(sql, [], |row| {
            Ok(ContactStanding {
                key: row.contact_id(0)?,
                accepted: row.code::<Standing>(1)? == Standing::Accepted,
                trust: row.code(2)?,
            })
        })
    }

    /// The names of all contacts and requests, in the order of first contact.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn contact_names(&mut self) -> Result<Vec<ContactName>, StoreError> {
        let sql = "SELECT key, alias, username, standing FROM contact ORDER BY row";
        self.list(sql, [], |row| {
            Ok(ContactName {
                key: row.contact_id(0)?,
                alias: row.opt_text(1)?,
                username: row.opt_text(2)?,
                standing: row.code(3)?,
            })
        })
    }
}
