//! The mailbox of the built-in relay, beside the engine's store: written by the engine's thread
//! between two steps.

use std::mem;

use sremp_core::{relay::Cursor, time::Tick};
use sremp_relay::mailbox::EmbeddedStore;

use super::{Shell, now};
use crate::{
    config::Config,
    engine::{Engine, Input, Mode, Now, Unkept},
    home::Home,
    mailbox::{self, KEY_LABEL, Mailbox},
    store::Store,
    view::{CommandError, ErrorKind},
};

/// The mailbox in the home.
pub(super) type HomeMailbox = Mailbox<EmbeddedStore>;

/// Opens the mailbox if the user wants one; removes it if not: nothing in it was confirmed.
pub(super) fn open(
    home: &Home,
    store: &Store,
    engine: &Engine,
    config: &Config,
    mode: Mode,
    now: Now,
) -> Result<Option<HomeMailbox>, CommandError> {
    let path = home.mailbox_path();
    if mode == Mode::Offline || engine.is_screen() {
        return Ok(None);
    }
    let failed = |error: sremp_relay::mailbox::StoreError| {
        let message = format!(
            "the mailbox of the built-in relay cannot be used ({}). Nothing in {} was confirmed to \
             anybody: you may remove it, or set `built_in_relay` to false",
            mailbox::words(&error),
            path.display()
        );
        CommandError::new(ErrorKind::Storage, message)
    };
    if !config.built_in_relay {
        mailbox::remove(&path).map_err(failed)?;
        return Ok(None);
    }
    let Some(key) = store.key_for(KEY_LABEL) else {
        return Ok(None);
    };
    let owner = engine.own().id();
    let opened = Mailbox::open(&path, &key, &owner, now);
    opened.map(Some).map_err(failed)
}

impl Shell {
    /// When something is to be done.
    pub(super) fn deadline(&self) -> Tick {
        let engine = self.engine.deadline();
        if !self.kept.is_empty() || self.asks_again() {
            return Tick::new(0);
        }
        let mailbox = self.mailbox.as_ref().and_then(Mailbox::deadline);
        mailbox.map_or(engine, |at| engine.min(at))
    }

    /// Reads what an earlier run has left, before anything that comes now.
    pub(super) fn mind_mailbox(&mut self) {
        let now = now(self.clock);
        if let Some(mailbox) = self.mailbox.as_mut().filter(|_| self.kept.is_empty()) {
            self.kept = mailbox.due(now);
        }
    }

    pub(super) fn discard(&mut self, cursor: Cursor) {
        if let Some(mailbox) = &mut self.mailbox {
            mailbox.discard(cursor, self.clock.now());
        }
    }

    /// Stores what has come in the step that was committed.
    pub(super) fn keep(&mut self) {
        let keeps = mem::take(&mut self.to_keep);
        if keeps.is_empty() {
            return;
        }
        match &mut self.mailbox {
            Some(mailbox) => self.kept.extend(mailbox.keep(keeps, now(self.clock))),
            None => {
                let none = || Input::NotKept(Unkept::Failed("there is none".to_owned()));
                self.kept.extend(keeps.iter().map(|_| none()));
            }
        }
    }

    /// The end: what was read goes. What is left is read at the next start.
    pub(super) fn keep_nothing_more(&mut self) {
        let now = now(self.clock);
        if let Some(mailbox) = &mut self.mailbox {
            mailbox.keep(Vec::new(), now);
        }
    }
}
