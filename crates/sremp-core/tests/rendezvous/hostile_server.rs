//! What a client's machine believes of a server that lies.

use serde_bytes::ByteBuf;
use sremp_core::{
    channel::{Message, TooManyRequests},
    constants::{MAX_PAGES, MAX_RDV_OPEN},
    error::ErrorCode,
    identity::SecretIdentity,
    rendezvous::{
        LookupResponse, PageCursor, PeerInfo, Record, RegisterResponse, RendezvousClient,
        RendezvousEvent, RendezvousMessage, Seq, Servers, SignedServer,
    },
    time::UnixMillis,
};

use super::world::*;

fn peer(of: &SecretIdentity, record: &Record) -> PeerInfo {
    PeerInfo {
        identity: ByteBuf::from(of.identity().as_bytes()),
        record: ByteBuf::from(record.as_bytes()),
        record_sig: *record.signature(),
        last_seen: None,
        online: None,
    }
}

fn response(peers: Vec<PeerInfo>, next: Option<PageCursor>) -> RendezvousMessage {
    RendezvousMessage::LookupResponse(LookupResponse {
        peers,
        error_message: None,
        next,
    })
}

/// What a client that asked for person 1, of whom it knows seq 5, makes of an answer.
fn told(answer: &RendezvousMessage, now: UnixMillis) -> Result<RendezvousEvent, ErrorCode> {
    let mut client = RendezvousClient::new(exporter(1));
    let ask = client.lookup(person(1).id(), Some(Seq::new(5))).unwrap();
    let event = client.handle(&answer.to_message(ask.req_id), now)?;
    Ok(event.expect("an answer to the question"))
}

fn refused(peer: PeerInfo) -> Option<ErrorCode> {
    refusal(&told(&response(vec![peer], None), NOW).unwrap())
}

#[test]
fn case_21_another_persons_record_is_not_the_one_that_was_asked_for() {
    let (alice, mallory) = (person(1), person(2));
    let bad = Some(ErrorCode::BadProof);
    assert_eq!(refused(peer(&mallory, &record(&mallory, 9))), bad);
    assert_eq!(refused(peer(&alice, &record(&mallory, 9))), bad);
    assert_eq!(refused(peer(&mallory, &record(&alice, 9))), bad);
    let good = peer(&alice, &record(&alice, 9));
    for at in 0..good.record.len() {
        let mut forged = good.clone();
        forged.record[at] ^= 1;
        assert_eq!(refused(forged), bad, "record byte {at}");
    }
    for at in 0..good.identity.len() {
        let mut forged = good.clone();
        forged.identity[at] ^= 1;
        assert_eq!(refused(forged), bad, "identity byte {at}");
    }
    assert_eq!(refused(good), None);
}

#[test]
fn an_older_record_than_is_known_and_one_of_another_time_are_refused() {
    let alice = person(1);
    let stale = Some(ErrorCode::StaleSeq);
    assert_eq!(refused(peer(&alice, &record(&alice, 4))), stale);
    assert_eq!(refused(peer(&alice, &record(&alice, 5))), None);
    let answer = response(vec![peer(&alice, &record(&alice, 9))], None);
    let late = told(&answer, NOW.plus(HOUR * 2)).unwrap();
    assert_eq!(refusal(&late), Some(ErrorCode::Expired));
    let early = told(&answer, NOW.minus(HOUR)).unwrap();
    assert_eq!(refusal(&early), Some(ErrorCode::Expired));
}

#[test]
fn who_has_withdrawn_is_nowhere() {
    let alice = person(1);
    let answer = response(vec![peer(&alice, &tombstone(&alice, 9))], None);
    let event = told(&answer, NOW).unwrap();
    assert!(
        matches!(event, RendezvousEvent::NotFound { .. }),
        "{event:?}"
    );
}

#[test]
fn more_than_one_answer_to_a_question_for_one_ends_the_connection() {
    let alice = peer(&person(1), &record(&person(1), 9));
    let two = response(vec![alice.clone(), alice.clone()], None);
    assert_eq!(told(&two, NOW), Err(ErrorCode::ProtocolViolation));
    let more = response(vec![alice], Some(PageCursor::new([1; 32])));
    assert_eq!(told(&more, NOW), Err(ErrorCode::ProtocolViolation));
}

