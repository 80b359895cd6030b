//! From an envelope to a line of a conversation: committed first, confirmed after (D3.14, D3.16).

use sremp_core::{
    channel::P2pMessage,
    constants::{ANSWER_AFTER, MAX_PENDING_REQUESTS},
    error::ErrorCode,
    id::{ContactId, EnvelopeId, IntroToken},
    session::{
        DecryptError,
        book::{Incoming, SessionBook},
        content::{Body, Content, ContentHash, ResetReason},
        envelope::{self, EnvelopePlaintext},
    },
    text,
};
use sremp_net::LinkId;

use super::{
    Engine, Output, Step,
    lines::{close_gap, follow_from},
    own::Prekeys,
    peers::Peer,
    relays::Arrival,
};
use crate::{
    clock::Rfc3339,
    config::Strangers,
    store::{NewContact, NewMessage, PrekeyKind, StoreError},
    view::{EventKind, MessageKind, Standing},
};

/// Requests that wait, those included whom a relay says to be invited: it could say so of anybody.
const MAX_REQUESTS_BY_RELAYS: usize = 2 * MAX_PENDING_REQUESTS;
/// Envelopes of a stranger that are refused before its connection is.
const MAX_REFUSED: u32 = 3;

/// What became of an envelope of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// It is committed with this step.
    New,
    /// It was committed before.
    Again,
    /// It cannot be read.
    Not,
}

impl Engine {
    /// An envelope over a direct connection, or one that came over a connection which has ended. The
    /// answer goes out once the step is durable; what cannot be read is dropped without an answer
    /// (D3.12).
    pub(super) fn receive_envelope(
        &mut self,
        step: &mut Step<'_, '_>,
        request: Option<(LinkId, u32)>,
        key: &ContactId,
        envelope: &[u8],
    ) -> Result<(), StoreError> {
        let link = request.map(|(link, _)| link);
        let peer = self.peers.take(step.tx, key)?;
        let peer = match peer {
            Some(mut pending) if !pending.is_accepted() => {
                // one request is all that a stranger may say before an answer
                let renewed = self.renew_request(step, &mut pending, envelope);
                self.peers.put(pending);
                if !renewed? {
                    self.refuse_stranger(step, link, "request-pending");
                }
                return Ok(());
            }
            peer => peer,
        };
        let Some(plaintext) = self.open_envelope(key, envelope) else {
            if peer.is_none() {
                self.refuse_stranger(step, link, "stranger-without-request");
            }
            self.peers.put_back(peer);
            return Ok(());
        };
        let committed = match peer {
            None => {
                let intro = link.and_then(|link| self.links.get(link)?.intro);
                let way = Arrival::Direct;
                if let Err(cause) = self.receive_request(step, key, &plaintext, intro, way)? {
                    self.refuse_stranger(step, link, cause);
                }
                false
            }
            Some(mut peer) => {
                let committed = self.receive(step, &mut peer, &plaintext, Arrival::Direct)?;
                self.peers.put(peer);
                committed != Received::Not
            }
        };
        if !committed {
            return Ok(());
        }
        if let Some((link, req_id)) = request {
            let message = P2pMessage::EnvelopeOk(EnvelopeId::of(envelope)).to_message(req_id);
            step.outputs.push(Output::Send { link, message });
        }
        self.push_soon(key);
        Ok(())
    }

    /// Counts what a stranger may not do; who goes on is sent away.
    pub(super) fn refuse_stranger(
        &mut self,
        step: &mut Step<'_, '_>,
        link: Option<LinkId>,
        cause: &'static str,
    ) {
        self.refusals.count(cause);
        let Some(link) = link else {
            return;
        };
        let Some(state) = self.links.get_mut(link) else {
            return;
        };
        state.refused += 1;
        if state.refused >= MAX_REFUSED {
            self.close(step, link, ErrorCode::Refused);
        }
    }

    pub(super) fn open_envelope(
        &mut self,
        key: &ContactId,
        bytes: &[u8],
    ) -> Option<EnvelopePlaintext> {
        let opened = envelope::key_id(bytes).ok().and_then(|id| {
            let key = self.own.envelope_key(id)?;
            envelope::open(key, bytes).ok()
        });
        let plaintext = opened.filter(|p| p.initiator().is_none_or(|claimed| claimed == *key));
        if plaintext.is_none() {
            self.refusals.count("envelope-unreadable");
        }
        plaintext
    }

