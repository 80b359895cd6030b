//! One's own keys, and settings.

use rusqlite::params;
use sremp_core::{identity::SecretIdentityParts, time::UnixMillis};
use zeroize::Zeroizing;

use super::{
    StoreError, Tx,
    column::{Cells as _, Code as _, time},
};

type Result<T> = std::result::Result<T, StoreError>;
/// Id, time of making, secret.
type Prekey = (u32, UnixMillis, Zeroizing<Vec<u8>>);

/// The kinds of private key that a bundle announces (D3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrekeyKind {
    /// DHK.
    DhIdentity,
    /// SPK and its KEM key.
    Signed,
    /// OTP and its KEM key.
    OneTime,
    /// ENV.
    Envelope,
}

impl Tx<'_> {
    /// One's own identity.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if there is none.
    pub fn own_identity(&mut self) -> Result<SecretIdentityParts> {
        let sql = "SELECT identity_seed, noise_secret, document FROM own_identity WHERE id = 1";
        self.one(sql, [], |row| {
            Ok(SecretIdentityParts {
                identity_seed: Zeroizing::new(row.bytes(0)?),
                noise_secret: Zeroizing::new(row.bytes(1)?),
                identity: row.blob(2)?.to_vec(),
            })
        })
    }

    /// Puts one's own identity, or its next version, in place of what is there.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn save_own_identity(&mut self, parts: &SecretIdentityParts) -> Result<()> {
        self.execute_one(
            "INSERT OR REPLACE INTO own_identity VALUES (1, ?1, ?2, ?3)",
            params![
                parts.identity_seed.as_slice(),
                parts.noise_secret.as_slice(),
                parts.identity
            ],
        )
    }

    /// A setting of the engine's.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn setting(&mut self, key: &str) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT value FROM setting WHERE key = ?1";
        self.get(sql, [key], |row| Ok(row.blob(0)?.to_vec()))
    }

    /// Sets a setting.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn set_setting(&mut self, key: &str, value: &[u8]) -> Result<()> {
        self.execute_one(
            "INSERT INTO setting VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            params![key, value],
        )
    }

    /// Removes a setting; one that is not there is no error.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn delete_setting(&mut self, key: &str) -> Result<()> {
        self.execute("DELETE FROM setting WHERE key = ?1", [key])?;
        Ok(())
    }

    /// Stores a private prekey.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the id is taken: ids are never reused while a private key lives.
    pub fn save_prekey(
        &mut self,
        kind: PrekeyKind,
        id: u32,
        created: UnixMillis,
        secret: &[u8],
    ) -> Result<()> {
        self.execute_one(
            "INSERT INTO prekey (kind, id, created, secret) VALUES (?1, ?2, ?3, ?4)",
            params![kind.code(), id, time(created), secret],
        )
    }

    /// A private prekey.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn prekey(&mut self, kind: PrekeyKind, id: u32) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let sql = "SELECT secret FROM prekey WHERE kind = ?1 AND id = ?2";
        self.get(sql, params![kind.code(), id], |row| row.secret(0))
    }

    /// Whether an id is taken.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn prekey_exists(&mut self, kind: PrekeyKind, id: u32) -> Result<bool> {
        let sql = "SELECT 1 FROM prekey WHERE kind = ?1 AND id = ?2";
        self.any(sql, params![kind.code(), id])
    }

    /// The newest private prekey of a kind: id, time of making, secret.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn newest_prekey(&mut self, kind: PrekeyKind) -> Result<Option<Prekey>> {
        let sql = "SELECT id, created, secret FROM prekey WHERE kind = ?1
                   ORDER BY created DESC, rowid DESC LIMIT 1";
        self.get(sql, [kind.code()], |row| {
            Ok((row.small(0)?, row.time(1)?, row.secret(2)?))
        })
    }

    /// The private prekeys of a kind in the order of making, which a wrong calendar does not change.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn prekey_secrets(&mut self, kind: PrekeyKind) -> Result<Vec<Zeroizing<Vec<u8>>>> {
        let sql = "SELECT secret FROM prekey WHERE kind = ?1 ORDER BY rowid";
        self.list(sql, [kind.code()], |row| row.secret(0))
    }

    /// How many private prekeys of a kind there are.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn prekeys(&mut self, kind: PrekeyKind) -> Result<u64> {
        let sql = "SELECT count(*) FROM prekey WHERE kind = ?1";
        self.one(sql, [kind.code()], |row| row.count(0))
    }

    /// Deletes a private prekey; tells whether it was there.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn delete_prekey(&mut self, kind: PrekeyKind, id: u32) -> Result<bool> {
        let sql = "DELETE FROM prekey WHERE kind = ?1 AND id = ?2";
        Ok(self.execute(sql, params![kind.code(), id])? == 1)
    }

    /// Deletes the private prekeys of a kind that were made before a time; tells how many.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn delete_prekeys_before(&mut self, kind: PrekeyKind, created: UnixMillis) -> Result<u64> {
        let sql = "DELETE FROM prekey WHERE kind = ?1 AND created < ?2";
        Ok(self.execute(sql, params![kind.code(), time(created)])? as u64)
    }
}
