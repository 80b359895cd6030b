//! Two people with fixed keys, randomness by script, and the agreement and the messages between
//! them by the specification, every value in between shown.

use rand_chacha::rand_core::{Infallible, TryCryptoRng, TryRng};
use serde_json::{Value, json};
use sremp_core::{
    id::ContactId,
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    session::{
        book::SessionBook,
        prekey::{
            self, DhIdentity, EnvelopeKey, OneTimePrekey, PrekeyId, PrekeyLookup, SignedPrekey,
        },
    },
    signature::SignatureLabel,
    wire::{bytes::Hex, codec::encode},
};

use super::{
    NOW,
    spec::{self, KemKey, part},
};

pub fn hex(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}

/// Hands out given bytes, and nothing else.
pub struct Script(Vec<u8>);

impl Script {
    pub fn new(parts: &[&[u8]]) -> Self {
        Self(parts.concat())
    }
}

impl TryRng for Script {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("no numbers in a script")
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("no numbers in a script")
    }
    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        to.copy_from_slice(&self.0.drain(..to.len()).collect::<Vec<u8>>());
        Ok(())
    }
}

impl TryCryptoRng for Script {}

/// A person whose private keys are repeated bytes, counted up from `base`.
pub struct Person {
    pub identity: SecretIdentity,
    pub dhk: DhIdentity,
    pub spk: SignedPrekey,
    pub otp: OneTimePrekey,
    pub env: EnvelopeKey,
    pub base: u8,
}

impl Person {
    pub fn new(name: &str, base: u8) -> Self {
        let key = |n: u8| [base + n; 32];
        let username = Username::parse(name).unwrap();
        let noise = NoiseSecret::from_bytes(&key(1));
        let identity = SecretIdentity::from_keys(&key(0), noise, &username, NOW);
        let id = |n: u32| PrekeyId::new(n).unwrap();
        let pair = |n: u8| Script::new(&[&key(n), &key(n + 1), &key(n + 2)]);
        let number = u32::from(base);
        Self {
            dhk: DhIdentity::generate(&identity, NOW, &mut Script::new(&[&key(2)])),
            spk: SignedPrekey::generate(&identity, id(number), NOW, &mut pair(3)),
            otp: OneTimePrekey::generate(&identity, id(number + 1), NOW, &mut pair(6)),
            env: EnvelopeKey::generate(
                &identity,
                id(number + 2),
                NOW,
                &mut Script::new(&[&key(9)]),
            ),
            identity,
            base,
        }
    }

    pub const fn key(&self, n: u8) -> [u8; 32] {
        [self.base + n; 32]
    }

    pub fn kem(&self, n: u8) -> KemKey {
        KemKey::new(&part(&[self.key(n + 1), self.key(n + 2)].concat(), 0))
    }

    pub fn id(&self) -> ContactId {
        self.identity.id()
    }

    pub fn book(&self, peer: &Self) -> SessionBook {
        SessionBook::new(self.id(), peer.id())
    }

    pub fn bundle(&self, with_otp: bool) -> Vec<u8> {
        let otp = with_otp.then_some(&self.otp);
        prekey::bundle(
            self.identity.identity(),
            &self.dhk,
            &self.spk,
            &self.env,
            otp,
        )
    }

    pub fn private_keys(&self) -> Value {
        json!({
            "identity_seed": hex(&self.key(0)),
            "noise_secret": hex(&self.key(1)),
            "dhk_secret": hex(&self.key(2)),
            "spk_id": self.spk.id().get(),
            "spk_secret": hex(&self.key(3)),
            "spk_kem_d_z": hex(&[self.key(4), self.key(5)].concat()),
            "otp_id": self.otp.id().get(),
            "otp_secret": hex(&self.key(6)),
            "otp_kem_d_z": hex(&[self.key(7), self.key(8)].concat()),
            "env_key_id": self.env.id().get(),
            "env_secret": hex(&self.key(9)),
        })
    }
}

impl PrekeyLookup for Person {
    fn dh_identity(&self) -> &DhIdentity {
        &self.dhk
    }
    fn signed_prekey(&self, id: PrekeyId) -> Option<&SignedPrekey> {
        Some(&self.spk).filter(|spk| spk.id() == id)
    }
    fn one_time_prekey(&self, id: PrekeyId) -> Option<&OneTimePrekey> {
        Some(&self.otp).filter(|otp| otp.id() == id)
    }
}

pub fn alice() -> Person {
    Person::new("alice", 0x10)
}

pub fn bob() -> Person {
    Person::new("bob", 0x20)
}

pub const EK: [u8; 32] = [0x30; 32];
pub const KEM_M: [u8; 32] = [0x31; 32];
pub const A0: [u8; 32] = [0x32; 32];
pub const B0: [u8; 32] = [0x33; 32];
pub const A1: [u8; 32] = [0x34; 32];
pub const IKM_E: [u8; 32] = [0x35; 32];

/// The agreement by the specification.
pub struct Agreement {
    pub sk: [u8; 32],
    pub session_id: [u8; 16],
    /// Bytes 0..1278 of the DR_INIT.
    pub init_header: Vec<u8>,
    pub values: Value,
}

