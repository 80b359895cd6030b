//! Where contacts say that they are is dialled no further than it must be (8.2).

use std::time::Duration;

use sremp_client::{
    engine::{Input, Output},
    view::Status,
};
use sremp_core::{
    channel::Service,
    id::SessionId,
    identity::Trust,
    session::content::{Body, ProfileUpdate},
};
use sremp_net::{CloseReason, DialTarget, LinkId};
use sremp_sim::{
    Alone, Scripted, World,
    commands::{send, trust},
    dials,
};

use crate::MINUTE;

const SECOND: Duration = Duration::from_secs(1);

/// Ann, to whom her contact Mal, at `mal:4000` by the card, has said in their session that he is at
/// these places, and then left.
fn mal_says(places: &[&str]) -> (Alone, Scripted, SessionId) {
    let mut ann = Alone::new("ann");
    let (mut mal, link) = Scripted::connected_to(&mut ann, "mal");
    let session = mal.start_session(&mut ann, link);
    let first = mal.request_to(&mut ann, "hello");
    assert!(mal.send(&mut ann, link, &session, &first).0);
    say(&mut ann, &mut mal, link, &session, 1, places);
    (ann, mal, session)
}

/// Mal says, once more, where he is, and hangs up.
fn say(
    ann: &mut Alone,
    mal: &mut Scripted,
    link: LinkId,
    session: &SessionId,
    rev: u64,
    places: &[&str],
) {
    let endpoints = places.iter().map(|place| place.parse().unwrap()).collect();
    let update = ProfileUpdate {
        rev,
        endpoints: Some(endpoints),
        ..ProfileUpdate::default()
    };
    let content = mal.content(ann, Body::ProfileUpdate(update));
    assert!(mal.send(ann, link, session, &content).0);
    ann.cut(link);
}

/// The dials of Ann within some time after she has written to Mal.
fn dials_for_mal(ann: &mut Alone, time: Duration) -> Vec<DialTarget> {
    let (reply, mut done) = ann.command_and_more(send("mal", "where are you?"));
    reply.unwrap();
    done.extend(ann.pass(time).into_iter().map(|(_, output)| output));
    dials(&done).into_iter().cloned().collect()
}

fn names(places: &[sremp_core::contact_card::Endpoint]) -> Vec<String> {
    places.iter().map(ToString::to_string).collect()
}

#[test]
fn case_25_places_inside_that_a_contact_claims_are_not_dialled_but_counted_and_told() {
    let inside = ["169.254.169.254:80", "127.0.0.1:22", "inside.example:33399"];
    let (mut ann, mal, _) = mal_says(&inside);
    let dialled = dials_for_mal(&mut ann, 10 * SECOND);
    assert_eq!(dialled.len(), 1);
    assert!(dialled[0].endpoints.is_empty(), "only as far as public");
    assert_eq!(names(&dialled[0].claimed), inside);
    // what the network says when all of it is inside
    let link = ann.new_link();
    ann.give(Input::Closed {
        link,
        service: Service::P2p,
        dialled: Some(mal.identity.id()),
        reason: CloseReason::PrivateAddress,
    });
    let status = ann.status();
    assert_eq!(status.refused.get("private-address"), Some(&1));
    let [warning] = &*status.warnings else {
        panic!("{:?}", status.warnings);
    };
    assert!(warning.starts_with("mal claims"), "{warning}");
}

#[test]
fn of_a_card_only_the_very_host_and_port_count() {
    let (mut ann, ..) = mal_says(&["mal:4000", "mal:22"]);
    let dialled = dials_for_mal(&mut ann, 10 * SECOND);
    assert_eq!(names(&dialled[0].endpoints), ["mal:4000"]);
    assert_eq!(names(&dialled[0].claimed), ["mal:22"]);
}

