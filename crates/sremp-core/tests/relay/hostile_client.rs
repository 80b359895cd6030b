//! What a relay's machine does with clients that do not keep to the rules.

use serde_bytes::ByteBuf;
use sremp_core::{
    channel::Message,
    error::ErrorCode,
    id::EnvelopeId,
    relay::{
        Confirmation, Cursor, MessageId, PrekeysPut, Register, RelayEvent, RelayMessage, Retrieve,
        Role, SendersSet, StoreMessage, Subscribe,
        proof::{self, StoreClaim},
    },
    signature::{Signature, SignatureLabel},
};

use super::{
    session_support::{NOW, Person},
    world::*,
};

/// One message for each request type, from whoever it may come.
pub(crate) fn requests(of: &Client) -> Vec<RelayMessage> {
    let (claim, message) = store_of(of);
    let confirmation = Confirmation::sign(
        &of.secret,
        key(&of.secret),
        claim.message_id,
        claim.blob_hash,
        NOW,
    );
    vec![
        RelayMessage::PrekeysPut(PrekeysPut::default()),
        RelayMessage::SendersSet(SendersSet::default()),
        RelayMessage::Subscribe(Subscribe {
            after: Cursor::default(),
            credit_items: 1,
            credit_bytes: 1,
        }),
        RelayMessage::Retrieve(Retrieve {
            identity: key(&of.secret),
            since: None,
            after: Cursor::default(),
            max_items: 1,
            max_bytes: 1,
        }),
        RelayMessage::DeliveryConfirmation(vec![confirmation.clone()]),
        RelayMessage::Discard(vec![Cursor::new(1)]),
        RelayMessage::Store(message),
        RelayMessage::PrekeyGet(sremp_core::relay::PrekeyGet {
            recipient: key(&person(66)),
            intro: None,
        }),
        RelayMessage::ConfirmationPush(vec![confirmation]),
    ]
}

pub(crate) fn store_of(of: &Client) -> (StoreClaim, StoreMessage) {
    let claim = StoreClaim {
        relay: (*of.machine.relay()).into(),
        recipient: key(&person(66)),
        message_id: MessageId::new(1),
        blob_hash: EnvelopeId::of(&envelope(1)),
        ttl: 60,
    };
    let message = StoreMessage {
        recipient: claim.recipient,
        encrypted_blob: ByteBuf::from(envelope(1)),
        sender_signature: claim.sign(&of.secret),
        message_id: claim.message_id,
        ttl: claim.ttl,
        reply_relay: None,
        intro: None,
    };
    (claim, message)
}

pub(crate) fn error(answers: &[Message]) -> Option<ErrorCode> {
    match RelayMessage::decode(answers.first()?).unwrap() {
        RelayMessage::Error(error) => ErrorCode::from_u16(error.code),
        RelayMessage::StoreResponse(response) => response.error.and_then(ErrorCode::from_u16),
        _ => None,
    }
}

#[test]
fn nothing_is_done_before_registration_nor_in_another_role() {
    let may: [(Option<Role>, &[u16]); 4] = [
        (None, &[]),
        (
            Some(Role::Owner),
            &[0x103, 0x107, 0x120, 0x122, 0x124, 0x127, 0x110, 0x105],
        ),
        (Some(Role::Sender), &[0x110, 0x105]),
        (Some(Role::Relay), &[0x126]),
    ];
    for (role, may) in may {
        let mut relay = Relay::new();
        let mut client = Client::connected(&relay, 1, 1);
        if let Some(role) = role {
            client.register(&mut relay, role);
        }
        let expected = match role {
            None => ErrorCode::Auth,
            Some(_) => ErrorCode::NotAllowed,
        };
        for request in requests(&client) {
            let message = request.to_message(3);
            let handled = client.conn.machine.handle(&message, NOW);
            assert_eq!(
                handled.is_ok(),
                may.contains(&message.msg_type),
                "{role:?} {message:?}"
            );
            if handled.is_err() {
                let answers = relay.answer(&mut client.conn, &message);
                assert_eq!(error(&answers), Some(expected), "{role:?} {message:?}");
                assert_eq!(client.conn.closed, None);
            }
        }
    }
}

