//! What a client's machine believes of a relay that lies.

use sremp_core::{
    channel::Message,
    error::ErrorCode,
    id::EnvelopeId,
    relay::{
        Confirmation, Cursor, MessageBatch, MessageId, PrekeyCounts, RelayEvent, RelayMessage,
        Retrieve, Role, StoreResponse, StoredMessage, Subscribe,
        proof::{ReceiptClaim, ReceiptTree},
    },
    time::UnixMillis,
};

use super::{session_support::NOW, world::*};

fn item(cursor: u64) -> StoredMessage {
    StoredMessage {
        message_id: MessageId::new(cursor),
        sender: key(&person(5)),
        timestamp: NOW,
        encrypted_blob: envelope(cursor).into(),
        cursor: Cursor::new(cursor),
    }
}

fn tell(
    client: &mut Client,
    what: &RelayMessage,
    req_id: u32,
) -> Result<Option<RelayEvent>, ErrorCode> {
    client.machine.handle(&what.to_message(req_id))
}

fn retrieve(client: &mut Client, alter: fn(&mut Retrieve)) -> u32 {
    let mut retrieve = Retrieve {
        identity: key(&client.secret),
        since: None,
        after: Cursor::new(10),
        max_items: 3,
        max_bytes: 4_096,
    };
    alter(&mut retrieve);
    client.machine.retrieve(retrieve).unwrap().req_id
}

fn page(cursors: &[u64], has_more: bool, next: u64) -> RelayMessage {
    RelayMessage::MessageBatch(MessageBatch {
        messages: cursors.iter().map(|cursor| item(*cursor)).collect(),
        has_more,
        next: Cursor::new(next),
    })
}

#[test]
fn an_answer_to_nothing_is_ignored_and_an_answer_of_another_kind_ends_the_connection() {
    let mut relay = Relay::new();
    let mut client = Client::registered(&mut relay, 1, Role::Owner);
    let answers = [
        RelayMessage::Ok,
        page(&[], false, 10),
        RelayMessage::PrekeyBundle(vec![1]),
        RelayMessage::Confirmed { refused: vec![] },
        RelayMessage::StoreResponse(StoreResponse::refused(MessageId::new(1), ErrorCode::Quota)),
        RelayMessage::PrekeyCounts(PrekeyCounts {
            has_bundle: true,
            otps: 1,
        }),
        RelayMessage::Error(ErrorCode::Busy.into()),
        RelayMessage::StoredMessage(item(1)),
    ];
    for answer in &answers {
        assert_eq!(tell(&mut client, answer, 4_711), Ok(None), "{answer:?}");
    }
    for answer in answers
        .iter()
        .filter(|a| !matches!(a, RelayMessage::Error(_) | RelayMessage::StoredMessage(_)))
    {
        let store = client
            .machine
            .store(&client.secret, to_store(&person(2), 7))
            .unwrap();
        // also the answer to a store is one only if it names the same message
        let verdict = tell(&mut client, answer, store.req_id);
        assert_eq!(verdict, Err(ErrorCode::ProtocolViolation), "{answer:?}");
    }
    let store = client
        .machine
        .store(&client.secret, to_store(&person(2), 7))
        .unwrap();
    let unasked = RelayMessage::PrekeyCounts(PrekeyCounts {
        has_bundle: true,
        otps: 3,
    });
    assert!(matches!(
        tell(&mut client, &unasked, 0),
        Ok(Some(RelayEvent::Counts(_)))
    ));
    let error = RelayMessage::Error(ErrorCode::Busy.into());
    let refused = tell(&mut client, &error, store.req_id).unwrap().unwrap();
    assert_eq!(
        refusal(&[refused]),
        Some(ErrorCode::Busy),
        "it was still open"
    );
    let unknown = Message {
        msg_type: 0x0177,
        req_id: 0,
        body: vec![0x90],
    };
    assert_eq!(client.machine.handle(&unknown), Ok(None));
}

