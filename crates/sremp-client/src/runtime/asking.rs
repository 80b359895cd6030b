//! How commands get to the engine's thread, and answers back.

use std::sync::mpsc::sync_channel;

use super::{Runtime, Work, failed};
use crate::view::{Command, CommandError, Reply};

/// The answer to a command.
pub(crate) type Answer = Result<Reply, CommandError>;

/// Takes the answer, on the engine's thread: it does not block. Dropped uncalled if the client ends.
pub(crate) type Respond = Box<dyn FnOnce(Answer) + Send>;

/// Names a face at the socket; 0 is who asks in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FaceId(pub(crate) u64);

/// Whoever waits for an answer.
pub(super) struct Asker {
    pub(super) face: FaceId,
    pub(super) respond: Respond,
}

/// What whoever asks is told when no answer comes.
pub(crate) const STOPPED: &str = "the client has stopped; start it again";

impl Runtime {
    /// Asks the engine and waits for the answer.
    pub(crate) fn call(&self, command: Command) -> Answer {
        let (answer, reply) = sync_channel(1);
        let respond = move |told| {
            let _ = answer.send(told);
        };
        self.ask(FaceId(0), command, Box::new(respond));
        reply.recv().map_err(|_| failed(STOPPED))?
    }

    /// Asks the engine, which calls back.
    pub(crate) fn ask(&self, face: FaceId, command: Command, respond: Respond) {
        let asker = Asker { face, respond };
        let _ = self.work.blocking_send(Work::Command(command, asker));
    }

    /// A face has left: it waits for no event any more.
    pub(crate) fn left(&self, face: FaceId) {
        let _ = self.work.blocking_send(Work::Left(face));
    }
}
