//! Invites to a mailbox: made and checked with a key of the relay, so that no list of them is kept
//! and `sremp relay invite` need not speak with the relay that runs.
//!
//! ```text
//! 0  ver = 01
//! 1  flags       bit 0: single use
//! 2  expires     u64 LE, Unix seconds
//! 10 nonce       16 random bytes; a used one is kept until `expires`
//! 26 mac         16: HMAC-SHA-256 over bytes 0..26, cut
//! ```

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{Mutex, PoisonError},
};

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sremp_core::{
    id::{ContactId, IdentityKey},
    identity::SecretIdentity,
    rand_core::CryptoRng,
    time::UnixMillis,
};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const SINGLE_USE: u8 = 1;
const SIGNED: usize = 26;
const MAC: usize = 16;

/// Bytes of an invite.
pub const INVITE_LEN: usize = SIGNED + MAC;

/// Names a single-use invite that was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InviteId(pub [u8; 16]);

/// What an invite allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Until when.
    pub expires: UnixMillis,
    /// Set if only one may use it.
    pub single_use: Option<InviteId>,
}

/// Why an invite opens no mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidInvite;

/// Makes and checks invites.
pub struct InviteKey(Hmac<Sha256>);

impl std::fmt::Debug for InviteKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InviteKey")
    }
}

impl InviteKey {
    /// The key of a relay.
    pub fn of(relay: &SecretIdentity) -> Self {
        let parts = relay.to_parts();
        let mut key = Zeroizing::new([0; 64]);
        let hkdf = Hkdf::<Sha256>::new(None, parts.identity_seed.as_slice());
        #[allow(
            clippy::expect_used,
            reason = "HKDF refuses only lengths above 255 × 32 bytes"
        )]
        hkdf.expand(b"SREMP/1/relay-invite", key.as_mut())
            .expect("the length is allowed");
        Self(Hmac::new((&*key).into()))
    }

    /// A new invite.
    pub fn make<R: CryptoRng + ?Sized>(
        &self,
        expires: UnixMillis,
        single_use: bool,
        rng: &mut R,
    ) -> Vec<u8> {
        let mut invite = Vec::with_capacity(INVITE_LEN);
        invite.push(VERSION);
        invite.push(if single_use { SINGLE_USE } else { 0 });
        invite.extend_from_slice(&(expires.get() / 1000).to_le_bytes());
        let mut nonce = [0; 16];
        rng.fill_bytes(&mut nonce);
        invite.extend_from_slice(&nonce);
        let mac = self.0.clone().chain_update(&invite).finalize().into_bytes();
        invite.extend(mac.iter().take(MAC));
        invite
    }

    /// What an invite allows now.
    ///
    /// # Errors
    /// [`InvalidInvite`] if it is not of this relay, was changed, or has expired.
    pub fn check(&self, invite: &[u8], now: UnixMillis) -> Result<Invite, InvalidInvite> {
        let (signed, mac) = invite.split_at_checked(SIGNED).ok_or(InvalidInvite)?;
        if mac.len() != MAC {
            return Err(InvalidInvite);
        }
        let hmac = self.0.clone().chain_update(signed);
        hmac.verify_truncated_left(mac).map_err(|_| InvalidInvite)?;
        let (head, nonce) = signed.split_last_chunk::<16>().ok_or(InvalidInvite)?;
        let [VERSION, flags @ (0 | SINGLE_USE), expires @ ..] = head else {
            return Err(InvalidInvite);
        };
        let seconds = u64::from_le_bytes(expires.try_into().map_err(|_| InvalidInvite)?);
        let expires = UnixMillis::saturating(seconds.saturating_mul(1000));
        if expires <= now {
            return Err(InvalidInvite);
        }
        Ok(Invite {
            expires,
            single_use: (*flags == SINGLE_USE).then_some(InviteId(*nonce)),
        })
    }
}

/// Single-use invites that were used: a file with a line for each, durable before the mailbox is
/// made, and taken back by a second line when it was not. Whoever used one may use it again, as
/// after an answer that was lost.
pub struct UsedInvites {
    file: Mutex<File>,
    used: Mutex<HashMap<InviteId, IdentityKey>>,
}

impl std::fmt::Debug for UsedInvites {
    /// Without who used which.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UsedInvites")
    }
}

