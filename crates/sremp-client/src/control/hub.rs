//! Events for all subscribers: one thread asks the engine, each event is encoded once, and every
//! face takes it at its own pace. Who falls behind reads from the store, by its own place.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Client, ask, desk::Desk, rpc::notification};
use crate::{
    runtime::FaceId,
    view::{Command, Reply},
};

/// Events in one reading.
const PAGE: u32 = 512;
/// Events, and bytes of them, that are kept for whoever is a little behind.
const KEPT: usize = 4_096;
const KEPT_BYTES: usize = 8 * 1024 * 1024;
/// For so long: what is told later comes from the store, as it is by then.
const KEPT_FOR: Duration = Duration::from_secs(2);
/// Longest wait for the next event, and the longest while events are kept.
const WAIT_MS: u64 = 60_000;
const SHORT_WAIT_MS: u64 = 1_000;
/// Rest after a disk that failed.
const REST: Duration = Duration::from_secs(1);

/// An event as its line.
pub(super) type Line = Arc<[u8]>;

/// What a subscriber gets.
pub(super) enum News {
    /// The next lines, and the number that they reach.
    Lines(Vec<Line>, u64),
    /// Nothing now.
    Nothing,
    /// The store knows; once it has nothing more, go on after this.
    Behind(u64),
}

#[derive(Default)]
pub(super) struct Hub {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    subscribers: Vec<Arc<Desk>>,
    /// All events after `base` up to `head`.
    ring: VecDeque<Kept>,
    bytes: usize,
    base: u64,
    head: u64,
    over: bool,
}

struct Kept {
    seq: u64,
    line: Line,
    since: Instant,
}

impl State {
    fn keep(&mut self, seq: u64, line: Line, since: Instant) {
        self.bytes += line.len();
        self.ring.push_back(Kept { seq, line, since });
        self.head = seq;
    }

    fn forget(&mut self, now: Instant) {
        let old = |s: &Self, k: &Kept| {
            now.duration_since(k.since) >= KEPT_FOR || s.ring.len() > KEPT || s.bytes > KEPT_BYTES
        };
        while let Some(first) = self.ring.front()
            && old(self, first)
        {
            self.base = first.seq;
            self.bytes -= first.line.len();
            self.ring.pop_front();
        }
        if self.ring.is_empty() {
            self.base = self.head;
        }
    }
}

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A face wants events; `last` is the last that there was when it said so.
    pub(super) fn subscribe(&self, desk: &Arc<Desk>, last: u64) {
        let mut state = self.state();
        if state.subscribers.is_empty() {
            state.ring.clear();
            state.bytes = 0;
            (state.base, state.head) = (last, last);
        }
        state.subscribers.push(Arc::clone(desk));
        self.changed.notify_all();
    }

    /// Whether nobody wants events any more.
    pub(super) fn unsubscribe(&self, desk: &Arc<Desk>) -> bool {
        let mut state = self.state();
        state.subscribers.retain(|other| !Arc::ptr_eq(other, desk));
        state.subscribers.is_empty()
    }

    /// The hub's thread ends.
    pub(super) fn end(&self) {
        self.state().over = true;
        self.changed.notify_all();
    }

    /// At most `most` events after a number.
    pub(super) fn after(&self, seq: u64, most: usize) -> News {
        let mut state = self.state();
        state.forget(Instant::now());
        if seq < state.base {
            return News::Behind(state.base);
        }
        let start = state.ring.partition_point(|kept| kept.seq <= seq);
        let some: Vec<&Kept> = state.ring.range(start..).take(most).collect();
        match some.last() {
            None => News::Nothing,
            Some(last) => {
                let upto = last.seq;
                News::Lines(some.iter().map(|k| Arc::clone(&k.line)).collect(), upto)
            }
        }
    }

    /// Reads events as long as somebody wants them. The hub's thread.
    pub(super) fn run(&self, client: &Arc<dyn Client>, face: FaceId) {
        while let Some((after, wait_ms)) = self.next() {
            let command = Command::Events {
                after: Some(after),
                limit: PAGE,
                wait_ms,
            };
            match ask(client, face, command) {
                Ok(Reply::Events { events, upto }) => {
                    let line = |event| notification(event).map(Line::from);
                    let lines = events.iter().map(|e| line(e).map(|line| (e.seq, line)));
                    self.tell(after, lines.flatten().collect(), upto);
                }
                _ => self.rest(),
            }
        }
    }

    /// Waits until somebody wants events: after which, and how long to wait for them.
    fn next(&self) -> Option<(u64, u64)> {
        let idle = |s: &mut State| s.subscribers.is_empty() && !s.over;
        let state = self.changed.wait_while(self.state(), idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.forget(Instant::now());
        let wait = match state.ring.is_empty() {
            true => WAIT_MS,
            false => SHORT_WAIT_MS,
        };
        (!state.over).then_some((state.head, wait))
    }

    fn tell(&self, asked: u64, lines: Vec<(u64, Line)>, upto: u64) {
        let mut state = self.state();
        let now = Instant::now();
        // everybody had left meanwhile, and somebody came who starts elsewhere
        if asked > state.head || upto <= state.head {
            return;
        }
        let head = state.head;
        for (seq, line) in lines.into_iter().filter(|(seq, _)| *seq > head) {
            state.keep(seq, line, now);
        }
        state.head = upto;
        state.forget(now);
        state.subscribers.iter().for_each(|desk| desk.wake());
    }

    fn rest(&self) {
        let state = self.state();
        let _ = self.changed.wait_timeout_while(state, REST, |s| !s.over);
    }
}
