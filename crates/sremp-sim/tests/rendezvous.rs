//! People who know no more of each other than an id, and the servers that tell where they are.

use sremp_client::{
    config::{Config, Direct, RendezvousPlace},
    view::{
        BrowseView, Command, CommandError, ErrorKind, FoundView, RegisterAs, RegisterView, Reply,
        ServersView, Status, StatusView,
    },
};
use sremp_sim::{Faults, Lie, World};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Seeds per test; `SREMP_SEEDS` asks for more.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let asked = std::env::var("SREMP_SEEDS").ok();
    0..asked.and_then(|n| n.parse().ok()).unwrap_or(default)
}

fn at(world: &mut World, servers: &[usize]) -> Option<Vec<RendezvousPlace>> {
    let links = servers.iter().map(|s| world.rendezvous(*s).link());
    Some(
        links
            .map(|link| RendezvousPlace::Link(Box::new(link)))
            .collect(),
    )
}

/// A person who uses these servers.
fn join(world: &mut World, name: &str, servers: &[usize]) -> usize {
    join_with(world, name, servers, |_| ())
}

fn join_with(
    world: &mut World,
    name: &str,
    servers: &[usize],
    set: impl FnOnce(&mut Config),
) -> usize {
    let places = at(world, servers);
    world.join_with(name, |config| {
        config.rendezvous = places;
        set(config);
    })
}

fn add_id(world: &mut World, node: usize, other: usize, alias: &str) {
    let who = world.id(other).to_string();
    let alias = Some(alias.to_owned());
    world.command(
        node,
        Command::Add {
            who,
            alias,
            despite_confusable: false,
        },
    );
}

fn accept(world: &mut World, node: usize, other: usize) {
    let who = world.id(other).to_string();
    world.command(
        node,
        Command::Add {
            who,
            alias: None,
            despite_confusable: false,
        },
    );
}

fn find(world: &mut World, node: usize, who: usize) -> Result<FoundView, CommandError> {
    let who = world.id(who).to_string();
    match world.command_within(node, Command::Find { who }, 15_000) {
        Some(Ok(Reply::Found(view))) => Ok(*view),
        Some(Err(error)) => Err(error),
        other => panic!("{other:?}"),
    }
}

fn browse(world: &mut World, node: usize) -> Result<BrowseView, CommandError> {
    let command = Command::Browse {
        name: None,
        limit: 1_000,
    };
    match world.command_within(node, command, 25_000) {
        Some(Ok(Reply::Browse(view))) => Ok(view),
        Some(Err(error)) => Err(error),
        other => panic!("{other:?}"),
    }
}

fn register(world: &mut World, node: usize, visibility: RegisterAs) -> RegisterView {
    let command = Command::Register {
        visibility: Some(visibility),
    };
    match world.command_within(node, command, 20_000) {
        Some(Ok(Reply::Register(view))) => view,
        other => panic!("{other:?}"),
    }
}

fn status(world: &mut World, node: usize) -> StatusView {
    match world.command(node, Command::Status) {
        Reply::Status(view) => view,
        other => panic!("{other:?}"),
    }
}

fn is_known(world: &mut World, server: usize, node: usize) -> bool {
    let (key, now) = (world.id(node), world.now().wall);
    world.rendezvous(server).tells_of(&key, now)
}

fn places(world: &mut World, server: usize, node: usize) -> Vec<String> {
    let (key, now) = (world.id(node), world.now().wall);
    world.rendezvous(server).places_of(&key, now)
}

#[test]
fn two_who_know_only_each_others_ids_meet_and_write() {
    for seed in seeds(30) {
        let mut world = World::new(seed);
        let server = world.open_rendezvous("rdv");
        let ann = join(&mut world, "ann", &[server]);
        let ben = join(&mut world, "ben", &[server]);
        world.run(MINUTE);
        add_id(&mut world, ann, ben, "ben");
        world.send(ann, "ben", "is that you?");
        world.run(MINUTE);
        accept(&mut world, ben, ann);
        world.run(MINUTE);
        world.send(ben, "ann", "it is");
        world.run(MINUTE);
        assert_eq!(world.received(ben, "ann"), ["is that you?"], "seed {seed}");
        assert_eq!(world.received(ann, "ben"), ["it is"], "seed {seed}");
    }
}

