//! A relay over real sockets: what an honest client gets, and what a hostile one does not.
#![allow(missing_docs)]

mod addresses;
mod admission;
mod bounds;
mod chunks;
mod committing;
mod documents;
mod forwarding;
mod hostile;

mod peer;
mod relay;
mod rogue;
mod secrets;
mod transport;

use peer::{Peer, envelope, someone, to_store, wished};
use relay::{Relay, open_config};
use sremp_core::{
    error::ErrorCode,
    id::EnvelopeId,
    relay::{
        Confirmation, Cursor, IntroEntry, IntroHash, RelayEvent, RelayMessage, Retrieve, Role,
        SendersSet, proof,
    },
};

fn refused(event: &RelayEvent) -> Option<ErrorCode> {
    match event {
        RelayEvent::Refused { code, .. } => ErrorCode::from_u16(*code),
        _ => None,
    }
}

fn is_stored(event: &RelayEvent) -> bool {
    matches!(event, RelayEvent::Stored { .. })
}

/// Lets `sender` write beyond the request class.
async fn accept(owner: &mut Peer, sender: &Peer) {
    let set = SendersSet {
        accept: vec![sender.key()],
        ..SendersSet::default()
    };
    let message = owner.machine.senders_set(set).unwrap();
    let done = owner.ask(message).await;
    assert!(matches!(done, RelayEvent::Done { .. }), "{done:?}");
}

#[tokio::test]
async fn a_message_waits_for_its_reader_and_the_confirmation_for_its_sender() {
    let relay = Relay::start().await;
    let ben = Peer::owner(relay.link()).await;
    let (ben_own, key) = (ben.own.to_parts(), ben.key());
    ben.leave().await;
    let mut ann = Peer::sender(relay.link()).await;
    let envelopes: Vec<_> = (0..3).map(|_| envelope()).collect();
    for envelope in &envelopes {
        assert!(is_stored(&ann.store(key, envelope.clone()).await));
    }
    let ann_own = ann.own.to_parts();
    ann.leave().await;

    let ben = sremp_core::identity::SecretIdentity::from_parts(&ben_own).unwrap();
    let mut ben = Peer::registered(ben, relay.link(), Role::Owner).await;
    ben.subscribe(Cursor::START, 32).await;
    let mut list = Vec::new();
    for envelope in &envelopes {
        let item = ben.item().await;
        assert_eq!(item.encrypted_blob, *envelope, "in order");
        list.push(ben.confirmation(&item));
    }
    assert!(ben.confirm(list).await.is_empty());

    let ann = sremp_core::identity::SecretIdentity::from_parts(&ann_own).unwrap();
    let mut ann = Peer::registered(ann, relay.link(), Role::Sender).await;
    let confirmed = ann.confirmations().await;
    let hashes: Vec<_> = confirmed.iter().map(|c| c.blob_hash).collect();
    let sent: Vec<_> = envelopes.iter().map(|e| EnvelopeId::of(e)).collect();
    assert_eq!(hashes, sent);
}

#[tokio::test]
async fn a_reader_who_is_there_gets_it_at_once_and_the_sender_hears_of_it() {
    let relay = Relay::start().await;
    let mut ben = Peer::owner(relay.link()).await;
    let mut ann = Peer::sender(relay.link()).await;
    ben.subscribe(Cursor::START, 32).await;
    for _ in 0..5 {
        assert!(is_stored(&ann.store(ben.key(), envelope()).await));
        let item = ben.item().await;
        let confirmation = ben.confirmation(&item);
        assert!(ben.confirm(vec![confirmation.clone()]).await.is_empty());
        assert_eq!(ann.confirmations().await, [confirmation]);
    }
    assert!(ann.is_quiet().await);
}

