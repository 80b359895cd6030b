//! The one writer: takes all that waits, checks its signatures, commits it as one transaction, and
//! only then answers (D6.5).

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel},
    },
    thread,
    time::Instant,
};

use serde_bytes::ByteBuf;
use sremp_core::{
    error::ErrorCode,
    id::IdentityKey,
    relay::{
        Confirmation, Cursor, RelayMessage, StoreResponse, StoredMessage, UncheckedStore,
        proof::{ReceiptClaim, ReceiptTree, check_stores},
    },
    time::UnixMillis,
};

use tokio::sync::oneshot;

use crate::{
    answer::Answer,
    clock::Clock,
    desk::Job,
    mailbox::{
        ConfirmationId, MailboxReader, MailboxStore, Op, Outcome, Route, StoreError, StoreOp,
        Stored,
    },
    seats::Seat,
    service::Inner,
};

/// Most requests of one transaction: beyond, the first would wait for the last.
const MAX_BATCH: usize = 512;

/// Something to be written.
#[derive(Debug)]
pub(crate) enum Work {
    /// A message whose signature is yet to be checked.
    Store {
        seat: Arc<Seat>,
        req_id: u32,
        store: Box<UncheckedStore>,
    },
    /// Anything else.
    Change { op: Box<Op>, answer: Answer },
    /// To be told when all before it is done.
    Barrier(SyncSender<()>),
    /// A copy of the store, to be made between two commits.
    Stop,
}

impl Work {
    fn cost(&self) -> usize {
        const OVERHEAD: usize = 512;
        match self {
            Self::Store { store, .. } => store.message.encrypted_blob.len() + OVERHEAD,
            _ => OVERHEAD,
        }
    }
}

/// Where work is handed in; bounded in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    queue: Sender<Work>,
    waiting: Arc<AtomicUsize>,
    max: usize,
}

/// As much waits for the disk as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Intake {
    pub(crate) fn new(max: usize) -> (Self, Receiver<Work>) {
        let (queue, receiver) = channel();
        let intake = Self {
            queue,
            waiting: Arc::default(),
            max,
        };
        (intake, receiver)
    }

    /// Hands in work that may be refused.
    pub(crate) fn submit(&self, work: Work) -> Result<(), Full> {
        let cost = work.cost();
        let fits = |waiting: usize| {
            let sum = waiting.saturating_add(cost);
            (sum <= self.max).then_some(sum)
        };
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map_err(|_| Full)?;
        self.queue.send(work).map_err(|_| Full)
    }

    /// Hands in what the relay itself has to do.
    pub(crate) fn insist(&self, work: Work) {
        self.waiting.fetch_add(work.cost(), Ordering::Relaxed);
        // the committer has ended: so does the relay
        let _ = self.queue.send(work);
    }

    fn taken(&self, work: &Work) {
        self.waiting.fetch_sub(work.cost(), Ordering::Relaxed);
    }
}

/// A store that is about to be carried out, and whom to answer.
struct Pending {
    seat: Arc<Seat>,
    req_id: u32,
    claim: ReceiptClaim,
    blob: Arc<[u8]>,
}

/// Whom to answer, in the order of the ops.
enum Answered {
    Store(Pending),
    Change(Answer),
}

/// The thread that writes.
pub(crate) struct Committer<S: MailboxStore> {
    store: S,
    queue: Receiver<Work>,
    inner: Arc<Inner<S::Reader>>,
}

impl<S: MailboxStore> Committer<S> {
    pub(crate) fn new(store: S, queue: Receiver<Work>, inner: Arc<Inner<S::Reader>>) -> Self {
        Self {
            store,
            queue,
            inner,
        }
    }

    /// Starts the thread. It ends with [`Work::Stop`], or with an error after which the store has
    /// to be opened again; how it ended comes through the channel.
    pub(crate) fn spawn(self) -> std::io::Result<oneshot::Receiver<Result<(), StoreError>>> {
        let (ended, end) = oneshot::channel();
        let named = thread::Builder::new().name("sremp-commit".to_owned());
        named.spawn(move || {
            let _ = ended.send(self.run());
        })?;
        Ok(end)
    }

