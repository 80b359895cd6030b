//! One's own mailbox at a relay: prekeys for those who write while one is away, who may write, and
//! the subscription.

mod prekeys;

use std::{collections::BTreeSet, time::Duration};

use sha2::{Digest as _, Sha256};
use sremp_core::{
    error::ErrorCode,
    id::{ContactId, IdentityKey},
    identity::Trust,
    relay::{Cursor, IntroEntry, IntroHash, SendersSet, Subscribe},
    time::{Tick, UnixMillis},
};

use super::{
    super::{Engine, Output, Step},
    Phase,
    reading::TOLD_UNANSWERED,
    troubles::Asked,
};
use crate::store::{RelayRow, StoreError};

/// Items that a relay may push before they are confirmed or discarded.
const CREDIT_ITEMS: u16 = 256;
/// Bytes of the same.
const CREDIT_BYTES: u32 = 4 * 1024 * 1024;
/// With so many read items of which a relay has not yet heard it pushes less for now.
pub(super) const MANY_UNTOLD: u32 = CREDIT_ITEMS as u32 / 2;
/// With so many, which are more than one connection brings without an answer, it pushes nothing before
/// it has answered.
const MOST_UNTOLD: u32 = TOLD_UNANSWERED + CREDIT_ITEMS as u32;
/// Keys of one kind in one SENDERS_SET.
const SENDERS_AT_ONCE: usize = 64;

/// What a request about one's mailbox is about.
pub(super) enum Errand {
    /// Prekeys were put, or asked about.
    Prekeys,
    /// The last part of who may write; the hash of all of it.
    Senders(Option<[u8; 32]>),
    /// Items whose confirmations were handed over.
    Confirm(Vec<u64>),
    /// Items that were discarded.
    Discard(Vec<u64>),
}

/// One's own mailbox at a relay.
pub(super) struct Mailbox {
    pub(super) invite: Option<Vec<u8>>,
    /// One-time prekeys that the relay says it has.
    pub(super) prekeys: Option<u16>,
    /// Hash of the bundle that the relay has.
    bundle: Option<[u8; 32]>,
    /// Read items that the relay is being told of.
    pub(super) telling: BTreeSet<u64>,
    /// Items read since it was last told.
    pub(super) untold: usize,
    /// When it is told next.
    pub(super) tell_at: Option<Tick>,
    /// Who may write has changed since it was last told.
    senders_changed: bool,
    /// When other connections of this identity took it over, in the last hour.
    taken_over: Vec<Tick>,
    /// When it was supplied with one-time prekeys, in the last day.
    supplied: Vec<Tick>,
    /// The subscription has less than its whole credit, or waits.
    pub(super) short: bool,
    /// The user has left this relay; what still comes there is fetched until then.
    pub(super) left_until: Option<UnixMillis>,
}

/// Times within an hour that one's mailbox may be taken over before it is told: a client that comes
/// back by another network takes over from itself.
const TAKEN_OVER: usize = 3;
const HOUR: Duration = Duration::from_secs(60 * 60);

impl Mailbox {
    pub(super) fn new(invite: Option<&[u8]>) -> Self {
        Self {
            invite: invite.map(<[u8]>::to_vec),
            prekeys: None,
            bundle: None,
            telling: BTreeSet::new(),
            untold: 0,
            tell_at: None,
            senders_changed: true,
            taken_over: Vec::new(),
            supplied: Vec::new(),
            short: false,
            left_until: None,
        }
    }

    /// Another connection of this identity has taken it over.
    pub(super) fn taken_over(&mut self, now: Tick) {
        self.taken_over.retain(|at| now.since(*at) < HOUR);
        self.taken_over.push(now);
    }

    /// How often it was taken over within the last hour, if that is too often (D3.13).
    pub(super) fn taken_over_too_often(&self, now: Tick) -> Option<usize> {
        let lately = self.taken_over.iter().filter(|at| now.since(**at) < HOUR);
        Some(lately.count()).filter(|count| *count > TAKEN_OVER)
    }

    /// What was asked and not answered has to be asked again.
    pub(super) fn disconnected(&mut self) {
        self.telling.clear();
        self.tell_at = None;
        self.bundle = None;
        self.senders_changed = true;
    }
}

/// Who may write to one's mailbox, as a relay is told.
struct Senders {
    accept: Vec<ContactId>,
    block: Vec<ContactId>,
    intro: Vec<IntroEntry>,
}

impl Senders {
    fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for (mark, keys) in [(1u8, &self.accept), (2, &self.block)] {
            for key in keys {
                hash.update([mark]);
                hash.update(key.as_bytes());
            }
        }
        for entry in &self.intro {
            hash.update([3]);
            hash.update(entry.hash.as_bytes());
        }
        hash.finalize().into()
    }
}

