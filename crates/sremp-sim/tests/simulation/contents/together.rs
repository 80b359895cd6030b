//! Two people who keep to the rules: both see the same, whatever dies on the way.

use sremp_client::view::{
    Action, Command, ErrorKind, EventKind, MessageKind, MessageView, ReactionView, Reply, Status,
    Wait, WhyStep,
};
use sremp_sim::{Faults, World, commands::add};

use super::{delete, edit, react, reply, say, sent};
use crate::{HOUR, SECOND, people::ann_and_ben, seeds};

/// What a person sees of a message, apart from who it is and when it came.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    msg_id: String,
    text: String,
    edited: bool,
    deleted: bool,
    reply_to: Option<String>,
    quote: Option<String>,
    /// Of the message's author, then of the other.
    reactions: [Option<String>; 2],
}

fn seen(line: &MessageView) -> Seen {
    let mine = line.kind == MessageKind::Sent;
    let of = |author: bool| {
        let whose = |r: &&ReactionView| r.own == (author == mine);
        let found = line.reactions.iter().find(whose);
        found.map(|r| r.reaction.clone())
    };
    Seen {
        msg_id: line.msg_id.clone(),
        text: line.text.clone(),
        edited: line.edited_at.is_some(),
        deleted: line.deleted,
        reply_to: line.reply_to.clone(),
        quote: line.quote.clone(),
        reactions: [of(true), of(false)],
    }
}

/// The messages of one of the two, in the order of ids: each has the own order.
fn all_seen(world: &mut World, node: usize, contact: &str) -> Vec<Seen> {
    let lines = world.history(node, contact);
    let messages = lines.iter().filter(|l| l.kind != MessageKind::Notice);
    let mut all: Vec<Seen> = messages.map(seen).collect();
    all.sort_by(|a, b| a.msg_id.cmp(&b.msg_id));
    all
}

fn line(world: &mut World, node: usize, contact: &str, msg_id: &str) -> MessageView {
    let lines = world.history(node, contact);
    let found = lines.into_iter().find(|line| line.msg_id == msg_id);
    found.unwrap_or_else(|| panic!("no message {msg_id}"))
}

#[test]
fn an_edit_replaces_the_text_on_both_sides_and_in_the_search() {
    let mut world = ann_and_ben(1);
    let id = say(&mut world, 0, "ben", "see you at zanzibar");
    world.run(10 * SECOND);
    world.command(0, edit(&id, "see you at harbour"));
    world.run(10 * SECOND);
    for (node, other) in [(0, "ben"), (1, "ann")] {
        let line = line(&mut world, node, other, &id);
        assert_eq!(line.text, "see you at harbour");
        let edited = line.edited_at.expect("it says that it was edited");
        assert!(edited > line.sent_at, "and when");
        assert_eq!(world.found(node, "zanzibar").len(), 0);
        assert_eq!(world.found(node, "harbour").len(), 1);
    }
    let told = world.events(1).into_iter().filter_map(|e| match e.event {
        EventKind::Message { text, .. } => Some(("message", text)),
        EventKind::Edited { text, msg_id, .. } if msg_id == id => Some(("edited", text)),
        _ => None,
    });
    let new = "see you at harbour".to_owned();
    assert_eq!(
        told.collect::<Vec<_>>(),
        [("message", new.clone()), ("edited", new)],
        "an event read late tells the text as it is by then"
    );
}

#[test]
fn a_message_that_is_taken_back_leaves_its_place_and_no_word() {
    let mut world = ann_and_ben(2);
    let id = say(&mut world, 0, "ben", "zanzibar");
    let after = say(&mut world, 0, "ben", "and so on");
    world.run(10 * SECOND);
    world.command(1, react(&id, "!"));
    world.run(10 * SECOND);
    world.command(0, delete(&id));
    world.run(10 * SECOND);
    for (node, other) in [(0, "ben"), (1, "ann")] {
        let lines = world.history(node, other);
        assert_eq!([&lines[0].msg_id, &lines[1].msg_id], [&id, &after]);
        assert!(lines[0].deleted && lines[0].text.is_empty());
        assert!(lines[0].reactions.is_empty());
        assert_eq!(world.found(node, "zanzibar").len(), 0);
    }
    let reacted = world.events(0).into_iter().find_map(|e| match e.event {
        EventKind::Reaction { reaction, gone, .. } => Some((reaction, gone)),
        _ => None,
    });
    assert_eq!(
        reacted,
        Some((String::new(), true)),
        "nor is a word of ben's told"
    );
    let told = world.events(1);
    let text = told.iter().find_map(|e| match &e.event {
        EventKind::Message {
            msg_id, text, gone, ..
        } if *msg_id == id => Some((text.as_str(), *gone)),
        _ => None,
    });
    assert_eq!(text, Some(("", true)), "nor does its event hold a word");
    let deleted = |e: &EventKind| matches!(e, EventKind::Deleted { msg_id, .. } if *msg_id == id);
    assert!(told.iter().any(|e| deleted(&e.event)));
    let again = world.try_command(0, edit(&id, "back again"));
    assert_eq!(again.unwrap_err().kind, ErrorKind::Usage);
}

