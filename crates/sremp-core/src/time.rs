//! Time as an argument: the core never reads a clock.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::constants::MAX_UNIX_MILLIS;

/// Wall-clock time in milliseconds since the Unix epoch, at most
/// [`MAX_UNIX_MILLIS`]. On the wire a `u64` (`DateTime<Utc>` of the draft).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// The epoch; where the specification says so, "none".
    pub const ZERO: Self = Self(0);

    /// The time, or `None` beyond the year 9999.
    pub const fn new(millis: u64) -> Option<Self> {
        if millis > MAX_UNIX_MILLIS {
            None
        } else {
            Some(Self(millis))
        }
    }

    /// The time, cut to the year 9999: for clocks, never for what a peer sent.
    pub const fn saturating(millis: u64) -> Self {
        if millis > MAX_UNIX_MILLIS {
            Self(MAX_UNIX_MILLIS)
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the epoch.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// This time later by `d`, cut to the year 9999.
    pub fn plus(self, d: Duration) -> Self {
        Self::saturating(self.0.saturating_add(millis(d)))
    }

    /// This time earlier by `d`, not before the epoch.
    pub fn minus(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(millis(d)))
    }

    /// Time passed since `earlier`; zero if that lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Serialize for UnixMillis {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for UnixMillis {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(d)?).ok_or_else(|| D::Error::custom("time after the year 9999"))
    }
}

/// A point of a monotonic clock, in milliseconds since some start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(u64);

impl Tick {
    /// The point `millis` milliseconds after the start.
    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The point later by `d`.
    pub fn plus(self, d: Duration) -> Self {
        Self(self.0.saturating_add(millis(d)))
    }

    /// Time passed since `earlier`; zero if that lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A duration in milliseconds, cut to a `u64`.
pub(crate) fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_after_the_year_9999_do_not_exist() {
        assert_eq!(UnixMillis::new(MAX_UNIX_MILLIS + 1), None);
        assert!(UnixMillis::new(MAX_UNIX_MILLIS).is_some());
        let last = UnixMillis::saturating(u64::MAX);
        assert_eq!(last.get(), MAX_UNIX_MILLIS);
        assert_eq!(last.plus(Duration::MAX), last);
    }
}
