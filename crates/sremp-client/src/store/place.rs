//! Where a line stands in its conversation: in the order of its sender (product.md, order and
//! time).
//!
//! Positions grow in steps of [`STEP`]. A received line that comes late goes between its sender's
//! lines around it, halfway to the next position; when there is none left, the lines behind it are
//! spread anew, as few as suffice.

use rusqlite::params;

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
    /// A free position for a line. Lines of one's own, notices, and received lines in order go to
    /// the end.
    pub(super) fn place(
        &mut self,
        contact: ContactRow,
        kind: MessageKind,
        seq: u64,
    ) -> Result<i64> {
        if kind == MessageKind::Received
            && let Some((lower, upper)) = self.late_gap(contact.0, saturating(seq))?
        {
            return match upper - lower {
                0 | 1 => self.make_room(contact.0, lower),
                gap => Ok(lower + gap / 2),
            };
        }
        let sql = "SELECT coalesce(max(position), 0) FROM message WHERE contact = ?1";
        Ok(self.one(sql, [contact.0], |row| row.int(0))? + STEP)
    }

    /// The two neighbouring positions between which a late line belongs; `None` if it is in order.
    fn late_gap(&mut self, contact: i64, seq: i64) -> Result<Option<(i64, i64)>> {
        debug_assert_eq!(MessageKind::Received.code(), 1, "the index is over kind 1");
        let sql = "SELECT position FROM message WHERE contact = ?1 AND kind = 1 AND seq > ?2
                   ORDER BY seq, position LIMIT 1";
        let next = self.get(sql, params![contact, seq], |row| row.int(0))?;
        let Some(next) = next else { return Ok(None) };
        let sql = "SELECT position FROM message WHERE contact = ?1 AND kind = 1 AND seq <= ?2
                   ORDER BY seq DESC, position DESC LIMIT 1";
        if let Some(previous) = self.get(sql, params![contact, seq], |row| row.int(0))? {
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
