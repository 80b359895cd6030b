//! Bundles and envelopes: everything that is altered is refused (cases 8, 9, 15).

mod session_support;

use std::time::Duration;

use hpke::{
    Deserializable as _, Serializable as _, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::X25519HkdfSha256,
};
use serde_bytes::ByteBuf;
use session_support::*;
use sremp_core::{
    constants::{ENVELOPE_BUCKETS, SIGNED_PREKEY_EXPIRY},
    id::{ContactId, SessionId},
    session::{
        DecryptError,
        envelope::{self, EnvelopeError},
        prekey::{
            self, BundleError, DhIdentity, EnvelopeKey, OneTimePrekey, PrekeyBundle, PrekeyId,
            PublicEnvelopeKey, SignedPrekey,
        },
    },
    signature::{Signature, SignatureLabel},
    time::UnixMillis,
    wire::codec::{decode_exact, encode},
};

type Key = serde_bytes::ByteArray<32>;
type Kem = serde_bytes::ByteArray<1184>;
type Dh = (Key, u64, u64, Signature);
type KeyPair = (u32, Key, Kem, u64, u64, Signature);
type Env = (u32, Key, u64, u64, Signature);
type Bundle = (u8, ByteBuf, u32, Dh, KeyPair, Env, Option<KeyPair>);

struct Owner {
    person: Person,
    bytes: Vec<u8>,
}

fn owner(seed: u64) -> Owner {
    let mut person = Person::new("bob", seed);
    let otp = person.add_one_time_prekey(NOW);
    let bytes = person.bundle_bytes(Some(otp));
    Owner { person, bytes }
}

impl Owner {
    fn verify(&self, bytes: &[u8]) -> Result<PrekeyBundle, BundleError> {
        PrekeyBundle::verify(bytes, &self.person.id(), NOW)
    }

    fn decoded(&self) -> Bundle {
        decode_exact(&self.bytes, 1 << 20).unwrap()
    }

    fn altered(&self, alter: impl FnOnce(&mut Bundle)) -> Result<PrekeyBundle, BundleError> {
        let mut bundle = self.decoded();
        alter(&mut bundle);
        self.verify(&encode(&bundle))
    }

    /// Signs every part again, as the owner could.
    fn signed(&self, alter: impl FnOnce(&mut Bundle)) -> Result<PrekeyBundle, BundleError> {
        self.altered(|bundle| {
            alter(bundle);
            sign_all(bundle, &self.person, |label| label);
        })
    }
}

/// The payloads of all signatures, built from the specification.
fn sign_all(
    bundle: &mut Bundle,
    signer: &Person,
    label: impl Fn(SignatureLabel) -> SignatureLabel,
) {
    let id = signer.id();
    let sign = |l, payload: Vec<u8>| signer.identity.sign(label(l), &payload);
    let pair = |l, p: &mut KeyPair| {
        p.5 = sign(l, encode(&(id, 1u32, p.0, p.1, &p.2, p.3, p.4)));
    };
    let dh = &mut bundle.3;
    dh.3 = sign(
        SignatureLabel::DhKey,
        encode(&(id, 1u32, 0u32, dh.0, dh.1, 0u64)),
    );
    pair(SignatureLabel::Spk, &mut bundle.4);
    let env = &mut bundle.5;
    let payload = encode(&(id, 1u32, env.0, env.1, env.2, env.3));
    env.4 = sign(SignatureLabel::EnvKey, payload);
    if let Some(otp) = &mut bundle.6 {
        pair(SignatureLabel::Otp, otp);
    }
}

#[test]
fn a_bundle_is_what_the_specification_says() {
    let owner = owner(1);
    // signing again by the specification's payloads gives the same bytes
    let mut bundle = owner.decoded();
    sign_all(&mut bundle, &owner.person, |label| label);
    assert_eq!(encode(&bundle), owner.bytes);
    let verified = owner.verify(&owner.bytes).unwrap();
    assert!(verified.has_one_time_prekey());
    assert_eq!(verified.identity().id(), owner.person.id());
    assert_eq!(*verified.envelope_key(), owner.person.envelope_key());
}

