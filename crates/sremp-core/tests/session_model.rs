//! A model of two devices on a bad network, with crashes between any two steps, over many seeds.
//!
//! Each device keeps to D3.14: what a step changed is committed before anything leaves it. A crash
//! throws away what was not committed. A restore throws away every session and prekey and answers
//! with RESET (D3.13). The network loses, copies and reorders envelopes and confirmations.
//!
//! What must hold: every accepted content is delivered once; no message key serves two envelopes;
//! in the end both devices send on the same session; what is stored stays small.
//!
//! `SREMP_SEEDS=10000` runs more seeds, `SREMP_SEED=17` only that one.

mod session_support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

use rand_chacha::{ChaCha20Rng, rand_core::Rng as _};
use session_support::{
    cast::{Cast, Keys, LIVES, open, seal},
    *,
};
use sremp_core::{
    constants::MAX_INACTIVE_SESSIONS,
    id::{EnvelopeId, SessionId},
    session::{
        DecryptError,
        book::{MessageKeyId, SessionBook},
        prekey::{PrekeyBundle, PrekeyId},
    },
    time::UnixMillis,
};

const RESET: u8 = 1;
const TEXT: u8 = 0;

/// What a device has committed.
#[derive(Default, Clone)]
struct Disk {
    book: Option<Vec<u8>>,
    sessions: BTreeMap<SessionId, Vec<u8>>,
    /// Accepted contents that are not confirmed, with their finished envelopes.
    outbox: BTreeMap<u32, (u8, Vec<u8>)>,
    delivered: Vec<u32>,
    spent: BTreeSet<PrekeyId>,
    keys: BTreeMap<MessageKeyId, EnvelopeId>,
    next: u32,
    /// Every content that was accepted to be sent.
    texts: BTreeSet<u32>,
    /// A restore was begun and its RESET is not committed yet.
    owes_reset: bool,
    life: usize,
}

struct Device<'a> {
    cast: &'a Cast,
    side: usize,
    disk: Disk,
    book: SessionBook,
}

#[derive(Clone)]
enum Packet {
    Envelope(Vec<u8>),
    Confirmation(EnvelopeId),
}

struct World<'a> {
    dice: ChaCha20Rng,
    devices: [Device<'a>; 2],
    /// Packets under way to each side.
    network: [Vec<Packet>; 2],
    now: UnixMillis,
    /// One-time prekeys that were given out, per side.
    given: [BTreeSet<PrekeyId>; 2],
}

impl<'a> Device<'a> {
    fn new(cast: &'a Cast, side: usize) -> Self {
        let own = cast.people[side][0].id();
        let peer = cast.people[1 - side][0].id();
        Self {
            cast,
            side,
            disk: Disk::default(),
            book: SessionBook::new(own, peer),
        }
    }

    fn person(&self) -> &'a Person {
        &self.cast.people[self.side][self.disk.life]
    }

    /// Throws away what was not committed.
    fn crash(&mut self) {
        let sessions = self.disk.sessions.values().map(Vec::as_slice);
        let (own, peer) = (*self.book.own(), *self.book.peer());
        self.book = SessionBook::load(own, peer, self.disk.book.as_deref(), sessions).unwrap();
    }

    /// Writes the changes of the book into `disk`, which the caller then makes the new one.
    fn put_changes(&mut self, disk: &mut Disk) {
        let changes = self.book.take_changes();
        if let Some(book) = changes.book {
            disk.book = Some(book.to_vec());
        }
        for id in changes.deleted {
            disk.sessions.remove(&id);
        }
        for (id, bytes) in changes.saved {
            disk.sessions.insert(id, bytes.to_vec());
        }
    }
}

impl<'a> World<'a> {
    fn new(cast: &'a Cast, seed: u64) -> Self {
        Self {
            dice: rng(seed),
            devices: [Device::new(cast, 0), Device::new(cast, 1)],
            network: [Vec::new(), Vec::new()],
            now: NOW,
            given: [BTreeSet::new(), BTreeSet::new()],
        }
    }

    fn roll(&mut self, sides: u32) -> u32 {
        self.dice.next_u32() % sides
    }

    /// A bundle of the person's newest life, with a one-time prekey as long as there are some.
    fn fetch(&mut self, of: usize) -> PrekeyBundle {
        let without = self.roll(3) == 0;
        let device = &self.devices[of];
        let offered = &device.cast.bundles[of][device.disk.life];
        let fresh = offered.iter().find(|(otp, _)| match otp {
            None => without,
            Some(otp) => !self.given[of].contains(otp),
        });
        let (otp, bundle) = fresh.unwrap_or(&offered[0]);
        self.given[of].extend(otp);
        bundle.clone()
    }

    fn start(&mut self, side: usize) -> SessionId {
        let bundle = self.fetch(1 - side);
        let device = &mut self.devices[side];
        let person = device.person();
        let dhk = &person.prekeys.dhk;
        let (now, rng) = (self.now, &mut self.dice);
        device
            .book
            .start(&person.identity, dhk, &bundle, now, rng)
            .unwrap()
    }

