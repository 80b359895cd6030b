//! Prekeys: put by their owner, a one-time one given to one asker and never again (D3.2, D6.3).

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _};
use sremp_core::{
    error::ErrorCode,
    id::{IdentityKey, IntroToken},
    session::prekey,
};

use super::{
    batch::{Answer, Batch, Mailbox},
    index::PartyId,
    sql::vendor,
};
use crate::mailbox::{
    MAX_ONE_TIME_PREKEYS, Outcome, PREKEY_INTERVAL, PrekeyCounts, StoreError, TakenBundle,
};

impl Batch<'_> {
    pub(super) fn prekey_counts(&self, mailbox: PartyId) -> Result<PrekeyCounts, StoreError> {
        counts(self.tx, mailbox)
    }

    pub(super) fn put_prekeys(
        &mut self,
        mailbox: &Mailbox,
        bundle: Option<Vec<u8>>,
        one_time: &[Vec<u8>],
    ) -> Answer {
        let tx = self.tx;
        if let Some(now) = &bundle
            && let Some(before) = self.bundle(mailbox.id)?
            && prekey::is_of_another_state(&before, now)
        {
            tx.prepare_cached("DELETE FROM one_time WHERE mailbox = ?1")
                .and_then(|mut s| s.execute([mailbox.id]))
                .map_err(vendor)?;
        }
        let had = self.prekey_counts(mailbox.id)?;
        // put twice, one would be given to two
        let mut new: BTreeSet<&[u8]> = one_time.iter().map(Vec::as_slice).collect();
        if !new.is_empty() {
            for bytes in self.one_time(mailbox.id)? {
                new.remove(bytes.as_slice());
            }
        }
        if had.one_time as usize + new.len() > MAX_ONE_TIME_PREKEYS as usize {
            return Ok(Outcome::Refused(ErrorCode::Quota));
        }
        if let Some(bytes) = bundle {
            tx.prepare_cached("INSERT OR REPLACE INTO bundle (mailbox, bytes) VALUES (?1, ?2)")
                .and_then(|mut s| s.execute((mailbox.id, bytes)))
                .map_err(vendor)?;
        }
        for bytes in one_time.iter().filter(|bytes| new.remove(bytes.as_slice())) {
            tx.prepare_cached("INSERT INTO one_time (mailbox, bytes) VALUES (?1, ?2)")
                .and_then(|mut s| s.execute((mailbox.id, bytes)))
                .map_err(vendor)?;
        }
        self.prekey_counts(mailbox.id).map(Outcome::Prekeys)
    }

    pub(super) fn take_prekey(
        &mut self,
        asker: &IdentityKey,
        recipient: &IdentityKey,
        intro: Option<IntroToken>,
    ) -> Answer {
        let refused = Ok(Outcome::Refused(ErrorCode::NoPrekey));
        let Some(mailbox) = self.mailbox(recipient)? else {
            return refused;
        };
        let party = self.party(asker)?;
        let rule = self.rule(mailbox.id, party.unwrap_or(0))?;
        let bundle = self.bundle(mailbox.id)?;
        let Some(bundle) = bundle.filter(|_| rule != Some(false)) else {
            return refused;
        };
        let due = self.is_due(&mailbox, asker, rule == Some(true), intro)?;
        let one_time = if due {
            self.take_one(mailbox.id)?
        } else {
            None
        };
        Ok(Outcome::Bundle(TakenBundle {
            bundle,
            one_time,
            left: self.prekey_counts(mailbox.id)?.one_time,
        }))
    }

    fn bundle(&self, mailbox: PartyId) -> Result<Option<Vec<u8>>, StoreError> {
        self.tx
            .prepare_cached("SELECT bytes FROM bundle WHERE mailbox = ?1")
            .and_then(|mut s| s.query_row([mailbox], |row| row.get(0)).optional())
            .map_err(vendor)
    }

    /// Whether this asker gets a one-time prekey, which then counts as given. With a one-time token
    /// the token is an asker too: else many keys with one token would empty the stock.
    fn is_due(
        &mut self,
        mailbox: &Mailbox,
        asker: &IdentityKey,
        accepted: bool,
        intro: Option<IntroToken>,
    ) -> Result<bool, StoreError> {
        let token = match accepted {
            true => None,
            false => self.intro(mailbox.id, intro.as_ref())?,
        };
        if !accepted && token.is_none() {
            return Ok(false);
        }
        let token = token.filter(|rule| rule.one_time);
        let names = [
            Some(*asker.as_bytes()),
            token.map(|rule| *rule.hash.as_bytes()),
        ];
        let names: Vec<[u8; 32]> = names.into_iter().flatten().collect();
        for name in &names {
            if self.was_given(mailbox.id, name)? {
                return Ok(false);
            }
        }
        if self.prekey_counts(mailbox.id)?.one_time == 0 {
            return Ok(false);
        }
        for name in &names {
            self.note_given(mailbox.id, name)?;
        }
        Ok(true)
    }

    fn was_given(&self, mailbox: PartyId, name: &[u8; 32]) -> Result<bool, StoreError> {
        let since = self.now.get().saturating_sub(PREKEY_INTERVAL);
        self.tx
            .prepare_cached("SELECT 1 FROM given WHERE mailbox = ?1 AND asker = ?2 AND at > ?3")
            .and_then(|mut s| s.exists((mailbox, name, since.cast_signed())))
            .map_err(vendor)
    }

    fn note_given(&self, mailbox: PartyId, name: &[u8; 32]) -> Result<(), StoreError> {
        let now = self.now.get().cast_signed();
        self.tx
            .prepare_cached("INSERT OR REPLACE INTO given (mailbox, asker, at) VALUES (?1, ?2, ?3)")
            .and_then(|mut s| s.execute((mailbox, name, now)))
            .map_err(vendor)
            .map(drop)
    }

    fn one_time(&self, mailbox: PartyId) -> Result<Vec<Vec<u8>>, StoreError> {
        self.tx
            .prepare_cached("SELECT bytes FROM one_time WHERE mailbox = ?1")
            .and_then(|mut s| s.query_map([mailbox], |row| row.get(0))?.collect())
            .map_err(vendor)
    }

    fn take_one(&self, mailbox: PartyId) -> Result<Option<Vec<u8>>, StoreError> {
        const FIRST: &str = "DELETE FROM one_time WHERE id = (SELECT min(id) FROM one_time WHERE mailbox = ?1) RETURNING bytes";
        let mut statement = self.tx.prepare_cached(FIRST).map_err(vendor)?;
        let taken = statement.query_row([mailbox], |row| row.get(0));
        taken.optional().map_err(vendor)
    }
}

/// The prekeys of a mailbox.
pub(super) fn counts(conn: &Connection, mailbox: PartyId) -> Result<PrekeyCounts, StoreError> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM bundle WHERE mailbox = ?1), (SELECT count(*) FROM one_time WHERE mailbox = ?1)";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(PrekeyCounts {
            bundle: row.get(0)?,
            one_time: row.get(1)?,
        })
    };
    conn.prepare_cached(SQL)
        .and_then(|mut s| s.query_row([mailbox], read))
        .map_err(vendor)
}
