//! Answers what was committed: receipts, pushes, confirmations on their way back. One task beside
//! the committer, in the order of the commits; what was committed elsewhere is answered there.

use std::{
    collections::HashMap,
    sync::{Arc, mpsc::SyncSender},
};

use serde_bytes::ByteBuf;
use sremp_core::{
    error::ErrorCode,
    id::IdentityKey,
    relay::{
        Confirmation, Cursor, RelayMessage, StoreResponse, StoredMessage,
        proof::{Receipt, ReceiptTree},
    },
    time::UnixMillis,
};
use tokio::sync::mpsc::Receiver;

use crate::{
    answer::Routed,
    committer::{Answered, Pending},
    mailbox::{ConfirmationId, MailboxReader, Outcome, Route, Stored},
    service::Inner,
};

/// Commits that may wait to be answered.
pub(crate) const MAX_UNANSWERED: usize = 4;

/// What became of a batch.
pub(crate) enum Committed {
    /// It is durable: whom to answer, and what came of each.
    Done(Vec<Answered>, Vec<Outcome>),
    /// Nothing of it holds.
    Failed(Vec<Answered>),
    /// All before it is answered.
    Barrier(SyncSender<()>),
}

/// Runs until the committer has ended.
pub(crate) async fn run<R: MailboxReader>(inner: Arc<Inner<R>>, mut queue: Receiver<Committed>) {
    while let Some(committed) = queue.recv().await {
        let count = inner.committed(committed);
        inner.intake.answered(count);
    }
}

impl<R: MailboxReader> Inner<R> {
    /// Answers what was committed, or was not. How many requests that were.
    pub(crate) fn committed(self: &Arc<Self>, committed: Committed) -> usize {
        match committed {
            Committed::Done(answered, outcomes) => {
                let count = answered.len();
                self.answer(answered, outcomes);
                count
            }
            Committed::Failed(answered) => {
                let count = answered.len();
                answered
                    .into_iter()
                    .for_each(|answered| self.refuse(answered));
                count
            }
            Committed::Barrier(done) => {
                let _ = done.send(());
                1
            }
        }
    }

    fn refuse(&self, answered: Answered) {
        // not STORAGE, which says that something is wrong with one's own disk
        let code = ErrorCode::Full;
        self.metrics.refuse(ErrorCode::Storage.name());
        match answered {
            Answered::Store(store) => {
                store
                    .seat
                    .refuse_store(store.req_id, store.claim.message_id, code);
            }
            Answered::Change(answer) => answer.refused(self, code),
        }
    }

    fn answer(self: &Arc<Self>, answered: Vec<Answered>, outcomes: Vec<Outcome>) {
        let mut stored = Vec::new();
        let mut confirmed = Vec::new();
        for (answered, outcome) in answered.into_iter().zip(outcomes) {
            match (answered, outcome) {
                (Answered::Store(mut pending), Outcome::Stored(outcome)) => {
                    pending.claim.stored_at = outcome.stored_at;
                    pending.claim.expires_at = outcome.expires_at;
                    stored.push((pending, outcome));
                }
                (Answered::Store(pending), outcome) => self.refused_store(&pending, &outcome),
                (Answered::Change(answer), outcome) => {
                    confirmed.extend(answer.done(self, outcome));
                }
            }
        }
        self.receipts(&stored);
        for (pending, outcome) in stored {
            self.push(&pending, outcome);
        }
        self.route(confirmed);
    }

    fn refused_store(&self, pending: &Pending, outcome: &Outcome) {
        let code = match outcome {
            Outcome::Refused(ErrorCode::Storage) => ErrorCode::Full,
            Outcome::Refused(code) => *code,
            _ => ErrorCode::Full,
        };
        self.metrics.refuse(code.name());
        let message_id = pending.claim.message_id;
        pending.seat.refuse_store(pending.req_id, message_id, code);
    }

    fn signed(&self, stored: &[(Pending, Stored)]) -> Option<Vec<Receipt>> {
        if let [(pending, _)] = stored
            && let Some(ahead) = &pending.receipt
            && let Some(receipt) = ahead.receipt(&self.identity, &pending.claim)
        {
            return Some(vec![receipt.clone()]);
        }
        let claims = stored.iter().map(|(pending, _)| &pending.claim);
        let tree = ReceiptTree::sign(&self.identity, claims)?;
        Some((0..stored.len()).map(|index| tree.receipt(index)).collect())
    }

    /// One signature for all that this commit has stored.
    fn receipts(&self, stored: &[(Pending, Stored)]) {
        let Some(receipts) = self.signed(stored) else {
            return;
        };
        for ((pending, outcome), receipt) in stored.iter().zip(receipts) {
            match outcome.first {
                true => self.metrics.stored.inc(),
                false => self.metrics.repeated.inc(),
            };
            let response = StoreResponse {
                success: true,
                stored_at: outcome.stored_at,
                message_id: pending.claim.message_id,
                expires_at: outcome.expires_at,
                receipt_signature: ByteBuf::from(receipt.to_bytes()),
                error: None,
            };
            let response = RelayMessage::StoreResponse(response);
            pending.seat.send(&response, pending.req_id);
        }
    }

    /// To the reader, if it is there.
    fn push(&self, pending: &Pending, outcome: Stored) {
        if !outcome.first {
            return;
        }
        let Some(reader) = self.seats.subscriber(&pending.claim.recipient) else {
            return;
        };
        let item = || stored_message(pending, outcome.cursor, outcome.stored_at);
        let now = self.clock.tick();
        if reader.feed.committed(&reader, item, outcome.cursor, now) {
            self.metrics.delivered.inc();
        }
    }

    /// Confirmations to the senders that are connected, and to the relays of those who have named one:
    /// that may be gone for good.
    fn route(&self, confirmed: Routed) {
        let mut senders: HashMap<IdentityKey, Vec<(ConfirmationId, Confirmation)>> = HashMap::new();
        let mut elsewhere = false;
        for (id, route, confirmation) in confirmed {
            elsewhere |= matches!(route, Route::Relay(_));
            let list = senders.entry(confirmation.sender).or_default();
            list.push((id, confirmation));
        }
        for (sender, list) in senders {
            if let Some(seat) = self.seats.sender(&sender) {
                self.metrics.confirmations.inc_by(list.len() as u64);
                seat.lane.committed(&seat, list);
            }
        }
        if elsewhere {
            self.forward.notify_one();
        }
    }
}

fn stored_message(pending: &Pending, cursor: Cursor, stored_at: UnixMillis) -> StoredMessage {
    StoredMessage {
        message_id: pending.claim.message_id,
        sender: pending.claim.sender,
        timestamp: stored_at,
        encrypted_blob: ByteBuf::from(pending.blob.to_vec()),
        cursor,
    }
}
