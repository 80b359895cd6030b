//! What a directory keeps, shows and forgets.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;
use sremp_core::{
    error::ErrorCode,
    id::IdentityKey,
    identity::SecretIdentity,
    rendezvous::{Directory, Place, Record, RecordDraft, Verdict, Visibility},
    time::UnixMillis,
};

use super::world::*;

const SKEW: Duration = Duration::from_secs(300);
const TICK: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn key(of: &SecretIdentity) -> IdentityKey {
    of.id().into()
}

fn empty() -> Directory {
    Directory::new(1_000, [3; 32])
}

/// Everybody whom a walk shows, in its order.
fn walk(directory: &Directory, start: Place, now: UnixMillis) -> Vec<Vec<u8>> {
    let (mut cursor, mut seen) = (None, Vec::new());
    loop {
        let page = directory.page(cursor.as_ref(), start, now);
        assert!(page.peers.len() <= 20);
        seen.extend(page.peers.into_iter().map(|peer| peer.record.into_vec()));
        cursor = page.next;
        if cursor.is_none() {
            return seen;
        }
    }
}

#[test]
fn a_record_is_shown_until_it_is_over_and_its_seq_remembered_a_day_longer() {
    let alice = person(1);
    let mut directory = empty();
    let expires = NOW.plus(HOUR);
    directory.put(entry(&alice, &listed(&alice, 5))).unwrap();
    assert!(directory.lookup(&key(&alice), expires.plus(SKEW)).is_some());
    let over = expires.plus(SKEW + TICK);
    assert_eq!(directory.lookup(&key(&alice), over), None);
    assert_eq!(walk(&directory, START, over).len(), 0);
    assert_eq!(directory.listed(), 1, "nobody has tidied");
    assert_eq!(directory.tidy(over, 10), []);
    assert_eq!((directory.listed(), directory.len()), (0, 1));
    let stale = directory.judge(&entry(&alice, &record(&alice, 4)));
    assert_eq!(stale, Err(ErrorCode::StaleSeq));
    assert_eq!(directory.tidy(expires.plus(DAY), 10), []);
    assert_eq!(directory.tidy(expires.plus(DAY + TICK), 10), [key(&alice)]);
    assert!(directory.is_empty());
}

#[test]
fn case_21_a_tombstone_is_remembered_a_day_beyond_its_expiry() {
    let alice = person(1);
    let mut directory = empty();
    directory.put(entry(&alice, &listed(&alice, 5))).unwrap();
    let gone = entry(&alice, &tombstone(&alice, 6));
    assert_eq!(directory.put(gone), Ok(Verdict::Newer));
    assert_eq!(directory.lookup(&key(&alice), NOW), None);
    assert_eq!((directory.listed(), directory.len()), (0, 1));
    let last = NOW.plus(HOUR + DAY);
    directory.tidy(last, 10);
    let old = directory.put(entry(&alice, &listed(&alice, 5)));
    assert_eq!(old, Err(ErrorCode::StaleSeq));
    directory.tidy(last.plus(TICK), 10);
    assert!(directory.is_empty());
}

#[test]
fn a_renewal_is_not_forgotten_with_what_it_replaced() {
    let alice = person(1);
    let mut directory = empty();
    directory.put(entry(&alice, &listed(&alice, 5))).unwrap();
    let renewed = RecordDraft {
        issued: NOW.plus(HOUR),
        visibility: Visibility::Listed,
        ..draft(6)
    };
    let renewed = Record::sign(&alice, renewed).unwrap();
    directory.tidy(NOW.plus(HOUR + SKEW + TICK), 10);
    directory.put(entry(&alice, &renewed)).unwrap();
    let then = NOW.plus(HOUR * 2);
    assert_eq!(directory.tidy(then, 10), []);
    assert!(directory.lookup(&key(&alice), then).is_some());
    assert_eq!(walk(&directory, START, then), [renewed.as_bytes()]);
}

#[test]
fn what_is_restored_at_once_is_what_came_one_by_one() {
    let people: Vec<_> = (1..200).map(person).collect();
    let entries = (0..).zip(&people).map(|(n, of)| match n % 5 {
        0 => entry(of, &tombstone(of, 5)),
        1 | 2 => entry(of, &listed(of, 5)),
        _ => entry(of, &record(of, 5)),
    });
    let entries: Vec<_> = entries.collect();
    let mut one_by_one = empty();
    for entry in entries.iter().rev().cloned() {
        one_by_one.put(entry).unwrap();
    }
    let mut at_once = Directory::restored(1_000, [3; 32], entries.clone());
    assert_eq!(at_once.len(), 199);
    assert_eq!(at_once.listed(), one_by_one.listed());
    assert_eq!(walk(&at_once, START, NOW), walk(&one_by_one, START, NOW));
    for of in &people {
        assert_eq!(
            at_once.lookup(&key(of), NOW),
            one_by_one.lookup(&key(of), NOW)
        );
        assert_eq!(at_once.entry(&key(of)), one_by_one.entry(&key(of)));
    }
    let over = NOW.plus(HOUR + DAY + TICK);
    let forgotten = at_once.tidy(over, 1_000);
    assert_eq!(forgotten, one_by_one.tidy(over, 1_000));
    assert!(at_once.is_empty());
    let few = Directory::restored(10, [3; 32], entries);
    assert_eq!((few.len(), few.room()), (10, 0));
}

