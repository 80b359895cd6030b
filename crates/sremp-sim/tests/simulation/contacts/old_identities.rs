//! Identities that were replaced and are shown again.

use sremp_client::{
    engine::Input,
    view::{Command, EventKind, Outcome, Reply, Trust},
};
use sremp_core::{
    channel::{Admission, PeerClose, Service},
    error::ErrorCode,
    id::ContactId,
    session::content::{Body, ProfileUpdate},
};
use sremp_net::CloseReason;
use sremp_sim::{
    Alone, Scripted,
    commands::{send, trust},
};

use super::{Forked, MINUTE, two_of};
use crate::seeds;

#[test]
fn an_older_identity_is_sent_away_and_stops_nothing() {
    for seed in seeds(1) {
        let mut f = Forked::before(seed);
        let [next, _] = two_of(&mut f.ann, &f.ben.identity);
        f.ann.connect(next.identity());
        for old in [&f.ben.identity, &f.other] {
            let seen = next.identity().version();
            let (_, admission) = f.ann.call(old.identity());
            assert_eq!(admission, Admission::Stale { seen });
        }
        f.ann.command(send("ben", "hello")).unwrap();
    }
}

/// The notices that an older identity was shown: in the conversation, and told to faces.
fn told_of_rollbacks(client: &mut Alone, contact: &str) -> [usize; 2] {
    let words = "an older identity";
    let lines = client.history(contact);
    let events = client.events();
    let told = events.iter().filter(|e| match &e.event {
        EventKind::Notice { text, .. } => text.contains(words),
        _ => false,
    });
    let shown = lines.iter().filter(|line| line.text.contains(words));
    [shown.count(), told.count()]
}

#[test]
fn an_older_identity_is_told_once_of_each_that_is_known_however_often_it_is_shown() {
    for seed in seeds(1) {
        let mut f = Forked::before(seed);
        let first = f.ben.identity.identity().clone();
        for told in 1..=2 {
            let older = f.ben.identity.identity().clone();
            [f.ben.identity, _] = two_of(&mut f.ann, &f.ben.identity);
            f.ann.connect(f.ben.identity.identity());
            let seen = f.ben.identity.identity().version();
            let stale = Admission::Stale { seen };
            // it may have been under way when it changed
            assert_eq!(f.ann.call(&older).1, stale);
            assert_eq!(told_of_rollbacks(&mut f.ann, "ben"), [told - 1; 2]);
            f.ann.pass(MINUTE);
            let before = f.ann.refused("STALE_IDENTITY");
            for n in 0..1_000 {
                let shown = [&first, &older][n % 2];
                assert_eq!(f.ann.call(shown).1, stale);
            }
            assert_eq!(told_of_rollbacks(&mut f.ann, "ben"), [told; 2]);
            assert_eq!(f.ann.refused("STALE_IDENTITY"), before + 1_000);
        }
    }
}

#[test]
fn an_older_identity_in_a_newer_profile_is_told_and_one_that_comes_late_is_not() {
    for seed in seeds(1) {
        let mut f = Forked::before(seed);
        let old = f.ben.identity.identity().clone();
        let [next, _] = two_of(&mut f.ann, &f.ben.identity);
        let link = f.ann.connect(next.identity());
        f.ann.pass(2 * MINUTE);
        let session = f.ben.start_session(&mut f.ann, link);
        // 1 is what came before
        for (rev, told) in [(1, 0), (2, 1), (3, 1)] {
            let update = ProfileUpdate {
                rev,
                identity: Some((&old).into()),
                ..ProfileUpdate::default()
            };
            let update = f.ben.content(&mut f.ann, Body::ProfileUpdate(update));
            assert!(f.ben.send(&mut f.ann, link, &session, &update).0);
            assert_eq!(told_of_rollbacks(&mut f.ann, "ben"), [told; 2], "rev {rev}");
        }
        assert_eq!(f.ann.refused("STALE_IDENTITY"), 2);
    }
}

#[test]
fn nothing_is_told_of_the_older_identities_of_people_who_are_no_contacts() {
    for seed in seeds(1) {
        let mut f = Forked::before(seed);
        let [next, _] = two_of(&mut f.ann, &f.ben.identity);
        f.ann.connect(next.identity());
        f.ann.pass(2 * MINUTE);
        f.ann.command(trust("ben", Trust::Rejected)).unwrap();
        let seen = next.identity().version();
        let stale = Admission::Stale { seen };
        assert_eq!(f.ann.call(f.ben.identity.identity()).1, stale);
        assert_eq!(told_of_rollbacks(&mut f.ann, "ben"), [0; 2]);
        assert_eq!(f.ann.refused("STALE_IDENTITY"), 1);
    }
}

#[test]
fn an_old_copy_of_a_home_is_told_that_contacts_know_a_newer_one() {
    let (mut ben, link) = {
        let mut ben = Alone::new("ben");
        let (_, link) = Scripted::connected_to(&mut ben, "ann");
        (ben, link)
    };
    let ann = ben.contacts()[0].id.parse::<ContactId>().unwrap();
    ben.cut(link);
    let told = |ben: &mut Alone| {
        let warnings = ben.status().warnings.into_iter();
        warnings
            .filter(|w| w.contains("ann says that it knows a newer home"))
            .count()
    };
    let refuse = |ben: &mut Alone, code: ErrorCode| {
        let link = ben.new_link();
        ben.give(Input::Closed {
            link,
            service: Service::P2p,
            dialled: Some(ann),
            reason: CloseReason::Peer(PeerClose {
                code: code.to_u16(),
                text: String::new(),
            }),
        });
    };
    // whoever was not proved to be she says nothing
    refuse(&mut ben, ErrorCode::StaleIdentity);
    assert_eq!(told(&mut ben), 0);
    ben.command(send("ann", "hello")).unwrap();
    ben.pass(2 * MINUTE);
    refuse(&mut ben, ErrorCode::Busy);
    assert_eq!(told(&mut ben), 0);
    refuse(&mut ben, ErrorCode::StaleIdentity);
    assert_eq!(told(&mut ben), 1);
    let done = ben.command(Command::Doctor);
    let Ok(Reply::Doctor(view)) = done else {
        panic!("{done:?}");
    };
    let check = view.checks.iter().find(|check| check.check == "identity");
    assert_eq!(
        check.unwrap().outcome,
        Outcome::Warn,
        "it is her word alone"
    );
    let remedy = check.and_then(|check| check.remedy.as_deref());
    assert!(remedy.unwrap().contains("the newer one"), "{remedy:?}");
}
