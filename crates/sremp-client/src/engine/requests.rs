//! Messages on an open connection: what each asks, and what it is answered (D1.15).

use sremp_core::{
    channel::{ErrorReply, Message, P2pDecodeError, P2pMessage},
    constants::BUNDLE_REFETCH,
    error::ErrorCode,
    id::{ContactId, EnvelopeId},
    route::SILENT_AFTER,
    session::prekey::PrekeyBundle,
    time::{Tick, UnixMillis},
};
use sremp_net::LinkId;

use super::{
    Engine, Output, Step,
    links::{Doubt, Given},
    peers::Peer,
};
use crate::{store::StoreError, view::Path};

impl Engine {
    /// A message over an open connection.
    pub(super) fn handle_message(
        &mut self,
        step: &mut Step<'_, '_>,
        link: LinkId,
        message: &Message,
    ) -> Result<(), StoreError> {
        let Some(state) = self.links.get_mut(link) else {
            return Ok(());
        };
        state.silence.heard(step.now.tick);
        let peer = state.peer;
        let req_id = message.req_id;
        match P2pMessage::decode(message) {
            Ok(P2pMessage::Envelope(envelope)) => {
                self.take_envelope(step, (link, req_id), &peer, envelope)
            }
            Ok(P2pMessage::EnvelopeOk(id)) => {
                self.handle_envelope_ok(step, link, &peer, req_id, &id)
            }
            Ok(P2pMessage::PrekeyReq) => self.give_bundle(step, link, &peer, req_id),
            Ok(P2pMessage::PrekeyBundle(bundle)) => {
                self.handle_bundle(step, link, &peer, req_id, &bundle)
            }
            Ok(P2pMessage::IdentityGet { known_version }) => {
                self.give_identity(step, link, req_id, known_version);
                Ok(())
            }
            // nothing here asks for an identity, and a refused request is tried again by its timer
            Ok(P2pMessage::IdentityIs(_) | P2pMessage::Error(_)) => Ok(()),
            Err(P2pDecodeError::UnknownType) => {
                refuse(step, link, req_id, ErrorCode::NotAllowed, 0);
                Ok(())
            }
            Err(P2pDecodeError::Malformed) => {
                self.refusals.count(ErrorCode::ProtocolViolation.name());
                self.close(step, link, ErrorCode::ProtocolViolation);
                self.redial_if_wanted(step, &peer)
            }
        }
    }

    /// Who shows a newer identity may have been restored, and read nothing of what waits.
    pub(super) fn doubts(&self, key: &ContactId, now: Tick) -> Doubt {
        let changed = self.changed_lately.get(key);
        match changed.is_some_and(|at| now.since(*at) < SILENT_AFTER) {
            true => Doubt::Yes,
            false => Doubt::No,
        }
    }

    fn handle_envelope_ok(
        &mut self,
        step: &mut Step<'_, '_>,
        link: LinkId,
        key: &ContactId,
        req_id: u32,
        confirmed: &EnvelopeId,
    ) -> Result<(), StoreError> {
        let mut item = None;
        if let Some(state) = self.links.get_mut(link) {
            state.progress = step.now.tick;
            state.proved = true;
            state.doubtful = Doubt::No;
            let sent = state.in_flight.get(&req_id);
            if sent.is_some_and(|f| f.envelope_id == *confirmed) {
                let sent = state.in_flight.remove(&req_id);
                item = sent.map(|f| (f.item, f.msg_id));
            }
        }
        if let Some(mut peer) = self.peers.take(step.tx, key)? {
            if item.is_none() {
                // the answer may be to an earlier sending of the same envelope
                let found = step.tx.outbox_by_envelope(peer.record.row, confirmed)?;
                item = found.map(|item| (item.id, item.msg_id));
            }
            if let Some((item, msg_id)) = item {
                self.confirmed(step, &peer, item, msg_id, Path::Direct)?;
            }
            self.session_was_read(step, &mut peer, confirmed)?;
            self.peers.put(peer);
        }
        self.dialling.answered(key);
        self.push_soon(key);
        Ok(())
    }

