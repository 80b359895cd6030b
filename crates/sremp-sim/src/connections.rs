//! Connections in the world: made, carried on with delays, cut.

use rand_chacha::rand_core::Rng as _;
use sremp_client::engine::Input;
use sremp_core::{
    channel::{Admission, Direction, HandshakeHash, Message, Service},
    contact_card::Endpoint,
    error::ErrorCode,
    identity::Identity,
};
use sremp_net::{CloseReason, DialTarget, LinkId};

use crate::{
    Node, World,
    world::{Flight, MAX_DELAY, NodeIndex, RELAYS},
};

/// A dial into a silent network is given up after this time.
const DIAL_TIMEOUT: u64 = 4_000;

/// One node's end of a connection.
pub(crate) struct End {
    pub(crate) other: LinkId,
    pub(crate) other_node: NodeIndex,
    pub(crate) node: NodeIndex,
    pub(crate) direction: Direction,
    pub(crate) service: Service,
    pub(crate) binding: HandshakeHash,
    pub(crate) identity_of_other: Identity,
    /// When the last thing sent from here arrives: order is kept.
    pub(crate) last_arrival: u64,
    pub(crate) admitted: bool,
}

/// What a silent network keeps back.
pub(crate) enum Held {
    /// Sent over the connection whose end this is.
    Sent { link: LinkId, what: Box<Input> },
    /// The question whether the other side is there.
    Probe(LinkId),
    /// The end of a connection, of which the other side does not know.
    Gone(Box<End>),
}

impl World {
    /// From now on the network of this node swallows everything and tells nobody; or no longer. What
    /// was sent meanwhile arrives late: TCP tries again after as long as it has tried already.
    pub fn set_silent(&mut self, node: NodeIndex, silent: bool) {
        if silent {
            self.silent.insert(node, self.millis);
            return;
        }
        let Some(since) = self.silent.remove(&node) else {
            return;
        };
        let late = self.millis + (self.millis - since);
        for held in std::mem::take(&mut self.held) {
            match held {
                Held::Sent { link, what } => {
                    if let Some(end) = self.ends.get_mut(&link) {
                        end.last_arrival = end.last_arrival.max(late);
                        self.send_over(link, *what);
                    }
                }
                Held::Probe(link) => self.probe(link),
                Held::Gone(end) => self.cut_other(*end),
            }
        }
    }

    fn swallows(&self, end: &End) -> bool {
        let silent = |node| self.silent.contains_key(&node);
        silent(end.node) || silent(end.other_node)
    }

    /// The answer comes after what was sent before it, by either.
    pub(crate) fn probe(&mut self, link: LinkId) {
        let Some(end) = self.ends.get(&link) else {
            return;
        };
        if self.swallows(end) {
            return self.held.push(Held::Probe(link));
        }
        let answered = self.ends.get(&end.other).map_or(0, |e| e.last_arrival);
        let sent = end.last_arrival.max(answered).max(self.millis);
        let at = sent + MAX_DELAY + 2 * self.slowness;
        self.fly_at(end.node, at, Input::Pong(link));
    }

    pub(crate) fn dial(&mut self, node: NodeIndex, target: &DialTarget) {
        self.dials += 1;
        if target.service != Service::Relay {
            *self.calls.entry(node).or_default() += 1;
        }
        let link = self.new_link();
        let given = self.listener(target.service, &target.endpoints);
        let claimed = self.listener(target.service, &target.claimed);
        let inside = claimed.is_some_and(|n| self.private.contains(&n));
        let called = given.or(claimed.filter(|_| !inside));
        let failed = |reason| Input::Closed {
            link,
            service: target.service,
            dialled: target.expected,
            reason,
        };
        if called.is_none() && inside {
            return self.fly(node, MAX_DELAY, failed(CloseReason::PrivateAddress));
        }
        let blocked = |n: &NodeIndex| self.unreachable.contains(n);
        let called = called.filter(|n| !blocked(n) && !blocked(&node));
        if called.is_some_and(|n| self.silent.contains_key(&n)) || self.silent.contains_key(&node) {
            let reason = CloseReason::Local(ErrorCode::Timeout);
            return self.fly(node, DIAL_TIMEOUT, failed(reason));
        }
        let Some(called) = called else {
            let reason = CloseReason::Local(ErrorCode::Timeout);
            return self.fly(node, MAX_DELAY, failed(reason));
        };
        let other = self.new_link();
        let caller_identity = self.nodes[node].engine.shown().identity().clone();
        let called_identity = match called.checked_sub(RELAYS) {
            Some(relay) => self.relays[relay].identity.identity().clone(),
            None => self.nodes[called].engine.own().identity().clone(),
        };
        let key = called_identity.noise_key();
        if target.pinned_noise_key.is_some_and(|pinned| pinned != key) {
            let reason = CloseReason::Local(ErrorCode::StaticMismatch);
            return self.fly(node, MAX_DELAY, failed(reason));
        }
        let mut binding = [0; HandshakeHash::LEN];
        self.rng.fill_bytes(&mut binding);
        let (service, binding) = (target.service, HandshakeHash::new(binding));
        let end = |node, other_node, other, direction, identity| End {
            other,
            other_node,
            node,
            direction,
            service,
            binding,
            identity_of_other: identity,
            last_arrival: 0,
            admitted: false,
        };
        let outbound = end(node, called, other, Direction::Outbound, called_identity);
        let inbound = end(
            called,
            node,
            link,
            Direction::Inbound,
            caller_identity.clone(),
        );
        self.ends.insert(link, outbound);
        self.ends.insert(other, inbound);
        let call = Input::Shown {
            link: other,
            service,
            identity: Box::new(caller_identity),
            intro: target.intro,
        };
        self.send_over(link, call);
    }