#[test]
fn a_receipt_that_does_not_hold_is_no_success() {
    let mut relay = Relay::new();
    let mut client = Client::registered(&mut relay, 1, Role::Sender);
    let bob = person(2);
    let claim = ReceiptClaim {
        sender: key(&client.secret),
        recipient: key(&bob),
        message_id: MessageId::new(7),
        blob_hash: EnvelopeId::of(&envelope(7)),
        stored_at: NOW,
        expires_at: NOW,
    };
    let answer = |by: &_, claim: ReceiptClaim| {
        let receipt = ReceiptTree::sign(by, [&claim]).unwrap().receipt(0);
        StoreResponse {
            success: true,
            stored_at: NOW,
            message_id: MessageId::new(7),
            expires_at: NOW,
            receipt_signature: receipt.to_bytes().into(),
            error: None,
        }
    };
    let good = answer(&relay.secret, claim);
    let bad = [
        answer(&person(8), claim),
        answer(
            &relay.secret,
            ReceiptClaim {
                recipient: key(&person(3)),
                ..claim
            },
        ),
        answer(
            &relay.secret,
            ReceiptClaim {
                sender: key(&person(3)),
                ..claim
            },
        ),
        answer(
            &relay.secret,
            ReceiptClaim {
                blob_hash: EnvelopeId::of(b"x"),
                ..claim
            },
        ),
        answer(
            &relay.secret,
            ReceiptClaim {
                message_id: MessageId::new(8),
                ..claim
            },
        ),
        StoreResponse {
            expires_at: UnixMillis::saturating(NOW.get() + 1),
            ..good.clone()
        },
        StoreResponse {
            stored_at: UnixMillis::ZERO,
            ..good.clone()
        },
        StoreResponse {
            receipt_signature: Default::default(),
            ..good.clone()
        },
    ];
    let mut outcome = |response: StoreResponse| {
        let store = client
            .machine
            .store(&client.secret, to_store(&bob, 7))
            .unwrap();
        let answer = RelayMessage::StoreResponse(response);
        tell(&mut client, &answer, store.req_id).unwrap().unwrap()
    };
    for response in bad {
        let event = outcome(response.clone());
        assert_eq!(refusal(&[event]), Some(ErrorCode::BadProof), "{response:?}");
    }
    assert!(matches!(outcome(good), RelayEvent::Stored { .. }));
}

#[test]
fn a_refusal_says_nothing_but_its_code() {
    let refused = StoreResponse::refused(MessageId::new(7), ErrorCode::Quota);
    let malformed = |response: StoreResponse| {
        RelayMessage::decode(&RelayMessage::StoreResponse(response).to_message(1)).is_err()
    };
    assert!(!malformed(refused.clone()));
    assert!(malformed(StoreResponse {
        success: true,
        ..refused.clone()
    }));
    assert!(malformed(StoreResponse {
        error: None,
        ..refused.clone()
    }));
    assert!(malformed(StoreResponse {
        stored_at: NOW,
        ..refused.clone()
    }));
    assert!(malformed(StoreResponse {
        expires_at: NOW,
        ..refused.clone()
    }));
    assert!(malformed(StoreResponse {
        receipt_signature: vec![1].into(),
        ..refused
    }));
}

#[test]
fn a_confirmation_counts_only_if_its_recipient_signed_it_for_this_sender() {
    let mut relay = Relay::new();
    let mut client = Client::registered(&mut relay, 1, Role::Sender);
    let (bob, own, id) = (person(2), key(&client.secret), MessageId::new(7));
    let good = Confirmation::sign(&bob, own, id, EnvelopeId::of(b""), NOW);
    let posing = Confirmation {
        delivered_to: key(&bob),
        ..Confirmation::sign(&relay.secret, own, id, EnvelopeId::of(b""), NOW)
    };
    let no_key = Confirmation {
        delivered_to: sremp_core::id::IdentityKey::new([0; 32]),
        ..good.clone()
    };
    let for_another = Confirmation::sign(&bob, key(&person(3)), id, EnvelopeId::of(b""), NOW);
    let list = vec![posing, good.clone(), no_key, for_another];
    let event = tell(&mut client, &RelayMessage::ConfirmationPush(list), 9);
    let expected = RelayEvent::Confirmations {
        req_id: 9,
        confirmations: vec![good],
        refused: vec![0, 2, 3],
    };
    assert_eq!(event, Ok(Some(expected)));
}

