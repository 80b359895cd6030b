//! Search in the whole history.

use rusqlite::params;

use super::{
    MessageRecord, StoreError, Tx,
    messages::{columns, lines, read},
};

/// Words of a search that count; further ones are ignored.
pub const MAX_SEARCH_WORDS: usize = 16;

impl Tx<'_> {
    /// Lines that contain all words, the newest arrival first. Case and accents do not count. What
    /// the user types is only text: no character of it is an operator.
    ///
    /// # Errors
    /// [`StoreError`] if the index cannot be read.
    pub fn search(&mut self, words: &str, limit: u32) -> Result<Vec<MessageRecord>, StoreError> {
        let Some(query) = query(words) else {
            return Ok(Vec::new());
        };
        self.index()?;
        // in the order of the index itself: it reads from the newest down and stops at the limit
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM message_text t CROSS JOIN ",
            lines!(),
            " WHERE m.id = t.rowid AND t.message_text MATCH ?1 ORDER BY t.rowid DESC LIMIT ?2"
        );
        self.list(sql, params![query, limit], read)
    }
}

/// The words as FTS5 strings, which hold anything but need their quotes doubled and end at a NUL.
fn query(words: &str) -> Option<String> {
    let quoted: Vec<String> = words
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .take(MAX_SEARCH_WORDS)
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"")))
        .collect();
    (!quoted.is_empty()).then(|| quoted.join(" "))
}
