//! What people in the world do and see.

use sremp_client::{
    engine::{Input, Ticket},
    mailbox::Mailbox,
    view::{
        Command, CommandError, ContactView, Event, MessageKind, MessageView, Reply, Status,
        StatusView, WhyView,
    },
};

use sremp_core::id::ContactId;

use crate::{World, commands, world::NodeIndex};

impl World {
    /// A command, carried out without faults; its reply.
    pub fn command(&mut self, node: NodeIndex, command: Command) -> Reply {
        match self.try_command(node, command) {
            Ok(reply) => reply,
            Err(error) => panic!("seed {}: {}: {error}", self.seed, self.nodes[node].name),
        }
    }

    /// A command that may be refused.
    pub fn try_command(
        &mut self,
        node: NodeIndex,
        command: Command,
    ) -> Result<Reply, CommandError> {
        let faults = std::mem::take(&mut self.faults);
        let ticket = self.nodes[node].ticket();
        self.give(node, Input::Command { ticket, command });
        self.faults = faults;
        self.nodes[node]
            .replies
            .remove(&ticket)
            .unwrap_or_else(|| panic!("seed {}: no reply", self.seed))
    }

    /// A node's reusable card.
    pub fn card(&mut self, node: NodeIndex) -> String {
        match self.command(node, Command::Id) {
            Reply::Id(view) => view.card,
            other => panic!("{other:?}"),
        }
    }

    /// `node` adds the card of `other` under its name.
    pub fn add(&mut self, node: NodeIndex, other: NodeIndex) {
        let (card, name) = (self.card(other), self.nodes[other].name.clone());
        self.command(node, commands::add(&card, Some(&name)));
    }

    /// Each of the two adds the card of the other.
    pub fn introduce(&mut self, one: NodeIndex, other: NodeIndex) {
        self.add(one, other);
        self.add(other, one);
    }

    /// A card of a node for one guest.
    pub fn invite(&mut self, node: NodeIndex) -> String {
        match self.command(node, Command::Invite { expires: None }) {
            Reply::Invite(view) => view.card,
            other => panic!("{other:?}"),
        }
    }

    /// `node` writes to the contact of this name.
    pub fn send(&mut self, node: NodeIndex, contact: &str, text: &str) {
        self.command(node, commands::send(contact, text));
    }

    /// The conversation of a node with a contact.
    pub fn history(&mut self, node: NodeIndex, contact: &str) -> Vec<MessageView> {
        let now = self.now();
        let lines = self.nodes[node].history(contact, now, &mut self.rng);
        self.schedule(node);
        lines
    }

    /// The texts that a node has received from a contact, in the order of its history.
    pub fn received(&mut self, node: NodeIndex, contact: &str) -> Vec<String> {
        let lines = self.history(node, contact).into_iter();
        lines
            .filter(|line| line.kind == MessageKind::Received)
            .map(|line| line.text)
            .collect()
    }

    /// The same, however many: through the events, which come in the order of arrival.
    pub fn all_received(&mut self, node: NodeIndex, contact: &str) -> Vec<String> {
        let mut texts = Vec::new();
        let mut before = None;
        loop {
            let command = Command::History {
                contact: contact.to_owned(),
                before,
                limit: 1_000,
            };
            let Reply::Messages { messages } = self.command(node, command) else {
                panic!("no history");
            };
            let Some(first) = messages.first() else {
                texts.reverse();
                return texts;
            };
            before = Some(first.seq);
            let received = messages.into_iter().rev();
            let received = received.filter(|m| m.kind == MessageKind::Received);
            texts.extend(received.map(|m| m.text));
        }
    }

    /// A node's id.
    pub fn id(&mut self, node: NodeIndex) -> ContactId {
        self.nodes[node].engine.own().id()
    }

    /// The statuses of what a node has sent to a contact.
    pub fn statuses(&mut self, node: NodeIndex, contact: &str) -> Vec<Status> {
        let lines = self.history(node, contact).into_iter();
        lines.filter_map(|line| line.status).collect()
    }

    /// Whether all that a node has sent to a contact is on the contact's device.
    pub fn all_arrived(&mut self, node: NodeIndex, contact: &str) -> bool {
        let statuses = self.statuses(node, contact);
        statuses.iter().all(|status| *status == Status::OnDevice)
    }

