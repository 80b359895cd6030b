//! Signatures beside those of another library: curve arithmetic is chosen by what the processor offers
//! (docs/decisions/0026), and whatever it computes with here has to agree.

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use sremp_core::{
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    signature::{Signature, SignatureLabel},
    time::UnixMillis,
};

fn random<const N: usize>(rng: &mut ChaCha20Rng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn message(label: SignatureLabel, payload: &[u8]) -> Vec<u8> {
    [b"SREMP/1/", label.as_str().as_bytes(), &[0], payload].concat()
}

#[test]
fn another_library_signs_the_same_and_refuses_the_same() {
    for seed in 0..200 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let key: [u8; 32] = random(&mut rng);
        let name = Username::parse("x").unwrap();
        let noise = NoiseSecret::from_bytes(&[1; 32]);
        let person = SecretIdentity::from_keys(&key, noise, &name, UnixMillis::ZERO);
        let theirs = Ed25519KeyPair::from_seed_unchecked(&key).unwrap();
        let public = theirs.public_key().as_ref();
        assert_eq!(person.id().as_bytes(), public, "seed {seed}");

        let label = SignatureLabel::ALL[rng.next_u32() as usize % SignatureLabel::ALL.len()];
        let mut payload = vec![0; 1 + rng.next_u32() as usize % 300];
        rng.fill_bytes(&mut payload);
        let signature = person.sign(label, &payload);
        let signed = theirs.sign(&message(label, &payload));
        assert_eq!(
            signature.as_bytes().as_slice(),
            signed.as_ref(),
            "seed {seed}"
        );

        let mut altered = *signature.as_bytes();
        let bit = rng.next_u32() as usize % 512;
        altered[bit / 8] ^= 1 << (bit % 8);
        for (bytes, holds) in [(*signature.as_bytes(), true), (altered, false)] {
            let ours = person.id().verify(label, &payload, &Signature::new(bytes));
            let check = UnparsedPublicKey::new(&ED25519, public);
            let other = check.verify(&message(label, &payload), &bytes);
            let verdicts = (ours.is_ok(), other.is_ok());
            assert_eq!(verdicts, (holds, holds), "seed {seed}, bit {bit}");
        }
    }
}
