//! The one writer: takes all that waits, commits it as one transaction, and only then puts it into
//! the directory and has it answered.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, PoisonError, RwLock,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Instant,
};

use sremp_core::{
    error::ErrorCode,
    rendezvous::{Directory, Entry},
    time::UnixMillis,
};
use tokio::sync::oneshot;

use crate::{
    directory::{DirectoryStore, Op, StoreError},
    metrics::Metrics,
};

/// Registrations that wait for the disk; beyond, a client is told to come again.
const MAX_WAITING: usize = 1_024;
/// Most registrations of one transaction.
const MAX_BATCH: usize = 256;
/// Registrations that are looked at in one step of tidying: the writer is held up no longer.
const TIDY_STEP: usize = 4_096;

/// Registrations that are kept, shared with whoever looks one up.
pub(crate) type SharedDirectory = Arc<RwLock<Directory>>;

enum Work {
    Register(Box<Entry>, oneshot::Sender<Result<(), ErrorCode>>),
    Tidy(UnixMillis),
    Stop,
}

/// The way to the writer; clones lead to the same.
#[derive(Clone)]
pub(crate) struct Keeper(SyncSender<Work>);

impl Keeper {
    /// Starts the thread over what `store` has. How it ended comes through the channel.
    pub(crate) fn start<S: DirectoryStore>(
        store: S,
        directory: SharedDirectory,
        metrics: Metrics,
    ) -> std::io::Result<(Self, oneshot::Receiver<Result<(), StoreError>>)> {
        let (work_in, work) = sync_channel(MAX_WAITING);
        let (ended, end) = oneshot::channel();
        let writer = Writer {
            store,
            directory,
            metrics,
            work,
        };
        let named = thread::Builder::new().name("sremp-rdv-commit".to_owned());
        named.spawn(move || {
            let _ = ended.send(writer.run());
        })?;
        Ok((Self(work_in), end))
    }

    /// Keeps a registration; it would survive a loss of power when this returns.
    ///
    /// # Errors
    /// As of [`Directory::judge`]; `BUSY` when too many wait; `FULL` when it cannot be written.
    pub(crate) async fn register(&self, entry: Entry) -> Result<(), ErrorCode> {
        let (answer, answered) = oneshot::channel();
        let work = Work::Register(Box::new(entry), answer);
        match self.0.try_send(work) {
            Ok(()) => answered.await.unwrap_or(Err(ErrorCode::Full)),
            Err(TrySendError::Full(_)) => Err(ErrorCode::Busy),
            Err(TrySendError::Disconnected(_)) => Err(ErrorCode::Full),
        }
    }

    /// Has what is over forgotten, if the writer has room for it now.
    pub(crate) fn tidy(&self, now: UnixMillis) {
        let _ = self.0.try_send(Work::Tidy(now));
    }

    /// Has the writer end after what waits. Blocks while the queue is full.
    pub(crate) fn stop(&self) {
        let _ = self.0.send(Work::Stop);
    }
}

struct Writer<S> {
    store: S,
    directory: SharedDirectory,
    metrics: Metrics,
    work: Receiver<Work>,
}

impl<S: DirectoryStore> Writer<S> {
    fn run(mut self) -> Result<(), StoreError> {
        let mut kept_back = None;
        loop {
            let Some(first) = kept_back.take().or_else(|| self.work.recv().ok()) else {
                return Ok(());
            };
            match first {
                Work::Stop => return Ok(()),
                Work::Tidy(now) => self.tidy(now)?,
                Work::Register(entry, answer) => {
                    kept_back = self.register(entry, answer)?;
                }
            }
            self.show();
        }
    }

    /// One transaction; gives back what belongs into the next.
    fn register(
        &mut self,
        entry: Box<Entry>,
        answer: oneshot::Sender<Result<(), ErrorCode>>,
    ) -> Result<Option<Work>, StoreError> {
        let (mut ops, mut answers, mut keys) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut next = Some(Work::Register(entry, answer));
        // so many that the last of them finds room as well
        let most = self.read(Directory::room).clamp(1, MAX_BATCH);
        loop {
            let (entry, answer) = match next.take() {
                // two of one key are judged one after the other
                Some(Work::Register(entry, answer)) if keys.insert(entry.key()) => (entry, answer),
                other => {
                    next = other;
                    break;
                }
            };
            let verdict = self.read(|directory| directory.judge(&entry));
            match verdict {
                Ok(_) => {
                    ops.push(Op::Put(entry));
                    answers.push(answer);
                }
                Err(code) => {
                    // whoever asked may be gone
                    let _ = answer.send(Err(code));
                }
            }
            if ops.len() >= most {
                break;
            }
            next = self.work.try_recv().ok();
        }
        self.commit(ops, answers)?;
        Ok(next)
    }

    fn commit(
        &mut self,
        ops: Vec<Op>,
        answers: Vec<oneshot::Sender<Result<(), ErrorCode>>>,
    ) -> Result<(), StoreError> {
        if ops.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        if let Err(error) = self.store.commit(&ops) {
            tracing::error!(%error, "nothing was registered");
            for answer in answers {
                let _ = answer.send(Err(ErrorCode::Full));
            }
            return match error.is_passing() {
                true => Ok(()),
                false => Err(error),
            };
        }
        self.metrics.committed(began.elapsed());
        let mut directory = self
            .directory
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for (op, answer) in ops.into_iter().zip(answers) {
            let Op::Put(entry) = op else {
                continue;
            };
            let put = directory.put(*entry).map(|_| ());
            let _ = answer.send(put);
        }
        Ok(())
    }

    fn tidy(&mut self, now: UnixMillis) -> Result<(), StoreError> {
        let forgotten = {
            let mut directory = self
                .directory
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            directory.tidy(now, TIDY_STEP)
        };
        let ops: Vec<Op> = forgotten.into_iter().map(Op::Forget).collect();
        if ops.is_empty() {
            return Ok(());
        }
        match self.store.commit(&ops) {
            Err(error) if !error.is_passing() => Err(error),
            // it is forgotten at the next start
            _ => Ok(()),
        }
    }

    fn read<T>(&self, ask: impl FnOnce(&Directory) -> T) -> T {
        ask(&self
            .directory
            .read()
            .unwrap_or_else(PoisonError::into_inner))
    }

    fn show(&self) {
        let (keys, listed) = self.read(|directory| (directory.len(), directory.listed()));
        let gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.keys.set(gauge(keys));
        self.metrics.listed.set(gauge(listed));
    }
}
