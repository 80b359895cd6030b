//! The calendar, and a clock that only goes on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sremp_core::time::{Tick, UnixMillis};
use tokio::time::Instant;

/// The time of day.
pub(crate) fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.unwrap_or(Duration::ZERO).as_millis();
    UnixMillis::saturating(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// Milliseconds since the server was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks(Instant);

impl Ticks {
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
