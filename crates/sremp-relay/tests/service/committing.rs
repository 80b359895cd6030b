//! While the disk is quick, the task that checks signatures commits and answers too; the relay does
//! the same as by way of the committer's thread, which the other tests take.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use sremp_core::{error::ErrorCode, relay::Cursor, time::UnixMillis};
use sremp_relay::{
    config::{Config, Rates},
    home::RelayHome,
    invite::UsedInvites,
    mailbox::{Limits, MailboxStore, MemoryReader, MemoryStore, Op, Outcome, Stats, StoreError},
    run::{self, RunError, Running, Start},
};
use tempfile::TempDir;

use crate::{
    is_stored,
    peer::{Peer, envelope, now, to_store},
    refused,
    relay::open_config,
};

/// Where each batch was committed, and how many ops it had.
type Commits = Arc<Mutex<Vec<(bool, usize)>>>;

/// Notes its commits, and fails for good when told to.
struct Watched {
    store: MemoryStore,
    commits: Commits,
    broken: Arc<AtomicBool>,
}

impl MailboxStore for Watched {
    type Reader = MemoryReader;

    fn commit(&mut self, now: UnixMillis, batch: Vec<Op>) -> Result<Vec<Outcome>, StoreError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(StoreError::Io("the disk is gone".to_owned()));
        }
        let by_thread = thread::current().name() == Some("sremp-commit");
        self.commits.lock().unwrap().push((by_thread, batch.len()));
        self.store.commit(now, batch)
    }

    fn reader(&self) -> MemoryReader {
        self.store.reader()
    }

    fn stats(&self) -> Stats {
        self.store.stats()
    }

    fn rest(&mut self) -> Result<(), StoreError> {
        self.store.rest()
    }
}

struct WatchedRelay {
    running: Running,
    commits: Commits,
    broken: Arc<AtomicBool>,
    _dir: TempDir,
}

impl WatchedRelay {
    async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let home = RelayHome::at(dir.path().join("relay"));
        home.create(Config::DEFAULT, now(), &mut rand::rng())
            .unwrap();
        let (commits, broken) = (Commits::default(), Arc::new(AtomicBool::new(false)));
        let store = Watched {
            store: MemoryStore::new(Limits::default()),
            commits: commits.clone(),
            broken: broken.clone(),
        };
        let start = Start {
            identity: home.identity().unwrap(),
            config: Config {
                rates: Rates {
                    stores_per_sender: 0,
                    stores_per_mailbox: 0,
                    requests_per_address: 0,
                },
                ..open_config()
            },
            store,
            used_invites: UsedInvites::open(&home.invites_path()).unwrap(),
        };
        Self {
            running: run::start(start).await.unwrap(),
            commits,
            broken,
            _dir: dir,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_alone_and_what_together_reaches_the_reader_in_one_order() {
    const ROUNDS: usize = 20;
    const TOGETHER: usize = 32;
    let relay = WatchedRelay::start().await;
    let mut ben = Peer::owner(relay.running.link()).await;
    let mut ann = Peer::sender(relay.running.link()).await;
    crate::accept(&mut ben, &ann).await;
    ben.subscribe(Cursor::START, 256).await;
    let mut last = Cursor::START;
    for _ in 0..ROUNDS {
        let alone = envelope();
        assert!(is_stored(&ann.store(ben.key(), alone.clone()).await));
        let mut sent = vec![alone];
        for _ in 0..TOGETHER {
            let envelope = envelope();
            let store = to_store(ben.key(), envelope.clone());
            let message = ann.machine.store(&ann.own, store).unwrap();
            ann.send(message);
            sent.push(envelope);
        }
        for _ in 0..TOGETHER {
            let event = ann.event().await;
            assert!(is_stored(&event), "{event:?}");
        }
        let mut confirmations = Vec::new();
        for envelope in sent {
            let item = ben.item().await;
            assert!(item.cursor > last);
            last = item.cursor;
            assert_eq!(item.encrypted_blob, envelope);
            confirmations.push(ben.confirmation(&item));
        }
        assert!(ben.confirm(confirmations.clone()).await.is_empty());
        let mut heard = Vec::new();
        while heard.len() < confirmations.len() {
            heard.extend(ann.confirmations().await);
        }
        assert_eq!(heard, confirmations);
    }
    let commits = relay.commits.lock().unwrap().clone();
    let here = commits.iter().filter(|(by_thread, _)| !by_thread);
    assert!(here.clone().any(|(_, ops)| *ops == 1), "{commits:?}");
    assert!(here.clone().any(|(_, ops)| *ops > 1), "{commits:?}");
    assert!(here.count() > commits.len() / 2, "{commits:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_for_good_ends_the_relay_and_the_sender_is_not_told_of_success() {
    let mut relay = WatchedRelay::start().await;
    let ben = Peer::owner(relay.running.link()).await;
    let mut ann = Peer::sender(relay.running.link()).await;
    for _ in 0..3 {
        assert!(is_stored(&ann.store(ben.key(), envelope()).await));
    }
    assert!(relay.commits.lock().unwrap().contains(&(false, 1)));
    relay.broken.store(true, Ordering::Relaxed);
    let answer = ann.store(ben.key(), envelope()).await;
    assert_eq!(refused(&answer), Some(ErrorCode::Full), "{answer:?}");
    let failed = relay.running.failed().await;
    assert!(
        matches!(failed, RunError::Store(StoreError::Io(_))),
        "{failed:?}"
    );
}
