//! Two identities of one key and version (D2.5): somebody else may hold the contact's key. What comes is
//! read on, in its sessions; nothing goes to the contact until the user says so.

use sremp_core::id::ContactId;

use super::{Engine, Step, peers::Peer};
use crate::store::{Fork, StoreError};

/// What is forked, why nothing goes out, and what the user can do. The number cannot tell the two
/// apart: it is of the key, which they share.
pub(super) fn go_on(name: &str) -> String {
    format!(
        "two different identities carry the key and version of {name}: {name} runs or restored it \
         twice, or somebody else holds the key, and nothing is sent until you decide. Ask {name} by \
         another way, comparing numbers with `sremp verify {name}`; then `sremp trust {name}` to go \
         on, or `sremp reject {name}`"
    )
}

impl Engine {
    /// An identity was seen beside the one that is known.
    pub(super) fn note_fork(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
    ) -> Result<(), StoreError> {
        let Some(mut peer) = self.peers.take(step.tx, key)? else {
            return Ok(());
        };
        let result = self.note_fork_of(step, &mut peer);
        self.peers.put(peer);
        result
    }

    pub(super) fn note_fork_of(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
    ) -> Result<(), StoreError> {
        self.refusals
            .count(sremp_core::error::ErrorCode::IdentityFork.name());
        // what the user has decided is not asked again for the same version
        if peer.record.fork != Fork::None {
            return Ok(());
        }
        peer.edit().fork = Fork::Open;
        let text = go_on(&peer.name());
        self.note(step, peer, text, step.now.wall)
    }

    /// The user goes on: what waits is sent, to the identity that was known first.
    pub(super) fn settle_fork(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
    ) -> Result<(), StoreError> {
        if !peer.record.is_held() {
            return Ok(());
        }
        peer.edit().fork = Fork::Settled;
        self.send_newest_profile(step, peer)?;
        self.push_soon(&peer.key());
        Ok(())
    }
}
