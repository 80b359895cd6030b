//! Invites that were given out, by the hash of their token (D8.1).

use rusqlite::params;
use sremp_core::{time::UnixMillis, wire::bytes::Hex};

use super::{
    StoreError, Tx,
    column::{Cells as _, time},
};

type Result<T> = std::result::Result<T, StoreError>;

/// An open invite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteRecord {
    /// `H("SREMP/1/token" ‖ token)`.
    pub token_hash: [u8; 32],
    /// When it was made.
    pub created: UnixMillis,
    /// When it ends.
    pub expires: UnixMillis,
}

impl InviteRecord {
    /// What the user calls it: the first 8 hex digits of its token's hash.
    pub fn name(&self) -> String {
        let mut hex = Hex(&self.token_hash).to_string();
        hex.truncate(8);
        hex
    }
}

impl Tx<'_> {
    /// Remembers an invite.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the token is there already.
    pub fn insert_invite(
        &mut self,
        token_hash: &[u8; 32],
        expires: UnixMillis,
        created: UnixMillis,
    ) -> Result<()> {
        self.execute_one(
            "INSERT INTO invite (token_hash, created, expires) VALUES (?1, ?2, ?3)",
            params![token_hash, time(created), time(expires)],
        )
    }

    /// Whether a token still lets a stranger in.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn invite_is_open(&mut self, token_hash: &[u8; 32], now: UnixMillis) -> Result<bool> {
        let sql = "SELECT 1 FROM invite WHERE token_hash = ?1 AND expires > ?2";
        self.any(sql, params![token_hash, time(now)])
    }

    /// Uses an invite up; tells whether it was open.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn burn_invite(&mut self, token_hash: &[u8; 32], now: UnixMillis) -> Result<bool> {
        let sql = "DELETE FROM invite WHERE token_hash = ?1 AND expires > ?2";
        Ok(self.execute(sql, params![token_hash, time(now)])? == 1)
    }

    /// Open invites, oldest first. What has expired is deleted.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn invites(&mut self, now: UnixMillis) -> Result<Vec<InviteRecord>> {
        self.execute("DELETE FROM invite WHERE expires <= ?1", [time(now)])?;
        let sql = "SELECT token_hash, created, expires FROM invite ORDER BY created, token_hash";
        self.list(sql, [], |row| {
            Ok(InviteRecord {
                token_hash: row.bytes(0)?,
                created: row.time(1)?,
                expires: row.time(2)?,
            })
        })
    }

    /// Closes the invites whose [`InviteRecord::name`] this is; tells how many.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn delete_invite(&mut self, name: &str) -> Result<u64> {
        let sql = "DELETE FROM invite WHERE lower(substr(hex(token_hash), 1, 8)) = lower(?1)";
        Ok(self.execute(sql, [name])? as u64)
    }
}
