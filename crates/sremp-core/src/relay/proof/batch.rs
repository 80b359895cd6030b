//! `sender_signature`, one by one or all that a commit has at once (docs/decisions/0007).

use crate::{
    constants::MIN_SIGNATURE_BATCH,
    id::{ContactId, EnvelopeId, IdentityKey},
    identity::SecretIdentity,
    relay::MessageId,
    signature::{self, BadSignature, Signature, SignatureLabel},
};

/// What a sender signs when it stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreClaim {
    /// Where.
    pub relay: IdentityKey,
    /// Whose mailbox.
    pub recipient: IdentityKey,
    /// The sender's id.
    pub message_id: MessageId,
    /// `H(encrypted_blob)`.
    pub blob_hash: EnvelopeId,
    /// How long, seconds.
    pub ttl: u32,
}

impl StoreClaim {
    fn payload(&self) -> Vec<u8> {
        [
            self.relay.as_bytes().as_slice(),
            self.recipient.as_bytes(),
            &self.message_id.get().to_le_bytes(),
            self.blob_hash.as_bytes(),
            &self.ttl.to_le_bytes(),
        ]
        .concat()
    }

    /// `sender_signature`.
    pub fn sign(&self, sender: &SecretIdentity) -> Signature {
        sender.sign(SignatureLabel::RelayStore, &self.payload())
    }

    /// Checks `sender_signature`, strictly.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, sender: &ContactId, signature: &Signature) -> Result<(), BadSignature> {
        sender.verify(SignatureLabel::RelayStore, &self.payload(), signature)
    }
}

/// Checks the signatures of many stores; the verdicts are in the order of the claims.
///
/// A few are checked strictly, many by one equation over all of them, which costs half. When that
/// does not hold, each is checked strictly, so that one bad signature costs its own store alone. The
/// equation accepts besides only signatures that the holder of the key itself made to be seen so,
/// which lets nobody else store anything: docs/decisions/0007.
pub fn check_stores(
    stores: &[(ContactId, StoreClaim, Signature)],
) -> Vec<Result<(), BadSignature>> {
    if stores.len() >= MIN_SIGNATURE_BATCH && holds_together(stores) {
        return vec![Ok(()); stores.len()];
    }
    let strict = |(sender, claim, signature): &(ContactId, StoreClaim, Signature)| {
        claim.verify(sender, signature)
    };
    stores.iter().map(strict).collect()
}

fn holds_together(stores: &[(ContactId, StoreClaim, Signature)]) -> bool {
    let label = SignatureLabel::RelayStore;
    let signed = stores
        .iter()
        .map(|(sender, claim, signature)| (*sender, claim.payload(), *signature));
    signature::verify_all(label, signed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity::Username, key::NoiseSecret, time::UnixMillis};

    fn person(n: u8) -> SecretIdentity {
        let name = Username::parse("x").unwrap();
        let noise = NoiseSecret::from_bytes(&[n; 32]);
        SecretIdentity::from_keys(&[n; 32], noise, &name, UnixMillis::ZERO)
    }

    fn claim(n: u64) -> StoreClaim {
        StoreClaim {
            relay: person(9).id().into(),
            recipient: person(2).id().into(),
            message_id: MessageId::new(n),
            blob_hash: EnvelopeId::of(&n.to_le_bytes()),
            ttl: 60,
        }
    }

    fn stores(count: u64) -> Vec<(ContactId, StoreClaim, Signature)> {
        let store = |n| {
            let sender = person((n % 5) as u8 + 20);
            (sender.id(), claim(n), claim(n).sign(&sender))
        };
        (0..count).map(store).collect()
    }

    #[test]
    fn a_bad_signature_among_many_is_the_only_one_refused() {
        for count in [1, 3, 16, 64] {
            let good = stores(count);
            assert!(check_stores(&good).iter().all(Result::is_ok), "{count}");
            for bad in 0..good.len() {
                let mut stores = good.clone();
                stores[bad].1.ttl += 1;
                let verdicts = check_stores(&stores);
                let refused: Vec<usize> = (0..stores.len())
                    .filter(|n| verdicts[*n].is_err())
                    .collect();
                assert_eq!(refused, [bad], "of {count}");
            }
        }
    }

    #[test]
    fn case_24_a_signature_is_for_one_relay_recipient_blob_and_time() {
        let sender = person(1);
        let signature = claim(1).sign(&sender);
        assert_eq!(claim(1).verify(&sender.id(), &signature), Ok(()));
        let altered = [
            StoreClaim {
                relay: person(8).id().into(),
                ..claim(1)
            },
            StoreClaim {
                recipient: person(8).id().into(),
                ..claim(1)
            },
            StoreClaim {
                message_id: MessageId::new(2),
                ..claim(1)
            },
            StoreClaim {
                blob_hash: EnvelopeId::of(b"x"),
                ..claim(1)
            },
            StoreClaim {
                ttl: 61,
                ..claim(1)
            },
        ];
        for claim in altered {
            assert!(claim.verify(&sender.id(), &signature).is_err(), "{claim:?}");
        }
        assert!(claim(1).verify(&person(3).id(), &signature).is_err());
    }
}
