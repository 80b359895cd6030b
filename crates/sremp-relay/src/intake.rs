//! Where work waits for the checks and the disk, bounded in bytes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc::SyncSender,
};

use sremp_core::relay::{UncheckedConfirmations, UncheckedStore};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    answer::{Answer, To},
    mailbox::Op,
    seats::Seat,
};

/// Something to be written.
#[derive(Debug)]
pub(crate) enum Work {
    /// A message.
    Store {
        seat: Arc<Seat>,
        req_id: u32,
        store: Box<UncheckedStore>,
    },
    /// What an owner confirms.
    Confirm {
        to: To,
        confirms: UncheckedConfirmations,
    },
    /// Anything else.
    Change { op: Box<Op>, answer: Answer },
    /// To be told when all before it is done and answered.
    Barrier(SyncSender<()>),
    /// The end.
    Stop,
}

impl Work {
    /// Room that it takes while it waits, bytes.
    pub(crate) fn cost(&self) -> usize {
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
    queue: UnboundedSender<Work>,
    waiting: Arc<AtomicUsize>,
    /// Handed to the committer's thread and not answered.
    behind: Arc<AtomicUsize>,
    max: usize,
}

/// As much waits for the disk as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Intake {
    pub(crate) fn new(max: usize) -> (Self, UnboundedReceiver<Work>) {
        let (queue, receiver) = unbounded_channel();
        let intake = Self {
            queue,
            waiting: Arc::default(),
            behind: Arc::default(),
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
        // the checks have ended: so does the relay
        let _ = self.queue.send(work);
    }

    /// So much work is written, or refused: its room is free again.
    pub(crate) fn written(&self, cost: usize) {
        self.waiting.fetch_sub(cost, Ordering::Relaxed);
    }

    /// So many requests go to the committer's thread.
    pub(crate) fn handed_on(&self, count: usize) {
        self.behind.fetch_add(count, Ordering::Relaxed);
    }

    /// So many of them are answered.
    pub(crate) fn answered(&self, count: usize) {
        self.behind.fetch_sub(count, Ordering::Release);
    }

    /// Whether all that the thread was given is answered.
    pub(crate) fn has_caught_up(&self) -> bool {
        self.behind.load(Ordering::Acquire) == 0
    }
}
