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

/// So often for one request.
const PAUSE: Duration = Duration::from_secs(60 * 60);

/// When requests that wait were made again.
#[derive(Debug, Default)]
pub(super) struct RenewedRequests(BTreeMap<ContactId, Tick>);

impl RenewedRequests {
    fn rests(&mut self, contact: &ContactId, now: Tick) -> bool {
        self.0.retain(|_, at| now.since(*at) < PAUSE);
        self.0.contains_key(contact)
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
        let opened = self.open_envelope(&key, envelope);
        let Some(plaintext) = opened.filter(|plaintext| plaintext.init().is_some()) else {
            return Ok(false);
        };
        if self.renewed_requests.rests(&key, step.now.tick) {
            return Ok(false);
        }
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
        self.renewed_requests.0.insert(key, step.now.tick);
        self.take_one_time_prekey(step, &key, &incoming)?;
        self.apply_request(step, peer, request)?;
        let record = peer.edit();
        record.peer_seq = content.seq;
        record.peer_prev = *ContentHash::of(&incoming.content).as_bytes();
        record.last_seen = Some(step.now.wall);
        Ok(true)
    }
}
