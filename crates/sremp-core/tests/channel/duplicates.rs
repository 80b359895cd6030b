//! Protocol 11, case 13: both dial at once, one link stays and nothing is lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand_chacha::{ChaCha12Rng, rand_core::Rng as _};
use sremp_core::{
    channel::{Channel, Direction, DuplicateVerdict, Event, P2pMessage, judge_duplicate},
    error::ErrorCode,
    id::{ContactId, EnvelopeId},
    time::Tick,
};

use crate::world::{accept, drain, initiate, rng, secret};

/// A person with links to one other.
struct Person {
    id: ContactId,
    peer: ContactId,
    links: BTreeMap<usize, (Channel, Direction, Tick)>,
    current: Option<usize>,
    /// Envelopes without an answer: sent again on every link that becomes current.
    waiting: BTreeMap<EnvelopeId, Vec<u8>>,
    received: BTreeSet<EnvelopeId>,
}

impl Person {
    fn new(own: u8, peer: u8) -> Self {
        let envelopes = (0..3u8).map(|n| vec![own, n, 0xee]);
        Self {
            id: secret(own).id(),
            peer: secret(peer).id(),
            links: BTreeMap::new(),
            current: None,
            waiting: envelopes.map(|e| (EnvelopeId::of(&e), e)).collect(),
            received: BTreeSet::new(),
        }
    }

    fn handle(&mut self, link: usize, event: Event, now: Tick) {
        match event {
            Event::Shown { .. } => self
                .channel(link)
                .handle_admission(now, sremp_core::channel::Admission::Accept),
            Event::Opened { peer } => {
                assert_eq!(peer.id(), self.peer);
                self.opened(link, now);
            }
            Event::Message(message) => match P2pMessage::decode(&message).unwrap() {
                P2pMessage::Envelope(envelope) => {
                    let id = EnvelopeId::of(&envelope);
                    self.received.insert(id);
                    let answer = P2pMessage::EnvelopeOk(id).to_message(message.req_id);
                    // the link may be closing: the sender will send again on the other
                    let _ = self.channel(link).send(&answer);
                }
                P2pMessage::EnvelopeOk(id) => {
                    self.waiting.remove(&id);
                }
                other => panic!("{other:?}"),
            },
            Event::Pong => {}
            Event::Closed(_) => {
                if self.current == Some(link) {
                    self.current = None;
                }
            }
        }
    }

    fn channel(&mut self, link: usize) -> &mut Channel {
        &mut self.links.get_mut(&link).unwrap().0
    }

    fn opened(&mut self, new: usize, now: Tick) {
        self.links.get_mut(&new).unwrap().2 = now;
        if let Some(existing) = self.current {
            let (_, direction, since) = &self.links[&existing];
            let verdict = judge_duplicate(
                &self.id,
                &self.peer,
                *direction,
                now.since(*since),
                self.links[&new].1,
            );
            match verdict {
                DuplicateVerdict::KeepNew => {
                    self.channel(existing).close(now, ErrorCode::Duplicate);
                }
                DuplicateVerdict::KeepExisting => {
                    self.channel(new).close(now, ErrorCode::Duplicate);
                    return;
                }
                DuplicateVerdict::ProbeExisting => panic!("none is old"),
            }
        }
        self.current = Some(new);
        for (n, envelope) in self.waiting.clone().into_values().enumerate() {
            let message = P2pMessage::Envelope(envelope).to_message(n as u32);
            self.channel(new).send(&message).unwrap();
        }
    }
}

/// Bytes on their way: when they arrive, on which link, at whom.
type Wire = BTreeMap<(u64, usize), VecDeque<(usize, usize, Vec<u8>)>>;

struct World {
    people: [Person; 2],
    wire: Wire,
    order: usize,
    /// Per link and receiver: bytes of one stream do not overtake each other.
    last: BTreeMap<(usize, usize), u64>,
    rng: ChaCha12Rng,
}

impl World {
    fn below(&mut self, n: u64) -> u64 {
        self.rng.next_u64() % n
    }

    fn send(&mut self, link: usize, to: usize, bytes: Vec<u8>, now: u64) {
        let delay = self.below(300);
        let last = self.last.entry((link, to)).or_default();
        *last = (now + delay).max(*last);
        let at = *last;
        self.order += 1;
        let queue = self.wire.entry((at, self.order)).or_default();
        queue.push_back((link, to, bytes));
    }

