//! Invites: single-use cards, whose intro tokens are stored as hashes.

use sremp_core::{constants::INVITE_EXPIRY, id::IntroToken, relay::IntroHash, wire::bytes::Hex};

use super::{
    Engine, Step,
    contacts::{Answer, refuse},
};
use crate::{
    clock::Rfc3339,
    store::StoreError,
    view::{ErrorKind, InviteView, Reply},
};

impl Engine {
    /// A single-use card.
    pub(super) fn make_invite(
        &mut self,
        step: &mut Step<'_, '_>,
        expires: Option<u32>,
    ) -> Answer<Reply> {
        let life = expires.map_or(INVITE_EXPIRY, |s| std::time::Duration::from_secs(s.into()));
        if life.is_zero() {
            return refuse(ErrorKind::Usage, "an invite has to last at least a second");
        }
        let mut token = [0; IntroToken::LEN];
        step.rng.fill_bytes(&mut token);
        let token = IntroToken::new(token);
        let now = step.now.wall;
        let expires = now.plus(life);
        let hash = token_hash(&token);
        step.tx.insert_invite(&hash, expires, now)?;
        let card = self.card(step, Some(token), Some(expires))?;
        Ok(Ok(Reply::Invite(InviteView {
            invite: invite_name(&hash),
            card: card.to_uri(),
            expires: Rfc3339(expires),
        })))
    }

    pub(super) fn invites(&self, step: &mut Step<'_, '_>) -> Result<Reply, StoreError> {
        let open = step.tx.invites(step.now.wall)?;
        let invites = open.iter().map(|invite| InviteView {
            invite: invite.name(),
            card: String::new(),
            expires: Rfc3339(invite.expires),
        });
        Ok(Reply::Invites {
            invites: invites.collect(),
        })
    }

    pub(super) fn revoke_invite(&self, step: &mut Step<'_, '_>, name: &str) -> Answer<Reply> {
        let open = step.tx.invites(step.now.wall)?;
        if !open.iter().any(|invite| invite.name() == name) {
            let message =
                format!("there is no open invite {name}; `sremp invite --list` shows all");
            return refuse(ErrorKind::Usage, message);
        }
        step.tx.delete_invite(name)?;
        Ok(Ok(Reply::Done {}))
    }

    /// Whether a stranger's intro token is one of ours and still open.
    pub(super) fn invite_is_open(
        &self,
        step: &mut Step<'_, '_>,
        token: Option<&IntroToken>,
    ) -> Result<bool, StoreError> {
        match token {
            Some(token) => step.tx.invite_is_open(&token_hash(token), step.now.wall),
            None => Ok(false),
        }
    }

    pub(super) fn burn_invite(
        &self,
        step: &mut Step<'_, '_>,
        token: &IntroToken,
    ) -> Result<(), StoreError> {
        let hash = token_hash(token);
        step.tx.burn_invite(&hash, step.now.wall).map(|_| ())
    }
}

/// What of an intro token is stored, and named in invites.
fn token_hash(token: &IntroToken) -> [u8; 32] {
    *IntroHash::of(token).as_bytes()
}

fn invite_name(token_hash: &[u8; 32]) -> String {
    Hex(&token_hash[..4]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intro_tokens_are_stored_as_the_hash_of_the_specification() {
        let hash = token_hash(&IntroToken::new([7; 16]));
        let hex = Hex(&hash).to_string();
        assert_eq!(
            hex,
            "3f499a4806f35cf072b92315c291edd7bdec9b0c9b9b1753dcfac6d340395679"
        );
    }
}
