//! One client whose whole world is the test: every connection and every message comes from there.

use std::{collections::VecDeque, time::Duration};

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use sremp_client::{
    config::Config,
    engine::{Input, Now, Output},
    mailbox::Mailbox,
    view::{Command, CommandError, ContactView, Event, MessageView, Reply, StatusView, WhyView},
};
use sremp_core::{
    channel::{Admission, Direction, HandshakeHash, Message, Service},
    error::ErrorCode,
    id::ContactId,
    identity::{Identity, SecretIdentity, Username},
    time::{Tick, UnixMillis},
};
use sremp_net::{CloseReason, DialTarget, LinkId};

use crate::{Node, commands};

/// When the world begins.
pub(crate) const BEGIN: u64 = 1_760_000_000_000;

/// A client and what it does.
pub struct Alone {
    /// The client.
    pub node: Node,
    /// Randomness for both sides.
    pub rng: ChaCha20Rng,
    millis: u64,
    next_link: u64,
}

impl Alone {
    /// A client of this name, just started.
    pub fn new(name: &str) -> Self {
        Self::seeded(name, 1)
    }

    /// The same with other randomness.
    pub fn seeded(name: &str, seed: u64) -> Self {
        Self::with(name, seed, |_| ())
    }

    /// The same with settings of its own.
    pub fn with(name: &str, seed: u64, set: impl FnOnce(&mut Config)) -> Self {
        println!("a client of seed {seed}");
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let node = Node::new(name, set, now_at(0), &mut rng);
        let mut alone = Self {
            node,
            rng,
            millis: 0,
            next_link: 0,
        };
        alone.pass(Duration::ZERO);
        alone
    }

    /// The client's process dies and starts again.
    pub fn restart(&mut self) {
        let now = self.now();
        self.node.restart(now, &mut self.rng);
    }

    /// The time by both clocks.
    pub fn now(&self) -> Now {
        now_at(self.millis)
    }

    /// Another person, who does only what the test does in its name.
    pub fn somebody(&mut self, name: &str) -> SecretIdentity {
        let username = Username::parse(name).expect("a test's name is valid");
        SecretIdentity::generate(&username, self.now().wall, &mut self.rng)
    }

    /// One durable step; what is to be done afterwards comes back.
    pub fn give(&mut self, input: Input) -> Vec<Output> {
        let now = self.now();
        let mut inputs = VecDeque::from([input]);
        let mut done = Vec::new();
        while let Some(input) = inputs.pop_front() {
            for output in self.node.step(input, now, &mut self.rng) {
                match self.node.keep(output, now) {
                    Ok(kept) => inputs.extend(kept),
                    Err(output) => done.push(output),
                }
            }
        }
        done
    }

    /// Time passes; every deadline in between is kept, and whoever is asked after answers. What is done meanwhile comes back with its
    /// time, counted from the beginning.
    pub fn pass(&mut self, time: Duration) -> Vec<(Duration, Output)> {
        let end = self.millis + u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut done = Vec::new();
        loop {
            let due = self.node.engine.deadline().get().max(self.millis);
            if due > end {
                break;
            }
            self.millis = due;
            let at = Duration::from_millis(due);
            let mut outputs = self.give(Input::Deadline);
            let asked: Vec<LinkId> = outputs.iter().filter_map(asked_after).collect();
            for link in asked {
                outputs.extend(self.give(Input::Pong(link)));
            }
            done.extend(outputs.into_iter().map(|output| (at, output)));
            assert!(
                self.node.engine.deadline().get() > due,
                "a deadline that was kept is over"
            );
        }
        self.millis = end;
        done
    }

    /// What is in the mailbox of the built-in relay.
    pub fn in_mailbox(&self) -> u64 {
        self.node.mailbox.as_ref().map_or(0, Mailbox::items)
    }

    /// Time until something is due for the client.
    pub fn idle(&self) -> Duration {
        Duration::from_millis(
            self.node
                .engine
                .deadline()
                .get()
                .saturating_sub(self.millis),
        )
    }

    /// The mailbox of the built-in relay takes nothing from now on, or takes everything again.
    pub fn fail_mailbox(&mut self, fails: bool) {
        self.node.mailbox_fails = fails;
    }

    /// A command; its answer.
    pub fn command(&mut self, command: Command) -> Result<Reply, CommandError> {
        self.command_and_more(command).0
    }

    /// A command; its answer, and what else is done for it.
    pub fn command_and_more(
        &mut self,
        command: Command,
    ) -> (Result<Reply, CommandError>, Vec<Output>) {
        let ticket = self.node.ticket();
        let mut reply = None;
        let mut more = Vec::new();
        for output in self.give(Input::Command { ticket, command }) {
            match output {
                Output::Reply { ticket: of, result } if of == ticket => reply = Some(*result),
                other => more.push(other),
            }
        }
        (reply.expect("a command is answered"), more)
    }