#[test]
fn case_15_no_altered_byte_of_a_bundle_is_accepted() {
    let owner = owner(2);
    for at in (0..owner.bytes.len()).filter(|at| at % 3 == 0 || *at < 500) {
        let mut bytes = owner.bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(owner.verify(&bytes).is_err(), "byte {at}");
    }
    let mut longer = owner.bytes.clone();
    longer.push(0);
    assert!(matches!(
        owner.verify(&longer),
        Err(BundleError::Encoding(_))
    ));
    for len in (0..owner.bytes.len()).step_by(17) {
        assert!(owner.verify(&owner.bytes[..len]).is_err(), "length {len}");
    }
}

#[test]
fn case_15_every_signature_owner_expiry_and_id_of_a_bundle_is_checked() {
    use SignatureLabel::{DhKey, EnvKey, Otp, Spk};
    let owner = owner(3);
    let bad = Signature::new([1; 64]);
    let refused = |result: Result<PrekeyBundle, BundleError>| result.map(drop).unwrap_err();

    let signature = |label| BundleError::Signature(label);
    assert_eq!(refused(owner.altered(|b| b.3.3 = bad)), signature(DhKey));
    assert_eq!(refused(owner.altered(|b| b.4.5 = bad)), signature(Spk));
    assert_eq!(refused(owner.altered(|b| b.5.4 = bad)), signature(EnvKey));
    let otp = |b: &mut Bundle| b.6.as_mut().unwrap().5 = bad;
    assert_eq!(refused(owner.altered(otp)), signature(Otp));

    // ids and times are signed
    assert_eq!(refused(owner.altered(|b| b.4.0 ^= 1)), signature(Spk));
    assert_eq!(refused(owner.altered(|b| b.4.4 += 1)), signature(Spk));
    assert_eq!(refused(owner.altered(|b| b.3.1 += 1)), signature(DhKey));
    assert_eq!(refused(owner.altered(|b| b.5.0 ^= 1)), signature(EnvKey));
    // a signed prekey is no one-time prekey, and the other way round
    let swap = |b: &mut Bundle| std::mem::swap(&mut b.4, b.6.as_mut().unwrap());
    assert_eq!(refused(owner.altered(swap)), signature(Spk));

    // somebody else's identity around these keys, and the keys of somebody else
    let other = self::owner(4);
    let theirs = PrekeyBundle::verify(&owner.bytes, &other.person.id(), NOW);
    assert_eq!(refused(theirs), BundleError::WrongOwner);
    let (identity, keys) = (other.decoded(), owner.decoded());
    let mixed = encode(&(1u8, identity.1, 1u32, keys.3, keys.4, keys.5, keys.6));
    let mixed = PrekeyBundle::verify(&mixed, &other.person.id(), NOW);
    assert_eq!(refused(mixed), signature(DhKey));

    // versions, devices and the id that means "none"
    assert_eq!(
        refused(owner.altered(|b| b.0 = 2)),
        BundleError::Unsupported
    );
    assert_eq!(
        refused(owner.altered(|b| b.2 = 2)),
        BundleError::Unsupported
    );
    let none = refused(owner.signed(|b| b.4.0 = u32::MAX));
    assert!(matches!(none, BundleError::Encoding(_)));
    assert_eq!(
        refused(owner.altered(|b| b.3.2 = 1)),
        BundleError::Expired(DhKey)
    );
}

#[test]
fn case_15_expired_keys_are_refused_and_old_ones_warn() {
    let owner = owner(5);
    let at = |now| PrekeyBundle::verify(&owner.bytes, &owner.person.id(), now).map(drop);
    let expiry = NOW.plus(SIGNED_PREKEY_EXPIRY);
    assert!(at(expiry.plus(Duration::from_secs(299))).is_ok());
    let expired = Err(BundleError::Expired(SignatureLabel::Spk));
    assert_eq!(at(expiry.plus(Duration::from_secs(300))), expired);
    let backwards = owner.signed(|b| b.4.4 = b.4.3 - 1).map(drop);
    assert_eq!(backwards, expired);
    let otp = owner.signed(|b| b.6.as_mut().unwrap().4 = NOW.get() - 300_000);
    let expired = BundleError::Expired(SignatureLabel::Otp);
    assert_eq!(otp.map(drop).unwrap_err(), expired);
    // an owner who lets its keys live longer is believed, with a warning
    let long = owner.signed(|b| b.4.3 -= 15 * 86_400_000).unwrap();
    assert!(long.is_stale(NOW));
    assert!(!owner.verify(&owner.bytes).unwrap().is_stale(NOW));
}

