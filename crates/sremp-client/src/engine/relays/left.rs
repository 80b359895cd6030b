//! Relays that the user has left: what contacts gave them before they knew of that is fetched still, for
//! as long as a relay keeps anything.

use sremp_core::{
    constants::RELAY_STORAGE,
    contact_card::Endpoint,
    id::ContactId,
    time::{Tick, UnixMillis},
};

use super::{Mailbox, Relay, Relays};
use crate::{
    config::Config,
    engine::Now,
    store::{StoreError, Tx},
};

/// The setting: one's own relays, a line each, `ID HOST:PORT` and of one that was left `UNTIL` when it is
/// forgotten, in milliseconds.
const OWN: &str = "relays.own";
/// So many are fetched from; of more the oldest are forgotten.
const MAX_LEFT: usize = 8;

#[derive(Clone, PartialEq, Eq)]
struct Left {
    relay: ContactId,
    endpoint: Endpoint,
    until: Option<UnixMillis>,
}

impl Left {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let relay = words.next()?.parse().ok()?;
        let endpoint = words.next()?.parse().ok()?;
        let until = match words.next() {
            None => None,
            Some(word) => Some(UnixMillis::new(word.parse().ok()?)?),
        };
        Some(Self {
            relay,
            endpoint,
            until,
        })
    }

    fn line(&self) -> String {
        let until = self.until.map(|until| format!(" {}", until.get()));
        format!(
            "{} {}{}",
            self.relay,
            self.endpoint,
            until.unwrap_or_default()
        )
    }
}

impl Relays {
    /// One's own relays, and those left lately, to be connected at once.
    ///
    /// # Errors
    /// [`StoreError`] if the setting cannot be read or written.
    pub(in super::super) fn load(
        tx: &mut Tx<'_>,
        config: &Config,
        now: Now,
    ) -> Result<Self, StoreError> {
        let mut relays = Self::new(config, now.tick);
        let before = tx.setting(OWN)?.unwrap_or_default();
        let text = String::from_utf8(before).map_err(|_| StoreError::Damaged)?;
        let own = config.relays.iter().map(|link| Left {
            relay: link.relay(),
            endpoint: link.endpoint().clone(),
            until: None,
        });
        let mut all: Vec<Left> = own.collect();
        let settled = all.len();
        for line in text.lines() {
            let mut left = Left::parse(line).ok_or(StoreError::Damaged)?;
            let until = *left.until.get_or_insert(now.wall.plus(RELAY_STORAGE));
            let known = all.iter().any(|other| other.relay == left.relay);
            if !known && until > now.wall && all.len() - settled < MAX_LEFT {
                all.push(left);
            }
        }
        for left in all.iter().skip(settled) {
            relays.leave(left, now.tick);
        }
        let lines: Vec<String> = all.iter().map(Left::line).collect();
        let lines = lines.join("\n");
        if lines != text {
            tx.set_setting(OWN, lines.as_bytes())?;
        }
        Ok(relays)
    }

    fn leave(&mut self, left: &Left, now: Tick) {
        let mut mailbox = Mailbox::new(None);
        mailbox.left_until = left.until;
        let mut relay = Relay::new(left.endpoint.clone(), Some(mailbox));
        relay.due = Some(now);
        self.known.insert(left.relay, relay);
    }

    /// What was left long ago keeps nothing any more.
    pub(in super::super) fn forget_left(&mut self, now: UnixMillis) {
        for relay in self.known.values_mut() {
            let until = relay.mailbox.as_ref().and_then(|m| m.left_until);
            if until.is_some_and(|until| until <= now) {
                relay.mailbox = None;
            }
        }
    }
}

impl Relay {
    /// Whether one's own mailbox is there, and contacts are told of it.
    pub(super) fn is_own(&self) -> bool {
        self.mailbox
            .as_ref()
            .is_some_and(|m| m.left_until.is_none())
    }
}
