//! What contacts know of each other beside the card: identity, envelope key, endpoints; and sessions
//! that are begun anew.

use sha2::{Digest as _, Sha256};
use sremp_core::{
    constants::{MAX_ENDPOINTS, MAX_RELAY_HINTS},
    contact_card::{Endpoint, RelayHint},
    identity::{Identity, VersionRecord, VersionVerdict},
    route::Policy,
    session::{
        content::{Body, ContactRequest, ProfileUpdate, UnverifiedIdentity},
        prekey::UnverifiedEnvelopeKey,
    },
};

use super::{Engine, Step, peers::Peer, rendezvous::LEARNT, restoring::beyond};
use crate::{
    config::Direct,
    store::{Fork, StoreError},
};

/// The revision of one's own profile (`u64` little-endian) and the hash of what it says.
const PROFILE: &str = "profile";
/// The endpoint that was last listened on, `HOST:PORT`.
const ENDPOINT: &str = "endpoint";

/// The home listens nowhere from now on: where it did, and where it was found then, is named to nobody.
pub(crate) fn forget_own_places(tx: &mut crate::store::Tx<'_>) -> Result<(), StoreError> {
    for place in [ENDPOINT, LEARNT] {
        if tx.setting(place)?.is_some() {
            tx.delete_setting(place)?;
        }
    }
    Ok(())
}

impl Engine {
    /// Where somebody with whom it stands so may learn that one can be reached directly, if anywhere
    /// (7.1).
    pub(super) fn endpoints_for(
        &self,
        tx: &mut crate::store::Tx<'_>,
        policy: Policy,
    ) -> Result<Vec<Endpoint>, StoreError> {
        match self.tells(policy) {
            true => self.own_endpoints(tx),
            false => Ok(Vec::new()),
        }
    }

    /// Where one can be reached directly: as configured; else where the client was last found and where
    /// it listens.
    pub(super) fn own_endpoints(
        &self,
        tx: &mut crate::store::Tx<'_>,
    ) -> Result<Vec<Endpoint>, StoreError> {
        if let Some(advertised) = &self.config.advertise {
            return Ok(advertised.parse().into_iter().collect());
        }
        let mut endpoints = self.kept_endpoints(tx)?;
        let remembered = tx.setting(ENDPOINT)?;
        let remembered = remembered.and_then(|bytes| String::from_utf8(bytes).ok());
        let configured = self.config.listen.as_deref().and_then(advertisable);
        let listening = remembered.or(configured).and_then(|text| text.parse().ok());
        let listening: Option<Endpoint> = listening;
        endpoints.extend(listening.filter(|at| !endpoints.contains(at)));
        endpoints.truncate(MAX_ENDPOINTS);
        Ok(endpoints)
    }

    /// One's relays as others are told of them.
    pub(super) fn own_relay_hints(&self) -> Vec<RelayHint> {
        let links = (0..).zip(&self.config.relays);
        links.map(|(priority, link)| link.hint(priority)).collect()
    }

    /// The client listens, or has ceased to.
    pub(super) fn handle_listening(
        &mut self,
        step: &mut Step<'_, '_>,
        address: Option<std::net::SocketAddr>,
    ) -> Result<(), StoreError> {
        self.listening = address;
        if let Some(address) = address {
            let endpoint = advertisable(&address.to_string()).unwrap_or_default();
            step.tx.set_setting(ENDPOINT, endpoint.as_bytes())?;
        }
        self.refresh_profile(step)
    }

    fn own_envelope_key(&self) -> Option<UnverifiedEnvelopeKey> {
        Some(*self.own.newest_envelope_key()?.public_part().as_wire())
    }

    fn own_profile(
        &self,
        tx: &mut crate::store::Tx<'_>,
        rev: u64,
        policy: Policy,
    ) -> Result<ProfileUpdate, StoreError> {
        Ok(ProfileUpdate {
            rev,
            identity: Some(self.own.identity.identity().into()),
            relay_hints: Some(self.own_relay_hints()),
            env: self.own_envelope_key(),
            endpoints: Some(self.endpoints_for(tx, policy)?),
        })
    }

