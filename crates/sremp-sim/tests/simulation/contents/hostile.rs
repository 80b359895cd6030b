//! A contact who does not keep to the rules: what it may not do changes nothing, is confirmed and
//! counted, and costs no room.

use std::time::Duration;

use sremp_client::{
    engine::Output,
    view::{Command, EventKind, MessageKind, MessageView, Reply},
};
use sremp_core::{
    channel::P2pMessage,
    id::{MsgId, SessionId},
    session::{
        content::{Body, Content, ProfileUpdate},
        prekey::{EnvelopeKey, PrekeyId},
    },
    time::UnixMillis,
};
use sremp_net::LinkId;
use sremp_sim::{Alone, Scripted, commands::send};

use super::{messages, sent};
use crate::{people::ben_and_scripted_ann, seeds};

/// Ben, and Ann, who writes what the test says.
struct Pair {
    ben: Alone,
    ann: Scripted,
    link: LinkId,
    session: SessionId,
}

/// The id of the author's content of this number, as [`Scripted`] gives them.
fn id(seq: u64) -> MsgId {
    let mut bytes = [0; MsgId::LEN];
    bytes[..8].copy_from_slice(&seq.to_le_bytes());
    MsgId::new(bytes)
}

impl Pair {
    fn new() -> Self {
        Self::seeded(1)
    }

    fn seeded(seed: u64) -> Self {
        let (mut ben, mut ann, link) = ben_and_scripted_ann(seed);
        let session = ann.start_session(&mut ben, link);
        Self {
            ben,
            ann,
            link,
            session,
        }
    }

    /// Makes a content, to be sent later.
    fn make(&mut self, body: Body) -> Vec<u8> {
        self.ann.content(&mut self.ben, body)
    }

    fn send(&mut self, content: &[u8]) {
        let (confirmed, _) = self
            .ann
            .send(&mut self.ben, self.link, &self.session, content);
        assert!(confirmed, "whatever it does, it is consumed");
    }

    fn says(&mut self, body: Body) {
        let content = self.make(body);
        self.send(&content);
    }

    fn text(&mut self, text: &str) {
        self.says(Body::Text(text.to_owned()));
    }

    fn edit(&mut self, msg_id: MsgId, text: &str) {
        let text = text.to_owned();
        self.says(Body::Edit { msg_id, text });
    }

    fn react(&mut self, msg_id: MsgId, reaction: &str) {
        let reaction = reaction.to_owned();
        self.says(Body::Reaction { msg_id, reaction });
    }

    /// Ben writes; the id.
    fn ben_says(&mut self, text: &str) -> MsgId {
        let reply = self.ben.command(send("ann", text)).unwrap();
        sent(reply).parse().unwrap()
    }

    fn messages(&mut self) -> Vec<MessageView> {
        messages(&mut self.ben, "ann")
    }

    /// Every line of the conversation.
    fn lines(&mut self) -> Vec<MessageView> {
        let command = Command::History {
            contact: "ann".to_owned(),
            before: None,
            limit: 100,
        };
        let Ok(Reply::Messages { messages }) = self.ben.command(command) else {
            panic!("no history");
        };
        messages
    }

    fn refused(&mut self, cause: &str) -> u64 {
        self.ben.refused(cause)
    }
}

#[test]
fn a_contact_changes_no_message_of_another() {
    let mut pair = Pair::new();
    let own = pair.ben_says("I owe nobody anything");
    pair.text("hers");
    pair.edit(own, "I owe Ann a hundred");
    pair.says(Body::Delete { msg_id: own });
    let seen = pair.messages();
    assert_eq!(seen[0].text, "I owe nobody anything");
    assert!(!seen[0].deleted && seen[0].edited_at.is_none());
    assert_eq!(pair.refused("change-of-anothers-message"), 2);
    // nor one of another conversation: there it does not exist
    let mut eve = Scripted::known_to(&mut pair.ben, "eve");
    let link = pair.ben.connect(eve.identity.identity());
    let session = eve.start_session(&mut pair.ben, link);
    for body in [
        Body::Edit {
            msg_id: id(1),
            text: "eve's".to_owned(),
        },
        Body::Delete { msg_id: id(1) },
        Body::Reaction {
            msg_id: id(1),
            reaction: "!".to_owned(),
        },
    ] {
        let content = eve.content(&mut pair.ben, body);
        assert!(eve.send(&mut pair.ben, link, &session, &content).0);
    }
    let seen = pair.messages();
    assert_eq!(seen[1].text, "hers");
    assert!(!seen[1].deleted && seen[1].reactions.is_empty());
}

