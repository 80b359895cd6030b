//! Ed25519 signatures under labels (chapter 0): no signature means two things.

use ed25519_dalek::Signer as _;

use crate::{id::ContactId, wire::bytes::public_bytes};

public_bytes! {
    /// An Ed25519 signature: 64 bytes, `R ‖ s` (RFC 8032).
    Signature, 64
}

/// What a signature is for. The signed message is `"SREMP/1/" ‖ label ‖ 00 ‖ payload`, and no label
/// contains a zero byte, so no two uses can share a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the specification's labels")]
pub enum SignatureLabel {
    Identity,
    DhKey,
    Spk,
    Otp,
    EnvKey,
    RatchetKey,
    RelayAuth,
    RelayStore,
    Confirmation,
    StoreReceipt,
    RdvRecord,
    RdvProof,
    ServerRecord,
    Card,
    GroupEvent,
    Device,
}

impl SignatureLabel {
    /// Every label.
    pub const ALL: [Self; 16] = [
        Self::Identity,
        Self::DhKey,
        Self::Spk,
        Self::Otp,
        Self::EnvKey,
        Self::RatchetKey,
        Self::RelayAuth,
        Self::RelayStore,
        Self::Confirmation,
        Self::StoreReceipt,
        Self::RdvRecord,
        Self::RdvProof,
        Self::ServerRecord,
        Self::Card,
        Self::GroupEvent,
        Self::Device,
    ];

    /// The label as it is signed, ASCII.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::DhKey => "dh-key",
            Self::Spk => "spk",
            Self::Otp => "otp",
            Self::EnvKey => "env-key",
            Self::RatchetKey => "ratchet-key",
            Self::RelayAuth => "relay-auth",
            Self::RelayStore => "relay-store",
            Self::Confirmation => "confirmation",
            Self::StoreReceipt => "store-receipt",
            Self::RdvRecord => "rdv-record",
            Self::RdvProof => "rdv-proof",
            Self::ServerRecord => "server-record",
            Self::Card => "card",
            Self::GroupEvent => "group-event",
            Self::Device => "device",
        }
    }

    fn message(self, payload: &[u8]) -> Vec<u8> {
        let label = self.as_str().as_bytes();
        [b"SREMP/1/", label, &[0], payload].concat()
    }
}

/// The signature does not hold for this key, label and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSignature;

impl std::fmt::Display for BadSignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the signature does not hold")
    }
}

impl std::error::Error for BadSignature {}

pub(crate) fn sign(
    key: &ed25519_dalek::SigningKey,
    label: SignatureLabel,
    payload: &[u8],
) -> Signature {
    Signature::new(key.sign(&label.message(payload)).to_bytes())
}

/// Whether all signatures hold together, each with a key of its own: one equation over all of them.
/// Accepts what [`verify`] does, and signatures that differ from such by a point of small order.
pub(crate) fn verify_all<'a>(
    signed: impl Iterator<Item = (ContactId, SignatureLabel, &'a [u8], Signature)>,
) -> bool {
    let (mut messages, mut signatures, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for (signer, label, payload, signature) in signed {
        messages.push(label.message(payload));
        signatures.push(ed25519_dalek::Signature::from_bytes(signature.as_bytes()));
        keys.push(*signer.verifying_key());
    }
    let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    #[allow(
        clippy::disallowed_methods,
        reason = "stores, and confirmations of an owner, at a relay alone: docs/decisions/0007"
    )]
    ed25519_dalek::verify_batch(&messages, &signatures, &keys).is_ok()
}

pub(crate) fn verify(
    key: &ed25519_dalek::VerifyingKey,
    label: SignatureLabel,
    payload: &[u8],
    signature: &Signature,
) -> Result<(), BadSignature> {
    let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
    key.verify_strict(&label.message(payload), &signature)
        .map_err(|_| BadSignature)
}
