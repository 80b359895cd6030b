//! A mailbox that was left alone for long, and its owner who comes back.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use sremp_core::{
    contact_card::RelayLink,
    id::IdentityKey,
    relay::{MessageId, Role, StoredMessage},
};

use super::{
    LoadError,
    fill::{Mailboxes, Stored},
    peer::{Came, LoadPeer, SentTimes},
};

/// The longest silence while something is still to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mailbox with messages, whose owner is there and has not asked for them.
pub struct Backlog {
    owner: LoadPeer,
    stored: Vec<Stored>,
}

impl std::fmt::Debug for Backlog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Backlog({})", self.len())
    }
}

/// How it was fetched.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Drained {
    /// Messages that waited.
    pub stored: u64,
    /// Messages that came.
    pub drained: u64,
    /// Of those: had come before, were never stored, or overtook another of their sender.
    pub misplaced: u64,
    /// Confirmations that were checked and committed.
    pub confirmed: u64,
    /// Confirmations that were refused.
    pub refused: u64,
    /// What a look into the mailbox finds afterwards.
    pub left: usize,
    /// From SUBSCRIBE to the first message.
    pub first_ms: f64,
    /// From SUBSCRIBE to the answer to the last confirmation.
    pub seconds: f64,
    /// Messages a second in that time.
    pub drained_per_s: f64,
}

impl Backlog {
    /// Stores so many messages into one mailbox.
    ///
    /// # Errors
    /// [`LoadError`] when the relay refuses something, or does not answer.
    pub async fn store(link: &RelayLink, messages: u64, size: usize) -> Result<Self, LoadError> {
        let sent = Arc::new(SentTimes::new());
        let owner = LoadPeer::registered(link, Role::Owner, size, sent).await?;
        let mailbox = Mailboxes::one(owner.key());
        let stored = mailbox.fill(link, messages, size).await?;
        Ok(Self { owner, stored })
    }

    fn len(&self) -> u64 {
        self.stored.iter().map(|s| s.ids.len() as u64).sum()
    }

    /// Fetches and confirms all of it.
    ///
    /// # Errors
    /// [`LoadError`] when the relay falls silent.
    pub async fn drain(mut self) -> Result<Drained, LoadError> {
        let silent = || LoadError("the relay is silent while messages wait".to_owned());
        let mut drained = Drained {
            stored: self.len(),
            ..Drained::default()
        };
        let mut expected = Expected::of(&self.stored);
        let began = Instant::now();
        let mut heard = began;
        self.owner.subscribe();
        while drained.confirmed + drained.refused < drained.stored {
            let came = self.owner.items().await.ok_or_else(silent)?;
            if came.items.is_empty() && came.settled + came.refused == 0 {
                if heard.elapsed() > PATIENCE {
                    return Err(silent());
                }
                continue;
            }
            heard = Instant::now();
            if drained.drained == 0 {
                drained.first_ms = began.elapsed().as_secs_f64() * 1e3;
            }
            drained.note(&came, &mut expected);
            self.owner.confirm(came.items);
        }
        drained.seconds = began.elapsed().as_secs_f64();
        drained.drained_per_s = drained.confirmed as f64 / drained.seconds;
        drained.left = self.owner.left().await.ok_or_else(silent)?;
        Ok(drained)
    }
}

impl Drained {
    fn note(&mut self, came: &Came, expected: &mut Expected<'_>) {
        self.confirmed += came.settled;
        self.refused += came.refused;
        for item in &came.items {
            self.drained += 1;
            self.misplaced += u64::from(!expected.is_next(&item.item));
        }
    }
}

/// What is to come next of each sender.
struct Expected<'a>(HashMap<IdentityKey, std::slice::Iter<'a, MessageId>>);

impl<'a> Expected<'a> {
    fn of(stored: &'a [Stored]) -> Self {
        Self(stored.iter().map(|s| (s.sender, s.ids.iter())).collect())
    }

    fn is_next(&mut self, item: &StoredMessage) -> bool {
        let of_sender = self.0.get_mut(&item.sender);
        of_sender.is_some_and(|ids| ids.next() == Some(&item.message_id))
    }
}

#[cfg(test)]
mod tests {
    use sremp_core::{relay::Cursor, time::UnixMillis};

    use super::*;

    fn item(sender: u8, id: u64) -> StoredMessage {
        StoredMessage {
            message_id: MessageId::new(id),
            sender: IdentityKey::new([sender; 32]),
            timestamp: UnixMillis::ZERO,
            encrypted_blob: Vec::new().into(),
            cursor: Cursor::START,
        }
    }

    #[test]
    fn what_comes_twice_or_overtakes_or_was_never_stored_is_not_next() {
        let stored = [(1, vec![10, 11, 12]), (2, vec![20])].map(|(sender, ids)| Stored {
            sender: IdentityKey::new([sender; 32]),
            ids: ids.into_iter().map(MessageId::new).collect(),
        });
        let mut expected = Expected::of(&stored);
        let mut is_next = |sender, id| expected.is_next(&item(sender, id));
        assert!(is_next(1, 10), "the first of a sender");
        assert!(is_next(2, 20), "senders take turns as they like");
        assert!(!is_next(2, 20), "twice");
        assert!(!is_next(1, 12), "it overtakes 11");
        assert!(!is_next(3, 10), "nobody's");
    }
}
