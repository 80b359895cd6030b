//! The store with 100,000 messages in 200 conversations: what opening, reading, searching and a
//! durable transaction cost, encrypted and plain in the same run.
//!
//! `cargo bench -p sremp-client --bench store [-- MESSAGES]`; `SREMP_BENCH_DIR` names a directory
//! on the disk to measure (the system's temporary one otherwise).

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use sremp_client::{
    config::Config,
    home::{Home, Passphrase},
    store::{ContactRecord, ContactRow, NewContact, NewMessage, NewOutboxItem, Store, StoreError},
    view::{MessageKind, Standing, Status},
};
use sremp_core::{
    id::{EnvelopeId, MsgId, SessionId},
    identity::{SecretIdentity, Username},
    time::UnixMillis,
};

const CONVERSATIONS: u64 = 200;
const WORDS: u64 = 20_000;
const TRANSACTIONS: u64 = 1_000;
/// Bytes of a session's state without skipped keys (the most it may have) and of an envelope.
const STATE: usize = 3_400;
const ENVELOPE: usize = 1_024;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let first = arguments.next();
    if first.as_deref() == Some("resident") {
        return resident(&PathBuf::from(arguments.next().unwrap()));
    }
    let messages = first.map_or(100_000, |n| n.parse().expect("a number of messages"));
    let place = std::env::var_os("SREMP_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(place).unwrap();
    let home = Home::at(directory.path().join("home"));
    let mut rng = ChaCha20Rng::from_seed([7; 32]);
    let me = someone(&mut rng);
    home.create(&Passphrase::None, &Config::default(), &me, now(0), &mut rng)
        .unwrap();
    let plain = directory.path().join("plain.db");

    println!("{messages} messages of 20 words out of {WORDS} in {CONVERSATIONS} conversations");
    for (name, store) in [
        ("encrypted", open(&home)),
        ("plain", Store::open_plain(&plain).unwrap()),
    ] {
        let mut bench = Bench::new(store, 1);
        let began = Instant::now();
        bench.load(messages);
        let rate = messages as f64 / began.elapsed().as_secs_f64();
        bench.store.checkpoint().unwrap();
        println!("  load, {name}: {rate:.0} messages/s");
    }
    let size = |path: &Path| std::fs::metadata(path).unwrap().len() / 1_000_000;
    println!(
        "  files: {} MB, plain {} MB",
        size(&home.database_path()),
        size(&plain)
    );

    let mut encrypted = Bench::new(open(&home), 2);
    let mut other = Bench::new(Store::open_plain(&plain).unwrap(), 2);
    durable(directory.path());
    type Step = fn(&mut Bench);
    let steps: [(&str, u64, Step); 9] = [
        ("latest 50 of a conversation", 500, Bench::latest),
        ("conversation list", 50, Bench::list),
        (
            "search, a word in 100 lines, 50 shown",
            300,
            Bench::search_rare,
        ),
        (
            "search, a word in half of all lines, 50 shown",
            300,
            Bench::search_often,
        ),
        ("search, two words", 300, Bench::search_two),
        ("contact written back", TRANSACTIONS, Bench::contact),
        (
            "send: ratchet, history, index, outbox, audit",
            TRANSACTIONS,
            Bench::send,
        ),
        (
            "receive: ratchet, history, index, event",
            TRANSACTIONS,
            Bench::receive,
        ),
        (
            "delivered: outbox, status, event",
            TRANSACTIONS,
            Bench::delivered,
        ),
    ];
    for (name, times, step) in steps {
        compare(name, times, &mut encrypted, &mut other, step);
    }
    drop((encrypted, other));
    opening(&home, &plain);
    let child = Command::new(std::env::current_exe().unwrap())
        .arg("resident")
        .arg(home.path())
        .status();
    assert!(child.unwrap().success());
}

fn now(millis: u64) -> UnixMillis {
    UnixMillis::saturating(1_760_000_000_000 + millis)
}

fn someone(rng: &mut ChaCha20Rng) -> SecretIdentity {
    SecretIdentity::generate(&Username::parse("somebody").unwrap(), now(0), rng)
}

fn open(home: &Home) -> Store {
    home.open(&home.lock().unwrap(), &Passphrase::None).unwrap()
}

struct Bench {
    store: Store,
    rng: ChaCha20Rng,
    contacts: Vec<ContactRecord>,
    made: u64,
    waiting: Vec<(i64, ContactRow, MsgId)>,
}

