//! The file `key`: the database key, wrapped by the passphrase (D3.15).
//!
//! JSON of one object. With a passphrase: `version`, `kdf` = `"argon2id"`, `memory_kib`, `passes`,
//! `lanes`, `salt` (16 bytes), `nonce` (24 bytes) and `wrapped` (48 bytes): XChaCha20-Poly1305 of
//! the database key under `Argon2id(passphrase, salt)`, with everything before the nonce as
//! additional data. Without one: `version`, `kdf` = `"none"` and the `key` itself. Bytes are hex.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305,
    aead::{Aead as _, Payload},
};
use serde::{Deserialize, Serialize};
use sremp_core::{
    rand_core::CryptoRng,
    wire::bytes::{Hex, from_hex},
};
use zeroize::{Zeroize as _, Zeroizing};

use super::{HomeError, Passphrase};
use crate::store::DatabaseKey;

/// Newest version of the key file known here.
const VERSION: u32 = 1;
/// Argon2id of new homes: memory in KiB, passes, lanes.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;
/// A key file may ask for so much and no more: it must not be able to exhaust the machine.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
const MAX_PASSES: u32 = 32;
const MAX_LANES: u32 = 16;
/// Longest key file in bytes.
pub(super) const MAX_KEY_FILE: u64 = 4 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(tag = "kdf", rename_all = "lowercase", deny_unknown_fields)]
enum KeyFile {
    None {
        version: u32,
        key: String,
    },
    Argon2id {
        version: u32,
        memory_kib: u32,
        passes: u32,
        lanes: u32,
        salt: String,
        nonce: String,
        wrapped: String,
    },
}

/// Argon2id parameters and salt, as they are bound to the wrapped key.
struct Stretch {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: [u8; 16],
}

impl Stretch {
    /// The wrapping key. About 0.15 s and `memory_kib` of memory.
    fn key(&self, passphrase: &str) -> Result<Zeroizing<[u8; 32]>, HomeError> {
        let bounded = self.memory_kib <= MAX_MEMORY_KIB
            && self.passes <= MAX_PASSES
            && self.lanes <= MAX_LANES;
        if !bounded {
            return Err(damaged());
        }
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
            .map_err(|_| damaged())?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &self.salt, key.as_mut())
            .map_err(|_| damaged())?;
        Ok(key)
    }

    fn bound(&self) -> Vec<u8> {
        [
            b"SREMP/1/home-key\0".as_slice(),
            &VERSION.to_le_bytes(),
            &self.memory_kib.to_le_bytes(),
            &self.passes.to_le_bytes(),
            &self.lanes.to_le_bytes(),
            &self.salt,
        ]
        .concat()
    }
}

const fn damaged() -> HomeError {
    HomeError::Damaged("the key file")
}

/// The key file of a database key.
pub(super) fn write<R: CryptoRng + ?Sized>(
    key: &DatabaseKey,
    passphrase: &Passphrase,
    rng: &mut R,
) -> Result<Zeroizing<String>, HomeError> {
    let file = match passphrase {
        Passphrase::None => KeyFile::None {
            version: VERSION,
            key: Hex(key.as_slice()).to_string(),
        },
        Passphrase::Given(text) if text.is_empty() => return Err(HomeError::EmptyPassphrase),
        Passphrase::Given(text) => {
            let (mut salt, mut nonce) = ([0; 16], [0; 24]);
            rng.fill_bytes(&mut salt);
            rng.fill_bytes(&mut nonce);
            let stretch = Stretch {
                memory_kib: MEMORY_KIB,
                passes: PASSES,
                lanes: LANES,
                salt,
            };
            let cipher = XChaCha20Poly1305::new((&*stretch.key(text)?).into());
            let payload = Payload {
                msg: key.as_slice(),
                aad: &stretch.bound(),
            };
            let wrapped = cipher
                .encrypt(&nonce.into(), payload)
                .map_err(|_| damaged())?;
            KeyFile::Argon2id {
                version: VERSION,
                memory_kib: MEMORY_KIB,
                passes: PASSES,
                lanes: LANES,
                salt: Hex(&salt).to_string(),
                nonce: Hex(&nonce).to_string(),
                wrapped: Hex(&wrapped).to_string(),
            }
        }
    };
    let json = Zeroizing::new(serde_json::to_string_pretty(&file).map_err(|_| damaged())? + "\n");
    if let KeyFile::None { mut key, .. } = file {
        key.zeroize();
    }
    Ok(json)
}

