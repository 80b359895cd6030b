//! Who may knock: limits before any work is done for a connection (D1.12).

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sremp_core::{
    constants::{
        CLIENT_ACCEPTS_PER_MINUTE, CLIENT_HALF_OPEN, CLIENT_HALF_OPEN_PER_PREFIX,
        MAX_RATED_PREFIXES, RELAY_ACCEPT_WAIT, RELAY_ACCEPTS_AT_ONCE, RELAY_ACCEPTS_PER_MINUTE,
        RELAY_HALF_OPEN, RELAY_HALF_OPEN_PER_PREFIX,
    },
    id::ContactId,
    time::Tick,
};
use tokio::sync::Semaphore;

use crate::bans::{BanRule, Bans};

/// Limits on connections that are not open yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Half-open connections of the process.
    pub half_open: usize,
    /// Half-open connections from one prefix: an IPv4 address or an IPv6 /64.
    pub half_open_per_prefix: usize,
    /// New connections from one prefix in a minute.
    pub accepts_per_minute: usize,
    /// Of those so many may come at once.
    pub accepts_at_once: usize,
    /// One that comes earlier than it may is made to wait, unread, if its turn is no later than this.
    pub wait: Duration,
    /// Handshakes that are computed at the same time. Fewer than processors, so that those who are
    /// connected already have one to themselves.
    pub handshakes_at_once: usize,
    /// Whom a server does not let in any more.
    pub bans: BanRule,
}

impl AdmissionLimits {
    /// The limits of a client.
    pub const CLIENT: Self = Self {
        half_open: CLIENT_HALF_OPEN,
        half_open_per_prefix: CLIENT_HALF_OPEN_PER_PREFIX,
        accepts_per_minute: CLIENT_ACCEPTS_PER_MINUTE,
        accepts_at_once: CLIENT_ACCEPTS_PER_MINUTE,
        wait: Duration::ZERO,
        handshakes_at_once: 1,
        bans: BanRule::NONE,
    };
    /// The limits of a relay, where many share an address.
    pub const RELAY: Self = Self {
        half_open: RELAY_HALF_OPEN,
        half_open_per_prefix: RELAY_HALF_OPEN_PER_PREFIX,
        accepts_per_minute: RELAY_ACCEPTS_PER_MINUTE,
        accepts_at_once: RELAY_ACCEPTS_AT_ONCE,
        wait: RELAY_ACCEPT_WAIT,
        handshakes_at_once: 1,
        bans: BanRule::SERVER,
    };

    /// Between two connections of a prefix that has come often, in milliseconds.
    fn price(&self) -> u64 {
        let per_minute = u64::try_from(self.accepts_per_minute).unwrap_or(u64::MAX);
        MINUTE.checked_div(per_minute).unwrap_or(MINUTE)
    }

    /// How far a prefix may be ahead of its rate, in milliseconds.
    fn ahead(&self) -> u64 {
        let at_once = self.accepts_at_once.min(self.accepts_per_minute);
        let at_once = u64::try_from(at_once).unwrap_or(u64::MAX);
        at_once.saturating_mul(self.price()).min(MINUTE)
    }
}

/// Stands for where a connection comes from: an IPv4 address or an IPv6 /64, hashed under a key of
/// this process. The address itself is kept nowhere (D6.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressKey(u64);

impl AddressKey {
    /// An address of a simulated network.
    pub const fn simulated(number: u64) -> Self {
        Self(number)
    }
}

/// Counts half-open connections and new ones.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: AdmissionLimits,
    key: RandomState,
    state: Mutex<State>,
    handshakes: Semaphore,
}

