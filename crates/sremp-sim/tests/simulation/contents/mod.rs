//! What is done to messages after they were written, between people who keep to the rules and with one
//! who does not.

mod disappearing;
mod hostile;
mod together;

use sremp_client::view::{Action, Command, MessageKind, MessageView, Reply, SentView, Wait};
use sremp_sim::{
    Alone, World,
    commands::{act, send},
};

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
    sent(world.command(node, send(contact, text)))
}

/// The messages of a conversation of somebody alone, without notices.
fn messages(client: &mut Alone, contact: &str) -> Vec<MessageView> {
    let mut lines = client.history(contact);
    lines.retain(|line| line.kind != MessageKind::Notice);
    lines
}