    /// Encrypts under `on` or the sending session into `disk`.
    fn encrypt(&mut self, side: usize, disk: &mut Disk, id: u32, kind: u8, on: Option<SessionId>) {
        let life = self.devices[1 - side].disk.life;
        let device = &mut self.devices[side];
        let on = on.or(device.book.sending_session()).unwrap();
        let person = device.person();
        let mut content = vec![kind];
        content.extend(id.to_le_bytes());
        let (message, key) = device
            .book
            .encrypt_message(&on, &person.identity, &content, &mut self.dice)
            .unwrap();
        let envelope = seal(life, &on, &message);
        let before = disk.keys.insert(key, EnvelopeId::of(&envelope));
        assert_eq!(before, None, "a message key serves two envelopes");
        disk.outbox.insert(id, (kind, envelope));
    }

    /// Commits, or crashes instead; whether it was committed.
    fn commit(&mut self, side: usize, mut disk: Disk) -> bool {
        if self.roll(12) == 0 {
            self.devices[side].crash();
            return false;
        }
        let device = &mut self.devices[side];
        device.put_changes(&mut disk);
        device.disk = disk;
        if self.roll(20) == 0 {
            self.devices[side].crash();
        }
        true
    }

    fn write(&mut self, side: usize) {
        let mut disk = self.devices[side].disk.clone();
        if disk.owes_reset {
            return self.reset(side, disk);
        }
        if self.devices[side].book.needs_new_session(self.now) || self.roll(40) == 0 {
            self.start(side);
        }
        let id = disk.next;
        disk.next += 1;
        disk.texts.insert(id);
        self.encrypt(side, &mut disk, id, TEXT, None);
        if self.commit(side, disk) {
            self.transmit(side, id);
        }
    }

    fn transmit(&mut self, side: usize, id: u32) {
        if let Some((_, envelope)) = self.devices[side].disk.outbox.get(&id) {
            let packet = Packet::Envelope(envelope.clone());
            self.network[1 - side].push(packet);
        }
    }

    fn transmit_any(&mut self, side: usize) {
        let waiting: Vec<u32> = self.devices[side].disk.outbox.keys().copied().collect();
        if !waiting.is_empty() {
            let id = waiting[self.roll(waiting.len() as u32) as usize];
            self.transmit(side, id);
        }
    }

    /// Starts anew with RESET, and encrypts again what is not confirmed.
    fn reset(&mut self, side: usize, mut disk: Disk) {
        let session = self.start(side);
        let id = disk.next;
        disk.next += 1;
        self.encrypt(side, &mut disk, id, RESET, Some(session));
        self.devices[side].book.reset_started(&session, self.now);
        self.encrypt_again(side, &mut disk, Some(id));
        disk.owes_reset = false;
        if self.commit(side, disk) {
            self.transmit(side, id);
        }
    }

    fn encrypt_again(&mut self, side: usize, disk: &mut Disk, but: Option<u32>) {
        let waiting: Vec<(u32, u8)> = disk.outbox.iter().map(|(id, i)| (*id, i.0)).collect();
        for (id, kind) in waiting {
            if Some(id) == but {
                continue;
            }
            // An older RESET than one's own new one has nothing left to say. But the peer's does
            // not replace one's own: only that tells the peer what was lost here.
            if kind == RESET && but.is_some() {
                disk.outbox.remove(&id);
            } else {
                self.encrypt(side, disk, id, kind, None);
            }
        }
    }

    /// The device comes back from a backup: history and outbox, no session and no prekey.
    fn restore(&mut self, side: usize) {
        let mut disk = self.devices[side].disk.clone();
        if disk.life + 1 >= LIVES {
            return;
        }
        disk.life += 1;
        disk.book = None;
        disk.sessions.clear();
        disk.owes_reset = true;
        let device = &mut self.devices[side];
        device.book = SessionBook::new(*device.book.own(), *device.book.peer());
        device.disk = disk.clone();
        self.reset(side, disk);
    }

    /// One packet arrives, and perhaps stays on the network as a copy.
    fn arrive(&mut self, side: usize) {
        let waiting = self.network[side].len() as u32;
        if waiting == 0 {
            return;
        }
        let at = self.roll(waiting) as usize;
        let packet = if self.roll(6) == 0 {
            self.network[side][at].clone()
        } else {
            self.network[side].swap_remove(at)
        };
        if self.roll(6) != 0 {
            self.handle(side, &packet);
        }
    }

    fn handle(&mut self, side: usize, packet: &Packet) {
        match packet {
            Packet::Confirmation(id) => {
                let outbox = &mut self.devices[side].disk.outbox;
                outbox.retain(|_, (_, envelope)| EnvelopeId::of(envelope) != *id);
            }
            Packet::Envelope(envelope) => self.receive(side, envelope),
        }
    }

