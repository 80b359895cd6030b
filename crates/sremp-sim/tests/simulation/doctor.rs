//! `doctor` measures what is there, and says what to do about what is not.

use std::time::Duration;

use sremp_client::{
    config::{Direct, RendezvousPlace},
    engine::{Input, Output, StoreMeasure, Ticket},
    view::{CheckView, Choice, Command, DoctorView, Outcome, Reply, Unit},
};
use sremp_net::mapping::{Mapping, MappingFailure, MappingProtocol};
use sremp_sim::{Alone, Malice, World};

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;
/// An answer comes in less than ten seconds.
const PATIENCE: u64 = 10_000;

pub(crate) fn doctor(world: &mut World, node: usize) -> DoctorView {
    match world.command_within(node, Command::Doctor, PATIENCE) {
        Some(Ok(Reply::Doctor(view))) => view,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn check<'a>(view: &'a DoctorView, name: &str) -> &'a CheckView {
    let mut checks = view.checks.iter();
    checks
        .find(|check| check.check == name)
        .unwrap_or_else(|| panic!("{name} in {view:?}"))
}

/// What is found where nobody has to be asked.
pub(crate) fn examine(alone: &mut Alone, store: Option<StoreMeasure>) -> DoctorView {
    let ticket = Ticket(1 << 60);
    let done = alone.give(Input::Examine { ticket, store });
    let view = done.into_iter().find_map(|output| match output {
        Output::Reply { result, .. } => match *result {
            Ok(Reply::Doctor(view)) => Some(view),
            _ => None,
        },
        _ => None,
    });
    view.expect("nobody has to be asked")
}

#[track_caller]
fn remedy(check: &CheckView) -> &str {
    let remedy = check.remedy.as_deref();
    remedy.unwrap_or_else(|| panic!("no remedy: {check:?}"))
}

/// Ann, who has a mailbox at a relay and is registered with a rendezvous server.
fn ann_at_home(seed: u64) -> (World, [usize; 2]) {
    let mut world = World::new(seed);
    let relay = world.open_relay("relay");
    let ann = world.join_at("ann", &[relay]);
    let server = world.open_rendezvous("server");
    let link = Box::new(world.rendezvous(server).link());
    world.configure(ann, |config| {
        config.rendezvous = Some(vec![RendezvousPlace::Link(link)])
    });
    world.run(MINUTE);
    (world, [ann, relay])
}

#[test]
fn where_all_is_well_nothing_fails_and_round_trips_are_measured() {
    let (mut world, [ann, _]) = ann_at_home(1);
    let view = doctor(&mut world, ann);
    let bad = |c: &&CheckView| matches!(c.outcome, Outcome::Warn | Outcome::Fail);
    let bad: Vec<_> = view.checks.iter().filter(bad).collect();
    assert!(bad.is_empty(), "{bad:?}");
    for name in ["relay", "rendezvous"] {
        let check = check(&view, name);
        assert_eq!(check.outcome, Outcome::Ok, "{check:?}");
        assert_eq!(check.unit, Some(Unit::Milliseconds));
        assert!((1..=400).contains(&check.measured.unwrap()), "{check:?}");
    }
    assert_eq!(check(&view, "clock").outcome, Outcome::Ok);
    assert_eq!(check(&view, "pending").measured, Some(0));
}

#[test]
fn a_dead_relay_fails_with_its_cause_and_a_remedy() {
    let (mut world, [ann, relay]) = ann_at_home(2);
    world.set_reachable(relay, false);
    world.run(MINUTE);
    let view = doctor(&mut world, ann);
    let relay = check(&view, "relay");
    assert_eq!(relay.outcome, Outcome::Fail);
    assert!(relay.words.contains("took too long"), "{relay:?}");
    assert!(
        relay
            .remedy
            .as_ref()
            .unwrap()
            .contains("sremp config relays")
    );
    assert_eq!(check(&view, "rendezvous").outcome, Outcome::Ok);
}

