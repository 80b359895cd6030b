//! A load generator: real connections, real signatures, and answers that are waited for.
//!
//! | | |
//! |---|---|
//! | [`fill`] | many registrations, written into a directory whose server does not run |
//! | [`lookup`] | lookups over connections that are kept, over new ones, and as a client does them |
//! | [`register`] | registrations |
//! | [`browse`] | lookups while others browse |
//! | [`idle`] | connections on which nothing happens |

pub mod browse;
pub mod fill;
pub mod idle;
pub mod lookup;
pub mod register;

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use sremp_core::{
    channel::Message,
    id::{ContactId, IdentityKey},
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    rendezvous::{Lookup, RendezvousClient, RendezvousEvent, RendezvousLink, RendezvousMessage},
};
use sremp_net::{
    clock,
    tls::{TlsClient, Trust, connect},
};
use tokio::task::JoinSet;

/// Why no load came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError(pub String);

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LoadError {}

fn failed(error: impl std::fmt::Display) -> LoadError {
    LoadError(format!("the rendezvous server does not answer: {error}"))
}

/// Times of what was done.
#[derive(Clone, Debug, Default)]
pub struct Times {
    took: Duration,
    each: Vec<Duration>,
}

impl Times {
    fn of(took: Duration, mut each: Vec<Duration>) -> Self {
        each.sort_unstable();
        Self { took, each }
    }

    /// How often it was done.
    pub fn count(&self) -> u64 {
        u64::try_from(self.each.len()).unwrap_or(u64::MAX)
    }

    /// How often in a second.
    pub fn per_s(&self) -> f64 {
        self.count() as f64 / self.took.as_secs_f64()
    }

    /// Milliseconds within which `percent` of them were done.
    pub fn percentile_ms(&self, percent: usize) -> f64 {
        let at = self.each.len().saturating_mul(percent) / 100;
        let time = self.each.get(at.min(self.each.len().saturating_sub(1)));
        time.map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }
}

/// Lets as many tasks as there are items each do the same until the time is over.
async fn all_for<T, F>(
    time: Duration,
    items: Vec<T>,
    work: impl Fn(T, Instant) -> F,
) -> Result<Times, LoadError>
where
    F: Future<Output = Result<Vec<Duration>, LoadError>> + Send + 'static,
{
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for item in items {
        tasks.spawn(work(item, began + time));
    }
    let mut each = Vec::new();
    while let Some(done) = tasks.join_next().await {
        each.extend(done.map_err(failed)??);
    }
    Ok(Times::of(began.elapsed(), each))
}

/// One connection, on which one question is asked at a time.
struct Asker {
    tls: TlsClient,
    req_id: u32,
}

impl Asker {
    async fn connect(link: &RendezvousLink) -> Result<Self, LoadError> {
        let trust = link.spki.map_or(Trust::Name, Trust::Pin);
        let tls = connect(&link.endpoint, &trust, false).await;
        Ok(Self {
            tls: tls.map_err(failed)?,
            req_id: 0,
        })
    }

    async fn connect_all(link: &RendezvousLink, count: usize) -> Result<Vec<Self>, LoadError> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(Self::connect(link).await?);
        }
        Ok(all)
    }

    async fn ask(&mut self, question: &RendezvousMessage) -> Result<Message, LoadError> {
        self.req_id = self.req_id.checked_add(1).unwrap_or(1);
        let question = question.to_message(self.req_id);
        self.tls
            .send(&question)
            .await
            .map_err(|e| failed(e.cause()))?;
        let answer = self.tls.next().await.map_err(|e| failed(e.cause()))?;
        match answer.req_id == self.req_id {
            true => Ok(answer),
            false => Err(failed("it answers something else")),
        }
    }

    /// Looks somebody up. The answer is decoded, and of one in [`VERIFIED`] every signature checked:
    /// a load that checks all would measure itself.
    async fn lookup(&mut self, key: IdentityKey) -> Result<(), LoadError> {
        let question = RendezvousMessage::Lookup(Lookup {
            target_identity: Some(key),
            list_all: false,
            cursor: None,
        });
        let answer = self.ask(&question).await?;
        if self.req_id % VERIFIED == 1 {
            return self.verify(key, answer);
        }
        match RendezvousMessage::decode(&answer) {
            Ok(RendezvousMessage::LookupResponse(found)) if found.peers.len() == 1 => Ok(()),
            other => Err(failed(format!("{other:?}"))),
        }
    }

    fn verify(&self, key: IdentityKey, mut answer: Message) -> Result<(), LoadError> {
        let mut machine = RendezvousClient::new(*self.tls.exporter());
        let key = ContactId::parse(key.as_bytes()).map_err(|_| failed("no key"))?;
        let asked = machine.lookup(key, None).map_err(failed)?;
        answer.req_id = asked.req_id;
        match machine.handle(&answer, clock::wall()) {
            Ok(Some(RendezvousEvent::Found { .. })) => Ok(()),
            other => Err(failed(format!("{other:?}"))),
        }
    }
}

/// Of so many answers one is verified.
const VERIFIED: u32 = 1_024;

/// The `n`th of those who are looked up.
fn person(n: u64) -> SecretIdentity {
    #[allow(clippy::expect_used, reason = "a fixed name that is valid")]
    let name = Username::parse("somebody").expect("a valid name");
    let mut seed = [0x5e; 32];
    if let Some(first) = seed.first_chunk_mut() {
        *first = n.to_le_bytes();
    }
    // nobody ever dials them: one key is enough
    let noise = NoiseSecret::from_bytes(&[0x41; 32]);
    SecretIdentity::from_keys(&seed, noise, &name, clock::wall())
}

/// Who is registered.
#[derive(Clone, Debug)]
pub struct Keys(Arc<[IdentityKey]>);

impl Keys {
    /// In another order for each `n`, without a draw for each lookup; without end.
    fn walk(&self, n: usize) -> impl Iterator<Item = IdentityKey> {
        let len = self.0.len().max(1);
        let step = n.wrapping_mul(2).wrapping_add(104_729);
        let start = n.wrapping_mul(7_919);
        let places = (0..).map(move |k: usize| start.wrapping_add(k.wrapping_mul(step)) % len);
        places.filter_map(|place| self.0.get(place).copied())
    }
}
