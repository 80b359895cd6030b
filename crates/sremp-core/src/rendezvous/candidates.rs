//! Servers of which others have told: kept, and used by nobody until somebody chooses one (D5.7).

use std::collections::BTreeMap;

use super::{ServerRecord, address::may_be_public};
use crate::{
    constants::{MAX_CANDIDATES, MAX_CANDIDATES_PER_SOURCE},
    id::ContactId,
    time::UnixMillis,
};

/// Who told of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Another server, which was asked.
    Server(ContactId),
    /// Whoever comes from an address, of which a number is known: keys cost nothing.
    Address(u64),
}

/// Why a server is not kept as a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotKept {
    /// Its record is over, or of a time to come.
    Expired,
    /// A newer record of it is here.
    Older,
    /// It says to be where nobody dials for a stranger.
    PrivateAddress,
    /// As many of this source are kept as of any.
    SourceFull,
    /// As many are kept as of all.
    Full,
}

/// What one has heard of: at most 64 servers, at most 8 of one source, so that no liar fills it and
/// few together do not either.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    kept: BTreeMap<ContactId, (Source, ServerRecord)>,
    allow_private: bool,
}

impl Candidates {
    /// None yet. With `allow_private`, also servers of a LAN.
    pub const fn new(allow_private: bool) -> Self {
        Self {
            kept: BTreeMap::new(),
            allow_private,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// A source tells of a server. What it said of one that is known replaces that if it is newer,
    /// whoever tells: the server itself has signed it.
    ///
    /// # Errors
    /// [`NotKept`].
    pub fn offer(
        &mut self,
        source: Source,
        record: ServerRecord,
        now: UnixMillis,
    ) -> Result<(), NotKept> {
        if !record.holds_at(now) {
            return Err(NotKept::Expired);
        }
        if !self.allow_private && !may_be_public(record.endpoint()) {
            return Err(NotKept::PrivateAddress);
        }
        self.forget_expired(now);
        if let Some((_, known)) = self.kept.get_mut(&record.server()) {
            if known.issued() > record.issued() {
                return Err(NotKept::Older);
            }
            *known = record;
            return Ok(());
        }
        let of_source = self.kept.values().filter(|(of, _)| *of == source).count();
        if of_source >= MAX_CANDIDATES_PER_SOURCE {
            return Err(NotKept::SourceFull);
        }
        if self.kept.len() >= MAX_CANDIDATES {
            return Err(NotKept::Full);
        }
        self.kept.insert(record.server(), (source, record));
        Ok(())
    }

    /// Those whose records hold, in the order of their keys.
    pub fn list(&self, now: UnixMillis) -> impl Iterator<Item = &ServerRecord> {
        let records = self.kept.values().map(|(_, record)| record);
        records.filter(move |record| record.holds_at(now))
    }

    /// Takes one out: it is chosen, or not wanted.
    pub fn take(&mut self, server: &ContactId) -> Option<ServerRecord> {
        self.kept.remove(server).map(|(_, record)| record)
    }

    /// Whether this server is kept.
    pub fn has(&self, server: &ContactId) -> bool {
        self.kept.contains_key(server)
    }

    /// How many are kept that came from addresses.
    pub fn from_addresses(&self) -> usize {
        let sources = self.kept.values().map(|(source, _)| source);
        sources.filter(|s| matches!(s, Source::Address(_))).count()
    }

    /// Forgets those of a source that `keep` does not want any more.
    pub fn retain_of(&mut self, source: Source, keep: impl Fn(&ContactId) -> bool) {
        self.kept
            .retain(|server, (of, _)| *of != source || keep(server));
    }

    /// Forgets those whose records are over.
    pub fn forget_expired(&mut self, now: UnixMillis) {
        self.kept.retain(|_, (_, record)| record.holds_at(now));
    }
}
