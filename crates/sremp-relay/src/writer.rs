//! Who writes to the store: the task that has checked a batch while the disk is quick, else the
//! committer's thread (D6.5).

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use sremp_core::time::UnixMillis;

use crate::{
    answers::Committed,
    clock::Clock,
    committer::{Answered, Batch, Committing, Parts},
    mailbox::{MailboxStore, Op, StoreError},
    receipt::ReceiptAhead,
    service::Inner,
};

/// Nothing came for this long: time for what would else be done during a commit. A reader and a writer
/// who talk do not wait for it.
pub(crate) const AT_REST: Duration = Duration::from_millis(250);

/// A disk that took no longer for the last commit may be waited for in a task: as long as the signatures
/// of a batch take.
const QUICK: Duration = Duration::from_millis(5);

/// What whoever commits holds meanwhile.
pub(crate) struct Writer<S: MailboxStore> {
    store: S,
    inner: Arc<Inner<S::Reader>>,
    /// When a commit last ended, and how long it took.
    last: (Instant, Duration),
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
        self.last = (Instant::now(), took);
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
        if self.last.0.elapsed() < AT_REST {
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
            last: (Instant::now(), Duration::MAX),
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

    /// Commits and answers a batch here, without a thread in between, if the disk is quick and all that
    /// the thread was given is answered; else gives it back.
    ///
    /// What comes later has to pass here, so the order of commits remains the order of answers.
    pub(crate) fn commit_here(&self, batch: Batch, thread: &Committing) -> Option<Batch> {
        let Ok(mut writer) = self.0.try_lock() else {
            return Some(batch);
        };
        let inner = writer.inner.clone();
        if batch.is_lasting() || writer.last.1 > QUICK || !inner.intake.has_caught_up() {
            return Some(batch);
        }
        let now = Clock::wall();
        let Parts {
            ops,
            mut answered,
            cost,
            ..
        } = batch.into_parts();
        if let ([Op::Store(store)], [Answered::Store(pending)]) = (&*ops, &mut *answered) {
            pending.receipt = Some(ReceiptAhead::begin(&inner, pending, store, now));
        }
        let (committed, end) = writer.commit(now, ops, answered);
        inner.intake.written(cost);
        let failed = end.is_err();
        if let Err(error) = end {
            // what came first is the cause
            writer.failed.get_or_insert(error);
        }
        if std::mem::take(&mut writer.sleeps) || failed {
            thread.wake();
        }
        drop(writer);
        inner.committed(committed);
        None
    }
}
