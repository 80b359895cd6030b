//! The relay's clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sremp_core::time::{Tick, UnixMillis};

/// A stopwatch, and the calendar.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since the start.
    pub(crate) fn tick(self) -> Tick {
        let millis = self.0.elapsed().as_millis();
        Tick::new(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// The time of day.
    pub(crate) fn wall() -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = since.unwrap_or(Duration::ZERO).as_millis();
        UnixMillis::saturating(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}
