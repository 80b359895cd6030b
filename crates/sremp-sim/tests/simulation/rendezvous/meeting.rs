//! People who know no more of each other than an id meet, and find each other again.

use sremp_client::view::{Command, ErrorKind, RegisterAs, RelayState};
use sremp_sim::{Faults, World};

use super::people::*;
use crate::{HOUR, MINUTE, seeds};

#[test]
fn two_who_know_only_each_others_ids_meet_and_write() {
    for seed in seeds(30) {
        let (mut world, _, ann, ben) = pair(seed);
        world.run(MINUTE);
        add_id(&mut world, ann, ben, Some("ben"));
        world.send(ann, "ben", "is that you?");
        world.run(MINUTE);
        add_id(&mut world, ben, ann, None);
        world.run(MINUTE);
        world.send(ben, "ann", "it is");
        world.run(MINUTE);
        assert_eq!(world.received(ben, "ann"), ["is that you?"], "seed {seed}");
        assert_eq!(world.received(ann, "ben"), ["it is"], "seed {seed}");
    }
}

#[test]
fn a_server_that_comes_back_is_asked_at_once_for_whom_it_could_not_name() {
    for seed in seeds(30) {
        let (mut world, server, ann, ben) = pair(seed);
        world.run(MINUTE);
        world.set_rendezvous_up(server, false);
        add_id(&mut world, ann, ben, Some("ben"));
        world.send(ann, "ben", "where are you?");
        // long enough for long pauses between two searches
        world.run(20 * MINUTE + seed * 1_000);
        world.set_rendezvous_up(server, true);
        let connected = |world: &mut World| {
            let mut servers = world.status(ann).rendezvous.into_iter();
            servers.any(|server| server.state == RelayState::Connected)
        };
        while !connected(&mut world) {
            world.run(100);
        }
        world.run(5_000);
        assert_eq!(world.requests(ben).len(), 1, "seed {seed}");
    }
}

#[test]
fn whoever_moves_and_changes_the_noise_key_is_found_again() {
    for seed in seeds(30) {
        let (mut world, server, ann, ben) = pair(seed);
        world.introduce(ann, ben);
        world.send(ann, "ben", "one");
        world.run(MINUTE);
        // ann sleeps while ben moves: nothing but the server can tell her
        world.set_reachable(ann, false);
        world.run(2 * MINUTE);
        world.command(ben, Command::RotateNoiseKey);
        moves(&mut world, ben);
        // the server is restarted in between
        world.set_rendezvous_up(server, false);
        world.run(MINUTE);
        world.set_rendezvous_up(server, true);
        world.run(20 * MINUTE);
        assert_eq!(
            places(&mut world, server, ben),
            ["elsewhere:4000"],
            "seed {seed}"
        );
        world.set_reachable(ann, true);
        world.send(ann, "ben", "two");
        world.run(5 * MINUTE);
        assert_eq!(world.received(ben, "ann"), ["one", "two"], "seed {seed}");
    }
}

#[test]
fn whoever_goes_on_right_after_being_found_is_found_again_within_seconds() {
    for seed in seeds(30) {
        let mut world = World::new(seed);
        let server = world.open_rendezvous("rdv");
        // ben cannot dial her: she has to find him
        let ann = join_with(&mut world, "ann", &[server], |config| {
            config.advertise = None;
        });
        let ben = join(&mut world, "ben", &[server]);
        world.introduce(ann, ben);
        world.run(MINUTE);
        for (n, place) in ["here", "there", "yonder"].into_iter().enumerate() {
            moves_to(&mut world, ben, place);
            let endpoint = format!("{place}:4000");
            while places(&mut world, server, ben) != [endpoint.as_str()] {
                world.run(100);
            }
            world.send(ann, "ben", &n.to_string());
            world.run(12_000);
            let read = world.received(ben, "ann");
            assert_eq!(read.len(), n + 1, "seed {seed}: {read:?}");
        }
    }
}

