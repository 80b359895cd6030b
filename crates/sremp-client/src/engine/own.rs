//! One's own identity and prekeys: loaded at the start, renewed by age.

use std::time::Duration;

use sremp_core::{
    constants::{
        CLOCK_SKEW, ENVELOPE_KEY_DELETION, ENVELOPE_KEY_ROTATION, NOISE_KEY_ROTATION,
        ONE_TIME_PREKEY_DELETION, SIGNED_PREKEY_DELETION, SIGNED_PREKEY_ROTATION,
    },
    identity::{SecretIdentity, VersionRecord},
    key::NoiseSecret,
    rand_core::CryptoRng,
    session::{
        envelope::EnvelopePlaintext,
        prekey::{
            self, DhIdentity, EnvelopeKey, OneTimePrekey, PrekeyId, PrekeyLookup, SignedPrekey,
        },
    },
    time::UnixMillis,
};

use super::{Engine, Now, Output, Step};
use crate::store::{PrekeyKind, StoreError, Tx};

/// The calendar at the last maintenance, `u64` little-endian, and the hours for which it is doubted.
const CALENDAR: &str = "calendar";
/// When the noise key was made, `u64` little-endian.
pub(super) const NOISE_KEY_MADE: &str = "noise-key-made";
/// Time from the start to the first maintenance that ends anything.
const SETTLING: Duration = Duration::from_secs(10 * 60);
/// Time between maintenances.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How far calendar and stopwatch may come apart between two maintenances.
const MAX_DRIFT: Duration = Duration::from_secs(60 * 60);
/// A calendar that is so much later than at the last run may be wrong.
const LONG_AWAY: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Hours of running after which a calendar that jumped is believed.
const HOURS_OF_DOUBT: u8 = 24;

pub(super) struct Own {
    pub(super) identity: SecretIdentity,
    pub(super) dh_identity: DhIdentity,
    /// Oldest first; never empty.
    signed_prekeys: Vec<SignedPrekey>,
    /// Oldest first; never empty.
    envelope_keys: Vec<EnvelopeKey>,
}