    fn give_bundle(
        &mut self,
        step: &mut Step<'_, '_>,
        link: LinkId,
        key: &ContactId,
        req_id: u32,
    ) -> Result<(), StoreError> {
        let fresh = match self.links.given_prekeys(key, step.now.tick) {
            Given::NotYet => true,
            // it has just been restored, say: a session it may begin, but no one-time prekey is used up
            Given::Used => false,
            Given::Already(bundle) => {
                let message = P2pMessage::PrekeyBundle(bundle).to_message(req_id);
                step.outputs.push(Output::Send { link, message });
                return Ok(());
            }
            Given::TooSoon => {
                self.refusals.count(ErrorCode::RateLimited.name());
                refuse(step, link, req_id, ErrorCode::RateLimited, 60);
                return Ok(());
            }
        };
        // strangers without an invite get no one-time prekey: they could use them all up
        let invited = self.links.get(link).and_then(|l| l.intro);
        let invited = self.invite_is_open(step, invited.as_ref())?;
        let peer = self.peers.take(step.tx, key)?;
        let accepted = peer.as_ref().is_some_and(|p| p.is_accepted());
        self.peers.put_back(peer);
        let now = step.now.wall;
        match self
            .own
            .bundle(step.tx, fresh && (accepted || invited), now, step.rng)?
        {
            Some(bundle) => {
                if fresh {
                    self.links.gave_prekeys(*key, bundle.clone(), step.now.tick);
                }
                let message = P2pMessage::PrekeyBundle(bundle).to_message(req_id);
                step.outputs.push(Output::Send { link, message });
            }
            None => refuse(step, link, req_id, ErrorCode::NoPrekey, 60),
        }
        Ok(())
    }

    fn handle_bundle(
        &mut self,
        step: &mut Step<'_, '_>,
        link: LinkId,
        key: &ContactId,
        req_id: u32,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let asked = self.links.get(link).and_then(|l| l.bundle_request);
        if asked.is_none_or(|(id, _)| id != req_id) {
            return Ok(());
        }
        if self.use_bundle(step, key, key, bytes)? {
            if let Some(state) = self.links.get_mut(link) {
                state.bundle_request = None;
            }
            self.push_soon(key);
        }
        Ok(())
    }