#[test]
fn pushed_items_come_in_the_order_of_their_cursors_and_under_the_last_subscription() {
    let mut relay = Relay::new();
    let mut client = Client::registered(&mut relay, 1, Role::Owner);
    let subscribe = |client: &mut Client| {
        let subscribe = Subscribe {
            after: Cursor::new(10),
            credit_items: 5,
            credit_bytes: 1 << 20,
        };
        client.machine.subscribe(subscribe).unwrap().req_id
    };
    let push = |client: &mut Client, cursor, req_id| {
        tell(client, &RelayMessage::StoredMessage(item(cursor)), req_id).map(|e| e.is_some())
    };
    let old = subscribe(&mut client);
    let new = subscribe(&mut client);
    assert_eq!(
        push(&mut client, 11, old),
        Ok(false),
        "of a subscription that is over"
    );
    assert_eq!(push(&mut client, 11, new), Ok(true));
    assert_eq!(push(&mut client, 20, new), Ok(true));
    for cursor in [20, 12, 10, 0] {
        assert_eq!(
            push(&mut client, cursor, new),
            Err(ErrorCode::ProtocolViolation)
        );
    }
    let superseded = tell(&mut client, &RelayMessage::Superseded, 0);
    assert_eq!(superseded, Ok(Some(RelayEvent::Superseded)));
    assert_eq!(push(&mut client, 21, new), Ok(false));
    assert_eq!(client.machine.open_requests(), 0);
}

/// A client that has subscribed from its beginning, and the number of its subscription.
fn subscribed(credit_items: u16, credit_bytes: u32) -> (Client, u32) {
    let mut client = Client::registered(&mut Relay::new(), 1, Role::Owner);
    let req_id = subscribe(&mut client, credit_items, credit_bytes);
    (client, req_id)
}

fn subscribe(client: &mut Client, credit_items: u16, credit_bytes: u32) -> u32 {
    let subscribe = Subscribe {
        after: Cursor::new(0),
        credit_items,
        credit_bytes,
    };
    client.machine.subscribe(subscribe).unwrap().req_id
}

/// Whether items with these cursors, of 1024 bytes each, may be pushed.
fn takes(client: &mut Client, req_id: u32, cursors: &[u64]) -> Vec<bool> {
    let push = |cursor: &u64| {
        let verdict = tell(client, &RelayMessage::StoredMessage(item(*cursor)), req_id);
        assert!(
            matches!(
                verdict,
                Ok(Some(RelayEvent::Item(_))) | Err(ErrorCode::ProtocolViolation)
            ),
            "{verdict:?}"
        );
        verdict.is_ok()
    };
    cursors.iter().map(push).collect()
}

#[test]
fn a_push_beyond_the_credit_ends_the_connection() {
    let (mut client, req_id) = subscribed(3, 1 << 20);
    let verdicts = takes(&mut client, req_id, &[1, 2, 3, 4]);
    assert_eq!(verdicts, [true, true, true, false]);

    // the first beyond the bytes may come, no other
    let (mut client, req_id) = subscribed(9, 1_500);
    assert_eq!(takes(&mut client, req_id, &[1, 2, 3]), [true, true, false]);
}

#[test]
fn what_a_relay_was_asked_to_delete_counts_against_the_credit_no_more() {
    let (mut client, req_id) = subscribed(3, 1 << 20);
    assert_eq!(takes(&mut client, req_id, &[1, 2, 3]), [true; 3]);
    let list = vec![client.confirmation_of(&item(1))];
    client.machine.confirm(list).unwrap();
    client.machine.discard(vec![Cursor::new(3)]).unwrap();
    // before it has answered
    let verdicts = takes(&mut client, req_id, &[4, 5, 6]);
    assert_eq!(verdicts, [true, true, false]);
}

