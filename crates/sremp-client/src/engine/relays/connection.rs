//! One connection a relay: dialled with growing pauses, registered, closed when of no use.

use std::{collections::BTreeMap, time::Duration};

use sremp_core::{
    channel::{Admission, HandshakeHash, Message},
    constants::{MAX_ENVELOPE, RELAY_STORAGE},
    error::{ErrorCode, Scope},
    id::ContactId,
    identity::{Identity, VersionRecord, VersionVerdict},
    rand_core::CryptoRng,
    relay::{Capabilities, RelayClient, RelayEvent, Role},
    route::{LASTING, REACHED_LATELY, REFUSAL_PAUSES, REFUSED_PAUSE, RELAY_PAUSES},
    time::Tick,
};
use sremp_net::{CloseReason, LinkId};

use super::{
    super::{
        Engine, Now, Output, Step,
        silence::{Silence, Silent, Verdict},
    },
    ForeignClock, IDLE, Phase, Relay, Session,
    watching::GONE_AFTER,
};
use crate::store::StoreError;

/// After another connection took over the mailbox.
const SUPERSEDED_PAUSE: Duration = Duration::from_secs(30);

/// What is asked of a relay; what it grants may be less.
const WISHED: Capabilities = Capabilities {
    max_message_size: MAX_ENVELOPE as u32,
    max_storage_duration: RELAY_STORAGE.as_secs() as u32,
};

/// What a code in an answer means: one that no answer may have means nothing.
fn answered_code(code: u16) -> ErrorCode {
    let may_be_said = |code: &ErrorCode| match *code {
        // of a connection, and of an envelope (6.6)
        ErrorCode::TooLarge => true,
        code => code.scope() == Scope::Reply,
    };
    let code = ErrorCode::from_u16(code).filter(may_be_said);
    code.unwrap_or(ErrorCode::NotAllowed)
}

impl Relay {
    /// The connection failed or ended: dialled again after a pause, if there is work.
    fn fall(&mut self, cause: String, least: Duration, both: Now, rng: &mut dyn CryptoRng) {
        let now = both.tick;
        let failed = matches!(self.phase, Phase::Dialling) && !self.outdated;
        let elsewhere = failed && !self.places.not_reached();
        let of_use = |s: &Session| !s.violated && (s.proved || now.since(s.opened) >= LASTING);
        if let Some(session) = self.session() {
            self.reached = (session.granted && of_use(session)).then_some(now);
        }
        let lately = |at: Tick| now.since(at) < REACHED_LATELY;
        if self.reached.is_some_and(lately) {
            self.failures = 0;
        }
        let pause = match std::mem::take(&mut self.outdated) {
            true => least,
            // another place has its own turn
            false if elsewhere => RELAY_PAUSES.pause(0, rng).max(least),
            false => RELAY_PAUSES.pause(self.failures, rng).max(least),
        };
        self.failures = match least < REFUSED_PAUSE {
            true if elsewhere => self.failures.max(1),
            true => self.failures.saturating_add(1),
            false => self.failures.max(GONE_AFTER),
        };
        self.down_since.get_or_insert(both.wall);
        self.last_error = Some(cause);
        self.phase = Phase::Down;
        self.due = Some(now.plus(pause));
        if let Some(mailbox) = &mut self.mailbox {
            mailbox.disconnected();
        }
    }

    /// Something is to be done: dialled at once, or when its pause is over.
    pub(super) fn want(&mut self, now: Tick) {
        if matches!(self.phase, Phase::Down) {
            self.due.get_or_insert(now);
        }
    }
}

impl Engine {
    /// At the end of a step: what is due with relays is done.
    pub(in super::super) fn run_relays(
        &mut self,
        step: &mut Step<'_, '_>,
    ) -> Result<(), StoreError> {
        if !self.online {
            return Ok(());
        }
        self.leave_unanswering(step)?;
        self.run_routes(step)?;
        self.run_looks(step)?;
        let relays: Vec<ContactId> = self.relays.known.keys().copied().collect();
        for key in relays {
            self.fill_relay(step, &key)?;
            self.refresh_mailbox(step, &key)?;
            self.tell_relay(step, &key)?;
            self.leave_if_idle(step, &key);
            self.dial_relay(step, &key)?;
        }
        Ok(())
    }

