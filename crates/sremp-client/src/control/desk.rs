//! What waits to be written to one face, and how much it has under way.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use super::rpc::Response;

/// Requests of a face under way at once; one more is refused.
pub(super) const MAX_UNDER_WAY: usize = 64;
/// Answers that wait to be written; with more the face's requests are not read.
const MAX_UNWRITTEN: usize = 128;

/// Something for the face.
pub(super) struct Outgoing {
    pub(super) body: Body,
    /// What becomes of its subscription once this is written.
    pub(super) then: Option<Subscription>,
    /// Requests that this answers, of those under way.
    pub(super) answers: usize,
}

pub(super) enum Body {
    /// Notifications have no answer.
    Nothing,
    One(Box<Response>),
    Batch(Vec<Response>),
}

/// A subscription begins or ends.
#[derive(Clone, Copy)]
pub(super) enum Subscription {
    After { after: u64, last: u64 },
    End,
}

/// What there is to do for the face's writer.
pub(super) struct Turn {
    pub(super) outgoing: VecDeque<Outgoing>,
    /// Nothing more will come, or can be written.
    pub(super) over: bool,
}

#[derive(Default)]
pub(super) struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    unwritten: VecDeque<Outgoing>,
    under_way: usize,
    news: bool,
    /// The face says nothing more.
    left: bool,
    /// The face cannot be written to.
    broken: bool,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes requests in, unless too many are under way.
    pub(super) fn take_in(&self, requests: usize) -> bool {
        let mut state = self.state();
        let room = state.under_way + requests <= MAX_UNDER_WAY;
        if room {
            state.under_way += requests;
        }
        room
    }

    pub(super) fn put(&self, outgoing: Outgoing) {
        self.state().unwritten.push_back(outgoing);
        self.changed.notify_all();
    }

    /// Waits until the face has taken some of its answers; false: it never will.
    pub(super) fn wait_for_room(&self) -> bool {
        let full = |state: &mut State| state.unwritten.len() >= MAX_UNWRITTEN && !state.broken;
        let state = self.changed.wait_while(self.state(), full);
        !state.unwrap_or_else(PoisonError::into_inner).broken
    }

    /// There are events.
    pub(super) fn wake(&self) {
        self.state().news = true;
        self.changed.notify_all();
    }

    pub(super) fn leave(&self) {
        self.state().left = true;
        self.changed.notify_all();
    }

    pub(super) fn break_off(&self) {
        self.state().broken = true;
        self.changed.notify_all();
    }

    /// The writer's next turn; waits for one unless it has more to do anyway.
    pub(super) fn turn(&self, more: bool) -> Turn {
        let idle = |state: &mut State| {
            let done = state.left && state.under_way == 0;
            !more && !state.news && !done && state.unwritten.is_empty()
        };
        let state = self.changed.wait_while(self.state(), idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.news = false;
        let outgoing = std::mem::take(&mut state.unwritten);
        let answered: usize = outgoing.iter().map(|o| o.answers).sum();
        state.under_way = state.under_way.saturating_sub(answered);
        let over = state.left && state.under_way == 0;
        self.changed.notify_all();
        Turn { outgoing, over }
    }
}
