//! A home that was restored from a backup, or copied: its sessions may have gone on elsewhere, so all of
//! them begin anew before anything is sent, and contacts are told (D3.13).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sremp_core::{
    constants::RESET_AFTER,
    id::{ContactId, SessionId},
    identity::{SecretIdentity, VersionRecord},
    key::NoiseSecret,
    session::{
        book::Incoming,
        content::{Body, Content, ContentHash, ResetReason},
    },
    time::{Tick, UnixMillis},
};

use super::{
    Engine, Now, Step,
    own::NOISE_KEY_MADE,
    peers::Peer,
    sending::{OUTBOX_AGE, line_up},
};
use crate::store::{NewOutboxItem, OutboxItem, StoreError, Tx};

/// Contacts are told within this time, each at a moment of its own: all at once would show a relay
/// who belongs together.
const SPREAD: Duration = Duration::from_secs(10 * 60);
/// Items of an outbox that are written anew at a time.
const PAGE: u32 = 64;
/// What the conversation says of it.
const LINE: &str = "[restored from a backup: session renewed]";

/// Contacts that have to be told, and those that have said nothing new since.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    held: BTreeMap<ContactId, Tick>,
    silent: BTreeSet<ContactId>,
    /// The session that a contact began before it said anything new, which may tell of what it has seen, and
    /// when.
    answered: BTreeMap<ContactId, (SessionId, Tick)>,
}

impl Renewals {
    pub(super) fn load(
        tx: &mut Tx<'_>,
        now: Now,
        rng: &mut dyn sremp_core::rand_core::CryptoRng,
    ) -> Result<Self, StoreError> {
        let mut renewals = Self::default();
        let spread = u64::try_from(SPREAD.as_millis()).unwrap_or(u64::MAX);
        for renewal in tx.renewals()? {
            renewals.silent.insert(renewal.key);
            if renewal.held {
                let wait = Duration::from_millis(rng.next_u64() % spread);
                renewals.held.insert(renewal.key, now.tick.plus(wait));
            }
        }
        Ok(renewals)
    }

    /// Whether nothing goes to this contact yet.
    pub(super) fn holds(&self, key: &ContactId) -> bool {
        self.held.contains_key(key)
    }

    /// Whether a contact that could not be told of the restoration has seen it, and has just begun this session:
    /// its RESET is still to come, and what the lost home had confirmed is not among what it says.
    pub(super) fn answered_by(&self, key: &ContactId, session: &SessionId, now: Tick) -> bool {
        let answered = self.answered.get(key);
        answered.is_some_and(|(by, at)| by == session && now.since(*at) < RESET_AFTER)
    }

    /// Its RESET has come.
    pub(super) fn settle(&mut self, key: &ContactId) {
        self.answered.remove(key);
    }

    /// Until when nothing goes to this contact.
    pub(super) fn held_until(&self, key: &ContactId) -> Option<Tick> {
        self.held.get(key).copied()
    }

    pub(super) fn deadline(&self, online: bool) -> Option<Tick> {
        self.held.values().min().copied().filter(|_| online)
    }
}

/// A state with the identity of before and none of its secrets but the identity key: a new noise key
/// at a version beyond all that were published since. The sessions are gone with this.
pub(super) fn renew_identity(
    tx: &mut Tx<'_>,
    now: UnixMillis,
    rng: &mut dyn sremp_core::rand_core::CryptoRng,
) -> Result<(), StoreError> {
    tx.forget_sessions()?;
    let parts = tx.own_identity()?;
    let key = NoiseSecret::generate(rng);
    let next = SecretIdentity::restored(&parts.identity_seed, &parts.identity, key, now)
        .map_err(|_| StoreError::Damaged)?;
    tx.save_own_identity(&next.to_parts())?;
    tx.save_version_record(&next.id(), &VersionRecord::of(next.identity()))?;
    tx.set_setting(NOISE_KEY_MADE, &now.get().to_le_bytes())?;
    tx.unmark_restored()
}

/// A count of one's own that went on elsewhere: it goes on beyond what it can have reached, if it grew
/// less than once a second.
pub(super) fn beyond(count: u64, now: UnixMillis) -> u64 {
    count.max(now.get() / 1_000)
}

impl Engine {
    /// The rest of a restoration, in its transaction: what waits is written anew, every contact is to
    /// be told.
    pub(super) fn begin_anew(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        self.forget_profile(step)?;
        for contact in step.tx.contact_names()? {
            let Some(mut peer) = self.peers.take(step.tx, &contact.key)? else {
                continue;
            };
            let result = self.begin_anew_with(step, &mut peer);
            self.peers.put(peer);
            result?;
        }
        self.refresh_profile(step)?;
        self.peers.save(step.tx)
    }

    fn begin_anew_with(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
    ) -> Result<(), StoreError> {
        let now = step.now.wall;
        let record = peer.edit();
        record.next_seq = beyond(record.next_seq, now);
        record.prev = [0; 16];
        record.sent_profile_rev = 0;
        // who has not answered yet is told once more how to
        record.introduced &= record.confirmed;
        let known = peer.is_accepted() && peer.record.confirmed;
        let mut first = Vec::new();
        if known {
            let body = Body::Reset {
                reason: ResetReason::RESTORED,
                last_seq: peer.record.peer_seq,
            };
            first.push(Said::new(self.fresh_msg_id(step), now, body));
            step.tx.add_renewal(peer.record.row)?;
        }
        self.write_outbox_anew(step, peer, first, true)?;
        if known {
            self.note(step, peer, LINE.to_owned(), now)?;
        }
        Ok(())
    }

