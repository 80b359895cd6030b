//! Pauses before the next try: each twice the one before.

use std::time::Duration;

use sremp_core::rand_core::CryptoRng;

/// Pauses that double from the first to the longest, ± 25 %, so that nobody tries in step with others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

impl Backoff {
    /// The pause after so many failures in a row, 0 for the first.
    pub(super) fn pause(self, failures: u32, rng: &mut dyn CryptoRng) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        let pause = self.first.saturating_mul(factor).min(self.longest);
        pause * (75 + rng.next_u32() % 51) / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};

    #[test]
    fn pauses_double_from_the_first_to_the_longest_give_or_take_a_quarter() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let backoff = Backoff {
            first: Duration::from_secs(2),
            longest: Duration::from_secs(10 * 60),
        };
        let mut middle = backoff.first;
        for failures in 0..40 {
            let pause = backoff.pause(failures, &mut rng);
            assert!(
                pause >= middle * 3 / 4 && pause <= middle * 5 / 4,
                "{failures}: {pause:?}"
            );
            middle = (middle * 2).min(backoff.longest);
        }
    }
}