pub(crate) fn register(of: &Client, auth_signature: Signature, role: Role) -> Message {
    let register = Register {
        identity: key(&of.secret),
        auth_signature,
        capabilities: WISHED,
        role,
        invite: None,
    };
    RelayMessage::Register(register).to_message(1)
}

#[test]
fn case_21_an_auth_signature_is_good_for_one_channel_relay_identity_and_role() {
    let mut relay = Relay::new();
    let mut alice = Client::connected(&relay, 1, 1);
    let id = relay.secret.id();
    let good = proof::sign_auth(&alice.secret, &id, &hash(1), Role::Owner);
    let payload = [
        id.as_bytes().as_slice(),
        &[1; 32],
        alice.secret.id().as_bytes(),
        &[1],
    ]
    .concat();
    assert_eq!(good, alice.secret.sign(SignatureLabel::RelayAuth, &payload));
    let bad = [
        (
            "another channel",
            proof::sign_auth(&alice.secret, &id, &hash(2), Role::Owner),
        ),
        (
            "another relay",
            proof::sign_auth(&alice.secret, &person(8).id(), &hash(1), Role::Owner),
        ),
        (
            "another role",
            proof::sign_auth(&alice.secret, &id, &hash(1), Role::Sender),
        ),
        (
            "another key",
            proof::sign_auth(&person(2), &id, &hash(1), Role::Owner),
        ),
        (
            "another label",
            alice.secret.sign(SignatureLabel::RelayStore, &payload),
        ),
        ("no signature", Signature::new([0; 64])),
    ];
    for (what, signature) in bad {
        let message = register(&alice, signature, Role::Owner);
        let answers = relay.answer(&mut alice.conn, &message);
        assert_eq!(error(&answers), Some(ErrorCode::Auth), "{what}");
        assert_eq!(alice.conn.machine.role(), None, "{what}");
    }
    // somebody else's, whole: bob names alice on his own connection
    let mut bob = Client::connected(&relay, 2, 1);
    let forwarded = register(&alice, good, Role::Owner);
    let answers = relay.answer(&mut bob.conn, &forwarded);
    assert_eq!(error(&answers), Some(ErrorCode::Auth));

    // bob signs for himself and names alice
    let own = proof::sign_auth(&bob.secret, &id, &hash(1), Role::Owner);
    let answers = relay.answer(&mut bob.conn, &register(&alice, own, Role::Owner));
    assert_eq!(error(&answers), Some(ErrorCode::Auth));
    assert_eq!(bob.conn.machine.role(), None);

    assert_eq!(error(&relay.answer(&mut alice.conn, &forwarded)), None);
    assert_eq!(alice.conn.machine.role(), Some(Role::Owner));
    relay.answer(&mut alice.conn, &forwarded);
    assert_eq!(
        alice.conn.closed,
        Some(ErrorCode::ProtocolViolation),
        "registered twice"
    );
}

