//! Direct or by relay: what the policy says is what happens (7.1, 7.3).

mod next_try;
mod refused;

use std::time::Duration;

use sremp_client::{
    config::{Config, Direct},
    engine::Output,
    store::StoreError,
    view::{Choice, Command, ContactView, MessageKind, Path, Reply, Status},
};
use sremp_core::{
    channel::{Admission, Service},
    contact_card::{CardContent, ContactCard, RelayHint},
    error::ErrorCode,
    identity::{Flags, SecretIdentity, Trust},
};
use sremp_sim::{
    Alone, World,
    commands::{add, direct, send, trust},
};

use crate::{HOUR, MINUTE, seeds};

const LEAD: Duration = Duration::from_millis(750);

/// Ann, who has set something, and Ben, with a mailbox each at one relay, who have written to each
/// other.
fn acquainted(seed: u64, set: impl FnOnce(&mut Config)) -> (World, [usize; 3]) {
    let mut world = World::new(seed);
    let relay = world.open_relay("relay");
    let link = world.relay(relay).link();
    let ann = world.join_with("ann", |config| {
        config.relays = vec![link];
        set(config);
    });
    let ben = world.join_at("ben", &[relay]);
    world.run(MINUTE);
    world.introduce(ann, ben);
    world.send(ann, "ben", "hello");
    world.run(MINUTE);
    world.send(ben, "ann", "hello");
    world.run(5 * MINUTE);
    (world, [relay, ann, ben])
}

fn set_direct(world: &mut World, node: usize, contact: &str, direct: Choice) -> ContactView {
    let contact = contact.to_owned();
    match world.command(node, Command::SetDirect { contact, direct }) {
        Reply::Contact(view) => view,
        other => panic!("{other:?}"),
    }
}

fn is_connected(world: &mut World, node: usize) -> bool {
    world.contacts(node)[0].connected
}

/// Where one knows another to be.
fn places(world: &mut World, node: usize, of: usize) -> Vec<String> {
    let key = world.id(of);
    let found = world.node(node).store.transaction(|tx| {
        let contact = tx.contact_by_key(&key)?;
        Ok::<_, StoreError>(contact.map_or(Vec::new(), |contact| contact.endpoints))
    });
    found.unwrap().iter().map(ToString::to_string).collect()
}

/// By which ways came what a contact has written.
fn ways(world: &mut World, node: usize, contact: &str) -> Vec<Path> {
    let lines = world.history(node, contact).into_iter();
    let received = lines.filter(|line| line.kind == MessageKind::Received);
    received.filter_map(|line| line.path).collect()
}

#[test]
fn off_hides_where_one_is_until_it_is_taken_back() {
    for seed in seeds(10) {
        let (mut world, [relay, ann, ben]) = acquainted(seed, |_| ());
        assert!(is_connected(&mut world, ann), "seed {seed}");
        assert_eq!(places(&mut world, ben, ann), ["ann:4000"]);
        let calls = world.calls(ann);
        // so that Ben is not told yet, and tries
        world.set_reachable(relay, false);
        let view = set_direct(&mut world, ann, "ben", Choice::Off);
        assert_eq!((view.direct, view.connected), (Choice::Off, false));
        world.run(1_000);
        assert!(!is_connected(&mut world, ben), "seed {seed}");
        world.send(ben, "ann", "are you there?");
        world.send(ann, "ben", "by the relay");
        world.run(MINUTE);
        assert!(world.refused(ann, "direct-off") > 0, "seed {seed}");
        assert_eq!(world.received(ann, "ben"), ["hello"], "seed {seed}");
        world.set_reachable(relay, true);
        world.run(HOUR);
        assert_eq!(
            world.received(ann, "ben"),
            ["hello", "are you there?"],
            "seed {seed}"
        );
        assert_eq!(world.received(ben, "ann"), ["hello", "by the relay"]);
        assert_eq!(ways(&mut world, ann, "ben")[1], Path::Relay);
        assert_eq!(ways(&mut world, ben, "ann")[1], Path::Relay);
        assert!(places(&mut world, ben, ann).is_empty(), "seed {seed}");
        assert_eq!(world.calls(ann), calls, "seed {seed}");
        // also after a start
        world.restart(ann);
        world.send(ann, "ben", "still by the relay");
        let calls_of_ben = world.calls(ben);
        world.send(ben, "ann", "likewise");
        world.run(HOUR);
        assert_eq!(
            (world.calls(ann), world.calls(ben)),
            (calls, calls_of_ben),
            "seed {seed}"
        );
        set_direct(&mut world, ann, "ben", Choice::Default);
        world.run(MINUTE);
        assert!(is_connected(&mut world, ann), "seed {seed}");
        assert_eq!(places(&mut world, ben, ann), ["ann:4000"], "seed {seed}");
        assert_eq!(world.received(ben, "ann").len(), 3, "seed {seed}");
    }
}

