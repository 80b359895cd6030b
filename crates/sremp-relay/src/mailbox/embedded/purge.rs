//! Removing what is over, in steps that hold nobody up.

use std::collections::BTreeSet;

use sremp_core::time::UnixMillis;

use super::{
    batch::{Answer, Batch},
    index::{Change, PartyId, RelayId},
    sql::vendor,
};
use crate::mailbox::{Outcome, PREKEY_INTERVAL, Purged, StoreError};

/// Rows that one step looks at: a few milliseconds.
const STEP: i64 = 2_048;
/// Mailboxes that one step removes.
const MAILBOXES: usize = 4;

impl Batch<'_> {
    /// Goes through the items; at their end through the rest, and then begins anew.
    pub(super) fn purge(&mut self, before: UnixMillis, unused_since: UnixMillis) -> Answer {
        let mut purged = Purged::default();
        purged.more = self.sweep_items(before, &mut purged)?;
        if !purged.more {
            purged.more = self.sweep_confirmations(before, &mut purged)?
                | self.sweep_mailboxes(unused_since, &mut purged)?;
            self.sweep_given()?;
        }
        Ok(Outcome::Purged(purged))
    }

    /// Whether there are more behind those that were looked at.
    fn sweep_items(&mut self, before: UnixMillis, purged: &mut Purged) -> Result<bool, StoreError> {
        let from = self.ledger.sweep;
        let seen: Vec<(i64, i64)> = self
            .tx
            .prepare_cached("SELECT id, expires FROM item WHERE id > ?1 ORDER BY id LIMIT ?2")
            .and_then(|mut s| {
                let rows = s.query_map((from.cast_signed(), STEP), |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
                rows.collect()
            })
            .map_err(vendor)?;
        let last = seen.last().map_or(0, |&(id, _)| id.cast_unsigned());
        let more = seen.len() as i64 == STEP;
        let expired = seen
            .into_iter()
            .filter(|&(_, expires)| expires < before.get().cast_signed());
        let mut touched = BTreeSet::new();
        for (id, _) in expired {
            self.remove_item(id.cast_unsigned(), purged, &mut touched)?;
        }
        for mailbox in touched {
            self.save_next(mailbox)?;
        }
        self.ledger.sweep = if more { last } else { 0 };
        Ok(more)
    }

    fn remove_item(
        &mut self,
        id: u64,
        purged: &mut Purged,
        touched: &mut BTreeSet<PartyId>,
    ) -> Result<(), StoreError> {
        let Some(row) = self.item(id)? else {
            return Ok(());
        };
        if row.gone {
            purged.tombstones += 1;
        } else {
            self.drop_body(&row)?;
            purged.expired += 1;
        }
        self.tx
            .prepare_cached("DELETE FROM item WHERE id = ?1")
            .and_then(|mut s| s.execute([id.cast_signed()]))
            .map_err(vendor)?;
        let sender = row.weight.sender;
        let of = self
            .ledger
            .seen
            .fingerprint(row.mailbox, sender, row.message_id);
        self.ledger.seen.remove(of, id);
        touched.insert(row.mailbox);
        Ok(())
    }

    /// The rows that told the next cursor are going: the mailbox remembers it now.
    fn save_next(&mut self, mailbox: PartyId) -> Result<(), StoreError> {
        let Some(account) = self.ledger.accounts.get(&mailbox) else {
            return Ok(());
        };
        self.tx
            .prepare_cached("UPDATE mailbox SET next = ?2 WHERE id = ?1")
            .and_then(|mut s| s.execute((mailbox, account.next.cast_signed())))
            .map_err(vendor)
            .map(drop)
    }

    fn sweep_confirmations(
        &mut self,
        before: UnixMillis,
        purged: &mut Purged,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM confirmation WHERE id IN (SELECT id FROM confirmation WHERE expires < ?1 LIMIT ?2) RETURNING id, sender, relay";
        let over: Vec<(i64, PartyId, Option<RelayId>)> = self
            .tx
            .prepare_cached(SQL)
            .and_then(|mut s| {
                let rows = s.query_map((before.get().cast_signed(), STEP), |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?;
                rows.collect()
            })
            .map_err(vendor)?;
        let more = over.len() as i64 == STEP;
        purged.confirmations += over.len() as u64;
        for (id, sender, relay) in over {
            self.forget_confirmation(sender, relay, id.cast_unsigned());
        }
        Ok(more)
    }

    fn sweep_mailboxes(
        &mut self,
        unused_since: UnixMillis,
        purged: &mut Purged,
    ) -> Result<bool, StoreError> {
        let unused = |used: u64| used < unused_since.get();
        let accounts = self.ledger.accounts.iter();
        let unused: Vec<PartyId> = accounts
            .filter(|(_, account)| account.open && unused(account.used))
            .map(|(&id, _)| id)
            .take(MAILBOXES)
            .collect();
        for &mailbox in &unused {
            self.close(mailbox)?;
            purged.mailboxes += 1;
        }
        Ok(unused.len() == MAILBOXES)
    }

    /// Removes a mailbox with all in it, but for where its cursors end.
    fn close(&mut self, mailbox: PartyId) -> Result<(), StoreError> {
        for id in self.items_of(mailbox) {
            if let Some(row) = self.item(id)?.filter(|row| !row.gone) {
                self.bury(&row)?;
            }
        }
        for table in ["rule", "intro", "bundle", "one_time", "given"] {
            let sql = format!("DELETE FROM {table} WHERE mailbox = ?1");
            self.tx.execute(&sql, [mailbox]).map_err(vendor)?;
        }
        self.save_next(mailbox)?;
        self.tx
            .execute("UPDATE mailbox SET open = 0 WHERE id = ?1", [mailbox])
            .map_err(vendor)?;
        self.ledger.rules.clear();
        self.ledger.open -= 1;
        if let Some(account) = self.ledger.accounts.get_mut(&mailbox) {
            account.open = false;
            account.clear();
            let owner = account.owner;
            self.changes.push(Change::Closed { owner, mailbox });
        }
        Ok(())
    }

    /// Items that the index knows, and those that earlier ops of this batch stored.
    fn items_of(&self, mailbox: PartyId) -> Vec<u64> {
        let added = self.changes.iter().filter_map(|change| match change {
            Change::Added { mailbox: to, slot } if *to == mailbox => Some(slot.id()),
            _ => None,
        });
        let index = self.shared.read();
        let shelf = index.shelves.get(&mailbox);
        let known = shelf.into_iter().flat_map(|s| s.items.iter());
        known.map(|slot| slot.id()).chain(added).collect()
    }

    fn sweep_given(&self) -> Result<(), StoreError> {
        let since = self.now.get().saturating_sub(PREKEY_INTERVAL).cast_signed();
        self.tx
            .prepare_cached("DELETE FROM given WHERE at <= ?1")
            .and_then(|mut s| s.execute([since]))
            .map_err(vendor)
            .map(drop)
    }
}
