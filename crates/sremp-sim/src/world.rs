//! The network between the nodes: connections with delays, cut at will.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use sremp_client::{
    config::Config,
    engine::{Input, Mode, Now, Output, Ticket},
    store::StoreError,
    view::CommandError,
};
use sremp_core::time::{Tick, UnixMillis};
use sremp_net::{LinkId, bootstrap::DomainServer};

use crate::{
    Node, Relay, Rendezvous,
    alone::BEGIN,
    connections::{End, Held},
};

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
pub(crate) const MAX_DELAY: u64 = 200;
/// A person, or from [`RELAYS`] on a relay.
pub(crate) type NodeIndex = usize;
/// The number of the first relay.
pub(crate) const RELAYS: NodeIndex = 1_000;

/// Something on its way.
pub(crate) struct Flight {
    pub(crate) to: NodeIndex,
    /// The node's life for which it is meant; a restarted node is another.
    pub(crate) life: u64,
    pub(crate) what: Input,
}

/// Nodes, connections and time.
pub struct World {
    /// Printed by every failure.
    pub seed: u64,
    /// What may go wrong from now on.
    pub faults: Faults,
    /// What every message takes from now on, in milliseconds, beside its delay.
    pub slowness: u64,
    pub(crate) rng: ChaCha20Rng,
    /// The calendar at the world's beginning, in Unix milliseconds.
    begin: u64,
    pub(crate) millis: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) relays: Vec<Relay>,
    pub(crate) rendezvous: Vec<Rendezvous>,
    lives: BTreeMap<NodeIndex, u64>,
    /// How much each node's calendar is ahead of the world's, in milliseconds.
    ahead: Vec<i64>,
    pub(crate) unreachable: BTreeSet<NodeIndex>,
    /// Nodes whose network swallows everything, and since when.
    pub(crate) silent: BTreeMap<NodeIndex, u64>,
    pub(crate) held: Vec<Held>,
    pub(crate) private: BTreeSet<NodeIndex>,
    pub(crate) routed: BTreeSet<NodeIndex>,
    /// How often a node has moved to another network.
    pub(crate) walked: BTreeMap<NodeIndex, u8>,
    pub(crate) domains: BTreeMap<String, Vec<DomainServer>>,
    gone: BTreeSet<NodeIndex>,
    spins: BTreeMap<NodeIndex, u32>,
    pub(crate) flights: BTreeMap<(u64, u64), Flight>,
    pub(crate) ends: BTreeMap<LinkId, End>,
    next_link: u64,
    pub(crate) dials: u64,
    pub(crate) calls: BTreeMap<NodeIndex, u64>,
    pub(crate) messages: u64,
    refused_by_disks: u64,
    pub(crate) next_urgent: u64,
    next_flight: u64,
    /// When each node is to be woken: as in the client's shell, only the last word of its engine holds.
    deadlines: BTreeMap<NodeIndex, u64>,
}

