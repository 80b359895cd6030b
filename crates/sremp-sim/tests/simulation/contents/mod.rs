//! What is done to messages after they were written, between people who keep to the rules and with one
//! who does not.

mod disappearing;
mod hostile;
mod together;

use sremp_client::view::{Action, Command, Event, MessageKind, MessageView, Reply, SentView, Wait};
use sremp_sim::{Alone, World};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600_000;

fn ann_and_ben(seed: u64) -> World {
    let mut world = World::new(seed);
    let ann = world.join("ann");
    let ben = world.join("ben");
    world.add(ann, ben);
    world.add(ben, ann);
    world
}

fn act(action: Action) -> Command {
    Command::Act {
        action,
        wait: Wait::Outbox,
        timeout_ms: 0,
    }
}

fn edit(msg_id: &str, text: &str) -> Command {
    act(Action::Edit {
        msg_id: msg_id.to_owned(),
        text: text.to_owned(),
    })
}

fn delete(msg_id: &str) -> Command {
    act(Action::Delete {
        msg_id: msg_id.to_owned(),
    })
}

fn react(msg_id: &str, reaction: &str) -> Command {
    act(Action::React {
        msg_id: msg_id.to_owned(),
        reaction: reaction.to_owned(),
    })
}

fn timer(contact: &str, seconds: u32) -> Command {
    act(Action::Timer {
        contact: contact.to_owned(),
        seconds,
    })
}

fn reply(contact: &str, reply_to: &str, text: &str) -> Command {
    Command::Send {
        contact: contact.to_owned(),
        text: text.to_owned(),
        reply_to: Some(reply_to.to_owned()),
        key: None,
        wait: Wait::Outbox,
        timeout_ms: 0,
    }
}

/// The id of what was sent.
fn sent(reply: Reply) -> String {
    match reply {
        Reply::Sent(SentView { msg_id, .. }) => msg_id,
        other => panic!("{other:?}"),
    }
}

/// Sends a text; its id.
fn say(world: &mut World, node: usize, contact: &str, text: &str) -> String {
    let send = Command::Send {
        contact: contact.to_owned(),
        text: text.to_owned(),
        reply_to: None,
        key: None,
        wait: Wait::Outbox,
        timeout_ms: 0,
    };
    sent(world.command(node, send))
}

fn found(world: &mut World, node: usize, words: &str) -> usize {
    let search = Command::Search {
        words: words.to_owned(),
        limit: 10,
    };
    match world.command(node, search) {
        Reply::Messages { messages } => messages.len(),
        other => panic!("{other:?}"),
    }
}

/// The messages of a conversation of somebody alone, without notices.
fn messages(client: &mut Alone, contact: &str) -> Vec<MessageView> {
    let mut lines = lines(client, contact);
    lines.retain(|line| line.kind != MessageKind::Notice);
    lines
}

fn lines(client: &mut Alone, contact: &str) -> Vec<MessageView> {
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

fn events(client: &mut Alone) -> Vec<Event> {
    let events = Command::Events {
        after: Some(0),
        limit: 1_000,
        wait_ms: 0,
    };
    match client.command(events) {
        Ok(Reply::Events { events, .. }) => events,
        other => panic!("{other:?}"),
    }
}
