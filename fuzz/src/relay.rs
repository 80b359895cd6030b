//! The messages of relays, and the machines of both sides.

use std::sync::OnceLock;

use sremp_core::{
    channel::{HandshakeHash, Message, TooManyRequests},
    constants::{ENVELOPE_BUCKETS, MAX_BATCH_ITEMS, MAX_CONFIRMATIONS, MAX_RECEIPT},
    id::EnvelopeId,
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    relay::{
        Capabilities, Confirmation, Cursor, MessageId, Receipt, RelayClient, RelayEvent,
        RelayMessage, Request, Retrieve, Role, SendersSet, ServerConnection, Subscribe, ToStore,
        proof::{Claimed, ReceiptClaim, check_claims},
    },
    time::UnixMillis,
};

use super::input::Input;

const NOW: UnixMillis = UnixMillis::saturating(1_760_000_000_000);
const H: HandshakeHash = HandshakeHash::new([3; 32]);
const CAPABILITIES: Capabilities = Capabilities {
    max_message_size: 61_440,
    max_storage_duration: 1,
};

fn secret(n: u8) -> SecretIdentity {
    let name = Username::parse("somebody").expect("a name");
    SecretIdentity::from_keys(&[n; 32], NoiseSecret::from_bytes(&[n; 32]), &name, NOW)
}

fn client() -> &'static SecretIdentity {
    static CLIENT: OnceLock<SecretIdentity> = OnceLock::new();
    CLIENT.get_or_init(|| secret(1))
}

fn relay() -> &'static SecretIdentity {
    static RELAY: OnceLock<SecretIdentity> = OnceLock::new();
    RELAY.get_or_init(|| secret(9))
}

/// Any MSG as a message of service 2: what decodes is what encodes to it.
pub fn relay_message(data: &[u8]) {
    let Ok(message) = Message::decode(data) else {
        return;
    };
    let Ok(decoded) = RelayMessage::decode(&message) else {
        return;
    };
    assert_eq!(decoded.to_message(message.req_id), message);
    match decoded {
        RelayMessage::MessageBatch(batch) => assert!(batch.messages.len() <= MAX_BATCH_ITEMS),
        RelayMessage::DeliveryConfirmation(list) | RelayMessage::ConfirmationPush(list) => {
            assert!((1..=MAX_CONFIRMATIONS).contains(&list.len()));
        }
        RelayMessage::StoreResponse(response) => {
            assert_eq!(response.success, response.error.is_none());
        }
        _ => {}
    }
}

/// Any bytes as a receipt. Nobody signs one by chance.
pub fn relay_receipt(data: &[u8]) {
    let Some(receipt) = Receipt::from_bytes(data) else {
        return;
    };
    assert_eq!(receipt.to_bytes(), data);
    assert!(data.len() <= MAX_RECEIPT);
    let claim = ReceiptClaim {
        sender: client().id().into(),
        recipient: client().id().into(),
        message_id: MessageId::new(1),
        blob_hash: EnvelopeId::of(data),
        stored_at: NOW,
        expires_at: NOW,
    };
    assert!(receipt.verify(&relay().id(), &claim).is_err());
}

/// A message of the script: a type, then a body.
fn next(input: &mut Input<'_>) -> Option<Message> {
    Some(Message {
        msg_type: input.u16()?,
        req_id: input.byte()?.into(),
        body: input.piece()?.to_vec(),
    })
}

