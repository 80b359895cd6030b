//! Receipts: what the relay can be held to. One signature serves all stores of a commit, as the
//! root of a tree (RFC 6962's hashing, with SHA-256) whose leaves are the single receipts.
//!
//! ```text
//! leaf = H(00 ‖ sender ‖ recipient ‖ message_id u64 ‖ H(blob) ‖ stored_at u64 ‖ expires_at u64)
//! node = H(01 ‖ left ‖ right)          an odd one moves up unchanged
//! receipt_signature = signature over the root, 64 ‖ n u8 ‖ n × (side u8 ‖ sibling 32)
//! ```
//! `side` is 0 where the sibling stands left, 1 where it stands right; the path begins at the leaf.

use sha2::{Digest as _, Sha256};

use crate::{
    constants::MAX_RECEIPT_DEPTH,
    id::{ContactId, EnvelopeId, IdentityKey},
    identity::SecretIdentity,
    relay::MessageId,
    signature::{BadSignature, Signature, SignatureLabel},
    time::UnixMillis,
};

type Hash = [u8; 32];

/// What a receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptClaim {
    /// Who stored it.
    pub sender: IdentityKey,
    /// Whose mailbox.
    pub recipient: IdentityKey,
    /// The sender's id.
    pub message_id: MessageId,
    /// `H(encrypted_blob)`.
    pub blob_hash: EnvelopeId,
    /// Since when.
    pub stored_at: UnixMillis,
    /// Until when.
    pub expires_at: UnixMillis,
}

impl ReceiptClaim {
    fn leaf(&self) -> Hash {
        let mut hash = Sha256::new_with_prefix([0]);
        hash.update(self.sender.as_bytes());
        hash.update(self.recipient.as_bytes());
        hash.update(self.message_id.get().to_le_bytes());
        hash.update(self.blob_hash.as_bytes());
        hash.update(self.stored_at.get().to_le_bytes());
        hash.update(self.expires_at.get().to_le_bytes());
        hash.finalize().into()
    }
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hash = Sha256::new_with_prefix([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// `receipt_signature`: a relay's promise to keep one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    signature: Signature,
    path: Vec<(Side, Hash)>,
}

impl Receipt {
    /// The bytes, at most [`MAX_RECEIPT`](crate::constants::MAX_RECEIPT).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.signature.as_bytes().to_vec();
        bytes.push(u8::try_from(self.path.len()).unwrap_or(u8::MAX));
        for (side, sibling) in &self.path {
            bytes.push(*side as u8);
            bytes.extend_from_slice(sibling);
        }
        bytes
    }

    /// Reads the bytes; `None` unless they are exactly a receipt.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (signature, rest) = bytes.split_first_chunk()?;
        let (count, rest) = rest.split_first()?;
        let (steps, left) = rest.as_chunks::<33>();
        if !left.is_empty() || steps.len() != usize::from(*count) || steps.len() > MAX_RECEIPT_DEPTH
        {
            return None;
        }
        let path = steps.iter().map(|step| {
            let (side, sibling) = step.split_first()?;
            let side = match side {
                0 => Side::Left,
                1 => Side::Right,
                _ => return None,
            };
            Some((side, sibling.try_into().ok()?))
        });
        Some(Self {
            signature: Signature::new(*signature),
            path: path.collect::<Option<_>>()?,
        })
    }

    /// Checks that `relay` has promised `claim`.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, relay: &ContactId, claim: &ReceiptClaim) -> Result<(), BadSignature> {
        let climb = |hash: Hash, (side, sibling): &(Side, Hash)| match side {
            Side::Left => node(sibling, &hash),
            Side::Right => node(&hash, sibling),
        };
        let root = self.path.iter().fold(claim.leaf(), climb);
        relay.verify(SignatureLabel::StoreReceipt, &root, &self.signature)
    }
}

/// The receipts of one commit.
#[derive(Debug)]
pub struct ReceiptTree {
    /// From the leaves to the root.
    levels: Vec<Vec<Hash>>,
    signature: Signature,
}

