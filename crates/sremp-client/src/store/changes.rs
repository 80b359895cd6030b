//! What is done to messages after they were written: edits, deletions, replies, reactions (3.11).

use rusqlite::params;
use sremp_core::{id::MsgId, time::UnixMillis};

use super::{
    ContactRow, StoreError, Tx,
    column::{Cells as _, Code as _, saturating, time},
    messages::blank,
};
use crate::view::MessageKind;

type Result<T> = std::result::Result<T, StoreError>;

/// Changes of messages that have not come, kept for each contact at the most; the newest stay.
pub const MAX_EARLY: u32 = 16;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its author has given it another text.
    Edited,
    /// Its author has taken it back.
    TakenBack,
    /// It is of a kind that is not known here; what is shown is not its author's text.
    Opaque,
}

/// A message that something is to be done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageTarget {
    /// The line's number.
    pub id: i64,
    /// Sent or received.
    pub kind: MessageKind,
    /// What became of it.
    pub fate: Option<Fate>,
    /// It has disappeared, or the user has erased it.
    pub erased: bool,
    /// `seq` of the newest edit, 0 for none; at most `i64::MAX`.
    pub changed: u64,
    /// The event that told of the last change.
    pub event: Option<u64>,
}

impl MessageTarget {
    /// Whether there is a message left to be changed.
    pub fn stands(&self) -> bool {
        !self.erased && self.fate != Some(Fate::TakenBack)
    }
}

/// What is done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It gets another text.
    Edit,
    /// It is taken back.
    Delete,
    /// Somebody reacts to it.
    Reaction,
}

/// Somebody's word on a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageChange {
    /// Which message.
    pub msg_id: MsgId,
    /// What is done to it.
    pub kind: ChangeKind,
    /// `seq` of the content that says so.
    pub seq: u64,
    /// Its author's time.
    pub at: UnixMillis,
    /// The new text, or the reaction.
    pub text: String,
}

/// A person's reaction to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReactionRecord {
    /// The user's own, else the contact's.
    pub own: bool,
    /// `seq` of the content that brought it, at most `i64::MAX`.
    pub seq: u64,
    /// Its author's time.
    pub at: UnixMillis,
    /// The event that told of it.
    pub event: Option<u64>,
    /// The reaction; empty: taken back.
    pub text: String,
}