    fn profile_rev(&self, step: &mut Step<'_, '_>) -> Result<(u64, Option<[u8; 32]>), StoreError> {
        let stored = step.tx.setting(PROFILE)?.unwrap_or_default();
        let (rev, hash) = stored.split_at_checked(8).unwrap_or((&[], &[]));
        Ok((
            rev.try_into().map_or(0, u64::from_le_bytes),
            hash.try_into().ok(),
        ))
    }

    /// Contacts may know of a newer profile than this restored home does: the next one is newer still.
    pub(super) fn forget_profile(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        let (rev, _) = self.profile_rev(step)?;
        let rev = beyond(rev, step.now.wall);
        step.tx.set_setting(PROFILE, &rev.to_le_bytes())
    }

    /// One's own profile for a contact.
    pub(super) fn newest_profile(
        &self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
    ) -> Result<ProfileUpdate, StoreError> {
        let (rev, _) = self.profile_rev(step)?;
        self.own_profile(step.tx, rev, self.policy(&peer.record))
    }

    /// Tells contacts when one's identity, envelope key, endpoint or relays have changed.
    pub(super) fn refresh_profile(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        let mut hash = Sha256::new();
        hash.update(self.own.identity.identity().verified_hash());
        for endpoint in self.own_endpoints(step.tx)? {
            hash.update(endpoint.to_string());
        }
        // who may learn them, unless it is everybody
        if self.config.direct != Direct::Accepted {
            hash.update([self.config.direct as u8]);
        }
        for hint in self.own_relay_hints() {
            hash.update(hint.relay.as_bytes());
            hash.update(hint.endpoint.to_string());
        }
        if let Some(key) = self.own.newest_envelope_key() {
            hash.update(key.id().get().to_le_bytes());
        }
        let hash: [u8; 32] = hash.finalize().into();
        let (mut rev, known) = self.profile_rev(step)?;
        if known == Some(hash) {
            return Ok(());
        }
        rev += 1;
        let stored = [rev.to_le_bytes().as_slice(), &hash].concat();
        step.tx.set_setting(PROFILE, &stored)?;
        for contact in step.tx.contacts()? {
            let Some(mut peer) = self.peers.take(step.tx, &contact.key)? else {
                continue;
            };
            let result = self.send_profile(step, &mut peer, rev);
            self.peers.put(peer);
            result?;
        }
        Ok(())
    }

    /// One contact is to learn where one is, or to forget it: in a newer revision, for it takes none twice.
    pub(super) fn tell_places_anew(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
    ) -> Result<(), StoreError> {
        if !peer.record.introduced {
            return Ok(());
        }
        let (rev, hash) = self.profile_rev(step)?;
        let rev = rev + 1;
        let stored = [rev.to_le_bytes().as_slice(), &hash.unwrap_or_default()].concat();
        step.tx.set_setting(PROFILE, &stored)?;
        self.send_profile(step, peer, rev)
    }

    /// A contact that has answered learns the newest profile; the others get it with the first
    /// content they are sent.
    fn send_profile(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        rev: u64,
    ) -> Result<(), StoreError> {
        if !peer.is_served() || !peer.record.confirmed || peer.record.sent_profile_rev >= rev {
            return Ok(());
        }
        self.queue_profile(step, peer, Body::ProfileUpdate)
    }

    /// Sends the newest profile in a content of this kind.
    fn queue_profile(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        kind: fn(ProfileUpdate) -> Body,
    ) -> Result<(), StoreError> {
        let profile = self.newest_profile(step, peer)?;
        let rev = profile.rev;
        let msg_id = self.fresh_msg_id(step);
        self.queue(step, peer, msg_id, kind(profile))?;
        peer.edit().sent_profile_rev = rev;
        self.push_soon(&peer.key());
        Ok(())
    }

