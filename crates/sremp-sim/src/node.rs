//! One person's client: a store that survives and an engine that does not.

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use sremp_client::{
    config::Config,
    engine::{Engine, Input, Mode, Now, Output, Ticket, Unkept},
    mailbox::{self, Mailbox, MemoryStore},
    store::{Store, StoreError},
    view::{Command, CommandError, Event, MessageView, Reply},
};
use sremp_core::{
    id::ContactId,
    identity::{SecretIdentity, Username},
    rand_core::Rng as _,
    time::UnixMillis,
};

use crate::commands;

/// A client in the world.
pub struct Node {
    /// The name, and the host under which it listens.
    pub name: String,
    /// What is on its disk.
    pub store: Store,
    pub(crate) engine: Engine,
    pub(crate) replies: BTreeMap<Ticket, Result<Reply, CommandError>>,
    next_ticket: u64,
    pub(crate) config: Config,
    pub(crate) mode: Mode,
    /// The mailbox of the built-in relay, which survives as the store does.
    pub(crate) mailbox: Option<Mailbox<MemoryStore>>,
    /// The mailbox's disk fails.
    pub(crate) mailbox_fails: bool,
    /// Envelopes that the mailbox took.
    pub(crate) through_mailbox: u64,
    /// Items that an earlier life had left there.
    pub(crate) left_in_mailbox: u64,
}

impl Node {
    pub(crate) fn new(
        name: &str,
        set: impl FnOnce(&mut Config),
        now: Now,
        rng: &mut ChaCha20Rng,
    ) -> Self {
        let username = Username::parse(name).expect("a test's name is valid");
        let identity = SecretIdentity::generate(&username, now.wall, rng);
        let mut store = Store::in_memory().expect("memory holds a store");
        let mut config = Config {
            advertise: Some(format!("{name}:4000")),
            ..Config::default()
        };
        set(&mut config);
        let saved = store.transaction(|tx| tx.save_own_identity(&identity.to_parts()));
        saved.unwrap_or_else(|e: StoreError| panic!("{name}: {e}"));
        Self::of_store(name, store, config, now, rng)
    }

    /// Whoever's home this is on the disk.
    pub(crate) fn of_store(
        name: &str,
        mut store: Store,
        config: Config,
        now: Now,
        rng: &mut ChaCha20Rng,
    ) -> Self {
        let engine = store
            .transaction(|tx| Engine::load(tx, config.clone(), Mode::Resident, now, rng))
            .unwrap_or_else(|e: StoreError| panic!("{name}: {e}"));
        let mut node = Self {
            name: name.to_owned(),
            store,
            engine,
            replies: BTreeMap::new(),
            next_ticket: 0,
            config,
            mode: Mode::Resident,
            mailbox: None,
            mailbox_fails: false,
            through_mailbox: 0,
            left_in_mailbox: 0,
        };
        node.open_mailbox(now);
        node
    }

    /// The mailbox is opened, or opened again, if the settings want one.
    fn open_mailbox(&mut self, now: Now) {
        let before = self.mailbox.take();
        if !self.config.built_in_relay || self.mode == Mode::Offline {
            return;
        }
        let store = before.map_or_else(|| MemoryStore::new(mailbox::limits()), Mailbox::into_store);
        let opened = Mailbox::new(store, &self.id(), now);
        self.mailbox = Some(opened.expect("memory holds a mailbox"));
    }

    /// What is for the mailbox among what a step does; what comes of it.
    pub(crate) fn keep(&mut self, output: Output, now: Now) -> Result<Vec<Input>, Output> {
        match (output, self.mailbox.as_mut()) {
            (Output::Keep(_), _) if self.mailbox_fails => {
                let failed = Unkept::Failed("the disk failed".to_owned());
                Ok(vec![Input::NotKept(failed)])
            }
            (Output::Keep(keep), Some(mailbox)) => {
                self.through_mailbox += 1;
                Ok(mailbox.keep(vec![*keep], now))
            }
            (Output::Discard(cursor), Some(mailbox)) => {
                mailbox.discard(cursor, now.tick);
                Ok(Vec::new())
            }
            (output, _) => Err(output),
        }
    }

