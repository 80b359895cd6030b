//! Who has broken the protocol and is not let in for a while (chapter 10).

use std::{collections::HashMap, hash::Hash, time::Duration};

use sremp_core::{
    constants::{BAN_TIME, BAN_VIOLATIONS, MAX_BANS},
    id::ContactId,
    time::Tick,
};

use crate::gate::AddressKey;

/// When a server bans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanRule {
    /// How long; zero bans nobody. An identity is banned at its first violation.
    pub time: Duration,
    /// Violations within this time after which an address is banned; 0 bans none. Many people may
    /// share it, so one of them must not lock out all with a single message.
    pub violations_per_prefix: u32,
}

impl BanRule {
    /// The rule of chapter 10.
    pub const SERVER: Self = Self {
        time: BAN_TIME,
        violations_per_prefix: BAN_VIOLATIONS,
    };
    /// Nobody is banned.
    pub const NONE: Self = Self {
        time: Duration::ZERO,
        violations_per_prefix: 0,
    };
}

/// Violations that are remembered, in memory only.
#[derive(Debug)]
pub(crate) struct Bans {
    identities: Offenders<ContactId>,
    prefixes: Offenders<AddressKey>,
}

impl Bans {
    pub(crate) fn new(rule: BanRule) -> Self {
        Self {
            identities: Offenders::new(rule.time, 1),
            prefixes: Offenders::new(rule.time, rule.violations_per_prefix),
        }
    }

    /// Somebody broke the protocol; who is known only if it has proved so.
    pub(crate) fn violated(&mut self, from: AddressKey, peer: Option<ContactId>, now: Tick) {
        self.prefixes.violated(from, now);
        if let Some(peer) = peer {
            self.identities.violated(peer, now);
        }
    }

    pub(crate) fn is_address_banned(&self, from: &AddressKey, now: Tick) -> bool {
        self.prefixes.is_banned(from, now)
    }

    pub(crate) fn is_identity_banned(&self, peer: &ContactId, now: Tick) -> bool {
        self.identities.is_banned(peer, now)
    }

    /// Forgets what is over.
    pub(crate) fn tidy(&mut self, now: Tick) {
        self.identities.tidy(now);
        self.prefixes.tidy(now);
    }
}

#[derive(Debug)]
struct Offenders<K> {
    time: Duration,
    /// Violations that ban; 0 is never.
    limit: u32,
    known: HashMap<K, Offence>,
}

#[derive(Clone, Copy, Debug)]
struct Offence {
    violations: u32,
    /// When it is forgotten: the time after the first violation, or after the one that banned.
    until: Tick,
}

impl<K: Clone + Eq + Hash> Offenders<K> {
    fn new(time: Duration, limit: u32) -> Self {
        Self {
            time,
            limit,
            known: HashMap::new(),
        }
    }

    fn violated(&mut self, key: K, now: Tick) {
        if self.limit == 0 || self.time.is_zero() {
            return;
        }
        if !self.known.contains_key(&key) {
            self.make_room(now);
        }
        let until = now.plus(self.time);
        let new = Offence {
            violations: 0,
            until,
        };
        let offence = self.known.entry(key).or_insert(new);
        if offence.until <= now {
            *offence = new;
        }
        // one who is banned already may have other connections: they do not prolong it
        if offence.violations < self.limit {
            offence.violations = offence.violations.saturating_add(1);
            if offence.violations == self.limit {
                offence.until = until;
            }
        }
    }

    fn is_banned(&self, key: &K, now: Tick) -> bool {
        let offence = self.known.get(key);
        offence.is_some_and(|o| o.violations >= self.limit && now < o.until)
    }

    fn tidy(&mut self, now: Tick) {
        self.known.retain(|_, offence| now < offence.until);
    }

