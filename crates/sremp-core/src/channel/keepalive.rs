//! PING and PONG: whether the peer is still there (D1.11).

use std::{collections::VecDeque, time::Duration};

use rand_core::CryptoRng;

use crate::{
    constants::{
        KEEPALIVE_INTERVAL, KEEPALIVE_JITTER_PERCENT, MAX_UNANSWERED_PINGS, PING_BURST,
        PING_MIN_INTERVAL, PING_TIMEOUT,
    },
    error::ErrorCode,
    time::{Tick, millis},
};

/// The content of a PING.
pub(super) type PingPayload = [u8; 8];

/// PINGs without an answer that are remembered; probes wait beyond.
const MAX_OUTSTANDING: usize = 16;

/// Decides when to send a PING, whether to answer one, and when the peer is dead.
///
/// Anything that the peer sends proves it alive; PINGs go out only into its silence.
pub(super) struct Keepalive {
    interval: Duration,
    next_interval: Duration,
    heard: Tick,
    unanswered: u8,
    /// Sent and not echoed yet, oldest first.
    outstanding: VecDeque<PingPayload>,
    last_sent: Option<Tick>,
    probing: bool,
    /// PINGs of the peer that may still be answered, and since when one more is earned.
    allowance: u32,
    allowance_since: Tick,
}

/// What a probe leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// Send this PING.
    Send(PingPayload),
    /// A PING is out already; its PONG is the answer.
    Waiting,
    /// The peer answered a PING a moment ago.
    Alive,
}

impl Keepalive {
    pub(super) fn new<R: CryptoRng + ?Sized>(now: Tick, rng: &mut R) -> Self {
        Self {
            interval: jittered(rng),
            next_interval: jittered(rng),
            heard: now,
            unanswered: 0,
            outstanding: VecDeque::new(),
            last_sent: None,
            probing: false,
            allowance: PING_BURST,
            allowance_since: now,
        }
    }

    /// The connection opened: silence counts from here.
    pub(super) const fn start(&mut self, now: Tick) {
        self.heard = now;
        self.allowance_since = now;
    }

