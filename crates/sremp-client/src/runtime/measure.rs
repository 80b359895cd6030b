//! How fast the store is, for `doctor`.

use std::time::{Duration, Instant};

use crate::{
    engine::StoreMeasure,
    store::{Store, StoreError},
};

/// Commits that are measured.
const COMMITS: u32 = 20;
/// No further one is begun after this time: the engine waits meanwhile.
const AT_MOST: Duration = Duration::from_secs(1);
/// The setting that is written for it.
const SETTING: &str = "doctor";

/// The setting that is written and removed to see whether there is room, of the size of a large message.
const ROOM: (&str, usize) = ("room", 64 * 1024);

/// Whether a message could be kept now.
pub(super) fn room(store: &mut Store) -> Result<(), StoreError> {
    store.transaction(|tx| tx.set_setting(ROOM.0, &[0; ROOM.1]))?;
    store.transaction(|tx| tx.delete_setting(ROOM.0))
}

/// Measures durable transactions, and looks at the pages if they are few.
pub(super) fn commits(store: &mut Store) -> Result<StoreMeasure, StoreError> {
    let from = Instant::now();
    let mut times = Vec::new();
    for n in 0..COMMITS {
        let begin = Instant::now();
        store.transaction(|tx| tx.set_setting(SETTING, &n.to_le_bytes()))?;
        times.push(begin.elapsed());
        if from.elapsed() > AT_MOST {
            break;
        }
    }
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied();
    Ok(StoreMeasure {
        commits: times.len() as u32,
        median: middle.unwrap_or_default(),
        longest: times.last().copied().unwrap_or_default(),
        intact: store.looks_intact()?,
    })
}
