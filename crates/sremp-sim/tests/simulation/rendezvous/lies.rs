//! What a server says is worth no more than the signatures under it.

use sremp_client::view::{Command, ErrorKind, RegisterAs, Reply};
use sremp_sim::{Lie, World};

use super::people::*;
use crate::{DAY, HOUR, MINUTE};

#[test]
fn a_server_that_gives_pages_for_ever_is_left_after_a_few() {
    let (mut world, server, ann, ben) = pair(5);
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
        moves(&mut world, ben);
        world.run(MINUTE);
        let found = find(&mut world, ann, ben).unwrap();
        assert_eq!(found.endpoints, ["elsewhere:4000"], "{lie:?}");
        assert_eq!(found.servers, ["honest:4000"], "{lie:?}");
        if let Some(counted) = counted {
            assert!(world.status(ann).refused[counted] >= 1, "{lie:?}");
        }
    }
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
fn of_a_contact_nothing_older_is_taken_than_what_is_known() {
    let (mut world, server, ann, ben) = pair(7);
    world.run(MINUTE);
    moves(&mut world, ben);
    world.run(MINUTE);
    add_id(&mut world, ann, ben, Some("ben"));
    assert_eq!(
        find(&mut world, ann, ben).unwrap().endpoints,
        ["elsewhere:4000"]
    );
    world.rendezvous(server).lie = Lie::GivesTheFirst;
    let error = find(&mut world, ann, ben).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Network);
    assert!(world.status(ann).refused["STALE_SEQ"] >= 1);
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
    assert_eq!(world.status(ann).refused["candidate-server"], 55);
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
