//! `doctor` measures what is there, and says what to do about what is not.

use std::time::Duration;

use sremp_client::{
    config::{Direct, RendezvousPlace},
    engine::{Input, Output, StoreMeasure, Ticket, Unkept},
    view::{CheckView, Choice, Command, CommandError, DoctorView, ErrorKind, Outcome, Reply, Unit},
};
use sremp_core::{
    channel::Service,
    contact_card::RelayLink,
    error::ErrorCode,
    id::ContactId,
    identity::{SecretIdentity, Username},
    time::UnixMillis,
};
use sremp_net::{
    CloseReason,
    mapping::{Mapping, MappingFailure, MappingProtocol},
};
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
    let pending = check(&doctor(&mut world, ann), "pending").clone();
    assert_eq!((pending.outcome, pending.measured), (Outcome::Ok, Some(1)));
    // what the client says by itself is no message
    world.command(ann, Command::RotateNoiseKey);
    world.run(MINUTE);
    let pending = check(&doctor(&mut world, ann), "pending").clone();
    assert_eq!((pending.outcome, pending.measured), (Outcome::Ok, Some(1)));
    assert_eq!(world.status(ann).queued, 1);
    assert_eq!(world.contacts(ann)[0].queued, 1);
    world.run(DAY);
    let view = doctor(&mut world, ann);
    let pending = check(&view, "pending");
    assert_eq!(pending.outcome, Outcome::Warn);
    assert!(pending.words.contains("for 1 day"), "{pending:?}");
    assert!(pending.remedy.as_ref().unwrap().contains("sremp why"));
}

#[test]
fn a_relay_that_answers_and_takes_nothing_is_told_until_it_takes_something() {
    let (mut world, [ann, relay]) = ann_at_home(5);
    let ben = world.join_far("ben", &[relay]);
    world.run(MINUTE);
    world.introduce(ann, ben);
    world.run(MINUTE);
    world.relay(relay).malice = Malice::AnswersNoStore;
    world.send(ann, "ben", "hello");
    world.run(3 * MINUTE);
    let told = check(&doctor(&mut world, ann), "relay").clone();
    assert_eq!(told.outcome, Outcome::Warn, "{told:?}");
    assert!(told.words.contains("answers within"), "{told:?}");
    assert!(told.words.contains("does not take"), "{told:?}");
    world.relay(relay).malice = Malice::None;
    world.run(5 * MINUTE);
    assert_eq!(world.received(ben, "ann"), ["hello"]);
    let told = check(&doctor(&mut world, ann), "relay").clone();
    assert_eq!(told.outcome, Outcome::Ok, "{told:?}");
}