    /// What `status` says.
    pub fn status(&mut self) -> StatusView {
        match self.command(Command::Status) {
            Ok(Reply::Status(status)) => status,
            other => panic!("{other:?}"),
        }
    }

    /// How often something was refused for this cause since the last start.
    pub fn refused(&mut self, cause: &str) -> u64 {
        self.status().refused.get(cause).copied().unwrap_or(0)
    }

    /// The contacts.
    pub fn contacts(&mut self) -> Vec<ContactView> {
        self.known(false)
    }

    /// Those who ask to be contacts.
    pub fn requests(&mut self) -> Vec<ContactView> {
        self.known(true)
    }

    fn known(&mut self, requests: bool) -> Vec<ContactView> {
        match self.command(Command::Contacts {
            requests,
            declined: false,
        }) {
            Ok(Reply::Contacts { contacts }) => contacts,
            other => panic!("{other:?}"),
        }
    }

    /// The conversation with a contact.
    pub fn history(&mut self, contact: &str) -> Vec<MessageView> {
        match self.command(commands::history(contact)) {
            Ok(Reply::Messages { messages }) => messages,
            other => panic!("{other:?}"),
        }
    }

    /// Every event.
    pub fn events(&mut self) -> Vec<Event> {
        match self.command(commands::events()) {
            Ok(Reply::Events { events, .. }) => events,
            other => panic!("{other:?}"),
        }
    }

    /// The way of what was last sent to a contact.
    pub fn why_last(&mut self, contact: &str) -> WhyView {
        let lines = self.history(contact).into_iter();
        let sent = lines.rev().find(|line| line.status.is_some());
        let msg_id = sent.expect("something was sent").msg_id;
        match self.command(Command::Why { msg_id }) {
            Ok(Reply::Why(view)) => view,
            other => panic!("{other:?}"),
        }
    }

    /// A connection comes in and shows this identity; the client's word on it.
    pub fn call(&mut self, identity: &Identity) -> (LinkId, Admission) {
        let link = self.new_link();
        let shown = Input::Shown {
            link,
            service: Service::P2p,
            identity: Box::new(identity.clone()),
            intro: None,
        };
        let answer = self
            .give(shown)
            .into_iter()
            .find_map(|output| match output {
                Output::Admit {
                    link: of,
                    admission,
                } if of == link => Some(admission),
                _ => None,
            });
        (link, answer.expect("a caller gets a word"))
    }

    /// An admitted connection is open.
    pub fn open(&mut self, link: LinkId, identity: &Identity) -> Vec<Output> {
        self.give(Input::Opened {
            link,
            service: Service::P2p,
            binding: HandshakeHash::new([7; HandshakeHash::LEN]),
            direction: Direction::Inbound,
            identity: Box::new(identity.clone()),
        })
    }

    /// A connection that is admitted and open.
    pub fn connect(&mut self, identity: &Identity) -> LinkId {
        let (link, admission) = self.call(identity);
        assert_eq!(admission, Admission::Accept);
        self.open(link, identity);
        link
    }

    /// A message comes over a connection.
    pub fn hear(&mut self, link: LinkId, message: Message) -> Vec<Output> {
        self.give(Input::Message { link, message })
    }

    /// A connection that had come in breaks.
    pub fn cut(&mut self, link: LinkId) -> Vec<Output> {
        self.give(Input::Closed {
            link,
            service: Service::P2p,
            dialled: None,
            reason: CloseReason::Truncated,
        })
    }

    /// The dial of this contact has failed: nobody answers there.
    pub fn fail_dial(&mut self, contact: ContactId) -> Vec<Output> {
        let link = self.new_link();
        self.give(Input::Closed {
            link,
            service: Service::P2p,
            dialled: Some(contact),
            reason: CloseReason::Local(ErrorCode::Timeout),
        })
    }

    /// A name for a new connection.
    pub fn new_link(&mut self) -> LinkId {
        self.next_link += 1;
        LinkId::simulated(self.next_link)
    }
}

fn asked_after(output: &Output) -> Option<LinkId> {
    match output {
        Output::Probe(link) => Some(*link),
        _ => None,
    }
}

/// The dials among what is done.
pub fn dials<'a>(done: impl IntoIterator<Item = &'a Output>) -> Vec<&'a DialTarget> {
    let dial = |output: &'a Output| match output {
        Output::Dial(target) => Some(&**target),
        _ => None,
    };
    done.into_iter().filter_map(dial).collect()
}

/// The connections that are closed, with their codes.
pub fn closed<'a>(done: impl IntoIterator<Item = &'a Output>) -> Vec<(LinkId, ErrorCode)> {
    let close = |output: &'a Output| match output {
        Output::Close { link, code } => Some((*link, *code)),
        _ => None,
    };
    done.into_iter().filter_map(close).collect()
}

fn now_at(millis: u64) -> Now {
    Now {
        wall: UnixMillis::saturating(BEGIN + millis),
        tick: Tick::new(millis),
    }
}