#[test]
fn case_24_a_store_signed_for_anything_else_is_refused() {
    let mut relay = Relay::new();
    let mut alice = Client::registered(&mut relay, 1, Role::Sender);
    Client::registered(&mut relay, 66, Role::Owner);
    let (claim, good) = store_of(&alice);
    let other = |claim: StoreClaim| StoreMessage {
        sender_signature: claim.sign(&alice.secret),
        ..good.clone()
    };
    let bad = [
        (
            "blob",
            other(StoreClaim {
                blob_hash: EnvelopeId::of(&envelope(2)),
                ..claim
            }),
        ),
        (
            "recipient",
            other(StoreClaim {
                recipient: key(&person(2)),
                ..claim
            }),
        ),
        (
            "relay",
            other(StoreClaim {
                relay: key(&person(8)),
                ..claim
            }),
        ),
        (
            "id",
            other(StoreClaim {
                message_id: MessageId::new(2),
                ..claim
            }),
        ),
        ("ttl", other(StoreClaim { ttl: 61, ..claim })),
        (
            "signer",
            StoreMessage {
                sender_signature: claim.sign(&person(2)),
                ..good.clone()
            },
        ),
    ];
    for (what, message) in bad {
        let message = RelayMessage::Store(message).to_message(1);
        let answers = relay.answer(&mut alice.conn, &message);
        assert_eq!(error(&answers), Some(ErrorCode::BadProof), "{what}");
    }
    assert_eq!(relay.mailboxes[&key(&person(66))].waiting(), 0);
    let answers = relay.answer(&mut alice.conn, &RelayMessage::Store(good).to_message(1));
    assert_eq!(error(&answers), None);
}

#[test]
fn case_24_an_id_is_for_one_envelope_and_an_envelope_is_of_a_size_that_exists() {
    let mut relay = Relay::new();
    let mut alice = Client::registered(&mut relay, 1, Role::Sender);
    let bob = Client::registered(&mut relay, 2, Role::Owner);
    alice.store(&mut relay, to_store(&bob.secret, 1));
    let mut other = to_store(&bob.secret, 1);
    other.envelope = envelope(2);
    let conflict = alice.store(&mut relay, other);
    assert_eq!(refusal(&conflict), Some(ErrorCode::Conflict));
    for size in [0, 1, 1_023, 1_025, 61_439, 61_441, 100_000] {
        let mut store = to_store(&bob.secret, 7);
        store.envelope = vec![0; size];
        let events = alice.store(&mut relay, store);
        assert_eq!(refusal(&events), Some(ErrorCode::TooLarge), "{size}");
        assert_eq!(alice.conn.closed, None);
    }
    for size in [1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 61_440] {
        let mut store = to_store(&bob.secret, size as u64);
        store.envelope = vec![0; size];
        let events = alice.store(&mut relay, store);
        assert!(matches!(events[..], [RelayEvent::Stored { .. }]), "{size}");
    }
}

#[test]
fn case_24_a_confirmation_of_something_else_is_refused_and_the_item_kept() {
    let mut relay = Relay::new();
    let mut alice = Client::registered(&mut relay, 1, Role::Sender);
    let mut bob = Client::registered(&mut relay, 2, Role::Owner);
    let mut mallory = Client::registered(&mut relay, 3, Role::Owner);
    alice.store(&mut relay, to_store(&bob.secret, 5));
    let blob = EnvelopeId::of(&envelope(5));
    let sign = |by: &Client, blob| {
        Confirmation::sign(&by.secret, key(&alice.secret), MessageId::new(5), blob, NOW)
    };
    let good = sign(&bob, blob);
    let wrong_signer = Confirmation {
        delivered_to: key(&bob.secret),
        ..sign(&mallory, blob)
    };
    let altered = Confirmation {
        timestamp: sremp_core::time::UnixMillis::ZERO,
        ..good.clone()
    };
    let wrong_hash = sign(&bob, EnvelopeId::of(&envelope(6)));
    let not_his = sign(&mallory, blob);
    let refused = |events: Vec<RelayEvent>| match events.as_slice() {
        [RelayEvent::Confirmed { refused, .. }] => refused.clone(),
        _ => panic!("{events:?}"),
    };
    let list = vec![wrong_signer, altered, wrong_hash, not_his.clone()];
    assert_eq!(refused(bob.confirm(&mut relay, list)), [0, 1, 2, 3]);
    // by others: one's own signature on it, and bob's genuine one
    let list = vec![not_his, good.clone()];
    assert_eq!(refused(mallory.confirm(&mut relay, list)), [0, 1]);
    assert_eq!(relay.mailboxes[&key(&bob.secret)].waiting(), 1);
    assert!(relay.waiting.is_empty());
    assert_eq!(refused(bob.confirm(&mut relay, vec![good])), [0; 0]);
}