#[test]
fn a_request_can_be_turned_off_before_it_is_accepted() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let [ann, ben] = ["ann", "ben"].map(|name| world.join_at(name, &[relay]));
        world.run(MINUTE);
        let invite = world.invite(ann);
        world.command(ben, add(&invite, Some("ann")));
        world.send(ben, "ann", "may I write?");
        world.run(MINUTE);
        set_direct(&mut world, ann, "ben", Choice::Off);
        world.command(ann, add("ben", None));
        world.send(ann, "ben", "yes");
        world.run(HOUR);
        assert_eq!(world.received(ben, "ann"), ["yes"]);
        assert_eq!(ways(&mut world, ben, "ann"), [Path::Relay]);
        assert!(places(&mut world, ben, ann).is_empty());
        assert_eq!(world.calls(ann), 0);
    }
}

#[test]
fn who_is_turned_off_before_an_answer_is_told_to_forget_with_it() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let [ann, ben] = ["ann", "ben"].map(|name| world.join_at(name, &[relay]));
        world.run(MINUTE);
        world.add(ann, ben);
        world.send(ann, "ben", "may I write?");
        world.run(MINUTE);
        assert_eq!(places(&mut world, ben, ann), ["ann:4000"]);
        set_direct(&mut world, ann, "ben", Choice::Off);
        world.add(ben, ann);
        world.run(HOUR);
        assert!(places(&mut world, ben, ann).is_empty());
        assert!(!is_connected(&mut world, ann));
    }
}

#[test]
fn on_makes_direct_connections_although_the_setting_says_never() {
    for seed in seeds(10) {
        let (mut world, [_, ann, ben]) = acquainted(seed, |c| c.direct = Direct::Never);
        assert_eq!((world.calls(ann), world.calls(ben)), (0, 0), "seed {seed}");
        assert!(places(&mut world, ben, ann).is_empty(), "seed {seed}");
        set_direct(&mut world, ann, "ben", Choice::On);
        world.run(MINUTE);
        assert!(is_connected(&mut world, ann), "seed {seed}");
        assert_eq!(places(&mut world, ben, ann), ["ann:4000"], "seed {seed}");
        world.send(ann, "ben", "directly");
        world.run(MINUTE);
        assert_eq!(ways(&mut world, ben, "ann")[1], Path::Direct, "seed {seed}");
        // and Ben is let in
        let calls = world.calls(ann);
        world.restart(ann);
        world.send(ben, "ann", "directly");
        world.run(MINUTE);
        assert_eq!(ways(&mut world, ann, "ben")[1], Path::Direct, "seed {seed}");
        assert_eq!(
            (world.calls(ann), world.refused(ann, "direct-off")),
            (calls, 0)
        );
    }
}

