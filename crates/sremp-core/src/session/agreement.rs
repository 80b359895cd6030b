//! PQXDH: the key agreement with an absent peer (D3.4). A initiates, B has published a bundle.

use rand_core::CryptoRng;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    header::{InitHeader, InitMessage, NewInit},
    kdf::{hkdf, split},
    kem::{Kem as _, KemCiphertext, KemPublicKey, KemSharedSecret, MlKem768},
    key::{DhPublicKey, EphemeralPublicKey, EphemeralSecret, PrekeyPublicKey},
    prekey::{
        DhIdentity, OneTimePrekey, PrekeyBundle, PrekeyId, PublicPair, SignedPrekey, wire::SignedDh,
    },
    root::RootKey,
};
use crate::{
    constants::{DHLEN, SUITE},
    id::{ContactId, SessionId},
    key::diffie_hellman,
    time::UnixMillis,
};

const LABEL: &[u8] = b"SREMP/1/pqxdh\0";

/// What both sides have after the agreement.
pub(super) struct Agreed {
    /// SK, the first root key.
    pub(super) sk: RootKey,
    pub(super) session_id: SessionId,
}

/// The public inputs, in the order of TH.
struct Transcript<'a> {
    id_a: &'a ContactId,
    dhk_a: DhPublicKey,
    ek: EphemeralPublicKey,
    id_b: &'a ContactId,
    dhk_b: DhPublicKey,
    spk_id: PrekeyId,
    spk: PrekeyPublicKey,
    otp: Option<(PrekeyId, PrekeyPublicKey)>,
    kem_pk: &'a KemPublicKey,
    kem_ct: &'a KemCiphertext,
}

impl Transcript<'_> {
    /// TH: every field has a fixed width. It binds the KEM key and the ciphertext, so that nobody
    /// can encapsulate again under another key and arrive at the same session.
    fn hash(&self) -> [u8; 32] {
        let (otp_id, otp) = match self.otp {
            Some((id, public)) => (id.get(), *public.as_bytes()),
            None => (PrekeyId::NONE, [0; DHLEN]),
        };
        Sha256::new()
            .chain_update(LABEL)
            .chain_update([SUITE])
            .chain_update(self.id_a.as_bytes())
            .chain_update(self.dhk_a.as_bytes())
            .chain_update(self.ek.as_bytes())
            .chain_update(self.id_b.as_bytes())
            .chain_update(self.dhk_b.as_bytes())
            .chain_update(self.spk_id.get().to_le_bytes())
            .chain_update(self.spk.as_bytes())
            .chain_update(otp_id.to_le_bytes())
            .chain_update(otp)
            .chain_update(Sha256::digest(self.kem_pk.as_bytes()))
            .chain_update(Sha256::digest(self.kem_ct))
            .finalize()
            .into()
    }

    /// `OKM = HKDF(0^32, FF^32 ‖ DH1 ‖ DH2 ‖ DH3 ‖ [DH4] ‖ ss, "SREMP/1/pqxdh" ‖ 00 ‖ TH, 80)`;
    /// its last 32 bytes, `pq_seed`, are for suite 02 and dropped.
    fn agree(&self, secrets: &Secrets) -> Agreed {
        let mut ikm = Zeroizing::new(Vec::with_capacity(32 + 5 * DHLEN));
        ikm.extend_from_slice(&[0xff; 32]);
        for dh in [&secrets.dh1, &secrets.dh2, &secrets.dh3] {
            ikm.extend_from_slice(dh.as_slice());
        }
        if let Some(dh4) = &secrets.dh4 {
            ikm.extend_from_slice(dh4.as_slice());
        }
        ikm.extend_from_slice(secrets.ss.as_slice());
        let okm = hkdf::<80>(&[0; 32], &ikm, &[LABEL, &self.hash()]);
        let (sk, session_id) = split::<80, 32, { SessionId::LEN }>(&okm);
        Agreed {
            sk: RootKey::new(sk),
            session_id: SessionId::new(*session_id),
        }
    }
}

