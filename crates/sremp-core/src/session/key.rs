//! The X25519 keys of a session, a type for each role (D3.2).

use rand_core::CryptoRng;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::{constants::DHLEN, key::key_role, wire::bytes::public_bytes};

key_role! {
    /// DHK: the "ratchet identity", used in the key agreement only.
    DhPublicKey,
    /// The private part of DHK.
    DhSecret
}

key_role! {
    /// The X25519 half of a signed or one-time prekey.
    PrekeyPublicKey,
    /// The private part of a prekey's X25519 half.
    PrekeySecret
}

key_role! {
    /// EK: the ephemeral key of one agreement.
    EphemeralPublicKey,
    /// The private part of EK; it does not outlive the agreement.
    EphemeralSecret
}

key_role! {
    /// `dh_pub`: a ratchet key. Compared as bytes, never as a point.
    RatchetPublicKey,
    /// The private part of a ratchet key.
    RatchetSecret
}

key_role! {
    /// ENV: the key that envelopes are sealed to.
    SealingPublicKey,
    /// The private part of ENV.
    SealingSecret
}
