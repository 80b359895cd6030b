//! Contacts' relays that owe a confirmation are stayed connected with while a relay of one's own that may
//! have to bring it is gone: to a sender that is there they tell it in person (6.9).

use sremp_core::contact_card::RelayHint;

use super::{
    super::{Engine, Step},
    Relay, Relays,
};
use crate::store::StoreError;

/// With so many connections in a row that came to nothing, a relay of one's own counts as gone.
pub(super) const GONE_AFTER: u32 = 4;

impl Relay {
    fn is_there(&self) -> bool {
        self.is_up() || self.failures < GONE_AFTER
    }
}

impl Relays {
    /// Whether one's own relays bring what other relays hand over to them: each of them, and each that
    /// was left lately, may be the one to which a confirmation was asked.
    pub(super) fn bring_confirmations(&self) -> bool {
        let mut mailboxes = self.known.values().filter(|r| r.mailbox.is_some());
        self.known.values().any(Relay::is_own) && mailboxes.all(Relay::is_there)
    }
}

impl Engine {
    /// Now and then, and when a relay of one's own goes or comes: which relays owe a confirmation that
    /// comes by nobody else.
    pub(in super::super) fn watch_relays(
        &mut self,
        step: &mut Step<'_, '_>,
    ) -> Result<(), StoreError> {
        let awaited = match self.relays.bring_confirmations() {
            true => Vec::new(),
            false => step.tx.relays_with_unconfirmed()?,
        };
        for relay in self.relays.known.values_mut() {
            relay.watched = false;
        }
        for record in awaited {
            let hint = RelayHint {
                relay: record.key,
                endpoint: record.endpoint,
                priority: 0,
            };
            let relay = self.relays.enter(&hint, None);
            relay.watched = true;
            relay.want(step.now.tick);
        }
        Ok(())
    }
}
