//! Where one says to be, and where others are dialled.

use sremp_client::{
    config::Direct,
    view::{Choice, Command, Status},
};
use sremp_sim::{Lie, World, commands::direct};

use super::people::*;
use crate::{HOUR, MINUTE};

#[test]
fn places_inside_a_network_are_not_dialled_because_a_server_told_them() {
    let mut world = World::new(8);
    let server = world.open_rendezvous("rdv");
    world.rendezvous(server).dials_back = false;
    let ann = join(&mut world, "ann", &[server]);
    let ben = join(&mut world, "ben", &[server]);
    world.set_private(ben);
    world.run(MINUTE);
    add_id(&mut world, ann, ben, Some("ben"));
    world.send(ann, "ben", "hello?");
    world.run(10 * MINUTE);
    assert_eq!(world.status(ben).requests, 0);
    assert!(world.status(ann).refused["private-address"] >= 1);
}

#[test]
fn whoever_is_not_to_be_dialled_registers_relays_only_and_gets_the_message_there() {
    let mut world = World::new(9);
    let server = world.open_rendezvous("rdv");
    let relay = world.open_relay("relay");
    let link = world.relay(relay).link();
    let ann = join(&mut world, "ann", &[server]);
    let ben = join_with(&mut world, "ben", &[server], |config| {
        config.direct = Direct::Never;
        config.relays = vec![link];
    });
    world.run(MINUTE);
    assert_eq!(places(&mut world, server, ben), ["relay:4000"]);
    add_id(&mut world, ann, ben, Some("ben"));
    world.send(ann, "ben", "by the relay");
    // at once, not when something else happens
    world.run(4_000);
    assert_eq!(world.statuses(ann, "ben"), [Status::AtRelay]);
}

#[test]
fn whom_a_server_cannot_dial_back_it_still_keeps_with_relays() {
    let mut world = World::new(10);
    let server = world.open_rendezvous("rdv");
    let relay = world.open_relay("relay");
    let link = world.relay(relay).link();
    let ben = join_with(&mut world, "ben", &[server], |config| {
        config.advertise = Some("nowhere:4000".to_owned());
        config.relays = vec![link];
    });
    world.run(MINUTE);
    assert_eq!(places(&mut world, server, ben), ["relay:4000"]);
    let view = world.status(ben);
    let told = &view.rendezvous[0];
    assert!(
        told.relays_only && told.registered_until.is_some(),
        "{told:?}"
    );
    assert!(told.last_error.is_some(), "{told:?}");
}

#[test]
fn whoever_listens_everywhere_registers_the_address_that_the_server_sees() {
    let mut world = World::new(15);
    let server = world.open_rendezvous("rdv");
    let node = anywhere(&mut world, server, false);
    world.run(MINUTE);
    assert_eq!(places(&mut world, server, node), ["9.9.0.0:4000"]);
    assert_eq!(
        world.status(node).advertised.as_deref(),
        Some("9.9.0.0:4000")
    );
}

#[test]
fn behind_a_router_only_what_it_maps_is_registered_and_that_is_taken_back() {
    let mut world = World::new(16);
    let server = world.open_rendezvous("rdv");
    let node = anywhere(&mut world, server, true);
    world.run(MINUTE);
    assert!(places(&mut world, server, node).is_empty());
    world.map(node, Some("9.9.9.9:5000"));
    world.run(MINUTE);
    assert_eq!(places(&mut world, server, node), ["9.9.9.9:5000"]);
    assert_eq!(world.status(node).mapped.as_deref(), Some("9.9.9.9:5000"));
    world.map(node, None);
    world.run(MINUTE);
    assert!(places(&mut world, server, node).is_empty());
}

#[test]
fn addresses_inside_a_network_are_registered_nowhere_unless_the_setting_says_so() {
    for allowed in [false, true] {
        let mut world = World::new(17);
        let server = world.open_rendezvous("rdv");
        world.rendezvous(server).dials_back = false;
        let node = join_with(&mut world, "node", &[server], |config| {
            config.advertise = Some("192.168.1.2:4000".to_owned());
            config.allow_private_addresses = allowed;
        });
        world.run(MINUTE);
        let wanted: &[&str] = if allowed { &["192.168.1.2:4000"] } else { &[] };
        assert_eq!(places(&mut world, server, node), wanted);
    }
}

