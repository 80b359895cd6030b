//! The network between the nodes: connections with delays, cut at will.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use sremp_client::{
    config::Config,
    engine::{Input, Now, Output},
};
use sremp_core::{
    channel::{Admission, Direction, HandshakeHash, Message, Service},
    contact_card::Endpoint,
    error::ErrorCode,
    identity::Identity,
    time::{Tick, UnixMillis},
};
use sremp_net::{CloseReason, DialTarget, LinkId};

use crate::{Node, Relay};

/// What may go wrong, in chances of a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A message's connection breaks instead of delivering it.
    pub cut: u64,
    /// A node dies before its step is committed.
    pub die_before_commit: u64,
    /// A node dies after its step is committed, between two of its outputs.
    pub die_after_commit: u64,
}

/// Longest delay of a message in milliseconds.
const MAX_DELAY: u64 = 200;
/// When the world begins.
const BEGIN: u64 = 1_760_000_000_000;

/// A person, or from [`RELAYS`] on a relay.
pub(crate) type NodeIndex = usize;
/// The number of the first relay.
pub(crate) const RELAYS: NodeIndex = 1_000;

/// Something on its way.
struct Flight {
    to: NodeIndex,
    /// The node's life for which it is meant; a restarted node is another.
    life: u64,
    what: Input,
}

/// One node's end of a connection.
struct End {
    other: LinkId,
    other_node: NodeIndex,
    node: NodeIndex,
    direction: Direction,
    service: Service,
    binding: HandshakeHash,
    identity_of_other: Identity,
    /// When the last thing sent from here arrives: order is kept.
    last_arrival: u64,
    admitted: bool,
}

/// Nodes, connections and time.
pub struct World {
    /// Printed by every failure.
    pub seed: u64,
    /// What may go wrong from now on.
    pub faults: Faults,
    pub(crate) rng: ChaCha20Rng,
    /// The calendar at the world's beginning, in Unix milliseconds.
    begin: u64,
    millis: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) relays: Vec<Relay>,
    lives: BTreeMap<NodeIndex, u64>,
    pub(crate) unreachable: BTreeSet<NodeIndex>,
    flights: BTreeMap<(u64, u64), Flight>,
    ends: BTreeMap<LinkId, End>,
    next_link: u64,
    dials: u64,
    next_urgent: u64,
    next_flight: u64,
    deadlines: BinaryHeap<Reverse<(u64, NodeIndex)>>,
}