    /// An envelope of a contact.
    pub(super) fn receive(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        plaintext: &EnvelopePlaintext,
        arrival: Arrival,
    ) -> Result<Received, StoreError> {
        match self.decrypt(step, &mut peer.book, plaintext)? {
            Ok(incoming) => {
                self.take_one_time_prekey(step, &peer.key(), &incoming)?;
                if incoming.moved {
                    self.seal_for_moved(step, peer)?;
                }
                self.handle_content(step, peer, &incoming, arrival)?;
                peer.unanswered += 1;
                if peer.unanswered >= ANSWER_AFTER && !peer.record.is_held() {
                    self.turn_ratchet(step, peer)?;
                }
                Ok(Received::New)
            }
            Err(DecryptError::Replay) => {
                self.refusals.count(ErrorCode::Replay.name());
                Ok(Received::Again)
            }
            Err(error) => {
                self.refusals.count(error.code().name());
                self.poll_reset(step, peer);
                Ok(Received::Not)
            }
        }
    }

    pub(super) fn decrypt(
        &mut self,
        step: &mut Step<'_, '_>,
        book: &mut SessionBook,
        plaintext: &EnvelopePlaintext,
    ) -> Result<Result<Incoming, DecryptError>, StoreError> {
        let prekeys = Prekeys::of(&self.own, step.tx, plaintext)?;
        Ok(book.decrypt(&prekeys, plaintext, step.now.wall))
    }

    pub(super) fn take_one_time_prekey(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        incoming: &Incoming,
    ) -> Result<(), StoreError> {
        if incoming.started {
            self.links.used_prekeys(key);
        }
        if let Some(id) = incoming.one_time_prekey {
            step.tx.delete_prekey(PrekeyKind::OneTime, id.get())?;
        }
        Ok(())
    }

