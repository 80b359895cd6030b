//! Commands in the few words that people say; what is not said is as it mostly is.

use sremp_client::view::{Action, Command, Wait};
use sremp_core::{identity::Trust, route::Choice};

/// A text to a contact.
pub fn send(contact: &str, text: &str) -> Command {
    Command::Send {
        contact: contact.to_owned(),
        text: text.to_owned(),
        reply_to: None,
        key: None,
        wait: Wait::Outbox,
        timeout_ms: 0,
    }
}

/// Something that is done to messages which were sent before.
pub fn act(action: Action) -> Command {
    Command::Act {
        action,
        wait: Wait::Outbox,
        timeout_ms: 0,
    }
}

/// A card, an id or the name of a request; not under a name like that of another contact.
pub fn add(who: &str, alias: Option<&str>) -> Command {
    Command::Add {
        who: who.to_owned(),
        alias: alias.map(str::to_owned),
        despite_confusable: false,
    }
}

/// The user's word on a contact.
pub fn trust(contact: &str, trust: Trust) -> Command {
    Command::SetTrust {
        contact: contact.to_owned(),
        trust,
    }
}

/// A safety number, to be shown or to be compared.
pub fn verify(contact: &str, number: Option<String>) -> Command {
    Command::Verify {
        contact: contact.to_owned(),
        number,
    }
}

/// Whether a contact is dialled.
pub fn direct(contact: &str, direct: Choice) -> Command {
    Command::SetDirect {
        contact: contact.to_owned(),
        direct,
    }
}

/// The whole conversation with a contact.
pub fn history(contact: &str) -> Command {
    Command::History {
        contact: contact.to_owned(),
        before: None,
        limit: 1_000,
    }
}

/// Every event so far.
pub const fn events() -> Command {
    Command::Events {
        after: Some(0),
        limit: 1_000,
        wait_ms: 0,
    }
}

/// Messages with these words.
pub fn search(words: &str) -> Command {
    Command::Search {
        words: words.to_owned(),
        limit: 1_000,
    }
}