#[test]
fn what_is_gone_or_not_understood_is_not_written_anew() {
    let mut pair = Pair::new();
    pair.text("taken back"); // 1
    pair.text("erased here"); // 2
    pair.says(Body::Delete { msg_id: id(1) });
    pair.ben
        .command(Command::Erase {
            msg_id: id(2).to_string(),
        })
        .unwrap();
    for target in [1, 2] {
        pair.edit(id(target), "back again");
        pair.react(id(target), "!");
        pair.says(Body::Delete { msg_id: id(target) });
    }
    let seen = pair.messages();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].deleted && seen[0].text.is_empty() && seen[0].reactions.is_empty());
    assert_eq!(pair.refused("change-of-what-is-gone"), 6);
    let mut unknown = pair.make(Body::Delete { msg_id: id(9) });
    let seq = pair.ben.history("ann").len();
    unknown[1] = 0x09; // a group's, of a newer version
    pair.send(&unknown);
    let placeholder = pair.messages().remove(1);
    assert!(
        placeholder.text.contains("newer version"),
        "{seq} {placeholder:?}"
    );
    let target = placeholder.msg_id.parse().unwrap();
    pair.edit(target, "not its author's words");
    assert_eq!(pair.messages()[1].text, placeholder.text);
    pair.says(Body::Delete { msg_id: target });
    assert!(pair.messages()[1].deleted);
}

#[test]
fn the_last_edit_by_its_authors_order_holds_whenever_it_comes() {
    let mut pair = Pair::new();
    pair.text("first"); // 1
    let edits: Vec<_> = ["second", "third", "fourth"]
        .map(|text| {
            let text = text.to_owned();
            pair.make(Body::Edit {
                msg_id: id(1),
                text,
            })
        })
        .into();
    for at in [1, 2, 0, 1] {
        // the last one comes twice, as after a session was renewed
        pair.send(&edits[at]);
    }
    assert_eq!(pair.messages()[0].text, "fourth");
    let told = pair.ben.events().into_iter().filter_map(|e| match e.event {
        EventKind::Edited { text, .. } => Some(text),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), ["fourth"]);
}

#[test]
fn the_last_reaction_by_its_authors_order_holds_whenever_it_comes() {
    let mut pair = Pair::new();
    pair.text("first"); // 1
    let reactions: Vec<_> = ["one", "two", ""]
        .map(|reaction| {
            let reaction = reaction.to_owned();
            pair.make(Body::Reaction {
                msg_id: id(1),
                reaction,
            })
        })
        .into();
    let shown = |pair: &mut Pair| -> Vec<String> {
        let reactions = pair.messages().remove(0).reactions.into_iter();
        reactions.map(|r| r.reaction).collect()
    };
    pair.send(&reactions[1]);
    pair.send(&reactions[0]);
    assert_eq!(shown(&mut pair), ["two"]);
    pair.send(&reactions[2]);
    pair.send(&reactions[1]);
    assert!(shown(&mut pair).is_empty(), "what was taken back stays so");
}

#[test]
fn a_change_that_comes_before_its_message_counts_when_that_comes() {
    let mut pair = Pair::new();
    pair.text("one"); // 1
    let [edited, deleted] = ["zwei", "drei"].map(|text| pair.make(Body::Text(text.to_owned())));
    let edit = pair.make(Body::Edit {
        msg_id: id(2),
        text: "two".to_owned(),
    });
    let reaction = pair.make(Body::Reaction {
        msg_id: id(2),
        reaction: "!".to_owned(),
    });
    let deletion = pair.make(Body::Delete { msg_id: id(3) });
    for content in [&edit, &reaction, &deletion, &deleted, &edited] {
        pair.send(content);
    }
    let seen = pair.messages();
    assert_eq!(seen.len(), 3);
    assert_eq!(
        (seen[1].text.as_str(), seen[1].edited_at.is_some()),
        ("two", true)
    );
    assert_eq!(seen[1].reactions[0].reaction, "!");
    assert!(seen[2].deleted && seen[2].text.is_empty());
    let gaps = pair.ben.history("ann");
    assert!(gaps.iter().all(|line| line.kind != MessageKind::Notice));
}

