//! Fixed-length byte strings that are MessagePack `bin` on the wire and a role of their own in code.

/// Declares a public newtype over `[u8; N]`, encoded as `bin` of exactly N bytes.
macro_rules! public_bytes {
    ($(#[$doc:meta])* $name:ident, $len:expr) => {
        $crate::wire::bytes::byte_newtype! { $(#[$doc])* $name, $len }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), $crate::wire::bytes::Hex(&self.0))
            }
        }
    };
}
pub(crate) use public_bytes;

/// The same without `Debug`: for what must not print itself.
macro_rules! byte_newtype {
    ($(#[$doc:meta])* $name:ident, $len:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Wraps the bytes; nothing is checked.
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The value of exactly [`Self::LEN`] bytes, `None` for any other length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_bytes(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                d.deserialize_bytes($crate::wire::bytes::ExactBytes::<{ $len }>).map(Self)
            }
        }
    };
}
pub(crate) use byte_newtype;

/// Shows bytes as lower-case hex.
pub struct Hex<'a>(pub &'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// Reads hex of either case; `None` for an odd length or any other character.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect();
    let digits = digits?;
    if digits.len() % 2 != 0 {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect()
}

/// Accepts `bin` of exactly N bytes.
pub(crate) struct ExactBytes<const N: usize>;

impl<const N: usize> serde::de::Visitor<'_> for ExactBytes<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, v: &[u8]) -> Result<[u8; N], E> {
        v.try_into().map_err(|_| E::invalid_length(v.len(), &self))
    }
}