#[test]
fn case_15_keys_that_contribute_nothing_are_refused_though_signed() {
    let owner = owner(6);
    let zero = Key::new([0; 32]);
    let mut one = [0; 32];
    one[0] = 1;
    let high = Key::new([0xff; 32]);
    // 2^255 - 1 is a valid u-coordinate (18); the top bit is ignored
    assert!(owner.signed(|b| b.4.1 = high).is_ok());
    let refused = |result: Result<PrekeyBundle, BundleError>| result.map(drop).unwrap_err();
    for bad in [zero, Key::new(one)] {
        let key = |label| BundleError::Key(label);
        assert_eq!(
            refused(owner.signed(|b| b.3.0 = bad)),
            key(SignatureLabel::DhKey)
        );
        assert_eq!(
            refused(owner.signed(|b| b.4.1 = bad)),
            key(SignatureLabel::Spk)
        );
        assert_eq!(
            refused(owner.signed(|b| b.5.1 = bad)),
            key(SignatureLabel::EnvKey)
        );
        let otp = |b: &mut Bundle| b.6.as_mut().unwrap().1 = bad;
        assert_eq!(refused(owner.signed(otp)), key(SignatureLabel::Otp));
    }
    // a coefficient that is not reduced (FIPS 203, 7.2)
    let kem = |b: &mut Bundle| b.4.2 = Kem::new([0xff; 1184]);
    let key = BundleError::Key(SignatureLabel::Spk);
    assert_eq!(refused(owner.signed(kem)), key);
}

#[test]
fn case_15_a_prekey_that_another_signs_as_his_own_gives_him_no_session() {
    let bob = owner(7);
    let mallory = owner(8);
    let mut alice = Person::new("alice", 9);
    // Mallory offers Bob's keys as her own; she may sign whatever she likes
    let (hers, his) = (mallory.decoded(), bob.decoded());
    let mut forged: Bundle = (1, hers.1, 1, his.3, his.4, hers.5, his.6);
    sign_all(&mut forged, &mallory.person, |label| label);
    let mallory_id = mallory.person.id();
    let bundle = PrekeyBundle::verify(&encode(&forged), &mallory_id, NOW).unwrap();
    let mut book = alice.book(&mallory.person);
    alice.start(&mut book, &bundle);
    let sent = alice.send(&mut book, &mallory.person, b"for mallory");
    // and hands Alice's first message on to Bob
    let opened = mallory.person.open(&sent.envelope);
    let key = bob.person.envelope_key();
    let on = envelope::seal(&key, &opened.session_id(), opened.message(), &mut rng(1)).unwrap();
    let mut bobs = bob.person.book(&alice);
    let before = state(&bobs);
    let refused = bob.person.try_receive(&mut bobs, &on).unwrap_err();
    assert_eq!(refused, DecryptError::Decrypt);
    assert_eq!(state(&bobs), before);
}