#[test]
fn an_answer_to_nothing_is_ignored_and_an_answer_of_another_kind_ends_the_connection() {
    let answers = [
        response(vec![], None),
        RendezvousMessage::RegisterResponse(RegisterResponse::refused(ErrorCode::Full, "")),
        RendezvousMessage::Servers(Servers {
            servers: vec![],
            timestamp: NOW,
        }),
        RendezvousMessage::AddressResponse {
            host: "9.9.9.9".into(),
        },
        RendezvousMessage::AddressRequest,
        RendezvousMessage::Error(ErrorCode::Busy.into()),
    ];
    for answer in &answers {
        let mut client = RendezvousClient::new(exporter(1));
        assert_eq!(
            client.handle(&answer.to_message(7), NOW),
            Ok(None),
            "{answer:?}"
        );
        let is_answer = matches!(
            answer,
            RendezvousMessage::Error(_) | RendezvousMessage::LookupResponse(_)
        );
        let verdict = told(answer, NOW);
        assert_eq!(verdict.is_ok(), is_answer, "{answer:?}: {verdict:?}");
    }
    let unknown = Message {
        msg_type: 0x0277,
        req_id: 1,
        body: vec![0x90],
    };
    let mut client = RendezvousClient::new(exporter(1));
    assert_eq!(client.handle(&unknown, NOW), Ok(None));
}

#[test]
fn a_registration_counts_only_until_the_record_says() {
    for (expires, ok) in [(NOW.plus(HOUR), true), (NOW.plus(HOUR * 2), false)] {
        let mut client = RendezvousClient::new(exporter(1));
        let ask = client.register(&person(1), &record(&person(1), 5)).unwrap();
        let answer = RendezvousMessage::RegisterResponse(RegisterResponse {
            success: true,
            expires_at: expires,
            renewal_interval: 1,
            error_message: None,
            error: None,
        });
        let event = client.handle(&answer.to_message(ask.req_id), NOW);
        assert_eq!(event.is_ok(), ok);
    }
}

#[test]
fn who_is_not_listed_or_not_signed_is_left_out_of_a_page_and_counted() {
    let mut client = RendezvousClient::new(exporter(1));
    let (good, hidden, forged) = (person(1), person(2), person(3));
    let mut bad = peer(&forged, &listed(&forged, 5));
    bad.record_sig = *record(&forged, 5).signature();
    let all = vec![
        peer(&good, &listed(&good, 5)),
        peer(&hidden, &record(&hidden, 5)),
        bad,
    ];
    let ask = client.page(None).unwrap();
    let answer = response(all, None).to_message(ask.req_id);
    let Ok(Some(RendezvousEvent::Page { peers, refused, .. })) = client.handle(&answer, NOW) else {
        panic!("a page")
    };
    assert_eq!((peers.len(), refused), (1, 2));
    assert_eq!(peers[0].identity.id(), good.id());
}

#[test]
fn no_list_is_endless() {
    let mut client = RendezvousClient::new(exporter(1));
    let mut cursor = None;
    for n in 0..MAX_PAGES {
        let ask = client.page(cursor).unwrap();
        let mut next = [0; 32];
        next[..4].copy_from_slice(&n.to_le_bytes());
        let next = Some(PageCursor::new(next));
        let answer = response(vec![], next).to_message(ask.req_id);
        assert!(matches!(
            client.handle(&answer, NOW),
            Ok(Some(RendezvousEvent::Page { .. }))
        ));
        cursor = next;
    }
    assert_eq!(client.page(cursor), Err(TooManyRequests));
    let mut client = RendezvousClient::new(exporter(1));
    let ask = client.page(cursor).unwrap();
    let same = response(vec![], cursor).to_message(ask.req_id);
    let verdict = client.handle(&same, NOW);
    assert_eq!(
        verdict,
        Err(ErrorCode::ProtocolViolation),
        "the same page again"
    );
}

#[test]
fn sixteen_requests_are_open_at_a_time() {
    let mut client = RendezvousClient::new(exporter(1));
    let mut last = 0;
    for _ in 0..MAX_RDV_OPEN {
        last = client.lookup(person(1).id(), None).unwrap().req_id;
    }
    assert_eq!(client.address(), Err(TooManyRequests));
    let answer = response(vec![], None).to_message(last);
    assert!(client.handle(&answer, NOW).unwrap().is_some());
    assert!(client.address().is_ok());
}

#[test]
fn servers_that_are_not_signed_or_over_are_left_out_and_counted() {
    let mut client = RendezvousClient::new(exporter(1));
    let good = server_record(50, "rdv.example:443", NOW);
    let mut forged = SignedServer::from(&good);
    forged.signature = *server_record(51, "rdv.example:443", NOW).signature();
    let over = server_record(52, "rdv.example:443", NOW.minus(HOUR * 48));
    let list = [SignedServer::from(&good), forged, SignedServer::from(&over)];
    let ask = client.servers(None).unwrap();
    let answer = RendezvousMessage::Servers(Servers {
        servers: list.to_vec(),
        timestamp: NOW,
    });
    let Ok(Some(RendezvousEvent::Servers {
        servers, refused, ..
    })) = client.handle(&answer.to_message(ask.req_id), NOW)
    else {
        panic!("servers")
    };
    assert_eq!((servers, refused), (vec![good], 2));
}