impl Own {
    pub(super) fn load(
        tx: &mut Tx<'_>,
        prefers_async: bool,
        now: UnixMillis,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, StoreError> {
        let parts = tx.own_identity()?;
        let identity = SecretIdentity::from_parts(&parts).map_err(|_| StoreError::Damaged)?;
        let identity = wishing(tx, identity, prefers_async, now)?;
        let dh_identity = match tx.newest_prekey(PrekeyKind::DhIdentity)? {
            Some((_, _, bytes)) => {
                DhIdentity::from_bytes(&bytes).map_err(|_| StoreError::Damaged)?
            }
            None => {
                let made = DhIdentity::generate(&identity, now, rng);
                tx.save_prekey(PrekeyKind::DhIdentity, 0, now, &made.to_bytes())?;
                made
            }
        };
        let mut own = Self {
            identity,
            dh_identity,
            signed_prekeys: Vec::new(),
            envelope_keys: Vec::new(),
        };
        for bytes in tx.prekey_secrets(PrekeyKind::Signed)? {
            let key = SignedPrekey::from_bytes(&bytes).map_err(|_| StoreError::Damaged)?;
            own.signed_prekeys.push(key);
        }
        for bytes in tx.prekey_secrets(PrekeyKind::Envelope)? {
            let key = EnvelopeKey::from_bytes(&bytes).map_err(|_| StoreError::Damaged)?;
            own.envelope_keys.push(key);
        }
        // with keys in hand a start writes nothing: it works on a full disk too
        if own.signed_prekeys.is_empty() || own.envelope_keys.is_empty() {
            own.renew(tx, now, rng)?;
            save_calendar(tx, now, 0)?;
        }
        Ok(own)
    }

    /// Makes what is due, a key of a future that turned out wrong included. Returns whether the envelope key, which
    /// contacts have to be told, is a new one.
    fn renew(
        &mut self,
        tx: &mut Tx<'_>,
        now: UnixMillis,
        rng: &mut dyn CryptoRng,
    ) -> Result<bool, StoreError> {
        let newest = self.signed_prekeys.last();
        if newest.is_none_or(|key| is_due(key.created(), SIGNED_PREKEY_ROTATION, now)) {
            let id = free_id(tx, PrekeyKind::Signed, rng)?;
            let key = SignedPrekey::generate(&self.identity, id, now, rng);
            tx.save_prekey(PrekeyKind::Signed, id.get(), now, &key.to_bytes())?;
            self.signed_prekeys.push(key);
        }
        let newest = self.envelope_keys.last();
        let rotate = newest.is_none_or(|key| is_due(key.created(), ENVELOPE_KEY_ROTATION, now));
        if rotate {
            let id = free_id(tx, PrekeyKind::Envelope, rng)?;
            let key = EnvelopeKey::generate(&self.identity, id, now, rng);
            tx.save_prekey(PrekeyKind::Envelope, id.get(), now, &key.to_bytes())?;
            self.envelope_keys.push(key);
        }
        Ok(rotate)
    }

    /// Deletes what has had its time.
    fn age(&mut self, tx: &mut Tx<'_>, now: UnixMillis) -> Result<(), StoreError> {
        let old = now.minus(SIGNED_PREKEY_DELETION);
        tx.delete_prekeys_before(PrekeyKind::Signed, old)?;
        self.signed_prekeys.retain(|key| key.created() >= old);
        let old = now.minus(ENVELOPE_KEY_DELETION);
        tx.delete_prekeys_before(PrekeyKind::Envelope, old)?;
        self.envelope_keys.retain(|key| key.created() >= old);
        let old = now.minus(ONE_TIME_PREKEY_DELETION);
        tx.delete_prekeys_before(PrekeyKind::OneTime, old)?;
        Ok(())
    }

    fn signed_prekey(&self, id: PrekeyId) -> Option<&SignedPrekey> {
        self.signed_prekeys.iter().find(|key| key.id() == id)
    }

    /// The envelope key that is published.
    pub(super) fn newest_envelope_key(&self) -> Option<&EnvelopeKey> {
        self.envelope_keys.last()
    }

    pub(super) fn envelope_key(&self, id: PrekeyId) -> Option<&EnvelopeKey> {
        self.envelope_keys.iter().find(|key| key.id() == id)
    }

    /// A bundle to give away; its one-time prekey, if it has one, is durable with the step.
    pub(super) fn bundle(
        &self,
        tx: &mut Tx<'_>,
        one_time: bool,
        now: UnixMillis,
        rng: &mut dyn CryptoRng,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (Some(signed), Some(envelope)) =
            (self.signed_prekeys.last(), self.envelope_keys.last())
        else {
            return Ok(None);
        };
        let one_time = if one_time {
            let id = free_id(tx, PrekeyKind::OneTime, rng)?;
            let key = OneTimePrekey::generate(&self.identity, id, now, rng);
            tx.save_prekey(PrekeyKind::OneTime, id.get(), now, &key.to_bytes())?;
            Some(key)
        } else {
            None
        };
        Ok(Some(prekey::bundle(
            self.identity.identity(),
            &self.dh_identity,
            signed,
            envelope,
            one_time.as_ref(),
        )))
    }
}

impl Own {
    /// One-time prekeys to be put at a relay, as they travel; durable with the step.
    pub(super) fn one_time_prekeys(
        &self,
        tx: &mut Tx<'_>,
        count: usize,
        now: UnixMillis,
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut made = Vec::with_capacity(count);
        for _ in 0..count {
            let id = free_id(tx, PrekeyKind::OneTime, rng)?;
            let key = OneTimePrekey::generate(&self.identity, id, now, rng);
            tx.save_prekey(PrekeyKind::OneTime, id.get(), now, &key.to_bytes())?;
            made.push(key.public_bytes());
        }
        Ok(made)
    }
}

/// The identity with the wish to be reached by relays alone, or without it: a new version if that is
/// another wish than before. Contacts are told at the first maintenance.
fn wishing(
    tx: &mut Tx<'_>,
    identity: SecretIdentity,
    prefers_async: bool,
    now: UnixMillis,
) -> Result<SecretIdentity, StoreError> {
    let document = identity.identity();
    let mut flags = document.flags();
    if flags.prefers_async == prefers_async || document.is_tombstone() {
        return Ok(identity);
    }
    flags.prefers_async = prefers_async;
    let extensions = document.extensions().cloned();
    let next = identity
        .with_profile(document.username(), flags, extensions, now)
        .map_err(|_| StoreError::Damaged)?;
    save_identity(tx, &next)?;
    Ok(next)
}

/// A next version of one's own identity; durable with the step, before anybody is shown it.
fn save_identity(tx: &mut Tx<'_>, next: &SecretIdentity) -> Result<(), StoreError> {
    tx.save_own_identity(&next.to_parts())?;
    tx.save_version_record(&next.id(), &VersionRecord::of(next.identity()))
}

/// Whether a key is older than it may be, or of a time that has not come.
fn is_due(created: UnixMillis, rotation: Duration, now: UnixMillis) -> bool {
    now.since(created) >= rotation || created > now.plus(CLOCK_SKEW)
}

/// A random id that no living key of this kind has.
fn free_id(
    tx: &mut Tx<'_>,
    kind: PrekeyKind,
    rng: &mut dyn CryptoRng,
) -> Result<PrekeyId, StoreError> {
    loop {
        if let Some(id) = PrekeyId::new(rng.next_u32())
            && !tx.prekey_exists(kind, id.get())?
        {
            return Ok(id);
        }
    }
}

/// One's own private prekeys, as the session layer asks for them.
pub(super) struct Prekeys<'a> {
    own: &'a Own,
    one_time: Option<OneTimePrekey>,
}

