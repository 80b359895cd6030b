//! Contacts under attack: forks, requests without end, names that deceive, numbers that differ, words
//! taken back, and confirmations of what was never sent.

use std::time::Duration;

use sremp_client::{
    engine::{Input, Output},
    store::{NewContact, StoreError},
    view::{
        Command, CommandError, ContactView, ErrorKind, EventKind, MessageView, Outcome, Reply,
        Standing, Status, Trust, Wait, Waits, WhyView,
    },
};
use sremp_core::{
    channel::{Admission, P2pMessage, Service},
    contact_card::{CardContent, ContactCard},
    error::ErrorCode,
    id::EnvelopeId,
    identity::{SecretIdentity, VerifiedVia},
    key::NoiseSecret,
    safety_number::SafetyNumber,
    session::{
        content::{Body, ProfileUpdate, ResetReason},
        prekey::{EnvelopeKey, PrekeyId},
    },
};
use sremp_net::{CloseReason, LinkId};
use sremp_sim::{Alone, Scripted, World, dials};

use super::doctor::{check, examine};
use crate::seeds;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const REFUSED: Admission = Admission::Close(ErrorCode::Refused);
/// Requests that wait, those apart whom the user or a relay says to be invited.
const PENDING: usize = 100;

fn send(contact: &str, text: &str) -> Command {
    Command::Send {
        contact: contact.to_owned(),
        text: text.to_owned(),
        reply_to: None,
        key: None,
        wait: Wait::Outbox,
        timeout_ms: 0,
    }
}

fn trust(contact: &str, trust: Trust) -> Command {
    Command::SetTrust {
        contact: contact.to_owned(),
        trust,
    }
}

fn verify(contact: &str, number: Option<String>) -> Command {
    Command::Verify {
        contact: contact.to_owned(),
        number,
    }
}

fn add(who: &str, alias: Option<&str>) -> Command {
    Command::Add {
        who: who.to_owned(),
        alias: alias.map(str::to_owned),
        despite_confusable: false,
    }
}

/// A refusal that concerns a contact and says this.
#[track_caller]
fn refuses(answer: Result<Reply, CommandError>, words: &str) {
    let error = answer.expect_err("a refusal");
    assert_eq!(error.kind, ErrorKind::Contact, "{error}");
    assert!(error.message.contains(words), "{words} in: {error}");
}

fn contacts(client: &mut Alone, requests: bool) -> Vec<ContactView> {
    match client.command(Command::Contacts { requests }) {
        Ok(Reply::Contacts { contacts }) => contacts,
        other => panic!("{other:?}"),
    }
}

fn history(client: &mut Alone, contact: &str) -> Vec<MessageView> {
    let history = Command::History {
        contact: contact.to_owned(),
        before: None,
        limit: 1_000,
    };
    match client.command(history) {
        Ok(Reply::Messages { messages }) => messages,
        other => panic!("{other:?}"),
    }
}

fn shows(client: &mut Alone, contact: &str, text: &str) -> bool {
    let lines = history(client, contact);
    lines.iter().any(|line| line.text == text)
}

fn refused(client: &mut Alone, cause: &str) -> u64 {
    client.status().refused.get(cause).copied().unwrap_or(0)
}

/// Why the last message to this contact waits.
fn why(client: &mut Alone, contact: &str) -> WhyView {
    let lines = history(client, contact);
    let line = lines.iter().rfind(|line| line.status.is_some());
    let msg_id = line.expect("a message of one's own").msg_id.clone();
    match client.command(Command::Why { msg_id }) {
        Ok(Reply::Why(view)) => view,
        other => panic!("{other:?}"),
    }
}

fn envelopes(done: &[Output]) -> Vec<(LinkId, u32, EnvelopeId)> {
    let envelope = |output: &Output| match output {
        Output::Send { link, message } => match P2pMessage::decode(message) {
            Ok(P2pMessage::Envelope(bytes)) => {
                Some((*link, message.req_id, EnvelopeId::of(&bytes)))
            }
            _ => None,
        },
        _ => None,
    };
    done.iter().filter_map(envelope).collect()
}

/// What is done for a command within a minute.
fn soon_after(client: &mut Alone, command: Command) -> Vec<Output> {
    let (reply, mut done) = client.command_and_more(command);
    reply.unwrap();
    done.extend(client.pass(MINUTE).into_iter().map(|(_, output)| output));
    done
}

