//! Which ways are open, and who may learn one's address.

use super::super::{Engine, Step};
use crate::{
    config::Direct,
    store::StoreError,
    view::{CheckView, Outcome},
};

impl Engine {
    pub(super) fn check_paths(
        &self,
        step: &mut Step<'_, '_>,
        checks: &mut Vec<CheckView>,
    ) -> Result<(), StoreError> {
        let names = step.tx.contact_names()?;
        let (on, off) = self.direct_choices(step, &names)?;
        let relay = !self.config.relays.is_empty();
        let before = checks.len();
        if self.config.prefers_async && !relay {
            let words = "you wish to be reached by relays alone, but have none: you are written to \
                         directly";
            checks.push(CheckView::new("paths", Outcome::Warn, words).remedy(
                "Set a relay: `sremp config relays LINK`; or take the wish back: `sremp config \
                 prefers_async false`.",
            ));
        }
        for name in off.iter().filter(|_| !relay) {
            let words = "direct connections are off, and you have no relay: no way leads to you";
            let word = crate::shell::word(name);
            let remedy = format!(
                "Set a relay: `sremp config relays LINK`; or `sremp direct {word} default`."
            );
            let check = CheckView::new("paths", Outcome::Warn, words).of(name);
            checks.push(check.remedy(remedy));
        }
        let shut = self.config.direct == Direct::Never && on.is_empty();
        if self.listening.is_some() && shut {
            let words = "you listen, but by the setting `direct` nobody is let in";
            checks.push(CheckView::new("paths", Outcome::Warn, words).remedy(
                "Cease to listen: `sremp config listen --default`; or let somebody in: `sremp direct \
                 CONTACT on`.",
            ));
        }
        if checks.len() == before {
            checks.push(self.open_ways(relay));
        }
        checks.push(self.privacy_settings(&on, &off));
        Ok(())
    }

    fn open_ways(&self, relay: bool) -> CheckView {
        let words = match (self.config.prefers_async, self.config.direct, relay) {
            (true, _, _) => "by relays alone, as you wish; directly only where a contact has none",
            (false, Direct::Accepted, _) => {
                "directly first, by a relay where that is slow or fails"
            }
            (false, Direct::Trusted, true) => {
                "directly first with those whom you trust, with all others by relays alone"
            }
            (false, Direct::Never, true) => "by relays alone, by the setting `direct`",
            (false, Direct::Trusted | Direct::Never, false) => {
                let words = "by the setting `direct` not everybody may connect to you, and you have no relay: \
                             no way leads others to you";
                return CheckView::new("paths", Outcome::Warn, words)
                    .remedy("Set a relay: `sremp config relays LINK`.");
            }
        };
        CheckView::new("paths", Outcome::Ok, words)
    }

    fn privacy_settings(&self, on: &[String], off: &[String]) -> CheckView {
        let mut words = match self.config.direct {
            Direct::Accepted => "contacts you accepted may learn your address (`direct`)",
            Direct::Trusted => "contacts you trust may learn your address (`direct`)",
            Direct::Never => "no contact learns your address by a connection (`direct`)",
        }
        .to_owned();
        for (names, what) in [(off, "never"), (on, "always")] {
            if !names.is_empty() {
                words = format!("{words}; {what}: {}", names.join(", "));
            }
        }
        if self.config.allow_private_addresses {
            let words = format!(
                "private addresses that others name are dialled: they can make this client knock at doors of \
                 your network; {words}"
            );
            return CheckView::new("privacy", Outcome::Warn, words).remedy(
                "Unless you need it: `sremp config allow_private_addresses false`, and start the client \
                 without SREMP_ALLOW_PRIVATE_ADDRESSES.",
            );
        }
        CheckView::new("privacy", Outcome::Ok, words)
    }
}
