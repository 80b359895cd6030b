//! Lookups: over connections that are kept, over new ones, and as a client does them.

use std::time::{Duration, Instant};

use sremp_core::{
    id::ContactId,
    rendezvous::{RendezvousClient, RendezvousEvent, RendezvousLink},
};

use super::{Asker, Keys, LoadError, Times, all_for, failed};
use sremp_net::clock;

/// Looks these up over so many connections, each asking again when it has its answer.
///
/// # Errors
/// [`LoadError`] when somebody is not found.
pub async fn kept(
    link: &RendezvousLink,
    keys: &Keys,
    clients: usize,
    time: Duration,
) -> Result<Times, LoadError> {
    let askers = Asker::connect_all(link, clients).await?;
    let numbered = askers.into_iter().enumerate().collect();
    all_for(time, numbered, |(n, mut asker), until| {
        let keys = keys.clone();
        async move {
            let mut times = Vec::new();
            for key in keys.walk(n) {
                let began = Instant::now();
                if began >= until {
                    break;
                }
                asker.lookup(key).await?;
                times.push(began.elapsed());
            }
            Ok(times)
        }
    })
    .await
}

/// The same with a new connection for each lookup, so many at a time.
///
/// # Errors
/// As of [`kept`].
pub async fn new_each(
    link: &RendezvousLink,
    keys: &Keys,
    at_once: usize,
    time: Duration,
) -> Result<Times, LoadError> {
    all_for(time, (0..at_once).collect(), |n, until| {
        let (keys, link) = (keys.clone(), link.clone());
        async move {
            let mut times = Vec::new();
            for key in keys.walk(n) {
                let began = Instant::now();
                if began >= until {
                    break;
                }
                let mut asker = Asker::connect(&link).await?;
                asker.lookup(key).await?;
                asker.tls.close().await;
                times.push(began.elapsed());
            }
            Ok(times)
        }
    })
    .await
}

/// What a client goes through to find somebody, so often one after the other: connect, TLS, lookup,
/// every signature of the answer checked.
///
/// # Errors
/// As of [`kept`].
pub async fn rounds(link: &RendezvousLink, keys: &Keys, count: usize) -> Result<Times, LoadError> {
    let began = Instant::now();
    let mut times = Vec::new();
    for key in keys.walk(1).take(count) {
        let began = Instant::now();
        let mut asker = Asker::connect(link).await?;
        let mut machine = RendezvousClient::new(*asker.tls.exporter());
        let key = ContactId::parse(key.as_bytes()).map_err(|_| failed("no key"))?;
        let question = machine.lookup(key, None).map_err(failed)?;
        asker
            .tls
            .send(&question)
            .await
            .map_err(|e| failed(e.cause()))?;
        let answer = asker.tls.next().await.map_err(|e| failed(e.cause()))?;
        match machine.handle(&answer, clock::wall()) {
            Ok(Some(RendezvousEvent::Found { .. })) => times.push(began.elapsed()),
            other => return Err(failed(format!("{other:?}"))),
        }
        asker.tls.close().await;
    }
    Ok(Times::of(began.elapsed(), times))
}