impl Bench {
    fn new(mut store: Store, seed: u8) -> Self {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        let contacts = run(&mut store, |tx| tx.contacts());
        let contacts = if contacts.is_empty() {
            run(&mut store, |tx| {
                for n in 0..CONVERSATIONS {
                    let who = someone(&mut rng);
                    let row = tx.insert_contact(&NewContact {
                        key: who.id(),
                        alias: Some(format!("friend {n}")),
                        standing: Standing::Accepted,
                        first_seen: now(0),
                    })?;
                    let mut contact = tx.contact(row)?.unwrap();
                    contact.identity = Some(who.identity().clone());
                    contact.book = Some(vec![3; 300]);
                    tx.update_contact(&contact)?;
                    tx.save_session(row, &session(row), &vec![n as u8; STATE])?;
                }
                tx.contacts()
            })
        } else {
            contacts
        };
        Self {
            store,
            rng,
            contacts,
            made: u64::from(seed) << 40,
            waiting: Vec::new(),
        }
    }

    fn text(&mut self) -> String {
        let words: Vec<_> = (0..20)
            .map(|_| format!("w{}", self.rng.next_u64() % WORDS))
            .collect();
        let often = if self.rng.next_u64().is_multiple_of(2) {
            " often"
        } else {
            ""
        };
        words.join(" ") + often
    }

    fn msg_id(&mut self) -> MsgId {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        MsgId::new(bytes)
    }

    fn someone(&mut self) -> usize {
        (self.rng.next_u64() % CONVERSATIONS) as usize
    }

    fn load(&mut self, messages: u64) {
        for _ in 0..messages.div_ceil(1_000) {
            let lines: Vec<_> = (0..1_000)
                .map(|_| (self.someone(), self.text(), self.msg_id()))
                .collect();
            let (contacts, made) = (&self.contacts, &mut self.made);
            run(&mut self.store, |tx| {
                for (who, text, msg_id) in &lines {
                    *made += 1;
                    tx.insert_message(&line(
                        contacts[*who].row,
                        *made,
                        *msg_id,
                        text,
                        *made % 2 == 0,
                    ))?;
                }
                Ok(())
            });
        }
    }

    fn latest(&mut self) {
        let contact = self.someone();
        let contact = self.contacts[contact].row;
        let lines = run(&mut self.store, |tx| tx.history(contact, None, 50));
        assert_eq!(lines.len(), 50);
    }

    fn list(&mut self) {
        let list = run(&mut self.store, |tx| tx.conversations());
        assert_eq!(list.len() as u64, CONVERSATIONS);
    }

    fn search_rare(&mut self) {
        let word = format!("w{}", self.rng.next_u64() % WORDS);
        run(&mut self.store, |tx| tx.search(&word, 50));
    }

    fn search_often(&mut self) {
        let lines = run(&mut self.store, |tx| tx.search("often", 50));
        assert_eq!(lines.len(), 50);
    }

    fn search_two(&mut self) {
        let word = format!("often w{}", self.rng.next_u64() % WORDS);
        run(&mut self.store, |tx| tx.search(&word, 50));
    }

    fn contact(&mut self) {
        let at = self.someone();
        let contact = &mut self.contacts[at];
        contact.next_seq += 1;
        run(&mut self.store, |tx| tx.update_contact(contact));
    }

    fn send(&mut self) {
        let (at, text, msg_id) = (self.someone(), self.text(), self.msg_id());
        self.made += 1;
        let made = self.made;
        let contact = &mut self.contacts[at];
        contact.next_seq += 1;
        let (mut state, mut envelope) = (vec![0; STATE], vec![0; ENVELOPE]);
        self.rng.fill_bytes(&mut state);
        self.rng.fill_bytes(&mut envelope);
        let id = EnvelopeId::of(&envelope);
        let item = run(&mut self.store, |tx| {
            tx.insert_message(&line(contact.row, contact.next_seq, msg_id, &text, true))?;
            let item = tx.push_outbox(&NewOutboxItem {
                contact: contact.row,
                msg_id,
                content: text.as_bytes(),
                created: now(made),
                expires: now(made + 1),
            })?;
            tx.save_session(contact.row, &session(contact.row), &state)?;
            tx.record_key_use(&session(contact.row), 0, contact.next_seq as u32, &id)?;
            tx.set_envelope(item, &session(contact.row), &envelope, &id)?;
            tx.update_contact(contact)?;
            Ok(item)
        });
        self.waiting.push((item, contact.row, msg_id));
    }

    fn receive(&mut self) {
        let (at, text, msg_id) = (self.someone(), self.text(), self.msg_id());
        self.made += 1;
        let made = self.made;
        let contact = &mut self.contacts[at];
        contact.peer_seq = made;
        let mut state = vec![0; STATE];
        self.rng.fill_bytes(&mut state);
        run(&mut self.store, |tx| {
            tx.insert_message(&line(contact.row, made, msg_id, &text, false))?;
            tx.save_session(contact.row, &session(contact.row), &state)?;
            tx.append_event(
                &format!("{{\"event\":\"message\",\"text\":\"{text}\"}}"),
                now(made),
            )?;
            tx.update_contact(contact)
        });
    }

