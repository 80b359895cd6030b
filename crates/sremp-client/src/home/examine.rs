//! What `doctor` sees of a home from outside: who may read it, and how much room its disk has.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::Home;
use crate::view::{CheckView, Outcome, Unit};

/// Less room than this is told, in bytes; below a tenth of it messages will soon be refused.
const ROOM: u64 = 512 << 20;

impl Home {
    /// Who may read it, and how much room there is.
    pub fn examine(&self) -> Vec<CheckView> {
        let paths = [
            (self.path().to_owned(), 0o700),
            (self.config_path(), 0o600),
            (self.path().join(super::KEY), 0o600),
            (self.database_path(), 0o600),
            (self.mailbox_path(), 0o600),
        ];
        let modes = paths.into_iter().filter_map(|(path, most)| {
            let mode = fs::metadata(&path).ok()?.permissions().mode() & 0o777;
            Some((path.display().to_string(), mode, most))
        });
        let modes: Vec<_> = modes.collect();
        let room = rustix::fs::statvfs(self.path()).ok();
        let room = room.map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        vec![permissions(&modes), disk(room)]
    }
}

/// Judges paths by their modes and those that they should have at the most.
fn permissions(modes: &[(String, u32, u32)]) -> CheckView {
    match modes.iter().find(|(_, mode, most)| mode & !most != 0) {
        None => CheckView::new("home", Outcome::Ok, "only you may read it"),
        Some((path, mode, most)) => {
            let words = format!("others on this machine may open {path} (mode {mode:o})");
            let remedy = format!("Take that back: `chmod {most:o} '{path}'`.");
            CheckView::new("home", Outcome::Warn, words).remedy(remedy)
        }
    }
}

fn disk(room: Option<u64>) -> CheckView {
    let Some(room) = room else {
        return CheckView::new("disk", Outcome::Skipped, "the disk does not tell its room");
    };
    let words = format!("{} MiB are free", room >> 20);
    let check = match room {
        0..ROOM => {
            let outcome = match room < ROOM / 10 {
                true => Outcome::Fail,
                false => Outcome::Warn,
            };
            CheckView::new("disk", outcome, words).remedy(
                "Make room: on a full disk messages are neither sent nor confirmed. Nothing that is \
                 stored gets lost.",
            )
        }
        _ => CheckView::new("disk", Outcome::Ok, words),
    };
    check.measured(i64::try_from(room).unwrap_or(i64::MAX), Unit::Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_that_others_may_read_is_told_with_the_command_that_closes_it() {
        let modes = |key| {
            [
                ("/h".to_owned(), 0o700, 0o700),
                ("/h/key".to_owned(), key, 0o600),
            ]
        };
        for fine in [0o600, 0o400] {
            assert_eq!(permissions(&modes(fine)).outcome, Outcome::Ok);
        }
        let open = permissions(&modes(0o640));
        assert_eq!(open.outcome, Outcome::Warn);
        assert!(open.remedy.unwrap().contains("chmod 600 '/h/key'"));
    }

    #[test]
    fn a_disk_that_gets_full_is_told_before_it_is() {
        for (room, outcome) in [
            (Some(ROOM), Outcome::Ok),
            (Some(ROOM - 1), Outcome::Warn),
            (Some(ROOM / 10 - 1), Outcome::Fail),
            (None, Outcome::Skipped),
        ] {
            let check = disk(room);
            assert_eq!(check.outcome, outcome, "{room:?}");
            let bad = matches!(outcome, Outcome::Warn | Outcome::Fail);
            assert_eq!(check.remedy.is_some(), bad);
        }
    }
}