#[test]
fn of_changes_to_messages_that_never_came_the_newest_sixteen_are_kept() {
    let mut pair = Pair::new();
    pair.text("one"); // 1
    let texts: Vec<_> = (0..40)
        .map(|n| pair.make(Body::Text(format!("text {n}"))))
        .collect();
    for n in 0..40 {
        pair.edit(id(2 + n), "changed");
    }
    for text in &texts {
        pair.send(text);
    }
    let seen = pair.messages();
    let changed = seen.iter().filter(|line| line.text == "changed");
    assert_eq!(changed.count(), 16);
    assert_eq!(seen.len(), 41);
}

#[test]
fn edits_and_reactions_by_the_thousand_leave_one_text_and_one_event_each() {
    let mut pair = Pair::new();
    let own = pair.ben_says("ben's");
    pair.text("hers");
    let before = pair.ben.events().len();
    for n in 0..300 {
        pair.edit(id(1), &format!("edit {n}"));
        pair.react(own, &format!("r{n}"));
        pair.react(id(1), if n % 2 == 0 { "" } else { "x" });
        pair.ben.pass(Duration::from_secs(1));
    }
    let seen = pair.messages();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].text, "edit 299");
    assert_eq!(seen[0].reactions.len(), 1);
    assert_eq!(seen[0].reactions[0].reaction, "r299");
    assert_eq!(seen[1].reactions.len(), 1);
    assert_eq!(pair.ben.events().len(), before + 3);
}

#[test]
fn what_a_contact_reacts_with_is_cleaned_like_all_it_writes() {
    let mut pair = Pair::new();
    pair.text("hers");
    pair.react(id(1), "a\u{1b}[2J\nb\u{202e}");
    let shown = pair.messages()[0].reactions[0].reaction.clone();
    assert!(
        !shown.contains(|c: char| c.is_control() || c == '\u{202e}'),
        "{shown:?}"
    );
    pair.edit(id(1), "x\u{1b}[2Jy\u{202e}");
    let shown = pair.messages()[0].text.clone();
    assert!(
        !shown.contains(|c: char| c.is_control() || c == '\u{202e}'),
        "{shown:?}"
    );
}

#[test]
fn a_reply_to_what_is_not_known_is_shown_as_a_text() {
    let mut pair = Pair::new();
    pair.says(Body::Reply {
        msg_id: id(77),
        text: "to nothing".to_owned(),
    });
    let seen = pair.messages().remove(0);
    assert_eq!(seen.text, "to nothing");
    assert_eq!(
        (seen.reply_to, seen.quote),
        (Some(id(77).to_string()), None)
    );
}

#[test]
fn a_stranger_may_change_nothing_before_it_is_accepted() {
    let mut ben = Alone::new("ben");
    let mut eve = Scripted::unknown_to(&mut ben, "eve");
    let link = ben.connect(eve.identity.identity());
    let session = eve.start_session(&mut ben, link);
    let request = eve.request_to(&mut ben, "may I?");
    eve.send(&mut ben, link, &session, &request);
    for body in [
        Body::Edit {
            msg_id: id(1),
            text: "you must".to_owned(),
        },
        Body::Reaction {
            msg_id: id(1),
            reaction: "!".to_owned(),
        },
    ] {
        let content = eve.content(&mut ben, body);
        assert!(!eve.send(&mut ben, link, &session, &content).0);
    }
    let timer = eve.content(&mut ben, Body::Timer { seconds: 30 });
    assert!(!eve.send(&mut ben, link, &session, &timer).0);
    let requests = Command::Contacts {
        requests: true,
        declined: false,
    };
    let Ok(Reply::Contacts { contacts }) = ben.command(requests) else {
        panic!("no requests");
    };
    assert_eq!(contacts[0].request_text.as_deref(), Some("may I?"));
    assert_eq!(contacts[0].timer, None);
    assert_eq!(ben.status().refused["request-pending"], 3);
}