#[test]
fn a_clock_that_is_a_day_off_fails_and_its_way_is_named() {
    for (by, words) in [(DAY as i64, "1 day fast"), (-(DAY as i64), "1 day slow")] {
        let (mut world, [ann, _]) = ann_at_home(3);
        world.turn_calendar_of(ann, by);
        let view = doctor(&mut world, ann);
        let clock = check(&view, "clock");
        assert_eq!(clock.outcome, Outcome::Fail);
        assert!(clock.words.contains(words), "{clock:?}");
        assert!((clock.measured.unwrap() - by).abs() < 1_000, "{clock:?}");
    }
}

#[test]
fn a_listener_that_cannot_be_dialled_back_is_told_with_what_opens_it() {
    let mut world = World::new(4);
    let relay = world.open_relay("relay");
    let ann = world.join_at("ann", &[relay]);
    let server = world.open_rendezvous("server");
    let link = Box::new(world.rendezvous(server).link());
    world.set_private(ann);
    world.configure(ann, |config| {
        config.rendezvous = Some(vec![RendezvousPlace::Link(link)])
    });
    world.run(MINUTE);
    let view = doctor(&mut world, ann);
    let reach = check(&view, "reachable");
    assert_eq!(reach.outcome, Outcome::Warn, "{reach:?}");
    assert!(reach.remedy.as_ref().unwrap().contains("map_port"));
}

#[test]
fn what_waits_for_more_than_a_day_is_told_and_the_contact_s_relay_too() {
    let (mut world, [ann, relay]) = ann_at_home(5);
    let ben = world.join_far("ben", &[relay]);
    world.run(MINUTE);
    world.add(ann, ben);
    world.relay(relay).malice = Malice::WithholdsBundles;
    world.send(ann, "ben", "hello");
    world.run(MINUTE);
    assert_eq!(
        check(&doctor(&mut world, ann), "pending").outcome,
        Outcome::Ok
    );
    world.run(DAY);
    let view = doctor(&mut world, ann);
    let pending = check(&view, "pending");
    assert_eq!(pending.outcome, Outcome::Warn);
    assert!(pending.words.contains("for 1 day"), "{pending:?}");
    assert!(pending.remedy.as_ref().unwrap().contains("sremp why"));
}

#[test]
fn nobody_can_write_to_a_client_whose_card_names_no_way() {
    let mut world = World::new(6);
    let ann = world.join_with("ann", |config| config.advertise = None);
    let view = doctor(&mut world, ann);
    assert_eq!(check(&view, "card").outcome, Outcome::Fail);
    assert_eq!(check(&view, "relay").outcome, Outcome::Warn);
    assert_eq!(check(&view, "clock").outcome, Outcome::Skipped);
}

#[test]
fn ways_that_are_shut_and_a_wish_that_nobody_can_follow_are_told() {
    let paths = |world: &mut World, ann| check(&doctor(world, ann), "paths").clone();
    let (mut world, [ann, _]) = ann_at_home(7);
    assert_eq!(paths(&mut world, ann).outcome, Outcome::Ok);
    world.configure(ann, |config| config.prefers_async = true);
    let wish = paths(&mut world, ann);
    assert_eq!(wish.outcome, Outcome::Ok);
    assert!(wish.words.contains("by relays alone"), "{wish:?}");
    world.configure(ann, |config| config.relays.clear());
    let wish = paths(&mut world, ann);
    assert_eq!(wish.outcome, Outcome::Warn);
    assert!(wish.remedy.unwrap().contains("prefers_async false"));

    world.configure(ann, |config| config.prefers_async = false);
    let ben = world.join("ben");
    world.add(ann, ben);
    let (contact, direct) = ("ben".to_owned(), Choice::Off);
    world.command(ann, Command::SetDirect { contact, direct });
    let off = paths(&mut world, ann);
    assert_eq!(
        (off.outcome, off.subject.as_deref()),
        (Outcome::Warn, Some("ben"))
    );
    let privacy = check(&doctor(&mut world, ann), "privacy").clone();
    assert!(privacy.words.ends_with("never: ben"), "{privacy:?}");

    let (mut world, [ann, _]) = ann_at_home(8);
    world.configure(ann, |config| config.direct = Direct::Never);
    world.listen(ann, "9.9.0.0:4000");
    let shut = paths(&mut world, ann);
    assert_eq!(shut.outcome, Outcome::Warn);
    assert!(shut.words.contains("nobody is let in"), "{shut:?}");
}

