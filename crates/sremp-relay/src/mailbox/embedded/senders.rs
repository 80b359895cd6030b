//! Who may write to a mailbox (SENDERS_SET).

use std::collections::BTreeSet;

use sremp_core::{
    error::ErrorCode,
    id::{IdentityKey, IntroToken},
};

use super::{
    batch::{Answer, Batch, Mailbox},
    index::PartyId,
    sql::vendor,
};
use crate::mailbox::{IntroHash, IntroRule, MAX_INTROS, MAX_RULES, Outcome, StoreError};

/// In place of `one_time`: a message was stored with it.
const BURNT: i64 = 2;

impl Batch<'_> {
    pub(super) fn set_senders(
        &mut self,
        mailbox: &Mailbox,
        accept: &[IdentityKey],
        block: &[IdentityKey],
        intro: Option<&[IntroRule]>,
    ) -> Answer {
        let rules = accept.iter().map(|key| (key, true));
        let rules = rules.chain(block.iter().map(|key| (key, false)));
        let keys: BTreeSet<&IdentityKey> = accept.iter().chain(block).collect();
        let mut count = self.count_rules(mailbox.id)?;
        for key in keys {
            let sender = self.party(key)?.unwrap_or(0);
            count += usize::from(self.rule(mailbox.id, sender)?.is_none());
        }
        if count > MAX_RULES as usize || intro.is_some_and(|i| i.len() > MAX_INTROS) {
            return Ok(Outcome::Refused(ErrorCode::Quota));
        }
        for (key, accepted) in rules {
            let sender = self.known_party(key)?;
            self.set_rule(mailbox.id, sender, accepted)?;
        }
        if let Some(rules) = intro {
            self.set_intros(mailbox.id, rules)?;
        }
        Ok(Outcome::Done)
    }

    fn count_rules(&self, mailbox: PartyId) -> Result<usize, StoreError> {
        self.tx
            .prepare_cached("SELECT count(*) FROM rule WHERE mailbox = ?1")
            .and_then(|mut s| s.query_row([mailbox], |row| row.get::<_, u32>(0)))
            .map(|count| count as usize)
            .map_err(vendor)
    }

    fn set_rule(
        &mut self,
        mailbox: PartyId,
        sender: PartyId,
        accepted: bool,
    ) -> Result<(), StoreError> {
        self.ledger.rules.forget(&(mailbox, sender));
        self.tx
            .prepare_cached(
                "INSERT OR REPLACE INTO rule (mailbox, sender, accepted) VALUES (?1, ?2, ?3)",
            )
            .and_then(|mut s| s.execute((mailbox, sender, accepted)))
            .map_err(vendor)
            .map(drop)
    }

    /// Burnt ones stay burnt as long as the owner goes on listing them: it cannot know which are.
    fn set_intros(&self, mailbox: PartyId, rules: &[IntroRule]) -> Result<(), StoreError> {
        let tx = self.tx;
        let burnt = self.burnt(mailbox)?;
        tx.prepare_cached("DELETE FROM intro WHERE mailbox = ?1")
            .and_then(|mut s| s.execute([mailbox]))
            .map_err(vendor)?;
        for rule in rules {
            let state = match rule.one_time {
                true if burnt.contains(&rule.hash) => BURNT,
                one_time => i64::from(one_time),
            };
            tx.prepare_cached(
                "INSERT OR REPLACE INTO intro (mailbox, hash, one_time) VALUES (?1, ?2, ?3)",
            )
            .and_then(|mut s| s.execute((mailbox, rule.hash.as_bytes(), state)))
            .map_err(vendor)?;
        }
        Ok(())
    }

    fn burnt(&self, mailbox: PartyId) -> Result<Vec<IntroHash>, StoreError> {
        let mut statement = self
            .tx
            .prepare_cached("SELECT hash FROM intro WHERE mailbox = ?1 AND one_time = ?2")
            .map_err(vendor)?;
        let rows = statement.query_map((mailbox, BURNT), |row| row.get(0));
        let hashes: Result<Vec<_>, _> = rows.map_err(vendor)?.collect();
        Ok(hashes
            .map_err(vendor)?
            .into_iter()
            .map(IntroHash::new)
            .collect())
    }

    /// What the owner said of this token. All are looked at, each in constant time.
    pub(super) fn intro(
        &self,
        mailbox: PartyId,
        token: Option<&IntroToken>,
    ) -> Result<Option<IntroRule>, StoreError> {
        let Some(shown) = token.map(IntroHash::of) else {
            return Ok(None);
        };
        let mut statement = self
            .tx
            .prepare_cached("SELECT hash, one_time FROM intro WHERE mailbox = ?1")
            .map_err(vendor)?;
        let mut rows = statement.query([mailbox]).map_err(vendor)?;
        let mut found = None;
        while let Some(row) = rows.next().map_err(vendor)? {
            let hash = IntroHash::new(row.get(0).map_err(vendor)?);
            let state: i64 = row.get(1).map_err(vendor)?;
            let one_time = state != 0;
            if hash == shown && state != BURNT {
                found = Some(IntroRule { hash, one_time });
            }
        }
        Ok(found)
    }

    pub(super) fn burn(&self, mailbox: PartyId, hash: &[u8; 32]) -> Result<(), StoreError> {
        self.tx
            .prepare_cached("UPDATE intro SET one_time = ?3 WHERE mailbox = ?1 AND hash = ?2")
            .and_then(|mut s| s.execute((mailbox, hash, BURNT)))
            .map_err(vendor)
            .map(drop)
    }
}