impl UsedInvites {
    /// Reads the file, or makes it.
    ///
    /// # Errors
    /// What the disk said.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut file = options.open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // a line that was cut by a crash was never answered
        let (lines, cut) = bytes.as_chunks::<48>();
        if !cut.is_empty() {
            let whole = bytes.len().saturating_sub(cut.len());
            file.set_len(u64::try_from(whole).unwrap_or(0))?;
        }
        let lines = lines.iter().filter_map(|line| {
            let (id, owner) = line.split_first_chunk()?;
            Some((InviteId(*id), IdentityKey::from_slice(owner)?))
        });
        let mut used = HashMap::new();
        for (id, owner) in lines {
            match owner == NOBODY {
                true => used.remove(&id),
                false => used.insert(id, owner),
            };
        }
        Ok(Self {
            used: Mutex::new(used),
            file: Mutex::new(file),
        })
    }

    /// Uses an invite for `owner`. Durable when it returns.
    ///
    /// # Errors
    /// What the disk said; the invite may be used again then.
    pub fn take(&self, invite: &Invite, owner: &ContactId) -> io::Result<Taken> {
        let Some(id) = invite.single_use else {
            return Ok(Taken::Before);
        };
        let owner = IdentityKey::from(*owner);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(by) = used.get(&id) {
            return Ok(match *by == owner {
                true => Taken::Before,
                false => Taken::BySomebodyElse,
            });
        }
        self.write(id, owner)?;
        used.insert(id, owner);
        Ok(Taken::Now(id))
    }

    /// Gives an invite back whose mailbox was not made. If even this cannot be written, it stays
    /// with whoever used it.
    pub fn give_back(&self, id: InviteId) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if self.write(id, NOBODY).is_ok() {
            used.remove(&id);
        }
    }

    fn write(&self, id: InviteId, owner: IdentityKey) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&[id.0.as_slice(), owner.as_bytes()].concat())?;
        file.sync_data()
    }
}

/// What became of the use of an invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is used up by this.
    Now(InviteId),
    /// It allows this as it did before.
    Before,
    /// It is used up.
    BySomebodyElse,
}

/// The owner of an invite that was given back.
const NOBODY: IdentityKey = IdentityKey::new([0; 32]);

#[cfg(test)]
mod tests {
    use sremp_core::{identity::Username, key::NoiseSecret};

    use super::*;

    fn key(n: u8) -> InviteKey {
        let name = Username::parse("relay").unwrap();
        let noise = NoiseSecret::from_bytes(&[n; 32]);
        InviteKey::of(&SecretIdentity::from_keys(
            &[n; 32],
            noise,
            &name,
            UnixMillis::ZERO,
        ))
    }

    #[test]
    fn an_invite_opens_a_mailbox_here_until_it_expires() {
        let at = UnixMillis::saturating;
        let single = key(1).make(at(60_000), true, &mut rand::rng());
        assert!(single.len() <= 64);
        let invite = key(1).check(&single, at(59_999)).unwrap();
        assert!(invite.single_use.is_some());
        assert_eq!(key(1).check(&single, at(60_000)), Err(InvalidInvite));
        assert_eq!(key(2).check(&single, at(0)), Err(InvalidInvite));
        let many = key(1).make(at(60_000), false, &mut rand::rng());
        assert_eq!(key(1).check(&many, at(0)).unwrap().single_use, None);
    }

    #[test]
    fn a_single_use_invite_is_used_once_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("invites");
        let person = |n: u8| {
            let name = Username::parse("x").unwrap();
            let noise = NoiseSecret::from_bytes(&[n; 32]);
            SecretIdentity::from_keys(&[n; 32], noise, &name, UnixMillis::ZERO).id()
        };
        let invite = |n| Invite {
            expires: UnixMillis::ZERO,
            single_use: Some(InviteId([n; 16])),
        };
        let used = UsedInvites::open(&path).unwrap();
        let taken = |used: &UsedInvites, n, by| used.take(&invite(n), &person(by)).unwrap();
        assert_eq!(taken(&used, 1, 1), Taken::Now(InviteId([1; 16])));
        assert_eq!(taken(&used, 1, 1), Taken::Before, "an answer was lost");
        assert_eq!(taken(&used, 1, 2), Taken::BySomebodyElse);
        drop(used);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], &[9; 20]].concat()).unwrap();
        let used = UsedInvites::open(&path).unwrap();
        assert_eq!(taken(&used, 1, 2), Taken::BySomebodyElse);
        assert_eq!(taken(&used, 2, 2), Taken::Now(InviteId([2; 16])));
        drop(used);
        let used = UsedInvites::open(&path).unwrap();
        assert_eq!(taken(&used, 2, 1), Taken::BySomebodyElse);
        // the mailbox was not made
        used.give_back(InviteId([2; 16]));
        drop(used);
        let used = UsedInvites::open(&path).unwrap();
        assert_eq!(taken(&used, 2, 1), Taken::Now(InviteId([2; 16])));
        assert_eq!(taken(&used, 1, 2), Taken::BySomebodyElse);
    }

    #[test]
    fn a_changed_or_cut_invite_opens_nothing() {
        let invite = key(1).make(UnixMillis::saturating(60_000), true, &mut rand::rng());
        for at in 0..invite.len() {
            let mut changed = invite.clone();
            changed[at] ^= 1;
            assert_eq!(key(1).check(&changed, UnixMillis::ZERO), Err(InvalidInvite));
            assert_eq!(
                key(1).check(&invite[..at], UnixMillis::ZERO),
                Err(InvalidInvite)
            );
        }
        let longer = [invite, vec![0]].concat();
        assert_eq!(key(1).check(&longer, UnixMillis::ZERO), Err(InvalidInvite));
    }
}