#[test]
fn a_slow_or_damaged_store_is_told_by_what_was_measured_of_it() {
    let mut ann = Alone::new("ann");
    let mut told = |median, intact| {
        let store = StoreMeasure {
            commits: 20,
            median: Duration::from_millis(median),
            longest: Duration::from_millis(median * 2),
            intact,
        };
        let view = examine(&mut ann, Some(store));
        check(&view, "store").clone()
    };
    assert_eq!(told(3, Some(true)).outcome, Outcome::Ok);
    assert_eq!(told(3, Some(true)).measured, Some(3_000));
    assert_eq!(told(150, None).outcome, Outcome::Warn);
    assert_eq!(told(3, Some(false)).outcome, Outcome::Fail);
}

/// A router leads to this client from there.
fn mapped(ann: &mut Alone, from: &str) {
    ann.give(Input::Mapped(Mapping::External {
        address: from.parse().unwrap(),
        protocol: MappingProtocol::Pcp,
    }));
}

#[test]
fn a_router_that_leads_here_and_one_that_refuses_are_told_apart() {
    let mut ann = Alone::new("ann");
    let told = |ann: &mut Alone| check(&examine(ann, None), "mapping").clone();
    assert_eq!(told(&mut ann).outcome, Outcome::Skipped);
    mapped(&mut ann, "9.9.9.9:5000");
    let leads = told(&mut ann);
    assert_eq!(leads.outcome, Outcome::Ok);
    assert!(leads.words.contains("9.9.9.9:5000"), "{leads:?}");
    ann.give(Input::Mapped(Mapping::Failed(MappingFailure::PortsTaken)));
    let failed = told(&mut ann);
    assert_eq!(failed.outcome, Outcome::Warn);
    assert!(remedy(&failed).contains("sremp config advertise"));
    ann.give(Input::Mapped(Mapping::None));
    assert_eq!(told(&mut ann).outcome, Outcome::Skipped);
}

#[test]
fn a_card_that_says_where_nobody_from_elsewhere_comes_through_is_told() {
    let with = |at: &str, private| {
        let at = Some(at.to_owned());
        Alone::with("ann", 1, |config| {
            (config.advertise, config.allow_private_addresses) = (at, private);
        })
    };
    let told = |ann: &mut Alone| check(&examine(ann, None), "card").clone();
    let mut ann = with("9.9.9.9:4000", false);
    assert_eq!(told(&mut ann).outcome, Outcome::Ok);
    assert!(told(&mut ann).words.contains("9.9.9.9:4000"));
    for (private, outcome) in [(false, Outcome::Warn), (true, Outcome::Ok)] {
        let home = told(&mut with("192.168.1.2:4000", private));
        assert_eq!(home.outcome, outcome, "{home:?}");
        if outcome == Outcome::Warn {
            assert!(remedy(&home).contains("sremp config relays"));
        }
    }
    // the same place and another one
    for (seen, outcome) in [
        ("9.9.9.9:4000", Outcome::Ok),
        ("8.8.8.8:4000", Outcome::Warn),
    ] {
        mapped(&mut ann, seen);
        let card = told(&mut ann);
        assert_eq!(card.outcome, outcome, "{card:?}");
    }
    assert!(remedy(&told(&mut ann)).contains("give your card anew"));
}

