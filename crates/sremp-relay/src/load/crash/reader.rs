//! Reads a mailbox and confirms what was read.

use std::collections::HashMap;

use sremp_core::{
    channel::Message,
    contact_card::RelayLink,
    id::{EnvelopeId, IdentityKey},
    identity::SecretIdentity,
    relay::{
        Confirmation, Cursor, MessageBatch, RelayEvent, Retrieve, Role, StoredMessage, Subscribe,
    },
};
use tokio::sync::watch;

use super::{
    Stage,
    ledger::{Inbox, Name},
    line::{Line, somebody},
    lives,
};
use crate::{clock::Clock, load::LoadError};

/// Confirmations of one message.
const MAX_LIST: usize = 128;
/// Most of a page.
const PAGE_ITEMS: u16 = 100;
const PAGE_BYTES: u32 = 1024 * 1024;

pub(super) struct Reader {
    own: SecretIdentity,
    pub(super) inbox: Inbox,
}

impl Reader {
    pub(super) fn new() -> Self {
        let own = somebody();
        Self {
            inbox: Inbox::of(own.id().into()),
            own,
        }
    }

    pub(super) fn key(&self) -> IdentityKey {
        self.own.id().into()
    }

    /// Makes the mailbox.
    pub(super) async fn move_in(&self, link: &RelayLink) -> Result<(), LoadError> {
        let line = Line::open(&self.own, link, Role::Owner).await;
        line.map(drop).ok_or_else(unreachable)
    }

    /// Takes what is pushed, over all lives of the relay, until told to stop.
    pub(super) async fn stay(mut self, link: RelayLink, mut stage: watch::Receiver<Stage>) -> Self {
        loop {
            let life = stage.borrow().life;
            let mut told = stage.clone();
            tokio::select! {
                _ = told.wait_for(|stage| !stage.reading) => return self,
                () = self.serve(&link) => {}
            }
            if !lives(&mut stage, life).await {
                return self;
            }
        }
    }

    /// One connection, until it is lost. It asks for everything, so that what comes again is seen.
    async fn serve(&mut self, link: &RelayLink) {
        let Some(mut line) = Line::open(&self.own, link, Role::Owner).await else {
            return;
        };
        let subscribe = Subscribe {
            after: Cursor::START,
            credit_items: 256,
            credit_bytes: PAGE_BYTES,
        };
        let Ok(message) = line.machine.subscribe(subscribe) else {
            return;
        };
        line.send(message);
        let mut asked = HashMap::new();
        while let Some(event) = line.event().await {
            let mut list = Vec::new();
            self.heard(event, &mut list, &mut asked);
            while list.len() < MAX_LIST
                && let Some(event) = line.event_at_hand()
            {
                self.heard(event, &mut list, &mut asked);
            }
            self.confirm(&mut line, list, &mut asked);
        }
    }

    fn heard(
        &mut self,
        event: RelayEvent,
        list: &mut Vec<Confirmation>,
        asked: &mut HashMap<u32, Vec<Name>>,
    ) {
        match event {
            RelayEvent::Item(item) => list.push(self.take(&item)),
            RelayEvent::Confirmed { req_id, refused } => {
                let names = asked.remove(&req_id).unwrap_or_default();
                self.inbox.settled(&names, &refused);
            }
            _ => {}
        }
    }

    /// Keeps a message in mind, and signs that it is here.
    fn take(&mut self, item: &StoredMessage) -> Confirmation {
        let hash = EnvelopeId::of(&item.encrypted_blob);
        self.inbox.given(item, hash);
        Confirmation::sign(&self.own, item.sender, item.message_id, hash, Clock::wall())
    }

    fn confirm(
        &self,
        line: &mut Line,
        list: Vec<Confirmation>,
        asked: &mut HashMap<u32, Vec<Name>>,
    ) {
        let names: Vec<Name> = list.iter().map(|c| (c.sender, c.message_id)).collect();
        if names.is_empty() {
            return;
        }
        if let Ok(message) = line.machine.confirm(list) {
            asked.insert(message.req_id, names);
            line.send(message);
        }
    }

    /// Fetches and confirms everything that the relay still gives, page by page.
    pub(super) async fn drain(mut self, link: RelayLink) -> Result<Self, LoadError> {
        let line = Line::open(&self.own, &link, Role::Owner).await;
        let mut line = line.ok_or_else(unreachable)?;
        let mut after = Cursor::START;
        loop {
            let page = self.page(&mut line, after).await?;
            after = page.next;
            let list: Vec<_> = page.messages.iter().map(|item| self.take(item)).collect();
            if !list.is_empty() {
                self.settle(&mut line, list).await?;
            }
            if !page.has_more {
                return Ok(self);
            }
        }
    }

    async fn page(&self, line: &mut Line, after: Cursor) -> Result<MessageBatch, LoadError> {
        let retrieve = Retrieve {
            identity: self.key(),
            since: None,
            after,
            max_items: PAGE_ITEMS,
            max_bytes: PAGE_BYTES,
        };
        let message = line.machine.retrieve(retrieve).map_err(|_| unreachable())?;
        match answer(line, message).await? {
            RelayEvent::Batch { batch, .. } => Ok(batch),
            other => Err(unexpected(&other)),
        }
    }

    async fn settle(&mut self, line: &mut Line, list: Vec<Confirmation>) -> Result<(), LoadError> {
        let names: Vec<Name> = list.iter().map(|c| (c.sender, c.message_id)).collect();
        let message = line.machine.confirm(list).map_err(|_| unreachable())?;
        match answer(line, message).await? {
            RelayEvent::Confirmed { refused, .. } => self.inbox.settled(&names, &refused),
            other => return Err(unexpected(&other)),
        }
        Ok(())
    }
}

async fn answer(line: &mut Line, message: Message) -> Result<RelayEvent, LoadError> {
    line.send(message);
    line.event().await.ok_or_else(unreachable)
}

fn unreachable() -> LoadError {
    LoadError("the relay cannot be reached, though it should run".to_owned())
}

fn unexpected(event: &RelayEvent) -> LoadError {
    LoadError(format!("the relay answers an owner with {event:?}"))
}
