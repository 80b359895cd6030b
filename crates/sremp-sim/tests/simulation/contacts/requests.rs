//! Requests without end, and those that the user has declined.

use sremp_client::{
    store::{NewContact, Store, StoreError},
    view::{Standing, Trust},
};
use sremp_core::{channel::Admission, id::ContactId, time::UnixMillis};
use sremp_sim::{
    Alone, Scripted, World,
    commands::{add, trust},
};

use super::{DAY, PENDING, REFUSED, ask, asked, shows};
use crate::seeds;

#[test]
fn a_declined_request_stays_away_until_the_user_takes_that_back() {
    for seed in seeds(1) {
        for undo in [
            trust("eve", Trust::Unknown),
            trust("eve", Trust::Trusted),
            add("eve", None),
        ] {
            let mut ben = Alone::seeded("ben", seed);
            let (mut eve, _) = asked(&mut ben, "eve");
            ben.command(trust("eve", Trust::Rejected)).unwrap();
            assert_eq!(ben.status().requests, 0);
            for _ in 0..3 {
                ben.pass(DAY);
                assert_eq!(ben.call(eve.identity.identity()).1, REFUSED);
            }
            ben.restart();
            assert_eq!(ben.call(eve.identity.identity()).1, REFUSED);
            assert_eq!(ben.status().requests, 0, "it does not come back by itself");
            ben.command(undo).unwrap();
            let link = ben.connect(eve.identity.identity());
            let session = eve.start_session(&mut ben, link);
            assert!(eve.write(&mut ben, link, &session, "thank you"));
            assert!(shows(&mut ben, "eve", "may I?"));
            assert!(shows(&mut ben, "eve", "thank you"));
            assert_eq!(ben.contacts()[0].standing, Standing::Accepted);
        }
    }
}

#[test]
fn what_a_rejected_contact_writes_is_shown_once_that_is_taken_back() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        let mut ann = Scripted::known_to(&mut ben, "ann");
        ben.command(trust("ann", Trust::Rejected)).unwrap();
        assert_eq!(ben.call(ann.identity.identity()).1, REFUSED);
        ben.command(trust("ann", Trust::Unknown)).unwrap();
        let link = ben.connect(ann.identity.identity());
        let session = ann.start_session(&mut ben, link);
        assert!(ann.write(&mut ben, link, &session, "again"));
        assert!(shows(&mut ben, "ann", "again"));
    }
}

/// These strangers have asked already.
fn have_asked(store: &mut Store, strangers: &[ContactId], first_seen: UnixMillis) {
    let inserted = store.transaction(|tx| {
        for key in strangers {
            tx.insert_contact(&NewContact {
                key: *key,
                alias: None,
                standing: Standing::Request,
                first_seen,
            })?;
        }
        Ok::<_, StoreError>(())
    });
    inserted.unwrap();
}

fn strangers(client: &mut Alone, count: usize) -> Vec<ContactId> {
    (0..count).map(|_| client.somebody("s").id()).collect()
}

#[test]
fn the_request_after_the_hundredth_leaves_nothing_behind() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        let before = strangers(&mut ben, PENDING - 1);
        let now = ben.now().wall;
        have_asked(&mut ben.node.store, &before, now);
        // both are let in while there is room for one
        let mut late = Scripted::unknown_to(&mut ben, "late");
        let late_link = ben.connect(late.identity.identity());
        asked(&mut ben, "early");
        assert_eq!(ben.status().requests, PENDING as u64);
        let before = ben.status().last_event;
        ask(&mut ben, &mut late, late_link);
        assert_eq!(ben.refused("requests-full"), 1);
        assert_eq!(ben.status().requests, PENDING as u64);
        assert_eq!(ben.status().last_event, before);
        let key = late.identity.id();
        let kept = ben.node.store.transaction(|tx| {
            let known = tx.contact_by_key(&key)?.is_some();
            Ok::<_, StoreError>(known || tx.version_record(&key)?.is_some())
        });
        assert!(!kept.unwrap());
        // and from now on strangers are not even let in, until one request is answered
        let next = ben.somebody("next");
        assert_eq!(ben.call(next.identity()).1, REFUSED);
        ben.command(trust("early", Trust::Rejected)).unwrap();
        assert_eq!(ben.call(next.identity()).1, Admission::Accept);
    }
}

#[test]
fn whom_a_relay_says_to_be_invited_finds_room_twice_as_long_and_no_longer() {
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let relay = world.open_relay("relay");
        let ben = world.join_far("ben", &[relay]);
        let before = strangers(&mut Alone::seeded("strangers", seed), 2 * PENDING - 1);
        world.run(60_000);
        let now = world.now().wall;
        have_asked(&mut world.node(ben).store, &before, now);
        for (name, requests) in [("ann", 2 * PENDING), ("eve", 2 * PENDING)] {
            let invite = world.invite(ben);
            let guest = world.join_far(name, &[relay]);
            world.run(60_000);
            world.command(guest, add(&invite, Some("ben")));
            world.send(guest, "ben", "you invited me");
            world.run(5 * 60_000);
            let status = world.status(ben);
            assert_eq!(status.requests, requests as u64, "seed {seed}, {name}");
            let full = status.refused.get("requests-full").copied().unwrap_or(0);
            assert_eq!(full > 0, name == "eve", "seed {seed}, {name}");
        }
    }
}