    /// A frame of the peer came.
    pub(super) const fn heard(&mut self, now: Tick) {
        self.heard = now;
        if self.unanswered > 0 {
            self.unanswered = 0;
            self.interval = self.next_interval;
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Tick {
        let waited = PING_TIMEOUT.saturating_mul(u32::from(self.unanswered));
        self.heard.plus(self.interval.saturating_add(waited))
    }

    /// Returns a PING to send, if the peer has been silent for long enough.
    ///
    /// # Errors
    /// `TIMEOUT` when two PINGs stayed unanswered.
    pub(super) fn handle_timeout<R: CryptoRng + ?Sized>(
        &mut self,
        now: Tick,
        rng: &mut R,
    ) -> Result<Option<PingPayload>, ErrorCode> {
        if now < self.poll_timeout() {
            return Ok(None);
        }
        if self.unanswered >= MAX_UNANSWERED_PINGS {
            return Err(ErrorCode::Timeout);
        }
        self.next_interval = jittered(rng);
        self.unanswered = self.unanswered.saturating_add(1);
        Ok(Some(self.ping(now, rng)))
    }

    /// Asks whether the peer is there now.
    pub(super) fn probe<R: CryptoRng + ?Sized>(&mut self, now: Tick, rng: &mut R) -> Probe {
        let lately = |at: Tick| now.since(at) < PING_MIN_INTERVAL;
        let lately = self.last_sent.is_some_and(lately);
        if lately && self.outstanding.is_empty() {
            return Probe::Alive;
        }
        self.probing = true;
        // one that sends but never answers is probed no further
        if lately || self.outstanding.len() >= MAX_OUTSTANDING {
            return Probe::Waiting;
        }
        Probe::Send(self.ping(now, rng))
    }

    fn ping<R: CryptoRng + ?Sized>(&mut self, now: Tick, rng: &mut R) -> PingPayload {
        let mut payload = [0; 8];
        rng.fill_bytes(&mut payload);
        self.outstanding.push_back(payload);
        self.last_sent = Some(now);
        payload
    }

    /// A PONG came. Returns whether it answers a probe.
    ///
    /// # Errors
    /// `PROTOCOL_VIOLATION` when it echoes no PING of ours.
    pub(super) fn handle_pong(&mut self, payload: PingPayload) -> Result<bool, ErrorCode> {
        let position = self.outstanding.iter().position(|p| *p == payload);
        let position = position.ok_or(ErrorCode::ProtocolViolation)?;
        // earlier ones were too close together for the peer and will not be answered any more
        self.outstanding.drain(..=position);
        Ok(std::mem::take(&mut self.probing))
    }

    /// Whether a PING of the peer is to be answered: one in 5 s, two at once at most.
    pub(super) fn allows_ping(&mut self, now: Tick) -> bool {
        let earned = now.since(self.allowance_since).as_millis() / PING_MIN_INTERVAL.as_millis();
        if let Some(earned) = u32::try_from(earned).ok().filter(|n| *n > 0) {
            self.allowance = self.allowance.saturating_add(earned).min(PING_BURST);
            self.allowance_since = now;
        }
        let allowed = self.allowance > 0;
        self.allowance = self.allowance.saturating_sub(1);
        allowed
    }
}

/// [`KEEPALIVE_INTERVAL`] ± 20 %, so that connections do not beat together.
fn jittered<R: CryptoRng + ?Sized>(rng: &mut R) -> Duration {
    let whole = millis(KEEPALIVE_INTERVAL);
    let spread = whole.saturating_mul(KEEPALIVE_JITTER_PERCENT) / 100;
    let range = spread.saturating_mul(2).saturating_add(1);
    let jitter = rng.next_u64().checked_rem(range).unwrap_or(0);
    Duration::from_millis(whole.saturating_sub(spread).saturating_add(jitter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::{ChaCha12Rng, rand_core::SeedableRng as _};

    fn seconds(s: u64) -> Tick {
        Tick::new(s * 1000)
    }

    #[test]
    fn a_silent_peer_gets_two_pings_and_is_dead_20_s_after_the_second() {
        let mut rng = ChaCha12Rng::seed_from_u64(1);
        let mut keepalive = Keepalive::new(seconds(0), &mut rng);
        let first = keepalive.poll_timeout();
        assert!((80..=120).contains(&(first.get() / 1000)), "{first:?}");
        assert!(keepalive.handle_timeout(first, &mut rng).unwrap().is_some());
        let second = keepalive.poll_timeout();
        assert_eq!(second, first.plus(PING_TIMEOUT));
        assert_eq!(keepalive.handle_timeout(first, &mut rng), Ok(None));
        assert!(
            keepalive
                .handle_timeout(second, &mut rng)
                .unwrap()
                .is_some()
        );
        let third = keepalive.poll_timeout();
        let dead = keepalive.handle_timeout(third, &mut rng);
        assert_eq!(dead, Err(ErrorCode::Timeout));
    }

    #[test]
    fn intervals_vary_by_a_fifth_and_no_more() {
        let mut rng = ChaCha12Rng::seed_from_u64(2);
        let all: Vec<u64> = (0..2000)
            .map(|_| jittered(&mut rng).as_millis() as u64)
            .collect();
        assert!(all.iter().all(|ms| (80_000..=120_000).contains(ms)));
        assert!(all.iter().any(|ms| *ms < 81_000) && all.iter().any(|ms| *ms > 119_000));
    }

    #[test]
    fn a_pong_that_echoes_nothing_is_a_violation() {
        let mut rng = ChaCha12Rng::seed_from_u64(3);
        let mut keepalive = Keepalive::new(seconds(0), &mut rng);
        assert!(keepalive.handle_pong([0; 8]).is_err());
        let Probe::Send(payload) = keepalive.probe(seconds(10), &mut rng) else {
            panic!("nothing was out");
        };
        assert_eq!(keepalive.probe(seconds(11), &mut rng), Probe::Waiting);
        assert_eq!(keepalive.handle_pong(payload), Ok(true));
        assert_eq!(keepalive.probe(seconds(12), &mut rng), Probe::Alive);
        assert!(keepalive.handle_pong(payload).is_err(), "once");
    }

    #[test]
    fn pings_beyond_one_in_five_seconds_are_not_answered() {
        let mut rng = ChaCha12Rng::seed_from_u64(4);
        let mut keepalive = Keepalive::new(seconds(0), &mut rng);
        let answered = (0..1000)
            .filter(|i| keepalive.allows_ping(Tick::new(i * 100)))
            .count();
        assert!((19..=22).contains(&answered), "{answered} in 100 s");
        assert!(keepalive.allows_ping(seconds(1000)));
        assert!(keepalive.allows_ping(seconds(1000)), "delivered together");
        assert!(!keepalive.allows_ping(seconds(1000)));
    }
}
