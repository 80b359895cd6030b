//! Lookups while others walk through those who are listed.

use std::time::{Duration, Instant};

use sremp_core::rendezvous::{Lookup, PageCursor, RendezvousLink, RendezvousMessage};
use tokio::{task::JoinSet, time::interval};

use super::{Asker, Keys, LoadError, Times, failed, lookup, register::registered};

/// What came of it.
#[derive(Clone, Debug)]
pub struct Beside {
    /// The lookups.
    pub lookups: Times,
    /// Pages that were read meanwhile, a second.
    pub pages_per_s: f64,
}

/// As [`lookup::kept`], while so many others, who are registered, each ask for a page `every` so
/// often.
///
/// # Errors
/// [`LoadError`].
pub async fn beside(
    link: &RendezvousLink,
    keys: &Keys,
    clients: usize,
    time: Duration,
    browsers: u64,
    every: Duration,
) -> Result<Beside, LoadError> {
    let mut walking = JoinSet::new();
    let mut askers = Vec::new();
    for n in 0..browsers {
        askers.push(registered(link, n).await?);
    }
    let began = Instant::now();
    for asker in askers {
        walking.spawn(walk(asker, every, began + time));
    }
    let lookups = lookup::kept(link, keys, clients, time).await?;
    let mut pages = 0;
    while let Some(walked) = walking.join_next().await {
        pages += walked.map_err(failed)??;
    }
    Ok(Beside {
        lookups,
        pages_per_s: pages as f64 / time.as_secs_f64(),
    })
}

async fn walk(mut asker: Asker, every: Duration, until: Instant) -> Result<u64, LoadError> {
    let (mut pages, mut cursor) = (0, None);
    let mut ticks = interval(every);
    while Instant::now() < until {
        ticks.tick().await;
        cursor = page(&mut asker, cursor).await?;
        pages += 1;
    }
    Ok(pages)
}

async fn page(
    asker: &mut Asker,
    cursor: Option<PageCursor>,
) -> Result<Option<PageCursor>, LoadError> {
    let question = RendezvousMessage::Lookup(Lookup {
        target_identity: None,
        list_all: true,
        cursor,
    });
    let answer = asker.ask(&question).await?;
    match RendezvousMessage::decode(&answer) {
        Ok(RendezvousMessage::LookupResponse(page)) => Ok(page.next),
        other => Err(failed(format!("{other:?}"))),
    }
}