    /// Who listens at one of these places.
    fn listener(&self, service: Service, places: &[Endpoint]) -> Option<NodeIndex> {
        let listens = |name: &String| places.iter().any(|place| place.host() == name);
        match service {
            Service::Relay => {
                let found = self.relays.iter().position(|r| listens(&r.name));
                found.map(|at| at + RELAYS)
            }
            _ => self.nodes.iter().position(|n| listens(&n.name)),
        }
    }

    /// The responder lets the caller in, then shows itself; then the caller decides.
    pub(crate) fn admit(&mut self, link: LinkId, admission: Admission) {
        let Some(end) = self.ends.get_mut(&link) else {
            return;
        };
        match admission {
            Admission::Accept => {}
            Admission::Close(code) => return self.close(link, code),
            Admission::Stale { .. } => return self.close(link, ErrorCode::StaleIdentity),
        }
        end.admitted = true;
        let (other, direction, node) = (end.other, end.direction, end.node);
        let service = end.service;
        if direction == Direction::Inbound {
            let Some(caller) = self.ends.get(&other) else {
                return;
            };
            let identity = Box::new(caller.identity_of_other.clone());
            let shown = Input::Shown {
                link: other,
                service,
                identity,
                intro: None,
            };
            self.opened(node, link);
            self.send_over(link, shown);
        } else {
            self.opened(node, link);
        }
    }

    pub(crate) fn opened(&mut self, node: NodeIndex, link: LinkId) {
        let Some(end) = self.ends.get(&link) else {
            return;
        };
        let input = Input::Opened {
            link,
            service: end.service,
            direction: end.direction,
            identity: Box::new(end.identity_of_other.clone()),
            binding: end.binding,
        };
        // before any message on this connection
        self.next_urgent += 1;
        let (life, what) = (self.life(node), input);
        let flight = Flight {
            to: node,
            life,
            what,
        };
        self.flights.insert((self.millis, self.next_urgent), flight);
    }

    /// A node's process says this on its only connection, whatever its engine thinks of it.
    pub fn interject(&mut self, node: NodeIndex, message: Message) {
        let link = self.ends.iter().find(|(_, end)| end.node == node);
        let link = link.map(|(link, _)| *link).expect("a connection");
        self.transmit(link, message);
    }

    pub(crate) fn transmit(&mut self, link: LinkId, message: Message) {
        let Some(end) = self.ends.get(&link) else {
            return;
        };
        let other = end.other;
        self.messages += 1;
        if self.chance(self.faults.cut) {
            return self.break_both(link);
        }
        let input = Input::Message {
            link: other,
            message,
        };
        self.send_over(link, input);
    }

    /// Sends to the other end, in order.
    pub(crate) fn send_over(&mut self, link: LinkId, what: Input) {
        let delay = 1 + Node::below(&mut self.rng, MAX_DELAY) + self.slowness;
        if self.ends.get(&link).is_some_and(|end| self.swallows(end)) {
            let what = Box::new(what);
            return self.held.push(Held::Sent { link, what });
        }
        let Some(end) = self.ends.get_mut(&link) else {
            return;
        };
        let at = (self.millis + delay).max(end.last_arrival);
        end.last_arrival = at;
        let to = end.other_node;
        self.fly_at(to, at, what);
    }

    pub(crate) fn close(&mut self, link: LinkId, code: ErrorCode) {
        let Some(end) = self.ends.remove(&link) else {
            return;
        };
        let reason = CloseReason::Own(code);
        let dialled = dialled(&end);
        let own = Input::Closed {
            link,
            service: end.service,
            dialled,
            reason,
        };
        self.fly(end.node, 0, own);
        self.cut_other(end);
    }

    /// This end is gone without a word; the other sees the connection break.
    pub(crate) fn cut(&mut self, link: LinkId) {
        if let Some(end) = self.ends.remove(&link) {
            self.cut_other(end);
        }
    }

    pub(crate) fn cut_other(&mut self, end: End) {
        if self.swallows(&end) {
            return self.held.push(Held::Gone(Box::new(end)));
        }
        if let Some(other) = self.ends.remove(&end.other) {
            let input = Input::Closed {
                link: end.other,
                service: other.service,
                dialled: dialled(&other),
                reason: CloseReason::Truncated,
            };
            // after everything that was sent before
            let at = end.last_arrival.max(self.millis + 1);
            self.fly_at(other.node, at, input);
        }
    }

    pub(crate) fn break_both(&mut self, link: LinkId) {
        let Some(end) = self.ends.get(&link) else {
            return;
        };
        let (node, dialled) = (end.node, dialled(end));
        let input = Input::Closed {
            link,
            service: end.service,
            dialled,
            reason: CloseReason::Truncated,
        };
        self.fly(node, 1, input);
        self.cut(link);
    }
}

fn dialled(end: &End) -> Option<sremp_core::id::ContactId> {
    // the end of an open connection is no failed dial
    (end.direction == Direction::Outbound && !end.admitted).then(|| end.identity_of_other.id())
}
