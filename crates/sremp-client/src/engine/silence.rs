//! Whether a connection on which an answer is awaited still carries anything: a network that was cut
//! says nothing, and TCP notices only after minutes.

use std::time::Duration;

use sremp_core::{
    route::{ASK_AFTER, CHANGED_SIGN_WITHIN, LONGEST_SIGN_WITHIN, SIGN_WITHIN},
    time::Tick,
};

/// What is heard on one connection.
#[derive(Debug)]
pub(super) struct Silence {
    /// When something last came.
    heard: Tick,
    /// It was asked after, and is given up at this time.
    until: Option<Tick>,
    /// It was asked after because this host's network changed.
    changed: bool,
}

/// What to do about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Wait,
    /// Ask whether the other side is there.
    Ask,
    /// Give it up.
    Dead,
}

/// Why a connection is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silent {
    /// This host's network is another one since.
    Changed,
    /// The network is cut, or slow, or the other side is gone.
    Unexplained,
}

/// How often in a row connections with somebody were given up for no reason that is known; a link that
/// is only slow must not be closed for ever before it has carried anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GivenUp(u32);

impl GivenUp {
    pub(super) const fn once_more(&mut self) {
        self.0 = self.0.saturating_add(1);
    }

    /// Something was answered.
    pub(super) const fn forget(&mut self) {
        self.0 = 0;
    }

    fn patience(self) -> Duration {
        let factor = 1_u32.checked_shl(self.0).unwrap_or(u32::MAX);
        SIGN_WITHIN.saturating_mul(factor).min(LONGEST_SIGN_WITHIN)
    }
}

impl Silence {
    /// The connection is open.
    pub(super) const fn new(now: Tick) -> Self {
        Self {
            heard: now,
            until: None,
            changed: false,
        }
    }

    /// Something came.
    pub(super) const fn heard(&mut self, now: Tick) {
        self.heard = now;
        self.until = None;
        self.changed = false;
    }

    /// Why nothing comes.
    pub(super) const fn why(&self) -> Silent {
        match self.changed {
            true => Silent::Changed,
            false => Silent::Unexplained,
        }
    }

    /// This host's network has changed, and the other side is being asked.
    pub(super) fn network_changed(&mut self, now: Tick, given_up: GivenUp) {
        let patience = CHANGED_SIGN_WITHIN.max(given_up.patience().saturating_sub(SIGN_WITHIN));
        let until = now.plus(patience);
        self.changed = true;
        self.until = Some(self.until.map_or(until, |known| known.min(until)));
    }

    /// An answer is awaited since `awaited`, or none.
    pub(super) fn judge(&mut self, now: Tick, awaited: Option<Tick>, given_up: GivenUp) -> Verdict {
        match self.until {
            Some(until) if until <= now => Verdict::Dead,
            Some(_) => Verdict::Wait,
            None if self.asks_at(awaited).is_some_and(|at| at <= now) => {
                self.until = Some(now.plus(given_up.patience()));
                Verdict::Ask
            }
            None => Verdict::Wait,
        }
    }

    /// When [`Self::judge`] is next something else than [`Verdict::Wait`].
    pub(super) fn deadline(&self, awaited: Option<Tick>) -> Option<Tick> {
        self.until.or(self.asks_at(awaited))
    }

    fn asks_at(&self, awaited: Option<Tick>) -> Option<Tick> {
        awaited.map(|since| since.max(self.heard).plus(ASK_AFTER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Tick {
        Tick::new(n * 1000)
    }

    #[test]
    fn an_unanswered_connection_is_asked_after_three_seconds_and_given_up_four_later() {
        let mut silence = Silence::new(seconds(0));
        let (awaited, never) = (Some(seconds(10)), GivenUp::default());
        assert_eq!(silence.judge(seconds(12), awaited, never), Verdict::Wait);
        assert_eq!(silence.deadline(awaited), Some(seconds(13)));
        assert_eq!(silence.judge(seconds(13), awaited, never), Verdict::Ask);
        assert_eq!(silence.judge(seconds(16), awaited, never), Verdict::Wait);
        assert_eq!(silence.judge(seconds(17), awaited, never), Verdict::Dead);
    }

    #[test]
    fn who_says_anything_is_not_given_up() {
        let mut silence = Silence::new(seconds(0));
        let (awaited, never) = (Some(seconds(0)), GivenUp::default());
        for second in 1..100 {
            let verdict = silence.judge(seconds(second), awaited, never);
            assert_ne!(verdict, Verdict::Dead, "{second}");
            if second % 5 == 0 {
                silence.heard(seconds(second));
            }
        }
    }

    #[test]
    fn a_connection_on_which_nothing_is_awaited_may_be_silent() {
        let mut silence = Silence::new(seconds(0));
        assert_eq!(silence.deadline(None), None);
        let verdict = silence.judge(seconds(9999), None, GivenUp::default());
        assert_eq!(verdict, Verdict::Wait);
    }

    #[test]
    fn a_slow_network_gets_more_time_each_time_up_to_a_minute() {
        let mut given_up = GivenUp::default();
        let mut waited = Vec::new();
        for _ in 0..40 {
            waited.push(given_up.patience().as_secs());
            given_up.once_more();
        }
        assert_eq!(waited[..5], [4, 8, 16, 32, 60]);
        assert_eq!(waited[39], 60);
        given_up.forget();
        assert_eq!(given_up.patience(), SIGN_WITHIN);
    }

    #[test]
    fn after_a_change_of_the_network_one_second_is_enough_if_it_was_never_slow() {
        let mut silence = Silence::new(seconds(0));
        let mut given_up = GivenUp::default();
        silence.network_changed(seconds(5), given_up);
        assert_eq!(silence.judge(seconds(6), None, given_up), Verdict::Dead);
        given_up.once_more();
        given_up.once_more();
        silence.heard(seconds(7));
        silence.network_changed(seconds(7), given_up);
        assert_eq!(silence.deadline(None), Some(seconds(19)));
    }
}