    /// Whether what answered is the relay that was dialled, in a version that may be used.
    pub(in super::super) fn handle_relay_shown(
        &mut self,
        step: &mut Step<'_, '_>,
        link: LinkId,
        identity: &Identity,
    ) -> Result<(), StoreError> {
        let admission = self.judge_relay(step, identity)?;
        match admission {
            Admission::Accept => {}
            Admission::Close(code) => self.refusals.count(code.name()),
            Admission::Stale { .. } => self.refusals.count(ErrorCode::StaleIdentity.name()),
        }
        step.outputs.push(Output::Admit { link, admission });
        Ok(())
    }

    fn judge_relay(
        &mut self,
        step: &mut Step<'_, '_>,
        identity: &Identity,
    ) -> Result<Admission, StoreError> {
        const REFUSED: Admission = Admission::Close(ErrorCode::Refused);
        let key = identity.id();
        let awaited = self.relays.known.get(&key);
        if awaited.is_none_or(|r| !matches!(r.phase, Phase::Dialling)) {
            return Ok(Admission::Close(ErrorCode::WrongPeer));
        }
        let known = step.tx.version_record(&key)?;
        Ok(match VersionRecord::judge(known.as_ref(), identity) {
            VersionVerdict::Newer => {
                let record = VersionRecord::of(identity);
                step.tx.save_version_record(&key, &record)?;
                self.welcome(identity)
            }
            VersionVerdict::Same => self.welcome(identity),
            VersionVerdict::Stale { seen } => Admission::Stale { seen },
            VersionVerdict::Fork | VersionVerdict::Tombstoned => REFUSED,
        })
    }

    fn welcome(&self, identity: &Identity) -> Admission {
        match identity.flags().is_relay_server && !identity.is_tombstone() {
            true => Admission::Accept,
            false => Admission::Close(ErrorCode::Refused),
        }
    }

    pub(in super::super) fn handle_relay_opened(
        &mut self,
        step: &mut Step<'_, '_>,
        link: LinkId,
        identity: &Identity,
        binding: &HandshakeHash,
    ) -> Result<(), StoreError> {
        let key = identity.id();
        let now = step.now.tick;
        let own = &self.own.identity;
        let Some(relay) = self.relays.known.get_mut(&key) else {
            step.outputs.push(Output::Close {
                link,
                code: ErrorCode::GoingAway,
            });
            return Ok(());
        };
        relay.places.reached();
        let record = step.tx.remember_relay(&key, relay.endpoint())?;
        relay.row = Some(record.row);
        let role = match relay.mailbox {
            Some(_) => Role::Owner,
            None => Role::Sender,
        };
        let mut machine = RelayClient::new(own.id(), key);
        let invite = relay.mailbox.as_ref().and_then(|m| m.invite.clone());
        let Ok(message) = machine.register(own, binding, role, WISHED, invite) else {
            return Ok(());
        };
        relay.outdated = false;
        relay.phase = Phase::Up(Box::new(Session {
            link,
            machine,
            opened: now,
            active: now,
            progress: now,
            silence: Silence::new(now),
            proved: false,
            violated: false,
            granted: false,
            subscribed: None,
            stores: BTreeMap::new(),
            bundle_requests: BTreeMap::new(),
            errands: BTreeMap::new(),
        }));
        self.relays.links.insert(link, key);
        step.outputs.push(Output::Send { link, message });
        Ok(())
    }

    pub(in super::super) fn handle_relay_closed(
        &mut self,
        step: &mut Step<'_, '_>,
        link: LinkId,
        dialled: Option<ContactId>,
        reason: &CloseReason,
    ) -> Result<(), StoreError> {
        let opened = self.relays.links.remove(&link);
        let Some(key) = opened.or(dialled) else {
            return Ok(());
        };
        let current = match self.relays.known.get(&key).map(|r| &r.phase) {
            Some(Phase::Up(session)) => session.link == link,
            Some(Phase::Dialling) => true,
            Some(Phase::Down) | None => false,
        };
        // before it is open anybody may have answered there
        let least = match opened.is_some() && reason.is_refusal() {
            true => REFUSED_PAUSE,
            false => Duration::ZERO,
        };
        match current {
            true => self.relay_failed(step, &key, reason.to_string(), least),
            false => Ok(()),
        }
    }

