//! The one who writes to the store: the committer's thread, or, for a lone request, the task that has
//! checked it (D6.5).

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use sremp_core::time::UnixMillis;

use crate::{
    answers::Committed,
    clock::Clock,
    committer::{Answered, Batch, Committing},
    mailbox::{MailboxStore, Op, StoreError},
    receipt::ReceiptAhead,
    service::Inner,
};

/// Nothing came for this long: time for what would else be done during a commit. A reader and a writer
/// who talk do not wait for it.
pub(crate) const AT_REST: Duration = Duration::from_millis(250);

/// A disk that took no longer for the last commit may be waited for in a task: as long as some
/// signatures take.
const QUICK: Duration = Duration::from_millis(2);

struct Last {
    ended: Instant,
    took: Duration,
    /// It was of one request.
    lone: bool,
}

impl Last {
    /// Whether the next request is likely to be alone, and committed soon. After a commit of many the
    /// same many come again, one of them first.
    fn lets_wait(&self) -> bool {
        self.took <= QUICK && (self.lone || self.ended.elapsed() > AT_REST)
    }
}

/// What whoever commits holds meanwhile.
pub(crate) struct Writer<S: MailboxStore> {
    store: S,
    inner: Arc<Inner<S::Reader>>,
    /// The last commit.
    last: Last,
    /// The thread waits without an end, as there is nothing to do at rest.
    sleeps: bool,
    /// Nothing can be written any more; for the thread to say.
    failed: Option<StoreError>,
}

impl<S: MailboxStore> Writer<S> {
    /// Carries out a batch. What is to be answered, and the error after which there is no other.
    pub(crate) fn commit(
        &mut self,
        now: UnixMillis,
        ops: Vec<Op>,
        answered: Vec<Answered>,
    ) -> (Committed, Result<(), StoreError>) {
        let (began, count) = (Instant::now(), ops.len());
        let written = self.store.commit(now, ops);
        let took = began.elapsed();
        self.last = Last {
            ended: Instant::now(),
            took,
            lone: count == 1,
        };
        match written {
            Ok(outcomes) => {
                self.inner.metrics.committed(count, took);
                (Committed::Done(answered, outcomes), Ok(()))
            }
            Err(error) => {
                tracing::error!(%error, "nothing was stored");
                let end = match error.is_passing() {
                    true => Ok(()),
                    false => Err(error),
                };
                (Committed::Failed(answered), end)
            }
        }
    }

    /// Does what would else be done during a commit.
    pub(crate) fn rest(&mut self) -> Result<(), StoreError> {
        match self.store.rest() {
            Err(error) if !error.is_passing() => Err(error),
            _ => Ok(()),
        }
    }

    /// Rests if nothing was written for a while. Whether there is nothing left to do.
    pub(crate) fn rests(&mut self) -> Result<bool, StoreError> {
        self.woken()?;
        if self.last.ended.elapsed() < AT_REST {
            return Ok(false);
        }
        self.rest()?;
        self.sleeps = true;
        Ok(true)
    }

    /// The thread is there.
    pub(crate) fn woken(&mut self) -> Result<(), StoreError> {
        self.sleeps = false;
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Brings the gauges up to date.
    pub(crate) fn show(&self) {
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

/// The writer, for the thread and for the task that checks.
pub(crate) struct SharedWriter<S: MailboxStore>(Arc<Mutex<Writer<S>>>);

impl<S: MailboxStore> Clone for SharedWriter<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: MailboxStore> SharedWriter<S> {
    pub(crate) fn new(store: S, inner: Arc<Inner<S::Reader>>) -> Self {
        Self(Arc::new(Mutex::new(Writer {
            store,
            inner,
            // no commit was quick yet
            last: Last {
                ended: Instant::now(),
                took: Duration::MAX,
                lone: false,
            },
            sleeps: false,
            failed: None,
        })))
    }

    /// Waits for the other.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] if the other panicked: memory may be ahead of the disk.
    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, Writer<S>>, StoreError> {
        self.0.lock().map_err(|_| StoreError::Stopped)
    }

    /// Commits and answers a request here, without a thread in between, if it is the only one on its
    /// way and the disk is quick; else gives it back.
    ///
    /// All that was asked before is answered then, and what comes later has to pass here, so the
    /// order of commits remains the order of answers.
    pub(crate) fn commit_lone(&self, batch: Batch, thread: &Committing) -> Option<Batch> {
        let Ok(mut writer) = self.0.try_lock() else {
            return Some(batch);
        };
        let inner = writer.inner.clone();
        if !writer.last.lets_wait() || !inner.intake.is_lone() {
            return Some(batch);
        }
        let (op, mut answered, cost) = match batch.lone() {
            Ok(lone) => lone,
            Err(batch) => return Some(batch),
        };
        let now = Clock::wall();
        if let (Op::Store(store), Answered::Store(pending)) = (&op, &mut answered) {
            pending.receipt = Some(ReceiptAhead::begin(&inner, pending, store, now));
        }
        let (committed, end) = writer.commit(now, vec![op], vec![answered]);
        inner.intake.written(cost);
        let failed = end.is_err();
        writer.failed = end.err();
        if std::mem::take(&mut writer.sleeps) || failed {
            thread.wake();
        }
        drop(writer);
        inner.committed(committed);
        None
    }
}
