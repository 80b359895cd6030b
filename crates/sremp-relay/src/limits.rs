//! Token buckets (D6.3): memory only, and no key of them can be read back to an address.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
};

use sremp_core::id::IdentityKey;
use sremp_net::AddressKey;
use sremp_server::buckets::Buckets;

use crate::config::Rates;

/// An address has a tenth of its requests at once: a whole minute's worth kept a machine of two
/// processors busy for a second, and everybody else waiting.
const ADDRESS_BURST: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// All buckets of a relay.
pub(crate) struct Limits {
    senders: Buckets<[u8; 32]>,
    mailboxes: Buckets<[u8; 32]>,
    addresses: Buckets<u64>,
    hasher: Mutex<RandomState>,
}

impl Limits {
    pub(crate) fn new(rates: &Rates) -> Self {
        Self {
            senders: Buckets::per_minute(rates.stores_per_sender, NonZeroU32::MIN),
            mailboxes: Buckets::per_minute(rates.stores_per_mailbox, NonZeroU32::MIN),
            addresses: Buckets::per_minute(rates.requests_per_address, ADDRESS_BURST),
            hasher: Mutex::default(),
        }
    }

    /// The bucket of an IPv4 address or an IPv6 /64, under a random key of the day.
    pub(crate) fn address(&self, address: AddressKey) -> AddressBucket {
        let hasher = self.hasher.lock().unwrap_or_else(PoisonError::into_inner);
        AddressBucket(hasher.hash_one(address))
    }

    /// Any request, at its [`price`].
    pub(crate) fn request(&self, address: AddressBucket, price: u32) -> Result<(), u32> {
        self.addresses.take(&address.0, price)
    }

    /// A STORE_MESSAGE of a sender.
    pub(crate) fn sender(&self, sender: &IdentityKey) -> Result<(), u32> {
        self.senders.take(sender.as_bytes(), 1)
    }

    /// A STORE_MESSAGE to a mailbox.
    pub(crate) fn mailbox(&self, mailbox: &IdentityKey) -> Result<(), u32> {
        self.mailboxes.take(mailbox.as_bytes(), 1)
    }

    /// Forgets whoever has not asked lately.
    pub(crate) fn tidy(&self) {
        self.senders.tidy();
        self.mailboxes.tidy();
        self.addresses.tidy();
    }

    /// A new day: no address can be recognised from the day before.
    pub(crate) fn new_day(&self) {
        *self.hasher.lock().unwrap_or_else(PoisonError::into_inner) = RandomState::new();
    }
}

/// What a message takes from the bucket of its address: a token for itself, and one for every eight
/// signatures. By requests alone one address could have 3 million signatures checked in a minute.
pub(crate) fn price(signatures: usize) -> u32 {
    u32::try_from(signatures / 8).map_or(u32::MAX, |more| more.saturating_add(1))
}

/// Stands for the address of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressBucket(u64);

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(rate: u32) -> Limits {
        Limits::new(&Rates {
            stores_per_sender: rate,
            stores_per_mailbox: 0,
            requests_per_address: rate,
        })
    }

    fn id(n: u8) -> IdentityKey {
        IdentityKey::new([n; 32])
    }

    #[test]
    fn whoever_asks_too_often_waits_and_others_do_not() {
        let limits = limits(3);
        for _ in 0..3 {
            assert_eq!(limits.sender(&id(1)), Ok(()));
        }
        let wait = limits.sender(&id(1)).unwrap_err();
        assert!((1..=21).contains(&wait), "{wait}");
        assert_eq!(limits.sender(&id(2)), Ok(()));
    }

    #[test]
    fn an_address_keeps_its_bucket_for_a_day() {
        let limits = limits(1);
        let at = |n| limits.address(AddressKey::simulated(n));
        assert_eq!(at(1), at(1));
        assert_ne!(at(1), at(2));
        let today = at(1);
        limits.new_day();
        assert_ne!(at(1), today);
    }

    #[test]
    fn many_signatures_cost_more_than_one_and_never_more_than_a_bucket_holds() {
        assert_eq!((price(0), price(7), price(8), price(256)), (1, 1, 2, 33));
        let limits = limits(400);
        let here = limits.address(AddressKey::simulated(1));
        assert_eq!(limits.request(here, price(256)), Ok(()));
        assert!(limits.request(here, price(256)).is_err());
        assert_eq!(limits.request(here, price(1)), Ok(()));
        let there = limits.address(AddressKey::simulated(2));
        assert_eq!(limits.request(there, price(10_000)), Ok(()));
        assert!(limits.request(there, price(1)).is_err());
    }

    #[test]
    fn no_limit_is_none() {
        let limits = limits(0);
        for _ in 0..10_000 {
            assert_eq!(limits.sender(&id(1)), Ok(()));
        }
    }
}
