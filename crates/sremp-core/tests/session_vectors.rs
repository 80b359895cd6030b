//! The vectors of chapter 3: computed from the specification with plain libraries, compared with
//! the files, and with what the session layer produces from the same randomness.
//!
//! `SREMP_WRITE_VECTORS=1` writes the files anew; a difference without it is a broken protocol.

mod session_support;

use serde_json::{Value, json};
use session_support::{
    NOW, reload,
    scripted::{A0, A1, B0, EK, IKM_E, KEM_M, Person, Script, Step, agree, alice, bob, hex},
    spec::{self, Hpke, part},
};
use sremp_core::{
    id::SessionId,
    session::{book::SessionBook, envelope, prekey::PrekeyBundle},
    wire::bytes::from_hex,
};

/// Compares with the file, or writes it.
fn check(name: &str, computed: &Value) {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("SREMP_WRITE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(computed).unwrap();
        std::fs::write(&path, text + "\n").unwrap();
    }
    let file: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(&file, computed, "{name}.json");
}

/// Who else has computed these values.
const CHECKED_WITH: &str = "Python 3, cryptography 48.0.0 (OpenSSL 4.0.0)";

fn with(mut value: Value, more: &Value) -> Value {
    let target = value.as_object_mut().unwrap();
    target.extend(more.as_object().unwrap().clone());
    value
}

/// Starts A's session from B's bundle with the randomness of the vectors.
fn start(a: &Person, b: &Person, with_otp: bool) -> (SessionBook, SessionId) {
    let bundle = PrekeyBundle::verify(&b.bundle(with_otp), &b.id(), NOW).unwrap();
    let mut book = a.book(b);
    let mut rng = Script::new(&[&EK, &KEM_M]);
    let id = book
        .start(&a.identity, &a.dhk, &bundle, NOW, &mut rng)
        .unwrap();
    (book, id)
}

/// Encrypts with a new ratchet key if one is given; the ratchet message.
fn send(
    book: &mut SessionBook,
    from: &Person,
    to: &Person,
    content: &[u8],
    secret: Option<&[u8; 32]>,
) -> Vec<u8> {
    let secret = secret.map_or(&[][..], |secret| secret);
    let mut rng = Script::new(&[secret, &IKM_E]);
    let key = to.env.public_part();
    let sent = book
        .encrypt(&from.identity, key, content, &mut rng)
        .unwrap();
    let opened = envelope::open(&to.env, &sent.envelope).unwrap();
    opened.message().to_vec()
}

/// What the owner of `book` makes of a ratchet message.
fn receive(
    book: &mut SessionBook,
    to: &Person,
    id: &[u8; 16],
    message: &[u8],
) -> Result<Vec<u8>, String> {
    let key = to.env.public_part();
    let id = SessionId::new(*id);
    let sealed = envelope::seal(key, &id, message, &mut Script::new(&[&IKM_E])).unwrap();
    let opened = envelope::open(&to.env, &sealed).unwrap();
    match book.decrypt(to, &opened, NOW) {
        Ok(incoming) => Ok(incoming.content.to_vec()),
        Err(error) => Err(error.code().name().to_owned()),
    }
}

