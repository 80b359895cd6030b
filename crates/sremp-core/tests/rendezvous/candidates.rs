//! What is kept of gossip.

use sremp_core::rendezvous::{Candidates, NotKept, Source};

use super::world::*;

fn source(n: u16) -> Source {
    match n {
        1 => Source::Server(person(n).id()),
        _ => Source::Address(n.into()),
    }
}

#[test]
fn gossip_of_thousands_leaves_eight_of_a_source_and_sixty_four_in_all() {
    let mut candidates = Candidates::new(false);
    let mut refused = Vec::new();
    for n in 0..1_000 {
        let record = server_record(1_000 + n, "rdv.example:443", NOW);
        refused.extend(candidates.offer(source(1), record, NOW).err());
    }
    assert_eq!(candidates.len(), 8);
    assert_eq!(refused, [NotKept::SourceFull; 992]);
    for n in 0..64 {
        let record = server_record(3_000 + n, "rdv.example:443", NOW);
        assert_eq!(
            candidates.offer(source(2 + n / 8), record, NOW).is_ok(),
            n < 56,
            "{n}"
        );
    }
    assert_eq!(candidates.len(), 64);
    let one_more = server_record(9_000, "rdv.example:443", NOW);
    let full = candidates.offer(source(99), one_more.clone(), NOW);
    assert_eq!(full, Err(NotKept::Full));
    let first = candidates.list(NOW).next().unwrap().server();
    assert!(candidates.take(&first).is_some());
    assert_eq!(candidates.offer(source(99), one_more, NOW), Ok(()));
}

#[test]
fn a_servers_own_newer_word_counts_whoever_brings_it_and_no_older_one() {
    let mut candidates = Candidates::new(false);
    let old = server_record(5, "old.example:443", NOW);
    let new = server_record(5, "new.example:443", NOW.plus(HOUR));
    let later = NOW.plus(HOUR);
    assert_eq!(candidates.offer(source(1), old.clone(), later), Ok(()));
    assert_eq!(candidates.offer(source(2), new.clone(), later), Ok(()));
    let again = candidates.offer(source(1), old, later);
    assert_eq!(again, Err(NotKept::Older));
    let kept: Vec<_> = candidates.list(later).collect();
    assert_eq!(kept, [&new]);
}

#[test]
fn what_is_over_makes_room() {
    let mut candidates = Candidates::new(false);
    for n in 0..8 {
        let record = server_record(5 + n, "rdv.example:443", NOW);
        assert_eq!(candidates.offer(source(1), record, NOW), Ok(()));
    }
    let later = NOW.plus(HOUR * 25);
    let over = server_record(50, "rdv.example:443", NOW);
    let verdict = candidates.offer(source(1), over, later);
    assert_eq!(verdict, Err(NotKept::Expired));
    assert_eq!(candidates.list(later).count(), 0);
    let fresh = server_record(51, "rdv.example:443", later);
    assert_eq!(candidates.offer(source(1), fresh, later), Ok(()));
    assert_eq!(candidates.len(), 1);
}

#[test]
fn case_25_servers_inside_are_candidates_on_a_lan_only() {
    for at in ["10.0.0.1:443", "[::1]:33400", "rdv.example:25"] {
        let record = server_record(5, at, NOW);
        let verdict = Candidates::new(false).offer(source(1), record.clone(), NOW);
        assert_eq!(verdict, Err(NotKept::PrivateAddress), "{at}");
        assert_eq!(Candidates::new(true).offer(source(1), record, NOW), Ok(()));
    }
}