#[test]
fn a_stranger_cannot_begin_with_any_of_these() {
    for body in [
        Body::Edit {
            msg_id: id(1),
            text: "x".to_owned(),
        },
        Body::Delete { msg_id: id(1) },
        Body::Reply {
            msg_id: id(1),
            text: "x".to_owned(),
        },
        Body::Reaction {
            msg_id: id(1),
            reaction: "x".to_owned(),
        },
        Body::Timer { seconds: 30 },
    ] {
        let mut ben = Alone::new("ben");
        let mut eve = Scripted::unknown_to(&mut ben, "eve");
        let link = ben.connect(eve.identity.identity());
        let session = eve.start_session(&mut ben, link);
        let content = eve.content(&mut ben, body);
        assert!(!eve.send(&mut ben, link, &session, &content).0);
        assert_eq!(ben.status().requests, 0);
        assert_eq!(ben.status().refused["stranger-without-request"], 1);
    }
}

impl Pair {
    /// A profile with another key to which envelopes are to be sealed, made at that time.
    fn profile(&mut self, rev: u64, made: UnixMillis) -> Body {
        let id = PrekeyId::new(u32::try_from(rev).unwrap()).unwrap();
        let key = EnvelopeKey::generate(&self.ann.identity, id, made, &mut self.ben.rng);
        Body::ProfileUpdate(ProfileUpdate {
            rev,
            env: Some(*key.public_part().as_wire()),
            ..ProfileUpdate::default()
        })
    }
}

/// Envelopes that go out to the contact.
fn envelopes<'a>(done: impl IntoIterator<Item = &'a Output>) -> usize {
    let envelope = |output: &&Output| match output {
        Output::Send { message, .. } => {
            matches!(P2pMessage::decode(message), Ok(P2pMessage::Envelope(_)))
        }
        _ => false,
    };
    done.into_iter().filter(envelope).count()
}

#[test]
fn whoever_changes_the_key_with_each_message_is_sent_what_waits_four_times_a_minute() {
    let mut pair = Pair::new();
    pair.text("hello");
    pair.ben.pass(Duration::from_secs(70));
    for n in 0..5 {
        pair.ben.command(send("ann", &format!("b{n}"))).unwrap();
    }
    let mut sent = Vec::new();
    for rev in 2..30 {
        let now = pair.ben.now().wall;
        let profile = pair.profile(rev, now);
        let content = pair.make(profile);
        let (_, done) = pair
            .ann
            .send(&mut pair.ben, pair.link, &pair.session, &content);
        sent.push(envelopes(&done));
    }
    // everything to the first key, and then to four more
    let all = sent[0];
    assert!(all >= 5, "{sent:?}");
    assert_eq!(sent.iter().sum::<usize>(), 5 * all, "{sent:?}");
    // and to the last one when the minute is over
    let later = pair.ben.pass(Duration::from_secs(61));
    assert!(envelopes(later.iter().map(|(_, output)| output)) >= all);
}

#[test]
fn a_key_that_is_over_when_it_comes_is_none() {
    let mut pair = Pair::new();
    pair.text("hello");
    let now = pair.ben.now().wall;
    let long_ago = now.minus(Duration::from_secs(90 * 24 * 3600));
    for (rev, made) in [(2, now), (3, long_ago)] {
        let profile = pair.profile(rev, made);
        pair.says(profile);
    }
    let (reply, done) = pair.ben.command_and_more(send("ann", "are you there?"));
    reply.unwrap();
    assert_eq!(envelopes(&done), 1);
}

#[test]
fn a_text_under_the_id_of_a_line_for_what_is_missing_is_not_taken_away_with_it() {
    let mut pair = Pair::new();
    pair.text("first");
    let late = pair.make(Body::Text("late".to_owned()));
    pair.text("third");
    let lines = pair.lines();
    let gap = lines.iter().find(|line| line.kind == MessageKind::Notice);
    let gap = gap.expect("a line for what is missing").msg_id.parse();
    let bytes = pair.make(Body::Text("under the id of the gap".to_owned()));
    let mut content = Content::decode_exact(&bytes).unwrap();
    content.msg_id = gap.expect("an id");
    pair.send(&content.encode().unwrap());
    pair.send(&late);
    let lines = pair.lines();
    let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["first", "late", "third", "under the id of the gap"]);
}

