//! What a user waits for: a durable send, a direct delivery, a backlog that is read.
//!
//! Every figure is measured with the real store on disk, encrypted; `send` also with the same build
//! on a plain database. `cargo bench -p sremp-client --bench engine`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rand::{SeedableRng as _, rngs::StdRng};
use sremp_client::{
    client::{self, Face, InitParams, StartOptions},
    engine::{Engine, Input, Mode, Now, Ticket},
    home::{Home, Passphrase},
    store::{Store, StoreError},
    view::{Command, EventKind, Reply, Wait},
};
use sremp_core::time::{Tick, UnixMillis};

/// Messages that wait for a reader.
const BACKLOG: usize = 20_000;
/// Contacts who have written them.
const WRITERS: usize = 5;
/// Single sends and deliveries that are measured.
const SAMPLES: usize = 500;
/// Bytes of a text.
const TEXT: usize = 120;

fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (ann, ben) = (dir.path().join("ann"), dir.path().join("ben"));
    acquaint(&ann, &ben);
    println!("{SAMPLES} samples each, p50 / p99");
    durable_sends(&ann, dir.path());
    deliveries(&ann, &ben);
    backlog(dir.path(), &ben);
}

fn init(path: &Path, name: &str) {
    let params = InitParams {
        name: name.to_owned(),
        passphrase: Passphrase::None,
        listen: Some("127.0.0.1:0".to_owned()),
        advertise: None,
        relays: Vec::new(),
        rendezvous: Vec::new(),
    };
    client::init(&Home::at(path), &params).expect("a home");
}

fn start(path: &Path, online: bool) -> Face {
    let options = StartOptions {
        online,
        ..StartOptions::default()
    };
    Face::start(&Home::at(path), &Passphrase::None, &options).expect("a client")
}

fn send(contact: &str, n: usize, wait: Wait) -> Command {
    let mut text = format!("message {n} ");
    text.push_str(&"word ".repeat(TEXT / 5));
    Command::Send {
        contact: contact.to_owned(),
        text,
        reply_to: None,
        key: None,
        wait,
        timeout_ms: 30_000,
    }
}

fn card(face: &Face) -> String {
    match face.call(&Command::Id).expect("an id") {
        Reply::Id(view) => view.card,
        other => panic!("{other:?}"),
    }
}

fn add(face: &Face, card: String, alias: &str) {
    let command = Command::Add {
        who: card,
        alias: Some(alias.to_owned()),
        despite_confusable: false,
    };
    face.call(&command).expect("a contact");
}

fn acquaint(ann: &Path, ben: &Path) {
    init(ann, "ann");
    init(ben, "ben");
    let (a, b) = (start(ann, true), start(ben, true));
    add(&a, card(&b), "ben");
    add(&b, card(&a), "ann");
    a.call(&send("ben", 0, Wait::Device)).expect("a message");
    b.call(&send("ann", 0, Wait::Device)).expect("an answer");
    a.stop();
    b.stop();
}

/// A send as the engine does it: ratchet, envelope, history, index, outbox, audit in one commit.
fn durable_sends(ann: &Path, dir: &Path) {
    let home = Home::at(ann);
    let lock = home.lock().expect("the lock");
    let mut encrypted = home.open(&lock, &Passphrase::None).expect("the store");
    let mut plain = plain_copy(&mut encrypted, &dir.join("plain.db"));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut ours_engine = load(&mut encrypted);
    let mut theirs_engine = load(&mut plain);
    for n in 0..SAMPLES {
        ours.push(step(&mut encrypted, &mut ours_engine, n));
        theirs.push(step(&mut plain, &mut theirs_engine, n));
    }
    let (ours, theirs) = (
        report("durable send", ours),
        report("  the same, plain", theirs),
    );
    println!("  ratio to plain: {:.2}", ours / theirs);
}

/// The same identity with a stranger to write to: no session, but everything else of a send.
fn plain_copy(from: &mut Store, path: &Path) -> Store {
    let parts = from.transaction(|tx| tx.own_identity());
    let parts = parts.unwrap_or_else(|e: StoreError| panic!("{e}"));
    std::fs::File::create_new(path).expect("a file");
    let mut plain = Store::open_plain(path).expect("a store");
    plain
        .transaction(|tx| tx.save_own_identity(&parts))
        .unwrap_or_else(|e: StoreError| panic!("{e}"));
    copy_contact(from, &mut plain);
    plain
}

/// Copies the one contact with its sessions. The copy never sends anything anywhere.
fn copy_contact(from: &mut Store, to: &mut Store) {
    let read = from.transaction(|tx| {
        let record = tx.contacts()?.remove(0);
        let sessions = tx.sessions(record.row)?;
        Ok((record, sessions))
    });
    let (mut record, sessions) = read.unwrap_or_else(|e: StoreError| panic!("{e}"));
    to.transaction(|tx| {
        record.row = tx.insert_contact(&sremp_client::store::NewContact {
            key: record.key,
            alias: record.alias.clone(),
            standing: record.standing,
            first_seen: record.first_seen,
        })?;
        tx.update_contact(&record)?;
        for (id, state) in &sessions {
            tx.save_session(record.row, id, state)?;
        }
        Ok(())
    })
    .unwrap_or_else(|e: StoreError| panic!("{e}"));
}