    /// A message of a relay.
    pub(in super::super) fn handle_relay_message(
        &mut self,
        step: &mut Step<'_, '_>,
        link: LinkId,
        message: &Message,
    ) -> Result<(), StoreError> {
        let now = step.now.tick;
        let Some((key, session)) = self.relays.session_of(link) else {
            return Ok(());
        };
        session.active = now;
        session.progress = now;
        session.silence.heard(now);
        match session.machine.handle(message) {
            Ok(Some(event)) => self.handle_relay_event(step, &key, message.req_id, event),
            Ok(None) => Ok(()),
            Err(code) => {
                session.violated = true;
                self.refusals.count(code.name());
                self.leave_relay(step, &key, code, code.to_string(), Duration::ZERO)
            }
        }
    }

    fn handle_relay_event(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        req_id: u32,
        event: RelayEvent,
    ) -> Result<(), StoreError> {
        match event {
            RelayEvent::Granted(granted) => {
                if let Some(relay) = self.relays.known.get_mut(key) {
                    relay.down_since = None;
                    relay.clock = Some(ForeignClock {
                        wall: granted.server_time,
                        tick: step.now.tick,
                    });
                }
                self.granted(step, key)
            }
            RelayEvent::Counts(counts) => {
                self.errand_done(step, key, req_id, &[])?;
                self.prekeys_left(step, key, counts)
            }
            RelayEvent::Bundle { bundle, .. } => self.bundle_from_relay(step, key, req_id, &bundle),
            RelayEvent::Stored { claim, receipt, .. } => {
                self.stored_at_relay(step, key, req_id, &claim, receipt)
            }
            RelayEvent::Refused {
                code,
                retry_after_s,
                ..
            } => {
                let code = answered_code(code);
                let retry_after = Duration::from_secs(retry_after_s.into());
                // a relay's word keeps nobody from it for years
                let retry_after = retry_after.min(REFUSAL_PAUSES.longest);
                self.request_refused(step, key, req_id, code, retry_after)
            }
            RelayEvent::Item(item) => self.read_item(step, key, &item),
            RelayEvent::Confirmations {
                confirmations,
                refused,
                ..
            } => self.take_confirmations(step, key, req_id, &confirmations, refused),
            RelayEvent::Done { .. } => self.errand_done(step, key, req_id, &[]),
            RelayEvent::Confirmed { refused, .. } => self.errand_done(step, key, req_id, &refused),
            RelayEvent::Superseded => self.superseded(step, key),
            // pages are not asked for: everything is pushed
            RelayEvent::Batch { .. } => Ok(()),
        }
    }

    fn request_refused(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        req_id: u32,
        code: ErrorCode,
        retry_after: Duration,
    ) -> Result<(), StoreError> {
        let Some(session) = self.relays.known.get(key).and_then(Relay::session) else {
            return Ok(());
        };
        if !session.granted {
            self.registration_refused(step, key, code, retry_after)
        } else if session.stores.contains_key(&req_id) {
            self.store_refused(step, key, req_id, code, retry_after)
        } else if session.bundle_requests.contains_key(&req_id) {
            self.bundle_refused(step, key, req_id, code, retry_after)
        } else {
            self.errand_refused(step, key, req_id, code, retry_after)
        }
    }

    /// Closes the connection; the relay is left alone for a while.
    pub(super) fn leave_relay(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        code: ErrorCode,
        cause: String,
        least: Duration,
    ) -> Result<(), StoreError> {
        if let Some(session) = self.relays.known.get(key).and_then(Relay::session) {
            let link = session.link;
            self.relays.links.remove(&link);
            step.outputs.push(Output::Close { link, code });
        }
        self.relay_failed(step, key, cause, least)
    }

    /// What was to go by this relay goes by the next one, if there is one.
    pub(super) fn relay_failed(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        cause: String,
        least: Duration,
    ) -> Result<(), StoreError> {
        let now = step.now.tick;
        let Some(relay) = self.relays.known.get_mut(key) else {
            return Ok(());
        };
        let mut stranded: Vec<ContactId> = relay.queue.keys().copied().collect();
        stranded.extend(std::mem::take(&mut relay.bundles));
        if let Phase::Up(session) = &relay.phase {
            stranded.extend(session.stores.values().map(|s| s.contact));
            stranded.extend(session.bundle_requests.values());
            relay.troubles.left(session, &cause, now);
        }
        relay.queue.clear();
        relay.fall(cause.clone(), least, step.now, step.rng);
        let own = relay.mailbox.is_some();
        stranded.sort_unstable();
        stranded.dedup();
        for contact in stranded {
            self.relays.routes.soon(contact, now);
            self.relays.look_failed(contact, now);
            self.seek(&contact, now, step.rng);
            if let Some(peer) = self.peers.take(step.tx, &contact)? {
                let noted = step
                    .tx
                    .note_attempt(peer.record.row, Some(key), &cause, step.now.wall);
                self.peers.put(peer);
                noted?;
            }
        }
        match own {
            true => self.watch_relays(step),
            false => Ok(()),
        }
    }