#[test]
fn case_09_a_signature_under_any_other_label_is_refused_for_every_key_of_a_bundle() {
    let owner = owner(10);
    let mut refused = 0;
    for position in [
        SignatureLabel::DhKey,
        SignatureLabel::Spk,
        SignatureLabel::EnvKey,
        SignatureLabel::Otp,
    ] {
        for label in SignatureLabel::ALL {
            let result = owner.altered(|bundle| {
                sign_all(bundle, &owner.person, |own| {
                    if own == position { label } else { own }
                });
            });
            if label == position {
                assert!(result.is_ok());
            } else {
                let error = result.map(drop).unwrap_err();
                assert_eq!(error, BundleError::Signature(position), "{label:?}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 4 * (SignatureLabel::ALL.len() - 1));
}

#[test]
fn case_08_the_signature_that_holds_for_everything_holds_for_no_bundle() {
    let owner = owner(11);
    let mut r = [0; 64];
    r[0] = 1;
    let everything = Signature::new(r);
    for part in 0..4 {
        let result = owner.altered(|b| match part {
            0 => b.3.3 = everything,
            1 => b.4.5 = everything,
            2 => b.5.4 = everything,
            _ => b.6.as_mut().unwrap().5 = everything,
        });
        assert!(matches!(result, Err(BundleError::Signature(_))));
    }
    // s + L: the same signature, written differently
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let malleable = owner.altered(|b| {
        let mut bytes = *b.4.5.as_bytes();
        let mut carry = 0;
        for (to, add) in bytes[32..].iter_mut().zip(order) {
            let sum = u16::from(*to) + u16::from(add) + carry;
            *to = sum as u8;
            carry = sum >> 8;
        }
        b.4.5 = Signature::new(bytes);
    });
    assert!(matches!(malleable, Err(BundleError::Signature(_))));
}

#[test]
fn a_withdrawn_identity_offers_no_session() {
    let mut owner = owner(21);
    owner.person.identity = owner.person.identity.with_tombstone(NOW).unwrap();
    let bytes = owner.person.bundle_bytes(None);
    let refused = owner.verify(&bytes).map(drop).unwrap_err();
    assert_eq!(refused, BundleError::Tombstoned);
}

#[test]
fn an_envelope_key_belongs_to_its_owner_only() {
    let bob = owner(12).person;
    let key = bob.envelope_key();
    assert_eq!(
        PublicEnvelopeKey::verify(&key.to_bytes(), &bob.id()),
        Ok(key)
    );
    let other = owner(13).person;
    let refused = PublicEnvelopeKey::verify(&key.to_bytes(), &other.id());
    assert_eq!(refused, Err(BundleError::Signature(SignatureLabel::EnvKey)));
    let mut longer = key.to_bytes();
    longer.push(0);
    assert!(PublicEnvelopeKey::verify(&longer, &bob.id()).is_err());
}

#[test]
fn private_prekeys_survive_the_store() {
    let mut bob = Person::new("bob", 14);
    let otp = bob.add_one_time_prekey(NOW);
    let spk = bob.newest_signed_prekey();
    let otp = &bob.prekeys.one_time[&otp];
    let again = prekey::bundle(
        bob.identity.identity(),
        &DhIdentity::from_bytes(&bob.prekeys.dhk.to_bytes()).unwrap(),
        &SignedPrekey::from_bytes(&spk.to_bytes()).unwrap(),
        &EnvelopeKey::from_bytes(&bob.env.to_bytes()).unwrap(),
        Some(&OneTimePrekey::from_bytes(&otp.to_bytes()).unwrap()),
    );
    assert_eq!(again, bob.bundle_bytes(Some(otp.id())));
    let bytes = spk.to_bytes();
    assert!(SignedPrekey::from_bytes(&bytes[1..]).is_err());
    assert!(DhIdentity::from_bytes(&bytes).is_err());
    assert!(EnvelopeKey::from_bytes(&bytes).is_err());
    let put: KeyPair = decode_exact(&otp.public_bytes(), 2_000).unwrap();
    assert_eq!(put.0, otp.id().get());
}

#[test]
fn an_envelope_has_one_of_seven_sizes() {
    let bob = Person::new("bob", 15);
    let (key, id) = (bob.envelope_key(), SessionId::new([1; 16]));
    let overhead = 38 + 18 + 16;
    for bucket in ENVELOPE_BUCKETS {
        for (len, size) in [
            (bucket - overhead, Some(bucket)),
            (bucket - overhead + 1, None),
        ] {
            let sealed = envelope::seal(&key, &id, &vec![7; len], &mut rng(1));
            match (size, sealed) {
                (Some(size), Ok(sealed)) => assert_eq!(sealed.len(), size),
                (None, Ok(sealed)) => assert!(sealed.len() > bucket),
                (None, Err(_)) => assert_eq!(bucket, 61_440),
                (Some(_), Err(error)) => panic!("{error}"),
            }
        }
    }
    let sealed = envelope::seal(&key, &id, b"", &mut rng(1)).unwrap();
    let opened = envelope::open(&bob.env, &sealed).unwrap();
    assert_eq!(
        (opened.session_id(), opened.message()),
        (id, b"".as_slice())
    );
    assert_eq!(envelope::key_id(&sealed), Ok(bob.env.id()));
}

#[test]
fn no_altered_byte_of_an_envelope_opens_it() {
    let bob = Person::new("bob", 16);
    let key = bob.envelope_key();
    let sealed = envelope::seal(&key, &SessionId::new([1; 16]), &[7; 100], &mut rng(1)).unwrap();
    for at in (0..sealed.len()).filter(|at| *at < 60 || at % 7 == 0) {
        let mut forged = sealed.clone();
        forged[at] ^= 1 << (at % 7);
        let error = envelope::open(&bob.env, &forged).map(drop).unwrap_err();
        let expected = match at {
            0 | 1 => EnvelopeError::Unsupported,
            2..6 => EnvelopeError::Key,
            _ => EnvelopeError::Open,
        };
        assert_eq!(error, expected, "byte {at}");
    }
    for len in [0, 1, 37, 38, 54, 1_023, 1_025, 61_441] {
        let cut: Vec<u8> = sealed.iter().copied().cycle().take(len).collect();
        let error = envelope::open(&bob.env, &cut).map(drop).unwrap_err();
        assert_eq!(error, EnvelopeError::Size, "length {len}");
    }
    let stranger = Person::new("eve", 17);
    assert!(envelope::open(&stranger.env, &sealed).is_err());
}

/// Seals any plaintext, as a sender who does not keep to the layout could.
fn seal_raw(to: &Person, info_id: &ContactId, plaintext: &[u8]) -> Vec<u8> {
    let key: (u32, Key, u64, u64, Signature) =
        decode_exact(&to.envelope_key().to_bytes(), 200).unwrap();
    let public = <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(key.1.as_slice()).unwrap();
    let mut aad = vec![1, 1];
    aad.extend(key.0.to_le_bytes());
    let info = [b"SREMP/1/env\0".as_slice(), info_id.as_bytes()].concat();
    let (enc, ct) =
        hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &hpke::OpModeS::Base,
            &public,
            &info,
            plaintext,
            &aad,
            &mut rng(5),
        )
        .unwrap();
    [aad, enc.to_bytes().to_vec(), ct].concat()
}

#[test]
fn padding_that_is_not_zero_and_lengths_that_lie_are_refused() {
    let bob = Person::new("bob", 18);
    let room = 1_024 - 38 - 16;
    let plaintext = |len: u16, fill: u8| {
        let mut bytes = vec![0; room];
        bytes[16..18].copy_from_slice(&len.to_le_bytes());
        bytes[room - 1] = fill;
        seal_raw(&bob, &bob.id(), &bytes)
    };
    assert!(envelope::open(&bob.env, &plaintext(10, 0)).is_ok());
    let bad = |envelope: &[u8]| envelope::open(&bob.env, envelope).map(drop).unwrap_err();
    assert_eq!(bad(&plaintext(10, 1)), EnvelopeError::Malformed);
    assert_eq!(bad(&plaintext(953, 0)), EnvelopeError::Malformed);
    assert_eq!(bad(&plaintext(u16::MAX, 0)), EnvelopeError::Malformed);
    // the whole room is used: no padding to check
    assert!(envelope::open(&bob.env, &plaintext(952, 1)).is_ok());
    // sealed to the same key for somebody else
    let other = Person::new("eve", 19);
    let misdirected = seal_raw(&bob, &other.id(), &vec![0; room]);
    assert_eq!(bad(&misdirected), EnvelopeError::Open);
}

#[test]
fn prekey_ids_are_fresh_and_never_none() {
    let mut dice = rng(20);
    let taken = PrekeyId::random(&mut dice, |_| false);
    let mut same = rng(20);
    let other = PrekeyId::random(&mut same, |id| id == taken);
    assert_ne!(other, taken);
    assert_eq!(PrekeyId::new(u32::MAX), None);
    assert!(UnixMillis::ZERO < NOW);
}