#[test]
fn with_never_nobody_is_let_in_and_contacts_are_told_to_forget_where_one_is() {
    for seed in seeds(10) {
        let (mut world, [relay, ann, ben]) = acquainted(seed, |_| ());
        world.set_reachable(relay, false);
        world.configure(ann, |config| config.direct = Direct::Never);
        let calls = world.calls(ann);
        world.send(ben, "ann", "are you there?");
        world.run(MINUTE);
        assert_eq!(world.received(ann, "ben").len(), 1, "seed {seed}");
        assert!(world.refused(ann, "direct-off") > 0, "seed {seed}");
        world.set_reachable(relay, true);
        world.run(HOUR);
        assert_eq!(world.received(ann, "ben").len(), 2, "seed {seed}");
        assert!(places(&mut world, ben, ann).is_empty(), "seed {seed}");
        assert_eq!(world.calls(ann), calls, "seed {seed}");
    }
}

#[test]
fn with_trusted_a_contact_learns_where_one_is_with_the_trust_and_forgets_it_with_the_trust() {
    for seed in seeds(10) {
        let (mut world, [_, ann, ben]) = acquainted(seed, |c| c.direct = Direct::Trusted);
        assert!(!is_connected(&mut world, ann), "seed {seed}");
        world.command(ann, trust("ben", Trust::Trusted));
        world.run(MINUTE);
        assert!(is_connected(&mut world, ann), "seed {seed}");
        assert_eq!(places(&mut world, ben, ann), ["ann:4000"], "seed {seed}");
        world.command(ann, trust("ben", Trust::Unknown));
        assert!(!is_connected(&mut world, ann), "seed {seed}");
        world.run(HOUR);
        assert!(places(&mut world, ben, ann).is_empty(), "seed {seed}");
        assert!(!is_connected(&mut world, ann), "seed {seed}");
    }
}

#[test]
fn who_wishes_for_relays_is_written_to_and_writes_by_them_alone() {
    for seed in seeds(10) {
        let (mut world, [_, ann, ben]) = acquainted(seed, |c| c.prefers_async = true);
        world.send(ann, "ben", "again");
        world.send(ben, "ann", "again");
        world.run(MINUTE);
        assert_eq!(
            ways(&mut world, ann, "ben"),
            [Path::Relay; 2],
            "seed {seed}"
        );
        assert_eq!(
            ways(&mut world, ben, "ann"),
            [Path::Relay; 2],
            "seed {seed}"
        );
        assert_eq!((world.calls(ann), world.calls(ben)), (0, 0), "seed {seed}");
        assert!(places(&mut world, ben, ann).is_empty(), "seed {seed}");
    }
}

#[test]
fn a_wish_that_comes_later_is_told_in_a_new_version_and_so_is_its_end() {
    for seed in seeds(1) {
        let (mut world, [_, ann, ben]) = acquainted(seed, |_| ());
        let key = world.id(ann);
        let seen = |world: &mut World| {
            let found = world
                .node(ben)
                .store
                .transaction(|tx| tx.contact_by_key(&key));
            let found: Result<_, StoreError> = found;
            let identity = found.unwrap().unwrap().identity.unwrap();
            (identity.version(), identity.flags().prefers_async)
        };
        assert_eq!(seen(&mut world), (1, false));
        for (version, wish) in [(2, true), (3, false)] {
            world.configure(ann, |config| config.prefers_async = wish);
            world.run(HOUR);
            assert_eq!(seen(&mut world), (version, wish));
            assert_eq!(places(&mut world, ben, ann).is_empty(), wish);
            // a start alone makes no version
            world.restart(ann);
            let calls = (world.calls(ann), world.calls(ben));
            world.send(ann, "ben", "now");
            world.run(HOUR);
            let called = calls != (world.calls(ann), world.calls(ben));
            assert_eq!(called, !wish);
            assert_eq!(seen(&mut world), (version, wish));
        }
        assert_eq!(world.received(ben, "ann"), ["hello", "now", "now"]);
    }
}

