//! One mailbox of the store in memory.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use sremp_core::{
    error::ErrorCode,
    id::{IdentityKey, IntroToken},
    session::prekey,
    time::UnixMillis,
};

use super::Answer;
use crate::mailbox::{
    BlobHash, Cursor, IntroHash, IntroRule, Limits, MAX_INTROS, MAX_ONE_TIME_PREKEYS, MAX_RULES,
    MessageId, Outcome, PREKEY_INTERVAL, PrekeyCounts, StoreOp, Stored, TakenBundle,
    ids::cursor_at, limits::VISIT_ROUNDED,
};

#[derive(Clone, Debug, Default)]
pub(super) struct Mailbox {
    pub(super) open: bool,
    pub(super) next: u64,
    pub(super) used: UnixMillis,
    /// Those that wait and, without a blob, those that are gone.
    pub(super) items: BTreeMap<u64, Kept>,
    pub(super) rules: BTreeMap<IdentityKey, bool>,
    pub(super) intros: Vec<IntroRule>,
    /// One-time tokens that were used and that the owner goes on listing.
    pub(super) burnt: Vec<IntroHash>,
    pub(super) bundle: Option<Vec<u8>>,
    pub(super) one_time: VecDeque<Vec<u8>>,
    pub(super) given: BTreeMap<[u8; 32], UnixMillis>,
}

#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) op: StoreOp,
    pub(super) waits: bool,
    pub(super) request: bool,
    pub(super) stored: UnixMillis,
    pub(super) expires: UnixMillis,
}

