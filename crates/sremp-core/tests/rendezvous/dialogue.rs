//! What happens when everybody keeps to the rules.

use std::time::Duration;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};
use sremp_core::{
    error::ErrorCode,
    rendezvous::{Record, RecordDraft, RendezvousEvent, Visibility, renew_after},
    time::UnixMillis,
};

use super::world::*;

#[test]
fn who_registers_is_found_by_key_with_the_very_bytes_that_were_signed() {
    let mut server = Server::new();
    let mut alice = Client::connected(1, 1);
    let signed = record(&alice.secret, NOW.get());
    let done = alice.register(&mut server, &signed);
    assert!(
        matches!(
            done,
            RendezvousEvent::Registered {
                renewal_interval: 1800,
                ..
            }
        ),
        "{done:?}"
    );
    let mut bob = Client::connected(2, 2);
    let RendezvousEvent::Found { peer, .. } = bob.lookup(&mut server, &alice.secret) else {
        panic!("alice is registered")
    };
    assert_eq!(peer.record, signed);
    assert_eq!(peer.identity, *alice.secret.identity());
    assert_eq!(
        (peer.last_seen, peer.online),
        (None, None),
        "nobody is told"
    );
    let nobody = bob.lookup(&mut server, &person(3));
    assert!(matches!(nobody, RendezvousEvent::NotFound { .. }));
    assert_eq!(server.dialled, [], "she comes from where she says to be");
}

#[test]
fn a_renewal_on_the_same_connection_takes_the_place_of_the_record_before() {
    let mut server = Server::new();
    let mut alice = Client::connected(1, 1);
    alice.register(&mut server, &record(&person(1), 5));
    server.now = NOW.plus(HOUR / 2);
    let moved = RecordDraft {
        endpoints: vec!["alice.example:33399".parse().unwrap()],
        issued: server.now,
        ..draft(6)
    };
    let moved = Record::sign(&alice.secret, moved).unwrap();
    alice.register(&mut server, &moved);
    assert_eq!(server.dialled, moved.endpoints(), "a name is dialled back");
    server.now = NOW.plus(HOUR + Duration::from_secs(301));
    let RendezvousEvent::Found { peer, .. } = alice.lookup(&mut server, &person(1)) else {
        panic!("the second still holds")
    };
    assert_eq!(peer.record, moved);
    server.now = NOW.plus(HOUR * 3 / 2 + Duration::from_secs(301));
    let over = alice.lookup(&mut server, &person(1));
    assert!(matches!(over, RendezvousEvent::NotFound { .. }), "{over:?}");
}

#[test]
fn a_tombstone_takes_a_registration_away_and_no_older_record_brings_it_back() {
    let mut server = Server::new();
    let mut alice = Client::connected(1, 1);
    let old = record(&alice.secret, 5);
    alice.register(&mut server, &old);
    alice.register(&mut server, &tombstone(&person(1), 6));
    let gone = alice.lookup(&mut server, &person(1));
    assert!(matches!(gone, RendezvousEvent::NotFound { .. }));
    let again = alice.register(&mut server, &old);
    assert_eq!(refusal(&again), Some(ErrorCode::StaleSeq));
    let page = alice.machine.page(None).unwrap();
    let refused = alice.ask(&mut server, &page);
    assert_eq!(
        refusal(&refused),
        Some(ErrorCode::NotAllowed),
        "not here any more"
    );
}

#[test]
fn a_registration_whose_answer_was_lost_may_come_again() {
    let mut server = Server::new();
    let signed = record(&person(1), 5);
    for connection in [1, 2] {
        let mut alice = Client::connected(1, connection);
        let done = alice.register(&mut server, &signed);
        assert!(
            matches!(done, RendezvousEvent::Registered { .. }),
            "{done:?}"
        );
    }
}

#[test]
fn who_is_registered_browses_those_who_are_listed_and_nobody_else() {
    let mut server = Server::new();
    let mut names = Vec::new();
    for seed in 100..145 {
        let mut somebody = Client::connected(seed, 9);
        let signed = listed(&somebody.secret, 5);
        somebody.register(&mut server, &signed);
        names.push(somebody.secret.id());
    }
    let mut hidden = Client::connected(99, 8);
    hidden.register(&mut server, &record(&person(99), 5));
    let mut alice = Client::connected(1, 1);
    let first = alice.machine.page(None).unwrap();
    let refused = alice.ask(&mut server, &first);
    assert_eq!(refusal(&refused), Some(ErrorCode::NotAllowed));
    alice.register(&mut server, &record(&person(1), 5));
    let (mut cursor, mut seen, mut sizes) = (None, Vec::new(), Vec::new());
    loop {
        let ask = alice.machine.page(cursor).unwrap();
        let RendezvousEvent::Page {
            peers,
            refused,
            next,
            ..
        } = alice.ask(&mut server, &ask)
        else {
            panic!("a page")
        };
        assert_eq!(refused, 0);
        assert!(
            peers
                .iter()
                .all(|peer| peer.online.is_some() && peer.last_seen.is_some())
        );
        sizes.push(peers.len());
        seen.extend(peers.iter().map(|peer| peer.identity.id()));
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [20, 20, 5]);
    assert_ne!(seen, names, "not in the order of registration");
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    assert_ne!(seen, sorted, "nor in that of the keys");
    names.sort_unstable();
    assert_eq!(sorted, names);
}

#[test]
fn a_client_learns_its_address_and_other_servers() {
    let mut server = Server::new();
    server.known.push(server_record(50, "rdv.example:443", NOW));
    let mut alice = Client::connected(1, 1);
    let ask = alice.machine.address().unwrap();
    let RendezvousEvent::Address { host, .. } = alice.ask(&mut server, &ask) else {
        panic!("an address")
    };
    assert_eq!(host, SOURCE.to_string());
    let own = server_record(51, "other.example:443", NOW);
    let ask = alice.machine.servers(Some(&own)).unwrap();
    let RendezvousEvent::Servers {
        servers, refused, ..
    } = alice.ask(&mut server, &ask)
    else {
        panic!("servers")
    };
    assert_eq!(refused, 0);
    assert_eq!(servers, [server_record(50, "rdv.example:443", NOW), own]);
}

#[test]
fn a_renewal_comes_between_half_and_four_fifths_of_the_life_of_a_record() {
    let signed = record(&person(1), 5);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut drawn: Vec<Duration> = (0..1000)
        .map(|_| renew_after(&signed, 1800, &mut rng))
        .collect();
    drawn.sort_unstable();
    assert!(drawn[0] >= HOUR / 2 && drawn[999] <= HOUR * 4 / 5);
    assert!(
        drawn[900] - drawn[100] > HOUR / 5,
        "spread over the time between"
    );
    let sooner = renew_after(&signed, 600, &mut rng);
    assert!(sooner >= Duration::from_secs(600) && sooner <= HOUR * 4 / 5);
    let hurried = (0..1000).map(|_| renew_after(&signed, 0, &mut rng)).min();
    assert!(
        hurried.unwrap() >= HOUR / 10,
        "no server has it renewed all the time"
    );
    let shortest = RecordDraft {
        ttl: Duration::from_secs(60),
        issued: UnixMillis::ZERO,
        visibility: Visibility::Listed,
        ..draft(1)
    };
    let shortest = Record::sign(&person(1), shortest).unwrap();
    assert!(renew_after(&shortest, u32::MAX, &mut rng) <= Duration::from_secs(48));
}
