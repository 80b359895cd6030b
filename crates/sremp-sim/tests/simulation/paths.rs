//! Direct or by relay: what the policy says is what happens (7.1, 7.3).

use std::time::Duration;

use sremp_client::{
    clock::Rfc3339,
    config::{Config, Direct},
    engine::{Input, Output},
    store::StoreError,
    view::{Choice, Command, ContactView, MessageKind, Path, Reply, Status, Waits, WhyStep},
};
use sremp_core::{
    channel::{Admission, HandshakeHash, PeerClose, Service},
    contact_card::{CardContent, ContactCard, RelayHint, RelayLink},
    error::ErrorCode,
    id::ContactId,
    identity::{Flags, SecretIdentity, Trust},
};
use sremp_net::{CloseReason, Direction, LinkId};
use sremp_sim::{
    Alone, Malice, World,
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

#[test]
fn what_waits_always_has_a_next_try_or_tells_the_user_what_is_missing() {
    for seed in seeds(1) {
        let settings = [Direct::Accepted, Direct::Trusted, Direct::Never];
        for direct in settings {
            for choice in [Choice::Default, Choice::On, Choice::Off] {
                for wish in [false, true] {
                    for has_relay in [false, true] {
                        let mut world = World::new(seed);
                        let relay = world.open_relay("relay");
                        let ann = world.join_with("ann", |config| {
                            config.direct = direct;
                            config.prefers_async = wish;
                        });
                        let at: &[usize] = if has_relay { &[relay] } else { &[] };
                        let ben = world.join_at("ben", at);
                        world.run(MINUTE);
                        world.add(ann, ben);
                        set_direct(&mut world, ann, "ben", choice);
                        world.set_reachable(ben, false);
                        world.set_reachable(relay, false);
                        world.send(ann, "ben", "hello");
                        world.run(MINUTE);
                        let view = world.why_last(ann, "ben");
                        let tells = view.waits == Some(Waits::DirectOff);
                        let off = choice == Choice::Off
                            || (choice == Choice::Default && direct != Direct::Accepted);
                        assert_eq!(tells, off && !has_relay, "{view:?}");
                        assert_ne!(view.next_try.is_some(), tells, "{view:?}");
                        assert_eq!(view.status, Some(Status::Queued));
                    }
                }
            }
        }
    }
}

#[test]
fn what_waits_has_a_next_try_at_every_moment_also_while_it_is_tried() {
    for seed in seeds(1) {
        for has_relay in [false, true] {
            let mut world = World::new(seed);
            let relay = world.open_relay("relay");
            let ann = world.join("ann");
            let at: &[usize] = if has_relay { &[relay] } else { &[] };
            let ben = world.join_at("ben", at);
            world.run(MINUTE);
            world.add(ann, ben);
            if has_relay {
                set_direct(&mut world, ann, "ben", Choice::Off);
            }
            world.set_reachable(ben, false);
            world.set_reachable(relay, false);
            world.send(ann, "ben", "hello");
            for _ in 0..300 {
                world.run(200);
                let view = world.why_last(ann, "ben");
                assert!(view.next_try.is_some(), "seed {seed}: {view:?}");
            }
        }
    }
}

#[test]
fn a_dial_that_has_no_answer_yet_is_a_try_that_is_made_now() {
    for seed in seeds(1) {
        let mut ann = Alone::seeded("ann", seed);
        contact(&mut ann, "ben", false, false);
        write(&mut ann, "ben", 2 * LEAD);
        let recent = Command::History {
            contact: "ben".to_owned(),
            before: None,
            limit: 1,
        };
        let Ok(Reply::Messages { messages }) = ann.command(recent) else {
            panic!("no history");
        };
        let msg_id = messages[0].msg_id.clone();
        let Ok(Reply::Why(view)) = ann.command(Command::Why { msg_id }) else {
            panic!("no answer");
        };
        assert_eq!(view.next_try, Some(Rfc3339(ann.now().wall)), "{view:?}");
    }
}