#[test]
fn a_trusted_contact_may_be_anywhere() {
    let (mut ann, ..) = mal_says(&["192.168.1.7:33399"]);
    ann.command(trust("mal", Trust::Trusted)).unwrap();
    let dialled = dials_for_mal(&mut ann, 10 * SECOND);
    assert_eq!(names(&dialled[0].endpoints), ["192.168.1.7:33399"]);
    assert!(dialled[0].claimed.is_empty());
}

#[test]
fn a_contact_sends_nobody_to_more_than_three_places_a_minute() {
    let places: Vec<String> = (1..=4).map(|n| format!("1.1.1.{n}:4000")).collect();
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    let (mut ann, mal, _) = mal_says(&places);
    let first = dials_for_mal(&mut ann, SECOND * 2);
    assert_eq!(names(&first[0].claimed), places[..3]);
    assert_eq!(ann.status().refused.get("too-many-endpoints"), Some(&1));
    // the same ones again, never the fourth, however often it is dialled
    for _ in 0..5 {
        ann.fail_dial(mal.identity.id());
        for again in dials_for_mal(&mut ann, SECOND * 2) {
            assert_eq!(names(&again.claimed), places[..3]);
        }
    }
}

#[test]
fn with_three_places_dialled_new_ones_wait_for_the_next_minute() {
    let (mut ann, mut mal, session) =
        mal_says(&["a.example:1024", "b.example:1024", "c.example:1024"]);
    assert_eq!(dials_for_mal(&mut ann, SECOND * 2).len(), 1);
    ann.fail_dial(mal.identity.id());
    let link = ann.connect(mal.identity.identity());
    say(&mut ann, &mut mal, link, &session, 2, &["d.example:1024"]);
    let start = Duration::from_millis(ann.now().tick.get());
    let done = ann.pass(2 * 60 * SECOND);
    let first = done.iter().find_map(|(at, output)| match output {
        Output::Dial(target) => Some((*at, names(&target.claimed))),
        _ => None,
    });
    let (at, claimed) = first.expect("it is dialled in the end");
    assert_eq!(claimed, ["d.example:1024"]);
    assert!(at - start >= 55 * SECOND, "after {:?}", at - start);
}

/// Ann, and Ben who has told her in their session that he is at an address inside; his card said
/// nothing.
fn ben_comes_to_be_inside(seed: u64, ann_allows: bool) -> (World, [usize; 2]) {
    let mut world = World::new(seed);
    let ann = world.join_with("ann", |config| config.allow_private_addresses = ann_allows);
    let ben = world.join_with("ben", |config| config.advertise = None);
    world.introduce(ann, ben);
    world.send(ben, "ann", "hello");
    world.run(MINUTE);
    world.send(ann, "ben", "hello");
    world.run(MINUTE);
    world.set_private(ben);
    world.advertise(ben, "ben:4000");
    world.run(MINUTE);
    world.restart(ben);
    world.run(1);
    world.send(ann, "ben", "are you in the house?");
    world.run(MINUTE);
    (world, [ann, ben])
}

#[test]
fn case_25_somebody_inside_is_dialled_by_a_card_but_not_by_his_own_word() {
    let (mut world, [ann, ben]) = ben_comes_to_be_inside(1, false);
    assert_eq!(
        world.statuses(ann, "ben"),
        [Status::OnDevice, Status::Queued]
    );
    let why = world.why_last(ann, "ben");
    let reason = why.waits_for.unwrap();
    assert!(reason.contains("private network"), "{reason}");
    world.add(ann, ben);
    world.run(20 * MINUTE);
    assert_eq!(
        world.received(ben, "ann"),
        ["hello", "are you in the house?"]
    );
    let status = world.status(ann);
    assert_eq!(status.warnings, [""; 0], "it is over");
}

#[test]
fn a_setting_lets_contacts_be_inside_by_their_own_word() {
    let (mut world, [_, ben]) = ben_comes_to_be_inside(2, true);
    assert_eq!(
        world.received(ben, "ann"),
        ["hello", "are you in the house?"]
    );
}
