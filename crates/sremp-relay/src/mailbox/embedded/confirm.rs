//! Confirmations: from an owner, for whoever waits (D6.7).

use rusqlite::OptionalExtension as _;
use sremp_core::{
    contact_card::{Endpoint, RelayHint},
    error::ErrorCode,
    id::ContactId,
    time::UnixMillis,
};

use super::{
    batch::{Answer, Batch, Mailbox},
    index::{Change, PartyId, RelayId, RouteId},
    sql::{damaged, vendor},
};
use crate::mailbox::{
    Confirmation, ConfirmationId, Confirmed, MAX_WAITING, Outcome, Route, StoreError, Waits,
};

impl Batch<'_> {
    pub(super) fn confirm(&mut self, mailbox: &Mailbox, confirmations: &[Confirmation]) -> Answer {
        let confirmed = confirmations.iter().map(|c| self.confirm_one(mailbox, c));
        confirmed.collect::<Result<_, _>>().map(Outcome::Confirmed)
    }

    fn confirm_one(
        &mut self,
        mailbox: &Mailbox,
        confirmation: &Confirmation,
    ) -> Result<Confirmed, StoreError> {
        let Some(sender) = self.party(&confirmation.sender)? else {
            return Ok(Confirmed::Refused);
        };
        let found = self.find(mailbox.id, sender, confirmation.message_id)?;
        let Some(row) = found.filter(|row| row.hash == confirmation.blob_hash) else {
            return Ok(Confirmed::Refused);
        };
        if row.gone {
            return Ok(Confirmed::Before);
        }
        self.bury(&row)?;
        // what another relay has no room for here can still be fetched in person
        let elsewhere = row.relay.filter(|id| !self.is_full(RouteId::Relay(*id)));
        let (at, route) = match elsewhere {
            None => (RouteId::Sender(sender), Route::Sender(confirmation.sender)),
            Some(id) => (
                RouteId::Relay(id),
                Route::Relay(Box::new(relay_hint(self.tx, id)?)),
            ),
        };
        let expires = UnixMillis::saturating(row.expires);
        let waits = self.queue(sender, at, route, confirmation, expires)?;
        Ok(waits.map_or(Confirmed::Dropped, Confirmed::Now))
    }

    pub(super) fn add_confirmation(
        &mut self,
        sender: &Mailbox,
        confirmation: &Confirmation,
        expires: UnixMillis,
    ) -> Answer {
        let at = RouteId::Sender(sender.id);
        let route = Route::Sender(sender.owner);
        let waits = self.queue(sender.id, at, route, confirmation, expires)?;
        Ok(waits.map_or(Outcome::Refused(ErrorCode::Quota), Outcome::Queued))
    }

    /// `None` if too many wait there.
    fn queue(
        &mut self,
        sender: PartyId,
        at: RouteId,
        route: Route,
        confirmation: &Confirmation,
        expires: UnixMillis,
    ) -> Result<Option<Waits>, StoreError> {
        const SQL: &str = "INSERT INTO confirmation (id, sender, relay, message_id, delivered_to, at, hash, signature, expires) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        if self.is_full(at) {
            return Ok(None);
        }
        let id = self.ledger.next_confirmation;
        self.ledger.next_confirmation += 1;
        let row = (
            id.cast_signed(),
            sender,
            at.relay(),
            confirmation.message_id.get().cast_signed(),
            confirmation.delivered_to.as_bytes(),
            confirmation.timestamp.get().cast_signed(),
            confirmation.blob_hash.as_bytes(),
            confirmation.signature.as_bytes(),
            expires.get().cast_signed(),
        );
        self.tx
            .prepare_cached(SQL)
            .and_then(|mut s| s.execute(row))
            .map_err(vendor)?;
        self.ledger.wait(at);
        let relay = at.relay();
        self.changes.push(Change::Waits { sender, relay, id });
        let id = ConfirmationId::new(id);
        Ok(Some(Waits { id, route }))
    }

    fn is_full(&self, at: RouteId) -> bool {
        let waiting = self.ledger.waiting.get(&at);
        waiting.is_some_and(|&n| n >= MAX_WAITING)
    }

    pub(super) fn confirmations_refused(
        &mut self,
        relay: &RelayHint,
        ids: &[ConfirmationId],
    ) -> Answer {
        const KEEP: &str =
            "UPDATE confirmation SET relay = NULL WHERE id = ?1 AND relay = ?2 RETURNING sender";
        const DELETE: &str = "DELETE FROM confirmation WHERE id = ?1";
        let mut dropped = 0;
        let Some(relay) = self.known_relay(relay)? else {
            return Ok(Outcome::Dropped(dropped));
        };
        for id in ids {
            let refused: Option<PartyId> = self
                .tx
                .prepare_cached(KEEP)
                .and_then(|mut s| {
                    let key = (id.get().cast_signed(), relay);
                    s.query_row(key, |row| row.get(0)).optional()
                })
                .map_err(vendor)?;
            let Some(sender) = refused else { continue };
            let (id, at) = (id.get(), RouteId::Sender(sender));
            if self.is_full(at) {
                self.tx
                    .prepare_cached(DELETE)
                    .and_then(|mut s| s.execute([id.cast_signed()]))
                    .map_err(vendor)?;
                self.forget_confirmation(sender, Some(relay), id);
                dropped += 1;
                continue;
            }
            self.ledger.waited(RouteId::Relay(relay));
            self.ledger.wait(at);
            self.changes.push(Change::Refused { relay, id });
        }
        Ok(Outcome::Dropped(dropped))
    }

    pub(super) fn confirmations_taken(&mut self, route: &Route, ids: &[ConfirmationId]) -> Answer {
        const SQL: &str = "DELETE FROM confirmation WHERE id = ?1 AND (?2 IS NULL OR relay = ?2) AND (?3 IS NULL OR sender = ?3) RETURNING sender, relay";
        let at = match route {
            Route::Sender(sender) => self.party(sender)?.map(RouteId::Sender),
            Route::Relay(hint) => self.known_relay(hint)?.map(RouteId::Relay),
        };
        let Some(at) = at else {
            return Ok(Outcome::Done);
        };
        for id in ids {
            let key = (id.get().cast_signed(), at.relay(), at.sender());
            let deleted: Option<(PartyId, Option<RelayId>)> = self
                .tx
                .prepare_cached(SQL)
                .and_then(|mut s| {
                    s.query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))
                        .optional()
                })
                .map_err(vendor)?;
            if let Some((sender, relay)) = deleted {
                self.forget_confirmation(sender, relay, id.get());
            }
        }
        Ok(Outcome::Done)
    }

    pub(super) fn forget_confirmation(&mut self, sender: PartyId, relay: Option<RelayId>, id: u64) {
        self.ledger.waited(RouteId::of(sender, relay));
        self.changes.push(Change::Taken { sender, relay, id });
    }

    pub(super) fn known_relay(&self, hint: &RelayHint) -> Result<Option<RelayId>, StoreError> {
        relay_number(self.tx, hint)
    }
}

