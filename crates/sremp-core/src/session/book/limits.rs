//! What keeps a book bounded, and when a RESET is due (D3.8, D3.11, D3.12).

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::SessionBook;
use crate::{
    constants::{
        INACTIVE_SESSION_AGE, MAX_INACTIVE_SESSIONS, MAX_SKIPPED_KEYS, RESET_AFTER,
        RESET_AFTER_FAILURES, RESET_INTERVAL, RESETS_PER_DAY,
    },
    id::SessionId,
    session::{DecryptError, envelope::EnvelopePlaintext},
    time::UnixMillis,
};

/// Names a failing message.
pub(super) type FailureDigest = [u8; 16];

/// Failures are told apart up to this many; more change nothing.
pub(super) const MAX_FAILURES: usize = RESET_AFTER_FAILURES as usize;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl SessionBook {
    /// Counts a failing message of a session that one still sends on or would, and a first message of
    /// the peer that names a prekey which is not here: a relay may have given that out twice. Anything else
    /// can be produced by anybody, or was expected to fail. The same bytes count once. While no session is
    /// confirmed, nothing better will come than such a first message, and one suffices.
    pub(super) fn note_failure(
        &mut self,
        plaintext: &EnvelopePlaintext,
        error: DecryptError,
        now: UnixMillis,
    ) {
        let known = self
            .entry(&plaintext.session_id())
            .is_some_and(|entry| !entry.parked);
        let counts = matches!(
            error,
            DecryptError::Decrypt | DecryptError::SkipLimit | DecryptError::Suite
        );
        let astray = error == DecryptError::PrekeyUnknown;
        if !((known && counts) || astray) || self.failures.len() >= MAX_FAILURES {
            return;
        }
        let mut digest = FailureDigest::default();
        for (to, from) in digest.iter_mut().zip(Sha256::digest(plaintext.message())) {
            *to = from;
        }
        if self.failures.contains(&digest) {
            return;
        }
        if self.failures.is_empty() {
            self.failing_since = now;
        }
        if astray && !self.entries.iter().any(|e| e.session.is_confirmed()) {
            self.failing_since = UnixMillis::ZERO;
        }
        self.failures.push(digest);
        self.changed = true;
    }

    pub(super) fn clear_failures(&mut self) {
        self.changed |= !self.failures.is_empty();
        self.failures.clear();
    }

    pub(super) fn reset_is_due(&self, now: UnixMillis) -> bool {
        let broken = self.failures.len() >= MAX_FAILURES
            || (!self.failures.is_empty() && now.since(self.failing_since) >= RESET_AFTER);
        broken && self.resets_within(RESET_INTERVAL, now) == 0 && self.has_resets_left(now)
    }

    /// Whether there were fewer RESETs than there may be in a day.
    pub(super) fn has_resets_left(&self, now: UnixMillis) -> bool {
        self.resets_within(DAY, now) < RESETS_PER_DAY
    }

    fn resets_within(&self, age: Duration, now: UnixMillis) -> usize {
        let young = |at: &&UnixMillis| **at <= now && now.since(**at) < age;
        self.resets.iter().filter(young).count()
    }

    pub(super) fn note_reset(&mut self, now: UnixMillis) {
        self.resets.push(now);
        if self.resets.len() > RESETS_PER_DAY {
            self.resets.remove(0);
        }
        self.changed = true;
    }

    pub(super) fn remove(&mut self, id: SessionId) {
        self.entries.retain(|entry| entry.session.id != id);
        for entry in &mut self.entries {
            if entry.rival == Some(id) {
                entry.rival = None;
            }
        }
        if self.active == Some(id) {
            self.active = None;
        }
        self.deleted.push(id);
        self.changed = true;
    }

    /// Deletes the inactive sessions that are too many, but never `keep`.
    pub(super) fn limit_sessions(&mut self, keep: SessionId) {
        while self.entries.len() > MAX_INACTIVE_SESSIONS + 1 {
            let oldest = self
                .entries
                .iter()
                .filter(|entry| self.active != Some(entry.session.id) && entry.session.id != keep)
                .min_by_key(|entry| entry.inactive_since)
                .map(|entry| entry.session.id);
            let Some(oldest) = oldest else {
                return;
            };
            self.remove(oldest);
        }
    }

    pub(super) fn remove_old_sessions(&mut self, now: UnixMillis) {
        let old: Vec<SessionId> = self
            .entries
            .iter()
            .filter(|entry| {
                self.active != Some(entry.session.id)
                    && now.since(entry.inactive_since) >= INACTIVE_SESSION_AGE
            })
            .map(|entry| entry.session.id)
            .collect();
        for id in old {
            self.remove(id);
        }
    }

    /// Deletes the skipped keys of this contact that are too many, oldest first.
    pub(super) fn limit_skipped_keys(&mut self) {
        let mut count: usize = self.entries.iter().map(|e| e.session.skipped.len()).sum();
        while count > MAX_SKIPPED_KEYS {
            let oldest = self
                .entries
                .iter_mut()
                .filter_map(|entry| Some((entry.session.skipped.front()?.at, entry)))
                .min_by_key(|(at, _)| *at);
            let Some((_, entry)) = oldest else {
                return;
            };
            entry.session.lose_oldest_skipped();
            entry.changed = true;
            count -= 1;
        }
    }
}