/// The database key of a key file.
pub(super) fn read(json: &str, passphrase: &Passphrase) -> Result<DatabaseKey, HomeError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_str(json).map_err(|_| damaged())?;
    if version > VERSION {
        return Err(HomeError::NewerVersion {
            what: "the key file",
            found: version,
            known: VERSION,
        });
    }
    match serde_json::from_str(json).map_err(|_| damaged())? {
        KeyFile::None { version: _, key } => {
            let key = Zeroizing::new(key);
            let bytes = Zeroizing::new(from_hex(&key).ok_or_else(damaged)?);
            fixed(&bytes).map(Zeroizing::new)
        }
        KeyFile::Argon2id {
            version: _,
            memory_kib,
            passes,
            lanes,
            salt,
            nonce,
            wrapped,
        } => {
            let salt = fixed(&from_hex(&salt).ok_or_else(damaged)?)?;
            let nonce: [u8; 24] = fixed(&from_hex(&nonce).ok_or_else(damaged)?)?;
            let wrapped: [u8; 48] = fixed(&from_hex(&wrapped).ok_or_else(damaged)?)?;
            let Passphrase::Given(text) = passphrase else {
                return Err(HomeError::PassphraseNeeded);
            };
            let stretch = Stretch {
                memory_kib,
                passes,
                lanes,
                salt,
            };
            let cipher = XChaCha20Poly1305::new((&*stretch.key(text)?).into());
            let payload = Payload {
                msg: &wrapped,
                aad: &stretch.bound(),
            };
            let key = cipher
                .decrypt(&nonce.into(), payload)
                .map_err(|_| HomeError::WrongPassphrase)?;
            fixed(&Zeroizing::new(key)).map(Zeroizing::new)
        }
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], HomeError> {
    bytes.try_into().map_err(|_| damaged())
}

#[cfg(test)]
mod tests {
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};

    use super::*;

    fn given(text: &str) -> Passphrase {
        Passphrase::Given(Zeroizing::new(text.into()))
    }

    fn wrapped() -> Zeroizing<String> {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        write(&Zeroizing::new([7; 32]), &given("right"), &mut rng).unwrap()
    }

    #[test]
    fn the_key_comes_back_with_the_right_passphrase_only() {
        let file = wrapped();
        assert!(
            !file.contains(&"07".repeat(8)),
            "the key is not in the file"
        );
        assert_eq!(*read(&file, &given("right")).unwrap(), [7; 32]);
        let outcome = |passphrase| read(&file, &passphrase).unwrap_err();
        assert!(matches!(
            outcome(given("wrong")),
            HomeError::WrongPassphrase
        ));
        assert!(matches!(outcome(given("")), HomeError::WrongPassphrase));
        assert!(matches!(
            outcome(Passphrase::None),
            HomeError::PassphraseNeeded
        ));
    }

    #[test]
    fn every_field_is_bound_to_the_key() {
        let file = wrapped();
        for (from, to) in [("65536", "65535"), ("\"passes\": 3", "\"passes\": 2")] {
            let changed = file.replace(from, to);
            assert_ne!(changed, *file);
            let error = read(&changed, &given("right")).unwrap_err();
            assert!(matches!(error, HomeError::WrongPassphrase), "{error}");
        }
    }

    #[test]
    fn a_hostile_key_file_is_refused_before_it_costs_memory() {
        let file = wrapped();
        let hostile = [
            ("65536", "67108864"),
            ("\"passes\": 3", "\"passes\": 4000000000"),
            ("\"lanes\": 1", "\"lanes\": 17"),
            ("\"lanes\": 1", "\"lanes\": 0"),
            ("65536", "0"),
            ("65536", "-1"),
            ("\"salt\": \"", "\"salt\": \"00"),
            ("argon2id", "md5"),
            ("{", "{\"more\": 1,"),
            ("}", ""),
        ];
        for (from, to) in hostile {
            let error = read(&file.replace(from, to), &given("right")).unwrap_err();
            assert!(matches!(error, HomeError::Damaged(_)), "{to}: {error}");
        }
        let newer = file.replace("\"version\": 1", "\"version\": 2, \"shape\": []");
        let error = read(&newer, &given("right")).unwrap_err();
        assert!(matches!(
            error,
            HomeError::NewerVersion {
                found: 2,
                known: 1,
                ..
            }
        ));
    }

    #[test]
    fn a_home_without_a_passphrase_says_so() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let file = write(&Zeroizing::new([7; 32]), &Passphrase::None, &mut rng).unwrap();
        assert!(file.contains("\"kdf\": \"none\""));
        assert_eq!(*read(&file, &Passphrase::None).unwrap(), [7; 32]);
        let empty = write(&Zeroizing::new([7; 32]), &given(""), &mut rng);
        assert!(matches!(empty, Err(HomeError::EmptyPassphrase)));
    }
}
