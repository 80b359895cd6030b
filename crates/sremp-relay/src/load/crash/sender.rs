//! Stores, asks again for what was not answered, and hears of what was confirmed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use sremp_core::{
    contact_card::RelayLink,
    error::ErrorCode,
    id::IdentityKey,
    identity::SecretIdentity,
    relay::{MessageId, RelayClient, RelayEvent, Role, ToStore},
};
use tokio::{sync::watch, time::timeout};

use super::{
    Stage,
    ledger::Outbox,
    line::{Line, somebody},
    lives,
};

/// How long the relay is to keep a message, seconds.
const TTL: u32 = 86_400;
/// The longest silence while confirmations are still to come.
const SILENCE: Duration = Duration::from_secs(3);

pub(super) struct Sender {
    own: SecretIdentity,
    pub(super) outbox: Outbox,
    recipients: Arc<[IdentityKey]>,
    next: usize,
    window: usize,
    size: usize,
    /// To be asked again after the connection.
    unanswered: HashMap<MessageId, ToStore>,
    /// Answered as the last one; asked again once more, as if its answer had been lost.
    last: Option<ToStore>,
    acknowledged: watch::Sender<u64>,
}

impl Sender {
    pub(super) fn new(
        recipients: Arc<[IdentityKey]>,
        next: usize,
        (window, size): (usize, usize),
        acknowledged: watch::Sender<u64>,
    ) -> Self {
        let own = somebody();
        Self {
            outbox: Outbox::of(own.id().into()),
            own,
            recipients,
            next,
            window,
            size,
            unanswered: HashMap::new(),
            last: None,
            acknowledged,
        }
    }

    /// Stores over all lives of the relay until told to stop and answered everything.
    pub(super) async fn stay(mut self, link: RelayLink, mut stage: watch::Receiver<Stage>) -> Self {
        loop {
            let life = stage.borrow().life;
            if let Some(line) = Line::open(&self.own, &link, Role::Sender).await
                && self.serve(line, &stage).await.is_some()
            {
                return self;
            }
            if !lives(&mut stage, life).await {
                return self;
            }
        }
    }

    /// One connection; `None` when it was lost.
    async fn serve(&mut self, mut line: Line, stage: &watch::Receiver<Stage>) -> Option<()> {
        let mut under_way = HashMap::new();
        let last = self.last.take().map(|store| (store.message_id, store));
        self.unanswered.extend(last);
        for store in self.unanswered.values() {
            let id = store.message_id;
            under_way.insert(self.ask(&mut line, store.clone())?, id);
        }
        loop {
            while stage.borrow().sending && under_way.len() < self.window {
                let store = self.another()?;
                let id = store.message_id;
                under_way.insert(self.ask(&mut line, store)?, id);
            }
            if under_way.is_empty() {
                return Some(());
            }
            let event = line.event().await?;
            self.heard(&line, &mut under_way, event);
        }
    }

    fn ask(&self, line: &mut Line, store: ToStore) -> Option<u32> {
        let message = line.machine.store(&self.own, store).ok()?;
        let req_id = message.req_id;
        line.send(message);
        Some(req_id)
    }

    /// Another message, for the next recipient.
    fn another(&mut self) -> Option<ToStore> {
        let count = self.recipients.len();
        let recipient = *self.recipients.get(self.next % count.max(1))?;
        self.next = self.next.wrapping_add(1);
        let mut envelope = vec![0; self.size];
        if let Some(head) = envelope.first_chunk_mut::<32>() {
            *head = rand::random();
        }
        let store = ToStore {
            recipient,
            envelope,
            message_id: MessageId::new(rand::random()),
            ttl: TTL,
            reply_relay: None,
            intro: None,
        };
        self.outbox.asked(&store);
        self.unanswered.insert(store.message_id, store.clone());
        Some(store)
    }

    fn heard(&mut self, line: &Line, under_way: &mut HashMap<u32, MessageId>, event: RelayEvent) {
        match event {
            RelayEvent::Stored { req_id, claim, .. } => {
                under_way.remove(&req_id);
                self.last = self.unanswered.remove(&claim.message_id);
                if self.outbox.promised(&claim) {
                    self.acknowledged.send_modify(|count| *count += 1);
                }
            }
            RelayEvent::Refused { req_id, code, .. } => {
                if let Some(id) = under_way.remove(&req_id) {
                    self.unanswered.remove(&id);
                    self.outbox.refused(code == ErrorCode::BadProof.to_u16());
                }
            }
            event => self.confirmations(line, event),
        }
    }

    fn confirmations(&mut self, line: &Line, event: RelayEvent) {
        let RelayEvent::Confirmations {
            req_id,
            confirmations,
            refused,
        } = event
        else {
            return;
        };
        self.outbox.heard_nonsense(refused.len());
        for confirmation in &confirmations {
            self.outbox.heard(confirmation);
        }
        line.send(RelayClient::taken(req_id, refused));
    }

    /// Hears of confirmations while others fetch: of one who is not there a relay keeps 10,000.
    pub(super) async fn listen(mut self, link: RelayLink, mut over: watch::Receiver<bool>) -> Self {
        let Some(mut line) = Line::open(&self.own, &link, Role::Sender).await else {
            return self;
        };
        loop {
            let event = tokio::select! {
                _ = over.wait_for(|over| *over) => return self,
                event = line.event() => event,
            };
            let Some(event) = event else {
                return self;
            };
            self.confirmations(&line, event);
        }
    }

    /// Waits until all of these were heard of, or nothing comes any more.
    pub(super) async fn hear(mut self, link: RelayLink, of: HashSet<MessageId>) -> Self {
        let Some(mut line) = Line::open(&self.own, &link, Role::Sender).await else {
            return self;
        };
        while self.outbox.unheard(&of) > 0 {
            let Ok(Some(event)) = timeout(SILENCE, line.event()).await else {
                break;
            };
            self.confirmations(&line, event);
        }
        self
    }
}