/// How long a relay is left that does not let its mailbox be read.
const PAUSE: Duration = Duration::from_secs(60);

impl Engine {
    /// A relay has registered us.
    pub(super) fn granted(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
    ) -> Result<(), StoreError> {
        let Some(relay) = self.relays.known.get_mut(key) else {
            return Ok(());
        };
        let Phase::Up(session) = &mut relay.phase else {
            return Ok(());
        };
        session.granted = true;
        relay.last_error = None;
        let (Some(mailbox), Some(row)) = (relay.mailbox.as_mut(), relay.row) else {
            return Ok(());
        };
        // what was committed before the connection was lost
        mailbox.tell_at = Some(step.now.tick);
        self.watch_relays(step)?;
        self.subscribe(step, key)?;
        self.put_bundle(step, key)?;
        self.tell_senders(step, key, row)
    }

    /// Subscribes. What was read and not yet told to the relay is taken off the credit, so that one
    /// that never answers fills no disk with it, however often it is connected to.
    pub(super) fn subscribe(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
    ) -> Result<(), StoreError> {
        let Some(record) = step.tx.relay(key)? else {
            return Ok(());
        };
        let untold = step.tx.read_items(record.row, MOST_UNTOLD)?.len() as u32;
        let Some(relay) = self.relays.known.get_mut(key) else {
            return Ok(());
        };
        let (Phase::Up(session), Some(mailbox)) = (&mut relay.phase, &mut relay.mailbox) else {
            return Ok(());
        };
        mailbox.short = untold >= MANY_UNTOLD;
        if untold >= MOST_UNTOLD {
            self.refusals.count("confirmations-unanswered");
            return Ok(());
        }
        let untold = u16::try_from(untold).unwrap_or(u16::MAX);
        let subscribe = Subscribe {
            after: Cursor::new(record.cursor),
            credit_items: CREDIT_ITEMS.saturating_sub(untold).max(1),
            credit_bytes: CREDIT_BYTES,
        };
        if let Ok(message) = session.machine.subscribe(subscribe) {
            session.subscribed = Some(message.req_id);
            let link = session.link;
            step.outputs.push(Output::Send { link, message });
        }
        Ok(())
    }

    /// The cursor lies beyond the mailbox: the relay has lost what it had, and it is read anew. One that does
    /// not take the beginning is left for a while.
    pub(super) fn cursor_refused(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
    ) -> Result<(), StoreError> {
        self.refusals.count(ErrorCode::Cursor.name());
        let Some(row) = self.relays.known.get(key).and_then(|r| r.row) else {
            return Ok(());
        };
        if step.tx.relay(key)?.is_some_and(|record| record.cursor != 0) {
            step.tx.forget_cursor(row)?;
            return self.subscribe(step, key);
        }
        let cause = ErrorCode::Cursor.meaning().to_owned();
        self.leave_relay(step, key, ErrorCode::GoingAway, cause, PAUSE)
    }

    /// Sends a request about one's mailbox, unless too many are open.
    fn errand(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        errand: Errand,
        ask: impl FnOnce(
            &mut sremp_core::relay::RelayClient,
        )
            -> Result<sremp_core::channel::Message, sremp_core::channel::TooManyRequests>,
    ) -> bool {
        let relay = self.relays.known.get_mut(key);
        let Some(session) = relay.and_then(|r| r.session_mut()).filter(|s| s.granted) else {
            return false;
        };
        if session.unanswered() == 0 {
            session.progress = step.now.tick;
        }
        let Ok(message) = ask(&mut session.machine) else {
            return false;
        };
        session.active = step.now.tick;
        session.errands.insert(message.req_id, errand);
        let link = session.link;
        step.outputs.push(Output::Send { link, message });
        true
    }

    /// Contacts or invites have changed: one's relays are told who may write.
    pub(in super::super) fn senders_changed(&mut self) {
        for relay in self.relays.known.values_mut() {
            if let Some(mailbox) = &mut relay.mailbox {
                mailbox.senders_changed = true;
            }
        }
    }

    /// At the end of a step: relays are told what has changed.
    pub(super) fn refresh_mailbox(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
    ) -> Result<(), StoreError> {
        let Some(relay) = self.relays.known.get(key).filter(|r| r.is_up()) else {
            return Ok(());
        };
        let (Some(mailbox), Some(row)) = (&relay.mailbox, relay.row) else {
            return Ok(());
        };
        match mailbox.senders_changed {
            true => self.tell_senders(step, key, row),
            false => Ok(()),
        }
    }

