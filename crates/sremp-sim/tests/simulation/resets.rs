//! Sessions that are lost: both sides notice, begin anew, and nothing is lost or shown twice.

use std::time::Duration;

use sremp_client::{
    engine::Output,
    store::StoreError,
    view::{EventKind, MessageKind},
};
use sremp_core::session::content::{Body, ProfileUpdate, ResetReason};
use sremp_sim::{Alone, World, commands::send, dials};

use crate::{
    HOUR,
    people::{ann_and_ben, ben_and_scripted_ann, texts},
    seeds,
};

const MINUTE: Duration = Duration::from_secs(60);
const RENEWED: &str = "[session renewed";

/// Two people in the middle of a conversation.
fn in_conversation(seed: u64) -> World {
    let mut world = ann_and_ben(seed);
    for n in 0..3 {
        world.send(0, "ben", &format!("a before {n}"));
        world.run(5_000);
        world.send(1, "ann", &format!("b before {n}"));
        world.run(5_000);
    }
    world
}

/// Changes what all later keys of every session come from, of each node in another way: nothing that
/// is sent can be read by the other, nor the other way round.
fn lose_sessions(world: &mut World, node: usize) {
    /// Place of the root key in a stored session.
    const ROOT: usize = 114 - 32;
    /// Place of the flag that there is a sending chain, and of its key.
    const SENDING: usize = 146;
    const CHAIN_KEY: usize = SENDING + 1 + 32 + 64 + 4;
    let lost = world.node(node).store.transaction(|tx| {
        for contact in tx.contacts()? {
            for (session, mut state) in tx.sessions(contact.row)? {
                state[ROOT] ^= 1 << node;
                if state[SENDING] == 1 {
                    state[CHAIN_KEY] ^= 1 << node;
                }
                tx.save_session(contact.row, &session, &state)?;
            }
        }
        Ok::<_, StoreError>(())
    });
    lost.unwrap();
    world.restart(node);
}

fn renewals(world: &mut World, node: usize, contact: &str) -> usize {
    let lines = world.history(node, contact).into_iter();
    lines.filter(|line| line.text.starts_with(RENEWED)).count()
}

/// What a node received, without what came before the loss.
fn since(world: &mut World, node: usize, contact: &str) -> Vec<String> {
    let all = world.received(node, contact).into_iter();
    all.filter(|text| !text.contains("before")).collect()
}

#[test]
fn both_lose_the_session_at_once_and_find_together_again() {
    for seed in seeds(40) {
        let mut world = in_conversation(seed);
        for node in [0, 1] {
            lose_sessions(&mut world, node);
        }
        let each = 1 + seed % 5;
        for n in 0..each {
            world.send(0, "ben", &format!("a{n}"));
            world.send(1, "ann", &format!("b{n}"));
            world.run(seed % 3 * 40);
        }
        world.run(2 * HOUR);
        assert_eq!(since(&mut world, 1, "ann"), texts("a", each), "seed {seed}");
        assert_eq!(since(&mut world, 0, "ben"), texts("b", each), "seed {seed}");
        for (node, other) in [(0, "ben"), (1, "ann")] {
            assert!(world.all_arrived(node, other), "seed {seed}");
            assert_eq!(
                renewals(&mut world, node, other),
                1,
                "seed {seed}, node {node}"
            );
            let missing = |line: &sremp_client::view::MessageView| {
                line.kind == MessageKind::Notice && !line.text.starts_with(RENEWED)
            };
            assert!(
                !world.history(node, other).iter().any(missing),
                "seed {seed}"
            );
        }
        // and it is quiet again: what is said is said once
        let before = world.messages();
        world.run(24 * HOUR);
        assert!(world.messages() - before <= 4, "seed {seed}");
        world.send(0, "ben", "at last");
        world.run(10_000);
        assert_eq!(since(&mut world, 1, "ann").last().unwrap(), "at last");
        assert!(world.messages() - before <= 8, "seed {seed}");
        assert_eq!(renewals(&mut world, 0, "ben"), 1, "seed {seed}");
    }
}

#[test]
fn one_side_loses_the_session_and_whoever_writes_is_read_in_the_end() {
    for seed in seeds(20) {
        let mut world = in_conversation(seed);
        lose_sessions(&mut world, 1);
        let writer = (seed % 2) as usize;
        let (to, from) = [("ben", "ann"), ("ann", "ben")][writer];
        for n in 0..4 {
            world.send(writer, to, &format!("{n}"));
        }
        world.run(2 * HOUR);
        let read = since(&mut world, 1 - writer, from);
        assert_eq!(read, ["0", "1", "2", "3"], "seed {seed}");
        assert!(renewals(&mut world, 0, "ben") <= 1, "seed {seed}");
        assert!(renewals(&mut world, 1, "ann") <= 1, "seed {seed}");
    }
}

#[test]
fn a_session_that_is_lost_again_and_again_is_renewed_at_most_once_an_hour() {
    for seed in seeds(1) {
        let mut world = in_conversation(seed);
        let mut before = [0; 2];
        for hour in 0..4 {
            lose_sessions(&mut world, 1);
            for n in 0..4 {
                world.send(0, "ben", &format!("{hour} {n}"));
                world.run(1_000);
            }
            world.run(HOUR);
            let now = [
                renewals(&mut world, 0, "ben"),
                renewals(&mut world, 1, "ann"),
            ];
            assert!(
                now[0] <= before[0] + 1 && now[1] <= before[1] + 1,
                "{now:?}"
            );
            before = now;
        }
        world.run(5 * HOUR);
        let said = (0..4).flat_map(|hour| (0..4).map(move |n| format!("{hour} {n}")));
        assert_eq!(since(&mut world, 1, "ann"), said.collect::<Vec<_>>());
    }
}

