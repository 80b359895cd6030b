//! The thread that commits: takes all that waits, has it written as one transaction, and only then
//! has it answered (D6.5).

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use sremp_core::relay::proof::ReceiptClaim;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};

use crate::{
    answer::Answer,
    answers::Committed,
    clock::Clock,
    mailbox::{MailboxStore, Op, StoreError},
    receipt::ReceiptAhead,
    seats::Seat,
    service::Inner,
    writer::{AT_REST, SharedWriter},
};

/// Most requests of one transaction: beyond, the first would wait for the last.
const MAX_BATCH: usize = 512;
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
    /// Signed while the disk writes.
    pub(crate) receipt: Option<Arc<ReceiptAhead>>,
}

/// What was checked together.
#[derive(Default)]
pub(crate) struct Batch {
    work: Vec<Checked>,
    /// Room that it takes in the intake, bytes.
    cost: usize,
    /// There is more to it than requests that are carried out soon.
    lasting: bool,
}

/// A batch, taken apart.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) ops: Vec<Op>,
    pub(crate) answered: Vec<Answered>,
    barriers: Vec<SyncSender<()>>,
    stop: bool,
    pub(crate) cost: usize,
}

impl Batch {
    pub(crate) fn push(&mut self, work: Checked, cost: usize) {
        self.lasting |= match &work {
            Checked::Store(..) => false,
            Checked::Change(op, _) => matches!(**op, Op::Purge { .. }),
            Checked::Barrier(_) | Checked::Stop => true,
        };
        self.work.push(work);
        self.cost = self.cost.saturating_add(cost);
    }

    pub(crate) const fn is_lasting(&self) -> bool {
        self.lasting
    }

    pub(crate) fn len(&self) -> usize {
        self.work.len()
    }

    pub(crate) fn into_parts(self) -> Parts {
        let mut parts = Parts {
            cost: self.cost,
            ..Parts::default()
        };
        for work in self.work {
            match work {
                Checked::Store(op, pending) => {
                    parts.ops.push(*op);
                    parts.answered.push(Answered::Store(pending));
                }
                Checked::Change(op, answer) => {
                    parts.ops.push(*op);
                    parts.answered.push(Answered::Change(answer));
                }
                Checked::Barrier(done) => parts.barriers.push(done),
                Checked::Stop => parts.stop = true,
            }
        }
        parts
    }
}

/// Whom to answer, in the order of the ops.
pub(crate) enum Answered {
    Store(Pending),
    Change(Answer),
}

/// Hands batches to the thread, one ahead of it.
pub(crate) struct Committing {
    queue: Sender<Batch>,
    turns: Arc<Semaphore>,
}

/// What the thread takes batches from.
pub(crate) struct Batches {
    queue: Receiver<Batch>,
    turns: Arc<Semaphore>,
}

/// Both ends.
pub(crate) fn queue() -> (Committing, Batches) {
    let (sender, receiver) = channel();
    let turns = Arc::new(Semaphore::new(1));
    let committing = Committing {
        queue: sender,
        turns: turns.clone(),
    };
    let batches = Batches {
        queue: receiver,
        turns,
    };
    (committing, batches)
}

/// The thread has ended.
pub(crate) struct Ended;

impl Committing {
    /// Waits until the thread has taken the last batch.
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, Ended> {
        self.turns.acquire().await.map_err(|_| Ended)
    }

    /// Hands in a batch.
    pub(crate) fn send(&self, batch: Batch, turn: SemaphorePermit<'_>) -> Result<(), Ended> {
        turn.forget();
        self.queue.send(batch).map_err(|_| Ended)
    }

    /// Has the thread look whether there is something to do, or to report.
    pub(crate) fn wake(&self) {
        // the relay ends if it is gone
        let _ = self.queue.send(Batch::default());
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.turns.close();
    }
}

impl Batches {
    fn taken(&self, batch: Batch) -> Batch {
        if !batch.work.is_empty() {
            self.turns.add_permits(1);
        }
        batch
    }

    /// The next batch, in this time if one is given.
    fn next(&self, within: Option<Duration>) -> Result<Batch, RecvTimeoutError> {
        let batch = match within {
            Some(time) => self.queue.recv_timeout(time)?,
            None => self
                .queue
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected)?,
        };
        Ok(self.taken(batch))
    }

    fn waiting(&self) -> Option<Batch> {
        Some(self.taken(self.queue.try_recv().ok()?))
    }
}

/// The thread that writes.
pub(crate) struct Committer<S: MailboxStore> {
    pub(crate) writer: SharedWriter<S>,
    pub(crate) queue: Batches,
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

    fn run(self) -> Result<(), StoreError> {
        let mut shown = Instant::now();
        let mut sleeps = false;
        loop {
            let received = self.queue.next((!sleeps).then_some(AT_REST));
            sleeps = false;
            match received {
                Ok(batch) => {
                    if self.commit(batch)? {
                        return self.writer.lock()?.rest();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => sleeps = self.writer.lock()?.rests()?,
            }
            if sleeps || shown.elapsed() >= SHOW {
                self.writer.lock()?.show();
                shown = Instant::now();
            }
        }
    }

    /// Takes along what else waits.
    fn take(&self, mut batch: Batch) -> Batch {
        while batch.work.len() < MAX_BATCH {
            let Some(mut more) = self.queue.waiting() else {
                break;
            };
            batch.work.append(&mut more.work);
            batch.cost = batch.cost.saturating_add(more.cost);
        }
        batch
    }

    /// Whether it was the last.
    fn commit(&self, first: Batch) -> Result<bool, StoreError> {
        let Parts {
            ops,
            answered,
            barriers,
            stop,
            cost,
        } = self.take(first).into_parts();
        let committed = {
            let mut writer = self.writer.lock()?;
            writer.woken()?;
            (!ops.is_empty()).then(|| writer.commit(Clock::wall(), ops, answered))
        };
        self.inner.intake.written(cost);
        if let Some((committed, end)) = committed {
            self.tell(committed);
            end?;
        }
        for done in barriers {
            self.tell(Committed::Barrier(done));
        }
        Ok(stop)
    }

    /// Waits while more than a few commits are unanswered.
    fn tell(&self, committed: Committed) {
        // nobody is left to answer: the relay ends
        let _ = self.answers.blocking_send(committed);
    }
}