    fn delivered(&mut self) {
        let Some((item, contact, msg_id)) = self.waiting.pop() else {
            return;
        };
        run(&mut self.store, |tx| {
            tx.remove_outbox(item)?;
            tx.set_status(&msg_id, contact, Status::OnDevice, None, now(9))?;
            tx.append_event("{\"event\":\"status\"}", now(9))
        });
    }
}

fn session(contact: ContactRow) -> SessionId {
    SessionId::new([contact.0 as u8; 16])
}

fn line(contact: ContactRow, seq: u64, msg_id: MsgId, text: &str, own: bool) -> NewMessage<'_> {
    NewMessage {
        contact,
        msg_id: Some(msg_id),
        kind: if own {
            MessageKind::Sent
        } else {
            MessageKind::Received
        },
        seq,
        text,
        sent: now(seq),
        received: (!own).then(|| now(seq)),
        status: own.then_some(Status::Queued),
        path: None,
    }
}

fn run<T>(
    store: &mut Store,
    work: impl FnOnce(&mut sremp_client::store::Tx<'_>) -> Result<T, StoreError>,
) -> T {
    store.transaction(work).unwrap()
}

/// How long work took, and how long of that on the processor: the figure that a busy machine
/// disturbs least.
fn timed(work: impl FnOnce()) -> (Duration, Duration) {
    let (began, worked) = (Instant::now(), on_processor());
    work();
    (began.elapsed(), on_processor().saturating_sub(worked))
}

/// Time of this thread on the processor, as Linux counts it; brought up to date when the thread is
/// switched, hence only a sum over many steps means something.
fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

type Times = Vec<(Duration, Duration)>;

/// Median and 99th percentile, and the mean on the processor, in milliseconds.
fn figures(times: &Times) -> [f64; 3] {
    let mut wall: Vec<_> = times.iter().map(|t| t.0).collect();
    wall.sort_unstable();
    let at = |share: usize| wall[(wall.len() - 1) * share / 100].as_secs_f64() * 1e3;
    let worked: Duration = times.iter().map(|t| t.1).sum();
    let mean = worked.as_secs_f64() * 1e3 / times.len() as f64;
    [at(50), at(99), mean]
}

fn compare(name: &str, times: u64, a: &mut Bench, b: &mut Bench, step: fn(&mut Bench)) {
    let (mut encrypted, mut plain) = (Vec::new(), Vec::new());
    // in turn, so that a busy machine hits both alike
    for _ in 0..times {
        encrypted.push(timed(|| step(a)));
        plain.push(timed(|| step(b)));
    }
    report(name, &encrypted, &plain);
}

fn report(name: &str, encrypted: &Times, plain: &Times) {
    let ([p50, p99, cpu], [plain50, plain99, plain_cpu]) = (figures(encrypted), figures(plain));
    println!(
        "  {name}: p50 {p50:.3} ms p99 {p99:.3} cpu {cpu:.3}; \
         plain {plain50:.3} {plain99:.3} {plain_cpu:.3}; ratio of p50 {:.2}",
        p50 / plain50
    );
}

/// Opening a home, without Argon2id, up to the conversation list.
fn opening(home: &Home, plain: &Path) {
    let (mut encrypted, mut other) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        encrypted.push(timed(|| {
            run(&mut open(home), |tx| tx.conversations());
        }));
        other.push(timed(|| {
            run(&mut Store::open_plain(plain).unwrap(), |tx| {
                tx.conversations()
            });
        }));
    }
    report("open and list", &encrypted, &other);
}

/// What the disk alone takes for a page and its flush.
fn durable(directory: &Path) {
    let mut file = File::create(directory.join("sync")).unwrap();
    let mut append = || {
        file.write_all(&[0; 16 * 4096]).unwrap();
        file.sync_data().unwrap();
    };
    let times: Times = (0..300).map(|_| timed(&mut append)).collect();
    let [p50, p99, _] = figures(&times);
    println!("  disk: 64 KiB appended and flushed p50 {p50:.3} ms p99 {p99:.3}");
}

/// In a process of its own: the memory of a store that was opened, listed, searched and written.
fn resident(home: &Path) {
    let mut bench = Bench::new(open(&Home::at(home)), 3);
    for _ in 0..200 {
        bench.latest();
        bench.search_rare();
        bench.search_often();
        bench.receive();
    }
    bench.list();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find(|line| line.starts_with("VmRSS"));
    println!(
        "  after reading, searching and writing: {}",
        resident.unwrap_or("unknown")
    );
}
