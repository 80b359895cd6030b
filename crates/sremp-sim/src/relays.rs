//! Relays in the world, and the people who use them.

use sremp_client::{
    config::{Config, Direct},
    engine::Input,
};
use sremp_core::channel::Admission;

use crate::{
    Node, Relay, World,
    relay::Said,
    world::{NodeIndex, RELAYS},
};

impl World {
    /// A new person with settings of one's own, and with these relays.
    pub fn join_at(&mut self, name: &str, relays: &[NodeIndex]) -> NodeIndex {
        self.join_at_with(name, relays, |_| ())
    }

    /// The same with other settings as well.
    pub fn join_at_with(
        &mut self,
        name: &str,
        relays: &[NodeIndex],
        set: impl FnOnce(&mut Config),
    ) -> NodeIndex {
        let links = relays.iter().map(|at| self.relays[at - RELAYS].link());
        let links = links.collect();
        self.join_with(name, |config| {
            config.relays = links;
            set(config);
        })
    }

    /// A new person with these relays whom nobody can dial and who dials nobody.
    pub fn join_far(&mut self, name: &str, relays: &[NodeIndex]) -> NodeIndex {
        let links = relays.iter().map(|at| self.relays[at - RELAYS].link());
        let links = links.collect();
        self.join_with(name, |config| {
            config.relays = links;
            config.direct = Direct::Never;
            config.advertise = None;
        })
    }

    /// A person changes relays and starts again.
    pub fn move_to(&mut self, node: NodeIndex, relays: &[NodeIndex]) {
        let links = relays.iter().map(|at| self.relays[at - RELAYS].link());
        self.nodes[node].config.relays = links.collect();
        self.restart(node);
    }

    /// A new relay; its number is that of a node.
    pub fn open_relay(&mut self, name: &str) -> NodeIndex {
        let now = self.now().wall;
        self.relays.push(Relay::new(name, now, &mut self.rng));
        self.relays.len() - 1 + RELAYS
    }

    /// A relay by its number.
    pub fn relay(&mut self, relay: NodeIndex) -> &mut Relay {
        &mut self.relays[relay - RELAYS]
    }

    /// Somebody with a person's keys takes over the mailbox at a relay.
    pub fn take_over(&mut self, relay: NodeIndex, owner: NodeIndex) {
        let owner = self.id(owner);
        if let Some(said) = self.relay(relay).take_over(&owner) {
            self.say(said);
        }
    }

    /// A step of a relay, with the faults of the world: what it has stored is durable, what it was
    /// about to say may be lost.
    pub(crate) fn give_relay(&mut self, relay: usize, input: Input) {
        if self.chance(self.faults.die_before_commit) {
            return self.restart(relay + RELAYS);
        }
        let now = self.now();
        let said = match input {
            Input::Shown { link, .. } => return self.admit(link, Admission::Accept),
            Input::Opened {
                link,
                identity,
                binding,
                ..
            } => return self.relays[relay].opened(link, identity.id(), binding),
            Input::Closed { link, .. } => return self.relays[relay].closed(link),
            Input::Message { link, message } => {
                self.relays[relay].handle(link, &message, now, &mut self.rng)
            }
            _ => return,
        };
        let dies = self.chance(self.faults.die_after_commit);
        let kept = dies.then(|| Node::below(&mut self.rng, said.len() as u64 + 1));
        for (n, said) in said.into_iter().enumerate() {
            if kept == Some(n as u64) {
                break;
            }
            self.say(said);
        }
        if dies {
            self.restart(relay + RELAYS);
        }
    }

    fn say(&mut self, (link, message, req_id): Said) {
        self.transmit(link, message.to_message(req_id));
    }

    /// Relays that reach each other hand confirmations over; the others keep them.
    pub(crate) fn hand_confirmations_over(&mut self) {
        for from in 0..self.relays.len() {
            if self.unreachable.contains(&(from + RELAYS)) {
                continue;
            }
            for (to, confirmation) in std::mem::take(&mut self.relays[from].outward) {
                let host = |r: &Relay| r.name == to.host;
                let reached = self.relays.iter().position(host);
                let reached = reached.filter(|at| !self.unreachable.contains(&(at + RELAYS)));
                match reached {
                    Some(at) => {
                        let said = self.relays[at].take_confirmation(confirmation);
                        said.into_iter().for_each(|said| self.say(said));
                    }
                    None => self.relays[from].outward.push((to, confirmation)),
                }
            }
        }
    }
}
