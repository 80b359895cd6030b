//! The clock of the machines.

use sremp_core::time::Tick;
use tokio::time::{Duration, Instant};

/// Milliseconds since the network was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Tick {
        let millis = self.0.elapsed().as_millis();
        Tick::new(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// The first instant at which [`Self::now`] is `tick` or later.
    pub(crate) fn instant(self, tick: Tick) -> Instant {
        self.0 + Duration::from_millis(tick.get())
    }
}
