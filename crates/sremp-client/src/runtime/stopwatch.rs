//! The time of a step, as the engine is told it.

use std::time::{Duration, Instant};

use sremp_core::time::Tick;

use crate::{clock, engine::Now};

/// Both clocks.
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(&self) -> Now {
        let tick = u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now {
            wall: clock::now(),
            tick: Tick::new(tick),
        }
    }

    pub(super) fn instant(&self, tick: Tick) -> Instant {
        self.0 + Duration::from_millis(tick.get())
    }
}
