//! The network is another one: nothing that failed before counts any more (D7.2).

use super::{Engine, Output, Step};

impl Engine {
    /// Contacts, relays and servers are tried at once, however often they have failed; connections
    /// that stand are asked whether they do.
    pub(super) fn network_changed(&mut self, step: &mut Step<'_, '_>) {
        let now = step.now.tick;
        self.dialling.begin_anew(now);
        self.relays.begin_anew(now);
        self.servers.begin_anew(now);
        for link in self.links.all().chain(self.relays.links()) {
            step.outputs.push(Output::Probe(link));
        }
    }
}
