//! The one writer: takes all that waits, commits it as one transaction, and only then has it
//! answered (D6.5).

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use sremp_core::relay::proof::ReceiptClaim;
use tokio::sync::{mpsc, oneshot};

use crate::{
    answer::Answer,
    answers::Committed,
    clock::Clock,
    mailbox::{MailboxStore, Op, StoreError},
    seats::Seat,
    service::Inner,
};

/// Most requests of one transaction: beyond, the first would wait for the last.
const MAX_BATCH: usize = 512;
/// Nothing came for this long: time for what would else be done during a commit. A reader and a writer
/// who talk do not wait for it.
const AT_REST: Duration = Duration::from_millis(250);
/// How often the gauges are brought up to date under load.
const SHOW: Duration = Duration::from_secs(1);

/// Work whose signatures hold.
pub(crate) enum Checked {
    /// A message to be kept, and whom to answer.
    Store(Box<Op>, Pending),
    /// Anything else.
    Change(Box<Op>, Answer),
    /// To be told when all before it is done and answered.
    Barrier(SyncSender<()>),
    /// The end.
    Stop,
}

/// A store that is about to be carried out, and whom to answer.
pub(crate) struct Pending {
    pub(crate) seat: Arc<Seat>,
    pub(crate) req_id: u32,
    pub(crate) claim: ReceiptClaim,
    pub(crate) blob: Arc<[u8]>,
}

/// What was checked together.
#[derive(Default)]
pub(crate) struct Batch {
    work: Vec<Checked>,
    /// Room that it takes in the intake, bytes.
    cost: usize,
}

impl Batch {
    pub(crate) fn push(&mut self, work: Checked, cost: usize) {
        self.work.push(work);
        self.cost = self.cost.saturating_add(cost);
    }
}

/// Whom to answer, in the order of the ops.
pub(crate) enum Answered {
    Store(Pending),
    Change(Answer),
}

/// The thread that writes.
pub(crate) struct Committer<S: MailboxStore> {
    pub(crate) store: S,
    pub(crate) queue: Receiver<Batch>,
    pub(crate) answers: mpsc::Sender<Committed>,
    pub(crate) inner: Arc<Inner<S::Reader>>,
}

impl<S: MailboxStore> Committer<S> {
    /// Starts the thread. It ends with [`Checked::Stop`], or with an error after which the store
    /// has to be opened again; how it ended comes through the channel.
    pub(crate) fn spawn(self) -> std::io::Result<oneshot::Receiver<Result<(), StoreError>>> {
        let (ended, end) = oneshot::channel();
        let named = thread::Builder::new().name("sremp-commit".to_owned());
        named.spawn(move || {
            let _ = ended.send(self.run());
        })?;
        Ok(end)
    }

    fn run(mut self) -> Result<(), StoreError> {
        let mut shown = Instant::now();
        loop {
            let first = match self.queue.recv_timeout(AT_REST) {
                Ok(batch) => batch,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {
                    self.rest()?;
                    self.show();
                    let Ok(batch) = self.queue.recv() else {
                        return Ok(());
                    };
                    batch
                }
            };
            if self.commit(first)? {
                return self.rest();
            }
            if shown.elapsed() >= SHOW {
                self.show();
                shown = Instant::now();
            }
        }
    }

    fn rest(&mut self) -> Result<(), StoreError> {
        match self.store.rest() {
            Err(error) if !error.is_passing() => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes along what else waits.
    fn take(&self, mut batch: Batch) -> Batch {
        while batch.work.len() < MAX_BATCH {
            let Ok(mut more) = self.queue.try_recv() else {
                break;
            };
            batch.work.append(&mut more.work);
            batch.cost = batch.cost.saturating_add(more.cost);
        }
        batch
    }

    /// Whether it was the last.
    fn commit(&mut self, first: Batch) -> Result<bool, StoreError> {
        let (mut ops, mut answered, mut barriers) = (Vec::new(), Vec::new(), Vec::new());
        let mut stop = false;
        let Batch { work, cost } = self.take(first);
        let count = work.len();
        for work in work {
            match work {
                Checked::Store(op, pending) => {
                    ops.push(*op);
                    answered.push(Answered::Store(pending));
                }
                Checked::Change(op, answer) => {
                    ops.push(*op);
                    answered.push(Answered::Change(answer));
                }
                Checked::Barrier(done) => barriers.push(done),
                Checked::Stop => stop = true,
            }
        }
        let written = match ops.is_empty() {
            true => Ok(()),
            false => self.write(ops, answered),
        };
        self.inner.intake.free(count, cost);
        written?;
        for done in barriers {
            self.tell(Committed::Barrier(done));
        }
        Ok(stop)
    }

    fn write(&mut self, ops: Vec<Op>, answered: Vec<Answered>) -> Result<(), StoreError> {
        let (began, count, now) = (Instant::now(), ops.len(), Clock::wall());
        match self.store.commit(now, ops) {
            Ok(outcomes) => {
                self.inner.metrics.committed(count, began.elapsed());
                self.tell(Committed::Done(answered, outcomes));
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "nothing was stored");
                self.tell(Committed::Failed(answered));
                match error.is_passing() {
                    true => Ok(()),
                    false => Err(error),
                }
            }
        }
    }

    /// Waits while more than a few commits are unanswered.
    fn tell(&self, committed: Committed) {
        // nobody is left to answer: the relay ends
        let _ = self.answers.blocking_send(committed);
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
}
