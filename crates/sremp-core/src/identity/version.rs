//! Which of two identities of one key counts (D2.5).

use super::Identity;

/// What is remembered of a key for ever, also after its contact is deleted: the highest version
/// seen and the hash of its signed data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRecord {
    /// Highest version seen.
    pub version: u64,
    /// SHA-256 of its signed data.
    pub verified_hash: [u8; 32],
}

/// What an identity means beside the one that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionVerdict {
    /// First or higher: takes the place of what is known.
    Newer,
    /// The one that is known.
    Same,
    /// Lower than what is known: refused, and the peer told what was seen.
    Stale {
        /// The highest version seen.
        seen: u64,
    },
    /// Same version, other content: the known one is kept and the user warned.
    Fork,
    /// A tombstone was seen: nothing counts any more.
    Tombstoned,
}

impl VersionRecord {
    /// The record of an identity.
    pub const fn of(identity: &Identity) -> Self {
        Self {
            version: identity.version(),
            verified_hash: *identity.verified_hash(),
        }
    }

    /// Judges an identity of the same key against what is known of it.
    pub fn judge(known: Option<&Self>, identity: &Identity) -> VersionVerdict {
        let Some(known) = known else {
            return VersionVerdict::Newer;
        };
        let same = known.verified_hash == *identity.verified_hash();
        match identity.version().cmp(&known.version) {
            std::cmp::Ordering::Equal if same => VersionVerdict::Same,
            _ if known.version == crate::constants::MAX_IDENTITY_VERSION => {
                VersionVerdict::Tombstoned
            }
            std::cmp::Ordering::Equal => VersionVerdict::Fork,
            std::cmp::Ordering::Greater => VersionVerdict::Newer,
            std::cmp::Ordering::Less => VersionVerdict::Stale {
                seen: known.version,
            },
        }
    }
}