fn close(client: &mut Alone, link: LinkId) -> Vec<Output> {
    client.give(Input::Closed {
        service: Service::P2p,
        link,
        dialled: None,
        reason: CloseReason::Truncated,
    })
}

/// The same key with two different identities of the next version.
fn two_of(client: &mut Alone, identity: &SecretIdentity) -> [SecretIdentity; 2] {
    let now = client.now().wall;
    [(); 2].map(|()| {
        let key = NoiseSecret::generate(&mut client.rng);
        identity.with_noise_key(key, now).expect("a next version")
    })
}

fn says_nothing(rev: u64) -> ProfileUpdate {
    ProfileUpdate {
        rev,
        identity: None,
        relay_hints: None,
        env: None,
        endpoints: None,
    }
}

/// Ann, with Ben as a contact who has written; somebody else holds his key too.
struct Forked {
    ann: Alone,
    ben: Scripted,
    other: SecretIdentity,
    link: LinkId,
}

impl Forked {
    /// Before the other one shows itself.
    fn before(seed: u64) -> Self {
        let mut ann = Alone::seeded("ann", seed);
        let mut ben = Scripted::known_to(&mut ann, "ben");
        let [first, other] = two_of(&mut ann, &ben.identity);
        ben.identity = first;
        let link = ann.connect(ben.identity.identity());
        let session = ben.start_session(&mut ann, link);
        // with the key to which answers are sealed
        let now = ann.now().wall;
        let id = PrekeyId::new(1).expect("a key id");
        let env = EnvelopeKey::generate(&ben.identity, id, now, &mut ann.rng);
        let hello = ProfileUpdate {
            env: Some(*env.public_part().as_wire()),
            ..says_nothing(1)
        };
        let hello = ben.content(&mut ann, Body::ProfileUpdate(hello));
        let (confirmed, done) = ben.send(&mut ann, link, &session, &hello);
        assert!(confirmed && !envelopes(&done).is_empty(), "both can write");
        Self {
            ann,
            ben,
            other,
            link,
        }
    }

    fn of(seed: u64) -> Self {
        let mut forked = Self::before(seed);
        forked.ann.command(send("ben", "on its way")).unwrap();
        let (_, admission) = forked.ann.call(forked.other.identity());
        assert_eq!(admission, REFUSED, "the one that was known stays");
        forked
    }
}

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
        let mut done = close(&mut f.ann, f.link);
        done.extend(f.ann.pass(DAY).into_iter().map(|(_, output)| output));
        f.ann.restart();
        done.extend(f.ann.pass(DAY).into_iter().map(|(_, output)| output));
        assert_eq!(dials(&done).len(), 0, "seed {seed}");
        let (link, admission) = f.ann.call(f.ben.identity.identity());
        assert_eq!(admission, Admission::Accept, "seed {seed}");
        let mut done = f.ann.open(link, f.ben.identity.identity());
        done.extend(f.ann.pass(MINUTE).into_iter().map(|(_, output)| output));
        assert_eq!(envelopes(&done).len(), 0, "seed {seed}");
        close(&mut f.ann, link);
        assert!(f.ann.status().queued > 0, "what was written is kept");
        let why = why(&mut f.ann, "ben");
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
        assert_eq!(refused(&mut f.ann, "IDENTITY_FORK"), 21);
        let now = f.ann.now();
        let events = f.ann.node.events(now, &mut f.ann.rng);
        let told = events.iter().filter(|e| match &e.event {
            EventKind::Notice { text, .. } => text.contains("two different identities"),
            _ => false,
        });
        assert_eq!(told.count(), 1);
        let warnings = &contacts(&mut f.ann, false)[0].warnings;
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
            close(&mut f.ann, f.link);
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
            endpoints: Some(vec!["thief.example:4000".parse().unwrap()]),
            ..says_nothing(1_000)
        };
        let update = f.ben.content(&mut f.ann, Body::ProfileUpdate(update));
        assert!(f.ben.send(&mut f.ann, f.link, &session, &update).0);
        close(&mut f.ann, f.link);
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
        let mut eve = Scripted::known_to(&mut f.ann, "eve");
        let link = f.ann.connect(eve.identity.identity());
        let session = eve.start_session(&mut f.ann, link);
        let update = ProfileUpdate {
            identity: Some(f.other.identity().into()),
            ..says_nothing(1)
        };
        let update = eve.content(&mut f.ann, Body::ProfileUpdate(update));
        assert!(eve.send(&mut f.ann, link, &session, &update).0);
        assert_eq!(refused(&mut f.ann, "profile-identity"), 1);
        // with another key under his name she is somebody else
        let posing = f.ann.somebody("ben");
        assert_eq!(f.ann.call(posing.identity()).1, Admission::Accept);
        for contact in ["ben", "eve"] {
            f.ann.command(send(contact, "hello")).unwrap();
        }
        assert_eq!(refused(&mut f.ann, "IDENTITY_FORK"), 0);
    }
}

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
    let lines = history(client, contact);
    let now = client.now();
    let events = client.node.events(now, &mut client.rng);
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
            let before = refused(&mut f.ann, "STALE_IDENTITY");
            for n in 0..1_000 {
                let shown = [&first, &older][n % 2];
                assert_eq!(f.ann.call(shown).1, stale);
            }
            assert_eq!(told_of_rollbacks(&mut f.ann, "ben"), [told; 2]);
            assert_eq!(refused(&mut f.ann, "STALE_IDENTITY"), before + 1_000);
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
                identity: Some((&old).into()),
                ..says_nothing(rev)
            };
            let update = f.ben.content(&mut f.ann, Body::ProfileUpdate(update));
            assert!(f.ben.send(&mut f.ann, link, &session, &update).0);
            assert_eq!(told_of_rollbacks(&mut f.ann, "ben"), [told; 2], "rev {rev}");
        }
        assert_eq!(refused(&mut f.ann, "STALE_IDENTITY"), 2);
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
        assert_eq!(refused(&mut f.ann, "STALE_IDENTITY"), 1);
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
        let why = why(&mut f.ann, "ben");
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

