//! Token buckets (D5.3): memory only, and no key of them can be read back to an address.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
};

use sremp_core::id::IdentityKey;
use sremp_server::buckets::Buckets;

use crate::config::Rates;

/// A minute's worth may come at once.
const ALL: NonZeroU32 = NonZeroU32::MIN;

/// Stands for the address of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressBucket(pub(crate) u64);

/// All buckets of a server. Each call takes a token, or says how many seconds to wait.
pub(crate) struct Limits {
    register_keys: Buckets<IdentityKey>,
    register_addresses: Buckets<u64>,
    pages: Buckets<IdentityKey>,
    requests: Buckets<u64>,
    hasher: Mutex<RandomState>,
}

impl Limits {
    pub(crate) fn new(rates: &Rates) -> Self {
        Self {
            register_keys: Buckets::per_minute(rates.registers_per_key, ALL),
            register_addresses: Buckets::per_minute(rates.registers_per_address, ALL),
            pages: Buckets::per_minute(rates.pages_per_key, ALL),
            requests: Buckets::per_minute(rates.requests_per_address, ALL),
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
        self.requests.take(&address.0, 1)
    }

    /// A registration, before a signature of it is looked at.
    pub(crate) fn register_from(&self, address: AddressBucket) -> Result<(), u32> {
        self.register_addresses.take(&address.0, 1)
    }

    /// A registration of a key that has proved itself: nobody else can empty its bucket.
    pub(crate) fn register(&self, key: &IdentityKey) -> Result<(), u32> {
        self.register_keys.take(key, 1)
    }

    /// A page.
    pub(crate) fn page(&self, key: &IdentityKey) -> Result<(), u32> {
        self.pages.take(key, 1)
    }

    /// Forgets whoever has not asked lately.
    pub(crate) fn tidy(&self) {
        self.register_keys.tidy();
        self.register_addresses.tidy();
        self.pages.tidy();
        self.requests.tidy();
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