#[test]
fn a_new_subscription_has_its_whole_credit() {
    let (mut client, req_id) = subscribed(2, 1 << 20);
    assert_eq!(takes(&mut client, req_id, &[1, 2]), [true; 2]);
    let req_id = subscribe(&mut client, 2, 1 << 20);
    assert_eq!(takes(&mut client, req_id, &[1, 2, 3]), [true, true, false]);
}

#[test]
fn what_was_named_before_it_is_pushed_anew_is_settled_by_the_answer() {
    let (mut client, _) = subscribed(4, 1 << 20);
    let list = [1, 2].map(|n| client.confirmation_of(&item(n))).to_vec();
    let confirm = client.machine.confirm(list).unwrap().req_id;
    let discard = client.machine.discard(vec![Cursor::new(3)]).unwrap().req_id;
    let req_id = subscribe(&mut client, 3, 1 << 20);
    assert_eq!(takes(&mut client, req_id, &[1, 2, 3]), [true; 3]);
    let confirmed = RelayMessage::Confirmed { refused: vec![1] };
    assert!(tell(&mut client, &confirmed, confirm).is_ok());
    assert!(tell(&mut client, &RelayMessage::Ok, discard).is_ok());
    // the one that was refused is still there
    let verdicts = takes(&mut client, req_id, &[4, 5, 6]);
    assert_eq!(verdicts, [true, true, false]);
}

#[test]
fn a_page_is_what_was_asked_for_and_leads_on() {
    let mut relay = Relay::new();
    let mut client = Client::registered(&mut relay, 1, Role::Owner);
    let mut verdict = |answer: &RelayMessage, alter: fn(&mut Retrieve)| {
        let req_id = retrieve(&mut client, alter);
        tell(&mut client, answer, req_id).is_ok()
    };
    let same = |_: &mut Retrieve| {};
    for good in [
        page(&[], false, 10),
        page(&[], true, 11),
        page(&[11, 12, 15], true, 15),
        page(&[11], false, 90),
    ] {
        assert!(verdict(&good, same), "{good:?}");
    }
    for bad in [
        page(&[10], false, 10),
        page(&[11, 11], false, 11),
        page(&[12, 11], false, 12),
        page(&[11, 12, 13, 14], false, 14),
        page(&[11, 12], false, 11),
        page(&[], true, 10),
        page(&[], false, 9),
    ] {
        assert!(!verdict(&bad, same), "{bad:?}");
    }
    assert!(verdict(&page(&[11], false, 11), |r| r.max_bytes = 1));
    assert!(!verdict(&page(&[11, 12], false, 12), |r| r.max_bytes = 2_047));
    assert!(!verdict(&page(&[11], false, 11), |r| r.since =
        UnixMillis::new(NOW.get() + 1)));
}

#[test]
fn more_refusals_than_confirmations_end_the_connection() {
    let mut relay = Relay::new();
    let mut client = Client::registered(&mut relay, 1, Role::Owner);
    let confirmation = client.confirmation_of(&item(1));
    for (refused, good) in [(vec![0, 1], true), (vec![2], false)] {
        let list = vec![confirmation.clone(); 2];
        let req_id = client.machine.confirm(list).unwrap().req_id;
        let verdict = tell(&mut client, &RelayMessage::Confirmed { refused }, req_id);
        assert_eq!(verdict.is_ok(), good);
    }
}

#[test]
fn no_more_requests_are_open_than_a_relay_has_to_take() {
    let mut relay = Relay::new();
    let mut client = Client::registered(&mut relay, 1, Role::Sender);
    let ask = |client: &mut Client| client.machine.prekey_get(key(&person(2)), None);
    for _ in 0..64 {
        ask(&mut client).unwrap();
    }
    assert!(ask(&mut client).is_err());
}
