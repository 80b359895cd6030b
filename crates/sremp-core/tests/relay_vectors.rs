//! Relay messages and what is signed in them, from `vectors/relay.json`.

mod vectors;

use serde_bytes::ByteBuf;
use serde_json::Value;
use sremp_core::{
    channel::{ErrorReply, HandshakeHash, Message},
    id::{EnvelopeId, IdentityKey, IntroToken},
    identity::SecretIdentity,
    relay::{
        Capabilities, Confirmation, Cursor, Granted, IntroEntry, IntroHash, MessageBatch,
        MessageId, PrekeyCounts, PrekeyGet, PrekeysPut, Receipt, Register, RelayDecodeError,
        RelayMessage, ReplyRelay, Retrieve, Role, SendersSet, StoreMessage, StoreResponse,
        StoredMessage, Subscribe,
        proof::{self, Claimed, ReceiptClaim, ReceiptTree, StoreClaim, check_claims},
    },
    time::UnixMillis,
    wire::{bytes::Hex, codec::decode_exact},
};
use vectors::{NOW, alice, hex, hex_n, list, load, number, person, text};

const FORTNIGHT: u32 = 14 * 24 * 60 * 60;
const CAPABILITIES: Capabilities = Capabilities {
    max_message_size: 61_440,
    max_storage_duration: FORTNIGHT,
};
const H: HandshakeHash = HandshakeHash::new([0x33; 32]);
const TOKEN: IntroToken = IntroToken::new([7; 16]);
const LARGEST: MessageId = MessageId::new(u64::MAX);

fn bob() -> SecretIdentity {
    person(5, "bob")
}

fn relay() -> SecretIdentity {
    person(9, "relay")
}

fn key(of: &SecretIdentity) -> IdentityKey {
    of.id().into()
}

fn envelope(n: u64, size: usize) -> ByteBuf {
    let mut bytes = vec![7; size];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    ByteBuf::from(bytes)
}

fn later(millis: u64) -> UnixMillis {
    UnixMillis::saturating(NOW.get() + millis)
}

fn expires() -> UnixMillis {
    later(u64::from(FORTNIGHT) * 1_000)
}

fn register(role: Role, invite: Option<Vec<u8>>) -> RelayMessage {
    RelayMessage::Register(Register {
        identity: key(&alice()),
        auth_signature: proof::sign_auth(&alice(), &relay().id(), &H, role),
        capabilities: CAPABILITIES,
        role,
        invite: invite.map(ByteBuf::from),
    })
}

fn store_claim(ttl: u32) -> StoreClaim {
    StoreClaim {
        relay: key(&relay()),
        recipient: key(&bob()),
        message_id: LARGEST,
        blob_hash: EnvelopeId::of(&envelope(1, 1024)),
        ttl,
    }
}

fn store(ttl: u32, reply_relay: Option<ReplyRelay>, intro: Option<IntroToken>) -> RelayMessage {
    RelayMessage::Store(StoreMessage {
        recipient: key(&bob()),
        encrypted_blob: envelope(1, 1024),
        sender_signature: store_claim(ttl).sign(&alice()),
        message_id: LARGEST,
        ttl,
        reply_relay,
        intro,
    })
}

fn confirmation() -> Confirmation {
    let blob = EnvelopeId::of(&envelope(1, 1024));
    Confirmation::sign(&bob(), key(&alice()), LARGEST, blob, later(5))
}

fn item(cursor: u64, encrypted_blob: ByteBuf, timestamp: UnixMillis) -> StoredMessage {
    StoredMessage {
        message_id: LARGEST,
        sender: key(&alice()),
        timestamp,
        encrypted_blob,
        cursor: Cursor::new(cursor),
    }
}

fn receipt_claim(n: u64, blob: &[u8]) -> ReceiptClaim {
    ReceiptClaim {
        sender: key(&alice()),
        recipient: key(&bob()),
        message_id: MessageId::new(n),
        blob_hash: EnvelopeId::of(blob),
        stored_at: NOW,
        expires_at: expires(),
    }
}

fn stored() -> RelayMessage {
    let claim = receipt_claim(u64::MAX, &envelope(1, 1024));
    let receipt = ReceiptTree::sign(&relay(), [&claim]).unwrap().receipt(0);
    RelayMessage::StoreResponse(StoreResponse {
        success: true,
        stored_at: NOW,
        message_id: LARGEST,
        expires_at: expires(),
        receipt_signature: ByteBuf::from(receipt.to_bytes()),
        error: None,
    })
}

fn refused(code: u16) -> RelayMessage {
    RelayMessage::StoreResponse(StoreResponse {
        success: false,
        stored_at: UnixMillis::ZERO,
        message_id: MessageId::new(1),
        expires_at: UnixMillis::ZERO,
        receipt_signature: ByteBuf::new(),
        error: Some(code),
    })
}

