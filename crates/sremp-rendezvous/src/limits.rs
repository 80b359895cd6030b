//! Token buckets (D5.3): memory only, and no key of them can be read back to an address.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hash},
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};
use sremp_core::id::IdentityKey;

use crate::config::Rates;

/// Buckets that are kept of one kind. Beyond, those that are full again are forgotten, and when none
/// is, nobody new is served: a flood of new keys must not eat the memory.
const MAX_BUCKETS: usize = 200_000;
/// Seconds to wait when there is no room for a bucket.
const FULL_RETRY: u32 = 60;

type Buckets<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock, NoOpMiddleware>;

/// The buckets of one kind; none when there is no limit.
struct Kind<K: Clone + Eq + Hash>(Option<Buckets<K>>);

impl<K: Clone + Eq + Hash> Kind<K> {
    fn per_minute(rate: u32) -> Self {
        let rate = NonZeroU32::new(rate);
        Self(rate.map(|rate| RateLimiter::hashmap(Quota::per_minute(rate))))
    }

    /// Takes a token, or says in how many seconds there is one.
    fn take(&self, key: &K) -> Result<(), u32> {
        let Some(buckets) = &self.0 else {
            return Ok(());
        };
        if buckets.len() >= MAX_BUCKETS {
            buckets.retain_recent();
            if buckets.len() >= MAX_BUCKETS {
                return Err(FULL_RETRY);
            }
        }
        buckets.check_key(key).map_err(|not_yet| {
            let wait = not_yet.wait_time_from(DefaultClock::default().now());
            u32::try_from(wait.as_secs())
                .unwrap_or(u32::MAX)
                .saturating_add(1)
        })
    }

    fn forget_full(&self) {
        if let Some(buckets) = &self.0 {
            buckets.retain_recent();
        }
    }
}

/// Stands for the address of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressBucket(pub(crate) u64);

/// All buckets of a server. Each call takes a token, or says how many seconds to wait.
pub(crate) struct Limits {
    register_keys: Kind<IdentityKey>,
    register_addresses: Kind<u64>,
    pages: Kind<IdentityKey>,
    requests: Kind<u64>,
    hasher: Mutex<RandomState>,
}

impl Limits {
    pub(crate) fn new(rates: &Rates) -> Self {
        Self {
            register_keys: Kind::per_minute(rates.registers_per_key),
            register_addresses: Kind::per_minute(rates.registers_per_address),
            pages: Kind::per_minute(rates.pages_per_key),
            requests: Kind::per_minute(rates.requests_per_address),
            hasher: Mutex::default(),
        }
    }

    /// The bucket of an address: an IPv4 address or an IPv6 /64 under a random key of the day.
    pub(crate) fn address(&self, address: IpAddr) -> AddressBucket {
        let prefix: u64 = match address.to_canonical() {
            IpAddr::V4(v4) => v4.to_bits().into(),
            IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).unwrap_or(u64::MAX),
        };
        let hasher = self.hasher.lock().unwrap_or_else(PoisonError::into_inner);
        AddressBucket(hasher.hash_one((address.to_canonical().is_ipv4(), prefix)))
    }

    /// Any request.
    pub(crate) fn request(&self, address: AddressBucket) -> Result<(), u32> {
        self.requests.take(&address.0)
    }

    /// A registration, before a signature of it is looked at.
    pub(crate) fn register_from(&self, address: AddressBucket) -> Result<(), u32> {
        self.register_addresses.take(&address.0)
    }

    /// A registration of a key that has proved itself: nobody else can empty its bucket.
    pub(crate) fn register(&self, key: &IdentityKey) -> Result<(), u32> {
        self.register_keys.take(key)
    }

    /// A page.
    pub(crate) fn page(&self, key: &IdentityKey) -> Result<(), u32> {
        self.pages.take(key)
    }

    /// Forgets whoever has not asked lately.
    pub(crate) fn tidy(&self) {
        self.register_keys.forget_full();
        self.register_addresses.forget_full();
        self.pages.forget_full();
        self.requests.forget_full();
    }

    /// A new day: no address can be recognised from the day before.
    pub(crate) fn new_day(&self) {
        *self.hasher.lock().unwrap_or_else(PoisonError::into_inner) = RandomState::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_registers_too_often_waits_and_others_do_not() {
        let limits = Limits::new(&Rates::default());
        let (one, other) = (IdentityKey::new([1; 32]), IdentityKey::new([2; 32]));
        for _ in 0..5 {
            assert_eq!(limits.register(&one), Ok(()));
        }
        let wait = limits.register(&one).unwrap_err();
        assert!((1..=13).contains(&wait), "{wait}");
        assert_eq!(limits.register(&other), Ok(()));
        let here = limits.address("192.0.2.1".parse().unwrap());
        for _ in 0..20 {
            assert_eq!(limits.register_from(here), Ok(()));
        }
        assert!(limits.register_from(here).is_err());
        assert_eq!(limits.request(here), Ok(()));
    }

    #[test]
    fn one_network_of_ipv6_shares_a_bucket_and_a_day_changes_all() {
        let limits = Limits::new(&Rates::default());
        let at = |text: &str| limits.address(text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::2:3"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        let today = at("192.0.2.1");
        limits.new_day();
        assert_ne!(at("192.0.2.1"), today);
    }
}