impl<'a> Prekeys<'a> {
    /// What a message needs, should it be a first one.
    pub(super) fn of(
        own: &'a Own,
        tx: &mut Tx<'_>,
        plaintext: &EnvelopePlaintext,
    ) -> Result<Self, StoreError> {
        let wanted = plaintext.init().and_then(|claim| claim.one_time_prekey);
        let stored = match wanted {
            Some(id) => tx.prekey(PrekeyKind::OneTime, id.get())?,
            None => None,
        };
        let one_time = stored
            .map(|bytes| OneTimePrekey::from_bytes(&bytes))
            .transpose();
        Ok(Self {
            own,
            one_time: one_time.map_err(|_| StoreError::Damaged)?,
        })
    }
}

impl PrekeyLookup for Prekeys<'_> {
    fn dh_identity(&self) -> &DhIdentity {
        &self.own.dh_identity
    }

    fn signed_prekey(&self, id: PrekeyId) -> Option<&SignedPrekey> {
        self.own.signed_prekey(id)
    }

    fn one_time_prekey(&self, id: PrekeyId) -> Option<&OneTimePrekey> {
        self.one_time.as_ref().filter(|key| key.id() == id)
    }
}

fn save_calendar(tx: &mut Tx<'_>, now: UnixMillis, doubt: u8) -> Result<(), StoreError> {
    let stored = [now.get().to_le_bytes().as_slice(), &[doubt]].concat();
    tx.set_setting(CALENDAR, &stored)
}

/// Whether the two clocks disagree about the time that has passed.
fn has_jumped(last: Now, now: Now) -> bool {
    let by_stopwatch = now.tick.since(last.tick);
    let calendar = last.wall.plus(by_stopwatch);
    now.wall.since(calendar).max(calendar.since(now.wall)) > MAX_DRIFT
}