    /// Gives everything that waits for a contact its place behind `first`. Of a restored home the
    /// bodies say who and where one is now. Tells how many messages wait.
    pub(super) fn write_outbox_anew(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        first: Vec<Said>,
        restored: bool,
    ) -> Result<u64, StoreError> {
        let row = peer.record.row;
        let last = step.tx.last_outbox(row)?;
        let mut count = 0;
        for said in first {
            count += u64::from(said.counts);
            let mut content = self.next_content(step, peer, said.msg_id, said.body);
            content.sent = said.sent;
            let Ok(bytes) = content.encode() else {
                continue;
            };
            let created = step.now.wall;
            let new = NewOutboxItem {
                contact: row,
                msg_id: content.msg_id,
                content: &bytes,
                created,
                expires: created.plus(OUTBOX_AGE),
            };
            line_up(step, peer, &new)?;
            step.tx.set_sent_seq(row, &content.msg_id, content.seq)?;
        }
        let mut after = 0;
        while after < last {
            let items = step.tx.outbox(row, after, PAGE)?;
            let Some(end) = items.last().map(|item| item.id) else {
                break;
            };
            after = end;
            for item in items.into_iter().filter(|item| item.id <= last) {
                step.tx.remove_outbox(item.id)?;
                if self.write_item_anew(step, peer, &item, restored)? {
                    count += 1;
                }
            }
        }
        self.rewind_link(&peer.key());
        self.push_soon(&peer.key());
        Ok(count)
    }

    /// Whether it is a message of the user and still has to be said.
    fn write_item_anew(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        item: &OutboxItem,
        restored: bool,
    ) -> Result<bool, StoreError> {
        let Ok(mut content) = Content::decode_exact(&item.content) else {
            return Ok(false);
        };
        if restored && !self.bring_up_to_date(step, peer, &mut content.body)? {
            return Ok(false);
        }
        content.seq = peer.record.next_seq;
        content.prev = ContentHash::new(peer.record.prev);
        let Ok(bytes) = content.encode() else {
            return Ok(false);
        };
        let new = NewOutboxItem {
            contact: peer.record.row,
            msg_id: item.msg_id,
            content: &bytes,
            created: item.created,
            expires: item.expires,
        };
        line_up(step, peer, &new)?;
        step.tx
            .set_sent_seq(peer.record.row, &item.msg_id, content.seq)
    }

    /// What a body of before says about oneself; `false`: something newer says it.
    fn bring_up_to_date(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        body: &mut Body,
    ) -> Result<bool, StoreError> {
        match body {
            Body::ProfileUpdate(_) | Body::Reset { .. } => return Ok(false),
            Body::ContactRequest(request) => {
                let text = std::mem::take(&mut request.text);
                *body = self.contact_request(step, peer, text)?;
            }
            Body::ContactAccept(_) => *body = Body::ContactAccept(self.newest_profile(step, peer)?),
            _ => {}
        }
        Ok(true)
    }

    /// Contacts whose time has come are told.
    pub(super) fn run_renewals(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        if !self.online {
            return Ok(());
        }
        let now = step.now.tick;
        let due = self.renewals.held.iter().filter(|(_, at)| **at <= now);
        let due: Vec<ContactId> = due.map(|(key, _)| *key).collect();
        due.iter().try_for_each(|key| self.release(step, key))
    }

    /// A contact is told now.
    pub(super) fn release(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
    ) -> Result<(), StoreError> {
        if self.renewals.held.remove(key).is_some() {
            if let Some(row) = step.tx.contact_row(key)? {
                step.tx.release_renewal(row)?;
            }
            self.push_soon(key);
        }
        Ok(())
    }

    /// Something has come from a contact. Whether it is the first that is new since the restoration, so that
    /// nothing is missing before it. What was here already and comes again tells nothing of what follows.
    pub(super) fn heard_again(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        incoming: &Incoming,
        seq: u64,
    ) -> Result<bool, StoreError> {
        let key = peer.key();
        if !self.renewals.silent.contains(&key) {
            return Ok(false);
        }
        self.release(step, &key)?;
        if incoming.started {
            let began = (incoming.session_id, step.now.tick);
            self.renewals.answered.insert(key, began);
        }
        if seq <= peer.record.peer_seq {
            return Ok(false);
        }
        self.renewals.silent.remove(&key);
        step.tx.end_renewal(peer.record.row)?;
        Ok(true)
    }
}

/// Something that is said before what waits.
pub(super) struct Said {
    msg_id: sremp_core::id::MsgId,
    sent: UnixMillis,
    body: Body,
    /// Whether it is a message that goes out again.
    counts: bool,
}

impl Said {
    pub(super) const fn msg_id(&self) -> &sremp_core::id::MsgId {
        &self.msg_id
    }

    pub(super) const fn new(msg_id: sremp_core::id::MsgId, sent: UnixMillis, body: Body) -> Self {
        Self {
            msg_id,
            sent,
            body,
            counts: false,
        }
    }

    /// A message that goes out again.
    pub(super) const fn message(
        msg_id: sremp_core::id::MsgId,
        sent: UnixMillis,
        body: Body,
    ) -> Self {
        Self {
            msg_id,
            sent,
            body,
            counts: true,
        }
    }
}