#[test]
fn a_full_directory_takes_renewals_and_nobody_new() {
    let mut directory = Directory::new(2, [3; 32]);
    for n in 1..=2 {
        assert!(is_new(
            directory.put(entry(&person(n), &record(&person(n), 5)))
        ));
    }
    let third = entry(&person(3), &record(&person(3), 5));
    assert_eq!(directory.put(third), Err(ErrorCode::Full));
    let renewal = entry(&person(1), &record(&person(1), 6));
    assert_eq!(directory.put(renewal), Ok(Verdict::Newer));
}

#[test]
fn presence_is_told_to_the_hour_and_of_those_who_are_listed_only() {
    let (alice, bob) = (person(1), person(2));
    let mut directory = empty();
    directory.put(entry(&alice, &listed(&alice, 5))).unwrap();
    directory.put(entry(&bob, &record(&bob, 5))).unwrap();
    let at = UnixMillis::saturating(NOW.get() + 59 * 60_000);
    let hour = UnixMillis::saturating(at.get() - at.get() % 3_600_000);
    for who in [&alice, &bob] {
        directory.arrive(&key(who), at);
    }
    let told = |directory: &Directory, who: &SecretIdentity| {
        let peer = directory.lookup(&key(who), NOW).unwrap();
        (peer.last_seen, peer.online)
    };
    assert_eq!(told(&directory, &alice), (Some(hour), Some(true)));
    assert_eq!(told(&directory, &bob), (None, None));
    // on a second connection as well, and renewed meanwhile
    directory.arrive(&key(&alice), at);
    directory.put(entry(&alice, &listed(&alice, 6))).unwrap();
    directory.depart(&key(&alice), at);
    assert_eq!(told(&directory, &alice), (Some(hour), Some(true)));
    directory.depart(&key(&alice), at);
    assert_eq!(told(&directory, &alice), (Some(hour), Some(false)));
}

#[test]
fn a_page_is_never_longer_than_a_response_may_be() {
    let mut directory = empty();
    for n in 0..30 {
        let who = person(n).with_profile(
            person(n).identity().username(),
            person(n).identity().flags(),
            Some(fat()),
            NOW,
        );
        let who = who.unwrap();
        directory.put(entry(&who, &listed(&who, 5))).unwrap();
    }
    let page = directory.page(None, START, NOW);
    let bytes: usize = page
        .peers
        .iter()
        .map(|p| p.identity.len() + p.record.len())
        .sum();
    assert!(
        page.peers.len() < 20 && bytes > 200_000,
        "{} {bytes}",
        page.peers.len()
    );
    let response = sremp_core::rendezvous::RendezvousMessage::LookupResponse(
        sremp_core::rendezvous::LookupResponse {
            peers: page.peers,
            error_message: None,
            next: page.next,
        },
    );
    let len = response.to_message(u32::MAX).encode().len();
    assert!(len <= 256 * 1024, "{len}");
    assert_eq!(walk(&directory, START, NOW).len(), 30);
}

/// A picture and metadata of 15 KiB.
fn fat() -> sremp_core::identity::Extensions {
    let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
    picture.resize(12 * 1024, 0);
    let mut fat = sremp_core::identity::Extensions::default().with_profile_picture(picture);
    for n in 0..3 {
        fat = fat.with_metadata(&format!("k{n}"), vec![0; 1_024]);
    }
    fat
}

#[test]
fn two_servers_and_two_starts_give_other_orders_of_the_same_people() {
    let (mut one, mut other) = (empty(), Directory::new(1_000, [4; 32]));
    for n in 0..50 {
        for directory in [&mut one, &mut other] {
            directory
                .put(entry(&person(n), &listed(&person(n), 5)))
                .unwrap();
        }
    }
    let first = walk(&one, START, NOW);
    let elsewhere = walk(&one, Place::new([0x20; 16]), NOW);
    let secret = walk(&other, START, NOW);
    let set = |walk: &[Vec<u8>]| walk.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(first.len(), 50);
    assert!(first != elsewhere && first != secret);
    assert!(set(&first) == set(&elsewhere) && set(&first) == set(&secret));
}

