//! Where a line stands in its conversation: in the order of its sender (product.md, order and
//! time).
//!
//! Positions grow in steps of [`STEP`]. A received line that comes late goes between its sender's
//! lines around it, halfway to the next position; when there is none left, the lines behind it are
//! spread anew, as few as suffice. Nothing is put behind a line of the same number: its sender would
//! write anew what was answered already.

use rusqlite::params;
use sremp_core::id::MsgId;

use super::{
    ContactRow, StoreError, Tx,
    column::{Cells as _, Code as _, saturating},
};
use crate::view::MessageKind;

type Result<T> = std::result::Result<T, StoreError>;

/// Distance of two lines that came in order.
pub(super) const STEP: i64 = 1 << 20;
/// Lines that are spread anew at first when there is no room; four times as many next.
const WINDOW: i64 = 64;
/// Distance to which lines are spread at least.
const SPREAD: i64 = 1 << 10;

impl Tx<'_> {
    /// A free position for a line, and whether it is above lines of its sender that are there. Lines of
    /// one's own, notices, and received lines in order or of a number that is there go to the end.
    pub(super) fn place(
        &mut self,
        contact: ContactRow,
        kind: MessageKind,
        seq: u64,
    ) -> Result<(i64, bool)> {
        if kind == MessageKind::Received
            && let Some((lower, upper)) = self.late_gap(contact.0, saturating(seq))?
        {
            let position = match upper - lower {
                0 | 1 => self.make_room(contact.0, lower)?,
                gap => lower + gap / 2,
            };
            return Ok((position, true));
        }
        let sql = "SELECT coalesce(max(position), 0) FROM message WHERE contact = ?1";
        let last = self.one(sql, [contact.0], |row| row.int(0))?;
        Ok((last + STEP, false))
    }

    /// Whether a contact's message that is not there bears the number of one that is.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn bears_a_number_again(
        &mut self,
        contact: ContactRow,
        seq: u64,
        msg_id: &MsgId,
    ) -> Result<bool> {
        // not counted: somebody may send thousands of one number
        let sql =
            "SELECT EXISTS (SELECT 1 FROM message WHERE contact = ?1 AND kind = 1 AND seq = ?2)
                   AND NOT EXISTS (SELECT 1 FROM message
                                   WHERE msg_id = ?3 AND contact = ?1 AND kind = 1)";
        let params = params![contact.0, saturating(seq), msg_id.as_bytes()];
        self.one(sql, params, |row| Ok(row.int(0)? != 0))
    }

    /// Whether a line came after what stands below it.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn is_late(&mut self, line: i64) -> Result<bool> {
        self.any("SELECT 1 FROM message WHERE id = ?1 AND late", [line])
    }

    /// Whether one has written to a contact under this id, also if that is erased.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn is_own(&mut self, contact: ContactRow, msg_id: &MsgId) -> Result<bool> {
        let sql = "SELECT 1 FROM message WHERE msg_id = ?1 AND contact = ?2 AND kind = 0";
        self.any(sql, params![msg_id.as_bytes(), contact.0])
    }

    /// The two neighbouring positions between which a late line belongs; `None` if it goes to the end.
    fn late_gap(&mut self, contact: i64, seq: i64) -> Result<Option<(i64, i64)>> {
        debug_assert_eq!(MessageKind::Received.code(), 1, "the index is over kind 1");
        let sql = "SELECT position FROM message WHERE contact = ?1 AND kind = 1 AND seq > ?2
                   ORDER BY seq, position LIMIT 1";
        let next = self.get(sql, params![contact, seq], |row| row.int(0))?;
        let Some(next) = next else { return Ok(None) };
        let sql = "SELECT position, seq FROM message WHERE contact = ?1 AND kind = 1 AND seq <= ?2
                   ORDER BY seq DESC, position DESC LIMIT 1";
        let previous = self.get(sql, params![contact, seq], |row| {
            Ok((row.int(0)?, row.int(1)?))
        })?;
        if let Some((previous, number)) = previous {
            if number == seq {
                return Ok(None);
            }
            // right behind its predecessor, also where one's own lines follow that
            let sql = "SELECT min(position) FROM message WHERE contact = ?1 AND position > ?2";
            let upper = self.one(sql, params![contact, previous], |row| row.int(0))?;
            return Ok(Some((previous, upper)));
        }
        let sql = "SELECT coalesce(max(position), 0) FROM message
                   WHERE contact = ?1 AND position < ?2";
        let lower = self.one(sql, params![contact, next], |row| row.int(0))?;
        Ok(Some((lower, next)))
    }

    /// Moves the lines behind `lower` apart and returns the position that became free there.
    fn make_room(&mut self, contact: i64, lower: i64) -> Result<i64> {
        let mut window = WINDOW;
        loop {
            let sql = "SELECT id, position FROM message WHERE contact = ?1 AND position > ?2
                       ORDER BY position LIMIT ?3";
            let mut lines = self.list(sql, params![contact, lower, window + 1], |row| {
                Ok((row.int(0)?, row.int(1)?))
            })?;
            let all = (lines.len() as i64) <= window;
            let upper = match lines.last() {
                Some((_, last)) if !all => *last,
                _ => lower + STEP * (lines.len() as i64 + 2),
            };
            lines.truncate(window as usize);
            let step = (upper - lower) / (lines.len() as i64 + 2);
            if all || step >= SPREAD {
                self.spread(contact, lower, upper, step, &lines)?;
                return Ok(lower + step);
            }
            window *= 4;
        }
    }

    fn spread(
        &mut self,
        contact: i64,
        lower: i64,
        upper: i64,
        step: i64,
        lines: &[(i64, i64)],
    ) -> Result<()> {
        // out of the way first: no two lines may stand on one position even for a moment
        let sql = "UPDATE message SET position = -position
                   WHERE contact = ?1 AND position > ?2 AND position < ?3";
        self.execute(sql, params![contact, lower, upper])?;
        let sql = "UPDATE message SET position = ?2 WHERE id = ?1";
        let mut position = lower + step;
        for (id, _) in lines {
            position += step;
            self.execute_one(sql, params![id, position])?;
        }
        Ok(())
    }
}