    fn tell_senders(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        row: RelayRow,
    ) -> Result<(), StoreError> {
        let senders = self.senders(step)?;
        let hash = senders.hash();
        let relay = self.relays.known.get_mut(key);
        let Some(mailbox) = relay.and_then(|r| r.mailbox.as_mut()) else {
            return Ok(());
        };
        mailbox.senders_changed = false;
        let told = step.tx.relay(key)?.and_then(|record| record.senders);
        debug_assert_eq!(step.tx.relay(key)?.map(|r| r.row), Some(row));
        if told == Some(hash) {
            return Ok(());
        }
        let parts = senders
            .accept
            .len()
            .max(senders.block.len())
            .div_ceil(SENDERS_AT_ONCE)
            .max(1);
        let part = |keys: &[ContactId], n: usize| -> Vec<IdentityKey> {
            let rest = keys.iter().skip(n * SENDERS_AT_ONCE);
            rest.take(SENDERS_AT_ONCE)
                .map(|key| (*key).into())
                .collect()
        };
        for n in 0..parts {
            let (accept, block) = (part(&senders.accept, n), part(&senders.block, n));
            let intro = (n == 0).then(|| senders.intro.clone());
            let last = n + 1 == parts;
            let errand = Errand::Senders(last.then_some(hash));
            let asked = self.errand(step, key, errand, |machine| {
                machine.senders_set(SendersSet {
                    accept,
                    block,
                    intro,
                })
            });
            if !asked {
                // the window is full: once more when something was answered
                self.senders_changed();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Accepted contacts, rejected ones, and open invites.
    fn senders(&mut self, step: &mut Step<'_, '_>) -> Result<Senders, StoreError> {
        // what this step has changed of contacts is to be counted
        self.peers.save(step.tx)?;
        let (mut accept, mut block) = (Vec::new(), Vec::new());
        for contact in step.tx.contact_standings()? {
            if contact.trust == Trust::Rejected {
                block.push(contact.key);
            } else if contact.accepted {
                accept.push(contact.key);
            }
        }
        accept.sort_unstable();
        block.sort_unstable();
        let invites = step.tx.invites(step.now.wall)?;
        let newest = invites.iter().rev().take(SENDERS_AT_ONCE);
        let intro = newest.map(|invite| IntroEntry {
            hash: IntroHash::new(invite.token_hash),
            one_time: true,
        });
        Ok(Senders {
            accept,
            block,
            intro: intro.collect(),
        })
    }

    /// A request about one's mailbox was done.
    pub(super) fn errand_done(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        req_id: u32,
        refused: &[u16],
    ) -> Result<(), StoreError> {
        let Some(relay) = self.relays.known.get_mut(key) else {
            return Ok(());
        };
        relay.troubles.answered(Asked::Errand);
        let row = relay.row;
        let errand = relay
            .session_mut()
            .and_then(|session| session.errands.remove(&req_id));
        match (errand, row) {
            (Some(Errand::Senders(Some(hash))), Some(row)) => step.tx.set_relay_senders(row, &hash),
            (Some(Errand::Confirm(cursors) | Errand::Discard(cursors)), _) => {
                self.told(step, key, &cursors, refused)
            }
            _ => Ok(()),
        }
    }

    /// A request about one's mailbox was refused.
    pub(super) fn errand_refused(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        req_id: u32,
        code: ErrorCode,
        retry_after: Duration,
    ) -> Result<(), StoreError> {
        let Some(relay) = self.relays.known.get_mut(key) else {
            return Ok(());
        };
        relay.last_error = Some(code.meaning().to_owned());
        relay.troubles.answered(Asked::Errand);
        let Some(session) = relay.session_mut() else {
            return Ok(());
        };
        if session.subscribed == Some(req_id) {
            session.subscribed = None;
            return match code {
                ErrorCode::Cursor => self.cursor_refused(step, key),
                _ => self.leave_relay(
                    step,
                    key,
                    ErrorCode::GoingAway,
                    code.meaning().to_owned(),
                    PAUSE,
                ),
            };
        }
        let errand = session.errands.remove(&req_id);
        let Some(mailbox) = relay.mailbox.as_mut() else {
            return Ok(());
        };
        match errand {
            Some(Errand::Confirm(cursors) | Errand::Discard(cursors)) => {
                mailbox.telling.retain(|c| !cursors.contains(c));
                mailbox.tell_at = Some(step.now.tick.plus(PAUSE.max(retry_after)));
            }
            // put again with the next hourly look
            Some(Errand::Prekeys) => mailbox.bundle = None,
            Some(Errand::Senders(_)) | None => {}
        }
        Ok(())
    }
}
