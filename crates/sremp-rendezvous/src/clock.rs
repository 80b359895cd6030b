//! The calendar.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sremp_core::time::UnixMillis;

/// The time of day.
pub(crate) fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.unwrap_or(Duration::ZERO).as_millis();
    UnixMillis::saturating(u64::try_from(millis).unwrap_or(u64::MAX))
}