impl RouteId {
    fn relay(self) -> Option<RelayId> {
        match self {
            Self::Relay(id) => Some(id),
            Self::Sender(_) => None,
        }
    }

    fn sender(self) -> Option<PartyId> {
        match self {
            Self::Sender(id) => Some(id),
            Self::Relay(_) => None,
        }
    }
}

/// The number of another relay, if it has one.
pub(super) fn relay_number(
    conn: &rusqlite::Connection,
    hint: &RelayHint,
) -> Result<Option<RelayId>, StoreError> {
    let host = hint.endpoint.host();
    conn.prepare_cached("SELECT id FROM relay WHERE key = ?1 AND host = ?2 AND port = ?3")
        .and_then(|mut s| {
            let key = (hint.relay.as_bytes(), host, hint.endpoint.port());
            s.query_row(key, |row| row.get(0)).optional()
        })
        .map_err(vendor)
}

/// Where another relay is.
pub(super) fn relay_hint(
    conn: &rusqlite::Connection,
    id: RelayId,
) -> Result<RelayHint, StoreError> {
    let (key, host, port): ([u8; 32], String, u16) = conn
        .prepare_cached("SELECT key, host, port FROM relay WHERE id = ?1")
        .and_then(|mut s| s.query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))))
        .map_err(vendor)?;
    Ok(RelayHint {
        relay: ContactId::parse(&key).map_err(|_| damaged("the key of a relay is none"))?,
        endpoint: Endpoint::new(&host, port)
            .map_err(|_| damaged("the address of a relay is none"))?,
        priority: 0,
    })
}
