//! One batch in one transaction.

use rusqlite::{OptionalExtension as _, Transaction};
use sremp_core::{error::ErrorCode, id::IdentityKey, time::UnixMillis};

use super::{
    disk::Room,
    index::{Change, PartyId, RelayId, Shared},
    ledger::{Account, Ledger},
    sql::{damaged, vendor},
};
use crate::mailbox::{Limits, Op, Outcome, PrekeyCounts, StoreError, limits::VISIT_ROUNDED};

/// A batch on its way. The ledger is already changed, the index is told after the commit.
pub(super) struct Batch<'a> {
    pub(super) tx: &'a Transaction<'a>,
    pub(super) ledger: &'a mut Ledger,
    pub(super) shared: &'a Shared,
    pub(super) limits: &'a Limits,
    pub(super) room: Room,
    pub(super) now: UnixMillis,
    pub(super) changes: Vec<Change>,
}

/// What an op comes to.
pub(super) type Answer = Result<Outcome, StoreError>;

/// A mailbox that is open.
pub(super) struct Mailbox {
    pub(super) id: PartyId,
    pub(super) owner: IdentityKey,
}

impl Batch<'_> {
    pub(super) fn run(&mut self, op: Op) -> Answer {
        match op {
            Op::OpenMailbox { owner } => self.open(&owner),
            Op::Touch { owner } => self.touch(&owner),
            Op::Store(store) => self.store(&store),
            Op::Confirm {
                owner,
                confirmations,
            } => self.with(&owner, |batch, of| batch.confirm(&of, &confirmations)),
            Op::Discard { owner, cursors } => {
                self.with(&owner, |batch, of| batch.discard(&of, &cursors))
            }
            Op::PutPrekeys {
                owner,
                bundle,
                one_time,
            } => self.with(&owner, |batch, of| {
                batch.put_prekeys(&of, bundle, &one_time)
            }),
            Op::TakePrekey {
                asker,
                recipient,
                intro,
            } => self.take_prekey(&asker, &recipient, intro),
            Op::SetSenders {
                owner,
                accept,
                block,
                intro,
            } => self.with(&owner, |batch, of| {
                batch.set_senders(&of, &accept, &block, intro.as_deref())
            }),
            Op::AddConfirmation {
                confirmation,
                expires,
            } => self.with(&confirmation.sender.clone(), |batch, of| {
                batch.add_confirmation(&of, &confirmation, expires)
            }),
            Op::ConfirmationsTaken { route, ids } => self.confirmations_taken(&route, &ids),
            Op::ConfirmationsRefused { relay, ids } => self.confirmations_refused(&relay, &ids),
            Op::Purge {
                before,
                unused_since,
            } => self.purge(before, unused_since),
        }
    }

    /// What `work` says of the owner's mailbox, or DENIED.
    fn with(
        &mut self,
        owner: &IdentityKey,
        work: impl FnOnce(&mut Self, Mailbox) -> Answer,
    ) -> Answer {
        match self.mailbox(owner)? {
            Some(mailbox) => work(self, mailbox),
            None => Ok(Outcome::Refused(ErrorCode::Denied)),
        }
    }

    /// The open mailbox of a key.
    pub(super) fn mailbox(&mut self, owner: &IdentityKey) -> Result<Option<Mailbox>, StoreError> {
        let Some(id) = self.party(owner)? else {
            return Ok(None);
        };
        let owner = *owner;
        Ok(self.ledger.account(id).map(|_| Mailbox { id, owner }))
    }

    fn open(&mut self, owner: &IdentityKey) -> Answer {
        if let Some(mailbox) = self.mailbox(owner)? {
            self.visit(mailbox.id)?;
            let prekeys = self.prekey_counts(mailbox.id)?;
            let new = false;
            return Ok(Outcome::Opened { new, prekeys });
        }
        if self.ledger.open >= self.limits.mailboxes || self.room < Room::Ample {
            return Ok(Outcome::Refused(ErrorCode::Full));
        }
        let id = self.known_party(owner)?;
        self.make(id, owner)?;
        Ok(Outcome::Opened {
            new: true,
            prekeys: PrekeyCounts::default(),
        })
    }

    /// A mailbox that was purged goes on where its cursors ended.
    fn make(&mut self, id: PartyId, owner: &IdentityKey) -> Result<(), StoreError> {
        let used = self.now.get();
        let account = self.ledger.accounts.entry(id).or_insert_with(|| Account {
            owner: *owner.as_bytes(),
            next: 1,
            ..Account::default()
        });
        account.open = true;
        account.used = used;
        let next = account.next;
        self.ledger.open += 1;
        self.tx
            .prepare_cached(
                "INSERT OR REPLACE INTO mailbox (id, open, next, used) VALUES (?1, 1, ?2, ?3)",
            )
            .and_then(|mut s| s.execute((id, next.cast_signed(), used.cast_signed())))
            .map_err(vendor)?;
        self.changes.push(Change::Opened {
            owner: *owner.as_bytes(),
            mailbox: id,
            head: next - 1,
        });
        Ok(())
    }

    fn touch(&mut self, owner: &IdentityKey) -> Answer {
        if let Some(mailbox) = self.mailbox(owner)? {
            self.visit(mailbox.id)?;
        }
        Ok(Outcome::Done)
    }

    fn visit(&mut self, mailbox: PartyId) -> Result<(), StoreError> {
        let now = self.now.get();
        let Some(account) = self.ledger.account(mailbox) else {
            return Ok(());
        };
        if now < account.used.saturating_add(VISIT_ROUNDED) {
            return Ok(());
        }
        account.used = now;
        self.tx
            .prepare_cached("UPDATE mailbox SET used = ?2 WHERE id = ?1")
            .and_then(|mut s| s.execute((mailbox, now.cast_signed())))
            .map_err(vendor)?;
        Ok(())
    }

    /// The number of a key, if it has one.
    pub(super) fn party(&mut self, key: &IdentityKey) -> Result<Option<PartyId>, StoreError> {
        let bytes = key.as_bytes();
        if let Some(id) = self.ledger.parties.get(bytes) {
            return Ok(Some(id));
        }
        let found = self
            .tx
            .prepare_cached("SELECT id FROM party WHERE key = ?1")
            .and_then(|mut s| s.query_row([bytes], |row| row.get(0)).optional())
            .map_err(vendor)?;
        if let Some(id) = found {
            self.ledger.parties.keep(*bytes, id);
        }
        Ok(found)
    }

    /// The number of a key, given now if it has none.
    pub(super) fn known_party(&mut self, key: &IdentityKey) -> Result<PartyId, StoreError> {
        if let Some(id) = self.party(key)? {
            return Ok(id);
        }
        self.tx
            .prepare_cached("INSERT INTO party (key) VALUES (?1)")
            .and_then(|mut s| s.insert([key.as_bytes()]))
            .map_err(vendor)
            .and_then(row_number)
            .inspect(|&id| self.ledger.parties.keep(*key.as_bytes(), id))
    }

    /// What the owner said of a sender: accepted, blocked, or nothing.
    pub(super) fn rule(
        &mut self,
        mailbox: PartyId,
        sender: PartyId,
    ) -> Result<Option<bool>, StoreError> {
        if let Some(rule) = self.ledger.rules.get(&(mailbox, sender)) {
            return Ok(rule);
        }
        let rule = self
            .tx
            .prepare_cached("SELECT accepted FROM rule WHERE mailbox = ?1 AND sender = ?2")
            .and_then(|mut s| s.query_row((mailbox, sender), |row| row.get(0)).optional())
            .map_err(vendor)?;
        self.ledger.rules.keep((mailbox, sender), rule);
        Ok(rule)
    }
}

/// The number of a new row where numbers are short.
pub(super) fn row_number(row: i64) -> Result<RelayId, StoreError> {
    u32::try_from(row).map_err(|_| damaged("a number ran out"))
}
