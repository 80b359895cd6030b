//! How long a face waits for an answer, and what it says when none comes.

use std::{io, time::Duration};

use crate::{
    home::{Home, HomeError},
    view::{Command, CommandError, ErrorKind, Wait},
};

/// What a client that is busy may take beyond the time that a command says.
const GRACE: Duration = Duration::from_secs(10);
/// The same for faces that follow events: a long copy of the store is no reason to break them off.
const GRACE_OF_EVENTS: Duration = Duration::from_secs(30);
/// Longest that the client itself waits for relays and rendezvous servers.
const ASKING_OTHERS: Duration = Duration::from_secs(20);
/// A large home onto a slow disk.
const BACKUP: Duration = Duration::from_secs(60 * 60);

/// How long an answer may take.
pub(super) fn patience(command: &Command) -> Duration {
    match command {
        Command::Send {
            wait: Wait::Relay | Wait::Device,
            timeout_ms,
            ..
        }
        | Command::Act {
            wait: Wait::Relay | Wait::Device,
            timeout_ms,
            ..
        } => Duration::from_millis(*timeout_ms) + GRACE,
        Command::Events { wait_ms, .. } => Duration::from_millis(*wait_ms) + GRACE_OF_EVENTS,
        Command::Doctor
        | Command::Find { .. }
        | Command::Browse { .. }
        | Command::Register { .. } => ASKING_OTHERS + GRACE,
        Command::Backup { .. } => BACKUP,
        _ => GRACE,
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The client has not got the whole request.
    Unsent(io::Error),
    /// The client ended, or answered nonsense, after it got the request.
    Ended,
    /// Nothing came for so long.
    Silent(Duration),
}

impl Unanswered {
    /// What the user is told.
    pub(super) fn told(&self, command: &Command, home: &Home) -> CommandError {
        let message = match self {
            Self::Unsent(error) => {
                format!("the running client does not answer ({error}); start it again")
            }
            Self::Ended => format!(
                "the running client ended before it answered{}; start it again",
                doubt(command, "whether it did what was asked is not known")
            ),
            Self::Silent(after) => silent(command, *after, holder(home)),
        };
        CommandError::new(ErrorKind::Failed, message)
    }
}

fn silent(command: &Command, after: Duration, process: Option<u32>) -> String {
    let (name, remedy) = match process {
        Some(id) => (
            format!(" (process {id})"),
            format!(
                "let it go on with `fg` or `kill -CONT {id}`, or end it with `kill -KILL {id}` and \
                 start it again"
            ),
        ),
        None => (
            String::new(),
            "let it go on with `fg`, or end its process and start it again".to_owned(),
        ),
    };
    format!(
        "the running client{name} has not answered for {} s: it is stopped, or busy{}; {remedy}",
        after.as_secs(),
        doubt(
            command,
            "what was asked may have been done, or be done when it goes on"
        )
    )
}

/// What is not known after a command that changes something.
fn doubt(command: &Command, else_: &str) -> String {
    match command {
        Command::Send { .. } => {
            "; the message may be in the outbox or not, or get there yet: look \
                                 with `sremp history` before you send it again"
                .to_owned()
        }
        command if may_be_repeated(command) => String::new(),
        _ => format!("; {else_}"),
    }
}

/// Whether nothing is lost or done twice when the command is given again.
const fn may_be_repeated(command: &Command) -> bool {
    command.is_question()
        || matches!(
            command,
            Command::Subscribe { .. }
                | Command::Unsubscribe
                | Command::Ack { .. }
                | Command::Find { .. }
                | Command::Browse { .. }
                | Command::Register { visibility: None }
        )
}

/// The process that has the home, by its lock.
fn holder(home: &Home) -> Option<u32> {
    match home.lock() {
        Err(HomeError::InUse { pid }) => pid,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_waits_is_given_its_own_time_and_more() {
        let send = |wait| Command::Send {
            contact: "ben".to_owned(),
            text: "hi".to_owned(),
            reply_to: None,
            key: None,
            wait,
            timeout_ms: 60_000,
        };
        let seconds = |command: Command| patience(&command).as_secs();
        assert_eq!(seconds(send(Wait::Device)), 70);
        assert_eq!(seconds(send(Wait::Relay)), 70);
        assert_eq!(seconds(send(Wait::Outbox)), 10, "nothing is waited for");
        assert_eq!(seconds(Command::Status), 10);
        let events = |wait_ms| Command::Events {
            after: None,
            limit: 1,
            wait_ms,
        };
        assert_eq!(seconds(events(5_000)), 35);
        assert!(patience(&events(u64::MAX)) > Duration::from_secs(u64::from(u32::MAX)));
        assert!(seconds(Command::Doctor) > 20, "it takes ten seconds itself");
        let backup = Command::Backup {
            file: "/f".to_owned(),
            retire: true,
        };
        assert!(seconds(backup) > 600);
    }

    #[test]
    fn who_does_not_answer_is_named_and_what_is_not_known_is_said() {
        let told = |command| silent(&command, Duration::from_secs(10), Some(7));
        let looks = told(Command::Status);
        assert!(looks.contains("process 7") && looks.contains("kill -CONT 7"));
        assert!(!looks.contains("may"), "{looks}");
        assert!(told(Command::Stop).contains("may have been done"));
    }
}
