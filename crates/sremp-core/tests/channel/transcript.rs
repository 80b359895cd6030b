//! A whole connection with fixed keys, frozen as data for other implementations.
//!
//! `SREMP_WRITE_VECTORS=1` writes the files anew.

use std::path::PathBuf;

use serde_json::{Value, json};
use sremp_core::{
    channel::{Hello, NoiseHandshake, VersionHeader},
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    time::UnixMillis,
    wire::{
        bytes::{Hex, from_hex},
        frame::write_frame,
    },
};

fn hex(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}

/// The identity of protocol 13, and a second one of the same kind.
fn identity(seed: u8, noise: u8, name: &str) -> SecretIdentity {
    let name = Username::parse(name).unwrap();
    let created = UnixMillis::saturating(1_760_000_000_000);
    let noise = NoiseSecret::from_bytes(&[noise; 32]);
    SecretIdentity::from_keys(&[seed; 32], noise, &name, created)
}

fn frame(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    write_frame(message, &mut wire).unwrap();
    wire
}

fn hello_value(name: &str, hello: &Hello) -> Value {
    let plaintext = [&[0x07], hello.encode().as_slice()].concat();
    json!({
        "name": name,
        "responder_header": hex(&hello.responder_header.to_bytes()),
        "service": hello.service,
        "intended": hello.intended.map(|id| id.to_string()),
        "identity": hello.identity.as_deref().map(hex),
        "intro": hello.intro.map(|intro| hex(intro.as_bytes())),
        "features": hello.features,
        "plaintext": hex(&plaintext),
    })
}

fn hellos() -> [Hello; 2] {
    let (alice, bob) = (identity(1, 2, "alice"), identity(5, 6, "bob"));
    let from_alice = Hello {
        responder_header: VersionHeader::OWN,
        service: 1,
        intended: Some(bob.id()),
        identity: Some(alice.identity().as_bytes().to_vec()),
        intro: Some(sremp_core::id::IntroToken::new([7; 16])),
        features: 0,
    };
    let from_bob = Hello {
        intended: Some(alice.id()),
        identity: Some(bob.identity().as_bytes().to_vec()),
        intro: None,
        ..from_alice.clone()
    };
    [from_alice, from_bob]
}

fn hello_file() -> Value {
    let [from_alice, from_bob] = hellos();
    let body = from_alice.encode();
    let mut marked = body.clone();
    *marked.last_mut().unwrap() = 1;
    let mut trailing = body.clone();
    trailing.push(0);
    let mut long_service = body.clone();
    // service 1 as cc 01, one byte of padding less
    long_service.splice(10..11, [0xcc, 0x01]);
    long_service.pop();
    json!({
        "source": "protocol 1, HELLO: type byte 07 and the SMP1 body, padded to a multiple of 1024",
        "valid": [
            hello_value("of the initiator", &from_alice),
            hello_value("of the responder", &from_bob),
        ],
        "must_fail": [
            { "name": "padding that is not zero", "body": hex(&marked) },
            { "name": "one byte longer", "body": hex(&trailing) },
            { "name": "one byte shorter", "body": hex(&body[..body.len() - 1]) },
            { "name": "service in two bytes", "body": hex(&long_service) },
        ],
    })
}

