//! The rules of a store without a disk: for simulations, and as the model of the other stores.

mod mailbox;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sremp_core::{contact_card::RelayHint, error::ErrorCode, id::IdentityKey, time::UnixMillis};

use self::mailbox::Mailbox;
use super::{
    Confirmation, ConfirmationId, Confirmed, Cursor, Item, Limits, MAX_WAITING, MailboxInfo,
    MailboxReader, MailboxStore, Op, Outcome, PREKEY_INTERVAL, Page, PrekeyCounts, Purged, Route,
    Stats, StoreError, WaitingConfirmation, Waits,
};

/// Mailboxes in memory. Nothing survives.
#[derive(Debug)]
pub struct MemoryStore {
    world: Arc<Mutex<World>>,
    limits: Limits,
}

/// Reads a [`MemoryStore`].
#[derive(Clone, Debug)]
pub struct MemoryReader(Arc<Mutex<World>>);

#[derive(Clone, Debug, Default)]
struct World {
    mailboxes: BTreeMap<IdentityKey, Mailbox>,
    waiting: BTreeMap<u64, (Route, WaitingConfirmation)>,
    last_confirmation: u64,
}

type Answer = Result<Outcome, ErrorCode>;

impl MemoryStore {
    /// An empty store.
    pub fn new(limits: Limits) -> Self {
        let world = Arc::default();
        Self { world, limits }
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MailboxStore for MemoryStore {
    type Reader = MemoryReader;

    fn commit(&mut self, now: UnixMillis, batch: Vec<Op>) -> Result<Vec<Outcome>, StoreError> {
        let mut world = lock(&self.world);
        let run = |op| world.run(&self.limits, now, op);
        Ok(batch
            .into_iter()
            .map(run)
            .map(|answer| answer.unwrap_or_else(Outcome::Refused))
            .collect())
    }

    fn reader(&self) -> MemoryReader {
        MemoryReader(Arc::clone(&self.world))
    }

    fn stats(&self) -> Stats {
        let world = lock(&self.world);
        let open = || world.mailboxes.values().filter(|m| m.open);
        let waiting = || open().flat_map(Mailbox::waiting);
        Stats {
            mailboxes: open().count() as u64,
            items: waiting().count() as u64,
            bytes: waiting().map(|(_, k)| k.op.blob.len() as u64).sum(),
            confirmations: world.waiting.len() as u64,
            oldest: waiting().map(|(_, kept)| kept.stored).min(),
            disk: 0,
            last_commit: Duration::ZERO,
        }
    }

    fn rest(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl World {
    fn run(&mut self, limits: &Limits, now: UnixMillis, op: Op) -> Answer {
        match op {
            Op::OpenMailbox { owner } => return self.open(limits, now, owner),
            Op::Touch { owner } => {
                if let Ok(mailbox) = self.mailbox(&owner) {
                    mailbox.visit(now);
                }
            }
            Op::Store(op) => return self.mailbox(&op.recipient)?.store(limits, now, &op),
            Op::Confirm {
                owner,
                confirmations,
            } => {
                self.mailbox(&owner)?;
                let each = confirmations.into_iter().map(|c| self.confirm(owner, c));
                return Ok(Outcome::Confirmed(each.collect()));
            }
            Op::Discard { owner, cursors } => {
                let mailbox = self.mailbox(&owner)?;
                let gone = cursors.iter().filter(|cursor| mailbox.bury(cursor.get()));
                return Ok(Outcome::Discarded(gone.count() as u32));
            }
            Op::PutPrekeys {
                owner,
                bundle,
                one_time,
            } => return self.mailbox(&owner)?.put_prekeys(bundle, one_time),
            Op::TakePrekey {
                asker,
                recipient,
                intro,
            } => {
                let mailbox = self.mailbox(&recipient).map_err(|_| ErrorCode::NoPrekey)?;
                return mailbox.take_prekey(now, asker, intro);
            }
            Op::SetSenders {
                owner,
                accept,
                block,
                intro,
            } => return self.mailbox(&owner)?.set_senders(accept, block, intro),
            Op::AddConfirmation {
                confirmation,
                expires,
            } => {
                self.mailbox(&confirmation.sender)?;
                let route = Route::Sender(confirmation.sender);
                let waits = self.queue(route, *confirmation, expires);
                return waits.map(Outcome::Queued).ok_or(ErrorCode::Quota);
            }
            Op::ConfirmationsTaken { route, ids } => {
                self.waiting
                    .retain(|_, (at, w)| !ids.contains(&w.id) || !is_fetched_by(&route, at, w));
            }
            Op::ConfirmationsRefused { relay, ids } => {
                return Ok(Outcome::Dropped(self.refused(&Route::Relay(relay), &ids)));
            }
            Op::Purge {
                before,
                unused_since,
            } => return Ok(Outcome::Purged(self.purge(now, before, unused_since))),
        }
        Ok(Outcome::Done)
    }

    fn mailbox(&mut self, owner: &IdentityKey) -> Result<&mut Mailbox, ErrorCode> {
        let mailbox = self.mailboxes.get_mut(owner).filter(|m| m.open);
        mailbox.ok_or(ErrorCode::Denied)
    }

    fn open(&mut self, limits: &Limits, now: UnixMillis, owner: IdentityKey) -> Answer {
        let open = self.mailboxes.values().filter(|m| m.open).count() as u64;
        let mailbox = self.mailboxes.entry(owner).or_insert_with(|| Mailbox {
            next: 1,
            ..Mailbox::default()
        });
        if !mailbox.open && open >= limits.mailboxes {
            return Err(ErrorCode::Full);
        }
        let new = !std::mem::replace(&mut mailbox.open, true);
        if new {
            mailbox.used = now;
        }
        mailbox.visit(now);
        let prekeys = mailbox.counts();
        Ok(Outcome::Opened { new, prekeys })
    }

    fn confirm(&mut self, owner: IdentityKey, confirmation: Confirmation) -> Confirmed {
        let Ok(mailbox) = self.mailbox(&owner) else {
            return Confirmed::Refused;
        };
        let found = mailbox.find(&confirmation.sender, confirmation.message_id);
        let found = found.map(|(cursor, kept)| (cursor, kept.clone()));
        let Some((cursor, kept)) = found.filter(|(_, k)| k.op.hash == confirmation.blob_hash)
        else {
            return Confirmed::Refused;
        };
        if !mailbox.bury(cursor) {
            return Confirmed::Before;
        }
        let relay = kept.op.reply_relay.map(|hint| Route::Relay(Box::new(hint)));
        let relay = relay.filter(|route| !self.is_full(route));
        let route = relay.unwrap_or(Route::Sender(confirmation.sender));
        let waits = self.queue(route, confirmation, kept.expires);
        waits.map_or(Confirmed::Dropped, Confirmed::Now)
    }

    /// How many of what a relay refused have no room in their senders' lists.
    fn refused(&mut self, relay: &Route, ids: &[ConfirmationId]) -> u32 {
        let mut dropped = 0;
        for id in ids {
            let Some((at, refused)) = self.waiting.remove(&id.get()) else {
                continue;
            };
            let to = Route::Sender(refused.confirmation.sender);
            if at != *relay {
                self.waiting.insert(id.get(), (at, refused));
            } else if self.is_full(&to) {
                dropped += 1;
            } else {
                self.waiting.insert(id.get(), (to, refused));
            }
        }
        dropped
    }

    fn is_full(&self, route: &Route) -> bool {
        let there = self.waiting.values().filter(|(at, _)| at == route);
        there.count() >= MAX_WAITING
    }

    fn queue(
        &mut self,
        route: Route,
        confirmation: Confirmation,
        expires: UnixMillis,
    ) -> Option<Waits> {
        if self.is_full(&route) {
            return None;
        }
        self.last_confirmation += 1;
        let id = ConfirmationId::new(self.last_confirmation);
        let waiting = WaitingConfirmation {
            id,
            confirmation,
            expires,
        };
        self.waiting.insert(id.get(), (route.clone(), waiting));
        Some(Waits { id, route })
    }

    fn purge(&mut self, now: UnixMillis, before: UnixMillis, unused: UnixMillis) -> Purged {
        let mut purged = Purged::default();
        for mailbox in self.mailboxes.values_mut() {
            mailbox.items.retain(|_, kept| {
                let over = kept.expires < before;
                purged.expired += u64::from(over && kept.waits);
                purged.tombstones += u64::from(over && !kept.waits);
                !over
            });
            let hour = Duration::from_millis(PREKEY_INTERVAL);
            mailbox.given.retain(|_, at| *at > now.minus(hour));
            if mailbox.open && mailbox.used < unused {
                mailbox.close();
                purged.mailboxes += 1;
            }
        }
        let had = self.waiting.len();
        self.waiting.retain(|_, (_, w)| w.expires >= before);
        purged.confirmations = (had - self.waiting.len()) as u64;
        purged
    }
}

/// Whether a confirmation that waits `at` one is handed to another: its sender may fetch it in person.
fn is_fetched_by(route: &Route, at: &Route, waiting: &WaitingConfirmation) -> bool {
    at == route || *route == Route::Sender(waiting.confirmation.sender)
}

impl MailboxReader for MemoryReader {
    fn page(
        &self,
        owner: &IdentityKey,
        after: Cursor,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Page, StoreError> {
        let mut world = lock(&self.0);
        let Ok(mailbox) = world.mailbox(owner) else {
            return Ok(Page::default());
        };
        let mut page = Page {
            next: after,
            ..Page::default()
        };
        let mut bytes = 0;
        for (&cursor, kept) in mailbox.waiting().filter(|(c, _)| **c > after.get()) {
            bytes += kept.op.blob.len();
            if page.items.len() == max_items || (bytes > max_bytes && !page.items.is_empty()) {
                page.more = true;
                break;
            }
            page.next = Cursor::new(cursor);
            page.items.push(Item {
                cursor: page.next,
                message_id: kept.op.message_id,
                sender: kept.op.sender,
                stored_at: kept.stored,
                blob: kept.op.blob.to_vec(),
            });
        }
        Ok(page)
    }

    fn mailbox(&self, owner: &IdentityKey) -> Option<MailboxInfo> {
        let mut world = lock(&self.0);
        let mailbox = world.mailbox(owner).ok()?;
        Some(MailboxInfo {
            items: mailbox.waiting().count() as u32,
            bytes: mailbox.waiting().map(|(_, k)| k.op.blob.len() as u64).sum(),
            head: Cursor::new(mailbox.next - 1),
        })
    }

    fn prekeys(&self, owner: &IdentityKey) -> Result<PrekeyCounts, StoreError> {
        let counts = lock(&self.0).mailbox(owner).map(|m| m.counts());
        Ok(counts.unwrap_or_default())
    }

    fn waiting(
        &self,
        route: &Route,
        after: ConfirmationId,
        max: usize,
    ) -> Result<Vec<WaitingConfirmation>, StoreError> {
        let world = lock(&self.0);
        let there = world.waiting.values();
        let there = there.filter(|(at, w)| is_fetched_by(route, at, w));
        let behind = there.map(|(_, w)| w).filter(|w| w.id > after);
        Ok(behind.take(max).cloned().collect())
    }

    fn relays(&self) -> Result<Vec<RelayHint>, StoreError> {
        let mut relays: Vec<RelayHint> = Vec::new();
        for (route, _) in lock(&self.0).waiting.values() {
            if let Route::Relay(hint) = route
                && !relays.contains(hint)
            {
                relays.push(hint.as_ref().clone());
            }
        }
        Ok(relays)
    }

    fn backup(&self, _to: &Path) -> Result<(), StoreError> {
        Err(StoreError::Other("a store in memory has no copy".into()))
    }
}