#[test]
fn where_no_relay_is_known_a_wish_for_one_counts_for_nothing() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let ann = world.join_with("ann", |config| config.prefers_async = true);
        let ben = world.join("ben");
        world.introduce(ann, ben);
        world.send(ann, "ben", "hello");
        world.run(MINUTE);
        world.restart(ann);
        world.send(ben, "ann", "hello");
        world.run(MINUTE);
        assert_eq!(ways(&mut world, ben, "ann"), [Path::Direct]);
        assert_eq!(ways(&mut world, ann, "ben"), [Path::Direct]);
    }
}

/// A contact of Ann's at `name:4000`, and at a relay too if that is said.
fn contact(ann: &mut Alone, name: &str, relay: bool, wish: bool) -> SecretIdentity {
    let plain = ann.somebody(name);
    let flags = Flags {
        prefers_async: wish,
        ..Flags::default()
    };
    let now = ann.now().wall;
    let username = plain.identity().username();
    let identity = plain.with_profile(username, flags, None, now).unwrap();
    let hint = RelayHint {
        relay: ann.somebody("relay").id(),
        endpoint: "relay.example:4000".parse().unwrap(),
        priority: 0,
    };
    let content = CardContent {
        endpoints: vec![format!("{name}:4000").parse().unwrap()],
        dial: true,
        relays: if relay { vec![hint] } else { Vec::new() },
        ..CardContent::default()
    };
    let card = ContactCard::issue(&identity, content).unwrap();
    ann.command(add(&card.to_uri(), Some(name))).unwrap();
    identity
}

/// What is dialled of what is done, and when after it was written.
fn dialled(done: &[(Duration, Output)], from: Duration) -> Vec<(Service, Duration)> {
    let dial = |(at, output): &(Duration, Output)| match output {
        Output::Dial(target) => Some((target.service, *at - from)),
        _ => None,
    };
    done.iter().filter_map(dial).collect()
}

/// Ann writes, and some time passes.
fn write(ann: &mut Alone, contact: &str, time: Duration) -> Vec<(Service, Duration)> {
    let from = Duration::from_millis(ann.now().tick.get());
    let (reply, now) = ann.command_and_more(send(contact, "hello"));
    reply.unwrap();
    let mut done: Vec<_> = now.into_iter().map(|output| (from, output)).collect();
    done.extend(ann.pass(time));
    dialled(&done, from)
}

#[test]
fn a_relay_waits_750_ms_for_a_dial_that_has_no_answer() {
    for seed in seeds(1) {
        let mut ann = Alone::seeded("ann", seed);
        contact(&mut ann, "ben", true, false);
        let wanted = [(Service::P2p, Duration::ZERO), (Service::Relay, LEAD)];
        assert_eq!(write(&mut ann, "ben", 2 * LEAD), wanted);
    }
}

#[test]
fn a_relay_does_not_wait_for_a_dial_that_has_failed() {
    for seed in seeds(1) {
        let mut ann = Alone::seeded("ann", seed);
        let ben = contact(&mut ann, "ben", true, false);
        let early = Duration::from_millis(300);
        let wanted = [(Service::P2p, Duration::ZERO)];
        assert_eq!(write(&mut ann, "ben", early), wanted);
        let from = Duration::from_millis(ann.now().tick.get());
        let failed = ann.fail_dial(ben.id());
        let mut done: Vec<_> = failed.into_iter().map(|output| (from, output)).collect();
        done.extend(ann.pass(Duration::from_millis(1)));
        assert_eq!(dialled(&done, from), [(Service::Relay, Duration::ZERO)]);
    }
}

#[test]
fn a_contact_who_wishes_for_relays_is_dialled_only_if_it_has_none() {
    for seed in seeds(1) {
        for (relay, wanted) in [(true, Service::Relay), (false, Service::P2p)] {
            let mut ann = Alone::seeded("ann", seed);
            let ben = contact(&mut ann, "ben", relay, true);
            let link = ann.connect(ben.identity());
            ann.cut(link);
            ann.pass(Duration::from_secs(60));
            let at_once = [(wanted, Duration::ZERO)];
            assert_eq!(write(&mut ann, "ben", LEAD * 2), at_once, "relay: {relay}");
        }
    }
}

