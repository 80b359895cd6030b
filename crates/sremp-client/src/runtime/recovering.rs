//! After a commit that failed, and at the end.

use sremp_core::error::ErrorCode;
use sremp_net::{Admission, LinkCommand, Listening};

use super::{LEAVE, Shell, failed, load, now};
use crate::{
    engine::Input,
    store::StoreError,
    view::{CommandError, ErrorKind},
};

impl Shell {
    /// After a failed commit nothing of the step holds: everybody who waits is told, connections
    /// are closed, and the engine starts again from what is on the disk.
    pub(super) fn recover(&mut self, error: &StoreError) -> Result<(), CommandError> {
        let told = CommandError::from(error.clone());
        let waiting = "the disk failed meanwhile; a message that was accepted before stays queued";
        let waiting = CommandError::new(ErrorKind::Storage, waiting);
        for (ticket, asker) in self.asked.drain() {
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
        // room on a disk can be made; anything else means that what is written cannot be relied on
        if !matches!(error, StoreError::Full | StoreError::ReadOnly) {
            return Err(told);
        }
        self.engine = load(&mut self.store, &self.config, self.mode, now(self.clock))?;
        self.engine.postpone(now(self.clock));
        let listening = self.listening.as_ref().map(Listening::local_addr);
        let mapping = self.mapping.as_ref().map(|kept| *kept.watch().borrow());
        self.again = vec![Input::Listening(listening)];
        self.again.extend(mapping.map(Input::Mapped));
        Ok(())
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