#[test]
fn a_reply_says_what_it_answers_and_quotes_what_is_still_there() {
    let mut world = ann_and_ben(3);
    let question = say(&mut world, 0, "ben", &"when shall we meet? ".repeat(9));
    world.run(10 * SECOND);
    let answer = sent(world.command(1, reply("ann", &question[..8], "at nine")));
    world.run(10 * SECOND);
    for (node, other) in [(0, "ben"), (1, "ann")] {
        let line = line(&mut world, node, other, &answer);
        assert_eq!(
            (line.text.as_str(), &line.reply_to),
            ("at nine", &Some(question.clone()))
        );
        let quote = line.quote.expect("the question is known");
        assert!(quote.starts_with("when shall we meet?") && quote.ends_with('…'));
        assert!(quote.chars().count() <= 61, "{quote}");
    }
    world.command(0, delete(&question));
    world.run(10 * SECOND);
    for (node, other) in [(0, "ben"), (1, "ann")] {
        assert_eq!(line(&mut world, node, other, &answer).quote, None);
    }
    let refused = world.try_command(1, reply("ann", "abcdef", "to nothing"));
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Usage);
}

#[test]
fn each_has_one_reaction_to_a_message_the_newest_and_may_take_it_back() {
    let mut world = ann_and_ben(4);
    let id = say(&mut world, 0, "ben", "I passed");
    world.run(10 * SECOND);
    for reaction in ["👍", "🎉"] {
        world.command(1, react(&id, reaction));
    }
    world.command(0, react(&id, "🥳"));
    world.run(10 * SECOND);
    let shown = |world: &mut World, node, other| -> Vec<(bool, String)> {
        let line = line(world, node, other, &id);
        line.reactions
            .into_iter()
            .map(|r| (r.own, r.reaction))
            .collect()
    };
    let (party, ann) = ("🎉".to_owned(), "🥳".to_owned());
    assert_eq!(
        shown(&mut world, 0, "ben"),
        [(true, ann.clone()), (false, party.clone())]
    );
    assert_eq!(
        shown(&mut world, 1, "ann"),
        [(true, party), (false, ann.clone())]
    );
    world.command(1, react(&id, ""));
    world.run(10 * SECOND);
    assert_eq!(shown(&mut world, 0, "ben"), [(true, ann.clone())]);
    assert_eq!(shown(&mut world, 1, "ann"), [(false, ann)]);
    let too_long = world.try_command(1, react(&id, &"x".repeat(33)));
    assert_eq!(too_long.unwrap_err().kind, ErrorKind::Usage);
}

#[test]
fn nobody_can_ask_to_change_what_another_wrote_but_can_erase_it_here() {
    let mut world = ann_and_ben(5);
    let id = say(&mut world, 0, "ben", "mine");
    world.run(10 * SECOND);
    for command in [edit(&id, "yours"), delete(&id)] {
        let refused = world.try_command(1, command).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Usage);
        assert!(refused.message.contains("not yours"), "{refused}");
    }
    world.command(1, Command::Erase { msg_id: id.clone() });
    world.run(10 * SECOND);
    assert!(world.received(1, "ann").is_empty());
    assert_eq!(line(&mut world, 0, "ben", &id).text, "mine");
    world.command(0, edit(&id, "still mine"));
    world.run(10 * SECOND);
    assert!(
        world.received(1, "ann").is_empty(),
        "what is erased stays so"
    );
    assert_eq!(world.statuses(0, "ben"), [Status::OnDevice]);
}