#[tokio::test]
async fn case_21_a_proof_of_another_connection_relay_key_or_role_registers_nobody() {
    let relay = Relay::start().await;
    let other = Relay::start().await;
    let mut ann = Peer::connect(someone(), relay.link()).await;
    let elsewhere = Peer::connect(someone(), relay.link()).await;
    let register = |identity, auth_signature, role| {
        RelayMessage::Register(sremp_core::relay::Register {
            identity,
            auth_signature,
            capabilities: wished(),
            role,
            invite: None,
        })
    };
    let own = &ann.own;
    let (here, there) = (relay.link().relay(), other.link().relay());
    let owner = Role::Owner;
    let forged = [
        register(
            ann.key(),
            proof::sign_auth(own, &here, &elsewhere.h, owner),
            owner,
        ),
        register(
            ann.key(),
            proof::sign_auth(own, &there, &ann.h, owner),
            owner,
        ),
        register(
            ann.key(),
            proof::sign_auth(own, &here, &ann.h, Role::Sender),
            owner,
        ),
        register(
            elsewhere.key(),
            proof::sign_auth(&elsewhere.own, &here, &ann.h, owner),
            owner,
        ),
    ];
    for (n, message) in forged.into_iter().enumerate() {
        // the machine knows of no request, so the answer is looked at by itself
        let asked = ann.machine.prekey_get(ann.key(), None).unwrap();
        let event = ann.ask(message.to_message(asked.req_id)).await;
        assert_eq!(refused(&event), Some(ErrorCode::Auth), "{n}");
    }
    let event = ann.store(elsewhere.key(), envelope()).await;
    assert_eq!(
        refused(&event),
        Some(ErrorCode::Auth),
        "nothing before that"
    );
    assert!(matches!(
        ann.register(owner, None).await,
        RelayEvent::Granted(_)
    ));
}

#[tokio::test]
async fn case_22_a_store_that_comes_again_is_answered_as_the_first_and_delivered_once() {
    let mut relay = Relay::start().await;
    let mut ben = Peer::owner(relay.link()).await;
    let mut ann = Peer::sender(relay.link()).await;
    let store = to_store(ben.key(), envelope());
    let RelayEvent::Stored { claim: first, .. } = ann.store_this(store.clone()).await else {
        panic!();
    };
    let again = |event| match event {
        RelayEvent::Stored { claim, .. } => claim,
        other => panic!("{other:?}"),
    };
    assert_eq!(again(ann.store_this(store.clone()).await), first);
    let (ann_own, ben_own) = (ann.own.to_parts(), ben.own.to_parts());
    relay.restart().await;
    let identity = |parts| sremp_core::identity::SecretIdentity::from_parts(parts).unwrap();
    ann = Peer::registered(identity(&ann_own), relay.link(), Role::Sender).await;
    ben = Peer::registered(identity(&ben_own), relay.link(), Role::Owner).await;
    assert_eq!(
        again(ann.store_this(store.clone()).await),
        first,
        "after a restart"
    );

    ben.subscribe(Cursor::START, 32).await;
    let item = ben.item().await;
    let confirmation = ben.confirmation(&item);
    assert!(ben.confirm(vec![confirmation.clone()]).await.is_empty());
    assert_eq!(ann.confirmations().await.len(), 1);
    assert_eq!(
        again(ann.store_this(store.clone()).await),
        first,
        "after it was read"
    );
    assert!(
        ben.confirm(vec![confirmation]).await.is_empty(),
        "idempotent"
    );
    assert!(ben.is_quiet().await, "delivered once");

    let other = sremp_core::relay::ToStore {
        envelope: envelope(),
        ..store
    };
    let event = ann.store_this(other).await;
    assert_eq!(refused(&event), Some(ErrorCode::Conflict));
}