    /// A contact that has just answered may have missed a change.
    pub(super) fn send_newest_profile(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
    ) -> Result<(), StoreError> {
        let (rev, _) = self.profile_rev(step)?;
        self.send_profile(step, peer, rev)
    }

    /// Sends the profile once more, so that a contact who writes without an answer gets a new ratchet
    /// key to answer to.
    pub(super) fn turn_ratchet(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
    ) -> Result<(), StoreError> {
        self.queue_profile(step, peer, Body::ProfileUpdate)
    }

    /// The body of a first message: who writes, how to answer, and the text.
    pub(super) fn contact_request(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        text: String,
    ) -> Result<Body, StoreError> {
        let (rev, _) = self.profile_rev(step)?;
        let env = self.own_envelope_key().ok_or(StoreError::Damaged)?;
        let request = ContactRequest {
            identity: self.own.identity.identity().into(),
            relay_hints: self.own_relay_hints(),
            text,
            env,
            endpoints: self.endpoints_for(step.tx, self.policy(&peer.record))?,
        };
        let record = peer.edit();
        record.introduced = true;
        record.sent_profile_rev = rev;
        Ok(Body::ContactRequest(request))
    }

    /// Tells a contact that it may write: the answer to its request.
    pub(super) fn accept(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
    ) -> Result<(), StoreError> {
        let record = peer.edit();
        record.introduced = true;
        record.confirmed = true;
        self.queue_profile(step, peer, Body::ContactAccept)
    }

    /// Takes over what a contact says about itself, in a session with that very contact.
    pub(super) fn apply_update(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        update: &ProfileUpdate,
    ) -> Result<(), StoreError> {
        if let Some(claimed) = &update.identity {
            // one that comes late is older than what is known, and says nothing by that
            let is_newest = update.rev > peer.record.peer_profile_rev;
            self.apply_identity(step, peer, claimed, is_newest)?;
        }
        // whoever of the two says so, it moves nothing before the user's word
        if peer.record.is_held() || update.rev <= peer.record.peer_profile_rev {
            return Ok(());
        }
        peer.edit().peer_profile_rev = update.rev;
        if let Some(hints) = &update.relay_hints {
            self.apply_relays(step, peer, hints)?;
        }
        self.apply_addresses(step, peer, update.env.as_ref(), update.endpoints.as_deref())
    }

    /// The same of a first message; whatever came later counts more.
    pub(super) fn apply_request(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        request: &ContactRequest,
    ) -> Result<(), StoreError> {
        self.apply_identity(step, peer, &request.identity, false)?;
        if peer.record.peer_profile_rev == 0 && !peer.record.is_held() {
            self.apply_relays(step, peer, &request.relay_hints)?;
            self.apply_addresses(step, peer, Some(&request.env), Some(&request.endpoints))?;
        }
        Ok(())
    }

    fn apply_identity(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        claimed: &UnverifiedIdentity,
        is_newest: bool,
    ) -> Result<(), StoreError> {
        match claimed.verify() {
            Ok(identity) if identity.id() == peer.key() => {
                let known = step.tx.version_record(&peer.key())?;
                let verdict = VersionRecord::judge(known.as_ref(), &identity);
                if let (VersionVerdict::Stale { seen }, true) = (verdict, is_newest) {
                    self.note_rollback_of(step, peer, seen)?;
                }
                self.learn_identity_of(step, peer, &identity).map(|_| ())
            }
            _ => {
                self.refusals.count("profile-identity");
                Ok(())
            }
        }
    }

