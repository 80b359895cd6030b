//! The examples of `docs/protocol`, which a program in another language computed from the text
//! alone, are what this implementation makes.

use std::{collections::VecDeque, sync::Arc};

use rand_chacha::rand_core::{Infallible, TryCryptoRng, TryRng};
use serde_json::Value;
use sremp_core::{
    channel::{
        Accept, Admission, Channel, Event, HandshakeHash, Initiate, LocalIdentity, Message,
        ReassemblyBudget, Service,
    },
    contact_card::{CardContent, ContactCard, Intro},
    error::ErrorCode,
    id::{EnvelopeId, IntroToken},
    identity::{Identity, SecretIdentity, Username},
    key::NoiseSecret,
    relay::{
        Capabilities, Confirmation, Cursor, Granted, MessageId, RelayClient, RelayEvent,
        RelayMessage, Request, Role, ServerConnection, StoreResponse, StoredMessage, Subscribe,
        ToStore,
        proof::{Receipt, ReceiptClaim, ReceiptTree},
    },
    safety_number::SafetyNumber,
    session::{
        book::SessionBook,
        content::Content,
        envelope,
        prekey::{
            self, DhIdentity, EnvelopeKey, OneTimePrekey, PrekeyBundle, PrekeyId, PrekeyLookup,
            SignedPrekey,
        },
    },
    time::{Tick, UnixMillis},
    wire::bytes::from_hex,
};

const NOW: UnixMillis = UnixMillis::saturating(1_760_000_000_000);

/// Gives these bytes, each 32 times, and nothing else.
struct Script(VecDeque<u8>);

impl Script {
    fn new(bytes: &[u8]) -> Self {
        Self(bytes.iter().flat_map(|b| [*b; 32]).collect())
    }
}

impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("only keys are drawn")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0) // the jitter of the keepalive: nothing on the wire
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        to.fill_with(|| {
            self.0
                .pop_front()
                .expect("more randomness than the text says")
        });
        Ok(())
    }
}

impl TryCryptoRng for Script {}

fn examples(chapter: &str) -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/protocol/examples.json"
    );
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[chapter].clone()
}

fn hex(chapter: &Value, name: &str) -> Vec<u8> {
    from_hex(chapter[name].as_str().unwrap()).unwrap()
}

fn person(name: &str, seed: u8, noise: u8) -> SecretIdentity {
    let name = Username::parse(name).unwrap();
    SecretIdentity::from_keys(
        &[seed; 32],
        NoiseSecret::from_bytes(&[noise; 32]),
        &name,
        NOW,
    )
}

struct Prekeys {
    dhk: DhIdentity,
    spk: SignedPrekey,
    otp: OneTimePrekey,
    env: EnvelopeKey,
}

impl PrekeyLookup for Prekeys {
    fn dh_identity(&self) -> &DhIdentity {
        &self.dhk
    }
    fn signed_prekey(&self, id: PrekeyId) -> Option<&SignedPrekey> {
        (id == self.spk.id()).then_some(&self.spk)
    }
    fn one_time_prekey(&self, id: PrekeyId) -> Option<&OneTimePrekey> {
        (id == self.otp.id()).then_some(&self.otp)
    }
}

fn prekeys(of: &SecretIdentity) -> Prekeys {
    let id = |n| PrekeyId::new(n).unwrap();
    Prekeys {
        dhk: DhIdentity::generate(of, NOW, &mut Script::new(&[0x12])),
        spk: SignedPrekey::generate(
            of,
            id(0x0102_0304),
            NOW,
            &mut Script::new(&[0x13, 0x14, 0x15]),
        ),
        otp: OneTimePrekey::generate(
            of,
            id(0x0A0B_0C0D),
            NOW,
            &mut Script::new(&[0x16, 0x17, 0x18]),
        ),
        env: EnvelopeKey::generate(of, id(0x1122_3344), NOW, &mut Script::new(&[0x19])),
    }
}

#[test]
fn identities_are_those_of_chapter_2() {
    let chapter = examples("02-identity");
    assert_eq!(
        person("alice", 1, 2).identity().as_bytes(),
        hex(&chapter, "alice_identity")
    );
    assert_eq!(
        person("bob", 5, 6).identity().as_bytes(),
        hex(&chapter, "bob_identity")
    );
    let tombstone = Identity::verify(&hex(&chapter, "alice_tombstone_identity")).unwrap();
    assert!(tombstone.is_tombstone());
}