#[tokio::test]
async fn case_23_pages_give_each_item_once_while_more_come_and_some_go() {
    let relay = Relay::start().await;
    let mut ben = Peer::owner(relay.link()).await;
    let mut ann = Peer::sender(relay.link()).await;
    accept(&mut ben, &ann).await;
    let mut sent = Vec::new();
    for _ in 0..60 {
        sent.push(envelope());
        assert!(is_stored(
            &ann.store(ben.key(), sent.last().unwrap().clone()).await
        ));
    }
    let (mut after, mut got, mut pages) = (Cursor::START, Vec::new(), 0);
    loop {
        let retrieve = Retrieve {
            identity: ben.key(),
            since: None,
            after,
            max_items: 7,
            max_bytes: 1024 * 1024,
        };
        let message = ben.machine.retrieve(retrieve).unwrap();
        let RelayEvent::Batch { batch, .. } = ben.ask(message).await else {
            panic!();
        };
        after = batch.next;
        if pages % 3 == 0 {
            sent.push(envelope());
            assert!(is_stored(
                &ann.store(ben.key(), sent.last().unwrap().clone()).await
            ));
            // a gap behind what was read
            let cursors = batch.messages.iter().map(|m| m.cursor).take(2).collect();
            let message = ben.machine.discard(cursors).unwrap();
            assert!(matches!(ben.ask(message).await, RelayEvent::Done { .. }));
        }
        got.extend(
            batch
                .messages
                .into_iter()
                .map(|m| m.encrypted_blob.into_vec()),
        );
        pages += 1;
        if !batch.has_more && got.len() == sent.len() {
            break;
        }
    }
    assert_eq!(got, sent);
    let beyond = Retrieve {
        identity: ben.key(),
        since: None,
        after: Cursor::new(u64::MAX),
        max_items: 7,
        max_bytes: 1024,
    };
    let message = ben.machine.retrieve(beyond).unwrap();
    assert_eq!(refused(&ben.ask(message).await), Some(ErrorCode::Cursor));
}

#[tokio::test]
async fn case_23_the_last_subscriber_reads_and_the_first_is_told() {
    let relay = Relay::start().await;
    let mut first = Peer::owner(relay.link()).await;
    first.subscribe(Cursor::START, 32).await;
    assert!(first.is_quiet().await);
    let own = sremp_core::identity::SecretIdentity::from_parts(&first.own.to_parts()).unwrap();
    let mut second = Peer::registered(own, relay.link(), Role::Owner).await;
    second.subscribe(Cursor::START, 32).await;
    assert!(matches!(first.event().await, RelayEvent::Superseded));
    let mut ann = Peer::sender(relay.link()).await;
    assert!(is_stored(&ann.store(second.key(), envelope()).await));
    second.item().await;
    assert!(first.is_quiet().await);
}

#[tokio::test]
async fn case_23_no_more_than_the_credits_is_pushed_and_what_cannot_be_read_blocks_nothing() {
    let relay = Relay::start().await;
    let mut ben = Peer::owner(relay.link()).await;
    let mut ann = Peer::sender(relay.link()).await;
    accept(&mut ben, &ann).await;
    for _ in 0..10 {
        assert!(is_stored(&ann.store(ben.key(), envelope()).await));
    }
    ben.subscribe(Cursor::START, 4).await;
    let mut items = Vec::new();
    for _ in 0..4 {
        items.push(ben.item().await);
    }
    assert!(ben.is_quiet().await);
    // one of them is garbage to its reader
    let message = ben.machine.discard(vec![items[1].cursor]).unwrap();
    let mut done = false;
    let mut more = Vec::new();
    ben.send(message);
    while !done || more.is_empty() {
        match ben.event().await {
            RelayEvent::Done { .. } => done = true,
            RelayEvent::Item(item) => more.push(item),
            other => panic!("{other:?}"),
        }
    }
    assert!(ben.is_quiet().await, "one was settled, one came");
    let rest: Vec<Confirmation> = [&items[0], &items[2], &items[3], &more[0]]
        .map(|item| ben.confirmation(item))
        .to_vec();
    let message = ben.machine.confirm(rest).unwrap();
    ben.send(message);
    let mut confirmed = false;
    while !confirmed || more.len() < 5 {
        match ben.event().await {
            RelayEvent::Confirmed { refused, .. } => confirmed = refused.is_empty(),
            RelayEvent::Item(item) => more.push(item),
            other => panic!("{other:?}"),
        }
    }
    assert!(ben.is_quiet().await);
}