const RESET: Body = Body::Reset {
    reason: ResetReason::DESYNC,
    last_seq: 0,
};

fn lines_of(ben: &mut Alone, start: &str) -> usize {
    let lines = ben.history("ann").into_iter();
    lines.filter(|line| line.text.starts_with(start)).count()
}

#[test]
fn a_reset_acts_once_although_it_comes_again_under_another_session() {
    for seed in seeds(1) {
        let (mut ben, mut ann, link) = ben_and_scripted_ann(seed);
        let first = ann.start_session(&mut ben, link);
        let reset = ann.content(&mut ben, RESET);
        assert!(ann.send(&mut ben, link, &first, &reset).0);
        assert_eq!(lines_of(&mut ben, RENEWED), 1);
        ben.pass(2 * MINUTE);
        // the same content, sealed anew in a session that something else began
        let second = ann.start_session(&mut ben, link);
        assert!(ann.write(&mut ben, link, &second, "hello"));
        assert!(
            ann.send(&mut ben, link, &second, &reset).0,
            "it is confirmed"
        );
        assert_eq!(lines_of(&mut ben, RENEWED), 1);
        assert_eq!(lines_of(&mut ben, "hello"), 1);
    }
}

#[test]
fn resets_of_a_minute_act_once_and_each_is_confirmed() {
    for seed in seeds(1) {
        let (mut ben, mut ann, link) = ben_and_scripted_ann(seed);
        let session = ann.start_session(&mut ben, link);
        for _ in 0..50 {
            let reset = ann.content(&mut ben, RESET);
            assert!(ann.send(&mut ben, link, &session, &reset).0);
        }
        assert_eq!(lines_of(&mut ben, RENEWED), 1);
        assert_eq!(ben.status().refused["reset-too-often"], 49);
        // then what came too soon is followed once, under the same line
        ben.pass(2 * MINUTE);
        assert_eq!(lines_of(&mut ben, RENEWED), 1);
        let reset = ann.content(&mut ben, RESET);
        assert!(ann.send(&mut ben, link, &session, &reset).0);
        assert_eq!(lines_of(&mut ben, RENEWED), 2);
    }
}

/// The connection breaks while something waits: where Ben dials Ann.
fn dialled_instead(ben: &mut Alone, link: sremp_net::LinkId) -> Vec<String> {
    ben.command(send("ann", "where are you?")).unwrap();
    let done = ben.cut(link);
    let dials = dials(&done);
    dials[0].claimed.iter().map(ToString::to_string).collect()
}

fn profile(rev: u64, endpoint: &str) -> ProfileUpdate {
    ProfileUpdate {
        rev,
        endpoints: Some(vec![endpoint.parse().unwrap()]),
        ..ProfileUpdate::default()
    }
}

#[test]
fn a_profile_that_comes_again_or_late_does_not_undo_a_newer_one() {
    for seed in seeds(1) {
        let (mut ben, mut ann, link) = ben_and_scripted_ann(seed);
        let first = ann.start_session(&mut ben, link);
        let old = ann.content(&mut ben, Body::ProfileUpdate(profile(2, "old.example:1")));
        let new = ann.content(&mut ben, Body::ProfileUpdate(profile(3, "new.example:1")));
        assert!(ann.send(&mut ben, link, &first, &old).0);
        assert!(ann.send(&mut ben, link, &first, &new).0);
        ben.pass(2 * MINUTE);
        let second = ann.start_session(&mut ben, link);
        assert!(ann.send(&mut ben, link, &second, &old).0);
        let same = ann.content(&mut ben, Body::ProfileUpdate(profile(3, "other.example:1")));
        assert!(ann.send(&mut ben, link, &second, &same).0);
        assert_eq!(dialled_instead(&mut ben, link), ["new.example:1"]);
    }
}

#[test]
fn an_acceptance_is_told_once_and_its_profile_counts_once() {
    for seed in seeds(1) {
        let (mut ben, mut ann, link) = ben_and_scripted_ann(seed);
        let accepted = |ben: &mut Alone| {
            let events = ben.events().into_iter();
            events
                .filter(|e| matches!(e.event, EventKind::Accepted { .. }))
                .count()
        };
        let first = ann.start_session(&mut ben, link);
        let accept = ann.content(&mut ben, Body::ContactAccept(profile(1, "old.example:1")));
        assert!(ann.send(&mut ben, link, &first, &accept).0);
        assert_eq!(accepted(&mut ben), 1);
        let new = ann.content(&mut ben, Body::ProfileUpdate(profile(2, "new.example:1")));
        assert!(ann.send(&mut ben, link, &first, &new).0);
        ben.pass(2 * MINUTE);
        let second = ann.start_session(&mut ben, link);
        let (confirmed, done) = ann.send(&mut ben, link, &second, &accept);
        assert!(confirmed);
        assert_eq!(accepted(&mut ben), 1);
        let sent = |output: &&Output| matches!(output, Output::Send { .. });
        assert_eq!(done.iter().filter(sent).count(), 1, "only the confirmation");
        assert_eq!(dialled_instead(&mut ben, link), ["new.example:1"]);
    }
}
