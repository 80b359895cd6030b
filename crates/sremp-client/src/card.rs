//! Cards as faces show them before the user decides.

use sremp_core::{
    contact_card::{CardError, ContactCard},
    id::ContactId,
    text,
};
use sremp_net::clock::wall;

use crate::{
    clock::Rfc3339,
    view::{CommandError, ErrorKind},
};

/// What a card says. That it is unaltered is proved; who showed it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardView {
    /// `identity_key` of its owner, 64 hex digits.
    pub id: String,
    /// What its owner wants to be called, cleaned.
    pub username: Option<String>,
    /// Addresses of its owner, `HOST:PORT`.
    pub endpoints: Vec<String>,
    /// Relays of its owner, `HOST:PORT`.
    pub relays: Vec<String>,
    /// Rendezvous servers that may tell where its owner is, `HOST:PORT`.
    pub rendezvous: Vec<String>,
    /// Whether it can be used once.
    pub one_time: bool,
    /// When it ceases to hold.
    pub expires: Option<Rfc3339>,
    /// The text for its QR code, alphanumeric.
    pub qr: String,
}

/// Whether a text is meant to be a card.
pub fn looks_like_one(text: &str) -> bool {
    let scheme = text.trim_start().get(..6);
    scheme.is_some_and(|s| s.eq_ignore_ascii_case("sremp:"))
}

/// Whether a text is as long as an id and cannot be one: half of all slips are found so.
pub fn is_broken_id(text: &str) -> bool {
    let digits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    digits && text.parse::<ContactId>().is_err()
}

/// Reads a card, URI or QR text.
///
/// # Errors
/// [`ErrorKind::Card`]: incomplete, altered, expired, or of a newer version.
pub fn read(text: &str) -> Result<CardView, CommandError> {
    let card = ContactCard::parse(text, wall()).map_err(|e| refusal(&e))?;
    let content = card.content();
    let relays = content.relays.iter().map(|r| r.endpoint.to_string());
    Ok(CardView {
        id: card.id().to_string(),
        username: content
            .username
            .as_ref()
            .map(|n| text::clean_line(n.as_str())),
        endpoints: content.endpoints.iter().map(ToString::to_string).collect(),
        relays: relays.collect(),
        rendezvous: content.rendezvous.iter().map(ToString::to_string).collect(),
        one_time: content.intro.is_some_and(|intro| intro.one_time),
        expires: content.expires.map(Rfc3339),
        qr: card.to_qr_text(),
    })
}

/// What is wrong with a card and what to do.
pub(crate) fn refusal(error: &CardError) -> CommandError {
    let what = match error {
        CardError::Malformed => "this is no complete card; copy it again, all of it",
        CardError::Altered => {
            "this card was altered after its owner signed it; get it again, over another way"
        }
        CardError::Expired { .. } => "this card has expired; ask its owner for a new one",
        CardError::Unsupported => "this card needs a newer version of sremp; update and try again",
        CardError::TooLong => "this is no card: it is longer than a card can be",
    };
    CommandError::new(ErrorKind::Card, what)
}