#[test]
fn an_owner_reads_its_own_mailbox_only() {
    let mut relay = Relay::new();
    let mut mallory = Client::registered(&mut relay, 3, Role::Owner);
    let ask = mallory.machine.retrieve(Retrieve {
        identity: key(&person(2)),
        since: None,
        after: Cursor::default(),
        max_items: 1,
        max_bytes: 1,
    });
    let events = mallory.ask(&mut relay, &ask.unwrap());
    assert_eq!(refusal(&events), Some(ErrorCode::NotAllowed));
}

#[test]
fn case_15_prekeys_of_somebody_else_or_altered_are_not_kept() {
    let mut relay = Relay::new();
    let mut owner = Client::registered(&mut relay, 3, Role::Owner);
    let mut bob = Person::new("bob", 3);
    let otp = bob.add_one_time_prekey(NOW);
    let public = bob.prekeys.one_time[&otp].public_bytes();
    let with_otp = bob.bundle_bytes(Some(otp));
    for (bundle, otps) in [
        (Some(bob.bundle_bytes(None)), vec![]),
        (None, vec![public.clone()]),
        (None, vec![vec![0xc0]]),
    ] {
        let put = owner.machine.prekeys_put(bundle, otps).unwrap();
        let events = owner.ask(&mut relay, &put);
        assert_eq!(refusal(&events), Some(ErrorCode::BadProof));
    }
    // of bob himself, but with the one-time prekey in the bundle, or a bit changed
    let conn = relay.accept(bob.id(), hash(3));
    owner.conn = conn;
    owner.conn.machine.registered(Role::Owner);
    let mut altered = public.clone();
    altered[40] ^= 1;
    for (bundle, otps) in [(Some(with_otp), vec![]), (None, vec![public, altered])] {
        let put = owner.machine.prekeys_put(bundle, otps).unwrap();
        let events = owner.ask(&mut relay, &put);
        assert_eq!(refusal(&events), Some(ErrorCode::BadProof));
    }
    let mailbox = &relay.mailboxes[&key(&owner.secret)];
    assert!(mailbox.bundle.is_none() && mailbox.otps.is_empty());
}

#[test]
fn case_25_an_invite_does_not_print_itself() {
    let relay = Relay::new();
    let mut alice = Client::connected(&relay, 1, 1);
    let invite = Some(b"let me in".to_vec());
    let message = alice
        .machine
        .register(&alice.secret, &hash(1), Role::Owner, WISHED, invite)
        .unwrap();
    let shown = format!("{:?}", RelayMessage::decode(&message));
    let bytes: Vec<String> = b"let me in".iter().map(u8::to_string).collect();
    assert!(shown.contains("Register"), "{shown}");
    assert!(
        !shown.contains(&bytes.join(", ")) && !shown.contains("let me in"),
        "{shown}"
    );
}

#[test]
fn case_24_nobody_confirms_in_anothers_name() {
    let (alice, bob, mallory) = (person(1), person(2), person(3));
    let blob = EnvelopeId::of(&envelope(5));
    let mut posing = Confirmation::sign(&mallory, key(&alice), MessageId::new(5), blob, NOW);
    posing.delivered_to = key(&bob);
    let payload = [
        5u64.to_le_bytes().as_slice(),
        alice.id().as_bytes(),
        bob.id().as_bytes(),
        &NOW.get().to_le_bytes(),
        blob.as_bytes(),
    ]
    .concat();
    // a good signature of hers over his name
    posing.signature = mallory.sign(SignatureLabel::Confirmation, &payload);
    assert!(posing.verify(&mallory.id()).is_err());
    assert!(posing.verify(&bob.id()).is_err() && posing.verify_any().is_err());
    let genuine = bob.sign(SignatureLabel::Confirmation, &payload);
    posing.signature = genuine;
    assert_eq!(posing.verify_any(), Ok(()));
}
