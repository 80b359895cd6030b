//! The store alone, on the disk below `target`: commits a second, bytes a message, memory, start.
//!
//! ```sh
//! cargo bench -p sremp-relay --bench store             # all of it, minutes
//! cargo bench -p sremp-relay --bench store -- empty    # one part: empty full deep cycle drain
//! SREMP_BENCH_DIR=/dev/shm cargo bench …               # elsewhere: in memory, what the processor takes
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use sremp_core::{id::IdentityKey, signature::Signature, time::UnixMillis};
use sremp_relay::mailbox::{
    BlobHash, Confirmation, Cursor, DiskGuard, EmbeddedStore, Limits, MailboxReader as _,
    MailboxStore as _, MessageId, Op, StoreOp,
};

const MAILBOXES: u64 = 128;
const SIZE: usize = 1_024;
const NOW: UnixMillis = UnixMillis::saturating(1_800_000_000_000);

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|w| w == part);
    println!("fdatasync of 8 KiB: {:.3} ms", fdatasync_millis());
    if wants("empty") {
        let mut bench = Bench::new("empty");
        bench.commits(&[1, 16, 64, 128]);
    }
    if wants("cycle") {
        Bench::new("cycle").cycle();
    }
    if wants("drain") {
        Bench::new("drain").drain();
    }
    if wants("deep") {
        Bench::new("deep").deep();
    }
    if wants("full") {
        Bench::new("full").full();
    }
}

struct Bench {
    directory: PathBuf,
    store: EmbeddedStore,
    next: u64,
    blob: Arc<[u8]>,
    hash: BlobHash,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn somebody(n: u64) -> IdentityKey {
    let mut key = [7; 32];
    key[..8].copy_from_slice(&n.to_le_bytes());
    IdentityKey::new(key)
}

fn open(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, Limits::NONE, DiskGuard { full: 100, room: 0 }).unwrap()
}

impl Bench {
    fn new(name: &str) -> Self {
        let directory = place().join(format!("sremp-store-{name}"));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        let mut store = open(&directory.join("mailboxes.db"));
        let mailboxes = (0..MAILBOXES).map(|n| Op::OpenMailbox { owner: somebody(n) });
        store.commit(NOW, mailboxes.collect()).unwrap();
        let blob: Arc<[u8]> = (0..SIZE).map(|i| i as u8).collect();
        println!("\n{name}");
        Self {
            directory,
            store,
            next: 0,
            hash: BlobHash::of(&blob),
            blob,
        }
    }

    fn message(&mut self, mailbox: u64) -> Op {
        self.next += 1;
        let id = self.next.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Op::Store(Box::new(StoreOp {
            sender: somebody(1_000 + self.next % MAILBOXES),
            recipient: somebody(mailbox),
            message_id: MessageId::new(id),
            blob: Arc::clone(&self.blob),
            hash: self.hash,
            ttl: 14 * 24 * 60 * 60,
            reply_relay: None,
            intro: None,
        }))
    }

    fn batch(&mut self, len: u64) -> Vec<Op> {
        (0..len)
            .map(|n| self.message((self.next + n) % MAILBOXES))
            .collect()
    }

    /// Messages a second in batches of this length, for a while.
    fn rate(&mut self, len: u64, time: Duration) -> f64 {
        let start = Instant::now();
        let mut count = 0;
        let mut slowest = Duration::ZERO;
        let written = written();
        while start.elapsed() < time {
            let batch = self.batch(len);
            let commit = Instant::now();
            self.store.commit(NOW, batch).unwrap();
            slowest = slowest.max(commit.elapsed());
            count += len;
        }
        let rate = count as f64 / start.elapsed().as_secs_f64();
        let bytes = (self::written() - written) as f64 / count as f64 / 1_024.0;
        println!(
            "  batches of {len:>3}: {rate:>8.0}/s, {bytes:.2} KiB written a message, slowest commit {slowest:.1?}"
        );
        rate
    }

    fn commits(&mut self, lens: &[u64]) {
        for &len in lens {
            self.rate(len, Duration::from_secs(4));
        }
        self.sizes();
    }

    fn fill(&mut self, upto: u64) {
        while self.next < upto {
            let batch = self.batch(512);
            self.store.commit(NOW, batch).unwrap();
        }
    }

    fn sizes(&mut self) {
        let items = self.store.stats().items;
        self.store.rest().unwrap();
        let disk = self.store.stats().disk as f64 / (items as f64 * SIZE as f64);
        println!(
            "  {items} items: disk {disk:.3} × payload, resident {} MiB",
            resident()
        );
    }

    fn full(&mut self) {
        let start = Instant::now();
        self.fill(1_000_000);
        println!(
            "  filled to 1,000,000 in batches of 512: {:.0}/s",
            1e6 / start.elapsed().as_secs_f64()
        );
        self.sizes();
        self.reopen();
        for len in [1, 64, 128] {
            self.rate(len, Duration::from_secs(4));
        }
        self.sizes();
    }

