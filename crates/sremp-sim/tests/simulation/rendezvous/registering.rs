//! How long one is found, and by whom.

use sremp_client::view::{Command, ErrorKind, RegisterAs, Reply};
use sremp_sim::{Lie, World};

use super::people::*;
use crate::{DAY, HOUR, MINUTE};

#[test]
fn a_registration_lasts_while_the_client_runs_and_not_much_longer() {
    let mut world = World::new(2);
    let server = world.open_rendezvous("rdv");
    let ben = join(&mut world, "ben", &[server]);
    for hours in 0..30 {
        world.run(HOUR);
        assert!(is_known(&mut world, server, ben), "after {hours} h");
    }
    let renewals = world.rendezvous(server).registered;
    assert!((31..=60).contains(&renewals), "{renewals} in 30 h");
    // a day without the client
    world.set_reachable(ben, false);
    world.set_rendezvous_up(server, false);
    world.run(HOUR + 6 * MINUTE);
    assert!(!is_known(&mut world, server, ben));
}

#[test]
fn who_is_turned_off_is_withdrawn_everywhere_also_where_a_server_was_down() {
    let mut world = World::new(3);
    let (one, two) = (world.open_rendezvous("one"), world.open_rendezvous("two"));
    let ben = join(&mut world, "ben", &[one, two]);
    world.run(MINUTE);
    assert!(is_known(&mut world, one, ben) && is_known(&mut world, two, ben));
    world.set_rendezvous_up(two, false);
    world.run(MINUTE);
    let view = register(&mut world, ben, RegisterAs::Off);
    assert_eq!(view.visibility, RegisterAs::Off);
    assert!(!is_known(&mut world, one, ben));
    assert!(is_known(&mut world, two, ben));
    // also a client that begins anew remembers that it has to say so
    world.restart(ben);
    world.set_rendezvous_up(two, true);
    world.run(15 * MINUTE);
    assert!(!is_known(&mut world, two, ben));
    assert_eq!(world.status(ben).visibility, RegisterAs::Off);
    let view = register(&mut world, ben, RegisterAs::Unlisted);
    assert!(
        view.servers.iter().all(|s| s.registered_until.is_some()),
        "{view:?}"
    );
    assert!(is_known(&mut world, one, ben) && is_known(&mut world, two, ben));
}

#[test]
fn one_who_is_off_tells_a_server_once_however_long_another_is_dead() {
    let mut world = World::new(24);
    let (live, dead) = (world.open_rendezvous("live"), world.open_rendezvous("dead"));
    let node = join(&mut world, "node", &[live, dead]);
    world.run(MINUTE);
    world.set_rendezvous_up(dead, false);
    register(&mut world, node, RegisterAs::Off);
    let before = world.rendezvous(live).connected;
    world.run(HOUR);
    assert!(world.rendezvous(live).connected - before <= 1);
    assert!(!is_known(&mut world, live, node));
}

#[test]
fn a_client_that_ends_takes_back_where_it_was_and_leaves_its_relays() {
    for with_relay in [false, true] {
        let mut world = World::new(11);
        let server = world.open_rendezvous("rdv");
        let relay = world.open_relay("relay");
        let link = world.relay(relay).link();
        let ben = join_with(&mut world, "ben", &[server], |config| {
            config.relays = with_relay.then_some(link).into_iter().collect();
        });
        world.run(MINUTE);
        assert!(is_known(&mut world, server, ben));
        world.leave(ben);
        let left = places(&mut world, server, ben);
        let wanted: &[&str] = if with_relay { &["relay:4000"] } else { &[] };
        assert_eq!(left, wanted);
        world.run(23 * HOUR);
        assert_eq!(is_known(&mut world, server, ben), with_relay);
        world.run(2 * HOUR);
        assert!(!is_known(&mut world, server, ben));
    }
}

#[test]
fn a_server_that_refuses_and_then_takes_is_registered_with_and_nothing_spins() {
    let mut world = World::new(20);
    let server = world.open_rendezvous("rdv");
    world.rendezvous(server).lie = Lie::IsFull;
    let node = join(&mut world, "node", &[server]);
    world.run(MINUTE);
    let view = world.status(node);
    assert!(
        view.rendezvous[0].last_error.is_some(),
        "{:?}",
        view.rendezvous
    );
    world.rendezvous(server).lie = Lie::None;
    world.run(6 * MINUTE);
    assert!(is_known(&mut world, server, node));
    world.run(HOUR);
    assert!(is_known(&mut world, server, node));
}

#[test]
fn a_clock_that_was_wrong_and_a_machine_that_slept_do_not_keep_anybody_unfindable() {
    // ahead by a year, then put right; also across a restart
    for restarts in [false, true] {
        let mut world = World::new(22);
        let server = world.open_rendezvous("rdv");
        let node = join(&mut world, "node", &[server]);
        let year = 365 * DAY as i64;
        world.turn_calendar_of(node, year);
        world.restart(node);
        world.run(HOUR);
        assert!(!is_known(&mut world, server, node));
        world.turn_calendar_of(node, -year);
        if restarts {
            world.restart(node);
        }
        world.run(6 * MINUTE);
        assert!(is_known(&mut world, server, node));
    }
    // the calendar went on while the stopwatch stood still
    let mut world = World::new(23);
    let server = world.open_rendezvous("rdv");
    let node = join(&mut world, "node", &[server]);
    world.run(MINUTE);
    world.turn_calendars(9 * HOUR as i64);
    assert!(!is_known(&mut world, server, node));
    world.run(2 * MINUTE);
    assert!(is_known(&mut world, server, node));
}

#[test]
fn with_nothing_to_register_the_user_is_told_so() {
    let mut world = World::new(25);
    let server = world.open_rendezvous("rdv");
    let node = join_with(&mut world, "node", &[server], |config| {
        config.advertise = None
    });
    world.run(MINUTE);
    let command = Command::Register { visibility: None };
    let Some(Ok(Reply::Register(view))) = world.command_within(node, command, 15_000) else {
        panic!("no answer");
    };
    assert!(view.warning.is_some_and(|w| w.contains("map_port")));
    let error = browse(&mut world, node).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Network);
    assert!(error.message.contains("map_port"), "{error}");
}
