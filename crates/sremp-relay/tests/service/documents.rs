//! Documents and signatures that are almost right: protocol 11, cases 7 to 9.

use ed25519_dalek::{Signer as _, SigningKey};
use serde_bytes::ByteBuf;
use sremp_core::{
    error::ErrorCode,
    identity::{Extensions, Flags, SecretIdentity},
    relay::{Confirmation, Cursor, Register, RelayEvent, RelayMessage, Role},
    session::prekey::{OneTimePrekey, PrekeyId},
    signature::{Signature, SignatureLabel},
    wire::codec::encode,
};
use sremp_relay::load::raw::hello;

use crate::{
    is_stored,
    peer::{Peer, envelope, now, someone, to_store, wished},
    refused,
    relay::{Relay, open_config},
    rogue::{Honest, assert_closed, hear, open, plaintexts, say, shake},
};

/// `L`, the order of the base point, little-endian.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The same signature with `s + L`: a second form that RFC 8032 forbids.
fn with_s_plus_l(signature: &Signature) -> Signature {
    let mut bytes = *signature.as_bytes();
    let mut carry = 0;
    for (s, l) in bytes[32..].iter_mut().zip(L) {
        let sum = u16::from(*s) + u16::from(l) + carry;
        *s = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    Signature::new(bytes)
}

/// The fields of an identity, each as encoded.
fn fields(of: &SecretIdentity, extensions: Option<&Extensions>) -> Vec<Vec<u8>> {
    vec![
        encode("someone"),
        encode(&of.id()),
        encode(&of.identity().noise_key()),
        encode(&Flags::default()),
        encode(&extensions),
        encode(&1u64),
        encode(&now()),
    ]
}

fn array(fields: &[Vec<u8>]) -> Vec<u8> {
    [&[0x90 + fields.len() as u8], fields.concat().as_slice()].concat()
}

fn signed(of: &SecretIdentity, data: Vec<u8>) -> Vec<u8> {
    let signature = of.sign(SignatureLabel::Identity, &data);
    encode(&(ByteBuf::from(data), signature))
}

/// A relay that lets one address connect as often as a test has to.
async fn relay() -> Relay {
    let mut config = open_config();
    config.connections.new_per_address_and_minute = 10_000;
    config.connections.new_per_address_at_once = 10_000;
    Relay::with(config).await
}

/// Whether a relay opens to this identity; else it says one CLOSE.
async fn is_let_in(relay: &Relay, of: &SecretIdentity, identity: &[u8], what: &str) -> bool {
    let mut raw = shake(relay, of).await;
    let hello = hello(identity, Some(relay.link().relay()));
    let before = relay.ended("IDENTITY_INVALID");
    raw.say(0x07, &hello.encode()).await.unwrap();
    let said = raw.hear().await.unwrap().expect("an answer");
    if said[0] == 0x07 {
        return true;
    }
    let code = ErrorCode::IdentityInvalid.to_u16().to_le_bytes();
    assert_eq!(said, [&[0x06], &code[..]].concat(), "{what}");
    assert_eq!(plaintexts(&mut raw).await, Vec::<Vec<u8>>::new(), "{what}");
    assert_eq!(relay.ended("IDENTITY_INVALID"), before + 1, "{what}");
    false
}

/// The same list of a map, with its first key in place of its second, or the two in turn.
fn metadata(keys: [u8; 2]) -> Vec<u8> {
    let two = Extensions::default()
        .with_metadata("a", vec![1])
        .with_metadata("b", vec![2]);
    let mut bytes = encode(&Some(two));
    let at = |bytes: &[u8], key: u8| {
        let mut places = bytes.windows(2).enumerate();
        let place = places.find(|(_, w)| *w == [0xa1, key]);
        place.unwrap().0 + 1
    };
    let places = [at(&bytes, b'a'), at(&bytes, b'b')];
    for (place, key) in places.into_iter().zip(keys) {
        bytes[place] = key;
    }
    bytes
}

#[tokio::test]
async fn case_07_identities_that_are_signed_but_not_in_their_one_form_are_refused() {
    let relay = relay().await;
    let mut honest = Honest::at(&relay).await;
    let own = someone();
    let good = fields(&own, None);
    let with = |place: usize, field: Vec<u8>| {
        let mut fields = good.clone();
        fields[place] = field;
        array(&fields)
    };
    let numbers: Vec<u16> = own.id().as_bytes().iter().map(|b| (*b).into()).collect();
    let map: Vec<Vec<u8>> = good
        .iter()
        .zip(0u8..)
        .map(|(field, n)| [&[n], field.as_slice()].concat())
        .collect();
    let forms = [
        ("a byte more", [array(&good), vec![0]].concat()),
        (
            "an element more",
            array(&[good.clone(), vec![vec![0xc0]]].concat()),
        ),
        ("a number longer than it has to be", with(5, vec![0xcc, 1])),
        (
            "a length longer than it has to be",
            with(0, [&[0xd9, 7], &b"someone"[..]].concat()),
        ),
        ("a map", [&[0x87], map.concat().as_slice()].concat()),
        ("an array for bytes", with(1, encode(&numbers))),
        (
            "bytes for text",
            with(0, encode(serde_bytes::Bytes::new(b"someone"))),
        ),
        ("unsorted keys", with(4, metadata([b'b', b'a']))),
        ("a key twice", with(4, metadata([b'a', b'a']))),
    ];
    assert!(is_let_in(&relay, &own, &signed(&own, array(&good)), "the one form").await);
    let sorted = signed(&own, with(4, metadata([b'a', b'b'])));
    assert!(is_let_in(&relay, &own, &sorted, "sorted keys").await);
    for (what, data) in forms {
        assert!(
            !is_let_in(&relay, &own, &signed(&own, data), what).await,
            "{what}"
        );
    }
    let outer = [signed(&own, array(&good)), vec![0]].concat();
    assert!(!is_let_in(&relay, &own, &outer, "a byte more outside").await);
    honest.exchange().await;
}

#[tokio::test]
async fn case_08_weak_keys_and_second_forms_of_signatures_are_no_identity() {
    let relay = relay().await;
    let own = someone();
    let mut one = [0; 32];
    one[0] = 1;
    // y = p + 1, which is 1 again
    let mut not_canonical = [0xff; 32];
    (not_canonical[0], not_canonical[31]) = (0xee, 0x7f);
    let mut of_all_messages = [0; 64];
    of_all_messages[0] = 1;
    for key in [one, not_canonical, [0; 32]] {
        let mut fields = fields(&own, None);
        fields[1] = encode(serde_bytes::Bytes::new(&key));
        let data = ByteBuf::from(array(&fields));
        let identity = encode(&(data, Signature::new(of_all_messages)));
        assert!(!is_let_in(&relay, &own, &identity, "a weak key").await);
    }
    let data = array(&fields(&own, None));
    let signature = with_s_plus_l(&own.sign(SignatureLabel::Identity, &data));
    let identity = encode(&(ByteBuf::from(data), signature));
    assert!(!is_let_in(&relay, &own, &identity, "s + L").await);
}

/// RELAY_REGISTER on a new connection with a signature that is made of the good one.
async fn registers(relay: &Relay, forge: impl Fn(&SecretIdentity, &[u8]) -> Signature) -> bool {
    let own = someone();
    let mut raw = open(relay, &own).await;
    let payload = [
        relay.link().relay().as_bytes().as_slice(),
        raw.h.as_bytes(),
        own.id().as_bytes(),
        &[Role::Sender.to_u8()],
    ]
    .concat();
    let register = RelayMessage::Register(Register {
        identity: own.id().into(),
        auth_signature: forge(&own, &payload),
        capabilities: wished(),
        role: Role::Sender,
        invite: None,
    });
    say(&mut raw, &register.to_message(1)).await;
    match hear(&mut raw).await {
        RelayMessage::Granted(_) => true,
        RelayMessage::Error(error) => {
            assert_eq!(error.code, ErrorCode::Auth.to_u16());
            false
        }
        other => panic!("{other:?}"),
    }
}

/// STORE_MESSAGE of a new sender; `BAD_PROOF` ends its connection.
async fn stores(
    relay: &Relay,
    to: &Peer,
    forge: impl Fn(&SecretIdentity, &[u8]) -> Signature,
) -> bool {
    let mut ann = Peer::sender(relay.link()).await;
    let store = to_store(to.key(), envelope());
    let message = ann.machine.store(&ann.own, store).unwrap();
    let RelayMessage::Store(mut store) = RelayMessage::decode(&message).unwrap() else {
        panic!();
    };
    let payload = [
        relay.link().relay().as_bytes().as_slice(),
        store.recipient.as_bytes(),
        &store.message_id.get().to_le_bytes(),
        store.hash().as_bytes(),
        &store.ttl.to_le_bytes(),
    ]
    .concat();
    store.sender_signature = forge(&ann.own, &payload);
    let event = ann
        .ask(RelayMessage::Store(store).to_message(message.req_id))
        .await;
    if is_stored(&event) {
        return true;
    }
    assert_eq!(refused(&event), Some(ErrorCode::BadProof));
    false
}

fn unlabelled(own: &SecretIdentity, payload: &[u8]) -> Signature {
    let key = SigningKey::from_bytes(&own.to_parts().identity_seed);
    Signature::new(key.sign(payload).to_bytes())
}

#[tokio::test]
async fn case_08_second_forms_of_signatures_prove_nothing() {
    let relay = relay().await;
    let mut ben = Peer::owner(relay.link()).await;
    let mut ann = Peer::sender(relay.link()).await;
    assert!(is_stored(&ann.store(ben.key(), envelope()).await));
    let forge = |label| {
        move |own: &SecretIdentity, payload: &[u8]| with_s_plus_l(&own.sign(label, payload))
    };
    assert!(!registers(&relay, forge(SignatureLabel::RelayAuth)).await);
    assert!(!stores(&relay, &ben, forge(SignatureLabel::RelayStore)).await);
    ben.subscribe(Cursor::START, 32).await;
    let item = ben.item().await;
    let good = ben.confirmation(&item);
    let second = Confirmation {
        signature: with_s_plus_l(&good.signature),
        ..good.clone()
    };
    assert_eq!(ben.confirm(vec![second]).await, [0]);
    assert!(
        ben.confirm(vec![good]).await.is_empty(),
        "the item was kept"
    );
    let otp = OneTimePrekey::generate(&ben.own, PrekeyId::new(1).unwrap(), now(), &mut rand::rng());
    let good = otp.public_bytes();
    let (rest, signature) = good.split_at(good.len() - 64);
    let signature = with_s_plus_l(&Signature::from_slice(signature).unwrap());
    let second = [rest, signature.as_bytes()].concat();
    let message = ben.machine.prekeys_put(None, vec![second]).unwrap();
    assert_eq!(refused(&ben.ask(message).await), Some(ErrorCode::BadProof));
    let message = ben.machine.prekeys_put(None, vec![good]).unwrap();
    let event = ben.ask(message).await;
    assert!(
        matches!(&event, RelayEvent::Counts(counts) if counts.otps == 1),
        "{event:?}"
    );
}

#[tokio::test]
async fn case_09_a_signature_counts_for_what_it_was_made_only() {
    let relay = relay().await;
    let mut ben = Peer::owner(relay.link()).await;
    let mut ann = Peer::sender(relay.link()).await;
    assert!(is_stored(&ann.store(ben.key(), envelope()).await));
    let own = someone();
    let mut confirmations = Vec::new();
    ben.subscribe(Cursor::START, 32).await;
    let item = ben.item().await;
    let good = ben.confirmation(&item);
    for label in SignatureLabel::ALL {
        let sign = |own: &SecretIdentity, payload: &[u8]| own.sign(label, payload);
        let data = array(&fields(&own, None));
        let identity = encode(&(ByteBuf::from(data.clone()), sign(&own, &data)));
        let let_in = is_let_in(&relay, &own, &identity, label.as_str()).await;
        assert_eq!(let_in, label == SignatureLabel::Identity, "{label:?}");
        let registered = registers(&relay, sign).await;
        assert_eq!(registered, label == SignatureLabel::RelayAuth, "{label:?}");
        let stored = stores(&relay, &ben, sign).await;
        assert_eq!(stored, label == SignatureLabel::RelayStore, "{label:?}");
        if label != SignatureLabel::Confirmation {
            let signature = sign(&ben.own, &confirmed(&good));
            confirmations.push(Confirmation {
                signature,
                ..good.clone()
            });
        }
    }
    assert!(!registers(&relay, unlabelled).await);
    assert!(!stores(&relay, &ben, unlabelled).await);
    let signature = unlabelled(&ben.own, &confirmed(&good));
    confirmations.push(Confirmation {
        signature,
        ..good.clone()
    });
    let all: Vec<u16> = (0..16).collect();
    // the item of the one store that held is pushed meanwhile
    ben.item().await;
    assert_eq!(ben.confirm(confirmations).await, all);
    assert!(
        ben.confirm(vec![good]).await.is_empty(),
        "the item was kept"
    );
}

fn confirmed(confirmation: &Confirmation) -> Vec<u8> {
    [
        confirmation.message_id.get().to_le_bytes().as_slice(),
        confirmation.sender.as_bytes(),
        confirmation.delivered_to.as_bytes(),
        &confirmation.timestamp.get().to_le_bytes(),
        confirmation.blob_hash.as_bytes(),
    ]
    .concat()
}

#[tokio::test]
async fn case_06_a_noise_key_of_small_order_is_no_identity() {
    let relay = relay().await;
    let own = someone();
    let mut one = [0; 32];
    one[0] = 1;
    for key in [[0; 32], one] {
        let mut fields = fields(&own, None);
        fields[2] = encode(serde_bytes::Bytes::new(&key));
        let identity = signed(&own, array(&fields));
        let mut raw = shake(&relay, &own).await;
        let hello = hello(&identity, None);
        raw.say(0x07, &hello.encode()).await.unwrap();
        assert_closed(&mut raw, ErrorCode::IdentityInvalid, "small order").await;
    }
}