#[test]
fn contacts_are_told_of_ones_place_once_and_not_each_time_the_client_begins() {
    let mut world = World::new(26);
    let server = world.open_rendezvous("rdv");
    let node = anywhere(&mut world, server, false);
    let ben = join(&mut world, "ben", &[server]);
    world.run(MINUTE);
    world.introduce(node, ben);
    world.send(node, "ben", "hello");
    world.run(MINUTE);
    world.send(ben, "node", "hello");
    world.run(MINUTE);
    world.set_reachable(ben, false);
    let waits = |world: &mut World| world.status(node).queued;
    let before = waits(&mut world);
    for _ in 0..5 {
        world.restart(node);
        world.listen(node, "0.0.0.0:4000");
        world.run(2 * MINUTE);
    }
    assert_eq!(waits(&mut world), before);
    // a server that says otherwise by turns makes nobody write letters
    for n in 0..50 {
        let from = format!("9.9.9.{n}:5000");
        world.map(node, Some(&from));
        world.run(5_000);
    }
    assert!(waits(&mut world) <= before + 2);
}

#[test]
fn an_address_is_shown_to_those_only_who_may_learn_it() {
    let shown = |direct: Direct| {
        let mut world = World::new(28);
        let node = world.join_with("node", |config| config.direct = direct);
        let card = world.card(node);
        !sremp_client::card::read(&card)
            .unwrap()
            .endpoints
            .is_empty()
    };
    assert!(shown(Direct::Accepted));
    assert!(!shown(Direct::Trusted));
    assert!(!shown(Direct::Never));
}

#[test]
fn while_one_contact_is_off_no_server_is_told_where_one_is() {
    let mut world = World::new(30);
    let server = world.open_rendezvous("rdv");
    let relay = world.open_relay("relay");
    let link = world.relay(relay).link();
    let ann = join_with(&mut world, "ann", &[server], |config| {
        config.relays = vec![link]
    });
    let ben = join(&mut world, "ben", &[server]);
    world.add(ann, ben);
    world.run(MINUTE);
    let whole = ["ann:4000", "relay:4000"];
    assert_eq!(places(&mut world, server, ann), whole);
    for (direct, shown) in [
        (Choice::Off, &whole[1..]),
        (Choice::On, &whole[..]),
        (Choice::Off, &whole[1..]),
        (Choice::Default, &whole[..]),
    ] {
        let contact = "ben".to_owned();
        world.command(ann, Command::SetDirect { contact, direct });
        world.run(MINUTE);
        assert_eq!(places(&mut world, server, ann), shown, "{direct:?}");
    }
    world.configure(ann, |config| config.prefers_async = true);
    world.run(MINUTE);
    assert_eq!(places(&mut world, server, ann), whole[1..]);
}

#[test]
fn who_is_off_is_looked_for_and_not_dialled_where_a_server_finds_it() {
    let (mut world, server, ann, ben) = pair(31);
    let relay = world.open_relay("relay");
    let link = world.relay(relay).link();
    world.run(MINUTE);
    add_id(&mut world, ann, ben, Some("ben"));
    world.command(ann, direct("ben", Choice::Off));
    world.send(ann, "ben", "by a relay, if you have one");
    world.run(10 * MINUTE);
    assert_eq!(places(&mut world, server, ben), ["ben:4000"]);
    assert_eq!(world.statuses(ann, "ben"), [Status::Queued]);
    world.configure(ben, |config| config.relays = vec![link]);
    world.run(3 * HOUR);
    assert_eq!(world.statuses(ann, "ben"), [Status::AtRelay]);
    assert_eq!(world.calls(ann), 0);
}

#[test]
fn an_address_inside_that_a_server_guesses_is_told_to_nobody() {
    let mut world = World::new(29);
    let server = world.open_rendezvous("rdv");
    world.rendezvous(server).lie = Lie::GuessesAddresses;
    let node = anywhere(&mut world, server, true);
    world.run(MINUTE);
    assert!(places(&mut world, server, node).is_empty());
    assert_eq!(world.status(node).advertised, None);
}

#[test]
fn whoever_walks_to_another_network_is_registered_there_three_seconds_later() {
    for seed in 1..20 {
        let mut world = World::new(seed);
        let server = world.open_rendezvous("rdv");
        let node = anywhere(&mut world, server, false);
        world.run(MINUTE + seed * 7_000);
        assert_eq!(places(&mut world, server, node), ["9.9.0.0:4000"]);
        world.walk(node);
        world.run(3_000);
        let there = places(&mut world, server, node);
        assert_eq!(there, ["9.9.1.0:4000"], "seed {seed}");
        // a change that changes nothing makes nobody connect anew
        let connected = world.rendezvous(server).connected;
        world.change_network(node);
        world.run(MINUTE);
        assert_eq!(world.rendezvous(server).connected, connected, "seed {seed}");
    }
}
