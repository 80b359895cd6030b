//! The Noise test vectors of cacophony and snow, read in place.

use std::path::PathBuf;

use serde_json::Value;
use sremp_core::{
    channel::{NoiseHandshake, NoiseTransport},
    key::NoiseSecret,
    wire::bytes::{Hex, from_hex},
};

fn bytes(value: &Value, key: &str) -> Vec<u8> {
    value[key].as_str().and_then(from_hex).unwrap_or_default()
}

fn key(value: &Value, name: &str) -> [u8; 32] {
    bytes(value, name).try_into().unwrap()
}

/// Runs one vector: three handshake messages, then transport messages in turn.
fn run(vector: &Value) {
    let side = |role: &str, initiator: bool| {
        let secret = NoiseSecret::from_bytes(&key(vector, &format!("{role}_static")));
        let ephemeral = key(vector, &format!("{role}_ephemeral")).into();
        let prologue = bytes(vector, &format!("{role}_prologue"));
        if initiator {
            NoiseHandshake::initiator(&secret, ephemeral, &prologue).unwrap()
        } else {
            NoiseHandshake::responder(&secret, ephemeral, &prologue).unwrap()
        }
    };
    let mut sides = [side("init", true), side("resp", false)];
    let messages = vector["messages"].as_array().unwrap();
    let (handshake, transport) = messages.split_at(3);
    for (n, message) in handshake.iter().enumerate() {
        let payload = bytes(message, "payload");
        let written = sides[n % 2].write(&payload).unwrap();
        assert_eq!(written, bytes(message, "ciphertext"), "message {n}");
        assert_eq!(sides[1 - n % 2].read(&written).unwrap(), payload);
    }
    let hash = sides[0].handshake_hash().unwrap();
    if let Some(expected) = vector["handshake_hash"].as_str() {
        assert_eq!(Hex(hash.as_bytes()).to_string(), expected);
    }
    let mut sides: Vec<NoiseTransport> = sides
        .into_iter()
        .map(|side| {
            let (transport, of_side) = side.finish().unwrap();
            assert_eq!(of_side, hash);
            transport
        })
        .collect();
    for (n, message) in transport.iter().enumerate() {
        // messages go on in turn: the fourth is the responder's
        let sender = (n + 3) % 2;
        let (payload, mut written) = (bytes(message, "payload"), Vec::new());
        sides[sender].write(&payload, &mut written).unwrap();
        assert_eq!(written, bytes(message, "ciphertext"), "transport {n}");
        assert_eq!(sides[1 - sender].read(&written).unwrap(), payload);
    }
}

#[test]
fn noise_vectors_of_other_implementations_hold() {
    let workspace = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let shared = workspace.join("../shared/vectors");
    for name in ["noise-xx-cacophony.json", "noise-xx-snow.json"] {
        let Ok(text) = std::fs::read_to_string(shared.join(name)) else {
            println!("skipped: {name} is absent from {}", shared.display());
            continue;
        };
        let file: Value = serde_json::from_str(&text).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert!(!vectors.is_empty());
        vectors.iter().for_each(run);
        println!("{name}: {} vectors", vectors.len());
    }
}
