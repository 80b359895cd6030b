//! Registrations that are there before the server starts.

use std::{sync::mpsc::sync_channel, thread, time::Duration};

use sremp_core::{
    constants::MAX_RECORD_TTL,
    id::IdentityKey,
    identity::SecretIdentity,
    rendezvous::{Entry, Record, RecordDraft, Seq, Visibility},
    time::UnixMillis,
};
use sremp_net::clock;

use super::{Keys, LoadError, failed, person};
use crate::{
    directory::{DirectoryStore as _, EmbeddedStore, Op},
    home::RendezvousHome,
};

/// Registrations of one transaction.
const BATCH: u64 = 4_096;

/// What a directory was filled with.
#[derive(Clone, Debug)]
pub struct Filled {
    /// Who is registered.
    pub keys: Keys,
    /// Bytes of their identities, records and signatures, as an answer has them.
    pub wire: u64,
}

/// Writes so many registrations, one in four of them listed, into the directory of a server that does
/// not run. Each is signed; none is checked, as the server checked what is in its directory when it
/// came.
///
/// # Errors
/// [`LoadError`] when the directory cannot be written.
pub fn fill(home: &RendezvousHome, count: u64) -> Result<Filled, LoadError> {
    let mut store = EmbeddedStore::open(&home.database_path()).map_err(failed)?;
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    let (made, batches) = sync_channel::<Vec<Entry>>(4);
    thread::scope(|scope| {
        for n in 0..threads {
            let made = made.clone();
            scope.spawn(move || {
                for first in (n * BATCH..count).step_by((threads * BATCH) as usize) {
                    let last = (first + BATCH).min(count);
                    let entries = (first..last).filter_map(entry).collect();
                    if made.send(entries).is_err() {
                        return;
                    }
                }
            });
        }
        drop(made);
        let (mut keys, mut wire): (Vec<IdentityKey>, _) = (Vec::new(), 0);
        for entries in batches {
            keys.extend(entries.iter().map(Entry::key));
            let sizes = entries
                .iter()
                .map(|e| e.identity().len() + e.record().len() + 64);
            wire += sizes.sum::<usize>() as u64;
            let ops: Vec<Op> = entries.into_iter().map(|e| Op::Put(Box::new(e))).collect();
            store.commit(&ops).map_err(failed)?;
        }
        Ok(Filled {
            keys: Keys(keys.into()),
            wire,
        })
    })
}

fn entry(n: u64) -> Option<Entry> {
    let own = person(n);
    let now = clock::wall();
    let visibility = match n % 4 {
        0 => Visibility::Listed,
        _ => Visibility::Unlisted,
    };
    let record = record(&own, now, now, MAX_RECORD_TTL, visibility)?;
    let signature = *record.signature();
    Entry::restored(own.identity().as_bytes(), record.as_bytes(), signature, now)
}

/// A record with one endpoint, which is where the load comes from.
pub(super) fn record(
    own: &SecretIdentity,
    now: UnixMillis,
    seq: UnixMillis,
    ttl: Duration,
    visibility: Visibility,
) -> Option<Record> {
    let draft = RecordDraft {
        seq: Seq::new(seq.get()),
        endpoints: vec!["127.0.0.1:33399".parse().ok()?],
        issued: now,
        ttl,
        visibility,
        relays: Vec::new(),
    };
    Record::sign(own, draft).ok()
}