/// Messages to a relay, by a connection in the role that the first byte chooses. What it lets
/// through is allowed in that role and, where it says so, signed by the peer.
pub fn relay_server(data: &[u8]) {
    let mut input = Input(data);
    let role = match input.byte().map(|b| b % 4) {
        Some(1) => Some(Role::Owner),
        Some(2) => Some(Role::Sender),
        Some(3) => Some(Role::Relay),
        _ => None,
    };
    let mut connection = ServerConnection::new(relay().id(), client().id(), H);
    if let Some(role) = role {
        connection.registered(role);
    }
    while let Some(message) = next(&mut input) {
        let Ok(request) = connection.handle(&message, NOW) else {
            continue;
        };
        match request {
            Request::Register(register) => {
                assert!(role.is_none());
                assert_eq!(register.identity, client().id().into());
            }
            Request::Store(store) => {
                assert!(matches!(role, Some(Role::Owner | Role::Sender)));
                assert!(ENVELOPE_BUCKETS.contains(&store.message.encrypted_blob.len()));
                let signed = Claimed::store(client().id(), &store.claim, *store.signature());
                let strictly = store.claim.verify(&client().id(), store.signature());
                assert_eq!(check_claims(&vec![signed; 5]), [strictly; 5]);
            }
            Request::PrekeyGet(_) => assert!(matches!(role, Some(Role::Owner | Role::Sender))),
            Request::Confirm { confirmations, .. } => {
                assert_eq!(role, Some(Role::Owner));
                let together = connection
                    .confirms(&message)
                    .expect("it is the same message");
                assert!(
                    confirmations
                        .iter()
                        .all(|good| together.list.contains(good))
                );
                for (_, confirmation) in confirmations {
                    assert_eq!(confirmation.verify(&client().id()), Ok(()));
                }
            }
            Request::HandOver { confirmations, .. } => {
                assert_eq!(role, Some(Role::Relay));
                let holds = |(_, c): &(u16, Confirmation)| c.verify_any().is_ok();
                assert!(confirmations.iter().all(holds));
            }
            Request::Taken => assert!(role.is_some()),
            _ => assert_eq!(role, Some(Role::Owner)),
        }
    }
}

/// A client that has asked for everything once: `req_id` 1 to 9.
fn asking() -> Result<RelayClient, TooManyRequests> {
    let (own, key) = (client(), client().id().into());
    let mut machine = RelayClient::new(own.id(), relay().id());
    machine.register(own, &H, Role::Owner, CAPABILITIES, None)?;
    machine.prekeys_put(None, vec![])?;
    machine.prekey_get(key, None)?;
    machine.senders_set(SendersSet::default())?;
    let store = ToStore {
        recipient: key,
        envelope: vec![7; 1024],
        message_id: MessageId::new(7),
        ttl: 60,
        reply_relay: None,
        intro: None,
    };
    machine.store(own, store)?;
    machine.subscribe(Subscribe {
        after: Cursor::new(10),
        credit_items: 9,
        credit_bytes: 9,
    })?;
    machine.retrieve(Retrieve {
        identity: key,
        since: None,
        after: Cursor::new(10),
        max_items: 2,
        max_bytes: 4096,
    })?;
    let blob = EnvelopeId::of(b"");
    let confirmation = Confirmation::sign(own, key, MessageId::new(7), blob, NOW);
    machine.confirm(vec![confirmation])?;
    assert_eq!(machine.discard(vec![Cursor::new(7)])?.req_id, 9);
    Ok(machine)
}

/// Messages of a relay to a client that waits for nine answers. Each is given at most once, in
/// order, and no receipt is believed.
pub fn relay_client(data: &[u8]) {
    let (mut machine, mut input) = (asking().expect("nine of 64"), Input(data));
    let (mut open, mut pushed) = (machine.open_requests(), 10);
    while let Some(message) = next(&mut input) {
        match machine.handle(&message) {
            Err(_) => return,
            Ok(None) => {}
            Ok(Some(RelayEvent::Item(item))) => {
                assert!(item.cursor.get() > pushed);
                pushed = item.cursor.get();
            }
            Ok(Some(RelayEvent::Stored { .. })) => panic!("nobody has signed that"),
            Ok(Some(RelayEvent::Confirmations { confirmations, .. })) => {
                let own = |c: &Confirmation| c.sender == client().id().into();
                assert!(confirmations.iter().all(own));
            }
            Ok(Some(RelayEvent::Batch { batch, .. })) => {
                assert!(batch.messages.len() <= 2 && batch.next.get() >= 10);
            }
            Ok(Some(_)) => {}
        }
        assert!(machine.open_requests() <= open);
        open = machine.open_requests();
    }
}