    fn run(mut self) -> Result<(), StoreError> {
        loop {
            let work = match self.queue.try_recv() {
                Ok(work) => work,
                Err(_) => {
                    self.rest()?;
                    let Ok(work) = self.queue.recv() else {
                        return Ok(());
                    };
                    work
                }
            };
            let (batch, barriers, stop) = self.take(work);
            self.commit(batch)?;
            for barrier in barriers {
                let _ = barrier.send(());
            }
            if stop {
                return self.rest();
            }
        }
    }

    fn rest(&mut self) -> Result<(), StoreError> {
        match self.store.rest() {
            Err(error) if !error.is_passing() => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes what waits.
    fn take(&self, first: Work) -> (Vec<Work>, Vec<SyncSender<()>>, bool) {
        let (mut batch, mut barriers) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(work) = next {
            self.inner.intake.taken(&work);
            match work {
                Work::Barrier(barrier) => barriers.push(barrier),
                Work::Stop => return (batch, barriers, true),
                work => batch.push(work),
            }
            next = match batch.len() < MAX_BATCH {
                true => self.queue.try_recv().ok(),
                false => None,
            };
        }
        (batch, barriers, false)
    }

    fn commit(&mut self, batch: Vec<Work>) -> Result<(), StoreError> {
        let (ops, answered) = self.ops(batch);
        if ops.is_empty() {
            return Ok(());
        }
        let (began, count, now) = (Instant::now(), ops.len(), Clock::wall());
        match self.store.commit(now, ops) {
            Ok(outcomes) => {
                self.inner.metrics.committed(count, began.elapsed());
                self.show();
                self.answer(answered, outcomes);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "nothing was stored");
                answered
                    .into_iter()
                    .for_each(|answered| self.refuse(answered));
                match error.is_passing() {
                    true => Ok(()),
                    false => Err(error),
                }
            }
        }
    }

    /// The ops of a batch, without the stores whose signatures do not hold.
    fn ops(&self, batch: Vec<Work>) -> (Vec<Op>, Vec<Answered>) {
        let signed: Vec<_> = batch
            .iter()
            .filter_map(|work| match work {
                Work::Store { seat, store, .. } => {
                    Some((seat.peer, store.claim, *store.signature()))
                }
                _ => None,
            })
            .collect();
        let mut verdicts = check_stores(&signed).into_iter();
        let (mut ops, mut answered) = (Vec::new(), Vec::new());
        for work in batch {
            match work {
                Work::Store {
                    seat,
                    req_id,
                    store,
                } => match verdicts.next() {
                    Some(Ok(())) => {
                        let (op, pending) = self.store_op(seat, req_id, *store);
                        ops.push(Op::Store(Box::new(op)));
                        answered.push(Answered::Store(pending));
                    }
                    _ => {
                        self.inner.metrics.refuse(ErrorCode::BadProof.name());
                        seat.refuse_store(req_id, store.claim.message_id, ErrorCode::BadProof);
                        // an honest client never does this, and it costs its whole batch time
                        seat.close(ErrorCode::ProtocolViolation);
                    }
                },
                Work::Change { op, answer } => {
                    ops.push(*op);
                    answered.push(Answered::Change(answer));
                }
                Work::Barrier(_) | Work::Stop => {}
            }
        }
        (ops, answered)
    }

    fn store_op(&self, seat: Arc<Seat>, req_id: u32, store: UncheckedStore) -> (StoreOp, Pending) {
        let UncheckedStore { message, claim } = store;
        let blob: Arc<[u8]> = Arc::from(message.encrypted_blob.into_vec());
        let sender = seat.key();
        let op = StoreOp {
            sender,
            recipient: claim.recipient,
            message_id: claim.message_id,
            blob: blob.clone(),
            hash: claim.blob_hash,
            ttl: claim.ttl.min(self.inner.config.mailbox.max_retention),
            reply_relay: message
                .reply_relay
                .as_ref()
                .and_then(|reply| self.inner.other_relay(reply)),
            intro: message.intro,
        };
        let claim = ReceiptClaim {
            sender,
            recipient: claim.recipient,
            message_id: claim.message_id,
            blob_hash: claim.blob_hash,
            stored_at: UnixMillis::ZERO,
            expires_at: UnixMillis::ZERO,
        };
        let pending = Pending {
            seat,
            req_id,
            claim,
            blob,
        };
        (op, pending)
    }

    /// Brings the gauges up to date.
    fn show(&self) {
        let (stats, metrics) = (self.store.stats(), &self.inner.metrics);
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.mailboxes.set(gauge(stats.mailboxes));
        metrics.items.set(gauge(stats.items));
        metrics.bytes.set(gauge(stats.bytes));
        let oldest = stats
            .oldest
            .map_or(0, |at| Clock::wall().since(at).as_secs());
        metrics.oldest.set(gauge(oldest));
    }

    fn refuse(&self, answered: Answered) {
        // not STORAGE, which says that something is wrong with one's own disk
        let code = ErrorCode::Full;
        self.inner.metrics.refuse(ErrorCode::Storage.name());
        match answered {
            Answered::Store(store) => {
                store
                    .seat
                    .refuse_store(store.req_id, store.claim.message_id, code);
            }
            Answered::Change(answer) => answer.refused(&self.inner, code),
        }
    }

    fn answer(&self, answered: Vec<Answered>, outcomes: Vec<Outcome>) {
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
                    confirmed.extend(answer.done(&self.inner, outcome));
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
        self.inner.metrics.refuse(code.name());
        let message_id = pending.claim.message_id;
        pending.seat.refuse_store(pending.req_id, message_id, code);
    }

    /// One signature for all that this commit has stored.
    fn receipts(&self, stored: &[(Pending, Stored)]) {
        let claims = stored.iter().map(|(pending, _)| &pending.claim);
        let Some(tree) = ReceiptTree::sign(&self.inner.identity, claims) else {
            return;
        };
        for (index, (pending, outcome)) in stored.iter().enumerate() {
            match outcome.first {
                true => self.inner.metrics.stored.inc(),
                false => self.inner.metrics.repeated.inc(),
            };
            let response = StoreResponse {
                success: true,
                stored_at: outcome.stored_at,
                message_id: pending.claim.message_id,
                expires_at: outcome.expires_at,
                receipt_signature: ByteBuf::from(tree.receipt(index).to_bytes()),
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
        let Some(reader) = self.inner.seats.subscriber(&pending.claim.recipient) else {
            return;
        };
        let item = || stored_message(pending, outcome.cursor, outcome.stored_at);
        let now = self.inner.clock.tick();
        if reader.feed.committed(&reader, item, outcome.cursor, now) {
            self.inner.metrics.delivered.inc();
        }
    }

    /// Confirmations to the senders that are connected, and to the relays of the others.
    fn route(&self, confirmed: Vec<(ConfirmationId, Route, Confirmation)>) {
        let mut senders: HashMap<IdentityKey, Vec<(ConfirmationId, Confirmation)>> = HashMap::new();
        let mut elsewhere = false;
        for (id, route, confirmation) in confirmed {
            match route {
                Route::Sender(sender) => {
                    senders.entry(sender).or_default().push((id, confirmation))
                }
                Route::Relay(_) => elsewhere = true,
            }
        }
        for (sender, list) in senders {
            if let Some(seat) = self.inner.seats.sender(&sender) {
                self.inner.metrics.confirmations.inc_by(list.len() as u64);
                seat.lane.committed(&seat, list);
            }
        }
        if elsewhere {
            self.inner.forward.notify_one();
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

impl<R: MailboxReader> Inner<R> {
    /// Asks the desk to read for a seat's feed.
    pub(crate) fn read_feed(&self, seat: &Arc<Seat>) {
        self.desk(Job::Feed(seat.clone()));
    }

    /// Asks the desk to read for a seat's confirmations.
    pub(crate) fn read_confirmations(&self, seat: &Arc<Seat>) {
        self.desk(Job::Confirmations(seat.clone()));
    }
}