/// Eve, unknown to Ben, has asked to be a contact.
fn asked(ben: &mut Alone, name: &str) -> (Scripted, LinkId) {
    let mut eve = Scripted::unknown_to(ben, name);
    let link = ben.connect(eve.identity.identity());
    ask(ben, &mut eve, link);
    (eve, link)
}

fn ask(ben: &mut Alone, eve: &mut Scripted, link: LinkId) {
    let session = eve.start_session(ben, link);
    let request = eve.request_to(ben, "may I?");
    eve.send(ben, link, &session, &request);
}

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
            let text = eve.content(&mut ben, Body::Text("thank you".to_owned()));
            assert!(eve.send(&mut ben, link, &session, &text).0);
            assert!(shows(&mut ben, "eve", "may I?"));
            assert!(shows(&mut ben, "eve", "thank you"));
            assert_eq!(contacts(&mut ben, false)[0].standing, Standing::Accepted);
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
        let text = ann.content(&mut ben, Body::Text("again".to_owned()));
        assert!(ann.send(&mut ben, link, &session, &text).0);
        assert!(shows(&mut ben, "ann", "again"));
    }
}

/// So many strangers have asked already.
fn with_requests(client: &mut Alone, count: usize) {
    let keys: Vec<_> = (0..count).map(|_| client.somebody("s").id()).collect();
    let first_seen = client.now().wall;
    let inserted = client.node.store.transaction(|tx| {
        for key in keys {
            tx.insert_contact(&NewContact {
                key,
                alias: None,
                standing: Standing::Request,
                first_seen,
            })?;
        }
        Ok::<_, StoreError>(())
    });
    inserted.unwrap();
}

#[test]
fn the_request_after_the_hundredth_leaves_nothing_behind() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        with_requests(&mut ben, PENDING - 1);
        // both are let in while there is room for one
        let mut late = Scripted::unknown_to(&mut ben, "late");
        let late_link = ben.connect(late.identity.identity());
        asked(&mut ben, "early");
        assert_eq!(ben.status().requests, PENDING as u64);
        let before = ben.status().last_event;
        ask(&mut ben, &mut late, late_link);
        assert_eq!(refused(&mut ben, "requests-full"), 1);
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
        let mut strangers = Alone::seeded("strangers", seed);
        world.run(60_000);
        let mut keys = (0..2 * PENDING - 1).map(|_| strangers.somebody("s").id());
        let first_seen = world.now().wall;
        let inserted = world.node(ben).store.transaction(|tx| {
            for key in keys.by_ref() {
                tx.insert_contact(&NewContact {
                    key,
                    alias: None,
                    standing: Standing::Request,
                    first_seen,
                })?;
            }
            Ok::<_, StoreError>(())
        });
        inserted.unwrap();
        for (name, requests) in [("ann", 2 * PENDING), ("eve", 2 * PENDING)] {
            let Reply::Invite(invite) = world.command(ben, Command::Invite { expires: None })
            else {
                panic!("no invite");
            };
            let guest = world.join_far(name, &[relay]);
            world.run(60_000);
            world.command(guest, add(&invite.card, Some("ben")));
            world.send(guest, "ben", "you invited me");
            world.run(5 * 60_000);
            let Reply::Status(status) = world.command(ben, Command::Status) else {
                panic!("no status");
            };
            assert_eq!(status.requests, requests as u64, "seed {seed}, {name}");
            let full = status.refused.get("requests-full").copied().unwrap_or(0);
            assert_eq!(full > 0, name == "eve", "seed {seed}, {name}");
        }
    }
}