impl ReceiptTree {
    /// Signs all of them at once; `None` if there are none, or more than 65,536.
    pub fn sign<'c>(
        relay: &SecretIdentity,
        claims: impl IntoIterator<Item = &'c ReceiptClaim>,
    ) -> Option<Self> {
        let mut level: Vec<Hash> = claims.into_iter().map(ReceiptClaim::leaf).collect();
        let mut levels = Vec::new();
        while level.len() > 1 {
            let next = level.chunks(2).map(|pair| match pair {
                [left, right] => node(left, right),
                [odd] => *odd,
                _ => [0; 32],
            });
            let next = next.collect();
            levels.push(std::mem::replace(&mut level, next));
        }
        let root = level.first()?;
        if levels.len() > MAX_RECEIPT_DEPTH {
            return None;
        }
        Some(Self {
            signature: relay.sign(SignatureLabel::StoreReceipt, root),
            levels,
        })
    }

    /// The receipt of the claim at this place.
    pub fn receipt(&self, mut index: usize) -> Receipt {
        let mut path = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            let step = match index % 2 {
                0 => level
                    .get(index.saturating_add(1))
                    .map(|h| (Side::Right, *h)),
                _ => level.get(index.saturating_sub(1)).map(|h| (Side::Left, *h)),
            };
            path.extend(step);
            index /= 2;
        }
        Receipt {
            signature: self.signature,
            path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity::Username, key::NoiseSecret};

    fn person(n: u8) -> SecretIdentity {
        let name = Username::parse("x").unwrap();
        let noise = NoiseSecret::from_bytes(&[n; 32]);
        SecretIdentity::from_keys(&[n; 32], noise, &name, UnixMillis::ZERO)
    }

    fn claims(count: u64) -> Vec<ReceiptClaim> {
        let claim = |n| ReceiptClaim {
            sender: person(1).id().into(),
            recipient: person(2).id().into(),
            message_id: MessageId::new(n),
            blob_hash: EnvelopeId::of(&n.to_le_bytes()),
            stored_at: UnixMillis::saturating(n),
            expires_at: UnixMillis::saturating(n + 1),
        };
        (0..count).map(claim).collect()
    }

    #[test]
    fn every_receipt_of_a_commit_holds_for_its_claim_and_for_no_other() {
        let relay = person(9);
        for count in [1, 2, 3, 5, 64, 129] {
            let claims = claims(count);
            let tree = ReceiptTree::sign(&relay, &claims).unwrap();
            for (index, claim) in claims.iter().enumerate() {
                let bytes = tree.receipt(index).to_bytes();
                let receipt = Receipt::from_bytes(&bytes).unwrap();
                assert_eq!(
                    receipt.verify(&relay.id(), claim),
                    Ok(()),
                    "{index} of {count}"
                );
                let other = &claims[(index + 1) % claims.len()];
                assert_eq!(receipt.verify(&relay.id(), other).is_ok(), count == 1);
                assert!(receipt.verify(&person(8).id(), claim).is_err());
            }
        }
        assert!(ReceiptTree::sign(&relay, &[]).is_none());
    }

    #[test]
    fn a_receipt_holds_for_exactly_what_it_says() {
        let relay = person(9);
        let claim = claims(1)[0];
        let receipt = ReceiptTree::sign(&relay, [&claim]).unwrap().receipt(0);
        assert_eq!(receipt.to_bytes().len(), 65);
        let altered = [
            ReceiptClaim {
                sender: person(3).id().into(),
                ..claim
            },
            ReceiptClaim {
                recipient: person(3).id().into(),
                ..claim
            },
            ReceiptClaim {
                message_id: MessageId::new(7),
                ..claim
            },
            ReceiptClaim {
                blob_hash: EnvelopeId::of(b"x"),
                ..claim
            },
            ReceiptClaim {
                stored_at: UnixMillis::saturating(9),
                ..claim
            },
            ReceiptClaim {
                expires_at: UnixMillis::saturating(9),
                ..claim
            },
        ];
        for claim in altered {
            assert!(receipt.verify(&relay.id(), &claim).is_err(), "{claim:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_exactly_a_receipt_are_none() {
        let tree = ReceiptTree::sign(&person(9), &claims(5)).unwrap();
        let bytes = tree.receipt(0).to_bytes();
        for len in 0..bytes.len() {
            assert_eq!(Receipt::from_bytes(&bytes[..len]), None, "{len}");
        }
        assert_eq!(Receipt::from_bytes(&[&bytes[..], &[0]].concat()), None);
        let mut side = bytes.clone();
        side[65] = 2;
        assert_eq!(Receipt::from_bytes(&side), None);
        let mut long = bytes[..64].to_vec();
        long.push(17);
        long.resize(65 + 17 * 33, 0);
        assert_eq!(Receipt::from_bytes(&long), None);
    }
}