#[tokio::test]
async fn case_24_what_may_not_be_stored_is_refused_and_nothing_else_is_said() {
    let relay = Relay::start().await;
    let mut ben = Peer::owner(relay.link()).await;
    let mut ann = Peer::sender(relay.link()).await;
    let event = ann.store(someone().id().into(), envelope()).await;
    assert_eq!(refused(&event), Some(ErrorCode::Denied), "unknown mailbox");
    let event = ann.store(ben.key(), vec![1; 61_441]).await;
    assert_eq!(refused(&event), Some(ErrorCode::TooLarge));
    let event = ann.store(ben.key(), vec![1; 1_025]).await;
    assert_eq!(
        refused(&event),
        Some(ErrorCode::TooLarge),
        "no size of envelopes"
    );
    let block = SendersSet {
        block: vec![ann.key()],
        ..SendersSet::default()
    };
    let message = ben.machine.senders_set(block).unwrap();
    ben.ask(message).await;
    let event = ann.store(ben.key(), envelope()).await;
    assert_eq!(refused(&event), Some(ErrorCode::Denied), "blocked");

    // a signature over something else
    let mut eve = Peer::sender(relay.link()).await;
    let mut message = eve
        .machine
        .store(&eve.own, to_store(ben.key(), envelope()))
        .unwrap();
    let RelayMessage::Store(mut store) = RelayMessage::decode(&message).unwrap() else {
        panic!();
    };
    store.ttl += 1;
    message = RelayMessage::Store(store).to_message(message.req_id);
    assert_eq!(refused(&eve.ask(message).await), Some(ErrorCode::BadProof));
}

#[tokio::test]
async fn case_24_strangers_share_a_class_and_a_token_is_burnt_by_the_first_message() {
    let relay = Relay::start().await;
    let mut ben = Peer::owner(relay.link()).await;
    let mut ann = Peer::sender(relay.link()).await;
    for _ in 0..64 {
        assert!(is_stored(&ann.store(ben.key(), envelope()).await));
    }
    let event = ann.store(ben.key(), envelope()).await;
    assert_eq!(
        refused(&event),
        Some(ErrorCode::Quota),
        "the 65th of strangers"
    );
    let mut eve = Peer::sender(relay.link()).await;
    let event = eve.store(ben.key(), envelope()).await;
    assert_eq!(
        refused(&event),
        Some(ErrorCode::Quota),
        "all of them together"
    );

    let token = sremp_core::id::IntroToken::new([7; 16]);
    let hash = *sremp_relay::mailbox::IntroHash::of(&token).as_bytes();
    let set = SendersSet {
        intro: Some(vec![IntroEntry {
            hash: IntroHash::new(hash),
            one_time: true,
        }]),
        ..SendersSet::default()
    };
    let message = ben.machine.senders_set(set).unwrap();
    ben.ask(message).await;
    let with_token = |envelope| sremp_core::relay::ToStore {
        intro: Some(token),
        ..to_store(ben.key(), envelope)
    };
    assert!(is_stored(&eve.store_this(with_token(envelope())).await));
    let event = eve.store_this(with_token(envelope())).await;
    assert_eq!(refused(&event), Some(ErrorCode::Quota), "burnt");
}

#[tokio::test]
async fn case_24_a_confirmation_that_is_not_the_readers_deletes_nothing() {
    let relay = Relay::start().await;
    let mut ben = Peer::owner(relay.link()).await;
    let mut ann = Peer::sender(relay.link()).await;
    let mut eve = Peer::owner(relay.link()).await;
    assert!(is_stored(&ann.store(ben.key(), envelope()).await));
    ben.subscribe(Cursor::START, 32).await;
    let item = ben.item().await;
    let good = ben.confirmation(&item);
    let wrong_hash = Confirmation {
        blob_hash: EnvelopeId::of(b"x"),
        ..good.clone()
    };
    let signed_wrong_hash = Confirmation::sign(
        &ben.own,
        item.sender,
        item.message_id,
        EnvelopeId::of(b"x"),
        good.timestamp,
    );
    let by_eve = eve.confirmation(&item);
    assert_eq!(
        ben.confirm(vec![wrong_hash, signed_wrong_hash, by_eve.clone()])
            .await,
        [0, 1, 2]
    );
    assert_eq!(eve.confirm(vec![by_eve, good.clone()]).await, [0, 1]);
    assert!(ann.is_quiet().await);
    assert!(
        ben.confirm(vec![good]).await.is_empty(),
        "the item was kept"
    );
    assert_eq!(ann.confirmations().await.len(), 1);
}

