//! A stranger whose request waits was restored from a backup: the same request comes again under another
//! session, by which it can be answered (3.21).

use std::{collections::BTreeMap, time::Duration};

use sremp_core::{
    id::ContactId,
    session::{
        book::SessionBook,
        content::{Body, Content, ContentHash},
    },
    time::Tick,
};

use super::{Engine, Step, peers::Peer};
use crate::{
    store::StoreError,
    view::{Standing, Trust},
};

/// After a request was renewed, or so many things were tried, no more is opened for so long.
const PAUSE: Duration = Duration::from_secs(60 * 60);
const MOST_TRIES: u8 = 16;

/// What came lately of those whose requests wait.
#[derive(Debug, Default)]
pub(super) struct RenewedRequests(BTreeMap<ContactId, Lately>);

/// What came of one of them.
#[derive(Debug)]
struct Lately {
    /// When the first was tried, or the request renewed.
    since: Tick,
    tries: u8,
}

impl RenewedRequests {
    /// Whether one thing more is opened, which then counts.
    fn may_try(&mut self, contact: ContactId, now: Tick) -> bool {
        self.0.retain(|_, lately| now.since(lately.since) < PAUSE);
        let first = Lately {
            since: now,
            tries: 0,
        };
        let lately = self.0.entry(contact).or_insert(first);
        let may = lately.tries < MOST_TRIES;
        lately.tries += u8::from(may);
        may
    }

    fn renewed(&mut self, contact: ContactId, now: Tick) {
        let rests = Lately {
            since: now,
            tries: MOST_TRIES,
        };
        self.0.insert(contact, rests);
    }
}

impl Engine {
    /// What comes of somebody whose request waits. Whether it is the request, under a new session: that
    /// is kept, and where they are; nothing is shown or answered.
    pub(super) fn renew_request(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        envelope: &[u8],
    ) -> Result<bool, StoreError> {
        let record = &peer.record;
        let waits = record.standing == Standing::Request && !record.declined;
        if !waits || record.trust == Trust::Rejected {
            return Ok(false);
        }
        let key = peer.key();
        if !self.renewed_requests.may_try(key, step.now.tick) {
            return Ok(false);
        }
        let opened = self.open_envelope(&key, envelope);
        let Some(plaintext) = opened.filter(|plaintext| plaintext.init().is_some()) else {
            return Ok(false);
        };
        // in sessions of its own first: what is no request is to be read after the answer
        let mut apart = SessionBook::new(self.own.identity.id(), key);
        let Ok(incoming) = self.decrypt(step, &mut apart, &plaintext)? else {
            return Ok(false);
        };
        let Ok(content) = Content::decode_exact(&incoming.content) else {
            return Ok(false);
        };
        let Body::ContactRequest(request) = &content.body else {
            return Ok(false);
        };
        let Ok(incoming) = self.decrypt(step, &mut peer.book, &plaintext)? else {
            return Ok(false);
        };
        self.renewed_requests.renewed(key, step.now.tick);
        self.take_one_time_prekey(step, &key, &incoming)?;
        self.apply_request(step, peer, request)?;
        let record = peer.edit();
        record.peer_seq = content.seq;
        record.peer_prev = *ContentHash::of(&incoming.content).as_bytes();
        record.last_seen = Some(step.now.wall);
        Ok(true)
    }
}