    /// When something is to be done by itself.
    pub(crate) fn deadline(&self) -> u64 {
        let engine = self.engine.deadline();
        let mailbox = self.mailbox.as_ref().and_then(Mailbox::deadline);
        mailbox.map_or(engine, |at| engine.min(at)).get()
    }

    /// One durable step; what is to be done afterwards comes back.
    pub(crate) fn step(&mut self, input: Input, now: Now, rng: &mut ChaCha20Rng) -> Vec<Output> {
        self.try_step(input, now, rng)
            .unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    /// A step on a disk that may refuse it.
    pub(crate) fn try_step(
        &mut self,
        input: Input,
        now: Now,
        rng: &mut ChaCha20Rng,
    ) -> Result<Vec<Output>, StoreError> {
        let engine = &mut self.engine;
        self.store
            .transaction(|tx| engine.step(tx, [input], now, rng))
    }

    /// The last words of a process that ends.
    pub(crate) fn farewell(&mut self, now: UnixMillis) -> Vec<Output> {
        let engine = &mut self.engine;
        let said: Result<_, StoreError> = self.store.transaction(|tx| engine.farewell(tx, now));
        said.unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    /// The disk has just failed.
    pub fn postpone(&mut self, now: Now) {
        self.engine.postpone(now);
    }

    /// Who it is.
    pub fn id(&self) -> ContactId {
        self.engine.own().id()
    }

    /// A step whose transaction is lost: the disk is as before.
    pub(crate) fn step_without_commit(&mut self, input: Input, now: Now, rng: &mut ChaCha20Rng) {
        let engine = &mut self.engine;
        let lost: Result<(), StoreError> = self.store.transaction(|tx| {
            engine.step(tx, [input], now, rng)?;
            Err(StoreError::Full)
        });
        assert!(lost.is_err());
    }

    /// The process dies and starts again: only the store is left.
    pub(crate) fn restart(&mut self, now: Now, rng: &mut ChaCha20Rng) {
        let (config, mode) = (self.config.clone(), self.mode);
        self.engine = self
            .store
            .transaction(|tx| Engine::load(tx, config, mode, now, rng))
            .unwrap_or_else(|e: StoreError| panic!("{}: {e}", self.name));
        self.open_mailbox(now);
    }

    pub(crate) fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// A command that cannot fail and changes nothing outside.
    pub(crate) fn ask(&mut self, command: Command, now: Now, rng: &mut ChaCha20Rng) -> Reply {
        let ticket = self.ticket();
        let outputs = self.step(Input::Command { ticket, command }, now, rng);
        let reply = outputs.into_iter().find_map(|output| match output {
            Output::Reply { ticket: of, result } if of == ticket => Some(*result),
            _ => None,
        });
        match reply {
            Some(Ok(reply)) => reply,
            other => panic!("{}: {other:?}", self.name),
        }
    }

    /// The lines of the conversation with a contact, oldest first.
    pub fn history(&mut self, contact: &str, now: Now, rng: &mut ChaCha20Rng) -> Vec<MessageView> {
        match self.ask(commands::history(contact), now, rng) {
            Reply::Messages { messages } => messages,
            other => panic!("{other:?}"),
        }
    }

    /// Every event so far.
    pub fn events(&mut self, now: Now, rng: &mut ChaCha20Rng) -> Vec<Event> {
        match self.ask(commands::events(), now, rng) {
            Reply::Events { events, .. } => events,
            other => panic!("{other:?}"),
        }
    }

    /// A random number below `n`, from the world's seed.
    pub(crate) fn below(rng: &mut ChaCha20Rng, n: u64) -> u64 {
        rng.next_u64() % n
    }
}
