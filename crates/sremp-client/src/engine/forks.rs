//! Two identities of one key and version (D2.5): somebody else may hold the contact's key. What comes is
//! read on, in its sessions; nothing goes to the contact until the user says so. And an older identity
//! than was seen before: it is refused, and the user is told once.

use std::time::Duration;

use sremp_core::{error::ErrorCode, id::ContactId};

use super::{Engine, Step, peers::Peer};
use crate::{
    shell::word,
    store::{Fork, StoreError},
};

/// What is forked, why nothing goes out, and what the user can do. The number cannot tell the two
/// apart: it is of the key, which they share.
pub(super) fn go_on(name: &str) -> String {
    let word = word(name);
    format!(
        "two different identities carry the key and version of {name}: {name} runs or restored it \
         twice, or somebody else holds the key, and nothing is sent until you decide. Ask {name} by \
         another way, comparing numbers with `sremp verify {word}`; then `sremp trust {word}` to go \
         on, or `sremp reject {word}`"
    )
}

/// A contact that changes its identity may have a connection with the older one under way.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// What an older identity means and what the user can do.
fn older(name: &str) -> String {
    let word = word(name);
    format!(
        "an older identity of {name} was shown than the one that is known, and refused: {name} went back \
         to an old copy of a home, or somebody else holds old keys of {name}. Ask {name} by another way, \
         comparing numbers with `sremp verify {word}`"
    )
}

/// What to do where contacts say that they know a newer identity of one's own.
pub(super) const NEWER_ELSEWHERE: &str = "If you restored or moved your home, go on with the newer one and end this one; if that is lost, make \
     this one the newest: `sremp backup FILE`, then `sremp --home ANOTHER restore FILE`. If you know of \
     none, ask them by another way first: somebody may hold your keys, or it may not be true.";

/// That contacts of these names know a newer identity of one's own; `None` without any.
pub(super) fn newer_elsewhere(names: &[String]) -> Option<String> {
    let says = match names {
        [] => return None,
        [_] => "says that it knows",
        _ => "say that they know",
    };
    let names = names.join(", ");
    Some(format!(
        "{names} {says} a newer home of your identity, and will not talk to this one, as to an old copy"
    ))
}

impl Engine {
    /// Contacts who refuse this home and say that they know a newer identity of its owner, by name.
    pub(super) fn who_know_newer(
        &self,
        step: &mut Step<'_, '_>,
    ) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        for key in self.dialling.who_know_newer() {
            names.extend(step.tx.contact_by_key(key)?.map(|record| record.name()));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// An identity was shown that is older than version `seen`.
    pub(super) fn note_rollback(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        seen: u64,
    ) -> Result<(), StoreError> {
        let Some(peer) = self.peers.take(step.tx, key)? else {
            self.refusals.count(ErrorCode::StaleIdentity.name());
            return Ok(());
        };
        let result = self.note_rollback_of(step, &peer, seen);
        self.peers.put(peer);
        result
    }

    pub(super) fn note_rollback_of(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        seen: u64,
    ) -> Result<(), StoreError> {
        self.refusals.count(ErrorCode::StaleIdentity.name());
        let changed = self.changed_lately.get(&peer.key());
        let under_way = changed.is_some_and(|at| step.now.tick < at.plus(UNDER_WAY));
        // said once of what is known: whoever has old keys could fill the conversation with it
        if under_way || !peer.is_accepted() || !step.tx.note_rollback(peer.record.row, seen)? {
            return Ok(());
        }
        let text = older(&peer.name());
        self.note(step, peer, text, step.now.wall)
    }

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
        self.refusals.count(ErrorCode::IdentityFork.name());
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
