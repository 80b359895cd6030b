//! Links: their names, and the commands to them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sremp_core::{
    channel::Message,
    constants::{MAX_MESSAGE, WRITE_QUEUE},
    error::ErrorCode,
};
use tokio::sync::Notify;

/// Names a link within this process, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub(crate) u64);

impl LinkId {
    /// A link of a simulated network.
    pub const fn simulated(number: u64) -> Self {
        Self(number)
    }
}

impl std::fmt::Display for LinkId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "link {}", self.0)
    }
}

/// A command to a link.
#[derive(Clone, Debug)]
pub enum LinkCommand {
    /// Send a message, as soon as the link is open.
    Send(Message),
    /// Ask whether the peer is there; `Pong` is the answer. Without effect before the link is open.
    Probe,
    /// Send what is queued, then CLOSE with this code.
    Close(ErrorCode),
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotQueued {
    /// [`WRITE_QUEUE`] bytes wait already.
    Full,
    /// Encoded longer than [`MAX_MESSAGE`]: it is a file.
    TooLarge,
    /// The link has ended.
    Closed,
}

impl std::fmt::Display for NotQueued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full => "too much waits to be sent on this link",
            Self::TooLarge => "the message is larger than 4 MiB",
            Self::Closed => "the link is closed",
        })
    }
}

impl std::error::Error for NotQueued {}

/// What a queued command costs beside a message's body, in bytes; more than a message's header.
const OVERHEAD: usize = 64;

/// Sends commands to one link. When the last handle is dropped the link closes with `GOING_AWAY`.
#[derive(Clone)]
pub struct LinkHandle {
    link: LinkId,
    alive: Arc<Alive>,
}

/// What all handles of a link share, for as long as there is one.
struct Alive(Arc<Queue>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.lock().abandoned = true;
        self.0.changed.notify_one();
    }
}

/// Commands on their way. Of a connection on which nothing happens this is next to nothing, where a
/// channel of the runtime has room for 32.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    commands: VecDeque<LinkCommand>,
    /// What they cost.
    bytes: usize,
    /// Nobody can send any more.
    abandoned: bool,
    /// Nobody takes anything any more.
    ended: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn push(&mut self, command: LinkCommand) -> Result<(), NotQueued> {
        let sum = self.bytes.saturating_add(cost(&command));
        // an empty queue takes any message, else one larger than the queue could never leave
        let always = self.bytes == 0 || matches!(command, LinkCommand::Close(_));
        if self.ended {
            return Err(NotQueued::Closed);
        }
        if !always && sum > WRITE_QUEUE {
            return Err(NotQueued::Full);
        }
        self.bytes = sum;
        self.commands.push_back(command);
        Ok(())
    }

    fn pop(&mut self) -> Option<LinkCommand> {
        let command = self.commands.pop_front()?;
        self.bytes = self.bytes.saturating_sub(cost(&command));
        if self.commands.is_empty() && self.commands.capacity() > KEPT {
            self.commands = VecDeque::new();
        }
        Some(command)
    }

    fn close_code(&self) -> Option<ErrorCode> {
        let close = self.commands.iter().find_map(|command| match command {
            LinkCommand::Close(code) => Some(*code),
            _ => None,
        });
        close.or(self.abandoned.then_some(ErrorCode::GoingAway))
    }
}

/// Room for so many commands is kept when none is left.
const KEPT: usize = 16;

impl LinkHandle {
    /// Which link.
    pub const fn link(&self) -> LinkId {
        self.link
    }

    /// Queues a command.
    ///
    /// # Errors
    /// [`NotQueued`]; the command is dropped then. `Close` is never refused for want of room.
    pub fn try_send(&self, command: LinkCommand) -> Result<(), NotQueued> {
        if cost(&command) > MAX_MESSAGE {
            return Err(NotQueued::TooLarge);
        }
        let queue = &self.alive.0;
        queue.lock().push(command)?;
        queue.changed.notify_one();
        Ok(())
    }
}