fn transcript_file() -> Value {
    let (alice, bob) = (identity(1, 2, "alice"), identity(5, 6, "bob"));
    let (alice_ephemeral, bob_ephemeral) = ([0x0b; 32], [0x0c; 32]);
    let header = VersionHeader::OWN.to_bytes();
    let initiator = NoiseHandshake::initiator(alice.noise_key(), alice_ephemeral.into(), &header);
    let responder = NoiseHandshake::responder(bob.noise_key(), bob_ephemeral.into(), &header);
    let (mut initiator, mut responder) = (initiator.unwrap(), responder.unwrap());
    let mut handshake = Vec::new();
    for n in 0..3 {
        let (from, to) = if n == 1 {
            (&mut responder, &mut initiator)
        } else {
            (&mut initiator, &mut responder)
        };
        let message = from.write(&[]).unwrap();
        to.read(&message).unwrap();
        handshake.push(json!({
            "message": hex(&message),
            "frame": hex(&frame(&message)),
            "h_after": hex(to.handshake_hash().unwrap().as_bytes()),
        }));
    }
    let (mut initiator, hash) = initiator.finish().unwrap();
    let (mut responder, _) = responder.finish().unwrap();
    let [from_alice, from_bob] = hellos();
    let hello = |hello: &Hello| [&[0x07], hello.encode().as_slice()].concat();
    let mut transport = Vec::new();
    for (by_initiator, name, plaintext, rekeys) in [
        (true, "HELLO", hello(&from_alice), false),
        (false, "HELLO", hello(&from_bob), false),
        (
            true,
            "PREKEY_REQ, req_id 0",
            vec![0x01, 0x93, 3, 0, 0x90],
            false,
        ),
        (false, "PING", vec![0x03, 1, 2, 3, 4, 5, 6, 7, 8], false),
        (true, "PONG", vec![0x04, 1, 2, 3, 4, 5, 6, 7, 8], false),
        (
            true,
            "REKEY, the last frame under the old key",
            vec![0x05],
            true,
        ),
        (
            true,
            "PAD, the first frame under the new key",
            vec![0x00, 0, 0],
            false,
        ),
        (false, "CLOSE GOING_AWAY", vec![0x06, 0x0b, 0x00], false),
    ] {
        let (from, to) = if by_initiator {
            (&mut initiator, &mut responder)
        } else {
            (&mut responder, &mut initiator)
        };
        let mut message = Vec::new();
        from.write(&plaintext, &mut message).unwrap();
        assert_eq!(to.read(&message).unwrap(), plaintext);
        if rekeys {
            from.rekey_outgoing();
            to.rekey_incoming();
        }
        transport.push(json!({
            "from": if by_initiator { "initiator" } else { "responder" },
            "name": name,
            "plaintext": hex(&plaintext),
            "frame": hex(&frame(&message)),
        }));
    }
    json!({
        "source": "protocol 1: Noise_XX_25519_ChaChaPoly_BLAKE2s with fixed ephemeral keys; frames are u16 little-endian length and Noise message",
        "initiator_header": hex(&header),
        "responder_header": hex(&header),
        "prologue": hex(&header),
        "initiator_static": hex(&[2; 32]),
        "initiator_static_public": hex(alice.noise_key().public().as_bytes()),
        "initiator_ephemeral": hex(&alice_ephemeral),
        "responder_static": hex(&[6; 32]),
        "responder_static_public": hex(bob.noise_key().public().as_bytes()),
        "responder_ephemeral": hex(&bob_ephemeral),
        "handshake": handshake,
        "handshake_hash": hex(hash.as_bytes()),
        "transport": transport,
    })
}

fn check(name: &str, made: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let path = path.join(name);
    if std::env::var_os("SREMP_WRITE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(made).unwrap() + "\n";
        std::fs::write(&path, text).unwrap();
    }
    let frozen: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(&frozen, made, "{name} is not what this code makes");
}

#[test]
fn the_noise_transcript_is_as_frozen() {
    check("noise_transcript.json", &transcript_file());
}

#[test]
fn hello_is_as_frozen_and_its_defects_are_refused() {
    let file = hello_file();
    check("hello.json", &file);
    for valid in file["valid"].as_array().unwrap() {
        let plaintext = from_hex(valid["plaintext"].as_str().unwrap()).unwrap();
        assert_eq!(plaintext.len() % 1024, 0);
        assert!(Hello::decode(&plaintext[1..]).is_ok());
    }
    for bad in file["must_fail"].as_array().unwrap() {
        let body = from_hex(bad["body"].as_str().unwrap()).unwrap();
        assert!(Hello::decode(&body).is_err(), "{}", bad["name"]);
    }
}