pub fn agree(a: &Person, b: &Person, with_otp: bool) -> Agreement {
    let (dhk_a, dhk_b) = (spec::public(&a.key(2)), spec::public(&b.key(2)));
    let (ek, spk) = (spec::public(&EK), spec::public(&b.key(3)));
    let kem = b.kem(if with_otp { 6 } else { 3 });
    let (otp_id, otp) = if with_otp {
        (b.otp.id().get(), spec::public(&b.key(6)))
    } else {
        (u32::MAX, [0; 32])
    };
    let dh1 = spec::dh(&a.key(2), &spk);
    let dh2 = spec::dh(&EK, &dhk_b);
    let dh3 = spec::dh(&EK, &spk);
    let dh4 = spec::dh(&EK, &spec::public(&b.key(6)));
    assert_eq!(dh1, spec::dh(&b.key(3), &dhk_a));
    let (ct, ss) = kem.encapsulate(&KEM_M);
    assert_eq!(kem.decapsulate(&part(&ct, 0)), ss);
    let transcript = [
        b"SREMP/1/pqxdh\0\x01".as_slice(),
        a.id().as_bytes(),
        &dhk_a,
        &ek,
        b.id().as_bytes(),
        &dhk_b,
        &b.spk.id().get().to_le_bytes(),
        &spk,
        &otp_id.to_le_bytes(),
        &otp,
        &spec::h(&kem.public),
        &spec::h(&ct),
    ]
    .concat();
    let th = spec::h(&transcript);
    let dh4_used: &[u8] = if with_otp { &dh4 } else { &[] };
    let ikm = [&[0xff; 32], &dh1, &dh2, &dh3, dh4_used, &ss].concat();
    let info = [b"SREMP/1/pqxdh\0".as_slice(), &th].concat();
    let okm = spec::hkdf::<80>(&[0; 32], &ikm, &info);

    let payload = encode(&(
        a.id(),
        1u32,
        0u32,
        serde_bytes::Bytes::new(&dhk_a),
        NOW,
        0u64,
    ));
    let dhk_sig = a.identity.sign(SignatureLabel::DhKey, &payload);
    let init_header = [
        [2, 1].as_slice(),
        &1u32.to_le_bytes(),
        a.id().as_bytes(),
        &dhk_a,
        &NOW.get().to_le_bytes(),
        &0u64.to_le_bytes(),
        dhk_sig.as_bytes(),
        &ek,
        &b.spk.id().get().to_le_bytes(),
        &otp_id.to_le_bytes(),
        &ct,
    ]
    .concat();
    let values = json!({
        "with_one_time_prekey": with_otp,
        "bundle": hex(&b.bundle(with_otp)),
        "ek_secret": hex(&EK),
        "kem_m": hex(&KEM_M),
        "id_a": hex(a.id().as_bytes()),
        "dhk_a": hex(&dhk_a),
        "dhk_a_signed_payload": hex(&payload),
        "dhk_a_sig": hex(dhk_sig.as_bytes()),
        "ek": hex(&ek),
        "id_b": hex(b.id().as_bytes()),
        "dhk_b": hex(&dhk_b),
        "spk": hex(&spk),
        "otp": hex(&otp),
        "kem_pk": hex(&kem.public),
        "kem_ct": hex(&ct),
        "dh1": hex(&dh1),
        "dh2": hex(&dh2),
        "dh3": hex(&dh3),
        "dh4": if with_otp { hex(&dh4) } else { String::new() },
        "ss": hex(&ss),
        "transcript": hex(&transcript),
        "th": hex(&th),
        "ikm": hex(&ikm),
        "okm": hex(&okm),
        "sk": hex(&okm[..32]),
        "session_id": hex(&okm[32..48]),
        "init_header": hex(&init_header),
    });
    Agreement {
        sk: part(&okm, 0),
        session_id: part(&okm, 32),
        init_header,
        values,
    }
}

/// One message by the specification.
pub struct Step<'a> {
    pub role: u8,
    pub epoch: u32,
    pub secret: &'a [u8; 32],
    pub pn: u32,
    pub n: u32,
    pub ck: [u8; 32],
    pub init: &'a [u8],
    pub content: &'a [u8],
}

impl Step<'_> {
    pub fn encrypt(
        &self,
        a: &Person,
        b: &Person,
        session_id: &[u8; 16],
    ) -> (Vec<u8>, Value, [u8; 32]) {
        let dh_pub = spec::public(self.secret);
        let payload = [
            session_id,
            &[self.role][..],
            &self.epoch.to_le_bytes(),
            &dh_pub,
        ]
        .concat();
        let signer = if self.role == 0 { a } else { b };
        let key_sig = signer.identity.sign(SignatureLabel::RatchetKey, &payload);
        let header = [
            [1, 1].as_slice(),
            &dh_pub,
            key_sig.as_bytes(),
            &self.pn.to_le_bytes(),
            &self.n.to_le_bytes(),
            &[0, 0],
        ]
        .concat();
        let ad = [
            b"SREMP/1/dr-ad\0\x01".as_slice(),
            a.id().as_bytes(),
            b.id().as_bytes(),
            &spec::public(&a.key(2)),
            &spec::public(&b.key(2)),
            session_id,
            self.init,
            &header,
        ]
        .concat();
        let (mk, ck) = spec::kdf_ck(&self.ck);
        let (key, nonce) = spec::mk_step(&mk);
        let sealed = spec::seal(&key, nonce, &ad, self.content);
        let message = [self.init, &header, &sealed].concat();
        let values = json!({
            "role": self.role,
            "epoch": self.epoch,
            "ratchet_secret": hex(self.secret),
            "dh_pub": hex(&dh_pub),
            "signed_payload": hex(&payload),
            "key_sig": hex(key_sig.as_bytes()),
            "pn": self.pn,
            "n": self.n,
            "ck": hex(&self.ck),
            "mk": hex(&mk),
            "next_ck": hex(&ck),
            "key": hex(&key),
            "nonce": hex(&nonce),
            "ad": hex(&ad),
            "content": hex(self.content),
            "message": hex(&message),
        });
        (message, values, ck)
    }
}