    /// Lets everybody say what there is to say.
    fn settle(&mut self, now: u64) {
        loop {
            let mut idle = true;
            for who in 0..2 {
                let links: Vec<usize> = self.people[who].links.keys().copied().collect();
                for link in links {
                    while let Some(event) = self.people[who].channel(link).poll_event() {
                        idle = false;
                        self.people[who].handle(link, event, Tick::new(now));
                    }
                    let bytes = drain(self.people[who].channel(link), Tick::new(now));
                    if !bytes.is_empty() {
                        idle = false;
                        self.send(link, 1 - who, bytes, now);
                    }
                }
            }
            if idle {
                return;
            }
        }
    }

    fn run(&mut self) {
        // link 0 is dialled by person 0, link 1 by person 1, each at a random time
        let starts = [self.below(400), self.below(400)];
        let mut starts: Vec<(u64, usize)> = starts.into_iter().zip(0..2).collect();
        starts.sort_unstable();
        let mut starts = VecDeque::from(starts);
        loop {
            let arrival = self.wire.first_key_value().map(|((at, _), _)| *at);
            let start = starts.front().map(|(at, _)| *at);
            let now = match (arrival, start) {
                (None, None) => return,
                (a, s) => a.into_iter().chain(s).min().unwrap(),
            };
            if start == Some(now) {
                let (_, who) = starts.pop_front().unwrap();
                self.dial(who, now);
            } else {
                let (_, deliveries) = self.wire.pop_first().unwrap();
                for (link, to, bytes) in deliveries {
                    self.people[to]
                        .channel(link)
                        .handle_bytes(Tick::new(now), &bytes);
                }
            }
            self.settle(now);
        }
    }

    fn dial(&mut self, who: usize, now: u64) {
        let own = who as u8 + 1;
        let peer = secret(2 - who as u8);
        let pinned = (self.below(2) == 0).then_some(peer.identity().noise_key());
        let channel = initiate(own, Some(peer.id()), pinned);
        let at = Tick::new(now);
        let outbound = (channel, Direction::Outbound, at);
        self.people[who].links.insert(who, outbound);
        let inbound = (accept(2 - who as u8), Direction::Inbound, at);
        self.people[1 - who].links.insert(who, inbound);
    }
}

#[test]
fn case_13_two_that_dial_each_other_keep_the_same_one_link_and_lose_nothing() {
    for seed in 0..1000 {
        let mut world = World {
            people: [Person::new(1, 2), Person::new(2, 1)],
            wire: Wire::new(),
            order: 0,
            last: BTreeMap::new(),
            rng: rng(seed),
        };
        world.run();
        let [one, two] = &world.people;
        // the smaller key dials
        let kept = usize::from(two.id < one.id);
        assert_eq!(one.current, Some(kept), "seed {seed}");
        assert_eq!(two.current, Some(kept), "seed {seed}");
        for (person, other) in [(one, two), (two, one)] {
            let open = person.links.values().filter(|l| l.0.peer().is_some());
            assert_eq!(open.count(), 1, "seed {seed}");
            assert!(person.waiting.is_empty(), "seed {seed}: something was lost");
            assert_eq!(person.received.len(), 3, "seed {seed}");
            assert!(other.received.len() == 3);
        }
    }
}

#[test]
fn an_old_link_that_would_be_kept_is_probed_and_a_second_dial_of_one_side_wins() {
    use std::time::Duration;
    let (a, b) = (secret(1).id(), secret(2).id());
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    let (out, inn) = (Direction::Outbound, Direction::Inbound);
    let young = Duration::from_secs(30);
    let old = Duration::from_secs(31);
    for (own, peer, existing, age, new, verdict) in [
        (
            small,
            large,
            out,
            young,
            inn,
            DuplicateVerdict::KeepExisting,
        ),
        (small, large, out, old, inn, DuplicateVerdict::ProbeExisting),
        (small, large, inn, old, out, DuplicateVerdict::KeepNew),
        (
            large,
            small,
            inn,
            young,
            out,
            DuplicateVerdict::KeepExisting,
        ),
        (large, small, inn, old, out, DuplicateVerdict::ProbeExisting),
        (large, small, out, young, inn, DuplicateVerdict::KeepNew),
        (small, large, out, old, out, DuplicateVerdict::KeepNew),
        (small, large, inn, young, inn, DuplicateVerdict::KeepNew),
    ] {
        assert_eq!(judge_duplicate(&own, &peer, existing, age, new), verdict);
    }
}