impl Mailbox {
    pub(super) fn visit(&mut self, now: UnixMillis) {
        if now >= self.used.plus(Duration::from_millis(VISIT_ROUNDED)) {
            self.used = now;
        }
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = (&u64, &Kept)> {
        self.items.iter().filter(|(_, kept)| kept.waits)
    }

    pub(super) fn find(&self, sender: &IdentityKey, id: MessageId) -> Option<(u64, &Kept)> {
        let same = |kept: &Kept| kept.op.sender == *sender && kept.op.message_id == id;
        let mut items = self.items.iter();
        let found = items.find(|(_, kept)| same(kept));
        found.map(|(&cursor, kept)| (cursor, kept))
    }

    pub(super) fn bury(&mut self, cursor: u64) -> bool {
        let kept = self.items.get_mut(&cursor);
        kept.is_some_and(|kept| std::mem::replace(&mut kept.waits, false))
    }

    pub(super) fn close(&mut self) {
        let next = self.next;
        let mut items = std::mem::take(&mut self.items);
        items.values_mut().for_each(|kept| kept.waits = false);
        *self = Self {
            next,
            items,
            ..Self::default()
        };
    }

    pub(super) fn store(&mut self, limits: &Limits, now: UnixMillis, op: &StoreOp) -> Answer {
        let rule = self.rules.get(&op.sender).copied();
        if rule == Some(false) {
            return Err(ErrorCode::Denied);
        }
        if let Some((cursor, kept)) = self.find(&op.sender, op.message_id) {
            return again(cursor, kept, &op.hash);
        }
        let accepted = rule == Some(true) || op.sender == op.recipient;
        let token = if accepted { None } else { self.intro(op.intro) };
        let request = !accepted && token.is_none();
        if !self.has_room(limits, op, request) {
            return Err(ErrorCode::Quota);
        }
        if let Some(burnt) = token.filter(|rule| rule.one_time) {
            self.intros.retain(|rule| *rule != burnt);
            self.burnt.push(burnt.hash);
        }
        let cursor = cursor_at(self.next, now);
        self.next = cursor + 1;
        let kept = Kept {
            op: op.clone(),
            waits: true,
            request,
            stored: now,
            expires: now.plus(Duration::from_secs(op.ttl.into())),
        };
        let stored = promise(cursor, &kept, true);
        self.items.insert(cursor, kept);
        Ok(stored)
    }

    pub(super) fn has_room(&self, limits: &Limits, op: &StoreOp, request: bool) -> bool {
        let size = |kept: &Kept| kept.op.blob.len() as u64;
        let more = op.blob.len() as u64;
        let fits = |of: &dyn Fn(&Kept) -> bool, items: u32, bytes: u64| {
            let those = || self.waiting().map(|(_, kept)| kept).filter(|k| of(k));
            (those().count() as u32) < items && those().map(size).sum::<u64>() + more <= bytes
        };
        let own = |kept: &Kept| kept.op.sender == op.sender;
        fits(&|_| true, limits.items, limits.bytes)
            && if request {
                more <= limits.request_size.into()
                    && fits(&|kept| kept.request, limits.request_items, u64::MAX)
            } else {
                fits(&own, limits.sender_items, limits.sender_bytes)
            }
    }

    pub(super) fn intro(&self, token: Option<IntroToken>) -> Option<IntroRule> {
        let shown = IntroHash::of(&token?);
        self.intros.iter().find(|rule| rule.hash == shown).copied()
    }

    pub(super) fn counts(&self) -> PrekeyCounts {
        PrekeyCounts {
            bundle: self.bundle.is_some(),
            one_time: self.one_time.len() as u32,
        }
    }

    pub(super) fn put_prekeys(
        &mut self,
        bundle: Option<Vec<u8>>,
        one_time: Vec<Vec<u8>>,
    ) -> Answer {
        if let (Some(before), Some(now)) = (&self.bundle, &bundle)
            && prekey::is_of_another_state(before, now)
        {
            self.one_time.clear();
        }
        let mut new = Vec::new();
        for bytes in one_time {
            if !self.one_time.contains(&bytes) && !new.contains(&bytes) {
                new.push(bytes);
            }
        }
        if self.one_time.len() + new.len() > MAX_ONE_TIME_PREKEYS as usize {
            return Err(ErrorCode::Quota);
        }
        self.bundle = bundle.or(self.bundle.take());
        self.one_time.extend(new);
        Ok(Outcome::Prekeys(self.counts()))
    }

    pub(super) fn take_prekey(
        &mut self,
        now: UnixMillis,
        asker: IdentityKey,
        intro: Option<IntroToken>,
    ) -> Answer {
        let rule = self.rules.get(&asker).copied();
        let bundle = self.bundle.clone().filter(|_| rule != Some(false));
        let bundle = bundle.ok_or(ErrorCode::NoPrekey)?;
        let token = if rule.is_some() {
            None
        } else {
            self.intro(intro)
        };
        let mut names = vec![*asker.as_bytes()];
        names.extend(token.filter(|t| t.one_time).map(|t| *t.hash.as_bytes()));
        let hour = Duration::from_millis(PREKEY_INTERVAL);
        let given = |name| self.given.get(name).is_some_and(|at| *at > now.minus(hour));
        let due = (rule.is_some() || token.is_some()) && !names.iter().any(given);
        let one_time = if due { self.one_time.pop_front() } else { None };
        if one_time.is_some() {
            self.given.extend(names.into_iter().map(|name| (name, now)));
        }
        Ok(Outcome::Bundle(TakenBundle {
            bundle,
            one_time,
            left: self.counts().one_time,
        }))
    }

    pub(super) fn set_senders(
        &mut self,
        accept: Vec<IdentityKey>,
        block: Vec<IdentityKey>,
        intro: Option<Vec<IntroRule>>,
    ) -> Answer {
        let new: BTreeSet<_> = accept.iter().chain(&block).collect();
        let new = new.into_iter().filter(|key| !self.rules.contains_key(*key));
        if self.rules.len() + new.count() > MAX_RULES as usize
            || intro.as_ref().is_some_and(|i| i.len() > MAX_INTROS)
        {
            return Err(ErrorCode::Quota);
        }
        self.rules.extend(accept.into_iter().map(|key| (key, true)));
        self.rules.extend(block.into_iter().map(|key| (key, false)));
        if let Some(rules) = intro {
            let before = std::mem::take(&mut self.burnt);
            self.intros.clear();
            for rule in rules {
                // the latest word on a token holds
                self.intros.retain(|had| had.hash != rule.hash);
                self.burnt.retain(|had| *had != rule.hash);
                match rule.one_time && before.contains(&rule.hash) {
                    true => self.burnt.push(rule.hash),
                    false => self.intros.push(rule),
                }
            }
        }
        Ok(Outcome::Done)
    }
}

fn again(cursor: u64, kept: &Kept, hash: &BlobHash) -> Answer {
    if kept.op.hash != *hash {
        return Err(ErrorCode::Conflict);
    }
    Ok(promise(cursor, kept, false))
}

fn promise(cursor: u64, kept: &Kept, first: bool) -> Outcome {
    Outcome::Stored(Stored {
        cursor: Cursor::new(cursor),
        stored_at: kept.stored,
        expires_at: kept.expires,
        first,
    })
}
