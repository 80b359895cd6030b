//! Times as people and scripts read them.

use jiff::{SignedDuration, civil::DateTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sremp_core::time::UnixMillis;

/// A time shown as RFC 3339 UTC with milliseconds, `2026-11-22T14:52:55.123Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rfc3339(pub UnixMillis);

/// 1970-01-01T00:00:00. Calendar arithmetic without zones reaches the end of the year 9999, which
/// timestamps do not.
const EPOCH: DateTime = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);

impl std::fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = i64::try_from(self.0.get()).unwrap_or(i64::MAX);
        let time = EPOCH.saturating_add(SignedDuration::from_millis(millis));
        write!(f, "{time:.3}Z")
    }
}

impl std::str::FromStr for Rfc3339 {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let time: DateTime = text.strip_suffix('Z').ok_or(())?.parse().map_err(|_| ())?;
        let millis = time.duration_since(EPOCH).as_millis();
        let millis = u64::try_from(millis).map_err(|_| ())?;
        UnixMillis::new(millis).map(Self).ok_or(())
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rfc3339 {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?
            .parse()
            .map_err(|()| D::Error::custom("not an RFC 3339 time"))
    }
}

/// So many of a unit say little.
const MANY: u32 = 1_000;

/// A number of seconds in the largest unit that fits, `1 day`, `90 minutes`; if that are very many, in
/// the largest unit of all and the next, rounded down, `1 day and 3 hours`.
pub fn period(seconds: u32) -> String {
    const UNITS: [(u32, &str); 6] = [
        (365 * 24 * 60 * 60, "year"),
        (7 * 24 * 60 * 60, "week"),
        (24 * 60 * 60, "day"),
        (60 * 60, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let fits = |(unit, _): &&(u32, &str)| seconds >= *unit && seconds.is_multiple_of(*unit);
    let (unit, name) = UNITS.iter().find(fits).copied().unwrap_or((1, "second"));
    if seconds / unit < MANY {
        return counted((seconds / unit).into(), name);
    }
    let mut rest = seconds;
    let parts = UNITS.iter().map(|(unit, name)| {
        let count = rest / unit;
        rest %= unit;
        (count, *name)
    });
    let parts = parts.skip_while(|(count, _)| *count == 0).take(2);
    let parts = parts.filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, name)| counted(count.into(), name))
        .collect();
    parts.join(" and ")
}

/// So many of these.
pub(crate) fn counted(count: u64, name: &str) -> String {
    match count {
        1 => format!("1 {name}"),
        n => format!("{n} {name}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_said_in_the_largest_unit_that_fits() {
        let said = [0, 1, 30, 90, 999, 5_400, 86_400, 1_209_600, 31_536_000].map(period);
        let expected = [
            "0 seconds",
            "1 second",
            "30 seconds",
            "90 seconds",
            "999 seconds",
            "90 minutes",
            "1 day",
            "2 weeks",
            "1 year",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_period_of_very_many_units_is_said_in_the_two_largest() {
        let said = [1_001, 5_000, 3_600_060, 31_536_001, u32::MAX].map(period);
        let expected = [
            "16 minutes and 41 seconds",
            "1 hour and 23 minutes",
            "5 weeks and 6 days",
            "1 year",
            "136 years and 10 weeks",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        let time = Rfc3339(UnixMillis::saturating(1_760_000_000_007));
        assert_eq!(time.to_string(), "2025-10-09T08:53:20.007Z");
        assert_eq!("2025-10-09T08:53:20.007Z".parse(), Ok(time));
        let last = Rfc3339(UnixMillis::saturating(u64::MAX));
        assert_eq!(last.to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(last.to_string().parse(), Ok(last));
    }
}
