//! Reads the vectors: data files that another implementation can read as well.
#![allow(dead_code, reason = "each test binary uses a part")]

use serde_json::Value;
use sremp_core::{
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    time::UnixMillis,
    wire::bytes::from_hex,
};

/// The time of the vectors, 2025-10-09.
pub(crate) const NOW: UnixMillis = UnixMillis::saturating(1_760_000_000_000);

pub(crate) fn load(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The entries of a list, which must not be empty.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value[key]
        .as_array()
        .unwrap_or_else(|| panic!("no list {key}"));
    assert!(!list.is_empty(), "{key} is empty");
    list
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("no {key} in {value}"))
}

pub(crate) fn number(value: &Value, key: &str) -> u64 {
    value[key]
        .as_u64()
        .unwrap_or_else(|| panic!("no {key} in {value}"))
}

pub(crate) fn hex(value: &Value, key: &str) -> Vec<u8> {
    from_hex(text(value, key)).unwrap_or_else(|| panic!("{key} is not hex"))
}

pub(crate) fn hex_n<const N: usize>(value: &Value, key: &str) -> [u8; N] {
    hex(value, key)
        .try_into()
        .unwrap_or_else(|_| panic!("{key} is not {N} bytes"))
}

/// The identity of all vectors: seed `01`×32, noise key `02`×32.
pub(crate) fn alice() -> SecretIdentity {
    person(1, "alice")
}

pub(crate) fn person(seed: u8, name: &str) -> SecretIdentity {
    let noise_key = NoiseSecret::from_bytes(&[seed + 1; 32]);
    SecretIdentity::from_keys(&[seed; 32], noise_key, &Username::parse(name).unwrap(), NOW)
}
