//! Strangers: how many are let in, how long they may stay, and what they may say.

use std::time::Duration;

use sremp_core::{
    channel::{Admission, P2pMessage},
    error::ErrorCode,
    identity::{SecretIdentity, Trust},
    session::content::{Body, ResetReason},
};
use sremp_sim::{
    Alone, Scripted, closed,
    commands::{add, trust},
};

/// Connections of strangers at once.
const STRANGERS: usize = 32;
/// Time that each may stand.
const STAY: Duration = Duration::from_secs(10 * 60);
const REFUSED: Admission = Admission::Close(ErrorCode::Refused);

fn strangers(ben: &mut Alone, n: usize) -> Vec<SecretIdentity> {
    (0..n).map(|n| ben.somebody(&format!("s{n}"))).collect()
}

fn rubbish(n: u8) -> sremp_core::channel::Message {
    P2pMessage::Envelope(vec![n; 1024]).to_message(n.into())
}

#[test]
fn one_stranger_too_many_is_refused_while_contacts_come_in() {
    let mut ben = Alone::new("ben");
    let ann = Scripted::known_to(&mut ben, "ann");
    let all = strangers(&mut ben, STRANGERS + 1);
    let (last, first) = all.split_last().unwrap();
    let links: Vec<_> = first.iter().map(|s| ben.connect(s.identity())).collect();
    assert_eq!(ben.call(last.identity()).1, REFUSED);
    assert_eq!(ben.status().refused["REFUSED"], 1);
    let link = ben.connect(ann.identity.identity());
    assert!(closed(&ben.hear(link, P2pMessage::PrekeyReq.to_message(1))).is_empty());
    // a place that becomes free is given again
    ben.cut(links[0]);
    assert_eq!(ben.call(last.identity()).1, Admission::Accept);
}

#[test]
fn strangers_who_come_all_at_once_are_counted_before_they_are_open() {
    let mut ben = Alone::new("ben");
    let all = strangers(&mut ben, STRANGERS + 8);
    let admitted = all.iter().filter(|s| {
        let (_, admission) = ben.call(s.identity());
        admission == Admission::Accept
    });
    assert_eq!(admitted.count(), STRANGERS);
}

#[test]
fn a_silent_stranger_is_sent_away_after_ten_minutes_and_a_contact_is_not() {
    let mut ben = Alone::new("ben");
    let ann = Scripted::known_to(&mut ben, "ann");
    let silent = ben.somebody("silent");
    let anns = ben.connect(ann.identity.identity());
    let link = ben.connect(silent.identity());
    let before = ben.pass(STAY - Duration::from_millis(1));
    assert!(closed(before.iter().map(|(_, o)| o)).is_empty());
    let then = ben.pass(Duration::from_millis(1));
    assert_eq!(
        closed(then.iter().map(|(_, o)| o)),
        [(link, ErrorCode::GoingAway)]
    );
    let later = ben.pass(100 * STAY);
    assert!(closed(later.iter().map(|(_, o)| o)).is_empty());
    assert!(
        !ben.hear(anns, P2pMessage::PrekeyReq.to_message(1))
            .is_empty()
    );
    assert_eq!(ben.call(silent.identity()).1, Admission::Accept);
}

#[test]
fn a_stranger_who_is_accepted_in_time_may_stay_and_who_is_rejected_goes_at_once() {
    let mut ben = Alone::new("ben");
    let mut welcome = Scripted::unknown_to(&mut ben, "welcome");
    let mut unwelcome = Scripted::unknown_to(&mut ben, "unwelcome");
    let mut links = Vec::new();
    for person in [&mut welcome, &mut unwelcome] {
        let link = ben.connect(person.identity.identity());
        let session = person.start_session(&mut ben, link);
        let request = person.request_to(&mut ben, "may I?");
        let (confirmed, _) = person.send(&mut ben, link, &session, &request);
        assert!(!confirmed, "nothing is confirmed before the user's word");
        links.push(link);
    }
    ben.command(add(&welcome.identity.id().to_string(), None))
        .unwrap();
    let reject = trust(&unwelcome.identity.id().to_string(), Trust::Rejected);
    let (_, done) = ben.command_and_more(reject);
    assert_eq!(closed(&done), [(links[1], ErrorCode::Refused)]);
    assert_eq!(ben.call(unwelcome.identity.identity()).1, REFUSED);
    let later = ben.pass(3 * STAY);
    assert!(closed(later.iter().map(|(_, o)| o)).is_empty());
}

#[test]
fn the_third_rubbish_of_a_stranger_closes_its_connection() {
    let mut ben = Alone::new("ben");
    let stranger = ben.somebody("noisy");
    let link = ben.connect(stranger.identity());
    for n in 1..=2 {
        assert!(ben.hear(link, rubbish(n)).is_empty());
    }
    let third = ben.hear(link, rubbish(3));
    assert_eq!(closed(&third), [(link, ErrorCode::Refused)]);
    assert!(
        ben.hear(link, rubbish(4)).is_empty(),
        "nothing more is read"
    );
    let refused = ben.status().refused;
    assert_eq!(refused["stranger-without-request"], 3);
}

#[test]
fn after_its_request_a_stranger_is_not_heard_and_goes_after_three_tries() {
    let mut ben = Alone::new("ben");
    let mut eve = Scripted::unknown_to(&mut ben, "eve");
    let link = ben.connect(eve.identity.identity());
    let session = eve.start_session(&mut ben, link);
    let request = eve.request_to(&mut ben, "may I?");
    eve.send(&mut ben, link, &session, &request);
    for n in 0..3 {
        let text = eve.content(&mut ben, Body::Text(format!("{n}")));
        let (confirmed, done) = eve.send(&mut ben, link, &session, &text);
        assert!(!confirmed);
        assert_eq!(closed(&done).len(), usize::from(n == 2));
    }
    assert_eq!(ben.status().requests, 1);
    assert_eq!(ben.status().refused["request-pending"], 3);
}

#[test]
fn a_stranger_cannot_begin_with_a_control_content() {
    let mut ben = Alone::new("ben");
    let mut eve = Scripted::unknown_to(&mut ben, "eve");
    let link = ben.connect(eve.identity.identity());
    let session = eve.start_session(&mut ben, link);
    let reset = Body::Reset {
        reason: ResetReason::DESYNC,
        last_seq: 0,
    };
    let content = eve.content(&mut ben, reset);
    let (confirmed, _) = eve.send(&mut ben, link, &session, &content);
    assert!(!confirmed);
    assert_eq!(ben.status().requests, 0);
    assert_eq!(ben.status().refused["stranger-without-request"], 1);
}

#[test]
fn a_contacts_rubbish_is_counted_and_closes_nothing() {
    let mut ben = Alone::new("ben");
    let (_, link) = Scripted::connected_to(&mut ben, "ann");
    for n in 0..20 {
        assert!(ben.hear(link, rubbish(n)).is_empty());
    }
    assert_eq!(ben.status().refused["envelope-unreadable"], 20);
    assert_eq!(ben.status().connected, ["ann"]);
}