    /// The first envelope of somebody who is no contact: a request, or nothing (D3.21). Nothing is
    /// answered until the user accepts.
    pub(super) fn receive_request(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        plaintext: &EnvelopePlaintext,
        intro: Option<IntroToken>,
        arrival: Arrival,
    ) -> Result<Result<(), &'static str>, StoreError> {
        let by_token = self.invite_is_open(step, intro.as_ref())?;
        // a relay does not say who brought a token, but gives one-time prekeys only to those who did
        let by_prekey = plaintext
            .init()
            .is_some_and(|c| c.one_time_prekey.is_some());
        let by_prekey = by_prekey && matches!(arrival, Arrival::Mailbox { .. });
        let invited = self.config.strangers != Strangers::Never && (by_token || by_prekey);
        let pending = usize::try_from(step.tx.pending_requests()?).unwrap_or(usize::MAX);
        let room = match (by_token, invited) {
            (true, _) => usize::MAX,
            (false, true) => MAX_REQUESTS_BY_RELAYS,
            (false, false) => MAX_PENDING_REQUESTS,
        };
        if pending >= room {
            return Ok(Err("requests-full"));
        }
        // the invite may have been used up since the connection was let in
        if !invited && self.config.strangers != Strangers::Request {
            return Ok(Err("not-invited"));
        }
        let mut book = SessionBook::new(self.own.identity.id(), *key);
        let incoming = match self.decrypt(step, &mut book, plaintext)? {
            Ok(incoming) => incoming,
            Err(error) => return Ok(Err(error.code().name())),
        };
        let content = Content::decode_exact(&incoming.content).ok();
        let Some(Content {
            body: Body::ContactRequest(request),
            msg_id,
            seq,
            sent,
            ..
        }) = content
        else {
            return Ok(Err("stranger-without-request"));
        };
        // a request in somebody else's name is none (D3.21)
        if !request
            .identity
            .verify()
            .is_ok_and(|identity| identity.id() == *key)
        {
            return Ok(Err("profile-identity"));
        }
        self.take_one_time_prekey(step, key, &incoming)?;
        if let Some(token) = intro.filter(|_| by_token) {
            self.burn_invite(step, &token)?;
            self.senders_changed();
        }
        let mut peer = self.peers.insert(
            step.tx,
            &NewContact {
                key: *key,
                alias: None,
                standing: Standing::Request,
                first_seen: step.now.wall,
            },
        )?;
        peer.book = book;
        self.apply_request(step, &mut peer, &request)?;
        let record = peer.edit();
        record.peer_seq = seq;
        record.peer_prev = *ContentHash::of(&incoming.content).as_bytes();
        record.last_seen = Some(step.now.wall);
        // what is too long for it comes behind it, when it is answered
        if !request.text.is_empty() {
            let clean = text::clean(&request.text);
            let line = step.tx.insert_message(&NewMessage {
                contact: peer.record.row,
                msg_id: Some(msg_id),
                kind: MessageKind::Received,
                seq,
                text: &clean,
                sent,
                received: Some(step.now.wall),
                status: None,
                path: Some(arrival.path()),
            })?;
            self.note_arrival(step, line, arrival)?;
        }
        let event = EventKind::Request {
            from: key.to_string(),
            username: peer
                .record
                .username()
                .map(text::clean_line)
                .unwrap_or_default(),
            text: String::new(),
            received_at: Rfc3339(step.now.wall),
        };
        self.peers.put(peer);
        self.emit(step, &event)?;
        Ok(Ok(()))
    }

    fn handle_content(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        incoming: &Incoming,
        way: Arrival,
    ) -> Result<(), StoreError> {
        let first_answer = !peer.record.confirmed;
        if first_answer {
            peer.edit().confirmed = true;
            self.accepted_unsaid.remove(&peer.key());
        }
        let Ok(content) = Content::decode_exact(&incoming.content) else {
            let at = step.now.wall;
            let text = "[a message that could not be read]".to_owned();
            return self.note(step, peer, text, at);
        };
        // a control content acts once, although it may come again under another session
        let fresh = content.seq > peer.record.peer_seq || incoming.started;
        // other contents of the new session may come before it, by another way
        let restored = matches!(&content.body, Body::Reset { reason, .. }
            if *reason == ResetReason::RESTORED);
        let restored = restored && step.tx.note_restored(peer.record.row, content.seq)?;
        let began = self.heard_again(step, peer, incoming, content.seq)?;
        let (key, tick) = (peer.key(), step.now.tick);
        let seen = self.renewals.answered_by(&key, &incoming.session_id, tick);
        if began || seen || restored {
            // one of the two has gone back to an older state: what is missing is sent again
            if content.seq > peer.record.peer_seq {
                follow_from(peer, &content, &incoming.content);
            }
            close_gap(step, peer.record.row, content.seq)?;
        } else {
            self.note_order(step, peer, &content, &incoming.content)?;
        }
        let line = |text: &str| text::clean(text);
        match &content.body {
            Body::Text(text) => self.show(step, peer, &content, line(text), way)?,
            Body::Reply { text, .. } => self.show(step, peer, &content, line(text), way)?,
            Body::ContactRequest(request) => {
                self.apply_request(step, peer, request)?;
                if !request.text.is_empty() {
                    self.show(step, peer, &content, line(&request.text), way)?;
                }
                if first_answer || !peer.record.introduced {
                    self.accept(step, peer)?;
                }
            }
            Body::ContactAccept(update) => {
                self.apply_update(step, peer, update)?;
                if first_answer {
                    let event = EventKind::Accepted {
                        from: peer.key().to_string(),
                        alias: peer.name(),
                        at: Rfc3339(step.now.wall),
                    };
                    self.emit(step, &event)?;
                    // what was sent before this was ignored, as a stranger's
                    self.rewind_link(&peer.key());
                    step.tx.forget_relay_storage(peer.record.row, 0..i64::MAX)?;
                    self.push_soon(&peer.key());
                }
            }
            Body::ProfileUpdate(update) => self.apply_update(step, peer, update)?,
            Body::Reset { reason, last_seq } if fresh || restored => {
                self.handle_reset(step, peer, incoming, (*reason, *last_seq))?;
            }
            Body::Reset { .. } => {}
            Body::Edit { .. } | Body::Delete { .. } | Body::Reaction { .. } => {
                self.handle_change(step, peer, &content)?;
            }
            Body::Timer { .. } => self.handle_timer(step, peer, &content)?,
            Body::Unknown(_) => {
                let text = "[a message of a kind that needs a newer version of sremp]".to_owned();
                self.show(step, peer, &content, text, way)?;
            }
        }
        if first_answer {
            self.send_newest_profile(step, peer)?;
        }
        Ok(())
    }
}
