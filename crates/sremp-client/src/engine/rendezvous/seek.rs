//! When somebody who cannot be reached is looked for (7.6).

use std::time::Duration;

use sremp_core::{
    rand_core::CryptoRng,
    route::{SEEK_AFTER_CONNECTION, SEEK_PAUSES},
    time::Tick,
};

/// Somebody is looked for by itself.
#[derive(Default)]
pub(super) struct Seek {
    pub(super) due: Option<Tick>,
    pub(super) last: Option<Tick>,
    pub(super) failures: u32,
    /// A connection has stood since the last search: it was reached, and has gone from there.
    pub(super) connected: bool,
    /// A server did not answer the last search.
    pub(super) unanswered: bool,
}

impl Seek {
    pub(super) fn began(&mut self, now: Tick) {
        self.due = None;
        self.last = Some(now);
        self.connected = false;
        self.unanswered = false;
    }

    /// A server answers again: what one did not answer is asked at once, and only once for it.
    pub(super) fn ask_again(&mut self, now: Tick) {
        if std::mem::take(&mut self.unanswered) {
            self.due = self.due.map(|due| due.min(now));
        }
    }

    /// The shortest pause between two searches.
    pub(super) fn shortest(&self) -> Duration {
        match self.connected {
            true => SEEK_AFTER_CONNECTION,
            false => SEEK_PAUSES.first,
        }
    }

    /// When the next search may begin, for a reason that comes now.
    pub(super) fn soonest(&self, now: Tick, rng: &mut dyn CryptoRng) -> Tick {
        let pause = match self.connected {
            true => SEEK_AFTER_CONNECTION,
            false => SEEK_PAUSES.pause(self.failures, rng),
        };
        self.last.map_or(now, |at| at.plus(pause)).max(now)
    }
}