#[test]
fn a_private_address_on_the_card_is_no_fault_beside_a_relay() {
    let (mut world, [ann, _]) = ann_at_home(9);
    world.configure(ann, |config| config.allow_private_addresses = false);
    world.advertise(ann, "192.168.1.2:4000");
    world.run(MINUTE);
    let view = doctor(&mut world, ann);
    assert_eq!(check(&view, "card").outcome, Outcome::Ok);
    world.configure(ann, |config| config.relays.clear());
    let view = doctor(&mut world, ann);
    assert_eq!(check(&view, "card").outcome, Outcome::Warn);
}

#[test]
fn a_client_that_should_listen_and_does_not_is_told() {
    let mut ann = Alone::with("ann", 1, |config| {
        config.listen = Some("0.0.0.0:4000".to_owned())
    });
    let listening = |ann: &mut Alone| check(&examine(ann, None), "listening").clone();
    let silent = listening(&mut ann);
    assert_eq!(silent.outcome, Outcome::Warn);
    assert!(remedy(&silent).contains("sremp up"));
    ann.give(Input::Listening("0.0.0.0:4000".parse().ok()));
    assert_eq!(listening(&mut ann).outcome, Outcome::Ok);
}

#[test]
fn a_rendezvous_server_that_gives_no_answer_is_told() {
    let mut world = World::new(10);
    let ann = world.join("ann");
    let server = world.open_rendezvous("server");
    let link = Box::new(world.rendezvous(server).link());
    world.configure(ann, |config| {
        config.rendezvous = Some(vec![RendezvousPlace::Link(link)])
    });
    world.set_rendezvous_up(server, false);
    world.run(MINUTE);
    let view = doctor(&mut world, ann);
    let server = check(&view, "rendezvous");
    assert_eq!(server.outcome, Outcome::Warn, "{server:?}");
    assert!(remedy(server).contains("sremp servers"));
}

#[test]
fn a_clock_that_is_two_minutes_off_is_told_before_anything_is_refused_for_it() {
    let (mut world, [ann, _]) = ann_at_home(11);
    world.turn_calendar_of(ann, 2 * MINUTE as i64);
    let view = doctor(&mut world, ann);
    let clock = check(&view, "clock");
    assert_eq!(clock.outcome, Outcome::Warn, "{clock:?}");
    assert!(remedy(clock).contains("timedatectl"));
}

#[test]
fn a_dead_relay_of_a_contact_is_told_as_such() {
    let (mut world, [ann, _]) = ann_at_home(12);
    let other = world.open_relay("other");
    let ben = world.join_far("ben", &[other]);
    world.add(ann, ben);
    world.set_reachable(other, false);
    world.send(ann, "ben", "hello");
    world.run(MINUTE);
    let view = doctor(&mut world, ann);
    let mut relays = view.checks.iter().filter(|check| check.check == "relay");
    assert_eq!(relays.next().unwrap().outcome, Outcome::Ok);
    let others = relays.next().unwrap();
    assert_eq!(others.outcome, Outcome::Warn, "{others:?}");
    assert_eq!(others.subject.as_deref(), Some("other:4000"));
    assert!(remedy(others).contains("tried again by itself"));
}

#[test]
fn nobody_is_asked_and_nobody_blamed_where_no_client_runs() {
    let (mut world, [ann, _]) = ann_at_home(13);
    world.look_into(ann);
    let view = doctor(&mut world, ann);
    for name in ["relay", "rendezvous"] {
        assert_eq!(check(&view, name).outcome, Outcome::Skipped);
    }
}

#[test]
fn private_addresses_that_are_dialled_are_told() {
    for (allow, outcome) in [(true, Outcome::Warn), (false, Outcome::Ok)] {
        let mut ann = Alone::with("ann", 1, |config| config.allow_private_addresses = allow);
        let privacy = check(&examine(&mut ann, None), "privacy").clone();
        assert_eq!(privacy.outcome, outcome, "{privacy:?}");
    }
}