/// Of several in one request, which are checked in one equation, and then of a connection that has
/// signed badly before, whose are checked one by one.
#[tokio::test]
async fn a_bad_confirmation_among_good_ones_is_the_only_one_refused() {
    let relay = Relay::start().await;
    let mut ben = Peer::owner(relay.link()).await;
    let mut ann = Peer::sender(relay.link()).await;
    ben.subscribe(Cursor::START, 32).await;
    for time in 0..2 {
        let mut list = Vec::new();
        for _ in 0..4 {
            assert!(is_stored(&ann.store(ben.key(), envelope()).await));
            let item = ben.item().await;
            list.push(ben.confirmation(&item));
        }
        let good = list[2].clone();
        list[2].timestamp = list[2].timestamp.plus(std::time::Duration::from_millis(1));
        assert_eq!(ben.confirm(list).await, [2], "time {time}");
        assert_eq!(ann.confirmations().await.len(), 3);
        assert!(ben.confirm(vec![good]).await.is_empty(), "it was kept");
        assert_eq!(ann.confirmations().await.len(), 1);
    }
}

#[tokio::test]
async fn a_confirmation_crosses_to_the_senders_own_relay() {
    let relay = Relay::start().await;
    let home = Relay::start().await;
    let mut ben = Peer::owner(relay.link()).await;
    let mut ann_at_home = Peer::owner(home.link()).await;
    let own = sremp_core::identity::SecretIdentity::from_parts(&ann_at_home.own.to_parts());
    let mut ann = Peer::registered(own.unwrap(), relay.link(), Role::Sender).await;
    let reply = sremp_core::relay::ReplyRelay {
        relay: home.link().relay().into(),
        host: home.link().endpoint().host().to_owned(),
        port: home.link().endpoint().port(),
    };
    let store = |key, reply: &sremp_core::relay::ReplyRelay| sremp_core::relay::ToStore {
        reply_relay: Some(reply.clone()),
        ..to_store(key, envelope())
    };
    ben.subscribe(Cursor::START, 32).await;
    assert!(is_stored(&ann.store_this(store(ben.key(), &reply)).await));
    let item = ben.item().await;
    let confirmation = ben.confirmation(&item);
    ben.confirm(vec![confirmation.clone()]).await;
    let confirmations = [confirmation];
    assert_eq!(ann_at_home.confirmations().await, confirmations);
    assert_eq!(ann.confirmations().await, confirmations, "in person too");
}

#[tokio::test]
async fn who_has_no_invite_gets_no_mailbox_but_may_write() {
    let mut config = open_config();
    config.policy = sremp_relay::config::Policy::Invite;
    let relay = Relay::with(config).await;
    let mut eve = Peer::connect(someone(), relay.link()).await;
    let event = eve.register(Role::Owner, None).await;
    assert_eq!(refused(&event), Some(ErrorCode::InviteRequired));
    let invite = relay.invite();
    let mut ben = Peer::connect(someone(), relay.link()).await;
    assert!(matches!(
        ben.register(Role::Owner, Some(invite.clone())).await,
        RelayEvent::Granted(_)
    ));
    let event = eve.register(Role::Owner, Some(invite)).await;
    assert_eq!(refused(&event), Some(ErrorCode::InviteRequired), "used");
    assert!(matches!(
        eve.register(Role::Sender, None).await,
        RelayEvent::Granted(_)
    ));
    assert!(is_stored(&eve.store(ben.key(), envelope()).await));
    let parts = ben.own.to_parts();
    let own = sremp_core::identity::SecretIdentity::from_parts(&parts).unwrap();
    let mut again = Peer::connect(own, relay.link()).await;
    assert!(
        matches!(
            again.register(Role::Owner, None).await,
            RelayEvent::Granted(_)
        ),
        "once is enough"
    );
}