#[test]
fn a_first_message_and_its_answer_are_those_of_chapter_3() {
    let chapter = examples("03-sessions");
    let (alice, bob) = (person("alice", 1, 2), person("bob", 5, 6));
    let alice_dhk = DhIdentity::generate(&alice, NOW, &mut Script::new(&[0x11]));
    let keys = prekeys(&bob);
    let bytes = prekey::bundle(
        bob.identity(),
        &keys.dhk,
        &keys.spk,
        &keys.env,
        Some(&keys.otp),
    );
    assert_eq!(bytes, hex(&chapter, "bundle"));

    let bundle = PrekeyBundle::verify(&bytes, &bob.id(), NOW).unwrap();
    let mut ours = SessionBook::new(alice.id(), bob.id());
    let rng = &mut Script::new(&[0x1a, 0x1b, 0x1c, 0x1f]);
    let session = ours.start(&alice, &alice_dhk, &bundle, NOW, rng).unwrap();
    assert_eq!(session.as_bytes().as_slice(), hex(&chapter, "session_id"));
    let content = hex(&chapter, "content_1");
    let sent = ours
        .encrypt(&alice, bundle.envelope_key(), &content, rng)
        .unwrap();
    assert_eq!(sent.envelope, hex(&chapter, "envelope_1"));
    assert_eq!(
        sent.envelope_id.as_bytes().as_slice(),
        hex(&chapter, "envelope_1_id")
    );
    assert_eq!(sent.envelope_id, EnvelopeId::of(&sent.envelope));

    let opened = envelope::open(&keys.env, &sent.envelope).unwrap();
    let mut theirs = SessionBook::new(bob.id(), alice.id());
    let got = theirs.decrypt(&keys, &opened, NOW).unwrap();
    assert_eq!(got.content.as_slice(), content);

    let rng = &mut Script::new(&[0x22]);
    let second = ours.encrypt(
        &alice,
        bundle.envelope_key(),
        &hex(&chapter, "content_2"),
        rng,
    );
    assert_eq!(
        second.unwrap().envelope,
        hex(&chapter, "envelope_2"),
        "a first message again"
    );

    let alice_keys = Prekeys {
        dhk: alice_dhk,
        ..prekeys(&alice)
    };
    let alice_env = EnvelopeKey::generate(
        &alice,
        PrekeyId::new(7).unwrap(),
        NOW,
        &mut Script::new(&[0x20]),
    );
    let content = hex(&chapter, "content_3");
    let rng = &mut Script::new(&[0x1d, 0x21]);
    let answer = theirs
        .encrypt(&bob, alice_env.public_part(), &content, rng)
        .unwrap();
    assert_eq!(answer.envelope, hex(&chapter, "envelope_3"));
    let opened = envelope::open(&alice_env, &answer.envelope).unwrap();
    assert_eq!(
        ours.decrypt(&alice_keys, &opened, NOW)
            .unwrap()
            .content
            .as_slice(),
        content
    );

    let content = hex(&chapter, "content_4");
    let rng = &mut Script::new(&[0x1e, 0x23]);
    let next = ours
        .encrypt(&alice, bundle.envelope_key(), &content, rng)
        .unwrap();
    assert_eq!(
        next.envelope,
        hex(&chapter, "envelope_4"),
        "a new ratchet key, pn = 2"
    );
    let opened = envelope::open(&keys.env, &next.envelope).unwrap();
    assert_eq!(
        theirs
            .decrypt(&keys, &opened, NOW)
            .unwrap()
            .content
            .as_slice(),
        content
    );
}

#[test]
fn a_connection_opens_with_the_bytes_of_chapter_1() {
    let chapter = examples("01-transport");
    let (alice, bob) = (person("alice", 1, 2), person("bob", 5, 6));
    let now = Tick::new(0);
    let local = |who: &SecretIdentity| Arc::new(LocalIdentity::new(who));
    let initiate = Initiate {
        local: local(&alice),
        service: Service::P2p,
        expected: Some(bob.id()),
        pinned_noise_key: None,
        intro: None,
        reassembly: ReassemblyBudget::default(),
    };
    let accept = Accept {
        local: local(&bob),
        service: Service::P2p,
        reassembly: ReassemblyBudget::default(),
    };
    let mut ours = Channel::initiate(initiate, now, &mut Script::new(&[3]));
    let mut theirs = Channel::accept(accept, now, &mut Script::new(&[4]));

    assert_eq!(
        pass(&mut ours, &mut theirs),
        hex(&chapter, "initiator_flight_1")
    );
    assert_eq!(
        pass(&mut theirs, &mut ours),
        hex(&chapter, "responder_flight")
    );
    let last = [
        hex(&chapter, "message_3_frame"),
        hex(&chapter, "initiator_hello_frame"),
    ]
    .concat();
    assert_eq!(pass(&mut ours, &mut theirs), last);
    assert!(matches!(theirs.poll_event(), Some(Event::Shown { .. })));
    theirs.handle_admission(now, Admission::Accept);
    assert_eq!(
        pass(&mut theirs, &mut ours),
        hex(&chapter, "responder_hello_frame")
    );
    ours.handle_admission(now, Admission::Accept);
    let hash = ours.handshake_hash().unwrap();
    assert_eq!(hash.as_bytes().as_slice(), hex(&chapter, "handshake_hash"));
}