    fn receive(&mut self, side: usize, envelope: &[u8]) {
        let now = self.now;
        let device = &mut self.devices[side];
        let person = device.person();
        // of an earlier life, before a restore: not for these keys
        let Some(opened) = open(device.disk.life, envelope) else {
            return;
        };
        let mut disk = device.disk.clone();
        let keys = Keys(person, &disk.spent);
        match device.book.decrypt(&keys, &opened, now) {
            Ok(incoming) => {
                disk.spent.extend(incoming.one_time_prekey);
                let (kind, id) = incoming.content.split_first().unwrap();
                let id = u32::from_le_bytes(id.try_into().unwrap());
                if *kind == RESET {
                    device.book.handle_reset(&incoming.session_id, now);
                    self.encrypt_again(side, &mut disk, None);
                } else {
                    if !disk.delivered.contains(&id) {
                        disk.delivered.push(id);
                    }
                    if incoming.moved {
                        self.encrypt_again(side, &mut disk, None);
                    }
                }
            }
            Err(DecryptError::Replay) => {}
            Err(_) => {
                // counted, perhaps; nothing to confirm
                self.commit(side, disk);
                return;
            }
        }
        if self.commit(side, disk) {
            let id = EnvelopeId::of(envelope);
            self.network[1 - side].push(Packet::Confirmation(id));
        }
    }

    fn step(&mut self) {
        let side = self.roll(2) as usize;
        match self.roll(100) {
            0..25 => self.write(side),
            25..70 => self.arrive(side),
            70..82 => self.transmit_any(side),
            82..88 => self.devices[side].crash(),
            88..90 => self.restore(side),
            90..96 => self.now = self.now.plus(7 * MINUTE),
            _ => {
                let owed = self.devices[side].disk.owes_reset;
                if owed || self.devices[side].book.poll_reset(self.now) {
                    let disk = self.devices[side].disk.clone();
                    self.reset(side, disk);
                }
            }
        }
        self.assert_bounded();
    }

    fn assert_bounded(&self) {
        for device in &self.devices {
            let disk = &device.disk;
            assert!(disk.sessions.len() <= MAX_INACTIVE_SESSIONS + 1);
            let size: usize = disk.sessions.values().map(Vec::len).sum();
            assert!(size <= 6 * 3_400 + 2_000 * 48, "{size} bytes of sessions");
            assert!(disk.book.as_ref().is_none_or(|book| book.len() < 16_384));
            let mut sorted = disk.delivered.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), disk.delivered.len(), "delivered twice");
        }
    }

    /// The network is good again: everything arrives, and both write in turn.
    fn settle(&mut self) {
        for round in 0..30 {
            for side in [0, 1] {
                if round % 2 == side {
                    self.write(side);
                }
                let waiting: Vec<u32> = self.devices[side].disk.outbox.keys().copied().collect();
                for id in waiting {
                    self.transmit(side, id);
                }
                for to in [1 - side, side] {
                    for packet in std::mem::take(&mut self.network[to]) {
                        self.handle(to, &packet);
                    }
                }
            }
            if self.devices.iter().all(|d| d.book.poll_reset(self.now)) {
                self.now = self.now.plus(7 * MINUTE);
            }
            let done = self.devices.iter().all(|d| d.disk.outbox.is_empty());
            let [a, b] = &self.devices;
            let same = a.book.sending_session() == b.book.sending_session();
            if round >= 2 && done && same {
                return;
            }
        }
        for side in [0, 1] {
            let sends_on = self.devices[side].book.sending_session();
            eprintln!("side {side} sends on {sends_on:?}");
            for (id, (kind, envelope)) in self.devices[side].disk.outbox.clone() {
                let peer = &mut self.devices[1 - side];
                let why = open(peer.disk.life, &envelope).map(|opened| {
                    let keys = Keys(peer.person(), &peer.disk.spent);
                    (
                        opened.session_id(),
                        peer.book.decrypt(&keys, &opened, self.now),
                    )
                });
                eprintln!("  {id} of kind {kind} does not arrive: {why:?}");
            }
        }
        panic!("the two do not come to an agreement");
    }

    fn assert_all_delivered(&self) {
        for side in [0, 1] {
            let delivered = &self.devices[1 - side].disk.delivered;
            let delivered: BTreeSet<u32> = delivered.iter().copied().collect();
            assert_eq!(delivered, self.devices[side].disk.texts, "of side {side}");
        }
    }
}

fn run(cast: &Cast, seed: u64) {
    let mut world = World::new(cast, seed);
    for _ in 0..50 {
        world.step();
    }
    world.settle();
    world.assert_all_delivered();
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|n: String| n.parse().unwrap());
    match (number("SREMP_SEED"), number("SREMP_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.unwrap_or(1_000),
    }
}

#[test]
fn case_19_whatever_is_lost_copied_or_interrupted_every_message_arrives_once() {
    let cast = Cast::new();
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let seed = next.fetch_add(1, Ordering::Relaxed)
                    && seed < seeds.end
                {
                    let result = std::panic::catch_unwind(|| run(&cast, seed));
                    if let Err(cause) = result {
                        eprintln!("failing seed: SREMP_SEED={seed}");
                        std::panic::resume_unwind(cause);
                    }
                }
            });
        }
    });
}
