//! What servers believe of each other.

use std::collections::BTreeSet;

use rand_chacha::{ChaCha12Rng, rand_core::SeedableRng as _};
use sremp_core::{
    id::ContactId,
    rendezvous::{
        Gossip, NotKept, OtherServer, RendezvousLink, ServerRecord, ServerRecordDraft, SpkiHash,
        Told,
    },
    time::{Tick, UnixMillis},
};

use super::world::*;

const EVERY: std::time::Duration = std::time::Duration::from_secs(1_800);
const AT: &str = "rdv.example:443";

fn link(seed: u16) -> RendezvousLink {
    RendezvousLink {
        server: person(seed).id(),
        endpoint: AT.parse().unwrap(),
        spki: None,
    }
}

struct World {
    gossip: Gossip,
    rng: ChaCha12Rng,
    tick: Tick,
}

impl World {
    fn new(links: &[RendezvousLink]) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(9);
        let gossip = Gossip::new(person(1).id(), links, EVERY, false, Tick::new(0), &mut rng);
        Self {
            gossip,
            rng,
            tick: Tick::new(0),
        }
    }

    fn now(&self) -> UnixMillis {
        NOW.plus(self.tick.since(Tick::new(0)))
    }

    fn goes_on(&mut self, by: std::time::Duration) {
        self.tick = self.tick.plus(by);
    }

    fn hears(&mut self, peer: u16, list: Vec<ServerRecord>) -> Result<Told, OtherServer> {
        let now = (self.tick, self.now());
        let peer = person(peer).id();
        self.gossip.handle_list(&peer, list, now, &mut self.rng)
    }

    fn fails(&mut self, peer: u16) -> u32 {
        let peer = person(peer).id();
        self.gossip.handle_failure(&peer, self.tick, &mut self.rng)
    }

    fn named(&self) -> Vec<ContactId> {
        let now = (self.tick, self.now());
        self.gossip.named(now).map(ServerRecord::server).collect()
    }

    /// Seconds until somebody is asked.
    fn pause(&mut self) -> u64 {
        let due = self.gossip.next_due().unwrap();
        let pause = due.since(self.tick).as_secs();
        self.tick = due;
        assert!(self.gossip.poll_due(due).is_some());
        assert!(self.gossip.poll_due(due).is_none(), "it is asked");
        pause
    }
}

fn kept(kept: usize, refused: usize) -> Result<Told, OtherServer> {
    Ok(Told { kept, refused })
}

#[test]
fn peers_that_answer_are_named_before_those_of_whom_they_told() {
    let mut world = World::new(&[link(2), link(3)]);
    assert_eq!(world.named(), []);
    let of = |seed| server_record(seed, AT, NOW);
    let list = vec![of(2), of(5), of(1), of(3)];
    assert_eq!(world.hears(2, list), kept(2, 0));
    assert_eq!(world.named(), [person(2).id(), person(5).id()]);
    assert_eq!(world.hears(3, vec![of(3)]), kept(1, 0));
    assert_eq!(
        world.named(),
        [person(2).id(), person(3).id(), person(5).id()]
    );
}

#[test]
fn whoever_is_dead_is_not_named_after_three_exchanges_and_asked_ever_less() {
    let mut world = World::new(&[link(2)]);
    assert!(world.pause() <= 10);
    let list = vec![server_record(2, AT, world.now())];
    assert_eq!(world.hears(2, list), kept(1, 0));
    let first = world.pause();
    assert!((1_350..=2_250).contains(&first), "{first}");
    for n in 0..4 {
        assert_eq!(world.fails(2), n + 1);
        let pause = world.pause();
        let about = 60 << n;
        let range = about * 3 / 4..=about * 5 / 4;
        assert!(range.contains(&pause), "{pause} after {n}");
    }
    assert_eq!(world.named().len(), 1);
    world.goes_on(EVERY * 3 - EVERY);
    assert_eq!(world.named(), []);
    for _ in 0..100 {
        world.fails(2);
        assert!(world.pause() <= 1_800 * 5);
    }
    let again = vec![server_record(2, AT, world.now())];
    assert_eq!(world.hears(2, again), kept(1, 0));
    assert_eq!(world.named().len(), 1);
}

#[test]
fn what_a_peer_names_no_longer_is_forgotten() {
    let mut world = World::new(&[link(2), link(3)]);
    let of = |seed| server_record(seed, AT, NOW);
    assert_eq!(world.hears(2, vec![of(2), of(5), of(6)]), kept(3, 0));
    assert_eq!(world.hears(3, vec![of(3), of(7)]), kept(2, 0));
    assert_eq!(world.hears(2, vec![of(2), of(6)]), kept(2, 0));
    let named: BTreeSet<_> = world.named().into_iter().collect();
    let left = [2, 3, 6, 7].map(|seed| person(seed).id());
    assert_eq!(named, left.into_iter().collect());
}

