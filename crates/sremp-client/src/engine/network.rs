//! The network is another one: nothing that failed before counts any more (D7.2).

use super::{Engine, Output, Step};

impl Engine {
    /// Contacts, relays and servers are tried at once, however often they have failed; connections
    /// that stand are asked whether they do, and given up if they do not say so soon.
    pub(super) fn network_changed(&mut self, step: &mut Step<'_, '_>) {
        let now = step.now.tick;
        self.dialling.begin_anew(now);
        self.relays.begin_anew(now);
        self.servers.begin_anew(now);
        for (id, link) in &mut self.links.open {
            let given_up = self.dialling.given_up(&link.peer);
            link.silence.network_changed(now, given_up);
            step.outputs.push(Output::Probe(*id));
        }
        for link in self.relays.ask_all(now) {
            step.outputs.push(Output::Probe(link));
        }
    }
}