#[test]
fn a_message_is_looked_up_sent_and_confirmed_whatever_dies() {
    for seed in seeds(60) {
        let (mut world, _, ann, ben) = pair(seed);
        world.run(MINUTE);
        add_id(&mut world, ann, ben, Some("ben"));
        world.faults = Faults {
            cut: 30,
            die_before_commit: 20,
            die_after_commit: 20,
        };
        for n in 0..5 {
            world.send(ann, "ben", &format!("{n}"));
            world.run(seed % 7 * 700);
        }
        world.run(10 * MINUTE);
        world.faults = Faults::default();
        world.run(HOUR);
        let known = world.try_command(
            ben,
            Command::Contacts {
                requests: true,
                declined: false,
            },
        );
        assert!(known.is_ok());
        add_id(&mut world, ben, ann, None);
        world.run(HOUR);
        let wanted: Vec<String> = (0..5).map(|n| n.to_string()).collect();
        assert_eq!(world.received(ben, "ann"), wanted, "seed {seed}");
        assert!(world.all_arrived(ann, "ben"), "seed {seed}");
    }
}

#[test]
fn one_who_is_registered_is_found_by_id_and_nobody_else_is() {
    let (mut world, _, ann, ben) = pair(1);
    let away = world.join("away");
    world.run(MINUTE);
    let found = find(&mut world, ann, ben).unwrap();
    assert_eq!((found.username.as_str(), found.alias), ("ben", None));
    assert_eq!(found.endpoints, ["ben:4000"]);
    assert_eq!(found.servers, ["rdv:4000"]);
    assert!(!found.listed && found.online.is_none() && found.warnings.is_empty());
    let error = find(&mut world, ann, away).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Contact);
    assert!(
        error.message.contains("no rendezvous server knows"),
        "{error}"
    );
    let error = find(&mut world, away, ben).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Usage);
    assert!(
        error.message.contains("no rendezvous server is set"),
        "{error}"
    );
}

#[test]
fn those_who_are_listed_are_browsed_by_those_who_are_registered() {
    let mut world = World::new(4);
    let server = world.open_rendezvous("rdv");
    let ann = join(&mut world, "ann", &[server]);
    let hidden = join(&mut world, "hidden", &[server]);
    let mut listed = Vec::new();
    for n in 0..45 {
        let node = join(&mut world, &format!("p{n}"), &[server]);
        listed.push(world.id(node).to_string());
        world.command_within(
            node,
            Command::Register {
                visibility: Some(RegisterAs::Listed),
            },
            1,
        );
    }
    world.run(2 * MINUTE);
    let view = browse(&mut world, ann).unwrap();
    let mut ids: Vec<String> = view.people.iter().map(|p| p.id.clone()).collect();
    ids.sort();
    listed.sort();
    assert_eq!(ids, listed);
    assert!(!view.more && view.failures.is_empty() && view.refused == 0);
    assert!(view.people.iter().all(|p| p.online == Some(true)));
    assert!(!ids.contains(&world.id(hidden).to_string()));
    // nobody is added by looking
    assert_eq!(world.status(ann).contacts, 0);
    register(&mut world, ann, RegisterAs::Off);
    let error = browse(&mut world, ann).unwrap_err();
    assert!(error.message.contains("sremp register"), "{error}");
}

#[test]
fn a_contacts_card_names_servers_that_are_asked_for_that_contact_only() {
    let mut world = World::new(19);
    let (anns, bens) = (world.open_rendezvous("anns"), world.open_rendezvous("bens"));
    let ann = join(&mut world, "ann", &[anns]);
    let ben = join(&mut world, "ben", &[bens]);
    let cat = join(&mut world, "cat", &[bens]);
    world.add(ann, ben);
    world.run(MINUTE);
    moves(&mut world, ben);
    world.run(MINUTE);
    world.send(ann, "ben", "found by your card");
    world.run(5 * MINUTE);
    let found = find(&mut world, ann, ben).unwrap();
    assert_eq!(found.servers, ["bens:4000"]);
    assert!(find(&mut world, ann, cat).is_err());
    // nothing of ann is told to a server that is not hers
    assert!(!is_known(&mut world, bens, ann));
    add_id(&mut world, ben, ann, None);
    world.run(MINUTE);
    assert_eq!(world.received(ben, "ann"), ["found by your card"]);
}
