//! The stored form of a book. Its sessions are stored beside it, each on its own, since a message
//! changes one of them and, as a rule, not the book.

use zeroize::Zeroizing;

use super::{Entry, InitRecord, SessionBook, limits::MAX_FAILURES};
use crate::{
    constants::{MAX_INACTIVE_SESSIONS, MAX_INIT_RECORDS, RESETS_PER_DAY},
    id::{ContactId, SessionId},
    session::{
        BadState,
        layout::{Reader, Writer},
        prekey::PrekeyId,
        ratchet::{Session, Sides},
    },
    time::UnixMillis,
};

const FORMAT: u8 = 1;
const MAX_SESSIONS: usize = MAX_INACTIVE_SESSIONS + 1;
const ENTRY_LEN: usize = 16 + 1 + 1 + 17 + 8;
const INIT_LEN: usize = 32 + 4 + 16;

impl SessionBook {
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let capacity = 17
            + 4
            + (4 + self.entries.len() * ENTRY_LEN)
            + (4 + self.inits.len() * INIT_LEN)
            + (4 + self.failures.len() * 16 + 8)
            + (4 + self.resets.len() * 8);
        let mut w = Writer::new(FORMAT, capacity);
        write_id(&mut w, self.active.as_ref());
        w.u32(self.strays);
        w.len(self.entries.len());
        for entry in &self.entries {
            w.bytes(entry.session.id.as_bytes());
            w.bool(entry.parked);
            w.bool(entry.reset);
            write_id(&mut w, entry.rival.as_ref());
            w.time(entry.inactive_since);
        }
        w.len(self.inits.len());
        for init in &self.inits {
            w.bytes(&init.hash);
            w.u32(init.spk_id.get());
            w.bytes(init.session_id.as_bytes());
        }
        w.len(self.failures.len());
        for failure in &self.failures {
            w.bytes(failure);
        }
        w.time(self.failing_since);
        w.len(self.resets.len());
        for at in &self.resets {
            w.time(*at);
        }
        w.finish()
    }

    pub(super) fn from_bytes<'a>(
        own: ContactId,
        peer: ContactId,
        book: &[u8],
        sessions: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, BadState> {
        let sides = Sides {
            own: &own,
            peer: &peer,
        };
        let mut loaded = Vec::new();
        for bytes in sessions {
            loaded.push(Session::from_bytes(&sides, bytes)?);
        }
        let mut r = Reader::new(FORMAT, book)?;
        let active = read_id(&mut r)?;
        let strays = r.u32()?;
        let mut entries = Vec::with_capacity(MAX_SESSIONS + 1);
        for _ in 0..r.len(MAX_SESSIONS)? {
            entries.push(read_entry(&mut r, &mut loaded)?);
        }
        let mut inits = Vec::new();
        for _ in 0..r.len(MAX_INIT_RECORDS)? {
            inits.push(InitRecord {
                hash: *r.array()?,
                spk_id: PrekeyId::new(r.u32()?).ok_or(BadState)?,
                session_id: SessionId::new(*r.array()?),
            });
        }
        let mut failures = Vec::new();
        for _ in 0..r.len(MAX_FAILURES)? {
            failures.push(*r.array()?);
        }
        let failing_since = r.time()?;
        let mut resets = Vec::new();
        for _ in 0..r.len(RESETS_PER_DAY)? {
            resets.push(r.time()?);
        }
        r.end()?;
        let book = Self {
            active,
            strays,
            entries,
            inits,
            failures,
            failing_since,
            resets,
            ..Self::new(own, peer)
        };
        let known = |id: Option<SessionId>| id.is_none_or(|id| book.entry(&id).is_some());
        let rivals_known = book.entries.iter().all(|entry| known(entry.rival));
        if loaded.is_empty() && known(book.active) && rivals_known {
            Ok(book)
        } else {
            Err(BadState)
        }
    }
}

/// Reads an entry and takes its session out of those that were stored.
fn read_entry(r: &mut Reader<'_>, loaded: &mut Vec<Session>) -> Result<Entry, BadState> {
    let id = SessionId::new(*r.array()?);
    let index = loaded.iter().position(|session| session.id == id);
    let session = loaded.swap_remove(index.ok_or(BadState)?);
    Ok(Entry {
        session,
        parked: r.bool()?,
        reset: r.bool()?,
        rival: read_id(r)?,
        inactive_since: r.time()?,
        changed: false,
    })
}

fn write_id(w: &mut Writer, id: Option<&SessionId>) {
    w.bool(id.is_some());
    if let Some(id) = id {
        w.bytes(id.as_bytes());
    }
}

fn read_id(r: &mut Reader<'_>) -> Result<Option<SessionId>, BadState> {
    if r.bool()? {
        Ok(Some(SessionId::new(*r.array()?)))
    } else {
        Ok(None)
    }
}

/// A fresh book has no bytes stored.
pub(super) const NEVER: UnixMillis = UnixMillis::ZERO;