/// A line as a test compares it: who wrote it, its text, whether it is told to be late.
fn as_shown(line: &MessageView) -> (MessageKind, &str, bool) {
    (line.kind, &line.text, line.late)
}

#[test]
fn whoever_gives_a_number_twice_writes_nothing_before_an_answer() {
    for seed in seeds(1) {
        let mut pair = Pair::seeded(seed);
        let asked = pair.make(Body::Text("Shall we have coffee?".into()));
        pair.send(&asked);
        pair.ben_says("Yes, agreed.");
        pair.text("fine weather");
        let other = pair.make(Body::Text("Do you owe me 100?".into()));
        let mut other = Content::decode_exact(&other).unwrap();
        other.seq = Content::decode_exact(&asked).unwrap().seq;
        pair.send(&other.encode().unwrap());
        // the same again, as it may come under another session, is nothing new
        pair.send(&other.encode().unwrap());
        let lines = pair.lines();
        let shown: Vec<_> = lines.iter().map(as_shown).collect();
        assert_eq!(
            shown[shown.len() - 5..],
            [
                (MessageKind::Received, "Shall we have coffee?", false),
                (MessageKind::Sent, "Yes, agreed.", false),
                (MessageKind::Received, "fine weather", false),
                (
                    MessageKind::Notice,
                    "[the next message bears the number of one that came before]",
                    false
                ),
                (MessageKind::Received, "Do you owe me 100?", false),
            ]
        );
    }
}

#[test]
fn what_comes_above_others_in_its_senders_order_says_so() {
    for seed in seeds(1) {
        let mut pair = Pair::seeded(seed);
        let first = pair.make(Body::Text("first".into()));
        let second = pair.make(Body::Text("second".into()));
        let third = pair.make(Body::Text("third".into()));
        pair.send(&first);
        pair.send(&third);
        pair.ben_says("an answer");
        pair.send(&second);
        let lines = pair.lines();
        let messages = lines.iter().filter(|l| l.kind != MessageKind::Notice);
        let shown: Vec<_> = messages.map(as_shown).collect();
        assert_eq!(
            shown,
            [
                (MessageKind::Received, "first", false),
                (MessageKind::Received, "second", true),
                (MessageKind::Received, "third", false),
                (MessageKind::Sent, "an answer", false),
            ]
        );
        let told: Vec<_> = pair
            .ben
            .events()
            .into_iter()
            .filter_map(|e| match e.event {
                EventKind::Message { text, late, .. } => Some((text, late)),
                _ => None,
            })
            .collect();
        let told: Vec<_> = told
            .iter()
            .map(|(text, late)| (text.as_str(), *late))
            .collect();
        assert_eq!(told, [("first", false), ("third", false), ("second", true)]);
    }
}

#[test]
fn a_message_under_the_id_of_ones_own_takes_nothing_from_that() {
    let mut pair = Pair::new();
    let own = pair.ben_says("mine");
    let mut content = Content::decode_exact(&pair.make(Body::Text("hers".into()))).unwrap();
    content.msg_id = own;
    pair.send(&content.encode().unwrap());
    pair.edit(own, "changed");
    pair.says(Body::Delete { msg_id: own });
    let lines = pair.lines();
    assert!(lines.iter().all(|line| line.text != "hers"));
    let told = "[a message that bears the id of one of yours is not shown]";
    assert!(lines.iter().any(|line| line.text == told), "{lines:?}");
    let seen = pair.messages();
    assert_eq!([(&*seen[0].text, seen[0].deleted)], [("mine", false)]);
    // what names it means one's own
    let edit = super::edit(&own.to_string(), "ben's own");
    pair.ben.command(edit).unwrap();
    assert_eq!(pair.messages()[0].text, "ben's own");
    pair.ben
        .command(Command::Erase {
            msg_id: own.to_string(),
        })
        .unwrap();
    pair.send(&content.encode().unwrap());
    assert!(
        pair.lines().iter().all(|line| line.text != "hers"),
        "also when it is erased"
    );
}
