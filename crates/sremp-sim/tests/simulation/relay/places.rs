//! Where a relay is, and who says so (6.9, 8.2).

use std::time::Duration;

use sremp_client::engine::{Input, Output};
use sremp_core::{
    channel::{HandshakeHash, Service},
    contact_card::{CardContent, ContactCard, RelayHint},
    error::ErrorCode,
    identity::SecretIdentity,
};
use sremp_net::{CloseReason, Direction};
use sremp_sim::{
    Alone, Malice, World,
    commands::{add, send},
};

use crate::{HOUR, MINUTE, people::apart, seeds};

/// A contact of Ann's who says that the relay is there.
fn contact_with_relay(ann: &mut Alone, name: &str, relay: &SecretIdentity, at: &str) {
    let identity = ann.somebody(name);
    let content = CardContent {
        relays: vec![RelayHint {
            relay: relay.id(),
            endpoint: at.parse().unwrap(),
            priority: 0,
        }],
        ..CardContent::default()
    };
    let card = ContactCard::issue(&identity, content).unwrap();
    ann.command(add(&card.to_uri(), Some(name))).unwrap();
}

/// Where a relay is dialled of what is done.
fn dialled(done: impl IntoIterator<Item = Output>) -> Option<String> {
    let dial = |output: Output| match output {
        Output::Dial(target) if target.service == Service::Relay => {
            let mut places = target.endpoints.iter().chain(&target.claimed);
            Some(places.next()?.to_string())
        }
        _ => None,
    };
    done.into_iter().find_map(dial)
}

/// The next place at which a relay is dialled.
fn next_dial(ann: &mut Alone) -> String {
    let passed = (0..3_600).find_map(|_| {
        let done = ann.pass(Duration::from_secs(1));
        dialled(done.into_iter().map(|(_, output)| output))
    });
    passed.expect("a dial within an hour")
}

fn fail(ann: &mut Alone, relay: &SecretIdentity) {
    let link = ann.new_link();
    ann.give(Input::Closed {
        link,
        service: Service::Relay,
        dialled: Some(relay.id()),
        reason: CloseReason::Local(ErrorCode::Timeout),
    });
}

/// It answers, and the connection ends again.
fn reach_and_lose(ann: &mut Alone, relay: &SecretIdentity) {
    let link = ann.new_link();
    ann.give(Input::Opened {
        link,
        service: Service::Relay,
        direction: Direction::Outbound,
        identity: Box::new(relay.identity().clone()),
        binding: HandshakeHash::new([7; HandshakeHash::LEN]),
    });
    ann.give(Input::Closed {
        link,
        service: Service::Relay,
        dialled: None,
        reason: CloseReason::Truncated,
    });
}

#[test]
fn whoever_names_anothers_relay_elsewhere_keeps_nobodys_messages_from_it() {
    let (there, nowhere) = ("relay.example:4000", "nowhere.example:4000");
    for seed in seeds(10) {
        let mut ann = Alone::seeded("ann", seed);
        let relay = ann.somebody("relay");
        contact_with_relay(&mut ann, "mallory", &relay, nowhere);
        contact_with_relay(&mut ann, "ben", &relay, there);
        let (_, done) = ann.command_and_more(send("mallory", "hello"));
        assert_eq!(dialled(done).as_deref(), Some(nowhere), "seed {seed}");
        ann.command(send("ben", "hello")).unwrap();
        fail(&mut ann, &relay);
        assert_eq!(next_dial(&mut ann), there, "seed {seed}");
        // where it was reached it is dialled first, also after a start
        reach_and_lose(&mut ann, &relay);
        assert_eq!(next_dial(&mut ann), there, "seed {seed}");
        fail(&mut ann, &relay);
        assert_eq!(next_dial(&mut ann), nowhere, "seed {seed}");
        fail(&mut ann, &relay);
        assert_eq!(next_dial(&mut ann), there, "seed {seed}");
        ann.restart();
        assert_eq!(next_dial(&mut ann), there, "seed {seed}");
        fail(&mut ann, &relay);
        assert_eq!(next_dial(&mut ann), nowhere, "seed {seed}");
    }
}

#[test]
fn a_contact_who_names_ever_new_relays_sends_nobody_to_more_than_three_in_a_minute() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        let anns = world.open_relay("anns");
        let bens: Vec<usize> = (0..9).map(|n| world.open_relay(&format!("r{n}"))).collect();
        let (ann, ben) = apart(&mut world, [&[anns], &[anns]]);
        for (from, to) in [(ann, "ben"), (ben, "ann")] {
            world.send(from, to, "hello");
            world.run(MINUTE);
        }
        for relay in &bens {
            world.relay(*relay).malice = Malice::RefusesAll;
        }
        world.relay(anns).malice = Malice::None;
        let key = world.id(ann);
        let visited = |world: &mut World| {
            let of_ann = |relay: &&usize| world.relay(**relay).was_visited_by(&key);
            bens.iter().filter(of_ann).count()
        };
        for relays in bens.chunks(3) {
            world.move_to(ben, relays);
            world.run(5_000);
            world.set_reachable(ben, false);
            world.send(ann, "ben", "where are you?");
            world.run(5_000);
            world.set_reachable(ben, true);
        }
        assert_eq!(visited(&mut world), 3, "seed {seed}");
        world.run(HOUR);
        assert!(visited(&mut world) > 3, "seed {seed}");
    }
}
