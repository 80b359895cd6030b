//! Noise with our primitives: both sides of a handshake, and 1 KB written and read.
//!
//! `cargo bench -p sremp-core --bench noise`; `bench/noise` runs the same beside snow's own
//! primitives, which are kept out of this workspace.

use divan::{Bencher, black_box};
use sremp_core::{
    channel::{NoiseHandshake, NoiseTransport},
    key::NoiseSecret,
};

fn main() {
    divan::main();
}

const PLAINTEXT: [u8; 1024] = [1; 1024];

fn ours(keys: &[NoiseSecret; 2], n: u8) -> [NoiseTransport; 2] {
    let [a, b] = keys;
    let mut i = NoiseHandshake::initiator(a, [n; 32].into(), b"SREMP\x01\x00").unwrap();
    let mut r = NoiseHandshake::responder(b, [n ^ 0xff; 32].into(), b"SREMP\x01\x00").unwrap();
    r.read(&i.write(&[]).unwrap()).unwrap();
    i.read(&r.write(&[]).unwrap()).unwrap();
    r.read(&i.write(&[]).unwrap()).unwrap();
    [i.finish().unwrap().0, r.finish().unwrap().0]
}

fn keys() -> [NoiseSecret; 2] {
    [7, 9].map(|n| NoiseSecret::from_bytes(&[n; 32]))
}

#[divan::bench]
fn xx_handshake_both_sides(bencher: Bencher<'_, '_>) {
    let keys = keys();
    let mut n = 0;
    bencher.bench_local(|| {
        n ^= 0x55;
        black_box(ours(&keys, n))
    });
}

#[divan::bench(sample_size = 100)]
fn write_and_read_1_kb(bencher: Bencher<'_, '_>) {
    let [mut from, mut to] = ours(&keys(), 1);
    let mut wire = Vec::with_capacity(2048);
    bencher.bench_local(|| {
        wire.clear();
        from.write(black_box(&PLAINTEXT), &mut wire).unwrap();
        black_box(to.read(&wire).unwrap())
    });
}