#[test]
fn a_request_under_a_name_like_a_contacts_is_told_and_not_taken_by_that_name() {
    for seed in seeds(1) {
        // Cyrillic against Latin
        for decide in [add("раypal", None), trust("раypal", Trust::Trusted)] {
            let mut ben = Alone::seeded("ben", seed);
            Scripted::known_to(&mut ben, "paypal");
            asked(&mut ben, "раypal");
            let warnings = &contacts(&mut ben, true)[0].warnings;
            assert!(warnings[0].contains("whose key is another"), "{warnings:?}");
            refuses(ben.command(decide), "looks like that of your contact");
            assert_eq!(ben.status().requests, 1, "it waits as before");
            ben.command(add("раypal", Some("the other one"))).unwrap();
            assert_eq!(contacts(&mut ben, false)[1].alias, "the other one");
        }
    }
}

fn card_of(identity: &SecretIdentity) -> String {
    let content = CardContent {
        username: Some(identity.identity().username().clone()),
        endpoints: vec!["away.example:4000".parse().unwrap()],
        dial: true,
        ..CardContent::default()
    };
    ContactCard::issue(identity, content).unwrap().to_uri()
}

#[test]
fn nobody_adds_themselves_nor_by_a_card_whom_they_have_rejected() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        let Ok(Reply::Id(own)) = ben.command(Command::Id) else {
            panic!("no id");
        };
        for who in [own.card, own.id] {
            let error = ben.command(add(&who, None)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Card, "{error}");
            assert!(error.message.contains("your own"), "{error}");
        }
        assert!(contacts(&mut ben, false).is_empty());
        let ann = Scripted::known_to(&mut ben, "ann");
        ben.command(trust("ann", Trust::Rejected)).unwrap();
        let again = ben.command(add(&card_of(&ann.identity), None));
        let error = again.unwrap_err();
        assert!(error.message.contains("you have rejected"), "{error}");
        assert_eq!(contacts(&mut ben, false)[0].trust, Trust::Rejected);
    }
}

#[test]
fn a_card_under_a_name_like_a_contacts_is_taken_at_the_users_word_and_not_by_that_name() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        Scripted::known_to(&mut ben, "paypal");
        let other = ben.somebody("раypal");
        let who = card_of(&other);
        refuses(
            ben.command(add(&who, None)),
            "looks like that of your contact",
        );
        let despite = Command::Add {
            who,
            alias: None,
            despite_confusable: true,
        };
        ben.command(despite).unwrap();
        let names: Vec<String> = contacts(&mut ben, false)
            .into_iter()
            .map(|c| c.alias)
            .collect();
        assert_eq!(names.len(), 2);
        assert!(!names.contains(&"раypal".to_owned()), "{names:?}");
    }
}

#[test]
fn an_alias_has_forty_characters_at_most_and_an_id_needs_somebody_to_ask() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        let ann = ben.somebody("ann");
        let long = ben.command(add(&card_of(&ann), Some(&"x".repeat(41))));
        assert_eq!(long.unwrap_err().kind, ErrorKind::Usage);
        ben.command(add(&card_of(&ann), Some(&"x".repeat(40))))
            .unwrap();
        let cleo = ben.somebody("cleo").id().to_string();
        let error = ben.command(add(&cleo, None)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Usage, "{error}");
        assert!(error.message.contains("an id alone"), "{error}");
    }
}

#[test]
fn who_was_verified_by_a_scan_is_remembered_as_that() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        let ann = Scripted::known_to(&mut ben, "ann").identity.id();
        let shown = SafetyNumber::of(&ann, &ben.node.id()).to_qr_text();
        ben.command(verify("ann", Some(shown))).unwrap();
        assert_eq!(contacts(&mut ben, false)[0].verified_via, VerifiedVia::Qr);
    }
}

