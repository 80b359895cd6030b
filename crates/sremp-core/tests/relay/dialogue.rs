//! What happens when everybody keeps to the rules.

use sremp_core::{
    error::ErrorCode,
    relay::{
        Cursor, RelayClient, RelayEvent, Retrieve, Role, SendersSet, StoredMessage, Subscribe,
    },
    session::prekey::PrekeyBundle,
    time::UnixMillis,
};

use super::{
    session_support::{NOW, Person},
    world::*,
};

fn subscribe(items: u16) -> Subscribe {
    Subscribe {
        after: Cursor::default(),
        credit_items: items,
        credit_bytes: 1 << 20,
    }
}

fn items(events: Vec<RelayEvent>) -> Vec<StoredMessage> {
    let item = |event| match event {
        RelayEvent::Item(item) => Some(item),
        _ => None,
    };
    events.into_iter().filter_map(item).collect()
}

#[test]
fn a_message_is_stored_pushed_confirmed_and_the_sender_told() {
    let mut relay = Relay::new();
    let mut alice = Client::registered(&mut relay, 1, Role::Sender);
    let mut bob = Client::registered(&mut relay, 2, Role::Owner);

    let stored = alice.store(&mut relay, to_store(&bob.secret, 5));
    let [RelayEvent::Stored { claim, .. }] = stored.as_slice() else {
        panic!("{stored:?}")
    };
    assert_eq!(claim.stored_at, NOW);

    let ask = bob.machine.subscribe(subscribe(10)).unwrap();
    let got = items(bob.ask(&mut relay, &ask));
    assert_eq!(got[0].encrypted_blob, envelope(5));
    assert_eq!(got[0].sender, key(&alice.secret));
    let confirmation = bob.confirmation_of(&got[0]);
    let done = bob.confirm(&mut relay, vec![confirmation.clone()]);
    assert!(matches!(&done[..], [RelayEvent::Confirmed { refused, .. }] if refused.is_empty()));
    assert_eq!(relay.mailboxes[&key(&bob.secret)].waiting(), 0);

    // at the sender's next connection
    let mut alice = Client::connected(&relay, 1, 11);
    let events = alice.register(&mut relay, Role::Sender);
    let [
        RelayEvent::Granted(_),
        RelayEvent::Confirmations {
            req_id,
            confirmations,
            refused,
        },
    ] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!(
        (confirmations, refused.as_slice()),
        (&vec![confirmation], &[][..])
    );
    let taken = RelayClient::taken(*req_id, vec![]);
    assert!(alice.ask(&mut relay, &taken).is_empty());
    assert!(relay.waiting.is_empty());
}

#[test]
fn case_22_a_store_whose_answer_was_lost_gets_the_same_answer_again_and_arrives_once() {
    let mut relay = Relay::new();
    let mut alice = Client::registered(&mut relay, 1, Role::Sender);
    let mut bob = Client::registered(&mut relay, 2, Role::Owner);
    let claim = |events: Vec<RelayEvent>| match events.as_slice() {
        [RelayEvent::Stored { claim, .. }, ..] => *claim,
        _ => panic!("{events:?}"),
    };
    let first = claim(alice.store(&mut relay, to_store(&bob.secret, 5)));
    relay.now = NOW.plus(std::time::Duration::from_secs(7));
    assert_eq!(
        claim(alice.store(&mut relay, to_store(&bob.secret, 5))),
        first
    );

    let ask = bob.machine.subscribe(subscribe(10)).unwrap();
    let got = items(bob.ask(&mut relay, &ask));
    assert_eq!(got.len(), 1);
    let confirmation = bob.confirmation_of(&got[0]);
    bob.confirm(&mut relay, vec![confirmation.clone()]);
    // after the confirmation as well, and a repeated confirmation is no error
    assert_eq!(
        claim(alice.store(&mut relay, to_store(&bob.secret, 5))),
        first
    );
    let again = bob.confirm(&mut relay, vec![confirmation]);
    assert!(matches!(&again[..], [RelayEvent::Confirmed { refused, .. }] if refused.is_empty()));
    assert_eq!(relay.mailboxes[&key(&bob.secret)].waiting(), 0);
    assert_eq!(relay.waiting[&key(&alice.secret)].len(), 1);
}

#[test]
fn case_23_pages_of_seven_give_every_item_once_although_times_are_equal_and_run_backwards() {
    let mut relay = Relay::new();
    let mut alice = Client::registered(&mut relay, 1, Role::Sender);
    let mut bob = Client::registered(&mut relay, 2, Role::Owner);
    for n in 0..100 {
        relay.now = UnixMillis::saturating(NOW.get() - n / 10);
        alice.store(&mut relay, to_store(&bob.secret, n));
    }
    let (mut after, mut seen, mut stored) = (Cursor::default(), Vec::new(), 100);
    loop {
        if stored < 120 {
            alice.store(&mut relay, to_store(&bob.secret, stored));
            stored += 1;
        }
        let ask = bob.machine.retrieve(Retrieve {
            identity: key(&bob.secret),
            since: None,
            after,
            max_items: 7,
            max_bytes: 1 << 20,
        });
        let events = bob.ask(&mut relay, &ask.unwrap());
        let [RelayEvent::Batch { batch, .. }] = events.as_slice() else {
            panic!("{events:?}")
        };
        seen.extend(batch.messages.iter().map(|item| item.message_id.get()));
        after = batch.next;
        // meanwhile some are confirmed, with gaps
        for item in batch.messages.iter().step_by(2) {
            let confirmation = bob.confirmation_of(item);
            bob.confirm(&mut relay, vec![confirmation]);
        }
        if !batch.has_more {
            break;
        }
    }
    assert_eq!(seen, (0..stored).collect::<Vec<_>>());
}