impl std::fmt::Debug for LinkHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LinkHandle({})", self.link)
    }
}

fn cost(command: &LinkCommand) -> usize {
    match command {
        LinkCommand::Send(message) => message.body.len().saturating_add(OVERHEAD),
        LinkCommand::Probe | LinkCommand::Close(_) => OVERHEAD,
    }
}

/// The other end of the handles.
pub(crate) struct Commands(Arc<Queue>);

impl Drop for Commands {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.ended = true;
        waiting.commands = VecDeque::new();
    }
}

impl Commands {
    pub(crate) fn new(link: LinkId) -> (LinkHandle, Self) {
        let queue = Arc::<Queue>::default();
        let alive = Arc::new(Alive(queue.clone()));
        (LinkHandle { link, alive }, Self(queue))
    }

    /// The next command; when every handle is gone, to close. Safe to cancel.
    pub(crate) async fn next(&mut self) -> LinkCommand {
        loop {
            if let Some(command) = self.try_next() {
                return command;
            }
            if self.0.lock().abandoned {
                return LinkCommand::Close(ErrorCode::GoingAway);
            }
            self.0.changed.notified().await;
        }
    }

    /// A command that waits already.
    pub(crate) fn try_next(&mut self) -> Option<LinkCommand> {
        self.0.lock().pop()
    }

    /// Resolves with the code when the link is to be closed; other commands keep waiting, and
    /// count. Safe to cancel.
    pub(crate) async fn closed(&mut self) -> ErrorCode {
        loop {
            if let Some(code) = self.0.lock().close_code() {
                return code;
            }
            self.0.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn send(len: usize) -> LinkCommand {
        LinkCommand::Send(Message {
            msg_type: 1,
            req_id: 0,
            body: vec![0x90; len],
        })
    }

    #[tokio::test]
    async fn a_queue_is_full_at_its_bound_and_close_still_gets_through() {
        let (handle, mut commands) = Commands::new(LinkId(1));
        let mut taken = 0;
        while handle.try_send(send(64 * 1024)).is_ok() {
            taken += 1;
        }
        assert_eq!(taken, 15);
        assert_eq!(handle.try_send(send(64 * 1024)), Err(NotQueued::Full));
        let close = LinkCommand::Close(ErrorCode::GoingAway);
        assert_eq!(handle.try_send(close.clone()), Ok(()));
        assert_eq!(commands.closed().await, ErrorCode::GoingAway);
        commands.next().await;
        assert_eq!(handle.try_send(send(1024)), Ok(()));
        drop(commands);
        assert_eq!(handle.try_send(close), Err(NotQueued::Closed));
    }

    #[tokio::test]
    async fn the_last_handle_takes_the_link_with_it_after_what_it_sent() {
        let (handle, mut commands) = Commands::new(LinkId(1));
        let other = handle.clone();
        drop(handle);
        other.try_send(send(1)).unwrap();
        // it waits before the last one goes, and is woken by that
        let waiting = tokio::spawn(async move {
            assert!(matches!(commands.next().await, LinkCommand::Send(_)));
            commands.next().await
        });
        tokio::task::yield_now().await;
        drop(other);
        let last = tokio::time::timeout(Duration::from_secs(10), waiting);
        let last = last.await.unwrap().unwrap();
        assert!(
            matches!(last, LinkCommand::Close(ErrorCode::GoingAway)),
            "{last:?}"
        );
    }

    #[test]
    fn what_a_burst_needed_is_given_back() {
        let (handle, mut commands) = Commands::new(LinkId(1));
        for _ in 0..1_000 {
            handle.try_send(LinkCommand::Probe).unwrap();
        }
        while commands.try_next().is_some() {}
        let waiting = commands.0.lock();
        assert!(waiting.commands.capacity() <= KEPT);
        assert_eq!(waiting.bytes, 0);
    }
}