#[test]
fn two_who_tell_each_other_of_a_dead_server_stop_when_its_word_is_two_hours_old() {
    let mut world = World::new(&[link(2)]);
    let dead = server_record(5, AT, NOW);
    for quarter in 0..12_u32 {
        let list = vec![server_record(2, AT, world.now()), dead.clone()];
        let fresh = quarter <= 8;
        assert_eq!(
            world.hears(2, list),
            kept(1 + usize::from(fresh), usize::from(!fresh))
        );
        assert_eq!(world.named().len(), 1 + usize::from(fresh), "{quarter}");
        world.goes_on(EVERY / 2);
    }
}

#[test]
fn a_liar_has_eight_lies_and_none_of_another_server() {
    let mut world = World::new(&[link(2)]);
    let many = (0..63).map(|n| server_record(100 + n, AT, NOW));
    let list: Vec<_> = std::iter::once(server_record(2, AT, NOW))
        .chain(many)
        .collect();
    assert_eq!(world.hears(2, list), kept(1 + 8, 55));
    let same = vec![server_record(2, AT, NOW); 64];
    assert_eq!(
        world.hears(2, same),
        kept(1, 0),
        "its own word again is no other"
    );
    let twice = vec![
        server_record(2, AT, NOW),
        server_record(5, AT, NOW),
        server_record(5, AT, NOW),
    ];
    assert_eq!(world.hears(2, twice), kept(2, 1));
    let inside = vec![
        server_record(2, AT, NOW),
        server_record(6, "10.0.0.1:443", NOW),
    ];
    assert_eq!(world.hears(2, inside), kept(1, 1));
    // a record of somebody else in its own place
    for lie in [vec![server_record(5, AT, NOW)], vec![]] {
        assert_eq!(world.hears(2, lie), Err(OtherServer));
    }
    // nobody asked
    assert_eq!(
        world.hears(77, vec![server_record(77, AT, NOW)]),
        kept(0, 0)
    );
}

#[test]
fn a_peer_is_the_one_whose_certificate_is_in_its_link() {
    let pinned = RendezvousLink {
        spki: Some(SpkiHash::new([5; 32])),
        ..link(2)
    };
    let mut world = World::new(std::slice::from_ref(&pinned));
    let other = vec![server_record(2, AT, NOW)];
    assert_eq!(world.hears(2, other), Err(OtherServer));
    let draft = ServerRecordDraft {
        endpoint: AT.parse().unwrap(),
        spki: pinned.spki,
        issued: NOW,
        ttl: HOUR,
    };
    let own = ServerRecord::sign(&person(2), draft).unwrap();
    assert_eq!(world.hears(2, vec![own]), kept(1, 0));
}

#[test]
fn a_server_asks_neither_itself_nor_more_than_sixteen() {
    let links: Vec<_> = (1..40).map(link).collect();
    let mut world = World::new(&links);
    world.goes_on(HOUR);
    let asked: Vec<_> = std::iter::from_fn(|| world.gossip.poll_due(world.tick)).collect();
    assert_eq!(asked, links[1..17]);
}

#[test]
fn servers_that_tell_of_themselves_are_named_and_eight_of_an_address() {
    let mut world = World::new(&[link(2)]);
    let mut tells = |seed, issued| {
        let record = server_record(seed, AT, issued);
        world.gossip.handle_announcement(4, record, NOW)
    };
    assert_eq!(tells(2, NOW), Ok(()), "a peer is asked itself");
    for seed in 10..18 {
        assert_eq!(tells(seed, NOW), Ok(()));
    }
    assert_eq!(tells(18, NOW), Err(NotKept::SourceFull));
    assert_eq!(tells(10, NOW.minus(HOUR * 3)), Err(NotKept::Expired));
    assert_eq!(
        tells(10, NOW.minus(HOUR)),
        Ok(()),
        "an older word of one that is kept"
    );
    assert_eq!(world.named().len(), 8);
}

#[test]
fn a_crowd_that_tells_of_itself_leaves_room_for_those_of_whom_peers_tell() {
    let mut world = World::new(&[link(2)]);
    let mut verdicts = Vec::new();
    for n in 0..64 {
        let record = server_record(100 + n, AT, NOW);
        let address = u64::from(n / 4);
        verdicts.push(world.gossip.handle_announcement(address, record, NOW));
    }
    assert_eq!(verdicts[..32], [Ok(()); 32]);
    assert_eq!(verdicts[32..], [Err(NotKept::Full); 32]);
    let list = (2..20).map(|seed| server_record(seed, AT, NOW)).collect();
    assert_eq!(world.hears(2, list), kept(1 + 8, 9));
    assert_eq!(world.named().len(), 1 + 32 + 8);
}