#[test]
fn whoever_moves_and_changes_the_noise_key_is_found_again() {
    for seed in seeds(30) {
        let mut world = World::new(seed);
        let server = world.open_rendezvous("rdv");
        let ann = join(&mut world, "ann", &[server]);
        let ben = join(&mut world, "ben", &[server]);
        world.add(ann, ben);
        world.add(ben, ann);
        world.send(ann, "ben", "one");
        world.run(MINUTE);
        // ann sleeps while ben moves: nothing but the server can tell her
        world.set_reachable(ann, false);
        world.run(2 * MINUTE);
        world.node(ben).name = "elsewhere".to_owned();
        world.command(ben, Command::RotateNoiseKey);
        world.advertise(ben, "elsewhere:4000");
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
fn a_message_is_looked_up_sent_and_confirmed_whatever_dies() {
    for seed in seeds(60) {
        let mut world = World::new(seed);
        let server = world.open_rendezvous("rdv");
        let ann = join(&mut world, "ann", &[server]);
        let ben = join(&mut world, "ben", &[server]);
        world.run(MINUTE);
        add_id(&mut world, ann, ben, "ben");
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
        let known = world.try_command(ben, Command::Contacts { requests: true });
        assert!(known.is_ok());
        accept(&mut world, ben, ann);
        world.run(HOUR);
        let wanted: Vec<String> = (0..5).map(|n| n.to_string()).collect();
        assert_eq!(world.received(ben, "ann"), wanted, "seed {seed}");
        let statuses = world.statuses(ann, "ben");
        assert!(
            statuses.iter().all(|s| *s == Status::OnDevice),
            "seed {seed}"
        );
    }
}

#[test]
fn one_who_is_registered_is_found_by_id_and_nobody_else_is() {
    let mut world = World::new(1);
    let server = world.open_rendezvous("rdv");
    let ann = join(&mut world, "ann", &[server]);
    let ben = join(&mut world, "ben", &[server]);
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
    assert_eq!(status(&mut world, ben).visibility, RegisterAs::Off);
    let view = register(&mut world, ben, RegisterAs::Unlisted);
    assert!(
        view.servers.iter().all(|s| s.registered_until.is_some()),
        "{view:?}"
    );
    assert!(is_known(&mut world, one, ben) && is_known(&mut world, two, ben));
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
    assert_eq!(status(&mut world, ann).contacts, 0);
    register(&mut world, ann, RegisterAs::Off);
    let error = browse(&mut world, ann).unwrap_err();
    assert!(error.message.contains("sremp register"), "{error}");
}

#[test]
fn a_server_that_gives_pages_for_ever_is_left_after_a_few() {
    let mut world = World::new(5);
    let server = world.open_rendezvous("rdv");
    let ann = join(&mut world, "ann", &[server]);
    let ben = join(&mut world, "ben", &[server]);
    register(&mut world, ben, RegisterAs::Listed);
    world.run(MINUTE);
    world.rendezvous(server).lie = Lie::NeverEnds;
    let before = world.messages();
    let view = browse(&mut world, ann).unwrap();
    assert!(view.more && view.people.len() == 1, "{view:?}");
    assert!(world.messages() - before < 20);
}

#[test]
fn a_server_that_lies_is_not_believed_and_another_is() {
    for (lie, counted) in [
        (Lie::GivesAnother, Some("BAD_PROOF")),
        (Lie::GivesTheFirst, None),
        (Lie::Withholds, None),
        (Lie::Forgets, None),
    ] {
        let mut world = World::new(6);
        let (liar, honest) = (
            world.open_rendezvous("liar"),
            world.open_rendezvous("honest"),
        );
        let ann = join(&mut world, "ann", &[liar, honest]);
        let ben = join(&mut world, "ben", &[liar, honest]);
        join(&mut world, "cat", &[liar, honest]);
        world.rendezvous(liar).lie = lie;
        world.run(MINUTE);
        world.node(ben).name = "elsewhere".to_owned();
        world.advertise(ben, "elsewhere:4000");
        world.run(MINUTE);
        let found = find(&mut world, ann, ben).unwrap();
        assert_eq!(found.endpoints, ["elsewhere:4000"], "{lie:?}");
        assert_eq!(found.servers, ["honest:4000"], "{lie:?}");
        if let Some(counted) = counted {
            assert!(status(&mut world, ann).refused[counted] >= 1, "{lie:?}");
        }
    }
}

#[test]
fn of_a_contact_nothing_older_is_taken_than_what_is_known() {
    let mut world = World::new(7);
    let server = world.open_rendezvous("rdv");
    let ann = join(&mut world, "ann", &[server]);
    let ben = join(&mut world, "ben", &[server]);
    world.run(MINUTE);
    world.node(ben).name = "elsewhere".to_owned();
    world.advertise(ben, "elsewhere:4000");
    world.run(MINUTE);
    add_id(&mut world, ann, ben, "ben");
    assert_eq!(
        find(&mut world, ann, ben).unwrap().endpoints,
        ["elsewhere:4000"]
    );
    world.rendezvous(server).lie = Lie::GivesTheFirst;
    let error = find(&mut world, ann, ben).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Network);
    assert!(status(&mut world, ann).refused["STALE_SEQ"] >= 1);
}

#[test]
fn places_inside_a_network_are_not_dialled_because_a_server_told_them() {
    let mut world = World::new(8);
    let server = world.open_rendezvous("rdv");
    world.rendezvous(server).dials_back = false;
    let ann = join(&mut world, "ann", &[server]);
    let ben = join(&mut world, "ben", &[server]);
    world.set_private(ben);
    world.run(MINUTE);
    add_id(&mut world, ann, ben, "ben");
    world.send(ann, "ben", "hello?");
    world.run(10 * MINUTE);
    assert_eq!(status(&mut world, ben).requests, 0);
    assert!(status(&mut world, ann).refused["private-address"] >= 1);
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
    add_id(&mut world, ann, ben, "ben");
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
    let view = status(&mut world, ben);
    let told = &view.rendezvous[0];
    assert!(
        told.relays_only && told.registered_until.is_some(),
        "{told:?}"
    );
    assert!(told.last_error.is_some(), "{told:?}");
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
fn a_liar_that_tells_of_thousands_fills_eight_places() {
    let mut world = World::new(13);
    let server = world.open_rendezvous("rdv");
    let now = world.now().wall;
    let others: Vec<_> = (0..63)
        .map(|n| {
            let other = world.open_rendezvous(&format!("s{n}"));
            world.rendezvous(other).record(now)
        })
        .collect();
    world.rendezvous(server).others = others;
    let ann = join(&mut world, "ann", &[server]);
    world.run(MINUTE);
    let Reply::Servers(view) = world.command(ann, Command::Servers) else {
        panic!("no servers");
    };
    assert_eq!(view.candidates.len(), 8);
    assert_eq!(status(&mut world, ann).refused["candidate-server"], 55);
    // they are remembered, and forgotten when their word is over
    world.restart(ann);
    let Reply::Servers(view) = world.command(ann, Command::Servers) else {
        panic!("no servers");
    };
    assert_eq!(view.candidates.len(), 8);
    world.rendezvous(server).others = Vec::new();
    world.run(DAY + HOUR);
    let Reply::Servers(view) = world.command(ann, Command::Servers) else {
        panic!("no servers");
    };
    assert!(view.candidates.is_empty());
}

#[test]
fn a_dead_server_is_tried_less_and_less() {
    let mut world = World::new(14);
    let server = world.open_rendezvous("rdv");
    world.set_rendezvous_up(server, false);
    let ann = join(&mut world, "ann", &[server]);
    let nobody = world.join("nobody");
    world.run(MINUTE);
    add_id(&mut world, ann, nobody, "nobody");
    world.send(ann, "nobody", "hello?");
    world.run(DAY);
    let view = status(&mut world, ann);
    let told = &view.rendezvous[0];
    assert!(
        told.last_error.is_some() && told.next_try.is_some(),
        "{told:?}"
    );
    world.set_rendezvous_up(server, true);
    world.run(15 * MINUTE);
    let view = status(&mut world, ann);
    assert!(is_known(&mut world, server, ann), "{:?}", view.rendezvous);
    // who is not there is asked for once an hour at the most
    world.run(HOUR);
    let before = world.rendezvous(server).lookups;
    world.run(10 * HOUR);
    let asked = world.rendezvous(server).lookups - before;
    assert!((5..=20).contains(&asked), "{asked} in ten hours");
}

/// Somebody who listens everywhere and does not know under which address.
fn anywhere(world: &mut World, server: usize, behind_router: bool) -> usize {
    world.rendezvous(server).dials_back = false;
    let node = join_with(world, "node", &[server], |config| config.advertise = None);
    if behind_router {
        world.put_behind_router(node);
    }
    world.listen(node, "0.0.0.0:4000");
    node
}

#[test]
fn whoever_listens_everywhere_registers_the_address_that_the_server_sees() {
    let mut world = World::new(15);
    let server = world.open_rendezvous("rdv");
    let node = anywhere(&mut world, server, false);
    world.run(MINUTE);
    assert_eq!(places(&mut world, server, node), ["9.9.0.0:4000"]);
    assert_eq!(
        status(&mut world, node).advertised.as_deref(),
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
    assert_eq!(
        status(&mut world, node).mapped.as_deref(),
        Some("9.9.9.9:5000")
    );
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
fn servers_that_dns_names_are_used_and_asked_again_when_dns_fails() {
    let mut world = World::new(18);
    let server = world.open_rendezvous("rdv");
    let domain = RendezvousPlace::Domain("example.org".to_owned());
    let node = world.join_with("node", |config| config.rendezvous = Some(vec![domain]));
    world.run(MINUTE);
    let view = status(&mut world, node);
    let told = &view.rendezvous[0];
    assert_eq!(told.server, "example.org");
    assert!(
        told.last_error.is_some() && told.next_try.is_some(),
        "{told:?}"
    );
    world.name_servers("example.org", &[server]);
    world.run(15 * MINUTE);
    assert_eq!(status(&mut world, node).rendezvous[0].server, "rdv:4000");
    assert!(is_known(&mut world, server, node));
    // who asks before DNS has answered waits for it
    let other = join(&mut world, "other", &[server]);
    world.run(MINUTE);
    world.restart(node);
    assert_eq!(find(&mut world, node, other).unwrap().username, "other");
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
    world.node(ben).name = "elsewhere".to_owned();
    world.advertise(ben, "elsewhere:4000");
    world.run(MINUTE);
    world.send(ann, "ben", "found by your card");
    world.run(5 * MINUTE);
    let found = find(&mut world, ann, ben).unwrap();
    assert_eq!(found.servers, ["bens:4000"]);
    assert!(find(&mut world, ann, cat).is_err());
    // nothing of ann is told to a server that is not hers
    assert!(!is_known(&mut world, bens, ann));
    accept(&mut world, ben, ann);
    world.run(MINUTE);
    assert_eq!(world.received(ben, "ann"), ["found by your card"]);
}

#[test]
fn a_server_that_refuses_and_then_takes_is_registered_with_and_nothing_spins() {
    let mut world = World::new(20);
    let server = world.open_rendezvous("rdv");
    world.rendezvous(server).lie = Lie::IsFull;
    let node = join(&mut world, "node", &[server]);
    world.run(MINUTE);
    let view = status(&mut world, node);
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
fn an_older_identity_beside_the_newest_record_does_not_win_over_an_honest_server() {
    for order in [
        ["a-liar", "honest"],
        ["liar", "honest"],
        ["z-liar", "honest"],
    ] {
        let mut world = World::new(21);
        let servers = order.map(|name| world.open_rendezvous(name));
        let ann = join(&mut world, "ann", &servers);
        let ben = join(&mut world, "ben", &servers);
        world.run(MINUTE);
        world.command(ben, Command::RotateNoiseKey);
        world.run(MINUTE);
        world.rendezvous(servers[0]).lie = Lie::GivesTheFirstIdentity;
        let found = find(&mut world, ann, ben).unwrap();
        assert_eq!(
            (found.version, found.servers),
            (2, vec!["honest:4000".to_owned()])
        );
    }
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
    assert!(browse(&mut world, node).unwrap().failures[0].contains("map_port"));
}

#[test]
fn contacts_are_told_of_ones_place_once_and_not_each_time_the_client_begins() {
    let mut world = World::new(26);
    let server = world.open_rendezvous("rdv");
    let node = anywhere(&mut world, server, false);
    let ben = join(&mut world, "ben", &[server]);
    world.run(MINUTE);
    world.add(node, ben);
    world.add(ben, node);
    world.send(node, "ben", "hello");
    world.run(MINUTE);
    world.send(ben, "node", "hello");
    world.run(MINUTE);
    world.set_reachable(ben, false);
    let waits = |world: &mut World| status(world, node).queued;
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
fn a_card_does_not_keep_a_server_that_dns_names_from_being_ones_own() {
    let mut world = World::new(27);
    let server = world.open_rendezvous("rdv");
    let ben = join(&mut world, "ben", &[server]);
    world.run(MINUTE);
    let domain = RendezvousPlace::Domain("example.org".to_owned());
    let ann = world.join_with("ann", |config| config.rendezvous = Some(vec![domain]));
    world.add(ann, ben);
    world.node(ben).name = "elsewhere".to_owned();
    world.advertise(ben, "elsewhere:4000");
    world.run(MINUTE);
    // the card's server is asked before DNS knows
    world.send(ann, "ben", "hello");
    world.run(MINUTE);
    world.name_servers("example.org", &[server]);
    world.run(15 * MINUTE);
    assert!(is_known(&mut world, server, ann));
    assert!(status(&mut world, ann).rendezvous[0].own);
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
