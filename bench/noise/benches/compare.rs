//! Our Noise primitives beside snow's own, in one run: `cargo bench` in this folder.
//!
//! Targets: 1 KB at most 0.4 of snow's time, the handshake at most 1.05.

use divan::{Bencher, black_box};
use snow::{Builder, TransportState};

#[allow(dead_code, reason = "its main is that of the crate's own benchmark")]
#[path = "../../../crates/sremp-core/benches/noise.rs"]
mod ours;

fn main() {
    divan::main();
}

const PLAINTEXT: [u8; 1024] = [1; 1024];
const NOISE_PROTOCOL: &str = sremp_core::constants::NOISE_PROTOCOL;

fn snows() -> [TransportState; 2] {
    let builder = |key| {
        Builder::new(NOISE_PROTOCOL.parse().unwrap())
            .local_private_key(key)
            .unwrap()
            .prologue(b"SREMP\x01\x00")
            .unwrap()
    };
    let mut i = builder(&[7; 32]).build_initiator().unwrap();
    let mut r = builder(&[9; 32]).build_responder().unwrap();
    let (mut wire, mut payload) = ([0; 128], [0; 128]);
    let n = i.write_message(&[], &mut wire).unwrap();
    r.read_message(&wire[..n], &mut payload).unwrap();
    let n = r.write_message(&[], &mut wire).unwrap();
    i.read_message(&wire[..n], &mut payload).unwrap();
    let n = i.write_message(&[], &mut wire).unwrap();
    r.read_message(&wire[..n], &mut payload).unwrap();
    [
        i.into_transport_mode().unwrap(),
        r.into_transport_mode().unwrap(),
    ]
}

#[divan::bench]
fn xx_handshake_both_sides(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| black_box(snows()));
}

#[divan::bench(sample_size = 100)]
fn write_and_read_1_kb(bencher: Bencher<'_, '_>) {
    let [mut from, mut to] = snows();
    let (mut wire, mut plaintext) = ([0; 2048], [0; 2048]);
    bencher.bench_local(|| {
        let n = from
            .write_message(black_box(&PLAINTEXT), &mut wire)
            .unwrap();
        black_box(to.read_message(&wire[..n], &mut plaintext).unwrap())
    });
}