impl World {
    /// An empty world.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            faults: Faults::default(),
            rng: ChaCha20Rng::seed_from_u64(seed),
            begin: BEGIN,
            millis: 0,
            nodes: Vec::new(),
            relays: Vec::new(),
            lives: BTreeMap::new(),
            unreachable: BTreeSet::new(),
            flights: BTreeMap::new(),
            ends: BTreeMap::new(),
            next_link: 0,
            dials: 0,
            next_urgent: 0,
            next_flight: 1 << 32,
            deadlines: BinaryHeap::new(),
        }
    }

    /// The time by both clocks.
    pub fn now(&self) -> Now {
        Now {
            wall: UnixMillis::saturating(self.begin + self.millis),
            tick: Tick::new(self.millis),
        }
    }

    /// A new person.
    pub fn join(&mut self, name: &str) -> NodeIndex {
        self.join_with(name, |_| ())
    }

    /// A new person with settings of one's own.
    pub fn join_with(&mut self, name: &str, set: impl FnOnce(&mut Config)) -> NodeIndex {
        let now = self.now();
        self.nodes.push(Node::new(name, set, now, &mut self.rng));
        let index = self.nodes.len() - 1;
        self.schedule(index);
        index
    }

    /// Sets every calendar, backwards or forwards by milliseconds; stopwatches go on.
    pub fn turn_calendars(&mut self, by: i64) {
        self.begin = self.begin.saturating_add_signed(by);
    }

    /// Dials so far, of all nodes.
    pub fn dials(&self) -> u64 {
        self.dials
    }

    /// A node's process dies and starts again.
    pub fn restart(&mut self, node: NodeIndex) {
        *self.lives.entry(node).or_default() += 1;
        self.flights.retain(|_, flight| flight.to != node);
        let links: Vec<_> = self.ends.iter().filter(|(_, e)| e.node == node).collect();
        let links: Vec<_> = links.into_iter().map(|(link, _)| *link).collect();
        for link in links {
            self.cut(link);
        }
        let now = self.now();
        if let Some(relay) = node.checked_sub(RELAYS) {
            return self.relays[relay].restart();
        }
        self.nodes[node].restart(now, &mut self.rng);
        self.schedule(node);
    }

    /// From now on nobody reaches this node, or it is reachable again.
    pub fn set_reachable(&mut self, node: NodeIndex, reachable: bool) {
        if reachable {
            self.unreachable.remove(&node);
            return;
        }
        self.unreachable.insert(node);
        let of_node = |(_, e): &(&LinkId, &End)| e.node == node;
        let links: Vec<_> = self.ends.iter().filter(of_node).map(|(l, _)| *l).collect();
        for link in links {
            self.break_both(link);
        }
    }

    /// Lets time pass until nothing is under way and no deadline is due within `millis`.
    pub fn run(&mut self, millis: u64) {
        let end = self.millis + millis;
        loop {
            let flight = self.flights.keys().next().map(|(at, _)| *at);
            let deadline = self.deadlines.peek().map(|Reverse((at, _))| *at);
            let next = flight.into_iter().chain(deadline).min();
            let Some(next) = next.filter(|at| *at <= end) else {
                break;
            };
            self.millis = self.millis.max(next);
            self.hand_confirmations_over();
            if flight == Some(next) {
                self.arrive();
            } else if let Some(Reverse((_, node))) = self.deadlines.pop() {
                self.give(node, Input::Deadline);
            }
        }
        self.millis = end;
    }

    fn arrive(&mut self) {
        let Some((_, flight)) = self.flights.pop_first() else {
            return;
        };
        if self.life(flight.to) != flight.life {
            return;
        }
        self.give(flight.to, flight.what);
    }

    /// One step of a node, with the faults of the world.
    pub(crate) fn give(&mut self, node: NodeIndex, input: Input) {
        if let Some(relay) = node.checked_sub(RELAYS) {
            return self.give_relay(relay, input);
        }
        if self.chance(self.faults.die_before_commit) {
            let now = self.now();
            self.nodes[node].step_without_commit(input, now, &mut self.rng);
            return self.restart(node);
        }
        let now = self.now();
        let outputs = self.nodes[node].step(input, now, &mut self.rng);
        let kept = match self.chance(self.faults.die_after_commit) {
            true => Some(Node::below(&mut self.rng, outputs.len() as u64 + 1)),
            false => None,
        };
        for (n, output) in outputs.into_iter().enumerate() {
            if kept == Some(n as u64) {
                break;
            }
            self.perform(node, output);
        }
        match kept {
            Some(_) => self.restart(node),
            None => self.schedule(node),
        }
    }

    fn schedule(&mut self, node: NodeIndex) {
        let at = self.nodes[node].engine.deadline().get();
        let known = |Reverse((a, n)): &Reverse<(u64, NodeIndex)>| (*a, *n) == (at, node);
        if !self.deadlines.iter().any(known) {
            self.deadlines
                .push(Reverse((at.max(self.millis + 1), node)));
        }
    }

    fn perform(&mut self, node: NodeIndex, output: Output) {
        match output {
            Output::Reply { ticket, result } => {
                self.nodes[node].replies.insert(ticket, *result);
            }
            Output::Dial(target) => self.dial(node, &target),
            Output::Admit { link, admission } => self.admit(link, admission),
            Output::Send { link, message } => self.transmit(link, message),
            Output::Probe(link) => {
                if self.ends.contains_key(&link) {
                    self.fly(node, MAX_DELAY, Input::Pong(link));
                }
            }
            Output::Close { link, code } => self.close(link, code),
            Output::IdentityChanged | Output::Stop => {}
        }
    }

    fn dial(&mut self, node: NodeIndex, target: &DialTarget) {
        self.dials += 1;
        let link = self.new_link();
        let hosts = || target.endpoints.iter().map(Endpoint::host);
        let called = match target.service {
            Service::Relay => {
                let relays = self.relays.iter();
                let mut names = relays.map(|r| &r.name);
                let found = names.position(|n| hosts().any(|host| host == n));
                found.map(|at| at + RELAYS)
            }
            _ => {
                let mut names = self.nodes.iter().map(|n| &n.name);
                names.position(|n| hosts().any(|host| host == n))
            }
        };
        let blocked = |n: &NodeIndex| self.unreachable.contains(n);
        let called = called.filter(|n| !blocked(n) && !blocked(&node));
        let Some(called) = called else {
            let input = Input::Closed {
                link,
                service: target.service,
                dialled: target.expected,
                reason: CloseReason::Local(ErrorCode::Timeout),
            };
            return self.fly(node, MAX_DELAY, input);
        };
        let other = self.new_link();
        let caller_identity = self.nodes[node].engine.own().identity().clone();
        let called_identity = match called.checked_sub(RELAYS) {
            Some(relay) => self.relays[relay].identity.identity().clone(),
            None => self.nodes[called].engine.own().identity().clone(),
        };
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

    /// The responder lets the caller in, then shows itself; then the caller decides.
    pub(crate) fn admit(&mut self, link: LinkId, admission: Admission) {
        let Some(end) = self.ends.get_mut(&link) else {
            return;
        };
        if admission != Admission::Accept {
            return self.close(link, ErrorCode::Refused);
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

    fn opened(&mut self, node: NodeIndex, link: LinkId) {
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

    pub(crate) fn transmit(&mut self, link: LinkId, message: Message) {
        let Some(end) = self.ends.get(&link) else {
            return;
        };
        let other = end.other;
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
    fn send_over(&mut self, link: LinkId, what: Input) {
        let delay = 1 + Node::below(&mut self.rng, MAX_DELAY);
        let Some(end) = self.ends.get_mut(&link) else {
            return;
        };
        let at = (self.millis + delay).max(end.last_arrival);
        end.last_arrival = at;
        let to = end.other_node;
        self.fly_at(to, at, what);
    }

    fn close(&mut self, link: LinkId, code: ErrorCode) {
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
        self.cut_other(&end);
    }

    /// This end is gone without a word; the other sees the connection break.
    fn cut(&mut self, link: LinkId) {
        if let Some(end) = self.ends.remove(&link) {
            self.cut_other(&end);
        }
    }

    fn cut_other(&mut self, end: &End) {
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

    fn break_both(&mut self, link: LinkId) {
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

    fn fly(&mut self, to: NodeIndex, delay: u64, what: Input) {
        self.fly_at(to, self.millis + delay, what);
    }

    fn fly_at(&mut self, to: NodeIndex, at: u64, what: Input) {
        self.next_flight += 1;
        let life = self.life(to);
        self.flights
            .insert((at, self.next_flight), Flight { to, life, what });
    }

    fn life(&self, node: NodeIndex) -> u64 {
        self.lives.get(&node).copied().unwrap_or(0)
    }

    fn new_link(&mut self) -> LinkId {
        self.next_link += 1;
        LinkId::simulated(self.next_link)
    }

    pub(crate) fn chance(&mut self, of_a_thousand: u64) -> bool {
        of_a_thousand > 0 && Node::below(&mut self.rng, 1_000) < of_a_thousand
    }
}

fn dialled(end: &End) -> Option<sremp_core::id::ContactId> {
    (end.direction == Direction::Outbound).then(|| end.identity_of_other.id())
}
