//! What a server does with clients that lie.

use std::time::Duration;

use serde_bytes::ByteBuf;
use sremp_core::{
    channel::Message,
    error::ErrorCode,
    key::NoiseSecret,
    rendezvous::{
        Record, RecordDraft, Register, RendezvousClient, RendezvousEvent, RendezvousMessage,
        ServerConnection, dialled_back, frame::encode, proof,
    },
    signature::SignatureLabel,
    time::UnixMillis,
};

use super::world::*;

fn register(of: &Client, record: &Record, connection: u8) -> Register {
    Register {
        identity: ByteBuf::from(of.secret.identity().as_bytes()),
        record: ByteBuf::from(record.as_bytes()),
        signature: *record.signature(),
        proof: proof::sign(&of.secret, &exporter(connection), record),
    }
}

fn verdict(register: &Register, connection: u8, now: UnixMillis) -> Option<ErrorCode> {
    let machine = ServerConnection::new(exporter(connection));
    machine.check(register, now).err()
}

#[test]
fn case_21_a_registration_is_good_on_the_connection_for_which_it_was_signed_and_on_no_other() {
    let alice = Client::connected(1, 1);
    let good = register(&alice, &record(&alice.secret, 5), 1);
    assert_eq!(verdict(&good, 1, NOW), None);
    assert_eq!(verdict(&good, 2, NOW), Some(ErrorCode::BadProof));
}

#[test]
fn case_21_an_identity_that_is_kept_needs_no_check_and_another_of_the_same_key_does() {
    let (mut alice, mut server) = (Client::connected(1, 1), Server::new());
    let kept = entry(&alice.secret, &record(&alice.secret, 5));
    server.directory.put(kept).unwrap();
    let machine = ServerConnection::new(exporter(1));
    let check = |register: &Register, asked: &mut bool| {
        let checked = machine.check_known(register, NOW, |key| {
            let known = server.directory.knows(key, &register.identity);
            *asked = known;
            known
        });
        checked.err()
    };
    let mut known = false;
    let good = register(&alice, &record(&alice.secret, 6), 1);
    assert_eq!(check(&good, &mut known), None);
    assert!(known);
    // a byte of the signature, and a document that is newer
    let mut forged = good.clone();
    if let Some(last) = forged.identity.last_mut() {
        *last ^= 1;
    }
    assert_eq!(check(&forged, &mut known), Some(ErrorCode::BadProof));
    assert!(!known);
    let other = NoiseSecret::from_bytes(&[9; 32]);
    alice.secret = alice.secret.with_noise_key(other, NOW).unwrap();
    let newer = register(&alice, &record(&alice.secret, 7), 1);
    assert_eq!(check(&newer, &mut known), None);
    assert!(!known);
    // the rest is checked all the same
    let mut replayed = good;
    replayed.proof = newer.proof;
    assert_eq!(check(&replayed, &mut known), Some(ErrorCode::BadProof));
}

#[test]
fn case_21_nobody_is_registered_by_others_or_in_other_words() {
    let (alice, mallory) = (Client::connected(1, 1), Client::connected(2, 1));
    let signed = record(&alice.secret, 5);
    let good = register(&alice, &signed, 1);
    let by_mallory = register(&mallory, &record(&mallory.secret, 5), 1);
    let forged = |alter: &dyn Fn(&mut Register)| {
        let mut forged = good.clone();
        alter(&mut forged);
        verdict(&forged, 1, NOW)
    };
    let refused = Some(ErrorCode::BadProof);
    assert_eq!(
        forged(&|r| r.identity = by_mallory.identity.clone()),
        refused
    );
    assert_eq!(forged(&|r| r.record = by_mallory.record.clone()), refused);
    assert_eq!(forged(&|r| r.signature = by_mallory.signature), refused);
    assert_eq!(forged(&|r| r.proof = by_mallory.proof), refused);
    assert_eq!(forged(&|r| r.proof = r.signature), refused, "case_09");
    assert_eq!(forged(&|r| r.signature = r.proof), refused, "case_09");
    let unlabelled = alice.secret.sign(SignatureLabel::Card, signed.as_bytes());
    assert_eq!(forged(&|r| r.signature = unlabelled), refused);
    for at in 0..good.record.len() {
        assert_eq!(forged(&|r| r.record[at] ^= 1), refused, "record byte {at}");
    }
    for at in 0..good.identity.len() {
        assert_eq!(
            forged(&|r| r.identity[at] ^= 1),
            refused,
            "identity byte {at}"
        );
    }
}