impl World {
    /// An empty world.
    pub fn new(seed: u64) -> Self {
        // the last one that a failed test has printed is the one that failed
        println!("a world of seed {seed}");
        Self {
            seed,
            faults: Faults::default(),
            slowness: 0,
            rng: ChaCha20Rng::seed_from_u64(seed),
            begin: BEGIN,
            millis: 0,
            nodes: Vec::new(),
            relays: Vec::new(),
            rendezvous: Vec::new(),
            lives: BTreeMap::new(),
            ahead: Vec::new(),
            unreachable: BTreeSet::new(),
            silent: BTreeMap::new(),
            held: Vec::new(),
            private: BTreeSet::new(),
            routed: BTreeSet::new(),
            walked: BTreeMap::new(),
            domains: BTreeMap::new(),
            gone: BTreeSet::new(),
            spins: BTreeMap::new(),
            flights: BTreeMap::new(),
            ends: BTreeMap::new(),
            next_link: 0,
            dials: 0,
            calls: BTreeMap::new(),
            messages: 0,
            refused_by_disks: 0,
            next_urgent: 0,
            next_flight: 1 << 32,
            deadlines: BTreeMap::new(),
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
        self.ahead.push(0);
        let index = self.nodes.len() - 1;
        self.schedule(index);
        index
    }

    /// A screen of a node, made of a backup of now, that does not listen.
    pub fn screen_of(&mut self, node: NodeIndex, name: &str) -> NodeIndex {
        let home = &self.nodes[node];
        let places = [format!("{}:4000", home.name)];
        let config = home.config.clone();
        let mut store = home.store.copy().expect("memory holds a copy");
        store.strip("").expect("a backup");
        let rng = &mut self.rng;
        let made = store.transaction(|tx| tx.become_screen(&places, rng));
        let made: Result<bool, StoreError> = made;
        assert_eq!(made, Ok(true), "seed {}", self.seed);
        let now = self.now();
        let screen = Node::of_store(name, store, config, now, &mut self.rng);
        self.nodes.push(screen);
        self.ahead.push(0);
        let index = self.nodes.len() - 1;
        self.schedule(index);
        index
    }

    /// Sets every calendar, backwards or forwards by milliseconds; stopwatches go on.
    pub fn turn_calendars(&mut self, by: i64) {
        self.begin = self.begin.saturating_add_signed(by);
    }

    /// Sets the calendar of one node, backwards or forwards by milliseconds.
    pub fn turn_calendar_of(&mut self, node: NodeIndex, by: i64) {
        self.ahead[node] += by;
    }

    fn now_of(&self, node: NodeIndex) -> Now {
        let wall = (self.begin + self.millis).saturating_add_signed(self.ahead[node]);
        Now {
            wall: UnixMillis::saturating(wall),
            ..self.now()
        }
    }

    /// A node, to look at it or to change what is on its disk.
    pub fn node(&mut self, node: NodeIndex) -> &mut Node {
        &mut self.nodes[node]
    }

    /// Steps so far that found their disk full.
    pub fn refused_by_disks(&self) -> u64 {
        self.refused_by_disks
    }

    /// Messages so far that set out from one node to another.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Dials so far, of all nodes.
    pub fn dials(&self) -> u64 {
        self.dials
    }

    /// Dials so far of one node for people, not relays.
    pub fn calls(&self, node: NodeIndex) -> u64 {
        self.calls.get(&node).copied().unwrap_or(0)
    }

    /// A node's process dies and starts again; one that had left is back.
    pub fn restart(&mut self, node: NodeIndex) {
        *self.lives.entry(node).or_default() += 1;
        self.flights.retain(|_, flight| flight.to != node);
        let links: Vec<_> = self.ends.iter().filter(|(_, e)| e.node == node).collect();
        let links: Vec<_> = links.into_iter().map(|(link, _)| *link).collect();
        for link in links {
            self.cut(link);
        }
        if let Some(relay) = node.checked_sub(RELAYS) {
            return self.relays[relay].restart();
        }
        self.gone.remove(&node);
        self.disconnect_server(node, None);
        let now = self.now_of(node);
        self.nodes[node].restart(now, &mut self.rng);
        self.schedule(node);
    }

    /// A node starts again with other settings.
    pub fn configure(&mut self, node: NodeIndex, set: impl FnOnce(&mut Config)) {
        set(&mut self.nodes[node].config);
        self.restart(node);
    }

    /// A node's process ends, and a verb looks into its home without the network.
    pub fn look_into(&mut self, node: NodeIndex) {
        self.nodes[node].mode = Mode::Offline;
        self.restart(node);
    }

    /// A node's process ends in good order, and is not there any more.
    pub fn leave(&mut self, node: NodeIndex) {
        let now = self.now_of(node).wall;
        let outputs = self.nodes[node].farewell(now);
        for output in outputs {
            self.perform(node, output);
        }
        self.set_reachable(node, false);
        self.disconnect_server(node, None);
        self.flights.retain(|_, flight| flight.to != node);
        *self.lives.entry(node).or_default() += 1;
        self.gone.insert(node);
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

    /// A node's host gets another address.
    pub fn change_network(&mut self, node: NodeIndex) {
        self.give(node, Input::NetworkChanged);
    }

    /// A node starts again and says that it is reached here.
    pub fn advertise(&mut self, node: NodeIndex, endpoint: &str) {
        self.nodes[node].config.advertise = Some(endpoint.to_owned());
        self.restart(node);
    }

    /// From now on this node has an address of a private network.
    pub fn set_private(&mut self, node: NodeIndex) {
        self.private.insert(node);
    }

    /// Lets time pass until nothing is under way and no deadline is due within `millis`.
    pub fn run(&mut self, millis: u64) {
        let end = self.millis + millis;
        loop {
            let flight = self.flights.keys().next().map(|(at, _)| *at);
            let due = self.deadlines.iter().map(|(node, at)| (*at, *node)).min();
            let next = flight.into_iter().chain(due.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|at| *at <= end) else {
                break;
            };
            self.millis = self.millis.max(next);
            self.hand_confirmations_over();
            if flight == Some(next) {
                self.arrive();
            } else if let Some((_, node)) = due {
                self.deadlines.remove(&node);
                if !self.gone.contains(&node) {
                    self.mind_mailbox(node);
                    self.give(node, Input::Deadline);
                    self.rests(node);
                }
            }
        }
        self.millis = end;
    }

    /// A client that wants to go on at once, again and again, does nothing else.
    fn rests(&mut self, node: NodeIndex) {
        let now = self.now_of(node).tick;
        let spins = self.spins.entry(node).or_default();
        *spins = match self.nodes[node].engine.deadline() <= now {
            true => *spins + 1,
            false => 0,
        };
        assert!(
            *spins < 20,
            "seed {}: {} spins",
            self.seed,
            self.nodes[node].name
        );
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
            let now = self.now_of(node);
            self.nodes[node].step_without_commit(input, now, &mut self.rng);
            return self.restart(node);
        }
        let now = self.now_of(node);
        let asked = match &input {
            Input::Command { ticket, .. } => Some(*ticket),
            _ => None,
        };
        let outputs = match self.nodes[node].try_step(input, now, &mut self.rng) {
            Ok(outputs) => outputs,
            Err(StoreError::Full) => return self.find_disk_full(node, asked),
            Err(error) => panic!("seed {}: {}: {error}", self.seed, self.nodes[node].name),
        };
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

    /// As the client's shell does: nothing of the step holds, connections are closed, and the engine
    /// starts again after a rest.
    fn find_disk_full(&mut self, node: NodeIndex, asked: Option<Ticket>) {
        self.refused_by_disks += 1;
        if let Some(ticket) = asked {
            let refusal = CommandError::from(StoreError::Full);
            self.nodes[node].replies.insert(ticket, Err(refusal));
        }
        self.restart(node);
        let now = self.now_of(node);
        self.nodes[node].engine.postpone(now);
        if let Some(mailbox) = &mut self.nodes[node].mailbox {
            mailbox.begin_anew(now.tick);
        }
        self.schedule(node);
    }

    pub(crate) fn schedule(&mut self, node: NodeIndex) {
        let at = self.nodes[node].deadline();
        self.deadlines.insert(node, at.max(self.millis + 1));
    }

    /// What an earlier life has left in a node's mailbox is read before anything that comes now.
    fn mind_mailbox(&mut self, node: NodeIndex) {
        let now = self.now_of(node);
        let mailbox = self.nodes[node].mailbox.as_mut();
        let left = mailbox.map(|mailbox| mailbox.due(now)).unwrap_or_default();
        self.nodes[node].left_in_mailbox += left.len() as u64;
        left.into_iter().for_each(|input| self.fly(node, 0, input));
    }

    fn perform(&mut self, node: NodeIndex, output: Output) {
        let now = self.now_of(node);
        let output = match self.nodes[node].keep(output, now) {
            Ok(kept) => return kept.into_iter().for_each(|input| self.fly(node, 0, input)),
            Err(output) => output,
        };
        match output {
            Output::Reply { ticket, result } => {
                self.nodes[node].replies.insert(ticket, *result);
            }
            Output::Dial(target) => self.dial(node, &target),
            Output::Admit { link, admission } => self.admit(link, admission),
            Output::Send { link, message } => self.transmit(link, message),
            Output::Probe(link) => self.probe(link),
            Output::Close { link, code } => self.close(link, code),
            Output::Connect(target) => self.connect_server(node, &target),
            Output::Ask { link, message } => self.ask_server(node, link, &message),
            Output::Disconnect(link) => self.disconnect_server(node, Some(link)),
            Output::Resolve(domain) => self.resolve(node, domain),
            Output::IdentityChanged | Output::Stop => {}
            Output::Keep(_) | Output::Discard(_) => {
                panic!("seed {}: there is no mailbox", self.seed)
            }
        }
    }

    pub(crate) fn fly(&mut self, to: NodeIndex, delay: u64, what: Input) {
        self.fly_at(to, self.millis + delay, what);
    }

    pub(crate) fn fly_at(&mut self, to: NodeIndex, at: u64, what: Input) {
        self.next_flight += 1;
        let life = self.life(to);
        self.flights
            .insert((at, self.next_flight), Flight { to, life, what });
    }

    pub(crate) fn life(&self, node: NodeIndex) -> u64 {
        self.lives.get(&node).copied().unwrap_or(0)
    }

    pub(crate) fn new_link(&mut self) -> LinkId {
        self.next_link += 1;
        LinkId::simulated(self.next_link)
    }

    pub(crate) fn chance(&mut self, of_a_thousand: u64) -> bool {
        of_a_thousand > 0 && Node::below(&mut self.rng, 1_000) < of_a_thousand
    }
}