#[test]
fn that_a_contact_has_left_no_keys_says_nothing_against_one_s_own_relay() {
    let (mut world, [ann, relay]) = ann_at_home(5);
    let ben = world.join_far("ben", &[relay]);
    world.run(MINUTE);
    world.add(ann, ben);
    world.relay(relay).malice = Malice::WithholdsBundles;
    world.send(ann, "ben", "hello");
    world.run(MINUTE);
    let waits = world.why_last(ann, "ben").waits_for.unwrap();
    assert!(waits.contains("left no keys"), "{waits}");
    let told = check(&doctor(&mut world, ann), "relay").clone();
    assert_eq!(told.outcome, Outcome::Ok, "{told:?}");
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

#[test]
fn an_identity_that_is_used_elsewhere_is_told_with_what_to_end() {
    let mut world = World::new(14);
    let relay = world.open_relay("relay");
    let ann = world.join_far("ann", &[relay]);
    let told = |world: &mut World| {
        let view = doctor(world, ann);
        let mut told = view.checks.into_iter();
        told.find(|check| check.check == "identity")
    };
    for times in 1..=4 {
        world.run(5 * MINUTE);
        assert_eq!(told(&mut world), None, "before {times}");
        world.take_over(relay, ann);
    }
    world.run(5 * MINUTE);
    let twice = told(&mut world).expect("it is told");
    assert_eq!(twice.outcome, Outcome::Fail);
    assert!(twice.words.contains("relay:4000 says"), "{twice:?}");
    assert!(twice.words.contains("4 times"), "{twice:?}");
    assert!(remedy(&twice).contains("End the other client"));
    world.run(60 * MINUTE);
    assert_eq!(told(&mut world), None, "an hour later");
}

#[test]
fn a_mailbox_that_takes_nothing_is_told_with_what_makes_room() {
    let mut ann = Alone::new("ann");
    let told = |ann: &mut Alone| check(&examine(ann, None), "mailbox").clone();
    assert_eq!(told(&mut ann).outcome, Outcome::Skipped);
    let mut ann = Alone::with("ann", 1, |config| config.built_in_relay = true);
    assert_eq!(told(&mut ann).outcome, Outcome::Ok);
    for (unkept, words) in [
        (Unkept::Quota, "as much of one sender"),
        (Unkept::Room, "short of room"),
        (
            Unkept::Failed("the disk failed".to_owned()),
            "the disk failed",
        ),
    ] {
        ann.give(Input::NotKept(unkept));
        let failing = told(&mut ann);
        assert_eq!(failing.outcome, Outcome::Fail, "{failing:?}");
        assert!(failing.words.contains(words), "{failing:?}");
        assert!(remedy(&failing).contains("Make room on the disk"));
    }
}

/// Ann, who has a mailbox at a relay that the test plays; and the relay.
fn ann_and_a_relay() -> (Alone, ContactId) {
    let mut other = Alone::new("other");
    let name = Username::parse("relay").unwrap();
    let relay = SecretIdentity::generate(&name, UnixMillis::ZERO, &mut other.rng).id();
    let link = RelayLink::new(relay, "relay:4000".parse().unwrap(), None).unwrap();
    let ann = Alone::with("ann", 1, |config| config.relays = vec![link]);
    (ann, relay)
}

/// The relay cannot be dialled; what is done then.
fn fail_relay(ann: &mut Alone, relay: ContactId) -> Vec<Output> {
    let link = ann.new_link();
    ann.give(Input::Closed {
        link,
        service: Service::Relay,
        dialled: Some(relay),
        reason: CloseReason::Local(ErrorCode::Timeout),
    })
}

fn begin(ann: &mut Alone, number: u64) -> Vec<Output> {
    let ticket = Ticket((1 << 60) + number);
    ann.give(Input::Examine {
        ticket,
        store: None,
    })
}

/// The answers among what is done, by the number of the examination.
fn answers(done: Vec<Output>) -> Vec<(u64, Result<DoctorView, CommandError>)> {
    let answer = |output| match output {
        Output::Reply { ticket, result } => {
            let result = match *result {
                Ok(Reply::Doctor(view)) => Ok(view),
                Err(error) => Err(error),
                other => panic!("{other:?}"),
            };
            Some((ticket.0 - (1 << 60), result))
        }
        _ => None,
    };
    done.into_iter().filter_map(answer).collect()
}

#[test]
fn the_ninth_examination_at_once_is_refused_and_none_lasts_more_than_eight_seconds() {
    let (mut ann, _) = ann_and_a_relay();
    for number in 1..=8 {
        assert_eq!(
            answers(begin(&mut ann, number)),
            [],
            "the relay is waited for"
        );
    }
    let refused = answers(begin(&mut ann, 9));
    let [(9, Err(error))] = &refused[..] else {
        panic!("{refused:?}");
    };
    assert_eq!(error.kind, ErrorKind::Failed);
    assert!(error.message.contains("wait for one of them"), "{error}");
    let early: Vec<Output> = ann
        .pass(Duration::from_millis(7_999))
        .into_iter()
        .map(|(_, output)| output)
        .collect();
    assert_eq!(answers(early), [], "the relay is still waited for");
    let done = ann.pass(Duration::from_millis(1)).into_iter();
    let done = answers(done.map(|(_, output)| output).collect());
    let numbers: Vec<u64> = done.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    for (_, view) in done {
        let view = view.unwrap();
        let relay = check(&view, "relay");
        assert_eq!(relay.outcome, Outcome::Fail);
        assert!(relay.words.contains("it has not answered"), "{relay:?}");
    }
    assert_eq!(answers(begin(&mut ann, 10)), [], "there is room again");
}

#[test]
fn a_relay_that_cannot_be_dialled_is_a_finding_at_once() {
    let (mut ann, relay) = ann_and_a_relay();
    assert_eq!(answers(begin(&mut ann, 1)), []);
    let done = answers(fail_relay(&mut ann, relay));
    let [(1, Ok(view))] = &done[..] else {
        panic!("{done:?}");
    };
    let found = check(view, "relay");
    assert_eq!(found.outcome, Outcome::Fail);
    assert!(found.words.contains("took too long"), "{found:?}");
    // failures before it began say nothing: it is dialled anew, and that is waited for
    assert_eq!(answers(begin(&mut ann, 2)), []);
    assert_eq!(answers(fail_relay(&mut ann, relay)).len(), 1);
}

#[test]
fn a_connection_that_breaks_before_the_answer_is_a_finding_at_once() {
    for server_breaks in [false, true] {
        let (mut world, [ann, relay]) = ann_at_home(15);
        // both are asked, and nothing has come back yet
        let ticket = world.begin(ann, Command::Doctor);
        match server_breaks {
            true => world.set_rendezvous_up(0, false),
            false => world.set_reachable(relay, false),
        }
        let Some(Ok(Reply::Doctor(view))) = world.answer_within(ann, ticket, 1_000) else {
            panic!("no answer within a second");
        };
        let (relay, server) = (check(&view, "relay"), check(&view, "rendezvous"));
        let told = (relay.outcome, server.outcome);
        match server_breaks {
            true => assert_eq!(told, (Outcome::Ok, Outcome::Warn), "{server:?}"),
            false => assert_eq!(told, (Outcome::Fail, Outcome::Ok), "{relay:?}"),
        }
    }
}

#[test]
fn a_relay_that_is_silent_is_waited_for_eight_seconds_and_no_longer() {
    let (mut world, [ann, relay]) = ann_at_home(16);
    world.set_silent(relay, true);
    let ticket = world.begin(ann, Command::Doctor);
    assert!(world.answer_within(ann, ticket, 7_900).is_none());
    let Some(Ok(Reply::Doctor(view))) = world.answer_within(ann, ticket, 200) else {
        panic!("no answer after eight seconds");
    };
    assert_eq!(check(&view, "relay").outcome, Outcome::Fail);
    assert_eq!(check(&view, "rendezvous").outcome, Outcome::Ok);
}

#[test]
fn each_relay_and_each_server_is_told_by_what_became_of_asking_it() {
    for silent in [0, 1] {
        let mut world = World::new(17);
        let relays = ["one", "two"].map(|name| world.open_relay(name));
        let ann = world.join_at("ann", &relays);
        let servers = ["blue", "red"].map(|name| world.open_rendezvous(name));
        let links = servers.map(|at| RendezvousPlace::Link(Box::new(world.rendezvous(at).link())));
        world.configure(ann, |config| config.rendezvous = Some(links.into()));
        world.run(MINUTE);
        world.set_silent(relays[silent], true);
        world.set_rendezvous_up(servers[silent], false);
        let view = doctor(&mut world, ann);
        let told = |name: &str| {
            let of = view.checks.iter().filter(|check| check.check == name);
            let told = of.map(|check| {
                let subject = check.subject.as_deref().unwrap_or_default();
                let host = subject.split(':').next().unwrap_or_default();
                (host.to_owned(), check.outcome)
            });
            let mut told: Vec<_> = told.collect();
            told.sort_by(|one, two| one.0.cmp(&two.0));
            told
        };
        let expected = |bad: Outcome, names: [&'static str; 2]| {
            let mut all = vec![(names[silent], bad), (names[1 - silent], Outcome::Ok)];
            all.sort_by_key(|(name, _)| *name);
            all
        };
        for (check, bad, names) in [
            ("relay", Outcome::Fail, ["one", "two"]),
            ("rendezvous", Outcome::Warn, ["blue", "red"]),
        ] {
            let told = told(check);
            let told: Vec<_> = told.iter().map(|(at, of)| (at.as_str(), *of)).collect();
            assert_eq!(told, expected(bad, names));
        }
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_a_finding_at_once_and_one_that_is_back_is_asked_at_once() {
    let (mut world, [ann, _]) = ann_at_home(18);
    world.set_rendezvous_up(0, false);
    world.run(60 * MINUTE);
    let ticket = world.begin(ann, Command::Doctor);
    let Some(Ok(Reply::Doctor(view))) = world.answer_within(ann, ticket, 1_000) else {
        panic!("no answer within a second");
    };
    assert_eq!(check(&view, "rendezvous").outcome, Outcome::Warn);
    world.set_rendezvous_up(0, true);
    // its pause is longer than anybody waits here
    let view = doctor(&mut world, ann);
    let server = check(&view, "rendezvous");
    assert_eq!(server.outcome, Outcome::Ok, "{server:?}");
}

#[test]
fn a_relay_of_a_contact_that_works_is_not_told() {
    let (mut world, [ann, _]) = ann_at_home(19);
    let other = world.open_relay("other");
    let ben = world.join_far("ben", &[other]);
    world.run(MINUTE);
    world.add(ann, ben);
    world.send(ann, "ben", "hello");
    world.run(MINUTE);
    assert!(world.relay(other).stored > 0, "it is in use");
    let view = doctor(&mut world, ann);
    let told = view.checks.iter().filter(|check| check.check == "relay");
    let told: Vec<_> = told.map(|check| check.subject.as_deref()).collect();
    assert_eq!(told, [Some("relay:4000")]);
}

#[test]
fn a_relay_of_a_contact_with_which_nothing_is_to_be_done_has_no_error_of_long_ago() {
    let (mut world, [ann, _]) = ann_at_home(19);
    let other = world.open_relay("other");
    let ben = world.join_far("ben", &[other]);
    world.run(MINUTE);
    world.introduce(ann, ben);
    world.send(ann, "ben", "hello");
    world.run(10_000);
    world.restart(other);
    world.run(10 * MINUTE);
    assert!(world.all_arrived(ann, "ben"));
    let status = world.status(ann);
    let shown = status.relays.iter().find(|r| r.endpoint == "other:4000");
    assert_eq!(shown.map(|r| &r.last_error), Some(&None), "{status:?}");
    let view = doctor(&mut world, ann);
    let told = view.checks.iter().filter(|check| check.check == "relay");
    let told: Vec<_> = told.map(|check| check.subject.as_deref()).collect();
    assert_eq!(told, [Some("relay:4000")]);
}