impl Engine {
    /// At the start and hourly: new keys; and unless the calendar is doubted, an end to keys, sessions
    /// and messages that have had their time. Nothing ends at the start, so that what waits can still
    /// be read.
    pub(super) fn maintain(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        let now = step.now;
        let last = self.last_maintenance.replace(now);
        self.next_maintenance = now.tick.plus(match last {
            None => SETTLING,
            Some(_) => INTERVAL,
        });
        self.own.renew(step.tx, now.wall, step.rng)?;
        self.watch_relays(step)?;
        self.senders_changed();
        self.send_owed(step)?;
        let made = step.tx.setting(NOISE_KEY_MADE)?;
        let made = made.and_then(|b| Some(u64::from_le_bytes(b.try_into().ok()?)));
        match made.and_then(UnixMillis::new) {
            Some(made) if !is_due(made, NOISE_KEY_ROTATION, now.wall) => {}
            Some(_) => self.rotate_noise_key(step)?,
            None => step
                .tx
                .set_setting(NOISE_KEY_MADE, &now.wall.get().to_le_bytes())?,
        }
        self.refresh_profile(step)?;
        self.refresh_bundles(step)?;
        self.refetch_bundles(step)?;
        self.poll_resets(step)?;
        let doubted = self.doubts_calendar(step, last)?;
        match last {
            _ if doubted => Ok(()),
            None => self.await_promises(step),
            Some(_) => self.age(step),
        }
    }

    /// Whether the calendar may be wrong: it jumped, in this run or since the last one, and the client
    /// has not run for a day since. Until then nothing ends, and what waits gets its whole time again.
    fn doubts_calendar(
        &mut self,
        step: &mut Step<'_, '_>,
        last: Option<Now>,
    ) -> Result<bool, StoreError> {
        let now = step.now;
        let stored = step.tx.setting(CALENDAR)?.unwrap_or_default();
        let before = stored.first_chunk().copied().map(u64::from_le_bytes);
        let hours = stored.get(8).copied().unwrap_or(0);
        let jumped = match (last, before.and_then(UnixMillis::new)) {
            (Some(last), _) => has_jumped(last, now),
            (None, Some(before)) => {
                now.wall.since(before) > LONG_AWAY || before.since(now.wall) > MAX_DRIFT
            }
            (None, None) => false,
        };
        let hours = match last {
            _ if jumped => HOURS_OF_DOUBT,
            Some(_) => hours.saturating_sub(1),
            None => hours,
        };
        if jumped {
            self.refusals.count("clock-jumped");
            let expires = now.wall.plus(super::sending::OUTBOX_AGE);
            step.tx.renew_outbox(expires)?;
        }
        // a start that finds nothing strange writes nothing
        if jumped || last.is_some() {
            save_calendar(step.tx, now.wall, hours)?;
        }
        Ok(hours > 0)
    }

    /// Whether the calendar may be wrong, as the last maintenance found, or has jumped since.
    pub(super) fn is_calendar_doubted(&self, step: &mut Step<'_, '_>) -> Result<bool, StoreError> {
        let stored = step.tx.setting(CALENDAR)?.unwrap_or_default();
        let jumped = |last| has_jumped(last, step.now);
        Ok(stored.get(8).is_some_and(|hours| *hours > 0)
            || self.last_maintenance.is_none_or(jumped))
    }

    fn age(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        let now = step.now.wall;
        self.own.age(step.tx, now)?;
        step.tx.prune_key_uses(now)?;
        step.tx.prune_evidence(now)?;
        self.relays.forget_left(now);
        self.end_relay_storage(step)?;
        for contact in step.tx.contact_names()? {
            if let Some(mut peer) = self.peers.take(step.tx, &contact.key)? {
                let own = &self.own;
                peer.book.prune(now, |id| own.signed_prekey(id).is_some());
                self.peers.put(peer);
            }
        }
        self.expire_outbox(step)
    }

    /// A new noise key at the next version (D2.7): durable with this step, shown from the next
    /// connection on, told to contacts in their sessions.
    pub(super) fn rotate_noise_key(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        let key = NoiseSecret::generate(step.rng);
        let now = step.now.wall;
        let Ok(next) = self.own.identity.with_noise_key(key, now) else {
            return Ok(());
        };
        save_identity(step.tx, &next)?;
        step.tx
            .set_setting(NOISE_KEY_MADE, &now.get().to_le_bytes())?;
        self.own.identity = next;
        step.outputs.push(Output::IdentityChanged);
        self.refresh_bundles(step)?;
        self.refresh_profile(step)
    }
}
