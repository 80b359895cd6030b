//! What a contact lacks that was restored from a backup: it had confirmed messages that the backup
//! does not hold (D3.12, D3.13).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use sremp_core::{
    id::{ContactId, MsgId},
    session::content::{Body, Content},
    time::{Tick, UnixMillis},
};

use super::{Engine, Step, peers::Peer, restoring::Said, sending::OUTBOX_AGE};
use crate::store::{ContactRow, MessageRecord, OwnReaction, Room, StoreError, Tx};

/// Messages that go out again at the most, the newest.
const MOST: u32 = 5_000;
/// Edits and deletions, and as many reactions, that go out again at the most, the newest.
const MOST_CHANGES: u32 = 500;
/// Bytes of text that go out again at the most, the newest: they pass through one step's memory.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Items of an outbox that are looked at in one go.
const PAGE: u32 = 64;
/// A contact gets them once in this time. Whoever asks again, having been restored again, gets them when it
/// is over.
const PAUSE: Duration = Duration::from_secs(60 * 60);

/// The contacts who are owed something, in the store: of each 32 bytes of key and a `u64`, little-endian.
const OWED: &str = "owed";

/// Who was sent what it lacks, and who has asked again too soon.
#[derive(Debug)]
pub(super) struct Resent {
    at: BTreeMap<ContactId, Tick>,
    /// Beyond which `seq` they lack everything.
    owed: BTreeMap<ContactId, u64>,
}

impl Resent {
    pub(super) fn load(tx: &mut Tx<'_>) -> Result<Self, StoreError> {
        let stored = tx.setting(OWED)?.unwrap_or_default();
        let (entries, []) = stored.as_chunks::<40>() else {
            return Err(StoreError::Damaged);
        };
        let entry = |bytes: &[u8; 40]| {
            let (key, seq) = bytes.split_first_chunk::<32>()?;
            let seq = u64::from_le_bytes(seq.try_into().ok()?);
            Some((ContactId::parse(key).ok()?, seq))
        };
        let owed: Option<_> = entries.iter().map(entry).collect();
        Ok(Self {
            at: BTreeMap::new(),
            owed: owed.ok_or(StoreError::Damaged)?,
        })
    }

    fn save(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let owed = self.owed.iter();
        let bytes = owed.flat_map(|(contact, seq)| {
            let key = contact.as_bytes().iter().copied();
            key.chain(seq.to_le_bytes())
        });
        tx.set_setting(OWED, &bytes.collect::<Vec<u8>>())
    }

    /// A contact lacks what is beyond `last_seq`, and gets it later.
    pub(super) fn owe(
        &mut self,
        tx: &mut Tx<'_>,
        contact: ContactId,
        last_seq: u64,
    ) -> Result<(), StoreError> {
        let owed = self.owed.entry(contact).or_insert(last_seq);
        *owed = (*owed).min(last_seq);
        self.save(tx)
    }

    /// A contact is owed nothing any more. What it was.
    fn settled(&mut self, tx: &mut Tx<'_>, contact: &ContactId) -> Result<Option<u64>, StoreError> {
        let owed = self.owed.remove(contact);
        if owed.is_some() {
            self.save(tx)?;
        }
        Ok(owed)
    }

    fn rests(&mut self, contact: &ContactId, now: Tick) -> bool {
        self.at.retain(|_, at| now.since(*at) < PAUSE);
        self.at.contains_key(contact)
    }

    /// Who gets now what is owed.
    fn due(&mut self, now: Tick) -> Vec<(ContactId, u64)> {
        let owed = self.owed.clone().into_iter();
        owed.filter(|(contact, _)| !self.rests(contact, now))
            .collect()
    }
}

/// What goes out to a contact once more.
pub(super) struct Again {
    pub(super) messages: u64,
    /// There are older ones that do not.
    pub(super) cut: bool,
}

impl Engine {
    /// Puts what a contact lacks beyond `last_seq` before what waits for it. `None`: nothing is
    /// lacking, or it was sent just now and is owed.
    pub(super) fn send_lost(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        last_seq: u64,
    ) -> Result<Option<Again>, StoreError> {
        if self.resent.rests(&peer.key(), step.now.tick) {
            self.refusals.count("restored-too-often");
            self.resent.owe(step.tx, peer.key(), last_seq)?;
            return Ok(None);
        }
        let owed = self.resent.settled(step.tx, &peer.key())?;
        let last_seq = owed.map_or(last_seq, |owed| owed.min(last_seq));
        let (first, cut) = lost(step, peer, last_seq)?;
        if first.is_empty() {
            return Ok(None);
        }
        self.resent.at.insert(peer.key(), step.now.tick);
        let messages = self.write_outbox_anew(step, peer, first, false)?;
        Ok(Some(Again { messages, cut }))
    }

    /// At the start and hourly: who was restored again too soon gets what it lacks.
    pub(super) fn send_owed(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        for (contact, last_seq) in self.resent.due(step.now.tick) {
            let Some(mut peer) = self.peers.take(step.tx, &contact)? else {
                self.resent.settled(step.tx, &contact)?;
                continue;
            };
            let sent = match peer.is_accepted() {
                true => self.send_lost(step, &mut peer, last_seq),
                false => Ok(None),
            };
            self.peers.put(peer);
            sent?;
        }
        Ok(())
    }
}

