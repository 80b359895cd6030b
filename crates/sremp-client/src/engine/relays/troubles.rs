//! What a relay leaves undone although it can be connected to: it may answer whoever asks whether it is there,
//! and take nothing.

use std::{collections::BTreeMap, time::Duration};

use sremp_core::time::Tick;

use super::Session;

/// So often in a row it is told: a connection may break once with something under way.
const TOLD_FROM: u32 = 2;
/// What has not failed for so long is told no more: it may go another way by now.
const TOLD_FOR: Duration = Duration::from_secs(60 * 60);

/// What relays are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    /// To keep a message.
    Store,
    /// For the keys of a contact.
    Keys,
    /// Something about one's own mailbox.
    Errand,
}

/// Failures in a row.
struct Trouble {
    times: u32,
    last: Tick,
    cause: String,
}

/// What a relay has left undone since it last did the like.
#[derive(Default)]
pub(super) struct Troubles(BTreeMap<Asked, Trouble>);

impl Troubles {
    /// The connection has ended with something under way.
    pub(super) fn left(&mut self, session: &Session, cause: &str, now: Tick) {
        let under_way = [
            (Asked::Store, session.stores.is_empty()),
            (Asked::Keys, session.bundle_requests.is_empty()),
            (Asked::Errand, session.errands.is_empty()),
        ];
        for (asked, nothing) in under_way {
            if session.granted && !nothing {
                self.failed(asked, cause, now);
            }
        }
    }

    fn failed(&mut self, asked: Asked, cause: &str, now: Tick) {
        let times = self.0.get(&asked).map_or(0, |trouble| trouble.times);
        let trouble = Trouble {
            times: times.saturating_add(1),
            last: now,
            cause: cause.to_owned(),
        };
        self.0.insert(asked, trouble);
    }

    /// It has answered to this, well or with a refusal.
    pub(super) fn answered(&mut self, asked: Asked) {
        self.0.remove(&asked);
    }

    /// What the user is told of.
    pub(super) fn words(&self, now: Tick) -> Option<String> {
        let told =
            |trouble: &&Trouble| trouble.times >= TOLD_FROM && now.since(trouble.last) < TOLD_FOR;
        let mut troubles = self.0.iter();
        let (asked, trouble) = troubles.find(|(_, trouble)| told(trouble))?;
        let what = match asked {
            Asked::Store => "does not take the messages that it is given",
            Asked::Keys => "does not give the keys that it is asked for",
            Asked::Errand => "does not do what your mailbox asks of it",
        };
        Some(format!(
            "it {what}, {} times in a row: {}",
            trouble.times, trouble.cause
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_twice_in_a_row_is_told_until_it_is_done_or_an_hour_is_over() {
        let at = |seconds: u64| Tick::new(seconds * 1_000);
        let mut troubles = Troubles::default();
        troubles.failed(Asked::Store, "it fell silent", at(0));
        assert_eq!(troubles.words(at(1)), None, "once");
        troubles.failed(Asked::Keys, "it fell silent", at(2));
        troubles.failed(Asked::Store, "it broke the rules", at(3));
        let words = troubles.words(at(4)).unwrap();
        assert!(
            words.contains("2 times") && words.contains("broke the rules"),
            "{words}"
        );
        assert_eq!(troubles.words(at(3_603)), None);
        troubles.answered(Asked::Errand);
        assert!(troubles.words(at(4)).is_some(), "something else was done");
        troubles.answered(Asked::Store);
        assert_eq!(troubles.words(at(4)), None);
    }
}