fn prekey_get(recipient: IdentityKey, intro: Option<IntroToken>) -> RelayMessage {
    RelayMessage::PrekeyGet(PrekeyGet { recipient, intro })
}

fn senders(count: usize, intro: Option<Vec<IntroEntry>>) -> RelayMessage {
    RelayMessage::SendersSet(SendersSet {
        accept: vec![key(&bob()); count],
        block: vec![key(&relay()); count],
        intro,
    })
}

fn subscribe(after: u64, credit_items: u16, credit_bytes: u32) -> RelayMessage {
    RelayMessage::Subscribe(Subscribe {
        after: Cursor::new(after),
        credit_items,
        credit_bytes,
    })
}

fn retrieve(since: Option<UnixMillis>, after: u64, max_items: u16, max_bytes: u32) -> RelayMessage {
    RelayMessage::Retrieve(Retrieve {
        identity: key(&bob()),
        since,
        after: Cursor::new(after),
        max_items,
        max_bytes,
    })
}

fn batch(messages: Vec<StoredMessage>, has_more: bool, next: u64) -> RelayMessage {
    RelayMessage::MessageBatch(MessageBatch {
        messages,
        has_more,
        next: Cursor::new(next),
    })
}

fn prekeys_put(bundle: Option<&[u8]>, otps: &[&[u8]]) -> RelayMessage {
    RelayMessage::PrekeysPut(PrekeysPut {
        bundle: bundle.map(ByteBuf::from),
        otps: otps.iter().map(|otp| ByteBuf::from(*otp)).collect(),
    })
}

/// What a vector of this name says.
fn meant(name: &str, token_hash: IntroHash) -> RelayMessage {
    let open = IntroEntry {
        hash: token_hash,
        one_time: true,
    };
    let closed = IntroEntry {
        hash: IntroHash::new([0; 32]),
        one_time: false,
    };
    let reply = ReplyRelay {
        relay: key(&relay()),
        host: "relay.example".into(),
        port: 33399,
    };
    match name {
        "register_owner" => register(Role::Owner, Some(b"an invite".to_vec())),
        "register_sender" => register(Role::Sender, None),
        "register_relay" => register(Role::Relay, Some(vec![0; 64])),
        "granted" => RelayMessage::Granted(Granted {
            capabilities: CAPABILITIES,
            max_items: 10_000,
            max_bytes: 64 << 20,
            server_time: NOW,
        }),
        "prekeys_ask" => prekeys_put(None, &[]),
        "prekeys_put" => prekeys_put(Some(b"a bundle"), &[b"one", &[0; 1_536]]),
        "prekey_counts" => RelayMessage::PrekeyCounts(PrekeyCounts {
            has_bundle: true,
            otps: 50,
        }),
        "prekey_get" => prekey_get(key(&bob()), None),
        "prekey_get_intro" => prekey_get(key(&bob()), Some(TOKEN)),
        "prekey_get_of_no_key" => prekey_get(IdentityKey::new([0; 32]), None),
        "prekey_bundle" => RelayMessage::PrekeyBundle(b"a bundle".to_vec()),
        "senders_none" => senders(0, None),
        "senders" => senders(1, Some(vec![open, closed])),
        "senders_no_tokens" => senders(0, Some(vec![])),
        "senders_64" => senders(64, Some(vec![open; 64])),
        "ok" => RelayMessage::Ok,
        "store" => store(FORTNIGHT, None, None),
        "store_everything" => store(1, Some(reply), Some(TOKEN)),
        "stored" => stored(),
        "stored_refused" => refused(0x0403),
        "stored_refused_for_an_unknown_reason" => refused(0xffff),
        "subscribe" => subscribe(0, 32, 1 << 20),
        "subscribe_most" => subscribe(u64::MAX, 256, 4 << 20),
        "stored_message" => RelayMessage::StoredMessage(item(4_711, envelope(1, 1024), NOW)),
        "retrieve" => retrieve(None, 0, 100, 1 << 20),
        "retrieve_since" => retrieve(Some(NOW), 4_711, 1, 1),
        "batch_empty" => batch(vec![], false, 0),
        "batch" => {
            let before = UnixMillis::saturating(NOW.get() - 9);
            let first = item(4_711, envelope(1, 1024), NOW);
            let second = item(4_712, envelope(2, 2048), before);
            batch(vec![first, second], true, 4_712)
        }
        "delivery_confirmation" => RelayMessage::DeliveryConfirmation(vec![confirmation()]),
        "delivery_confirmation_256" => {
            RelayMessage::DeliveryConfirmation(vec![confirmation(); 256])
        }
        "confirmed" => RelayMessage::Confirmed { refused: vec![] },
        "confirmed_but" => RelayMessage::Confirmed {
            refused: vec![0, 7, 255],
        },
        "confirmation_push" => RelayMessage::ConfirmationPush(vec![confirmation(); 2]),
        "discard" => RelayMessage::Discard(vec![Cursor::new(4_711), Cursor::new(u64::MAX)]),
        "superseded" => RelayMessage::Superseded,
        "error" => RelayMessage::Error(ErrorReply {
            code: 0x0305,
            retry_after_s: 60,
            text: "slow down".into(),
        }),
        _ => panic!("what {name} says is not written here"),
    }
}

