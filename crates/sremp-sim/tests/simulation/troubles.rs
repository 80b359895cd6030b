//! Full disks, contacts who cannot be reached or do not want to be.

use std::time::Duration;

use sremp_client::{
    engine::{Input, Output},
    view::{Command, CommandError, ErrorKind, Reply, Status, Wait},
};
use sremp_core::{
    channel::Admission,
    error::ErrorCode,
    identity::Trust,
    session::content::{Body, ProfileUpdate},
};
use sremp_net::CloseReason;
use sremp_sim::{
    Alone, Scripted, World, closed,
    commands::{add, send, trust},
    dials,
};

use crate::{HOUR, people::ann_and_ben_in_session, seeds};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn refusal(answer: Result<Reply, CommandError>) -> CommandError {
    answer.expect_err("a refusal")
}

#[test]
fn a_full_disk_confirms_nothing_that_it_did_not_keep_and_goes_on_when_there_is_room() {
    for seed in seeds(10) {
        let mut world = ann_and_ben_in_session(seed);
        let texts: Vec<_> = (0..20)
            .map(|n| format!("{n} {}", "x".repeat(20_000)))
            .collect();
        world.node(1).store.limit_growth(20).unwrap();
        for text in &texts {
            world.send(0, "ben", text);
        }
        world.run(HOUR / 6);
        let kept = world.received(1, "ann").len() - 1;
        assert!(kept < texts.len(), "seed {seed}: the disk was not full");
        let on_device = |s: &Status| *s == Status::OnDevice;
        let confirmed = world
            .statuses(0, "ben")
            .iter()
            .filter(|s| on_device(s))
            .count()
            - 1;
        assert!(confirmed <= kept, "seed {seed}: {confirmed} of {kept}");
        // each try costs a connection: the pauses between them grow
        let tries = world.refused_by_disks();
        assert!((1..=20).contains(&tries), "seed {seed}: {tries} tries");
        world.restart(1);
        world.run(HOUR / 6);
        world.node(1).store.limit_growth(10_000).unwrap();
        world.run(HOUR);
        assert_eq!(world.received(1, "ann")[1..], texts, "seed {seed}");
        let statuses = world.statuses(0, "ben");
        assert!(statuses.iter().all(on_device), "seed {seed}");
        world.node(1).store.integrity_check().unwrap();
    }
}

