//! Confirmations on their way to a connected sender: pushed as requests, forgotten when it has
//! answered that they are committed (D6.7).

use std::sync::{Mutex, MutexGuard, PoisonError};

use sremp_core::{
    channel::OpenRequests,
    relay::{Confirmation, RelayMessage},
};

use crate::{mailbox::ConfirmationId, seats::Seat};

/// Pushes that wait for their answer on one connection.
const MAX_PUSHES: usize = 16;

/// What was pushed to one connection, and whether more waits.
#[derive(Debug, Default)]
pub(crate) struct Lane(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: OpenRequests<Vec<ConfirmationId>>,
    /// Everything up to here was pushed.
    position: ConfirmationId,
    progress: Progress,
}

/// Who serves; as of a feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    /// Not registered: nothing is pushed.
    #[default]
    Closed,
    Live,
    Behind,
    Reading {
        again: bool,
    },
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The peer is registered; the desk has to be asked to read.
    pub(crate) fn start(&self) {
        self.lock().progress = Progress::Behind;
    }

    /// Confirmations were committed, in order: pushes them if they are next and there is room.
    pub(crate) fn committed(&self, seat: &Seat, list: Vec<(ConfirmationId, Confirmation)>) {
        let mut state = self.lock();
        match state.progress {
            Progress::Live => {
                if !state.push(seat, list) {
                    state.progress = Progress::Behind;
                }
            }
            Progress::Reading { .. } => state.progress = Progress::Reading { again: true },
            Progress::Behind | Progress::Closed => {}
        }
    }

    /// The peer has committed what was pushed under this id: what may be forgotten, and whether
    /// the desk has to read for it.
    pub(crate) fn taken(&self, req_id: u32) -> (Vec<ConfirmationId>, bool) {
        let mut state = self.lock();
        let taken = state.open.close(req_id).unwrap_or_default();
        (taken, state.progress == Progress::Behind)
    }

    /// The desk begins to read behind this id; `None` if there is nothing to do for it.
    pub(crate) fn begin_reading(&self) -> Option<ConfirmationId> {
        let mut state = self.lock();
        if state.progress != Progress::Behind || state.open.len() >= MAX_PUSHES {
            return None;
        }
        state.progress = Progress::Reading { again: false };
        Some(state.position)
    }

    /// What the desk has read, and whether there may be more. Whether it should read on.
    pub(crate) fn read(
        &self,
        seat: &Seat,
        list: Vec<(ConfirmationId, Confirmation)>,
        more: bool,
    ) -> bool {
        let mut state = self.lock();
        let again = state.progress == Progress::Reading { again: true };
        let pushed = list.is_empty() || state.push(seat, list);
        let live = pushed && !more && !again;
        state.progress = if live {
            Progress::Live
        } else {
            Progress::Behind
        };
        pushed && !live && state.open.len() < MAX_PUSHES
    }

    /// The disk failed: it is tried again at the next answer.
    pub(crate) fn failed(&self) {
        self.lock().progress = Progress::Behind;
    }
}

impl State {
    fn push(&mut self, seat: &Seat, list: Vec<(ConfirmationId, Confirmation)>) -> bool {
        let (ids, list): (Vec<_>, Vec<_>) = list
            .into_iter()
            .filter(|(id, _)| *id > self.position)
            .unzip();
        let Some(last) = ids.last().copied() else {
            return true;
        };
        if self.open.len() >= MAX_PUSHES {
            return false;
        }
        let Ok(req_id) = self.open.open(ids) else {
            return false;
        };
        if seat
            .try_send(&RelayMessage::ConfirmationPush(list), req_id)
            .is_err()
        {
            self.open.close(req_id);
            return false;
        }
        self.position = last;
        true
    }
}
