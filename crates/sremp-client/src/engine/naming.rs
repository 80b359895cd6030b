//! Who is meant by a name, and which names would deceive (D2.4).

use sremp_core::{id::ContactId, identity::confusable, text};

use super::{
    Engine, Step,
    contacts::{Answer, refuse},
    peers::Peer,
};
use crate::{
    store::{ContactName, StoreError},
    view::{ErrorKind, Standing},
};

/// What stands against a name: what is wrong, and not yet what to do.
pub(super) enum NameClash {
    None,
    /// The very name, as an alias.
    Taken(String),
    /// A name that looks the same.
    Confusable(String),
}

/// How faces mark the user's own lines.
const OWN: &str = "you";
/// Digits of an id that name a contact, at the least.
const FEWEST_DIGITS: usize = 6;
/// Digits by which several are told apart.
const DIGITS: usize = 16;

/// What of a contact a name looks like, if anything: an alias, the contact's own name, or the first digits
/// of its id, by which users name it too.
pub(super) fn likeness(other: &ContactName, name: &str) -> Option<&'static str> {
    let mut names = other.alias.iter().chain(&other.username);
    if names.any(|n| confusable(n, name)) {
        return Some("that of");
    }
    let length = name.chars().count();
    let id = other.key.to_string();
    let digits = id.get(..length).filter(|_| length >= FEWEST_DIGITS)?;
    confusable(digits, name).then_some("the id of")
}

/// Whether faces that show a name before a text, or in a list, could show more by it.
fn has_marks(name: &str) -> bool {
    name.starts_with('-') || name.contains([':', '[', ']'])
}

impl Engine {
    /// Whether another contact has this name, or one that looks like it (D2.4: blocking), or it looks like
    /// the mark of the user's own lines or holds what stands around names.
    pub(super) fn name_clash(
        &self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        name: Option<&str>,
    ) -> Result<NameClash, StoreError> {
        let Some(name) = name else {
            return Ok(NameClash::None);
        };
        if confusable(OWN, name) {
            return Ok(NameClash::Confusable(format!(
                "the name {} looks like the word that marks your own lines: look whether it is meant to deceive",
                text::isolate(&text::clean_line(name))
            )));
        }
        if has_marks(name) {
            return Ok(NameClash::Confusable(format!(
                "the name {} begins with a hyphen or holds a colon or brackets, as lines about \
                 somebody else do: look whether it is meant to deceive",
                text::isolate(&text::clean_line(name))
            )));
        }
        let mut others = step.tx.contact_names()?;
        others.retain(|other| other.key != *key && other.standing != Standing::Request);
        if others.iter().any(|o| o.alias.as_deref() == Some(name)) {
            return Ok(NameClash::Taken(format!(
                "you have a contact {name} already, with another key"
            )));
        }
        let clash = others.iter().find_map(|other| {
            let what = likeness(other, name)?;
            Some(format!(
                "the name {} looks like {what} your contact {} but belongs to another key ({}); \
                 it may be somebody posing: compare keys over another way",
                text::isolate(&text::clean_line(name)),
                other.shown(),
                key.short(),
            ))
        });
        Ok(clash.map_or(NameClash::None, NameClash::Confusable))
    }

    /// Who is meant: an alias, a unique username, or at least six digits of the id.
    pub(super) fn find_contact(&mut self, step: &mut Step<'_, '_>, who: &str) -> Answer<Box<Peer>> {
        let names = step.tx.contact_names()?;
        let digits = who.to_ascii_lowercase();
        let is_prefix =
            digits.len() >= FEWEST_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let accepted = |n: &ContactName| n.standing == Standing::Accepted;
        let called = |n: &ContactName| n.username.as_deref() == Some(who);
        let has_prefix = |n: &ContactName| is_prefix && n.key.to_string().starts_with(&digits);
        let has_alias = |n: &ContactName| n.alias.as_deref() == Some(who);
        let is_alias = names.iter().any(has_alias);
        // What the user chose comes first, unless it is also how the id of somebody else begins. A name
        // that somebody gave himself never comes before an id: he could choose the digits of another's.
        // A stranger's name counts last.
        let tests: [&dyn Fn(&ContactName) -> bool; 3] = [
            &|n| has_alias(n) || (is_alias && has_prefix(n)),
            &|n| has_prefix(n) || n.shown() == who || (accepted(n) && called(n)),
            &called,
        ];
        let found = tests
            .iter()
            .map(|test| names.iter().filter(|n| test(n)).collect::<Vec<_>>())
            .find(|found| !found.is_empty())
            .unwrap_or_default();
        match found.as_slice() {
            [one] => match self.peers.take(step.tx, &one.key)? {
                Some(peer) => Ok(Ok(peer)),
                None => Err(StoreError::Damaged),
            },
            [] => refuse(
                ErrorKind::Contact,
                format!(
                    "there is no contact {}; `sremp contacts` lists them, `sremp add CARD` adds one",
                    text::clean_line(who)
                ),
            ),
            several => refuse(
                ErrorKind::Contact,
                format!(
                    "{} contacts are called {}; name one by the first digits of its id: {}",
                    several.len(),
                    text::clean_line(who),
                    several
                        .iter()
                        .map(|n| n.key.to_string().chars().take(DIGITS).collect())
                        .collect::<Vec<String>>()
                        .join(", ")
                ),
            ),
        }
    }
}