#[test]
fn case_23_a_slow_reader_is_pushed_no_more_than_its_credits() {
    let mut relay = Relay::new();
    let mut alice = Client::registered(&mut relay, 1, Role::Sender);
    let mut bob = Client::registered(&mut relay, 2, Role::Owner);
    for n in 0..50 {
        alice.store(&mut relay, to_store(&bob.secret, n));
    }
    let ask = bob.machine.subscribe(subscribe(8)).unwrap();
    let mut got = items(bob.ask(&mut relay, &ask));
    assert_eq!(got.len(), 8);
    // one that cannot be read does not block the others
    for read in 0..50 {
        if read == 3 {
            continue;
        }
        let confirmation = bob.confirmation_of(&got[read]);
        got.extend(items(bob.confirm(&mut relay, vec![confirmation])));
    }
    let ids: Vec<u64> = got.iter().map(|item| item.message_id.get()).collect();
    assert_eq!(ids, (0..50).collect::<Vec<_>>());
    let discard = bob.machine.discard(vec![got[3].cursor]).unwrap();
    assert!(matches!(
        bob.ask(&mut relay, &discard)[..],
        [RelayEvent::Done { .. }]
    ));
    assert_eq!(relay.mailboxes[&key(&bob.secret)].waiting(), 0);
    assert_eq!(relay.waiting[&key(&alice.secret)].len(), 49);
}

#[test]
fn prekeys_are_kept_and_given_one_by_one_to_whoever_asks() {
    let mut relay = Relay::new();
    let mut bob = Person::new("bob", 3);
    let mut owner = Client::connected(&relay, 1, 1);
    owner.machine = RelayClient::new(bob.id(), relay.secret.id());
    owner.conn = relay.accept(bob.id(), hash(1));
    let register = owner
        .machine
        .register(&bob.identity, &hash(1), Role::Owner, WISHED, None);
    owner.ask(&mut relay, &register.unwrap());
    let otps: Vec<_> = (0..2).map(|_| bob.add_one_time_prekey(NOW)).collect();
    let public = otps
        .iter()
        .map(|id| bob.prekeys.one_time[id].public_bytes());
    let put = owner
        .machine
        .prekeys_put(Some(bob.bundle_bytes(None)), public.collect());
    let events = owner.ask(&mut relay, &put.unwrap());
    let [RelayEvent::Counts(counts)] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((counts.has_bundle, counts.otps), (true, 2));

    let mut alice = Client::registered(&mut relay, 7, Role::Sender);
    for expected in [true, true, false] {
        let get = alice.machine.prekey_get(bob.id().into(), None).unwrap();
        let events = alice.ask(&mut relay, &get);
        let [RelayEvent::Bundle { bundle, .. }] = events.as_slice() else {
            panic!("{events:?}")
        };
        let bundle = PrekeyBundle::verify(bundle, &bob.id(), NOW).unwrap();
        assert_eq!(bundle.has_one_time_prekey(), expected);
    }
    let get = alice.machine.prekey_get(key(&alice.secret), None).unwrap();
    assert_eq!(
        refusal(&alice.ask(&mut relay, &get)),
        Some(ErrorCode::NoPrekey)
    );
}

#[test]
fn case_24_an_unknown_mailbox_and_a_blocked_sender_get_the_same_answer() {
    let mut relay = Relay::new();
    let mut alice = Client::registered(&mut relay, 1, Role::Sender);
    let mut bob = Client::registered(&mut relay, 2, Role::Owner);
    let set = SendersSet {
        block: vec![key(&alice.secret)],
        ..SendersSet::default()
    };
    let set = bob.machine.senders_set(set).unwrap();
    assert!(matches!(
        bob.ask(&mut relay, &set)[..],
        [RelayEvent::Done { .. }]
    ));
    let mut answer = |to: &_, req_id| {
        let mut store = alice.machine.store(&alice.secret, to_store(to, 1)).unwrap();
        store.req_id = req_id;
        relay.answer(&mut alice.conn, &store)
    };
    assert_eq!(answer(&bob.secret, 5), answer(&person(66), 5));
}

#[test]
fn a_relay_hands_confirmations_over_to_the_relay_of_the_sender() {
    let mut home = Relay::new();
    home.secret = person(8);
    let mut other = Client::registered(&mut home, 9, Role::Relay);
    let (alice, bob) = (person(1), Client::connected(&home, 2, 2));
    Client::registered(&mut home, 1, Role::Owner);
    let confirmed = |sender: &_| {
        bob.confirmation_of(&StoredMessage {
            message_id: sremp_core::relay::MessageId::new(4),
            sender: key(sender),
            timestamp: NOW,
            encrypted_blob: envelope(4).into(),
            cursor: Cursor::new(1),
        })
    };
    let mut forged = confirmed(&alice);
    forged.timestamp = UnixMillis::ZERO;
    let list = vec![confirmed(&alice), forged, confirmed(&person(3))];
    let message = other.machine.hand_over(list).unwrap();
    let events = other.ask(&mut home, &message);
    let [RelayEvent::Confirmed { refused, .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(refused, &[1, 2], "a forged one, and one for nobody here");
    assert_eq!(home.waiting[&key(&alice)], [confirmed(&alice)]);
}