    /// When too many are known, the one that would be forgotten first goes.
    fn make_room(&mut self, now: Tick) {
        if self.known.len() < MAX_BANS {
            return;
        }
        self.tidy(now);
        if self.known.len() >= MAX_BANS {
            let first = self.known.iter().min_by_key(|(_, offence)| offence.until);
            if let Some(key) = first.map(|(key, _)| key.clone()) {
                self.known.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: BanRule = BanRule::SERVER;

    fn somebody(n: u64) -> ContactId {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&n.to_le_bytes());
        let name = sremp_core::identity::Username::parse("somebody").unwrap();
        let noise = sremp_core::key::NoiseSecret::from_bytes(&[0x41; 32]);
        let zero = sremp_core::time::UnixMillis::ZERO;
        sremp_core::identity::SecretIdentity::from_keys(&seed, noise, &name, zero).id()
    }

    fn from(n: u64) -> AddressKey {
        AddressKey::simulated(n)
    }

    fn at(seconds: u64) -> Tick {
        Tick::new(seconds * 1_000)
    }

    #[test]
    fn one_violation_bans_an_identity_for_ten_minutes_and_not_its_address() {
        let mut bans = Bans::new(RULE);
        bans.violated(from(1), Some(somebody(1)), at(5));
        assert!(bans.is_identity_banned(&somebody(1), at(5)));
        assert!(!bans.is_identity_banned(&somebody(2), at(5)));
        assert!(!bans.is_address_banned(&from(1), at(5)));
        assert!(bans.is_identity_banned(&somebody(1), at(604)));
        assert!(!bans.is_identity_banned(&somebody(1), at(605)));
    }

    #[test]
    fn eight_violations_within_ten_minutes_ban_an_address_from_the_last_of_them_on() {
        let mut bans = Bans::new(RULE);
        for n in 0..7 {
            // of others each time, and of such that never said who they are
            bans.violated(from(1), (n % 2 == 0).then(|| somebody(n)), at(n * 10));
            bans.violated(from(2), None, at(n * 10));
        }
        assert!(!bans.is_address_banned(&from(1), at(500)));
        bans.violated(from(1), None, at(500));
        assert!(bans.is_address_banned(&from(1), at(500)));
        assert!(!bans.is_address_banned(&from(2), at(500)), "another");
        // what its open connections do does not prolong it
        bans.violated(from(1), None, at(1_000));
        assert!(bans.is_address_banned(&from(1), at(1_099)));
        assert!(!bans.is_address_banned(&from(1), at(1_100)));
    }

    #[test]
    fn seven_violations_are_forgotten_after_ten_minutes() {
        let mut bans = Bans::new(RULE);
        for _ in 0..7 {
            bans.violated(from(1), None, at(0));
        }
        for _ in 0..7 {
            bans.violated(from(1), None, at(600));
        }
        assert!(!bans.is_address_banned(&from(1), at(600)));
        bans.tidy(at(1_199));
        assert_eq!(bans.prefixes.known.len(), 1);
        bans.tidy(at(1_200));
        assert_eq!(bans.prefixes.known.len(), 0);
    }

    #[test]
    fn a_flood_of_offenders_takes_no_more_memory_and_drops_those_that_end_first() {
        let mut bans = Bans::new(RULE);
        let flood = MAX_BANS as u64 + 50;
        for n in 0..flood {
            bans.violated(from(n), None, Tick::new(n));
        }
        assert_eq!(bans.prefixes.known.len(), MAX_BANS);
        assert!(!bans.prefixes.known.contains_key(&from(49)));
        assert!(bans.prefixes.known.contains_key(&from(50)));
        // those that are over make room for all
        bans.violated(from(flood), None, at(10_000));
        assert_eq!(bans.prefixes.known.len(), 1);
    }

    #[test]
    fn no_rule_bans_nobody_and_an_operator_may_spare_addresses() {
        let spare = BanRule {
            violations_per_prefix: 0,
            ..RULE
        };
        for (rule, identity) in [(BanRule::NONE, false), (spare, true)] {
            let mut bans = Bans::new(rule);
            for _ in 0..100 {
                bans.violated(from(1), Some(somebody(1)), at(1));
            }
            assert!(!bans.is_address_banned(&from(1), at(1)), "{rule:?}");
            let banned = bans.is_identity_banned(&somebody(1), at(1));
            assert_eq!(banned, identity, "{rule:?}");
            assert!(bans.prefixes.known.is_empty());
        }
    }
}
