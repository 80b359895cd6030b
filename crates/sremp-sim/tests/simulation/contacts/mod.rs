//! Contacts under attack: forks, requests without end, names that deceive, numbers that differ, words
//! taken back, and confirmations of what was never sent.

mod confirmations;
mod forks;
mod names;
mod old_identities;
mod requests;
mod verifying;

use std::time::Duration;

use sremp_client::{
    engine::Output,
    view::{Command, CommandError, ErrorKind, Reply},
};
use sremp_core::{
    channel::{Admission, P2pMessage},
    error::ErrorCode,
    id::EnvelopeId,
    identity::SecretIdentity,
    key::NoiseSecret,
    session::{
        content::{Body, ProfileUpdate},
        prekey::{EnvelopeKey, PrekeyId},
    },
};
use sremp_net::LinkId;
use sremp_sim::{Alone, Scripted, commands::send};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const REFUSED: Admission = Admission::Close(ErrorCode::Refused);
/// Requests that wait, those apart whom the user or a relay says to be invited.
const PENDING: usize = 100;

/// A refusal that concerns a contact and says this.
#[track_caller]
fn refuses(answer: Result<Reply, CommandError>, words: &str) {
    let error = answer.expect_err("a refusal");
    assert_eq!(error.kind, ErrorKind::Contact, "{error}");
    assert!(error.message.contains(words), "{words} in: {error}");
}

fn shows(client: &mut Alone, contact: &str, text: &str) -> bool {
    let lines = client.history(contact);
    lines.iter().any(|line| line.text == text)
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

/// The same key with two different identities of the next version.
fn two_of(client: &mut Alone, identity: &SecretIdentity) -> [SecretIdentity; 2] {
    let now = client.now().wall;
    [(); 2].map(|()| {
        let key = NoiseSecret::generate(&mut client.rng);
        identity.with_noise_key(key, now).expect("a next version")
    })
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
            rev: 1,
            env: Some(*env.public_part().as_wire()),
            ..ProfileUpdate::default()
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
