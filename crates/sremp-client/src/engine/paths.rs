//! Direct or by relay: what is known of a contact goes into the plan of the core (7.3), and the user's
//! word on single contacts comes out of a command.

use sremp_core::{
    error::ErrorCode,
    route::{Bar, Choice, Link, Place, Plan, Policy, State, Wish},
};

use super::{Engine, Now, Step, contacts::Answer, links::Doubt, peers::Peer};
use crate::{
    config::Direct,
    store::{ContactRecord, StoreError, Tx},
    view::Reply,
};

impl Engine {
    /// Whether direct connections are made with a contact.
    pub(super) fn policy(&self, contact: &ContactRecord) -> Policy {
        let trusted = contact.trust == sremp_core::identity::Trust::Trusted;
        Policy::of(self.config.direct, contact.direct, trusted)
    }

    /// Whether they are made with somebody of whom nothing is known.
    pub(super) const fn policy_for_strangers(&self) -> Policy {
        Policy::of(self.config.direct, Choice::Default, false)
    }

    /// Whether those with whom they are made may learn where one is.
    pub(super) const fn tells(&self, policy: Policy) -> bool {
        policy.tells(self.config.prefers_async, !self.config.relays.is_empty())
    }

    /// Whether anybody at all may: what servers are told, every contact may ask for.
    pub(super) fn tells_everybody(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        Ok(self.tells(self.policy_for_strangers()) && !tx.any_direct_off()?)
    }

    /// What stands and what is known of a contact.
    pub(super) fn way_to(&self, peer: &Peer, now: Now) -> State {
        let (key, record) = (peer.key(), &peer.record);
        let link = self.links.active(&key).and_then(|l| self.links.get(l));
        let wishes = |identity: &sremp_core::identity::Identity| identity.flags().prefers_async;
        State {
            link: match link {
                None => Link::None,
                Some(link) if link.doubtful == Doubt::No => Link::Answers,
                Some(_) => Link::Silent,
            },
            relay: record.has_mailbox(now.wall),
            policy: self.policy(record),
            wish: match &record.identity {
                _ if self.config.prefers_async => Wish::Own,
                Some(identity) if wishes(identity) => Wish::Contact,
                _ => Wish::Nobody,
            },
            place: match record.has_endpoint(now.wall) {
                false => Place::None,
                true if self.dialling.rests(&key, now.tick) => Place::Failed,
                true => Place::Ready,
            },
        }
    }

    /// What is done with what waits for a contact.
    pub(super) fn plan(&self, peer: &Peer, now: Now) -> Plan {
        match peer.is_served() {
            true => self.way_to(peer, now).plan(),
            false => Plan::NOTHING,
        }
    }

    /// What keeps a contact from being dialled, and what the user can do about it.
    pub(super) fn why_not_dialled(&self, bar: Bar, name: &str) -> String {
        let word = crate::shell::word(name);
        match (bar, self.config.direct) {
            (Bar::Choice, _) => format!(
                "direct connections with {name} are off: `sremp direct {word} default` allows them"
            ),
            (Bar::Setting, Direct::Trusted) => format!(
                "direct connections are for trusted contacts only: `sremp verify {word}`, or \
                 `sremp direct {word} on`"
            ),
            (Bar::Setting, _) => format!(
                "direct connections are off: `sremp config direct accepted` allows them, or for \
                 {name} alone `sremp direct {word} on`"
            ),
            (Bar::OwnWish, _) => {
                "you wish to be reached by relays alone (`prefers_async`)".to_owned()
            }
            (Bar::ContactsWish, _) => format!("{name} wishes to be reached by relays alone"),
        }
    }

    /// `direct`: the user's word on direct connections with a contact, or with who asks to be one.
    pub(super) fn set_direct(
        &mut self,
        step: &mut Step<'_, '_>,
        who: &str,
        choice: Choice,
    ) -> Answer<Reply> {
        let mut peer = match self.find_contact(step, who)? {
            Ok(peer) => peer,
            Err(error) => return Ok(Err(error)),
        };
        let before = self.policy(&peer.record);
        step.tx.set_direct(peer.record.row, choice)?;
        peer.record.direct = choice;
        let result = self.policy_changed(step, &mut peer, before);
        let view = self.contact_view(step, &peer);
        self.peers.put(peer);
        result?;
        Ok(Ok(Reply::Contact(view?)))
    }

    /// With a contact direct connections are made from now on, or no longer: it learns where one is, or
    /// is to forget it; one that stands and may not is closed.
    pub(super) fn policy_changed(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        before: Policy,
    ) -> Result<(), StoreError> {
        let (key, now) = (peer.key(), self.policy(&peer.record));
        if now.admits() == before.admits() {
            return Ok(());
        }
        if !now.admits() {
            self.close_peer(step, &key, ErrorCode::Refused);
        }
        if peer.is_served() {
            self.push_soon(&key);
        }
        self.tell_places_anew(step, peer)
    }
}
