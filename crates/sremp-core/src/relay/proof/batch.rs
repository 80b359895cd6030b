//! What a relay's commit has to check: `sender_signature` and what owners confirm, one by one or all
//! at once (docs/decisions/0007).

use crate::{
    constants::{MAX_TABLED_SIGNATURES, MIN_SIGNATURE_BATCH, MIN_UNTABLED_SIGNATURES},
    id::{ContactId, EnvelopeId, IdentityKey},
    identity::SecretIdentity,
    relay::{MessageId, proof::Confirmation},
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

/// A signature that a relay has to check before a commit.
#[derive(Clone, Debug)]
pub struct Claimed {
    signer: ContactId,
    label: SignatureLabel,
    payload: Vec<u8>,
    signature: Signature,
}

impl Claimed {
    /// `sender_signature` of whoever is connected.
    pub fn store(sender: ContactId, claim: &StoreClaim, signature: Signature) -> Self {
        Self {
            signer: sender,
            label: SignatureLabel::RelayStore,
            payload: claim.payload(),
            signature,
        }
    }

    /// The signature of what the owner who is connected confirms.
    pub fn confirmation(owner: ContactId, confirmation: &Confirmation) -> Self {
        Self {
            signer: owner,
            label: SignatureLabel::Confirmation,
            payload: confirmation.payload(),
            signature: confirmation.signature,
        }
    }

    fn verify(&self) -> Result<(), BadSignature> {
        self.signer
            .verify(self.label, &self.payload, &self.signature)
    }
}

/// Checks many signatures; the verdicts are in the order of the claims.
///
/// One alone is checked strictly, more by an equation over all or over some two dozen of them, which
/// costs half or less. Those of an equation that does not hold are checked strictly each, so that a bad
/// signature costs what it signs alone. An equation accepts besides only signatures that the holder of
/// the key itself made to be seen so, which lets nobody do what it could not do anyway:
/// docs/decisions/0007.
pub fn check_claims(claims: &[Claimed]) -> Vec<Result<(), BadSignature>> {
    let check = |claims: &[Claimed]| {
        if claims.len() >= MIN_SIGNATURE_BATCH && holds_together(claims) {
            return vec![Ok(()); claims.len()];
        }
        claims.iter().map(Claimed::verify).collect()
    };
    claims
        .chunks(equation(claims.len()))
        .flat_map(check)
        .collect()
}

/// How many of so many signatures have an equation together.
fn equation(count: usize) -> usize {
    let equations = match count {
        0..MIN_UNTABLED_SIGNATURES => count.div_ceil(MAX_TABLED_SIGNATURES),
        _ => 1,
    };
    count.div_ceil(equations.max(1)).max(1)
}

fn holds_together(claims: &[Claimed]) -> bool {
    let signed = claims
        .iter()
        .map(|claim| (claim.signer, claim.label, &*claim.payload, claim.signature));
    signature::verify_all(signed)
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

    fn confirmation(n: u64, owner: &SecretIdentity) -> Confirmation {
        let (sender, blob) = (person(3).id().into(), EnvelopeId::of(&n.to_le_bytes()));
        Confirmation::sign(owner, sender, MessageId::new(n), blob, UnixMillis::ZERO)
    }

    /// Stores and confirmations in turn, by five people; those of `bad` say what was not signed.
    fn claims(count: u64, bad: Option<u64>) -> Vec<Claimed> {
        let claimed = |n: u64| {
            let person = person((n % 5) as u8 + 20);
            if n.is_multiple_of(2) {
                let (mut claim, signature) = (claim(n), claim(n).sign(&person));
                claim.ttl += u32::from(bad == Some(n));
                Claimed::store(person.id(), &claim, signature)
            } else {
                let mut confirmation = confirmation(n, &person);
                if bad == Some(n) {
                    confirmation.blob_hash = EnvelopeId::of(b"another");
                }
                Claimed::confirmation(person.id(), &confirmation)
            }
        };
        (0..count).map(claimed).collect()
    }

    #[test]
    fn a_bad_signature_among_many_is_the_only_one_refused() {
        for (count, step) in [(0, 1), (1, 1), (3, 1), (16, 1), (64, 1), (256, 85)] {
            let good = check_claims(&claims(count, None));
            assert!(good.iter().all(Result::is_ok), "{count}");
            for bad in (0..count).step_by(step) {
                let verdicts = check_claims(&claims(count, Some(bad)));
                let refused: Vec<u64> = (0..count)
                    .filter(|n| verdicts[*n as usize].is_err())
                    .collect();
                assert_eq!(refused, [bad], "of {count}");
            }
        }
    }

    #[test]
    fn equations_are_few_and_about_as_large() {
        for (count, each) in [
            (0, 1),
            (1, 1),
            (24, 24),
            (25, 13),
            (64, 22),
            (95, 24),
            (96, 96),
        ] {
            assert_eq!(equation(count), each, "of {count}");
        }
    }

    #[test]
    fn of_whom_a_signature_is_is_said_by_the_connection_and_not_by_it() {
        for count in [1, 20] {
            let (owner, other) = (person(1), person(2));
            let of = |owner: &SecretIdentity, n| {
                Claimed::confirmation(owner.id(), &confirmation(n, &person(1)))
            };
            let own: Vec<_> = (0..count).map(|n| of(&owner, n)).collect();
            assert!(check_claims(&own).iter().all(Result::is_ok), "{count}");
            let stolen: Vec<_> = (0..count).map(|n| of(&other, n)).collect();
            assert!(check_claims(&stolen).iter().all(Result::is_err), "{count}");
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