    /// What a node is told in the conversation with a contact, and nobody has written.
    pub fn notices(&mut self, node: NodeIndex, contact: &str) -> Vec<String> {
        let lines = self.history(node, contact).into_iter();
        let notices = lines.filter(|line| line.kind == MessageKind::Notice);
        notices.map(|line| line.text).collect()
    }

    /// Every event of a node.
    pub fn events(&mut self, node: NodeIndex) -> Vec<Event> {
        let now = self.now();
        let events = self.nodes[node].events(now, &mut self.rng);
        self.schedule(node);
        events
    }
}

impl World {
    /// A command whose answer takes time; `None` when there is none within `millis`.
    pub fn command_within(
        &mut self,
        node: NodeIndex,
        command: Command,
        millis: u64,
    ) -> Option<Result<Reply, CommandError>> {
        let ticket = self.begin(node, command);
        self.answer_within(node, ticket, millis)
    }

    /// Begins a command whose answer takes time.
    pub fn begin(&mut self, node: NodeIndex, command: Command) -> Ticket {
        let ticket = self.nodes[node].ticket();
        self.give(node, Input::Command { ticket, command });
        ticket
    }

    /// The answer to a command that was begun; `None` when there is none within `millis`.
    pub fn answer_within(
        &mut self,
        node: NodeIndex,
        ticket: Ticket,
        millis: u64,
    ) -> Option<Result<Reply, CommandError>> {
        let end = self.now().tick.get() + millis;
        while !self.nodes[node].replies.contains_key(&ticket) && self.now().tick.get() < end {
            self.run(100.min(end - self.now().tick.get()));
        }
        self.nodes[node].replies.remove(&ticket)
    }

    /// Envelopes that a node's mailbox has taken.
    pub fn through_mailbox(&self, node: NodeIndex) -> u64 {
        self.nodes[node].through_mailbox
    }

    /// Items of a node's mailbox that were there when it started again.
    pub fn left_in_mailbox(&self, node: NodeIndex) -> u64 {
        self.nodes[node].left_in_mailbox
    }

    /// Items in a node's mailbox.
    pub fn in_mailbox(&self, node: NodeIndex) -> u64 {
        self.nodes[node].mailbox.as_ref().map_or(0, Mailbox::items)
    }

    /// How often something was refused for this cause since a node's last start.
    pub fn refused(&mut self, node: NodeIndex, cause: &str) -> u64 {
        let refused = self.status(node).refused;
        refused.get(cause).copied().unwrap_or(0)
    }
}

/// What a node answers when it is asked.
impl World {
    /// How it is.
    pub fn status(&mut self, node: NodeIndex) -> StatusView {
        match self.command(node, Command::Status) {
            Reply::Status(view) => view,
            other => panic!("{other:?}"),
        }
    }

    /// Whom it has as contacts.
    pub fn contacts(&mut self, node: NodeIndex) -> Vec<ContactView> {
        self.known(node, false)
    }

    /// Who asks to be a contact.
    pub fn requests(&mut self, node: NodeIndex) -> Vec<ContactView> {
        self.known(node, true)
    }

    fn known(&mut self, node: NodeIndex, requests: bool) -> Vec<ContactView> {
        match self.command(
            node,
            Command::Contacts {
                requests,
                declined: false,
            },
        ) {
            Reply::Contacts { contacts } => contacts,
            other => panic!("{other:?}"),
        }
    }

    /// The messages with these words.
    pub fn found(&mut self, node: NodeIndex, words: &str) -> Vec<MessageView> {
        match self.command(node, commands::search(words)) {
            Reply::Messages { messages } => messages,
            other => panic!("{other:?}"),
        }
    }

    /// The way of a message.
    pub fn why(&mut self, node: NodeIndex, msg_id: &str) -> WhyView {
        let msg_id = msg_id.to_owned();
        match self.command(node, Command::Why { msg_id }) {
            Reply::Why(view) => view,
            other => panic!("{other:?}"),
        }
    }

    /// The way of what a node has last sent to a contact.
    pub fn why_last(&mut self, node: NodeIndex, contact: &str) -> WhyView {
        let lines = self.history(node, contact);
        let sent = lines.iter().rfind(|line| line.status.is_some());
        self.why(node, &sent.expect("something was sent").msg_id)
    }
}