#[test]
fn case_21_an_older_or_equal_seq_with_other_words_is_refused() {
    let mut server = Server::new();
    let mut alice = Client::connected(1, 1);
    alice.register(&mut server, &record(&person(1), 5));
    let kept = server.directory.entry(&person(1).id().into());
    let other = RecordDraft {
        ttl: HOUR / 2,
        ..draft(5)
    };
    for stale in [
        record(&person(1), 4),
        Record::sign(&person(1), other).unwrap(),
    ] {
        let refused = alice.register(&mut server, &stale);
        assert_eq!(refusal(&refused), Some(ErrorCode::StaleSeq));
        let now = server.directory.entry(&person(1).id().into());
        assert_eq!(now, kept, "nothing has changed");
    }
}

#[test]
fn a_record_of_another_time_is_refused_but_clocks_may_differ_by_five_minutes() {
    let alice = Client::connected(1, 1);
    let good = register(&alice, &record(&alice.secret, 5), 1);
    let skew = Duration::from_secs(300);
    let tick = Duration::from_millis(1);
    let expired = Some(ErrorCode::Expired);
    assert_eq!(verdict(&good, 1, NOW.minus(skew)), None);
    assert_eq!(verdict(&good, 1, NOW.minus(skew + tick)), expired);
    assert_eq!(verdict(&good, 1, NOW.plus(HOUR + skew)), None);
    assert_eq!(verdict(&good, 1, NOW.plus(HOUR + skew + tick)), expired);
    let ahead = record(&alice.secret, NOW.plus(skew).get());
    assert_eq!(verdict(&register(&alice, &ahead, 1), 1, NOW), None);
    let far_ahead = record(&alice.secret, NOW.plus(skew + tick).get());
    assert_eq!(verdict(&register(&alice, &far_ahead, 1), 1, NOW), expired);
}

#[test]
fn a_connection_is_one_persons() {
    let mut server = Server::new();
    let mut alice = Client::connected(1, 1);
    alice.register(&mut server, &record(&person(1), 5));
    alice.secret = person(2);
    let second = alice.register(&mut server, &record(&person(2), 5));
    assert_eq!(refusal(&second), Some(ErrorCode::NotAllowed));
}

#[test]
fn case_25_endpoints_and_relays_inside_are_neither_kept_nor_dialled() {
    let mut server = Server::new();
    let own = "9.9.9.9:33399";
    for inside in [
        "127.0.0.1:33399",
        "10.0.0.1:33399",
        "[::ffff:10.0.0.1]:33399",
        "[fe80::1]:33399",
        "224.0.0.1:33399",
        "100.64.0.1:33399",
        "[64:ff9b::a00:1]:33399",
        "[2002:a00:1::]:33399",
        "[2001:0:a00:1::]:33399",
        "9.9.9.9:25",
        "mail.example:25",
    ] {
        let mut alice = Client::connected(1, 1);
        let bad = RecordDraft {
            endpoints: vec![own.parse().unwrap(), inside.parse().unwrap()],
            ..draft(5)
        };
        let refused = alice.register(&mut server, &Record::sign(&person(1), bad).unwrap());
        assert_eq!(refusal(&refused), Some(ErrorCode::NotAllowed), "{inside}");
        let relay = sremp_core::contact_card::RelayHint {
            relay: person(9).id(),
            endpoint: inside.parse().unwrap(),
            priority: 0,
        };
        let bad = RecordDraft {
            relays: vec![relay],
            ..draft(5)
        };
        let refused = alice.register(&mut server, &Record::sign(&person(1), bad).unwrap());
        assert_eq!(refusal(&refused), Some(ErrorCode::NotAllowed), "{inside}");
    }
    assert!(server.directory.is_empty());
    assert_eq!(server.dialled, []);
}

#[test]
fn case_25_a_name_with_one_address_inside_is_not_dialled_at_all() {
    let addresses = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect::<Vec<_>>();
    let public = addresses(&["9.9.9.9:33399", "[2606:4700::1]:33399"]);
    let mixed = addresses(&["9.9.9.9:33399", "127.0.0.1:33399"]);
    assert_eq!(dialled_back(&public, false), Ok(()));
    assert_eq!(dialled_back(&mixed, false), Err(ErrorCode::NotAllowed));
    assert_eq!(dialled_back(&mixed, true), Ok(()), "on a LAN that is meant");
}

