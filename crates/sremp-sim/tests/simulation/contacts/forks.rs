//! Two identities of the same version under one key: nothing goes out before the user has said a word.

use sremp_client::view::{Command, EventKind, Outcome, Reply, Trust, Waits};
use sremp_core::{
    channel::Admission,
    session::content::{Body, ProfileUpdate},
};
use sremp_sim::{
    Scripted,
    commands::{send, trust, verify},
    dials,
};

use super::{DAY, Forked, MINUTE, REFUSED, envelopes, refuses, shows, soon_after, two_of};
use crate::{
    doctor::{check, examine},
    seeds,
};

#[test]
fn nothing_goes_to_a_forked_contact_and_all_that_it_says_is_read() {
    for seed in seeds(4) {
        let mut f = Forked::of(seed);
        refuses(f.ann.command(send("ben", "and now?")), "sremp trust ben");
        f.ann.pass(2 * MINUTE);
        let session = f.ben.start_session(&mut f.ann, f.link);
        let text = f.ben.content(&mut f.ann, Body::Text("it is me".to_owned()));
        let (confirmed, done) = f.ben.send(&mut f.ann, f.link, &session, &text);
        assert!(confirmed, "seed {seed}");
        assert_eq!(envelopes(&done).len(), 0, "seed {seed}");
        assert!(shows(&mut f.ann, "ben", "it is me"), "seed {seed}");
        // neither now nor later, nor by dialling
        let mut done = f.ann.cut(f.link);
        done.extend(f.ann.pass(DAY).into_iter().map(|(_, output)| output));
        f.ann.restart();
        done.extend(f.ann.pass(DAY).into_iter().map(|(_, output)| output));
        assert_eq!(dials(&done).len(), 0, "seed {seed}");
        let (link, admission) = f.ann.call(f.ben.identity.identity());
        assert_eq!(admission, Admission::Accept, "seed {seed}");
        let mut done = f.ann.open(link, f.ben.identity.identity());
        done.extend(f.ann.pass(MINUTE).into_iter().map(|(_, output)| output));
        assert_eq!(envelopes(&done).len(), 0, "seed {seed}");
        f.ann.cut(link);
        assert!(f.ann.status().queued > 0, "what was written is kept");
        let why = f.ann.why_last("ben");
        assert_eq!(why.waits, Some(Waits::Forked));
        assert!(why.waits_for.unwrap().contains("sremp trust ben"));
    }
}

#[test]
fn a_fork_is_told_once_in_the_conversation_and_with_the_contact() {
    for seed in seeds(1) {
        let mut f = Forked::of(seed);
        for _ in 0..20 {
            assert_eq!(f.ann.call(f.other.identity()).1, REFUSED);
        }
        assert_eq!(f.ann.refused("IDENTITY_FORK"), 21);
        let events = f.ann.events();
        let told = events.iter().filter(|e| match &e.event {
            EventKind::Notice { text, .. } => text.contains("two different identities"),
            _ => false,
        });
        assert_eq!(told.count(), 1);
        let warnings = &f.ann.contacts()[0].warnings;
        assert!(warnings[0].contains("nothing is sent"), "{warnings:?}");
        let examined = examine(&mut f.ann, None);
        let doubt = check(&examined, "contact");
        let told = (doubt.outcome, doubt.subject.as_deref());
        assert_eq!(told, (Outcome::Warn, Some("ben")));
        assert!(doubt.remedy.as_ref().unwrap().contains("sremp trust ben"));
        let refusals = check(&examined, "refusals");
        assert!(
            refusals.words.contains("21 × IDENTITY_FORK"),
            "{refusals:?}"
        );
        f.ann.command(trust("ben", Trust::Trusted)).unwrap();
        let examined = examine(&mut f.ann, None);
        assert_eq!(check(&examined, "contact").outcome, Outcome::Ok);
    }
}

#[test]
fn the_users_word_lets_what_waits_go_to_the_one_that_was_known() {
    for seed in seeds(1) {
        let number = |f: &mut Forked| match f.ann.command(verify("ben", None)) {
            Ok(Reply::Verify(view)) => verify("ben", Some(view.safety_number)),
            other => panic!("{other:?}"),
        };
        let decisions: [fn(&mut Forked) -> Command; 2] = [|_| trust("ben", Trust::Trusted), number];
        for decide in decisions {
            let mut f = Forked::of(seed);
            f.ann.cut(f.link);
            // neither "unknown" nor a number that differs is a word for it
            f.ann.command(trust("ben", Trust::Unknown)).unwrap();
            f.ann.command(verify("ben", Some("0".repeat(60)))).unwrap();
            refuses(f.ann.command(send("ben", "and now?")), "sremp trust ben");
            let decision = decide(&mut f);
            let done = soon_after(&mut f.ann, decision);
            assert!(!dials(&done).is_empty(), "what waits goes on its way");
            f.ann.command(send("ben", "and now?")).unwrap();
            // the other is let in no more than before, and does not stop it again
            assert_eq!(f.ann.call(f.other.identity()).1, REFUSED);
            f.ann.restart();
            f.ann.command(send("ben", "still there?")).unwrap();
            let (link, admission) = f.ann.call(f.ben.identity.identity());
            assert_eq!(admission, Admission::Accept);
            let done = f.ann.open(link, f.ben.identity.identity());
            assert!(!envelopes(&done).is_empty());
        }
    }
}

