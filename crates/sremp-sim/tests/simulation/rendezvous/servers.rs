//! Which servers are used: those of the settings, of DNS, of cards, and not those of hearsay.

use sremp_client::{
    config::RendezvousPlace,
    view::{Command, Reply, ServersView},
};
use sremp_sim::World;

use super::people::*;
use crate::{DAY, HOUR, MINUTE};

#[test]
fn servers_of_which_others_tell_are_shown_and_not_used() {
    let mut world = World::new(12);
    let servers: Vec<usize> = ["one", "two", "three"]
        .map(|n| world.open_rendezvous(n))
        .to_vec();
    let now = world.now().wall;
    let others = [1, 2].map(|n| world.rendezvous(servers[n]).record(now));
    world.rendezvous(servers[0]).others = others.to_vec();
    let ann = join(&mut world, "ann", &[servers[0]]);
    world.run(MINUTE);
    let Reply::Servers(ServersView { candidates, .. }) = world.command(ann, Command::Servers)
    else {
        panic!("no servers");
    };
    let mut told: Vec<&str> = candidates.iter().map(|c| c.server.as_str()).collect();
    told.sort_unstable();
    assert_eq!(told, ["three:4000", "two:4000"]);
    world.run(HOUR);
    assert!(!is_known(&mut world, servers[1], ann) && !is_known(&mut world, servers[2], ann));
    // told to, it uses one of them when the first is dead
    let link = candidates[0].link.parse::<RendezvousPlace>().unwrap();
    world.set_rendezvous_up(servers[0], false);
    world.configure(ann, |config| {
        let first = config.rendezvous.take().unwrap_or_default();
        config.rendezvous = Some(first.into_iter().chain([link]).collect());
    });
    world.run(MINUTE);
    assert!(is_known(&mut world, servers[1], ann) || is_known(&mut world, servers[2], ann));
}

#[test]
fn a_server_of_a_lan_is_still_known_after_a_run_that_may_not_use_it() {
    let mut world = World::new(41);
    let (server, inside) = (
        world.open_rendezvous("rdv"),
        world.open_rendezvous("192.168.7.7"),
    );
    let now = world.now().wall;
    let told = world.rendezvous(inside).record(now);
    world.rendezvous(server).others = vec![told];
    let ann = join(&mut world, "ann", &[server]);
    for allowed in [true, false, true] {
        world.configure(ann, |config| config.allow_private_addresses = allowed);
        world.run(MINUTE);
        let Reply::Servers(view) = world.command(ann, Command::Servers) else {
            panic!("no servers");
        };
        assert_eq!(view.candidates.len(), usize::from(allowed));
        // from now on nobody tells of it
        world.rendezvous(server).others.clear();
    }
}

#[test]
fn servers_that_dns_names_are_used_and_asked_again_when_dns_fails() {
    let mut world = World::new(18);
    let server = world.open_rendezvous("rdv");
    let domain = RendezvousPlace::Domain("example.org".to_owned());
    let node = world.join_with("node", |config| config.rendezvous = Some(vec![domain]));
    world.run(MINUTE);
    let view = world.status(node);
    let told = &view.rendezvous[0];
    assert_eq!(told.server, "example.org");
    assert!(
        told.last_error.is_some() && told.next_try.is_some(),
        "{told:?}"
    );
    world.name_servers("example.org", &[server]);
    world.run(15 * MINUTE);
    assert_eq!(world.status(node).rendezvous[0].server, "rdv:4000");
    assert!(is_known(&mut world, server, node));
    // who asks before DNS has answered waits for it
    let other = join(&mut world, "other", &[server]);
    world.run(MINUTE);
    world.restart(node);
    assert_eq!(find(&mut world, node, other).unwrap().username, "other");
}

#[test]
fn a_card_does_not_keep_a_server_that_dns_names_from_being_ones_own() {
    let mut world = World::new(27);
    let server = world.open_rendezvous("rdv");
    let ben = join(&mut world, "ben", &[server]);
    world.run(MINUTE);
    let domain = RendezvousPlace::Domain("example.org".to_owned());
    let ann = world.join_with("ann", |config| config.rendezvous = Some(vec![domain]));
    world.add(ann, ben);
    moves(&mut world, ben);
    world.run(MINUTE);
    // the card's server is asked before DNS knows
    world.send(ann, "ben", "hello");
    world.run(MINUTE);
    world.name_servers("example.org", &[server]);
    world.run(15 * MINUTE);
    assert!(is_known(&mut world, server, ann));
    assert!(world.status(ann).rendezvous[0].own);
}

#[test]
fn a_dead_server_is_tried_less_and_less() {
    let mut world = World::new(14);
    let server = world.open_rendezvous("rdv");
    world.set_rendezvous_up(server, false);
    let ann = join(&mut world, "ann", &[server]);
    let nobody = world.join("nobody");
    world.run(MINUTE);
    add_id(&mut world, ann, nobody, Some("nobody"));
    world.send(ann, "nobody", "hello?");
    world.run(DAY);
    let view = world.status(ann);
    let told = &view.rendezvous[0];
    assert!(
        told.last_error.is_some() && told.next_try.is_some(),
        "{told:?}"
    );
    world.set_rendezvous_up(server, true);
    world.run(15 * MINUTE);
    let view = world.status(ann);
    assert!(is_known(&mut world, server, ann), "{:?}", view.rendezvous);
    // who is not there is asked for once an hour at the most
    world.run(HOUR);
    let before = world.rendezvous(server).lookups;
    world.run(10 * HOUR);
    let asked = world.rendezvous(server).lookups - before;
    assert!((5..=20).contains(&asked), "{asked} in ten hours");
}