#[test]
fn whoever_was_let_in_and_is_turned_off_before_the_connection_opens_is_sent_away() {
    for seed in seeds(1) {
        let mut ann = Alone::seeded("ann", seed);
        let ben = contact(&mut ann, "ben", true, false);
        let (link, admission) = ann.call(ben.identity());
        assert_eq!(admission, Admission::Accept);
        ann.command(direct("ben", Choice::Off)).unwrap();
        let done = ann.open(link, ben.identity());
        assert_eq!(sremp_sim::closed(&done), [(link, ErrorCode::Refused)]);
        // in the words for everybody who is turned away
        let eve = contact(&mut ann, "eve", true, false);
        ann.command(trust("eve", Trust::Rejected)).unwrap();
        let [off, rejected] = [ben, eve].map(|who| ann.call(who.identity()).1);
        assert_eq!(off, Admission::Close(ErrorCode::Refused));
        assert_eq!(off, rejected);
        let status = ann.status();
        assert_eq!(status.refused["direct-off"], 1);
        assert_eq!(status.direct_off, ["ben"]);
    }
}

#[test]
fn a_place_that_has_failed_is_remembered_for_ten_minutes_also_when_nothing_waits() {
    // an answer comes within 200 ms, and so does the failure of a dial
    const HOP: u64 = 200;
    for seed in seeds(10) {
        let (mut world, [relay, ann, ben]) = acquainted(seed, |_| ());
        world.set_reachable(ben, false);
        world.run(HOUR);
        let mut stores = |minutes: u64, wanted: bool| {
            world.run(minutes * MINUTE);
            let before = world.relay(relay).stored;
            world.send(ann, "ben", "are you there?");
            world.run(HOP);
            let at_once = world.relay(relay).stored > before;
            assert_eq!(at_once, wanted, "seed {seed}: after {minutes} min");
            world.run(10 * HOP);
            assert_eq!(world.relay(relay).stored, before + 1, "seed {seed}");
        };
        stores(0, false);
        stores(5, true);
        stores(5, true);
        stores(11, false);
        world.change_network(ann);
        let before = world.relay(relay).stored;
        world.send(ann, "ben", "and now?");
        world.run(HOP);
        assert_eq!(world.relay(relay).stored, before, "seed {seed}");
    }
}

#[test]
fn what_waits_goes_by_whatever_way_comes_back_first_and_is_shown_once() {
    for seed in seeds(20) {
        for (first, way) in [("relay", Path::Relay), ("ben", Path::Direct)] {
            let (mut world, [relay, ann, ben]) = acquainted(seed, |_| ());
            world.set_reachable(relay, false);
            world.set_reachable(ben, false);
            world.send(ann, "ben", "on its way");
            world.run(MINUTE * (1 + seed));
            assert_eq!(world.statuses(ann, "ben")[1], Status::Queued);
            match first {
                "relay" => {
                    world.set_reachable(relay, true);
                    world.run(HOUR);
                    assert_eq!(world.statuses(ann, "ben")[1], Status::AtRelay);
                    world.set_reachable(ben, true);
                    world.run(HOUR);
                }
                _ => {
                    world.set_reachable(ben, true);
                    world.run(HOUR);
                    world.set_reachable(relay, true);
                    world.run(HOUR);
                }
            }
            let received = world.received(ben, "ann");
            assert_eq!(received, ["hello", "on its way"], "seed {seed}: {first}");
            assert_eq!(ways(&mut world, ben, "ann")[1], way, "seed {seed}");
            assert_eq!(world.statuses(ann, "ben")[1], Status::OnDevice);
        }
    }
}
