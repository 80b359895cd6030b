//! `UserIdentity` of the draft: the private side, which never leaves the client.

use ed25519_dalek::SigningKey;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{Extensions, Flags, Identity, IdentityError, Username, document::VerifiedData};
use crate::{
    constants::{MAX_IDENTITY_VERSION, METADATA_TOMBSTONE},
    id::ContactId,
    key::NoiseSecret,
    signature::{self, Signature, SignatureLabel},
    time::UnixMillis,
};

/// One's own identity with its private keys. Not `Clone`; zeroised on drop.
pub struct SecretIdentity {
    identity_key: SigningKey,
    noise_key: NoiseSecret,
    identity: Identity,
}

/// What has to be stored of a [`SecretIdentity`].
pub struct SecretIdentityParts {
    /// Ed25519 seed.
    pub identity_seed: Zeroizing<[u8; 32]>,
    /// X25519 private key.
    pub noise_secret: Zeroizing<[u8; 32]>,
    /// The signed document, encoded.
    pub identity: Vec<u8>,
}

impl SecretIdentity {
    /// A new identity, version 1.
    pub fn generate<R: CryptoRng + ?Sized>(
        username: &Username,
        now: UnixMillis,
        rng: &mut R,
    ) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        let noise_key = NoiseSecret::generate(rng);
        Self::from_keys(&seed, noise_key, username, now)
    }

    /// Version 1 of the identity of these keys: for tests and vectors, which fix them.
    pub fn from_keys(
        seed: &[u8; 32],
        noise_key: NoiseSecret,
        username: &Username,
        now: UnixMillis,
    ) -> Self {
        let identity_key = SigningKey::from_bytes(seed);
        let data = VerifiedData {
            username: username.as_str().to_owned(),
            identity_key: ContactId::of(&identity_key),
            noise_key: noise_key.public(),
            flags: Flags::default(),
            extensions: None,
            version: 1,
            created: now,
        };
        #[allow(
            clippy::expect_used,
            reason = "a parsed username, a computed noise key and version 1 break no rule of `check`"
        )]
        let identity = Identity::sign(data, &identity_key).expect("a first version is valid");
        Self {
            identity_key,
            noise_key,
            identity,
        }
    }

    /// The identity from what was stored.
    ///
    /// # Errors
    /// [`IdentityError`] if the document does not verify or does not belong to these keys.
    pub fn from_parts(parts: &SecretIdentityParts) -> Result<Self, IdentityError> {
        let identity = Identity::verify(&parts.identity)?;
        let identity_key = SigningKey::from_bytes(&parts.identity_seed);
        let noise_key = NoiseSecret::from_bytes(&parts.noise_secret);
        if ContactId::of(&identity_key) != identity.id() {
            return Err(IdentityError::Key);
        }
        if !noise_key.public().ct_eq(identity.noise_key().as_bytes()) {
            return Err(IdentityError::NoiseKey);
        }
        Ok(Self {
            identity_key,
            noise_key,
            identity,
        })
    }

    /// What has to be stored, in a place that is encrypted.
    pub fn to_parts(&self) -> SecretIdentityParts {
        SecretIdentityParts {
            identity_seed: Zeroizing::new(self.identity_key.to_bytes()),
            noise_secret: Zeroizing::new(*self.noise_key.expose()),
            identity: self.identity.as_bytes().to_vec(),
        }
    }

    /// The public document.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// `identity_key`.
    pub const fn id(&self) -> ContactId {
        self.identity.id()
    }

    /// The noise key pair.
    pub const fn noise_key(&self) -> &NoiseSecret {
        &self.noise_key
    }

    /// Signs a payload under a label.
    pub fn sign(&self, label: SignatureLabel, payload: &[u8]) -> Signature {
        signature::sign(&self.identity_key, label, payload)
    }

    /// The next version with a new noise key (D2.7). To be stored before it is published; the old
    /// private noise key goes with the old value.
    ///
    /// # Errors
    /// [`IdentityError::Version`] when the identity is withdrawn.
    pub fn with_noise_key(
        &self,
        noise_key: NoiseSecret,
        now: UnixMillis,
    ) -> Result<Self, IdentityError> {
        let identity = self.revise(now, |data| data.noise_key = noise_key.public())?;
        Ok(self.next(noise_key, identity))
    }

    /// The identity from what a backup holds of it, which is no noise key (D3.13). Its version is
    /// beyond those that were published since the backup was made: at least the Unix time in seconds,
    /// since versions are made less often than once a second.
    ///
    /// # Errors
    /// [`IdentityError`] if the document does not verify, belongs to another key, or is withdrawn.
    pub fn restored(
        identity_seed: &[u8; 32],
        document: &[u8],
        noise_key: NoiseSecret,
        now: UnixMillis,
    ) -> Result<Self, IdentityError> {
        let before = Identity::verify(document)?;
        let identity_key = SigningKey::from_bytes(identity_seed);
        if ContactId::of(&identity_key) != before.id() {
            return Err(IdentityError::Key);
        }
        if before.is_tombstone() {
            return Err(IdentityError::Version);
        }
        let mut data = before.data();
        data.version = data.version.saturating_add(1).max(now.get() / 1_000);
        data.created = now;
        data.noise_key = noise_key.public();
        let identity = Identity::sign(data, &identity_key)?;
        Ok(Self {
            identity_key,
            noise_key,
            identity,
        })
    }

    /// The next version with another profile.
    ///
    /// # Errors
    /// [`IdentityError`] when a part breaks a rule or the identity is withdrawn.
    pub fn with_profile(
        &self,
        username: &Username,
        flags: Flags,
        extensions: Option<Extensions>,
        now: UnixMillis,
    ) -> Result<Self, IdentityError> {
        let identity = self.revise(now, |data| {
            data.username = username.as_str().to_owned();
            data.flags = flags;
            data.extensions = extensions;
        })?;
        Ok(self.next(NoiseSecret::from_bytes(self.noise_key.expose()), identity))
    }

    /// The last version, which withdraws the identity for good (D2.8).
    ///
    /// # Errors
    /// [`IdentityError::Version`] when it is withdrawn already.
    pub fn with_tombstone(&self, now: UnixMillis) -> Result<Self, IdentityError> {
        let identity = self.revise(now, |data| {
            data.version = MAX_IDENTITY_VERSION;
            let extensions = data.extensions.take().unwrap_or_default();
            data.extensions = Some(extensions.with_metadata(METADATA_TOMBSTONE, vec![1]));
        })?;
        Ok(self.next(NoiseSecret::from_bytes(self.noise_key.expose()), identity))
    }

    fn next(&self, noise_key: NoiseSecret, identity: Identity) -> Self {
        Self {
            identity_key: SigningKey::from_bytes(self.identity_key.as_bytes()),
            noise_key,
            identity,
        }
    }

    fn revise(
        &self,
        now: UnixMillis,
        change: impl FnOnce(&mut VerifiedData),
    ) -> Result<Identity, IdentityError> {
        if self.identity.is_tombstone() {
            return Err(IdentityError::Version);
        }
        let mut data = self.identity.data();
        data.version = data.version.saturating_add(1);
        data.created = now;
        change(&mut data);
        Identity::sign(data, &self.identity_key)
    }
}

impl std::fmt::Debug for SecretIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretIdentity({:?})", self.identity)
    }
}