#[test]
fn what_the_user_said_of_a_fork_holds_for_that_version_alone() {
    for seed in seeds(1) {
        let mut f = Forked::of(seed);
        f.ann.command(trust("ben", Trust::Trusted)).unwrap();
        let [next, other] = two_of(&mut f.ann, &f.ben.identity);
        assert_eq!(f.ann.call(next.identity()).1, Admission::Accept);
        f.ann.connect(next.identity());
        f.ann.command(send("ben", "a new one")).unwrap();
        assert_eq!(f.ann.call(other.identity()).1, REFUSED);
        refuses(f.ann.command(send("ben", "again")), "sremp trust ben");
    }
}

#[test]
fn a_newer_identity_does_not_end_the_stop_before_the_users_word() {
    for seed in seeds(1) {
        let mut f = Forked::of(seed);
        let [next, _] = two_of(&mut f.ann, &f.other);
        f.ann.connect(next.identity());
        refuses(f.ann.command(send("ben", "and now?")), "sremp trust ben");
    }
}

#[test]
fn whoever_holds_the_key_moves_a_forked_contact_nowhere() {
    for seed in seeds(1) {
        let mut f = Forked::of(seed);
        f.ann.pass(2 * MINUTE);
        let session = f.ben.start_session(&mut f.ann, f.link);
        let update = ProfileUpdate {
            rev: 1_000,
            endpoints: Some(vec!["thief.example:4000".parse().unwrap()]),
            ..ProfileUpdate::default()
        };
        let update = f.ben.content(&mut f.ann, Body::ProfileUpdate(update));
        assert!(f.ben.send(&mut f.ann, f.link, &session, &update).0);
        f.ann.cut(f.link);
        let done = soon_after(&mut f.ann, trust("ben", Trust::Trusted));
        let dialled = format!("{:?}", dials(&done));
        assert!(dialled.contains("ben"), "{dialled}");
        assert!(!dialled.contains("thief"), "{dialled}");
    }
}

#[test]
fn nobody_but_a_holder_of_the_key_makes_a_fork() {
    for seed in seeds(1) {
        let mut f = Forked::before(seed);
        // in a session of her own, a contact shows an identity that is not hers
        let (mut eve, link) = Scripted::connected_to(&mut f.ann, "eve");
        let session = eve.start_session(&mut f.ann, link);
        let update = ProfileUpdate {
            rev: 1,
            identity: Some(f.other.identity().into()),
            ..ProfileUpdate::default()
        };
        let update = eve.content(&mut f.ann, Body::ProfileUpdate(update));
        assert!(eve.send(&mut f.ann, link, &session, &update).0);
        assert_eq!(f.ann.refused("profile-identity"), 1);
        // with another key under his name she is somebody else
        let posing = f.ann.somebody("ben");
        assert_eq!(f.ann.call(posing.identity()).1, Admission::Accept);
        for contact in ["ben", "eve"] {
            f.ann.command(send(contact, "hello")).unwrap();
        }
        assert_eq!(f.ann.refused("IDENTITY_FORK"), 0);
    }
}

#[test]
fn what_waits_for_a_withdrawn_identity_waits_for_nothing_and_why_says_so() {
    for seed in seeds(1) {
        let mut f = Forked::of(seed);
        let withdrawn = f.ben.identity.with_tombstone(f.ann.now().wall).unwrap();
        assert_eq!(f.ann.call(withdrawn.identity()).1, REFUSED);
        // also from the fork there is no way back
        f.ann.command(trust("ben", Trust::Trusted)).unwrap();
        let why = f.ann.why_last("ben");
        assert_eq!(why.waits, Some(Waits::Withdrawn));
        let examined = examine(&mut f.ann, None);
        let gone = check(&examined, "contact");
        assert_eq!(gone.outcome, Outcome::Warn);
        assert!(gone.remedy.as_ref().unwrap().contains("a new card"));
        assert!(why.waits_for.unwrap().contains("ask for a new card"));
        refuses(f.ann.command(send("ben", "hello?")), "withdrawn");
        for later in two_of(&mut f.ann, &f.ben.identity) {
            assert_eq!(f.ann.call(later.identity()).1, REFUSED);
        }
    }
}