fn message(v: &Value) -> Message {
    Message::decode(&hex(v, "message")).unwrap()
}

#[test]
fn every_message_has_the_bytes_of_the_vector() {
    let file = load("relay");
    let token_hash = IntroHash::new(hex_n(&file, "token_hash"));
    let mut types = std::collections::BTreeSet::new();
    for v in list(&file, "accept") {
        let name = text(v, "name");
        let meant = meant(name, token_hash);
        let wire = meant.to_message(number(&file, "req_id") as u32);
        assert_eq!(u64::from(wire.msg_type), number(v, "type"), "{name}");
        assert_eq!(
            Hex(&wire.encode()).to_string(),
            text(v, "message"),
            "{name}"
        );
        assert_eq!(RelayMessage::decode(&message(v)), Ok(meant), "{name}");
        types.insert(wire.msg_type);
    }
    assert_eq!(types.len(), 20, "every type has a vector");
}

#[test]
fn bodies_that_break_a_rule_are_none() {
    for v in list(&load("relay"), "reject") {
        let decoded = RelayMessage::decode(&message(v));
        assert_eq!(
            decoded,
            Err(RelayDecodeError::Malformed),
            "{}",
            text(v, "name")
        );
    }
}

#[test]
fn a_registration_is_signed_as_in_the_vector() {
    for v in list(&load("relay"), "auth") {
        let role: Role = decode_exact(&[number(v, "role") as u8], 1).unwrap();
        let signature = proof::sign_auth(&alice(), &relay().id(), &H, role);
        assert_eq!(signature.as_bytes(), &hex_n(v, "signature"));
        let verified = proof::verify_auth(&relay().id(), &H, &alice().id(), role, &signature);
        assert_eq!(verified, Ok(()));
    }
}

#[test]
fn a_store_is_signed_as_in_the_vector() {
    let v = &load("relay")["store"];
    let claim = store_claim(number(v, "ttl") as u32);
    let signature = claim.sign(&alice());
    assert_eq!(signature.as_bytes(), &hex_n(v, "signature"));
    for count in [1, 20] {
        let claimed = Claimed::store(alice().id(), &claim, signature);
        let verdicts = check_claims(&vec![claimed; count]);
        assert!(verdicts.iter().all(Result::is_ok));
    }
}

#[test]
fn a_confirmation_is_signed_as_in_the_vector_and_counts_in_no_other_form() {
    let file = load("relay");
    let good: Confirmation = decode_exact(&hex(&file, "confirmation"), 256).unwrap();
    assert_eq!(good, confirmation());
    assert_eq!(good.verify(&bob().id()), Ok(()));
    assert_eq!(good.verify_any(), Ok(()));
    assert!(good.verify(&alice().id()).is_err());
    for v in list(&file, "false_confirmations") {
        let bad: Confirmation = decode_exact(&hex(v, "bytes"), 256).unwrap();
        let name = text(v, "name");
        assert!(
            bad.verify_any().is_err() && bad.verify(&bob().id()).is_err(),
            "{name}"
        );
    }
}

#[test]
fn the_receipts_of_a_commit_are_those_of_the_vector() {
    let file = load("relay");
    let claims: Vec<ReceiptClaim> = (0..5)
        .map(|n| receipt_claim(n, &envelope(n, 1024)))
        .collect();
    let tree = ReceiptTree::sign(&relay(), &claims).unwrap();
    for (n, v) in list(&file, "commit").iter().enumerate() {
        assert_eq!(claims[n].message_id.get(), number(v, "message_id"));
        assert_eq!(claims[n].blob_hash.as_bytes(), &hex_n(v, "blob_hash"));
        assert_eq!(tree.receipt(n).to_bytes(), hex(v, "receipt"), "{n}");
        let receipt = Receipt::from_bytes(&hex(v, "receipt")).unwrap();
        assert_eq!(receipt.verify(&relay().id(), &claims[n]), Ok(()), "{n}");
    }
    for v in list(&file, "false_receipts_of_2") {
        let receipt = Receipt::from_bytes(&hex(v, "bytes")).unwrap();
        let verdict = receipt.verify(&relay().id(), &claims[2]);
        assert!(verdict.is_err(), "{}", text(v, "name"));
    }
    for v in list(&file, "reject_receipts") {
        assert_eq!(
            Receipt::from_bytes(&hex(v, "bytes")),
            None,
            "{}",
            text(v, "name")
        );
    }
}
