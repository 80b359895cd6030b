//! ML-KEM-768 (FIPS 203) behind a trait: the one place that knows the library (D4.1).

use ml_kem::{
    EncapsulationKey768, MlKem768 as Library, Seed,
    kem::{Decapsulate as _, Encapsulate as _, KeyExport as _},
};
use rand_core::CryptoRng;
use zeroize::{Zeroize as _, Zeroizing};

use crate::wire::bytes::public_bytes;

public_bytes! {
    /// An encapsulation key of ML-KEM-768, 1184 bytes.
    KemPublicKey, 1184
}

/// Length of a ciphertext of ML-KEM-768 in bytes.
pub(crate) const KEM_CT_LEN: usize = 1_088;

/// A decapsulation key as its 64-byte seed `d ‖ z`, the form that FIPS 203 recommends to store.
pub(crate) struct KemSecret(Zeroizing<[u8; 64]>);

pub(crate) type KemCiphertext = [u8; KEM_CT_LEN];
pub(crate) type KemSharedSecret = Zeroizing<[u8; 32]>;

impl KemSecret {
    pub(crate) fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut seed = Zeroizing::new([0; 64]);
        rng.fill_bytes(seed.as_mut());
        Self(seed)
    }

    pub(crate) fn from_seed(seed: &[u8; 64]) -> Self {
        Self(Zeroizing::new(*seed))
    }

    pub(crate) fn seed(&self) -> &[u8; 64] {
        &self.0
    }
}

/// A key encapsulation mechanism with the sizes of ML-KEM-768.
pub(crate) trait Kem {
    /// The public key of a seed.
    fn public_key(secret: &KemSecret) -> KemPublicKey;

    /// Whether the key passes the check of FIPS 203, section 7.2: every coefficient reduced.
    fn is_valid(public: &KemPublicKey) -> bool;

    /// A secret for the holder of the key, and the ciphertext that carries it; `None` for a key
    /// that is not valid. Draws 32 bytes.
    fn encapsulate<R: CryptoRng + ?Sized>(
        public: &KemPublicKey,
        rng: &mut R,
    ) -> Option<(KemCiphertext, KemSharedSecret)>;

    /// The secret in a ciphertext, and the public key, which the transcript needs. Never fails: a
    /// wrong ciphertext gives an unrelated secret (implicit rejection), so results must not be
    /// compared, only used.
    fn decapsulate(
        secret: &KemSecret,
        ciphertext: &KemCiphertext,
    ) -> (KemSharedSecret, KemPublicKey);
}

/// ML-KEM-768 of the `ml-kem` crate.
pub(crate) struct MlKem768;

impl MlKem768 {
    fn expand(secret: &KemSecret) -> ml_kem::DecapsulationKey<Library> {
        let mut seed = Seed::from(*secret.seed());
        let key = ml_kem::DecapsulationKey::from_seed(seed);
        seed.zeroize();
        key
    }

    fn parse(public: &KemPublicKey) -> Option<EncapsulationKey768> {
        EncapsulationKey768::new(&(*public.as_bytes()).into()).ok()
    }
}

impl Kem for MlKem768 {
    fn public_key(secret: &KemSecret) -> KemPublicKey {
        let key = Self::expand(secret);
        KemPublicKey::new(key.encapsulation_key().to_bytes().into())
    }

    fn is_valid(public: &KemPublicKey) -> bool {
        Self::parse(public).is_some()
    }

    fn encapsulate<R: CryptoRng + ?Sized>(
        public: &KemPublicKey,
        rng: &mut R,
    ) -> Option<(KemCiphertext, KemSharedSecret)> {
        let (ciphertext, mut shared) = Self::parse(public)?.encapsulate_with_rng(rng);
        let secret = Zeroizing::new(shared.into());
        shared.zeroize();
        Some((ciphertext.into(), secret))
    }

    fn decapsulate(
        secret: &KemSecret,
        ciphertext: &KemCiphertext,
    ) -> (KemSharedSecret, KemPublicKey) {
        let key = Self::expand(secret);
        let mut shared = key.decapsulate(&(*ciphertext).into());
        let secret = Zeroizing::new(shared.into());
        shared.zeroize();
        let public = KemPublicKey::new(key.encapsulation_key().to_bytes().into());
        (secret, public)
    }
}