/// What a contact lacks beyond `last_seq`, without what goes out to it already: one that asks again
/// and takes nothing gets nothing more. And whether there is more than may go out.
fn lost(
    step: &mut Step<'_, '_>,
    peer: &Peer,
    last_seq: u64,
) -> Result<(Vec<Said>, bool), StoreError> {
    let row = peer.record.row;
    let since = step.now.wall.minus(OUTBOX_AGE);
    let mut room = Room {
        items: MOST,
        bytes: MOST_BYTES,
        full: false,
    };
    let messages = step.tx.confirmed_after(row, last_seq, since, &mut room)?;
    let mut rest = Room {
        items: MOST_CHANGES,
        full: false,
        ..room
    };
    let changed = step.tx.changed_after(row, last_seq, since, &mut rest)?;
    let waiting: BTreeSet<MsgId> = step.tx.outbox_ids(row)?;
    let mut first = with_timers(step, row, messages)?;
    first.extend(changed.into_iter().filter_map(change_of));
    let (reactions, more) = step
        .tx
        .reactions_after(row, last_seq, since, MOST_CHANGES)?;
    first.extend(reactions.into_iter().map(reaction_again));
    first.retain(|said| !waiting.contains(said.msg_id()));
    Ok((first, room.full || rest.full || more))
}

/// Messages again, each behind the timer that it was written under: the contact's holds for what comes
/// after it. In the end the one that holds now, unless that waits to be told anyway.
fn with_timers(
    step: &mut Step<'_, '_>,
    row: ContactRow,
    messages: Vec<MessageRecord>,
) -> Result<Vec<Said>, StoreError> {
    let Some(now) = step.tx.timer(row)? else {
        return Ok(messages.into_iter().filter_map(again).collect());
    };
    let waiting = Waiting::of(step, row)?;
    let mut again: Vec<_> = messages
        .into_iter()
        .map(|line| (timer_of(&line), again(line)))
        .collect();
    // each is later than the one before it: the last as it was set, or before the first that waits
    let (end, mut later) = match waiting.timers {
        Some((next, last)) if last >= now.sent => {
            again.extend(waiting.first.map(|seconds| (seconds, None)));
            (next, 1)
        }
        // one of the contact's own may hold, later than all that wait
        _ => {
            again.push((now.seconds, None));
            (now.sent, 0)
        }
    };
    let changes = again.chunk_by(|(one, _), (next, _)| one == next).count();
    later += u64::try_from(changes.saturating_sub(1)).unwrap_or(u64::MAX);
    let mut said = Vec::new();
    let mut holds = None;
    for (seconds, message) in again {
        if holds.replace(seconds) != Some(seconds) {
            let sent = end.minus(Duration::from_millis(later));
            later = later.saturating_sub(1);
            let msg_id = id_of(b"timer", &seconds.to_le_bytes(), sent);
            said.push(Said::new(msg_id, sent, Body::Timer { seconds }));
        }
        said.extend(message);
    }
    Ok(said)
}

/// The timer that a message was written under; 0: none.
fn timer_of(line: &MessageRecord) -> u32 {
    line.expiry.map_or(0, |expiry| expiry.seconds)
}

/// What is to be known of timers in an outbox.
#[derive(Default)]
struct Waiting {
    /// The timer of the first message that waits, if no other timer is told before it.
    first: Option<u32>,
    /// When the first and the last timer that wait to be told were set.
    timers: Option<(UnixMillis, UnixMillis)>,
}

impl Waiting {
    fn of(step: &mut Step<'_, '_>, row: ContactRow) -> Result<Self, StoreError> {
        let mut found = Self::default();
        let mut after = 0;
        loop {
            let items = step.tx.outbox(row, after, PAGE)?;
            let Some(last) = items.last() else {
                return Ok(found);
            };
            after = last.id;
            for item in items {
                let Ok(content) = Content::decode_exact(&item.content) else {
                    continue;
                };
                let is_message = match content.body {
                    Body::Timer { .. } => {
                        let first = found.timers.map_or(content.sent, |(first, _)| first);
                        found.timers = Some((first, content.sent));
                        continue;
                    }
                    Body::ContactRequest(request) => !request.text.is_empty(),
                    Body::Text(_) | Body::Reply { .. } => true,
                    _ => false,
                };
                if is_message && found.first.is_none() && found.timers.is_none() {
                    let seconds = step.tx.seconds_of_waiting(row, &item.msg_id)?;
                    found.first = Some(seconds.unwrap_or(0));
                }
            }
        }
    }
}

/// The id of a change that goes out again, the same each time.
fn id_of(kind: &[u8], of: &[u8], at: UnixMillis) -> MsgId {
    let hash = Sha256::new()
        .chain_update(b"SREMP/1/again\0")
        .chain_update(kind)
        .chain_update(of)
        .chain_update(at.get().to_le_bytes())
        .finalize();
    let mut id = [0; MsgId::LEN];
    id.copy_from_slice(&hash[..MsgId::LEN]);
    MsgId::new(id)
}

/// The message under its id, with the text that it has by now.
fn again(line: MessageRecord) -> Option<Said> {
    let body = match line.answers {
        Some(msg_id) => Body::Reply {
            msg_id,
            text: line.text,
        },
        None => Body::Text(line.text),
    };
    Some(Said::message(line.msg_id?, line.sent, body))
}

/// What was done to a message that the contact has.
fn change_of(line: MessageRecord) -> Option<Said> {
    let msg_id = line.msg_id?;
    let (kind, at, body): (&[u8], _, _) = match (line.deleted, line.edited) {
        (true, _) => (b"delete", line.sent, Body::Delete { msg_id }),
        (false, Some(at)) => {
            let text = line.text;
            (b"edit", at, Body::Edit { msg_id, text })
        }
        (false, None) => return None,
    };
    Some(Said::new(id_of(kind, msg_id.as_bytes(), at), at, body))
}

/// A reaction, or that it was taken back.
fn reaction_again(own: OwnReaction) -> Said {
    let OwnReaction {
        msg_id,
        at,
        reaction,
    } = own;
    let id = id_of(b"reaction", msg_id.as_bytes(), at);
    Said::new(id, at, Body::Reaction { msg_id, reaction })
}