/// A directory of few words, against which the other is compared.
#[derive(Default)]
struct Model(BTreeMap<u16, (u64, Visibility, bool, UnixMillis)>);

#[derive(Clone, Debug)]
enum Step {
    Put { who: u16, seq: u64, kind: u8 },
    Wait(u64),
    Tidy,
    Walk([u8; 16]),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..12u16, 0..6u64, 0..3u8).prop_map(|(who, seq, kind)| Step::Put { who, seq, kind }),
        2 => (0..40_000u64).prop_map(Step::Wait),
        1 => Just(Step::Tidy),
        1 => any::<[u8; 16]>().prop_map(Step::Walk),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_directory_does_what_its_rules_say_in_any_order(steps in proptest::collection::vec(step(), 1..60)) {
        let (mut directory, mut model, mut now) = (empty(), Model::default(), NOW);
        for step in steps {
            match step {
                Step::Put { who, seq, kind } => {
                    let visibility = if kind == 1 { Visibility::Listed } else { Visibility::Unlisted };
                    let gone = kind == 2;
                    let endpoints = if gone { vec![] } else { draft(0).endpoints };
                    // a different time, so that an equal seq is another record
                    let made = RecordDraft { seq: sremp_core::rendezvous::Seq::new(seq), issued: now, visibility, endpoints, ..draft(0) };
                    let record = Record::sign(&person(who), made).unwrap();
                    let newer = model.0.get(&who).is_none_or(|known| known.0 < seq);
                    let same = directory.entry(&key(&person(who))).is_some_and(|known| known.record() == record.as_bytes());
                    let verdict = directory.put(entry(&person(who), &record));
                    prop_assert_eq!(verdict.is_ok(), newer || same);
                    if newer {
                        model.0.insert(who, (seq, visibility, gone, record.expires()));
                    }
                }
                Step::Wait(seconds) => now = now.plus(Duration::from_secs(seconds)),
                Step::Tidy => {
                    let forgotten = directory.tidy(now, usize::MAX);
                    let over: Vec<u16> = model.0.iter().filter(|(_, known)| known.3.plus(DAY) < now).map(|(who, _)| *who).collect();
                    let expected: BTreeSet<_> = over.iter().map(|who| key(&person(*who))).collect();
                    prop_assert_eq!(forgotten.into_iter().collect::<BTreeSet<_>>(), expected);
                    model.0.retain(|who, _| !over.contains(who));
                }
                Step::Walk(start) => {
                    let shown = walk(&directory, Place::new(start), now).len();
                    let live = model.0.values().filter(|known| known.1 == Visibility::Listed && !known.2 && now <= known.3.plus(SKEW));
                    prop_assert_eq!(shown, live.count());
                }
            }
            for who in 0..12 {
                let found = directory.lookup(&key(&person(who)), now).is_some();
                let live = model.0.get(&who).is_some_and(|known| !known.2 && now <= known.3.plus(SKEW));
                prop_assert_eq!(found, live, "{}", who);
            }
            prop_assert_eq!(directory.len(), model.0.len());
        }
    }

    #[test]
    fn who_is_there_all_the_time_comes_exactly_once_in_a_walk(
        start in any::<[u8; 16]>(),
        changes in proptest::collection::vec((any::<bool>(), 200..260u16), 0..40),
    ) {
        let mut directory = empty();
        for n in 0..50 {
            directory.put(entry(&person(n), &listed(&person(n), 5))).unwrap();
        }
        let (mut cursor, mut seen, mut seq) = (None, BTreeMap::<Vec<u8>, usize>::new(), 5);
        let mut changes = changes.into_iter();
        loop {
            let page = directory.page(cursor.as_ref(), Place::new(start), NOW);
            for peer in page.peers {
                *seen.entry(peer.identity.into_vec()).or_default() += 1;
            }
            for (comes, who) in changes.by_ref().take(8) {
                seq += 1;
                let record = if comes { listed(&person(who), seq) } else { tombstone(&person(who), seq) };
                directory.put(entry(&person(who), &record)).unwrap();
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        for n in 0..50 {
            prop_assert_eq!(seen.get(person(n).identity().as_bytes()), Some(&1), "{}", n);
        }
        prop_assert!(seen.values().all(|times| *times == 1));
    }

    #[test]
    fn any_cursor_gives_a_page(cursor in any::<[u8; 32]>()) {
        let mut directory = empty();
        for n in 0..25 {
            directory.put(entry(&person(n), &listed(&person(n), 5))).unwrap();
        }
        let cursor = sremp_core::rendezvous::PageCursor::new(cursor);
        let page = directory.page(Some(&cursor), START, NOW);
        prop_assert!(page.peers.len() <= 20);
    }
}
