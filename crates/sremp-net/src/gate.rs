//! Who may knock: limits before any work is done for a connection (D1.12).

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sremp_core::{
    constants::{
        CLIENT_ACCEPTS_PER_MINUTE, CLIENT_HALF_OPEN, CLIENT_HALF_OPEN_PER_PREFIX,
        MAX_RATED_PREFIXES, RELAY_ACCEPTS_PER_MINUTE, RELAY_HALF_OPEN, RELAY_HALF_OPEN_PER_PREFIX,
    },
    time::Tick,
};

/// Limits on connections that are not open yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Half-open connections of the process.
    pub half_open: usize,
    /// Half-open connections from one prefix: an IPv4 address or an IPv6 /64.
    pub half_open_per_prefix: usize,
    /// New connections from one prefix in a minute.
    pub accepts_per_minute: usize,
}

impl AdmissionLimits {
    /// The limits of a client.
    pub const CLIENT: Self = Self {
        half_open: CLIENT_HALF_OPEN,
        half_open_per_prefix: CLIENT_HALF_OPEN_PER_PREFIX,
        accepts_per_minute: CLIENT_ACCEPTS_PER_MINUTE,
    };
    /// The limits of a relay, where many share an address.
    pub const RELAY: Self = Self {
        half_open: RELAY_HALF_OPEN,
        half_open_per_prefix: RELAY_HALF_OPEN_PER_PREFIX,
        accepts_per_minute: RELAY_ACCEPTS_PER_MINUTE,
    };
}

/// Counts half-open connections and new ones.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: AdmissionLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    half_open: usize,
    /// By a hash of the prefix under a key of this process: no address can be read back (D6.12).
    prefixes: HashMap<u64, Visits>,
    key: RandomState,
    /// When whoever has not come lately was last forgotten.
    tidied: Tick,
}

impl State {
    /// Forgets prefixes whose visits are paid for; their hashes are kept a minute or two.
    fn tidy(&mut self, now: Tick) {
        let full = self.prefixes.len() >= MAX_RATED_PREFIXES;
        if full || now.since(self.tidied).as_millis() >= MINUTE.into() {
            self.tidied = now;
            let busy = |v: &Visits| v.half_open > 0 || v.paid_until > now.get();
            self.prefixes.retain(|_, visits| busy(visits));
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Visits {
    half_open: usize,
    /// When the visits so far are paid for at the allowed rate (GCRA), in milliseconds.
    paid_until: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Prefix {
    V4(Ipv4Addr),
    V6([u8; 8]),
}

impl Prefix {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => Self::V6(first_half(v6)),
        }
    }
}

fn first_half(v6: Ipv6Addr) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = v6.octets();
    [a, b, c, d, e, f, g, h]
}

const MINUTE: u64 = 60_000;

impl Gate {
    pub(crate) fn new(limits: AdmissionLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
        })
    }

    /// A permit for a new connection, or the cause why there is none.
    pub(crate) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        now: Tick,
    ) -> Result<Permit, &'static str> {
        let mut state = self.lock();
        let prefix = state.key.hash_one(Prefix::of(address));
        if state.half_open >= self.limits.half_open {
            return Err("half-open connections");
        }
        state.tidy(now);
        if state.prefixes.len() >= MAX_RATED_PREFIXES && !state.prefixes.contains_key(&prefix) {
            return Err("addresses");
        }
        let visits = state.prefixes.entry(prefix).or_default();
        if visits.half_open >= self.limits.half_open_per_prefix {
            return Err("half-open connections of one address");
        }
        let per_minute = u64::try_from(self.limits.accepts_per_minute).unwrap_or(u64::MAX);
        let price = MINUTE.checked_div(per_minute).unwrap_or(MINUTE);
        let paid_until = visits.paid_until.max(now.get()).saturating_add(price);
        if paid_until > now.get().saturating_add(MINUTE) {
            return Err("connections of one address per minute");
        }
        visits.paid_until = paid_until;
        visits.half_open = visits.half_open.saturating_add(1);
        state.half_open = state.half_open.saturating_add(1);
        drop(state);
        Ok(Permit {
            gate: self.clone(),
            prefix,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One half-open connection; given back when it is open or gone.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    prefix: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.half_open = state.half_open.saturating_sub(1);
        if let Some(visits) = state.prefixes.get_mut(&self.prefix) {
            visits.half_open = visits.half_open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(n: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, n))
    }

    #[test]
    fn case_05_the_65th_half_open_and_the_5th_of_a_prefix_are_refused() {
        let gate = Gate::new(AdmissionLimits::CLIENT);
        let now = Tick::new(0);
        let mut held = Vec::new();
        for n in 0..16 {
            for _ in 0..4 {
                held.push(gate.admit(v4(n), now).unwrap());
            }
        }
        assert_eq!(
            gate.admit(v4(99), now).unwrap_err(),
            "half-open connections"
        );
        held.pop();
        let fifth = gate.admit(v4(0), now).unwrap_err();
        assert_eq!(fifth, "half-open connections of one address");
        assert!(gate.admit(v4(99), now).is_ok(), "others are not affected");
    }

    #[test]
    fn whoever_has_come_is_forgotten_after_a_while() {
        let gate = Gate::new(AdmissionLimits::CLIENT);
        for n in 0..100 {
            drop(gate.admit(v4(n), Tick::new(0)).unwrap());
        }
        assert_eq!(gate.lock().prefixes.len(), 100);
        let held = gate.admit(v4(200), Tick::new(60_000)).unwrap();
        assert_eq!(gate.lock().prefixes.len(), 1);
        drop(gate.admit(v4(201), Tick::new(120_000)).unwrap());
        assert_eq!(gate.lock().prefixes.len(), 2, "half-open ones are not");
        drop(held);
    }

    #[test]
    fn an_ipv6_prefix_is_a_64_and_a_mapped_address_is_ipv4() {
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        let same: IpAddr = "2001:db8::ffff:2".parse().unwrap();
        let other: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        assert_eq!(Prefix::of(one), Prefix::of(same));
        assert_ne!(Prefix::of(one), Prefix::of(other));
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(Prefix::of(mapped), Prefix::of(v4(7)));
    }

    #[test]
    fn ten_new_connections_in_a_minute_and_then_one_every_six_seconds() {
        let gate = Gate::new(AdmissionLimits::CLIENT);
        let at = |s: u64| Tick::new(s * 1000);
        for _ in 0..10 {
            assert!(gate.admit(v4(1), at(100)).is_ok());
        }
        assert!(gate.admit(v4(1), at(100)).is_err());
        assert!(gate.admit(v4(1), at(105)).is_err());
        assert!(gate.admit(v4(1), at(106)).is_ok());
        assert!(gate.admit(v4(1), at(106)).is_err());
        assert!(gate.admit(v4(2), at(106)).is_ok(), "another address");
    }

    #[test]
    fn prefixes_that_went_away_are_forgotten_before_new_ones_are_refused() {
        let gate = Gate::new(AdmissionLimits::CLIENT);
        for n in 0..MAX_RATED_PREFIXES as u32 {
            let address = IpAddr::V4(Ipv4Addr::from_bits(n));
            gate.admit(address, Tick::new(0)).unwrap();
        }
        let late = IpAddr::V4(Ipv4Addr::from_bits(u32::MAX));
        assert_eq!(gate.admit(late, Tick::new(1)).unwrap_err(), "addresses");
        assert!(gate.admit(late, Tick::new(MINUTE)).is_ok());
        assert_eq!(gate.lock().prefixes.len(), 1);
    }
}