type Dh = Zeroizing<[u8; DHLEN]>;

struct Secrets {
    dh1: Dh,
    dh2: Dh,
    dh3: Dh,
    dh4: Option<Dh>,
    ss: KemSharedSecret,
}

/// The initiator's side: the secret, and the header that lets B compute it. `None` if a key of
/// the bundle contributes nothing. Draws EK (32 bytes), then the coins of ML-KEM (32 bytes).
pub(super) fn initiate<R: CryptoRng + ?Sized>(
    id_a: &ContactId,
    dhk_a: &DhIdentity,
    bundle: &PrekeyBundle,
    rng: &mut R,
) -> Option<(Agreed, Box<InitHeader>)> {
    let spk = &bundle.spk;
    let otp = bundle.otp.as_ref();
    let id_b = bundle.identity().id();
    let ek = EphemeralSecret::generate(rng);
    let kem_pk = otp.map_or(&spk.kem, |otp| &otp.kem);
    let (kem_ct, ss) = MlKem768::encapsulate(kem_pk, rng)?;
    let dh4 = |otp: &PublicPair| diffie_hellman(ek.expose(), otp.x.as_bytes());
    let secrets = Secrets {
        dh1: diffie_hellman(dhk_a.key.expose(), spk.x.as_bytes())?,
        dh2: diffie_hellman(ek.expose(), bundle.dhk.as_bytes())?,
        dh3: diffie_hellman(ek.expose(), spk.x.as_bytes())?,
        dh4: match otp {
            Some(otp) => Some(dh4(otp)?),
            None => None,
        },
        ss,
    };
    let agreed = Transcript {
        id_a,
        dhk_a: dhk_a.public(),
        ek: ek.public(),
        id_b: &id_b,
        dhk_b: bundle.dhk,
        spk_id: spk.id,
        spk: spk.x,
        otp: otp.map(|otp| (otp.id, otp.x)),
        kem_pk,
        kem_ct: &kem_ct,
    }
    .agree(&secrets);
    let header = NewInit {
        id_a,
        dhk_a: &SignedDh {
            public: dhk_a.public(),
            created: dhk_a.created,
            expires: UnixMillis::ZERO,
            signature: dhk_a.signature,
        },
        ek: ek.public(),
        spk_id: spk.id,
        otp_id: otp.map(|otp| otp.id),
        kem_ct: &kem_ct,
    }
    .encode();
    Some((agreed, header))
}

/// The responder's side. `None` if a key of the initiator contributes nothing. The caller has
/// verified the signature of DHK_A; `otp` is the prekey that the message names, if it names one.
pub(super) fn respond(
    id_b: &ContactId,
    dhk_b: &DhIdentity,
    spk: &SignedPrekey,
    otp: Option<&OneTimePrekey>,
    init: &InitMessage<'_>,
) -> Option<Agreed> {
    let kem = otp.map_or(&spk.kem, |otp| &otp.kem);
    let ek = init.ek.as_bytes();
    let (ss, kem_pk) = MlKem768::decapsulate(kem, init.kem_ct);
    let secrets = Secrets {
        dh1: diffie_hellman(spk.x.expose(), init.dhk_a.public.as_bytes())?,
        dh2: diffie_hellman(dhk_b.key.expose(), ek)?,
        dh3: diffie_hellman(spk.x.expose(), ek)?,
        dh4: match otp {
            Some(otp) => Some(diffie_hellman(otp.x.expose(), ek)?),
            None => None,
        },
        ss,
    };
    let agreed = Transcript {
        id_a: &init.id_a,
        dhk_a: init.dhk_a.public,
        ek: init.ek,
        id_b,
        dhk_b: dhk_b.public(),
        spk_id: spk.id,
        spk: spk.x.public(),
        otp: otp.map(|otp| (otp.id, otp.x.public())),
        kem_pk: &kem_pk,
        kem_ct: init.kem_ct,
    }
    .agree(&secrets);
    Some(agreed)
}
