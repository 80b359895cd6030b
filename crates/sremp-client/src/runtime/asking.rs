//! How commands get to the engine's thread, and answers back.

use std::sync::mpsc::sync_channel;

use super::{Runtime, Work, failed, measure};
use crate::{
    engine::{Input, Ticket},
    store::Store,
    view::{Command, CommandError, Reply},
};

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
    /// What it asked for, if that changes nothing: it can be asked again.
    pub(super) question: Option<Box<Command>>,
    /// How often it was asked again.
    pub(super) tries: u8,
}

/// How often a question is asked again at the most: `doctor` waits for others, and the disk may fail
/// meanwhile once more.
const MAX_TRIES: u8 = 4;

/// What whoever asks is told when no answer comes.
pub(crate) const STOPPED: &str = "the client has stopped; start it again";

impl Asker {
    pub(super) fn may_be_asked_again(&self) -> bool {
        self.question.is_some() && self.tries < MAX_TRIES
    }
}

/// How the engine is asked; what it cannot measure itself is measured now.
pub(super) fn question(ticket: Ticket, command: Command, store: &mut Store) -> Input {
    match command {
        Command::Doctor => Input::Examine {
            ticket,
            store: measure::commits(store).ok(),
        },
        command => Input::Command { ticket, command },
    }
}

/// Whether a command is asked again after the disk failed: not what waits for events, as a face does that
/// itself.
const fn is_asked_again(command: &Command) -> bool {
    let waits = matches!(command, Command::Events { wait_ms: 1.., .. });
    command.is_question() && !waits
}

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
        let asker = Asker {
            face,
            respond,
            question: is_asked_again(&command).then(|| Box::new(command.clone())),
            tries: 0,
        };
        let _ = self.work.blocking_send(Work::Command(command, asker));
    }

    /// A face has left: it waits for no event any more.
    pub(crate) fn left(&self, face: FaceId) {
        let _ = self.work.blocking_send(Work::Left(face));
    }
}