type Defect = (&'static str, fn(&mut Vec<u8>));

/// Messages that must be refused, each named for its defect; the session must not change.
fn must_fail(
    book: &SessionBook,
    to: &Person,
    id: &[u8; 16],
    message: &[u8],
    defects: &[Defect],
) -> Vec<Value> {
    let refuse = |(name, alter): &Defect| {
        let mut altered = message.to_vec();
        alter(&mut altered);
        let mut book = reload(book);
        let before = session_support::sessions(&book);
        let error = receive(&mut book, to, id, &altered).unwrap_err();
        assert_eq!(session_support::sessions(&book), before, "{name}");
        json!({ "defect": name, "message": hex(&altered), "error": error })
    };
    defects.iter().map(refuse).collect()
}

#[test]
fn kdf_vectors_hold() {
    let (rk, dh) = ([3; 32], [4; 32]);
    let (next_rk, ck) = spec::kdf_rk(&rk, &dh);
    let (mk, next_ck) = spec::kdf_ck(&ck);
    let (key, nonce) = spec::mk_step(&mk);
    let known = |hex| from_hex(hex).unwrap();
    // the values of the design, which were computed elsewhere
    assert_eq!(
        [next_rk, ck, mk, next_ck, key].concat(),
        known(concat!(
            "1119d63279c68a912035b64535c2e3c90ddd9c0fc39a0835d7e91f9d8c7c11f6",
            "09fa9895eb9f3be12890c670123feb5943b161e042ae22c7acd92e146fc5019f",
            "5b659e563d0368325edc46163c2dd104dcff45078373571f22b76ed0462c7f08",
            "3c6dc9721f04cba5367687d822f2a3cc78868ab86198fe70f2b9ee43d3bde946",
            "b60c2a1161e2908e58b14fcc6c1f4d21450842a8e52df314254205bd1707a65e",
        ))
    );
    assert_eq!(nonce.to_vec(), known("82b594f90d2022cccf4ba294"));
    check(
        "kdf",
        &json!({
            "what": "KDF_RK, KDF_CK and the MK step of chapter 3",
            "checked_with": CHECKED_WITH,
            "kdf_rk": { "rk": hex(&rk), "dh": hex(&dh), "next_rk": hex(&next_rk), "ck": hex(&ck) },
            "kdf_ck": { "ck": hex(&ck), "mk": hex(&mk), "next_ck": hex(&next_ck) },
            "mk_step": { "mk": hex(&mk), "pq_key": hex(&[0; 32]), "key": hex(&key), "nonce": hex(&nonce) },
        }),
    );
}

#[test]
fn pqxdh_vectors_hold() {
    let (a, b) = (alice(), bob());
    let cases = [true, false].map(|with_otp| {
        let agreement = agree(&a, &b, with_otp);
        let (_, id) = start(&a, &b, with_otp);
        assert_eq!(*id.as_bytes(), agreement.session_id);
        agreement.values
    });
    check(
        "pqxdh",
        &json!({
            "what": "PQXDH end to end: every private key and coin, every value in between",
            "checked_with": CHECKED_WITH,
            "now": NOW.get(),
            "a": a.private_keys(),
            "b": b.private_keys(),
            "agreements": cases,
        }),
    );
}

#[test]
fn dr_init_vectors_hold() {
    let (a, b) = (alice(), bob());
    let agreement = agree(&a, &b, true);
    let spk = spec::public(&b.key(3));
    let dh = spec::dh(&A0, &spk);
    let (rk, ck) = spec::kdf_rk(&agreement.sk, &dh);
    let step = Step {
        role: 0,
        epoch: 0,
        secret: &A0,
        pn: 0,
        n: 0,
        ck,
        init: &agreement.init_header,
        content: b"hello bob",
    };
    let (message, values, _) = step.encrypt(&a, &b, &agreement.session_id);
    let (mut book_a, _) = start(&a, &b, true);
    assert_eq!(send(&mut book_a, &a, &b, b"hello bob", Some(&A0)), message);

    let id = &agreement.session_id;
    let fresh = b.book(&a);
    let refused = must_fail(
        &fresh,
        &b,
        id,
        &message,
        &[
            ("unknown_kind", |m| m[0] = 3),
            ("unknown_suite_of_init", |m| m[1] = 2),
            ("unknown_device", |m| m[2] = 2),
            ("initiator_is_no_key", |m| m[6..38].fill(0)),
            ("dhk_of_small_order", |m| m[38..70].fill(0)),
            ("dhk_sig_does_not_cover_created", |m| m[70] ^= 1),
            ("dhk_expires_is_not_zero", |m| m[78] = 1),
            ("dhk_sig_altered", |m| m[86] ^= 1),
            ("ek_of_small_order", |m| m[150..182].fill(0)),
            ("spk_unknown", |m| m[182] ^= 1),
            ("spk_id_is_none", |m| m[182..186].fill(0xff)),
            ("otp_unknown", |m| m[186] ^= 1),
            ("otp_left_out", |m| m[186..190].fill(0xff)),
            ("kem_ct_altered", |m| m[190] ^= 1),
            ("unknown_suite_of_ratchet", |m| m[1279] = 2),
            ("init_inside_init", |m| m[1278] = 2),
            ("key_sig_altered", |m| m[1278 + 34] ^= 1),
            ("pn_of_first_chain_is_not_zero", |m| m[1278 + 98] = 1),
            ("n_altered", |m| m[1278 + 102] = 1),
            ("n_too_far", |m| {
                m[1278 + 102..1278 + 106].copy_from_slice(&1_001u32.to_le_bytes())
            }),
            ("extension_in_suite_01", |m| m[1278 + 106] = 1),
            ("tag_altered", |m| *m.last_mut().unwrap() ^= 1),
            ("tag_cut", |m| m.truncate(1278 + 108 + 15)),
            ("header_cut", |m| m.truncate(1277)),
            ("empty", Vec::clear),
        ],
    );
    let mut book_b = b.book(&a);
    let content = receive(&mut book_b, &b, id, &message);
    assert_eq!(content.unwrap(), b"hello bob");
    let replay = receive(&mut book_b, &b, id, &message);
    assert_eq!(replay.unwrap_err(), "REPLAY");
    check(
        "dr_init",
        &json!({
            "what": "The first message of the agreement with a one-time prekey in pqxdh.json, and messages that B, who has no session yet, must refuse",
            "checked_with": CHECKED_WITH,
            "session_id": hex(id),
            "rk": hex(&agreement.sk),
            "dh": hex(&dh),
            "next_rk": hex(&rk),
            "init": values,
            "must_fail": refused,
        }),
    );
}

#[test]
fn dr_normal_vectors_hold() {
    let (a, b) = (alice(), bob());
    let agreement = agree(&a, &b, true);
    let id = &agreement.session_id;
    let (mut book_a, _) = start(&a, &b, true);
    let mut book_b = b.book(&a);
    let init = send(&mut book_a, &a, &b, b"hello bob", Some(&A0));
    receive(&mut book_b, &b, id, &init).unwrap();
    let (rk0, _) = spec::kdf_rk(&agreement.sk, &spec::dh(&A0, &spec::public(&b.key(3))));

    // B answers under its first ratchet key, twice; A turns the ratchet again
    let dh1 = spec::dh(&B0, &spec::public(&A0));
    let (rk1, ck) = spec::kdf_rk(&rk0, &dh1);
    let reply = Step {
        role: 1,
        epoch: 0,
        secret: &B0,
        pn: 0,
        n: 0,
        ck,
        init: &[],
        content: b"hello alice",
    };
    let (first, first_values, ck) = reply.encrypt(&a, &b, id);
    let again = Step {
        n: 1,
        ck,
        content: b"how are you?",
        ..reply
    };
    let (second, second_values, _) = again.encrypt(&a, &b, id);
    let dh2 = spec::dh(&A1, &spec::public(&B0));
    let (rk2, ck) = spec::kdf_rk(&rk1, &dh2);
    let answer = Step {
        role: 0,
        epoch: 1,
        secret: &A1,
        pn: 1,
        n: 0,
        ck,
        init: &[],
        content: b"well",
    };
    let (third, third_values, _) = answer.encrypt(&a, &b, id);

    assert_eq!(send(&mut book_b, &b, &a, b"hello alice", Some(&B0)), first);
    assert_eq!(send(&mut book_b, &b, &a, b"how are you?", None), second);
    let refused = must_fail(
        &book_a,
        &a,
        id,
        &first,
        &[
            ("unknown_suite", |m| m[1] = 2),
            ("dh_pub_altered", |m| m[2] ^= 1),
            ("dh_pub_with_its_top_bit_set", |m| m[33] ^= 0x80),
            ("key_sig_altered", |m| m[34] ^= 1),
            ("key_sig_missing", |m| m[34..98].fill(0)),
            ("pn_of_first_chain_is_not_zero", |m| m[98] = 1),
            ("n_altered", |m| m[102] = 1),
            ("n_too_far", |m| {
                m[102..106].copy_from_slice(&1_001u32.to_le_bytes())
            }),
            ("n_at_its_end", |m| m[102..106].fill(0xff)),
            ("extension_in_suite_01", |m| m[106] = 1),
            ("ciphertext_altered", |m| m[108] ^= 1),
            ("tag_altered", |m| *m.last_mut().unwrap() ^= 1),
            ("tag_cut", |m| m.truncate(108 + 15)),
        ],
    );
    let reflected = must_fail(
        &book_b,
        &b,
        id,
        &first,
        &[("reflected_to_its_sender", |_| {})],
    );
    assert_eq!(
        receive(&mut book_a, &a, id, &first).unwrap(),
        b"hello alice"
    );
    let same_chain = must_fail(
        &book_a,
        &a,
        id,
        &second,
        &[
            ("known_dh_pub_with_another_key_sig", |m| m[34] ^= 1),
            ("key_used_before", |m| m[102] = 0),
            ("n_too_far_in_chain", |m| {
                m[102..106].copy_from_slice(&1_002u32.to_le_bytes())
            }),
        ],
    );
    assert_eq!(
        receive(&mut book_a, &a, id, &second).unwrap(),
        b"how are you?"
    );
    assert_eq!(send(&mut book_a, &a, &b, b"well", Some(&A1)), third);
    assert_eq!(receive(&mut book_b, &b, id, &third).unwrap(), b"well");
    check(
        "dr_normal",
        &json!({
            "what": "B answers the message of dr_init.json under its first ratchet key, then again in the same chain, then A answers under its second key",
            "checked_with": CHECKED_WITH,
            "session_id": hex(id),
            "first": with(first_values, &json!({ "rk": hex(&rk0), "dh": hex(&dh1), "next_rk": hex(&rk1) })),
            "second": second_values,
            "third": with(third_values, &json!({ "rk": hex(&rk1), "dh": hex(&dh2), "next_rk": hex(&rk2) })),
            "must_fail_for_a_instead_of_first": refused,
            "must_fail_for_b": reflected,
            "must_fail_for_a_instead_of_second": same_chain,
        }),
    );
}

#[test]
fn envelope_vectors_hold() {
    let b = bob();
    let id = SessionId::new([0x36; 16]);
    let message = b"a ratchet message: any bytes";
    let recipient = spec::public(&b.key(9));
    let info = [b"SREMP/1/env\0".as_slice(), b.id().as_bytes()].concat();
    let aad = [[1, 1].as_slice(), &b.env.id().get().to_le_bytes()].concat();
    let len = u16::try_from(message.len()).unwrap().to_le_bytes();
    let mut plaintext = [id.as_bytes().as_slice(), &len, message].concat();
    plaintext.resize(1_024 - 38 - 16, 0);
    let hpke = Hpke::sender(&IKM_E, &recipient, &info);
    let whole = |aad: &[u8], plaintext: &[u8]| {
        [aad, hpke.enc.as_slice(), &hpke.seal(aad, plaintext)].concat()
    };
    let sealed = whole(&aad, &plaintext);
    let key = b.env.public_part();
    let ours = envelope::seal(key, &id, message, &mut Script::new(&[&IKM_E])).unwrap();
    assert_eq!(ours, sealed);
    let opened = envelope::open(&b.env, &sealed).unwrap();
    assert_eq!(
        (opened.session_id(), opened.message()),
        (id, message.as_slice())
    );

    let altered = |at: usize, to: u8| {
        let mut bytes = sealed.clone();
        bytes[at] = to;
        bytes
    };
    let mut padding = plaintext.clone();
    *padding.last_mut().unwrap() = 1;
    let mut length = plaintext.clone();
    length[16..18].copy_from_slice(&953u16.to_le_bytes());
    let refused = [
        ("version_02", altered(0, 2)),
        ("hpke_suite_02", altered(1, 2)),
        ("another_env_key_id", altered(2, sealed[2] ^ 1)),
        ("enc_altered", altered(6, sealed[6] ^ 1)),
        ("tag_altered", altered(1_023, sealed[1_023] ^ 1)),
        (
            "enc_of_small_order",
            [&sealed[..6], &[0; 32], &sealed[38..]].concat(),
        ),
        ("size_is_no_bucket", [&sealed[..], &[0]].concat()),
        ("empty", Vec::new()),
        ("padding_is_not_zero", whole(&aad, &padding)),
        ("length_beyond_the_plaintext", whole(&aad, &length)),
        ("not_padded_to_a_bucket", whole(&aad, &plaintext[..900])),
    ]
    .map(|(defect, bytes)| {
        assert!(envelope::open(&b.env, &bytes).is_err(), "{defect}");
        json!({ "defect": defect, "envelope": hex(&bytes) })
    });
    check(
        "envelope",
        &json!({
            "what": "ENVELOPE to B of pqxdh.json, with the ephemeral key of HPKE fixed, and the suite's answer in RFC 9180, A.2.1",
            "checked_with": CHECKED_WITH,
            "id_recipient": hex(b.id().as_bytes()),
            "env_key_id": b.env.id().get(),
            "env_secret": hex(&b.key(9)),
            "env": hex(&recipient),
            "info": hex(&info),
            "aad": hex(&aad),
            "session_id": hex(id.as_bytes()),
            "ratchet_message": hex(message),
            "plaintext": hex(&plaintext),
            "ikm_e": hex(&IKM_E),
            "sk_e": hex(&hpke.sk_e),
            "enc": hex(&hpke.enc),
            "shared_secret": hex(&hpke.shared_secret),
            "key": hex(&hpke.key),
            "base_nonce": hex(&hpke.base_nonce),
            "envelope": hex(&sealed),
            "must_fail": refused,
            "rfc_9180": rfc_9180(),
        }),
    );
}

/// RFC 9180, A.2.1: our suite in Base mode, first encryption. The answers are the RFC's; both the
/// library and the second writing of the schedule must give them.
fn rfc_9180() -> Value {
    use ::hpke::{
        Deserializable as _, Kem as _, OpModeR, aead::ChaCha20Poly1305, kdf::HkdfSha256,
        kem::X25519HkdfSha256,
    };
    let bytes = |text: &str| from_hex(text).unwrap();
    let ikm_e = "909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b";
    let ikm_r = "1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df";
    let enc = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a";
    let pk_r = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a";
    let shared = "0bbe78490412b4bbea4812666f7916932b828bba79942424abb65244930d69a7";
    let info = "4f6465206f6e2061204772656369616e2055726e";
    let aad = "436f756e742d30";
    let pt = "4265617574792069732074727574682c20747275746820626561757479";
    let ct = "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28";

    let ours = Hpke::sender(
        &part(&bytes(ikm_e), 0),
        &part(&bytes(pk_r), 0),
        &bytes(info),
    );
    assert_eq!(hex(&ours.enc), enc);
    assert_eq!(hex(&ours.shared_secret), shared);
    assert_eq!(hex(&ours.seal(&bytes(aad), &bytes(pt))), ct);

    let (secret, _) = X25519HkdfSha256::derive_keypair(&bytes(ikm_r));
    type EncappedKey = <X25519HkdfSha256 as ::hpke::Kem>::EncappedKey;
    let opened = ::hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret,
        &EncappedKey::from_bytes(&bytes(enc)).unwrap(),
        &bytes(info),
        &bytes(ct),
        &bytes(aad),
    );
    assert_eq!(opened.unwrap(), bytes(pt));
    json!({
        "source": "RFC 9180, A.2.1",
        "ikm_e": ikm_e,
        "ikm_r": ikm_r,
        "enc": enc,
        "pk_r": pk_r,
        "shared_secret": shared,
        "info": info,
        "aad": aad,
        "pt": pt,
        "ct": ct,
    })
}
