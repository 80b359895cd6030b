//! Case 7, second half: the same identity is the same bytes in every run of every process.

mod vectors;

use std::process::Command;

use sha2::{Digest as _, Sha256};
use sremp_core::{
    identity::{Extensions, Flags, Identity, Username},
    wire::{bytes::Hex, codec::encode},
};
use vectors::{NOW, alice};

const CHILD: &str = "SREMP_DETERMINISM_CHILD";

/// A document whose metadata a hash map would reorder.
fn document() -> Vec<u8> {
    let extensions = (0..16).fold(Extensions::default(), |extensions, i: u8| {
        extensions.with_metadata(&format!("key-{}", i.wrapping_mul(7) % 16), vec![i; 20])
    });
    let name = Username::parse("alice").unwrap();
    let next = alice().with_profile(&name, Flags::default(), Some(extensions), NOW);
    next.unwrap().identity().as_bytes().to_vec()
}

fn digest_of_many() -> String {
    let first = document();
    for _ in 0..1000 {
        assert_eq!(document(), first);
        let read = Identity::verify(&first).unwrap();
        assert_eq!(encode(&read.extensions()), {
            let again = Identity::verify(read.as_bytes()).unwrap();
            encode(&again.extensions())
        });
    }
    Hex(&Sha256::digest(&first)).to_string()
}

#[test]
fn case_07_a_thousand_encodings_in_two_processes_are_the_same_bytes() {
    let here = digest_of_many();
    if std::env::var_os(CHILD).is_some() {
        println!("digest:{here}:");
        return;
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("case_07_a_thousand_encodings_in_two_processes_are_the_same_bytes")
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(child.status.success());
    let out = String::from_utf8(child.stdout).unwrap();
    let there = out.split("digest:").nth(1).unwrap().split(':').next();
    assert_eq!(there, Some(here.as_str()));
}