    /// A contact is reached through these relays from now on.
    pub(super) fn apply_relays(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        hints: &[RelayHint],
    ) -> Result<(), StoreError> {
        let mut relays: Vec<RelayHint> = Vec::new();
        for hint in hints.iter().take(MAX_RELAY_HINTS) {
            if !relays.iter().any(|known| known.relay == hint.relay) {
                relays.push(hint.clone());
            }
        }
        relays.sort_by_key(|hint| hint.priority);
        for (priority, hint) in (0..).zip(&mut relays) {
            hint.priority = priority;
        }
        if peer.record.relays == relays {
            return Ok(());
        }
        peer.edit().relays = relays;
        self.push_soon(&peer.key());
        // nobody fetches what lies at a relay that the contact has left
        let relays = peer.record.mailboxes(step.now.wall);
        let relays: Vec<_> = relays.iter().map(|hint| hint.relay).collect();
        for msg_id in step.tx.end_storage_but_at(peer.record.row, &relays)? {
            self.no_longer_kept(step, peer, msg_id)?;
        }
        Ok(())
    }

    fn apply_addresses(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        env: Option<&UnverifiedEnvelopeKey>,
        endpoints: Option<&[Endpoint]>,
    ) -> Result<(), StoreError> {
        if let Some(offer) = env {
            match offer.verify(&peer.key()) {
                Ok(key) if key.expires() > step.now.wall => {
                    let sealed_to = peer.envelope_key.map(|known| known.id());
                    peer.set_envelope_key(key);
                    if sealed_to.is_some_and(|id| id != key.id()) {
                        self.seal_for_moved(step, peer)?;
                    }
                }
                Ok(_) | Err(_) => self.refusals.count("profile-envelope-key"),
            }
        }
        if let Some(endpoints) = endpoints {
            peer.edit().endpoints = endpoints.to_vec();
        }
        Ok(())
    }

    /// Judges an identity by what is known of its key (D2.5) and keeps it if it is the newest.
    /// Returns whether it may be used.
    pub(super) fn learn_identity(
        &mut self,
        step: &mut Step<'_, '_>,
        identity: &Identity,
    ) -> Result<bool, StoreError> {
        let Some(mut peer) = self.peers.take(step.tx, &identity.id())? else {
            // of strangers nothing is kept
            let known = step.tx.version_record(&identity.id())?;
            let verdict = VersionRecord::judge(known.as_ref(), identity);
            return Ok(matches!(
                verdict,
                VersionVerdict::Newer | VersionVerdict::Same
            ));
        };
        let result = self.learn_identity_of(step, &mut peer, identity);
        self.peers.put(peer);
        result
    }

    pub(super) fn learn_identity_of(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        identity: &Identity,
    ) -> Result<bool, StoreError> {
        let key = identity.id();
        let known = step.tx.version_record(&key)?;
        match VersionRecord::judge(known.as_ref(), identity) {
            VersionVerdict::Newer => {
                step.tx
                    .save_version_record(&key, &VersionRecord::of(identity))?;
                let record = peer.edit();
                record.identity = Some(identity.clone());
                if known.is_some() {
                    self.changed_lately.insert(key, step.now.tick);
                }
                // what the user said of a fork was said of that version
                if record.fork == Fork::Settled {
                    record.fork = Fork::None;
                }
                if identity.is_tombstone() {
                    let text = format!("{} has withdrawn this identity for good", peer.name());
                    self.note(step, peer, text, step.now.wall)?;
                    self.withdrawn.insert(key);
                }
                Ok(true)
            }
            VersionVerdict::Same => {
                if peer.record.identity.is_none() {
                    peer.edit().identity = Some(identity.clone());
                }
                Ok(true)
            }
            VersionVerdict::Fork => {
                self.note_fork_of(step, peer)?;
                Ok(false)
            }
            VersionVerdict::Stale { .. } | VersionVerdict::Tombstoned => Ok(false),
        }
    }
}

/// The address of a listener as others may dial it: a wildcard tells nobody where to go, nor does
/// port 0.
fn advertisable(listen: &str) -> Option<String> {
    let address: std::net::SocketAddr = listen.parse().ok()?;
    let somewhere = !address.ip().is_unspecified() && address.port() != 0;
    somewhere.then(|| address.to_string())
}
