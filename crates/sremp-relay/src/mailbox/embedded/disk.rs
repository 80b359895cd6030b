//! How much room is left, and how much is taken.

use std::{fs, path::Path};

use crate::mailbox::DiskGuard;

/// How much room is left on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Room {
    /// Only for what makes room.
    None,
    /// For messages of old mailboxes.
    Some,
    /// Also for new mailboxes.
    Ample,
}

/// Looks at the disk of a path; a disk that does not tell counts as having room, as the database
/// itself refuses when it has none.
pub(super) fn room(path: &Path, guard: &DiskGuard) -> Room {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
    let Ok(stat) = rustix::fs::statvfs(directory.unwrap_or(Path::new("."))) else {
        return Room::Ample;
    };
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    let taken = bytes(stat.f_blocks.saturating_sub(stat.f_bfree));
    judge(bytes(stat.f_bavail), taken, guard)
}

/// As `df` reckons: what is reserved for others, or beyond a quota, is no part of the disk.
fn judge(left: u64, taken: u64, guard: &DiskGuard) -> Room {
    let hundredth = left.saturating_add(taken) / 100;
    let has_to_be_left = hundredth * u64::from(100_u8.saturating_sub(guard.full));
    if left < guard.room || left < has_to_be_left {
        Room::None
    } else if left < guard.room.saturating_mul(2) {
        Room::Some
    } else {
        Room::Ample
    }
}

/// Bytes of the database with its log.
pub(super) fn taken(path: &Path) -> u64 {
    let length = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.len());
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    length(path) + length(Path::new(&log))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_mailboxes_are_refused_before_old_ones_suffer() {
        let guard = DiskGuard {
            full: 95,
            room: 1_000,
        };
        assert_eq!(judge(999, 10_000, &guard), Room::None);
        assert_eq!(judge(1_999, 10_000, &guard), Room::Some);
        assert_eq!(judge(2_000, 10_000, &guard), Room::Ample);
    }

    #[test]
    fn a_disk_is_full_by_what_is_left_of_what_it_gives() {
        let guard = DiskGuard { full: 95, room: 0 };
        assert_eq!(judge(4_999, 95_001, &guard), Room::None);
        assert_eq!(judge(5_000, 95_000, &guard), Room::Ample);
        assert_eq!(
            judge(12_000, 80_000, &guard),
            Room::Ample,
            "whatever the rest of a disk of a million may be for"
        );
    }
}
