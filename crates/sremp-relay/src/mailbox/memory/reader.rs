//! Reading a store in memory.

use std::path::Path;

use sremp_core::{contact_card::RelayHint, id::IdentityKey};

use super::{MemoryReader, lock};
use crate::mailbox::{
    ConfirmationId, Cursor, Item, MailboxInfo, MailboxReader, Page, PrekeyCounts, Route,
    StoreError, WaitingConfirmation,
};

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
        let there = world.waiting.values().filter(|(at, _)| at == route);
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