fn now() -> Now {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = since.map_or(0, |d| d.as_millis() as u64);
    Now {
        wall: UnixMillis::saturating(millis),
        tick: Tick::new(0),
    }
}

fn load(store: &mut Store) -> Engine {
    store
        .transaction(|tx| {
            let mut rng = StdRng::seed_from_u64(rand::random());
            Engine::load(tx, Default::default(), Mode::Offline, now(), &mut rng)
        })
        .unwrap_or_else(|e: StoreError| panic!("{e}"))
}

fn step(store: &mut Store, engine: &mut Engine, n: usize) -> Duration {
    let input = Input::Command {
        ticket: Ticket(n as u64),
        command: send("ben", n, Wait::Outbox),
    };
    let begun = Instant::now();
    store
        .transaction(|tx| engine.step(tx, [input], now(), &mut rand::rng()))
        .unwrap_or_else(|e: StoreError| panic!("{e}"));
    begun.elapsed()
}

/// From the accepted `send` to the reader's event, both clients up, over loopback.
fn deliveries(ann: &Path, ben: &Path) {
    let (a, b) = (start(ann, true), start(ben, true));
    let mut after = drain(&b, SAMPLES + 1);
    let mut times = Vec::new();
    for n in 0..SAMPLES {
        let waiting = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let last = next_message(&b, &mut after);
                (Instant::now(), last)
            });
            a.call(&send("ben", n, Wait::Outbox)).expect("a message");
            let accepted = Instant::now();
            let (read, _) = reader.join().expect("a reader");
            read.saturating_duration_since(accepted)
        });
        times.push(waiting);
    }
    report("direct delivery, accepted to event", times);
    a.stop();
    b.stop();
}

/// Waits for the next message event.
fn next_message(face: &Face, after: &mut u64) -> usize {
    loop {
        let command = Command::Events {
            after: Some(*after),
            limit: 100,
            wait_ms: 30_000,
        };
        let Ok(Reply::Events { events, .. }) = face.call(&command) else {
            panic!("no events");
        };
        *after = events.last().map_or(*after, |e| e.seq);
        let message = |e: &&sremp_client::view::Event| matches!(e.event, EventKind::Message { .. });
        let messages = events.iter().filter(message).count();
        if messages > 0 {
            return messages;
        }
        assert!(!events.is_empty(), "no message came");
    }
}

/// Reads until so many messages have come; the last event's number.
fn drain(face: &Face, messages: usize) -> u64 {
    let (mut after, mut seen) = (0, 0);
    while seen < messages {
        seen += next_message(face, &mut after);
    }
    after
}

/// A reader comes back to everything that was written meanwhile. Several write, since one seals at
/// most 5,000 messages without an answer: so that reading is measured, not sealing.
fn backlog(dir: &Path, ben: &Path) {
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| dir.join(format!("writer-{n}")))
        .collect();
    for (n, writer) in writers.iter().enumerate() {
        write_meanwhile(writer, &format!("writer-{n}"), ben);
    }
    let b = start(ben, true);
    let Ok(Reply::Status(status)) = b.call(&Command::Status) else {
        panic!("no status");
    };
    let mut after = status.last_event;
    let faces: Vec<_> = writers.iter().map(|writer| start(writer, true)).collect();
    let first = next_message(&b, &mut after);
    let begun = Instant::now();
    let mut seen = first;
    while seen < BACKLOG {
        seen += next_message(&b, &mut after);
    }
    let rate = (seen - first) as f64 / begun.elapsed().as_secs_f64();
    println!("{BACKLOG} waiting messages of {WRITERS} contacts received: {rate:.0}/s");
    for face in faces {
        face.stop();
    }
    b.stop();
}

/// Somebody new exchanges a message with the reader, then writes while the reader is away.
fn write_meanwhile(path: &Path, name: &str, ben: &Path) {
    init(path, name);
    let (a, b) = (start(path, true), start(ben, true));
    add(&a, card(&b), "ben");
    add(&b, card(&a), name);
    a.call(&send("ben", 0, Wait::Device)).expect("a message");
    b.call(&send(name, 0, Wait::Device)).expect("an answer");
    b.stop();
    a.stop();
    let home = Home::at(path);
    let lock = home.lock().expect("the lock");
    let mut store = home.open(&lock, &Passphrase::None).expect("the store");
    let mut engine = load(&mut store);
    let numbers: Vec<usize> = (0..BACKLOG / WRITERS).collect();
    for batch in numbers.chunks(250) {
        let inputs = batch.iter().map(|n| Input::Command {
            ticket: Ticket(*n as u64),
            command: send("ben", *n, Wait::Outbox),
        });
        store
            .transaction(|tx| engine.step(tx, inputs, now(), &mut rand::rng()))
            .unwrap_or_else(|e: StoreError| panic!("{e}"));
    }
}

/// Prints p50 and p99 in milliseconds; returns p50.
fn report(name: &str, mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e3;
    println!("{name}: {:.3} / {:.3} ms", at(50), at(99));
    at(50)
}
