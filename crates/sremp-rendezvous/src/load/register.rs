//! Registrations: signatures, a proof for the connection, and a commit.

use std::time::{Duration, Instant};

use serde_bytes::ByteBuf;
use sremp_core::{
    constants::MAX_RECORD_TTL,
    identity::SecretIdentity,
    rendezvous::{ExporterValue, Register, RendezvousLink, RendezvousMessage, Visibility, proof},
};
use tokio::task::JoinSet;

use super::{Asker, LoadError, Times, all_for, failed, fill::record, person};
use sremp_net::clock;

/// More than a server of two processors keeps in a second, and more than one connection gets.
const MOST_A_SECOND: f64 = 15_000.0;
const MOST_OF_ONE: f64 = 3_000.0;
/// Somebody else than those who are looked up.
const OTHERS: u64 = 1 << 40;

/// Registers over so many connections, each its own key again and again. What they send is signed
/// before the clock starts, so that it measures the server and not its load.
///
/// # Errors
/// [`LoadError`] when one is refused.
pub async fn run(
    link: &RendezvousLink,
    clients: usize,
    time: Duration,
) -> Result<Times, LoadError> {
    let askers = Asker::connect_all(link, clients).await?;
    let of_one = (MOST_A_SECOND / clients.max(1) as f64).min(MOST_OF_ONE);
    let count = (of_one * time.as_secs_f64()) as u64;
    let mut signing = JoinSet::new();
    for (n, asker) in askers.into_iter().enumerate() {
        signing.spawn_blocking(move || {
            let own = person(OTHERS + n as u64);
            let signed = sign(&own, asker.tls.exporter(), count);
            (asker, signed)
        });
    }
    let signed = signing.join_all().await;
    all_for(time, signed, |(mut asker, signed), until| async move {
        let mut times = Vec::new();
        for question in signed {
            let began = Instant::now();
            if began >= until {
                break;
            }
            let answer = asker.ask(&question).await?;
            match RendezvousMessage::decode(&answer) {
                Ok(RendezvousMessage::RegisterResponse(response)) if response.success => {}
                other => return Err(failed(format!("{other:?}"))),
            }
            times.push(began.elapsed());
        }
        Ok(times)
    })
    .await
}

/// Registrations one newer than the other, for one connection.
fn sign(own: &SecretIdentity, exporter: &ExporterValue, count: u64) -> Vec<RendezvousMessage> {
    let now = clock::wall();
    let newer = (0..count).filter_map(|n| {
        let seq = now.plus(Duration::from_millis(n));
        let record = record(own, now, seq, MAX_RECORD_TTL, Visibility::Listed)?;
        Some(RendezvousMessage::Register(Register {
            identity: ByteBuf::from(own.identity().as_bytes()),
            record: ByteBuf::from(record.as_bytes()),
            signature: *record.signature(),
            proof: proof::sign(own, exporter, &record),
        }))
    });
    newer.collect()
}

/// A connection on which somebody is registered.
pub(super) async fn registered(link: &RendezvousLink, n: u64) -> Result<Asker, LoadError> {
    let mut asker = Asker::connect(link).await?;
    let own = person(OTHERS * 2 + n);
    for question in sign(&own, asker.tls.exporter(), 1) {
        asker.ask(&question).await?;
    }
    Ok(asker)
}