impl Tx<'_> {
    /// A sent or received message of a conversation by its id, also one that is gone; one's own
    /// first unless a kind is given.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn target(
        &mut self,
        contact: ContactRow,
        msg_id: &MsgId,
        kind: Option<MessageKind>,
    ) -> Result<Option<MessageTarget>> {
        let sql = "SELECT m.id, m.kind, m.erased, g.fate, coalesce(g.seq, 0), g.event
                   FROM message m LEFT JOIN message_change g ON g.message = m.id
                   WHERE m.msg_id = ?1 AND m.contact = ?2 AND m.kind = coalesce(?3, m.kind)
                     AND m.kind < 2
                   ORDER BY m.kind LIMIT 1";
        let kind = kind.map(MessageKind::code);
        self.get(sql, params![msg_id.as_bytes(), contact.0, kind], |row| {
            Ok(MessageTarget {
                id: row.int(0)?,
                kind: row.code(1)?,
                erased: row.flag(2)?,
                fate: row.opt_code(3)?,
                changed: row.count(4)?,
                event: row.opt_int(5)?.map(i64::cast_unsigned),
            })
        })
    }

    /// Gives a message another text. The old one is overwritten where it stood, in the search index
    /// too. A text of another length may move neighbouring rows, which are not wiped where they stood.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the message is not there.
    pub fn edit_message(
        &mut self,
        id: i64,
        text: &str,
        seq: u64,
        at: UnixMillis,
        event: Option<u64>,
    ) -> Result<()> {
        self.blank_message(id)?;
        let sql = "UPDATE message SET text = ?2 WHERE id = ?1";
        self.execute_one(sql, params![id, text])?;
        self.set_fate(id, Fate::Edited, seq, at, event)
    }

    /// Takes a message back: its text is overwritten, its place stays.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the message is not there.
    pub fn take_back(
        &mut self,
        id: i64,
        seq: u64,
        at: UnixMillis,
        event: Option<u64>,
    ) -> Result<()> {
        self.blank_message(id)?;
        self.execute("DELETE FROM reaction WHERE message = ?1", [id])?;
        self.execute("DELETE FROM message_reply WHERE message = ?1", [id])?;
        self.set_fate(id, Fate::TakenBack, seq, at, event)
    }

    /// A message is of a kind that is not known here.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn mark_opaque(&mut self, id: i64) -> Result<()> {
        self.set_fate(id, Fate::Opaque, 0, UnixMillis::ZERO, None)
    }

    fn set_fate(
        &mut self,
        id: i64,
        fate: Fate,
        seq: u64,
        at: UnixMillis,
        event: Option<u64>,
    ) -> Result<()> {
        self.execute_one(
            "INSERT OR REPLACE INTO message_change VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                id,
                fate.code(),
                saturating(seq),
                time(at),
                event.map(saturating)
            ],
        )
    }

    pub(super) fn blank_message(&mut self, id: i64) -> Result<()> {
        self.index()?;
        let sql = concat!("UPDATE message SET text = ", blank!(), " WHERE id = ?1");
        self.execute_one(sql, [id])
    }

    /// Which message a message answers.
    ///
    /// # Errors
    /// [`StoreError::Other`] if that is known already.
    pub fn set_answers(&mut self, id: i64, answers: &MsgId) -> Result<()> {
        let sql = "INSERT INTO message_reply VALUES (?1, ?2)";
        self.execute_one(sql, params![id, answers.as_bytes()])
    }

    /// The reactions to a message, one's own first; those taken back are not among them.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn reactions(&mut self, id: i64) -> Result<Vec<ReactionRecord>> {
        let mut all = self.every_reaction(id)?;
        all.retain(|reaction| !reaction.text.is_empty());
        Ok(all)
    }

    /// One person's reaction to a message, also if it was taken back.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn reaction(&mut self, id: i64, own: bool) -> Result<Option<ReactionRecord>> {
        let all = self.every_reaction(id)?;
        Ok(all.into_iter().find(|reaction| reaction.own == own))
    }

    fn every_reaction(&mut self, id: i64) -> Result<Vec<ReactionRecord>> {
        let sql = "SELECT own, seq, at, event, text FROM reaction WHERE message = ?1
                   ORDER BY own DESC";
        self.list(sql, [id], |row| {
            Ok(ReactionRecord {
                own: row.flag(0)?,
                seq: row.count(1)?,
                at: row.time(2)?,
                event: row.opt_int(3)?.map(i64::cast_unsigned),
                text: row.text(4)?,
            })
        })
    }

    /// Puts a person's reaction in the place of an earlier one.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn set_reaction(&mut self, id: i64, reaction: &ReactionRecord) -> Result<()> {
        self.execute_one(
            "INSERT OR REPLACE INTO reaction VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                id,
                reaction.own,
                saturating(reaction.seq),
                time(reaction.at),
                reaction.event.map(saturating),
                reaction.text
            ],
        )
    }

    /// Keeps what a contact said about a message that has not come: the newest of each kind and
    /// message, and of all the newest [`MAX_EARLY`].
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn keep_early(&mut self, contact: ContactRow, change: &MessageChange) -> Result<()> {
        self.execute(
            "INSERT INTO early_change VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET seq = excluded.seq, at = excluded.at, text = excluded.text
             WHERE excluded.seq > seq",
            params![
                contact.0,
                change.msg_id.as_bytes(),
                change.kind.code(),
                saturating(change.seq),
                time(change.at),
                change.text
            ],
        )?;
        self.execute(
            "DELETE FROM early_change WHERE contact = ?1 AND (msg_id, kind) NOT IN
                (SELECT msg_id, kind FROM early_change WHERE contact = ?1
                 ORDER BY seq DESC LIMIT ?2)",
            params![contact.0, MAX_EARLY],
        )?;
        Ok(())
    }

    /// Takes out what was said about a message before it came, in the order of saying.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn take_early(
        &mut self,
        contact: ContactRow,
        msg_id: &MsgId,
    ) -> Result<Vec<MessageChange>> {
        let key = params![contact.0, msg_id.as_bytes()];
        let sql = "SELECT kind, seq, at, text FROM early_change
                   WHERE contact = ?1 AND msg_id = ?2 ORDER BY seq, kind";
        let found = self.list(sql, key, |row| {
            Ok(MessageChange {
                msg_id: *msg_id,
                kind: row.code(0)?,
                seq: row.count(1)?,
                at: row.time(2)?,
                text: row.text(3)?,
            })
        })?;
        if !found.is_empty() {
            let sql = "DELETE FROM early_change WHERE contact = ?1 AND msg_id = ?2";
            self.execute(sql, key)?;
        }
        Ok(found)
    }
}
