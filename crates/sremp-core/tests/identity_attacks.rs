//! Keys and signatures that would hold for anything, labels, versions: cases 6 and 8 to 10.

mod vectors;

use ed25519_dalek::{Signer as _, SigningKey};
use serde_bytes::ByteBuf;
use sremp_core::{
    constants::MAX_IDENTITY_VERSION,
    contact_card::{CardContent, CardError, ContactCard},
    id::ContactId,
    identity::{
        Extensions, Flags, Identity, IdentityError, SecretIdentity, Username, VersionRecord,
        VersionVerdict,
    },
    key::{NoisePublicKey, NoiseSecret},
    signature::{BadSignature, Signature, SignatureLabel},
    wire::codec::encode,
};
use vectors::{NOW, alice, hex, list, load, person, text};

/// `L`, the order of the base point, little-endian.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The same signature with `s + L`: a second form that RFC 8032 forbids.
fn with_s_plus_l(signature: &Signature) -> Signature {
    let mut bytes = *signature.as_bytes();
    let mut carry = 0;
    for (s, l) in bytes[32..].iter_mut().zip(L) {
        let sum = u16::from(*s) + u16::from(l) + carry;
        *s = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    Signature::new(bytes)
}

#[test]
fn case_06_a_noise_key_of_small_order_is_no_identity() {
    let refused: Vec<_> = list(&load("identity"), "reject")
        .iter()
        .filter(|v| text(v, "error") == "noise_key")
        .map(|v| Identity::verify(&hex(v, "identity")))
        .collect();
    assert_eq!(
        refused.len(),
        14,
        "seven points, each with and without its top bit"
    );
    assert!(refused.iter().all(|r| *r == Err(IdentityError::NoiseKey)));
    assert!(!alice().identity().noise_key().is_low_order());
    assert!(NoisePublicKey::new([0; 32]).is_low_order());
}

#[test]
fn case_06_a_static_key_counts_only_if_it_is_the_one_of_the_identity() {
    let (alice, bob) = (alice(), person(5, "bob"));
    let shown = alice.identity().noise_key();
    assert!(shown.ct_eq(alice.noise_key().public().as_bytes()));
    assert!(!shown.ct_eq(bob.noise_key().public().as_bytes()));
    assert!(!shown.ct_eq(&[]));
    assert!(!shown.ct_eq(&shown.as_bytes()[..31]));
}

#[test]
fn case_08_a_signature_of_all_messages_is_one_of_none() {
    let mut one = [0; 32];
    one[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    assert!(ContactId::parse(&one).is_err());
    let signature = Signature::new(signature);
    for label in SignatureLabel::ALL {
        let verdict = alice().id().verify(label, b"anything", &signature);
        assert_eq!(verdict, Err(BadSignature));
    }
}

#[test]
fn case_08_s_plus_l_and_an_unreduced_r_are_refused_everywhere() {
    let alice = alice();
    for label in SignatureLabel::ALL {
        let signature = alice.sign(label, b"payload");
        assert!(alice.id().verify(label, b"payload", &signature).is_ok());
        let other = with_s_plus_l(&signature);
        assert_eq!(
            alice.id().verify(label, b"payload", &other),
            Err(BadSignature)
        );
    }
    let card = ContactCard::issue(&alice, CardContent::default()).unwrap();
    let (signed, signature) = card.as_bytes().split_at(card.as_bytes().len() - 64);
    let signature = with_s_plus_l(&Signature::from_slice(signature).unwrap());
    let bytes = [signed, signature.as_bytes()].concat();
    assert_eq!(ContactCard::verify(&bytes, NOW), Err(CardError::Altered));
}

#[test]
fn case_08_a_small_order_r_is_refused() {
    // s = k·a makes [s]B = R + [k]A hold with the cofactor for every R of small order; the strict
    // check looks at R itself.
    use curve25519_dalek::{constants::EIGHT_TORSION, scalar::Scalar};
    use sha2::{Digest as _, Sha512};
    let seed = [1; 32];
    let hash: [u8; 64] = Sha512::digest(seed).into();
    let mut a: [u8; 32] = hash[..32].try_into().unwrap();
    a[0] &= 248;
    a[31] = a[31] & 127 | 64;
    let a = Scalar::from_bytes_mod_order(a);
    let alice = alice();
    for torsion in EIGHT_TORSION {
        let r = torsion.compress().to_bytes();
        let message = [b"SREMP/1/card\0", &b"payload"[..]].concat();
        let k = Sha512::new()
            .chain_update(r)
            .chain_update(alice.id().as_bytes())
            .chain_update(&message)
            .finalize();
        let k: [u8; 64] = k.into();
        let s = Scalar::from_bytes_mod_order_wide(&k) * a;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r);
        signature[32..].copy_from_slice(s.as_bytes());
        let signature = Signature::new(signature);
        let verdict = alice
            .id()
            .verify(SignatureLabel::Card, b"payload", &signature);
        assert_eq!(verdict, Err(BadSignature));
    }
}

#[test]
fn case_09_a_signature_counts_under_its_own_label_only() {
    let alice = alice();
    for signed in SignatureLabel::ALL {
        let signature = alice.sign(signed, b"payload");
        for label in SignatureLabel::ALL {
            let verdict = alice.id().verify(label, b"payload", &signature);
            assert_eq!(verdict.is_ok(), label == signed, "{signed:?} as {label:?}");
        }
        assert!(alice.id().verify(signed, b"payloae", &signature).is_err());
        assert!(
            person(5, "bob")
                .id()
                .verify(signed, b"payload", &signature)
                .is_err()
        );
    }
}

#[test]
fn case_09_an_unlabelled_signature_counts_under_no_label() {
    let key = SigningKey::from_bytes(&[1; 32]);
    let alice = alice();
    for label in SignatureLabel::ALL {
        let bare = [label.as_str().as_bytes(), b"\0payload"].concat();
        for message in [&b"payload"[..], &bare] {
            let signature = Signature::new(key.sign(message).to_bytes());
            assert!(alice.id().verify(label, b"payload", &signature).is_err());
        }
    }
}

#[test]
fn case_09_labels_are_prefix_free() {
    let labels = SignatureLabel::ALL.map(SignatureLabel::as_str);
    for (i, label) in labels.iter().enumerate() {
        assert!(!label.is_empty() && !label.contains('\0') && label.is_ascii());
        assert!(!labels[..i].contains(label), "{label} twice");
    }
}

fn version(n: u64, extensions: Option<Extensions>) -> Identity {
    let base = alice();
    let mut data: Vec<u8> = vec![0x97];
    data.extend(encode("alice"));
    data.extend(encode(&base.id()));
    data.extend(encode(&base.identity().noise_key()));
    data.extend(encode(&Flags::default()));
    data.extend(encode(&extensions));
    data.extend(encode(&n));
    data.extend(encode(&NOW));
    let signature = base.sign(SignatureLabel::Identity, &data);
    Identity::verify(&encode(&(ByteBuf::from(data), signature))).unwrap()
}

#[test]
fn case_10_the_higher_version_counts_and_a_fork_is_seen() {
    let (v4, v5, v6) = (version(4, None), version(5, None), version(6, None));
    let other = Extensions::default().with_metadata("a", vec![1]);
    let fork = version(5, Some(other));
    let known = VersionRecord::of(&v5);
    let judge = |identity| VersionRecord::judge(Some(&known), identity);

    assert_eq!(VersionRecord::judge(None, &v5), VersionVerdict::Newer);
    assert_eq!(judge(&v5), VersionVerdict::Same);
    assert_eq!(judge(&v4), VersionVerdict::Stale { seen: 5 });
    assert_eq!(judge(&v6), VersionVerdict::Newer);
    assert_eq!(judge(&fork), VersionVerdict::Fork);
    let last = version(MAX_IDENTITY_VERSION - 1, None);
    assert_eq!(judge(&last), VersionVerdict::Newer, "gaps are allowed");
}

#[test]
fn case_10_nothing_counts_after_a_tombstone() {
    let alice = alice();
    let grave = alice.with_tombstone(NOW).unwrap();
    assert!(grave.identity().is_tombstone());
    let known = VersionRecord::of(grave.identity());
    let other_grave = alice
        .with_tombstone(NOW.plus(std::time::Duration::from_secs(1)))
        .unwrap();
    let judge = |identity: &SecretIdentity| VersionRecord::judge(Some(&known), identity.identity());
    assert_eq!(judge(&grave), VersionVerdict::Same);
    assert_eq!(judge(&alice), VersionVerdict::Tombstoned);
    assert_eq!(judge(&other_grave), VersionVerdict::Tombstoned);
    assert_eq!(
        VersionRecord::judge(Some(&VersionRecord::of(alice.identity())), grave.identity()),
        VersionVerdict::Newer
    );
    let name = Username::parse("alice").unwrap();
    assert!(
        grave
            .with_profile(&name, Flags::default(), None, NOW)
            .is_err()
    );
    assert!(
        grave
            .with_noise_key(NoiseSecret::from_bytes(&[9; 32]), NOW)
            .is_err()
    );
    assert!(grave.with_tombstone(NOW).is_err());
}

#[test]
fn case_10_every_change_is_one_version_more_and_dated_now() {
    let later = NOW.plus(std::time::Duration::from_secs(5));
    let alice = alice();
    let rotated = alice
        .with_noise_key(NoiseSecret::from_bytes(&[9; 32]), later)
        .unwrap();
    assert_eq!(rotated.identity().version(), 2);
    assert_eq!(rotated.identity().created(), later);
    assert_ne!(rotated.identity().noise_key(), alice.identity().noise_key());
    let restored = SecretIdentity::from_parts(&rotated.to_parts()).unwrap();
    assert_eq!(restored.identity(), rotated.identity());
    assert_eq!(
        restored.noise_key().public(),
        rotated.identity().noise_key()
    );

    let mut torn = rotated.to_parts();
    torn.identity = alice.identity().as_bytes().to_vec();
    assert_eq!(
        SecretIdentity::from_parts(&torn).err(),
        Some(IdentityError::NoiseKey)
    );
    let mut torn = rotated.to_parts();
    *torn.identity_seed = [3; 32];
    assert_eq!(
        SecretIdentity::from_parts(&torn).err(),
        Some(IdentityError::Key)
    );
}