fn pass(from: &mut Channel, to: &mut Channel) -> Vec<u8> {
    let mut bytes = Vec::new();
    while from.poll_transmit(Tick::new(0), &mut bytes) > 0 {}
    to.handle_bytes(Tick::new(0), &bytes);
    bytes
}

#[test]
fn contents_are_those_of_chapter_3() {
    let chapter = examples("03-sessions");
    for (name, bytes) in chapter.as_object().unwrap() {
        if !name.starts_with("content_") {
            continue;
        }
        let bytes = from_hex(bytes.as_str().unwrap()).unwrap();
        let content = Content::decode_exact(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(content.encode().unwrap(), bytes, "{name}");
    }
}

const H: HandshakeHash = HandshakeHash::new([0x33; 32]);
const MESSAGE_ID: u64 = 0x0102_0304_0506_0708;
const FORTNIGHT: u32 = 14 * 24 * 60 * 60;
const CAPABILITIES: Capabilities = Capabilities {
    max_message_size: 61_440,
    max_storage_duration: FORTNIGHT,
};

/// A MSG as it stands in the chapter, with the type byte of its frame.
fn framed(message: &Message) -> Vec<u8> {
    [&[1], message.encode().as_slice()].concat()
}

fn receipt_claim(n: u64, blob: &[u8]) -> ReceiptClaim {
    ReceiptClaim {
        sender: person("alice", 1, 2).id().into(),
        recipient: person("bob", 5, 6).id().into(),
        message_id: MessageId::new(MESSAGE_ID + n),
        blob_hash: EnvelopeId::of(blob),
        stored_at: NOW,
        expires_at: UnixMillis::saturating(NOW.get() + 1_000 * u64::from(FORTNIGHT)),
    }
}

#[test]
fn a_message_left_at_a_relay_is_that_of_chapter_6() {
    let chapter = examples("06-relay");
    let blob = hex(&examples("03-sessions"), "envelope_4");
    let (alice, bob, relay) = (
        person("alice", 1, 2),
        person("bob", 5, 6),
        person("relay", 9, 10),
    );
    assert_eq!(
        relay.id().as_bytes().as_slice(),
        hex(&chapter, "relay_identity_key")
    );

    let mut client = RelayClient::new(alice.id(), relay.id());
    let mut server = ServerConnection::new(relay.id(), alice.id(), H);
    let register = client
        .register(&alice, &H, Role::Sender, CAPABILITIES, None)
        .unwrap();
    assert_eq!(framed(&register), hex(&chapter, "register"));
    assert!(matches!(
        server.handle(&register, NOW),
        Ok(Request::Register(_))
    ));
    server.registered(Role::Sender);
    let granted = RelayMessage::Granted(Granted {
        capabilities: CAPABILITIES,
        max_items: 10_000,
        max_bytes: 64 << 20,
        server_time: NOW,
    });
    assert_eq!(framed(&granted.to_message(1)), hex(&chapter, "granted"));

    let to_store = ToStore {
        recipient: bob.id().into(),
        envelope: blob.clone(),
        message_id: MessageId::new(MESSAGE_ID),
        ttl: FORTNIGHT,
        reply_relay: None,
        intro: None,
    };
    let store = client.store(&alice, to_store).unwrap();
    assert_eq!(framed(&store), hex(&chapter, "store"));
    let Ok(Request::Store(unchecked)) = server.handle(&store, NOW) else {
        panic!("a store")
    };
    let signature = unchecked.signature();
    assert_eq!(unchecked.claim.verify(&alice.id(), signature), Ok(()));

    let claim = receipt_claim(0, &blob);
    let receipt = ReceiptTree::sign(&relay, [&claim]).unwrap().receipt(0);
    assert_eq!(receipt.to_bytes(), hex(&chapter, "receipt_alone"));
    let stored = RelayMessage::StoreResponse(StoreResponse {
        success: true,
        stored_at: claim.stored_at,
        message_id: claim.message_id,
        expires_at: claim.expires_at,
        receipt_signature: receipt.to_bytes().into(),
        error: None,
    });
    let stored = stored.to_message(2);
    assert_eq!(framed(&stored), hex(&chapter, "stored"));
    let event = client.handle(&stored);
    assert!(matches!(event, Ok(Some(RelayEvent::Stored { .. }))));
    let refused = StoreResponse::refused(claim.message_id, ErrorCode::Quota);
    let refused = RelayMessage::StoreResponse(refused).to_message(3);
    assert_eq!(framed(&refused), hex(&chapter, "refused"));
}

#[test]
fn a_message_fetched_from_a_relay_is_that_of_chapter_6() {
    let chapter = examples("06-relay");
    let blob = hex(&examples("03-sessions"), "envelope_4");
    let (alice, bob, relay) = (
        person("alice", 1, 2),
        person("bob", 5, 6),
        person("relay", 9, 10),
    );
    let mut client = RelayClient::new(bob.id(), relay.id());
    let _ = client.register(&bob, &H, Role::Owner, CAPABILITIES, None);
    let subscribe = client.subscribe(Subscribe {
        after: Cursor::default(),
        credit_items: 32,
        credit_bytes: 1 << 20,
    });
    assert_eq!(framed(&subscribe.unwrap()), hex(&chapter, "subscribe"));
    let push = RelayMessage::StoredMessage(StoredMessage {
        message_id: MessageId::new(MESSAGE_ID),
        sender: alice.id().into(),
        timestamp: NOW,
        encrypted_blob: blob.clone().into(),
        cursor: Cursor::new(0x1234_5678),
    });
    let push = push.to_message(2);
    assert_eq!(framed(&push), hex(&chapter, "stored_message"));
    assert!(matches!(
        client.handle(&push),
        Ok(Some(RelayEvent::Item(_)))
    ));

    let confirmation = Confirmation::sign(
        &bob,
        alice.id().into(),
        MessageId::new(MESSAGE_ID),
        EnvelopeId::of(&blob),
        UnixMillis::saturating(NOW.get() + 1_500),
    );
    let list = vec![confirmation];
    let confirm = client.confirm(list.clone()).unwrap();
    assert_eq!(framed(&confirm), hex(&chapter, "delivery_confirmation"));
    let confirmed = RelayMessage::Confirmed { refused: vec![] }.to_message(3);
    assert_eq!(framed(&confirmed), hex(&chapter, "confirmed"));
    let discard = client.discard(vec![Cursor::new(0x1234_5679)]).unwrap();
    assert_eq!(framed(&discard), hex(&chapter, "discard"));

    let push = RelayMessage::ConfirmationPush(list).to_message(7);
    assert_eq!(framed(&push), hex(&chapter, "confirmation_push"));
    let mut sender = RelayClient::new(alice.id(), relay.id());
    let event = sender.handle(&push).unwrap();
    assert!(matches!(event, Some(RelayEvent::Confirmations { refused, .. }) if refused.is_empty()));
}

#[test]
fn three_receipts_under_one_signature_are_those_of_chapter_6() {
    let chapter = examples("06-relay");
    let blob = hex(&examples("03-sessions"), "envelope_4");
    let relay = person("relay", 9, 10);
    let claims: Vec<_> = (0..3).map(|n| receipt_claim(n, &blob)).collect();
    let tree = ReceiptTree::sign(&relay, &claims).unwrap();
    for (n, claim) in claims.iter().enumerate() {
        let bytes = hex(&chapter, &format!("tree_receipt_{n}"));
        assert_eq!(tree.receipt(n).to_bytes(), bytes, "{n}");
        let receipt = Receipt::from_bytes(&bytes).unwrap();
        assert_eq!(receipt.verify(&relay.id(), claim), Ok(()), "{n}");
    }
}

#[test]
fn card_and_safety_number_are_those_of_chapter_8() {
    let chapter = examples("08-contact-exchange");
    let (alice, bob) = (person("alice", 1, 2), person("bob", 5, 6));
    let content = CardContent {
        expires: UnixMillis::new(1_760_604_800_000),
        intro: Some(Intro {
            token: IntroToken::new([7; 16]),
            one_time: true,
        }),
        endpoints: vec!["alice.example:33399".parse().unwrap()],
        dial: true,
        username: Some(Username::parse("alice").unwrap()),
        ..CardContent::default()
    };
    let card = ContactCard::issue(&alice, content).unwrap();
    assert_eq!(card.as_bytes(), hex(&chapter, "card"));
    assert_eq!(card.to_uri(), chapter["card_uri"]);
    assert_eq!(card.to_qr_text(), chapter["card_qr"]);
    let number = SafetyNumber::of(&alice.id(), &bob.id());
    assert_eq!(number.to_string(), chapter["safety_number"]);
    assert_eq!(
        number.to_qr_text(),
        chapter["safety_number_qr_shown_by_alice"]
    );
}
