//! What a relay's machine does with bytes that are no request.

use serde_bytes::ByteBuf;
use sremp_core::{
    channel::Message,
    error::ErrorCode,
    id::EnvelopeId,
    relay::{
        Confirmation, Cursor, MessageId, PrekeysPut, RelayMessage, Retrieve, Role, SendersSet,
        StoreMessage, Subscribe, proof,
    },
};

use super::{
    hostile_client::{error, register, requests, store_of},
    session_support::NOW,
    world::*,
};

#[test]
fn case_07_a_body_that_is_not_exact_closes_the_connection() {
    let mut relay = Relay::new();
    let client = Client::connected(&relay, 1, 1);
    let mut all = requests(&client);
    let signature = proof::sign_auth(&client.secret, &relay.secret.id(), &hash(1), Role::Owner);
    all.push(RelayMessage::decode(&register(&client, signature, Role::Owner)).unwrap());
    for request in all {
        let good = request.to_message(1);
        let mut trailing = good.clone();
        trailing.body.push(0);
        let mut short = good.clone();
        short.body.pop();
        let mut map = good.clone();
        map.body[0] = 0x80 | (map.body[0] & 0x0f);
        let mut longer = good.clone();
        longer.body[0] += 1;
        longer.body.push(0xc0);
        for bad in [trailing, short, map, longer] {
            let mut conn = relay.accept(client.secret.id(), hash(1));
            conn.machine.registered(Role::Owner);
            assert_eq!(relay.answer(&mut conn, &bad), []);
            assert_eq!(conn.closed, Some(ErrorCode::ProtocolViolation), "{bad:?}");
        }
    }
}

#[test]
fn an_unknown_request_is_refused_and_an_answer_to_nothing_ignored() {
    let mut relay = Relay::new();
    let mut owner = Client::registered(&mut relay, 1, Role::Owner);
    for msg_type in [0x0100, 0x0109, 0x0112, 0x0129, 0x0140, 0xffff] {
        let message = Message {
            msg_type,
            req_id: 9,
            body: vec![0x90],
        };
        let answers = relay.answer(&mut owner.conn, &message);
        assert_eq!(
            error(&answers),
            Some(ErrorCode::NotAllowed),
            "{msg_type:04x}"
        );
        assert_eq!(answers[0].req_id, 9);
    }
    for answer in [
        RelayMessage::Ok,
        RelayMessage::Error(ErrorCode::Busy.into()),
    ] {
        assert_eq!(relay.answer(&mut owner.conn, &answer.to_message(9)), []);
    }
    assert_eq!(owner.conn.closed, None);
}

#[test]
fn lists_and_numbers_beyond_their_bounds_close_the_connection() {
    let mut relay = Relay::new();
    let owner = Client::connected(&relay, 1, 1);
    let confirmation = Confirmation::sign(
        &owner.secret,
        key(&owner.secret),
        MessageId::new(1),
        EnvelopeId::of(b""),
        NOW,
    );
    let subscribe = |credit_items, credit_bytes| {
        RelayMessage::Subscribe(Subscribe {
            after: Cursor::default(),
            credit_items,
            credit_bytes,
        })
    };
    let retrieve = |max_items, max_bytes| {
        RelayMessage::Retrieve(Retrieve {
            identity: key(&owner.secret),
            since: None,
            after: Cursor::default(),
            max_items,
            max_bytes,
        })
    };
    let put = |otps: Vec<ByteBuf>| RelayMessage::PrekeysPut(PrekeysPut { bundle: None, otps });
    let store = |alter: fn(&mut StoreMessage)| {
        let (_, mut message) = store_of(&owner);
        alter(&mut message);
        RelayMessage::Store(message)
    };
    let senders = |accept| {
        RelayMessage::SendersSet(SendersSet {
            accept,
            ..SendersSet::default()
        })
    };
    for bad in [
        RelayMessage::DeliveryConfirmation(vec![]),
        RelayMessage::DeliveryConfirmation(vec![confirmation.clone(); 257]),
        RelayMessage::ConfirmationPush(vec![confirmation; 257]),
        RelayMessage::Discard(vec![]),
        RelayMessage::Discard(vec![Cursor::new(u64::MAX); 257]),
        RelayMessage::Confirmed {
            refused: vec![1, 1],
        },
        RelayMessage::Confirmed {
            refused: vec![2, 1],
        },
        subscribe(0, 1),
        subscribe(257, 1),
        subscribe(1, 0),
        subscribe(1, (4 << 20) + 1),
        retrieve(0, 1),
        retrieve(101, 1),
        retrieve(1, 0),
        retrieve(1, (1 << 20) + 1),
        put(vec![ByteBuf::from([1]); 101]),
        put(vec![ByteBuf::from(vec![1; 1_537])]),
        store(|m| m.ttl = 0),
        store(|m| {
            m.reply_relay = Some(sremp_core::relay::ReplyRelay {
                relay: m.recipient,
                host: "127.1".into(),
                port: 1,
            });
        }),
        senders(vec![key(&owner.secret); 65]),
    ] {
        let mut conn = relay.accept(owner.secret.id(), hash(1));
        conn.machine.registered(Role::Owner);
        assert_eq!(relay.answer(&mut conn, &bad.to_message(1)), []);
        assert_eq!(conn.closed, Some(ErrorCode::ProtocolViolation), "{bad:?}");
    }
}
