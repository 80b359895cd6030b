//! X25519 keys, a type for each role: a key made for one use cannot be given to another.

use rand_core::CryptoRng;
use subtle::ConstantTimeEq as _;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::{constants::DHLEN, wire::bytes::public_bytes};

macro_rules! key_role {
    ($(#[$public_doc:meta])* $public:ident, $(#[$secret_doc:meta])* $secret:ident) => {
        public_bytes! { $(#[$public_doc])* $public, 32 }

        $(#[$secret_doc])*
        pub struct $secret {
            secret: StaticSecret,
            public: $public,
        }

        impl $secret {
            /// A new key pair.
            pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
                let mut bytes = Zeroizing::new([0; DHLEN]);
                rng.fill_bytes(bytes.as_mut());
                Self::from_bytes(&bytes)
            }

            /// The key pair of a stored private key; the public key is computed (one base-point
            /// multiplication).
            pub fn from_bytes(bytes: &[u8; DHLEN]) -> Self {
                let secret = StaticSecret::from(*bytes);
                let public = $public::new(PublicKey::from(&secret).to_bytes());
                Self { secret, public }
            }

            /// The public key.
            pub const fn public(&self) -> $public {
                self.public
            }

            /// The private key, to be stored.
            pub fn expose(&self) -> &[u8; DHLEN] {
                self.secret.as_bytes()
            }
        }

        impl std::fmt::Debug for $secret {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($secret), "({:?})"), self.public)
            }
        }
    };
}
pub(crate) use key_role;

key_role! {
    /// `noise_key`: the static X25519 key of Noise, used for nothing else (draft 3.1.3).
    NoisePublicKey,
    /// The private part of `noise_key`.
    NoiseSecret
}

impl NoisePublicKey {
    /// Whether both keys are the same, in constant time.
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        self.as_bytes().as_slice().ct_eq(other).into()
    }

    /// Whether every Diffie-Hellman with this key gives zero (RFC 7748, section 6.1).
    pub fn is_low_order(&self) -> bool {
        is_low_order(self.as_bytes())
    }
}

/// The u-coordinates of small order that X25519 accepts; the top bit is ignored.
#[allow(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses an index out of bounds"
)]
const LOW_ORDER: [[u8; 32]; 7] = {
    let mut points = [[0; 32]; 7];
    points[1][0] = 1;
    points[2] = [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ];
    points[3] = [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ];
    let mut n = 4;
    while n < 7 {
        points[n] = [0xff; 32];
        points[n][0] = 0xec + (n as u8 - 4);
        points[n][31] = 0x7f;
        n += 1;
    }
    points
};

pub(crate) fn is_low_order(u: &[u8; 32]) -> bool {
    let mut masked = *u;
    if let Some(top) = masked.last_mut() {
        *top &= 0x7f;
    }
    LOW_ORDER.contains(&masked)
}

/// X25519 of a private key of one role and a public key of another; `None` if the result would be
/// zero, that is, if the public key is of small order.
pub(crate) fn diffie_hellman(
    secret: &[u8; DHLEN],
    public: &[u8; DHLEN],
) -> Option<Zeroizing<[u8; DHLEN]>> {
    let secret = StaticSecret::from(*secret);
    let shared = secret.diffie_hellman(&PublicKey::from(*public));
    shared
        .was_contributory()
        .then(|| Zeroizing::new(shared.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_order_points_are_those_that_contribute_nothing() {
        for point in LOW_ORDER {
            for top in [0, 0x80] {
                let mut u = point;
                u[31] |= top;
                assert!(diffie_hellman(&[7; 32], &u).is_none());
                assert!(is_low_order(&u));
            }
        }
        for n in 2..=200u8 {
            let mut u = [n; 32];
            assert_eq!(is_low_order(&u), diffie_hellman(&[7; 32], &u).is_none());
            u = [0; 32];
            u[0] = n;
            assert_eq!(is_low_order(&u), diffie_hellman(&[7; 32], &u).is_none());
        }
    }

    #[test]
    fn a_secret_key_never_prints_itself() {
        let key = NoiseSecret::from_bytes(&[2; 32]);
        let shown = format!("{key:?}");
        assert!(shown.contains("ce8d3ad1"));
        assert!(!shown.contains("0202"));
    }
}