    /// Begins a session with a bundle that the contact or one of its relays, the giver, gave. Returns whether
    /// there is one to send on now.
    pub(super) fn use_bundle(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        giver: &ContactId,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        let Ok(bundle) = PrekeyBundle::verify(bytes, key, step.now.wall) else {
            self.refusals.count(ErrorCode::BundleInvalid.name());
            return Ok(false);
        };
        if !self.learn_identity(step, bundle.identity())? {
            self.refusals.count("bundle-identity");
            return Ok(false);
        }
        let Some(mut peer) = self.peers.take(step.tx, key)? else {
            return Ok(false);
        };
        if peer.record.is_held() {
            self.peers.put(peer);
            return Ok(false);
        }
        let now = step.now.wall;
        let sealed_to = peer.envelope_key.map(|key| key.id());
        peer.take_envelope_key(*bundle.envelope_key(), now);
        let due = now.plus(self.refetched_after(step, peer.record.row, BUNDLE_REFETCH)?);
        step.tx.set_bundle_due(peer.record.row, due)?;
        // not of an older state than is known: a relay may serve an old bundle
        let newest = peer.envelope_key.map(|key| key.id()) == Some(bundle.envelope_key().id());
        let reset = self.resets.remove(key) && peer.book.poll_reset(now);
        // a restored contact begins anew with those whom it can reach; the others do
        let alone = !self.has_relay() && self.links.active(key).is_none();
        let restored = newest && alone && peer.book.is_with_another_state_than(&bundle);
        let reset = reset || restored && !peer.is_unanswered() && self.may_follow(&peer, now);
        let anew = newest && !reset && self.may_begin_anew(step, &peer, giver)?;
        let left_behind = newest && peer.book.is_left_behind_by(&bundle);
        self.relays.gave_bundle(*key, *giver, step.now.tick);
        let before = peer.book.sending_session();
        let key_changed = sealed_to.is_some() && sealed_to != peer.envelope_key.map(|key| key.id());
        if key_changed {
            self.relays.found_another_key(key, step.now.tick);
        }
        let started = match reset {
            true => self.reset_session(step, &mut peer, &bundle)?,
            false => self.start_session(step, &mut peer, &bundle, left_behind, anew)?,
        };
        let sends = peer.book.sending_session();
        match sends {
            Some(session) if sends != before => {
                peer.save(step.tx)?;
                step.tx.set_session_giver(&session, giver)?;
            }
            _ => self.relays.began_nothing(*key, *giver, step.now.tick),
        }
        if started && anew && !key_changed {
            // what relays keep may be good after all
            self.seal_beside(step, &peer)?;
        } else if started && (anew || key_changed) {
            self.seal_anew(step, &mut peer)?;
        }
        // a key that is about to end seals nothing
        let can_seal = peer.sealing_key(now).is_some();
        self.peers.put(peer);
        Ok(started && can_seal)
    }

    /// Whether another state of a contact is followed: one that shows ever new ones costs no more than that.
    fn may_follow(&mut self, peer: &Peer, now: UnixMillis) -> bool {
        let may = peer.book.may_reset_for_another_state(now);
        if !may {
            self.refusals.count("restored-too-often");
        }
        may
    }

    /// Starts a session if there is none to send on, if the peer has left that one behind, or `anew` beside
    /// one that was not answered, for which the caller seals. A bundle without a usable prekey is refused and
    /// asked for again later.
    fn start_session(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        bundle: &PrekeyBundle,
        left_behind: bool,
        anew: bool,
    ) -> Result<bool, StoreError> {
        let now = step.now.wall;
        let good = peer.book.can_send() && !peer.book.needs_new_session(now);
        if good && !left_behind && !anew {
            return Ok(true);
        }
        // thousands that wait sealed are not sealed again because the chain that sealed them is full
        if peer.book.can_send()
            && peer.record.confirmed
            && !step.tx.outbox_is_unsealed(peer.record.row)?
        {
            return Ok(true);
        }
        // the contact reads what a full chain has sealed: only what follows goes by the new session (3.8)
        let only_full = peer.book.can_send() && !left_behind && !peer.book.is_overdue(now);
        let own = &self.own;
        let started = peer
            .book
            .start(&own.identity, &own.dh_identity, bundle, now, step.rng);
        if started.is_err() {
            self.refusals.count(ErrorCode::BundleInvalid.name());
            return Ok(false);
        }
        if !anew && !only_full {
            self.seal_anew(step, peer)?;
        }
        Ok(true)
    }

    fn give_identity(
        &mut self,
        step: &mut Step<'_, '_>,
        link: LinkId,
        req_id: u32,
        known_version: u64,
    ) {
        let identity = self.own.identity.identity();
        let newer = identity.version() > known_version;
        let answer = P2pMessage::IdentityIs(newer.then(|| identity.as_bytes().to_vec()));
        let message = answer.to_message(req_id);
        step.outputs.push(Output::Send { link, message });
    }
}

fn refuse(step: &mut Step<'_, '_>, link: LinkId, req_id: u32, code: ErrorCode, retry_after_s: u32) {
    let error = ErrorReply {
        retry_after_s,
        ..ErrorReply::from(code)
    };
    let message = P2pMessage::Error(error).to_message(req_id);
    step.outputs.push(Output::Send { link, message });
}
