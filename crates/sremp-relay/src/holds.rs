//! After a message was refused because its sender stores too much, those behind it are refused too for
//! a while: else one that comes a moment later would be taken, and stand before it.

use std::time::Duration;

use sremp_core::{id::IdentityKey, time::Tick};

/// For how long, in seconds. Whatever was sent before the refusal is known has come by then.
const HOLD: u32 = 5;

/// What one connection may not store now.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    all: Option<Tick>,
    mailbox: Option<(IdentityKey, Tick)>,
}

impl Holds {
    /// Nothing may be stored in this mailbox for so many seconds; in none, if none is named. Returns in
    /// how many seconds to ask again.
    pub(crate) fn set(&mut self, mailbox: Option<IdentityKey>, wait: u32, now: Tick) -> u32 {
        let wait = wait.max(HOLD);
        let until = now.plus(Duration::from_secs(wait.into()));
        match mailbox {
            Some(mailbox) => self.mailbox = Some((mailbox, until)),
            None => self.all = Some(until),
        }
        wait
    }

    /// In how many seconds something may be stored in this mailbox, if not now.
    pub(crate) fn wait(&self, mailbox: &IdentityKey, now: Tick) -> Option<u32> {
        let of_mailbox = self.mailbox.filter(|(held, _)| held == mailbox);
        let until = self.all.max(of_mailbox.map(|(_, until)| until))?;
        let left = until.since(now).as_millis().div_ceil(1_000);
        (left > 0).then(|| u32::try_from(left).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Tick {
        Tick::new(n * 1_000)
    }

    const fn mailbox(n: u8) -> IdentityKey {
        IdentityKey::new([n; 32])
    }

    #[test]
    fn what_comes_behind_a_refused_message_waits_as_long_as_it() {
        let mut holds = Holds::default();
        assert_eq!(holds.wait(&mailbox(1), seconds(0)), None);
        assert_eq!(holds.set(None, 1, seconds(0)), 5);
        assert_eq!(holds.wait(&mailbox(1), seconds(1)), Some(4));
        assert_eq!(holds.wait(&mailbox(2), seconds(4)), Some(1));
        assert_eq!(holds.wait(&mailbox(1), seconds(5)), None);
        assert_eq!(holds.set(None, 60, seconds(9)), 60);
        assert_eq!(holds.wait(&mailbox(1), seconds(9)), Some(60));
    }

    #[test]
    fn a_mailbox_that_is_written_to_too_much_holds_up_no_other() {
        let mut holds = Holds::default();
        holds.set(Some(mailbox(1)), 7, seconds(0));
        assert_eq!(holds.wait(&mailbox(1), seconds(1)), Some(6));
        assert_eq!(holds.wait(&mailbox(2), seconds(1)), None);
        holds.set(None, 20, seconds(1));
        assert_eq!(
            holds.wait(&mailbox(1), seconds(1)),
            Some(20),
            "the longer one"
        );
    }
}
