//! The calendar, and a stopwatch for machines.

use std::time::{SystemTime, UNIX_EPOCH};

use sremp_core::time::{Tick, UnixMillis};
use tokio::time::{Duration, Instant};

/// The time of day.
pub fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.unwrap_or(Duration::ZERO).as_millis();
    UnixMillis::saturating(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// Milliseconds since it was started. Follows tokio's time where that is paused.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// From now on.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How much it shows.
    pub fn now(self) -> Tick {
        let millis = self.0.elapsed().as_millis();
        Tick::new(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// The first instant at which [`Self::now`] is `tick` or later.
    pub fn instant(self, tick: Tick) -> Instant {
        self.0 + Duration::from_millis(tick.get())
    }
}
