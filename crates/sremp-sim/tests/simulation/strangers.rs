//! Strangers: how many are let in, how long they may stay, and what they may say.

use std::time::Duration;

use sremp_client::{
    config::{Direct, Strangers},
    engine::{Input, Output},
    store::{NewContact, StoreError},
    view::{Command, EventKind, Reply, Standing},
};
use sremp_core::{
    channel::{Admission, P2pMessage, Service},
    contact_card::ContactCard,
    error::ErrorCode,
    id::IntroToken,
    identity::{Identity, SecretIdentity, Trust},
    session::content::{Body, ResetReason},
};
use sremp_net::LinkId;
use sremp_sim::{
    Alone, Scripted, World, closed,
    commands::{add, trust},
};

/// Connections of strangers at once.
const STRANGERS: usize = 32;
/// Time that each may stand.
const STAY: Duration = Duration::from_secs(10 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);
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
fn a_request_that_waits_is_renewed_but_not_looked_for_in_all_that_follows_it() {
    const TRIES: u64 = 16;
    let mut ben = Alone::new("ben");
    let mut eve = Scripted::unknown_to(&mut ben, "eve");
    let mut begins_with = |ben: &mut Alone, body: Option<Body>| {
        let link = ben.connect(eve.identity.identity());
        let session = eve.start_session(ben, link);
        let content = match body {
            Some(body) => eve.content(ben, body),
            None => eve.request_to(ben, "may I?"),
        };
        eve.send(ben, link, &session, &content);
        ben.cut(link);
        ben.refused("request-pending")
    };
    assert_eq!(begins_with(&mut ben, None), 0);
    for n in 1..=TRIES {
        let text = Body::Text(format!("{n}"));
        assert_eq!(begins_with(&mut ben, Some(text)), n);
    }
    assert_eq!(begins_with(&mut ben, None), TRIES + 1);
    ben.pass(HOUR);
    assert_eq!(begins_with(&mut ben, None), TRIES + 1, "it is renewed");
    assert_eq!(begins_with(&mut ben, None), TRIES + 2, "once an hour");
    assert_eq!(ben.status().requests, 1);
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

fn ben_who_lets_in(strangers: Strangers) -> Alone {
    Alone::with("ben", 1, |config| config.strangers = strangers)
}

/// A single-use invite of this client.
fn invite(client: &mut Alone) -> IntroToken {
    let Ok(Reply::Invite(invite)) = client.command(Command::Invite { expires: None }) else {
        panic!("no invite");
    };
    let card = ContactCard::parse(&invite.card, client.now().wall).expect("a card");
    card.content().intro.as_ref().expect("an invite").token
}

/// A connection comes in with an invite; the client's word on it.
fn call_with(ben: &mut Alone, who: &Identity, intro: Option<IntroToken>) -> (LinkId, Admission) {
    let link = ben.new_link();
    let shown = Input::Shown {
        link,
        service: Service::P2p,
        identity: Box::new(who.clone()),
        intro,
    };
    let admission = ben.give(shown).into_iter().find_map(|output| match output {
        Output::Admit { admission, .. } => Some(admission),
        _ => None,
    });
    (link, admission.expect("a word"))
}

/// A stranger who was let in with an invite has a session by now.
fn with_session(ben: &mut Alone, name: &str, intro: IntroToken) -> (Scripted, LinkId) {
    let eve = Scripted::unknown_to(ben, name);
    let (link, admission) = call_with(ben, eve.identity.identity(), Some(intro));
    assert_eq!(admission, Admission::Accept);
    ben.open(link, eve.identity.identity());
    (eve, link)
}

fn refused(ben: &mut Alone, cause: &str) -> u64 {
    ben.status().refused.get(cause).copied().unwrap_or(0)
}

#[test]
fn who_is_let_in_of_strangers_is_as_the_setting_says() {
    for (strangers, alone, invited) in [
        (Strangers::Request, true, true),
        (Strangers::IntroOnly, false, true),
        (Strangers::Never, false, false),
    ] {
        let mut ben = ben_who_lets_in(strangers);
        let token = invite(&mut ben);
        let wrong = IntroToken::new([7; IntroToken::LEN]);
        for (intro, welcome) in [(None, alone), (Some(wrong), alone), (Some(token), invited)] {
            let eve = ben.somebody("eve");
            let expected = if welcome { Admission::Accept } else { REFUSED };
            let word = call_with(&mut ben, eve.identity(), intro).1;
            assert_eq!(word, expected, "{strangers:?}: {intro:?}");
        }
    }
}

#[test]
fn an_invite_lets_one_ask_also_if_two_come_with_it_at_once() {
    let mut ben = ben_who_lets_in(Strangers::IntroOnly);
    let token = invite(&mut ben);
    // both get a one-time prekey, which by a relay is as good as an invite
    let mut both = ["eve", "mal"].map(|name| {
        let (mut eve, link) = with_session(&mut ben, name, token);
        let session = eve.start_session(&mut ben, link);
        (eve, link, session)
    });
    for (n, (eve, link, session)) in both.iter_mut().enumerate() {
        let request = eve.request_to(&mut ben, "may I?");
        eve.send(&mut ben, *link, session, &request);
        assert_eq!(ben.status().requests, 1, "of {}", n + 1);
        assert_eq!(refused(&mut ben, "not-invited"), n as u64);
    }
}

#[test]
fn whoever_has_an_invite_finds_room_behind_a_hundred_requests() {
    let mut ben = Alone::new("ben");
    let token = invite(&mut ben);
    let keys: Vec<_> = strangers(&mut ben, 100)
        .iter()
        .map(SecretIdentity::id)
        .collect();
    let first_seen = ben.now().wall;
    let inserted = ben.node.store.transaction(|tx| {
        for key in keys {
            tx.insert_contact(&NewContact {
                key,
                alias: None,
                standing: Standing::Request,
                first_seen,
            })?;
        }
        Ok::<_, StoreError>(())
    });
    inserted.unwrap();
    let stranger = ben.somebody("stranger");
    assert_eq!(ben.call(stranger.identity()).1, REFUSED);
    let (mut eve, link) = with_session(&mut ben, "eve", token);
    let session = eve.start_session(&mut ben, link);
    let request = eve.request_to(&mut ben, "you invited me");
    eve.send(&mut ben, link, &session, &request);
    assert_eq!(ben.status().requests, 101);
    assert_eq!(refused(&mut ben, "requests-full"), 0);
}

#[test]
fn who_lets_nobody_in_is_not_asked_by_a_relay_either_with_an_invite() {
    for (strangers, requests) in [(Strangers::IntroOnly, 1), (Strangers::Never, 0)] {
        let mut world = World::new(1);
        let relay = world.open_relay("relay");
        let eve = world.join_far("eve", &[relay]);
        let link = world.relay(relay).link();
        let ben = world.join_with("ben", |config| {
            config.relays = vec![link];
            config.direct = Direct::Never;
            config.strangers = strangers;
        });
        world.run(60_000);
        let Reply::Invite(invite) = world.command(ben, Command::Invite { expires: None }) else {
            panic!("no invite");
        };
        world.run(60_000);
        let add = Command::Add {
            who: invite.card,
            alias: Some("ben".to_owned()),
            despite_confusable: false,
        };
        world.command(eve, add);
        world.send(eve, "ben", "you invited me");
        world.run(10 * 60_000);
        let Reply::Status(status) = world.command(ben, Command::Status) else {
            panic!("no status");
        };
        assert_eq!(status.requests, requests, "{strangers:?}");
        let cause = status.refused.get("not-invited").copied().unwrap_or(0);
        assert_eq!(
            cause > 0,
            requests == 0,
            "{strangers:?}: {:?}",
            status.refused
        );
    }
}

#[test]
fn a_text_of_four_kibibytes_is_a_request_and_a_longer_one_comes_after_one() {
    const LARGEST: usize = 4 * 1024;
    for (length, asks) in [(LARGEST, LARGEST), (LARGEST + 1, 0)] {
        let mut world = World::new(1);
        let [ann, ben] = ["ann", "ben"].map(|name| world.join(name));
        world.add(ann, ben);
        let text = "x".repeat(length);
        world.send(ann, "ben", &text);
        world.run(60_000);
        let requests = |world: &mut World| -> Vec<usize> {
            let events = world.events(ben).into_iter();
            let requests = events.filter_map(|event| match event.event {
                EventKind::Request { text, .. } => Some(text.len()),
                _ => None,
            });
            requests.collect()
        };
        assert_eq!(requests(&mut world), [asks], "of {length}");
        world.add(ben, ann);
        world.run(60 * 60_000);
        // what came after it is not its text
        assert_eq!(requests(&mut world), [asks], "of {length}");
        let received = world.received(ben, "ann");
        assert!(received == [text], "of {length}: {}", received.len());
    }
}

#[test]
fn what_was_declined_is_in_a_list_of_its_own_and_is_no_mark_on_a_contact() {
    let mut ben = Alone::new("ben");
    let trust = |ben: &mut Alone, trust| {
        let contact = "eve".to_owned();
        ben.command(Command::SetTrust { contact, trust }).unwrap();
    };
    let listed = |ben: &mut Alone| {
        [(true, false), (false, true)].map(|(requests, declined)| {
            match ben.command(Command::Contacts { requests, declined }) {
                Ok(Reply::Contacts { contacts }) => contacts.len(),
                other => panic!("{other:?}"),
            }
        })
    };
    let mut eve = Scripted::unknown_to(&mut ben, "eve");
    let key = eve.identity.id();
    let declined = |ben: &mut Alone| {
        let known = ben.node.store.transaction(|tx| tx.contact_by_key(&key));
        let known: Result<_, StoreError> = known;
        known.unwrap().unwrap().declined
    };
    let link = ben.connect(eve.identity.identity());
    let session = eve.start_session(&mut ben, link);
    let request = eve.request_to(&mut ben, "may I?");
    eve.send(&mut ben, link, &session, &request);
    assert_eq!((listed(&mut ben), declined(&mut ben)), ([1, 0], false));
    trust(&mut ben, Trust::Rejected);
    assert_eq!((listed(&mut ben), declined(&mut ben)), ([0, 1], true));
    trust(&mut ben, Trust::Unknown);
    assert_eq!((listed(&mut ben), declined(&mut ben)), ([0, 0], false));
    // a contact that is rejected has asked for nothing
    trust(&mut ben, Trust::Rejected);
    assert_eq!((listed(&mut ben), declined(&mut ben)), ([0, 0], false));
}