#[test]
fn on_a_full_disk_send_says_so_and_nothing_is_half_queued() {
    for seed in seeds(1) {
        let mut world = ann_and_ben_in_session(seed);
        world.set_reachable(1, false);
        world.node(0).store.limit_growth(0).unwrap();
        let text = "x".repeat(20_000);
        let (mut queued, mut tries) = (0, 0);
        let error = loop {
            tries += 1;
            assert!(tries < 20, "the disk was not full");
            match world.try_command(0, send("ben", &text)) {
                Ok(_) => queued += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind, ErrorKind::Storage);
        assert!(error.message.contains("make room"), "{error}");
        assert_eq!(world.statuses(0, "ben").len(), 1 + queued);
        // at rest it waits, and what it waits for costs nothing
        let before = world.refused_by_disks();
        world.run(HOUR);
        assert!(world.refused_by_disks() - before <= 130);
        world.node(0).store.limit_growth(10_000).unwrap();
        world.set_reachable(1, true);
        world.command(0, send("ben", "room again"));
        world.run(HOUR);
        let read = world.received(1, "ann");
        assert_eq!((read.len(), &*read[1 + queued]), (2 + queued, "room again"));
    }
}

#[test]
fn after_a_full_disk_nothing_is_begun_for_half_a_minute() {
    for seed in seeds(1) {
        let mut ann = Alone::seeded("ann", seed);
        Scripted::known_to(&mut ann, "ben");
        let now = ann.now();
        ann.node.postpone(now);
        let (reply, done) = ann.command_and_more(send("ben", "soon"));
        reply.unwrap();
        assert_eq!(
            dials(&done).len(),
            1,
            "what the user asks for is done at once"
        );
        let mut ann = Alone::seeded("ann", seed);
        Scripted::known_to(&mut ann, "ben");
        ann.command(send("ben", "waits")).unwrap();
        ann.restart();
        let now = ann.now();
        ann.node.postpone(now);
        assert!(ann.pass(29 * SECOND).is_empty());
        let then = ann.pass(2 * SECOND);
        assert_eq!(dials(then.iter().map(|(_, o)| o)).len(), 1);
    }
}

/// When Ben, who does not answer, is dialled within this time; each dial fails after 5 ms.
fn failing_dials(ann: &mut Alone, ben: &Scripted, time: Duration) -> Vec<Duration> {
    let tick = Duration::from_millis(5);
    let mut times = Vec::new();
    let mut passed = Duration::ZERO;
    while passed < time {
        let step = ann.idle().max(tick).min(time - passed);
        for (at, output) in ann.pass(step) {
            if let Output::Dial(_) = output {
                times.push(at);
                ann.pass(tick);
                passed += tick;
                ann.fail_dial(ben.identity.id());
            }
        }
        passed += step;
    }
    times
}

fn pauses(times: &[Duration]) -> Vec<Duration> {
    times.windows(2).map(|w| w[1] - w[0]).collect()
}

#[test]
fn pauses_between_dials_double_from_a_second_to_a_quarter_of_an_hour() {
    for seed in seeds(2) {
        let mut ann = Alone::seeded("ann", seed);
        let ben = Scripted::known_to(&mut ann, "ben");
        ann.command(send("ben", "are you there?")).unwrap();
        ann.fail_dial(ben.identity.id());
        let times = failing_dials(&mut ann, &ben, DAY / 4);
        let mut middle = SECOND;
        let mut last = Duration::ZERO;
        for at in &times {
            let pause = *at - last;
            assert!(pause >= SECOND, "{pause:?}");
            assert!(pause >= middle * 3 / 4, "{pause:?} instead of {middle:?}");
            assert!(
                pause <= middle * 5 / 4 + SECOND / 50,
                "{pause:?} instead of {middle:?}"
            );
            middle = (middle * 2).min(15 * MINUTE);
            last = *at;
        }
        assert!(times.len() > 20, "{}", times.len());
    }
}

#[test]
fn a_new_message_ends_a_long_pause_but_nobody_is_dialled_more_than_once_a_second() {
    for seed in seeds(20) {
        let mut ann = Alone::seeded("ann", seed);
        let ben = Scripted::known_to(&mut ann, "ben");
        let mut times = Vec::new();
        for n in 0..200 {
            let (reply, done) = ann.command_and_more(send("ben", &n.to_string()));
            reply.unwrap();
            if !dials(&done).is_empty() {
                times.push(Duration::from_millis(ann.now().tick.get()));
                ann.fail_dial(ben.identity.id());
            }
            times.extend(failing_dials(&mut ann, &ben, SECOND / 20));
        }
        assert!(times.len() >= 5, "{times:?}");
        assert!(
            pauses(&times).iter().all(|pause| *pause >= SECOND),
            "seed {seed}: {:?}",
            pauses(&times)
        );
        // the pauses went on growing meanwhile
        let later = failing_dials(&mut ann, &ben, 5 * MINUTE);
        assert!(later.len() <= 8, "{later:?}");
        // in the middle of a long one, one message is one dial
        let (_, done) = ann.command_and_more(send("ben", "now"));
        assert_eq!(dials(&done).len(), 1);
        let (_, done) = ann.command_and_more(send("ben", "now too"));
        assert_eq!(dials(&done).len(), 0, "one is under way");
        ann.fail_dial(ben.identity.id());
        assert!(failing_dials(&mut ann, &ben, 10 * SECOND).is_empty());
    }
}

#[test]
fn a_connection_that_lasts_ends_the_pauses_and_one_that_breaks_at_once_does_not() {
    for seed in seeds(1) {
        let mut ann = Alone::seeded("ann", seed);
        let ben = Scripted::known_to(&mut ann, "ben");
        ann.command(send("ben", "hello")).unwrap();
        ann.fail_dial(ben.identity.id());
        failing_dials(&mut ann, &ben, 10 * MINUTE);
        let mut broken_after = |lived: Duration| {
            let link = ann.connect(ben.identity.identity());
            ann.pass(lived);
            let done = ann.cut(link);
            dials(&done).len()
        };
        assert_eq!(broken_after(29 * SECOND), 0);
        assert_eq!(broken_after(30 * SECOND), 1);
    }
}

#[test]
fn another_noise_key_is_believed_at_the_next_dial_and_that_is_no_sooner_than_others() {
    for seed in seeds(1) {
        let mut ann = Alone::seeded("ann", seed);
        let (ben, link) = Scripted::connected_to(&mut ann, "ben");
        ann.pass(MINUTE);
        ann.cut(link);
        let (_, done) = ann.command_and_more(send("ben", "hello"));
        assert!(dials(&done)[0].pinned_noise_key.is_some());
        let mismatch = |ann: &mut Alone| {
            let link = ann.new_link();
            let mut done = ann.give(Input::Closed {
                service: sremp_core::channel::Service::P2p,
                link,
                dialled: Some(ben.identity.id()),
                reason: CloseReason::Local(ErrorCode::StaticMismatch),
            });
            let soon = ann.pass(SECOND - Duration::from_millis(1));
            done.extend(soon.into_iter().map(|(_, output)| output));
            assert!(dials(&done).is_empty());
        };
        mismatch(&mut ann);
        let then = ann.pass(Duration::from_millis(1));
        let then = dials(then.iter().map(|(_, o)| o));
        assert!(then[0].pinned_noise_key.is_none());
        mismatch(&mut ann);
    }
}

/// Ben as a contact of Ann's, connected, with a message that he has not confirmed.
fn ann_connected(seed: u64) -> (Alone, Scripted, sremp_net::LinkId) {
    let mut ann = Alone::seeded("ann", seed);
    let (mut ben, link) = Scripted::connected_to(&mut ann, "ben");
    let session = ben.start_session(&mut ann, link);
    assert!(ben.write(&mut ann, link, &session, "hello"));
    ann.command(send("ben", "are you well?")).unwrap();
    (ann, ben, link)
}

/// Nothing is sent to Ben any more, and whoever tries is told why.
fn assert_turned_away(ann: &mut Alone, ben: &Scripted, why: &str) {
    assert!(ann.status().connected.is_empty());
    let error = refusal(ann.command(send("ben", "and now?")));
    assert_eq!(error.kind, ErrorKind::Contact);
    assert!(error.message.contains(why), "{error}");
    assert!(!error.message.contains("asks to be a contact"), "{error}");
    let refused = Admission::Close(ErrorCode::Refused);
    assert_eq!(ann.call(ben.identity.identity()).1, refused);
    let done = ann.pass(DAY);
    assert!(dials(done.iter().map(|(_, o)| o)).is_empty());
    ann.restart();
    let done = ann.pass(DAY);
    assert!(dials(done.iter().map(|(_, o)| o)).is_empty());
    assert!(
        ann.status().queued > 0,
        "what was written stays until it expires"
    );
}

#[test]
fn a_contact_that_withdraws_its_identity_over_a_new_connection_is_left_at_once() {
    for seed in seeds(1) {
        let (mut ann, mut ben, link) = ann_connected(seed);
        ben.identity = ben.identity.with_tombstone(ann.now().wall).unwrap();
        let other = ann.new_link();
        let done = ann.give(Input::Shown {
            service: sremp_core::channel::Service::P2p,
            link: other,
            identity: Box::new(ben.identity.identity().clone()),
            intro: None,
        });
        assert_eq!(closed(&done), [(link, ErrorCode::Refused)]);
        assert_turned_away(&mut ann, &ben, "withdrawn");
    }
}

#[test]
fn a_contact_that_withdraws_its_identity_in_a_message_is_left_after_the_confirmation() {
    for seed in seeds(1) {
        let (mut ann, mut ben, link) = ann_connected(seed);
        ann.pass(2 * MINUTE);
        let withdrawn = ben.identity.with_tombstone(ann.now().wall).unwrap();
        let session = ben.start_session(&mut ann, link);
        let update = ProfileUpdate {
            rev: 2,
            identity: Some(withdrawn.identity().into()),
            ..ProfileUpdate::default()
        };
        let update = ben.content(&mut ann, Body::ProfileUpdate(update));
        let (confirmed, done) = ben.send(&mut ann, link, &session, &update);
        assert!(confirmed);
        assert_eq!(closed(&done), [(link, ErrorCode::Refused)]);
        ben.identity = withdrawn;
        assert_turned_away(&mut ann, &ben, "withdrawn");
    }
}

#[test]
fn a_contact_that_is_rejected_is_left_at_once_and_comes_back_when_the_user_says_so() {
    for seed in seeds(1) {
        let (mut ann, ben, link) = ann_connected(seed);
        let (reply, done) = ann.command_and_more(trust("ben", Trust::Rejected));
        reply.unwrap();
        assert_eq!(closed(&done), [(link, ErrorCode::Refused)]);
        assert_turned_away(&mut ann, &ben, "rejected");
        let (reply, done) = ann.command_and_more(trust("ben", Trust::Unknown));
        reply.unwrap();
        assert_eq!(dials(&done).len(), 1, "what was queued goes on its way");
        ann.command(send("ben", "back again")).unwrap();
    }
}

#[test]
fn a_contact_added_again_after_a_rejection_is_still_asked_first() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.add(ann, ben);
        world.command(ann, trust("ben", Trust::Rejected));
        world.command(ann, add("ben", None));
        world.send(ann, "ben", "may I write?");
        world.run(HOUR);
        let contacts = world.requests(ben);
        assert_eq!(contacts[0].request_text.as_deref(), Some("may I write?"));
    }
}

#[test]
fn a_message_that_waits_for_somebody_turned_away_says_so() {
    for seed in seeds(1) {
        let (mut ann, ben, _) = ann_connected(seed);
        let wait = Command::Send {
            contact: "ben".to_owned(),
            text: "please".to_owned(),
            reply_to: None,
            key: None,
            wait: Wait::Device,
            timeout_ms: 5_000,
        };
        let ticket = sremp_client::engine::Ticket(77);
        ann.give(Input::Command {
            ticket,
            command: wait,
        });
        let withdrawn = ben.identity.with_tombstone(ann.now().wall).unwrap();
        let link = ann.new_link();
        ann.give(Input::Shown {
            service: sremp_core::channel::Service::P2p,
            link,
            identity: Box::new(withdrawn.identity().clone()),
            intro: None,
        });
        let done = ann.pass(10 * SECOND);
        let reason = done.iter().find_map(|(_, output)| match output {
            Output::Reply { result, .. } => match &**result {
                Ok(Reply::Sent(sent)) => sent.reason.clone(),
                _ => None,
            },
            _ => None,
        });
        assert!(
            reason.as_deref().is_some_and(|r| r.contains("withdrawn")),
            "{reason:?}"
        );
    }
}