    /// A relay that does not answer is as good as none. One that is silent altogether is dialled anew
    /// at once: a new connection may get through.
    fn leave_unanswering(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        let now = step.now.tick;
        let mut left = Vec::new();
        for (key, relay) in &mut self.relays.known {
            let given_up = relay.given_up;
            let Some(session) = relay.session_mut() else {
                continue;
            };
            let verdict = session.silence.judge(now, session.awaited(), given_up);
            if verdict == Verdict::Ask {
                step.outputs.push(Output::Probe(session.link));
            }
            let silent = verdict == Verdict::Dead;
            if silent || session.answer_until().is_some_and(|until| until <= now) {
                let silent = silent.then(|| session.silence.why());
                left.push((*key, silent, relay.reached));
            }
        }
        for (key, silent, reached) in left {
            let cause = "the relay does not answer".to_owned();
            self.leave_relay(step, &key, ErrorCode::GoingAway, cause, Duration::ZERO)?;
            if let Some(why) = silent
                && let Some(relay) = self.relays.known.get_mut(&key)
            {
                if why == Silent::Unexplained {
                    relay.given_up.once_more();
                }
                relay.reached = relay.reached.or(reached);
                relay.due = Some(now);
            }
        }
        Ok(())
    }

    fn leave_if_idle(&mut self, step: &mut Step<'_, '_>, key: &ContactId) {
        let now = step.now.tick;
        let Some(relay) = self.relays.known.get_mut(key) else {
            return;
        };
        if relay.has_work() {
            return;
        }
        let Phase::Up(session) = &relay.phase else {
            return;
        };
        if session.unanswered() > 0 || now.since(session.active) < IDLE {
            return;
        }
        let link = session.link;
        relay.phase = Phase::Down;
        relay.failures = 0;
        relay.due = None;
        self.relays.links.remove(&link);
        step.outputs.push(Output::Close {
            link,
            code: ErrorCode::GoingAway,
        });
    }

    /// A registration was refused: nothing can be done here for a while.
    pub(super) fn registration_refused(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        code: ErrorCode,
        retry_after: Duration,
    ) -> Result<(), StoreError> {
        let cause = match code {
            ErrorCode::InviteRequired => {
                "the relay asks for an invite: get a link with one from its operator".to_owned()
            }
            ErrorCode::Full => "the relay takes no new mailboxes".to_owned(),
            code => code.meaning().to_owned(),
        };
        let least = retry_after.max(REFUSED_PAUSE);
        self.leave_relay(step, key, ErrorCode::GoingAway, cause, least)
    }

    /// Another connection has taken over one's mailbox: the same identity runs elsewhere.
    pub(super) fn superseded(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
    ) -> Result<(), StoreError> {
        self.refusals.count(ErrorCode::Superseded.name());
        let relay = self.relays.known.get_mut(key);
        if let Some(mailbox) = relay.and_then(|r| r.mailbox.as_mut()) {
            mailbox.taken_over(step.now.tick);
        }
        let cause = "another connection of this identity has taken over the mailbox".to_owned();
        self.leave_relay(step, key, ErrorCode::GoingAway, cause, SUPERSEDED_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_no_answer_may_have_is_told_in_no_words_of_its_own() {
        for said in [
            ErrorCode::Denied,
            ErrorCode::TooLarge,
            ErrorCode::RateLimited,
        ] {
            assert_eq!(answered_code(said.to_u16()), said);
        }
        for never in [
            ErrorCode::Tombstoned,
            ErrorCode::Replay,
            ErrorCode::BundleInvalid,
        ] {
            assert_eq!(answered_code(never.to_u16()), ErrorCode::NotAllowed);
        }
        assert_eq!(answered_code(0x7777), ErrorCode::NotAllowed);
    }
}