#[test]
fn an_action_is_awaited_and_explained_by_an_id_of_its_own() {
    let mut world = ann_and_ben(6);
    let id = say(&mut world, 0, "ben", "hello");
    world.run(10 * SECOND);
    world.set_reachable(1, false);
    let waiting = sent(world.command(0, edit(&id, "hello again")));
    assert_ne!(waiting, id);
    let why = |world: &mut World| world.why(0, &waiting);
    assert_eq!(why(&mut world).status, Some(Status::Queued));
    world.run(HOUR);
    world.restart(0);
    world.set_reachable(1, true);
    world.run(HOUR);
    let view = why(&mut world);
    assert_eq!(view.status, Some(Status::OnDevice));
    assert!(matches!(
        view.timeline.last(),
        Some(WhyStep::OnDevice { .. })
    ));
    let told = |e: &EventKind| matches!(e, EventKind::Status { msg_id, status: Status::OnDevice, .. } if *msg_id == waiting);
    assert!(world.events(0).iter().any(|e| told(&e.event)));
    let awaited = Command::Act {
        action: Action::Delete { msg_id: id.clone() },
        wait: Wait::Device,
        timeout_ms: 30 * SECOND,
    };
    match world.command_within(0, awaited, 40 * SECOND) {
        Some(Ok(Reply::Sent(view))) => assert_eq!(view.status, Status::OnDevice),
        other => panic!("{other:?}"),
    }
    assert!(line(&mut world, 1, "ann", &id).deleted);
}

#[test]
fn a_first_word_that_is_a_timer_or_a_changed_request_arrives_once_accepted() {
    let mut world = World::new(7);
    let (ann, ben) = (world.join("ann"), world.join("ben"));
    world.add(ann, ben);
    let id = say(&mut world, ann, "ben", "may I rite?");
    world.command(ann, edit(&id, "may I write?"));
    world.command(ann, super::timer("ben", 3_600));
    world.run(60 * SECOND);
    let contacts = world.requests(ben);
    assert_eq!(contacts[0].request_text.as_deref(), Some("may I rite?"));
    assert_eq!(contacts[0].timer, None, "a stranger sets nothing");
    world.command(ben, add(&contacts[0].id, Some("ann")));
    world.run(HOUR);
    assert_eq!(world.received(ben, "ann"), ["may I write?"]);
    let contacts = world.contacts(ben);
    assert_eq!(contacts[0].timer, Some(3_600));
}

#[test]
fn both_see_the_same_in_the_end_whatever_dies() {
    for seed in seeds(40) {
        let mut world = ann_and_ben(seed);
        world.faults = Faults {
            cut: 30,
            die_before_commit: 20,
            die_after_commit: 20,
        };
        let mut ids: [Vec<String>; 2] = Default::default();
        let names = ["ann", "ben"];
        for round in 0..24_usize {
            for me in 0..2 {
                let other = names[1 - me];
                let own = ids[me].last().cloned();
                let theirs = world.history(me, other);
                let theirs = theirs
                    .iter()
                    .rev()
                    .find(|l| l.kind == MessageKind::Received && !l.deleted);
                let theirs = theirs.map(|line| line.msg_id.clone());
                let choice = (seed as usize * 7 + round * 5 + me * 3) % 6;
                match (choice, own, theirs) {
                    (1, Some(own), _) => {
                        drop(world.command(me, edit(&own, &format!("edit {round}"))))
                    }
                    (2, Some(own), _) => {
                        world.command(me, delete(&own));
                        ids[me].pop();
                    }
                    (3, _, Some(theirs)) => {
                        drop(world.command(me, react(&theirs, &format!("r{round}"))))
                    }
                    (4, Some(own), _) => {
                        drop(world.command(me, react(&own, if round % 2 == 0 { "" } else { "me" })))
                    }
                    (5, _, Some(theirs)) => {
                        let answer = reply(other, &theirs, &format!("answer {round}"));
                        ids[me].push(sent(world.command(me, answer)));
                    }
                    _ => ids[me].push(say(&mut world, me, other, &format!("text {round}"))),
                }
            }
            world.run(seed % 11 * 100);
        }
        world.run(HOUR);
        world.faults = Faults::default();
        world.run(2 * HOUR);
        let (anns, bens) = (
            all_seen(&mut world, 0, "ben"),
            all_seen(&mut world, 1, "ann"),
        );
        // a reaction to what its author took back meanwhile is seen by nobody
        assert_eq!(anns, bens, "seed {seed}");
        assert!(
            anns.iter().any(|s| s.edited),
            "seed {seed}: the test does what it says"
        );
        for (node, other) in [(0, "ben"), (1, "ann")] {
            assert!(world.all_arrived(node, other), "seed {seed}");
        }
    }
}
