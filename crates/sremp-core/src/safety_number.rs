//! The safety number (D8.2): 60 digits that two people compare to know that they hold each other's
//! real keys. Computed as Signal's numeric fingerprint, over the identity keys.

use std::fmt;

use base32ct::{Base32UpperUnpadded, Encoding as _};
use sha2::{Digest as _, Sha512};
use subtle::ConstantTimeEq as _;

use crate::{
    constants::{SAFETY_NUMBER_DIGITS, SAFETY_NUMBER_ITERATIONS},
    id::ContactId,
};

/// Version of the computation: hashed into the number, and the first byte of the QR form.
const VERSION: u8 = 1;
/// Digits of one side.
const SIDE: usize = SAFETY_NUMBER_DIGITS / 2;
/// Digits of a group.
const GROUP: usize = 5;
/// Bytes of the hash that a QR code carries for each side.
const PREFIX: usize = 32;
/// Before the base32 of the QR form.
const QR_SCHEME: &str = "SREMP:SAFETY1/";

/// One side of a safety number: what 5200 rounds of SHA-512 make of an identity key.
///
/// Costs some milliseconds, depends on the key alone and so may be kept with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint {
    digits: [u8; SIDE],
    prefix: [u8; PREFIX],
}

impl Fingerprint {
    /// The fingerprint of an identity key: h = SHA-512(00 01 ‖ k ‖ k), then 5199 times
    /// h = SHA-512(h ‖ k).
    pub fn of(id: &ContactId) -> Self {
        let k = id.as_bytes();
        let mut h = Sha512::new()
            .chain_update([0, VERSION])
            .chain_update(k)
            .chain_update(k)
            .finalize();
        for _ in 1..SAFETY_NUMBER_ITERATIONS {
            h = Sha512::new().chain_update(h).chain_update(k).finalize();
        }
        let mut digits = [0; SIDE];
        for (group, bytes) in digits.chunks_exact_mut(GROUP).zip(h.chunks_exact(GROUP)) {
            let mut number = bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)) % 100_000;
            for digit in group.iter_mut().rev() {
                *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
                number /= 10;
            }
        }
        let prefix = h.first_chunk().copied().unwrap_or([0; PREFIX]);
        Self { digits, prefix }
    }
}

/// The 30 digits in groups of five.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_groups(f, &self.digits)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Why what was typed or scanned is no safety number at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SafetyNumberError {
    /// Something else than digits and what separates them.
    NotDigits,
    /// Not 60 digits.
    Length {
        /// How many there were.
        digits: usize,
    },
    /// Not the QR form of a safety number.
    NotQr,
    /// The QR form of a newer version.
    Unsupported,
}

impl fmt::Display for SafetyNumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDigits => f.write_str("a safety number is made of digits only"),
            Self::Length { digits } => write!(f, "a safety number has 60 digits, not {digits}"),
            Self::NotQr => f.write_str("this is not the code of a safety number"),
            Self::Unsupported => f.write_str("the code needs a newer version of this program"),
        }
    }
}

impl std::error::Error for SafetyNumberError {}

/// The number of two identities, the same on both sides.
#[derive(Clone, PartialEq, Eq)]
pub struct SafetyNumber {
    own: Fingerprint,
    peer: Fingerprint,
}

impl SafetyNumber {
    /// The number of oneself and a contact. To show several, keep one's own [`Fingerprint`] and use
    /// [`SafetyNumber::between`].
    pub fn of(own: &ContactId, peer: &ContactId) -> Self {
        Self::between(Fingerprint::of(own), Fingerprint::of(peer))
    }

    /// The number of two fingerprints.
    pub const fn between(own: Fingerprint, peer: Fingerprint) -> Self {
        Self { own, peer }
    }

    /// The 60 digits: both sides, the smaller first, so that both people read the same.
    fn digits(&self) -> Vec<u8> {
        let (first, second) = if self.own.digits <= self.peer.digits {
            (&self.own, &self.peer)
        } else {
            (&self.peer, &self.own)
        };
        [first.digits, second.digits].concat()
    }

    /// Whether what was typed is this number, compared in constant time. White space, hyphens and
    /// dots may stand anywhere.
    ///
    /// # Errors
    /// [`SafetyNumberError`] if it is no such number at all: a slip, not a warning.
    pub fn matches(&self, typed: &str) -> Result<bool, SafetyNumberError> {
        let typed: Vec<u8> = typed
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '.'))
            .map(|c| u8::try_from(c).ok().filter(u8::is_ascii_digit))
            .collect::<Option<_>>()
            .ok_or(SafetyNumberError::NotDigits)?;
        if typed.len() != SAFETY_NUMBER_DIGITS {
            let digits = typed.len();
            return Err(SafetyNumberError::Length { digits });
        }
        Ok(self.digits().ct_eq(&typed).into())
    }

    /// The text of a QR code: `SREMP:SAFETY1/` and base32 of `01 ‖ own prefix 32 ‖ peer's prefix 32`,
    /// own being whoever shows it.
    pub fn to_qr_text(&self) -> String {
        let bytes = [&[VERSION], &self.own.prefix[..], &self.peer.prefix[..]].concat();
        format!("{QR_SCHEME}{}", Base32UpperUnpadded::encode_string(&bytes))
    }

    /// Whether the code that the contact shows is of this number, compared in constant time.
    ///
    /// # Errors
    /// [`SafetyNumberError`] if it is no such code at all.
    pub fn matches_qr(&self, scanned: &str) -> Result<bool, SafetyNumberError> {
        use SafetyNumberError::{NotQr, Unsupported};
        let scanned = scanned.trim().to_ascii_uppercase();
        let body = scanned.strip_prefix(QR_SCHEME).ok_or(NotQr)?;
        let mut buffer = [0; 1 + 2 * PREFIX];
        let bytes = Base32UpperUnpadded::decode(body, &mut buffer).map_err(|_| NotQr)?;
        let (version, prefixes) = bytes.split_first().ok_or(NotQr)?;
        if *version != VERSION {
            return Err(Unsupported);
        }
        if prefixes.len() != 2 * PREFIX {
            return Err(NotQr);
        }
        let expected = [self.peer.prefix, self.own.prefix].concat();
        Ok(expected.ct_eq(prefixes).into())
    }
}

/// Twelve groups of five digits.
impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_groups(f, &self.digits())
    }
}

impl fmt::Debug for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SafetyNumber({self})")
    }
}

fn write_groups(f: &mut fmt::Formatter<'_>, digits: &[u8]) -> fmt::Result {
    for (i, digit) in digits.iter().enumerate() {
        if i > 0 && i % GROUP == 0 {
            f.write_str(" ")?;
        }
        write!(f, "{}", char::from(*digit))?;
    }
    Ok(())
}
