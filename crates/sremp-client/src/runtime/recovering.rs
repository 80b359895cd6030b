//! After a commit that failed, and at the end.

use std::collections::HashMap;

use sremp_core::error::ErrorCode;
use sremp_net::{Admission, LinkCommand, Listening};

use super::{LEAVE, Shell, asking::question, failed, load, measure, now};
use crate::{
    engine::{Input, Output},
    store::StoreError,
    view::{CommandError, ErrorKind},
};

impl Shell {
    /// After a failed commit nothing of the step holds: everybody who waits for something to be done is
    /// told, connections are closed, and the engine starts again from what is on the disk.
    pub(super) fn recover(&mut self, error: &StoreError) -> Result<(), CommandError> {
        let told = CommandError::from(error.clone());
        let waiting = "the disk failed meanwhile; a message that was accepted before stays queued";
        let waiting = CommandError::new(ErrorKind::Storage, waiting);
        // room on a disk can be made; anything else means that what is written cannot be relied on
        let passing = matches!(error, StoreError::Full | StoreError::ReadOnly);
        let (questions, others): (HashMap<_, _>, HashMap<_, _>) = self
            .asked
            .drain()
            .partition(|(_, asker)| passing && asker.may_be_asked_again());
        self.asked = questions;
        for (ticket, asker) in others {
            let of_this_step = ticket.0 > self.last_step;
            let answer = if of_this_step { &told } else { &waiting };
            (asker.respond)(Err(answer.clone()));
        }
        for (_, answer) in self.answers.drain() {
            let _ = answer.send(Admission::Close(ErrorCode::Busy));
        }
        for (_, known) in self.links.drain() {
            let _ = known.handle.try_send(LinkCommand::Close(ErrorCode::Busy));
        }
        self.servers.disconnect_all();
        self.to_keep.clear();
        self.kept.clear();
        if let Some(mailbox) = &mut self.mailbox {
            mailbox.begin_anew(self.clock.now());
        }
        if !passing {
            return Err(told);
        }
        self.disk_failed = true;
        self.begin_anew()?;
        self.answer_questions()?;
        let listening = self.listening.as_ref().map(Listening::local_addr);
        let mapping = self.mapping.as_ref().map(|kept| *kept.watch().borrow());
        self.again = vec![Input::Listening(listening)];
        self.again.extend(mapping.map(Input::Mapped));
        let left = self.questions();
        self.again.extend(left);
        Ok(())
    }

    fn begin_anew(&mut self) -> Result<(), CommandError> {
        self.engine = load(&mut self.store, &self.config, self.mode, now(self.clock))?;
        self.engine.postpone(now(self.clock));
        Ok(())
    }

    /// Answers from what is on the disk what can be answered at once. That needs no commit, and so no
    /// room: whatever the step would have written is undone, with the engine that did it.
    fn answer_questions(&mut self) -> Result<(), CommandError> {
        let questions = self.questions();
        if questions.is_empty() {
            return Ok(());
        }
        let listening = self.listening.as_ref().map(Listening::local_addr);
        let inputs = [Input::Listening(listening)].into_iter().chain(questions);
        let (engine, now) = (&mut self.engine, now(self.clock));
        let mut outputs = Vec::new();
        let undone: Result<(), StoreError> = self.store.transaction(|tx| {
            outputs = engine.step(tx, inputs, now, &mut rand::rng())?;
            Err(StoreError::Full)
        });
        // what could not be answered is asked once more in the next step
        drop(undone);
        let replies = outputs.into_iter();
        let replies = replies.filter(|output| matches!(output, Output::Reply { .. }));
        replies.for_each(|reply| self.perform(reply));
        self.asked.values_mut().for_each(|asker| asker.tries += 1);
        self.begin_anew()
    }

    /// Whoever waits for an answer still, as the engine is asked.
    fn questions(&mut self) -> Vec<Input> {
        let store = &mut self.store;
        let asked = self.asked.iter();
        let asked = asked.filter_map(|(ticket, asker)| {
            let command = asker.question.as_deref()?;
            Some(question(*ticket, command.clone(), store))
        });
        asked.collect()
    }

    /// Whether something is to be asked again now.
    pub(super) fn asks_again(&self) -> bool {
        let asks = |input: &Input| matches!(input, Input::Command { .. } | Input::Examine { .. });
        self.again.iter().any(asks)
    }

    /// What `status` says while the disk refuses what is to be kept.
    pub(super) fn disk_warning(&mut self) -> Option<String> {
        if !self.disk_failed {
            return None;
        }
        let refused = measure::room(&mut self.store).err();
        self.disk_failed = refused.is_some();
        refused.map(|error| format!("what comes is neither kept nor confirmed: {error}"))
    }

    /// Tells rendezvous servers that this client is not where it was; they forget it by themselves if
    /// that does not go through.
    fn take_leave(&mut self) {
        let engine = &mut self.engine;
        let now = now(self.clock).wall;
        let said = self.store.transaction(|tx| engine.farewell(tx, now));
        for output in said.unwrap_or_default() {
            self.perform(output);
        }
    }

    pub(super) fn end(mut self, result: Result<(), CommandError>) {
        let stopped = failed("the client was stopped before it could answer");
        let told = result.err().unwrap_or(stopped);
        for (_, asker) in self.asked.drain() {
            (asker.respond)(Err(told.clone()));
        }
        self.take_leave();
        let (servers, network) = (&mut self.servers, &self.network);
        let mapping = self.mapping.take();
        self.handle.block_on(async {
            let told = tokio::time::timeout(LEAVE, servers.shutdown());
            let given_back = async {
                if let Some(mapping) = mapping {
                    mapping.end().await;
                }
            };
            let left = network.shutdown(ErrorCode::GoingAway);
            let _ = tokio::join!(told, given_back, left);
        });
        self.keep_nothing_more();
        let _ = self.store.checkpoint();
    }
}