#[test]
fn a_number_that_differs_or_is_none_changes_nothing() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        Scripted::known_to(&mut ben, "ann");
        let Ok(Reply::Verify(shown)) = ben.command(verify("ann", None)) else {
            panic!("no number");
        };
        assert_eq!((shown.matches, shown.trust), (None, Trust::Unknown));
        let mut wrong = shown.safety_number.clone();
        let last = wrong.pop().unwrap();
        wrong.push(if last == '0' { '1' } else { '0' });
        let Ok(Reply::Verify(view)) = ben.command(verify("ann", Some(wrong))) else {
            panic!("no comparison");
        };
        assert_eq!((view.matches, view.trust), (Some(false), Trust::Unknown));
        let slip = ben.command(verify("ann", Some("12345".to_owned())));
        assert_eq!(slip.unwrap_err().kind, ErrorKind::Usage);
        let contact = &contacts(&mut ben, false)[0];
        assert_eq!(contact.trust, Trust::Unknown);
        assert_eq!(contact.verified_via, VerifiedVia::None);
        assert!(contact.trusted_at.is_none());
        let right = Some(shown.safety_number);
        ben.command(verify("ann", right.clone())).unwrap();
        let contact = &contacts(&mut ben, false)[0];
        assert_eq!(contact.verified_via, VerifiedVia::Number);
        // the user's plain word does not unmake it, and a number does not undo a rejection
        ben.command(trust("ann", Trust::Trusted)).unwrap();
        assert_eq!(
            contacts(&mut ben, false)[0].verified_via,
            VerifiedVia::Number
        );
        ben.command(trust("ann", Trust::Rejected)).unwrap();
        ben.command(verify("ann", right)).unwrap();
        assert_eq!(contacts(&mut ben, false)[0].trust, Trust::Rejected);
    }
}

#[test]
fn a_reset_of_a_verified_contact_is_shown_and_leaves_the_trust() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        let mut ann = Scripted::known_to(&mut ben, "ann");
        let Ok(Reply::Verify(shown)) = ben.command(verify("ann", None)) else {
            panic!("no number");
        };
        ben.command(verify("ann", Some(shown.safety_number)))
            .unwrap();
        let link = ben.connect(ann.identity.identity());
        let session = ann.start_session(&mut ben, link);
        let reset = Body::Reset {
            reason: ResetReason::DESYNC,
            last_seq: 0,
        };
        let reset = ann.content(&mut ben, reset);
        assert!(ann.send(&mut ben, link, &session, &reset).0);
        let now = ben.now();
        let events = ben.node.events(now, &mut ben.rng);
        let told = events.iter().any(|e| {
        matches!(&e.event, EventKind::Notice { text, .. } if text.starts_with("[session renewed"))
    });
        assert!(told);
        let contact = &contacts(&mut ben, false)[0];
        assert_eq!(contact.trust, Trust::Trusted);
        assert_eq!(contact.verified_via, VerifiedVia::Number);
    }
}

#[test]
fn a_contact_confirms_only_what_was_sent_to_itself() {
    for seed in seeds(1) {
        let mut f = Forked::before(seed);
        let mut eve = Scripted::known_to(&mut f.ann, "eve");
        let eve_link = f.ann.connect(eve.identity.identity());
        let session = eve.start_session(&mut f.ann, eve_link);
        let hello = eve.content(&mut f.ann, Body::Text("hello".to_owned()));
        assert!(eve.send(&mut f.ann, eve_link, &session, &hello).0);
        let (_, done) = f.ann.command_and_more(send("ben", "for ben"));
        let sent = envelopes(&done);
        let (link, req_id, id) = *sent.last().expect("an envelope to ben");
        assert_eq!(link, f.link);
        let status = |ann: &mut Alone| {
            let lines = history(ann, "ben");
            let line = lines.iter().rfind(|line| line.status.is_some());
            line.and_then(|line| line.status)
        };
        let lies = [
            (eve_link, id),
            (f.link, EnvelopeId::of(b"never sent")),
            (eve_link, EnvelopeId::of(b"never sent")),
        ];
        for (link, id) in lies {
            for req_id in [req_id, 0, u32::MAX] {
                let lie = P2pMessage::EnvelopeOk(id).to_message(req_id);
                f.ann.hear(link, lie);
                assert_eq!(status(&mut f.ann), Some(Status::Queued));
            }
        }
        let truth = P2pMessage::EnvelopeOk(id).to_message(req_id);
        f.ann.hear(f.link, truth);
        assert_eq!(status(&mut f.ann), Some(Status::OnDevice));
    }
}
