//! Who is let in: identities by their version, contacts by the user's word, strangers by their number.

use sremp_core::{
    channel::Admission,
    constants::MAX_PENDING_REQUESTS,
    error::ErrorCode,
    id::IntroToken,
    identity::{Identity, Trust, VersionRecord, VersionVerdict},
};
use sremp_net::LinkId;

use super::{
    Engine, Output, Step,
    links::{Admitted, Link},
    peers::Peer,
};
use crate::{config::Strangers, store::StoreError};

/// Connections of strangers at once.
const MAX_STRANGER_LINKS: usize = 32;

impl Engine {
    /// A peer has shown a valid identity on a connection with its noise key: may it come in?
    pub(super) fn handle_shown(
        &mut self,
        step: &mut Step<'_, '_>,
        link: LinkId,
        identity: &Identity,
        intro: Option<IntroToken>,
    ) -> Result<(), StoreError> {
        let admission = self.judge_peer(step, identity, intro.as_ref())?;
        match admission {
            Admission::Accept => {
                let peer = self.peers.take(step.tx, &identity.id())?;
                let welcome = peer.as_ref().is_some_and(|p| p.is_accepted());
                self.peers.put_back(peer);
                self.links
                    .admitted
                    .insert(link, Admitted { intro, welcome });
            }
            Admission::Close(code) => self.refusals.count(code.name()),
            // counted where it was judged
            Admission::Stale { .. } => {}
        }
        step.outputs.push(Output::Admit { link, admission });
        Ok(())
    }

    fn judge_peer(
        &mut self,
        step: &mut Step<'_, '_>,
        identity: &Identity,
        intro: Option<&IntroToken>,
    ) -> Result<Admission, StoreError> {
        const REFUSED: Admission = Admission::Close(ErrorCode::Refused);
        let key = identity.id();
        if key == self.own.identity.id() {
            return Ok(REFUSED);
        }
        let known = step.tx.version_record(&key)?;
        match VersionRecord::judge(known.as_ref(), identity) {
            VersionVerdict::Newer | VersionVerdict::Same => {}
            VersionVerdict::Stale { seen } => {
                self.note_rollback(step, &key, seen)?;
                return Ok(Admission::Stale { seen });
            }
            VersionVerdict::Fork => {
                self.note_fork(step, &key)?;
                return Ok(REFUSED);
            }
            VersionVerdict::Tombstoned => return Ok(REFUSED),
        }
        if identity.is_tombstone() {
            self.learn_identity(step, identity)?;
            return Ok(REFUSED);
        }
        let peer = self.peers.take(step.tx, &key)?;
        let known = peer.as_ref().map(|peer| self.policy(&peer.record));
        let allowed = known
            .unwrap_or_else(|| self.policy_for_strangers())
            .admits();
        if !allowed {
            self.refusals.count("direct-off");
        }
        let turned_away =
            |peer: &Peer| peer.record.trust == Trust::Rejected || peer.record.declined;
        let welcome = match &peer {
            _ if !allowed => false,
            Some(peer) if peer.is_accepted() => true,
            _ if self.links.strangers() >= MAX_STRANGER_LINKS => false,
            Some(peer) => !turned_away(peer),
            None => self.takes_stranger(step, intro)?,
        };
        self.peers.put_back(peer);
        Ok(if welcome { Admission::Accept } else { REFUSED })
    }

    fn takes_stranger(
        &mut self,
        step: &mut Step<'_, '_>,
        intro: Option<&IntroToken>,
    ) -> Result<bool, StoreError> {
        if self.config.strangers == Strangers::Never {
            return Ok(false);
        }
        if self.invite_is_open(step, intro)? {
            return Ok(true);
        }
        let pending = step.tx.pending_requests()?;
        let room = usize::try_from(pending).is_ok_and(|n| n < MAX_PENDING_REQUESTS);
        Ok(self.config.strangers == Strangers::Request && room)
    }

    /// Sends strangers away whose time is over.
    pub(super) fn expire_strangers(&mut self, step: &mut Step<'_, '_>) {
        let now = step.now.tick;
        let over = |link: &Link| link.stranger_until().is_some_and(|until| until <= now);
        let over = self.links.open.iter().filter(|(_, link)| over(link));
        let mut over: Vec<_> = over.map(|(id, _)| *id).collect();
        over.sort_unstable();
        for link in over {
            self.close(step, link, ErrorCode::GoingAway);
        }
    }
}
