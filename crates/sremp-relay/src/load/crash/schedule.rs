//! When the relay dies: random, and the same again from the same seed.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// Most that a kill comes after the message that it waits for.
const LATEST: Duration = Duration::from_millis(20);
/// Most that a start is given before it is killed as well.
const LONGEST_START: Duration = Duration::from_millis(40);

/// The end of one life of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// After so many acknowledged messages.
    pub messages: u64,
    /// And so much time.
    pub delay: Duration,
    /// Whether the next start is killed too, after so much time.
    pub next_start: Option<Duration>,
}

/// Deaths one after the other.
#[derive(Debug)]
pub struct Schedule {
    seed: u64,
    mean: u64,
    rng: StdRng,
}

impl Schedule {
    /// Deaths from a seed, or a random one, with so many messages between them on average.
    pub fn new(seed: Option<u64>, mean: u64) -> Self {
        let seed = seed.unwrap_or_else(rand::random);
        Self {
            seed,
            mean,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// What it was made of.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The randomness, for what else is to come of the seed.
    pub const fn rng(&mut self) -> &mut StdRng {
        &mut self.rng
    }

    /// The next one.
    pub fn next_death(&mut self) -> Death {
        let started = self.rng.random_ratio(1, 8);
        Death {
            messages: self.rng.random_range(0..=self.mean.saturating_mul(2)),
            delay: self.rng.random_range(Duration::ZERO..=LATEST),
            next_start: started.then(|| self.next_start()),
        }
    }

    /// How long the next start is given that is killed.
    pub fn next_start(&mut self) -> Duration {
        self.rng.random_range(Duration::ZERO..=LONGEST_START)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_deaths_around_their_mean() {
        let of = |seed| {
            let mut schedule = Schedule::new(Some(seed), 1_000);
            (0..200).map(|_| schedule.next_death()).collect::<Vec<_>>()
        };
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        let sum: u64 = of(7).iter().map(|death| death.messages).sum();
        assert!((150_000..250_000).contains(&sum), "{sum}");
    }
}
