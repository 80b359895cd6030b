//! Whoever refuses a connection, or what is stored, is left alone for its time (10).

use std::time::Duration;

use sremp_client::{
    engine::Input,
    view::{Path, WhyStep},
};
use sremp_core::{
    channel::{HandshakeHash, PeerClose, Service},
    contact_card::RelayLink,
    error::ErrorCode,
    id::ContactId,
    identity::SecretIdentity,
};
use sremp_net::{CloseReason, Direction, LinkId};
use sremp_sim::{Alone, Malice, World};

use super::{contact, dialled, is_connected, write};
use crate::{HOUR, MINUTE, seeds};

/// A contact of Ann's whose noise key she knows.
fn known(ann: &mut Alone, name: &str) -> SecretIdentity {
    let identity = contact(ann, name, false, false);
    let link = ann.connect(identity.identity());
    ann.pass(Duration::from_secs(60));
    ann.cut(link);
    ann.pass(Duration::from_secs(60));
    identity
}

/// Who was dialled, or is connected already, does not accept the connection.
fn refuse(ann: &mut Alone, service: Service, link: LinkId, dialled: Option<ContactId>) {
    ann.give(Input::Closed {
        link,
        service,
        dialled,
        reason: CloseReason::Peer(PeerClose {
            code: ErrorCode::Refused.to_u16(),
            text: String::new(),
        }),
    });
}

fn refuse_dial(ann: &mut Alone, service: Service, who: ContactId) {
    let link = ann.new_link();
    refuse(ann, service, link, Some(who));
}

/// How often something is dialled that refuses each time, within an hour and in a minute then.
fn dials_of_one_who_refuses(ann: &mut Alone, service: Service, who: ContactId) -> [usize; 2] {
    let mut dials = |times: u64| {
        let within = (0..times).map(|_| {
            let done = ann.pass(Duration::from_millis(MINUTE / 2));
            let dials = dialled(&done, Duration::ZERO);
            assert!(dials.iter().all(|(kind, _)| *kind == service));
            dials.iter().for_each(|_| refuse_dial(ann, service, who));
            dials.len()
        });
        within.sum()
    };
    [dials(119), dials(2)]
}

#[test]
fn a_contact_who_refuses_is_dialled_again_after_an_hour_and_when_the_user_writes() {
    for seed in seeds(1) {
        let mut ann = Alone::seeded("ann", seed);
        let ben = known(&mut ann, "ben").id();
        let at_once = [(Service::P2p, Duration::ZERO)];
        assert_eq!(write(&mut ann, "ben", Duration::from_secs(2)), at_once);
        refuse_dial(&mut ann, Service::P2p, ben);
        let within = dials_of_one_who_refuses(&mut ann, Service::P2p, ben);
        assert_eq!(within, [0, 1], "seed {seed}");
        assert_eq!(write(&mut ann, "ben", Duration::from_secs(2)), at_once);
    }
}

#[test]
fn a_contact_who_refuses_over_a_connection_that_stood_is_left_alone_too() {
    for seed in seeds(1) {
        let mut ann = Alone::seeded("ann", seed);
        let ben = contact(&mut ann, "ben", false, false);
        write(&mut ann, "ben", Duration::from_secs(2));
        let link = ann.connect(ben.identity());
        ann.pass(Duration::from_secs(50));
        refuse(&mut ann, Service::P2p, link, None);
        let within = dials_of_one_who_refuses(&mut ann, Service::P2p, ben.id());
        assert_eq!(within, [0, 1], "seed {seed}");
    }
}

#[test]
fn whoever_refuses_in_the_place_of_a_contact_stops_no_dial() {
    for seed in seeds(1) {
        let mut ann = Alone::seeded("ann", seed);
        let ben = known(&mut ann, "ben").id();
        write(&mut ann, "ben", Duration::from_secs(2));
        let link = ann.new_link();
        ann.give(Input::Closed {
            link,
            service: Service::P2p,
            dialled: Some(ben),
            reason: CloseReason::Local(ErrorCode::StaticMismatch),
        });
        // the next dial takes any noise key, as the contact may have another one
        refuse_dial(&mut ann, Service::P2p, ben);
        // the one after it only the contact can refuse
        let [within, _] = dials_of_one_who_refuses(&mut ann, Service::P2p, ben);
        assert_eq!(within, 1, "seed {seed}");
    }
}

#[test]
fn a_relay_that_refuses_is_left_alone_for_an_hour_if_it_is_the_relay() {
    for seed in seeds(1) {
        let mut ann = Alone::seeded("ann", seed);
        let relay = ann.somebody("relay");
        let key = relay.id();
        let link = RelayLink::new(key, "relay:4000".parse().unwrap(), None).unwrap();
        let mut ann = Alone::with("ann", seed, |config| config.relays = vec![link]);
        // somebody answers where it is
        refuse_dial(&mut ann, Service::Relay, key);
        let [within, _] = dials_of_one_who_refuses(&mut ann, Service::Relay, key);
        assert!(within > 3, "seed {seed}: {within}");
        ann.pass(Duration::from_millis(HOUR));
        // it was dialled, and answers itself
        let link = ann.new_link();
        ann.give(Input::Opened {
            link,
            service: Service::Relay,
            direction: Direction::Outbound,
            identity: Box::new(relay.identity().clone()),
            binding: HandshakeHash::new([7; HandshakeHash::LEN]),
        });
        refuse(&mut ann, Service::Relay, link, None);
        let [within, then] = dials_of_one_who_refuses(&mut ann, Service::Relay, key);
        assert_eq!((within, then > 0), (0, true), "seed {seed}");
    }
}

#[test]
fn a_relay_that_refuses_is_not_asked_again_while_a_connection_answers() {
    for seed in seeds(60) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let [ann, ben] = ["ann", "ben"].map(|name| world.join_at(name, &[relay]));
        world.run(MINUTE);
        world.add(ann, ben);
        world.relay(relay).malice = Malice::RefusesAll;
        world.set_reachable(ben, false);
        world.send(ann, "ben", "may I write?");
        world.run(300);
        world.set_reachable(ben, true);
        let refusals = |world: &mut World| {
            let tried = world.why_last(ann, "ben").timeline.into_iter();
            tried.fold(0, |n, step| match step {
                WhyStep::Tried {
                    path: Path::Relay,
                    count,
                    ..
                } => n + count,
                _ => n,
            })
        };
        let connected = (0..MINUTE / 10).any(|_| {
            world.run(10);
            is_connected(&mut world, ann)
        });
        assert!(connected, "seed {seed}");
        let before = refusals(&mut world);
        // Ben, who has not accepted, confirms nothing, and the connection is not silent yet
        world.run(MINUTE / 2);
        let after = refusals(&mut world);
        assert!(after <= before + 1, "seed {seed}: {before}, then {after}");
    }
}
