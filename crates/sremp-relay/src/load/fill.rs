//! Messages that wait: so many of them stored, as fast as they are answered.

use std::sync::Arc;

use sremp_core::{
    contact_card::RelayLink,
    id::IdentityKey,
    relay::{MessageId, Role},
};
use tokio::task::JoinSet;

use super::{
    LoadError,
    peer::{LoadPeer, SentTimes},
};

/// Who stores, and how many each has under way.
const SENDERS: u64 = 32;
const WINDOW: usize = 16;

/// Mailboxes whose owners have gone.
#[derive(Clone, Debug)]
pub struct Mailboxes(Arc<[IdentityKey]>);

/// What one sender has stored, in the order in which it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Who.
    pub sender: IdentityKey,
    /// What was acknowledged.
    pub ids: Vec<MessageId>,
}

impl Mailboxes {
    /// Has so many mailboxes made.
    ///
    /// # Errors
    /// [`LoadError`] when the relay cannot be reached or refuses to register somebody.
    pub async fn open(link: &RelayLink, count: usize) -> Result<Self, LoadError> {
        let sent = Arc::new(SentTimes::new());
        let mut keys = Vec::new();
        for _ in 0..count.max(1) {
            let owner = LoadPeer::registered(link, Role::Owner, 0, sent.clone()).await?;
            keys.push(owner.key());
        }
        Ok(Self(keys.into()))
    }

    pub(super) fn one(key: IdentityKey) -> Self {
        Self(Arc::new([key]))
    }

    pub(super) fn keys(&self) -> Arc<[IdentityKey]> {
        self.0.clone()
    }

    /// Stores so many messages into them in turn.
    ///
    /// # Errors
    /// [`LoadError`] when one is refused or not answered.
    pub async fn fill(
        &self,
        link: &RelayLink,
        messages: u64,
        size: usize,
    ) -> Result<Vec<Stored>, LoadError> {
        let sent = Arc::new(SentTimes::new());
        let mut filling = JoinSet::new();
        for n in 0..SENDERS.min(messages) {
            let sender = LoadPeer::registered(link, Role::Sender, size, sent.clone()).await?;
            let share = messages / SENDERS + u64::from(n < messages % SENDERS);
            filling.spawn(store(sender, self.clone(), n, share));
        }
        filling.join_all().await.into_iter().collect()
    }
}

async fn store(
    mut peer: LoadPeer,
    mailboxes: Mailboxes,
    n: u64,
    share: u64,
) -> Result<Stored, LoadError> {
    let first = usize::try_from(n).unwrap_or(0);
    let keys = mailboxes.0.iter().cycle().skip(first);
    let mut keys = keys.take(usize::try_from(share).unwrap_or(usize::MAX));
    let mut ids = Vec::new();
    loop {
        while peer.under_way() < WINDOW
            && let Some(key) = keys.next()
        {
            ids.push(peer.store(*key));
        }
        if peer.under_way() == 0 {
            let sender = peer.key();
            return Ok(Stored { sender, ids });
        }
        match peer.answer().await {
            Some(heard) if heard.refused == 0 => {}
            Some(_) => return Err(LoadError("the relay refuses to store".to_owned())),
            None => return Err(LoadError("the relay does not answer a store".to_owned())),
        }
    }
}