#[derive(Debug)]
struct State {
    half_open: usize,
    prefixes: HashMap<AddressKey, Visits>,
    bans: Bans,
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
            self.bans.tidy(now);
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Visits {
    half_open: usize,
    /// When the visits so far are paid for at the allowed rate (GCRA), in milliseconds.
    paid_until: u64,
}

impl Visits {
    /// Pays for one more; when its turn is, or `None` if that is too late.
    fn pay(&mut self, limits: &AdmissionLimits, now: Tick) -> Option<Tick> {
        let paid_until = self.paid_until.max(now.get());
        let paid_until = paid_until.saturating_add(limits.price());
        let turn = Tick::new(paid_until.saturating_sub(limits.ahead())).max(now);
        (turn.since(now) <= limits.wait).then(|| {
            self.paid_until = paid_until;
            turn
        })
    }
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
            key: RandomState::new(),
            state: Mutex::new(State {
                half_open: 0,
                prefixes: HashMap::new(),
                bans: Bans::new(limits.bans),
                tidied: Tick::new(0),
            }),
            handshakes: Semaphore::new(limits.handshakes_at_once.clamp(1, Semaphore::MAX_PERMITS)),
        })
    }

    /// A permit for a new connection, or the cause why there is none.
    pub(crate) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        now: Tick,
    ) -> Result<Permit, &'static str> {
        let from = AddressKey(self.key.hash_one(Prefix::of(address)));
        let limits = &self.limits;
        let mut state = self.lock();
        if state.bans.is_address_banned(&from, now) {
            return Err("banned address");
        }
        if state.half_open >= limits.half_open {
            return Err("half-open connections");
        }
        state.tidy(now);
        if state.prefixes.len() >= MAX_RATED_PREFIXES && !state.prefixes.contains_key(&from) {
            return Err("addresses");
        }
        let visits = state.prefixes.entry(from).or_default();
        if visits.half_open >= limits.half_open_per_prefix {
            return Err("half-open connections of one address");
        }
        let turn = visits.pay(limits, now);
        let turn = turn.ok_or("connections of one address per minute")?;
        visits.half_open = visits.half_open.saturating_add(1);
        state.half_open = state.half_open.saturating_add(1);
        drop(state);
        Ok(Permit {
            gate: self.clone(),
            from,
            turn,
        })
    }

    /// Somebody who was let in broke the protocol; `peer` only if it has proved to be that.
    pub(crate) fn violated(&self, from: AddressKey, peer: Option<ContactId>, now: Tick) {
        self.lock().bans.violated(from, peer, now);
    }

    /// Whether this peer broke the protocol lately.
    pub(crate) fn is_banned(&self, peer: &ContactId, now: Tick) -> bool {
        self.lock().bans.is_identity_banned(peer, now)
    }

    /// Those whose turn it is to compute a step of a handshake.
    pub(crate) const fn handshakes(&self) -> &Semaphore {
        &self.handshakes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One half-open connection; given back when it is open or gone.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    /// Where it comes from.
    pub(crate) from: AddressKey,
    /// When it may be read from at the earliest.
    pub(crate) turn: Tick,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.half_open = state.half_open.saturating_sub(1);
        if let Some(visits) = state.prefixes.get_mut(&self.from) {
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
    fn twelve_come_to_a_relay_at_once_four_wait_for_their_turn_and_the_next_is_refused() {
        let gate = Gate::new(AdmissionLimits::RELAY);
        let now = Tick::new(100_000);
        let turn = |now| gate.admit(v4(1), now).map(|permit| permit.turn);
        for _ in 0..12 {
            assert_eq!(turn(now), Ok(now));
        }
        for n in 1..=4 {
            assert_eq!(turn(now), Ok(Tick::new(100_000 + n * 500)));
        }
        let refused = Err("connections of one address per minute");
        assert_eq!(turn(now), refused);
        // one who was refused has not paid: half a second later there is room for one
        let later = Tick::new(100_500);
        assert_eq!(turn(later), Ok(Tick::new(102_500)));
        assert_eq!(turn(later), refused);
        assert_eq!(gate.admit(v4(2), now).map(|permit| permit.turn), Ok(now));
    }

    #[test]
    fn no_address_is_let_in_more_often_than_its_rate_and_its_burst() {
        let gate = Gate::new(AdmissionLimits::RELAY);
        let mut turns = Vec::new();
        for ms in 0..300_000 {
            turns.extend(gate.admit(v4(1), Tick::new(ms)).map(|p| p.turn.get()));
        }
        assert!(turns.is_sorted());
        assert!(turns.windows(13).all(|w| w[12] - w[0] >= 500));
        assert!(turns.windows(132).all(|w| w[131] - w[0] >= MINUTE - 500));
        assert!(turns.len() >= 600, "five minutes' worth: {}", turns.len());
    }

    /// The pause of our own client: 2 s, doubled, ± 25 %.
    fn pause(failures: u32, seed: &mut u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let percent = 75 + (*seed >> 33) % 51;
        (2_000 << failures.min(9)) * percent / 100
    }

    #[test]
    fn sixty_people_behind_one_address_are_all_in_within_a_minute() {
        let gate = Gate::new(AdmissionLimits::RELAY);
        let mut seed = 8;
        // (when, how often it failed): a relay has come back, and all dial at once
        let mut due: Vec<(u64, u32)> = vec![(0, 0); 60];
        let mut last = 0;
        while let Some(next) = (0..due.len()).min_by_key(|n| due[*n]) {
            let (at, failures) = due.swap_remove(next);
            match gate.admit(v4(1), Tick::new(at)) {
                // the handshake itself is over at once
                Ok(permit) => last = last.max(permit.turn.get()),
                Err(_) => due.push((at + pause(failures, &mut seed), failures + 1)),
            }
        }
        assert!((24_000..60_000).contains(&last), "{last} ms");
    }

    #[test]
    fn a_banned_address_is_refused_before_anything_else_and_others_are_not() {
        let gate = Gate::new(AdmissionLimits::RELAY);
        let now = Tick::new(5_000);
        let from = gate.admit(v4(1), now).unwrap().from;
        for _ in 0..8 {
            assert!(gate.admit(v4(1), now).is_ok());
            gate.violated(from, None, now);
        }
        assert_eq!(gate.admit(v4(1), now).unwrap_err(), "banned address");
        assert!(gate.admit(v4(2), now).is_ok());
        let over = Tick::new(605_000);
        assert!(gate.admit(v4(1), over).is_ok());
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
