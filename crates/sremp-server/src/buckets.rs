//! Token buckets (D5.3, D6.3): memory only, and no key of them can be read back to an address.

use std::{hash::Hash, num::NonZeroU32};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};

/// Buckets that are kept of one kind. Beyond, those that are full again are forgotten, and when
/// none is, nobody new is served: a flood of new keys must not eat the memory.
const MAX_BUCKETS: usize = 200_000;

/// Seconds after which somebody may try again when there are too many buckets.
const FULL_RETRY: u32 = 60;

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock, NoOpMiddleware>;

/// The buckets of one kind, one for each key; none when there is no limit.
#[derive(Debug)]
pub struct Buckets<K: Clone + Eq + Hash>(Option<(Limiter<K>, NonZeroU32)>);

impl<K: Clone + Eq + Hash> Buckets<K> {
    /// `rate` tokens a minute, one `part`th of them at once. No limit if `rate` is 0.
    pub fn per_minute(rate: u32, part: NonZeroU32) -> Self {
        let buckets = |rate: NonZeroU32| {
            let burst = NonZeroU32::new(rate.get() / part).unwrap_or(NonZeroU32::MIN);
            let quota = Quota::per_minute(rate).allow_burst(burst);
            (RateLimiter::hashmap(quota), burst)
        };
        Self(NonZeroU32::new(rate).map(buckets))
    }

    /// Takes tokens: at least one, and no more than a bucket holds, as more would never be there.
    ///
    /// # Errors
    /// In how many seconds there are enough.
    pub fn take(&self, key: &K, tokens: u32) -> Result<(), u32> {
        let Some((buckets, size)) = &self.0 else {
            return Ok(());
        };
        if buckets.len() >= MAX_BUCKETS {
            buckets.retain_recent();
            if buckets.len() >= MAX_BUCKETS {
                return Err(FULL_RETRY);
            }
        }
        let tokens = NonZeroU32::new(tokens)
            .unwrap_or(NonZeroU32::MIN)
            .min(*size);
        let taken = buckets.check_key_n(key, tokens);
        taken.unwrap_or(Ok(())).map_err(|not_yet| {
            let wait = not_yet.wait_time_from(DefaultClock::default().now());
            u32::try_from(wait.as_secs())
                .unwrap_or(u32::MAX)
                .saturating_add(1)
        })
    }

    /// Forgets whoever has not asked lately.
    pub fn tidy(&self) {
        if let Some((buckets, _)) = &self.0 {
            buckets.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_too_often_waits_and_others_do_not() {
        let buckets = Buckets::per_minute(6, NonZeroU32::new(2).unwrap());
        for _ in 0..3 {
            assert_eq!(buckets.take(&1, 1), Ok(()));
        }
        let wait = buckets.take(&1, 1).unwrap_err();
        assert!((1..=11).contains(&wait), "{wait}");
        assert_eq!(buckets.take(&2, 1), Ok(()));
    }

    #[test]
    fn no_more_is_taken_than_a_bucket_holds() {
        let buckets = Buckets::per_minute(60, NonZeroU32::MIN);
        assert_eq!(buckets.take(&1, 10_000), Ok(()));
        assert!(buckets.take(&1, 1).is_err());
    }

    #[test]
    fn no_limit_is_none() {
        let buckets = Buckets::per_minute(0, NonZeroU32::MIN);
        assert!((0..10_000).all(|_| buckets.take(&1, 1).is_ok()));
    }

    #[test]
    fn a_flood_of_keys_is_refused_and_those_known_wait_too() {
        let buckets = Buckets::per_minute(1, NonZeroU32::MIN);
        for key in 0..MAX_BUCKETS {
            assert_eq!(buckets.take(&key, 1), Ok(()), "{key}");
        }
        assert_eq!(buckets.take(&MAX_BUCKETS, 1), Err(FULL_RETRY));
    }
}