    fn reopen(&mut self) {
        let path = self.directory.join("mailboxes.db");
        let other = open(&self.directory.join("other.db"));
        self.store = other;
        let start = Instant::now();
        self.store = open(&path);
        println!(
            "  opened again in {:.2?}, resident {} MiB",
            start.elapsed(),
            resident()
        );
    }

    fn deep(&mut self) {
        let mut rates = Vec::new();
        for _ in 0..10 {
            let start = Instant::now();
            for _ in 0..10_000 / 64 {
                let batch = (0..64).map(|_| self.message(0)).collect();
                self.store.commit(NOW, batch).unwrap();
            }
            rates.push(10_000.0 / start.elapsed().as_secs_f64());
        }
        println!("  one mailbox, each 10,000 to 100,000: {rates:.0?}/s");
    }

    /// Each batch stores 64 and confirms the 64 before.
    fn cycle(&mut self) {
        let mut before: Vec<Op> = Vec::new();
        let start = Instant::now();
        let (mut count, written) = (0, written());
        while start.elapsed() < Duration::from_secs(5) {
            let stores = self.batch(64);
            let confirms = stores.iter().map(confirmation_of).collect();
            let mut batch = std::mem::replace(&mut before, confirms);
            batch.extend(stores);
            for outcome in self.store.commit(NOW, batch).unwrap() {
                before.extend(taken(outcome));
            }
            count += 64;
        }
        let rate = f64::from(count) / start.elapsed().as_secs_f64();
        let bytes = (self::written() - written) as f64 / f64::from(count) / 1_024.0;
        println!(
            "  store, confirm, confirmation taken: {rate:.0}/s, {bytes:.2} KiB written a message"
        );
    }

    fn drain(&mut self) {
        let backlog: Vec<Op> = (0..20_000).map(|_| self.message(0)).collect();
        for batch in backlog.chunks(500) {
            self.store.commit(NOW, batch.to_vec()).unwrap();
        }
        let reader = self.store.reader();
        let start = Instant::now();
        let (mut after, mut count) = (Cursor::START, 0);
        loop {
            let page = reader.page(&somebody(0), after, 32, 1 << 20).unwrap();
            if count == 0 {
                println!("  first page of 32 of 20,000: {:.2?}", start.elapsed());
            }
            count += page.items.len();
            after = page.next;
            if !page.more {
                break;
            }
        }
        println!(
            "  pages: {:.0} items/s",
            count as f64 / start.elapsed().as_secs_f64()
        );
        let start = Instant::now();
        for batch in backlog.chunks(64) {
            let confirms = batch.iter().map(confirmation_of).collect();
            self.store.commit(NOW, confirms).unwrap();
        }
        println!(
            "  confirmed in batches of 64: {:.0}/s",
            20_000.0 / start.elapsed().as_secs_f64()
        );
    }
}

fn confirmation_of(op: &Op) -> Op {
    let Op::Store(op) = op else {
        unreachable!("a store");
    };
    Op::Confirm {
        owner: op.recipient,
        confirmations: vec![Confirmation {
            message_id: op.message_id,
            sender: op.sender,
            delivered_to: op.recipient,
            timestamp: NOW,
            blob_hash: op.hash,
            signature: Signature::new([9; 64]),
        }],
    }
}

fn taken(outcome: sremp_relay::mailbox::Outcome) -> Option<Op> {
    use sremp_relay::mailbox::{Confirmed, Outcome};
    let Outcome::Confirmed(each) = outcome else {
        return None;
    };
    let Some(Confirmed::Now(waits)) = each.into_iter().next() else {
        panic!("not confirmed");
    };
    Some(Op::ConfirmationsTaken {
        route: waits.route,
        ids: vec![waits.id],
    })
}

/// Where the databases are.
fn place() -> PathBuf {
    let place = std::env::var_os("SREMP_BENCH_DIR");
    place.map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from)
}

fn number(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.unwrap().trim().trim_end_matches(" kB");
    number.parse().unwrap()
}

fn written() -> u64 {
    number("/proc/self/io", "write_bytes:")
}

fn resident() -> u64 {
    number("/proc/self/status", "VmRSS:") / 1_024
}

fn fdatasync_millis() -> f64 {
    use std::os::unix::fs::FileExt as _;
    fs::create_dir_all(place()).unwrap();
    let path = place().join("sremp-fdatasync");
    let file = fs::File::create(&path).unwrap();
    file.write_all_at(&[1; 1 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let start = Instant::now();
    for n in 0..100 {
        file.write_all_at(&[2; 8_192], n * 8_192).unwrap();
        file.sync_data().unwrap();
    }
    let took = start.elapsed().as_secs_f64() * 10.0;
    let _ = fs::remove_file(path);
    took
}
