//! A lease over hours, in no time.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use super::super::{
    Mapping, MappingFailure, MappingProtocol,
    keep::{Grant, Router},
    start,
};

const LEASE: Duration = Duration::from_secs(3_600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    Obtain(Option<u16>),
    Renew(u16),
    GiveBack(u16),
}

/// Answers in this order, and remembers what was asked, and when.
#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<VecDeque<Result<u16, MappingFailure>>>>,
    log: Arc<Mutex<Vec<(Duration, Did)>>>,
    began: Instant,
}

impl Script {
    fn new(answers: &[Result<u16, MappingFailure>]) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
            log: Arc::default(),
            began: Instant::now(),
        }
    }

    fn note(&self, did: Did) {
        self.log.lock().unwrap().push((self.began.elapsed(), did));
    }

    async fn answer(&self) -> Result<Grant<()>, MappingFailure> {
        let next = self.answers.lock().unwrap().pop_front();
        match next {
            Some(port) => port.map(grant),
            // the story is over
            None => std::future::pending().await,
        }
    }

    fn did(&self) -> Vec<Did> {
        self.log
            .lock()
            .unwrap()
            .iter()
            .map(|(_, did)| *did)
            .collect()
    }
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([9, 9, 9, 9], port))
}

fn grant(port: u16) -> Grant<()> {
    Grant {
        external: at(port),
        protocol: MappingProtocol::Pcp,
        lease: LEASE,
        token: (),
    }
}

fn shown(port: u16) -> Mapping {
    Mapping::External {
        address: at(port),
        protocol: MappingProtocol::Pcp,
    }
}

impl Router for Script {
    type Token = ();

    async fn obtain(&mut self, port: Option<u16>) -> Result<Grant<()>, MappingFailure> {
        self.note(Did::Obtain(port));
        self.answer().await
    }

    async fn renew(&self, grant: &Grant<()>) -> Result<Grant<()>, MappingFailure> {
        self.note(Did::Renew(grant.external.port()));
        self.answer().await
    }

    async fn give_back(&self, grant: &Grant<()>) {
        self.note(Did::GiveBack(grant.external.port()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_at_half_and_changes_are_told() {
    let script = Script::new(&[Ok(1), Ok(1), Ok(2)]);
    let kept = start(script.clone());
    let mut state = kept.watch();
    assert_eq!(*state.borrow_and_update(), Mapping::None);
    state.wait_for(|m| *m == shown(1)).await.unwrap();
    // the renewal that changes nothing wakes nobody
    state.changed().await.unwrap();
    assert_eq!(*state.borrow_and_update(), shown(2));
    kept.end().await;
    assert_eq!(*state.borrow(), Mapping::None);
    let log = script.log.lock().unwrap().clone();
    let [(begin, _), (first, _), (second, _), (_, last)] = log.as_slice() else {
        panic!("{log:?}");
    };
    for pause in [*first - *begin, *second - *first] {
        assert!(pause >= LEASE / 2 && pause <= LEASE * 60 / 100, "{pause:?}");
    }
    assert_eq!(*last, Did::GiveBack(2));
}

#[tokio::test(start_paused = true)]
async fn a_silent_gateway_is_asked_until_the_lease_ends_and_then_anew() {
    let silence = Err(MappingFailure::NoAnswer);
    let mut answers = vec![Ok(7)];
    answers.extend(vec![silence; 40]);
    let script = Script::new(&answers);
    let kept = start(script.clone());
    let mut state = kept.watch();
    state.wait_for(|m| *m == shown(7)).await.unwrap();
    let began = Instant::now();
    state.changed().await.unwrap();
    let lost = Mapping::Failed(MappingFailure::NoAnswer);
    assert_eq!(*state.borrow_and_update(), lost);
    let after = began.elapsed();
    assert!(
        after <= LEASE && after > LEASE - Duration::from_secs(10),
        "{after:?}"
    );
    let did = script.did();
    let renewals = did.iter().filter(|did| **did == Did::Renew(7)).count();
    assert!((5..=15).contains(&renewals), "{renewals}");
    drop(kept);
    // the other end goes when all is over
    while state.changed().await.is_ok() {}
    let did = script.did();
    assert!(
        did.contains(&Did::Obtain(Some(7))),
        "the same port, if it goes: {did:?}"
    );
    assert!(!did.contains(&Did::GiveBack(7)), "{did:?}");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_takes_a_mapping_back_is_believed_at_once() {
    let refused = MappingFailure::Refused(MappingProtocol::Pcp, 2);
    let script = Script::new(&[Ok(7), Err(refused), Ok(8)]);
    let kept = start(script.clone());
    let mut state = kept.watch();
    state.wait_for(|m| *m == shown(8)).await.unwrap();
    assert_eq!(
        script.did(),
        [Did::Obtain(None), Did::Renew(7), Did::Obtain(Some(7))]
    );
    kept.end().await;
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_at_growing_intervals() {
    let failures = vec![Err(MappingFailure::NoGateway); 12];
    let script = Script::new(&failures);
    let kept = start(script.clone());
    let mut state = kept.watch();
    let failed = Mapping::Failed(MappingFailure::NoGateway);
    state.wait_for(|m| *m == failed).await.unwrap();
    tokio::time::timeout(Duration::from_secs(24 * 3_600), state.changed())
        .await
        .expect_err("the same failure wakes nobody");
    let times: Vec<Duration> = script
        .log
        .lock()
        .unwrap()
        .iter()
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(times.len(), 13);
    for (n, pair) in times.windows(2).enumerate() {
        let rest = Duration::from_secs((60 << n).min(3_600));
        let pause = pair[1] - pair[0];
        assert!(
            pause >= rest * 75 / 100 && pause <= rest * 125 / 100,
            "{n}: {pause:?}"
        );
    }
    kept.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_dropped_gives_back_too() {
    let script = Script::new(&[Ok(7)]);
    let kept = start(script.clone());
    let mut state = kept.watch();
    state.wait_for(|m| *m == shown(7)).await.unwrap();
    drop(kept);
    while state.changed().await.is_ok() {}
    assert_eq!(script.did(), [Did::Obtain(None), Did::GiveBack(7)]);
    assert_eq!(*state.borrow(), Mapping::None);
}

/// Grants only when it is told to.
struct Slow(Script, Option<tokio::sync::oneshot::Receiver<()>>);

impl Router for Slow {
    type Token = ();

    async fn obtain(&mut self, port: Option<u16>) -> Result<Grant<()>, MappingFailure> {
        self.0.note(Did::Obtain(port));
        if let Some(told) = self.1.take() {
            told.await.unwrap();
        }
        Ok(grant(7))
    }

    async fn renew(&self, grant: &Grant<()>) -> Result<Grant<()>, MappingFailure> {
        self.0.renew(grant).await
    }

    async fn give_back(&self, grant: &Grant<()>) {
        self.0.give_back(grant).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_the_end_is_given_back() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let script = Script::new(&[]);
    let kept = start(Slow(script.clone(), Some(told)));
    let state = kept.watch();
    let mut log = Vec::new();
    while log.is_empty() {
        tokio::task::yield_now().await;
        log = script.did();
    }
    let ending = tokio::spawn(kept.end());
    tokio::task::yield_now().await;
    tell.send(()).unwrap();
    ending.await.unwrap();
    assert_eq!(script.did(), [Did::Obtain(None), Did::GiveBack(7)]);
    assert_eq!(*state.borrow(), Mapping::None, "and nobody was told of it");
}