#[test]
fn only_the_endpoints_elsewhere_are_dialled_back() {
    let alice = Client::connected(1, 1);
    let draft = RecordDraft {
        endpoints: [
            "9.9.9.9:1024",
            "9.9.9.9:443",
            "9.9.9.8:33399",
            "a.example:443",
        ]
        .map(|at| at.parse().unwrap())
        .to_vec(),
        ..draft(5)
    };
    let signed = Record::sign(&alice.secret, draft).unwrap();
    let machine = ServerConnection::new(exporter(1));
    let registration = machine.check(&register(&alice, &signed, 1), NOW).unwrap();
    let mapped = "::ffff:9.9.9.9".parse().unwrap();
    for source in [SOURCE, mapped] {
        let back = registration.to_dial_back(source, false).unwrap();
        assert_eq!(back, signed.endpoints()[2..]);
    }
}

#[test]
fn case_07_a_body_that_is_not_exact_closes_the_connection_with_a_word() {
    let mut server = Server::new();
    let mut alice = Client::connected(1, 1);
    let signed = record(&person(1), 5);
    let requests = [
        alice.machine.register(&alice.secret, &signed).unwrap(),
        alice.machine.lookup(person(2).id(), None).unwrap(),
        alice.machine.page(None).unwrap(),
        alice.machine.servers(None).unwrap(),
        alice.machine.address().unwrap(),
    ];
    for good in requests {
        let mut trailing = good.clone();
        trailing.body.push(0);
        let mut longer = trailing.clone();
        longer.body[0] += 1;
        longer.body.push(0xc0);
        for bad in [trailing, longer] {
            let mut conn = Conn::new(1);
            let answer = server.answer(&mut conn, &encode(&bad));
            let last_word = RendezvousMessage::Error(ErrorCode::ProtocolViolation.into());
            assert_eq!(answer, encode(&last_word.to_message(0)), "{bad:?}");
            assert_eq!(conn.closed, Some(ErrorCode::ProtocolViolation));
            let mut client = RendezvousClient::new(exporter(1));
            let told = client.handle(&last_word.to_message(0), NOW);
            assert_eq!(told, Err(ErrorCode::ProtocolViolation));
        }
    }
}

#[test]
fn a_frame_that_is_longer_than_any_request_ends_the_connection_before_its_body() {
    let mut server = Server::new();
    let mut conn = Conn::new(1);
    assert_eq!(server.answer(&mut conn, &[1, 0x80, 0, 0]), [0; 0]);
    assert!(conn.closed.is_some());
}

#[test]
fn an_unknown_request_is_refused_and_an_answer_to_nothing_ignored() {
    let mut server = Server::new();
    let mut conn = Conn::new(1);
    for msg_type in [0x0200, 0x0202, 0x0204, 0x0209, 0x0101, 0xffff] {
        let body = match msg_type {
            0x0202 => vec![0x95, 0xc2, 0, 0, 0xc0, 1],
            0x0204 => vec![0x93, 0x90, 0xc0, 0xc0],
            _ => vec![0x90],
        };
        let message = Message {
            msg_type,
            req_id: 9,
            body,
        };
        let refused = RendezvousMessage::Error(ErrorCode::NotAllowed.into()).to_message(9);
        let answer = server.answer(&mut conn, &encode(&message));
        assert_eq!(answer, encode(&refused), "{msg_type:04x}");
    }
    let error = RendezvousMessage::Error(ErrorCode::Busy.into()).to_message(9);
    assert_eq!(server.answer(&mut conn, &encode(&error)), [0; 0]);
    assert_eq!(conn.closed, None);
}

#[test]
fn a_server_that_announces_another_is_not_heard() {
    let mut server = Server::new();
    let mut mallory = Client::connected(2, 2);
    let good = server_record(50, "rdv.example:443", NOW);
    let mut asks = Vec::new();
    for _ in 0..2 {
        asks.push(mallory.machine.servers(Some(&good)).unwrap());
    }
    // another's signature under changed words; and one that is over
    let last = asks[0].body.len() - 1;
    asks[0].body[last] ^= 1;
    let forged = mallory.ask(&mut server, &asks[0]);
    server.now = NOW.plus(HOUR * 25);
    let late = mallory.ask(&mut server, &asks[1]);
    for event in [forged, late] {
        assert!(matches!(event, RendezvousEvent::Servers { servers, .. } if servers.is_empty()));
    }
}
