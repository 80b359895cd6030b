//! One's prekeys at one's relays: a bundle, and one-time prekeys that are made up when they run short.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sremp_core::{constants::LOW_OTPS, id::ContactId, relay::PrekeyCounts, time::Tick};

use super::{
    super::super::{Engine, Step},
    Errand, HOUR, Mailbox,
};
use crate::store::StoreError;

/// One-time prekeys that a relay is supplied with.
const ONE_TIME_PREKEYS: u16 = 50;
/// Times within an hour, and within a day, that a relay is supplied with them: an honest one gives each
/// asker one an hour.
const SUPPLIED: usize = 4;
const SUPPLIED_A_DAY: usize = 12;
const DAY: Duration = HOUR.saturating_mul(24);

impl Mailbox {
    /// Whether the relay may be supplied with one-time prekeys once more, which then counts.
    fn may_supply(&mut self, now: Tick) -> bool {
        self.supplied.retain(|at| now.since(*at) < DAY);
        let lately = self.supplied.iter().filter(|at| now.since(**at) < HOUR);
        let may = lately.count() < SUPPLIED && self.supplied.len() < SUPPLIED_A_DAY;
        if may {
            self.supplied.push(now);
        }
        may
    }
}

impl Engine {
    /// Puts one's bundle at a relay if the one there is another; the answer tells how many one-time
    /// prekeys are left.
    pub(super) fn put_bundle(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
    ) -> Result<(), StoreError> {
        let now = step.now.wall;
        let Some(bundle) = self.own.bundle(step.tx, false, now, step.rng)? else {
            return Ok(());
        };
        let hash: [u8; 32] = Sha256::digest(&bundle).into();
        let relay = self.relays.known.get_mut(key);
        let Some(mailbox) = relay.and_then(|r| r.mailbox.as_mut()) else {
            return Ok(());
        };
        if mailbox.bundle == Some(hash) {
            return Ok(());
        }
        let asked = self.errand(step, key, Errand::Prekeys, |machine| {
            machine.prekeys_put(Some(bundle), Vec::new())
        });
        let relay = self.relays.known.get_mut(key);
        if let Some(mailbox) = relay.and_then(|r| r.mailbox.as_mut()).filter(|_| asked) {
            mailbox.bundle = Some(hash);
        }
        Ok(())
    }

    /// A relay has so many one-time prekeys left: below 20 they are made up to 50, durable with this
    /// step, but not as often as a relay may say so.
    pub(in super::super) fn prekeys_left(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        counts: PrekeyCounts,
    ) -> Result<(), StoreError> {
        let relay = self.relays.known.get_mut(key);
        let Some(mailbox) = relay.and_then(|r| r.mailbox.as_mut()) else {
            return Ok(());
        };
        let left = counts.otps;
        mailbox.prekeys = Some(left);
        let putting = self
            .relays
            .known
            .get(key)
            .and_then(|r| r.session())
            .is_some_and(|s| s.errands.values().any(|e| matches!(e, Errand::Prekeys)));
        if left >= LOW_OTPS || putting {
            return Ok(());
        }
        let relay = self.relays.known.get_mut(key);
        let mailbox = relay.and_then(|r| r.mailbox.as_mut());
        if !mailbox.is_some_and(|m| m.may_supply(step.now.tick)) {
            self.refusals.count("prekeys-asked-too-often");
            return Ok(());
        }
        let wanted = ONE_TIME_PREKEYS.saturating_sub(left);
        let prekeys = self
            .own
            .one_time_prekeys(step.tx, wanted.into(), step.now.wall, step.rng)?;
        self.errand(step, key, Errand::Prekeys, |machine| {
            machine.prekeys_put(None, prekeys)
        });
        Ok(())
    }

    /// Hourly, and after a key was renewed.
    pub(in super::super::super) fn refresh_bundles(
        &mut self,
        step: &mut Step<'_, '_>,
    ) -> Result<(), StoreError> {
        let up = self.relays.known.iter().filter(|(_, r)| r.is_up());
        let up: Vec<ContactId> = up.map(|(key, _)| *key).collect();
        for key in up {
            self.put_bundle(step, &key)?;
            let relay = self.relays.known.get(&key);
            // what could not be supplied when the relay said so
            if let Some(otps) = relay.and_then(|r| r.mailbox.as_ref()?.prekeys) {
                let counts = PrekeyCounts {
                    has_bundle: true,
                    otps,
                };
                self.prekeys_left(step, &key, counts)?;
            }
        }
        Ok(())
    }
}
